"""Which shards may take a request."""

from collections.abc import Callable

from engine.routing.filters import accepts_requests, is_not_backing_off, is_untried
from engine.routing.snapshot import Candidate, RoutingRequest

REQUEST = RoutingRequest(class_id="c", tried=frozenset({"b"}))


class TestAcceptsRequests:
    def test_follows_the_table(self, build_candidate: Callable[..., Candidate]) -> None:
        assert accepts_requests(REQUEST, build_candidate("a"))
        assert not accepts_requests(REQUEST, build_candidate("a", accepts_requests=False))


class TestIsUntried:
    def test_leaves_out_shards_that_failed_this_request(self, build_candidate: Callable[..., Candidate]) -> None:
        assert is_untried(REQUEST, build_candidate("a"))
        assert not is_untried(REQUEST, build_candidate("b"))


class TestIsNotBackingOff:
    def test_leaves_out_shards_that_just_failed(self, build_candidate: Callable[..., Candidate]) -> None:
        assert is_not_backing_off(REQUEST, build_candidate("a"))
        assert not is_not_backing_off(REQUEST, build_candidate("a", is_backing_off=True))
