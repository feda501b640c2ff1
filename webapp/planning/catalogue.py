"""Models and workloads to plan with: presets, uploaded configurations, uploaded traces."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction

from engine.domain.model_config import parse_model_config
from engine.domain.model_presets import ModelPreset, list_model_presets
from engine.domain.trace import cluster_trace, parse_trace_csv
from engine.domain.workload import ArrivalProcess
from engine.domain.workload_presets import WorkloadPreset, list_workload_presets
from engine.errors import InvalidInputError
from webapp.core import audit
from webapp.core.models import User
from webapp.planning.mapping import classes_to_json
from webapp.planning.models import ServedModel, WorkloadProfile

_SLUG: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?")
_MAX_NAME: Final = 128  # characters of the database column
_MAX_CLASSES: Final = 32  # more make the planner slow without a better plan


@transaction.atomic
def ensure_presets(*, now: datetime) -> None:
    """Store the project's models and workloads; a second call changes nothing but what the project changed."""
    for model in list_model_presets():
        _ensure_model(model, now)
    for workload in list_workload_presets():
        _ensure_workload(workload, now)


def _ensure_model(preset: ModelPreset, now: datetime) -> None:
    weights_path = str(settings.MEDLEY_HOME / "models" / preset.id) if preset.is_local else ""
    given = {"name": preset.name, "config": dict(preset.config), "weights_path": weights_path}
    created = {**given, "is_preset": True, "created_at": now}
    ServedModel.objects.get_or_create(slug=preset.id, defaults=created)
    ServedModel.objects.filter(slug=preset.id, is_preset=True).update(**given)  # an upload of that name stays


def _ensure_workload(preset: WorkloadPreset, now: datetime) -> None:
    given = {
        "name": preset.name,
        "source": "preset",
        "arrival": ArrivalProcess.POISSON.value,
        "requests_per_s": preset.requests_per_s,
        "classes": classes_to_json(preset.classes),
    }
    created = {**given, "is_preset": True, "created_at": now}
    WorkloadProfile.objects.get_or_create(slug=preset.id, defaults=created)
    WorkloadProfile.objects.filter(slug=preset.id, is_preset=True).update(**given)  # an upload of that name stays


@transaction.atomic
def upload_model(*, actor: User, slug: str, name: str, config: Mapping[str, object], now: datetime) -> ServedModel:
    """Store a model from its Hugging Face `config.json`.

    Raises:
        InvalidInputError: slug or name cannot be used, or the slug is taken.
        InvalidModelConfigError: the configuration lacks a field, or planning cannot use it; names the field.
    """
    _check_slug(slug)
    _check_name(name)
    _check_storable(config)
    parse_model_config(config, model_id=slug, name=name)
    given = {"name": name, "config": dict(config), "created_by": actor, "created_at": now}
    row, is_new = ServedModel.objects.get_or_create(slug=slug, defaults=given)
    if not is_new:
        raise _refuse_taken(slug, "model")
    audit.record(
        actor=actor, action="model.upload", object_type="model", object_id=row.pk, now=now, detail={"slug": slug}
    )
    return row


def upload_trace(
    *, actor: User, slug: str, name: str, csv_text: str, num_classes: int = 9, now: datetime
) -> WorkloadProfile:
    """Store a workload from a trace in the Azure CSV format: request classes by clustering, rate from timestamps.

    Reading and clustering take seconds, so they happen before the transaction: nobody waits for the database.

    Args:
        num_classes: request classes wanted, 1..32; fewer come when sizes coincide.
    Raises:
        InvalidInputError: slug, name or number of classes cannot be used, or the slug is taken.
        InvalidTraceError: the trace cannot be read; names row and column.
    """
    _check_slug(slug)
    _check_name(name)
    _check_num_classes(num_classes)
    trace = cluster_trace(parse_trace_csv(csv_text), num_classes=num_classes)
    given = {
        "name": name,
        "source": f"trace of {trace.num_requests} requests in {trace.duration_s:.0f} s",
        "arrival": ArrivalProcess.TRACE.value,
        "requests_per_s": trace.requests_per_s,
        "classes": classes_to_json(trace.classes),
        "num_requests": trace.num_requests,
        "created_by": actor,
        "created_at": now,
    }
    return _store_workload(slug, given, actor, now)


@transaction.atomic
def _store_workload(slug: str, given: Mapping[str, object], actor: User, now: datetime) -> WorkloadProfile:
    row, is_new = WorkloadProfile.objects.get_or_create(slug=slug, defaults=dict(given))
    if not is_new:
        raise _refuse_taken(slug, "workload")
    detail = {"slug": slug, "num_requests": row.num_requests}
    audit.record(
        actor=actor, action="workload.upload", object_type="workload", object_id=row.pk, now=now, detail=detail
    )
    return row


def _check_slug(slug: str) -> None:
    if not _SLUG.fullmatch(slug):
        raise InvalidInputError(
            f"slug: {slug!r} cannot be an identity",
            field="slug",
            remedy="use up to 64 small letters, digits, dots and dashes; begin and end with a letter or digit",
        )


def _check_name(name: str) -> None:
    if not (len(name.strip()) >= 1 and len(name) <= _MAX_NAME and name.isprintable()):
        raise InvalidInputError(
            "name: is empty, too long or not printable",
            field="name",
            remedy=f"give 1 to {_MAX_NAME} printable characters",
        )


def _check_storable(config: Mapping[str, object]) -> None:
    """Refuse what JSON readers of Python take, but no database keeps: NaN, half characters and zero bytes."""
    try:
        text = json.dumps(config, allow_nan=False, ensure_ascii=False)
        text.encode()
    except ValueError as error:
        raise _refuse_config(str(error)) from error
    if "\\u0000" in text:
        raise _refuse_config("it holds a zero byte")


def _refuse_config(message: str) -> InvalidInputError:
    return InvalidInputError(f"config: {message}", field="config", remedy="give the model's config.json as published")


def _check_num_classes(num_classes: int) -> None:
    if not 1 <= num_classes <= _MAX_CLASSES:
        raise InvalidInputError(
            f"num_classes: {num_classes} is outside 1..{_MAX_CLASSES}",
            field="num_classes",
            remedy=f"give 1 to {_MAX_CLASSES} request classes",
        )


def _refuse_taken(slug: str, word: str) -> InvalidInputError:
    return InvalidInputError(
        f"slug: a {word} is already called {slug!r}", field="slug", remedy="give another slug", slug=slug
    )
