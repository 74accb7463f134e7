"""The goods come back: the buyer ships them, the shop confirms, waives or says what is wrong, the clocks run out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sqlmodel import select

from service.domain.carriers import is_carrier, tracking_number
from service.domain.dispute import DISPUTE, DisputeFacts
from service.domain.errors import GuardFailed, Refusal
from service.domain.moderation import Channel
from service.domain.policy import Policy
from service.flows.agreeing import require_arrow, require_something_left
from service.flows.context import Context
from service.flows.heard import Heard, Outcome, rules_facts
from service.flows.hearing import hear_note, keep_back, let_out, require_length, says_anything
from service.flows.moves import armed_timers, facts_of, move
from service.flows.overtaken import overtaken_by_clock
from service.flows.permits import require_shops_case, require_transcript_room
from service.flows.read_case import require_may_after_sale, require_seen
from service.store import people, tables
from service.store.disputes import CaseFile, load_case
from service.store.timers import DueTimer
from service.store.uploads import upload_of

NOTE: Final = "return_problem_note"  # the merchant's text field


@dataclass(frozen=True, slots=True)
class Problem:
    """What the shop found wrong. `evidence` are sha256 of uploaded files; only NOT_RECEIVED needs none."""

    ack: str
    note: str = ""
    evidence: tuple[str, ...] = ()
    confirm_token: str | None = None


# --- the buyer ------------------------------------------------------------------------------------------------------


def ship_return(ctx: Context, dispute_id: str, *, carrier: str, tracking_no: str) -> str | Refusal:
    """The buyer has given the goods to a carrier. Returns the shipment's id.

    Returns:
        Or `window_closed` with `in_time`, recorded, if the clock closed the dispute on a request received before it.

    Raises:
        Absent: not this buyer's dispute.
        Conflict: `arrow_missing` (nobody agreed to a return), `window_closed` (after T4).
        GuardFailed: `carrier_unknown`, `tracking_number_malformed`, `tracking_already_used`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    if overtaken := _overtaken(ctx, case, "buyer_ship_return"):
        return overtaken
    number = tracking_number(tracking_no)
    if number is None:
        raise GuardFailed("tracking_number_malformed", zh="运单号格式不对", en="Not a tracking number")
    facts = facts_of(ctx, case, carrier_known=is_carrier(carrier), tracking_unused=_is_unused(ctx, carrier, number))
    shipment_id = ctx.new_id()
    move(
        ctx,
        case,
        "buyer_ship_return",
        facts,
        entry_facts={"shipment": shipment_id, "carrier": carrier},
        private={"tracking_no": number},
    )
    ctx.plan.insert(
        tables.ReturnShipment,
        id=shipment_id,
        dispute_id=dispute_id,
        # a return agreed to and one ruled may both fall into the first cycle: the number tells them apart
        cycle=max(case.dispute.cycle, len(case.shipments) + 1),
        carrier=carrier,
        tracking_no=number,
        state="registered",
        shipped_at=ctx.received_at,
    )
    ctx.announce("return.registered", shipment_id=shipment_id)
    return shipment_id


def _is_unused(ctx: Context, carrier: str, number: str) -> bool:
    found = select(tables.ReturnShipment.id).where(
        tables.ReturnShipment.carrier == carrier, tables.ReturnShipment.tracking_no == number
    )
    return ctx.tx.session.exec(found).first() is None


# --- the shop -------------------------------------------------------------------------------------------------------


def confirm_receipt(ctx: Context, dispute_id: str) -> None:
    """The goods are back and in order: the refund goes out.

    Raises:
        Absent, Forbidden: not this shop's dispute; the seat may not decide refunds.
        Conflict: `arrow_missing`.
    """
    case = _case_of_decider(ctx, dispute_id)
    _lock_money(ctx, case)
    move(
        ctx,
        case,
        "seller_confirm_receipt",
        facts_of(ctx, case),
        changes={"goods_held_by_merchant": True},
        entry_facts={"ack": "ITEM_RECEIVED"},
    )


def waive_return(ctx: Context, dispute_id: str) -> None:
    """The shop wants nothing back: the refund goes out at once.

    Raises:
        Absent, Forbidden: not this shop's dispute; the seat may not decide refunds.
        Conflict: `arrow_missing`.
        GuardFailed: `amount_over_refundable`: nothing is left of the line.
    """
    case = _case_of_decider(ctx, dispute_id)
    _lock_money(ctx, case)
    facts = facts_of(ctx, case)
    require_arrow(ctx, case, "seller_waive_return", facts)
    require_something_left(facts)
    move(ctx, case, "seller_waive_return", facts)


def report_problem(ctx: Context, dispute_id: str, problem: Problem) -> Outcome | Refusal | None:
    """The parcel is missing, damaged, empty or not complete: the platform steps in by itself (edge case 44).

    Returns:
        None when it was reported; an Outcome when the note was not let out and nothing has moved; `window_closed` with
        `in_time`, recorded, if the clock paid on a report received before it.

    Raises:
        Absent, Forbidden: not this shop's dispute; the seat may not decide refunds.
        Conflict: `arrow_missing`, `window_closed`.
        GuardFailed: `ack_unknown`, `evidence_missing`, `text_length`, `case_entries_max`.
    """
    case = _case_of_decider(ctx, dispute_id)
    policy = ctx.policy_of(case.dispute)
    require_transcript_room(case, policy)
    require_length(problem.note, least=0, most=policy.note_chars_max, field_name="note")
    if overtaken := _overtaken(ctx, case, "seller_report_return_problem"):
        return overtaken
    files = _files(ctx, case, problem.evidence, policy)
    facts = facts_of(ctx, case, ack=problem.ack, evidence_count=len(set(problem.evidence)))
    DISPUTE.advance(case.dispute.state, "seller_report_return_problem", facts, side="merchant")
    heard = None
    if says_anything(ctx, dispute_id, problem.note, problem.evidence):
        heard = hear_note(
            ctx,
            case,
            problem.note,
            field_name=NOTE,
            channel=Channel.NOTE,
            token=problem.confirm_token,
            files=problem.evidence,
        )
        if not heard.is_sent:
            return keep_back(
                ctx,
                case,
                heard,
                field_name=NOTE,
                window_due_at=armed_timers(case).get("receipt"),
                facts={"ack": problem.ack},
            )
    _reported(ctx, case, problem, heard, files, facts)
    return None


def _reported(
    ctx: Context,
    case: CaseFile,
    problem: Problem,
    heard: Heard | None,
    files: Sequence[tuple[str, int, str]],
    facts: DisputeFacts,
) -> None:
    held = case.dispute.goods_held_by_merchant or problem.ack != "NOT_RECEIVED"
    move(
        ctx,
        case,
        "seller_report_return_problem",
        facts,
        changes={"opened_by": "system", "goods_held_by_merchant": held},
        entry_facts={"ack": problem.ack, "evidence": list(dict.fromkeys(problem.evidence))},
        rules=rules_facts(heard.reply) if heard else None,
        private={"note": problem.note or None},
    )
    assert ctx.plan.head is not None, "the dispute has moved"
    if heard is not None:
        let_out(ctx, case, heard, field_name=NOTE)
    for sha256, size_bytes, media_type in files:
        ctx.plan.insert(
            tables.EvidenceItem,
            id=ctx.new_id(),
            dispute_id=case.dispute.id,
            party="merchant",
            added_by=ctx.actor.subject,
            seq=ctx.plan.head.seq,
            sha256=sha256,
            size_bytes=size_bytes,
            media_type=media_type,
            frozen=True,
            added_at=ctx.now,
        )
        ctx.announce("evidence.added", sha256=sha256, party="merchant")


def _files(ctx: Context, case: CaseFile, named: Sequence[str], policy: Policy) -> list[tuple[str, int, str]]:
    """The named files that are not this shop's evidence in this dispute yet: (sha256, bytes, media type).

    Raises:
        GuardFailed: `file_unknown`: the shop has uploaded no such file here, whoever else has; `too_many_files`,
            `evidence_items_exhausted`, `media_type_refused`.
    """
    wanted = list(dict.fromkeys(named))
    if len(wanted) > policy.attachments_per_message_max:
        raise GuardFailed(
            "too_many_files", zh="文件过多", en="Too many files", files_max=policy.attachments_per_message_max
        )
    known = {i.sha256 for i in case.evidence_items if i.party == "merchant" and i.retracted_at is None}
    fresh = [sha256 for sha256 in wanted if sha256 not in known]
    if len(case.evidence_items) + len(fresh) > policy.evidence_items_max:
        raise GuardFailed("evidence_items_exhausted", zh="本案凭证数量已达上限", en="No more items in this case")
    files = []
    for sha256 in fresh:
        upload = upload_of(ctx.tx.session, case.dispute.id, party="merchant", sha256=sha256)
        if upload is None:
            raise GuardFailed("file_unknown", zh="请先上传该文件", en="Upload the file first", sha256=sha256)
        if upload.media_type not in policy.evidence_kinds:
            raise GuardFailed(
                "media_type_refused",
                zh="不支持的文件类型",
                en="Not a type of file we take",
                media_type=upload.media_type,
            )
        files.append((sha256, upload.size_bytes, upload.media_type))
    return files


# --- the clock ------------------------------------------------------------------------------------------------------


def return_not_shipped(ctx: Context, timer: DueTimer) -> None:
    """T4 is over: nothing was sent back (arrow 29)."""
    case = _case_of(ctx, timer)
    move(ctx, case, "return_ship_timeout", facts_of(ctx, case), side="system")


def receipt_over(ctx: Context, timer: DueTimer) -> None:
    """T5 is over: who says nothing about a parcel has found nothing wrong with it (arrow 31)."""
    case = _case_of(ctx, timer)
    _lock_money(ctx, case)
    move(ctx, case, "receipt_timeout", facts_of(ctx, case), side="system")


DECISIONS = MappingProxyType({"return_ship": return_not_shipped, "receipt": receipt_over})


# --- reading and parts ----------------------------------------------------------------------------------------------


def read_return(ctx: Context, dispute_id: str) -> tuple[tables.Dispute, Sequence[tables.ReturnShipment]]:
    """The dispute and its parcels, oldest first.

    Raises:
        Absent: no such dispute, or not this viewer's to know of.
    """
    case = require_seen(ctx, dispute_id)
    return case.dispute, case.shipments


def _case_of_decider(ctx: Context, dispute_id: str) -> CaseFile:
    case = require_shops_case(ctx, dispute_id)
    require_may_after_sale(ctx)
    return case


def _case_of(ctx: Context, timer: DueTimer) -> CaseFile:
    case = load_case(ctx.tx.session, timer.dispute_id)
    assert case is not None, "a timer has a dispute"
    return case


def _lock_money(ctx: Context, case: CaseFile) -> None:
    """The refund about to be owed is counted on a line that nobody else changes meanwhile."""
    people.order_line(ctx.tx.session, case.dispute.order_line_id, lock=True)


def _overtaken(ctx: Context, case: CaseFile, trigger: str) -> Refusal | None:
    """The refusal of a request received before the end of its window that the clock was faster than."""
    if DISPUTE.arrows_from(case.dispute.state, trigger):
        return None
    return overtaken_by_clock(ctx, case, trigger)
