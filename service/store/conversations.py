"""When things were said: the turns of inquiries and the instants of entries, for clocks that count spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlmodel import Session, col, select

from service.store.tables import Message, TranscriptEntry

MESSAGES_MAX: Final = 5_000  # choice: far above what two sides write in one intervention

Turn = tuple[str, datetime, bool]  # who spoke, when it was received, whether it answers


def turns_of_inquiries(session: Session, dispute_id: str) -> Mapping[str, Sequence[Turn]]:
    """What was delivered in the inquiries of a dispute, oldest first, by inquiry."""
    turns: dict[str, list[Turn]] = {}
    statement = (
        select(Message.thread_id, Message.sender_side, Message.received_at, Message.answers)
        .where(Message.dispute_id == dispute_id, Message.conversation == "inquiry", Message.delivery == "delivered")
        .order_by(col(Message.seq))
        .limit(MESSAGES_MAX)
    )
    for thread_id, side, at, answers in session.exec(statement):
        turns.setdefault(thread_id, []).append((side, at, answers))
    return turns


def instants_of_entries(session: Session, dispute_id: str, seqs: Sequence[int]) -> Mapping[int, datetime]:
    """When these entries of a dispute were written."""
    if not seqs:
        return {}
    entry = TranscriptEntry
    statement = select(entry.seq, entry.at).where(entry.dispute_id == dispute_id, col(entry.seq).in_(seqs))
    return dict(session.exec(statement).all())
