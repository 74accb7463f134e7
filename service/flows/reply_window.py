"""The reply window as a reply meets it: too late, longer when blocked in time, taken back when in time after all."""

from __future__ import annotations

from datetime import datetime

from service.domain.errors import Conflict, Refusal, WindowClosed
from service.domain.inquiry import INQUIRY, InquiryFacts, grace, in_time
from service.domain.policy import Policy
from service.domain.transcript import instant, rfc3339
from service.flows.context import Context
from service.store import tables, timers
from service.store.replies import SeenForReply


def too_late(ctx: Context, seen: SeenForReply) -> Refusal | None:
    """Why the message cannot be an answer any more; windows are judged by `received_at` alone."""
    due_at, received_at = seen.due_at, ctx.received_at
    ends = due_at
    if seen.inquiry_state == "closed":
        closed = None if seen.inquiry_closed_at_us is None else instant(seen.inquiry_closed_at_us)
        if seen.close_cause == "agent" and closed is not None and received_at < closed:
            return None
        ends = closed
    elif seen.inquiry_state == "awaiting_agent" or (due_at is not None and in_time(received_at, due_at)):
        return None
    if seen.inquiry_state in ("routing", "undeliverable") or ends is None:
        return Conflict("inquiry_not_open", zh="该会话不能回复", en="Nobody is asked here", state=seen.inquiry_state)
    return WindowClosed(due_at=rfc3339(ends), received_at=rfc3339(received_at))


def graced(ctx: Context, seen: SeenForReply, trigger: str, policy: Policy) -> datetime | None:
    """The clock runs on; the first attempt of the turn that was blocked or held in time earns the grace R1g."""
    due_at = seen.due_at
    assert due_at is not None, "an armed inquiry has a window"
    if trigger not in ("merchant_reply_blocked", "merchant_reply_held"):
        return due_at
    longer = grace(due_at, ctx.received_at, policy, bool(seen.grace_used))
    if longer is None:
        return due_at
    ctx.plan.update(tables.Inquiry, seen.inquiry_id, due_at=longer, grace_used=True)
    if longer > due_at:
        timers.arm(
            ctx.plan,
            dispute_id=seen.dispute_id,
            subject_id=seen.inquiry_id,
            name="reply_window",
            due_at=longer,
            fires_at=longer + policy.settle_margin,
        )
    return longer


def revived(ctx: Context, seen: SeenForReply) -> str:
    """In time stays in time: the reply came before the end, so the expiry is taken back (lifecycle.md section 4)."""
    ticket = _ticket_of(ctx, seen.inquiry_id)
    by_agent = seen.inquiry_state == "closed"
    facts = InquiryFacts(
        now=ctx.now,
        received_at=ctx.received_at,
        due_at=seen.due_at,
        closed_at=None if seen.inquiry_closed_at_us is None else instant(seen.inquiry_closed_at_us),
        closed_by_agent=by_agent,
        dispute_intervening=seen.dispute_state == "intervening",
        ticket_state=ticket[1] if ticket else "",
    )
    arrow = INQUIRY.advance(seen.inquiry_state, "reply_received_in_time", facts, side="system")
    if ticket is not None and ticket[1] == "issued":
        ctx.plan.update(tables.Ticket, ticket[0], state="cancelled", ended_at=ctx.now)
        timers.disarm(ctx.plan, ticket[0], ("ticket_sla",), at=ctx.now)
        ctx.plan.update(tables.StandingEvent, f"{seen.inquiry_id}:{seen.turn}:timeout", voided_at=ctx.now)
        ctx.record(
            "service_ticket.cancelled",
            facts={"ticket": ticket[0], "inquiry": seen.inquiry_id, "cause": "reply_received_in_time"},
        )
        ctx.announce("service_ticket.cancelled", ticket_id=ticket[0], cause="reply_received_in_time")
    if not by_agent:
        ctx.plan.update(tables.Inquiry, seen.inquiry_id, closed_at=None, close_cause=None)
        if seen.inquiry_seat_id is not None:
            ctx.plan.add(tables.Seat, seen.inquiry_seat_id, open_inquiries=1)
        ctx.record("inquiry.revived", facts={"inquiry": seen.inquiry_id, "received_at": rfc3339(ctx.received_at)})
    return "awaiting_merchant" if not by_agent and arrow.target == "awaiting_agent" else "closed"


def _ticket_of(ctx: Context, inquiry_id: str) -> tuple[str, str] | None:
    rows = ctx.tx.rows(
        "SELECT id, state FROM service_ticket WHERE inquiry_id = ? AND state <> 'cancelled'", (inquiry_id,)
    )
    return (rows[0][0], rows[0][1]) if rows else None
