"""A party takes a delivered message back: nobody in the conversation reads it any more, the transcript keeps it.

What it did stands: the reply window it stopped stays stopped, dispute and inquiry stay where they are. A promise that
was read in it and is not confirmed is declined by the same act; a confirmed one is the shop's word, not the message's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.domain.errors import Absent
from service.domain.promise import PROMISE
from service.domain.recalling import closes_at, require_not_too_late, require_own, require_recallable
from service.domain.restating import needs_words
from service.domain.staff import Role
from service.domain.transcript import Receipt, receipt, rfc3339
from service.flows.context import Context
from service.flows.ending import decline_promise
from service.flows.permits import require_transcript_room
from service.flows.read_case import party_of, require_seat, require_seen
from service.store import chats, tables
from service.store.disputes import CaseFile


@dataclass(frozen=True, slots=True)
class Recalled:
    """A message taken back. `declined`: the ids of the promises that went with it."""

    message_id: str
    recalled_at: datetime
    declined: tuple[str, ...]
    receipt: Receipt


def recall_message(ctx: Context, message_id: str) -> Recalled:
    """Take a message of one's own back within the policy's time (edge case 31).

    Raises:
        Absent: no such message, or not this actor's to know of.
        Forbidden: `seat_inactive`, `not_your_message`.
        Conflict: `message_not_recallable`, `already_recalled`, `recall_closed`.
        GuardFailed: `case_entries_max`.
    """
    message = ctx.tx.session.get(tables.Message, message_id)
    if message is None:
        raise Absent("message")
    case = require_seen(ctx, message.dispute_id, lock=True)
    ctx.tx.session.refresh(message)  # as it stands under the lock
    _require_may_recall(ctx, message)
    require_recallable(conversation=message.conversation, delivery=message.delivery, recalled_at=message.recalled_at)
    policy = ctx.policy_of(case.dispute)
    until = closes_at(message.received_at, policy, closed_at=case.dispute.closed_at)
    require_not_too_late(ctx.received_at, until)
    require_transcript_room(case, policy)
    return _take_back(ctx, case, message)


def _require_may_recall(ctx: Context, message: tables.Message) -> None:
    """The sender, or the owner of the shop; what is not shown to one's side is not there."""
    side = party_of(ctx)
    shown = message.delivery == "delivered" and (message.conversation == "dispute" or side == "merchant")
    if message.sender_side != side and not shown:
        raise Absent("message")
    if side == "merchant":
        require_seat(ctx)
    require_own(
        is_sender=message.sender_side == side and message.sender_id == (ctx.actor.seat_id or ctx.actor.subject),
        is_owner_of_shop=message.sender_side == "merchant" and ctx.actor.role is Role.MERCHANT_OWNER,
    )


def _take_back(ctx: Context, case: CaseFile, message: tables.Message) -> Recalled:
    ctx.follow(case.dispute)
    ctx.plan.update(tables.Message, message.id, recalled_at=ctx.now)
    promises = [p for p in case.promises if p.message_id == message.id]
    declined = [p for p in promises if PROMISE.arrows_from(p.state, "merchant_decline")]
    made = ctx.record(
        f"{message.sender_side}.message_recalled",
        facts={
            "message": message.id,
            "entry": message.seq,
            "received_at": rfc3339(ctx.received_at),
            "promises": [p.id for p in declined],
        },
    )
    _announce(ctx, message)
    for promise in declined:
        decline_promise(ctx, promise, message=message.id)
    _forget_to_restate(ctx, case, message)
    return Recalled(message.id, ctx.now, tuple(p.id for p in declined), receipt(made))


def _announce(ctx: Context, message: tables.Message) -> None:
    if message.conversation == "inquiry":
        ctx.announce("inquiry.message_recalled", inquiry_id=message.thread_id, message_id=message.id)
    else:
        ctx.announce("dispute.message_recalled", message_id=message.id, from_side=message.sender_side)


def _forget_to_restate(ctx: Context, case: CaseFile, message: tables.Message) -> None:
    """Nobody puts into words what nobody sees: the mark moves to the next picture or voice clip, if there is one."""
    since = case.dispute.restate_since_seq
    if since == message.seq and needs_words(message.sender_side, message.kind):
        ctx.plan.change(restate_since_seq=chats.next_wordless(ctx.tx.session, case.dispute.id, after_seq=since))
