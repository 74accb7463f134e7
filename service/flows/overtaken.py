"""A command that was in time and yet finds its window closed: the clock was faster than a stalled process.

Only inquiries revive by themselves (lifecycle.md section 4); every other command is refused with `in_time`, recorded,
and a supervisor looks at it.
"""

from __future__ import annotations

from sqlmodel import col, select

from service.domain.dispute import DISPUTE
from service.domain.dispute_actions import falls_under_window
from service.domain.errors import WindowClosed
from service.domain.timers import WINDOW_OF, fires
from service.domain.transcript import rfc3339
from service.domain.windows import in_time
from service.flows.context import Context
from service.flows.issuing import call_somebody
from service.store import tables
from service.store.disputes import CaseFile
from service.store.timers import timer_id
from service.store.writes import Plan


def overtaken_by_clock(ctx: Context, case: CaseFile, trigger: str) -> WindowClosed | None:
    """The refusal to give back, its record planned in a fresh plan; None if no clock was faster than this command.

    Args:
        trigger: of the arrow that the present state does not have.
    """
    dispute, side = case.dispute, ctx.actor.side
    for state, name in WINDOW_OF.items():
        if not DISPUTE.arrows_from(state, trigger) or not falls_under_window(state, trigger, side):
            continue
        clock = ctx.tx.session.get(tables.Timer, timer_id(dispute.id, name))
        if clock is None or not in_time(ctx.received_at, clock.due_at) or not _fired(ctx, case, clock):
            continue
        ctx.plan = Plan()
        ctx.follow(dispute)
        due_at, received_at = rfc3339(clock.due_at), rfc3339(ctx.received_at)
        ctx.record(
            "dispute.overtaken_by_clock",
            facts={"timer": name, "trigger": trigger, "due_at": due_at, "received_at": received_at},
        )
        call_somebody(ctx, role="supervisor", kind=f"{name}_was_in_time")
        return WindowClosed(due_at=due_at, received_at=received_at, in_time=True)
    return None


def _fired(ctx: Context, case: CaseFile, clock: tables.Timer) -> bool:
    """Whether this clock pulled its trigger after its end; a window that a command closed was only disarmed."""
    entry = tables.TranscriptEntry
    found = ctx.tx.session.exec(
        select(entry.seq)
        .where(
            entry.dispute_id == case.dispute.id,
            entry.kind == f"dispute.{fires(clock.name).trigger}",
            col(entry.at) >= clock.due_at,
        )
        .limit(1)
    ).first()
    return found is not None
