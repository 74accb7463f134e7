"""The dispute's own clocks: a deadline pulls the trigger that the table names, an alarm tells somebody.

No deadline costs a party anything because the platform is slow: T6 and T7 only ring, and T7 rests while a party is due.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from service.domain.timers import fires, rule_alarm_due
from service.flows.context import Context
from service.flows.issuing import call_somebody
from service.flows.moves import facts_of, move
from service.store import timers
from service.store.conversations import instants_of_entries, turns_of_inquiries
from service.store.disputes import CaseFile, load_case
from service.store.timers import DueTimer

Span = tuple[datetime, datetime]  # half-open
ALARMS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {  # timer: (who is told, what about)
        "accept_alarm": ("supervisor", "acceptance_late"),
        "rule_alarm": ("supervisor", "ruling_late"),
        "hard_task": ("supervisor", "hard_deadline"),
        "agent_task": ("supervisor", "agent_task_late"),
    }
)


def deadline(ctx: Context, timer: DueTimer) -> None:
    """A window of the dispute is over: the system pulls its trigger with the facts that the rows tell."""
    case, trigger = _case(ctx, timer), fires(timer.name).trigger
    assert trigger is not None, "a deadline pulls a trigger"
    changes: Mapping[str, object] = {}
    if trigger == "seller_response_timeout" and case.dispute.type == "return_refund":
        address = case.dispute.return_address or case.merchant.return_address
        changes = {"agreed_to_return": True, "return_origin": "consent", "return_address": address}
    move(ctx, case, trigger, facts_of(ctx, case), side="system", changes=changes)


def alarm(ctx: Context, timer: DueTimer) -> None:
    """Something of the platform's is late: somebody is told, nothing moves."""
    _ring(ctx, _case(ctx, timer), timer.name)


def rule_alarm(ctx: Context, timer: DueTimer) -> None:
    """T7: rings once 72 business hours have passed in which no party was due (edge case 21).

    Computed from the spans themselves each time it fires, so that any number of pauses adds no drift.
    """
    case = _case(ctx, timer)
    if case.dispute.state != "intervening":
        return
    policy = ctx.policy_of(case.dispute)
    due_at = rule_alarm_due(case.dispute.state_since, parties_due(ctx, case), policy, policy.business_hours)
    assert due_at is not None, "every span has an end"
    if due_at <= ctx.now:
        _ring(ctx, case, timer.name)
        return
    timers.arm(
        ctx.plan,
        dispute_id=case.dispute.id,
        subject_id=case.dispute.id,
        name=timer.name,
        due_at=due_at,
        fires_at=due_at,
    )


def parties_due(ctx: Context, case: CaseFile) -> Sequence[Span]:
    """The spans in which the platform waited for a party: inquiries, tickets, mandatory evidence.

    A ticket that is overdue is waited for no longer. A span that lasts ends with the window that it waits for.
    """
    return [*_inquiry_spans(ctx, case), *_ticket_spans(ctx, case), *_evidence_spans(case)]


def _inquiry_spans(ctx: Context, case: CaseFile) -> Iterator[Span]:
    turns = turns_of_inquiries(ctx.tx.session, case.dispute.id)
    for inquiry in case.inquiries:
        asked: datetime | None = None
        for side, at, answers in turns.get(inquiry.id, ()):
            if side != "merchant":
                asked = asked or at
            elif asked is not None and answers:
                yield asked, at
                asked = None
        if asked is not None:
            ends = inquiry.closed_at or inquiry.due_at
            assert ends is not None, "who was asked has a window"
            yield asked, ends


def _ticket_spans(ctx: Context, case: CaseFile) -> Iterator[Span]:
    answered = instants_of_entries(
        ctx.tx.session, case.dispute.id, [t.answer_seq for t in case.tickets if t.answer_seq]
    )
    for ticket in case.tickets:
        ends = [at for at in (answered.get(ticket.answer_seq or 0), ticket.ended_at, ticket.due_at) if at is not None]
        yield ticket.issued_at, max(ticket.issued_at, min(ends))


def _evidence_spans(case: CaseFile) -> Iterator[Span]:
    for request in case.evidence_requests:
        if request.mandatory:
            yield request.created_at, request.ended_at or request.due_at


def _ring(ctx: Context, case: CaseFile, name: str) -> None:
    role, kind = ALARMS[name]
    ctx.follow(case.dispute)
    ctx.record("dispute.alarm", facts={"alarm": name, "about": kind})
    call_somebody(ctx, role=role, kind=kind)


def _case(ctx: Context, timer: DueTimer) -> CaseFile:
    case = load_case(ctx.tx.session, timer.dispute_id)
    assert case is not None, "a timer has a dispute"
    return case


DECISIONS: Final = MappingProxyType(
    {
        "seller_response": deadline,
        "escalate_window": deadline,
        "offer_response": deadline,
        "hard_deadline": deadline,
        "accept_alarm": alarm,
        "hard_task": alarm,
        "agent_task": alarm,
        "rule_alarm": rule_alarm,
    }
)
