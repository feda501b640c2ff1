"""Choice of ports."""

import socket

import pytest

from workers.up.ports import NoPortError, PortTakenError, is_free, pick_port


def pick(*, asked: int | None = None, busy: frozenset[int] = frozenset(), taken: frozenset[int] = frozenset()) -> int:
    return pick_port(
        host="127.0.0.1",
        asked=asked,
        variable="MEDLEY_WEB_PORT",
        first=8400,
        taken=taken,
        free=lambda _host, port: port not in busy,
    )


class TestPickPort:
    def test_takes_the_usual_one(self) -> None:
        assert pick() == 8400

    def test_takes_the_next_free_one(self) -> None:
        assert pick(busy=frozenset({8400, 8401})) == 8402

    def test_leaves_ports_given_to_others(self) -> None:
        assert pick(taken=frozenset({8400})) == 8401

    def test_takes_exactly_the_one_asked_for(self) -> None:
        assert pick(asked=9000) == 9000

    def test_refuses_a_port_in_use_and_names_the_variable(self) -> None:
        with pytest.raises(PortTakenError, match=r"port 9000 on 127\.0\.0\.1 is in use") as caught:
            pick(asked=9000, busy=frozenset({9000}))
        assert caught.value.field == "MEDLEY_WEB_PORT"

    def test_gives_up_after_a_hundred(self) -> None:
        with pytest.raises(NoPortError, match="no port from 8400 to 8499"):
            pick(busy=frozenset(range(8400, 8500)))


class TestIsFree:
    def test_sees_a_listener(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = int(listener.getsockname()[1])
            assert not is_free("127.0.0.1", port)
        assert is_free("127.0.0.1", port)
