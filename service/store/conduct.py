"""What a seat has done before: offences that still count, the notice it has yet to read, its one-time tokens."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from service.store.tables import ConfirmToken, Notice, Offence


def offences_of(session: Session, seat_id: str, *, since: datetime) -> dict[str, int]:
    """How often a seat broke a rule of each category after this instant."""
    statement = (
        select(Offence.category, func.count())
        .where(Offence.seat_id == seat_id, col(Offence.at) > since)
        .group_by(Offence.category)
    )
    return dict(session.exec(statement).all())


def confirm_token(session: Session, token_id: str) -> ConfirmToken | None:
    """A one-time leave to send a held text as it is."""
    return session.get(ConfirmToken, token_id)


def notice(session: Session, notice_id: str) -> Notice | None:
    """A violation notice."""
    return session.get(Notice, notice_id)
