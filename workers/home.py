"""The folder of one installation and the files in it, known without Django."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from webapp.settings import env

CHECKOUT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Paths below `MEDLEY_HOME`; other parts of the house know the same names."""

    folder: Path

    @property
    def secret_key(self) -> Path:
        return self.folder / "secret-key"

    @property
    def gateway_token(self) -> Path:
        return self.folder / "gateway-token"

    @property
    def cli(self) -> Path:
        return self.folder / "cli.json"  # address and token of the `medley` command

    @property
    def up(self) -> Path:
        return self.folder / "up.json"  # where the running console is

    @property
    def up_lock(self) -> Path:
        return self.folder / "up.lock"  # held for as long as `medley up` lives; its process id stands in it

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def beat_schedule(self) -> Path:
        return self.folder / "beat" / "schedule"

    @property
    def gateway_state(self) -> Path:
        return self.folder / "gateway"

    @property
    def vllm_install(self) -> Path:
        return self.folder / "vllm-install.json"

    @property
    def demo_model(self) -> Path:
        return self.folder / "models" / "demo"

    @property
    def static_stamp(self) -> Path:
        return self.folder / "static.stamp"

    @property
    def agents(self) -> Path:
        return self.folder / "agents"  # machines of the provider `local`


def find_home() -> Home:
    """Return the home that `MEDLEY_HOME` names, else the one of this checkout."""
    return Home(folder=env.read_path("MEDLEY_HOME", CHECKOUT / ".medley"))
