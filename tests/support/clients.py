"""Clients of the gateway: many requests at once, what came of each."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

_TIMEOUT_S: Final = 60.0
_THREADS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayClient:
    """One client with a key."""

    gateway_url: str
    key: str

    def _make_request(self, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "url": f"{self.gateway_url}/v1/completions",
            "json": {"model": "demo", "prompt": "def main(): return", "max_tokens": 16, **body},
            "headers": {"Authorization": f"Bearer {self.key}"},
            "timeout": _TIMEOUT_S,
        }

    def complete(self) -> int:
        """Return the HTTP status of one request, 0 when the connection failed."""
        try:
            with httpx.Client(trust_env=False) as http:
                response = http.post(**self._make_request({}))
        except httpx.TransportError:
            return 0
        return response.status_code

    def stream(self) -> int:
        """Return the number of text chunks of one streamed answer that ended as it should; 0 when it did not."""
        chunks, is_done = 0, False
        request = self._make_request({"stream": True, "temperature": 1.0, "ignore_eos": True})
        with httpx.Client(trust_env=False) as http, http.stream("POST", **request) as response:
            assert response.status_code == 200, response.read()
            for line in response.iter_lines():
                data = line.removeprefix("data: ")
                is_done = is_done or data == "[DONE]"
                chunks += line.startswith("data: ") and data != "[DONE]" and bool(json.loads(data)["choices"])
        return chunks if is_done else 0

    def stream_many(self, num_requests: int) -> list[int]:
        """Return the chunks of each of many streamed answers."""
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(lambda _: self.stream(), range(num_requests)))


@dataclass
class Load:
    """Requests without a pause until it is stopped."""

    client: GatewayClient
    statuses: list[int] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._run) for _ in range(_THREADS // 2)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def wait_more(self, num_requests: int) -> None:
        """Wait until that many more requests have been answered."""
        target, deadline_s = len(self.statuses) + num_requests, time.monotonic() + 4 * _TIMEOUT_S
        while len(self.statuses) < target:
            assert time.monotonic() < deadline_s, f"{len(self.statuses)} of {target} requests answered"
            time.sleep(0.05)

    def _run(self) -> None:
        while not self._ending.is_set():
            self.statuses.append(self.client.complete())
