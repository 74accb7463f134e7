"""A shop's seat logs a call to the buyer before it dials; over the cap it is refused, and the refusal is kept (D11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.domain.contact import shops_day, why_no_call
from service.domain.errors import Absent, Conflict, Refusal
from service.domain.staff import Role
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.heard import Outcome, rules_facts
from service.flows.hearing import hear_note, keep_back, let_out, require_length
from service.flows.permits import require_shops_case, require_transcript_room
from service.flows.read_case import require_seat, require_seen
from service.store import contacts, tables
from service.store.words import words_of

NOTE: Final = "call_note"


@dataclass(frozen=True, slots=True)
class Call:
    """A call. `reached`: whether the buyer answered it; `note`: what came of it, read by the shop and the platform."""

    reached: bool
    note: str = ""
    confirm_token: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptSeen:
    """An attempt with its note; a refused one has none."""

    attempt: tables.ContactAttempt
    note: str | None


def log_call(ctx: Context, dispute_id: str, call: Call) -> str | Outcome | Refusal:
    """Log a call of this shop to the buyer; the day is the one on which the request was received, in Asia/Shanghai.

    Returns:
        The attempt's id; an outcome where the note was not let out: no call is logged then; or `contact_cap_reached`,
        which is recorded.

    Raises:
        Absent: not this shop's dispute.
        Forbidden: `seat_inactive`.
        Conflict: `dispute_closed`, `confirm_token_invalid`.
        GuardFailed: `text_length`, `case_entries_max`.
    """
    case = require_shops_case(ctx, dispute_id)
    require_seat(ctx)
    policy, session, dispute = ctx.policy_of(case.dispute), ctx.tx.session, case.dispute
    if dispute.state == "closed":
        raise Conflict("dispute_closed", zh="该纠纷已结案", en="The dispute is closed")
    require_transcript_room(case, policy)
    require_length(call.note, least=0, most=policy.reason_chars_max, field_name="note")
    contacts.lock_pair(session, merchant_id=dispute.merchant_id, buyer_id=dispute.buyer_id)
    day = shops_day(ctx.received_at)
    calls = contacts.calls_logged(session, merchant_id=dispute.merchant_id, buyer_id=dispute.buyer_id, day=day)
    refusal = why_no_call(
        policy, unanswered=contacts.unanswered(session, dispute_id), calls_today=calls, at=ctx.received_at
    )
    heard = None
    if call.note and refusal is None:
        heard = hear_note(ctx, case, call.note, field_name=NOTE, token=call.confirm_token)
        if not heard.is_sent:
            return keep_back(ctx, case, heard, field_name=NOTE, facts={"day": day})
    ctx.follow(dispute)
    attempt_id, state = ctx.new_id(), "logged" if refusal is None else "refused"
    made = ctx.record(
        f"merchant.call_{state}",
        facts={"attempt": attempt_id, "day": day, "of_day": calls + 1, "received_at": rfc3339(ctx.received_at)}
        | ({"reached": call.reached} if refusal is None else {"cap": refusal.facts["cap"]}),
        rules=rules_facts(heard.reply) if heard else None,
        private={"note": heard.reply.text if heard else None},
    )
    ctx.plan.insert(
        tables.ContactAttempt,
        id=attempt_id,
        dispute_id=dispute_id,
        merchant_id=dispute.merchant_id,
        buyer_id=dispute.buyer_id,
        seat_id=ctx.actor.seat_id,
        seq=made.seq,
        kind="call",
        state=state,
        reached=call.reached and refusal is None,
        day=day,
        at=ctx.received_at,
    )
    if heard is not None:
        let_out(ctx, case, heard, field_name=NOTE)
    return attempt_id if refusal is None else refusal


def list_calls(ctx: Context, dispute_id: str, *, after_seq: int, limit: int) -> list[AttemptSeen]:
    """Calls of a dispute, logged or refused, oldest first; one more than `limit` if there are more.

    Raises:
        Absent: not this viewer's dispute; a buyer's neither.
    """
    if ctx.actor.role is Role.BUYER:
        raise Absent("dispute")
    require_seen(ctx, dispute_id)
    return _seen(
        ctx, dispute_id, contacts.attempts_of(ctx.tx.session, dispute_id, after_seq=after_seq, limit=limit + 1)
    )


def read_call(ctx: Context, attempt_id: str) -> AttemptSeen:
    """One attempt that was just logged."""
    attempt = ctx.tx.session.get_one(tables.ContactAttempt, attempt_id)
    return _seen(ctx, attempt.dispute_id, [attempt])[0]


def _seen(ctx: Context, dispute_id: str, attempts: Sequence[tables.ContactAttempt]) -> list[AttemptSeen]:
    words = words_of(ctx.tx.session, dispute_id, [each.seq for each in attempts])
    notes = [words.get(each.seq, {}).get("note") for each in attempts]
    return [AttemptSeen(a, n if isinstance(n, str) else None) for a, n in zip(attempts, notes, strict=True)]
