"""`medley solve`: one rental instance in, one answer out; needs no console and changes nothing."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from engine.errors import EngineError
from engine.planners.rental.instance_file import answer_invalid, get_exit_code, solve_instance_file
from engine.planners.rental.instance_parser import InvalidInstanceError, refuse
from workers.cli.solve_table import answer_to_text

_STDIN: Final = Path("-")
_EXIT_BROKEN: Final = 70  # EX_SOFTWARE: neither an answer nor the input's fault


def solve(
    file: Annotated[Path, typer.Argument(help="Instance file (JSON); - reads standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as one JSON object.")] = False,
) -> None:
    """Solve a rental instance. Exit status: 0 plan, 1 infeasible, 2 invalid, 3 no plan within the limit.

    Not supported yet, and answered as invalid where they would change the plan: startup_hours, drain_hours,
    running_copies, spot_mode "priced", method "binary", replan_interval_hours, churn_limit and weights.
    """
    try:
        with _divert_stdout():
            answer = _solve_file(file)
    except EngineError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        raise typer.Exit(_EXIT_BROKEN) from error
    for message in _list_messages(answer):
        print(message, file=sys.stderr)
    if as_json:
        print(json.dumps(answer, indent=2, allow_nan=False))
    elif "error" not in answer:
        print(answer_to_text(answer))
    raise typer.Exit(get_exit_code(answer))


@contextmanager
def _divert_stdout() -> Iterator[None]:
    """Send what native code prints to standard error: HiGHS has debug lines that no option turns off."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _solve_file(file: Path) -> dict[str, object]:
    try:
        data = _parse_json(_read(file))
    except InvalidInstanceError as error:
        return answer_invalid("", error)
    return solve_instance_file(data, time.monotonic)


def _read(file: Path) -> bytes:
    if file == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise refuse("file", f"{file} cannot be read: {error.strerror}", "name an instance file") from error


def _parse_json(content: bytes) -> object:
    try:
        return json.loads(content, object_pairs_hook=_refuse_duplicates)
    except (ValueError, RecursionError) as error:
        raise refuse("file", f"this is not JSON: {error}", "give one JSON object in UTF-8") from error


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object; JSON would silently keep the last of two equal keys."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise refuse(key, "occurs twice in one object", "give each id and key once")
        found[key] = value
    return found


def _list_messages(answer: Mapping[str, object]) -> list[str]:
    error = answer.get("error")
    if isinstance(error, dict):
        return [f"invalid: {error['message']}", f"remedy: {error['remedy']}"]
    notes = answer.get("notes")
    return [f"note: {note}" for note in notes] if isinstance(notes, list) else []
