"""Whether a Python environment holds vLLM; looks at files only, because importing it takes seconds."""

import re
from pathlib import Path
from typing import Final

from engine.serving.protocol import VllmAvailability

INSTALLING_MARK: Final = ".medley-installing"  # present from the first step of an install to its last
_METADATA: Final = re.compile(r"^vllm(?:_cpu)?-(?P<version>.+)\.dist-info$")


def find_vllm(python: Path) -> VllmAvailability:
    """Return whether `python` can start shards, and the version of its vLLM."""
    venv = python.parent.parent
    if not python.exists():
        return VllmAvailability(is_available=False, reason=f"vLLM is not installed: {python} does not exist")
    if (venv / INSTALLING_MARK).exists():
        return VllmAvailability(is_available=False, reason="vLLM is being installed")
    for folder in sorted(venv.glob("lib/python3*/site-packages/vllm*.dist-info")):
        if match := _METADATA.match(folder.name):
            return VllmAvailability(is_available=True, version=match["version"])
    return VllmAvailability(is_available=False, reason=f"there is no vLLM in {venv}")
