"""The agent's configuration file."""

import json
from pathlib import Path

import pytest

from engine.serving.agent_config import InvalidAgentConfigError, load_agent_config

CONFIG = {
    "host": "127.0.0.1",
    "port": 9443,
    "token_sha256": "a" * 64,
    "cert_path": "/m/cert.pem",
    "key_path": "/m/key.pem",
    "state_dir": "/m/state",
    "zygote_dir": "/m/zygote",
    "vllm_python": "/v/bin/python",
}


def _write(path: Path, data: object, mode: int = 0o600) -> Path:
    path.write_text(json.dumps(data))
    path.chmod(mode)
    return path


class TestLoadAgentConfig:
    def test_reads_a_private_file(self, tmp_path: Path) -> None:
        config = load_agent_config(_write(tmp_path / "c.json", CONFIG))
        assert (config.port, config.state_dir, config.start_method) == (9443, Path("/m/state"), "prefork")

    def test_refuses_a_file_open_to_others(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidAgentConfigError, match="open to others"):
            load_agent_config(_write(tmp_path / "c.json", CONFIG, mode=0o640))

    def test_names_the_wrong_field(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidAgentConfigError) as caught:
            load_agent_config(_write(tmp_path / "c.json", CONFIG | {"port": 0}))
        assert caught.value.field == "port"

    def test_names_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidAgentConfigError, match="No such file"):
            load_agent_config(tmp_path / "none.json")
