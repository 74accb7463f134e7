"""Reply windows whose time is over, read for a whole batch in one statement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from service.domain.transcript import instant
from service.store.engine import Transaction
from service.store.writes import Head

_STATEMENT: Final = """
SELECT i.id, i.state, i.seat_id, i.turn, i.question, i.due_at,
       d.id, d.version, d.last_seq, d.last_hash, d.last_event_seq,
       d.merchant_id, d.policy_id, d.policy_version, d.type
FROM inquiry i JOIN dispute d ON d.id = i.dispute_id
WHERE i.id IN ({ids})
"""
READ_EXPIRING: Final = {
    "sqlite": _STATEMENT.format(ids="SELECT value FROM json_each(?)"),
    "postgresql": _STATEMENT.format(ids="SELECT jsonb_array_elements_text(?::jsonb)"),
}


class ExpiringInquiry(NamedTuple):
    """An inquiry with the head of its dispute, as the sweeper sees it."""

    inquiry_id: str
    state: str
    seat_id: str | None
    turn: int
    question: str | None
    due_at: datetime
    head: Head
    merchant_id: str
    policy_id: str
    policy_version: int
    dispute_type: str


def read_expiring(tx: Transaction, inquiry_ids: Sequence[str]) -> list[ExpiringInquiry]:
    """The inquiries with these ids; their disputes are locked by the claim."""
    rows = tx.rows(READ_EXPIRING[tx.dialect], (json.dumps(list(inquiry_ids)),))
    return [ExpiringInquiry._make((*row[:5], instant(row[5] or 0), Head(*row[6:11]), *row[11:])) for row in rows]
