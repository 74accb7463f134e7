"""The payer's day in tests: disputes that owe, a worker that works, clocks that fire, callbacks, people who decide."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

from service.domain.errors import Refusal
from service.domain.policy import DEFAULT
from service.domain.transcript import instant
from service.flows import approve, negotiate, pay_refund, return_goods, take_payment_in_hand
from service.flows.approve import approve as let_happen
from service.flows.paying import Answer
from service.flows.proposals import Proposed
from service.flows.watch_windows import sweep
from service.store import tables, timers
from service.store.engine import Transaction
from service.store.payments import (
    GatewayStatus,
    Outcome,
    RefundCallback,
    SimulatedGateway,
)
from tests.world import MARKETPLACE, OTHER_SUPERVISOR, OWNER, SUPERVISOR, World

PAID_FEN = 12_900
PROOF = "ab" * 32
DECISIONS = {**pay_refund.DECISIONS, **approve.DECISIONS, **return_goods.DECISIONS}
EVENTS = itertools.count(1)


def owed(world: World, *, line: str | None = None) -> str:
    """A dispute whose merchant has agreed: a refund is on its way."""
    dispute_id = world.make_dispute("refused", line=line)
    world.tell(OWNER, lambda ctx: negotiate.seller_agree_refund(ctx, dispute_id, amount_fen=None, currency=None))
    return dispute_id


def pay(world: World, gateway: SimulatedGateway | object) -> int:
    return pay_refund.pay_due(world.house, world.database, gateway, lambda: world.now)


def tick(world: World) -> None:
    """Fire every clock that is due."""
    while world.database.run(lambda tx: sweep(world.house, tx, now=world.now, decisions=DECISIONS)).claimed:
        pass


def live_on(world: World, gateway: SimulatedGateway | object, **length: float) -> None:
    """Time passes from one due thing to the next: clocks fire and the worker works."""
    ends = world.now + timedelta(**length)
    while True:
        tick(world)
        while pay(world, gateway):
            pass
        due = world.database.read(_next_due)
        if due is None or due > ends:
            world.now = ends
            return
        world.now = max(due, world.now + timedelta(microseconds=1))


def _next_due(tx: Transaction) -> datetime | None:
    jobs = tx.rows("SELECT MIN(next_attempt_at) FROM outbox WHERE topic = 'refund' AND done_at IS NULL", ())[0][0]
    found = [at for at in (timers.next_due(tx), None if jobs is None else instant(jobs)) if at is not None]
    return min(found, default=None)


def newest(world: World, dispute_id: str) -> tables.RefundExecution:
    return world.rows(tables.RefundExecution, dispute_id=dispute_id)[-1]


def dispute(world: World, dispute_id: str) -> tables.Dispute:
    return world.row(tables.Dispute, id=dispute_id)


def tell_callback(
    world: World, execution: tables.RefundExecution, status: GatewayStatus, **more: object
) -> str | Refusal:
    said: dict[str, object] = {"key": execution.gateway_key, "amount_fen": execution.amount_fen, **more}
    refund_id = str(said.pop("refund_id", f"sim-{execution.gateway_key}"))
    callback = RefundCallback(f"event-{next(EVENTS)}", refund_id, status, **said)
    return world.tell(MARKETPLACE, lambda ctx: pay_refund.take_callback(ctx, callback))


def answer_about(world: World, gateway: SimulatedGateway, dispute_id: str) -> Answer:
    name = world.tell(SUPERVISOR, lambda ctx: take_payment_in_hand.name_of_old_refund(ctx, dispute_id))
    assert name is not None
    return take_payment_in_hand.ask_about(gateway, name, asked_at=world.now)


def retry(world: World, gateway: SimulatedGateway, dispute_id: str) -> Refusal | None:
    answer = answer_about(world, gateway, dispute_id)
    return world.tell(SUPERVISOR, lambda ctx: take_payment_in_hand.retry_execution(ctx, dispute_id, answer))


def line_of(world: World, dispute_id: str) -> tables.OrderLine:
    return world.row(tables.OrderLine, id=dispute(world, dispute_id).order_line_id)


def books(world: World, dispute_id: str) -> tuple[int, int]:
    """(pending, refunded) of the order line."""
    line = line_of(world, dispute_id)
    return line.pending_fen, line.refunded_fen


def fail_for_good(world: World, gateway: SimulatedGateway, dispute_id: str) -> None:
    """Every attempt fails and the dispute stands at `execution_failed`."""
    gateway.outcomes.extend([Outcome.FAIL] * DEFAULT.refund_attempts_max)
    live_on(world, gateway, hours=4)
    assert dispute(world, dispute_id).state == "execution_failed"
    assert newest(world, dispute_id).state == "exhausted"


def given_up(world: World) -> tuple[SimulatedGateway, str, tables.RefundExecution]:
    """A refund that the gateway has failed for good: the gateway, the dispute, and its exhausted execution."""
    gateway, dispute_id = SimulatedGateway(), owed(world)
    fail_for_good(world, gateway, dispute_id)
    return gateway, dispute_id, newest(world, dispute_id)


def propose(world: World, gateway: SimulatedGateway, dispute_id: str) -> Proposed:
    world.insert(
        (
            tables.Upload,
            {
                "id": f"upload-{dispute_id[:8]}",
                "dispute_id": dispute_id,
                "party": "platform_agent",
                "uploaded_by": SUPERVISOR.subject,
                "sha256": PROOF,
                "size_bytes": 10,
                "media_type": "application/pdf",
                "uploaded_at": world.now,
            },
        )
    )
    answer = answer_about(world, gateway, dispute_id)
    return world.tell(
        SUPERVISOR,
        lambda ctx: take_payment_in_hand.propose_settlement(ctx, dispute_id, proof_sha256=PROOF, answer=answer),
    )


def decide(world: World, gateway: SimulatedGateway, dispute_id: str, proposed: Proposed) -> Refusal | None:
    answer = answer_about(world, gateway, dispute_id)
    return world.tell(
        OTHER_SUPERVISOR,
        lambda ctx: let_happen(
            ctx,
            proposed.approval_id,
            payload_sha256=proposed.payload_sha256,
            fire={"settle_offline": take_payment_in_hand.settlement_approved},
            answer=answer,
        ),
    )
