"""The latest finished requests, kept in a ring for whoever asks."""

from collections.abc import Mapping
from typing import Final

from engine.gateway.protocol import MAX_RECORDS_PER_ANSWER, GatewayStats, RequestRecord

RING_SIZE: Final = 100_000  # records; at 1,000 requests/s the collector may be away for 100 s


class StatsRing:
    """Records by sequence number; the oldest make room for new ones."""

    def __init__(self, *, instance: str, size: int = RING_SIZE) -> None:
        self.instance: Final = instance
        self.next_seq = 1
        self._size: Final = size
        self._records: list[RequestRecord] = []

    def add(self, record: RequestRecord) -> None:
        """Keep a record; its `seq` is `next_seq`."""
        if record.seq != self.next_seq:
            raise ValueError(f"record {record.seq} does not follow {self.next_seq - 1}")
        if len(self._records) < self._size:
            self._records.append(record)
        else:
            self._records[(record.seq - 1) % self._size] = record
        self.next_seq += 1

    def list_since(self, since: int, *, in_flight: Mapping[str, int]) -> GatewayStats:
        """Return the records from `since` on, as many as fit an answer."""
        oldest = self.next_seq - len(self._records)
        start = min(max(since, oldest), self.next_seq)
        end = min(start + MAX_RECORDS_PER_ANSWER, self.next_seq)
        return GatewayStats.model_construct(  # what is ours needs no validation
            instance=self.instance,
            next_seq=end,
            in_flight=dict(in_flight),
            num_lost=max(0, oldest - max(since, 1)),
            records=[self._records[(seq - 1) % self._size] for seq in range(start, end)],
        )
