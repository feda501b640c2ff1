"""Questions to a running shard over its loopback port: healthy, warm, how busy."""

from enum import StrEnum
from typing import Final, Protocol

import aiohttp

from engine.serving.launch_args import LOOPBACK

_HEALTH_TIMEOUT_S: Final = 2.0
_WARM_UP_TIMEOUT_S: Final = 60.0  # a cold first request may compile kernels
_METRICS_TIMEOUT_S: Final = 1.5
_WARM_UP_PROMPT: Final = [1, 2, 3]  # token ids exist in every vocabulary, words need a tokenizer


class Health(StrEnum):
    """What a shard says of itself."""

    OK = "ok"
    DEAD = "dead"  # its engine process is gone: it will not come back by itself
    SILENT = "silent"


class ShardProbe(Protocol):
    """What the supervisor asks of a shard."""

    async def check_health(self, port: int) -> Health:
        """Return the shard's health; never raises for a shard that does not answer."""
        ...

    async def warm_up(self, port: int, served_model_name: str) -> str:
        """Make the shard generate one token and return why it could not, or nothing."""
        ...


class HttpShardProbe:
    """Asks over HTTP."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def check_health(self, port: int) -> Health:
        """Ask `/health`, which is 503 once the engine process is dead."""
        try:
            async with self._http.get(_url(port, "/health"), timeout=_limit(_HEALTH_TIMEOUT_S)) as response:
                return Health.OK if response.status == 200 else Health.DEAD
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Health.SILENT

    async def warm_up(self, port: int, served_model_name: str) -> str:
        """Send one completion of one token."""
        body = {"model": served_model_name, "prompt": _WARM_UP_PROMPT, "max_tokens": 1, "temperature": 0}
        try:
            async with self._http.post(
                _url(port, "/v1/completions"), json=body, timeout=_limit(_WARM_UP_TIMEOUT_S)
            ) as response:
                return "" if response.status == 200 else f"warm-up answered {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"warm-up failed: {error}"

    async def read_metrics(self, port: int) -> str | None:
        """Return the text of `/metrics`, or None when the shard does not answer in time."""
        try:
            async with self._http.get(_url(port, "/metrics"), timeout=_limit(_METRICS_TIMEOUT_S)) as response:
                return await response.text() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


def _url(port: int, path: str) -> str:
    return f"http://{LOOPBACK}:{port}{path}"


def _limit(total_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total_s)
