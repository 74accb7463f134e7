"""What the gateway's word about a refund entails, however it reached us: called back, answered, or asked for by hand.

The first success of an obligation closes the books and the dispute; any other is kept and is an alarm. A failure is
tried again with the same key, or given up. A new execution takes the place of one only when that one is known dead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service.domain.refund import REFUND, RefundFacts, is_dead, next_attempt_at
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.issuing import call_somebody
from service.flows.keeping import keep_promises
from service.flows.moves import facts_of, move
from service.flows.owing import owe
from service.store import outbox, tables
from service.store.disputes import CaseFile, load_case
from service.store.outbox import RefundJob
from service.store.tables import RefundExecution

PAYING: Final = frozenset({"executing", "execution_failed"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway said: pending, succeeded, failed or unknown; empty where it kept silent.

    `of_older`: the answer is about this older execution of the obligation, and nothing was sent.
    """

    status: str
    asked_at: datetime
    refund_id: str | None = None
    of_older: str | None = None


# --- finding --------------------------------------------------------------------------------------------------------


def case_of(ctx: Context, dispute_id: str) -> CaseFile:
    """The dispute under its lock."""
    case = load_case(ctx.tx.session, dispute_id)
    assert case is not None, "a refund belongs to a dispute"
    return case


def execution_of(case: CaseFile, execution_id: str) -> RefundExecution:
    """An execution of this dispute, as it stands under the lock."""
    return next(e for e in case.executions if e.id == execution_id)


def newest_execution(case: CaseFile) -> RefundExecution | None:
    """The execution that pays or failed to pay now."""
    return case.executions[-1] if case.executions else None


def siblings_of(case: CaseFile, execution: RefundExecution) -> Sequence[RefundExecution]:
    """All executions of the same obligation, oldest first, itself included."""
    return [e for e in case.executions if e.obligation_no == execution.obligation_no]


def name_at_gateway(execution: RefundExecution) -> str:
    """The gateway's number, or the key where a submit never told us the number."""
    return execution.gateway_refund_id or execution.gateway_key


def finish_jobs(ctx: Context, dispute_id: str, execution_ids: Iterable[str]) -> None:
    """Nothing is left to ask about these executions."""
    wanted = set(execution_ids)
    for job in outbox.open_jobs(ctx.tx, dispute_id):
        if job.execution_id in wanted:
            outbox.finish(ctx.plan, job, at=ctx.now)


def note_answer(ctx: Context, execution: RefundExecution, answer: Answer, *, lands: bool) -> None:
    """Keep the gateway's last word and its number for the refund; `lands` if it ends the submit under way."""
    if not answer.status:
        return
    ctx.plan.update(RefundExecution, execution.id, last_answer=answer.status, answered_at=answer.asked_at)
    if answer.refund_id is not None:
        ctx.plan.update(RefundExecution, execution.id, gateway_refund_id=answer.refund_id)
    if lands:
        ctx.plan.update(RefundExecution, execution.id, in_flight_until=None)


# --- a success ------------------------------------------------------------------------------------------------------


def take_success(ctx: Context, case: CaseFile, execution: RefundExecution, *, not_sent: str | None = None) -> str:
    """The gateway has paid.

    Args:
        not_sent: a newer execution that says `submitted` but of which this very transaction knows that nothing left.

    Returns:
        `paid`; `paid_twice`: another execution of the obligation has paid or may pay, or the dispute is closed: kept,
        told to a supervisor, and no state moves; or `duplicate`.
    """
    if execution.state == "succeeded" or execution.paid_at is not None:
        return "duplicate"
    newer = [e for e in siblings_of(case, execution) if e.id > execution.id]
    overtaken = any(e.state == "succeeded" or (e.state == "submitted" and e.id != not_sent) for e in newer)
    if case.dispute.state not in PAYING or overtaken:
        _paid_twice(ctx, case, execution)
        return "paid_twice"
    _settle(ctx, case, execution, unsent=[e for e in newer if e.state in ("pending", "submitted")])
    return "paid"


def _settle(ctx: Context, case: CaseFile, execution: RefundExecution, *, unsent: Sequence[RefundExecution]) -> None:
    """This execution has paid the obligation: close the books and the dispute; what was not sent never will be."""
    policy, dispute = ctx.policy_of(case.dispute), case.dispute
    facts = RefundFacts(policy=policy, now=ctx.now, attempts=execution.attempts)
    REFUND.advance(execution.state, "gateway_succeeded", facts, side="payment_gateway")
    for other in unsent:
        bury(ctx, other)
    _write_paid(ctx, execution, after_others=bool(unsent))
    finish_jobs(ctx, dispute.id, {execution.id, *(e.id for e in unsent)})
    amount_fen = execution.amount_fen
    ctx.plan.add(tables.OrderLine, dispute.order_line_id, pending_fen=-amount_fen, refunded_fen=amount_fen)
    if ctx.plan.head is None:
        ctx.follow(dispute)
    ctx.record(
        "refund.succeeded",
        facts={"execution": execution.id, "fund": execution.fund, "amount_fen": amount_fen}
        | ({"never_sent": [e.id for e in unsent]} if unsent else {}),
    )
    keep_promises(
        ctx,
        case,
        actions=("refund", "partial_refund"),
        side="payment_gateway",
        at=ctx.now,
        proof={"refund": execution.id},
        amount_fen=amount_fen,
    )
    changes = {"outcome_hint": execution.outcome_held} if unsent and execution.outcome_held else None
    move(ctx, case, "refund_succeeded", facts_of(ctx, case), side="payment_gateway", changes=changes)


def _write_paid(ctx: Context, execution: RefundExecution, *, after_others: bool) -> None:
    paid: dict[str, object] = {"state": "succeeded", "paid_at": ctx.now, "ended_at": ctx.now, "in_flight_until": None}
    if not after_others:
        ctx.plan.update(RefundExecution, execution.id, **paid)
        return
    # One execution of an obligation may be alive (a unique index). The others leave it by an update; a put follows the
    # updates on both engines, so this one enters when they are gone.
    noted = ctx.plan.updates.get(RefundExecution, {}).pop(execution.id, {})
    columns = {name: value for name, value in execution.model_dump().items() if name != "id"}
    ctx.plan.put(RefundExecution, execution.id, **(columns | noted | paid))


def _paid_twice(ctx: Context, case: CaseFile, execution: RefundExecution) -> None:
    ctx.plan.update(RefundExecution, execution.id, paid_at=ctx.now)
    finish_jobs(ctx, case.dispute.id, {execution.id})
    if ctx.plan.head is None:
        ctx.follow(case.dispute)
    ctx.record("refund.double_paid", facts={"execution": execution.id, "amount_fen": execution.amount_fen})
    ctx.announce("refund.double_paid", execution_id=execution.id)
    call_somebody(ctx, role="supervisor", kind="refund_double_paid")


# --- a failure ------------------------------------------------------------------------------------------------------


def take_failure(
    ctx: Context, case: CaseFile, execution: RefundExecution, answer: Answer, job: RefundJob | None
) -> str:
    """The gateway will not pay this submit: try again later, or give up.

    Returns:
        `failed`; or `paid`, where an older execution has paid meanwhile: it counts now.
    """
    policy, dispute, attempts = ctx.policy_of(case.dispute), case.dispute, execution.attempts
    facts = RefundFacts(
        policy=policy, now=ctx.now, attempts=attempts, answer=answer.status, last_submit_at=execution.submitted_at
    )
    REFUND.advance(execution.state, "gateway_failed", facts, side="payment_gateway")
    payer = next((e for e in siblings_of(case, execution) if e.paid_at is not None), None)
    if payer is not None and dispute.state in PAYING:
        _settle(ctx, case, payer, unsent=[execution])
        return "paid"
    if ctx.plan.head is None:
        ctx.follow(dispute)
    if dispute.state == "executing" and attempts < policy.refund_attempts_max:
        _try_again(ctx, case, execution, facts, job)
        return "failed"
    if dispute.state == "executing":
        _exhausted(ctx, case, execution, facts)
    else:
        ctx.plan.update(RefundExecution, execution.id, state="failed", in_flight_until=None, ended_at=ctx.now)
        ctx.record("refund.failed", facts={"execution": execution.id, "attempt": attempts})
        ctx.announce("refund.failed", execution_id=execution.id)
    if job is not None:
        outbox.finish(ctx.plan, job, at=ctx.now)
    return "failed"


def _try_again(
    ctx: Context, case: CaseFile, execution: RefundExecution, facts: RefundFacts, job: RefundJob | None
) -> None:
    REFUND.advance("failed", "retry", facts, side="system")
    retry_at = next_attempt_at(execution.attempts, ctx.now, facts.policy)
    assert retry_at is not None, "attempts are left"
    ctx.plan.update(RefundExecution, execution.id, state="pending", in_flight_until=None)
    if job is not None:
        outbox.put_off(ctx.plan, job, until=retry_at)
    else:
        ctx.ask_gateway("refund.submit", execution_id=execution.id)
    told = {"execution": execution.id, "attempt": execution.attempts, "retry_at": rfc3339(retry_at)}
    more = facts_of(ctx, case, attempts=execution.attempts)
    move(ctx, case, "refund_failed", more, side="payment_gateway", entry_facts=told)


def _exhausted(ctx: Context, case: CaseFile, execution: RefundExecution, facts: RefundFacts) -> None:
    REFUND.advance("failed", "give_up", facts, side="system")
    ctx.plan.update(RefundExecution, execution.id, state="exhausted", in_flight_until=None, ended_at=ctx.now)
    more = facts_of(ctx, case, attempts=execution.attempts)
    move(ctx, case, "refund_exhausted", more, side="system", entry_facts={"execution": execution.id})
    call_somebody(ctx, role="on_call", kind="refund_exhausted")


def bury(ctx: Context, execution: RefundExecution) -> None:
    """An execution that has not paid and never will: nothing of it is on its way."""
    facts = RefundFacts(now=ctx.now, attempts=execution.attempts, answer="failed")
    REFUND.advance(execution.state, "gateway_failed", facts, side="payment_gateway")
    ctx.plan.update(RefundExecution, execution.id, state="failed", in_flight_until=None, ended_at=ctx.now)


# --- another execution in its place ---------------------------------------------------------------------------------


def is_known_dead(ctx: Context, case: CaseFile, execution: RefundExecution, answer: Answer) -> bool:
    """Whether an execution did not and will not succeed: no submit is under way, and the gateway, asked, says so.

    An answer given while a submit may have been on its way says nothing about that submit.
    """
    in_flight = execution.in_flight_until is not None and answer.asked_at < execution.in_flight_until
    paid = execution.paid_at is not None or execution.state == "succeeded"
    policy = ctx.policy_of(case.dispute)
    return not in_flight and not paid and is_dead(answer.status, execution.submitted_at, answer.asked_at, policy)


def replace_execution(ctx: Context, case: CaseFile, old: RefundExecution, *, fund: str) -> None:
    """A new execution pays the same obligation, the old one being known dead."""
    if old.state in ("pending", "submitted"):
        bury(ctx, old)
    finish_jobs(ctx, case.dispute.id, {old.id})
    owe(ctx, case, amount_fen=old.amount_fen, fund=fund, replaces=old)
