"""Sending a replay's requests to the gateway as a client would: streamed, bounded, and stopped at once."""

import asyncio
import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp

from webapp.telemetry.background import TrafficTarget
from workers.replaying.keys import KeyRing
from workers.replaying.prompts import make_prompt
from workers.replaying.trace import Arrival

logger: Final = logging.getLogger(__name__)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=120.0, sock_connect=2.0)
_UNAUTHORIZED: Final = 401
_IN_FLIGHT_S: Final = 5.0  # so many seconds of arrivals may be on their way; more is a service that does not keep up
_FEWEST_IN_FLIGHT: Final = 4
_MOST_IN_FLIGHT: Final = 256
_GRACE_S: Final = 0.5  # for requests on their way when traffic is switched off
_RENEW_AFTER_S: Final = 10.0  # a new key is known to gateways within a second or two


class Client(Protocol):
    """See `GatewayClient`."""

    async def send(self, *, key: str, model_name: str, prompt: str, output_tokens: int) -> int:
        """Send one request and read its answer to the end; return the HTTP status."""
        ...


@dataclass(frozen=True, slots=True)
class GatewayClient:
    """The gateway's OpenAI surface; the session is the caller's."""

    session: aiohttp.ClientSession
    url: str

    async def send(self, *, key: str, model_name: str, prompt: str, output_tokens: int) -> int:
        """Send one streamed chat request and read its answer to the end; return the HTTP status.

        Raises:
            aiohttp.ClientError, TimeoutError: the gateway is not there, or the answer broke off.
        """
        body = {
            "model": model_name,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": output_tokens,
            "ignore_eos": True,  # lengths are those of the trace, whatever the model has to say
            "temperature": 0.0,
            "stream": True,
        }
        address = f"{self.url.rstrip('/')}/v1/chat/completions"
        headers = {"Authorization": f"Bearer {key}"}
        async with self.session.post(address, json=body, headers=headers, timeout=_TIMEOUT) as response:
            async for _ in response.content.iter_any():
                pass
            return response.status


def compute_most_in_flight(requests_per_s: float) -> int:
    """Return how many requests may be on their way at once; further ones are left out, never queued."""
    return min(max(_FEWEST_IN_FLIGHT, round(requests_per_s * _IN_FLIGHT_S)), _MOST_IN_FLIGHT)


class Replay:
    """Background traffic of one deployment, from `start` to `stop`."""

    def __init__(
        self,
        target: TrafficTarget,
        *,
        arrivals: Iterable[Arrival],
        client: Client,
        keys: KeyRing,
        rng: random.Random,
    ) -> None:
        self.target = target
        self.num_sent = 0
        self.num_left_out = 0
        self._arrivals = arrivals
        self._client = client
        self._keys = keys
        self._rng = rng
        self._most_in_flight = compute_most_in_flight(target.requests_per_s)
        self._open: set[asyncio.Task[None]] = set()
        self._runner: asyncio.Task[None] | None = None
        self._problem = ""
        self._refused_since: float | None = None  # first refusal of the present key, on the loop's clock
        self._key = ""

    @property
    def is_over(self) -> bool:
        """Whether the runner ended by itself: it could not get a key."""
        return self._runner is not None and self._runner.done()

    @property
    def num_in_flight(self) -> int:
        """Requests on their way."""
        return len(self._open)

    def start(self) -> None:
        """Begin to send."""
        logger.info("%s: sending %.2f requests/s", self.target.deployment_name, self.target.requests_per_s)
        self._runner = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Send nothing any more; what is on its way gets a moment to end."""
        if self._runner is not None:
            self._runner.cancel()
            [outcome] = await asyncio.gather(self._runner, return_exceptions=True)
            if isinstance(outcome, Exception):
                logger.warning("%s: %s", self.target.deployment_name, outcome)
        await self._end_open()
        logger.info(
            "%s: stopped after %d requests; %d left out", self.target.deployment_name, self.num_sent, self.num_left_out
        )

    async def _end_open(self) -> None:
        tasks = tuple(self._open)
        if tasks:
            await asyncio.wait(tasks, timeout=_GRACE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        self._key = await self._keys.get(self.target.deployment_name)
        started_at = loop.time()
        for arrival in self._arrivals:
            await asyncio.sleep(started_at + arrival.due_s - loop.time())
            if self._is_key_refused(loop.time()):
                self._refused_since = None
                self._key = await self._keys.renew(self.target.deployment_name)
            if len(self._open) >= self._most_in_flight:
                self.num_left_out += 1
                continue
            self._send(arrival)

    def _is_key_refused(self, now_s: float) -> bool:
        return self._refused_since is not None and now_s - self._refused_since > _RENEW_AFTER_S

    def _send(self, arrival: Arrival) -> None:
        self.num_sent += 1
        task = asyncio.ensure_future(self._send_one(arrival))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _send_one(self, arrival: Arrival) -> None:
        key = self._key
        try:
            status = await self._client.send(
                key=key,
                model_name=self.target.model_name,
                prompt=make_prompt(arrival.prompt_tokens, self._rng),
                output_tokens=arrival.output_tokens,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            self._tell(f"the gateway does not answer: {error!r}")
            return
        if key == self._key:
            self._note_status(status)

    def _note_status(self, status: int) -> None:
        if status != _UNAUTHORIZED:
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = asyncio.get_running_loop().time()
        self._tell("" if status < 400 else f"the gateway answers {status}")

    def _tell(self, problem: str) -> None:
        """Log a problem once, and its end."""
        if problem != self._problem:
            self._problem = problem
            logger.log(
                logging.WARNING if problem else logging.INFO,
                "%s: %s",
                self.target.deployment_name,
                problem or "the gateway answers again",
            )
