"""The agent writes to the buyer: confirmed promises rendered by templates, or words that carry no promise at all.

Only `ClearedWords` get out. The entry of a relay names the confirmation entry of each promise by its hash, what was
filled into which template, and so lets an auditor check the gate from the transcript alone (`domain/gate_check.py`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlmodel import select

from service.domain.cleared_words import (
    ClearedWords,
    ConfirmedPromise,
    Softened,
    clear_free_text,
    clear_relay,
    clear_softened,
)
from service.domain.contradictions import Terms, against_order
from service.domain.errors import Absent, Conflict, GuardFailed
from service.domain.policy import Policy
from service.domain.promise import PROMISE, PromiseFacts, require_confirmed
from service.domain.staff import Role
from service.domain.timers import promise_timers
from service.domain.transcript import Entry, rfc3339
from service.flows.context import Context
from service.flows.hearing import require_length
from service.flows.issuing import arm_all
from service.flows.permits import require_agents_case, require_transcript_room
from service.flows.promising import order_facts, promise_past
from service.flows.read_case import require_seen
from service.store import buyer_channel, tables
from service.store.disputes import CaseFile
from service.store.words import words_of

READERS = frozenset({Role.BUYER, Role.PLATFORM_AGENT, Role.SUPERVISOR, Role.AUDITOR})


@dataclass(frozen=True, slots=True)
class Relay:
    """What the agent wants to tell: promises by id, softened words by id (as no promise), or a text of its own.

    `override_reason`: a supervisor's, for a promise that the order's facts contradict.
    """

    client_message_id: str
    promise_ids: tuple[str, ...] = ()
    text: str = ""
    override_reason: str = ""
    softened_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """A message to the buyer, as it went out; `softened_ids` name the words it says to be no promise."""

    message: tables.Message
    text: str
    text_en: str | None
    promise_ids: tuple[str, ...]
    softened_ids: tuple[str, ...] = ()


def tell_buyer(ctx: Context, dispute_id: str, relay: Relay) -> str:
    """Say it, if it may be said. Returns the message's id; relaying the same promises twice is one message (edge 33).

    Raises:
        Absent: no such dispute, or no such promise of it.
        Forbidden: `not_your_dispute`.
        Conflict: `promise_not_confirmed`, `promise_already_relayed` (some of them, in other messages),
            `canonical_mismatch`, `duplicate_message`, `dispute_closed`, `words_no_longer_stand`.
        GuardFailed: `uncleared_promise` with the words, `contradicts_order`, `promise_already_due`, `relay_content`,
            `not_softened`, `text_length`, `case_entries_max`.
    """
    case = require_agents_case(ctx, dispute_id)
    policy = ctx.policy_of(case.dispute)
    require_transcript_room(case, policy)
    if sum(map(bool, (relay.promise_ids, relay.softened_ids, relay.text))) != 1:
        raise GuardFailed(
            "relay_content", zh="请引用承诺或填写文字,二者取一", en="Cite promises or write words, not both"
        )
    if case.dispute.state == "closed":
        raise Conflict("dispute_closed", zh="纠纷已结案", en="The dispute is closed and sealed")
    if relay.promise_ids:
        return _relay_promises(ctx, case, relay, policy)
    if relay.softened_ids:
        return _tell_softened(ctx, case, relay)
    require_length(relay.text, least=1, most=policy.reply_chars_max, field_name="text")
    words = clear_free_text(relay.text)
    _require_new(ctx, case, relay)
    ctx.follow(case.dispute)
    message_id, _ = _say(ctx, case, relay, words, {})
    ctx.announce("relay.sent", message_id=message_id)
    return message_id


def _tell_softened(ctx: Context, case: CaseFile, relay: Relay) -> str:
    """Tell of softened or conditional words in the one way that says they are no promise; twice is one message."""
    said = [_promise(case, each) for each in dict.fromkeys(relay.softened_ids)]
    words = clear_softened([Softened(p.id, p.wording, p.action) for p in said], ctx.house.templates)
    told = {p.told_seq for p in said}
    if len(told) == 1 and (seq := told.pop()) is not None:
        before = buyer_channel.relay_at(ctx.tx.session, case.dispute.id, seq)
        assert before is not None, "what was told stands in the buyer's channel"
        return before.id
    for each in said:
        if each.state != "extracted":
            raise Conflict("words_no_longer_stand", zh="该说法已失效", en="These words stand no more", state=each.state)
    _require_new(ctx, case, relay)
    ctx.follow(case.dispute)
    named = [{"id": p.id, "wording": p.wording, "action": p.action} for p in said]
    message_id, made = _say(ctx, case, relay, words, {"softened": named})
    for each in said:
        ctx.plan.update(tables.Promise, each.id, told_seq=made.seq)
    ctx.announce("relay.sent", message_id=message_id)
    return message_id


def _relay_promises(ctx: Context, case: CaseFile, relay: Relay, policy: Policy) -> str:
    promises = [_promise(case, promise_id) for promise_id in dict.fromkeys(relay.promise_ids)]
    for promise in promises:
        require_confirmed(promise.state)
    if (before := _told_before(ctx, case, promises)) is not None:
        return before
    cleared = [_as_confirmed(ctx, promise) for promise in promises]
    words = clear_relay(cleared, ctx.house.templates)
    for promise, confirmed in zip(promises, cleared, strict=True):
        _require_relayable(ctx, case, promise, confirmed, relay, policy)
    _require_new(ctx, case, relay)
    ctx.follow(case.dispute)
    named = [_as_told(case, promise, each) for promise, each in zip(promises, cleared, strict=True)]
    message_id, made = _say(ctx, case, relay, words, {"promises": named})
    for promise in promises:
        assert promise.due_at is not None, "a confirmed promise has a date"
        ctx.plan.update(tables.Promise, promise.id, state="relayed", relay_seq=made.seq)
        arm_all(ctx, promise.id, promise_timers("relayed", lapses_at=ctx.now, due_at=promise.due_at), policy)
        ctx.announce("promise.relayed", promise_id=promise.id, message_id=message_id)
    return message_id


def _told_before(ctx: Context, case: CaseFile, promises: Sequence[tables.Promise]) -> str | None:
    """The message in which exactly these promises went out already."""
    told = {p.relay_seq for p in promises if p.relay_seq is not None}
    if not told:
        return None
    if len(told) == 1 and all(p.relay_seq is not None for p in promises):
        message = buyer_channel.relay_at(ctx.tx.session, case.dispute.id, told.pop())
        if message is not None:
            return message.id
    raise Conflict(
        "promise_already_relayed",
        zh="部分承诺已转告买家",
        en="Some of these promises have been relayed before",
        promise_ids=[p.id for p in promises if p.relay_seq is not None],
    )


def _as_confirmed(ctx: Context, promise: tables.Promise) -> ConfirmedPromise:
    """The promise with what the entry of its confirmation names, read from the transcript itself."""
    return ConfirmedPromise(
        id=promise.id,
        action=promise.action,
        amount_fen=promise.amount_fen,
        amount_max_fen=promise.amount_max_fen,
        due_at=promise.due_at,
        canonical_sha256=promise.canonical_sha256,
        confirmation_sha256=_named_by_confirmation(ctx, promise),
        confirmation_entry_hash=base64.b64encode(promise.confirmation_hash or b"").decode(),
        state=promise.state,
        wording=promise.wording,
    )


def _named_by_confirmation(ctx: Context, promise: tables.Promise) -> str:
    """The hash that the merchant's act named; empty where the transcript holds no such act."""
    entry = ctx.tx.session.exec(
        select(tables.TranscriptEntry).where(
            tables.TranscriptEntry.dispute_id == promise.dispute_id,
            tables.TranscriptEntry.hash == (promise.confirmation_hash or b""),
            tables.TranscriptEntry.kind == "promise.confirmed",
        )
    ).first()
    if entry is None:
        return ""
    facts: dict[str, Any] = msgspec.json.decode(entry.body)["facts"]
    return str(facts["canonical"]) if facts["promise"] == promise.id else ""


def _against_order_now(case: CaseFile, promise: tables.Promise) -> str | None:
    """The order may have changed since the words were said."""
    terms = Terms(promise.wording, promise.action, promise.amount_fen, promise.amount_max_fen, promise.due_at)
    return against_order(terms, "", order_facts(case.line))


def _require_relayable(
    ctx: Context,
    case: CaseFile,
    promise: tables.Promise,
    confirmed: ConfirmedPromise,
    relay: Relay,
    policy: Policy,
) -> None:
    override = relay.override_reason if ctx.actor.role is Role.SUPERVISOR else ""
    if override:
        require_length(override, least=2, most=policy.reason_chars_max, field_name="override_reason")
    facts = PromiseFacts(
        policy=policy,
        now=ctx.now,
        wording=promise.wording,
        canonical_hash=promise.canonical_sha256,
        hash_named=promise.confirmed_canonical or "",
        confirmed_hash=confirmed.confirmation_sha256,
        contradicts_order=bool(promise.contradicts or _against_order_now(case, promise)),
        override_reason=override,
    )
    PROMISE.advance(promise.state, "relay", facts, side=ctx.actor.side)
    if promise.due_at is None or not ctx.now < promise.due_at:
        raise promise_past(promise.due_at or ctx.now)


def _require_new(ctx: Context, case: CaseFile, relay: Relay) -> None:
    earlier = ctx.tx.session.exec(
        select(tables.Message.id).where(
            tables.Message.dispute_id == case.dispute.id,
            tables.Message.sender_id == ctx.actor.subject,
            tables.Message.client_message_id == relay.client_message_id,
        )
    ).first()
    if earlier is not None:
        raise Conflict("duplicate_message", zh="该消息已收到", en="This message has been received", message_id=earlier)


def _as_told(case: CaseFile, promise: tables.Promise, confirmed: ConfirmedPromise) -> dict[str, object]:
    """What the entry of a relay says of one promise: the act it rests on, and what was filled into the template."""
    against = promise.contradicts or _against_order_now(case, promise)
    told: dict[str, object] = {
        "id": promise.id,
        "confirmation": confirmed.confirmation_entry_hash,
        "canonical": confirmed.confirmation_sha256,
        "action": promise.action,
        "amount_fen": promise.amount_fen,
        "amount_max_fen": promise.amount_max_fen,
        "due_at": None if promise.due_at is None else rfc3339(promise.due_at),
    }
    return told | ({"against": against} if against else {})


def _say(
    ctx: Context, case: CaseFile, relay: Relay, words: ClearedWords, named: Mapping[str, object]
) -> tuple[str, Entry]:
    """The entry with all that an auditor needs to check the words, and the message itself."""
    message_id, templates = ctx.new_id(), ctx.house.templates
    made = ctx.record(
        "buyer.told",
        facts={"message": message_id, "source": words.source, "promises": []}
        | dict(named)
        | ({"template": f"relay@{templates.version}", "template_sha256": templates.sha256_hex} if named else {}),
        private=buyer_channel.disclosed_words(words) | {"override_reason": relay.override_reason or None},
    )
    buyer_channel.say_to_buyer(
        ctx.plan,
        words,
        made,
        message_id=message_id,
        dispute_id=case.dispute.id,
        sender_side=ctx.actor.side,
        sender_id=ctx.actor.subject,
        client_message_id=relay.client_message_id,
        received_at=ctx.received_at,
    )
    return message_id, made


# --- reading --------------------------------------------------------------------------------------------------------


def list_told(ctx: Context, dispute_id: str) -> list[Told]:
    """What the buyer has been told in the platform's name, oldest first; the shop's own view has its promises.

    Raises:
        Absent: no such dispute, or not this viewer's to know of.
    """
    case = require_seen(ctx, dispute_id)
    if ctx.actor.role not in READERS:
        raise Absent("relay")
    messages = buyer_channel.said_to_buyer(ctx.tx.session, dispute_id)
    words = words_of(ctx.tx.session, dispute_id, [m.seq for m in messages])
    promises, softened = _named_by_seq(case, "relay_seq"), _named_by_seq(case, "told_seq")
    return [
        _told(m, words.get(m.seq, {}), tuple(promises.get(m.seq, ())), tuple(softened.get(m.seq, ()))) for m in messages
    ]


def _named_by_seq(case: CaseFile, column: str) -> dict[int, list[str]]:
    """The ids of the promises that each message tells of, by the place of its entry."""
    by_seq: dict[int, list[str]] = {}
    for promise in case.promises:
        seq = getattr(promise, column)
        if seq is not None:
            by_seq.setdefault(seq, []).append(promise.id)
    return by_seq


def _told(message: tables.Message, words: Any, promises: tuple[str, ...], softened: tuple[str, ...]) -> Told:
    text_en = words.get("text_en")
    return Told(message, str(words.get("text", "")), None if text_en is None else str(text_en), promises, softened)


def _promise(case: CaseFile, promise_id: str) -> tables.Promise:
    found = next((p for p in case.promises if p.id == promise_id), None)
    if found is None:
        raise Absent("promise")
    return found
