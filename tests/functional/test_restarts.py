"""Any process may be killed: it comes back, and the deployment is live again without a second start of anything."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clients import GatewayClient
from tests.support.installation import Installation, Person, list_pids, read_command, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.serving]

NAME = "demo"
# What stands in the command line of each process.
PROGRAMS = {
    "web": ("uvicorn", "webapp.asgi"),
    "worker": ("celery", "market,operate"),
    "solver": ("celery", "-Q solve"),
    "beat": ("celery", " beat "),
    "gateway": ("engine.gateway",),
    "collector": ("workers.collector",),
    "traffic": ("workers.traffic",),
}
AGENT = "engine.serving.agent "


@pytest.fixture(scope="module")
def demo(_vllm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with its demo deployment, as `make run` makes it."""
    installation = Installation(folder=tmp_path_factory.mktemp("restarts") / "home")
    try:
        installation.start()
        yield installation
    finally:
        installation.kill()


@pytest.fixture(scope="module")
def operator(demo: Installation) -> Person:
    """Somebody who may look and operate; the demo is live, and nobody else uses it."""
    operator = demo.make_person("ada", "planner")
    operator.wait_state(NAME, "live")
    wait_for(lambda: operator.get_deployment(NAME)["has_background_traffic"], what="the demo's own traffic")
    operator.ask("PUT", f"/deployments/{NAME}/background-traffic", {"is_on": False})
    return operator


@pytest.fixture(scope="module")
def client(demo: Installation, operator: Person) -> GatewayClient:
    """A client whose key the gateway knows."""
    key = operator.ask("POST", f"/deployments/{NAME}/keys", {"name": "test"}, status=201)["key"]
    client = GatewayClient(gateway_url=demo.gateway_url, key=key)
    wait_for(lambda: client.complete() == 200, what="an answer")
    return client


def describe(operator: Person) -> dict[str, Any]:
    """Return who serves: machines held, shards and their processes."""
    deployment = operator.get_deployment(NAME)
    return {
        "state": deployment["state"],
        "machines": sorted(machine["id"] for machine in deployment["machines"] if machine["released_at"] is None),
        "shards": {shard["id"]: (shard["state"], shard["pid"]) for shard in deployment["shards"]},
    }


def try_describe(operator: Person) -> dict[str, Any]:
    """Return who serves, or nothing while the console does not answer."""
    try:
        return describe(operator)
    except httpx.TransportError:
        return {}


def find_servers(installation: Installation) -> set[int]:
    """Return the processes that listen for requests on behalf of shards: one for each shard, wanted or not."""
    zygotes = [pid for pid in installation.list_processes() if "engine.serving.zygote" in read_command(pid)]
    return {pid for pid in zygotes if read_parent(pid) == min(zygotes)}


def count(installation: Installation, words: tuple[str, ...]) -> int:
    """Return how many processes of a kind live; pool processes of a worker are not counted."""
    own = [pid for pid in installation.list_processes() if all(word in read_command(pid) for word in words)]
    return len([pid for pid in own if read_parent(pid) not in own])


def read_parent(pid: int) -> int:
    """Return the parent of a process, 0 when it has just gone."""
    try:
        text = (Path("/proc") / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(text[text.rindex(")") + 2 :].split()[1])


class TestRestarts:
    @pytest.mark.parametrize("name", PROGRAMS)
    def test_brings_a_killed_process_back(
        self, demo: Installation, operator: Person, client: GatewayClient, name: str
    ) -> None:
        before = describe(operator)
        killed = demo.find_program(*PROGRAMS[name])
        os.kill(killed, signal.SIGKILL)

        def is_back() -> bool:
            return count(demo, PROGRAMS[name]) == 1 and demo.find_program(*PROGRAMS[name]) != killed

        wait_for(is_back, what=f"{name} back")
        wait_for(lambda: try_describe(operator) == before, what="the deployment as before")
        wait_for(lambda: client.complete() == 200, what="an answer")

    def test_brings_a_killed_agent_back_to_the_same_shards(
        self, demo: Installation, operator: Person, client: GatewayClient
    ) -> None:
        before = describe(operator)
        killed = demo.find_program(AGENT)
        num_agents = count(demo, (AGENT,))
        os.kill(killed, signal.SIGKILL)
        wait_for(
            lambda: count(demo, (AGENT,)) == num_agents and demo.find_program(AGENT) != killed, what="the agent back"
        )
        wait_for(lambda: describe(operator) == before, what="the deployment as before")
        assert client.complete() == 200

    def test_leaves_everything_started_once(self, demo: Installation, operator: Person) -> None:
        assert {name: count(demo, words) for name, words in PROGRAMS.items()} == dict.fromkeys(PROGRAMS, 1)
        served_by = {pid for _, pid in describe(operator)["shards"].values()}
        assert len(served_by) == 2
        assert served_by <= set(demo.list_processes())
        assert len(find_servers(demo)) == 2

    def test_says_where_it_runs_to_a_second_start(self, demo: Installation) -> None:
        assert f"Medley runs already: {demo.web_url}" in demo.run("up")

    def test_leaves_nothing_when_it_is_stopped(self, demo: Installation) -> None:
        started_s = time.monotonic()
        demo.stop()
        assert time.monotonic() - started_s < 60.0
        assert demo.list_processes() == []

    def test_makes_the_deployment_again_at_the_next_start(self, demo: Installation, operator: Person) -> None:
        demo.start()
        operator.wait_state(NAME, "live")
        assert len(describe(operator)["machines"]) == 2

    def test_leaves_nothing_when_it_is_killed(self, demo: Installation) -> None:
        shards = find_servers(demo)
        os.kill(demo.pid, signal.SIGKILL)
        wait_for(lambda: demo.list_processes() == [], what="an end of all processes")
        assert not shards & set(list_pids())
