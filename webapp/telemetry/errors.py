"""What telemetry refuses."""

from engine.errors import RefusedError


class CursorMovedError(RefusedError):
    """Another collector counted these requests already; nothing was written."""

    code = "cursor_moved"
