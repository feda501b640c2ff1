"""What is read of a body, and what is sent on."""

from typing import Any

import orjson
import pytest

from engine.gateway.completion import Completion, build_upstream_body, parse_completion
from engine.gateway.errors import InvalidBodyError


def parse(**fields: Any) -> Completion:
    return parse_completion(orjson.dumps({"model": "m"} | fields))


class TestParseCompletion:
    def test_reads_model_and_streaming(self) -> None:
        found = parse(stream=True)
        assert (found.model, found.is_streaming, found.wants_usage, found.hides_usage) == ("m", True, False, True)

    @pytest.mark.parametrize("stream", [None, False])
    def test_takes_no_stream_for_an_answer_in_one_piece(self, stream: bool | None) -> None:
        found = parse(stream=stream)
        assert (found.is_streaming, found.hides_usage) == (False, False)

    def test_sees_that_usage_is_wanted(self) -> None:
        found = parse(stream=True, stream_options={"include_usage": True})
        assert (found.wants_usage, found.hides_usage) == (True, False)

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"prompt": "x" * 400}, 100),
            ({"prompt": "ü" * 200}, 100),
            ({"prompt": [1, 2, 3]}, 3),
            ({"prompt": ["x" * 40, "x" * 80]}, 20),
            ({"prompt": [[1, 2], [1, 2, 3, 4]]}, 4),
            ({"prompt": []}, 1),
            ({"prompt": 7}, 1),
            ({}, 1),
            ({"messages": [{"role": "user", "content": "x" * 40}, {"role": "user", "content": "y" * 40}]}, 20),
            ({"messages": [{"content": [{"type": "text", "text": "x" * 40}, {"type": "image_url"}]}]}, 10),
            ({"messages": "nonsense" * 5}, 10),
            ({"messages": [{"content": None}]}, 1),
        ],
    )
    def test_estimates_the_prompt(self, fields: dict[str, Any], expected: int) -> None:
        assert parse(**fields).prompt_tokens == expected

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"max_tokens": 5}, 5),
            ({"max_tokens": 5, "max_completion_tokens": 9}, 9),
            ({"max_tokens": None}, None),
            ({"max_tokens": 0}, None),
            ({"max_tokens": True}, None),
            ({"max_tokens": "5"}, None),
            ({}, None),
        ],
    )
    def test_finds_the_limit(self, fields: dict[str, Any], expected: int | None) -> None:
        assert parse(**fields).max_output_tokens == expected

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"n": 3, "messages": []}, 3),
            ({"n": 2, "prompt": ["a", "b", "c"]}, 6),
            ({"prompt": [1, 2, 3]}, 1),
            ({"n": 0}, 1),
            ({"n": "x"}, 1),
            ({"prompt": []}, 1),
        ],
    )
    def test_counts_the_sequences(self, fields: dict[str, Any], expected: int) -> None:
        assert parse(**fields).num_sequences == expected

    @pytest.mark.parametrize(
        ("raw", "param"),
        [
            (b"", None),
            (b'{"model"', None),
            (b'"text"', None),
            (b"{}", "model"),
            (b'{"model":""}', "model"),
            (b'{"model":"m","stream":1}', "stream"),
            (b'{"model":"m","stream_options":"x"}', "stream_options"),
            (b'{"model":"m","stream_options":{"include_usage":1}}', "stream_options.include_usage"),
        ],
    )
    def test_names_the_field_it_cannot_route_by(self, raw: bytes, param: str | None) -> None:
        with pytest.raises(InvalidBodyError) as caught:
            parse_completion(raw)
        assert caught.value.param == param


class TestBuildUpstreamBody:
    @pytest.mark.parametrize("raw", [b'{ "model":"m", "x":1.50 }', b'{"model":"m","seed":1,"x":[]}'])
    def test_is_the_callers_own_bytes_where_nothing_changes(self, raw: bytes) -> None:
        assert build_upstream_body(parse_completion(raw), strips_seed=False) is raw

    def test_asks_for_usage_and_keeps_other_options(self) -> None:
        found = parse(stream=True, stream_options={"other": 1, "continuous_usage_stats": True}, top_k=3)
        assert orjson.loads(build_upstream_body(found, strips_seed=False)) == {
            "model": "m",
            "stream": True,
            "stream_options": {"other": 1, "include_usage": True},
            "top_k": 3,
        }

    def test_leaves_options_alone_when_usage_was_asked_for(self) -> None:
        found = parse(stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True})
        assert build_upstream_body(found, strips_seed=False) is found.raw

    def test_drops_the_seed_only(self) -> None:
        found = parse(seed=7, temperature=0.5)
        assert orjson.loads(build_upstream_body(found, strips_seed=True)) == {"model": "m", "temperature": 0.5}

    def test_does_not_change_what_was_parsed(self) -> None:
        found = parse(seed=7, stream=True)
        build_upstream_body(found, strips_seed=True)
        assert found.fields == {"model": "m", "seed": 7, "stream": True}
