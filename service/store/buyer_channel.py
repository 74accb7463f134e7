"""What the platform says to a buyer: one way in, and only `ClearedWords` go through it (promises.md section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlmodel import Session, col, select

from service.domain.cleared_words import ClearedWords
from service.domain.transcript import Entry, disclosed
from service.store import tables
from service.store.tables import Message
from service.store.writes import Plan

TOLD_MAX: Final = 500  # messages to one buyer about one dispute that are shown


def disclosed_words(words: ClearedWords) -> dict[str, object]:
    """What the entry of a message to the buyer commits to: the words, and their English where they have one."""
    return {"text": words.text, "text_en": words.en}


def say_to_buyer(
    plan: Plan,
    words: ClearedWords,
    entry: Entry,
    *,
    message_id: str,
    dispute_id: str,
    sender_side: str,
    sender_id: str,
    client_message_id: str,
    received_at: datetime,
) -> None:
    """Put cleared words into the buyer's channel.

    The words stand in the disclosures of `entry`, which the plan has just appended: they must be these words.
    """
    assert isinstance(words, ClearedWords), "only cleared words are said to a buyer"
    assert _committed(plan, entry) == words.text, "the entry commits to the cleared words and no others"
    plan.insert(
        Message,
        id=message_id,
        dispute_id=dispute_id,
        thread_id=dispute_id,
        conversation="relay",
        seq=entry.seq,
        sender_side=sender_side,
        sender_id=sender_id,
        kind="text",
        delivery="delivered",
        client_message_id=client_message_id,
        received_at=received_at,
    )


def _committed(plan: Plan, entry: Entry) -> object:
    """The text that the entry's disclosures hold."""
    rows = (row for row in plan.inserts.get(tables.DisclosureRow, []) if row["seq"] == entry.seq)
    named = dict(disclosed(str(row["body"])) for row in rows)
    return named.get("text")


def said_to_buyer(session: Session, dispute_id: str) -> Sequence[Message]:
    """Everything the platform has said to the buyer about a dispute, oldest first."""
    statement = select(Message).where(Message.dispute_id == dispute_id, Message.conversation == "relay")
    return session.exec(statement.order_by(col(Message.seq)).limit(TOLD_MAX)).all()


def relay_at(session: Session, dispute_id: str, seq: int) -> Message | None:
    """The message to the buyer whose words stand in this entry."""
    statement = select(Message).where(
        Message.dispute_id == dispute_id, Message.conversation == "relay", Message.seq == seq
    )
    return session.exec(statement).first()
