"""pytest plugin for CI, `-p tests.support.no_skips`: a test that was skipped is a failure.

Only tests marked `data` may be skipped, and only where `MEDLEY_DATA` names no measurements.
"""

import os

import pytest


class SkipWatch:
    """Remembers the tests that were skipped."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skipped test, unless it needs measurements that are not here."""
        if report.skipped and not hasattr(report, "wasxfail"):
            is_allowed = "data" in report.keywords and not os.environ.get("MEDLEY_DATA")
            if not is_allowed:
                self.skipped.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that was skipped as a whole."""
        if report.skipped:
            self.skipped.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that would pass."""
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the tests."""
        if self.skipped:
            terminalreporter.section("tests that must not be skipped here", sep="!")
            for nodeid in self.skipped:
                terminalreporter.line(nodeid)


def pytest_configure(config: pytest.Config) -> None:
    """Watch this run."""
    config.pluginmanager.register(SkipWatch(), "skip-watch")
