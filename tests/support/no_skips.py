"""pytest plugin for CI, `-p tests.support.no_skips`: a test that was skipped is a failure.

Two kinds may be skipped: `data` where `MEDLEY_DATA` names no measurements, and `row_locks` on SQLite, because CI runs
those on PostgreSQL as well.
"""

import os

import pytest


class SkipWatch:
    """Remembers the tests that were skipped."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skipped test, unless it is one of the kinds that may be."""
        if report.skipped and not hasattr(report, "wasxfail") and not _may_be_skipped(report):
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


def _may_be_skipped(report: pytest.TestReport) -> bool:
    needs_data = "data" in report.keywords and not os.environ.get("MEDLEY_DATA")
    return needs_data or ("row_locks" in report.keywords and not os.environ.get("DATABASE_URL"))


def pytest_configure(config: pytest.Config) -> None:
    """Watch this run."""
    config.pluginmanager.register(SkipWatch(), "skip-watch")
