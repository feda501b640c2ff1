"""What a person can say about a start: read from the environment."""

from dataclasses import dataclass
from pathlib import Path

from webapp.settings import env
from workers.home import CHECKOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """Wishes for one start.

    Attributes:
        host: address that web and gateway listen on.
        web_port: port of the console, or None for the usual one.
        gateway_port: port of the gateway, or None for the usual one.
        installs_vllm: whether vLLM is installed when it is missing.
        has_demo: whether the demo deployment is made when it is missing.
        vllm_python: interpreter of the serving environment.
    """

    host: str
    web_port: int | None
    gateway_port: int | None
    installs_vllm: bool
    has_demo: bool
    vllm_python: Path


def read_options() -> UpOptions:
    """Return what the environment says.

    Raises:
        ImproperlyConfigured: a variable has a value that makes no sense.
    """
    return UpOptions(
        host=env.read_str("MEDLEY_HOST", "127.0.0.1"),
        web_port=env.read_port("MEDLEY_WEB_PORT"),
        gateway_port=env.read_port("MEDLEY_GATEWAY_PORT"),
        installs_vllm=env.read_bool("MEDLEY_INSTALL_VLLM", default=True),
        has_demo=env.read_bool("MEDLEY_DEMO", default=True),
        vllm_python=env.read_path("MEDLEY_VLLM_PYTHON", CHECKOUT / ".venv-vllm" / "bin" / "python"),
    )
