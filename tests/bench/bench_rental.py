"""Scaling of the rental MILP: the reference instance R1 and its enlarged pools, against the goals.

Run from the checkout: `python -m tests.bench.bench_rental`.

Source: specification of the rental planner, sections 10 to 12; DESIGN.md, section 7.
"""

import time
from dataclasses import dataclass

from engine.planners.rental.instance import RentalInstance
from engine.planners.rental.options import SolveOptions
from engine.planners.rental.solve import solve_instance
from tests.support.rental_instances import LLAMA_8B, define_reference_instance

_OPTIONS = SolveOptions(mip_gap=1e-4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table; `published_s` is the specification's makespan, `goal_s` the time to solve."""

    name: str
    instance: RentalInstance
    published_s: float | None
    goal_s: float | None


def list_cases() -> list[Case]:
    """Return R1 in all its published sizes."""
    cases = [
        Case(
            name=f"70B, 30 USD/h, availability {stock}",
            instance=define_reference_instance(stock=stock),
            published_s=published_s,
            goal_s=0.5,
        )
        for stock, published_s in ((1, 31.551), (2, 29.949), (3, 31.500), (4, 31.500))
    ]
    cases.extend(
        Case(
            name=f"availability 1, times {scale}",
            instance=define_reference_instance(scale=scale),
            published_s=published_s,
            goal_s=1.5,
        )
        for scale, published_s in ((2, 30.578), (5, 30.554), (10, 30.453), (20, 30.431), (50, 30.407))
    )
    cases.append(
        Case(
            name="availability 2, times 50",
            instance=define_reference_instance(stock=2, scale=50),
            published_s=29.591,
            goal_s=1.5,
        )
    )
    cases.append(
        Case(name="8B, 30 USD/h", instance=define_reference_instance(model=LLAMA_8B), published_s=None, goal_s=None)
    )
    return cases


def run_case(case: Case) -> str:
    """Return one line of the table."""
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    solution = solve_instance(case.instance, _OPTIONS, clock=time.monotonic)
    wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    makespan_s = 1.0 / solution.objective if solution.objective else float("inf")
    units = sum(case.instance.availability.values())
    published = "" if case.published_s is None else f"{case.published_s:.3f}"
    goal = "" if case.goal_s is None else f"{case.goal_s:.1f}"
    size = f"{len(case.instance.configurations)} x {len(case.instance.classes)}"
    return (
        f"{case.name:<30} {size:>7} {units:>6} {makespan_s:>9.3f} {published:>9} {solution.status:<9} "
        f"{solution.gap or 0.0:>8.1e} {wall_s:>7.2f} {cpu_s:>7.2f} {goal:>6}"
    )


def main() -> None:
    """Print the table."""
    print(
        f"{'case':<30} {'size':>7} {'GPUs':>6} {'T [s]':>9} {'published':>9} {'status':<9} "
        f"{'gap':>8} {'wall s':>7} {'CPU s':>7} {'goal s':>6}"
    )
    for case in list_cases():
        print(run_case(case))


if __name__ == "__main__":
    main()
