"""The form of a plan request: what a person types, as the service takes it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from django import forms

from engine.domain.plan import Objective
from webapp.dashboard.forms import ConsoleForm
from webapp.market.selectors import FilterChoices
from webapp.planning.models import PlanRequest, ServedModel, WorkloadProfile
from webapp.planning.services import PlanRequestSpec

_MS_PER_S: Final = 1000.0
_OBJECTIVES: Final = [
    (Objective.MAX_RATE.value, "Most requests for the budget"),
    (Objective.MIN_COST.value, "Least cost for the demand"),
]
_SPEC_NAMES: Final = (
    "deployment_name", "objective", "budget_usd_per_hour", "requests_per_s", "slo_ttft_s", "slo_e2e_s",
    "slo_percentile", "allows_spot", "default_available_count",
)  # fmt: skip


def _number(**attrs: str) -> forms.NumberInput:
    return forms.NumberInput(attrs={"step": "any", "inputmode": "decimal", **attrs})


class PlanForm(ConsoleForm):
    """What the planner is asked for; times per token in milliseconds, as people say them."""

    names = {"model_slug": "model", "workload_slug": "workload", "slo_tpot_s": "slo_tpot_ms"}

    deployment_name = forms.CharField(
        label="Deployment",
        max_length=48,
        help_text="A new name, or a running deployment that this plan shall replace.",
        widget=forms.TextInput(attrs={"placeholder": "e.g. support-chat", "autocomplete": "off"}),
    )
    objective = forms.ChoiceField(
        label="Objective", choices=_OBJECTIVES, initial=Objective.MAX_RATE.value, widget=forms.RadioSelect
    )
    model = forms.ChoiceField(label="Model")
    workload = forms.ChoiceField(label="Workload", help_text="Request classes and their shares.")
    budget_usd_per_hour = forms.DecimalField(
        label="Budget", help_text="The plan, and everything rented for it, never costs more.", widget=_number()
    )
    requests_per_s = forms.FloatField(
        label="Rate",
        required=False,
        help_text="Demand to carry at least cost; empty: the workload’s own rate. For most requests only shares count.",
        widget=_number(),
    )
    slo_ttft_s = forms.FloatField(
        label="TTFT",
        required=False,
        help_text="Time to first token: from arrival at the gateway to the first output token.",
        widget=_number(),
    )
    slo_tpot_ms = forms.FloatField(
        label="TPOT",
        required=False,
        help_text="Time per output token: (E2E − TTFT) / (output tokens − 1). The first token is not in it.",
        widget=_number(),
    )
    slo_e2e_s = forms.FloatField(
        label="E2E", required=False, help_text="End to end: from arrival to the last token.", widget=_number()
    )
    slo_percentile = forms.FloatField(
        label="Percentile",
        initial=90,
        help_text="The bounds hold at this percentile; as many requests of a hundred must meet them.",
        widget=_number(),
    )
    allowed_providers = forms.MultipleChoiceField(
        label="Providers", required=False, widget=forms.CheckboxSelectMultiple
    )
    allowed_regions = forms.MultipleChoiceField(label="Regions", required=False, widget=forms.CheckboxSelectMultiple)
    allows_spot = forms.BooleanField(label="Use spot machines", required=False, initial=True)
    default_available_count = forms.IntegerField(
        label="Machines assumed",
        initial=8,
        help_text="For offers whose provider does not say how many can be had.",
        widget=_number(),
    )

    def __init__(
        self,
        *args: Any,
        models: Sequence[ServedModel],
        workloads: Sequence[WorkloadProfile],
        market: FilterChoices,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._offer("model", [(row.slug, f"{row.name}{' (this host)' if row.weights_path else ''}") for row in models])
        self._offer("workload", [(row.slug, f"{row.name} · {row.requests_per_s:g} requests/s") for row in workloads])
        self._offer("allowed_providers", [(name, name) for name in market.providers])
        self._offer("allowed_regions", [(name, name) for name in market.regions])

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            field.choices = choices

    def to_spec(self) -> PlanRequestSpec:
        """Return what the service takes; the form must be valid."""
        values = self.cleaned_data
        tpot_ms = values["slo_tpot_ms"]
        return PlanRequestSpec(
            **{name: values[name] for name in _SPEC_NAMES},
            model_slug=values["model"],
            workload_slug=values["workload"],
            slo_tpot_s=None if tpot_ms is None else tpot_ms / _MS_PER_S,
            allowed_providers=tuple(values["allowed_providers"]),
            allowed_regions=tuple(values["allowed_regions"]),
        )


def define_initial(request: PlanRequest) -> Mapping[str, object]:
    """Return the values that ask for the same plan again."""
    tpot_s = request.slo_tpot_s
    given = {name: getattr(request, name) for name in _SPEC_NAMES}
    return {
        **{name: _shorten(value) for name, value in given.items()},
        "model": request.model.slug,
        "workload": request.workload.slug,
        "slo_tpot_ms": None if tpot_s is None else _shorten(round(tpot_s * _MS_PER_S, 6)),
        "allowed_providers": request.allowed_providers,
        "allowed_regions": request.allowed_regions,
    }


def _shorten(value: object) -> object:
    """Return a number as people type it, without zeros at its end; anything else as it is."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return f"{value:.12g}" if isinstance(value, float) else value
