"""What a person sees."""

import io

import pytest

from tests.support.supervision import FakeClock
from workers.up.terminal import Terminal


class LiveScreen(io.StringIO):
    """A terminal with a person before it."""

    def isatty(self) -> bool:
        return True


class ClosedScreen(io.StringIO):
    """A terminal whose window is gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


class TestTerminal:
    def test_tells_a_step_once_it_is_done(self, terminal: Terminal, out: io.StringIO, clock: FakeClock) -> None:
        with terminal.step("Counting", "Counted"):
            clock.sleep(1.25)
        assert out.getvalue() == "  ✓ Counted 1.2 s\n"

    def test_does_not_call_a_failed_step_done(self, terminal: Terminal, out: io.StringIO) -> None:
        with pytest.raises(ValueError, match="no"), terminal.step("Counting", "Counted"):
            raise ValueError("no")
        assert out.getvalue() == ""

    def test_shows_a_person_what_is_being_done(self, clock: FakeClock) -> None:
        screen = LiveScreen()
        with Terminal(out=screen, clock=clock).step("Counting", "Counted"):
            assert "… " in screen.getvalue().replace("\x1b[2m", "").replace("\x1b[0m", "")
            assert screen.getvalue().endswith("Counting")
        assert screen.getvalue().endswith("s\x1b[0m\n")

    def test_puts_news_during_a_step_on_lines_of_their_own(self, clock: FakeClock) -> None:
        screen = LiveScreen()
        terminal = Terminal(out=screen, clock=clock)
        with terminal.step("Counting", "Counted"):
            terminal.say("news")
        assert "Counting\r\x1b[2Knews\n" in screen.getvalue()

    def test_marks_warnings_and_news(self, terminal: Terminal, out: io.StringIO) -> None:
        terminal.warn("careful")
        terminal.report("by the way")
        assert out.getvalue() == "  ! careful\n  · by the way\n"

    def test_goes_on_when_the_window_is_gone(self, clock: FakeClock) -> None:
        terminal = Terminal(out=ClosedScreen(), clock=clock)
        terminal.say("hello")
        with terminal.step("Counting", "Counted"):
            clock.sleep(1.0)
        assert clock.now_s == 1.0
