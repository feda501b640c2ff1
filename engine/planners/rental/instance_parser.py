"""Reading instance files: strict, every refusal names its field.

Keys that the specification defines but this planner does not build yet are refused by name: a plan that
silently ignored them would be wrong.

Source: specification of the rental planner, section 8.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.domain.plan import Objective
from engine.errors import InvalidInputError
from engine.planners.rental.instance import DEFAULT_MODEL, InstanceClass, InstanceConfiguration, RentalInstance
from engine.planners.rental.options import SolveOptions

_TOP_KEYS: Final = frozenset(
    {"name", "objective", "budget_usd_per_hour", "availability", "classes", "configurations", "options"}
)
_CLASS_KEYS: Final = frozenset({"id", "demand", "model"})
_CONFIGURATION_KEYS: Final = frozenset(
    {
        "id",
        "usd_per_hour",
        "gpus",
        "requests_per_s",
        "model",
        "zone",
        "spot",
        "interruption_class",
        "startup_hours",
        "drain_hours",
        "running_copies",
        "max_copies",
    }
)
_OPTION_KEYS: Final = frozenset(
    {
        "mip_gap",
        "time_limit_s",
        "threads",
        "method",
        "tie_break",
        "max_load",
        "spot_mode",
        "spot_max_share",
        "replan_interval_hours",
        "churn_limit",
        "weights",
    }
)
# Defined by the file format, not built: refused unless the value changes nothing.
_NEUTRAL_CONFIGURATION: Final[Mapping[str, object]] = {"startup_hours": 0, "drain_hours": 0, "running_copies": 0}
_NEUTRAL_OPTIONS: Final[Mapping[str, object]] = {
    "method": "direct",
    "spot_mode": "cap",
    "replan_interval_hours": 1,
    "churn_limit": None,
    "weights": None,
}
_LARGEST_INTERRUPTION_CLASS: Final = 4
_LARGEST_NUMBER: Final = 1e12  # beyond, the solver's arithmetic says nothing; no price, demand or speed is near
_LARGEST_COUNT: Final = 10**9


class InvalidInstanceError(InvalidInputError):
    """The instance file cannot be solved as it stands."""

    code = "invalid_instance"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedInstance:
    """An instance with the options its file asks for."""

    instance: RentalInstance
    options: SolveOptions


def parse_instance(data: object) -> ParsedInstance:
    """Return the instance that JSON data describe.

    Raises:
        InvalidInstanceError: unknown or missing key, wrong type, negative or NaN figure, unknown or duplicate
            id, no demand, or a key that is not built yet.
    """
    fields = _read_object(data, "instance", _TOP_KEYS)
    objective = _read_objective(fields)
    availability = _read_counts(fields.get("availability"), "availability", least=0)
    classes = _read_classes(fields.get("classes"))
    instance = RentalInstance(
        name=_read_text(fields.get("name", ""), "name"),
        objective=objective,
        budget_usd_per_hour=_read_budget(fields, objective),
        availability=availability,
        classes=classes,
        configurations=_read_configurations(fields.get("configurations"), availability, classes),
    )
    return ParsedInstance(instance=instance, options=_read_options(fields.get("options", {})))


def refuse(field: str, message: str, remedy: str) -> InvalidInstanceError:
    """Return the refusal of one field."""
    return InvalidInstanceError(f"{field}: {message}", field=field, remedy=remedy)


def _read_object(data: object, field: str, keys: frozenset[str]) -> dict[str, object]:
    if not isinstance(data, dict):
        raise refuse(field, "is not an object", "give a JSON object")
    for key in data:
        if key not in keys:
            raise refuse(f"{field}.{key}", "is not a known key", f"use only {', '.join(sorted(keys))}")
    return dict(data)


def _read_list(data: object, field: str) -> list[object]:
    if not isinstance(data, list) or not data:
        raise refuse(field, "is not a list with entries", "give a list with at least one entry")
    return data


def _read_text(data: object, field: str) -> str:
    if not isinstance(data, str):
        raise refuse(field, "is not text", "give a string")
    return data


def _read_id(data: object, field: str) -> str:
    text = _read_text(data, field)
    if not text:
        raise refuse(field, "is empty", "give a name")
    return text


def _read_number(data: object, field: str, *, least: float = 0.0, most: float = _LARGEST_NUMBER) -> float:
    if isinstance(data, bool) or not isinstance(data, (int, float)):
        raise refuse(field, f"{data!r} is not a number", "give a number")
    if not least <= data <= most:  # NaN is not
        raise refuse(field, f"{data!r} is out of range", f"give a number from {least:g} to {most:g}")
    return float(data)


def _read_count(data: object, field: str, *, least: int) -> int:
    if isinstance(data, bool) or not isinstance(data, int) or not least <= data <= _LARGEST_COUNT:
        wanted = f"a whole number from {least} to {_LARGEST_COUNT}"
        raise refuse(field, f"{data!r} is not {wanted}", f"give {wanted}")
    return data


def _read_counts(data: object, field: str, *, least: int) -> dict[str, int]:
    if not isinstance(data, dict) or not data:
        raise refuse(field, "is not an object with entries", "give id: count pairs")
    return {str(key): _read_count(value, f"{field}.{key}", least=least) for key, value in data.items()}


def _read_flag(data: object, field: str) -> bool:
    if not isinstance(data, bool):
        raise refuse(field, f"{data!r} is not true or false", "give true or false")
    return data


def _read_objective(fields: Mapping[str, object]) -> Objective:
    given = fields.get("objective")
    if given not in tuple(Objective):
        raise refuse("objective", f"{given!r} is not an objective", f"give one of {', '.join(Objective)}")
    return Objective(str(given))


def _read_budget(fields: Mapping[str, object], objective: Objective) -> float | None:
    given = fields.get("budget_usd_per_hour")
    if given is None:
        if objective is Objective.MAX_RATE:
            raise refuse("budget_usd_per_hour", "is missing", "give USD per hour; max_rate needs a budget")
        return None
    return _read_number(given, "budget_usd_per_hour")


def _read_classes(data: object) -> tuple[InstanceClass, ...]:
    classes: list[InstanceClass] = []
    for index, entry in enumerate(_read_list(data, "classes")):
        field = f"classes[{index}]"
        fields = _read_object(entry, field, _CLASS_KEYS)
        item = InstanceClass(
            id=_read_id(fields.get("id"), f"{field}.id"),
            demand=_read_number(fields.get("demand"), f"{field}.demand"),
            model_id=_read_id(fields.get("model", DEFAULT_MODEL), f"{field}.model"),
        )
        if any(other.id == item.id for other in classes):
            raise refuse(f"{field}.id", f"class {item.id} occurs twice", "give each class its own id")
        classes.append(item)
    if all(item.demand == 0.0 for item in classes):
        raise refuse("classes", "nothing is demanded", "give at least one class a demand above zero")
    return tuple(classes)


def _read_configurations(
    data: object, availability: Mapping[str, int], classes: tuple[InstanceClass, ...]
) -> tuple[InstanceConfiguration, ...]:
    class_ids = frozenset(item.id for item in classes)
    model_ids = frozenset(item.model_id for item in classes)
    found: dict[str, InstanceConfiguration] = {}
    for index, entry in enumerate(_read_list(data, "configurations")):
        field = f"configurations[{index}]"
        item = _read_configuration(entry, field, frozenset(availability), class_ids)
        if item.model_id not in model_ids:
            raise refuse(f"{field}.model", f"no class is of model {item.model_id}", "name models of classes only")
        if item.id in found:
            raise refuse(f"{field}.id", f"configuration {item.id} occurs twice", "give each its own id")
        found[item.id] = item
    return tuple(found.values())


def _read_configuration(
    entry: object, field: str, pool_ids: frozenset[str], class_ids: frozenset[str]
) -> InstanceConfiguration:
    fields = _read_object(entry, field, _CONFIGURATION_KEYS)
    _refuse_unbuilt(fields, field, _NEUTRAL_CONFIGURATION)
    if fields.get("interruption_class") is not None:
        kind = _read_count(fields["interruption_class"], f"{field}.interruption_class", least=0)
        _read_number(kind, f"{field}.interruption_class", most=_LARGEST_INTERRUPTION_CLASS)
    most = fields.get("max_copies")
    return InstanceConfiguration(
        id=_read_id(fields.get("id"), f"{field}.id"),
        usd_per_hour=_read_number(fields.get("usd_per_hour"), f"{field}.usd_per_hour"),
        units=_read_units(fields.get("gpus"), f"{field}.gpus", pool_ids),
        requests_per_s=_read_speeds(fields.get("requests_per_s"), f"{field}.requests_per_s", class_ids),
        model_id=_read_id(fields.get("model", DEFAULT_MODEL), f"{field}.model"),
        is_spot=_read_flag(fields.get("spot", False), f"{field}.spot"),
        zone=_read_text(fields.get("zone", ""), f"{field}.zone"),
        max_copies=None if most is None else _read_count(most, f"{field}.max_copies", least=0),
    )


def _read_units(data: object, field: str, pool_ids: frozenset[str]) -> dict[str, int]:
    units = _read_counts(data, field, least=1)
    for pool_id in units:
        if pool_id not in pool_ids:
            raise refuse(f"{field}.{pool_id}", "is not in availability", "name pools of availability only")
    return units


def _read_speeds(data: object, field: str, class_ids: frozenset[str]) -> dict[str, float]:
    if not isinstance(data, dict):
        raise refuse(field, "is not an object", "give class id: requests per second pairs")
    for class_id in data:
        if class_id not in class_ids:
            raise refuse(f"{field}.{class_id}", "is not a class", "name ids of classes only")
    return {str(key): _read_number(value, f"{field}.{key}") for key, value in data.items()}


def _refuse_unbuilt(fields: Mapping[str, object], field: str, neutral: Mapping[str, object]) -> None:
    for key, harmless in neutral.items():
        value = fields.get(key, harmless)
        if isinstance(value, bool) or value != harmless:
            given, neutral_text = json.dumps(value, default=str), json.dumps(harmless)
            raise refuse(f"{field}.{key}", f"{given} is not supported yet", f"leave it out or give {neutral_text}")


def _read_options(data: object) -> SolveOptions:
    fields = _read_object(data, "options", _OPTION_KEYS)
    _refuse_unbuilt(fields, "options", _NEUTRAL_OPTIONS)
    default = SolveOptions()
    return SolveOptions(
        mip_gap=_read_number(fields.get("mip_gap", default.mip_gap), "options.mip_gap", most=1.0),
        time_limit_s=_read_number(fields.get("time_limit_s", default.time_limit_s), "options.time_limit_s"),
        threads=_read_count(fields.get("threads", default.threads), "options.threads", least=1),
        max_load=_read_number(fields.get("max_load", default.max_load), "options.max_load", least=1e-6, most=1.0),
        spot_max_share=_read_number(
            fields.get("spot_max_share", default.spot_max_share), "options.spot_max_share", most=1.0
        ),
        tie_break=_read_flag(fields.get("tie_break", default.tie_break), "options.tie_break"),
    )
