"""Lists of disputes by keyset, the chains that reopening makes, and the day's next case number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import func
from sqlmodel import Session, col, exists, select

from service.domain.timers import WINDOW_OF
from service.store.engine import Transaction
from service.store.tables import Dispute, Timer

CHAIN_MAX: Final = 50  # successors of one dispute that are followed
NEXT_NUMBER: Final = """
INSERT INTO case_counter (day, last) VALUES (?, 1)
ON CONFLICT (day) DO UPDATE SET last = case_counter.last + 1
RETURNING last
"""


def disputes_of(
    session: Session,
    *,
    limit: int,
    buyer_id: str | None = None,
    merchant_id: str | None = None,
    intervened: bool = False,
    state: str | None = None,
    due_before: datetime | None = None,
    own_clocks_only: bool = True,
    assignee_id: str | None = None,
    after: str | None = None,
) -> Sequence[Dispute]:
    """Disputes newest first (ids are UUIDv7), after the one named; None filters nothing.

    Args:
        due_before: some armed clock ends before; of the dispute alone (`own_clocks_only`) or of its children too.
    """
    statement = select(Dispute).order_by(col(Dispute.id).desc()).limit(limit)
    if buyer_id is not None:
        statement = statement.where(Dispute.buyer_id == buyer_id)
    if merchant_id is not None:
        statement = statement.where(Dispute.merchant_id == merchant_id)
    if intervened:
        statement = statement.where(col(Dispute.intervened_at).is_not(None))
    if state is not None:
        statement = statement.where(Dispute.state == state)
    if assignee_id is not None:
        statement = statement.where(Dispute.assignee_id == assignee_id)
    if after is not None:
        statement = statement.where(col(Dispute.id) < after)
    if due_before is not None:
        clocks = exists().where(
            col(Timer.dispute_id) == col(Dispute.id), col(Timer.done_at).is_(None), col(Timer.due_at) < due_before
        )
        if own_clocks_only:
            clocks = clocks.where(col(Timer.subject_id) == col(Dispute.id))
        statement = statement.where(clocks)
    return session.exec(statement).all()


def soonest_windows(session: Session, dispute_ids: Sequence[str]) -> dict[str, datetime]:
    """When the running window of each of these disputes ends, where one runs."""
    if not dispute_ids:
        return {}
    names = sorted({*WINDOW_OF.values(), "hard_deadline", "appeal_review"})
    statement = (
        select(Timer.dispute_id, func.min(Timer.due_at))
        .where(
            col(Timer.dispute_id).in_(dispute_ids),
            col(Timer.done_at).is_(None),
            Timer.subject_id == Timer.dispute_id,
            col(Timer.name).in_(names),
        )
        .group_by(Timer.dispute_id)
    )
    return dict(session.exec(statement).all())


def successor_of(session: Session, dispute_id: str) -> Dispute | None:
    """The dispute that reopened this one."""
    return session.exec(select(Dispute).where(Dispute.parent_id == dispute_id)).first()


def reopened_by_buyer(session: Session, dispute: Dispute) -> int:
    """How often the buyer has reopened the matter, this dispute and those before it counted."""
    times, current = 0, dispute
    for _ in range(CHAIN_MAX):
        if current.parent_id is None:
            break
        times += current.reopened_by == "buyer"
        parent = session.get(Dispute, current.parent_id)
        assert parent is not None, "a successor has a parent"
        current = parent
    return times


def last_dispute_on_line(session: Session, order_line_id: str) -> Dispute | None:
    """The newest dispute about an order line, closed or not."""
    statement = select(Dispute).where(Dispute.order_line_id == order_line_id).order_by(col(Dispute.id).desc())
    return session.exec(statement.limit(1)).first()


def next_case_number(tx: Transaction, day: str) -> str:
    """Take the next readable number of a day (`20261123`): RD-20261123-00042.

    Counted by one statement at once, in the transaction of the dispute that opens: the row is locked until then, and
    a dispute that does not open gives its number back with the rollback.
    """
    tx.wrote = True  # a story that fails after this must not ride along with the others of its batch
    return f"RD-{day}-{tx.rows(NEXT_NUMBER, (day,))[0][0]:05d}"
