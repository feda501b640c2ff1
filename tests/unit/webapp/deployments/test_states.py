"""Life of deployments and machines."""

import pytest

from webapp.deployments import states
from webapp.deployments.models import DeploymentState, MachineState, ShardState
from webapp.deployments.states import ShardStanding, Standing, derive_standing

READY = ShardStanding(name="r1", state=ShardState.READY)
STARTING = ShardStanding(name="r2", state=ShardState.STARTING)
FAILED = ShardStanding(name="r3", state=ShardState.FAILED, reason="ended with code 1")


class TestTables:
    def test_cover_every_state(self) -> None:
        assert set(states.DEPLOYMENT_TRANSITIONS) == set(DeploymentState)
        assert set(states.MACHINE_TRANSITIONS) == set(MachineState)

    def test_allow_no_move_to_oneself(self) -> None:
        assert not any(states.can_move_deployment(state, state) for state in DeploymentState)
        assert not any(states.can_move_machine(state, state) for state in MachineState)

    def test_reach_an_end_from_everywhere(self) -> None:
        for state in states.HELD:
            assert state is MachineState.RELEASING or states.can_move_machine(state, MachineState.RELEASING)

    def test_let_no_machine_come_back(self) -> None:
        assert all(not states.MACHINE_TRANSITIONS[state] for state in states.OVER)


class TestDeriveStanding:
    @pytest.mark.parametrize("current", list(DeploymentState)[:3])
    def test_is_live_when_all_are_ready(self, current: DeploymentState) -> None:
        assert derive_standing(current, [READY, READY]) == Standing(state=DeploymentState.LIVE)

    @pytest.mark.parametrize(
        ("current", "expected"),
        [
            (DeploymentState.APPLYING, DeploymentState.APPLYING),
            (DeploymentState.LIVE, DeploymentState.DEGRADED),
            (DeploymentState.FAILED, DeploymentState.DEGRADED),
        ],
    )
    def test_waits_for_the_rest(self, current: DeploymentState, expected: DeploymentState) -> None:
        assert derive_standing(current, [READY, STARTING]) == Standing(state=expected, reason="r2: starting")

    def test_is_degraded_when_one_failed_on_the_way(self) -> None:
        standing = derive_standing(DeploymentState.APPLYING, [READY, FAILED])
        assert standing == Standing(state=DeploymentState.DEGRADED, reason="r3: ended with code 1")

    def test_is_failed_when_all_failed(self) -> None:
        standing = derive_standing(DeploymentState.LIVE, [FAILED, FAILED])
        assert standing == Standing(state=DeploymentState.FAILED, reason="r3: ended with code 1 (and 1 more)")

    def test_prefers_the_reason_that_says_something(self) -> None:
        standing = derive_standing(DeploymentState.APPLYING, [STARTING, FAILED])
        assert standing.reason == "r3: ended with code 1 (and 1 more)"

    def test_is_not_live_in_trouble(self) -> None:
        standing = derive_standing(DeploymentState.LIVE, [READY], trouble="machine x hangs")
        assert standing == Standing(state=DeploymentState.DEGRADED, reason="machine x hangs")
