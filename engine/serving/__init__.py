"""Serving: launch arguments, shard supervision, health, metrics scraping and the node agent."""
