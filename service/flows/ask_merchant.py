"""The agent's side of an inquiry: open it, ask on, close it; and the shop's hand-over between its seats.

Opening chooses the least saturated seat and starts the reply window; with nobody to ask, a service ticket goes out at
once (source 002).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service.domain.errors import Absent, Conflict, Forbidden
from service.domain.inquiry import INQUIRY, InquiryFacts, extended_window, reply_window_due, require_inquiry_hours
from service.domain.policy import Policy
from service.domain.routing import Candidate, eligible, least_saturated
from service.domain.staff import Role
from service.domain.timers import inquiry_timers
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.hearing import require_length
from service.flows.issuing import arm_all, issue_ticket, release_seat
from service.flows.read_case import require_seat
from service.store import people, tables, timers
from service.store.disputes import CaseFile, load_case
from service.store.tables import Inquiry

# Source 002 part 3, step 1, in its own words; {want} is what the buyer wants.
QUESTION_TEMPLATES: Final = {
    "ship_today": "商家您好,目前用户希望今天能够发货,请您确认下今天是否可以发货,或者回复平台具体的发货时间,"
    "以便我们更好地解决消费者的问题。",
    "refund_amount": "商家您好,目前用户希望退款,请您确认下是否同意退款以及退款的金额,以便我们更好地解决消费者的问题。",
    "resend": "商家您好,目前用户希望补寄商品,请您确认下是否可以补寄以及寄出的时间,以便我们更好地解决消费者的问题。",
    "return_goods": "商家您好,目前用户希望退货退款,请您确认下是否同意退货以及退货地址,以便我们更好地解决消费者的问题。",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the agent sends: words, an order card, or both."""

    client_message_id: str
    text: str = ""
    order_card: str | None = None


def case_of_agent(ctx: Context, dispute_id: str) -> CaseFile:
    """The dispute, for the agent it is assigned to or a supervisor.

    Raises:
        Absent: no such dispute, or one that never came to the platform.
        Forbidden: `not_your_dispute`: another agent's.
    """
    case = load_case(ctx.tx.session, dispute_id)
    if case is None or case.dispute.intervened_at is None:
        raise Absent("dispute")
    if ctx.actor.role is not Role.SUPERVISOR and case.dispute.assignee_id != ctx.actor.subject:
        raise Forbidden("not_your_dispute", zh="该纠纷不由您处理", en="This dispute is another agent's")
    return case


def open_inquiry(ctx: Context, dispute_id: str, asked: Asked) -> str:
    """Ask the merchant. Returns the inquiry's id; it may be undeliverable, then a ticket has gone out.

    Raises:
        Conflict: `dispute_not_intervening`, `inquiry_open` with the open one's id.
        GuardFailed: `outside_service_hours` with `opens_at`, `text_length`.
    """
    case = case_of_agent(ctx, dispute_id)
    policy = ctx.policy_of(case.dispute)
    if case.dispute.state != "intervening":
        raise Conflict(
            "dispute_not_intervening",
            zh="该纠纷不在处理中",
            en="The dispute is not being worked on",
            state=case.dispute.state,
        )
    if (already := case.open_inquiry) is not None:
        raise Conflict(
            "inquiry_open", zh="已有进行中的核实咨询", en="An inquiry is open already", inquiry_id=already.id
        )
    require_inquiry_hours(ctx.now, policy)
    _require_says_something(asked, policy)
    ctx.follow(case.dispute)
    inquiry_id = ctx.new_id()
    seat = _route(ctx, case)
    facts = InquiryFacts(policy=policy, now=ctx.now, eligible_seat=seat is not None)
    trigger = "routed" if seat is not None else "no_eligible_account"
    state = INQUIRY.target("routing", INQUIRY.advance("routing", trigger, facts, side="system"))
    due_at = reply_window_due(ctx.now, policy) if seat is not None else None
    ctx.plan.insert(
        tables.Inquiry,
        id=inquiry_id,
        dispute_id=dispute_id,
        merchant_id=case.dispute.merchant_id,
        agent_id=ctx.actor.subject,
        seat_id=seat.seat_id if seat else None,
        state=state,
        question=asked.text or None,
        asked_at=ctx.now,
        due_at=due_at,
        created_at=ctx.now,
        closed_at=None if seat else ctx.now,
    )
    seat_id = seat.seat_id if seat else None
    _record_question(ctx, case, inquiry_id, asked, "inquiry.opened", seat_id=seat_id, due_at=due_at)
    ctx.announce("inquiry.opened", inquiry_id=inquiry_id, state=state)
    if seat is None or due_at is None:
        _undeliverable(ctx, case, inquiry_id, asked, policy)
        return inquiry_id
    ctx.plan.add(tables.Seat, seat.seat_id, open_inquiries=1)
    ctx.plan.update(tables.Seat, seat.seat_id, last_assigned_at=ctx.now)
    _arm_window(ctx, inquiry_id, policy, due_at)
    ctx.announce("inquiry.routed", inquiry_id=inquiry_id, seat_id=seat.seat_id, due_at=rfc3339(due_at))
    return inquiry_id


def send_agent_message(ctx: Context, inquiry_id: str, asked: Asked) -> str:
    """Ask on: a new turn once the merchant has answered, else one more message of this turn. Returns the message's id.

    Raises:
        Conflict: `arrow_missing`, `window_closed`: the session is over.
        GuardFailed: `turn_extensions_exhausted`, `outside_service_hours`.
    """
    case, inquiry = _inquiry_of_agent(ctx, inquiry_id)
    policy = ctx.policy_of(case.dispute)
    _require_says_something(asked, policy)
    appends = inquiry.agent_messages_this_turn - 1
    facts = InquiryFacts(
        policy=policy,
        now=ctx.now,
        due_at=inquiry.due_at,
        agent_appends=appends,
        dispute_intervening=case.dispute.state == "intervening",
    )
    INQUIRY.advance(inquiry.state, "agent_message", facts, side="platform_agent")
    ctx.follow(case.dispute)
    new_turn = inquiry.state == "awaiting_agent"
    if new_turn:
        due_at = reply_window_due(ctx.now, policy)
        ctx.plan.update(
            tables.Inquiry,
            inquiry_id,
            state="awaiting_merchant",
            turn=inquiry.turn + 1,
            agent_messages_this_turn=1,
            question=asked.text or None,
            asked_at=ctx.now,
            due_at=due_at,
            grace_used=False,
            answered_at=None,
        )
        timers.disarm(ctx.plan, inquiry_id, ("inquiry_idle",), at=ctx.now)
    else:
        assert inquiry.due_at is not None, "a waiting inquiry has a window"
        due_at = extended_window(inquiry.due_at, ctx.now, policy)
        question = "\n".join(text for text in (inquiry.question, asked.text) if text)
        ctx.plan.update(
            tables.Inquiry, inquiry_id, agent_messages_this_turn=appends + 2, question=question, due_at=due_at
        )
    _arm_window(ctx, inquiry_id, policy, due_at)
    turn = inquiry.turn + 1 if new_turn else inquiry.turn
    message_id = _record_question(ctx, case, inquiry_id, asked, "inquiry.asked", due_at=due_at, turn=turn)
    ctx.announce("inquiry.message_delivered", inquiry_id=inquiry_id, message_id=message_id, due_at=rfc3339(due_at))
    return message_id


def close_inquiry(ctx: Context, inquiry_id: str, *, waive_reason: str | None) -> None:
    """Close the session: an unanswered one becomes a ticket, or is waived with a reason (C7).

    Raises:
        Conflict: `arrow_missing`.
    """
    case, inquiry = _inquiry_of_agent(ctx, inquiry_id)
    policy = ctx.policy_of(case.dispute)
    if waive_reason is not None:
        require_length(waive_reason, least=2, most=policy.reason_chars_max, field_name="waive_reason")
    INQUIRY.advance(inquiry.state, "agent_close", InquiryFacts(policy=policy, now=ctx.now), side="platform_agent")
    ctx.follow(case.dispute)
    ctx.plan.update(tables.Inquiry, inquiry_id, state="closed", closed_at=ctx.now, close_cause="agent")
    _disarm_window(ctx, case, inquiry_id)
    release_seat(ctx, inquiry.seat_id)
    unanswered = inquiry.state == "awaiting_merchant"
    ctx.record(
        "inquiry.closed",
        facts={"inquiry": inquiry_id, "unanswered": unanswered, "waived": waive_reason is not None},
        private={"waive_reason": waive_reason},
    )
    ctx.announce("inquiry.closed", inquiry_id=inquiry_id)
    if unanswered and waive_reason is None:
        issue_ticket(
            ctx,
            merchant_id=inquiry.merchant_id,
            policy=policy,
            cause="AGENT_CLOSED",
            category=policy.ticket_category_of_timeout,
            question=inquiry.question or "",
            inquiry_id=inquiry_id,
        )


def hand_over(ctx: Context, inquiry_id: str, seat_id: str) -> None:
    """The shop gives the inquiry to another of its seats; the window runs on.

    Raises:
        Absent: no such inquiry or seat of this shop.
        Forbidden: `not_your_inquiry`: a seat hands over what it holds, the owner everything (api.md section 3).
        GuardFailed: `seat_not_eligible`.
    """
    inquiry = ctx.tx.session.get(Inquiry, inquiry_id)
    if inquiry is None or inquiry.merchant_id != ctx.actor.merchant_id:
        raise Absent("inquiry")
    seat = require_seat(ctx)
    if not seat.is_owner and inquiry.seat_id != seat.id:
        raise Forbidden("not_your_inquiry", zh="该会话不由您接待", en="Another seat holds this inquiry")
    case = load_case(ctx.tx.session, inquiry.dispute_id)
    assert case is not None, "an inquiry has a dispute"
    inquiry = _fresh(case, inquiry_id)
    target = people.seat(ctx.tx.session, seat_id)
    if target is None or target.merchant_id != inquiry.merchant_id:
        raise Absent("seat")
    allowed = {c.seat_id for c in _eligible(ctx, case)}
    if target.is_owner and target.active:
        allowed.add(target.id)
    facts = InquiryFacts(policy=ctx.policy_of(case.dispute), now=ctx.now, target_eligible=seat_id in allowed)
    INQUIRY.advance(inquiry.state, "transfer", facts, side="merchant")
    ctx.follow(case.dispute)
    ctx.plan.update(tables.Inquiry, inquiry_id, seat_id=seat_id)
    release_seat(ctx, inquiry.seat_id)
    ctx.plan.add(tables.Seat, seat_id, open_inquiries=1)
    ctx.record("inquiry.transferred", facts={"inquiry": inquiry_id, "from": inquiry.seat_id, "to": seat_id})
    ctx.announce("inquiry.routed", inquiry_id=inquiry_id, seat_id=seat_id)


# --- parts ----------------------------------------------------------------------------------------------------------


def _inquiry_of_agent(ctx: Context, inquiry_id: str) -> tuple[CaseFile, Inquiry]:
    found = ctx.tx.session.get(Inquiry, inquiry_id)
    if found is None:
        raise Absent("inquiry")
    case = case_of_agent(ctx, found.dispute_id)
    return case, _fresh(case, inquiry_id)


def _fresh(case: CaseFile, inquiry_id: str) -> Inquiry:
    """The inquiry as it stands under the dispute's lock."""
    return next(i for i in case.inquiries if i.id == inquiry_id)


def _require_says_something(asked: Asked, policy: Policy) -> None:
    require_length(asked.text, least=0 if asked.order_card else 1, most=policy.reply_chars_max, field_name="text")


def _eligible(ctx: Context, case: CaseFile) -> list[Candidate]:
    seats = people.seats_of(ctx.tx.session, case.dispute.merchant_id)
    return eligible(
        (
            Candidate(s.id, s.is_owner, s.active, s.may_im, s.designated, s.open_inquiries, s.last_assigned_at)
            for s in seats
        ),
        shop_open=case.merchant.status == "active",
    )


def _route(ctx: Context, case: CaseFile) -> Candidate | None:
    return least_saturated(_eligible(ctx, case))


def _record_question(
    ctx: Context,
    case: CaseFile,
    inquiry_id: str,
    asked: Asked,
    kind: str,
    *,
    seat_id: str | None = None,
    due_at: datetime | None = None,
    turn: int = 1,
) -> str:
    message_id = ctx.new_id()
    made = ctx.record(
        kind,
        facts={"inquiry": inquiry_id, "message": message_id, "turn": turn}
        | ({"seat": seat_id} if seat_id else {})
        | ({"due_at": rfc3339(due_at)} if due_at else {}),
        private={"text": asked.text or None, "attachment": asked.order_card},
    )
    ctx.plan.insert(
        tables.Message,
        id=message_id,
        dispute_id=case.dispute.id,
        thread_id=inquiry_id,
        conversation="inquiry",
        seq=made.seq,
        sender_side=ctx.actor.side,
        sender_id=ctx.actor.subject,
        kind="text" if asked.text else "order_card",
        delivery="delivered",
        attachment=asked.order_card,
        client_message_id=asked.client_message_id,
        received_at=ctx.received_at,
    )
    return message_id


def _undeliverable(ctx: Context, case: CaseFile, inquiry_id: str, asked: Asked, policy: Policy) -> None:
    """Nobody can be asked: the ticket goes out at once, and it counts once (edge case 22)."""
    ctx.announce("inquiry.undeliverable", inquiry_id=inquiry_id)
    issue_ticket(
        ctx,
        merchant_id=case.dispute.merchant_id,
        policy=policy,
        cause="NO_SEAT",
        category=policy.ticket_category_of_timeout,
        question=asked.text,
        inquiry_id=inquiry_id,
        standing_id=f"{inquiry_id}:1:no_seat",
    )


def _arm_window(ctx: Context, inquiry_id: str, policy: Policy, due_at: datetime) -> None:
    wanted = inquiry_timers("awaiting_merchant", policy, now=ctx.now, armed_at=ctx.now, due_at=due_at)
    arm_all(ctx, inquiry_id, wanted, policy)


def _disarm_window(ctx: Context, case: CaseFile, inquiry_id: str) -> None:
    timers.disarm(ctx.plan, inquiry_id, (t.name for t in case.timers if t.subject_id == inquiry_id), at=ctx.now)
