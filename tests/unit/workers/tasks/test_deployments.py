"""Tasks of deployments: one call each, and a logged end when the row is gone."""

from typing import Any

import pytest

from webapp.core.errors import ConflictError, NotFoundError
from webapp.deployments import reconcile, services, sweep
from webapp.deployments.reconcile import ReconcileResult
from workers.tasks import deployments as tasks

Calls = list[dict[str, Any]]


def record(calls: Calls, result: object = None) -> Any:
    def take(**kwargs: Any) -> object:
        calls.append(kwargs)
        if isinstance(result, Exception):
            raise result
        return result

    return take


class TestApply:
    def test_hands_the_plan_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: Calls = []
        monkeypatch.setattr(services, "apply_plan", record(calls))
        tasks.apply(plan_request_id=7, later="ignored")
        assert calls[0]["plan_request_id"] == 7

    @pytest.mark.parametrize(
        "error", [NotFoundError("there is no plan request 7", field="plan_request_id"), ConflictError("is stale")]
    )
    def test_ends_quietly_when_there_is_nothing_to_apply(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
    ) -> None:
        caplog.set_level("INFO")
        monkeypatch.setattr(services, "apply_plan", record([], error))
        tasks.apply(plan_request_id=7)
        assert "plan request 7 is not applied" in caplog.text


class TestReconcileOne:
    def test_watches_for_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: Calls = []
        monkeypatch.setattr(reconcile, "reconcile_deployment", record(calls, ReconcileResult()))
        tasks.reconcile_one(deployment_id=3, later="ignored")
        assert calls == [{"deployment_id": 3, "watch_s": 10.0}]

    def test_ends_quietly_when_the_deployment_is_gone(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        error = NotFoundError("there is no deployment with id 3", field="deployment_id")
        monkeypatch.setattr(reconcile, "reconcile_deployment", record([], error))
        tasks.reconcile_one(deployment_id=3)
        assert "there is no deployment with id 3" in caplog.text


class TestReconcileAll:
    def test_makes_the_round(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: Calls = []
        monkeypatch.setattr(sweep, "reconcile_all", record(calls, 2))
        tasks.reconcile_all(later="ignored")
        assert calls == [{}]
