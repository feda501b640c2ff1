"""Fetching the shards' figures from node agents."""

import ssl
from typing import Final

import aiohttp
from pydantic import ValidationError

from engine.errors import UnavailableError
from engine.serving.client import build_pinned_context
from engine.serving.protocol import AgentMetrics, ShardMetrics
from webapp.deployments.access import AgentAccess
from workers.collecting.wording import describe_failure

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)


class AgentSilentError(UnavailableError):
    """The agent did not answer, or something else answered in its place."""

    code = "agent_silent"


class AgentSource:
    """One node agent; the session is the caller's."""

    def __init__(self, *, session: aiohttp.ClientSession, access: AgentAccess) -> None:
        self._session = session
        self._access = access
        self._context: ssl.SSLContext = build_pinned_context(access.cert_pem)

    async def fetch(self) -> list[ShardMetrics]:
        """Return the figures of the shards that could be read just now.

        Raises:
            AgentSilentError: no answer, or not one of the agent.
        """
        url = self._access.url
        headers = {"Authorization": f"Bearer {self._access.token}"}
        address = f"{url.rstrip('/')}/v1/metrics"
        try:
            async with self._session.get(address, headers=headers, ssl=self._context, timeout=_TIMEOUT) as response:
                body = await response.read()
                if response.status != 200:
                    raise AgentSilentError(f"agent {url} answered {response.status}", url=url)
                return AgentMetrics.model_validate_json(body).shards
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError) as error:
            raise AgentSilentError(f"agent {url} does not answer: {describe_failure(error)}", url=url) from error
        except ValidationError as error:
            raise AgentSilentError(f"{url} answered something else: {error.errors()[0]['msg']}", url=url) from error
