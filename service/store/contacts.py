"""How a shop reaches a buyer: calls that were logged, and messages that stay unanswered."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func
from sqlmodel import Session, col, select

from service.domain.contact import Unanswered
from service.store.tables import ContactAttempt, Dispute, Message


def lock_pair(session: Session, *, merchant_id: str, buyer_id: str) -> None:
    """Let no other call of this shop to this buyer be counted until this transaction ends, in whatever dispute.

    The row of their first dispute is the lock. Nobody who holds it waits for another one of theirs: a story locks its
    own dispute first. On SQLite the one writer is the lock.
    """
    pair = (Dispute.merchant_id == merchant_id, Dispute.buyer_id == buyer_id)
    session.exec(select(Dispute.id).where(*pair).order_by(col(Dispute.id)).limit(1).with_for_update()).first()


def calls_logged(session: Session, *, merchant_id: str, buyer_id: str, day: str) -> int:
    """How often this shop has called this buyer on a day of the shop's calendar."""
    statement = select(func.count()).select_from(ContactAttempt)
    wanted = (ContactAttempt.merchant_id == merchant_id, ContactAttempt.buyer_id == buyer_id, ContactAttempt.day == day)
    return session.exec(statement.where(*wanted, ContactAttempt.state == "logged")).one()


def unanswered(session: Session, dispute_id: str) -> Unanswered:
    """What the shop has written to the buyer since the buyer wrote last."""
    said = (Message.dispute_id == dispute_id, Message.thread_id == dispute_id, Message.delivery == "delivered")
    last = (
        select(func.coalesce(func.max(Message.seq), 0)).where(*said, Message.sender_side == "buyer").scalar_subquery()
    )
    count, since = session.exec(
        select(func.count(), func.min(Message.received_at)).where(
            *said, Message.sender_side == "merchant", col(Message.seq) > last
        )
    ).one()
    return Unanswered(count, since)


def attempts_of(session: Session, dispute_id: str, *, after_seq: int, limit: int) -> Sequence[ContactAttempt]:
    """Calls of a dispute, logged or refused, oldest first, after a place in the transcript."""
    return session.exec(
        select(ContactAttempt)
        .where(ContactAttempt.dispute_id == dispute_id, col(ContactAttempt.seq) > after_seq)
        .order_by(col(ContactAttempt.seq))
        .limit(limit)
    ).all()
