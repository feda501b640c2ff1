"""REST v1: routers and schemas, no logic."""
