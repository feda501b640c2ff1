"""Reading deployments."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InvalidInputError
from webapp.core.errors import ConflictError, NotFoundError
from webapp.deployments import selectors
from webapp.deployments.models import LedgerEntry
from webapp.deployments.views import LocalServing, ShardSummary

pytestmark = pytest.mark.django_db


class TestListDeployments:
    def test_answers_in_one_line_each(self, world: Any, settings: Any) -> None:
        settings.MEDLEY_GATEWAY_URL = "http://127.0.0.1:8401"
        deployment = world.make_live()
        (summary,) = selectors.list_deployments()
        assert (summary.name, summary.state, summary.model) == ("chat", "live", "demo")
        assert (summary.gateway_url, summary.usd_per_hour) == ("http://127.0.0.1:8401", Decimal("0.04"))
        rows = deployment.shards.order_by("shard_id")
        assert summary.shards == tuple(ShardSummary(id=row.shard_id, state="ready", port=row.port) for row in rows)

    def test_shows_stopped_ones_without_shards_or_cost(self, world: Any) -> None:
        deployment = world.make_live()
        world.stop(deployment)
        world.reconcile(deployment)
        (summary,) = selectors.list_deployments()
        assert (summary.state, summary.usd_per_hour, summary.shards) == ("stopped", Decimal(0), ())

    def test_asks_the_database_a_fixed_number_of_times(self, world: Any, django_assert_num_queries: Any) -> None:
        for name in ("one", "two", "three"):
            world.make_live(name=name)
        with django_assert_num_queries(3):
            assert len(selectors.list_deployments()) == 3


class TestGetDeploymentView:
    def test_shows_plan_prediction_and_money(self, world: Any) -> None:
        world.make_live()
        opened_at = LedgerEntry.objects.latest("opened_at").opened_at
        LedgerEntry.objects.update(opened_at=opened_at)
        view = selectors.get_deployment_view(name="chat", now=opened_at + timedelta(hours=1))
        assert view.plan == world.make_local_plan()
        assert view.prediction is not None
        assert view.prediction.requests_per_s == 10.0
        assert (view.slo.ttft_s, view.slo.tpot_s, view.slo.percentile) == (2.0, 0.1, 90.0)
        assert (view.ledger.committed_usd_per_hour, view.ledger.budget_usd_per_hour) == (
            Decimal("0.04"),
            Decimal("0.04"),
        )
        assert (view.ledger.accrued_usd, view.ledger.spend_limit_usd) == (Decimal("0.04"), None)
        assert [machine.accrued_usd for machine in view.machines] == [Decimal("0.02")] * 2
        assert (view.plan_state, view.workload, view.state_label) == ("live", "mix", "Live")

    def test_joins_shards_and_machines_by_the_machines_label(self, world: Any) -> None:
        world.make_live()
        view = selectors.get_deployment_view(name="chat", now=world.clock())
        assert {shard.machine_id for shard in view.shards} == {machine.id for machine in view.machines}
        assert all(shard.id.endswith(shard.machine_id) for shard in view.shards)

    def test_keeps_released_machines_behind_held_ones(self, world: Any) -> None:
        deployment = world.make_live()
        gone = world.list_held(deployment)[0]
        del world.cloud.machines[str(gone.token)]
        world.reconcile(deployment)
        view = selectors.get_deployment_view(name="chat", now=world.clock())
        assert [machine.state for machine in view.machines] == ["ready", "ready", "released"]
        assert view.machines[2].id == str(gone.token)[:8]

    def test_names_a_deployment_that_is_not_there(self, world: Any) -> None:
        with pytest.raises(NotFoundError):
            selectors.get_deployment_view(name="nope", now=world.clock())


class TestFindRunningPlan:
    def test_finds_what_is_being_made_or_kept(self, world: Any) -> None:
        world.start()
        assert selectors.find_running_plan("chat") == world.make_local_plan()

    def test_finds_nothing_of_a_stopped_or_unknown_deployment(self, world: Any) -> None:
        deployment = world.start()
        world.stop(deployment)
        assert selectors.find_running_plan("chat") is None
        assert selectors.find_running_plan("nope") is None


class TestListAgents:
    def test_gives_what_a_client_needs(self, world: Any) -> None:
        deployment = world.make_live()
        agents = selectors.list_agents()
        assert [(agent.deployment_id, agent.deployment_name) for agent in agents] == [(deployment.pk, "chat")] * 2
        for agent in agents:
            with world.cloud.connect(agent) as client:
                assert len(client.get_status().shards) == 1
            assert agent.token not in repr(agent)

    def test_leaves_out_what_is_over(self, world: Any) -> None:
        deployment = world.make_live()
        world.stop(deployment)
        world.reconcile(deployment)
        assert selectors.list_agents() == []


class TestReadLocalServing:
    def test_says_that_nothing_was_tried(self, settings: Any, tmp_path: Path) -> None:
        settings.MEDLEY_HOME = tmp_path
        assert selectors.read_local_serving() == LocalServing(
            state="absent", step="", reason="vLLM is not installed on this host", updated_at=None
        )

    def test_reads_what_the_install_wrote(self, settings: Any, tmp_path: Path, now: Any) -> None:
        settings.MEDLEY_HOME = tmp_path
        (tmp_path / "vllm-install.json").write_text(
            '{"state": "installing", "step": "install vLLM", "reason": "", "updated_at": "2026-11-24T12:00:00+00:00"}'
        )
        assert selectors.read_local_serving() == LocalServing(
            state="installing", step="install vLLM", reason="", updated_at=now
        )

    @pytest.mark.parametrize("text", ["", "{", "{}", '{"state": "ready"}'])
    def test_says_when_the_file_cannot_be_read(self, settings: Any, tmp_path: Path, text: str) -> None:
        settings.MEDLEY_HOME = tmp_path
        (tmp_path / "vllm-install.json").write_text(text)
        assert selectors.read_local_serving().state == "failed"


class TestReadShardLog:
    def read(self, world: Any, shard_id: str, **options: Any) -> list[str]:
        return selectors.read_shard_log(name="chat", shard_id=shard_id, access=world.cloud.build_access(), **options)

    def test_asks_the_machines_agent(self, world: Any) -> None:
        deployment = world.make_live()
        shard = deployment.shards.first()
        assert self.read(world, shard.shard_id, tail=2) == ["line 4", "line 5"]

    def test_refuses_shards_of_others_and_of_no_machine(self, world: Any) -> None:
        deployment = world.make_live()
        with pytest.raises(NotFoundError):
            self.read(world, "chat-r9-00000000")
        shard_id = deployment.shards.first().shard_id
        world.stop(deployment)
        world.reconcile(deployment)
        with pytest.raises(ConflictError, match="is released"):
            self.read(world, shard_id)

    @pytest.mark.parametrize("tail", [-1, 5001])
    def test_bounds_the_tail(self, world: Any, tail: int) -> None:
        with pytest.raises(InvalidInputError) as caught:
            self.read(world, "x", tail=tail)
        assert caught.value.field == "tail"
