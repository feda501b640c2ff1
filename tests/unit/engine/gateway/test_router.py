"""The gateway's memory between decisions."""

from engine.gateway.health import FailureKind
from engine.gateway.router import Router
from engine.routing.snapshot import RoutingRequest
from engine.routing.table import ShardRoute
from tests.support.gateways import SHORT, define_deployment, define_route, define_table

REQUEST = RoutingRequest(class_id=SHORT.id)
A, B = define_route("http://a", "a"), define_route("http://b", "b")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def build_router(*routes: ShardRoute, clock: Clock | None = None) -> Router:
    router = Router(clock=clock or Clock())
    router.replace_table(define_table(define_deployment(*routes)))
    return router


def pick(router: Router, request: RoutingRequest = REQUEST) -> str | None:
    found = router.pick("chat", request)
    return None if found is None else found.route.shard_id


class TestPick:
    def test_takes_turns(self) -> None:
        router = build_router(A, B)
        assert [pick(router) for _ in range(4)] == ["a", "b", "a", "b"]

    def test_keeps_the_classes_apart(self) -> None:
        router = build_router(A, B)
        assert (pick(router), pick(router, RoutingRequest(class_id="other"))) == ("a", "a")

    def test_knows_no_other_deployment(self) -> None:
        assert build_router(A).pick("other", REQUEST) is None

    def test_passes_over_a_shard_that_backs_off(self) -> None:
        clock = Clock()
        router = build_router(A, B, clock=clock)
        router.note_failure(A, FailureKind.REFUSED)
        assert [pick(router) for _ in range(3)] == ["b", "b", "b"]
        clock.now = 0.25
        assert "a" in {pick(router), pick(router)}

    def test_trusts_a_shard_again_when_it_answers(self) -> None:
        router = build_router(A)
        router.note_failure(A, FailureKind.REFUSED)
        assert pick(router) is None
        router.note_success(A)
        assert pick(router) == "a"


class TestReplaceTable:
    def test_holds_nothing_against_a_shard_that_comes_back_elsewhere(self) -> None:
        router = build_router(A)
        router.note_failure(A, FailureKind.REFUSED)
        router.replace_table(define_table(define_deployment(define_route("http://a:2", "a"))))
        assert pick(router) == "a"

    def test_keeps_turns_and_health_of_what_stays(self) -> None:
        router = build_router(A, B)
        assert pick(router) == "a"
        router.replace_table(define_table(define_deployment(A, B, keys=["sk-new"])))
        assert pick(router) == "b"
        router.note_failure(A, FailureKind.REFUSED)
        router.replace_table(define_table(define_deployment(A, B)))
        assert pick(router) == "b"

    def test_forgets_deployments_that_are_gone(self) -> None:
        router = build_router(A)
        router.replace_table(define_table())
        assert pick(router) is None
        assert not router.has_ready_shard("chat")


class TestHasReadyShard:
    def test_follows_the_table_alone(self) -> None:
        router = build_router(A)
        router.note_failure(A, FailureKind.REFUSED)
        assert router.has_ready_shard("chat")
        assert not build_router(define_route("http://a", "a", accepts_requests=False)).has_ready_shard("chat")
