"""Models and workloads: the lists, and uploads with errors beside the field."""

import json
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from webapp.core.models import User
from webapp.planning.models import ServedModel, WorkloadProfile

_TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,100,10\n2023-11-16 18:15:48,100,10\n"


def _upload_model(client: Client, config: object, slug: str = "mine") -> Any:
    file = SimpleUploadedFile("config.json", json.dumps(config).encode())
    return client.post("/catalogue/models/", {"model-slug": slug, "model-name": "Mine", "model-file": file})


def _upload_trace(client: Client, text: str, **changes: str) -> Any:
    file = SimpleUploadedFile("trace.csv", text.encode())
    fields = {"workload-slug": "mine", "workload-name": "Mine", "workload-num_classes": "3", **changes}
    return client.post("/catalogue/workloads/", {**fields, "workload-file": file})


class TestCatalogue:
    def test_lists_models_and_workloads(
        self, browse: Any, viewer: User, served_model: ServedModel, workload: WorkloadProfile
    ) -> None:
        text = browse(viewer).get("/catalogue/").content.decode()
        assert "Llama 8B" in text
        assert "LlamaForCausalLM" in text
        assert "1024 → 256" in text

    def test_offers_no_upload_to_who_may_not(self, browse: Any, viewer: User) -> None:
        assert "Upload config.json" not in browse(viewer).get("/catalogue/").content.decode()

    def test_explains_an_empty_catalogue(self, browse: Any, viewer: User) -> None:
        text = browse(viewer).get("/catalogue/").content.decode()
        assert "No models yet" in text
        assert "No workloads yet" in text


class TestModelUpload:
    def test_stores_a_model(self, browse: Any, planner: User, served_model: ServedModel) -> None:
        response = _upload_model(browse(planner), served_model.config)
        assert response.status_code == 302
        row = ServedModel.objects.get(slug="mine")
        assert (row.name, row.created_by, row.config) == ("Mine", planner, served_model.config)

    def test_names_the_field_that_the_configuration_lacks(
        self, browse: Any, planner: User, served_model: ServedModel
    ) -> None:
        config = {key: value for key, value in served_model.config.items() if key != "hidden_size"}
        response = _upload_model(browse(planner), config)
        assert response.status_code == 422
        assert "hidden_size is missing" in response.context["model_form"].errors["file"][0]
        assert not ServedModel.objects.filter(slug="mine").exists()

    def test_says_that_an_identity_is_taken(self, browse: Any, planner: User, served_model: ServedModel) -> None:
        response = _upload_model(browse(planner), served_model.config, slug="llama-8b")
        assert response.status_code == 422
        assert "already called 'llama-8b'" in response.context["model_form"].errors["slug"][0]

    def test_refuses_what_is_not_json(self, browse: Any, planner: User) -> None:
        file = SimpleUploadedFile("config.json", b"{")
        fields = {"model-slug": "mine", "model-name": "Mine", "model-file": file}
        response = browse(planner).post("/catalogue/models/", fields)
        assert response.status_code == 422
        assert "is not JSON" in response.context["model_form"].errors["file"][0]

    def test_refuses_json_that_is_no_object(self, browse: Any, planner: User) -> None:
        response = _upload_model(browse(planner), [1])
        assert "holds no JSON object" in response.context["model_form"].errors["file"][0]


class TestTraceUpload:
    def test_stores_a_workload(self, browse: Any, planner: User) -> None:
        assert _upload_trace(browse(planner), _TRACE).status_code == 302
        assert WorkloadProfile.objects.get(slug="mine").num_requests == 2

    def test_names_what_is_wrong_with_the_trace(self, browse: Any, planner: User) -> None:
        response = _upload_trace(browse(planner), "TIMESTAMP,ContextTokens\n2023-11-16 18:15:46,100\n")
        assert response.status_code == 422
        assert "GeneratedTokens" in response.context["workload_form"].errors["file"][0]
        assert WorkloadProfile.objects.count() == 0

    def test_bounds_the_number_of_classes(self, browse: Any, planner: User) -> None:
        response = _upload_trace(browse(planner), _TRACE, **{"workload-num_classes": "99"})
        assert set(response.context["workload_form"].errors) == {"num_classes"}
