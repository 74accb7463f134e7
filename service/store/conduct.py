"""What a seat has done before: offences that still count, the notice it has yet to read, its one-time tokens."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from service.store.tables import ConfirmToken, Message, Notice, Offence
from service.store.words import words_of


def offences_of(session: Session, seat_id: str, *, since: datetime) -> dict[str, int]:
    """How often a seat broke a rule of each category after this instant."""
    statement = (
        select(Offence.category, func.count())
        .where(Offence.seat_id == seat_id, col(Offence.at) > since)
        .group_by(Offence.category)
    )
    return dict(session.exec(statement).all())


def edit_asked(session: Session, thread_id: str, *, digest: str) -> str | None:
    """The first message of these words in a conversation that had to be edited, by its id."""
    statement = select(func.min(Message.id)).where(Message.thread_id == thread_id, Message.edit_digest == digest)
    return session.exec(statement).one()


def just_said(session: Session, dispute_id: str, thread_id: str, *, since: datetime, limit: int) -> tuple[str, ...]:
    """What the shop's last messages of a conversation that were delivered after an instant say, oldest first."""
    statement = (
        select(Message.seq)
        .where(
            Message.dispute_id == dispute_id,
            Message.thread_id == thread_id,
            Message.sender_side == "merchant",
            Message.delivery == "delivered",
            col(Message.received_at) > since,
        )
        .order_by(col(Message.seq).desc())
        .limit(limit)
    )
    seqs = sorted(session.exec(statement))
    words = words_of(session, dispute_id, seqs)
    texts = (words.get(seq, {}).get("text") for seq in seqs)
    return tuple(text for text in texts if isinstance(text, str) and text)


def confirm_token(session: Session, token_id: str) -> ConfirmToken | None:
    """A one-time leave to send a held text as it is."""
    return session.get(ConfirmToken, token_id)


def notice(session: Session, notice_id: str) -> Notice | None:
    """A violation notice."""
    return session.get(Notice, notice_id)
