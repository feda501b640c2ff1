"""`medley solve`: exit status, JSON on standard output, messages on standard error."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.rental_instances import define_worked_file
from workers.cli import solve as solve_command
from workers.cli.main import app
from workers.cli.solve import solve


def run(data: object, tmp_path: Path, *options: str) -> Result:
    file = tmp_path / "instance.json"
    file.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return CliRunner().invoke(app, ["solve", str(file), *options])


def read_answer(result: Result) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


class TestSolveJson:
    def test_answers_the_worked_example(self, tmp_path: Path) -> None:
        result = run(define_worked_file(), tmp_path, "--json")
        answer = read_answer(result)
        assert (result.exit_code, result.stderr) == (0, "")
        assert (answer["status"], answer["copies"]) == ("optimal", {"c1": 1, "c4": 1})
        assert answer["makespan_s"] == pytest.approx(28.431373, abs=1e-6)

    @pytest.mark.parametrize(
        ("changes", "status", "code"),
        [
            ({"budget_usd_per_hour": 1.9}, "infeasible", 1),
            ({"budget_usd_per_hour": -1}, "invalid", 2),
            ({"options": {"time_limit_s": 0}}, "no_solution", 3),
        ],
    )
    def test_exits_by_the_status(self, changes: dict[str, Any], status: str, code: int, tmp_path: Path) -> None:
        result = run(define_worked_file(**changes), tmp_path, "--json")
        assert (read_answer(result)["status"], result.exit_code) == (status, code)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "this is not JSON"),
            ("{'name': 1}", "this is not JSON"),
            ("[" * 100_000, "this is not JSON"),
            ('{"availability": {"t1": 1, "t1": 2}}', "t1: occurs twice in one object"),
            ("[]", "instance: is not an object"),
        ],
    )
    def test_refuses_what_is_not_an_instance(self, text: str, message: str, tmp_path: Path) -> None:
        result = run(text, tmp_path, "--json")
        answer = read_answer(result)
        assert (result.exit_code, answer["status"]) == (2, "invalid")
        assert message in answer["error"]["message"]
        assert result.stderr.startswith("invalid: ")

    def test_refuses_what_is_not_text(self, tmp_path: Path) -> None:
        file = tmp_path / "instance.json"
        file.write_bytes(b"\xff\xfe\x00{")
        result = CliRunner().invoke(app, ["solve", str(file), "--json"])
        assert (result.exit_code, read_answer(result)["status"]) == (2, "invalid")

    def test_refuses_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(app, ["solve", str(tmp_path / "missing.json"), "--json"])
        answer = read_answer(result)
        assert (result.exit_code, answer["status"], answer["error"]["field"]) == (2, "invalid", "file")
        assert "No such file" in answer["error"]["message"]

    def test_refuses_a_folder(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(app, ["solve", str(tmp_path), "--json"])
        assert (result.exit_code, read_answer(result)["error"]["field"]) == (2, "file")

    def test_reads_standard_input(self) -> None:
        result = CliRunner().invoke(app, ["solve", "-", "--json"], input=json.dumps(define_worked_file()))
        assert (result.exit_code, read_answer(result)["usd_per_hour"]) == (0, 8.0)

    def test_keeps_native_output_away_from_the_answer(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """HiGHS prints debug lines to the descriptor itself, past Python."""

        def print_and_answer(data: object, clock: object) -> dict[str, object]:
            with io.FileIO(1, "w", closefd=False) as descriptor:
                descriptor.write(b"HighsMipSolverData\n")
            return {"status": "optimal"}

        monkeypatch.setattr(solve_command, "solve_instance_file", print_and_answer)
        file = tmp_path / "instance.json"
        file.write_text("{}", encoding="utf-8")
        with pytest.raises(solve_command.typer.Exit) as caught:
            solve(file, as_json=True)
        assert caught.value.exit_code == 0
        captured = capfd.readouterr()
        assert json.loads(captured.out) == {"status": "optimal"}
        assert captured.err == "HighsMipSolverData\n"


class TestSolveText:
    def test_prints_tables(self, tmp_path: Path) -> None:
        result = run(define_worked_file(), tmp_path)
        lines = result.stdout.splitlines()
        assert result.exit_code == 0
        assert lines[0] == "status          optimal"
        assert "makespan [s]    28.4314" in lines
        assert "c1             1       4.00   w1 14.7 %, w2 100.0 %" in lines
        assert any(line.startswith("availability:t2  0 ") for line in lines)

    def test_prints_why_nothing_is_feasible(self, tmp_path: Path) -> None:
        result = run(define_worked_file(budget_usd_per_hour=1.9), tmp_path)
        assert result.exit_code == 1
        assert "- the smallest budget that suffices is 2.00 USD/h" in result.stdout

    def test_prints_refusals_to_standard_error_only(self, tmp_path: Path) -> None:
        result = run(define_worked_file(budget_usd_per_hour=-1), tmp_path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.splitlines() == [
            "invalid: budget_usd_per_hour: -1 is out of range",
            "remedy: give a number from 0 to 1e+12",
        ]

    def test_prints_notes_to_standard_error(self, tmp_path: Path) -> None:
        result = run(define_worked_file(options={"time_limit_s": 0}), tmp_path)
        assert result.exit_code == 3
        assert result.stderr == "note: no plan was found within the time limit of 0 s\n"
