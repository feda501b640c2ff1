"""Deciding priced plans."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connections
from django.db.models import ProtectedError

from engine.domain.offer import Offer
from engine.domain.plan import Plan as EnginePlan
from engine.errors import InvalidInputError
from webapp.approvals import services
from webapp.approvals.models import Decision, Policy, Verdict
from webapp.core.errors import ForbiddenError, NotFoundError
from webapp.core.models import AuditEntry, Event, Role, User
from webapp.planning import services as planning_services
from webapp.planning import solving
from webapp.planning.models import Plan, PlanRequest, PlanState, ServedModel

MakePlan = Callable[..., EnginePlan]
MakePlanRequest = Callable[..., PlanRequest]
LoadOffer = Callable[..., Offer]
Sent = list[tuple[str, str, dict[str, object]]]

SLOT_OFFER = "local:this-host:cpu-slot:on_demand"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Collect what approvals queue."""
    found: Sent = []
    monkeypatch.setattr(services, "send_task", lambda name, *, queue, **kwargs: found.append((name, queue, kwargs)))
    return found


@pytest.fixture
def make_local(make_plan_request: MakePlanRequest, make_plan: MakePlan, served_model: ServedModel) -> MakePlanRequest:
    """Make requests for two slots of this host at 0.04 USD/h."""
    ServedModel.objects.filter(pk=served_model.pk).update(weights_path="/models/demo")
    return partial(make_plan_request, plan=make_plan([(SLOT_OFFER, 0.02)] * 2))


@pytest.fixture
def local_request(make_local: MakePlanRequest) -> PlanRequest:
    """A priced request for two slots of this host."""
    return make_local(PlanState.PRICED)


@pytest.fixture
def awaiting(make_plan_request: MakePlanRequest) -> PlanRequest:
    """A request that waits for a decision."""
    return make_plan_request(PlanState.AWAITING_APPROVAL)


def _take_snapshot(request: PlanRequest) -> tuple[object, ...]:
    """Everything a refused decision must leave as it was."""
    row = PlanRequest.objects.values().get(pk=request.pk)
    return row, Decision.objects.count(), AuditEntry.objects.count(), Event.objects.count()


class TestEnsureDefaultPolicy:
    """`ensure_default_policy`..."""

    @pytest.mark.django_db
    def test_lets_only_small_local_plans_approve_themselves(self, now: datetime) -> None:
        services.ensure_default_policy(now=now)
        policy = Policy.objects.get()
        assert (policy.is_enabled, policy.max_usd_per_hour, policy.allowed_providers) == (True, None, [])
        assert (policy.self_approve_below_usd_per_hour, policy.self_approve_providers) == (Decimal(1), ["local"])
        policy.full_clean()

    def test_leaves_what_an_admin_changed(self, admin: User, now: datetime) -> None:
        services.ensure_default_policy(now=now)
        policy = Policy.objects.get()
        policy.is_enabled = False
        services.save_policy(actor=admin, policy=policy, now=now)
        services.ensure_default_policy(now=now)
        assert [row.is_enabled for row in Policy.objects.all()] == [False]

    def test_does_not_bring_a_deleted_policy_back(self, admin: User, now: datetime) -> None:
        services.ensure_default_policy(now=now)
        services.delete_policy(actor=admin, policy=Policy.objects.get(), now=now)
        services.ensure_default_policy(now=now)
        assert Policy.objects.count() == 0


class TestCheckPolicies:
    """`check_policies`..."""

    def test_leaves_the_decision_to_a_person_without_a_policy_that_approves(
        self, make_plan_request: MakePlanRequest, sent: Sent, now: datetime
    ) -> None:
        services.ensure_default_policy(now=now)
        request = make_plan_request(PlanState.PRICED)
        state = services.check_policies(plan_request_id=request.pk, now=now)
        request.refresh_from_db()
        assert state == request.state == PlanState.AWAITING_APPROVAL
        assert (Decision.objects.count(), sent) == (0, [])
        moves = (
            AuditEntry.objects.filter(action="plan-request.move").order_by("pk").values_list("detail__to", flat=True)
        )
        assert list(moves) == ["solving", "priced", "policy_checked", "awaiting_approval"]

    def test_approves_a_small_local_plan_by_itself(self, local_request: PlanRequest, sent: Sent, now: datetime) -> None:
        services.ensure_default_policy(now=now)
        assert services.check_policies(plan_request_id=local_request.pk, now=now) == PlanState.APPROVED
        local_request.refresh_from_db()
        assert local_request.state == PlanState.APPROVED
        decision = Decision.objects.get(plan__request=local_request)
        assert (decision.verdict, decision.decided_by, decision.policy) == (
            Verdict.APPROVED,
            None,
            Policy.objects.get(),
        )
        assert decision.comment == "Policy Small local plans lets plans like this approve themselves."
        assert sent == [("deployments.apply", "operate", {"plan_request_id": local_request.pk})]
        entry = AuditEntry.objects.get(action="plan-request.approve")
        assert (entry.actor, entry.detail["policy"], entry.detail["usd_per_hour"]) == (
            None,
            "Small local plans",
            "0.040000",
        )

    @pytest.mark.parametrize("state", [PlanState.APPROVED, PlanState.APPLYING, PlanState.LIVE])
    def test_asks_a_person_before_a_plan_of_somebody_else_is_replaced(
        self, local_request: PlanRequest, make_local: MakePlanRequest, state: PlanState, admin: User, now: datetime
    ) -> None:
        services.ensure_default_policy(now=now)
        current = make_local(state)
        PlanRequest.objects.filter(pk=current.pk).update(author=admin)
        assert services.check_policies(plan_request_id=local_request.pk, now=now) == PlanState.AWAITING_APPROVAL
        assert Decision.objects.count() == 0

    def test_asks_a_person_before_a_plan_that_a_person_approved_is_replaced(
        self, local_request: PlanRequest, make_local: MakePlanRequest, approver: User, sent: Sent, now: datetime
    ) -> None:
        services.ensure_default_policy(now=now)
        current = make_local(PlanState.AWAITING_APPROVAL)
        services.approve(actor=approver, plan_request_id=current.pk, now=now)
        assert current.author_id == local_request.author_id
        assert services.check_policies(plan_request_id=local_request.pk, now=now) == PlanState.AWAITING_APPROVAL

    @pytest.mark.parametrize(
        ("state", "name", "username"),
        [
            (PlanState.LIVE, "chat", "author"),
            (PlanState.LIVE, "chat", "demo"),
            (PlanState.LIVE, "other", "somebody"),
            (PlanState.SUPERSEDED, "chat", "somebody"),
        ],
    )
    def test_lets_a_small_plan_replace_what_is_its_authors_the_systems_or_over(
        self,
        local_request: PlanRequest,
        make_local: MakePlanRequest,
        state: PlanState,
        name: str,
        username: str,
        now: datetime,
    ) -> None:
        services.ensure_default_policy(now=now)
        current = make_local(state, deployment_name=name)
        user, _ = User.objects.get_or_create(username=username)
        PlanRequest.objects.filter(pk=current.pk).update(author=user)
        assert services.check_policies(plan_request_id=local_request.pk, now=now) == PlanState.APPROVED

    def test_rejects_what_breaks_a_limit_of_any_policy(
        self, local_request: PlanRequest, sent: Sent, now: datetime
    ) -> None:
        services.ensure_default_policy(now=now)
        Policy.objects.create(name="Clouds only", allowed_providers=["aws"])
        assert services.check_policies(plan_request_id=local_request.pk, now=now) == PlanState.REJECTED
        local_request.refresh_from_db()
        reason = "Policy Clouds only: provider local is not allowed."
        assert (local_request.state, local_request.state_reason) == (PlanState.REJECTED, reason)
        decision = Decision.objects.get()
        assert (decision.verdict, decision.comment, decision.policy.name) == ("rejected", reason, "Clouds only")
        assert sent == []

    def test_passes_over_policies_that_are_switched_off(self, local_request: PlanRequest, now: datetime) -> None:
        Policy.objects.create(name="Off", is_enabled=False, max_usd_per_hour=Decimal("0.01"))
        assert services.check_policies(plan_request_id=local_request.pk, now=now) == PlanState.AWAITING_APPROVAL

    @pytest.mark.parametrize("state", [state for state in PlanState if state != PlanState.PRICED])
    def test_leaves_every_other_state_as_it_is(
        self, local_request: PlanRequest, state: PlanState, sent: Sent, now: datetime
    ) -> None:
        services.ensure_default_policy(now=now)
        PlanRequest.objects.filter(pk=local_request.pk).update(state=state)
        before = _take_snapshot(local_request)
        assert services.check_policies(plan_request_id=local_request.pk, now=now) == state
        assert (_take_snapshot(local_request), sent) == (before, [])

    def test_decides_a_plan_that_was_solved_again_anew(
        self, local_request: PlanRequest, author: User, make_plan: MakePlan, now: datetime
    ) -> None:
        policy = Policy.objects.create(name="Clouds only", allowed_providers=["aws"])
        services.check_policies(plan_request_id=local_request.pk, now=now)
        policy.is_enabled = False
        policy.save()
        services.ensure_default_policy(now=now)
        request = planning_services.start_solve(actor=author, plan_request_id=local_request.pk, now=now)
        job = solving.load_solve(plan_request_id=request.pk, solve_token=request.solve_token, now=now)
        answer = solving.RentalAnswer(plan=make_plan([(SLOT_OFFER, 0.02)]), instance={})
        solving.apply_answer(job=job, answer=answer, now=now)
        assert services.check_policies(plan_request_id=request.pk, now=now) == PlanState.APPROVED
        assert Decision.objects.get().verdict == Verdict.APPROVED
        assert AuditEntry.objects.filter(action="plan-request.reject").count() == 1

    @pytest.mark.django_db
    def test_refuses_a_request_that_is_not_there(self, now: datetime) -> None:
        with pytest.raises(NotFoundError):
            services.check_policies(plan_request_id=4, now=now)


class TestApprove:
    """`approve`..."""

    def test_decides_on_the_plan_of_the_calls_begin_when_none_is_named(
        self, awaiting: PlanRequest, approver: User, sent: Sent, monkeypatch: pytest.MonkeyPatch, now: datetime
    ) -> None:
        def solve_again(**_given: object) -> None:
            plan = Plan.objects.get(request=awaiting)
            Plan.objects.filter(request=awaiting).delete()
            plan.pk = None
            plan.save()

        monkeypatch.setattr(planning_services, "check_fresh", solve_again)
        with pytest.raises(services.PlanChangedError):
            services.approve(actor=approver, plan_request_id=awaiting.pk, now=now)
        awaiting.refresh_from_db()
        assert (awaiting.state, Decision.objects.count(), sent) == (PlanState.AWAITING_APPROVAL, 0, [])

    @pytest.mark.parametrize("role", ["approver", "admin"])
    def test_lets_approvers_and_admins_approve_plans_of_others(
        self, awaiting: PlanRequest, role: str, request: pytest.FixtureRequest, sent: Sent, now: datetime
    ) -> None:
        actor = request.getfixturevalue(role)
        later = now + timedelta(minutes=3)
        Event.objects.all().delete()
        services.approve(actor=actor, plan_request_id=awaiting.pk, comment="fine", now=later)
        awaiting.refresh_from_db()
        assert (awaiting.state, awaiting.state_reason) == (PlanState.APPROVED, "fine")
        decision = Decision.objects.get(plan__request=awaiting)
        assert (decision.verdict, decision.decided_by, decision.policy) == (Verdict.APPROVED, actor, None)
        assert (decision.comment, decision.decided_at) == ("fine", later)
        entry = AuditEntry.objects.get(action="plan-request.approve")
        assert (entry.actor, entry.object_id) == (actor, str(awaiting.pk))
        assert entry.detail == {"comment": "fine", "policy": None, "usd_per_hour": "40.000000"}
        assert list(Event.objects.values_list("payload__state", flat=True)) == ["approved", "approved"]
        assert sent == [("deployments.apply", "operate", {"plan_request_id": awaiting.pk})]

    @pytest.mark.parametrize("role", ["viewer", "planner"])
    def test_refuses_roles_that_do_not_decide_and_changes_nothing(
        self, awaiting: PlanRequest, role: str, request: pytest.FixtureRequest, sent: Sent, now: datetime
    ) -> None:
        actor = request.getfixturevalue(role)
        before = _take_snapshot(awaiting)
        with pytest.raises(ForbiddenError, match="does not include approvals.decide"):
            services.approve(actor=actor, plan_request_id=awaiting.pk, now=now)
        assert (_take_snapshot(awaiting), sent) == (before, [])

    def test_refuses_strangers_and_people_who_were_switched_off(
        self, awaiting: PlanRequest, approver: User, sent: Sent, now: datetime
    ) -> None:
        before = _take_snapshot(awaiting)
        approver.is_active = False
        strangers: list[Any] = [AnonymousUser(), approver]
        for actor in strangers:
            with pytest.raises(ForbiddenError):
                services.approve(actor=actor, plan_request_id=awaiting.pk, now=now)
        assert (_take_snapshot(awaiting), sent) == (before, [])

    @pytest.mark.parametrize("role", [Role.APPROVER, Role.ADMIN])
    def test_refuses_the_author_whatever_the_role(
        self, awaiting: PlanRequest, author: User, role: Role, sent: Sent, now: datetime
    ) -> None:
        author.role, author.is_superuser = role, role == Role.ADMIN
        author.save()
        before = _take_snapshot(awaiting)
        with pytest.raises(services.SelfApprovalError, match="is your own"):
            services.approve(actor=author, plan_request_id=awaiting.pk, now=now)
        assert (_take_snapshot(awaiting), sent) == (before, [])

    @pytest.mark.parametrize("state", [state for state in PlanState if state != PlanState.AWAITING_APPROVAL])
    def test_refuses_what_does_not_await_a_decision_and_changes_nothing(
        self, awaiting: PlanRequest, approver: User, state: PlanState, sent: Sent, now: datetime
    ) -> None:
        PlanRequest.objects.filter(pk=awaiting.pk).update(state=state)
        before = _take_snapshot(awaiting)
        with pytest.raises(services.NotAwaitingApprovalError, match="does not wait for a decision"):
            services.approve(actor=approver, plan_request_id=awaiting.pk, now=now)
        assert (_take_snapshot(awaiting), sent) == (before, [])

    def test_takes_one_decision_when_asked_twice(
        self, awaiting: PlanRequest, approver: User, sent: Sent, now: datetime
    ) -> None:
        services.approve(actor=approver, plan_request_id=awaiting.pk, now=now)
        with pytest.raises(services.NotAwaitingApprovalError):
            services.approve(actor=approver, plan_request_id=awaiting.pk, now=now)
        assert (Decision.objects.count(), len(sent)) == (1, 1)

    def test_finds_a_stale_plan_stale_instead(
        self, awaiting: PlanRequest, approver: User, load_offer: LoadOffer, sent: Sent, now: datetime
    ) -> None:
        load_offer(usd_per_hour=44.0, observed_at=now)
        with pytest.raises(planning_services.StalePlanError, match="from 40 to 44 USD/h"):
            services.approve(actor=approver, plan_request_id=awaiting.pk, now=now)
        awaiting.refresh_from_db()
        assert (awaiting.state, Decision.objects.count(), sent) == (PlanState.STALE, 0, [])

    def test_refuses_a_request_that_is_not_there(self, approver: User, now: datetime) -> None:
        with pytest.raises(NotFoundError):
            services.approve(actor=approver, plan_request_id=4, now=now)


class TestReject:
    """`reject`..."""

    def test_stores_the_decision_and_queues_nothing(
        self, awaiting: PlanRequest, approver: User, sent: Sent, now: datetime
    ) -> None:
        services.reject(actor=approver, plan_request_id=awaiting.pk, comment="too dear", now=now)
        awaiting.refresh_from_db()
        assert (awaiting.state, awaiting.state_reason) == (PlanState.REJECTED, "too dear")
        decision = Decision.objects.get()
        assert (decision.verdict, decision.decided_by) == (Verdict.REJECTED, approver)
        assert AuditEntry.objects.get(action="plan-request.reject").actor == approver
        assert sent == []

    @pytest.mark.parametrize("role", ["viewer", "planner", "author"])
    def test_refuses_who_may_not_decide_and_changes_nothing(
        self, awaiting: PlanRequest, role: str, request: pytest.FixtureRequest, now: datetime
    ) -> None:
        actor = request.getfixturevalue(role)
        before = _take_snapshot(awaiting)
        with pytest.raises(ForbiddenError):
            services.reject(actor=actor, plan_request_id=awaiting.pk, now=now)
        assert _take_snapshot(awaiting) == before

    def test_refuses_the_author_who_is_an_approver(self, awaiting: PlanRequest, author: User, now: datetime) -> None:
        author.role = Role.APPROVER
        author.save()
        with pytest.raises(services.SelfApprovalError):
            services.reject(actor=author, plan_request_id=awaiting.pk, now=now)
        assert Decision.objects.count() == 0

    @pytest.mark.parametrize("comment", ["x" * 1001, "a\x00b"])
    def test_refuses_a_comment_that_cannot_be_kept(
        self, awaiting: PlanRequest, approver: User, comment: str, now: datetime
    ) -> None:
        with pytest.raises(InvalidInputError) as caught:
            services.reject(actor=approver, plan_request_id=awaiting.pk, comment=comment, now=now)
        assert (caught.value.field, Decision.objects.count()) == ("comment", 0)

    def test_works_on_a_plan_the_market_moved_away_from(
        self, awaiting: PlanRequest, approver: User, load_offer: LoadOffer, now: datetime
    ) -> None:
        load_offer(usd_per_hour=80.0, observed_at=now)
        services.reject(actor=approver, plan_request_id=awaiting.pk, now=now)
        awaiting.refresh_from_db()
        assert awaiting.state == PlanState.REJECTED


class TestRace:
    """Two decisions at once..."""

    @pytest.mark.slow
    @pytest.mark.row_locks
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("second", ["approve", "reject"])
    def test_leave_exactly_one(
        self, awaiting: PlanRequest, approver: User, admin: User, second: str, sent: Sent, now: datetime
    ) -> None:
        refused: list[Exception] = []
        barrier = threading.Barrier(2)

        def decide(name: str, actor: User) -> None:
            barrier.wait()
            try:
                getattr(services, name)(actor=actor, plan_request_id=awaiting.pk, comment=name, now=now)
            except services.NotAwaitingApprovalError as error:
                refused.append(error)
            finally:
                connections.close_all()

        pairs = (("approve", approver), (second, admin))
        threads = [threading.Thread(target=decide, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=20)
        decision = Decision.objects.get()
        awaiting.refresh_from_db()
        assert len(refused) == 1
        assert awaiting.state == decision.verdict
        assert len(sent) == (1 if decision.verdict == Verdict.APPROVED else 0)
        assert AuditEntry.objects.filter(action__in=("plan-request.approve", "plan-request.reject")).count() == 1


class TestPolicyChanges:
    """`save_policy` and `delete_policy`..."""

    def test_write_audit_rows(self, admin: User, now: datetime) -> None:
        policy = Policy(name="Cap", max_usd_per_hour=Decimal("30.5"))
        services.save_policy(actor=admin, policy=policy, now=now)
        policy.max_usd_per_hour = Decimal(20)
        services.save_policy(actor=admin, policy=policy, now=now)
        services.delete_policy(actor=admin, policy=policy, now=now)
        entries = list(AuditEntry.objects.order_by("pk"))
        assert [(entry.action, entry.detail["max_usd_per_hour"]) for entry in entries] == [
            ("policy.create", "30.5"),
            ("policy.change", "20"),
            ("policy.delete", "20"),
        ]
        assert len({entry.object_id for entry in entries}) == 1
        assert Policy.objects.count() == 0

    @pytest.mark.parametrize("role", ["viewer", "planner", "approver"])
    def test_are_for_admins(self, role: str, request: pytest.FixtureRequest, now: datetime) -> None:
        actor = request.getfixturevalue(role)
        policy = Policy.objects.create(name="Cap")
        policy.name = "Changed"
        with pytest.raises(ForbiddenError):
            services.save_policy(actor=actor, policy=policy, now=now)
        with pytest.raises(ForbiddenError):
            services.delete_policy(actor=actor, policy=policy, now=now)
        assert Policy.objects.get().name == "Cap"
        assert AuditEntry.objects.count() == 0

    def test_keep_a_policy_that_decided(self, local_request: PlanRequest, admin: User, now: datetime) -> None:
        services.ensure_default_policy(now=now)
        services.check_policies(plan_request_id=local_request.pk, now=now)
        with pytest.raises(ProtectedError):
            services.delete_policy(actor=admin, policy=Policy.objects.get(), now=now)
        assert Policy.objects.count() == 1
