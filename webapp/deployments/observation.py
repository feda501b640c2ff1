"""Looking at what is there, without a transaction: providers say how machines are, agents how shards are.

Looking also repeats to every agent the shards that the rows name. So an agent that missed an earlier call, or came
back with an old list, is put right by the next look.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.clouds import port
from engine.clouds.port import MachineDescription
from engine.serving.protocol import AgentStatus, ShardReport, ShardSpec
from webapp.deployments.access import Access, get_agent_access
from webapp.deployments.isolation import describe_failure
from webapp.deployments.models import Machine, MachineState, Shard, ShardState


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One machine as seen now.

    Attributes:
        description: what its provider says; None when the provider did not answer.
        status: what its agent says; None when it did not answer.
        trouble: why one of them is missing, in words.
        num_requests: shard id -> requests in it, for shards that are being stopped and could be asked.
    """

    description: MachineDescription | None
    status: AgentStatus | None = None
    trouble: str = ""
    num_requests: dict[str, int]

    @property
    def reports(self) -> dict[str, ShardReport]:
        """Reports of the agent by shard id."""
        return {report.shard_id: report for report in self.status.shards} if self.status else {}


def row_to_spec(row: Shard) -> ShardSpec:
    """Return the specification a shard's row keeps."""
    return ShardSpec.model_validate(row.spec)


def look_at_machine(machine: Machine, shards: Sequence[Shard], access: Access) -> Sighting:
    """Return how a machine that was rented is now; nothing outside raises."""
    try:
        description = access.find_provider(machine.provider).describe(str(machine.token))
    except Exception as error:  # noqa: BLE001  # whatever it is, it is this machine's alone, and told on its page
        trouble = describe_failure(error, what="asking the provider")
        return Sighting(description=None, trouble=trouble, num_requests={})
    if description.state is not port.MachineState.RUNNING:
        return Sighting(description=description, num_requests={})
    try:
        return _ask_agent(machine, shards, description, access)
    except Exception as error:  # noqa: BLE001  # the same
        trouble = describe_failure(error, what="asking the node agent")
        return Sighting(description=description, trouble=trouble, num_requests={})


def _ask_agent(machine: Machine, shards: Sequence[Shard], description: MachineDescription, access: Access) -> Sighting:
    with access.connect(get_agent_access(machine, url=description.agent_url)) as agent:
        if machine.state == MachineState.RELEASING:
            status = agent.get_status()
        else:
            status = agent.put_shards([row_to_spec(row) for row in shards if row.state != ShardState.STOPPED])
        draining = {row.shard_id for row in shards if row.state == ShardState.STOPPING}
        metrics = agent.get_metrics() if draining else []
    return Sighting(
        description=description,
        status=status,
        num_requests={one.shard_id: one.num_running + one.num_waiting for one in metrics if one.shard_id in draining},
    )
