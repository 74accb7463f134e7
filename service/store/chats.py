"""Conversations and the files shown in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlmodel import Session, col, or_, select

from service.store.tables import Message
from service.store.words import words_of

SHOWN_MAX: Final = 2_000  # messages with a file that are looked through


def messages_of(
    session: Session, dispute_id: str, *, conversation: str, attempts_of: str | None, after_seq: int, limit: int
) -> Sequence[Message]:
    """Messages of a conversation, oldest first, after a place in the transcript.

    Args:
        attempts_of: the side whose undelivered attempts are read too; None reads everybody's.
    """
    statement = (
        select(Message)
        .where(
            Message.dispute_id == dispute_id,
            Message.thread_id == dispute_id,
            Message.conversation == conversation,
            col(Message.seq) > after_seq,
        )
        .order_by(col(Message.seq))
        .limit(limit)
    )
    if attempts_of is not None:
        statement = statement.where(or_(Message.delivery == "delivered", Message.sender_side == attempts_of))
    return session.exec(statement).all()


def message_by_client_id(
    session: Session, dispute_id: str, *, sender_id: str, client_message_id: str
) -> Message | None:
    """The message that a sender's client has named so before."""
    return session.exec(
        select(Message).where(
            Message.dispute_id == dispute_id,
            Message.sender_id == sender_id,
            Message.client_message_id == client_message_id,
        )
    ).first()


def last_buyer_text(session: Session, dispute_id: str) -> str | None:
    """What the buyer said last in the conversation with the merchant, and has not taken back."""
    last = session.exec(
        select(Message)
        .where(
            Message.dispute_id == dispute_id,
            Message.thread_id == dispute_id,
            Message.sender_side == "buyer",
            Message.delivery == "delivered",
            Message.kind == "text",
            col(Message.recalled_at).is_(None),
        )
        .order_by(col(Message.seq).desc())
        .limit(1)
    ).first()
    found = words_of(session, dispute_id, [last.seq]).get(last.seq, {}).get("text") if last else None
    return found if isinstance(found, str) else None


def attachments_delivered(session: Session, dispute_id: str, *, conversation: str) -> set[str]:
    """The fingerprints of files that delivered messages of a conversation show, those taken back left out."""
    statement = (
        select(Message.attachment)
        .where(
            Message.dispute_id == dispute_id,
            Message.thread_id == dispute_id,
            Message.conversation == conversation,
            Message.delivery == "delivered",
            col(Message.recalled_at).is_(None),
            col(Message.kind).in_(("image", "voice")),
        )
        .limit(SHOWN_MAX)
    )
    return {sha256 for sha256 in session.exec(statement) if sha256 is not None}


def next_wordless(session: Session, dispute_id: str, *, after_seq: int) -> int | None:
    """The place of the buyer's next picture or voice clip in the conversation, of those not taken back."""
    return session.exec(
        select(Message.seq)
        .where(
            Message.dispute_id == dispute_id,
            Message.thread_id == dispute_id,
            Message.sender_side == "buyer",
            Message.delivery == "delivered",
            col(Message.recalled_at).is_(None),
            col(Message.kind).in_(("image", "voice")),
            col(Message.seq) > after_seq,
        )
        .order_by(col(Message.seq))
        .limit(1)
    ).first()
