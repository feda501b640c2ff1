"""What a plan changes against the one that runs: machines by offer, replicas by configuration, money and rate."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from engine.domain.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CountChange:
    """How many of one thing there are before and after; `id` is an offer or a configuration."""

    id: str
    before: int
    after: int

    @property
    def change(self) -> int:
        """How many more there are after."""
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureChange:
    """A figure before and after; None where there is no plan, or no prediction."""

    before: float | None
    after: float | None

    @property
    def change(self) -> float | None:
        """What is added; None when there is nothing to compare."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDifference:
    """A plan beside the one that runs; things that stay as they are have a change of 0."""

    machines: tuple[CountChange, ...]
    replicas: tuple[CountChange, ...]
    usd_per_hour: FigureChange
    requests_per_s: FigureChange
    output_tokens_per_s: FigureChange

    @property
    def is_same_fleet(self) -> bool:
        """Whether machines and replicas stay exactly as they run."""
        return all(item.change == 0 for item in (*self.machines, *self.replicas))


def compare_plans(*, running: Plan | None, planned: Plan) -> PlanDifference:
    """Return what `planned` changes; without a running plan everything is new."""
    return PlanDifference(
        machines=_compare_counts(_list_offer_ids(running), _list_offer_ids(planned)),
        replicas=_compare_counts(_list_configuration_ids(running), _list_configuration_ids(planned)),
        usd_per_hour=FigureChange(before=None if running is None else running.usd_per_hour, after=planned.usd_per_hour),
        requests_per_s=FigureChange(before=_get_rate(running), after=_get_rate(planned)),
        output_tokens_per_s=FigureChange(before=_get_output_rate(running), after=_get_output_rate(planned)),
    )


def _compare_counts(before: Iterable[str], after: Iterable[str]) -> tuple[CountChange, ...]:
    old, new = Counter(before), Counter(after)
    return tuple(CountChange(id=key, before=old[key], after=new[key]) for key in sorted(old.keys() | new.keys()))


def _list_offer_ids(plan: Plan | None) -> list[str]:
    return [] if plan is None else [machine.offer_id for machine in plan.machines]


def _list_configuration_ids(plan: Plan | None) -> list[str]:
    return [] if plan is None else [replica.configuration_id for replica in plan.replicas]


def _get_rate(plan: Plan | None) -> float | None:
    return None if plan is None or plan.prediction is None else plan.prediction.requests_per_s


def _get_output_rate(plan: Plan | None) -> float | None:
    return None if plan is None or plan.prediction is None else plan.prediction.output_tokens_per_s
