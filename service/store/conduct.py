"""What a seat has done before: offences that still count, the notice it has yet to read, its one-time tokens."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from service.store.tables import ConfirmToken, Message, Notice, Offence


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


def confirm_token(session: Session, token_id: str) -> ConfirmToken | None:
    """A one-time leave to send a held text as it is."""
    return session.get(ConfirmToken, token_id)


def notice(session: Session, notice_id: str) -> Notice | None:
    """A violation notice."""
    return session.get(Notice, notice_id)
