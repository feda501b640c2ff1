"""The console's side of the agent protocol: synchronous, certificate pinned, errors in words."""

import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from engine.errors import RefusedError, UnavailableError
from engine.serving.protocol import (
    AgentMetrics,
    AgentStatus,
    DesiredShards,
    ShardLog,
    ShardMetrics,
    ShardSpec,
)

_TIMEOUT_S: Final = 5.0  # an agent answers from memory; only metrics ask the shards, with their own limit

M = TypeVar("M", bound=BaseModel)


class AgentUnreachableError(UnavailableError):
    """The agent did not answer, or something else answered in its place."""

    code = "agent_unreachable"


class AgentRefusedError(RefusedError):
    """The agent answered and declined: wrong token, unknown shard or a body it does not accept."""

    code = "agent_refused"


class AgentClient:
    """Talks to one node agent; use as a context manager or call `close`."""

    def __init__(self, url: str, cert_pem: str, token: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            verify=build_pinned_context(cert_pem),
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_s,
            trust_env=False,  # a proxy of the environment must never see the token
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get_status(self) -> AgentStatus:
        """Return all shards of the machine and whether it can start any."""
        return self._call("GET", "/v1/status", AgentStatus)

    def put_shards(self, specs: Sequence[ShardSpec]) -> AgentStatus:
        """Declare the complete list of shards that shall run; repeating it changes nothing."""
        body = DesiredShards(shards=list(specs))
        return self._call("PUT", "/v1/shards", AgentStatus, content=body.model_dump_json())

    def get_metrics(self) -> list[ShardMetrics]:
        """Return the gauges and counters of the shards that could be read just now."""
        return self._call("GET", "/v1/metrics", AgentMetrics).shards

    def get_log(self, shard_id: str, tail: int = 200) -> list[str]:
        """Return the latest `tail` log lines of a shard, oldest first."""
        return self._call("GET", f"/v1/shards/{shard_id}/log?tail={tail}", ShardLog).lines

    def _call(self, method: str, path: str, answer: type[M], *, content: str | None = None) -> M:
        try:
            response = self._http.request(method, path, content=content)
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise AgentUnreachableError(f"agent {self.url} does not answer: {error}", url=self.url) from error
        if response.status_code != httpx.codes.OK:
            self._raise_for_answer(response)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            raise AgentUnreachableError(
                f"agent {self.url} answered {path} with something else: {error.errors()[0]['msg']}", url=self.url
            ) from error

    def _raise_for_answer(self, response: httpx.Response) -> None:
        text = response.text[:500]
        if response.is_server_error:
            raise AgentUnreachableError(f"agent {self.url} failed ({response.status_code}): {text}", url=self.url)
        raise AgentRefusedError(
            f"agent {self.url} refused ({response.status_code}): {text}", url=self.url, status=response.status_code
        )


def build_pinned_context(cert_pem: str) -> ssl.SSLContext:
    """Return a TLS context that trusts exactly this certificate and no authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=cert_pem)
    return context
