"""Start one vLLM server the ordinary way; runs under the serving environment's Python.

`python -P -m engine.serving.plain_start SHARD_DIR ARG...`: claims the shard's folder, then becomes vLLM. The process
number stays the same and the lock stays open across the change.
"""

import os
import sys
from pathlib import Path
from typing import Final, NoReturn

from engine.serving import shard_folder
from engine.serving.shard_folder import ShardFolder

_SERVER: Final = "vllm.entrypoints.openai.api_server"  # the `vllm` command of the CPU build does not start


def main(argv: list[str]) -> NoReturn:
    """Claim the folder named first and become vLLM with the rest as its arguments."""
    folder = ShardFolder(path=Path(argv[0]))
    shard_folder.redirect_output(folder)
    lock = shard_folder.claim_folder(folder)
    if lock is None:
        sys.exit(shard_folder.EXIT_ALREADY_RUNS)
    os.set_inheritable(lock, True)
    os.execv(sys.executable, [sys.executable, "-P", "-m", _SERVER, *argv[1:]])  # noqa: S606  # our own interpreter


if __name__ == "__main__":
    main(sys.argv[1:])
