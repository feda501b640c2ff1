"""Finished requests to test the collector with."""

from dataclasses import replace
from typing import Final

from engine.gateway.protocol import Outcome
from tests.support.telemetry import at
from workers.collecting.requests import FinishedRequest

_BASE: Final = FinishedRequest(
    seq=1,
    deployment="demo",
    finished_at=at(0),
    outcome=Outcome.OK,
    ttft_s=0.1,
    tpot_s=0.01,
    e2e_s=0.5,
    prompt_tokens=100,
    output_tokens=20,
    is_within_slo=True,
)


def define_request(seq: int, finished_s: float, **changes: object) -> FinishedRequest:
    """Return a request that finished `finished_s` seconds after the start of all tests."""
    request = replace(_BASE, seq=seq, finished_at=at(finished_s))
    return replace(request, **changes)  # type: ignore[arg-type]  # tests name fields of the request
