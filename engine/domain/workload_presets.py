"""Workloads to start from: nine request classes in three mixes, and a small one for the local demo.

Source: specification of the rental planner, section 10: the mixes are its traces 1 to 3.
"""

from dataclasses import dataclass
from typing import Final

from engine.domain.workload import ArrivalProcess, RequestClass, Workload
from engine.errors import InvalidInputError

_PROMPT_TOKENS: Final = (496, 824, 2455)
_OUTPUT_TOKENS: Final = (18, 253, 510)
# Percent of requests per class, prompts outermost.
_CHAT_PERCENT: Final = (33, 7, 8, 7, 27, 6, 6, 3, 3)
_SUMMARISE_PERCENT: Final = (22, 5, 5, 21, 5, 5, 19, 6, 12)
_CODE_PERCENT: Final = (4, 14, 3, 20, 27, 1, 25, 0, 6)
# Short enough for a small model on one CPU slot (we choose).
_DEMO_PROMPT_TOKENS: Final = (32, 128, 256)
_DEMO_OUTPUT_TOKENS: Final = (16, 64)
_DEMO_PERCENT: Final = (20, 20, 20, 20, 10, 10)


class UnknownWorkloadPresetError(InvalidInputError):
    """There is no preset of this id."""

    code = "unknown_workload_preset"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadPreset:
    """A named mix of request classes.

    Attributes:
        id: stable word, e.g. `chat`; name: what people read.
        requests_per_s: rate suggested to begin with [requests/s].
    """

    id: str
    name: str
    classes: tuple[RequestClass, ...]
    requests_per_s: float


def define_class_name(prompt_tokens: int, output_tokens: int) -> str:
    """Return the id of a representative request, e.g. `p824-o253`."""
    return f"p{prompt_tokens}-o{output_tokens}"


def _define_classes(
    prompts: tuple[int, ...], outputs: tuple[int, ...], percent: tuple[int, ...]
) -> tuple[RequestClass, ...]:
    sizes = [(prompt_tokens, output_tokens) for prompt_tokens in prompts for output_tokens in outputs]
    return tuple(
        RequestClass(
            id=define_class_name(prompt_tokens, output_tokens),
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            share=part / 100,
        )
        for (prompt_tokens, output_tokens), part in zip(sizes, percent, strict=True)
    )


def _define_mix(preset_id: str, name: str, percent: tuple[int, ...]) -> WorkloadPreset:
    classes = _define_classes(_PROMPT_TOKENS, _OUTPUT_TOKENS, percent)
    return WorkloadPreset(id=preset_id, name=name, classes=classes, requests_per_s=5.0)


_PRESETS: Final = (
    _define_mix("chat", "Chat", _CHAT_PERCENT),
    _define_mix("summarise", "Summarise", _SUMMARISE_PERCENT),
    _define_mix("code", "Code", _CODE_PERCENT),
    WorkloadPreset(
        id="demo",
        name="Demo: short requests for the local model",
        classes=_define_classes(_DEMO_PROMPT_TOKENS, _DEMO_OUTPUT_TOKENS, _DEMO_PERCENT),
        requests_per_s=2.0,
    ),
)


def list_workload_presets() -> tuple[WorkloadPreset, ...]:
    """Return all presets."""
    return _PRESETS


def get_workload_preset(preset_id: str) -> WorkloadPreset:
    """Return one preset.

    Raises:
        UnknownWorkloadPresetError: there is none of this id.
    """
    for preset in _PRESETS:
        if preset.id == preset_id:
            return preset
    known = ", ".join(preset.id for preset in _PRESETS)
    raise UnknownWorkloadPresetError(
        f"there is no workload preset {preset_id!r}", field="workload", remedy=f"give one of {known}"
    )


def preset_to_workload(preset: WorkloadPreset, *, model_id: str, requests_per_s: float | None = None) -> Workload:
    """Return the preset as the workload of a model, at its own rate unless another is given [requests/s]."""
    return Workload(
        name=preset.id,
        model_id=model_id,
        classes=preset.classes,
        requests_per_s=preset.requests_per_s if requests_per_s is None else requests_per_s,
        arrival=ArrivalProcess.POISSON,
        source=preset.id,
    )
