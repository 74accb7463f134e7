"""A promise on its way: shown to the merchant, confirmed by its own act, corrected, declined, shown to be kept.

Nothing but the merchant's act on the canonical text confirms it: the act names the hash of what was shown, and the
entry of that act is what a relay rests on. Silence is never consent (source 002 FAQ 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from service.domain.attached_promise import WITH_A_SUM
from service.domain.canonical import Canonical, canonical
from service.domain.cleared_words import RELAYED_ACTIONS
from service.domain.contradictions import MENDED_BY_CORRECTION
from service.domain.errors import Absent, GuardFailed
from service.domain.moderation import Channel
from service.domain.promise import PROMISE, PromiseFacts
from service.domain.staff import Role
from service.domain.windows import require_in_time
from service.flows.committing import (
    Meant,
    committed_fen,
    keep_confirmed,
    mandate_of,
    record_confirmation,
    require_keepable,
    require_near,
)
from service.flows.context import Context
from service.flows.ending import decline_promise
from service.flows.heard import Heard, Outcome, rules_facts
from service.flows.hearing import hear_note, keep_back, let_out, require_length, says_anything
from service.flows.keeping import done_after_all, keep_promise
from service.flows.permits import (
    require_agents_case,
    require_may_commit,
    require_shops_case,
    require_transcript_room,
)
from service.flows.promising import (
    earlier_promises,
    judged,
    order_facts,
    require_promise_room,
    supersede,
)
from service.flows.read_case import TOLD, require_seat, require_seen
from service.store import tables, timers
from service.store.disputes import CaseFile
from service.store.uploads import upload_of

NOTE: Final = "promise_note"  # the merchant's text field, with a correction or a proof
CONFIRMATIONS_MAX: Final = 20  # choice: more than the promises of two messages


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The merchant's act: which promise, and the hash of the canonical text that was shown."""

    promise_id: str
    canonical_sha256: str


@dataclass(frozen=True, slots=True)
class Correction:
    """What the merchant meant: another time, another amount; nothing else. The act confirms the corrected promise.

    `canonical_sha256` is of the text that was shown. What is left None stays.
    """

    canonical_sha256: str
    due_at: datetime | None = None
    amount_fen: int | None = None
    currency: str | None = None  # of the amount
    note: str = ""
    confirm_token: str | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """How a merchant shows that a promise was kept: files by sha256, words, or both."""

    files: tuple[str, ...] = ()
    note: str = ""
    confirm_token: str | None = None


# --- the agent ------------------------------------------------------------------------------------------------------


def ask_confirm(ctx: Context, dispute_id: str, promise_id: str) -> None:
    """Show the merchant the canonical text and ask for its act.

    Raises:
        Conflict: `arrow_missing`.
        GuardFailed: `wording_not_a_promise` (hedged, conditional, quoted), `promise_incomplete`.
    """
    case = require_agents_case(ctx, dispute_id)
    policy = ctx.policy_of(case.dispute)
    require_transcript_room(case, policy)
    promise = _promise(case, promise_id)
    facts = PromiseFacts(
        policy=policy,
        now=ctx.now,
        wording=promise.wording,
        has_span=promise.span_end > promise.span_start,
        has_value=promise.action in RELAYED_ACTIONS,
        due_at=promise.due_at,
    )
    PROMISE.advance(promise.state, "ask_confirm", facts, side=ctx.actor.side)
    ctx.follow(case.dispute)
    ctx.plan.update(tables.Promise, promise_id, state="confirmation_requested")
    ctx.record("promise.confirmation_requested", facts={"promise": promise_id, "canonical": promise.canonical_sha256})
    ctx.announce("promise.confirmation_requested", promise_id=promise_id)


# --- the merchant ---------------------------------------------------------------------------------------------------


def confirm(ctx: Context, dispute_id: str, acts: Sequence[Confirmation]) -> None:
    """The merchant confirms what was shown to it; several promises of one message in one call, all or none.

    Raises:
        Absent: not this shop's dispute, or no such promise of it.
        Forbidden: `seat_inactive`, `commit_not_permitted`.
        Conflict: `arrow_missing`: confirmed already, superseded, lapsed, or the case has moved on (edge case 33).
        GuardFailed: `hash_mismatch`, `wording_not_a_promise`, `promise_already_due`, `commit_limit_exceeded`,
            `confirmations`.
    """
    case = require_shops_case(ctx, dispute_id)
    seat = require_may_commit(ctx)
    require_transcript_room(case, ctx.policy_of(case.dispute))
    if not 1 <= len(acts) <= CONFIRMATIONS_MAX or len({act.promise_id for act in acts}) != len(acts):
        raise GuardFailed(
            "confirmations", zh="条数过多或有重复", en="Too many, or one of them twice", most=CONFIRMATIONS_MAX
        )
    ctx.follow(case.dispute)
    for act in acts:
        _confirm_one(ctx, case, seat, act)


def _confirm_one(ctx: Context, case: CaseFile, seat: tables.Seat, act: Confirmation) -> None:
    promise, mandate = _promise(case, act.promise_id), mandate_of(case, seat)
    facts = PromiseFacts(
        policy=ctx.policy_of(case.dispute),
        now=ctx.now,
        wording=promise.wording,
        due_at=promise.due_at,
        canonical_hash=_canonical_of(promise).sha256_hex,
        hash_named=act.canonical_sha256,
        may_commit=True,  # `require_may_commit` has looked
        commit_limit_fen=mandate.limit_fen,
        amount_fen=committed_fen(mandate, promise.action, promise.amount_fen, promise.amount_max_fen),
    )
    PROMISE.advance(promise.state, "merchant_confirm", facts, side="merchant")
    made = record_confirmation(ctx, promise.id, act.canonical_sha256)
    ctx.plan.update(
        tables.Promise,
        promise.id,
        state="confirmed",
        confirmed_canonical=act.canonical_sha256,
        confirmation_hash=made.hash,
        confirmed_by=seat.id,
    )
    timers.disarm(ctx.plan, promise.id, ("promise_lapse",), at=ctx.now)
    ctx.announce("promise.confirmed", promise_id=promise.id)


def correct(ctx: Context, dispute_id: str, promise_id: str, correction: Correction) -> Outcome | str:
    """The merchant sets time or amount right; the corrected promise takes the old one's place, confirmed by this act.

    Returns:
        The new promise's id; or an Outcome when the note was not let out and nothing has moved.

    Raises:
        Absent, Forbidden: as `confirm`.
        Conflict: `arrow_missing`.
        GuardFailed: `hash_mismatch`, `commit_limit_exceeded`, `correction_too_wide` (no promise of ours, or nothing
            would change), `promise_incomplete`, `promise_already_due`, `promise_too_far`, `currency_mismatch`,
            `amount_over_refundable`, `text_length`, `case_entries_max`, `promises_max`.
    """
    case = require_shops_case(ctx, dispute_id)
    seat = require_may_commit(ctx)
    policy = ctx.policy_of(case.dispute)
    require_transcript_room(case, policy)
    require_length(correction.note, least=0, most=policy.note_chars_max, field_name="note")
    promise, mandate = _promise(case, promise_id), mandate_of(case, seat)
    require_near(ctx, correction.due_at)
    meant = _corrected(promise, correction)
    facts = PromiseFacts(
        policy=policy,
        now=ctx.now,
        due_at=meant.due_at,
        may_commit=True,  # `require_may_commit` has looked
        commit_limit_fen=mandate.limit_fen,
        amount_fen=committed_fen(mandate, meant.action, meant.amount_fen, meant.amount_max_fen),
        only_time_or_amount=_is_correction(promise, correction, meant),
    )
    PROMISE.advance(promise.state, "merchant_correct", facts, side="merchant")
    _require_shown(promise, correction)
    require_keepable(ctx, mandate, meant, correction.currency)
    require_promise_room(earlier_promises(case), 1)
    heard = None
    if correction.note:
        heard = hear_note(
            ctx, case, correction.note, field_name=NOTE, channel=Channel.NOTE, token=correction.confirm_token
        )
        if not heard.is_sent:
            return keep_back(ctx, case, heard, field_name=NOTE, facts={"promise": promise_id})
    return _replace(ctx, case, promise, meant, heard)


def _corrected(promise: tables.Promise, correction: Correction) -> Meant:
    amount, most = promise.amount_fen, promise.amount_max_fen
    if correction.amount_fen is not None:
        amount, most = correction.amount_fen, None  # a sum of its own, no range
    due_at = correction.due_at or promise.due_at
    if due_at is not None:
        due_at = due_at.replace(microsecond=0)  # the canonical text is to the second
    return Meant(promise.action, amount, most, due_at, canonical(promise.action, amount, most, due_at))


def _is_correction(promise: tables.Promise, correction: Correction, meant: Meant) -> bool:
    """Another time or amount of the same promise: no other act, no sum where the act has none, and not nothing."""
    fits = promise.action in RELAYED_ACTIONS and (correction.amount_fen is None or promise.action in WITH_A_SUM)
    return fits and meant.text.sha256_hex != promise.canonical_sha256


def _require_shown(promise: tables.Promise, correction: Correction) -> None:
    if correction.canonical_sha256 != promise.canonical_sha256:
        raise GuardFailed("hash_mismatch", zh="更正的不是当前承诺", en="Not the text that was shown")


def _replace(
    ctx: Context,
    case: CaseFile,
    promise: tables.Promise,
    meant: Meant,
    heard: Heard | None,
) -> str:
    ctx.follow(case.dispute)
    promise_id, earlier = ctx.new_id(), earlier_promises(case).without(promise.id)
    against = judged(meant.terms, "", order_facts(case.line), earlier)
    if against.order is None and promise.contradicts not in MENDED_BY_CORRECTION:
        against = replace(against, order=promise.contradicts)  # found in the words, which stay
    ctx.plan.update(tables.Promise, promise.id, state="superseded", ended_at=ctx.now)
    timers.disarm(ctx.plan, promise.id, ("promise_lapse",), at=ctx.now)
    ctx.record(
        "promise.corrected",
        facts={"promise": promise.id, "by": promise_id, "canonical": meant.text.sha256_hex}
        | ({"against": against.order} if against.order else {}),
        rules=rules_facts(heard.reply) if heard else None,
        private={
            "canonical": {"zh": meant.text.zh, "en": meant.text.en},
            "note": heard.reply.text if heard else None,
        },
    )
    ctx.announce("promise.superseded", promise_id=promise.id, by=promise_id)
    supersede(ctx, earlier, actions=(promise.action,))
    keep_confirmed(
        ctx,
        promise_id,
        meant,
        dispute_id=case.dispute.id,
        message_id=promise.message_id,
        span=(promise.span_start, promise.span_end),
        against=against,
    )
    if heard is not None:
        let_out(ctx, case, heard, field_name=NOTE)
    return promise_id


def decline(ctx: Context, dispute_id: str, promise_id: str) -> None:
    """The merchant says that this is not what it promised.

    Raises:
        Absent, Forbidden: as `confirm`.
        Conflict: `arrow_missing`: a confirmed promise is not taken back.
    """
    case = require_shops_case(ctx, dispute_id)
    require_seat(ctx)
    require_transcript_room(case, ctx.policy_of(case.dispute))
    ctx.follow(case.dispute)
    decline_promise(ctx, _promise(case, promise_id))


def fulfil(ctx: Context, dispute_id: str, promise_id: str, proof: Proof) -> Outcome | None:
    """The merchant shows that it kept its word; carriers and the gateway show it by their own events.

    Of a promise that counts as broken it shows how late it was done, or that it was in time before the clock struck.

    Returns:
        None; or an Outcome when the note was not let out and nothing has moved.

    Raises:
        Absent: not this shop's dispute, no such promise.
        Conflict: `arrow_missing`: never relayed, or ended; `window_closed`: shown at or after its due date.
        GuardFailed: `file_unknown`: the shop has uploaded no such file here; `proof_missing` without a file;
            `text_length`, `case_entries_max`.
    """
    case = require_shops_case(ctx, dispute_id)
    require_seat(ctx)
    policy = ctx.policy_of(case.dispute)
    require_transcript_room(case, policy)
    require_length(proof.note, least=0, most=policy.note_chars_max, field_name="note")
    promise = _promise(case, promise_id)
    files = list(dict.fromkeys(proof.files))[: policy.attachments_per_message_max]
    for sha256 in files:
        if upload_of(ctx.tx.session, dispute_id, party="merchant", sha256=sha256) is None:
            raise GuardFailed("file_unknown", zh="请先上传该文件", en="Upload the file first", sha256=sha256)
    late = promise.state == "breached" and promise.done_at is None
    facts = PromiseFacts(has_proof=bool(files))
    PROMISE.advance("relayed" if late else promise.state, "fulfil", facts, side="merchant")
    if not late:
        require_in_time(ctx.received_at, promise.due_at)
    private: dict[str, object] = {}
    heard = None
    if says_anything(ctx, dispute_id, proof.note, files):
        heard = hear_note(ctx, case, proof.note, field_name=NOTE, token=proof.confirm_token, files=files)
        if not heard.is_sent:
            return keep_back(ctx, case, heard, field_name=NOTE, facts={"promise": promise_id})
        private["note"] = heard.reply.text or None
    ctx.follow(case.dispute)
    if late:
        done_after_all(ctx, promise, side="merchant", at=ctx.received_at, proof={"files": files}, private=private)
    else:
        keep_promise(ctx, promise, side="merchant", at=ctx.received_at, proof={"files": files}, private=private)
    if heard is not None:
        let_out(ctx, case, heard, field_name=NOTE)
    return None


# --- reading and parts ----------------------------------------------------------------------------------------------


def list_promises(ctx: Context, dispute_id: str) -> tuple[tables.Dispute, list[tables.Promise]]:
    """The dispute and its promises, oldest first; the buyer learns only of those that were relayed.

    Raises:
        Absent: no such dispute, or not this viewer's to know of.
    """
    case = require_seen(ctx, dispute_id)
    if ctx.actor.role is Role.BUYER:
        return case.dispute, [p for p in case.promises if p.state in TOLD]
    return case.dispute, list(case.promises)


def _promise(case: CaseFile, promise_id: str) -> tables.Promise:
    found = next((p for p in case.promises if p.id == promise_id), None)
    if found is None:
        raise Absent("promise")
    return found


def _canonical_of(promise: tables.Promise) -> Canonical:
    """The canonical text made anew from the fields: what is confirmed is what they say, not a stored hash alone."""
    return canonical(promise.action, promise.amount_fen, promise.amount_max_fen, promise.due_at)
