"""Identity of one node agent: a self-signed certificate that the console pins, and a bearer token."""

import ipaddress
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALIDITY: Final = timedelta(days=825)  # longest that common TLS clients accept
_CLOCK_SKEW: Final = timedelta(hours=1)  # a rented machine's clock may be behind the console's
_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentIdentity:
    """What an agent proves itself with (certificate, key) and what it asks of its callers (token)."""

    cert_pem: str
    key_pem: str = field(repr=False)
    token: str = field(repr=False)


def create_agent_identity(*, host: str, now: datetime) -> AgentIdentity:
    """Return a fresh certificate for `host` with its private key, and a fresh token.

    Args:
        host: name or address the console connects to; it becomes the certificate's only subject.
        now: instant from which the certificate is valid (an hour before, for skewed clocks), UTC.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign_certificate(key, host=host, now=now)
    return AgentIdentity(
        cert_pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        token=secrets.token_urlsafe(_TOKEN_BYTES),
    )


def _sign_certificate(key: ec.EllipticCurvePrivateKey, *, host: str, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "medley node agent")])
    public_key = key.public_key()
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALIDITY)
        .add_extension(x509.SubjectAlternativeName([_host_to_name(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key), critical=False)
        .sign(key, hashes.SHA256())
    )


def _host_to_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
