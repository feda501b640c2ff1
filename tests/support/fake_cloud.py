"""A provider with agents and no process: machines that start, die and forget on command, behind the real contract.

`tests/integration/deployments/test_provider_contract.py` runs the same tests on this and on the real local provider.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self
from uuid import UUID

from engine.clouds.port import (
    MachineDescription,
    MachineState,
    MissingCredentialsError,
    RentedMachine,
    RentFailedError,
    RentOrder,
)
from engine.errors import InvalidInputError
from engine.serving.client import AgentRefusedError, AgentUnreachableError
from engine.serving.protocol import (
    AgentStatus,
    ShardMetrics,
    ShardReport,
    ShardSpec,
    ShardState,
    VllmAvailability,
)
from webapp.deployments.access import Access, AgentAccess

LOOKS_UNTIL_READY = 2  # a shard starts before it is ready


class Killed(BaseException):
    """The process that reconciles was killed here; nothing may catch this."""


@dataclass(kw_only=True)
class FakeClock:
    """Time that passes when somebody sleeps; kills its reader at one chosen reading.

    Attributes:
        pace: seconds that pass per second of sleep; a fast clock saves looks while something is waited for.
    """

    now: datetime = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    pace: float = 1.0
    num_readings: int = 0
    kills_at: int | None = None

    def __call__(self) -> datetime:
        self.num_readings += 1
        if self.num_readings == self.kills_at:
            raise Killed
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds * self.pace)


@dataclass(kw_only=True)
class FakeShard:
    """One shard on a machine; it lives on when the agent is killed."""

    spec: ShardSpec
    port: int
    num_looks: int = 0
    num_restarts: int = 0
    num_requests: int = 0
    failure: str = ""

    @property
    def state(self) -> ShardState:
        if self.failure:
            return ShardState.FAILED
        return ShardState.READY if self.num_looks >= LOOKS_UNTIL_READY else ShardState.STARTING


@dataclass(kw_only=True)
class FakeMachine:
    """One machine as the provider keeps it."""

    order: RentOrder
    url: str
    is_running: bool = True
    hangs: bool = False
    shards: dict[str, FakeShard] = field(default_factory=dict)


@dataclass(kw_only=True)
class FakeCloud:
    """Provider `local` without processes.

    Attributes:
        starts: tokens in the order in which agents were started.
        spec_starts: shard ids in the order in which processes were started.
        kills_at: number of the call at which the caller is killed, before (even) or after (odd) it took effect.
    """

    name: str = "local"
    machines: dict[str, FakeMachine] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)
    spec_starts: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    vllm: VllmAvailability = VllmAvailability(is_available=True, version="1")
    rent_failure: str = ""
    release_failure: str = ""
    is_silent: bool = False
    kills_at: int | None = None
    num_points: int = 0
    next_port: int = 9001

    def rent(self, order: RentOrder) -> RentedMachine:
        with self._call("rent"):
            if self.rent_failure:
                raise RentFailedError(self.rent_failure)
            machine = self.machines.setdefault(
                order.machine_token, FakeMachine(order=order, url=self._take_url("https"), is_running=False)
            )
            if not machine.is_running:
                machine.is_running = True
                self.starts.append(order.machine_token)
            return RentedMachine(
                machine_token=order.machine_token, provider_ref=f"ref-{order.machine_token[:8]}", agent_url=machine.url
            )

    def describe(self, machine_token: str) -> MachineDescription:
        with self._call("describe"):
            return self._describe(machine_token)

    def list_tagged(self) -> tuple[MachineDescription, ...]:
        with self._call("list_tagged"):
            return tuple(self._describe(token) for token in sorted(self.machines))

    def release(self, machine_token: str) -> None:
        _check_token(machine_token)
        with self._call("release"):
            if self.release_failure:
                raise RentFailedError(self.release_failure)
            self.machines.pop(machine_token, None)

    def kill_agent(self, machine_token: str) -> None:
        """End the agent without warning; its shards go on."""
        self.machines[machine_token].is_running = False

    def connect(self, access: AgentAccess) -> "FakeAgent":
        """Return a client of the agent behind `access`."""
        return FakeAgent(cloud=self, access=access)

    def build_access(self) -> Access:
        """Return this as everything that reconciling reaches."""
        return Access(find_provider=self._find_provider, connect=self.connect, provider_names=(self.name,))

    def list_shard_states(self) -> dict[str, ShardState]:
        """Return the state of every shard of every machine."""
        return {key: shard.state for machine in self.machines.values() for key, shard in machine.shards.items()}

    def _find_provider(self, name: str) -> "FakeCloud":
        if name != self.name:
            raise MissingCredentialsError(f"no credentials for provider {name}", provider=name)
        return self

    def _describe(self, machine_token: str) -> MachineDescription:
        _check_token(machine_token)
        if self.is_silent:
            raise RentFailedError("the provider does not answer")
        machine = self.machines.get(machine_token)
        if machine is None:
            return MachineDescription(machine_token=machine_token, state=MachineState.GONE)
        return MachineDescription(
            machine_token=machine_token,
            state=MachineState.RUNNING if machine.is_running else MachineState.STOPPED,
            deployment_name=machine.order.deployment_name,
            offer_id=machine.order.offer_id,
            provider_ref=f"ref-{machine_token[:8]}",
            agent_url=machine.url,
        )

    def _take_url(self, scheme: str) -> str:
        self.next_port += 1
        return f"{scheme}://127.0.0.1:{self.next_port}"

    def _call(self, name: str) -> "_Call":
        return _Call(cloud=self, name=name)

    def pass_point(self) -> None:
        """Be killed here when this is the chosen point."""
        self.num_points += 1
        if self.num_points - 1 == self.kills_at:
            raise Killed


@dataclass(kw_only=True)
class _Call:
    """One call from outside: two points at which the caller may be killed."""

    cloud: FakeCloud
    name: str

    def __enter__(self) -> None:
        self.cloud.pass_point()
        self.cloud.calls.append(self.name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.cloud.pass_point()


@dataclass(kw_only=True)
class FakeAgent:
    """A client of one machine's agent; checks token, certificate and address as the real one does."""

    cloud: FakeCloud
    access: AgentAccess

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def get_status(self) -> AgentStatus:
        with self.cloud._call("get_status"):
            return self._report(self._find_machine())

    def put_shards(self, specs: Sequence[ShardSpec]) -> AgentStatus:
        with self.cloud._call("put_shards"):
            machine = self._find_machine()
            wanted = {spec.shard_id: spec for spec in specs}
            kept = {key: shard for key, shard in machine.shards.items() if wanted.get(key) == shard.spec}
            machine.shards = {key: kept.get(key) or self._start(spec) for key, spec in wanted.items()}
            return self._report(machine)

    def get_metrics(self) -> list[ShardMetrics]:
        with self.cloud._call("get_metrics"):
            machine = self._find_machine()
            ready = [(key, shard) for key, shard in machine.shards.items() if shard.state is ShardState.READY]
            return [_define_metrics(key, shard) for key, shard in ready]

    def get_log(self, shard_id: str, tail: int = 200) -> list[str]:
        if shard_id not in self._find_machine().shards:
            raise AgentRefusedError(f"there is no shard {shard_id}", status=404)
        return [f"line {number}" for number in range(1, 6)][-tail:] if tail else []

    def _find_machine(self) -> FakeMachine:
        for machine in self.cloud.machines.values():
            if machine.url == self.access.url and machine.is_running and not machine.hangs:
                self._check_identity(machine)
                return machine
        raise AgentUnreachableError(f"agent {self.access.url} does not answer", url=self.access.url)

    def _check_identity(self, machine: FakeMachine) -> None:
        if machine.order.agent.cert_pem != self.access.cert_pem:
            raise AgentUnreachableError(f"agent {self.access.url}: certificate verify failed")
        if machine.order.agent.token != self.access.token:
            raise AgentRefusedError(f"agent {self.access.url} refused (401)", status=401)

    def _start(self, spec: ShardSpec) -> FakeShard:
        self.cloud.next_port += 1
        self.cloud.spec_starts.append(spec.shard_id)
        return FakeShard(spec=spec, port=self.cloud.next_port)

    def _report(self, machine: FakeMachine) -> AgentStatus:
        if self.cloud.vllm.is_available:
            for shard in machine.shards.values():
                shard.num_looks += 1
        reports = [self._report_shard(key, shard) for key, shard in sorted(machine.shards.items())]
        return AgentStatus(shards=reports, vllm=self.cloud.vllm)

    def _report_shard(self, shard_id: str, shard: FakeShard) -> ShardReport:
        if not self.cloud.vllm.is_available:
            return ShardReport(shard_id=shard_id, state=ShardState.PENDING, reason=self.cloud.vllm.reason)
        return ShardReport(
            shard_id=shard_id,
            state=shard.state,
            reason=shard.failure,
            pid=shard.port + 10_000,
            port=shard.port,
            url=f"http://127.0.0.1:{shard.port}",
            num_restarts=shard.num_restarts,
        )


def _define_metrics(shard_id: str, shard: FakeShard) -> ShardMetrics:
    return ShardMetrics(
        shard_id=shard_id,
        num_running=shard.num_requests,
        num_waiting=0,
        kv_cache_usage_ratio=0.0,
        prompt_tokens_total=0,
        generation_tokens_total=0,
        num_preemptions_total=0,
        observed_at=datetime(2026, 11, 24, tzinfo=UTC),
    )


def _check_token(machine_token: str) -> None:
    try:
        is_token = str(UUID(machine_token)) == machine_token
    except ValueError:
        is_token = False
    if not is_token:
        raise InvalidInputError("machine token is not a UUID", field="machine_token", remedy="give a UUID")
