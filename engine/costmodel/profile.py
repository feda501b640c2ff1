"""Measured profiles: coefficients fitted to real steps of one (accelerator, engine, dtype), one JSON file each.

Order of trust: the accelerator's own profile; else that of its generation, moved by the data sheets; else the prior.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from engine.costmodel.coefficients import Coefficients, fit_to_link, get_prior
from engine.domain.codec import json_to_value
from engine.domain.hardware import GpuSpec
from engine.domain.model_spec import ModelSpec, WeightFormat

PRIOR: Final = "prior"
_SMALLEST_BAND: Final = 0.05
_UNMEASURED_BAND: Final = 0.25  # TPOT where no row of the accelerator and dtype was measured; we choose
_SHOWN_RATIO: Final = 0.98  # memory the driver shows over the vendor's figure where not measured; we choose
_FOLDER: Final = "profiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """How far the coefficients stay from the rows of one group: abs(predicted / measured - 1)."""

    rows: str
    num_rows: int
    median: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A fit with its provenance.

    Attributes:
        shown_memory_bytes: memory the driver shows; None when not measured.
        error_band: relative half-width (90 %) for models like the measured ones.
        rows: what was measured, in words; measured_at, checked_at: ISO dates.
    """

    id: str
    gpu_name: str
    generation: str
    engine: str
    attention_backend: str
    weight_format: WeightFormat
    source: str
    measured_at: str
    checked_at: str
    rows: str
    residuals: tuple[Residual, ...]
    notes: tuple[str, ...]
    shown_memory_bytes: float | None
    error_band: float
    coefficients: Coefficients


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What is known of a model on an accelerator: coefficients, where from, and how far they may be off."""

    coefficients: Coefficients
    source: str
    error_band: float


@cache
def read_profiles() -> Mapping[str, Profile]:
    """Return the shipped profiles by accelerator."""
    folder = files("engine.costmodel").joinpath(_FOLDER)
    texts = [entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.name.endswith(".json")]
    profiles = [json_to_value(Profile, json.loads(text)) for text in texts]
    return {profile.gpu_name: profile for profile in sorted(profiles, key=lambda profile: profile.id)}


def find_knowledge(gpu: GpuSpec, model: ModelSpec) -> Knowledge:
    """Return the most trusted coefficients for a model on an accelerator."""
    own = read_profiles().get(gpu.name)
    if own is not None:
        band = own.error_band if _is_like_measured(own, model) else _UNMEASURED_BAND
        return Knowledge(coefficients=own.coefficients, source=own.id, error_band=max(_SMALLEST_BAND, band))
    for profile in read_profiles().values():
        if profile.generation == gpu.generation:
            coefficients = fit_to_link(profile.coefficients, gpu)
            return Knowledge(coefficients=coefficients, source=profile.id, error_band=_UNMEASURED_BAND)
    return Knowledge(coefficients=get_prior(gpu), source=PRIOR, error_band=_UNMEASURED_BAND)


def _is_like_measured(profile: Profile, model: ModelSpec) -> bool:
    """Tell whether the profile's rows speak for the model: dense, ordinary attention, the same dtype."""
    return model.moe is None and model.mla is None and model.weight_format is profile.weight_format


def get_memory_bytes(gpu: GpuSpec) -> float:
    """Return the memory that one accelerator shows to the engine [bytes]."""
    own = read_profiles().get(gpu.name)
    if own is not None and own.shown_memory_bytes is not None:
        return own.shown_memory_bytes
    return _SHOWN_RATIO * gpu.memory_bytes
