"""Pages, components, charts and static files."""
