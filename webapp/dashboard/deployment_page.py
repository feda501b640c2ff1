"""What a deployment looks like on its page, made from its view. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from engine.domain.plan import Prediction
from engine.domain.slo import Slo
from webapp.deployments import states
from webapp.deployments.views import DeploymentView, MachineView, ShardView

_ACCRUING = frozenset(str(state) for state in states.RENTED)  # from here on a machine costs money


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPage:
    """The parts of the page that need more than the view.

    Attributes:
        chart: what the charts compare with, as JSON for the page's script.
        machines: machines held; released: the latest ones that are over.
        accruing_usd_per_hour: what runs up between two looks at the ledger [USD/h].
    """

    chart: Mapping[str, object]
    machines: tuple[MachineView, ...]
    released: tuple[MachineView, ...]
    shards: tuple[ShardView, ...]
    num_ready: int
    accruing_usd_per_hour: Decimal
    is_over: bool
    curl: str
    python: str


def build_page(view: DeploymentView) -> DeploymentPage:
    """Return what to show of a deployment."""
    return DeploymentPage(
        chart={"name": view.name, "lines": _list_lines(view.slo, view.prediction)},
        machines=tuple(machine for machine in view.machines if machine.released_at is None),
        released=tuple(machine for machine in view.machines if machine.released_at is not None),
        shards=view.shards,
        accruing_usd_per_hour=sum((item.usd_per_hour for item in view.machines if item.state in _ACCRUING), Decimal(0)),
        num_ready=sum(shard.state == "ready" for shard in view.shards),
        is_over=view.state in {"stopping", "stopped"},
        curl=_write_curl(view),
        python=_write_python(view),
    )


def _list_lines(slo: Slo, prediction: Prediction | None) -> dict[str, float | None]:
    """Return the level of every line that stands still in a chart; None where there is none."""
    return {
        "slo_ttft_s": slo.ttft_s,
        "slo_tpot_s": slo.tpot_s,
        "slo_e2e_s": slo.e2e_s,
        "slo_percentile": slo.percentile,
        "plan_ttft_s": None if prediction is None else prediction.ttft_slo_s,
        "plan_tpot_s": None if prediction is None else prediction.tpot_slo_s,
        "plan_output_tokens_per_s": None if prediction is None else prediction.output_tokens_per_s,
        "plan_requests_per_s": None if prediction is None else prediction.requests_per_s,
    }


def _write_curl(view: DeploymentView) -> str:
    body = json.dumps({"model": view.model, "messages": [{"role": "user", "content": "Hello"}], "stream": True})
    return (
        f"curl -N {view.gateway_url}/v1/chat/completions \\\n"
        '  -H "Authorization: Bearer $MEDLEY_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'"
    )


def _write_python(view: DeploymentView) -> str:
    return (
        "import os\n"
        "from openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{view.gateway_url}/v1", api_key=os.environ["MEDLEY_KEY"])\n'
        "answer = client.chat.completions.create(\n"
        f'    model="{view.model}",\n'
        '    messages=[{"role": "user", "content": "Hello"}],\n'
        ")\n"
        "print(answer.choices[0].message.content)"
    )
