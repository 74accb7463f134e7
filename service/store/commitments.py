"""What bounds a promise made with a message: the seat's permission and limit, the claim, what the line has left.

A handwritten statement on the driver's own connection, for the path of a reply (replies.py).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from service.store.engine import Transaction


class SeenForCommitment(NamedTuple):
    """The acting seat, and the dispute's state and money, in fen."""

    dispute_state: str
    is_owner: bool
    may_commit: bool
    commit_limit_fen: int | None
    currency: str
    claimed_fen: int
    left_fen: int  # of the order line, refunds under way taken off


READ_FOR_COMMITMENT: Final = """
SELECT d.state, s.is_owner, s.may_commit, s.commit_limit_fen, d.currency, d.claimed_fen,
       l.refundable_fen - l.refunded_fen - l.pending_fen
FROM dispute d
JOIN order_line l ON l.id = d.order_line_id
JOIN seat s ON s.id = ? AND s.merchant_id = d.merchant_id
WHERE d.id = ?
"""


def read_for_commitment(tx: Transaction, dispute_id: str, *, seat_id: str) -> SeenForCommitment | None:
    """Read it in one statement; None where the dispute's shop has no such seat."""
    found = tx.rows(READ_FOR_COMMITMENT, (seat_id, dispute_id))
    return SeenForCommitment(*found[0]) if found else None
