"""Users and roles, audit log, event outbox and its relay to browsers, error to HTTP map."""
