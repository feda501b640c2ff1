"""What a plan wants, as machines and shards. Pure: engine values in, engine values out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pydantic import ValidationError

from engine.domain.gpu_catalog import CPU_SLOT
from engine.domain.plan import Plan, PlannedReplica
from engine.errors import RefusedError
from engine.serving.protocol import ShardSpec
from webapp.market.mapping import usd_to_decimal
from webapp.planning.freshness import PRICE_TOLERANCE

_CONTEXT: Final = "max-model-len"
_KV_CACHE: Final = "kv-cache-memory-bytes"
_TOKEN_PREFIX_CHARS: Final = 8


class UnusablePlanError(RefusedError):
    """The plan cannot be made real as it stands; solving it again may help."""

    code = "unusable_plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAs:
    """How the plan's model is served.

    Attributes:
        name: what clients send as `model`.
        weights_path: folder or repository that vLLM loads.
    """

    name: str
    weights_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredShard:
    """One replica of the plan.

    Attributes:
        spec: complete, under the shard id it has on its machine.
        weights: class id -> share of that class.
    """

    replica_id: str
    spec: ShardSpec
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredMachine:
    """One machine of the plan.

    Attributes:
        usd_per_hour: price it would be reserved for now [USD/h].
        approved_usd_per_hour: price in the plan that was approved [USD/h].
    """

    plan_machine_id: str
    offer_id: str
    usd_per_hour: Decimal
    approved_usd_per_hour: Decimal
    replicas: tuple[PlannedReplica, ...]

    @property
    def highest_usd_per_hour(self) -> Decimal:
        """Price up to which the approval covers it [USD/h]."""
        return add_tolerance(self.approved_usd_per_hour)

    @property
    def provider(self) -> str:
        """Provider of the offer."""
        return get_provider_name(self.offer_id)


def add_tolerance(approved_usd_per_hour: Decimal) -> Decimal:
    """Return what may be paid where so much was approved [USD/h]; a plan may be that far off and still be fresh."""
    return approved_usd_per_hour * (1 + PRICE_TOLERANCE)


def get_provider_name(offer_id: str) -> str:
    """Return the provider's word from an offer's identity `provider:region:...`."""
    return offer_id.partition(":")[0]


def list_providers(plan: Plan) -> tuple[str, ...]:
    """Return the providers a plan rents from, ordered."""
    return tuple(sorted({get_provider_name(machine.offer_id) for machine in plan.machines}))


def list_desired_machines(plan: Plan, usd_per_hour: Mapping[str, Decimal]) -> tuple[DesiredMachine, ...]:
    """Return the machines of a plan, in its order, each with the replicas whose first stage it holds.

    Args:
        usd_per_hour: offer id -> price now [USD/h]; must name every offer of the plan.
    """
    return tuple(
        DesiredMachine(
            plan_machine_id=machine.id,
            offer_id=machine.offer_id,
            usd_per_hour=usd_per_hour[machine.offer_id],
            approved_usd_per_hour=usd_to_decimal(machine.usd_per_hour),
            replicas=tuple(replica for replica in plan.replicas if replica.stages[0].machine_id == machine.id),
        )
        for machine in plan.machines
    )


def define_shard_id(*, deployment_name: str, replica_id: str, machine_token: str) -> str:
    """Return the identity of a replica on one machine; another machine gives another shard."""
    return f"{deployment_name}-{replica_id}-{machine_token[:_TOKEN_PREFIX_CHARS]}"


def define_machine_label(machine_token: str) -> str:
    """Return the short name under which people see a machine; it ends the ids of its shards."""
    return machine_token[:_TOKEN_PREFIX_CHARS]


def list_desired_shards(
    replicas: Iterable[PlannedReplica], *, served: ServedAs, deployment_name: str, machine_token: str
) -> tuple[DesiredShard, ...]:
    """Return the shards of one machine.

    Raises:
        UnusablePlanError: a replica lacks an argument that a shard cannot start without.
    """
    return tuple(
        DesiredShard(
            replica_id=replica.id,
            spec=_build_spec(
                replica,
                served=served,
                shard_id=define_shard_id(
                    deployment_name=deployment_name, replica_id=replica.id, machine_token=machine_token
                ),
            ),
            weights=dict(replica.shares),
        )
        for replica in replicas
    )


def _build_spec(replica: PlannedReplica, *, served: ServedAs, shard_id: str) -> ShardSpec:
    try:
        return _define_spec(replica, served=served, shard_id=shard_id)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UnusablePlanError(
            f"replica {replica.id} cannot be a shard: {field}: {first['msg']}", replica_id=replica.id, field=field
        ) from error


def _define_spec(replica: PlannedReplica, *, served: ServedAs, shard_id: str) -> ShardSpec:
    stages = [placed.stage for placed in replica.stages]
    extra = {name: value for name, value in replica.engine_args.items() if name not in {_CONTEXT, _KV_CACHE}}
    return ShardSpec(
        shard_id=shard_id,
        model_path=served.weights_path,
        served_model_name=served.name,
        max_model_len=_get_number(replica, _CONTEXT),
        max_num_seqs=replica.max_num_seqs,
        max_num_batched_tokens=replica.max_num_batched_tokens,
        kv_cache_memory_bytes=_get_number(replica, _KV_CACHE),
        tensor_parallel=stages[0].tensor_parallel,
        pipeline_parallel=len(stages),
        layer_partition=[stage.num_layers for stage in stages] if len(stages) > 1 else [],
        extra_args=extra,
    )


def _get_number(replica: PlannedReplica, name: str) -> int:
    text = replica.engine_args.get(name, "")
    if not text.isdecimal() or int(text) == 0:
        raise UnusablePlanError(
            f"replica {replica.id} has no usable engine argument {name}: solve the plan again",
            replica_id=replica.id,
            argument=name,
        )
    return int(text)


def runs_on_cpu(replica: PlannedReplica) -> bool:
    """Return whether a replica runs on CPU slots."""
    return any(placed.stage.gpu_name == CPU_SLOT for placed in replica.stages)
