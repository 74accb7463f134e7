"""Paying a refund: asked of the gateway until it is paid or given up, heard from the gateway, advanced by the platform.

A worker takes three steps with every job: take it up (a transaction that says so before anything is sent), ask the
gateway (outside of any transaction), record the answer (a transaction). A crash between two steps leaves a lease that
runs out; the same key is asked again, and the same key never moves money twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import structlog

from service.domain.errors import Absent, Refusal
from service.domain.refund import REFUND, RefundFacts, earliest_submit_at, is_dead, next_attempt_at
from service.domain.staff import Actor, Role
from service.flows.context import Context, House
from service.flows.issuing import call_somebody
from service.flows.moves import facts_of, move
from service.flows.paying import (
    Answer,
    bury,
    case_of,
    execution_of,
    finish_jobs,
    is_known_dead,
    name_at_gateway,
    newest_execution,
    note_answer,
    replace_execution,
    siblings_of,
    take_failure,
    take_success,
)
from service.store import outbox
from service.store.disputes import CaseFile
from service.store.engine import Database, Transaction
from service.store.outbox import RefundJob
from service.store.payments import GatewaySilent, PaymentGateway, RefundCallback
from service.store.refunds import execution_named, last_submit_on_order
from service.store.tables import RefundExecution
from service.store.timers import DueTimer

LEASE: Final = timedelta(seconds=60)  # choice: how long one job is one worker's
# choice: a call starts this soon after the lease or not at all; it ends within 13 s (payments.py), so that no call is
# under way when the lease is over
CALL_WITHIN: Final = timedelta(seconds=30)
THE_GATEWAY: Final = Actor(Role.SYSTEM, "payment-gateway")
SUBMIT: Final = "refund.submit"
ADVANCE: Final = "refund.advance"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Errand:
    """What to ask the gateway about one job. `attempt` is the submit it stands for, 0 when it only asks."""

    job: RefundJob
    attempt: int
    key: str
    amount_fen: int
    currency: str
    payment_no: str
    fund: str
    call_before: datetime
    check_first: tuple[tuple[str, str], ...]  # older executions of the obligation, (id, name at the gateway): they
    # must still be dead when money is about to move


# --- the worker -----------------------------------------------------------------------------------------------------


def pay_due(house: House, database: Database, gateway: PaymentGateway, now: Callable[[], datetime]) -> int:
    """Take up the job that has been due longest, ask, record. Returns how many jobs there were to take up: 1 or 0.

    One at a time, so that a process that is to stop waits for one call at most.
    """

    def context(tx: Transaction) -> Context:
        at = now()
        return house.context(tx, actor=THE_GATEWAY, now=at, received_at=at)

    def take_up(tx: Transaction) -> tuple[bool, Errand | None]:
        ctx = context(tx)
        found = next_errand(ctx)
        _apply(tx, ctx)
        return found

    taken, errand = database.run(take_up)
    if errand is not None:
        # A crash here leaves an execution that says `submitted`: when the lease is over the same key is asked again.
        answer = ask(gateway, errand, now)
        # A crash here too: the gateway answers the same key with what became of it.

        def record(tx: Transaction) -> None:
            ctx = context(tx)
            record_answer(ctx, errand, answer)
            _apply(tx, ctx)

        database.run(record)
    return int(taken)


def _apply(tx: Transaction, ctx: Context) -> None:
    if not ctx.plan.is_empty:
        tx.apply([ctx.plan])


def ask(gateway: PaymentGateway, errand: Errand, now: Callable[[], datetime]) -> Answer:
    """Ask the gateway, outside of any transaction. Whatever cannot be believed is silence, never a failure."""
    asked_at = now()
    try:
        if not errand.attempt:
            return Answer(gateway.query(errand.key).value, asked_at)
        for older_id, name in errand.check_first:
            said = gateway.query(name).value
            if said in ("pending", "succeeded"):
                return Answer(said, asked_at, of_older=older_id)
        if now() >= errand.call_before:
            return Answer("", asked_at)  # held up so long that somebody else may have the job by now
        submitted = gateway.submit(
            errand.key, errand.amount_fen, errand.currency, payment_no=errand.payment_no, fund=errand.fund
        )
        return Answer(submitted.status.value, asked_at, submitted.refund_id)
    except GatewaySilent as silent:
        log.warning("gateway_silent", reason=silent.reason, execution_id=errand.job.execution_id)
    except Exception:
        log.exception("gateway_failed", execution_id=errand.job.execution_id)
    return Answer("", asked_at)


def next_errand(ctx: Context) -> tuple[bool, Errand | None]:
    """Take up one due job: lease it, and say in the transcript what is about to be asked.

    Returns:
        Whether there was a job, and what to ask the gateway for it; nothing where the job has become moot or must wait.
    """
    job = outbox.next_job(ctx.tx, now=ctx.now)
    if job is None:
        return False, None
    case = case_of(ctx, job.dispute_id)
    execution = execution_of(case, job.execution_id)
    if job.type == ADVANCE or execution.state == "submitted":
        if job.type == SUBMIT and _may_submit(case, execution) and execution.gateway_refund_id is None:
            return True, _submit(ctx, case, job, execution)  # asked before and never answered: the same key again
        outbox.put_off(ctx.plan, job, until=ctx.now + LEASE)
        return True, _errand(ctx, case, job, execution, attempt=0)
    if execution.state == "pending" and _may_submit(case, execution):
        return True, _submit(ctx, case, job, execution)
    outbox.finish(ctx.plan, job, at=ctx.now)
    return True, None


def _may_submit(case: CaseFile, execution: RefundExecution) -> bool:
    """Only while the dispute is paying, only its newest execution, and not once its obligation has been paid."""
    siblings = siblings_of(case, execution)
    return (
        case.dispute.state == "executing"
        and siblings[-1].id == execution.id
        and all(each.paid_at is None for each in siblings)
    )


def _submit(ctx: Context, case: CaseFile, job: RefundJob, execution: RefundExecution) -> Errand | None:
    """Say that the refund is being submitted; one a minute and order (WXA 10021059), the next one waits its turn."""
    policy = ctx.policy_of(case.dispute)
    if execution.attempts >= policy.refund_attempts_max:
        outbox.put_off(ctx.plan, job, until=ctx.now + LEASE)
        return _errand(ctx, case, job, execution, attempt=0)
    opens_at = earliest_submit_at(ctx.now, last_submit_on_order(ctx.tx, case.dispute.order_id), policy)
    if opens_at > ctx.now:
        outbox.put_off(ctx.plan, job, until=opens_at)
        return None
    attempt = execution.attempts + 1
    if execution.state == "pending":
        facts = RefundFacts(policy=policy, now=ctx.now, attempts=execution.attempts)
        REFUND.advance("pending", "submit", facts, side="system")
    ctx.follow(case.dispute)
    ctx.plan.update(
        RefundExecution,
        execution.id,
        state="submitted",
        attempts=attempt,
        submitted_at=ctx.now,
        in_flight_until=ctx.now + LEASE,
    )
    ctx.record("refund.submitted", facts={"execution": execution.id, "attempt": attempt, "fund": execution.fund})
    ctx.announce("refund.submitted", execution_id=execution.id, attempt=attempt)
    outbox.put_off(ctx.plan, job, until=ctx.now + LEASE)
    return _errand(ctx, case, job, execution, attempt=attempt)


def _errand(ctx: Context, case: CaseFile, job: RefundJob, execution: RefundExecution, *, attempt: int) -> Errand:
    older = [e for e in siblings_of(case, execution) if e.id < execution.id and e.attempts]
    return Errand(
        job=job,
        attempt=attempt,
        key=name_at_gateway(execution) if not attempt else execution.gateway_key,
        amount_fen=execution.amount_fen,
        currency=execution.currency,
        payment_no=case.dispute.order_id,
        fund=execution.fund.lower(),
        call_before=ctx.now + CALL_WITHIN,
        check_first=tuple((e.id, name_at_gateway(e)) for e in older),
    )


# --- what the gateway answered --------------------------------------------------------------------------------------


def record_answer(ctx: Context, errand: Errand, answer: Answer) -> None:
    """Write down what the gateway said to an errand, and move what it moves."""
    job = errand.job
    case = case_of(ctx, job.dispute_id)
    execution = execution_of(case, job.execution_id)
    if answer.of_older is not None:
        _older_lives(ctx, case, job, execution, answer)
        return
    current = errand.attempt in (0, execution.attempts)  # no later submit has been made meanwhile
    note_answer(ctx, execution, answer, lands=current and errand.attempt > 0)
    if job.type == ADVANCE and answer.status != "succeeded":
        _advance(ctx, case, job, execution, answer)
    elif answer.status == "succeeded":
        outbox.finish(ctx.plan, job, at=ctx.now)
        take_success(ctx, case, execution)
    elif current and _gives_up(ctx, case, execution, answer):
        take_failure(ctx, case, execution, answer, job)
    else:
        _wait(ctx, case, errand, execution, answer)


def _gives_up(ctx: Context, case: CaseFile, execution: RefundExecution, answer: Answer) -> bool:
    policy = ctx.policy_of(case.dispute)
    return execution.state == "submitted" and is_dead(answer.status, execution.submitted_at, ctx.now, policy)


def _wait(ctx: Context, case: CaseFile, errand: Errand, execution: RefundExecution, answer: Answer) -> None:
    """Nothing is decided: ask again later, the longer the more often we have asked."""
    job, policy = errand.job, ctx.policy_of(case.dispute)
    if execution.state == "pending":
        return  # a callback was faster and has set the next attempt
    if execution.state != "submitted":
        outbox.finish(ctx.plan, job, at=ctx.now)
        return
    later = next_attempt_at(job.rounds + 1, ctx.now, policy) or ctx.now + policy.refund_backoff_most
    outbox.put_off(ctx.plan, job, until=later)
    if not answer.status and errand.attempt:
        ctx.follow(case.dispute)
        ctx.record("refund.unanswered", facts={"execution": execution.id, "attempt": errand.attempt})


def _older_lives(ctx: Context, case: CaseFile, job: RefundJob, execution: RefundExecution, answer: Answer) -> None:
    """A refund that this one was to replace is being paid after all: nothing was sent, and that one counts."""
    policy = ctx.policy_of(case.dispute)
    older = execution_of(case, answer.of_older or "")
    note_answer(ctx, older, Answer(answer.status, answer.asked_at), lands=False)
    if execution.state != "submitted":
        outbox.finish(ctx.plan, job, at=ctx.now)
        return
    ctx.follow(case.dispute)
    ctx.record("refund.held_back", facts={"execution": execution.id, "older": older.id, "says": answer.status})
    if answer.status == "succeeded":
        take_success(ctx, case, older, not_sent=execution.id)
        return
    facts = RefundFacts(policy=policy, now=ctx.now, attempts=execution.attempts - 1)
    REFUND.advance("submitted", "gateway_failed", facts, side="payment_gateway")
    REFUND.advance("failed", "retry", facts, side="system")
    ctx.plan.update(
        RefundExecution, execution.id, state="pending", attempts=execution.attempts - 1, in_flight_until=None
    )
    outbox.put_off(ctx.plan, job, until=ctx.now + policy.refund_backoff_most)


# --- what the gateway tells us unasked ------------------------------------------------------------------------------


def take_callback(ctx: Context, said: RefundCallback) -> str | Refusal:
    """Take in a callback, in whatever order and however often they come (edge case 8).

    Returns:
        `paid`, `paid_twice`, `failed`, `noted` (pending, or overtaken by what we know already) or `duplicate`; or a
        refusal that is recorded: `callback_mismatch`, its amount or key is not that of the refund it names.

    Raises:
        Absent: no such refund; the gateway sends it again, and by then we may know its number.
    """
    session = ctx.tx.session
    by_number = execution_named(session, key=None, refund_id=said.refund_id)
    found = by_number if said.key is None else execution_named(session, key=said.key, refund_id=said.refund_id)
    if (found or by_number) is None:
        raise Absent("refund")
    meant = found or by_number
    assert meant is not None, "one of the two is known"
    case = case_of(ctx, meant.dispute_id)
    execution = execution_of(case, meant.id)
    if found is None or (by_number is not None and by_number.id != found.id):
        return _mistrusted(ctx, case, execution, "key")
    if said.amount_fen is not None and said.amount_fen != execution.amount_fen:
        return _mistrusted(ctx, case, execution, "amount_fen")
    answer = Answer(said.status.value, ctx.now, said.refund_id)
    in_flight = execution.in_flight_until is not None and ctx.now < execution.in_flight_until
    match answer.status:
        case "succeeded":
            known = execution.state == "succeeded" or execution.paid_at is not None
            if not known:
                note_answer(ctx, execution, answer, lands=True)
            return take_success(ctx, case, execution)
        case "failed" if execution.state == "submitted" and not in_flight:
            note_answer(ctx, execution, answer, lands=True)
            jobs = [j for j in outbox.open_jobs(ctx.tx, case.dispute.id) if j.execution_id == execution.id]
            return take_failure(ctx, case, execution, answer, jobs[0] if jobs else None)
        case "pending" if execution.state == "submitted":
            note_answer(ctx, execution, answer, lands=False)
    return "noted"


def _mistrusted(ctx: Context, case: CaseFile, execution: RefundExecution, what: str) -> Refusal:
    ctx.follow(case.dispute)
    ctx.record("refund.callback_mismatch", facts={"execution": execution.id, "differs": what})
    call_somebody(ctx, role="on_call", kind="refund_callback_mismatch")
    return Refusal(
        "callback_mismatch", zh="回调与退款不一致", en="The callback does not fit the refund it names", differs=what
    )


# --- when the payment has failed ------------------------------------------------------------------------------------


def execution_timed_out(ctx: Context, timer: DueTimer) -> None:
    """T10 is over: people take it in hand, and nothing more is sent on its own (arrow 60)."""
    case = case_of(ctx, timer.dispute_id)
    move(ctx, case, "execution_timeout", facts_of(ctx, case), side="system")
    for execution in case.executions:
        if execution.state == "pending":
            bury(ctx, execution)
            finish_jobs(ctx, case.dispute.id, {execution.id})
    call_somebody(ctx, role="on_call", kind="execution_failed")


def advance_due(ctx: Context, timer: DueTimer) -> None:
    """T11 is over: ask the gateway about the old refund before the platform pays in advance (arrow 62).

    Where nothing was left on the line there is no old refund, and nothing to wait for: the dispute closes (arrow 62d).
    """
    case = case_of(ctx, timer.dispute_id)
    newest = newest_execution(case)
    if case.dispute.state != "execution_failed":
        return
    if newest is None:  # people have had their time to correct the line and pay (arrow 61)
        move(ctx, case, "refund_not_due", facts_of(ctx, case, nothing_to_pay=True), side="system")
        return
    ctx.follow(case.dispute)
    if not ctx.policy_of(case.dispute).advance_fund:
        ctx.record("refund.advance_not_possible", facts={"policy": ctx.policy_of(case.dispute).ref})
        call_somebody(ctx, role="on_call", kind="refund_needs_people")
        return
    ctx.record("refund.advance_due", facts={"execution": newest.id})
    ctx.ask_gateway(ADVANCE, execution_id=newest.id)


def _advance(ctx: Context, case: CaseFile, job: RefundJob, execution: RefundExecution, answer: Answer) -> None:
    """The gateway has been asked: advance if the old refund is dead, else page on-call and ask again."""
    policy, dispute = ctx.policy_of(case.dispute), case.dispute
    if dispute.state != "execution_failed" or case.executions[-1].id != execution.id:
        outbox.finish(ctx.plan, job, at=ctx.now)
        return
    if not is_known_dead(ctx, case, execution, answer):
        outbox.put_off(ctx.plan, job, until=ctx.now + policy.refund_backoff_most)
        if job.rounds == 0:
            ctx.follow(dispute)
            ctx.record("refund.undecided", facts={"execution": execution.id, "says": answer.status or "silence"})
            call_somebody(ctx, role="on_call", kind="refund_undecided")
        return
    outbox.finish(ctx.plan, job, at=ctx.now)
    ctx.plan.update(RefundExecution, execution.id, outcome_held=dispute.outcome_hint)
    facts = facts_of(ctx, case, old_execution_dead=True)
    told = {"execution": execution.id, "says": answer.status}
    move(ctx, case, "platform_advance_timeout", facts, side="system", entry_facts=told)
    replace_execution(ctx, case, execution, fund="PLATFORM")


DECISIONS: Final = MappingProxyType({"refund_retries": execution_timed_out, "platform_advance": advance_due})
