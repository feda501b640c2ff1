"""How the console reaches providers and node agents: real ones by default, others in tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self

from django.conf import settings

from engine.clouds import registry
from engine.clouds.local import LocalSettings
from engine.clouds.port import CloudProvider
from engine.serving.client import AgentClient
from engine.serving.protocol import AgentStatus, ShardMetrics, ShardSpec
from webapp.deployments import states
from webapp.deployments.models import Machine
from webapp.deployments.secrets import decrypt_agent_secrets

_TIMEOUT_S: Final = 3.0  # an agent answers from memory; a pass must not wait long for one that hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAccess:
    """What is needed to talk to the agent of one machine."""

    machine_id: int
    deployment_id: int
    deployment_name: str
    url: str
    cert_pem: str
    token: str = field(repr=False)


class Agent(Protocol):
    """The console's side of one node agent."""

    def __enter__(self) -> Self:
        """Open it."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        ...

    def get_status(self) -> AgentStatus:
        """See `AgentClient`."""
        ...

    def put_shards(self, specs: Sequence[ShardSpec]) -> AgentStatus:
        """See `AgentClient`."""
        ...

    def get_metrics(self) -> list[ShardMetrics]:
        """See `AgentClient`."""
        ...

    def get_log(self, shard_id: str, tail: int = 200) -> list[str]:
        """See `AgentClient`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Everything outside that reconciling needs.

    Attributes:
        find_provider: adapter of a provider by its word; raises `MissingCredentialsError`.
        connect: client of an agent.
        provider_names: providers that may hold machines of ours.
    """

    find_provider: Callable[[str], CloudProvider]
    connect: Callable[[AgentAccess], Agent]
    provider_names: tuple[str, ...]


def find_provider(name: str) -> CloudProvider:
    """Return the adapter of a provider with this installation's settings.

    Raises:
        MissingCredentialsError: machines of this provider can be planned, not yet rented.
    """
    local = LocalSettings(home=settings.MEDLEY_HOME, vllm_python=settings.MEDLEY_VLLM_PYTHON)
    return registry.get_provider(name, local=local)


def connect_agent(access: AgentAccess) -> AgentClient:
    """Return a client that trusts exactly the machine's certificate."""
    return AgentClient(access.url, access.cert_pem, access.token, timeout_s=_TIMEOUT_S)


REAL_ACCESS: Final = Access(
    find_provider=find_provider, connect=connect_agent, provider_names=registry.RENTABLE_PROVIDERS
)


def get_agent_access(machine: Machine, *, url: str) -> AgentAccess:
    """Return the access to a machine's agent at `url`.

    Raises:
        UnreadableSecretError: SECRET_KEY has changed since the machine was reserved.
    """
    return AgentAccess(
        machine_id=machine.pk,
        deployment_id=machine.deployment_id,
        deployment_name=machine.deployment.name,
        url=url,
        cert_pem=machine.agent_cert_pem,
        token=decrypt_agent_secrets(machine.agent_secrets_encrypted).token,
    )


def list_agents() -> list[AgentAccess]:
    """Return the access to every agent that may answer now, ordered by machine."""
    rows = Machine.objects.filter(state__in=states.RENTED).exclude(agent_url="")
    return [
        get_agent_access(machine, url=machine.agent_url) for machine in rows.select_related("deployment").order_by("pk")
    ]
