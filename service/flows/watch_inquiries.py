"""The smaller clocks of an inquiry: the merchant is warned before its window closes, an idle session ends."""

from __future__ import annotations

import math
from datetime import timedelta
from types import MappingProxyType

from service.domain.errors import Conflict
from service.domain.inquiry import INQUIRY, InquiryFacts
from service.domain.policy import REPLY_WINDOW_MOST
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.issuing import release_seat
from service.store import tables
from service.store.disputes import CaseFile, load_case
from service.store.timers import DueTimer


def warn(ctx: Context, timer: DueTimer) -> None:
    """So much time is left (R1w), as it really is: after a pause of ours less than the warning was armed for.

    Raises:
        Conflict: `inquiry_not_waiting`: it has been answered or has ended, or the next warning is due as well and says
            it all; nobody needs this one.
    """
    case, inquiry = _inquiry(ctx, timer)
    if inquiry.state != "awaiting_merchant" or inquiry.due_at is None or ctx.now >= inquiry.due_at:
        raise Conflict("inquiry_not_waiting", zh="无需提醒", en="Nobody is waited for", state=inquiry.state)
    left = inquiry.due_at - ctx.now
    armed_for = timedelta(seconds=int(timer.name.removeprefix("reply_warning_")))
    if any(left <= warning < armed_for for warning in ctx.policy_of(case.dispute).reply_warnings):
        raise Conflict("inquiry_not_waiting", zh="无需提醒", en="The next warning says it", state=inquiry.state)
    seconds = math.ceil(left.total_seconds())
    ctx.follow(case.dispute)
    ctx.record(
        "inquiry.warned",
        facts={
            "inquiry": inquiry.id,
            "turn": inquiry.turn,
            "seconds_left": seconds,
            "due_at": rfc3339(inquiry.due_at),
        },
    )
    ctx.announce(
        "inquiry.warning",
        inquiry_id=inquiry.id,
        seat_id=inquiry.seat_id,
        seconds_left=seconds,
        due_at=rfc3339(inquiry.due_at),
    )


def idle(ctx: Context, timer: DueTimer) -> None:
    """The merchant has answered and the agent asks nothing more: the session ends, and nothing counts (I1)."""
    case, inquiry = _inquiry(ctx, timer)
    policy = ctx.policy_of(case.dispute)
    facts = InquiryFacts(policy=policy, now=ctx.now, due_at=timer.due_at)
    INQUIRY.advance(inquiry.state, "idle_timeout", facts, side="system")
    ctx.follow(case.dispute)
    ctx.plan.update(tables.Inquiry, inquiry.id, state="closed", closed_at=ctx.now, close_cause="idle")
    release_seat(ctx, inquiry.seat_id)
    ctx.record("inquiry.closed", facts={"inquiry": inquiry.id, "cause": "idle"})
    ctx.announce("inquiry.closed", inquiry_id=inquiry.id, cause="idle")


def _inquiry(ctx: Context, timer: DueTimer) -> tuple[CaseFile, tables.Inquiry]:
    """The inquiry as it stands under the dispute's lock."""
    case = load_case(ctx.tx.session, timer.dispute_id)
    assert case is not None, "a timer has a dispute"
    return case, next(inquiry for inquiry in case.inquiries if inquiry.id == timer.subject_id)


# A policy may warn at any whole second before the longest window is over.
_SECONDS = range(int(REPLY_WINDOW_MOST.total_seconds()))
DECISIONS = MappingProxyType({"inquiry_idle": idle} | {f"reply_warning_{seconds}": warn for seconds in _SECONDS})
