"""Armed windows: rows that say when something is due, and the claim that lets any number of processes sweep them.

The row of a timer is `<subject>:<name>`, so arming again moves it and disarming needs no look-up. A claim locks the
dispute first, in the same order as a reply, so the two never deadlock; what another process holds is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from service.domain.transcript import instant, micros
from service.store import tables
from service.store.engine import Transaction
from service.store.writes import Plan


class DueTimer(NamedTuple):
    """A timer that may fire, its dispute locked."""

    id: str
    dispute_id: str
    subject_id: str
    name: str
    due_at: datetime
    fires_at: datetime


CLAIM: Final = """
SELECT t.id, t.dispute_id, t.subject_id, t.name, t.due_at, t.fires_at
FROM timer t JOIN dispute d ON d.id = t.dispute_id
WHERE t.done_at IS NULL AND t.fires_at <= ?
ORDER BY t.fires_at, t.id LIMIT ?
"""
# PostgreSQL: read again once the disputes are locked; whoever held one may have moved or disarmed its timer meanwhile.
STILL_DUE: Final = """
SELECT id FROM timer WHERE done_at IS NULL AND fires_at <= ? AND id IN (SELECT jsonb_array_elements_text(?::jsonb))
"""
NEXT_DUE: Final = "SELECT fires_at FROM timer WHERE done_at IS NULL ORDER BY fires_at LIMIT 1"


def timer_id(subject_id: str, name: str) -> str:
    """The row of this timer."""
    return f"{subject_id}:{name}"


def arm(plan: Plan, *, dispute_id: str, subject_id: str, name: str, due_at: datetime, fires_at: datetime) -> None:
    """Arm a timer, or move it if it is armed already."""
    plan.updates.get(tables.Timer, {}).pop(timer_id(subject_id, name), None)  # armed after all
    plan.put(
        tables.Timer,
        timer_id(subject_id, name),
        dispute_id=dispute_id,
        subject_id=subject_id,
        name=name,
        due_at=due_at,
        fires_at=fires_at,
        done_at=None,
    )


def disarm(plan: Plan, subject_id: str, names: Iterable[str], *, at: datetime) -> None:
    """Let timers rest; one that was never armed is no matter."""
    for name in names:
        key = timer_id(subject_id, name)
        if key not in plan.puts.get(tables.Timer, {}):
            plan.update(tables.Timer, key, done_at=at)


def claim_due(tx: Transaction, *, now: datetime, limit: int) -> list[DueTimer]:
    """Timers that may fire, oldest first, each with its dispute locked until the transaction ends."""
    lock = " FOR UPDATE OF d SKIP LOCKED" if tx.dialect == "postgresql" else ""
    rows = tx.rows(CLAIM + lock, (micros(now), limit))
    if lock and rows:
        due = {row[0] for row in tx.rows(STILL_DUE, (micros(now), json.dumps([row[0] for row in rows])))}
        rows = [row for row in rows if row[0] in due]
    return [DueTimer._make((*row[:4], instant(row[4]), instant(row[5]))) for row in rows]


def next_due(tx: Transaction) -> datetime | None:
    """When the next timer may fire; None if none is armed."""
    rows = tx.rows(NEXT_DUE, ())
    return instant(rows[0][0]) if rows else None
