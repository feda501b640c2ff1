"""The answer of `medley solve` as text for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_LABELS = {
    "status": "status",
    "objective": "objective",
    "rate_sets_per_s": "request sets/s",
    "makespan_s": "makespan [s]",
    "usd_per_hour": "cost [USD/h]",
    "best_bound": "best bound",
    "mip_gap": "MIP gap",
    "runtime_s": "runtime [s]",
}


def answer_to_text(answer: Mapping[str, Any]) -> str:
    """Return an answer that was solved as aligned tables: summary, copies, binding rows, reasons."""
    parts = [_align([(label, _format(answer[key])) for key, label in _LABELS.items() if answer[key] is not None])]
    if answer["copies"]:
        parts.append(_align([("configuration", "copies", "USD/h", "share of each class"), *_list_copies(answer)]))
    if answer["binding"]:
        parts.append(_align([("binding row", "slack", "shadow price", "step", "gain"), *_list_binding(answer)]))
    if answer["reasons"]:
        parts.append("\n".join(f"- {reason['text']}" for reason in answer["reasons"]))
    return "\n\n".join(parts)


def _list_copies(answer: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    cost = answer["spend"]["by_configuration"]
    for copy_id, count in answer["copies"].items():
        shares = answer["x"].get(copy_id, {})
        served = ", ".join(f"{class_id} {100 * share:.1f} %" for class_id, share in shares.items())
        yield copy_id, str(count), f"{cost[copy_id]:.2f}", served


def _list_binding(answer: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for row in answer["binding"]:
        price = f"{row['shadow_price']:.6g} {row['unit']}"
        yield row["row"], _format(row["slack"]), price, _format(row["step"]), _format(row["gain"])


def _format(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _align(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as columns of equal width."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
