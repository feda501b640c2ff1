"""Failures in words."""

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from workers.collecting.wording import describe_failure

_KEY = ConnectionKey(
    host="127.0.0.1", port=1, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)


class TestDescribeFailure:
    """A failure..."""

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (TimeoutError(), "it took too long"),
            (aiohttp.ServerTimeoutError(), "it took too long"),
            (aiohttp.ClientConnectorError(_KEY, ConnectionRefusedError(111, "refused")), "[Errno 111] refused"),
            (aiohttp.ServerDisconnectedError(), "Server disconnected"),
            (aiohttp.ClientPayloadError(), "ClientPayloadError"),
        ],
    )
    def test_is_told_in_few_words(self, error: Exception, expected: str) -> None:
        assert describe_failure(error) == expected
