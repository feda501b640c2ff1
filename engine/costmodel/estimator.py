"""The cost model's one interface: memory fit, prefill and decode time of a replica, with source and error band.

A pipeline's step takes the sum of its stages and of the hops between them; o_step comes once per batch. Up to
PP batches are in flight. With m <= PP batches the steady decode cycle is

    cycle = max( latency of one batch, sum over batches of its slowest stage )

and chunks of a prompt follow each other: start(k, j) = max( end(k, j - 1) + hop, end(k - 1, j) ).
Source: cost model specification, section 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.costmodel.memory import compute_kv_tokens
from engine.costmodel.profile import find_knowledge, get_memory_bytes
from engine.costmodel.shape import ReplicaShape, StageShape, split_model
from engine.costmodel.step import StageTerms, StepLoad, define_stage_terms, estimate_stage_s
from engine.errors import InvalidInputError

__all__ = ["InvalidShapeError", "ReplicaEstimator", "ReplicaShape", "StageShape", "build_estimator"]


class InvalidShapeError(InvalidInputError):
    """A replica's shape does not belong to its model, or a load is not one."""

    code = "invalid_shape"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaEstimator:
    """Estimates for one replica; all that depends only on its shape is computed once.

    Attributes:
        kv_tokens: KV cache capacity [tokens]; 0 when the weights do not fit.
        source: profile id, or `prior`; several, joined by `+`, where stages differ.
        error_band: relative half-width of the times (90 %).
    """

    shape: ReplicaShape
    stages: tuple[StageTerms, ...]
    step_s: float
    kv_tokens: int
    source: str
    error_band: float

    def estimate_prefill_s(self, prompt_tokens: int, num_prompts: int = 1) -> float:
        """Return the time from the first step until the last of the prompts has its first token [s].

        Args:
            prompt_tokens: length of every prompt [tokens], >= 1.
            num_prompts: prompts present at once, >= 1; nothing else is in service.
        """
        _check_at_least_one("prompt_tokens", prompt_tokens)
        _check_at_least_one("num_prompts", num_prompts)
        ends = [0.0] * len(self.stages)
        for load in self._list_chunks(prompt_tokens, num_prompts):
            arrival_s = 0.0
            for index, (terms, stage_s) in enumerate(zip(self.stages, self._estimate_stages(load), strict=True)):
                ends[index] = max(arrival_s, ends[index]) + stage_s
                arrival_s = ends[index] + terms.hop_s + terms.hop_token_s * load.tokens
        return ends[-1]

    def estimate_decode_step_s(self, batch: int, context_tokens: float) -> float:
        """Return the time in which all sequences of a batch advance one token [s].

        Args:
            batch: decoding sequences, >= 1.
            context_tokens: context of every sequence, the new token included [tokens].
        """
        _check_at_least_one("batch", batch)
        num_batches = min(batch, len(self.stages))
        smaller, larger = divmod(batch, num_batches)
        if larger == 0:
            return self._estimate_cycle_s(smaller, num_batches, smaller, 0, context_tokens)
        return self._estimate_cycle_s(smaller, num_batches - larger, smaller + 1, larger, context_tokens)

    def _estimate_cycle_s(self, first: int, num_first: int, second: int, num_second: int, context: float) -> float:
        """Return the decode cycle of `num_first` batches of `first` sequences and `num_second` of `second`."""
        load = self._define_decode(second, context)
        stages_s = self._estimate_stages(load)
        if len(stages_s) == 1:
            return stages_s[0]
        slowest_s = num_second * max(stages_s)
        slowest_s += num_first * max(self._estimate_stages(self._define_decode(first, context)))
        hops_s = sum(terms.hop_s + terms.hop_token_s * load.tokens for terms in self.stages[:-1])
        return max(sum(stages_s) + hops_s, slowest_s)

    def _estimate_stages(self, load: StepLoad) -> list[float]:
        """Return the time of every stage; the first one carries what comes once per batch [s]."""
        stages_s = [estimate_stage_s(terms, load) for terms in self.stages]
        stages_s[0] += self.step_s
        return stages_s

    def _define_decode(self, batch: int, context_tokens: float) -> StepLoad:
        window = self.shape.model.sliding_window
        return StepLoad(
            tokens=batch,
            requests=batch,
            decodes=batch,
            context_tokens=batch * context_tokens,
            window_tokens=batch * min(context_tokens, window),
        )

    def _list_chunks(self, prompt_tokens: int, num_prompts: int) -> Iterator[StepLoad]:
        """Yield the steps of the prompts, each filled in order up to the budget of tokens."""
        budget = self.shape.max_num_batched_tokens
        window = self.shape.model.sliding_window
        total = prompt_tokens * num_prompts
        for start in range(0, total, budget):
            end = min(start + budget, total)
            chunks = _cut_chunks(prompt_tokens, start, end)
            yield StepLoad(
                tokens=end - start,
                requests=len(chunks),
                pairs=sum(new * (done + new / 2) for done, new in chunks),
                window_pairs=sum(_count_window_pairs(done, new, window) for done, new in chunks),
            )


def _cut_chunks(prompt_tokens: int, start: int, end: int) -> list[tuple[int, int]]:
    """Return (tokens done, tokens new) per prompt for the tokens start..end of equal prompts laid end to end."""
    chunks = []
    while start < end:
        done = start % prompt_tokens
        new = min(prompt_tokens - done, end - start)
        chunks.append((done, new))
        start += new
    return chunks


def _count_window_pairs(done: int, new: int, window: int) -> float:
    """Return the pairs of a prefill chunk whose tokens look back over the window only."""
    growing = min(max(0, window - done), new)
    return growing * (done + growing / 2) + (new - growing) * window


def _check_at_least_one(field: str, value: int) -> None:
    if value < 1:
        raise InvalidShapeError(f"{field}: {value} is below 1", field=field, remedy="give 1 or more")


def build_estimator(shape: ReplicaShape) -> ReplicaEstimator:
    """Return the estimator of a replica.

    Raises:
        InvalidShapeError: the stages' layers do not sum to the model's.
    """
    layers_per_stage = tuple(stage.num_layers for stage in shape.stages)
    if sum(layers_per_stage) != shape.model.num_layers or min(layers_per_stage, default=0) < 1:
        raise InvalidShapeError(
            f"stages: {layers_per_stage} layers are not those of {shape.model.id}",
            field="stages",
            remedy=f"give every stage a layer or more, {shape.model.num_layers} in all",
        )
    known = [find_knowledge(stage.gpu, shape.model) for stage in shape.stages]
    stages = zip(shape.stages, split_model(shape.model, layers_per_stage), known, strict=True)
    return ReplicaEstimator(
        shape=shape,
        stages=tuple(
            define_stage_terms(shape.model, stage, layers, item.coefficients, max_num_seqs=shape.max_num_seqs)
            for stage, layers, item in stages
        ),
        step_s=known[0].coefficients.step_s,
        kv_tokens=compute_kv_tokens(shape, memory_bytes=tuple(get_memory_bytes(stage.gpu) for stage in shape.stages)),
        source="+".join(dict.fromkeys(item.source for item in known)),
        error_band=max(item.error_band for item in known),
    )
