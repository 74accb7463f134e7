"""No money twice after a failure: late successes, retries, advances, workers that died, settlements by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.domain.errors import GuardFailed
from service.flows import pay_refund, take_payment_in_hand
from service.flows.moves import facts_of, move
from service.flows.paying import Answer
from service.store import tables
from service.store.disputes import load_case
from service.store.payments import (
    GatewaySilent,
    GatewayStatus,
    Outcome,
    SimulatedGateway,
    Submitted,
)
from tests.payer import (
    PAID_FEN,
    books,
    decide,
    dispute,
    given_up,
    live_on,
    newest,
    owed,
    pay,
    propose,
    retry,
    tell_callback,
    tick,
)
from tests.world import SUPERVISOR, World

# --- after a failure ------------------------------------------------------------------------------------------------


def test_a_late_success_after_execution_failed_is_a_success(world: World) -> None:
    """Arrow 62b: one payment, and no advance any more."""
    gateway = SimulatedGateway(outcomes=[Outcome.PEND])
    dispute_id = owed(world)
    live_on(world, gateway, hours=25)
    failed = dispute(world, dispute_id).state

    gateway.settle(newest(world, dispute_id).gateway_key, GatewayStatus.SUCCEEDED)
    told = tell_callback(world, newest(world, dispute_id), GatewayStatus.SUCCEEDED)
    live_on(world, gateway, hours=80)

    assert (failed, told) == ("execution_failed", "paid")
    assert dispute(world, dispute_id).outcome == "SELLER_AGREED_LATE"
    assert len(gateway.payments()) == 1


def test_a_retry_pays_once_from_a_new_execution(world: World) -> None:
    """Arrow 61: the gateway, asked, said that the old one had failed."""
    gateway, dispute_id, old = given_up(world)

    refused = retry(world, gateway, dispute_id)
    live_on(world, gateway, hours=1)

    assert refused is None
    new = newest(world, dispute_id)
    assert (new.replaces, new.obligation_no, new.state) == (old.id, old.obligation_no, "succeeded")
    assert [p.key for p in gateway.payments()] == [new.gateway_key]
    assert books(world, dispute_id) == (0, PAID_FEN)


@pytest.mark.parametrize("status", ["pending", "", "unknown"])
def test_no_retry_while_the_old_refund_may_still_succeed(world: World, status: str) -> None:
    """Pending, silent, or unknown within the hour: `execution_undecided`."""
    gateway = SimulatedGateway(outcomes=[Outcome.PEND])
    dispute_id = owed(world)
    live_on(world, gateway, hours=25)
    last_submit = newest(world, dispute_id).submitted_at
    assert last_submit is not None
    answer = Answer(status, min(world.now, last_submit + timedelta(minutes=59)))

    with pytest.raises(GuardFailed) as refused:
        world.tell(SUPERVISOR, lambda ctx: take_payment_in_hand.retry_execution(ctx, dispute_id, answer))

    assert refused.value.code == "execution_undecided"
    assert len(world.rows(tables.RefundExecution, dispute_id=dispute_id)) == 1


def test_an_answer_given_while_a_submit_was_under_way_proves_nothing(world: World) -> None:
    """It speaks of the attempt before: the one on its way may still pay."""
    dispute_id = owed(world)
    taken = world.tell(pay_refund.THE_GATEWAY, pay_refund.next_errand)  # and the worker is stopped here
    world.database.run(
        lambda tx: _force_failed(world, tx, dispute_id)  # T10 fires in that very minute
    )
    answer = Answer("failed", world.now)

    with pytest.raises(GuardFailed) as refused:
        world.tell(SUPERVISOR, lambda ctx: take_payment_in_hand.retry_execution(ctx, dispute_id, answer))

    assert taken[1] is not None
    assert refused.value.code == "execution_undecided"


def _force_failed(world: World, tx: object, dispute_id: str) -> None:
    ctx = world.house.context(tx, actor=pay_refund.THE_GATEWAY, now=world.now, received_at=world.now)
    case = load_case(ctx.tx.session, dispute_id)
    assert case is not None
    move(ctx, case, "execution_timeout", facts_of(ctx, case), side="system")
    ctx.tx.apply([ctx.plan])


def test_a_worker_held_up_beyond_its_time_sends_nothing(world: World) -> None:
    """Edge case 58: paused between taking up and asking, it wakes when others may have the job."""
    gateway = SimulatedGateway()
    owed(world)
    taken, errand = world.tell(pay_refund.THE_GATEWAY, pay_refund.next_errand)
    assert taken
    assert errand is not None

    world.pass_time(seconds=30)
    answer = pay_refund.ask(gateway, errand, lambda: world.now)

    assert answer.status == ""
    assert gateway.payments() == []


def test_a_worker_killed_before_it_asked_is_replaced_when_its_lease_is_over(world: World) -> None:
    """Edge case 58: nothing lost, nothing doubled."""
    gateway = SimulatedGateway()
    dispute_id = owed(world)
    world.tell(pay_refund.THE_GATEWAY, pay_refund.next_errand)  # killed here

    world.pass_time(seconds=59)
    within_the_lease = pay(world, gateway)
    world.pass_time(seconds=1)
    pay(world, gateway)

    assert within_the_lease == 0
    assert dispute(world, dispute_id).state == "closed"
    assert len(gateway.payments()) == 1


def test_a_worker_killed_after_it_asked_pays_no_second_time(world: World) -> None:
    """Edge case 58: the money moved, the answer was never recorded; the same key is asked again."""
    gateway = SimulatedGateway()
    dispute_id = owed(world)
    _, errand = world.tell(pay_refund.THE_GATEWAY, pay_refund.next_errand)
    assert errand is not None
    pay_refund.ask(gateway, errand, lambda: world.now)  # killed here

    live_on(world, gateway, hours=1)

    assert dispute(world, dispute_id).state == "closed"
    assert len(gateway.payments()) == 1


def test_a_success_found_while_retrying_is_recorded_instead(world: World) -> None:
    """The bank has changed its mind just before the supervisor asked."""
    gateway, dispute_id, old = given_up(world)
    gateway.settle(old.gateway_key, GatewayStatus.SUCCEEDED)

    refused = retry(world, gateway, dispute_id)
    live_on(world, gateway, hours=1)

    assert refused is not None
    assert refused.code == "already_paid"
    assert dispute(world, dispute_id).state == "closed"
    assert len(gateway.payments()) == 1


def test_a_success_of_the_old_one_before_the_new_one_is_sent_is_the_only_payment(world: World) -> None:
    """The bank changes its mind between retry and submit: the worker asks about the old one before money moves."""
    gateway, dispute_id, old = given_up(world)
    retry(world, gateway, dispute_id)

    gateway.settle(old.gateway_key, GatewayStatus.SUCCEEDED)
    live_on(world, gateway, hours=2)

    assert [p.key for p in gateway.payments()] == [old.gateway_key]
    assert dispute(world, dispute_id).state == "closed"
    assert {e.id: e.state for e in world.rows(tables.RefundExecution, dispute_id=dispute_id)} == {
        old.id: "succeeded",
        newest(world, dispute_id).id: "failed",
    }
    assert books(world, dispute_id) == (0, PAID_FEN)


def test_the_old_one_called_back_before_the_new_one_is_sent_is_the_only_payment(world: World) -> None:
    """The same, told by a callback."""
    gateway, dispute_id, old = given_up(world)
    retry(world, gateway, dispute_id)
    gateway.settle(old.gateway_key, GatewayStatus.SUCCEEDED)

    told = tell_callback(world, old, GatewayStatus.SUCCEEDED)
    live_on(world, gateway, hours=2)

    assert told == "paid"
    assert [p.key for p in gateway.payments()] == [old.gateway_key]
    assert books(world, dispute_id) == (0, PAID_FEN)


def test_the_platform_advances_once_when_the_old_refund_is_dead(world: World) -> None:
    """Arrow 62: three days after the failure, the gateway having said so."""
    gateway, dispute_id, _ = given_up(world)

    live_on(world, gateway, hours=73)

    assert [(p.amount_fen, p.fund) for p in gateway.payments()] == [(PAID_FEN, "platform")]
    assert dispute(world, dispute_id).outcome == "PLATFORM_ADVANCED"
    assert books(world, dispute_id) == (0, PAID_FEN)


def test_the_platform_does_not_advance_while_the_old_refund_is_pending(world: World) -> None:
    """It stands at the gateway and on-call is paged; once the bank pays, that is the payment."""
    gateway = SimulatedGateway(outcomes=[Outcome.PEND])
    dispute_id = owed(world)
    live_on(world, gateway, hours=120)
    standing = dispute(world, dispute_id).state
    paged = {t.kind for t in world.rows(tables.Task, dispute_id=dispute_id)}

    gateway.settle(newest(world, dispute_id).gateway_key, GatewayStatus.SUCCEEDED)
    live_on(world, gateway, hours=3)

    assert standing == "execution_failed"
    assert "refund_undecided" in paged
    assert [p.fund for p in gateway.payments()] == ["merchant"]
    assert dispute(world, dispute_id).outcome == "SELLER_AGREED_LATE"


def test_a_gateway_that_is_gone_lets_nobody_advance(world: World) -> None:
    """No answer is not a failure (edge case 40)."""

    class Gone:
        def submit(self, key: str, amount_fen: int, currency: str, *, payment_no: str, fund: str) -> Submitted:
            raise GatewaySilent("unreachable")

        def query(self, refund_id: str) -> GatewayStatus:
            raise GatewaySilent("unreachable")

    dispute_id = owed(world)

    live_on(world, Gone(), hours=110)

    assert dispute(world, dispute_id).state == "execution_failed"
    assert len(world.rows(tables.RefundExecution, dispute_id=dispute_id)) == 1
    assert "refund_undecided" in {t.kind for t in world.rows(tables.Task, dispute_id=dispute_id)}


def test_an_advance_overtaken_by_the_merchants_refund_is_not_paid(world: World) -> None:
    """The merchant's own refund succeeds between the advance and its submit: one payment, and no advance in the end."""
    gateway, dispute_id, old = given_up(world)
    world.pass_time(hours=72, seconds=1)
    tick(world)
    taken, errand = world.tell(pay_refund.THE_GATEWAY, pay_refund.next_errand)
    assert taken
    assert errand is not None
    answer = pay_refund.ask(gateway, errand, lambda: world.now)
    world.tell(pay_refund.THE_GATEWAY, lambda ctx: pay_refund.record_answer(ctx, errand, answer))
    advanced = newest(world, dispute_id).fund

    gateway.settle(old.gateway_key, GatewayStatus.SUCCEEDED)
    live_on(world, gateway, hours=2)

    assert advanced == "PLATFORM"
    assert [p.fund for p in gateway.payments()] == ["merchant"]
    assert dispute(world, dispute_id).outcome == "SELLER_AGREED_LATE"
    assert books(world, dispute_id) == (0, PAID_FEN)


def test_a_success_of_the_old_one_after_the_new_one_has_paid_is_an_alarm_and_moves_nothing(world: World) -> None:
    """Kept, `refund.double_paid`, a supervisor's task; the closed dispute stays as it is."""
    gateway, dispute_id, old = given_up(world)
    retry(world, gateway, dispute_id)
    live_on(world, gateway, hours=1)
    closed_at = dispute(world, dispute_id).closed_at

    told = [tell_callback(world, old, GatewayStatus.SUCCEEDED) for _ in range(2)]

    assert told == ["paid_twice", "duplicate"]
    kept = world.row(tables.RefundExecution, id=old.id)
    assert kept.paid_at == world.now
    assert kept.state == "exhausted"
    assert dispute(world, dispute_id).closed_at == closed_at
    assert [o.type for o in world.rows(tables.Outbox, dispute_id=dispute_id)].count("refund.double_paid") == 1
    task = world.row(tables.Task, id=f"{dispute_id}:refund_double_paid")
    assert task.role == "supervisor"
    assert books(world, dispute_id) == (0, PAID_FEN)


def test_an_old_success_while_the_new_one_is_under_way_counts_if_the_new_one_fails(world: World) -> None:
    """First an alarm; nothing more is sent, and when the new one has failed the old one has paid the obligation."""
    gateway, dispute_id, old = given_up(world)
    gateway.outcomes.append(Outcome.PEND)
    retry(world, gateway, dispute_id)
    world.pass_time(minutes=2)
    pay(world, gateway)
    new = newest(world, dispute_id)
    told = tell_callback(world, old, GatewayStatus.SUCCEEDED)
    gateway.settle(old.gateway_key, GatewayStatus.SUCCEEDED)
    standing = dispute(world, dispute_id).state

    gateway.settle(new.gateway_key, GatewayStatus.FAILED)
    live_on(world, gateway, hours=2)

    assert (told, standing, new.state) == ("paid_twice", "executing", "submitted")
    assert [p.key for p in gateway.payments()] == [old.gateway_key]
    assert dispute(world, dispute_id).state == "closed"
    assert books(world, dispute_id) == (0, PAID_FEN)


# --- by hand --------------------------------------------------------------------------------------------------------


def test_settling_by_hand_takes_two_people_and_pays_nothing_through_the_gateway(world: World) -> None:
    """Arrow 63: proof, second approver; the books are closed."""
    gateway, dispute_id, _ = given_up(world)

    proposed = propose(world, gateway, dispute_id)
    still = dispute(world, dispute_id).state
    refused = decide(world, gateway, dispute_id, proposed)
    live_on(world, gateway, hours=80)

    assert (still, refused) == ("execution_failed", None)
    assert dispute(world, dispute_id).outcome == "SETTLED_OFFLINE"
    assert gateway.payments() == []
    assert books(world, dispute_id) == (0, PAID_FEN)


def test_nothing_is_settled_by_hand_while_the_gateway_says_it_is_paying(world: World) -> None:
    """Pending is pending: `gateway_may_still_pay`."""
    gateway = SimulatedGateway(outcomes=[Outcome.PEND])
    dispute_id = owed(world)
    live_on(world, gateway, hours=25)

    with pytest.raises(GuardFailed) as refused:
        propose(world, gateway, dispute_id)

    assert refused.value.code == "gateway_may_still_pay"


def test_a_success_between_proposal_and_approval_stops_the_settlement(world: World) -> None:
    """The guards are asked again in the approver's transaction."""
    gateway, dispute_id, _ = given_up(world)
    proposed = propose(world, gateway, dispute_id)
    gateway.settle(newest(world, dispute_id).gateway_key, GatewayStatus.SUCCEEDED)

    refused = decide(world, gateway, dispute_id, proposed)
    state, approval = dispute(world, dispute_id).state, world.row(tables.Approval, id=proposed.approval_id).state
    tell_callback(world, newest(world, dispute_id), GatewayStatus.SUCCEEDED)

    assert refused is not None
    assert (refused.code, state, approval) == ("gateway_may_still_pay", "execution_failed", "stale")
    assert dispute(world, dispute_id).outcome == "SELLER_AGREED_LATE"
    assert len(gateway.payments()) == 1


def test_a_success_after_settling_by_hand_is_an_alarm(world: World) -> None:
    """The closed dispute does not move; people get the money back."""
    gateway, dispute_id, _ = given_up(world)
    decide(world, gateway, dispute_id, propose(world, gateway, dispute_id))

    told = tell_callback(world, newest(world, dispute_id), GatewayStatus.SUCCEEDED)

    assert told == "paid_twice"
    assert dispute(world, dispute_id).outcome == "SETTLED_OFFLINE"
    assert books(world, dispute_id) == (0, PAID_FEN)
