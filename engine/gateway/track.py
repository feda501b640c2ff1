"""What is known of one request while it passes, and the record it becomes."""

from dataclasses import dataclass, replace

from engine.domain import slo
from engine.gateway.protocol import Outcome, RequestRecord
from engine.gateway.sse import Usage
from engine.routing.table import DeploymentRoutes


@dataclass(slots=True, kw_only=True)
class Track:
    """One request inside the gateway; instants are monotonic [s].

    Attributes:
        num_sequences: outputs that come at the same time: TPOT is of one of them.
        first_token_at: None for answers in one piece.
        latest_token_at: arrival of the latest output from the shard.
        num_pieces: pieces of output that went by.
        outcome: how it ends unless an exception says otherwise.
    """

    deployment: DeploymentRoutes
    arrived_at: float
    class_id: str = ""
    shard_id: str = ""
    num_sequences: int = 1
    first_token_at: float | None = None
    latest_token_at: float | None = None
    usage: Usage | None = None
    num_pieces: int = 0
    outcome: Outcome = Outcome.OK

    def note_pieces(self, num_pieces: int, *, at: float) -> None:
        """Note how many pieces of output a stream has had by now."""
        if num_pieces == self.num_pieces:
            return
        self.num_pieces = num_pieces
        self.latest_token_at = at
        if self.first_token_at is None:
            self.first_token_at = at

    def forget_attempt(self) -> None:
        """Drop what a failed attempt left: the caller saw nothing of it."""
        self.first_token_at = self.latest_token_at = self.usage = None
        self.num_pieces = 0


def track_to_record(track: Track, *, seq: int, finished_at: float) -> RequestRecord:
    """Return the record of a finished request."""
    output_tokens = track.num_pieces if track.usage is None else track.usage.output_tokens
    ttft_s = None if track.first_token_at is None else track.first_token_at - track.arrived_at
    e2e_s = _compute_e2e_s(track)
    tpot_s = None
    if ttft_s is not None and e2e_s is not None:
        per_sequence = round(output_tokens / track.num_sequences)
        tpot_s = slo.compute_tpot_s(ttft_s=ttft_s, e2e_s=e2e_s, output_tokens=per_sequence)
    return RequestRecord(
        seq=seq,
        deployment=track.deployment.name,
        shard_id=track.shard_id,
        class_id=track.class_id,
        finished_at=finished_at,
        outcome=track.outcome,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        e2e_s=e2e_s,
        prompt_tokens=0 if track.usage is None else track.usage.prompt_tokens,
        output_tokens=output_tokens,
        is_within_slo=e2e_s is not None and _is_within_slo(track, ttft_s=ttft_s, tpot_s=tpot_s, e2e_s=e2e_s),
    )


def _compute_e2e_s(track: Track) -> float | None:
    if track.outcome is not Outcome.OK or track.latest_token_at is None:
        return None
    return track.latest_token_at - track.arrived_at


def _is_within_slo(track: Track, *, ttft_s: float | None, tpot_s: float | None, e2e_s: float) -> bool:
    """Judge by the bounds that can be measured: nobody sees the first token of an answer in one piece."""
    if ttft_s is None:
        return slo.is_met(replace(track.deployment.slo, ttft_s=None), ttft_s=e2e_s, tpot_s=tpot_s, e2e_s=e2e_s)
    return slo.is_met(track.deployment.slo, ttft_s=ttft_s, tpot_s=tpot_s, e2e_s=e2e_s)
