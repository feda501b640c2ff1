"""Secrets of node agents at rest: Fernet with a key derived from SECRET_KEY; the plain text is never stored."""

import base64
from dataclasses import dataclass, field
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from engine.errors import RefusedError

_PURPOSE: Final = b"medley: secrets of node agents, version 1"  # another purpose of SECRET_KEY gets another key
_KEY_BYTES: Final = 32


class UnreadableSecretError(RefusedError):
    """The stored secret was written under another SECRET_KEY, or is damaged."""

    code = "unreadable_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSecrets:
    """What the console must keep to rent the same machine again and to talk to its agent."""

    token: str = field(repr=False)
    key_pem: str = field(repr=False)


def encrypt_agent_secrets(secrets: AgentSecrets) -> str:
    """Return the text that a database may hold."""
    parts = (secrets.token.encode(), secrets.key_pem.encode())
    return _build_cipher().encrypt(b"\n".join(map(base64.b64encode, parts))).decode()


def decrypt_agent_secrets(text: str) -> AgentSecrets:
    """Return the secrets.

    Raises:
        UnreadableSecretError: SECRET_KEY has changed, or the text is not ours.
    """
    try:
        parts = _build_cipher().decrypt(text.encode()).split(b"\n")
    except InvalidToken as error:
        raise UnreadableSecretError(
            "the stored secret of an agent cannot be read: bring back the SECRET_KEY it was written with, "
            "or stop the deployment and apply its plan again"
        ) from error
    token, key_pem = (base64.b64decode(part).decode() for part in parts)
    return AgentSecrets(token=token, key_pem=key_pem)


def _build_cipher() -> Fernet:
    kdf = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=_PURPOSE)
    return Fernet(base64.urlsafe_b64encode(kdf.derive(settings.SECRET_KEY.encode())))
