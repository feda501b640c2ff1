"""Secrets of agents at rest."""

from typing import Any

import pytest

from webapp.deployments.secrets import (
    AgentSecrets,
    UnreadableSecretError,
    decrypt_agent_secrets,
    encrypt_agent_secrets,
)

SECRETS = AgentSecrets(token="a-token", key_pem="-----BEGIN KEY-----\nabc\n-----END KEY-----\n")


class TestAgentSecrets:
    def test_come_back_as_they_were(self) -> None:
        assert decrypt_agent_secrets(encrypt_agent_secrets(SECRETS)) == SECRETS

    def test_cannot_be_read_without_the_key(self, settings: Any) -> None:
        text = encrypt_agent_secrets(SECRETS)
        assert "a-token" not in text
        settings.SECRET_KEY = "another-key"
        with pytest.raises(UnreadableSecretError, match="bring back the SECRET_KEY"):
            decrypt_agent_secrets(text)

    def test_refuse_text_that_is_not_theirs(self) -> None:
        with pytest.raises(UnreadableSecretError):
            decrypt_agent_secrets("")

    def test_do_not_show_in_logs(self) -> None:
        assert "a-token" not in repr(SECRETS)
        assert "BEGIN" not in repr(SECRETS)
