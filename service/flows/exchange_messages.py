"""Buyer and merchant talk about the dispute, before and while the platform is at work.

The merchant's words are judged before the buyer sees them; what is not let out is kept as an attempt. Pictures, voice
and order cards stand in a message by reference: the fingerprint of an uploaded file, the id of an order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.domain.contact import why_no_message
from service.domain.errors import Absent, Conflict, Refusal
from service.domain.messages import require_sendable
from service.domain.moderation import Channel
from service.domain.policy import Policy
from service.domain.recalling import hides
from service.domain.restating import needs_words, restates, unchecked
from service.domain.staff import Role
from service.domain.transcript import Entry, Receipt, receipt, rfc3339
from service.flows.attaching import require_attached
from service.flows.committing import promises_said
from service.flows.context import Context
from service.flows.heard import Heard, Outcome, PromiseFound, before_facts, finding_facts, outcome_of, rules_facts
from service.flows.hearing import consequences, hear_note, require_length, said_before, tell_measure
from service.flows.permits import require_transcript_room
from service.flows.promising import Spoken, earlier_promises, order_facts
from service.flows.read_case import party_of, require_seat, require_seen
from service.store import chats, contacts, tables
from service.store.disputes import CaseFile
from service.store.uploads import upload_of
from service.store.words import words_of


@dataclass(frozen=True, slots=True)
class Said:
    """What a party sends. `attachment`: the sha256 of a file uploaded to this dispute, or the id of an order."""

    client_message_id: str
    kind: str = "text"
    text: str = ""
    attachment: str | None = None
    confirm_token: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A buyer's message that went out, with its receipt."""

    message_id: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Line:
    """A message as one viewer may read it. `awaits_text`: the shop has not put it into words yet.

    Of one that was taken back only supervisors and auditors read text and attachment.
    """

    message: tables.Message
    text: str | None
    attachment: str | None
    awaits_text: bool = False


# --- sending --------------------------------------------------------------------------------------------------------


def post_message(ctx: Context, dispute_id: str, said: Said) -> Outcome | Sent | Refusal:
    """Take in one message of a party.

    Returns:
        `Sent` for the buyer, an `Outcome` for the merchant, delivered or not; or `dispute_closed` for a message that
        came after the end, which is kept as a late attempt (edge case 29); or `contact_cap_reached` for one too many
        in a row without an answer, kept as a blocked attempt (D11).

    Raises:
        Absent: not this party's dispute.
        Forbidden: `seat_inactive`.
        Conflict: `duplicate_message` with the first one's id, `confirm_token_invalid`.
        GuardFailed: `message_kind_refused`, `message_empty`, `attachment_…`, `order_card_unknown`, `text_length`,
            `case_entries_max`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    side = party_of(ctx)
    if side is None:
        raise Absent("dispute")
    if side == "merchant":
        require_seat(ctx)
    policy = ctx.policy_of(case.dispute)
    _require_new(ctx, case, said)
    require_transcript_room(case, policy)
    require_sendable(side, said.kind, text=said.text, has_attachment=said.attachment is not None)
    require_length(said.text, least=0, most=policy.reply_chars_max, field_name="text")
    require_attached(ctx, case.dispute, kind=said.kind, attachment=said.attachment)
    return _from_buyer(ctx, case, said) if side == "buyer" else _from_merchant(ctx, case, said, policy)


def _files_of(said: Said) -> tuple[str, ...]:
    return (said.attachment,) if said.kind == "image" and said.attachment is not None else ()


def _sender(ctx: Context) -> str:
    return ctx.actor.seat_id or ctx.actor.subject


def _require_new(ctx: Context, case: CaseFile, said: Said) -> None:
    earlier = chats.message_by_client_id(
        ctx.tx.session, case.dispute.id, sender_id=_sender(ctx), client_message_id=said.client_message_id
    )
    if earlier is not None:
        raise Conflict(
            "duplicate_message", zh="该消息已收到", en="This message has been received", message_id=earlier.id
        )


def _from_buyer(ctx: Context, case: CaseFile, said: Said) -> Sent | Refusal:
    ctx.follow(case.dispute)
    message_id = ctx.new_id()
    late = case.dispute.state == "closed"
    made = _record(ctx, "buyer.message_late" if late else "buyer.message", said, message_id)
    _insert(ctx, case, said, made, message_id, delivery="late" if late else "delivered")
    if late:
        return _closed(case)
    ctx.announce("dispute.message_delivered", message_id=message_id, from_side="buyer")
    if needs_words("buyer", said.kind) and case.dispute.restate_since_seq is None:
        ctx.plan.change(restate_since_seq=made.seq)
        ctx.announce("dispute.text_asked", message_id=message_id)
    return Sent(message_id, receipt(made))


def _from_merchant(ctx: Context, case: CaseFile, said: Said, policy: Policy) -> Outcome | Refusal:
    question = chats.last_buyer_text(ctx.tx.session, case.dispute.id)
    heard = hear_note(
        ctx,
        case,
        said.text,
        field_name="message",
        channel=Channel.BUYER_CHAT,
        token=said.confirm_token,
        question=question,
        before=said_before(ctx, case.dispute.id, case.dispute.id, said.text),
        files=_files_of(said),
    )
    ctx.follow(case.dispute)
    message_id = ctx.new_id()
    if case.dispute.state == "closed":
        made = _record(ctx, "merchant.message_late", said, message_id, heard)
        _insert(ctx, case, said, made, message_id, delivery="late", heard=heard)
        return _closed(case)
    refusal = _too_many(ctx, case, policy) if heard.is_sent else None
    if refusal is not None:
        made = _record(ctx, "merchant.message_over_cap", said, message_id, heard)
        _insert(ctx, case, said, made, message_id, delivery="blocked", heard=heard)
        return refusal
    kind = "merchant.message" if heard.is_sent else f"merchant.message_{heard.delivery}"
    since = case.dispute.restate_since_seq
    puts_into_words = heard.is_sent and since is not None and restates(said.kind, heard.reply)
    made = _record(ctx, kind, said, message_id, heard, restates_since=since if puts_into_words else None)
    if puts_into_words:
        ctx.plan.change(restate_since_seq=None)
    _insert(ctx, case, said, made, message_id, delivery=heard.delivery, heard=heard)
    token, token_ends, notice_id = consequences(
        ctx,
        heard,
        dispute_id=case.dispute.id,
        merchant_id=case.dispute.merchant_id,
        message_id=message_id,
        thread_id=case.dispute.id,
        field_name="message",
        policy=policy,
    )
    promises = (
        _promises(ctx, case, said, message_id, question, policy, answers=heard.reply.answers) if heard.is_sent else ()
    )
    _announce(ctx, case, heard, message_id)
    return outcome_of(
        ctx,
        heard,
        made,
        message_id=message_id,
        policy=policy,
        token=token,
        token_ends=token_ends,
        notice_id=notice_id,
        answers=heard.reply.answers,
        promises=promises,
    )


def _too_many(ctx: Context, case: CaseFile, policy: Policy) -> Refusal | None:
    """Words that could go out wait where the buyer has not answered so many before them (D11)."""
    return why_no_message(policy, unanswered=contacts.unanswered(ctx.tx.session, case.dispute.id))


def _promises(
    ctx: Context, case: CaseFile, said: Said, message_id: str, question: str | None, policy: Policy, *, answers: bool
) -> tuple[PromiseFound, ...]:
    """What was promised to the buyer directly is kept like any promise; only the merchant's own act confirms it."""
    spoken = Spoken(
        dispute_id=case.dispute.id,
        message_id=message_id,
        text=said.text,
        question=question,
        said_at=ctx.received_at,
        order=order_facts(case.line),
        refs={"message_id": message_id},
    )
    found, _ = promises_said(ctx, spoken, earlier=earlier_promises(case), policy=policy, answers=answers)
    return found


def _announce(ctx: Context, case: CaseFile, heard: Heard, message_id: str) -> None:
    if heard.is_sent:
        ctx.announce("dispute.message_delivered", message_id=message_id, from_side="merchant")
    if not heard.is_sent or heard.reply.verdict.findings or heard.reply.verdict.direct_to_human:
        tell_measure(ctx, case, heard, message_id=message_id)


def _closed(case: CaseFile) -> Conflict:
    closed_at = case.dispute.closed_at
    return Conflict(
        "dispute_closed",
        zh="纠纷已结案,消息未送达",
        en="The dispute is closed; the message was not delivered",
        closed_at=rfc3339(closed_at) if closed_at else None,
    )


def _record(
    ctx: Context,
    kind: str,
    said: Said,
    message_id: str,
    heard: Heard | None = None,
    *,
    restates_since: int | None = None,
) -> Entry:
    findings = [finding_facts(f) for f in heard.reply.verdict.findings] if heard else []
    return ctx.record(
        kind,
        facts={"message": message_id, "kind": said.kind, "received_at": rfc3339(ctx.received_at)}
        | (before_facts(heard) if heard else {})
        | ({"not_checked_as_text": True} if unchecked(ctx.actor.side, said.kind) else {})
        | ({} if restates_since is None else {"restates_since": restates_since}),
        rules=rules_facts(heard.reply) if heard else None,
        private={
            "text": said.text or None,
            "attachment": said.attachment,
            "client_message_id": said.client_message_id,
            "findings": findings or None,
        },
    )


def _insert(
    ctx: Context,
    case: CaseFile,
    said: Said,
    made: Entry,
    message_id: str,
    *,
    delivery: str,
    heard: Heard | None = None,
) -> None:
    ctx.plan.insert(
        tables.Message,
        id=message_id,
        dispute_id=case.dispute.id,
        thread_id=case.dispute.id,
        conversation="dispute",
        seq=made.seq,
        sender_side=ctx.actor.side,
        sender_id=_sender(ctx),
        kind=said.kind,
        delivery=delivery,
        measure=heard.reply.verdict.measure.value if heard else "none",
        answers=heard.reply.answers if heard else True,
        attachment=said.attachment,
        client_message_id=said.client_message_id,
        received_at=ctx.received_at,
        edit_digest=heard.edit_digest if heard and delivery == "blocked" else None,
    )


# --- files ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileShown:
    """A file that a viewer may have. `sealed`: every byte as it came; otherwise the copy without where it was taken."""

    sha256: str
    media_type: str
    sealed: bool


def file_shown(ctx: Context, dispute_id: str, sha256: str) -> FileShown:
    """A file that this viewer's side has uploaded, or has been shown in a message or a refusal.

    Raises:
        Absent: not this viewer's dispute, or no such file for them.
    """
    case = require_seen(ctx, dispute_id)
    session, side = ctx.tx.session, party_of(ctx)
    for party in ("buyer", "merchant"):
        upload = upload_of(session, dispute_id, party=party, sha256=sha256)
        own = party == side
        if upload is not None and (own or side is None or sha256 in _shown_to(ctx, case, side)):
            return FileShown(sha256, upload.media_type, sealed=own or ctx.actor.role is Role.AUDITOR)
    raise Absent("file")


def _shown_to(ctx: Context, case: CaseFile, side: str) -> set[str]:
    """The fingerprints that the other party has let this one see."""
    session, dispute = ctx.tx.session, case.dispute
    shown = chats.attachments_delivered(session, dispute.id, conversation="dispute")
    if dispute.refusal_seq is not None and side == "buyer":
        proof = words_of(session, dispute.id, [dispute.refusal_seq]).get(dispute.refusal_seq, {}).get("proof")
        shown |= set(proof) if isinstance(proof, list) else set()
    return shown


# --- reading --------------------------------------------------------------------------------------------------------


def list_messages(ctx: Context, dispute_id: str, *, after_seq: int, limit: int) -> list[Line]:
    """The conversation of buyer and merchant, oldest first; one more than `limit` if there are more.

    Attempts that were not delivered are for the sender's own side, a supervisor and an auditor; what was taken back
    is shown as such, its words for a supervisor and an auditor.

    Raises:
        Absent: not this viewer's dispute.
    """
    case = require_seen(ctx, dispute_id)
    side = party_of(ctx)
    sees_all = ctx.actor.role in (Role.SUPERVISOR, Role.AUDITOR)
    found = chats.messages_of(
        ctx.tx.session,
        case.dispute.id,
        conversation="dispute",
        attempts_of=None if sees_all else side or "",
        after_seq=after_seq,
        limit=limit + 1,
    )
    since = None if side == "buyer" else case.dispute.restate_since_seq
    open_to_read = [m for m in found if not hides(m.recalled_at, keeps_evidence=sees_all)]
    words = words_of(ctx.tx.session, case.dispute.id, [m.seq for m in open_to_read])
    files = {m.seq: m.attachment for m in open_to_read}
    return [Line(m, _text(words.get(m.seq, {})), files.get(m.seq), awaits_text=_awaits_text(m, since)) for m in found]


def _awaits_text(message: tables.Message, since: int | None) -> bool:
    shown = needs_words(message.sender_side, message.kind) and message.delivery == "delivered"
    return shown and message.recalled_at is None and since is not None and message.seq >= since


def _text(words: Mapping[str, object]) -> str | None:
    found = words.get("text")
    return found if isinstance(found, str) else None
