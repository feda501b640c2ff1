"""Filters and tags of the pages: figures, states, icons, addresses."""

from collections.abc import Mapping
from datetime import datetime

from django import template
from django.http import QueryDict
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from webapp.dashboard import figures, icons, tones

register = template.Library()

register.filter("usd", figures.format_usd)
register.filter("figure", figures.format_figure)
register.filter("latency", figures.format_latency)
register.filter("percent", figures.format_percent)
register.filter("label", tones.get_label)
register.simple_tag(icons.render_icon, name="icon")


@register.filter
def age(age_s: float) -> str:
    """Return a time span in its largest unit."""
    return figures.format_age(age_s)


@register.filter
def since(instant: datetime | None) -> SafeString | str:
    """Return how long ago an instant was, with the instant itself on demand."""
    if instant is None:
        return figures.NOTHING
    text = figures.format_since(instant, now=timezone.now())
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>', instant.isoformat(), f"{instant:%Y-%m-%d %H:%M:%S}", text
    )


@register.filter
def instant(value: datetime | None) -> SafeString | str:
    """Return an instant in UTC."""
    if value is None:
        return figures.NOTHING
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), f"{value:%Y-%m-%d %H:%M:%S}")


@register.filter
def badge(state: str) -> SafeString:
    """Return a state as a badge in its tone."""
    text = getattr(state, "label", None) or tones.get_label(str(state))
    return format_html('<span class="badge" data-tone="{}">{}</span>', tones.get_tone(str(state)), text)


@register.filter
def get(mapping: Mapping[str, object], key: str) -> object:
    """Return the entry of a mapping whose key is in a variable."""
    return mapping.get(key)


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: object) -> str:
    """Return the query of this page's address with some parameters changed; None takes one out."""
    params: QueryDict = context["request"].GET.copy()
    for name, value in changes.items():
        if value is None:
            params.pop(name, None)
        else:
            params[name] = str(value)
    return f"?{params.urlencode()}"


register.filter("tone", tones.get_tone)
