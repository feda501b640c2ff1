"""Run a command with `DATABASE_URL` of a throw-away PostgreSQL: `python -m tests.support.with_postgres COMMAND...`."""

import os
import subprocess
import sys

from tests.support.services import ServiceError, run_postgres


def main(command: list[str]) -> int:
    """Run the command and return its exit code."""
    try:
        with run_postgres() as url:
            return subprocess.run(command, check=False, env=os.environ | {"DATABASE_URL": url}).returncode
    except ServiceError as error:
        print(f"with_postgres: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
