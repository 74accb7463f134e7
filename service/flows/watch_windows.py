"""Overdue things, in batches, each decided alone: warn, close, issue the ticket, count what counts.

One transaction claims timers (their disputes locked), asks the story that each belongs to, and writes all plans
together. A decision that fails is our bug: its timer is put off a minute, logged and counted, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from service.domain.errors import Refusal
from service.domain.inquiry import INQUIRY, InquiryFacts
from service.domain.timers import window_timers
from service.domain.transcript import rfc3339
from service.flows.context import THE_CLOCK, Context, House
from service.flows.issuing import issue_ticket
from service.store import tables, timers, windows
from service.store.engine import Transaction
from service.store.timers import DueTimer
from service.store.windows import ExpiringInquiry

BATCH_MAX: Final = 500  # timers a transaction; performance.md: 10,000 at once in statements over whole batches
PUT_OFF: Final = timedelta(minutes=1)  # choice: a timer whose decision failed

log = structlog.get_logger(__name__)

Decide = Callable[[Context, DueTimer], None]


@dataclass(slots=True)
class Swept:
    """What one sweep did, for the metrics: how many fired, how late, and which failed."""

    claimed: int = 0
    lateness_seconds: list[float] = field(default_factory=list)
    failed: int = 0


def sweep(house: House, tx: Transaction, *, now: datetime, decisions: Mapping[str, Decide]) -> Swept:
    """Fire what is due, at most BATCH_MAX timers, one per dispute; returns what was done.

    Args:
        decisions: timer name → the story that decides it; reply windows are decided here, all together.
    """
    due = _one_per_dispute(timers.claim_due(tx, now=now, limit=BATCH_MAX))
    done = Swept(claimed=len(due))
    if not due:
        return done
    closing = {d.subject_id: d for d in due if d.name == "reply_window"}
    contexts = _expire_all(house, tx, now, closing, done) if closing else []
    for timer in due:
        if timer.name == "reply_window":
            continue
        if (ctx := _decided_alone(house, tx, now, timer, decisions, done)) is not None:
            contexts.append(ctx)
    tx.apply([ctx.plan for ctx in contexts])
    done.lateness_seconds = [(now - timer.fires_at).total_seconds() for timer in due]
    return done


def _one_per_dispute(due: list[DueTimer]) -> list[DueTimer]:
    """Two timers of one dispute are decided one after the other: the second sees what the first did."""
    first: dict[str, DueTimer] = {}
    for timer in due:
        first.setdefault(timer.dispute_id, timer)
    return list(first.values())


def _decided_alone(
    house: House, tx: Transaction, now: datetime, timer: DueTimer, decisions: Mapping[str, Decide], done: Swept
) -> Context | None:
    ctx = house.context(tx, actor=THE_CLOCK, now=now, received_at=now, cause=timer.id)
    try:
        decisions[timer.name](ctx, timer)
    except Refusal as refusal:  # the state has moved on: nothing to do any more
        log.info("timer_moot", timer=timer.name, code=refusal.code)
        ctx = house.context(tx, actor=THE_CLOCK, now=now, received_at=now)
    except Exception:
        log.exception("timer_failed", timer=timer.name, dispute_id=timer.dispute_id)
        done.failed += 1
        _put_off(ctx := house.context(tx, actor=THE_CLOCK, now=now, received_at=now), timer, now)
        return ctx
    _mark_done(ctx, timer, now)
    return ctx


def _mark_done(ctx: Context, timer: DueTimer, now: datetime) -> None:
    """A timer fires once, unless its own decision has armed it again."""
    if timer.id not in ctx.plan.puts.get(tables.Timer, {}):
        ctx.plan.update(tables.Timer, timer.id, done_at=now)


def _put_off(ctx: Context, timer: DueTimer, now: datetime) -> None:
    ctx.plan.update(tables.Timer, timer.id, fires_at=now + PUT_OFF)


# --- reply windows, all together ------------------------------------------------------------------------------------


def _expire_all(
    house: House, tx: Transaction, now: datetime, closing: Mapping[str, DueTimer], done: Swept
) -> list[Context]:
    """Close every inquiry whose window is over: state, ticket, standing event, transcript and events of each."""
    contexts = []
    for seen in windows.read_expiring(tx, list(closing)):
        timer = closing[seen.inquiry_id]
        ctx = house.context(tx, actor=THE_CLOCK, now=now, received_at=now, cause=timer.id)
        try:
            _expire(ctx, seen)
        except Refusal as refusal:
            log.info("timer_moot", timer=timer.name, code=refusal.code)
            ctx = house.context(tx, actor=THE_CLOCK, now=now, received_at=now)
        except Exception:
            log.exception("timer_failed", timer=timer.name, dispute_id=timer.dispute_id)
            done.failed += 1
            _put_off(ctx := house.context(tx, actor=THE_CLOCK, now=now, received_at=now), timer, now)
            contexts.append(ctx)
            continue
        _mark_done(ctx, timer, now)
        contexts.append(ctx)
    return contexts


def _expire(ctx: Context, seen: ExpiringInquiry) -> None:
    """One reply window that nobody answered in (source 002: 否则会话将会关闭,平台客服会发送服务单给商家)."""
    policy = ctx.policy(seen.policy_id, seen.policy_version).for_dispute(seen.dispute_type)
    INQUIRY.advance(
        seen.state,
        "reply_window_expired",
        InquiryFacts(policy=policy, now=ctx.now, due_at=seen.due_at),
        side="system",
    )
    ctx.plan.head = seen.head
    ctx.plan.update(tables.Inquiry, seen.inquiry_id, state="expired", closed_at=ctx.now, close_cause="reply_window")
    timers.disarm(ctx.plan, seen.inquiry_id, window_timers(policy)[1:], at=ctx.now)
    if seen.seat_id is not None:
        ctx.plan.add(tables.Seat, seen.seat_id, open_inquiries=-1)
    ctx.record(
        "inquiry.expired",
        facts={"inquiry": seen.inquiry_id, "turn": seen.turn, "due_at": rfc3339(seen.due_at)},
    )
    ctx.announce("inquiry.expired", inquiry_id=seen.inquiry_id, due_at=rfc3339(seen.due_at))
    issue_ticket(
        ctx,
        merchant_id=seen.merchant_id,
        policy=policy,
        cause="TIMEOUT",
        category=policy.ticket_category_of_timeout,
        question=seen.question or "",
        inquiry_id=seen.inquiry_id,
        standing_id=f"{seen.inquiry_id}:{seen.turn}:timeout",
    )
