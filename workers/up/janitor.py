"""What is left when a supervisor is killed: machines of this host, whose agents live on by design.

A small process waits for the supervisor's end, which it notices by a pipe that the kernel closes. Unless a new
supervisor has taken over by then and uses the machines again, it becomes the program that releases them.
"""

import os
import subprocess
import sys
import time
from typing import Final

from workers.home import CHECKOUT, Home, find_home
from workers.up import presence
from workers.up.child import Program

_GRACE_S: Final = 5.0  # for a person who starts again at once
_STDIN: Final = 0


class Janitor:
    """Watches over this process until it is dismissed.

    Args:
        release: program that releases the machines.
        home: folder of the installation.
    """

    def __init__(self, release: Program, *, home: Home) -> None:
        reader, self._writer = os.pipe()
        with (home.logs / f"{release.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.up.janitor", *release.command],
                stdin=reader,
                stdout=log,
                stderr=log,
                env=dict(release.environment),
                cwd=CHECKOUT,
                start_new_session=True,
            )
        os.close(reader)

    def dismiss(self) -> None:
        """End it: nothing is left to do."""
        self._process.kill()
        self._process.wait()
        os.close(self._writer)


def main(release: list[str]) -> int:
    """Wait for the supervisor's end, then release what it left."""
    os.read(_STDIN, 1)
    time.sleep(_GRACE_S)
    if presence.find_running(find_home()) is None:
        os.execv(release[0], release)  # noqa: S606  # the command is built by the supervisor
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
