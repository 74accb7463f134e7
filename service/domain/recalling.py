"""Taking a message back (撤回): who may, what can be taken back, and for how long. Nothing that it did is undone."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from service.domain.errors import Conflict, Forbidden
from service.domain.policy import Policy
from service.domain.transcript import rfc3339
from service.domain.windows import in_time

RECALLABLE: Final = frozenset({"dispute", "inquiry"})  # conversations; an answer to a ticket is looked at as one


def closes_at(received_at: datetime, policy: Policy, *, closed_at: datetime | None) -> datetime:
    """Until when a message can be taken back: for the policy's time, and never out of a dispute that is closed.

    Args:
        received_at: of the message.
        closed_at: of its dispute.
    """
    until = received_at + policy.message_recall
    return until if closed_at is None else min(until, closed_at)


def require_own(*, is_sender: bool, is_owner_of_shop: bool) -> None:
    """Refuse to take back what somebody else wrote; the owner answers for what the seats of the shop write.

    Raises:
        Forbidden: `not_your_message`.
    """
    if not (is_sender or is_owner_of_shop):
        raise Forbidden("not_your_message", zh="只能撤回自己发送的消息", en="Another one's message")


def require_recallable(*, conversation: str, delivery: str, recalled_at: datetime | None) -> None:
    """Refuse what nobody has received, what is no chat message, and what was taken back before.

    Raises:
        Conflict: `message_not_recallable` with its delivery, `already_recalled` with the instant.
    """
    if conversation not in RECALLABLE or delivery != "delivered":
        raise Conflict(
            "message_not_recallable",
            zh="该消息未送达或不能撤回",
            en="It was not delivered, or it is no message of a conversation",
            delivery=delivery,
        )
    if recalled_at is not None:
        raise Conflict(
            "already_recalled", zh="该消息已撤回", en="It was taken back before", recalled_at=rfc3339(recalled_at)
        )


def require_not_too_late(asked_at: datetime, until: datetime) -> None:
    """Refuse what was asked at or after the end.

    Raises:
        Conflict: `recall_closed` with that end.
    """
    if not in_time(asked_at, until):
        raise Conflict(
            "recall_closed", zh="已超过可撤回的时间", en="Too late to take it back", closed_at=rfc3339(until)
        )


def hides(recalled_at: datetime | None, *, keeps_evidence: bool) -> bool:
    """Whether a viewer is shown that a message was taken back instead of what it said.

    Args:
        keeps_evidence: supervisors and auditors, who read attempts too; nobody of the conversation.
    """
    return recalled_at is not None and not keeps_evidence
