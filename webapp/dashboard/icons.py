"""The console's own icons: 16 x 16 strokes in the colour of the text around them."""

from typing import Final

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

_PATHS: Final[dict[str, str]] = {
    "home": "M2.5 7.2 8 2.7l5.5 4.5v6.1h-3.8V9.6H6.3v3.7H2.5z",
    "market": "M2.5 13.5V2.5M2.5 13.5h11M5 10.5l2.6-3 2 1.7 3.6-4.4",
    "catalogue": "M8 1.9 13.6 5v6L8 14.1 2.4 11V5zM2.6 5.1 8 8.1l5.4-3M8 8.1v5.8",
    "plan": "M3 3.2h10M3 8h6.5M3 12.8h4M11 10.6l1.3 1.3 2.2-2.6",
    "approval": "M8 1.9 13 3.8v4c0 3-2.1 5.2-5 6.3-2.9-1.1-5-3.3-5-6.3v-4zM5.8 7.9l1.6 1.6 2.9-3.1",
    "deployment": "M2.5 2.8h11v4h-11zM2.5 9.2h11v4h-11zM5 4.8h.01M5 11.2h.01",
    "account": "M8 8.2a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM2.8 13.8c.6-2.4 2.7-3.6 5.2-3.6s4.6 1.2 5.2 3.6",
    "admin": "M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6M10 3v3M6 10v3",
    "menu": "M2.5 4h11M2.5 8h11M2.5 12h11",
    "close": "M3.5 3.5l9 9M12.5 3.5l-9 9",
    "theme": "M8 2.2a5.8 5.8 0 1 0 0 11.6zM8 2.2a5.8 5.8 0 0 1 0 11.6",
    "plus": "M8 3v10M3 8h10",
    "copy": "M5.5 5.5h8v8h-8zM10.5 5.2V2.5h-8v8h2.7",
    "check": "M3 8.6l3.2 3.2L13 4.8",
    "warning": "M8 2.2l6.2 11.3H1.8zM8 6.5v3.3M8 11.7h.01",
    "arrow": "M3 8h10M9 4l4 4-4 4",
    "empty": "M2.5 9.5 4.4 3h7.2l1.9 6.5v3.8h-11zM2.5 9.5h3.2l.9 1.6h2.8l.9-1.6h3.2",
    "logout": "M6.5 2.5h-4v11h4M10 5l3 3-3 3M13 8H6",
    "external": "M9.5 2.5h4v4M13.5 2.5l-6 6M6.5 3.5h-4v10h10v-4",
    "stop": "M4 4h8v8H4z",
    "refresh": "M13.2 6.5A5.5 5.5 0 1 0 13.5 9M13.5 2.8v3.9H9.6",
}  # fmt: skip


def render_icon(name: str) -> SafeString:
    """Return the icon as inline SVG; it is decoration, so readers of the screen skip it.

    Raises:
        KeyError: there is no such icon.
    """
    path = mark_safe(_PATHS[name])  # noqa: S308  # a constant of the table above
    return format_html(
        '<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d="{}"/></svg>', path
    )
