"""Which providers can be rented from."""

from pathlib import Path

import pytest

from engine.clouds.local import LocalProvider, LocalSettings
from engine.clouds.port import MissingCredentialsError
from engine.clouds.registry import get_provider


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    """An empty home."""
    return LocalSettings(home=tmp_path, vllm_python=tmp_path / "python")


class TestGetProvider:
    def test_gives_the_local_one(self, settings: LocalSettings) -> None:
        provider = get_provider("local", local=settings)
        assert isinstance(provider, LocalProvider)
        assert provider.name == "local"

    @pytest.mark.parametrize("name", ["aws", "runpod", ""])
    def test_says_that_credentials_are_missing(self, settings: LocalSettings, name: str) -> None:
        with pytest.raises(MissingCredentialsError) as caught:
            get_provider(name, local=settings)
        assert str(caught.value) == f"no credentials for provider {name}"
        assert caught.value.code == "missing_credentials"
