"""Deployments, machines, shards, their state machines, ledger and gateway keys."""
