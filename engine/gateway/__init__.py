"""The OpenAI-compatible router in front of the shards; its own process."""
