"""The trace that background traffic replays, fitted to a deployment. Pure but for reading its own file."""

import csv
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from webapp.telemetry.background import TrafficTarget

_TEMPLATE_TOKENS: Final = 16  # room for what a chat template adds to a prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    """One request of the trace; `arrival` in units of the mean gap."""

    arrival: float
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request to send.

    Attributes:
        due_s: when, after the start of the replay [s].
        prompt_tokens: length of the prompt [tokens].
        output_tokens: tokens to ask for.
    """

    due_s: float
    prompt_tokens: int
    output_tokens: int


@functools.cache
def read_trace() -> tuple[TraceRow, ...]:
    """Return the rows of `workers/data/conversation_trace.csv` in order of arrival."""
    text = files("workers").joinpath("data", "conversation_trace.csv").read_text(encoding="utf-8")
    return tuple(
        TraceRow(
            arrival=float(row["arrival"]),
            prompt_tokens=int(row["prompt_tokens"]),
            output_tokens=int(row["output_tokens"]),
        )
        for row in csv.DictReader(text.splitlines())
    )


def fit_trace(trace: tuple[TraceRow, ...], target: TrafficTarget) -> Iterator[Arrival]:
    """Yield requests for ever: the trace again and again, at the target's rate, with lengths of its workload's means.

    What would not fit the model's context is cut: the output first to half of the context, then the prompt.
    """
    prompt_ratio = target.prompt_tokens * len(trace) / sum(row.prompt_tokens for row in trace)
    output_ratio = target.output_tokens * len(trace) / sum(row.output_tokens for row in trace)
    round_length = trace[-1].arrival + 1.0  # one mean gap between the last request and the first
    for number in itertools.count():
        for row in trace:
            output_tokens = min(max(1, round(row.output_tokens * output_ratio)), target.max_model_len // 2)
            longest = target.max_model_len - output_tokens - _TEMPLATE_TOKENS
            yield Arrival(
                due_s=(number * round_length + row.arrival) / target.requests_per_s,
                prompt_tokens=max(1, min(round(row.prompt_tokens * prompt_ratio), longest)),
                output_tokens=output_tokens,
            )
