"""How a shop keeps its word, counted: promises made, told, kept, broken, by act, and how late the broken ones came."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from service.domain.transcript import micros
from service.store.engine import Transaction

_IN_TIME: Final = "(p.done_at IS NOT NULL AND p.due_at IS NOT NULL AND p.done_at < p.due_at)"
_KEPT: Final = f"(p.state = 'fulfilled' OR (p.state = 'breached' AND {_IN_TIME}))"
_BROKEN: Final = f"(p.state = 'breached' AND NOT {_IN_TIME})"
_OF_PERIOD: Final = """
FROM promise p JOIN dispute d ON d.id = p.dispute_id
WHERE p.confirmation_hash IS NOT NULL AND p.created_at >= ? AND p.created_at < ? AND (d.merchant_id = ? OR ? = '')
"""
_COUNTS: Final = f"""
SELECT p.action, count(*),
       sum(CASE WHEN p.relay_seq IS NULL THEN 0 ELSE 1 END),
       sum(CASE WHEN {_KEPT} THEN 1 ELSE 0 END),
       sum(CASE WHEN {_BROKEN} THEN 1 ELSE 0 END),
       sum(CASE WHEN {_BROKEN} AND p.done_at IS NOT NULL THEN 1 ELSE 0 END)
{_OF_PERIOD}
GROUP BY p.action ORDER BY p.action
"""
_LATENESS: Final = f"""
SELECT p.done_at - p.due_at {_OF_PERIOD} AND {_BROKEN} AND p.done_at IS NOT NULL
ORDER BY p.done_at - p.due_at LIMIT ? OFFSET ?
"""


class Counted(NamedTuple):
    """Promises of one act: made (confirmed by the shop's act), told to the buyer; of these kept, broken, and of the
    broken ones those that were done late. Neither kept nor broken are still waited for."""

    action: str
    made: int
    told: int
    kept: int
    broken: int
    done_late: int


def count_promises(tx: Transaction, merchant_id: str | None, *, since: datetime, until: datetime) -> list[Counted]:
    """Promises made in a half-open period, by act; of all shops where `merchant_id` is None."""
    return [Counted(*row) for row in tx.rows(_COUNTS, _parameters(merchant_id, since, until))]


def median_lateness(
    tx: Transaction, merchant_id: str | None, *, since: datetime, until: datetime, number: int
) -> timedelta | None:
    """The median of how late the broken promises were done, in whole microseconds.

    Args:
        number: how many were done late; of an even number the mean of the two in the middle.
    """
    if not number:
        return None
    middle = 2 - number % 2
    found = tx.rows(_LATENESS, (*_parameters(merchant_id, since, until), middle, (number - 1) // 2))
    return timedelta(microseconds=sum(int(row[0]) for row in found) // len(found)) if found else None


def _parameters(merchant_id: str | None, since: datetime, until: datetime) -> tuple[object, ...]:
    return micros(since), micros(until), merchant_id or "", merchant_id or ""
