"""Proposals across disputes: the supervisors' list."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from service.store.tables import Approval


def approvals_after(
    session: Session, *, state: str | None, proposer_id: str | None, after: str | None, limit: int
) -> Sequence[Approval]:
    """Proposals older than `after`, newest first."""
    statement = select(Approval).order_by(col(Approval.id).desc()).limit(limit)
    if state is not None:
        statement = statement.where(Approval.state == state)
    if proposer_id is not None:
        statement = statement.where(Approval.proposer_id == proposer_id)
    if after is not None:
        statement = statement.where(col(Approval.id) < after)
    return session.exec(statement).all()
