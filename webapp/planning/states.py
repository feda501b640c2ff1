"""Life of a plan request: the one table of which state may follow which.

    draft -> solving -> priced -> policy_checked -> awaiting_approval -> approved -> applying -> live
    live -> superseded | stopped

A policy may decide by itself (policy_checked -> approved | rejected). Whatever was not handed to a deployment can be
solved again; a plan that lives on money already spent cannot: ask for a new one.
"""

from collections.abc import Mapping
from typing import Final

from webapp.planning.models import PlanState

TRANSITIONS: Final[Mapping[PlanState, frozenset[PlanState]]] = {
    PlanState.DRAFT: frozenset({PlanState.SOLVING}),
    PlanState.SOLVING: frozenset({PlanState.PRICED, PlanState.INFEASIBLE, PlanState.FAILED}),
    PlanState.PRICED: frozenset({PlanState.POLICY_CHECKED, PlanState.STALE, PlanState.FAILED}),
    PlanState.POLICY_CHECKED: frozenset({PlanState.AWAITING_APPROVAL, PlanState.APPROVED, PlanState.REJECTED}),
    PlanState.AWAITING_APPROVAL: frozenset(
        {PlanState.APPROVED, PlanState.REJECTED, PlanState.STALE, PlanState.SOLVING}
    ),
    PlanState.APPROVED: frozenset({PlanState.APPLYING, PlanState.STALE, PlanState.FAILED, PlanState.SUPERSEDED}),
    PlanState.APPLYING: frozenset({PlanState.LIVE, PlanState.FAILED, PlanState.SUPERSEDED, PlanState.STOPPED}),
    PlanState.LIVE: frozenset({PlanState.SUPERSEDED, PlanState.STOPPED}),
    PlanState.SUPERSEDED: frozenset(),
    PlanState.STOPPED: frozenset(),
    PlanState.FAILED: frozenset({PlanState.SOLVING}),
    PlanState.REJECTED: frozenset({PlanState.SOLVING}),
    PlanState.STALE: frozenset({PlanState.SOLVING}),
    PlanState.INFEASIBLE: frozenset({PlanState.SOLVING}),
}

SOLVABLE: Final = frozenset(state for state, nexts in TRANSITIONS.items() if PlanState.SOLVING in nexts)
CAN_GO_STALE: Final = frozenset(state for state, nexts in TRANSITIONS.items() if PlanState.STALE in nexts)


def can_move(state: PlanState, to: PlanState) -> bool:
    """Return whether `to` may follow `state`; staying is not a move."""
    return to in TRANSITIONS[state]
