"""Settings of the console: base, test, typed environment readers."""
