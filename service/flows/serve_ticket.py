"""The service ticket: issued by the agent or by the clock, seen and answered by the shop, accepted, sent back, overdue.

Its answer is a merchant text like any other: it is judged before anybody reads it, and the promises in it are kept
unconfirmed. The slower clock counts business hours only (lifecycle.md, K1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlmodel import select

from service.domain.attached_promise import Attached
from service.domain.duration import duration_text
from service.domain.errors import Absent, Conflict, GuardFailed, Refusal, WindowClosed
from service.domain.moderation import Channel, Measure
from service.domain.policy import Policy
from service.domain.ticket import TICKET, TicketFacts, due_after_extension, due_after_rejection
from service.domain.timers import ticket_timers
from service.domain.transcript import Entry, rfc3339
from service.domain.windows import in_time
from service.flows.attaching import require_own_file
from service.flows.committing import promises_said
from service.flows.context import Context
from service.flows.heard import Heard, Outcome, before_facts, finding_facts, outcome_of, rules_facts
from service.flows.hearing import consequences, hear_note, require_length, said_before, tell_measure
from service.flows.issuing import arm_all, call_somebody, issue_ticket
from service.flows.permits import (
    require_agents_case,
    require_intervening,
    require_may_answer_platform,
    require_transcript_room,
)
from service.flows.promising import Spoken, earlier_promises, order_facts
from service.store import tables, timers
from service.store.disputes import CaseFile, load_case
from service.store.tables import Ticket

AGREED_MAX: Final = timedelta(days=30)  # choice: the hard end of an intervention comes long before
FIELD: Final = "ticket_answer"  # the merchant's text field
OPEN: Final = ("issued", "acknowledged")  # its SLA runs


@dataclass(frozen=True, slots=True)
class TicketWanted:
    """What an agent asks for. `agreed` is the business time agreed upon, for the category `agreed`."""

    category: str
    question: str
    blocking: bool | None = None  # None takes the policy's word for MANUAL
    inquiry_id: str | None = None
    agreed: timedelta | None = None


@dataclass(frozen=True, slots=True)
class TicketAnswer:
    """What the shop answers. `promises`: stated in fields, confirmed by sending the answer."""

    client_message_id: str
    text: str
    attachment: str | None = None  # sha256 of a file
    confirm_token: str | None = None
    promises: tuple[Attached, ...] = ()


# --- the agent's side -----------------------------------------------------------------------------------------------


def issue_manual_ticket(ctx: Context, dispute_id: str, wanted: TicketWanted) -> str:
    """Ask by ticket, at any hour; only its clock rests at night (edge case 18). Returns the ticket's id.

    Raises:
        Absent: no such dispute, or the inquiry is not one of it.
        Forbidden: `not_your_dispute`.
        Conflict: `dispute_not_intervening`, `ticket_issued_already` for an inquiry that has one.
        GuardFailed: `text_length`, `ticket_category_unknown`, `ticket_sla_too_short`,
            `ticket_sla_too_long`.
    """
    case = require_agents_case(ctx, dispute_id)
    require_intervening(case)
    policy = ctx.policy_of(case.dispute)
    require_transcript_room(case, policy)
    require_length(wanted.question, least=1, most=policy.reply_chars_max, field_name="question")
    if wanted.inquiry_id is not None:
        _require_first_of_inquiry(case, wanted.inquiry_id)
    if wanted.agreed is not None and wanted.agreed > AGREED_MAX:
        raise GuardFailed("ticket_sla_too_long", zh="约定时限过长", en="Agree on at most thirty days")
    ctx.follow(case.dispute)
    return issue_ticket(
        ctx,
        merchant_id=case.dispute.merchant_id,
        policy=policy,
        cause="MANUAL",
        category=wanted.category,
        question=wanted.question,
        inquiry_id=wanted.inquiry_id,
        agreed=wanted.agreed,
        blocking=wanted.blocking,
    )


def _require_first_of_inquiry(case: CaseFile, inquiry_id: str) -> None:
    if all(inquiry.id != inquiry_id for inquiry in case.inquiries):
        raise Absent("inquiry")
    earlier = next((t for t in case.tickets if t.inquiry_id == inquiry_id and t.state != "cancelled"), None)
    if earlier is not None:
        raise Conflict(
            "ticket_issued_already",
            zh="该核实咨询已有服务单",
            en="This inquiry has a ticket already",
            ticket_id=earlier.id,
        )


def accept_answer(ctx: Context, ticket_id: str) -> None:
    """The answer will do.

    Raises:
        Conflict: `arrow_missing`.
    """
    case, ticket = _ticket_of_agent(ctx, ticket_id)
    policy = ctx.policy_of(case.dispute)
    TICKET.advance(ticket.state, "agent_accept", TicketFacts(policy=policy, now=ctx.now), side=ctx.actor.side)
    ctx.follow(case.dispute)
    ctx.plan.update(tables.Ticket, ticket_id, state="resolved", ended_at=ctx.now)
    timers.disarm(ctx.plan, ticket_id, ("ticket_agent_idle",), at=ctx.now)
    ctx.record("service_ticket.resolved", facts={"ticket": ticket_id})
    ctx.announce("service_ticket.resolved", ticket_id=ticket_id)


def reject_answer(ctx: Context, ticket_id: str, *, reason: str) -> None:
    """Send the answer back, once; half of the category's time is left for a better one, at least two hours.

    Raises:
        Conflict: `arrow_missing`.
        GuardFailed: `rejections_exhausted`, `text_length`.
    """
    case, ticket = _ticket_of_agent(ctx, ticket_id)
    policy = ctx.policy_of(case.dispute)
    require_length(reason, least=2, most=policy.reason_chars_max, field_name="reason")
    facts = TicketFacts(policy=policy, now=ctx.now, rejections=ticket.rejections)
    TICKET.advance(ticket.state, "agent_reject", facts, side=ctx.actor.side)
    ctx.follow(case.dispute)
    due_at = due_after_rejection(ctx.now, ticket.category, policy, policy.business_hours)
    ctx.plan.update(tables.Ticket, ticket_id, state="issued", rejections=ticket.rejections + 1, due_at=due_at)
    timers.disarm(ctx.plan, ticket_id, ("ticket_agent_idle",), at=ctx.now)
    arm_all(ctx, ticket_id, ticket_timers("issued", ctx.now, policy, due_at=due_at), policy)
    ctx.record(
        "service_ticket.rejected", facts={"ticket": ticket_id, "due_at": rfc3339(due_at)}, private={"reason": reason}
    )
    ctx.announce("service_ticket.rejected", ticket_id=ticket_id, due_at=rfc3339(due_at))


def extend_ticket(ctx: Context, ticket_id: str, extension: timedelta) -> None:
    """Give the shop more time, once and before the end; the extension runs on the business clock (edge case 17).

    Raises:
        Conflict: `arrow_missing`, `window_closed`.
        GuardFailed: `extensions_exhausted`, `extension_out_of_range`.
    """
    case, ticket = _ticket_of_agent(ctx, ticket_id)
    policy = ctx.policy_of(case.dispute)
    facts = TicketFacts(
        policy=policy,
        now=ctx.now,
        received_at=ctx.received_at,
        due_at=ticket.due_at,
        extensions=int(ticket.extended),
        extension=extension,
    )
    TICKET.advance(ticket.state, "extend", facts, side=ctx.actor.side)
    ctx.follow(case.dispute)
    due_at = due_after_extension(ticket.due_at, extension, policy.business_hours)
    ctx.plan.update(tables.Ticket, ticket_id, extended=True, due_at=due_at)
    arm_all(ctx, ticket_id, ticket_timers(ticket.state, ctx.now, policy, due_at=due_at), policy)
    ctx.record(
        "service_ticket.extended",
        facts={"ticket": ticket_id, "extension": duration_text(extension), "due_at": rfc3339(due_at)},
    )
    ctx.announce("service_ticket.extended", ticket_id=ticket_id, due_at=rfc3339(due_at))


# --- the shop's side ------------------------------------------------------------------------------------------------


def acknowledge(ctx: Context, ticket_id: str) -> None:
    """The shop has opened the ticket; the clock runs on.

    Raises:
        Conflict: `arrow_missing`.
        Forbidden: `seat_inactive`, `im_permission_missing`, `shop_not_active`.
    """
    case, ticket = _ticket_of_shop(ctx, ticket_id)
    require_may_answer_platform(ctx, case)
    policy = ctx.policy_of(case.dispute)
    TICKET.advance(ticket.state, "merchant_open", TicketFacts(policy=policy, now=ctx.now), side="merchant")
    ctx.follow(case.dispute)
    ctx.plan.update(tables.Ticket, ticket_id, state="acknowledged")
    ctx.record("service_ticket.acknowledged", facts={"ticket": ticket_id})
    ctx.announce("service_ticket.acknowledged", ticket_id=ticket_id)


def respond(ctx: Context, ticket_id: str, answer: TicketAnswer) -> Outcome | Refusal:
    """Take in the shop's answer: judged like every merchant text, kept whether it goes out or not.

    Returns:
        An outcome; or the refusal of an answer that came too late or to a ticket that has ended, which is recorded.

    Raises:
        Absent: no such ticket, or another shop's.
        Forbidden: `seat_inactive`, `im_permission_missing`, `shop_not_active`; of promises stated in fields
            `commit_not_permitted`.
        Conflict: `duplicate_message`, `confirm_token_invalid`; of promises stated in fields `dispute_not_intervening`.
        GuardFailed: `text_length`, `case_entries_max`, `attachment_unknown`, `promises_max`; of promises stated in
            fields: what `committing.confirm_with_words` says.
    """
    case, ticket = _ticket_of_shop(ctx, ticket_id)
    seat = require_may_answer_platform(ctx, case)
    policy = ctx.policy_of(case.dispute)
    require_length(answer.text, least=1, most=policy.reply_chars_max, field_name="text")
    require_transcript_room(case, policy)
    _require_new(ctx, case, seat.id, answer)
    if answer.attachment is not None:
        require_own_file(ctx, case.dispute.id, answer.attachment)
    ctx.follow(case.dispute)
    refusal = _too_late(ctx, ticket, case, policy)
    heard = hear_note(
        ctx,
        case,
        answer.text,
        field_name=FIELD,
        channel=Channel.TICKET,
        token=None if refusal else answer.confirm_token,  # too late is the answer, whatever became of the token
        question=ticket.question or None,
        thread_id=ticket_id,
        before=said_before(ctx, case.dispute.id, ticket_id, answer.text),
        files=(answer.attachment,) if answer.attachment else (),
    )
    if refusal is not None:
        _keep_attempt(ctx, case, ticket, answer, heard, delivery="late")
        return refusal
    return _take_in(ctx, case, ticket, answer, heard, policy)


def _require_new(ctx: Context, case: CaseFile, seat_id: str, answer: TicketAnswer) -> None:
    earlier = ctx.tx.session.exec(
        select(tables.Message.id).where(
            tables.Message.dispute_id == case.dispute.id,
            tables.Message.sender_id == seat_id,
            tables.Message.client_message_id == answer.client_message_id,
        )
    ).first()
    if earlier is not None:
        raise Conflict("duplicate_message", zh="该消息已收到", en="This message has been received", message_id=earlier)


def _too_late(ctx: Context, ticket: Ticket, case: CaseFile, policy: Policy) -> Refusal | None:
    """Why the ticket cannot be answered any more; its window is judged by `received_at` alone."""
    facts = TicketFacts(
        policy=policy,
        now=ctx.now,
        received_at=ctx.received_at,
        due_at=ticket.due_at,
        dispute_intervening=case.dispute.state == "intervening",
    )
    refusal = TICKET.why_not(ticket.state, "merchant_respond", facts, side="merchant")
    if _closed_on_a_timely_answer(ctx, ticket):
        call_somebody(ctx, role="supervisor", kind="ticket_answer_was_in_time")
        if refusal is not None:
            return WindowClosed(due_at=rfc3339(ticket.due_at), received_at=rfc3339(ctx.received_at), in_time=True)
    return refusal


def _closed_on_a_timely_answer(ctx: Context, ticket: Ticket) -> bool:
    """The clock was faster than an answer that had been received before it: only inquiries revive by themselves."""
    if ticket.state not in ("overdue", "cancelled") or not in_time(ctx.received_at, ticket.due_at):
        return False
    counted = ctx.tx.session.get(tables.StandingEvent, f"{ticket.id}:ticket_overdue")
    return counted is not None and counted.at >= ticket.due_at  # of this round, not of one before a rejection


def _take_in(
    ctx: Context, case: CaseFile, ticket: Ticket, answer: TicketAnswer, heard: Heard, policy: Policy
) -> Outcome:
    made, message_id = _keep_attempt(ctx, case, ticket, answer, heard, delivery=heard.delivery)
    token, token_ends, notice_id = consequences(
        ctx,
        heard,
        dispute_id=case.dispute.id,
        merchant_id=ticket.merchant_id,
        message_id=message_id,
        thread_id=ticket.id,
        field_name=FIELD,
        policy=policy,
        window_due_at=ticket.due_at if ticket.state in OPEN else None,
    )
    if heard.is_sent:
        _responded(ctx, ticket, made, policy)
    spoken = Spoken(
        dispute_id=case.dispute.id,
        message_id=message_id,
        text=answer.text,
        question=ticket.question or None,
        said_at=ctx.received_at,
        order=order_facts(case.line),
        refs={"ticket_id": ticket.id},
    )
    answers = heard.is_sent and heard.reply.answers
    promises, contradictions = (
        promises_said(ctx, spoken, answer.promises, earlier=earlier_promises(case), policy=policy, answers=answers)
        if heard.is_sent
        else ((), ())
    )
    _announce(ctx, case, ticket, heard, message_id)
    return outcome_of(
        ctx,
        heard,
        made,
        message_id=message_id,
        policy=policy,
        token=token,
        token_ends=token_ends,
        notice_id=notice_id,
        due_at=None if heard.is_sent else ticket.due_at,
        answers=answers,
        promises=promises,
        contradictions=contradictions,
    )


def _responded(ctx: Context, ticket: Ticket, made: Entry, policy: Policy) -> None:
    late = not in_time(ctx.received_at, ticket.due_at)
    ctx.plan.update(tables.Ticket, ticket.id, state="responded", answer_seq=made.seq, late=late)
    timers.disarm(ctx.plan, ticket.id, ("ticket_sla",), at=ctx.now)
    arm_all(ctx, ticket.id, ticket_timers("responded", ctx.now, policy, due_at=ticket.due_at), policy)


def _keep_attempt(
    ctx: Context, case: CaseFile, ticket: Ticket, answer: TicketAnswer, heard: Heard, *, delivery: str
) -> tuple[Entry, str]:
    """Every attempt stands in the transcript, delivered or not; returns its entry and the message's id."""
    message_id = ctx.new_id()
    findings = [finding_facts(f) for f in heard.reply.verdict.findings]
    suffix = "" if delivery == "delivered" else f"_{delivery}"
    made = ctx.record(
        f"merchant.ticket_answer{suffix}",
        facts={
            "message": message_id,
            "ticket": ticket.id,
            "from": ticket.state,
            "to": "responded" if delivery == "delivered" else ticket.state,
            "received_at": rfc3339(ctx.received_at),
        }
        | before_facts(heard)
        | ({"not_checked_as_text": True} if answer.attachment is not None else {}),
        rules=rules_facts(heard.reply),
        private={
            "text": heard.reply.text,
            "attachment": answer.attachment,
            "client_message_id": answer.client_message_id,
            "findings": findings or None,
            "promises": [each.text.zh for each in answer.promises] or None,
        },
    )
    ctx.plan.insert(
        tables.Message,
        id=message_id,
        dispute_id=case.dispute.id,
        thread_id=ticket.id,
        conversation="ticket",
        seq=made.seq,
        sender_side="merchant",
        sender_id=ctx.actor.seat_id,
        kind="text",
        delivery=delivery,
        measure=heard.reply.verdict.measure.value,
        answers=delivery == "delivered" and heard.reply.answers,
        attachment=answer.attachment,
        client_message_id=answer.client_message_id,
        received_at=ctx.received_at,
        edit_digest=heard.edit_digest if delivery == "blocked" else None,
    )
    return made, message_id


def _announce(ctx: Context, case: CaseFile, ticket: Ticket, heard: Heard, message_id: str) -> None:
    if heard.is_sent:
        ctx.announce("service_ticket.responded", ticket_id=ticket.id, message_id=message_id)
    if heard.reply.verdict.measure is not Measure.NONE:
        tell_measure(ctx, case, heard, message_id=message_id)


# --- parts ----------------------------------------------------------------------------------------------------------


def _ticket_of_agent(ctx: Context, ticket_id: str) -> tuple[CaseFile, Ticket]:
    dispute_id = ctx.tx.session.exec(select(Ticket.dispute_id).where(Ticket.id == ticket_id)).first()
    if dispute_id is None:
        raise Absent("service_ticket")
    case = require_agents_case(ctx, dispute_id)
    require_transcript_room(case, ctx.policy_of(case.dispute))
    return case, _child(case, ticket_id)


def _ticket_of_shop(ctx: Context, ticket_id: str) -> tuple[CaseFile, Ticket]:
    found = ctx.tx.session.exec(select(Ticket.dispute_id, Ticket.merchant_id).where(Ticket.id == ticket_id)).first()
    if found is None or found[1] != ctx.actor.merchant_id:
        raise Absent("service_ticket")
    case = load_case(ctx.tx.session, found[0])
    assert case is not None, "a ticket has a dispute"
    return case, _child(case, ticket_id)


def _child(case: CaseFile, ticket_id: str) -> Ticket:
    """The ticket as it stands under the dispute's lock."""
    return next(ticket for ticket in case.tickets if ticket.id == ticket_id)
