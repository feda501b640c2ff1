"""The port every provider implements: rent, describe, list and release machines."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from engine.errors import RefusedError, UnavailableError


class MissingCredentialsError(RefusedError):
    """The provider is known, but this console may not rent there yet."""

    code = "missing_credentials"


class RentFailedError(UnavailableError):
    """The provider did not give the machine this time."""

    code = "rent_failed"


class MachineState(StrEnum):
    """What the provider says of a machine; `stopped` can be rented again under the same token, `gone` is over."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBootstrap:
    """What the node agent of a new machine must know; made by the console, pinned at rent time.

    Attributes:
        token: bearer token that the agent asks of its callers.
    """

    token: str = field(repr=False)
    cert_pem: str
    key_pem: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RentOrder:
    """One machine to rent.

    Attributes:
        machine_token: UUID; the idempotency key and the machine's tag at the provider.
        deployment_name: second tag, so that a person can tell machines apart at the provider.
    """

    machine_token: str
    deployment_name: str
    offer_id: str
    agent: AgentBootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class RentedMachine:
    """A machine that was rented; `agent_url` is empty until the provider gave it an address."""

    machine_token: str
    provider_ref: str
    agent_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDescription:
    """A machine as its provider sees it now."""

    machine_token: str
    state: MachineState
    deployment_name: str = ""
    offer_id: str = ""
    provider_ref: str = ""
    agent_url: str = ""


class CloudProvider(Protocol):
    """A place that rents machines. Every call may be repeated, and may be killed in between."""

    @property
    def name(self) -> str:
        """Provider word of the offers, e.g. `local`."""
        ...

    def rent(self, order: RentOrder) -> RentedMachine:
        """Rent the machine of this order, or return the one that was already rented under its token.

        A machine that is `stopped` is started again.

        Raises:
            MissingCredentialsError: the console has no credentials for this provider.
            RentFailedError: the provider did not give it now.
        """
        ...

    def describe(self, machine_token: str) -> MachineDescription:
        """Return the machine's state; a token that was never rented is `gone`. Starts nothing."""
        ...

    def list_tagged(self) -> tuple[MachineDescription, ...]:
        """Return every machine that carries Medley's tag, whoever wants it, ordered by token."""
        ...

    def release(self, machine_token: str) -> None:
        """Give the machine back with all that runs on it; a machine that is gone stays gone."""
        ...
