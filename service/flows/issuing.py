"""What goes out beside a move: timers armed, tickets issued, standing counted, somebody called."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from service.domain.policy import Policy
from service.domain.ticket import is_blocking, sla_due
from service.domain.timers import Timer, fires_at, ticket_timers
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.store import tables, timers


def arm_all(ctx: Context, subject_id: str, wanted: Iterable[Timer], policy: Policy) -> None:
    """Arm timers of the plan's dispute or of one of its children."""
    assert ctx.plan.head is not None, "timers belong to a dispute"
    for timer in wanted:
        timers.arm(
            ctx.plan,
            dispute_id=ctx.plan.head.dispute_id,
            subject_id=subject_id,
            name=timer.name,
            due_at=timer.due_at,
            fires_at=fires_at(timer, policy),
        )


def release_seat(ctx: Context, seat_id: str | None) -> None:
    """A seat has one open inquiry less."""
    if seat_id is not None:
        ctx.plan.add(tables.Seat, seat_id, open_inquiries=-1)


def issue_ticket(
    ctx: Context,
    *,
    merchant_id: str,
    policy: Policy,
    cause: str,
    category: str,
    question: str,
    inquiry_id: str | None = None,
    standing_id: str | None = None,
    agreed: timedelta | None = None,
    blocking: bool | None = None,
) -> str:
    """Issue a service ticket; its clock runs in business hours from now. Returns the ticket's id.

    Args:
        cause: TIMEOUT, NO_SEAT, AGENT_CLOSED or MANUAL.
        standing_id: the standing event to count, named so that a revived reply can void it; None counts nothing.
        blocking: None takes the policy's word for this cause.
    """
    head = ctx.plan.head
    assert head is not None, "a ticket belongs to a dispute"
    ticket_id = ctx.new_id()
    due_at = sla_due(ctx.now, category, policy, policy.business_hours, agreed)
    ctx.plan.insert(
        tables.Ticket,
        id=ticket_id,
        dispute_id=head.dispute_id,
        merchant_id=merchant_id,
        inquiry_id=inquiry_id,
        cause=cause,
        category=category,
        question=question,
        blocking=is_blocking(cause, policy) if blocking is None else blocking,
        state="issued",
        due_at=due_at,
        issued_at=ctx.now,
    )
    arm_all(ctx, ticket_id, ticket_timers("issued", ctx.now, policy, due_at=due_at), policy)
    ctx.record(
        "service_ticket.issued",
        facts={"ticket": ticket_id, "cause": cause, "category": category, "due_at": rfc3339(due_at)}
        | ({"inquiry": inquiry_id} if inquiry_id else {}),
        private={"question": question or None},
    )
    ctx.announce("service_ticket.issued", ticket_id=ticket_id, cause=cause, due_at=rfc3339(due_at))
    if standing_id is not None:
        count_standing(
            ctx, merchant_id, head.dispute_id, kind=cause.lower(), standing_id=standing_id, subject_id=inquiry_id
        )
    return ticket_id


def count_standing(
    ctx: Context, merchant_id: str, dispute_id: str, *, kind: str, standing_id: str, subject_id: str | None = None
) -> None:
    """Count something towards the merchant's standing; the id is the thing counted, so nothing counts twice."""
    ctx.plan.put(
        tables.StandingEvent,
        standing_id,
        merchant_id=merchant_id,
        dispute_id=dispute_id,
        subject_id=subject_id or dispute_id,
        kind=kind,
        at=ctx.now,
        voided_at=None,
    )
    ctx.announce("standing.event_counted", kind=kind, subject_id=subject_id or dispute_id)


def call_somebody(ctx: Context, *, role: str, kind: str, due_at: datetime | None = None) -> None:
    """Give the platform's people a task: on call, a supervisor, or the agent of the dispute."""
    head = ctx.plan.head
    assert head is not None, "a task belongs to a dispute"
    ctx.plan.put(
        tables.Task,
        f"{head.dispute_id}:{kind}",
        dispute_id=head.dispute_id,
        role=role,
        kind=kind,
        created_at=ctx.now,
        due_at=due_at,
        done_at=None,
    )
    ctx.announce("dispute.alarm", kind=kind, role=role)
