"""Records of finished requests."""

from typing import Any

import pytest

from engine.domain.slo import Slo
from engine.gateway.protocol import Outcome, RequestRecord
from engine.gateway.sse import Usage
from engine.gateway.track import Track, track_to_record
from tests.support.gateways import define_deployment


def record(slo: Slo | None = None, **fields: Any) -> RequestRecord:
    track = Track(deployment=define_deployment(slo=slo or Slo()), arrived_at=100.0, **fields)
    return track_to_record(track, seq=1, finished_at=1000.0)


def streamed(slo: Slo | None = None, **fields: Any) -> RequestRecord:
    usage = Usage(prompt_tokens=7, output_tokens=11)
    return record(slo, **({"first_token_at": 100.5, "latest_token_at": 101.5, "usage": usage} | fields))


class TestTrackToRecord:
    def test_measures_by_the_houses_definitions(self) -> None:
        found = streamed()
        assert (found.ttft_s, found.tpot_s, found.e2e_s) == (0.5, 0.1, 1.5)
        assert (found.prompt_tokens, found.output_tokens, found.finished_at) == (7, 11, 1000.0)

    def test_has_no_tpot_for_one_token(self) -> None:
        assert streamed(usage=Usage(prompt_tokens=7, output_tokens=1)).tpot_s is None

    def test_takes_tpot_of_one_sequence(self) -> None:
        usage = Usage(prompt_tokens=7, output_tokens=44)
        found = streamed(num_sequences=4, usage=usage)
        assert (found.tpot_s, found.output_tokens) == (0.1, 44)

    def test_counts_pieces_when_the_shard_does_not_say(self) -> None:
        assert streamed(usage=None, num_pieces=3).output_tokens == 3

    def test_sees_no_first_token_in_an_answer_in_one_piece(self) -> None:
        found = streamed(first_token_at=None)
        assert (found.ttft_s, found.tpot_s, found.e2e_s) == (None, None, 1.5)

    @pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED, Outcome.REJECTED])
    def test_has_no_end_to_end_time_unless_it_went_well(self, outcome: Outcome) -> None:
        found = streamed(outcome=outcome)
        assert (found.ttft_s, found.tpot_s, found.e2e_s, found.is_within_slo) == (0.5, None, None, False)

    @pytest.mark.parametrize(
        ("slo", "is_within"),
        [
            (Slo(ttft_s=0.5, tpot_s=0.11, e2e_s=1.5), True),
            (Slo(ttft_s=0.49), False),
            (Slo(tpot_s=0.09), False),
            (Slo(e2e_s=1.4), False),
        ],
    )
    def test_judges_every_bound(self, slo: Slo, is_within: bool) -> None:
        assert streamed(slo).is_within_slo is is_within

    @pytest.mark.parametrize(("slo", "is_within"), [(Slo(ttft_s=0.1, e2e_s=1.5), True), (Slo(e2e_s=1.4), False)])
    def test_judges_an_answer_in_one_piece_by_its_end(self, slo: Slo, is_within: bool) -> None:
        assert streamed(slo, first_token_at=None).is_within_slo is is_within


class TestNotePieces:
    def test_keeps_the_first_and_the_latest_instant(self) -> None:
        track = Track(deployment=define_deployment(), arrived_at=0.0)
        for num_pieces, at in ((0, 1.0), (1, 2.0), (1, 3.0), (4, 5.0), (4, 9.0)):
            track.note_pieces(num_pieces, at=at)
        assert (track.first_token_at, track.latest_token_at, track.num_pieces) == (2.0, 5.0, 4)
