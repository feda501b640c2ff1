"""The `medley` command as a person calls it."""

import json
import sys
from collections.abc import Callable

import pytest

from tests.unit.workers.cli.conftest import WEB_URL, FakeConsole
from workers.cli.main import main
from workers.home import Home

Run = Callable[..., int]
DEMO = {
    "name": "demo",
    "state": "live",
    "model": "demo",
    "gateway_url": "http://127.0.0.1:8401",
    "usd_per_hour": 0.04,
    "shards": [
        {"id": "demo-r1-ab12cd34", "state": "ready", "port": 40001},
        {"id": "demo-r2-ab12cd34", "state": "starting", "port": None},
    ],
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a caller of the command that gives its exit status."""

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["medley", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        code = caught.value.code
        return code if isinstance(code, int) else 0

    return call


class TestVersion:
    def test_is_printed(self, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--version") == 0
        assert capsys.readouterr().out == "medley 0.1.0\n"


class TestStatus:
    def test_answers_in_json(self, run: Run, fake_console: FakeConsole, capsys: pytest.CaptureFixture[str]) -> None:
        fake_console.answer("GET", "/api/v1/deployments", [DEMO])
        assert run("status", "--json") == 0
        assert json.loads(capsys.readouterr().out) == {"web_url": WEB_URL, "deployments": [DEMO]}
        assert fake_console.tokens == ["Bearer mdt_token"]

    def test_answers_in_words(self, run: Run, fake_console: FakeConsole, capsys: pytest.CaptureFixture[str]) -> None:
        fake_console.answer("GET", "/api/v1/deployments", [DEMO])
        assert run("status") == 0
        assert capsys.readouterr().out.splitlines() == [
            "Console http://127.0.0.1:8400",
            "DEPLOYMENT  STATE  MODEL  USD/H  SHARDS     GATEWAY",
            "demo        live   demo   0.04   1/2 ready  http://127.0.0.1:8401",
        ]

    def test_says_when_there_is_no_deployment(
        self, run: Run, fake_console: FakeConsole, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake_console.answer("GET", "/api/v1/deployments", [])
        assert run("status") == 0
        assert "No deployments." in capsys.readouterr().out

    @pytest.mark.parametrize("arguments", [("status",), ("status", "--json"), ("keys", "list", "--deployment", "demo")])
    def test_exits_with_three_when_no_console_runs(
        self, run: Run, home: Home, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
    ) -> None:
        assert run(*arguments) == 3
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err == f"medley: no console runs in {home.folder}: start it with `make run`\n"


class TestKeys:
    PATH = "/api/v1/deployments/demo/keys"

    def test_create_answers_in_json(
        self, run: Run, fake_console: FakeConsole, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake_console.answer("POST", self.PATH, {"id": 7, "key": "mdk_x"}, status=201)
        assert run("keys", "create", "--deployment", "demo", "--json") == 0
        assert json.loads(capsys.readouterr().out) == {"key": "mdk_x"}
        assert fake_console.calls == [("POST", self.PATH, {"name": "command line"})]

    def test_create_names_who_uses_it(
        self, run: Run, fake_console: FakeConsole, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake_console.answer("POST", self.PATH, {"id": 7, "key": "mdk_x"}, status=201)
        assert run("keys", "create", "--deployment", "demo", "--name", "batch") == 0
        assert capsys.readouterr().out == "mdk_x\n"
        assert fake_console.calls == [("POST", self.PATH, {"name": "batch"})]

    def test_create_repeats_what_the_console_says(
        self, run: Run, fake_console: FakeConsole, capsys: pytest.CaptureFixture[str]
    ) -> None:
        error = {
            "code": "not_found",
            "message": "no such deployment",
            "field": "name",
            "remedy": "see the list",
        }
        fake_console.answer("POST", self.PATH, {"error": error}, status=404)
        assert run("keys", "create", "--deployment", "demo") == 1
        assert capsys.readouterr().err == "medley: no such deployment; see the list\n"

    def test_create_refuses_what_would_be_another_address(
        self, run: Run, fake_console: FakeConsole, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("keys", "create", "--deployment", "demo/../other") == 1
        assert "use letters, digits, - and _" in capsys.readouterr().err
        assert fake_console.calls == []

    def test_list_shows_keys_without_their_secret(
        self, run: Run, fake_console: FakeConsole, capsys: pytest.CaptureFixture[str]
    ) -> None:
        keys = [
            {"id": 1, "name": "batch", "prefix": "mdk_abcdefgh", "revoked_at": None},
            {"id": 2, "name": "old", "prefix": "mdk_ijklmnop", "revoked_at": "2026-11-24T12:00:00Z"},
        ]
        fake_console.answer("GET", "/api/v1/deployments/demo", {"keys": keys})
        assert run("keys", "list", "--deployment", "demo") == 0
        assert capsys.readouterr().out.splitlines() == [
            "ID  KEY              STATE               NAME",
            "1   mdk_abcdefgh...  valid               batch",
            "2   mdk_ijklmnop...  revoked 2026-11-24  old",
        ]

    def test_revoke_switches_a_key_off(
        self, run: Run, fake_console: FakeConsole, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake_console.answer("DELETE", f"{self.PATH}/7", None, status=204)
        assert run("keys", "revoke", "7", "--deployment", "demo") == 0
        assert capsys.readouterr().out == "Key 7 is revoked.\n"


class TestStop:
    def test_has_nothing_to_do_when_nothing_runs(
        self, run: Run, home: Home, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("stop") == 0
        assert capsys.readouterr().out == "Medley does not run.\n"
