"""What people do in a simulated town: each act draws its arguments from what is there, fitting or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from service.domain.carriers import CARRIERS
from service.domain.reasons import REFUSAL_REASONS, RETURN_IMPOSSIBLE
from service.domain.return_shipment import RANK
from service.domain.staff import Actor
from service.flows import (
    acknowledge_notice,
    answer_offer,
    approve,
    ask_merchant,
    call_platform,
    confirm_promise,
    exchange_messages,
    follow_parcel,
    give_evidence,
    hear_appeal,
    negotiate,
    open_dispute,
    pay_refund,
    receive_reply,
    return_goods,
    serve_ticket,
    settle_dispute,
    take_orders,
    take_payment_in_hand,
    tell_buyer,
)
from service.store import tables
from service.store.payments import GatewayStatus, RefundCallback
from tests.simulation import BUYER_TEXT, Act, Story, Town
from tests.world import AGENT, BUYER, MARKETPLACE, OTHER_AGENT, OTHER_SUPERVISOR, OWNER, SEAT, SUPERVISOR

Doing = tuple[Actor, Story] | None
Dispute = tables.Dispute

MERCHANT_TEXTS = (
    "我们今天会给您发货的。",
    "明天下午6点前发货,请放心。",
    "给您退款50元,后天之前到账。",
    "12月20日前全额退款。",
    "三天内给您补发一件。",
    "您先把商品寄回来,我们收到后就退款。",
    "我们会尽快处理的。",
    "收到",
    "不能今天发货。",
    "加我微信聊,给你便宜",
    "你是不是有病,买不起别买",
    "商品没有问题,照片已经上传。",
)
PLATFORM_TEXTS = ("平台正在核实您反馈的情况。", "商家今天会给您发货的。", "我们保证三天内退款。", "请您补充商品照片。")
REASONS = ("买家提供的照片显示商品有破损。", "双方的聊天记录显示商家没有说明原因。", "商家承诺明天退款给您。")
FIRES = {
    settle_dispute.RULING: settle_dispute.ruling_approved,
    take_payment_in_hand.SETTLE_OFFLINE: take_payment_in_hand.settlement_approved,
}


def _shop(town: Town) -> Actor:
    return town.dice.choice((OWNER, SEAT))


def _answerer(town: Town) -> Actor:
    """Mostly somebody who may answer the platform."""
    return town.dice.choice((OWNER, OWNER, OWNER, SEAT))


def _agent(town: Town, dispute: Dispute) -> Actor:
    """Mostly whose case it is."""
    people = (AGENT, OTHER_AGENT, SUPERVISOR)
    own = [who for who in people if who.subject == dispute.assignee_id]
    return own[0] if own and town.dice.random() < 0.93 else town.dice.choice(people)


def _text(town: Town) -> str:
    return town.dice.choice(MERCHANT_TEXTS)


def _amount(town: Town, dispute: Dispute) -> int:
    """Less than, exactly, or more than what is claimed."""
    return town.dice.choice((1, max(1, dispute.claimed_fen // 2), dispute.claimed_fen, dispute.claimed_fen + 1))


def _decision(town: Town, dispute: Dispute) -> settle_dispute.Decision:
    kind = town.dice.choice(("refund_full", "refund_partial", "refund_with_return", "reject"))
    amount = {"reject": 0, "refund_partial": max(1, dispute.claimed_fen // 2)}.get(kind, dispute.claimed_fen)
    liability = "BUYER" if kind == "reject" else town.dice.choice(("MERCHANT", "PLATFORM", "BOTH"))
    reasons = town.dice.choice(REASONS)
    return settle_dispute.Decision(kind, amount, "CNY", liability, "QUALITY_PROBLEM", reasons, town.cite(dispute))


# --- the buyer ------------------------------------------------------------------------------------------------------


def modifies(town: Town, d: Dispute) -> Doing:
    change = open_dispute.Change(_amount(town, d), "CNY", town.dice.choice((None, "refund_only", "return_refund")))
    return BUYER, lambda ctx: open_dispute.modify(ctx, d.id, change)


def withdraws(town: Town, d: Dispute) -> Doing:
    return (BUYER, lambda ctx: open_dispute.withdraw(ctx, d.id, note=None)) if town.dice.random() < 0.2 else None


def reopens(town: Town, d: Dispute) -> Doing:
    who = town.dice.choice((BUYER, SUPERVISOR))
    return who, lambda ctx: open_dispute.reopen(ctx, d.id, amount_fen=None, currency=None, note=None)


def calls_platform(town: Town, d: Dispute) -> Doing:
    who, reason = town.dice.choice((BUYER, BUYER, SUPERVISOR)), town.dice.choice(("other", *RETURN_IMPOSSIBLE))
    return who, lambda ctx: call_platform.call_platform(ctx, d.id, call_platform.Call(reason))


def accepts_offer(town: Town, d: Dispute) -> Doing:
    promise = town.some(tables.Promise, d, state="relayed") if d.state == "intervening" else None
    return BUYER, lambda ctx: answer_offer.accept_offer(ctx, d.id, promise_id=promise.id if promise else None)


def declines_offer(town: Town, d: Dispute) -> Doing:
    return BUYER, lambda ctx: answer_offer.decline_offer(ctx, d.id, note=None)


def ships_return(town: Town, d: Dispute) -> Doing:
    carrier, number = town.dice.choice(sorted(CARRIERS)), f"SF{town.dice.randrange(10**9):09d}"
    return BUYER, lambda ctx: return_goods.ship_return(ctx, d.id, carrier=carrier, tracking_no=number)


def buyer_says(town: Town, d: Dispute) -> Doing:
    said = exchange_messages.Said(town.once(), text=BUYER_TEXT)
    return BUYER, lambda ctx: exchange_messages.post_message(ctx, d.id, said)


# --- either party ---------------------------------------------------------------------------------------------------


def accepts_ruling(town: Town, d: Dispute) -> Doing:
    return town.dice.choice((BUYER, OWNER)), lambda ctx: settle_dispute.accept_ruling(ctx, d.id)


def appeals(town: Town, d: Dispute) -> Doing:
    who = town.dice.choice((BUYER, OWNER))
    files = (hear_appeal.NewFile(town.file(d, who)),) if town.dice.random() < 0.8 else ()
    ground = town.dice.choice(("new_evidence", "procedural_error"))
    appealing = hear_appeal.Appealing(ground, "请重新核实商品情况", files, town.cite(d))
    return who, lambda ctx: hear_appeal.appeal(ctx, d.id, appealing)


def withdraws_appeal(town: Town, d: Dispute) -> Doing:
    return town.dice.choice((BUYER, OWNER)), lambda ctx: hear_appeal.withdraw_appeal(ctx, d.id)


def puts_evidence(town: Town, d: Dispute) -> Doing:
    who = town.dice.choice((BUYER, OWNER, SEAT))
    offered = give_evidence.Offered(town.file(d, who), "照片.pdf", town.dice.choice((None, "商品照片")))
    return who, lambda ctx: give_evidence.add_item(ctx, d.id, offered)


def takes_evidence_back(town: Town, d: Dispute) -> Doing:
    item = town.some(tables.EvidenceItem, d)
    who = town.dice.choice((BUYER, OWNER))
    return item and (who, lambda ctx: give_evidence.retract_item(ctx, d.id, item.id))


def ends_evidence(town: Town, d: Dispute) -> Doing:
    request = town.some(tables.EvidenceRequest, d)
    if request is None:
        return None
    who = BUYER if request.party == "buyer" else OWNER
    if town.dice.random() < 0.3:
        return who, lambda ctx: give_evidence.waive(ctx, request.id)
    return who, lambda ctx: give_evidence.submit(ctx, request.id, note=None, confirm_token=None)


# --- the shop -------------------------------------------------------------------------------------------------------


def refuses(town: Town, d: Dispute) -> Doing:
    reason, who = town.dice.choice(sorted(REFUSAL_REASONS)), _shop(town)
    proof = (town.file(d, who),) if town.dice.random() < 0.6 else ()
    refusing = negotiate.Refusing(reason, _text(town), proof)
    return who, lambda ctx: negotiate.seller_refuse(ctx, d.id, refusing)


def agrees_refund(town: Town, d: Dispute) -> Doing:
    if town.dice.random() < 0.7:
        return None
    return _shop(town), lambda ctx: negotiate.seller_agree_refund(ctx, d.id, amount_fen=None, currency=None)


def agrees_return(town: Town, d: Dispute) -> Doing:
    return _shop(town), lambda ctx: negotiate.seller_agree_return(ctx, d.id, return_address=None, confirm_token=None)


def offers(town: Town, d: Dispute) -> Doing:
    kind = town.dice.choice(("refund", "partial_refund", "refund_with_return"))
    offering = negotiate.Offering(kind, _amount(town, d), "CNY", town.dice.choice((None, _text(town))))
    story = negotiate.improve_offer if d.state == "offer_pending" else negotiate.seller_offer
    return _shop(town), lambda ctx: story(ctx, d.id, offering)


def waives_return(town: Town, d: Dispute) -> Doing:
    return _shop(town), lambda ctx: return_goods.waive_return(ctx, d.id)


def confirms_receipt(town: Town, d: Dispute) -> Doing:
    return _shop(town), lambda ctx: return_goods.confirm_receipt(ctx, d.id)


def reports_problem(town: Town, d: Dispute) -> Doing:
    who, ack = _shop(town), town.dice.choice(("NOT_RECEIVED", "DAMAGED", "EMPTY_OR_DIFFERENT", "MISSING"))
    evidence = (town.file(d, who),) if town.dice.random() < 0.8 else ()
    problem = return_goods.Problem(ack, town.dice.choice(("", _text(town))), evidence)
    return who, lambda ctx: return_goods.report_problem(ctx, d.id, problem)


def reports_buyer(town: Town, d: Dispute) -> Doing:
    message = town.some(tables.Message, d, sender_side="buyer")
    cites = (call_platform.Cited(message.id),) if message else ()
    return _shop(town), lambda ctx: call_platform.call_platform(ctx, d.id, call_platform.Call(cites=cites))


def answers(town: Town, d: Dispute) -> Doing:
    inquiry = town.some(tables.Inquiry, d)
    if inquiry is None:
        return None
    text, token = _text(town), None
    if town.dice.random() < 0.5 and (held := town.held_reply(inquiry.id)) is not None:
        text, token = held
    said = receive_reply.Said(town.once(), text=text, confirm_token=token)
    return _answerer(town), lambda ctx: receive_reply.receive_reply(ctx, inquiry.id, said, key_id=f"none|{town.once()}")


def reads_notice(town: Town, d: Dispute) -> Doing:
    notices = town.world.rows(tables.Notice, acknowledged_at=None)
    if not notices:
        return None
    notice = town.dice.choice(notices)
    who = OWNER if notice.seat_id == OWNER.seat_id else SEAT
    return who, lambda ctx: acknowledge_notice.acknowledge_notice(ctx, notice.id)


def merchant_says(town: Town, d: Dispute) -> Doing:
    said = exchange_messages.Said(town.once(), text=_text(town))
    return _shop(town), lambda ctx: exchange_messages.post_message(ctx, d.id, said)


def hands_over(town: Town, d: Dispute) -> Doing:
    inquiry = town.some(tables.Inquiry, d)
    seat = town.dice.choice((OWNER.seat_id, SEAT.seat_id, "seat-owner-2"))
    return inquiry and (OWNER, lambda ctx: ask_merchant.hand_over(ctx, inquiry.id, str(seat)))


def answers_ticket(town: Town, d: Dispute) -> Doing:
    ticket = town.some(tables.Ticket, d)
    if ticket is None:
        return None
    if town.dice.random() < 0.3:
        return _answerer(town), lambda ctx: serve_ticket.acknowledge(ctx, ticket.id)
    answer = serve_ticket.TicketAnswer(town.once(), _text(town))
    return _answerer(town), lambda ctx: serve_ticket.respond(ctx, ticket.id, answer)


def confirms(town: Town, d: Dispute) -> Doing:
    promise = town.some(tables.Promise, d)
    if promise is None:
        return None
    named = promise.canonical_sha256 if town.dice.random() < 0.9 else "0" * 64
    luck = town.dice.random()
    if luck < 0.15:
        return _shop(town), lambda ctx: confirm_promise.decline(ctx, d.id, promise.id)
    if luck < 0.3:
        meant = confirm_promise.Correction(named, due_at=town.world.now + timedelta(days=town.dice.choice((-1, 1, 3))))
        return _shop(town), lambda ctx: confirm_promise.correct(ctx, d.id, promise.id, meant)
    if luck < 0.4:
        proof = confirm_promise.Proof(note="已经按承诺处理完毕")
        return _shop(town), lambda ctx: confirm_promise.fulfil(ctx, d.id, promise.id, proof)
    return _shop(town), lambda ctx: confirm_promise.confirm(
        ctx, d.id, [confirm_promise.Confirmation(promise.id, named)]
    )


# --- the platform ---------------------------------------------------------------------------------------------------


def accepts(town: Town, d: Dispute) -> Doing:
    return town.dice.choice((AGENT, AGENT, OTHER_AGENT, SUPERVISOR)), lambda ctx: settle_dispute.accept_dispute(
        ctx, d.id
    )


def transfers(town: Town, d: Dispute) -> Doing:
    if town.dice.random() < 0.5:
        return _agent(town, d), lambda ctx: settle_dispute.release(ctx, d.id)
    to = town.dice.choice((AGENT, OTHER_AGENT)).subject
    return _agent(town, d), lambda ctx: settle_dispute.transfer(ctx, d.id, assignee_id=to)


def asks(town: Town, d: Dispute) -> Doing:
    asked = ask_merchant.Asked(town.once(), "商家您好,请问今天是否可以发货?")
    return _agent(town, d), lambda ctx: ask_merchant.open_inquiry(ctx, d.id, asked)


def asks_on(town: Town, d: Dispute) -> Doing:
    inquiry = town.some(tables.Inquiry, d)
    if inquiry is None:
        return None
    if town.dice.random() < 0.3:
        reason = town.dice.choice((None, "商家已电话说明"))
        return _agent(town, d), lambda ctx: ask_merchant.close_inquiry(ctx, inquiry.id, waive_reason=reason)
    asked = ask_merchant.Asked(town.once(), "请问具体什么时间可以处理?")
    return _agent(town, d), lambda ctx: ask_merchant.send_agent_message(ctx, inquiry.id, asked)


def issues_ticket(town: Town, d: Dispute) -> Doing:
    category = town.dice.choice(("refund_order_operation", "product", "logistics"))
    wanted = serve_ticket.TicketWanted(category, "请说明商品情况", blocking=town.dice.choice((None, True, False)))
    return _agent(town, d), lambda ctx: serve_ticket.issue_manual_ticket(ctx, d.id, wanted)


def works_on_ticket(town: Town, d: Dispute) -> Doing:
    ticket = town.some(tables.Ticket, d)
    if ticket is None:
        return None
    luck, who = town.dice.random(), _agent(town, d)
    if luck < 0.4:
        return who, lambda ctx: serve_ticket.accept_answer(ctx, ticket.id)
    if luck < 0.7:
        return who, lambda ctx: serve_ticket.reject_answer(ctx, ticket.id, reason="没有回答问题")
    return who, lambda ctx: serve_ticket.extend_ticket(ctx, ticket.id, timedelta(hours=4))


def asks_to_confirm(town: Town, d: Dispute) -> Doing:
    promise = town.some(tables.Promise, d)
    return promise and (_agent(town, d), lambda ctx: confirm_promise.ask_confirm(ctx, d.id, promise.id))


def tells(town: Town, d: Dispute) -> Doing:
    confirmed = town.world.rows(tables.Promise, dispute_id=d.id, state="confirmed")
    known = confirmed or town.world.rows(tables.Promise, dispute_id=d.id)
    if known and town.dice.random() < 0.7:
        ids = tuple(p.id for p in town.dice.sample(known, k=min(len(known), town.dice.choice((1, 1, 2)))))
        relay = tell_buyer.Relay(town.once(), promise_ids=ids, override_reason=town.dice.choice(("", "已核实订单")))
    else:
        relay = tell_buyer.Relay(town.once(), text=town.dice.choice(PLATFORM_TEXTS))
    return _agent(town, d), lambda ctx: tell_buyer.tell_buyer(ctx, d.id, relay)


def asks_for_evidence(town: Town, d: Dispute) -> Doing:
    request = town.some(tables.EvidenceRequest, d)
    if request is not None and town.dice.random() < 0.4:
        return _agent(town, d), lambda ctx: give_evidence.extend_request(ctx, request.id, by=timedelta(hours=12))
    party, must = town.dice.choice(("buyer", "merchant")), town.dice.random() < 0.6
    return _agent(town, d), lambda ctx: give_evidence.open_request(ctx, d.id, party=party, mandatory=must)


def rules(town: Town, d: Dispute) -> Doing:
    decision = _decision(town, d)
    return _agent(town, d), lambda ctx: settle_dispute.issue_ruling(ctx, d.id, decision)


def reviews(town: Town, d: Dispute) -> Doing:
    who, luck = town.dice.choice((SUPERVISOR, OTHER_SUPERVISOR)), town.dice.random()
    if luck < 0.3:
        return who, lambda ctx: hear_appeal.remand(ctx, d.id, reasons=town.dice.choice(REASONS))
    if luck < 0.6:
        decision = _decision(town, d)
        return who, lambda ctx: hear_appeal.overturn(ctx, d.id, decision)
    return who, lambda ctx: hear_appeal.uphold(ctx, d.id, reasons=REASONS[0])


def decides(town: Town, d: Dispute) -> Doing:
    approval = town.some(tables.Approval, d)
    if approval is None:
        return None
    who = town.dice.choice((SUPERVISOR, OTHER_SUPERVISOR))
    if town.dice.random() < 0.2:
        return who, lambda ctx: approve.reject(ctx, approval.id, reason="请补充依据")
    answer = _gateways_word(town, d)
    return who, lambda ctx: approve.approve(
        ctx, approval.id, payload_sha256=approval.payload_sha256, fire=FIRES, answer=answer
    )


def takes_payment_in_hand(town: Town, d: Dispute) -> Doing:
    who, answer = town.dice.choice((SUPERVISOR, OTHER_SUPERVISOR)), _gateways_word(town, d)
    if town.dice.random() < 0.5:
        return who, lambda ctx: take_payment_in_hand.retry_execution(ctx, d.id, answer)
    proof = town.file(d, who)
    return who, lambda ctx: take_payment_in_hand.propose_settlement(ctx, d.id, proof_sha256=proof, answer=answer)


def _gateways_word(town: Town, d: Dispute) -> Any:
    name = town.world.tell(SUPERVISOR, lambda ctx: take_payment_in_hand.name_of_old_refund(ctx, d.id))
    return name and take_payment_in_hand.ask_about(town.gateway, name, asked_at=town.world.now)


# --- the marketplace's systems --------------------------------------------------------------------------------------


def rings_risk(town: Town, d: Dispute) -> Doing:
    return MARKETPLACE, lambda ctx: call_platform.platform_intervene(ctx, d.id, risk_rule="velocity_3")


def sends_order(town: Town, d: Dispute) -> Doing:
    row = town.world.row(tables.OrderLine, id=d.order_line_id)
    refundable = town.dice.choice((row.refundable_fen, row.paid_fen, row.refundable_fen // 2))
    shipped = town.dice.choice((None, town.world.now - timedelta(hours=2)))
    line = take_orders.LineSnapshot(
        row.id, row.title, row.quantity, row.paid_fen, max(1, refundable), shipped_at=shipped
    )
    at = town.world.now - timedelta(seconds=town.dice.choice((0, 1, 86_400)))
    snapshot = take_orders.OrderSnapshot(d.order_id, d.merchant_id, d.buyer_id, at, [line])
    return MARKETPLACE, lambda ctx: take_orders.take_order(ctx, snapshot)


def scans(town: Town, d: Dispute) -> Doing:
    at = town.world.now - timedelta(minutes=town.dice.choice((0, 5, 3_000)))
    shipment = town.some(tables.ReturnShipment, d)
    if shipment is None:
        parcel = take_orders.Parcel(d.order_line_id, town.dice.choice(("order", "replacement")), at)
        return MARKETPLACE, lambda ctx: take_orders.take_parcel(ctx, parcel)
    state = town.dice.choice([name for name in RANK if name != "registered"])
    scan = follow_parcel.Scan(shipment.carrier, shipment.tracking_no, state, at)
    return MARKETPLACE, lambda ctx: follow_parcel.take_scan(ctx, scan)


def gateway_calls(town: Town, d: Dispute) -> Doing:
    """The gateway decides what hung, or tells what it knows, again or late."""
    executions = town.world.rows(tables.RefundExecution, dispute_id=d.id)
    if not executions:
        return None
    execution = executions[-1] if town.dice.random() < 0.7 else town.dice.choice(executions)
    said = town.gateway.query(execution.gateway_key)
    if said is GatewayStatus.PENDING and town.dice.random() < 0.7:
        said = town.dice.choice((GatewayStatus.SUCCEEDED, GatewayStatus.FAILED))
        town.gateway.settle(execution.gateway_key, said)
    if said is GatewayStatus.UNKNOWN:
        return None
    told = town.dice.choice((said, said, GatewayStatus.PENDING))
    amount = execution.amount_fen + (town.dice.random() < 0.05)
    callback = RefundCallback(
        town.once(), f"sim-{execution.gateway_key}", told, key=execution.gateway_key, amount_fen=amount
    )
    return MARKETPLACE, lambda ctx: pay_refund.take_callback(ctx, callback)


_NEGOTIATION: Sequence[Act] = (
    modifies, withdraws, calls_platform, calls_platform, buyer_says, refuses, refuses, agrees_refund, agrees_return,
    offers, reports_buyer, merchant_says, rings_risk, sends_order, scans, reads_notice,
)  # fmt: skip
_ASKING: Sequence[Act] = (asks, answers, answers, answers, confirms, confirms, tells, tells, asks_to_confirm, asks_on)
_AT_WORK: Sequence[Act] = (
    *_ASKING, *_ASKING, buyer_says, buyer_says, puts_evidence, puts_evidence, takes_evidence_back, ends_evidence,
    ends_evidence, reads_notice, reads_notice, hands_over, answers_ticket, answers_ticket, issues_ticket, transfers,
    works_on_ticket, works_on_ticket, asks_for_evidence, rules, rules, rules, rules, decides, decides, accepts_offer,
    withdraws, agrees_refund, agrees_return, scans, merchant_says,
)  # fmt: skip
_RETURN: Sequence[Act] = (
    ships_return, ships_return, calls_platform, withdraws, waives_return, scans, scans, scans, confirms_receipt,
    reports_problem, reports_problem, buyer_says,
)  # fmt: skip
_PAYING: Sequence[Act] = (gateway_calls, gateway_calls, takes_payment_in_hand, decides, sends_order, buyer_says)

FITTING: Mapping[str, Sequence[Act]] = {
    "requested": _NEGOTIATION,
    "refused": _NEGOTIATION,
    "offer_pending": (*_NEGOTIATION, accepts_offer, accepts_offer, declines_offer, declines_offer),
    "awaiting_return": _RETURN,
    "return_in_transit": _RETURN,
    "intervention_requested": (accepts, accepts, accepts, agrees_refund, agrees_return, withdraws, buyer_says),
    "intervening": _AT_WORK,
    "ruled": (
        accepts_ruling,
        accepts_ruling,
        appeals,
        appeals,
        appeals,
        appeals,
        agrees_refund,
        withdraws,
        tells,
        confirms,
    ),
    "appealed": (appeals, reviews, reviews, withdraws_appeal, agrees_refund, withdraws, puts_evidence),
    "executing": _PAYING,
    "execution_failed": _PAYING,
    "closed": (reopens, gateway_calls, scans, confirms, buyer_says, merchant_says, reads_notice),
}
