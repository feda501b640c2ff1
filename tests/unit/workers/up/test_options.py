"""Wishes for one start."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from workers.up.options import UpOptions, read_options

VARIABLES = ("HOST", "WEB_PORT", "GATEWAY_PORT", "INSTALL_VLLM", "DEMO", "VLLM_PYTHON")


@pytest.fixture(autouse=True)
def _no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(f"MEDLEY_{variable}", raising=False)


class TestReadOptions:
    def test_has_defaults(self) -> None:
        options = read_options()
        assert (options.host, options.web_port, options.gateway_port) == ("127.0.0.1", None, None)
        assert (options.installs_vllm, options.has_demo) == (True, True)
        assert options.vllm_python.parts[-3:] == (".venv-vllm", "bin", "python")

    def test_takes_wishes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wishes = ("0.0.0.0", "80", "81", "0", "false", "/opt/vllm/bin/python")  # noqa: S104  # nothing listens
        for variable, text in zip(VARIABLES, wishes, strict=True):
            monkeypatch.setenv(f"MEDLEY_{variable}", text)
        assert read_options() == UpOptions(
            host="0.0.0.0",  # noqa: S104  # nothing listens
            web_port=80,
            gateway_port=81,
            installs_vllm=False,
            has_demo=False,
            vllm_python=Path("/opt/vllm/bin/python"),
        )

    @pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "8400.0"])
    def test_refuses_what_is_no_port(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv("MEDLEY_WEB_PORT", text)
        with pytest.raises(ImproperlyConfigured, match=f"MEDLEY_WEB_PORT='{text}' is not a port"):
            read_options()
