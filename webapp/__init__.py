"""The Django console: the only place with ORM, HTML, HTTP API and WebSockets."""
