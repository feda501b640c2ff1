"""Reading streams while they pass."""

import pytest

from engine.gateway.sse import StreamReader, Usage, find_usage
from tests.support.fake_shard import DONE, define_stream

BODY = {"model": "m", "max_tokens": 4, "stream_options": {"include_usage": True}}
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


def read(chunks: list[bytes], *, hides_usage: bool = False) -> tuple[bytes, StreamReader]:
    reader = StreamReader(hides_usage=hides_usage)
    passed = b"".join(reader.feed(chunk) for chunk in chunks)
    return passed + reader.finish(), reader


def event(text: str) -> bytes:
    return f"data: {text}\n\n".encode()


class TestStreamReader:
    @pytest.mark.parametrize("path", [CHAT, TEXT])
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
    def test_passes_every_byte_however_it_is_cut(self, path: str, size: int) -> None:
        stream = b"".join(define_stream(path, BODY))
        passed, reader = read([stream[start : start + size] for start in range(0, len(stream), size)])
        assert passed == stream
        assert (reader.usage, reader.num_pieces) == (Usage(prompt_tokens=7, output_tokens=4), 4)
        assert (reader.is_done, reader.error_status) == (True, None)

    @pytest.mark.parametrize("path", [CHAT, TEXT])
    @pytest.mark.parametrize("size", [1, 5, 64, 100_000])
    def test_hides_the_usage_chunk_and_nothing_else(self, path: str, size: int) -> None:
        stream = b"".join(define_stream(path, BODY))
        passed, reader = read([stream[at : at + size] for at in range(0, len(stream), size)], hides_usage=True)
        assert passed == b"".join(define_stream(path, {"model": "m", "max_tokens": 4}))
        assert reader.usage == Usage(prompt_tokens=7, output_tokens=4)

    def test_passes_an_event_only_when_it_is_whole(self) -> None:
        reader = StreamReader(hides_usage=False)
        assert (reader.feed(b'data: {"choices":[{"te'), reader.num_waiting_bytes) == (b"", 22)
        assert reader.feed(b'xt":"a"}]}\n') == b""
        assert reader.feed(b"\ndata: ") == b'data: {"choices":[{"text":"a"}]}\n\n'
        assert (reader.num_pieces, reader.finish()) == (1, b"data: ")

    @pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
    def test_knows_both_line_ends(self, end: bytes) -> None:
        stream = [b'data: {"choices":[{"text":"a"}]}', end[:1], end[1:], b"data: [DONE]" + end]
        passed, reader = read(stream)
        assert passed == b"".join(stream)
        assert (reader.num_pieces, reader.is_done) == (1, True)

    def test_reads_usage_that_comes_with_every_chunk(self) -> None:
        chunks = [
            event('{"choices":[{"text":"a"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}'),
            event('{"choices":[{"text":"b"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'),
        ]
        passed, reader = read(chunks, hides_usage=True)
        assert passed == b"".join(chunks)
        assert (reader.usage, reader.num_pieces) == (Usage(prompt_tokens=3, output_tokens=2), 2)

    def test_takes_no_notice_of_usage_that_is_null(self) -> None:
        passed, reader = read([event('{"choices":[{"text":"a"}],"usage":null}'), DONE], hides_usage=True)
        assert (reader.usage, reader.num_pieces) == (None, 1)
        assert passed.count(b"data:") == 2

    def test_is_not_fooled_by_text_that_looks_like_usage(self) -> None:
        chunk = event(r'{"choices":[{"text":"\"choices\":[],\"usage\":{\"prompt_tokens\":1}"}]}')
        passed, reader = read([chunk], hides_usage=True)
        assert (passed, reader.usage, reader.num_pieces) == (chunk, None, 1)

    @pytest.mark.parametrize(
        ("delta", "expected"),
        [
            ('{"role":"assistant","content":""}', 0),
            ('{"role":"assistant","content":null}', 0),
            ('{"role":"assistant","content":"Hi"}', 1),
            ('{"role":"assistant","tool_calls":[{"index":0}]}', 1),
            ('{"role":"assistant","reasoning_content":"hm"}', 1),
            ('{"content":""}', 1),
        ],
    )
    def test_counts_no_token_for_a_chunk_that_only_opens_the_message(self, delta: str, expected: int) -> None:
        _, reader = read([event(f'{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}')])
        assert reader.num_pieces == expected

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            ('{"error":{"message":"x","code":503}}', 503),
            ('{"error":{"message":"x","code":400}}', 400),
            ('{"error":{"message":"x","code":null}}', 500),
            ('{"error":"x"}', 500),
            ('{"object":"error","message":"x","code":500}', 500),
        ],
    )
    def test_sees_error_events(self, data: str, status: int) -> None:
        passed, reader = read([event(data)])
        assert (passed, reader.error_status, reader.num_pieces) == (event(data), status, 0)

    def test_passes_comments_and_other_fields(self) -> None:
        stream = b': ping\n\nevent: x\ndata: {"choices":[{"text":"a"}]}\n\nretry: 5\n\n'
        passed, reader = read([stream])
        assert (passed, reader.num_pieces) == (stream, 1)

    @pytest.mark.parametrize(
        "data", ['nonsense "usage":{', '{"usage":{"prompt_tokens":1}}', '{"choices":[],"usage":{"a":']
    )
    def test_passes_what_it_does_not_understand(self, data: str) -> None:
        assert read([event(data)], hides_usage=True)[0] == event(data)


class TestFindUsage:
    @pytest.mark.parametrize(
        "document",
        [None, [], {}, {"usage": None}, {"usage": {"prompt_tokens": "7"}}, {"usage": {"completion_tokens": -1}}],
    )
    def test_is_none_where_none_can_be_read(self, document: object) -> None:
        assert find_usage(document) is None

    def test_reads_both_counts(self) -> None:
        assert find_usage({"usage": {"prompt_tokens": 5, "completion_tokens": 6}}) == Usage(
            prompt_tokens=5, output_tokens=6
        )
