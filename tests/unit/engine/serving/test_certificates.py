"""Identity of an agent."""

import ssl
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from engine.serving.certificates import create_agent_identity
from engine.serving.client import build_pinned_context


class TestCreateAgentIdentity:
    def test_names_only_the_host(self, now: datetime) -> None:
        certificate = x509.load_pem_x509_certificate(create_agent_identity(host="127.0.0.1", now=now).cert_pem.encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [str(name.value) for name in names] == ["127.0.0.1"]
        assert certificate.not_valid_before_utc == now - timedelta(hours=1)

    def test_may_name_a_host_by_name(self, now: datetime) -> None:
        identity = create_agent_identity(host="node.example", now=now)
        certificate = x509.load_pem_x509_certificate(identity.cert_pem.encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["node.example"]

    def test_never_repeats_a_secret(self, now: datetime) -> None:
        first, second = (create_agent_identity(host="127.0.0.1", now=now) for _ in range(2))
        assert first.token != second.token
        assert first.key_pem != second.key_pem

    def test_hides_its_secrets_when_printed(self, now: datetime) -> None:
        identity = create_agent_identity(host="127.0.0.1", now=now)
        assert identity.token not in repr(identity)
        assert "PRIVATE" not in repr(identity)


class TestBuildPinnedContext:
    def test_trusts_one_certificate_and_checks_the_name(self, now: datetime) -> None:
        context = build_pinned_context(create_agent_identity(host="127.0.0.1", now=now).cert_pem)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.cert_store_stats()["x509"] == 1

    def test_refuses_text_that_is_no_certificate(self) -> None:
        with pytest.raises(ssl.SSLError):
            build_pinned_context("not a certificate")
