"""The ring of finished requests."""

import orjson
import pytest

from engine.gateway import stats
from engine.gateway.protocol import GatewayStats, Outcome, RequestRecord
from engine.gateway.stats import StatsRing


def define_record(seq: int) -> RequestRecord:
    return RequestRecord(
        seq=seq,
        deployment="chat",
        shard_id="a",
        class_id="c",
        finished_at=1.5,
        outcome=Outcome.OK,
        ttft_s=0.1,
        tpot_s=None,
        e2e_s=0.5,
        prompt_tokens=3,
        output_tokens=1,
        is_within_slo=True,
    )


def fill(count: int, *, size: int) -> StatsRing:
    ring = StatsRing(instance="i", size=size)
    for seq in range(1, count + 1):
        ring.add(define_record(seq))
    return ring


def list_seqs(found: GatewayStats) -> list[int]:
    return [record.seq for record in found.records]


class TestStatsRing:
    def test_is_empty_at_first(self) -> None:
        found = fill(0, size=4).list_since(1, in_flight={"chat": 2})
        assert (found.next_seq, found.num_lost, found.records, found.in_flight) == (1, 0, [], {"chat": 2})

    @pytest.mark.parametrize(
        ("since", "seqs", "num_lost"),
        [(0, [1, 2, 3], 0), (1, [1, 2, 3], 0), (3, [3], 0), (4, [], 0), (99, [], 0)],
    )
    def test_lists_from_a_position(self, since: int, seqs: list[int], num_lost: int) -> None:
        found = fill(3, size=4).list_since(since, in_flight={})
        assert (list_seqs(found), found.num_lost, found.next_seq) == (seqs, num_lost, 4)

    @pytest.mark.parametrize(
        ("since", "seqs", "num_lost"),
        [(1, [7, 8, 9, 10], 6), (5, [7, 8, 9, 10], 2), (7, [7, 8, 9, 10], 0), (9, [9, 10], 0)],
    )
    def test_tells_how_many_it_no_longer_holds(self, since: int, seqs: list[int], num_lost: int) -> None:
        found = fill(10, size=4).list_since(since, in_flight={})
        assert (list_seqs(found), found.num_lost, found.next_seq) == (seqs, num_lost, 11)

    def test_gives_long_lists_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stats, "MAX_RECORDS_PER_ANSWER", 3)
        ring = fill(8, size=100)
        seqs, since = [], 1
        while found := ring.list_since(since, in_flight={}).records:
            seqs.append([record.seq for record in found])
            since = found[-1].seq + 1
        assert seqs == [[1, 2, 3], [4, 5, 6], [7, 8]]
        assert ring.list_since(1, in_flight={}).next_seq == 4

    def test_takes_records_in_their_order_only(self) -> None:
        with pytest.raises(ValueError, match="record 3 does not follow 1"):
            fill(1, size=4).add(define_record(3))


class TestGatewayStats:
    def test_reads_what_the_gateway_writes(self) -> None:
        found = fill(2, size=4).list_since(1, in_flight={"chat": 1})
        fields = {name: getattr(found, name) for name in GatewayStats.model_fields}
        assert GatewayStats.model_validate_json(orjson.dumps(fields)) == found

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"seq":1', '"seq":0'),
            ('"seq":1', '"seq":"1"'),
            ('"ok"', '"fine"'),
            ('"a"', '"a","more":1'),
            ("1.5", "-1.0"),
        ],
    )
    def test_refuses_what_breaks_the_contract(self, old: str, new: str) -> None:
        text = fill(1, size=4).list_since(1, in_flight={}).model_dump_json()
        assert old in text
        with pytest.raises(ValueError, match="validation error"):
            GatewayStats.model_validate_json(text.replace(old, new))
