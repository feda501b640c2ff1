"""Look-ups of a routing table."""

import pytest

from engine.gateway.directory import EMPTY, build_directory, find_deployment
from engine.gateway.errors import InvalidKeyError, MissingKeyError, NoReadyShardError
from tests.support.gateways import define_deployment, define_table

CHAT = define_deployment(keys=["sk-1", "sk-2"])
CODE = define_deployment(keys=["sk-3"], name="code", model_name="coder")
DIRECTORY = build_directory(define_table(CHAT, CODE))


class TestFindDeployment:
    @pytest.mark.parametrize(
        ("authorization", "name"),
        [("Bearer sk-1", "chat"), ("bearer sk-2", "chat"), ("Bearer  sk-3 ", "code")],
    )
    def test_follows_the_key(self, authorization: str, name: str) -> None:
        assert find_deployment(DIRECTORY, authorization).name == name

    @pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "sk-1", "Basic sk-1"])
    def test_asks_for_a_key(self, authorization: str) -> None:
        with pytest.raises(MissingKeyError):
            find_deployment(DIRECTORY, authorization)

    @pytest.mark.parametrize("key", ["sk-4", "SK-1", "sk-1 sk-2", "\udcff", *CHAT.key_hashes])
    def test_knows_no_other_keys(self, key: str) -> None:
        with pytest.raises(InvalidKeyError):
            find_deployment(DIRECTORY, f"Bearer {key}")

    def test_cannot_tell_before_the_first_table(self) -> None:
        with pytest.raises(NoReadyShardError):
            find_deployment(EMPTY, "Bearer sk-1")
