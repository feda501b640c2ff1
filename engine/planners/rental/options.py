"""Options of the rental planner, with their defaults."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveOptions:
    """How an instance is solved.

    Attributes:
        mip_gap: relative gap at which a solve counts as optimal.
        time_limit_s: wall time for all solves of one plan [s]; 0 solves nothing.
        threads: solver threads; one keeps the same input on the same plan.
        max_load: largest planned load of a copy under `min_cost`, 0..1.
        spot_max_share: largest part of every class that spot copies may serve, 0..1.
        tie_break: prefer, among equals, the cheaper plan and then the one with fewer GPUs.
        seed: the solver's random seed.
        explain_limit_s: part of the limit that the search for binding rows may take [s].
        compare_limit_s: part of the limit that the baselines may take [s].
    """

    mip_gap: float = 1e-4
    time_limit_s: float = 60.0
    threads: int = 1
    max_load: float = 1.0
    spot_max_share: float = 0.5
    tie_break: bool = True
    seed: int = 1
    explain_limit_s: float = 10.0
    compare_limit_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RentalOptions:
    """How a request becomes configurations, and how they are solved.

    Attributes:
        spot_mode: `cap` bounds the share of every class on spot copies; nothing else is offered yet.
        method: `direct` (one exact MILP); nothing else is offered yet.
        default_available_count: machines assumed where an offer does not say how many can be had.
        max_gpus_per_replica: largest TP x PP.
        max_pipeline_parallel: largest PP while the model fits one machine.
        allows_machine_pipelines: whether a pipeline may cross machines; off, because neither the cost model nor
            the node agents know the link between machines yet.
        max_num_seqs, max_num_batched_tokens, gpu_memory_utilization: engine arguments of every replica.
        ttft_ratio, tpot_ratio: a latency's 90th percentile over its mean; 2 and 1.2 until the simulator
            measures them (not published; we choose).
        explain_limit_s, compare_limit_s: parts of the limit for binding rows and for baselines [s].
    """

    mip_gap: float = 1e-4
    time_limit_s: float = 60.0
    threads: int = 1
    max_load: float = 0.85
    spot_mode: str = "cap"
    spot_max_share: float = 0.5
    method: str = "direct"
    tie_break: bool = True
    default_available_count: int = 8
    max_gpus_per_replica: int = 8
    max_pipeline_parallel: int = 4
    allows_machine_pipelines: bool = False
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    gpu_memory_utilization: float = 0.9
    ttft_ratio: float = 2.0
    tpot_ratio: float = 1.2
    explain_limit_s: float = 5.0
    compare_limit_s: float = 5.0

    def to_solve_options(self) -> SolveOptions:
        """Return the part that a solve needs."""
        return SolveOptions(
            mip_gap=self.mip_gap,
            time_limit_s=self.time_limit_s,
            threads=self.threads,
            max_load=self.max_load,
            spot_max_share=self.spot_max_share,
            tie_break=self.tie_break,
            explain_limit_s=self.explain_limit_s,
            compare_limit_s=self.compare_limit_s,
        )
