"""The transition table, pair by pair."""

import pytest

from webapp.planning import states
from webapp.planning.models import PlanState

S = PlanState
_ALLOWED = {
    (S.DRAFT, S.SOLVING),
    (S.SOLVING, S.PRICED),
    (S.SOLVING, S.INFEASIBLE),
    (S.SOLVING, S.FAILED),
    (S.PRICED, S.POLICY_CHECKED),
    (S.PRICED, S.STALE),
    (S.PRICED, S.FAILED),
    (S.POLICY_CHECKED, S.AWAITING_APPROVAL),
    (S.POLICY_CHECKED, S.APPROVED),
    (S.POLICY_CHECKED, S.REJECTED),
    (S.AWAITING_APPROVAL, S.APPROVED),
    (S.AWAITING_APPROVAL, S.REJECTED),
    (S.AWAITING_APPROVAL, S.STALE),
    (S.AWAITING_APPROVAL, S.SOLVING),
    (S.APPROVED, S.APPLYING),
    (S.APPROVED, S.STALE),
    (S.APPROVED, S.FAILED),
    (S.APPROVED, S.SUPERSEDED),
    (S.APPLYING, S.LIVE),
    (S.APPLYING, S.FAILED),
    (S.APPLYING, S.SUPERSEDED),
    (S.APPLYING, S.STOPPED),
    (S.LIVE, S.SUPERSEDED),
    (S.LIVE, S.STOPPED),
    (S.FAILED, S.SOLVING),
    (S.REJECTED, S.SOLVING),
    (S.STALE, S.SOLVING),
    (S.INFEASIBLE, S.SOLVING),
}


class TestCanMove:
    """`can_move`..."""

    @pytest.mark.parametrize("to", PlanState)
    @pytest.mark.parametrize("state", PlanState)
    def test_allows_exactly_the_moves_of_the_design(self, state: PlanState, to: PlanState) -> None:
        assert states.can_move(state, to) == ((state, to) in _ALLOWED)

    def test_knows_every_state(self) -> None:
        assert set(states.TRANSITIONS) == set(PlanState)

    def test_reaches_every_state_from_draft(self) -> None:
        reached, frontier = {S.DRAFT}, {S.DRAFT}
        while frontier:
            frontier = {to for state in frontier for to in states.TRANSITIONS[state]} - reached
            reached |= frontier
        assert reached == set(PlanState)


class TestSolvable:
    """`SOLVABLE`..."""

    def test_is_what_no_deployment_has_taken(self) -> None:
        assert {S.DRAFT, S.AWAITING_APPROVAL, S.FAILED, S.REJECTED, S.STALE, S.INFEASIBLE} == states.SOLVABLE
