"""What the processes are told."""

import sys

import pytest

from workers.home import Home
from workers.up.programs import Layout, define_django_once, define_environment, define_programs


def make_layout(home: Home, *, host: str = "127.0.0.1", **environment: str) -> Layout:
    return Layout(home=home, host=host, web_port=8400, gateway_port=8401, gateway_token="hush", environment=environment)


class TestLayout:
    @pytest.mark.parametrize(
        ("host", "url"),
        [
            ("127.0.0.1", "http://127.0.0.1:8400"),
            ("0.0.0.0", "http://127.0.0.1:8400"),  # noqa: S104  # only compared
            ("::1", "http://[::1]:8400"),
            ("10.1.2.3", "http://10.1.2.3:8400"),
        ],
    )
    def test_tells_an_address_that_can_be_reached(self, home: Home, host: str, url: str) -> None:
        assert make_layout(home, host=host).web_url == url

    def test_keeps_a_public_address(self, home: Home) -> None:
        layout = make_layout(home, MEDLEY_WEB_URL="https://medley.example", MEDLEY_GATEWAY_URL="https://llm.example")
        assert (layout.web_url, layout.gateway_url) == ("https://medley.example", "https://llm.example")
        assert layout.probe_url == "http://127.0.0.1:8400"

    def test_shows_no_secret(self, home: Home) -> None:
        assert "hush" not in repr(make_layout(home, MEDLEY_SECRET_KEY="hush"))


class TestDefinePrograms:
    def test_names_all_processes(self, home: Home) -> None:
        names = [program.name for program in define_programs(make_layout(home))]
        assert names == ["web", "gateway", "worker", "solver", "beat", "collector", "traffic"]

    def test_gives_the_token_to_the_gateway_alone(self, home: Home) -> None:
        holders = [
            program.name
            for program in define_programs(make_layout(home))
            if "MEDLEY_GATEWAY_TOKEN" in program.environment
        ]
        assert holders == ["gateway"]

    def test_lets_the_gateway_ask_this_machine_for_its_table(self, home: Home) -> None:
        layout = make_layout(home, MEDLEY_WEB_URL="https://medley.example")
        gateway = next(program for program in define_programs(layout) if program.name == "gateway")
        assert gateway.command == (
            *(sys.executable, "-m", "engine.gateway", "--console-url", "http://127.0.0.1:8400"),
            *("--host", "127.0.0.1", "--port", "8401", "--state-dir", str(home.gateway_state)),
        )

    def test_splits_the_queues(self, home: Home) -> None:
        commands = {program.name: program.command for program in define_programs(make_layout(home))}
        assert "market,operate" in commands["worker"]
        assert "solve" in commands["solver"]
        assert str(home.beat_schedule) in commands["beat"]


class TestDefineEnvironment:
    def test_tells_where_everything_is(self, home: Home) -> None:
        environment = define_environment(make_layout(home, PATH="/bin"))
        assert environment == {
            "DJANGO_SETTINGS_MODULE": "webapp.settings.base",
            "PATH": "/bin",
            "MEDLEY_HOME": str(home.folder),
            "MEDLEY_WEB_URL": "http://127.0.0.1:8400",
            "MEDLEY_GATEWAY_URL": "http://127.0.0.1:8401",
            "PYTHONUNBUFFERED": "1",
        }


class TestDefineDjangoOnce:
    def test_runs_a_module_with_django(self, home: Home) -> None:
        program = define_django_once(make_layout(home), "prepare", "workers.up.prepare")
        assert program.command == (sys.executable, "-m", "workers.with_django", "workers.up.prepare")
