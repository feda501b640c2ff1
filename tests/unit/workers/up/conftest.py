"""A world without processes and time for the supervisor's parts."""

import io
from pathlib import Path

import pytest

from tests.support.supervision import FakeClock, FakeHost
from workers.home import Home
from workers.up.terminal import Terminal


@pytest.fixture
def clock() -> FakeClock:
    """Time that stands still."""
    return FakeClock()


@pytest.fixture
def host() -> FakeHost:
    """Nothing runs."""
    return FakeHost()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty installation."""
    home = Home(folder=tmp_path / "home")
    home.logs.mkdir(parents=True)
    return home


@pytest.fixture
def out() -> io.StringIO:
    """What a person reads."""
    return io.StringIO()


@pytest.fixture
def terminal(out: io.StringIO, clock: FakeClock) -> Terminal:
    """A terminal that is no terminal."""
    return Terminal(out=out, clock=clock)
