"""The `medley` command."""
