"""Exact quotations of messages (B4): a place in a message, and the words that really stand there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlmodel import Session

from service.domain.errors import GuardFailed
from service.store.tables import Message
from service.store.words import words_of

EVERY_CONVERSATION: Final = frozenset({"dispute", "inquiry", "ticket", "relay"})


@dataclass(frozen=True, slots=True)
class Quotation:
    """Words of a message: `start` and `end` are Unicode code points of its text, half-open."""

    message_id: str
    start: int
    end: int
    text: str


def verify_message(
    session: Session,
    dispute_id: str,
    message_id: str,
    *,
    conversations: Iterable[str] = EVERY_CONVERSATION,
    delivered_only: bool = True,
) -> Message:
    """A message of this dispute that whoever cites it may read.

    Args:
        conversations: those that whoever cites may read; a message of another is as unknown as none.
        delivered_only: False lets attempts be cited that nobody received.

    Raises:
        GuardFailed: `quotation_unknown`.
    """
    message = session.get(Message, message_id)
    if (
        message is None
        or message.dispute_id != dispute_id
        or message.conversation not in set(conversations)
        or (delivered_only and message.delivery != "delivered")
    ):
        raise GuardFailed(
            "quotation_unknown", zh="引用的消息不存在", en="No such message to quote", message_id=message_id
        )
    return message


def verify_quotation(
    session: Session,
    dispute_id: str,
    quotation: Quotation,
    *,
    conversations: Iterable[str] = EVERY_CONVERSATION,
    delivered_only: bool = True,
) -> Message:
    """The message quoted, if it says exactly that at exactly this place; arguments as `verify_message`.

    Raises:
        GuardFailed: `quotation_unknown` (no such message here), `quotation_mismatch` (not these words there).
    """
    message = verify_message(
        session, dispute_id, quotation.message_id, conversations=conversations, delivered_only=delivered_only
    )
    said = words_of(session, dispute_id, [message.seq]).get(message.seq, {}).get("text")
    text = said if isinstance(said, str) else ""
    within = 0 <= quotation.start < quotation.end <= len(text)
    if not within or text[quotation.start : quotation.end] != quotation.text:
        raise GuardFailed(
            "quotation_mismatch",
            zh="引用内容与原消息不一致",
            en="The message does not say this there",
            message_id=quotation.message_id,
            start=quotation.start,
            end=quotation.end,
        )
    return message
