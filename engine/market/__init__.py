"""Market: offers as tables, their checks, and the offers of this host."""
