"""Fetching finished requests from a gateway."""

from dataclasses import dataclass, field
from typing import Final

import aiohttp
from pydantic import ValidationError

from engine.errors import UnavailableError
from engine.gateway.protocol import MAX_RECORDS_PER_ANSWER, GatewayStats, RequestRecord
from workers.collecting.requests import FinishedRequest, from_unix
from workers.collecting.wording import describe_failure

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)
_MAX_PAGES: Final = 25  # of one fetch: more than a gateway keeps
_PATH: Final = "/internal/stats"


class GatewayUnreachableError(UnavailableError):
    """The gateway did not answer, or something else answered in its place."""

    code = "gateway_unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayReading:
    """What one gateway process has to tell.

    Attributes:
        instance: identity of the process; numbers of requests start anew with each.
        requests: finished requests in order of their number.
        next_seq: number of the first request that is not among them.
    """

    instance: str
    requests: tuple[FinishedRequest, ...]
    in_flight: dict[str, int]
    next_seq: int


@dataclass(slots=True, kw_only=True)
class GatewaySource:
    """One gateway; the session is the caller's."""

    session: aiohttp.ClientSession
    url: str
    token: str = field(repr=False)

    async def fetch(self, *, instance: str, since: int) -> GatewayReading:
        """Return the requests numbered `since` and up; all of them when the process is not `instance`.

        Raises:
            GatewayUnreachableError: no answer, or not one of a gateway.
        """
        first = await self._get_page(since)
        if first.instance != instance and since > 1:
            first = await self._get_page(1)
        pages = [first]
        while len(pages[-1].records) == MAX_RECORDS_PER_ANSWER and len(pages) < _MAX_PAGES:
            page = await self._get_page(pages[-1].next_seq)
            if page.instance != first.instance:
                break  # restarted just now: the next fetch begins with it
            pages.append(page)
        return _join(pages)

    async def _get_page(self, since: int) -> GatewayStats:
        headers = {"Authorization": f"Bearer {self.token}"}
        address = f"{self.url.rstrip('/')}{_PATH}?since={since}"
        try:
            async with self.session.get(address, headers=headers, timeout=_TIMEOUT) as response:
                body = await response.read()
                if response.status != 200:
                    raise GatewayUnreachableError(f"gateway {self.url} answered {response.status}", url=self.url)
                return GatewayStats.model_validate_json(body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise GatewayUnreachableError(
                f"gateway {self.url} does not answer: {describe_failure(error)}", url=self.url
            ) from error
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise GatewayUnreachableError(f"{self.url} answered something else: {reason}", url=self.url) from error


def _join(pages: list[GatewayStats]) -> GatewayReading:
    latest = pages[-1]
    return GatewayReading(
        instance=latest.instance,
        requests=tuple(_to_request(record) for page in pages for record in page.records),
        in_flight=dict(latest.in_flight),
        next_seq=latest.next_seq,
    )


def _to_request(record: RequestRecord) -> FinishedRequest:
    return FinishedRequest(
        seq=record.seq,
        deployment=record.deployment,
        finished_at=from_unix(record.finished_at),
        outcome=record.outcome,
        ttft_s=record.ttft_s,
        tpot_s=record.tpot_s,
        e2e_s=record.e2e_s,
        prompt_tokens=record.prompt_tokens,
        output_tokens=record.output_tokens,
        is_within_slo=record.is_within_slo,
    )
