"""Sending a replay's requests to the gateway as a client would: streamed, bounded, and stopped at once."""

import asyncio
import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp

from engine.domain.slo import compute_tpot_s, is_met
from webapp.telemetry.background import TrafficTarget
from workers.collecting.wording import describe_failure
from workers.replaying.keys import KeyRing
from workers.replaying.prompts import make_prompt
from workers.replaying.throttle import Throttle
from workers.replaying.trace import Arrival

logger: Final = logging.getLogger(__name__)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=120.0, sock_connect=2.0)
_UNAUTHORIZED: Final = 401
_ERRORS_FROM: Final = 400
_GRACE_S: Final = 0.5  # for requests on their way when traffic is switched off
_SETTLE_S: Final = 1.5  # gateways ask for new keys every second
_RENEW_AFTER_S: Final = 10.0  # a key refused for so long was revoked


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How the gateway answered one request.

    Attributes:
        status: of HTTP.
        ttft_s: until the first piece of the answer [s].
        e2e_s: until its end [s].
    """

    status: int
    ttft_s: float
    e2e_s: float


class Client(Protocol):
    """See `GatewayClient`."""

    async def send(self, *, key: str, model_name: str, prompt: str, output_tokens: int) -> Answer:
        """Send one request and read its answer to the end."""
        ...


@dataclass(frozen=True, slots=True)
class GatewayClient:
    """The gateway's OpenAI surface; the session is the caller's."""

    session: aiohttp.ClientSession
    url: str

    async def send(self, *, key: str, model_name: str, prompt: str, output_tokens: int) -> Answer:
        """Send one streamed chat request and read its answer to the end.

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
        loop = asyncio.get_running_loop()
        started_at = first_at = loop.time()
        async with self.session.post(address, json=body, headers=headers, timeout=_TIMEOUT) as response:
            async for _ in response.content.iter_any():
                first_at = loop.time() if first_at == started_at else first_at
            return Answer(status=response.status, ttft_s=first_at - started_at, e2e_s=loop.time() - started_at)


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
        self._throttle = Throttle(requests_per_s=target.requests_per_s)
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
        await asyncio.sleep(_SETTLE_S)
        started_at = loop.time()
        for arrival in self._arrivals:
            await asyncio.sleep(started_at + arrival.due_s - loop.time())
            if self._is_key_refused(loop.time()):
                self._refused_since = None
                self._key = await self._keys.renew(self.target.deployment_name)
            if len(self._open) >= self._throttle.limit:
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
            answer = await self._client.send(
                key=key,
                model_name=self.target.model_name,
                prompt=make_prompt(arrival.prompt_tokens, self._rng),
                output_tokens=arrival.output_tokens,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            self._throttle.note(is_good=False, now_s=asyncio.get_running_loop().time())
            self._tell(f"the gateway does not answer: {describe_failure(error)}")
            return
        self._throttle.note(is_good=self._is_good(answer, arrival), now_s=asyncio.get_running_loop().time())
        if key == self._key:
            self._note_status(answer.status)

    def _is_good(self, answer: Answer, arrival: Arrival) -> bool:
        tpot_s = compute_tpot_s(ttft_s=answer.ttft_s, e2e_s=answer.e2e_s, output_tokens=arrival.output_tokens)
        within_slo = is_met(self.target.slo, ttft_s=answer.ttft_s, tpot_s=tpot_s, e2e_s=answer.e2e_s)
        return answer.status < _ERRORS_FROM and within_slo

    def _note_status(self, status: int) -> None:
        if status != _UNAUTHORIZED:
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = asyncio.get_running_loop().time()
        self._tell("" if status < _ERRORS_FROM else f"the gateway answers {status}")

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
