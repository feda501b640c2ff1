"""What the README tells people to type exists."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from workers.cli.main import app

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")


def list_commands() -> Iterator[tuple[str, str]]:
    """Yield document and line of everything shown in a shell block or between backticks."""
    for name in DOCUMENTS:
        text = (CHECKOUT / name).read_text()
        for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL):
            for line in block.splitlines():
                if command := line.partition("#")[0].strip():
                    yield name, command
        for command in re.findall(r"`((?:make|medley) [^`]+)`", text):
            yield name, command


def list_targets() -> set[str]:
    """Return the targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), flags=re.MULTILINE))


def find_subcommand(words: list[str]) -> list[str]:
    """Return the words that name subcommands, from the first on."""
    command, found = get_command(app), []
    for word in words:
        if not isinstance(command, TyperGroup) or word.startswith("-"):
            break
        command = command.commands[word]
        found.append(word)
    return found


class TestReadme:
    @pytest.mark.parametrize(("document", "command"), sorted(set(list_commands())))
    def test_tells_commands_that_exist(self, document: str, command: str) -> None:
        words = [word for word in shlex.split(command) if "=" not in word or word.startswith("-")]
        if words[0] == "make":
            assert set(words[1:]) <= list_targets()
        elif words[0].endswith("medley"):
            assert find_subcommand(words[1:])

    def test_sets_up_with_two_commands(self) -> None:
        text = (CHECKOUT / "README.md").read_text()
        first_block = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)[0]
        commands = [line.partition("#")[0].strip() for line in first_block.splitlines()]
        assert commands == ["make run", "make test"]

    def test_links_to_files_that_exist(self) -> None:
        for name in DOCUMENTS:
            links = re.findall(r"\]\((?!http|#)([^)#]+)", (CHECKOUT / name).read_text())
            assert [link for link in links if not (CHECKOUT / link).exists()] == []
