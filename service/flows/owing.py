"""What a decision awards and what is then owed: rulings, and executions that pay an obligation once."""

from __future__ import annotations

from typing import Final

from service.domain import dispute as disputes
from service.domain.dispute_facts import DisputeFacts
from service.domain.lifecycle import Arrow
from service.domain.outcome import Liability
from service.domain.policy import Policy
from service.domain.staff import Actor
from service.flows.context import Context
from service.flows.issuing import call_somebody
from service.store import people, tables
from service.store.disputes import CaseFile


def refundable_fen(case: CaseFile) -> int:
    """What may still be paid on the order line, refunds under way taken off."""
    line = case.line
    return max(0, line.refundable_fen - line.refunded_fen - line.pending_fen)


def default_ruling(ctx: Context, case: CaseFile, arrow: Arrow[DisputeFacts], facts: DisputeFacts) -> None:
    """The ruling that an arrow makes without anybody."""
    made = disputes.default_ruling_of(arrow)
    if made is None:
        return
    kind, basis, liability = made
    amount = 0 if kind == "reject" else min(case.dispute.claimed_fen, facts.refundable_fen)
    write_ruling(ctx, case, kind=kind, amount_fen=amount, liability=liability.value, basis=basis, policy=facts.policy)
    ctx.announce("ruling.default_issued", basis=basis)


def write_ruling(
    ctx: Context,
    case: CaseFile,
    *,
    kind: str,
    amount_fen: int,
    liability: str,
    basis: str,
    policy: Policy,
    reasons: str | None = None,
    cites: object | None = None,
    author: Actor | None = None,
    approver_id: str | None = None,
    final: bool = False,
) -> str:
    """Write a ruling and what it awards; returns its id."""
    number, ruling_id = len(case.rulings) + 1, ctx.new_id()
    made = ctx.record(
        "ruling.issued",
        facts={
            "ruling": ruling_id,
            "number": number,
            "kind": kind,
            "amount_fen": amount_fen,
            "liability": liability,
            "basis": basis,
            "policy": policy.ref,
        },
        private={"reasons": reasons, "cites": cites},
    )
    ctx.plan.insert(
        tables.Ruling,
        id=ruling_id,
        dispute_id=case.dispute.id,
        number=number,
        cycle=case.dispute.cycle,
        kind=kind,
        amount_fen=amount_fen,
        liability=liability,
        basis=basis,
        author_id=(author or ctx.actor).subject,
        approver_id=approver_id,
        seq=made.seq,
        final=final,
        issued_at=ctx.now,
        appeal_due_at=ctx.now + policy.appeal_window,
    )
    ctx.plan.change(awarded_fen=amount_fen, liability=liability)
    return ruling_id


_AGREED: Final = frozenset({"seller_agree_refund", "buyer_accept_offer", "seller_response_timeout"})


_AS_CLAIMED: Final = frozenset(
    {"seller_agree_refund", "seller_response_timeout"}
)  # whatever was ruled or offered before


def owed_fen(ctx: Context, case: CaseFile, trigger: str) -> int:
    """How much entering `executing` owes: what was ruled, what was offered and taken, or what was claimed."""
    changes = ctx.plan.head.changes if ctx.plan.head else {}
    awarded = changes.get("awarded_fen", case.dispute.awarded_fen)
    return case.dispute.claimed_fen if awarded is None or trigger in _AS_CLAIMED else int(str(awarded))


def fund_of(ctx: Context, case: CaseFile, trigger: str) -> str:
    """Who pays: the platform where a ruling holds it liable, the merchant for everything else."""
    changes = ctx.plan.head.changes if ctx.plan.head else {}
    liability = changes.get("liability", case.dispute.liability)
    return "PLATFORM" if liability == Liability.PLATFORM and trigger not in _AGREED else "MERCHANT"


def owe(
    ctx: Context,
    case: CaseFile,
    *,
    amount_fen: int,
    fund: str = "MERCHANT",
    replaces: tables.RefundExecution | None = None,
) -> str | None:
    """Make an execution that pays an obligation, and queue its submission behind this transaction.

    The line is locked and the amount capped by what is left on it; its `pending_fen` grows, and the database's own
    CHECK holds the cumulative cap. A retry or a platform advance pays the same obligation again, from another
    execution, only after the old one is known dead; its pending amount passes to the new one.

    Returns:
        The execution's id, or None where nothing is left to refund: then a supervisor is called.
    """
    dispute, execution_id = case.dispute, ctx.new_id()
    line = people.order_line(ctx.tx.session, dispute.order_line_id, lock=True)
    assert line is not None, "a dispute has an order line"
    left = line.refundable_fen - line.refunded_fen - line.pending_fen + (replaces.amount_fen if replaces else 0)
    due_fen = max(0, min(amount_fen, left))
    obligation_no = dispute.obligation_no + (0 if replaces else 1)
    ctx.plan.change(obligation_no=obligation_no)
    facts: dict[str, object] = {"obligation": obligation_no, "fund": fund, "amount_fen": due_fen}
    if due_fen < amount_fen:
        facts["asked_fen"] = amount_fen
    if due_fen == 0:
        ctx.record("refund.nothing_left", facts=facts)
        call_somebody(ctx, role="supervisor", kind="refund_nothing_left")
        return None
    ctx.plan.change(awarded_fen=due_fen)
    ctx.plan.insert(
        tables.RefundExecution,
        id=execution_id,
        dispute_id=dispute.id,
        order_line_id=dispute.order_line_id,
        obligation_no=obligation_no,
        fund=fund,
        amount_fen=due_fen,
        currency=dispute.currency,
        state="pending",
        gateway_key=execution_id,
        replaces=replaces.id if replaces else None,
        created_at=ctx.now,
    )
    ctx.plan.add(
        tables.OrderLine, dispute.order_line_id, pending_fen=due_fen - (replaces.amount_fen if replaces else 0)
    )
    ctx.record(
        "refund.owed", facts={"execution": execution_id} | facts | ({"replaces": replaces.id} if replaces else {})
    )
    ctx.ask_gateway("refund.submit", execution_id=execution_id)
    return execution_id
