"""What Home shows, read from every part of the console."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from webapp.deployments import selectors as deployment_selectors
from webapp.deployments.models import DeploymentState
from webapp.deployments.views import DeploymentSummary, LocalServing
from webapp.market import selectors as market_selectors
from webapp.market.models import MarketImport
from webapp.market.selectors import OfferCount
from webapp.planning import selectors as plan_selectors
from webapp.planning.models import PlanState
from webapp.planning.selectors import PlanRequestSummary
from webapp.telemetry import selectors as telemetry_selectors

_OVER: Final = frozenset({DeploymentState.STOPPED, DeploymentState.FAILED})
_NUM_RECENT: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDeployment:
    """A deployment with what it measured last.

    Attributes:
        telemetry: the latest `telemetry` payload; None when nothing was measured lately.
    """

    summary: DeploymentSummary
    telemetry: Mapping[str, object] | None

    @property
    def num_ready(self) -> int:
        """Shards that answer requests."""
        return sum(shard.state == "ready" for shard in self.summary.shards)

    @property
    def output_tokens_per_s(self) -> float | None:
        """Generated tokens per second; None when nothing was measured lately."""
        return None if self.telemetry is None else float(str(self.telemetry["output_tokens_per_s"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything on Home."""

    deployments: tuple[RunningDeployment, ...]
    num_stopped: int
    awaiting: tuple[PlanRequestSummary, ...]
    recent: tuple[PlanRequestSummary, ...]
    offers: OfferCount
    latest_import: MarketImport | None
    local_serving: LocalServing

    @property
    def usd_per_hour(self) -> Decimal:
        """Prices of all machines held [USD/h]."""
        return sum((item.summary.usd_per_hour for item in self.deployments), Decimal(0))

    @property
    def output_tokens_per_s(self) -> float:
        """Generated tokens per second of all deployments."""
        return sum(item.output_tokens_per_s or 0.0 for item in self.deployments)

    @property
    def num_live(self) -> int:
        """Deployments that serve as planned."""
        return sum(item.summary.state == DeploymentState.LIVE for item in self.deployments)

    @property
    def is_new(self) -> bool:
        """Whether nobody has planned anything yet."""
        return not self.deployments and not self.recent


def read_overview(*, now: datetime) -> Overview:
    """Return what Home shows."""
    summaries = deployment_selectors.list_deployments()
    shown = [item for item in summaries if item.state not in _OVER or item.usd_per_hour > 0]
    offers = market_selectors.count_current_offers(filters=market_selectors.OfferFilter())
    return Overview(
        deployments=tuple(_read_running(item, now) for item in shown),
        num_stopped=len(summaries) - len(shown),
        awaiting=tuple(plan_selectors.list_plan_requests(states=(PlanState.AWAITING_APPROVAL,))),
        recent=tuple(plan_selectors.list_plan_requests(limit=_NUM_RECENT)),
        offers=offers,
        latest_import=next(iter(market_selectors.list_imports(limit=1)), None),
        local_serving=deployment_selectors.read_local_serving(),
    )


def _read_running(summary: DeploymentSummary, now: datetime) -> RunningDeployment:
    telemetry = telemetry_selectors.get_latest(deployment_name=summary.name, now=now)
    return RunningDeployment(summary=summary, telemetry=telemetry)
