"""The preloaded process's conversation, with a stand-in for vLLM: a child that ends with the code it is told."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.serving.zygote import Zygote

ZYGOTE_PROGRAM = """
import os, socket, sys
from engine.serving.zygote import Zygote
listener = socket.socket(fileno=int(sys.argv[1]))
def run_shard(args):
    print("served", args, os.environ["SHARD_WORD"])
    sys.exit(int(args[0]))
Zygote(listener, run_shard=run_shard, lock_fd=int(sys.argv[2])).serve()
"""


class Client:
    """One connection."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw")

    def ask(self, **request: object) -> dict[str, Any]:
        self.file.write(json.dumps(request) + "\n")
        self.file.flush()
        answer: dict[str, Any] = json.loads(self.file.readline())
        return answer

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A process with the stand-in: its socket and its number."""
    path, lock = tmp_path / "z.sock", os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        process = subprocess.Popen(
            [sys.executable, "-c", ZYGOTE_PROGRAM, str(listener.fileno()), str(lock)],
            pass_fds=[listener.fileno(), lock],
        )
    os.close(lock)
    with process:
        yield path, process.pid
        process.kill()


def wait_for_code(client: Client, pid: int) -> int:
    for _ in range(200):
        code = client.ask(op="exit_code", pid=pid)["exit_code"]
        if code is not None:
            return int(code)
        time.sleep(0.01)
    pytest.fail("the child never ended")


class TestZygote:
    def test_forks_a_shard_into_its_folder(self, zygote: tuple[Path, int], tmp_path: Path) -> None:
        folder = tmp_path / "shard"
        folder.mkdir()
        client = Client(zygote[0])
        answer = client.ask(op="start", shard_dir=str(folder), args=["7"], environment={"SHARD_WORD": "hello"})
        assert wait_for_code(client, answer["pid"]) == 7
        assert (folder / "log").read_text().startswith("served ['7'] hello\n")
        assert json.loads((folder / "process.json").read_text())["pid"] == answer["pid"]
        client.close()

    def test_refuses_a_second_process_of_a_living_shard(self, zygote: tuple[Path, int], tmp_path: Path) -> None:
        folder = tmp_path / "shard"
        folder.mkdir()
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            client = Client(zygote[0])
            pid = client.ask(op="start", shard_dir=str(folder), args=["7"], environment={"SHARD_WORD": "x"})["pid"]
            assert wait_for_code(client, pid) == 75
        client.close()

    def test_leaves_only_when_the_last_client_says_bye(self, zygote: tuple[Path, int]) -> None:
        first, second = Client(zygote[0]), Client(zygote[0])
        assert second.ask(op="exit_code", pid=1) == {"exit_code": None}
        assert first.ask(op="bye") == {"is_leaving": False}
        first.close()
        assert second.ask(op="exit_code", pid=1) == {"exit_code": None}
        assert second.ask(op="bye") == {"is_leaving": True}
        assert os.waitpid(zygote[1], 0)[1] == 0
        second.close()

    def test_survives_a_client_that_talks_nonsense(self, zygote: tuple[Path, int]) -> None:
        bad, good = Client(zygote[0]), Client(zygote[0])
        bad.file.write("not json\n")
        bad.file.flush()
        assert good.ask(op="dance") == {"error": "unknown request"}
        for client in (bad, good):
            client.close()


class TestGrace:
    def test_leaves_some_time_after_the_last_client_is_lost(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.serving.zygote._GRACE_S", 0.0)

        def run_nothing(args: Sequence[str]) -> None:
            raise AssertionError(args)

        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "z.sock"))
            listener.listen()
            thread = threading.Thread(target=Zygote(listener, run_shard=run_nothing, lock_fd=-1).serve)
            client = Client(tmp_path / "z.sock")
            thread.start()
            client.ask(op="exit_code", pid=1)
            assert thread.is_alive()
            client.close()
            thread.join(timeout=5)
        assert not thread.is_alive()
