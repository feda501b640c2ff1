"""One supervisor per installation."""

import os

import pytest

from workers.home import Home
from workers.up import presence
from workers.up.presence import Presence


class TestClaim:
    def test_gives_the_installation_to_one(self, home: Home) -> None:
        lock = presence.claim(home)
        assert lock is not None
        try:
            assert presence.claim(home) is None
        finally:
            os.close(lock)
        again = presence.claim(home)
        assert again is not None
        os.close(again)


class TestFindRunning:
    def test_finds_nothing_in_a_new_installation(self, home: Home) -> None:
        assert presence.find_running(home) is None

    def test_tells_the_process_while_it_is_starting(self, home: Home) -> None:
        lock = presence.claim(home)
        assert lock is not None
        assert presence.find_running(home) == Presence(pid=os.getpid())
        os.close(lock)

    def test_tells_where_the_console_is(self, home: Home) -> None:
        lock = presence.claim(home)
        assert lock is not None
        told = Presence(pid=os.getpid(), web_url="http://127.0.0.1:8400", gateway_url="http://127.0.0.1:8401")
        presence.announce(home, told)
        assert presence.find_running(home) == told
        os.close(lock)

    def test_does_not_believe_what_a_killed_one_left(self, home: Home) -> None:
        presence.announce(home, Presence(pid=os.getpid(), web_url="http://127.0.0.1:8400"))
        assert presence.find_running(home) is None

    @pytest.mark.parametrize("text", ["", "{", '{"port": 1}'])
    def test_bears_a_broken_file(self, home: Home, text: str) -> None:
        lock = presence.claim(home)
        assert lock is not None
        home.up.write_text(text)
        assert presence.find_running(home) == Presence(pid=os.getpid())
        os.close(lock)
