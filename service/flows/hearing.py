"""How any text of a merchant is heard: judged, measured, counted, and answered with one shape everywhere.

Replies, notes, offers, refusals, names: every merchant text field comes through `hear`; what the measure does not let
out is stored as an attempt and answered with an `Outcome`, and the state of things does not move (promise 1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from service.domain.errors import Conflict, GuardFailed
from service.domain.joined_words import MESSAGES_BEFORE_MAX, TOGETHER_WITHIN
from service.domain.moderation import Channel, Measure, ModeratedReply, moderated
from service.domain.moderation import Context as Circumstances
from service.domain.picture_codes import words_shown
from service.domain.policy import Policy
from service.domain.resending import edit_digest
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.heard import Heard, Outcome, finding_facts, outcome_name, outcome_of, rules_facts
from service.store import conduct, people, tables
from service.store.disputes import CaseFile
from service.store.uploads import any_looked_into, codes_of


class Token(NamedTuple):
    """A one-time leave to send a held text as it is, as it was found in the store."""

    id: str
    seat_id: str
    thread_id: str
    text_sha256: str
    pack_sha256: str
    expires_at: datetime
    used_at: datetime | None


class SaidBefore(NamedTuple):
    """What a side has said before in the same conversation, as far as it bears on what it says now."""

    edit_asked: str | None = None  # the id of a message of the same words that had to be edited
    texts: tuple[str, ...] = ()  # of the last delivered messages within `TOGETHER_WITHIN`, oldest first


NOTHING_BEFORE: Final = SaidBefore()


def hear(
    ctx: Context,
    text: str,
    *,
    channel: Channel,
    platform: str,
    question: str | None = None,
    earlier_offences: Mapping[str, int] | None = None,
    thread_id: str,
    token: Token | None = None,
    open_notice_id: str | None = None,
    before: SaidBefore = NOTHING_BEFORE,
    shown: tuple[str, ...] = (),
) -> Heard:
    """Judge a text and decide what happens to it.

    Args:
        thread_id: the conversation (inquiry, ticket or dispute) that a confirm token is bound to.
        token: the leave to send a held text as it is, if the sender shows one.
        open_notice_id: a notice of this seat that is still unread; nothing goes out until it is read.
        before: what the shop has said in this conversation, whichever seat did.
        shown: what codes in the pictures sent with it say, see `words_in_files`; a leave to send holds for them too.

    Raises:
        Conflict: `confirm_token_invalid`: the token is of another seat, conversation, text or rule pack, or used.
    """
    rules = ctx.house.rules().for_platform(platform)
    circumstances = Circumstances(channel=channel, platform=platform, question=question)
    reply = moderated(
        text,
        rules,
        circumstances,
        earlier_offences=earlier_offences or {},
        at_least=Measure.NONE if before.edit_asked is None else Measure.REQUIRE_EDIT,
        before=before.texts,
        shown=shown,
    )
    ctx.house.tally.note(ctx.actor.merchant_id or "", reply.verdict, at=ctx.now)
    if open_notice_id is not None:
        return Heard(reply, "notice", notice_id=open_notice_id, shown=shown)
    outcome = outcome_name(reply.verdict.measure)
    if token is not None:
        _require_fits(ctx, token, reply, shown, thread_id)
        if outcome == "confirm":
            return Heard(reply, "sent", token_used=token.id, shown=shown)
    if outcome == "edit" and text:
        digest = edit_digest(text, rules.lexicon, thread_id=thread_id)
        return Heard(reply, outcome, resent_of=before.edit_asked, edit_digest=digest, shown=shown)
    return Heard(reply, outcome, shown=shown)


def words_in_files(ctx: Context, dispute_id: str, *, platform: str, files: Sequence[str]) -> tuple[str, ...]:
    """What codes in these files of the shop say to whoever scans them, without numbers and the marketplace's own.

    Args:
        files: fingerprints of what the shop has uploaded to this dispute; whatever else is named shows nothing.
    """
    if not files:
        return ()
    codes = codes_of(ctx.tx.session, dispute_id, party="merchant", files=files)
    return words_shown(codes, ctx.house.rules().profiles[platform].lists.get("own_domains", ())) if codes else ()


def says_anything(ctx: Context, dispute_id: str, text: str, files: Sequence[str]) -> bool:
    """Whether there is anything to judge where words are optional: words, or a picture that was looked into."""
    return bool(text) or (bool(files) and any_looked_into(ctx.tx.session, dispute_id, party="merchant", files=files))


def known_by(ctx: Context, text: str, *, thread_id: str) -> str:
    """How a text would be known if it had to be edited before in this conversation; the same for every marketplace."""
    book = ctx.house.rules()
    return edit_digest(text, book.for_platform(next(iter(book.profiles))).lexicon, thread_id=thread_id)


def said_before(ctx: Context, dispute_id: str, thread_id: str, text: str) -> SaidBefore:
    """What the shop has said in this conversation that bears on what it says now; off the hot path."""
    session, since = ctx.tx.session, ctx.received_at - TOGETHER_WITHIN
    return SaidBefore(
        conduct.edit_asked(session, thread_id, digest=known_by(ctx, text, thread_id=thread_id)),
        conduct.just_said(session, dispute_id, thread_id, since=since, limit=MESSAGES_BEFORE_MAX),
    )


def offences_since(ctx: Context) -> datetime:
    """From when on an earlier offence still raises a measure: the ladder's repeat window."""
    return ctx.now - timedelta(hours=ctx.house.rules().ladder.repeat_window_hours)


def hear_note(
    ctx: Context,
    case: CaseFile,
    text: str,
    *,
    field_name: str,
    channel: Channel = Channel.NOTE,
    token: str | None = None,
    question: str | None = None,
    thread_id: str | None = None,
    before: SaidBefore = NOTHING_BEFORE,
    files: Sequence[str] = (),
) -> Heard:
    """Judge a text that goes with an action, reading what `hear` needs to know of the seat.

    The state of things must allow the action before its words are judged. What is not sent goes to `keep_back`, what
    is sent to `let_out`; a chat that keeps rows of its own calls `consequences` itself.

    Args:
        token: the id of a confirm token that the sender shows.
        thread_id: what the token is bound to; the dispute unless named.
        files: fingerprints of the files that go with it; what codes in them say is judged like words.

    Raises:
        Conflict: `confirm_token_invalid`.
    """
    session, seat_id, thread_id = ctx.tx.session, ctx.actor.seat_id or "", thread_id or case.dispute.id
    notice = people.open_notice(session, seat_id)
    return hear(
        ctx,
        text,
        channel=channel,
        platform=case.merchant.platform,
        question=question,
        earlier_offences=conduct.offences_of(session, seat_id, since=offences_since(ctx)),
        thread_id=thread_id,
        token=None if token is None else _token_shown(ctx, token, field_name),
        open_notice_id=notice.id if notice else None,
        before=before,
        shown=words_in_files(ctx, case.dispute.id, platform=case.merchant.platform, files=files),
    )


def _token_shown(ctx: Context, token_id: str, field_name: str) -> Token:
    row = conduct.confirm_token(ctx.tx.session, token_id)
    if row is None or row.field != field_name:
        raise _token_invalid()
    return Token(row.id, row.seat_id, row.thread_id, row.text_sha256, row.pack_sha256, row.expires_at, row.used_at)


def keep_back(
    ctx: Context,
    case: CaseFile,
    heard: Heard,
    *,
    field_name: str,
    thread_id: str | None = None,
    window_due_at: datetime | None = None,
    facts: Mapping[str, object] | None = None,
) -> Outcome:
    """Record a text that the measure does not let out, with what follows for its seat; the state does not move.

    Args:
        facts: what the action would have been about: ids, kinds, amounts.
    """
    assert not heard.is_sent, "only what is not let out is kept back"
    policy, message_id = ctx.policy_of(case.dispute), ctx.new_id()
    if ctx.plan.head is None:
        ctx.follow(case.dispute)
    findings = [finding_facts(f) for f in heard.reply.verdict.findings]
    made = ctx.record(
        f"merchant.{field_name}_{heard.delivery}",
        facts={"message": message_id, "received_at": rfc3339(ctx.received_at)} | dict(facts or {}),
        rules=rules_facts(heard.reply),
        private={"text": heard.reply.text, "findings": findings or None},
    )
    token, token_ends, notice_id = consequences(
        ctx,
        heard,
        dispute_id=case.dispute.id,
        merchant_id=case.dispute.merchant_id,
        message_id=message_id,
        thread_id=thread_id or case.dispute.id,
        field_name=field_name,
        policy=policy,
        window_due_at=window_due_at,
    )
    tell_measure(ctx, case, heard, message_id=message_id)
    return outcome_of(
        ctx, heard, made, message_id=message_id, policy=policy, token=token, token_ends=token_ends, notice_id=notice_id
    )


def let_out(ctx: Context, case: CaseFile, heard: Heard, *, field_name: str) -> None:
    """What follows for the seat when a text goes out with an action: a reminder counts, a token is used up."""
    assert heard.is_sent, "only what is sent is let out"
    consequences(
        ctx,
        heard,
        dispute_id=case.dispute.id,
        merchant_id=case.dispute.merchant_id,
        message_id=ctx.new_id(),
        thread_id=case.dispute.id,
        field_name=field_name,
        policy=ctx.policy_of(case.dispute),
    )
    if heard.reply.verdict.measure is not Measure.NONE:
        tell_measure(ctx, case, heard)


def tell_measure(ctx: Context, case: CaseFile, heard: Heard, *, message_id: str | None = None) -> None:
    """Announce the measure taken, and a buyer's way past the robot where the words earned it (直连人工)."""
    named = {} if message_id is None else {"message_id": message_id}
    ctx.announce("moderation.measure_taken", measure=heard.reply.verdict.measure.value, outcome=heard.outcome, **named)
    if heard.reply.verdict.direct_to_human:
        ctx.announce("moderation.buyer_routed_to_human", merchant_id=case.dispute.merchant_id, **named)


def _token_invalid() -> Conflict:
    return Conflict(
        "confirm_token_invalid", zh="该确认已失效,请重新发送", en="This leave to send is no longer good; send again"
    )


def _require_fits(ctx: Context, token: Token, reply: ModeratedReply, shown: Sequence[str], thread_id: str) -> None:
    fits = (
        token.used_at is None
        and token.seat_id == (ctx.actor.seat_id or "")
        and token.thread_id == thread_id
        and token.text_sha256 == _said_sha256(reply, shown)
        and token.pack_sha256 == reply.verdict.pack_sha256
        and ctx.received_at < token.expires_at
    )
    if not fits:
        raise _token_invalid()


def consequences(
    ctx: Context,
    heard: Heard,
    *,
    dispute_id: str,
    merchant_id: str,
    message_id: str,
    thread_id: str,
    field_name: str,
    policy: Policy,
    window_due_at: datetime | None = None,
) -> tuple[str | None, datetime | None, str | None]:
    """Write what the verdict entails beside the message: offences, a notice, a one-time token.

    Returns:
        confirm token, its end, notice id; each None where there is none.
    """
    verdict, seat_id, plan = heard.reply.verdict, ctx.actor.seat_id or "", ctx.plan
    for category in dict.fromkeys(f.category for f in verdict.findings):
        plan.insert(
            tables.Offence,
            id=ctx.new_id(),
            seat_id=seat_id,
            merchant_id=merchant_id,
            category=category,
            measure=verdict.measure.value,
            at=ctx.now,
        )
    if heard.token_used is not None:
        plan.update(tables.ConfirmToken, heard.token_used, used_at=ctx.now)
    if heard.outcome == "confirm":
        ends = min(x for x in (ctx.now + policy.confirm_token_life, window_due_at) if x is not None)
        token = ctx.new_id()
        plan.insert(
            tables.ConfirmToken,
            id=token,
            seat_id=seat_id,
            thread_id=thread_id,
            field=field_name,
            text_sha256=_said_sha256(heard.reply, heard.shown),
            pack_sha256=verdict.pack_sha256,
            expires_at=ends,
            used_at=None,
        )
        return token, ends, None
    if heard.outcome == "notice" and heard.notice_id is None:
        notice = ctx.new_id()
        plan.insert(
            tables.Notice,
            id=notice,
            dispute_id=dispute_id,
            merchant_id=merchant_id,
            seat_id=seat_id,
            message_id=message_id,
            findings=[finding_facts(f) for f in verdict.findings],
            created_at=ctx.now,
            acknowledged_at=None,
        )
        return None, None, notice
    return None, None, heard.notice_id


def require_length(text: str, *, least: int, most: int, field_name: str) -> None:
    """Refuse a text outside its bounds, in Unicode code points.

    Raises:
        GuardFailed: `text_length`.
    """
    if not least <= len(text) <= most:
        raise GuardFailed(
            "text_length",
            zh="文字长度不符合要求",
            en="The text is too short or too long",
            field=field_name,
            least=least,
            most=most,
        )


def _said_sha256(reply: ModeratedReply, shown: Sequence[str]) -> str:
    return text_sha256("\n".join((reply.text, *shown)))


def text_sha256(text: str) -> str:
    """The fingerprint that a token is bound to."""
    return hashlib.sha256(text.encode()).hexdigest()
