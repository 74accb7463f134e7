"""THE path of every merchant message in an inquiry (architecture.md; docs/reply-path.md).

Read once, authorise, moderate, decide the measure, append to the transcript, read the promises, move the inquiry,
announce: all decided here, all written by one guarded statement afterwards. Nothing is locked while the text is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.domain.attached_promise import Attached
from service.domain.errors import Absent, Conflict, Forbidden, GuardFailed, Refusal
from service.domain.inquiry import INQUIRY, InquiryFacts, reply_trigger
from service.domain.joined_words import TOGETHER_WITHIN
from service.domain.moderation import Channel
from service.domain.policy import Policy
from service.domain.promise_text import OrderFacts
from service.domain.restating import unchecked
from service.domain.timers import window_timers
from service.domain.transcript import Entry, instant, rfc3339
from service.flows.attaching import require_attached
from service.flows.committing import promises_said
from service.flows.context import AnsweredBefore, Context, StoredAnswer
from service.flows.heard import (
    Contradiction,
    Heard,
    Outcome,
    PromiseFound,
    before_facts,
    finding_facts,
    outcome_of,
    rules_facts,
)
from service.flows.hearing import (
    SaidBefore,
    Token,
    consequences,
    hear,
    known_by,
    offences_since,
    require_length,
    words_in_files,
)
from service.flows.promising import Earlier, OpenPromise, Spoken
from service.flows.reply_window import graced, revived, too_late
from service.store import tables, timers
from service.store.replies import SeenForReply, counted, in_order_said, listed, read_for_reply, said_in_turn
from service.store.writes import Head


@dataclass(frozen=True, slots=True)
class Said:
    """What the merchant sent. `text` is empty for a picture or an order card alone.

    `promises`: stated in fields beside the words; sending the message is the act that confirms them.
    """

    client_message_id: str
    kind: str = "text"
    text: str = ""
    attachment: str | None = None
    confirm_token: str | None = None
    promises: tuple[Attached, ...] = ()


def receive_reply(ctx: Context, inquiry_id: str, said: Said, *, key_id: str) -> Outcome | Refusal:
    """Take in one merchant message and answer its sender.

    Returns:
        An outcome, delivered or not; or `window_closed` for a message that came too late, which is recorded.

    Raises:
        Absent: no such inquiry, or another shop's.
        Forbidden: the seat may not answer the platform, or not commit the shop to the promises that it states.
        Conflict: `duplicate_message`, `confirm_token_invalid`, `arrow_missing`.
        GuardFailed: `text_length`, `case_entries_max`, what `require_attached` says; of promises stated in fields:
            `committing.confirm_with_words`.
    """
    seen = _read(ctx, inquiry_id, said, key_id)
    _require_may_reply(ctx, seen)
    ctx.plan.head = Head(seen.dispute_id, seen.version, seen.last_seq, seen.last_hash, seen.last_event_seq)
    policy = ctx.policy(seen.policy_id, seen.policy_version).for_dispute(seen.dispute_type)
    require_length(said.text, least=0, most=policy.reply_chars_max, field_name="text")
    if seen.last_seq >= policy.case_entries_max:
        raise GuardFailed("case_entries_max", zh="该纠纷记录已达上限", en="This dispute's transcript is full")
    _require_attached(ctx, seen, said)
    refusal = too_late(ctx, seen)
    heard = hear(
        ctx,
        said.text,
        channel=Channel.INQUIRY,
        platform=seen.platform,
        question=seen.question,
        earlier_offences=counted(seen.offences),
        thread_id=inquiry_id,
        token=None if refusal else _token(seen, said),  # too late is the answer, whatever became of the token
        open_notice_id=seen.open_notice_id,
        before=SaidBefore(seen.edit_asked, in_order_said(seen.just_said)),
        shown=words_in_files(ctx, seen.dispute_id, platform=seen.platform, files=_files_of(said)),
    )
    if refusal is not None:
        _keep_late(ctx, seen, said, heard)
        return refusal
    return _take_in(ctx, seen, said, heard, policy)


def _read(ctx: Context, inquiry_id: str, said: Said, key_id: str) -> SeenForReply:
    seen = read_for_reply(
        ctx.tx,
        inquiry_id,
        seat_id=ctx.actor.seat_id or "",
        client_message_id=said.client_message_id,
        edit_digest=known_by(ctx, said.text, thread_id=inquiry_id),
        token_id=said.confirm_token,
        key_id=key_id,
        offences_since=offences_since(ctx),
        just_since=ctx.received_at - TOGETHER_WITHIN,
    )
    if seen is None or seen.merchant_id != ctx.actor.merchant_id:
        raise Absent("inquiry")
    if seen.key_fingerprint is not None:
        raise AnsweredBefore(StoredAnswer(seen.key_fingerprint, seen.key_status or 0, seen.key_body or ""))
    if seen.earlier_message_id is not None:
        raise Conflict(
            "duplicate_message",
            zh="该消息已收到",
            en="This message has been received",
            message_id=seen.earlier_message_id,
        )
    return seen


def _require_attached(ctx: Context, seen: SeenForReply, said: Said) -> None:
    """Words come alone; what else is sent must be the shop's to show. Only that costs a look into the database."""
    if said.kind == "text" and said.attachment is None:
        return
    dispute = ctx.tx.session.get_one(tables.Dispute, seen.dispute_id)
    require_attached(ctx, dispute, kind=said.kind, attachment=said.attachment)


def _files_of(said: Said) -> tuple[str, ...]:
    return (said.attachment,) if said.kind == "image" and said.attachment is not None else ()


def _require_may_reply(ctx: Context, seen: SeenForReply) -> None:
    """The owner answers by default; a seat answers with IM permission and the owner's designation (source 002)."""
    if seen.seat_active is None:
        raise Absent("inquiry")
    if not seen.seat_active:
        raise Forbidden("seat_inactive", zh="该客服账号已停用", en="This seat is switched off")
    if not seen.seat_is_owner and not (seen.seat_may_im and seen.seat_designated):
        raise Forbidden(
            "im_permission_missing",
            zh="该客服没有回复平台客服的权限",
            en="This seat may not answer the platform",
            im_permission=bool(seen.seat_may_im),
            designated=bool(seen.seat_designated),
        )


def _token(seen: SeenForReply, said: Said) -> Token | None:
    if said.confirm_token is None:
        return None
    if seen.token_seat_id is None or seen.token_expires_at_us is None:
        raise Conflict("confirm_token_invalid", zh="该确认已失效,请重新发送", en="No such leave to send; send again")
    return Token(
        said.confirm_token,
        seen.token_seat_id,
        seen.token_thread_id or "",
        seen.token_text_sha256 or "",
        seen.token_pack_sha256 or "",
        instant(seen.token_expires_at_us),
        None if seen.token_used_at_us is None else instant(seen.token_used_at_us),
    )


# --- too late -------------------------------------------------------------------------------------------------------


def _keep_late(ctx: Context, seen: SeenForReply, said: Said, heard: Heard) -> None:
    """A late attempt reaches nobody but stays in the transcript (edge cases 14 and 29)."""
    message_id = ctx.new_id()
    made = _record(ctx, "merchant.reply_late", seen, said, heard, message_id)
    _insert_message(ctx, seen, said, heard, message_id, made, delivery="late", answers=False)
    ctx.announce("inquiry.message_late", inquiry_id=seen.inquiry_id, message_id=message_id)


# --- in time --------------------------------------------------------------------------------------------------------


def _take_in(ctx: Context, seen: SeenForReply, said: Said, heard: Heard, policy: Policy) -> Outcome:
    answers = heard.is_sent and heard.reply.answers
    state = revived(ctx, seen) if heard.is_sent and seen.inquiry_state in ("expired", "closed") else seen.inquiry_state
    due_at = _advance(ctx, seen, heard, state, answers, policy)
    message_id = ctx.new_id()
    kind = "merchant.reply" if heard.is_sent else f"merchant.reply_{heard.delivery}"
    made = _record(ctx, kind, seen, said, heard, message_id)
    _insert_message(ctx, seen, said, heard, message_id, made, delivery=heard.delivery, answers=answers)
    token, token_ends, notice_id = consequences(
        ctx,
        heard,
        dispute_id=seen.dispute_id,
        merchant_id=seen.merchant_id,
        message_id=message_id,
        thread_id=seen.inquiry_id,
        field_name="reply",
        policy=policy,
        window_due_at=due_at,
    )
    promises, contradictions = (
        _promises(ctx, seen, said, message_id, policy, answers=answers) if heard.is_sent else ((), ())
    )
    _announce(ctx, seen, heard, message_id, answers)
    return outcome_of(
        ctx,
        heard,
        made,
        message_id=message_id,
        policy=policy,
        token=token,
        token_ends=token_ends,
        notice_id=notice_id,
        due_at=due_at,
        answers=answers,
        promises=promises,
        contradictions=contradictions,
    )


def _advance(
    ctx: Context, seen: SeenForReply, heard: Heard, state: str, answers: bool, policy: Policy
) -> datetime | None:
    """Move the inquiry; returns the end of the reply window while it runs on."""
    if state in ("expired", "closed"):
        return None  # a blocked attempt revives nothing; a message that met the agent's close is only kept
    measure = heard.reply.verdict.measure.value
    sent_as_is = heard.token_used is not None
    trigger = reply_trigger(measure=measure, confirmed_as_is=sent_as_is, answers=answers)
    if not heard.is_sent and heard.notice_id is not None:
        trigger, measure = "merchant_reply_blocked", "reject_with_notice"
    if state == "awaiting_agent":
        if not heard.is_sent:
            return None
        trigger = "merchant_reply_delivered"
    facts = InquiryFacts(
        policy=policy,
        now=ctx.now,
        received_at=ctx.received_at,
        due_at=seen.due_at,
        measure=measure,
        confirmed_as_is=sent_as_is,
        dispute_intervening=seen.dispute_state == "intervening",
    )
    arrow = INQUIRY.advance(state, trigger, facts, side="merchant")
    target = INQUIRY.target(state, arrow)
    if target == "awaiting_agent" and seen.inquiry_state != "awaiting_agent":
        timers.disarm(ctx.plan, seen.inquiry_id, window_timers(policy), at=ctx.now)
        idle_at = ctx.now + policy.inquiry_idle
        timers.arm(
            ctx.plan,
            dispute_id=seen.dispute_id,
            subject_id=seen.inquiry_id,
            name="inquiry_idle",
            due_at=idle_at,
            fires_at=idle_at + policy.settle_margin,
        )
        ctx.plan.update(tables.Inquiry, seen.inquiry_id, state=target, answered_at=ctx.received_at)
        return None
    return graced(ctx, seen, trigger, policy) if state == "awaiting_merchant" else None


# --- what is written ------------------------------------------------------------------------------------------------


def _record(ctx: Context, kind: str, seen: SeenForReply, said: Said, heard: Heard, message_id: str) -> Entry:
    findings = [finding_facts(f) for f in heard.reply.verdict.findings]
    return ctx.record(
        kind,
        facts={
            "message": message_id,
            "inquiry": seen.inquiry_id,
            "turn": seen.turn,
            "kind": said.kind,
            "received_at": rfc3339(ctx.received_at),
        }
        | before_facts(heard)
        | ({"not_checked_as_text": True} if unchecked("merchant", said.kind) else {}),
        rules=rules_facts(heard.reply),
        private={
            "text": heard.reply.text,
            "attachment": said.attachment,
            "client_message_id": said.client_message_id,
            "findings": findings or None,
            "promises": [each.text.zh for each in said.promises] or None,
        },
    )


def _insert_message(
    ctx: Context,
    seen: SeenForReply,
    said: Said,
    heard: Heard,
    message_id: str,
    made: Entry,
    *,
    delivery: str,
    answers: bool,
) -> None:
    ctx.plan.insert(
        tables.Message,
        id=message_id,
        dispute_id=seen.dispute_id,
        thread_id=seen.inquiry_id,
        conversation="inquiry",
        seq=made.seq,
        sender_side="merchant",
        sender_id=ctx.actor.seat_id,
        kind=said.kind,
        delivery=delivery,
        measure=heard.reply.verdict.measure.value,
        answers=answers,
        attachment=said.attachment,
        client_message_id=said.client_message_id,
        received_at=ctx.received_at,
        edit_digest=heard.edit_digest if delivery == "blocked" else None,
    )


def _promises(
    ctx: Context, seen: SeenForReply, said: Said, message_id: str, policy: Policy, *, answers: bool
) -> tuple[tuple[PromiseFound, ...], tuple[Contradiction, ...]]:
    """Read the promises out of delivered words, unconfirmed; those stated beside the words are confirmed with them."""
    order = OrderFacts(
        quantity=seen.quantity,
        paid_fen=seen.paid_fen,
        refundable_fen=seen.refundable_fen,
        returnable=bool(seen.returnable),
        custom_made=bool(seen.custom_made),
        on_time_insured=bool(seen.on_time_insured),
        ship_by=None if seen.ship_by_us is None else instant(seen.ship_by_us),
    )
    spoken = Spoken(
        dispute_id=seen.dispute_id,
        message_id=message_id,
        text=said.text,
        before=said_in_turn(seen.just_said),
        question=seen.question,
        said_at=ctx.received_at,
        order=order,
        refs={"inquiry_id": seen.inquiry_id},
    )
    return promises_said(ctx, spoken, said.promises, earlier=_earlier(seen), policy=policy, answers=answers)


def _earlier(seen: SeenForReply) -> Earlier:
    """The promises of the dispute so far, as the one read lists them."""
    return Earlier(
        tuple(
            OpenPromise(promise_id, action, state, _instant(due), _fen(fen), _fen(most_fen))
            for promise_id, action, state, due, fen, most_fen in listed(seen.open_promises)
        ),
        seen.promises_total,
    )


def _instant(at_us: str) -> datetime | None:
    return instant(int(at_us)) if at_us else None


def _fen(amount: str) -> int | None:
    return int(amount) if amount else None


def _announce(ctx: Context, seen: SeenForReply, heard: Heard, message_id: str, answers: bool) -> None:
    thin = {"inquiry_id": seen.inquiry_id, "message_id": message_id}
    if heard.is_sent:
        ctx.announce("inquiry.answered" if answers else "inquiry.message_delivered", **thin)
    else:
        ctx.announce("inquiry.message_blocked", measure=heard.reply.verdict.measure.value, **thin)
    if heard.reply.verdict.direct_to_human:
        ctx.announce("moderation.buyer_routed_to_human", merchant_id=seen.merchant_id, **thin)
