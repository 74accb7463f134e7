"""No money twice on the straight way: lost answers, callbacks in any order, tricks with the parcel, random events."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.errors import Absent, Refusal
from service.domain.policy import DEFAULT
from service.flows import negotiate, pay_refund, return_goods
from service.store import tables
from service.store.disputes import load_case
from service.store.payments import (
    GatewayStatus,
    Outcome,
    SimulatedGateway,
    Submitted,
)
from tests.payer import (
    PAID_FEN,
    books,
    dispute,
    fail_for_good,
    live_on,
    newest,
    owed,
    pay,
    retry,
    tell_callback,
    tick,
)
from tests.world import BUYER, OWNER, World, new_world

# --- the straight way -----------------------------------------------------------------------------------------------


def test_an_agreed_refund_is_paid_once_and_closes_the_dispute(world: World) -> None:
    """One submit, one payment, books closed, transcript sealed."""
    gateway = SimulatedGateway()
    dispute_id = owed(world)
    pending_before = books(world, dispute_id)

    pay(world, gateway)
    live_on(world, gateway, hours=1)

    paid = gateway.payments()
    assert [(p.amount_fen, p.fund) for p in paid] == [(PAID_FEN, "merchant")]
    assert pending_before == (PAID_FEN, 0)
    assert books(world, dispute_id) == (0, PAID_FEN)
    closed = dispute(world, dispute_id)
    assert (closed.state, closed.outcome) == ("closed", "SELLER_AGREED_LATE")
    assert world.kinds(dispute_id)[-4:] == [
        "refund.submitted",
        "refund.succeeded",
        "dispute.refund_succeeded",
        "case.sealed",
    ]
    assert world.rows(tables.Outbox, topic="refund", done_at=None) == []


def test_nothing_is_asked_of_the_gateway_inside_a_transaction(world: World) -> None:
    """While the gateway is asked, another story on the same dispute and database goes through at once."""
    dispute_id = owed(world)

    class Curious(SimulatedGateway):
        seen: tuple[str, str] | None = None

        def submit(self, key: str, amount_fen: int, currency: str, *, payment_no: str, fund: str) -> Submitted:
            self.seen = world.tell(
                BUYER,
                lambda ctx: (
                    load_case(ctx.tx.session, dispute_id).dispute.state,
                    load_case(ctx.tx.session, dispute_id).executions[-1].state,
                ),
            )
            return super().submit(key, amount_fen, currency, payment_no=payment_no, fund=fund)

    gateway = Curious()
    pay(world, gateway)

    assert gateway.seen == ("executing", "submitted")
    assert len(gateway.payments()) == 1


@pytest.mark.parametrize(
    "outcomes",
    [
        [Outcome.LOSE_REQUEST],
        [Outcome.LOSE_ANSWER],
        [Outcome.FAIL],
        [Outcome.FAIL, Outcome.LOSE_ANSWER],
        [Outcome.LOSE_REQUEST, Outcome.FAIL, Outcome.LOSE_REQUEST],
        [Outcome.FAIL] * 7,
    ],
    ids=lambda outcomes: "-".join(o.value for o in outcomes),
)
def test_whatever_goes_wrong_on_the_way_it_is_paid_once(world: World, outcomes: list[Outcome]) -> None:
    """A lost request, a lost answer, failures: the same key again until it is paid."""
    gateway = SimulatedGateway(outcomes=outcomes)
    dispute_id = owed(world)

    live_on(world, gateway, hours=5)

    assert len(gateway.payments()) == 1
    assert dispute(world, dispute_id).state == "closed"
    assert books(world, dispute_id) == (0, PAID_FEN)


def test_a_pending_refund_is_asked_about_until_the_bank_has_decided(world: World) -> None:
    """A callback that never comes is not missed: the worker asks."""
    gateway = SimulatedGateway(outcomes=[Outcome.PEND])
    dispute_id = owed(world)
    live_on(world, gateway, hours=2)
    state_before = dispute(world, dispute_id).state

    gateway.settle(newest(world, dispute_id).gateway_key, GatewayStatus.SUCCEEDED)
    live_on(world, gateway, hours=2)

    assert state_before == "executing"
    assert dispute(world, dispute_id).state == "closed"
    assert len(gateway.payments()) == 1
    assert newest(world, dispute_id).attempts == 1


def test_attempts_wait_longer_each_time_and_end_after_eight(world: World) -> None:
    """Backoff of at least 60 s, at most eight submits, then people are called (arrows 59 and 62c)."""
    gateway = SimulatedGateway()
    dispute_id = owed(world)

    fail_for_good(world, gateway, dispute_id)

    submitted = [e.at for e in world.rows(tables.TranscriptEntry, dispute_id=dispute_id, kind="refund.submitted")]
    submitted.sort()
    assert len(submitted) == DEFAULT.refund_attempts_max
    assert all(later - earlier >= timedelta(seconds=60) for earlier, later in itertools.pairwise(submitted))
    assert gateway.payments() == []
    assert books(world, dispute_id) == (PAID_FEN, 0)
    assert [t.role for t in world.rows(tables.Task, dispute_id=dispute_id)] == ["on_call"]


def test_two_refunds_on_one_order_within_a_minute_are_queued_not_failed(world: World) -> None:
    """Edge case 39 (WXA 10021059): one refund a minute and order."""
    gateway = SimulatedGateway()
    first_line = world.place_order()
    world.insert(
        (
            tables.OrderLine,
            {
                "id": "line-b",
                "order_id": f"order-{first_line}",
                "title": "长裤",
                "paid_fen": 5_000,
                "refundable_fen": 5_000,
            },
        )
    )
    first, second = owed(world, line=first_line), owed(world, line="line-b")

    pay(world, gateway)
    after_a_moment = len(gateway.payments())
    world.pass_time(seconds=59)
    pay(world, gateway)
    after_59_seconds = len(gateway.payments())
    world.pass_time(seconds=1)
    pay(world, gateway)

    assert (after_a_moment, after_59_seconds, len(gateway.payments())) == (1, 1, 2)
    assert {dispute(world, d).state for d in (first, second)} == {"closed"}
    assert "dispute.refund_failed" not in world.kinds(second)


# --- callbacks ------------------------------------------------------------------------------------------------------


def test_a_success_called_back_before_the_submit_returned_counts_once(world: World) -> None:
    """Edge case 8: the callback overtakes the answer of the submit."""
    dispute_id = owed(world)
    told: list[str | Refusal] = []

    class Hasty(SimulatedGateway):
        def submit(self, key: str, amount_fen: int, currency: str, *, payment_no: str, fund: str) -> Submitted:
            answered = super().submit(key, amount_fen, currency, payment_no=payment_no, fund=fund)
            told.append(tell_callback(world, newest(world, dispute_id), GatewayStatus.SUCCEEDED))
            return answered

    gateway = Hasty()
    pay(world, gateway)

    assert told == ["paid"]
    assert dispute(world, dispute_id).state == "closed"
    assert world.kinds(dispute_id).count("refund.succeeded") == 1
    assert "refund.double_paid" not in world.kinds(dispute_id)
    assert books(world, dispute_id) == (0, PAID_FEN)
    assert len(gateway.payments()) == 1


def test_a_failure_called_back_while_a_submit_is_under_way_decides_nothing(world: World) -> None:
    """Edge case 8, reordered: it speaks of an earlier attempt."""
    dispute_id = owed(world)
    told: list[str | Refusal] = []

    class Hasty(SimulatedGateway):
        def submit(self, key: str, amount_fen: int, currency: str, *, payment_no: str, fund: str) -> Submitted:
            told.append(tell_callback(world, newest(world, dispute_id), GatewayStatus.FAILED))
            return super().submit(key, amount_fen, currency, payment_no=payment_no, fund=fund)

    gateway = Hasty()
    pay(world, gateway)

    assert told == ["noted"]
    assert dispute(world, dispute_id).state == "closed"
    assert len(gateway.payments()) == 1


@pytest.mark.parametrize(
    "statuses",
    [
        [GatewayStatus.SUCCEEDED, GatewayStatus.SUCCEEDED],
        [GatewayStatus.SUCCEEDED, GatewayStatus.FAILED],
        [GatewayStatus.FAILED, GatewayStatus.SUCCEEDED],
        [GatewayStatus.FAILED, GatewayStatus.FAILED, GatewayStatus.SUCCEEDED],
        [GatewayStatus.PENDING, GatewayStatus.SUCCEEDED, GatewayStatus.PENDING],
        [GatewayStatus.SUCCEEDED, GatewayStatus.PENDING, GatewayStatus.FAILED, GatewayStatus.SUCCEEDED],
    ],
    ids=lambda statuses: "-".join(s.value for s in statuses),
)
def test_callbacks_twice_and_in_any_order_close_the_dispute_once(world: World, statuses: list[GatewayStatus]) -> None:
    """Edge case 8: succeeded before failed, failed before succeeded, each twice."""
    gateway = SimulatedGateway(outcomes=[Outcome.PEND])
    dispute_id = owed(world)
    pay(world, gateway)
    execution = newest(world, dispute_id)
    gateway.settle(execution.gateway_key, GatewayStatus.SUCCEEDED)

    for status in statuses:
        tell_callback(world, execution, status)
    live_on(world, gateway, hours=2)

    assert dispute(world, dispute_id).state == "closed"
    assert len(gateway.payments()) == 1
    assert world.kinds(dispute_id).count("dispute.refund_succeeded") == 1
    assert books(world, dispute_id) == (0, PAID_FEN)


def test_a_callback_for_an_unknown_refund_is_absent_and_leaves_nothing(world: World) -> None:
    """Edge case 8: the gateway sends it again, and by then we may know the number."""
    dispute_id = owed(world)
    execution = newest(world, dispute_id)
    kinds = world.kinds(dispute_id)

    with pytest.raises(Absent):
        tell_callback(world, execution, GatewayStatus.SUCCEEDED, key=None, refund_id="gw-unheard-of")

    assert world.kinds(dispute_id) == kinds
    assert newest(world, dispute_id).state == "pending"


@pytest.mark.parametrize("more", [{"amount_fen": PAID_FEN - 1}, {"key": "another-key", "refund_id": "known"}])
def test_a_callback_of_another_amount_or_key_moves_nothing_and_calls_somebody(
    world: World, more: dict[str, object]
) -> None:
    """What does not fit the refund it names is not believed, but people look at it."""
    gateway = SimulatedGateway(outcomes=[Outcome.PEND])
    dispute_id = owed(world)
    pay(world, gateway)
    execution = newest(world, dispute_id)
    if "refund_id" in more:
        more = more | {"refund_id": execution.gateway_refund_id}

    told = tell_callback(world, execution, GatewayStatus.SUCCEEDED, **more)

    assert isinstance(told, Refusal)
    assert told.code == "callback_mismatch"
    assert dispute(world, dispute_id).state == "executing"
    assert [t.kind for t in world.rows(tables.Task, dispute_id=dispute_id)] == ["refund_callback_mismatch"]


# --- tricks with the parcel -----------------------------------------------------------------------------------------


def returning(world: World) -> str:
    """A return that the merchant agreed to; the parcel is on its way."""
    dispute_id = world.make_dispute("refused", type="return_refund")
    world.tell(
        OWNER,
        lambda ctx: negotiate.seller_agree_return(
            ctx, dispute_id, return_address="浙江省杭州市某路1号", confirm_token=None
        ),
    )
    world.tell(
        BUYER, lambda ctx: return_goods.ship_return(ctx, dispute_id, carrier="sf", tracking_no="SF1234567890123")
    )
    return dispute_id


Trick = Callable[[World, str], object]


def _as_owner(story: Callable[..., object], *args: object, **named: object) -> Trick:
    return lambda world, dispute_id: world.tell(OWNER, lambda ctx: story(ctx, dispute_id, *args, **named))


CONFIRM = _as_owner(return_goods.confirm_receipt)
WAIVE = _as_owner(return_goods.waive_return)
AGREE_REFUND = _as_owner(negotiate.seller_agree_refund, amount_fen=None, currency=None)
AGREE_RETURN = _as_owner(negotiate.seller_agree_return, return_address=None, confirm_token=None)
REPORT = _as_owner(return_goods.report_problem, return_goods.Problem(ack="NOT_RECEIVED", note=""))


def _wait_out(world: World, dispute_id: str) -> None:
    world.pass_time(days=11)
    tick(world)


@pytest.mark.parametrize(
    "tricks",
    [
        (CONFIRM, CONFIRM),
        (CONFIRM, WAIVE),
        (CONFIRM, AGREE_REFUND),
        (CONFIRM, AGREE_RETURN),
        (CONFIRM, _wait_out),
        (_wait_out, CONFIRM),
        (REPORT, AGREE_RETURN, AGREE_REFUND),
        (REPORT, AGREE_REFUND, AGREE_REFUND),
        (REPORT, AGREE_RETURN, CONFIRM, AGREE_REFUND),
    ],
    ids=lambda tricks: str(len(tricks)),
)
def test_no_trick_with_a_parcel_already_at_the_merchant_pays_twice(world: World, tricks: tuple[Trick, ...]) -> None:
    """Edge case 43: agreeing again, confirming again, agreeing to a return once more: one payment."""
    gateway = SimulatedGateway()
    dispute_id = returning(world)
    refused = 0

    for trick in tricks:
        try:
            trick(world, dispute_id)
        except Refusal:
            refused += 1
        pay(world, gateway)
    live_on(world, gateway, hours=1)

    assert refused >= 1 or tricks[-1] is _wait_out
    assert [(p.amount_fen, p.fund) for p in gateway.payments()] == [(PAID_FEN, "merchant")]
    assert len(world.rows(tables.RefundExecution, dispute_id=dispute_id)) == 1
    assert dispute(world, dispute_id).state == "closed"
    assert books(world, dispute_id) == (0, PAID_FEN)


# --- all of it at once ----------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.sampled_from(["hour", "day", "pay", "callback_failed", "callback_true", "retry", "settle", "kill"]),
    min_size=1,
    max_size=14,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    outcomes=st.lists(st.sampled_from([o for o in Outcome if o is not Outcome.FAIL]), max_size=6),
    steps=STEPS,
)
def test_no_order_of_events_pays_twice(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, outcomes: list[Outcome], steps: list[str]
) -> None:
    """With a gateway whose failures are final, whatever happens in whatever order, one payment at most."""
    folder = tmp_path_factory.mktemp("money")
    (folder / "gongduan.db").write_bytes(sqlite_template.read_bytes())
    with new_world(f"sqlite:///{folder / 'gongduan.db'}", folder) as world:
        gateway = SimulatedGateway(outcomes=outcomes)
        dispute_id = owed(world)
        for step in steps:
            _step(world, gateway, dispute_id, step)
        live_on(world, gateway, hours=2)

        paid, executions = gateway.payments(), world.rows(tables.RefundExecution, dispute_id=dispute_id)
        assert len(paid) <= 1
        assert sum(e.state == "succeeded" for e in executions) <= len(paid)
        pending, refunded = books(world, dispute_id)
        assert pending + refunded == PAID_FEN
        assert (refunded == PAID_FEN) == (dispute(world, dispute_id).state == "closed")
        assert "refund.double_paid" not in world.kinds(dispute_id)


def _step(world: World, gateway: SimulatedGateway, dispute_id: str, step: str) -> None:
    execution = newest(world, dispute_id)
    truth = gateway.query(execution.gateway_key)
    match step:
        case "hour" | "day":
            live_on(world, gateway, hours=1 if step == "hour" else 12)
            world.pass_time(hours=0 if step == "hour" else 24)
            tick(world)
        case "pay":
            pay(world, gateway)
        case "kill":
            world.tell(pay_refund.THE_GATEWAY, pay_refund.next_errand)
        case "callback_failed" if truth is not GatewayStatus.SUCCEEDED:
            tell_callback(world, execution, GatewayStatus.FAILED)  # of an earlier attempt, late, out of order
        case "callback_true" if truth is not GatewayStatus.UNKNOWN:
            tell_callback(world, execution, truth)
        case "settle" if truth is GatewayStatus.PENDING:
            gateway.settle(execution.gateway_key, GatewayStatus.SUCCEEDED)
        case "retry" if dispute(world, dispute_id).state == "execution_failed":
            with contextlib.suppress(Refusal):
                retry(world, gateway, dispute_id)
