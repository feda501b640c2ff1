"""Models and workloads to plan with."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from engine.domain.model_config import InvalidModelConfigError
from engine.domain.model_presets import list_model_presets
from engine.domain.trace import ClusteredTrace, InvalidTraceError, cluster_trace
from engine.domain.workload_presets import list_workload_presets
from engine.errors import InvalidInputError
from webapp.core.models import AuditEntry, User
from webapp.planning import catalogue, mapping, services
from webapp.planning.models import ServedModel, WorkloadProfile

pytestmark = pytest.mark.django_db
_CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}
_TRACE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:15:46,100,10\n"
    "2023-11-16 18:15:48,100,10\n"
    "2023-11-16 18:15:50,4000,500\n"
)

UploadModel = Callable[..., ServedModel]
UploadTrace = Callable[..., WorkloadProfile]


@pytest.fixture
def upload_model(planner: User, now: datetime) -> UploadModel:
    """Upload a model that differs from a good one in some arguments."""

    def call(**changes: object) -> ServedModel:
        arguments = {"slug": "qwen", "name": "Qwen", "config": _CONFIG, **changes}
        return services.upload_model(actor=planner, now=now, **arguments)

    return call


@pytest.fixture
def upload_trace(planner: User, now: datetime) -> UploadTrace:
    """Upload a trace that differs from a good one in some arguments."""

    def call(**changes: object) -> WorkloadProfile:
        arguments = {"slug": "mine", "name": "Mine", "csv_text": _TRACE, "num_classes": 2, **changes}
        return services.upload_trace(actor=planner, now=now, **arguments)

    return call


class TestEnsurePresets:
    """`ensure_presets`..."""

    def test_stores_every_preset_so_that_it_can_be_planned(self, now: datetime) -> None:
        services.ensure_presets(now=now)
        models = {row.slug: row for row in ServedModel.objects.all()}
        assert set(models) == {preset.id for preset in list_model_presets()}
        assert all(row.is_preset and row.created_at == now for row in models.values())
        assert {slug: mapping.row_to_model_spec(row).num_layers for slug, row in models.items()}["llama-3.1-70b"] == 80
        workloads = {row.slug: row for row in WorkloadProfile.objects.all()}
        assert set(workloads) == {preset.id for preset in list_workload_presets()}
        chat = mapping.row_to_workload(workloads["chat"], model_id="m", requests_per_s=None)
        assert (len(chat.classes), chat.requests_per_s) == (9, 5.0)

    def test_gives_only_the_demo_model_weights_on_this_host(self, now: datetime) -> None:
        services.ensure_presets(now=now)
        local = ServedModel.objects.exclude(weights_path="").get()
        assert (local.slug, Path(local.weights_path)) == ("demo", settings.MEDLEY_HOME / "models" / "demo")

    def test_changes_nothing_the_second_time(self, now: datetime) -> None:
        def read_rows() -> list[dict[str, object]]:
            return [*ServedModel.objects.order_by("pk").values(), *WorkloadProfile.objects.order_by("pk").values()]

        services.ensure_presets(now=now)
        before = read_rows()
        services.ensure_presets(now=now + timedelta(days=1))
        assert read_rows() == before

    def test_brings_presets_of_an_older_version_up_to_date(self, now: datetime) -> None:
        services.ensure_presets(now=now)
        ServedModel.objects.filter(slug="demo").update(name="Old", config={})
        services.ensure_presets(now=now)
        assert ServedModel.objects.get(slug="demo").name != "Old"

    def test_leaves_an_upload_of_the_same_name_alone(self, upload_model: UploadModel, now: datetime) -> None:
        upload_model(slug="llama-3.1-8b", name="My Llama")
        services.ensure_presets(now=now)
        row = ServedModel.objects.get(slug="llama-3.1-8b")
        assert (row.name, row.is_preset, row.config) == ("My Llama", False, _CONFIG)


class TestUploadModel:
    """`upload_model`..."""

    def test_stores_a_model_for_clouds(self, upload_model: UploadModel, planner: User, now: datetime) -> None:
        row = upload_model()
        row.refresh_from_db()
        assert (row.slug, row.name, row.created_by, row.created_at) == ("qwen", "Qwen", planner, now)
        assert (row.is_preset, row.weights_path, row.config) == (False, "", _CONFIG)
        assert mapping.row_to_model_spec(row).num_kv_heads == 2
        entry = AuditEntry.objects.get(action="model.upload")
        assert (entry.actor, entry.object_id, entry.detail) == (planner, str(row.pk), {"slug": "qwen"})

    @pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "vocab_size", "architectures"])
    def test_names_the_key_that_is_missing(self, upload_model: UploadModel, key: str) -> None:
        config = {name: value for name, value in _CONFIG.items() if name != key}
        with pytest.raises(InvalidModelConfigError) as caught:
            upload_model(config=config)
        assert caught.value.field == key
        assert ServedModel.objects.count() == 0

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("slug", ""),
            ("slug", "Qwen"),
            ("slug", "a/b"),
            ("slug", "a" * 65),
            ("name", " "),
            ("name", "a\x00b"),
            ("config", {**_CONFIG, "rope_theta": float("nan")}),
            ("config", {**_CONFIG, "note": "\x00"}),
            ("config", {**_CONFIG, "note": "\ud800"}),
        ],
    )
    def test_names_the_field_that_cannot_be_used(self, upload_model: UploadModel, field: str, value: object) -> None:
        with pytest.raises(InvalidInputError) as caught:
            upload_model(**{field: value})
        assert caught.value.field == field
        assert ServedModel.objects.count() == 0

    def test_refuses_a_slug_that_is_taken_and_keeps_the_first(self, upload_model: UploadModel) -> None:
        upload_model()
        with pytest.raises(InvalidInputError, match="already called 'qwen'") as caught:
            upload_model(name="Other")
        assert caught.value.field == "slug"
        assert ServedModel.objects.get().name == "Qwen"
        assert AuditEntry.objects.filter(action="model.upload").count() == 1


class TestUploadTrace:
    """`upload_trace`..."""

    def test_stores_classes_and_the_rate_of_the_timestamps(self, upload_trace: UploadTrace, planner: User) -> None:
        row = upload_trace()
        row.refresh_from_db()
        assert (row.arrival, row.requests_per_s, row.num_requests) == ("trace", 0.5, 3)
        assert row.source == "trace of 3 requests in 4 s"
        assert [(item["id"], item["share"]) for item in row.classes] == [
            ("p100-o10", pytest.approx(2 / 3)),
            ("p4000-o500", pytest.approx(1 / 3)),
        ]
        entry = AuditEntry.objects.get(action="workload.upload")
        assert (entry.actor, entry.detail) == (planner, {"slug": "mine", "num_requests": 3})

    @pytest.mark.parametrize(
        ("text", "field", "words"),
        [
            ("TIMESTAMP,ContextTokens\n2023-11-16 18:15:46,1\n", "GeneratedTokens", "row 1"),
            (_TRACE + "2023-11-16 18:15:50,many,5\n", "ContextTokens", "row 5"),
            (_TRACE + "yesterday,1,5\n", "TIMESTAMP", "row 5"),
        ],
    )
    def test_names_row_and_column_that_cannot_be_read(
        self, upload_trace: UploadTrace, text: str, field: str, words: str
    ) -> None:
        with pytest.raises(InvalidTraceError, match=words) as caught:
            upload_trace(csv_text=text)
        assert caught.value.field == field
        assert WorkloadProfile.objects.count() == 0

    @pytest.mark.parametrize(("field", "value"), [("num_classes", 0), ("num_classes", 33), ("slug", "A"), ("name", "")])
    def test_names_the_field_that_cannot_be_used(self, upload_trace: UploadTrace, field: str, value: object) -> None:
        with pytest.raises(InvalidInputError) as caught:
            upload_trace(**{field: value})
        assert caught.value.field == field
        assert WorkloadProfile.objects.count() == 0

    def test_refuses_a_slug_that_is_taken(self, upload_trace: UploadTrace) -> None:
        upload_trace()
        with pytest.raises(InvalidInputError, match="already called 'mine'"):
            upload_trace(name="Other")
        assert WorkloadProfile.objects.get().name == "Mine"

    @pytest.mark.django_db(transaction=True)
    def test_holds_no_lock_while_it_reads_and_clusters(
        self, upload_trace: UploadTrace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[bool] = []

        def watch(*given: Any, **named: Any) -> ClusteredTrace:
            seen.append(connection.in_atomic_block)
            return cluster_trace(*given, **named)

        monkeypatch.setattr(catalogue, "cluster_trace", watch)
        upload_trace()
        assert seen == [False]

    @pytest.mark.data
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("file", "num_requests", "requests_per_s"),
        [("azure_llm_2023_conv.csv", 19_366, 5.532), ("azure_llm_2023_code.csv", 8_819, 2.565)],
    )
    def test_loads_whole_public_traces(
        self, upload_trace: UploadTrace, data_dir: Path, file: str, num_requests: int, requests_per_s: float
    ) -> None:
        row = upload_trace(csv_text=(data_dir / file).read_text(), num_classes=9)
        assert row.num_requests == num_requests
        assert row.requests_per_s == pytest.approx(requests_per_s, rel=1e-3)
        assert len(row.classes) == 9
        assert sum(item["share"] for item in row.classes) == pytest.approx(1.0)
