"""Counting requests in and out."""

import asyncio

import pytest

from engine.gateway.errors import InvalidBodyError, ShardsFailedError
from engine.gateway.metrics import GatewayMetrics
from engine.gateway.protocol import Outcome
from engine.gateway.recorder import ClientGoneError, Recorder
from engine.gateway.stats import StatsRing
from tests.support.gateways import define_deployment

CHAT = define_deployment()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(ring=StatsRing(instance="i"), metrics=GatewayMetrics(), wall_clock=lambda: 1000.0)


class TestFollow:
    def test_counts_in_and_out(self, recorder: Recorder) -> None:
        with recorder.follow(CHAT, arrived_at=0.0), recorder.follow(CHAT, arrived_at=0.0):
            assert recorder.read_stats(1).in_flight == {"chat": 2}
        stats = recorder.read_stats(1)
        assert stats.in_flight == {}
        assert [(record.seq, record.outcome) for record in stats.records] == [(1, Outcome.OK), (2, Outcome.OK)]

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [
            (asyncio.CancelledError(), Outcome.CANCELLED),
            (ClientGoneError("gone"), Outcome.CANCELLED),
            (InvalidBodyError("no"), Outcome.REJECTED),
            (ShardsFailedError("all"), Outcome.FAILED),
            (RuntimeError("defect"), Outcome.FAILED),
            (KeyboardInterrupt(), Outcome.FAILED),
        ],
    )
    def test_counts_out_however_it_ends(self, recorder: Recorder, error: BaseException, outcome: Outcome) -> None:
        with pytest.raises(type(error)), recorder.follow(CHAT, arrived_at=0.0):
            raise error
        stats = recorder.read_stats(1)
        assert (stats.in_flight, [record.outcome for record in stats.records]) == ({}, [outcome])

    def test_keeps_the_outcome_that_was_noted(self, recorder: Recorder) -> None:
        with recorder.follow(CHAT, arrived_at=0.0) as track:
            track.outcome = Outcome.FAILED
        assert recorder.read_stats(1).records[0].outcome is Outcome.FAILED
