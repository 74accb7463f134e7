"""What the merchant's act on a promise must hold, and what it leaves, whichever way the act comes.

On the card after sending or as a correction (`confirm_promise.py`), or stated in fields beside the words of the message
itself (`receive_reply.py`, lifecycle.md, "Promise, in words"): the same permission and limit, the same bounds, an entry
of its own on the canonical text, and the same row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.domain.attached_promise import MONEY, WITH_A_SUM, Attached, beside, differs
from service.domain.canonical import Canonical
from service.domain.cleared_words import RELAYED_ACTIONS
from service.domain.contradictions import Terms
from service.domain.errors import Absent, GuardFailed
from service.domain.policy import Policy
from service.domain.promise import PROMISE, PromiseFacts
from service.domain.promise_text import Extracted
from service.domain.transcript import Entry
from service.flows.context import Context
from service.flows.heard import Contradiction, PromiseFound
from service.flows.keeping import keep_by_answer
from service.flows.owing import refundable_fen
from service.flows.permits import require_at_work, require_commits
from service.flows.promising import (
    Against,
    Earlier,
    Spoken,
    judged,
    keep_found,
    promise_past,
    promises_found,
    read_promises,
    require_promise_room,
    supersede,
    tell_of_contradiction,
)
from service.store import tables
from service.store.commitments import read_for_commitment
from service.store.disputes import CaseFile

AHEAD_MAX: Final = timedelta(days=365)  # choice


@dataclass(frozen=True, slots=True)
class Mandate:
    """How far the acting seat may bind its shop in this dispute; `limit_fen` None has no limit (the owner)."""

    limit_fen: int | None
    currency: str
    claimed_fen: int
    left_fen: int  # what the order line can still give back


@dataclass(frozen=True, slots=True)
class Meant:
    """A promise as the merchant states it. `text` is made from the other fields."""

    action: str
    amount_fen: int | None
    amount_max_fen: int | None
    due_at: datetime | None
    text: Canonical

    @property
    def terms(self) -> Terms:
        """What it says, stated by the merchant's own act."""
        return Terms("unconditional", self.action, self.amount_fen, self.amount_max_fen, self.due_at)


def mandate_of(case: CaseFile, seat: tables.Seat) -> Mandate:
    """The mandate of a seat that may commit the shop."""
    limit_fen = None if seat.is_owner else seat.commit_limit_fen
    return Mandate(limit_fen, case.dispute.currency, case.dispute.claimed_fen, refundable_fen(case))


def committed_fen(mandate: Mandate, action: str, amount_fen: int | None, amount_max_fen: int | None) -> int:
    """How much money a promise may cost the shop: the upper end of a range; a refund of no named sum is the claim."""
    if amount_fen is None:
        return mandate.claimed_fen if action in MONEY else 0
    return max(amount_fen, amount_max_fen or 0)


def require_near(ctx: Context, due_at: datetime | None) -> None:
    """Refuse a promise that nobody could watch.

    Raises:
        GuardFailed: `promise_too_far`.
    """
    if due_at is not None and due_at > ctx.now + AHEAD_MAX:
        raise GuardFailed("promise_too_far", zh="承诺时间过远", en="A promise is kept within a year")


def require_keepable(ctx: Context, mandate: Mandate, meant: Meant, currency: str | None) -> None:
    """What a promise stated by the merchant must be: dated ahead, and no more money than the line can give back.

    Raises:
        GuardFailed: `currency_mismatch`, `promise_incomplete`, `promise_already_due`, `amount_not_positive`,
            `amount_over_refundable`.
    """
    if currency not in (None, mandate.currency):
        raise GuardFailed(
            "currency_mismatch", zh="币种与订单不一致", en="Not the order's currency", currency=mandate.currency
        )
    if meant.due_at is None:
        raise GuardFailed("promise_incomplete", zh="承诺缺少时间", en="A promise needs a date")
    if not ctx.now < meant.due_at:
        raise promise_past(meant.due_at)
    if meant.amount_fen is not None and meant.amount_fen <= 0:
        raise GuardFailed("amount_not_positive", zh="金额须大于零", en="More than nothing")
    left = mandate.left_fen
    if meant.action in MONEY and meant.amount_fen is not None and meant.amount_fen > left:
        raise GuardFailed(
            "amount_over_refundable", zh="金额超出可退金额", en="Over what can be refunded", refundable_fen=left
        )


def record_confirmation(ctx: Context, promise_id: str, canonical_sha256: str) -> Entry:
    """The entry of the act; a relay carries its hash."""
    return ctx.record("promise.confirmed", facts={"promise": promise_id, "canonical": canonical_sha256})


def keep_confirmed(
    ctx: Context,
    promise_id: str,
    meant: Meant,
    *,
    dispute_id: str,
    message_id: str | None,
    span: tuple[int, int],
    against: Against,
) -> None:
    """A promise that is confirmed by the act that states it: its entry, its row, its event.

    Args:
        span: of the words that say it, in code points of the message, half-open.
        against: what it goes against, from `judged`: flagged, and the agent told.
    """
    made = record_confirmation(ctx, promise_id, meant.text.sha256_hex)
    ctx.plan.insert(
        tables.Promise,
        id=promise_id,
        dispute_id=dispute_id,
        message_id=message_id,
        state="confirmed",
        wording="unconditional",
        action=meant.action,
        amount_fen=meant.amount_fen,
        amount_max_fen=meant.amount_max_fen,
        due_at=meant.due_at,
        span_start=span[0],
        span_end=span[1],
        canonical_zh=meant.text.zh,
        canonical_en=meant.text.en,
        canonical_sha256=meant.text.sha256_hex,
        confirmed_canonical=meant.text.sha256_hex,
        confirmation_hash=made.hash,
        confirmed_by=ctx.actor.seat_id,
        contradicts=against.order,
        contradicts_told=against.told,
        created_at=ctx.now,
    )
    ctx.announce("promise.confirmed", promise_id=promise_id)
    tell_of_contradiction(ctx, promise_id, against)


# --- said in a message ----------------------------------------------------------------------------------------------


def promises_said(
    ctx: Context,
    spoken: Spoken,
    attached: Sequence[Attached] = (),
    *,
    earlier: Earlier,
    policy: Policy,
    answers: bool,
) -> tuple[tuple[PromiseFound, ...], tuple[Contradiction, ...]]:
    """What a delivered message leaves: promises found in its words, those it states in fields, a promised answer kept.

    Args:
        attached: promises in fields, confirmed by sending the message.
        answers: whether the words answer at all; 稍后回复您 is no answer yet.

    Returns:
        The promises to show, the confirmed ones first; and what was contradicted.

    Raises:
        GuardFailed: `promises_max`; of promises stated in fields: what `confirm_with_words` says.
    """
    if attached:
        found, against = confirm_with_words(ctx, spoken, attached, earlier=earlier, policy=policy)
    else:
        found, against = promises_found(ctx, spoken, earlier=earlier, policy=policy), ()
    if answers and all(each.action != "reply_later" for each in found):
        keep_by_answer(ctx, earlier, message_id=spoken.message_id, at=ctx.received_at)
    return found, against


# --- stated beside the words of the message itself ------------------------------------------------------------------


def confirm_with_words(
    ctx: Context,
    spoken: Spoken,
    attached: Sequence[Attached],
    *,
    earlier: Earlier,
    policy: Policy,
) -> tuple[tuple[PromiseFound, ...], tuple[Contradiction, ...]]:
    """Confirm the promises that a delivered message carries in fields; all of them or, where the words differ, none.

    What the words say of the same acts is superseded by what the fields say; other promises found are kept
    unconfirmed, as ever. Where the words say otherwise the message stands, its promises are kept as they were read,
    and nothing is confirmed: the merchant's time to answer does not hang on our reading.

    Returns:
        The promises to show, the confirmed ones first; and what was contradicted.

    Raises:
        Absent: no such seat in this shop.
        Forbidden: `commit_not_permitted`.
        Conflict: `dispute_not_intervening`: the case has moved on (edge case 33).
        GuardFailed: `confirmations` (too many, also in the words, or one act twice), `promise_incomplete`,
            `amount_not_of_promise`, `hash_mismatch`, `commit_limit_exceeded`, `promises_max`, and those of
            `require_near` and `require_keepable`.
    """
    mandate, most = _mandate_here(ctx, spoken.dispute_id), policy.promises_per_message_max
    extracted = read_promises(spoken)
    twice = len({each.action for each in attached}) < len(attached)
    if twice or len(attached) > most or len(extracted) > most:
        raise GuardFailed("confirmations", zh="条数过多或有重复", en="Too many, or one of them twice", most=most)
    require_promise_room(earlier, len(attached) + len(extracted))
    for each in attached:
        _require_statable(ctx, mandate, each, policy)
    said = [beside(each, extracted) for each in attached]
    against = [None if words is None else differs(each, words) for each, words in zip(attached, said, strict=True)]
    if any(against):
        found = keep_found(ctx, spoken, extracted, earlier=earlier, policy=policy)
        return found, _contradicted(ctx, spoken, attached, said, against, dict(zip(extracted, found, strict=True)))
    stated = {each.action for each in attached}
    replaced = [words for words in extracted if words.action in stated]
    found = keep_found(ctx, spoken, extracted, earlier=earlier, policy=policy, replaced=replaced) if extracted else ()
    ended = [each for each in found if each.state == "superseded"]
    supersede(ctx, earlier, actions=stated - {p.action for p in found if p.wording == "unconditional"})
    confirmed = [_state(ctx, spoken, earlier, *each, ended) for each in zip(attached, said, strict=True)]
    return (*confirmed, *(each for each in found if each.state != "superseded")), ()


def _mandate_here(ctx: Context, dispute_id: str) -> Mandate:
    seen = read_for_commitment(ctx.tx, dispute_id, seat_id=ctx.actor.seat_id or "")
    if seen is None:
        raise Absent("seat")
    require_at_work(seen.dispute_state)
    require_commits(is_owner=seen.is_owner, may_commit=seen.may_commit)
    limit_fen = None if seen.is_owner else seen.commit_limit_fen
    return Mandate(limit_fen, seen.currency, seen.claimed_fen, max(0, seen.left_fen))


def _meant(attached: Attached) -> Meant:
    return Meant(attached.action, attached.amount_fen, None, attached.to_the_second, attached.text)


def _require_statable(ctx: Context, mandate: Mandate, attached: Attached, policy: Policy) -> None:
    """Complete, keepable, within the seat's limit, and of the canonical text that was shown, if one was."""
    if attached.action not in RELAYED_ACTIONS:
        raise GuardFailed("promise_incomplete", zh="承诺缺少内容", en="No act is promised")
    if attached.action in WITH_A_SUM and attached.amount_fen is None:
        raise GuardFailed("promise_incomplete", zh="承诺缺少金额", en="This promise needs an amount")
    if attached.action not in WITH_A_SUM and attached.amount_fen is not None:
        raise GuardFailed("amount_not_of_promise", zh="该承诺不含金额", en="This promise has no amount")
    require_near(ctx, attached.due_at)
    meant = _meant(attached)
    require_keepable(ctx, mandate, meant, attached.currency)
    facts = PromiseFacts(
        policy=policy,
        now=ctx.now,
        wording="unconditional",  # the fields hold no 尽量
        due_at=meant.due_at,
        canonical_hash=meant.text.sha256_hex,
        hash_named=attached.canonical_sha256 or meant.text.sha256_hex,
        may_commit=True,  # `require_commits` has looked
        commit_limit_fen=mandate.limit_fen,
        amount_fen=committed_fen(mandate, meant.action, meant.amount_fen, None),
    )
    PROMISE.advance("extracted", "merchant_confirm", facts, side="merchant")


def _contradicted(
    ctx: Context,
    spoken: Spoken,
    attached: Sequence[Attached],
    said: Sequence[Extracted | None],
    against: Sequence[str | None],
    found: dict[Extracted, PromiseFound],
) -> tuple[Contradiction, ...]:
    """Nothing is confirmed, and both what was stated and what the words say stay in the transcript."""
    told = tuple(
        Contradiction(each.action, field, found[words].id)
        for each, words, field in zip(attached, said, against, strict=True)
        if words is not None and field is not None
    )
    ctx.record(
        "promise.contradicted",
        facts={
            "message": spoken.message_id,
            "attached": [{"action": each.action, "canonical": each.text.sha256_hex} for each in attached],
            "against": [{"action": c.action, "differs": c.differs, "promise": c.promise_id} for c in told],
        },
        private={"canonical": [{"zh": each.text.zh, "en": each.text.en} for each in attached]},
    )
    return told


def _state(
    ctx: Context,
    spoken: Spoken,
    earlier: Earlier,
    attached: Attached,
    said: Extracted | None,
    ended: Sequence[PromiseFound],
) -> PromiseFound:
    """One attached promise, stated and confirmed by sending the message."""
    promise_id, meant = ctx.new_id(), _meant(attached)
    replaced = [each.id for each in ended if each.action == attached.action]
    span = (0, len(spoken.text)) if said is None else (said.start, said.end)
    against = judged(meant.terms, "" if said is None else spoken.text[slice(*span)], spoken.order, earlier)
    ctx.record(
        "promise.attached",
        facts={
            "promise": promise_id,
            "message": spoken.message_id,
            "action": meant.action,
            "canonical": meant.text.sha256_hex,
            "instead_of": replaced,
        }
        | ({"against": against.order} if against.order else {}),
        private={"canonical": {"zh": meant.text.zh, "en": meant.text.en}},
    )
    for ended_id in replaced:
        ctx.announce("promise.superseded", promise_id=ended_id, by=promise_id)
    keep_confirmed(
        ctx,
        promise_id,
        meant,
        dispute_id=spoken.dispute_id,
        message_id=spoken.message_id,
        span=span,
        against=against,
    )
    return PromiseFound(
        promise_id,
        "confirmed",
        "unconditional",
        meant.action,
        meant.amount_fen,
        None,
        meant.due_at,
        *span,
        meant.text.zh,
        meant.text.en,
        meant.text.sha256_hex,
        against.order,
        against.told,
        against.differs,
    )
