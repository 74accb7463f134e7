"""The words of messages and notes, read from the disclosures of their entries: the one place where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlmodel import Session, col, select

from service.domain.transcript import disclosed
from service.store.tables import DisclosureRow

LINES_MAX = 500  # entries asked for at once


def words_of(session: Session, dispute_id: str, seqs: Iterable[int]) -> dict[int, Mapping[str, object]]:
    """Everything disclosed by these entries of one dispute: seq → name → value."""
    wanted = sorted(set(seqs))[:LINES_MAX]
    if not wanted:
        return {}
    found: dict[int, dict[str, object]] = {}
    statement = select(DisclosureRow).where(DisclosureRow.dispute_id == dispute_id, col(DisclosureRow.seq).in_(wanted))
    for row in session.exec(statement):
        name, value = disclosed(row.body)
        found.setdefault(row.seq, {})[name] = value
    return dict(found)
