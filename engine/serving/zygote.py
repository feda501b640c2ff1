"""The preloaded vLLM process: imports vLLM once, then forks one server per shard in about a second.

Runs under the serving environment's Python and needs only the standard library and vLLM:
`python -P -m engine.serving.zygote --socket PATH --lock-fd N`. It speaks JSON lines on a private Unix socket:
`{"op": "start", "shard_dir", "args", "environment"}` -> `{"pid"}`, `{"op": "exit_code", "pid"}` -> `{"exit_code"}`,
`{"op": "bye"}` -> `{"is_leaving"}`. It leaves when the last client says bye, or some time after the last one is lost.
Shards outlive it: each is the leader of its own session.
"""

import argparse
import contextlib
import gc
import importlib
import json
import logging
import os
import selectors
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from engine.serving import cpu_repairs, shard_folder
from engine.serving.shard_folder import ShardFolder

_LOG: Final = logging.getLogger("engine.serving.zygote")
_GRACE_S: Final = 60.0  # a killed agent is back well before; then nobody wants this process any more
_MAX_LINE_BYTES: Final = 1024 * 1024
_PRELOADED: Final = (
    "vllm.entrypoints.launchers.api_server.entry",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.serve.utils.api_utils",
    "vllm.utils.argparse_utils",
    "vllm.v1.engine.async_llm",
    "vllm.v1.engine.core",
    "vllm.v1.executor.uniproc_executor",
    "vllm.v1.worker.cpu_worker",
    "vllm.v1.worker.cpu_model_runner",
    "vllm.v1.attention.backends.cpu_attn",
    "vllm.v1.core.sched.scheduler",
    "vllm.model_executor.model_loader",
    "vllm.model_executor.models.llama",
    "vllm.distributed.kv_transfer.kv_connector.factory",
    "transformers.models.llama.configuration_llama",
    "transformers.tokenization_utils_fast",
    "uvloop",
)

Answer = Mapping[str, object]


class ThreadedPreloadError(RuntimeError):
    """Importing vLLM left threads behind: a fork would lose them in the middle of what they do."""


def preload() -> None:
    """Import and repair vLLM; afterwards this process has one thread and is safe to fork."""
    cpu_repairs.use_fork()
    for name in _PRELOADED:
        importlib.import_module(name)
    importlib.import_module("vllm.platforms").current_platform.import_kernels()
    cpu_repairs.inspect_models_in_process()
    cpu_repairs.keep_environment_readable()
    cpu_repairs.allocate_pipeline_buffers()
    num_threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    if num_threads > 1:
        names = [thread.name for thread in threading.enumerate()]
        raise ThreadedPreloadError(f"{num_threads} threads after import: {names}")
    gc.collect()
    gc.freeze()  # shards share these objects' pages for as long as the collector leaves them alone


def run_vllm(args: Sequence[str]) -> None:
    """Serve one shard in this process until it is told to end."""
    sys.argv = ["vllm-shard", *args]
    launchers = "vllm.entrypoints.launchers"
    entry = importlib.import_module(f"{launchers}.api_server.entry")
    cli_args = importlib.import_module(f"{launchers}.cli_args")
    importlib.import_module("vllm.entrypoints.serve.utils.api_utils").cli_env_setup()
    parser = importlib.import_module("vllm.utils.argparse_utils").FlexibleArgumentParser()
    parsed = cli_args.make_arg_parser(parser).parse_args(list(args))
    importlib.import_module("vllm.logger").configure_logging_from_args(parsed)
    cli_args.validate_parsed_serve_args(parsed)
    importlib.import_module("uvloop").run(entry.run_server(parsed))


class Zygote:
    """Serves start requests one by one; single-threaded, because it forks."""

    def __init__(self, listener: socket.socket, *, run_shard: Callable[[Sequence[str]], None], lock_fd: int) -> None:
        self._listener = listener
        self._run_shard = run_shard
        self._lock_fd = lock_fd
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._buffers: dict[socket.socket, bytes] = {}
        self._is_leaving = False
        self._alone_since = time.monotonic()

    def serve(self) -> None:
        """Answer until the last client has left."""
        while not self._is_leaving:
            for key, _ in self._selector.select(timeout=None if self._buffers else 1.0):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._read(key.fileobj)
            if not self._buffers and time.monotonic() - self._alone_since > _GRACE_S:
                return

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self._buffers[client] = b""
        self._selector.register(client, selectors.EVENT_READ)

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(65536)
        except ConnectionError:
            data = b""
        if not data or len(self._buffers[client]) > _MAX_LINE_BYTES:
            self._drop(client)
            return
        *lines, rest = (self._buffers[client] + data).split(b"\n")
        self._buffers[client] = rest
        for line in lines:
            with contextlib.suppress(ConnectionError, json.JSONDecodeError):
                client.sendall(json.dumps(self._answer(json.loads(line))).encode() + b"\n")

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._buffers[client]
        client.close()
        self._alone_since = time.monotonic()

    def _answer(self, request: dict[str, object]) -> Answer:
        match request:
            case {"op": "start", "shard_dir": str(shard_dir), "args": list(args), "environment": dict(environment)}:
                return {"pid": self._start(Path(shard_dir), [str(arg) for arg in args], environment)}
            case {"op": "exit_code", "pid": int(pid)}:
                return {"exit_code": _find_exit_code(pid)}
            case {"op": "bye"}:
                self._is_leaving = len(self._buffers) == 1
                return {"is_leaving": self._is_leaving}
        return {"error": "unknown request"}

    def _start(self, shard_dir: Path, args: Sequence[str], environment: Mapping[str, str]) -> int:
        pid = os.fork()
        if pid == 0:
            self._become_shard(ShardFolder(path=shard_dir), args, environment)
        return pid

    def _become_shard(self, folder: ShardFolder, args: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
        """Leave everything of the parent behind and serve; never returns into the parent's code."""
        code = 1
        try:
            os.setsid()
            self._close_all()
            shard_folder.redirect_output(folder)
            if shard_folder.claim_folder(folder) is None:
                os._exit(shard_folder.EXIT_ALREADY_RUNS)
            os.environ.update(environment)
            tempfile.tempdir = None  # forget the parent's answer, TMPDIR is the shard's own
            self._run_shard(args)
            code = 0
        except BaseException as error:  # noqa: BLE001  # whatever ends a shard ends this process, with its trace
            traceback.print_exc()
            code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _close_all(self) -> None:
        self._selector.close()
        for one in (self._listener, *self._buffers):
            one.close()
        os.close(self._lock_fd)


def _find_exit_code(pid: int) -> int | None:
    """Return how a child ended (negative = signal), once; None when it runs or was never ours."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if done else None


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(16)
    return listener


def main() -> int:
    """Preload, serve, leave; exit code 0 when nobody needs it any more."""
    parser = argparse.ArgumentParser(description="Preloaded vLLM process")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--lock-fd", type=int, required=True)
    arguments = parser.parse_args()
    os.set_inheritable(arguments.lock_fd, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    started = time.monotonic()
    preload()
    _LOG.info("vLLM loaded in %.1f s", time.monotonic() - started)
    with _listen(arguments.socket) as listener:
        Zygote(listener, run_shard=run_vllm, lock_fd=arguments.lock_fd).serve()
    arguments.socket.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
