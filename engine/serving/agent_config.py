"""The node agent's configuration file: private JSON, read once at start."""

import stat
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from engine.errors import InvalidInputError

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class InvalidAgentConfigError(InvalidInputError):
    """The agent cannot start with this file; the message names the field."""

    code = "invalid_agent_config"


class AgentConfig(BaseModel):
    """What the agent must know to start.

    Attributes:
        host, port: where it listens.
        token_sha256: hex digest of the bearer token it asks for; the token itself is not kept.
        state_dir: folder of this machine's shards; a new agent on it adopts what still runs.
        zygote_dir: folder of the preloaded vLLM process; agents of one host may share it.
        vllm_python: interpreter of the environment that holds vLLM; need not exist yet.
        start_method: `prefork` forks shards from a preloaded process and falls back to `plain`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    token_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    cert_path: Path
    key_path: Path
    state_dir: Path
    zygote_dir: Path
    vllm_python: Path
    start_method: Literal["prefork", "plain"] = "prefork"


def load_agent_config(path: Path) -> AgentConfig:
    """Return the configuration in `path`.

    Raises:
        InvalidAgentConfigError: missing, readable by others, or a field is missing or wrong.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except OSError as error:
        raise InvalidAgentConfigError(f"{path}: {error.strerror}", field="path", remedy="name a file") from error
    if mode & _OTHERS:
        raise InvalidAgentConfigError(f"{path} is open to others", field="path", remedy="chmod 600 the file")
    try:
        return AgentConfig.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        raise InvalidAgentConfigError(f"{path}: {field}: {first['msg']}", field=field, remedy="mend it") from error
