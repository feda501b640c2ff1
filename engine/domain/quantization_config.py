"""How a model's weights are stored, from the `quantization_config` of its `config.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.domain.config_reader import ConfigReader, InvalidModelConfigError, refuse_config
from engine.domain.model_spec import WeightFormat

_FIELD: Final = "quantization_config"
_DEFAULT_GROUP_SIZE: Final = 128
_IGNORE_KEYS: Final = ("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules")
_ATTENTION: Final = "attn"  # what every family calls its attention module
_COMPRESSED_FORMATS: Final = {
    "8-bit float": WeightFormat.FP8,
    "4-bit int": WeightFormat.INT4,
    "4-bit float": WeightFormat.NVFP4,
}
_MODELOPT_FORMATS: Final = {"FP8": WeightFormat.FP8, "NVFP4": WeightFormat.NVFP4}
_REMEDY: Final = "give a model in 16 bit, fp8, mxfp4, nvfp4, or 4-bit awq, gptq or compressed-tensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """Weight format, weights per scale, and whether attention and shared experts stay 16 bit."""

    weight_format: WeightFormat = WeightFormat.BF16
    group_size: int = _DEFAULT_GROUP_SIZE
    has_quantized_experts_only: bool = False


def parse_quantization(config: Mapping[str, object]) -> Quantization:
    """Return how the weights of a model are stored; 16 bit when its config does not say.

    Raises:
        InvalidModelConfigError: the method, or its number of bits, is not known.
    """
    section = config.get(_FIELD)
    if section is None:
        return Quantization()
    if not isinstance(section, Mapping):
        raise refuse_config(_FIELD, f"is {section!r}, not an object")
    weight_format, group_size = _parse_format(section)
    return Quantization(
        weight_format=weight_format,
        group_size=group_size,
        has_quantized_experts_only=weight_format is WeightFormat.MXFP4 or _leaves_attention(section),
    )


def _parse_format(section: Mapping[str, object]) -> tuple[WeightFormat, int]:
    method = section.get("quant_method")
    if method == "fp8":
        return WeightFormat.FP8, _DEFAULT_GROUP_SIZE
    if method == "mxfp4":
        return WeightFormat.MXFP4, _DEFAULT_GROUP_SIZE
    if method in ("awq", "gptq"):
        return _parse_int4(section)
    if method == "compressed-tensors":
        return _parse_compressed(section)
    if method == "modelopt":
        weight_format = _MODELOPT_FORMATS.get(str(section.get("quant_algo")))
        if weight_format is None:
            raise _refuse("quant_algo", section.get("quant_algo"))
        return weight_format, _DEFAULT_GROUP_SIZE
    raise _refuse("quant_method", method)


def _refuse(key: str, value: object) -> InvalidModelConfigError:
    problem = "is missing" if value is None else f"is {value!r}, which cannot be planned"
    return refuse_config(f"{_FIELD}.{key}", problem, _REMEDY)


def _parse_int4(section: Mapping[str, object]) -> tuple[WeightFormat, int]:
    bits = section.get("bits")
    if bits != 4:
        raise _refuse("bits", bits)
    return WeightFormat.INT4, _get_group_size(section)


def _get_group_size(section: Mapping[str, object]) -> int:
    """Return weights per scale; -1 says one scale a channel, which is at least as many."""
    group_size = ConfigReader(section).find_int("group_size", smallest=-1) or 0
    return group_size if group_size > 0 else _DEFAULT_GROUP_SIZE


def _parse_compressed(section: Mapping[str, object]) -> tuple[WeightFormat, int]:
    """Read the weights of the first group: published models quantise with one scheme."""
    groups = section.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    if not isinstance(weights, Mapping):
        raise _refuse("config_groups", None)
    scheme = f"{weights.get('num_bits')}-bit {weights.get('type')}"
    weight_format = _COMPRESSED_FORMATS.get(scheme)
    if weight_format is None:
        raise _refuse("config_groups", scheme)
    return weight_format, _get_group_size(weights)


def _leaves_attention(section: Mapping[str, object]) -> bool:
    """Tell whether the modules left in 16 bit are attention, so that only the experts are quantised."""
    reader = ConfigReader(section)
    return any(_ATTENTION in str(module) for key in _IGNORE_KEYS for module in reader.get_list(key))
