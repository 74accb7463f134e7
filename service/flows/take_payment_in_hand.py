"""When a refund could not be paid: a supervisor has it paid anew, or two people settle it by hand.

Both start with the gateway's word about the old refund, asked for just before the transaction: nothing is paid a second
time while the first may still succeed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import structlog

from service.domain.dispute import DISPUTE
from service.domain.dispute_facts import DisputeFacts
from service.domain.errors import Absent, Conflict, Refusal
from service.flows.context import Context
from service.flows.moves import facts_of, move
from service.flows.owing import fund_of, owe
from service.flows.paying import (
    PAYING,
    Answer,
    case_of,
    is_known_dead,
    name_at_gateway,
    newest_execution,
    note_answer,
    replace_execution,
    take_success,
)
from service.flows.proposals import Approved, Proposed, propose
from service.store import tables
from service.store.disputes import CaseFile, load_case
from service.store.payments import GatewaySilent, PaymentGateway
from service.store.tables import RefundExecution
from service.store.uploads import upload_of

SETTLE_OFFLINE: Final = "settle_offline"

log = structlog.get_logger(__name__)


def name_of_old_refund(ctx: Context, dispute_id: str) -> str | None:
    """What to ask the gateway about before the dispute's payment is taken in hand; None where nothing failed."""
    case = load_case(ctx.tx.session, dispute_id, lock=False)
    if case is None or case.dispute.state != "execution_failed":
        return None
    newest = newest_execution(case)
    return None if newest is None else name_at_gateway(newest)


def ask_about(gateway: PaymentGateway, name: str, *, asked_at: datetime) -> Answer:
    """The gateway's word, asked outside of any transaction; silence where there is none."""
    try:
        return Answer(gateway.query(name).value, asked_at)
    except GatewaySilent as silent:
        log.warning("gateway_silent", reason=silent.reason)
        return Answer("", asked_at)


def retry_execution(ctx: Context, dispute_id: str, answer: Answer | None) -> Refusal | None:
    """A supervisor has the obligation paid by a new execution, the old one being dead (arrow 61).

    Args:
        answer: the gateway's word about the newest execution, asked just before; None where nobody was asked.

    Returns:
        None when a new execution goes out; `already_paid` when the gateway has just said that the old one succeeded:
        then that is recorded, and the dispute is closed.

    Raises:
        Absent: no such dispute.
        GuardFailed: `execution_undecided`: the old one may still succeed.
        Conflict: `arrow_missing`.
    """
    case = _case(ctx, dispute_id)
    old = newest_execution(case)
    if old is None:
        _owe_again(ctx, case)
        return None
    if answer is not None and answer.status == "succeeded" and case.dispute.state in PAYING:
        return _found_paid(ctx, case, old, answer)
    dead = answer is not None and is_known_dead(ctx, case, old, answer)
    told = {"replaces": old.id, "says": answer.status or "silence" if answer else "not asked"}
    move(ctx, case, "retry_execution", facts_of(ctx, case, old_execution_dead=dead), entry_facts=told)
    replace_execution(ctx, case, old, fund=old.fund)
    return None


def _owe_again(ctx: Context, case: CaseFile) -> None:
    """Nothing was left on the line when the payment was due; perhaps the marketplace has corrected it."""
    move(ctx, case, "retry_execution", facts_of(ctx, case, old_execution_dead=True))
    fund = fund_of(ctx, case, "retry_execution")
    owe(ctx, case, amount_fen=case.dispute.awarded_fen or case.dispute.claimed_fen, fund=fund)


def _found_paid(ctx: Context, case: CaseFile, execution: RefundExecution, answer: Answer) -> Refusal:
    note_answer(ctx, execution, answer, lands=True)
    take_success(ctx, case, execution)
    return Conflict("already_paid", zh="原退款已成功", en="The old refund has succeeded", execution_id=execution.id)


# --- by hand --------------------------------------------------------------------------------------------------------


def propose_settlement(ctx: Context, dispute_id: str, *, proof_sha256: str, answer: Answer | None) -> Proposed:
    """A supervisor proposes to settle by hand, with proof of the payment made outside; another one decides.

    Args:
        proof_sha256: a file this side has uploaded to this dispute.

    Raises:
        Absent: no such dispute.
        Conflict: `arrow_missing`, `approval_pending`.
        GuardFailed: `proof_missing`, `gateway_may_still_pay`.
    """
    case = _case(ctx, dispute_id)
    facts = _facts(ctx, case, proof_sha256, answer)
    DISPUTE.advance(case.dispute.state, SETTLE_OFFLINE, facts, side=ctx.actor.side)
    shown = {"proof_sha256": proof_sha256}
    return propose(ctx, case, subject=SETTLE_OFFLINE, payload={"dispute": dispute_id} | shown, shown=shown)


def settlement_approved(ctx: Context, case: CaseFile, approved: Approved) -> None:
    """Two people have seen the proof: close the books and the dispute (arrow 63)."""
    proof_sha256 = str(approved.payload["proof_sha256"])
    execution = newest_execution(case)
    facts = _facts(ctx, case, proof_sha256, approved.answer)
    told = {"proof_sha256": proof_sha256, "proposer": approved.proposer_id, "approval": approved.approval_id}
    move(ctx, case, SETTLE_OFFLINE, facts, entry_facts=told)
    if execution is not None:
        amount_fen = execution.amount_fen
        ctx.plan.add(tables.OrderLine, case.dispute.order_line_id, pending_fen=-amount_fen, refunded_fen=amount_fen)


def _facts(ctx: Context, case: CaseFile, proof_sha256: str, answer: Answer | None) -> DisputeFacts:
    proof = upload_of(ctx.tx.session, case.dispute.id, party="platform_agent", sha256=proof_sha256)
    newest = newest_execution(case)
    last_words = {e.id: e.last_answer for e in case.executions if e.obligation_no == case.dispute.obligation_no}
    if newest is not None and answer is not None and answer.status:
        last_words[newest.id] = answer.status
    return facts_of(
        ctx,
        case,
        has_proof=proof is not None,
        second_approver=True,
        gateway_may_pay=bool({"pending", "succeeded"} & set(last_words.values())),
    )


def _case(ctx: Context, dispute_id: str) -> CaseFile:
    if load_case(ctx.tx.session, dispute_id, lock=False) is None:
        raise Absent("dispute")
    return case_of(ctx, dispute_id)
