"""A seat reads the violation notice that stands in the way of its next message (A5)."""

from __future__ import annotations

from service.domain.errors import Absent
from service.flows.context import Context
from service.flows.read_case import require_seat
from service.store import conduct, tables
from service.store.disputes import load_case


def acknowledge_notice(ctx: Context, notice_id: str) -> tables.Notice:
    """Mark the notice as read by the seat that it was given to; again is no harm.

    Raises:
        Absent: no such notice, or another seat's: nobody reads it for somebody else.
        Forbidden: `seat_inactive`.
    """
    seat = require_seat(ctx)
    notice = conduct.notice(ctx.tx.session, notice_id)
    if notice is None or notice.seat_id != seat.id:
        raise Absent("notice")
    if notice.acknowledged_at is not None:
        return notice
    case = load_case(ctx.tx.session, notice.dispute_id)
    assert case is not None, "a notice came with a dispute"
    ctx.follow(case.dispute)
    ctx.plan.update(tables.Notice, notice_id, acknowledged_at=ctx.now)
    if case.dispute.state != "closed":  # a sealed transcript takes no more of this; the notice keeps its own instant
        ctx.record("moderation.violation_acknowledged", facts={"notice": notice_id, "message": notice.message_id})
    ctx.announce("moderation.violation_acknowledged", notice_id=notice_id, seat_id=seat.id)
    return notice
