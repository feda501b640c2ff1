"""Plan on real input: the Azure conversation trace, Llama-3.1-70B, all seed offers.

Run from the checkout: `MEDLEY_DATA=<folder of the measurements> python -m tests.bench.bench_real_plan [USD per hour]`.
"""

import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from engine.domain.model_config import parse_model_config
from engine.domain.model_presets import list_model_presets
from engine.domain.plan import Objective, Plan
from engine.domain.slo import Slo
from engine.domain.trace import ClusteredTrace, cluster_trace, parse_trace_csv
from engine.market.seed import read_seed_table
from engine.planners.rental.planner import plan_rental
from engine.planners.rental.request import ModelDemand, RentalRequest

_MODEL = "llama-3.1-70b"
_TRACE = "azure_llm_2023_conv.csv"
_SLO = Slo(ttft_s=2.0, tpot_s=0.1, percentile=90.0)


def read_trace(folder: Path) -> ClusteredTrace:
    """Return the classes of the conversation trace."""
    return cluster_trace(parse_trace_csv((folder / _TRACE).read_text(encoding="utf-8")))


def define_request(trace: ClusteredTrace, budget_usd_per_hour: float) -> RentalRequest:
    """Return the question."""
    (preset,) = [item for item in list_model_presets() if item.id == _MODEL]
    model = parse_model_config(preset.config, model_id=preset.id, name=preset.name)
    return RentalRequest(
        objective=Objective.MAX_RATE,
        offers=read_seed_table(now=datetime.now(UTC)).offers,
        demands=(ModelDemand(model=model, workload=trace.to_workload(name=_TRACE, model_id=model.id)),),
        slo=_SLO,
        budget_usd_per_hour=budget_usd_per_hour,
    )


def print_plan(plan: Plan) -> None:
    """Print machines, replicas, prediction, proof, baselines and binding rows."""
    report, prediction = plan.report, plan.prediction
    print(f"status {report.status}, objective {report.objective}, bound {report.best_bound}, gap {report.gap}")
    print(f"cost {plan.usd_per_hour:.2f} USD/h")
    for offer_id, count in Counter(machine.offer_id for machine in plan.machines).items():
        print(f"  rent {count} x {offer_id}")
    for configuration_id, count in Counter(replica.configuration_id for replica in plan.replicas).items():
        replica = next(item for item in plan.replicas if item.configuration_id == configuration_id)
        shares = ", ".join(f"{class_id} {100 * share * count:.1f} %" for class_id, share in replica.shares.items())
        print(f"  {count} x {configuration_id}, {replica.requests_per_s:.3f} requests/s each: {shares}")
    if prediction is not None:
        print(
            f"predicted {prediction.requests_per_s:.2f} requests/s, {prediction.output_tokens_per_s:.0f} output "
            f"tokens/s, TTFT P90 {prediction.ttft_slo_s:.3f} s, TPOT P90 {1000 * prediction.tpot_slo_s:.1f} ms, "
            f"{prediction.usd_per_mtok:.3f} USD/Mtok, +-{100 * prediction.error_band:.0f} % ({prediction.source})"
        )
    for baseline in plan.baselines:
        outcome = f"{baseline.requests_per_s:.2f} requests/s at {baseline.usd_per_hour:.2f} USD/h"
        print(f"  {baseline.name}: {baseline.detail}: {outcome if baseline.is_feasible else 'infeasible'}")
    for row in report.binding:
        print(f"  binds: {row.row}, {row.shadow_price:.3f} {row.unit}; {row.text}")
    for reason in report.reasons:
        print(f"  reason: {reason.kind}: {reason.text}")
    for note in report.notes:
        print(f"  note: {note}")
    print(f"  dropped: {dict(report.dropped)}")


def main() -> None:
    """Read, plan, print."""
    folder = os.environ.get("MEDLEY_DATA")
    if not folder:
        sys.exit("set MEDLEY_DATA to the folder of the measurements")
    budget_usd_per_hour = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    trace = read_trace(Path(folder))
    print(f"{trace.num_requests} requests in {trace.duration_s:.0f} s, {trace.requests_per_s:.2f} requests/s")
    for item in trace.classes:
        print(f"  {item.id}: {100 * item.share:.2f} %")
    request = define_request(trace, budget_usd_per_hour)
    steps: dict[str, float] = {}
    started_s, started_cpu_s = time.perf_counter(), time.process_time()

    def note_step(step: str, _part: float) -> None:
        steps.setdefault(step, time.perf_counter() - started_s)

    plan = plan_rental(request, clock=time.monotonic, on_progress=note_step).plan
    wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    print(f"{len(request.offers)} offers, {budget_usd_per_hour:.2f} USD/h")
    print(f"{wall_s:.2f} s wall, {cpu_s:.2f} s CPU; steps began at { ({k: round(v, 2) for k, v in steps.items()}) }")
    print_plan(plan)


if __name__ == "__main__":
    main()
