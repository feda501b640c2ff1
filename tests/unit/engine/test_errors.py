"""Errors survive the way between processes, and have codes of their own."""

import importlib
import pickle
import pkgutil

import pytest

import engine
from engine.errors import EngineError, InvalidInputError, RefusedError, UnavailableError


def _list_leaves(cls: type[EngineError]) -> list[type[EngineError]]:
    return [cls, *(leaf for child in cls.__subclasses__() for leaf in _list_leaves(child))]


@pytest.fixture(scope="module")
def errors() -> list[type[EngineError]]:
    """Every error of the engine."""
    for module in pkgutil.walk_packages(engine.__path__, "engine."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return [cls for cls in _list_leaves(EngineError) if cls.__module__.startswith("engine.")]


class TestEngineError:
    @pytest.mark.parametrize(
        "error",
        [
            EngineError("m", cause="x"),
            InvalidInputError("m", field="f", remedy="r", row=3),
            UnavailableError("m", url="u"),
            RefusedError("m"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_survives_pickling(self, error: EngineError) -> None:
        again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
        assert type(again) is type(error)
        assert (again.message, again.data, str(again)) == (error.message, error.data, "m")

    @pytest.mark.slow
    def test_has_one_code_per_class(self, errors: list[type[EngineError]]) -> None:
        codes = [cls.code for cls in errors]
        assert sorted(code for code in set(codes) if codes.count(code) > 1) == []
        assert {"invalid_input", "unavailable", "refused", "invalid_model_config", "invalid_shape"} <= set(codes)

    def test_says_whether_a_retry_may_help(self) -> None:
        assert UnavailableError("m").retryable
        assert not RefusedError("m").retryable
        assert not InvalidInputError("m", field="f", remedy="r").retryable
