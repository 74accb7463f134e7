"""The guards of the dispute: each a rule of one line that refuses with its own code and the facts behind it."""

from __future__ import annotations

from service.domain.dispute_facts import DisputeFacts, offer_asks_return, offer_is_money
from service.domain.lifecycle import guard
from service.domain.outcome import RULING_KINDS
from service.domain.reasons import RETURN_IMPOSSIBLE, is_refusable, needs_proof
from service.domain.windows import require_in_time

RETURN_ACKS = ("NOT_RECEIVED", "DAMAGED", "EMPTY_OR_DIFFERENT", "MISSING")  # PayPal acknowledge-return-item
CARRIER_EXCEPTIONS = ("lost", "returned_to_sender", "failed")

# --- guards: the request and the negotiation -----------------------------------------------------------------------


@guard("type_not_refund_only", "仅退款纠纷才可如此处理", "Only for refund_only disputes", "type")
def require_refund_only(f: DisputeFacts) -> bool:
    """The dispute asks for money only."""
    return f.type == "refund_only"


@guard("type_not_return_refund", "退货退款纠纷才可如此处理", "Only for return_refund disputes", "type")
def require_return_refund(f: DisputeFacts) -> bool:
    """The dispute asks for a return."""
    return f.type == "return_refund"


@guard("amount_not_as_requested", "金额须与申请一致", "The amount is the one requested", "amount_fen", "claimed_fen")
def require_amount_as_requested(f: DisputeFacts) -> bool:
    """An agreement is to the amount requested; less is an offer."""
    return f.amount_fen == f.claimed_fen > 0


@guard("return_address_missing", "请先填写退货地址", "A return address is needed")
def require_return_address(f: DisputeFacts) -> bool:
    """There is an address to send the goods to."""
    return f.return_address


@guard("reason_not_refusable", "该拒绝原因不适用", "Not a reason to refuse this", "type", "reason")
def require_refusable(f: DisputeFacts) -> bool:
    """The reason given fits the type of dispute."""
    return is_refusable(f.type, f.reason)


@guard("refusal_message_length", "拒绝说明须为 2 至 200 字", "A refusal says 2 to 200 characters", "message_chars")
def require_refusal_message(f: DisputeFacts) -> bool:
    """The refusal is explained, and not at length."""
    return f.policy.refusal_chars_min <= f.message_chars <= f.policy.refusal_chars_max


@guard("refund_still_due", "仍有退款待支付", "A refund is still to be paid")
def require_nothing_to_pay(f: DisputeFacts) -> bool:
    """The line's money had gone back another way before it was due here; there is no execution to wait for."""
    return f.nothing_to_pay


@guard("proof_missing", "该原因须上传凭证", "This reason needs proof", "reason")
def require_refusal_proof(f: DisputeFacts) -> bool:
    """Proof goes with the reasons that need it."""
    return f.has_proof or not needs_proof(f.reason)


@guard("offers_exhausted", "方案次数已用完", "No offers left", "offers_used")
def require_offers_left(f: DisputeFacts) -> bool:
    """Fewer offers than the policy allows were made."""
    return f.offers_used < f.policy.offers_max


@guard("offer_out_of_range", "方案金额超出范围", "Out of range", "amount_fen", "claimed_fen", "refundable_fen")
def require_offer_in_range(f: DisputeFacts) -> bool:
    """At least one fen, at most what was asked for and what is left to refund."""
    return f.policy.offer_fen_min <= f.amount_fen <= min(f.claimed_fen, f.refundable_fen)


@guard("offer_kind_unknown", "没有这种方案", "No such kind of offer", "offer_kind")
def require_offer_kind(f: DisputeFacts) -> bool:
    """The offer is a refund, a partial refund, or a refund after a return."""
    return offer_is_money(f) or offer_asks_return(f)


@guard("offer_not_better", "新方案须对买家更有利", "Not better for the buyer", "amount_fen", "offer_fen", "offer_kind")
def require_better_offer(f: DisputeFacts) -> bool:
    """Nothing worse for the buyer than the offer on the table, and something better."""
    return_dropped = f.offered_before_kind == "refund_with_return" and f.offer_kind != "refund_with_return"
    return_added = f.offered_before_kind != "refund_with_return" and f.offer_kind == "refund_with_return"
    worse = f.amount_fen < f.offer_fen or return_added
    return not worse and (f.amount_fen > f.offer_fen or return_dropped)


@guard("modifications_exhausted", "修改次数已用完", "No modifications left", "modifications")
def require_modifications_left(f: DisputeFacts) -> bool:
    """Fewer modifications than the policy allows were made; withdrawing and applying again counts as one."""
    return f.modifications < f.policy.modifications_max


@guard("claim_out_of_range", "申请金额超出可退金额", "Over what can be refunded", "amount_fen", "refundable_fen")
def require_claim_in_range(f: DisputeFacts) -> bool:
    """A changed claim is for something, and for no more than can be refunded."""
    return 0 < f.amount_fen <= f.refundable_fen


# --- guards: calling the platform ----------------------------------------------------------------------------------


@guard("risk_rule_not_hit", "未命中风险规则", "No risk rule was hit")
def require_risk_rule(f: DisputeFacts) -> bool:
    """A named risk rule called the platform in."""
    return f.risk_rule != ""


@guard("citation_missing", "须引用买家的消息", "Cite a message of the buyer", "cites")
def require_cited_message(f: DisputeFacts) -> bool:
    """A merchant that reports a buyer points at a message."""
    return f.cites >= 1


@guard("other_case_active", "该订单行已有进行中的纠纷", "Another dispute of this line is active")
def require_no_other_case(f: DisputeFacts) -> bool:
    """One active dispute per order line."""
    return not f.other_active_case


def require_within_window(f: DisputeFacts) -> None:
    """Refuse what was received at or after the end of its window: `received_at < due_at` is in time."""
    require_in_time(f.received_at, f.due_at)


# --- guards: the return --------------------------------------------------------------------------------------------


@guard("return_already_sent", "本纠纷已登记过退货物流", "A return was already shipped in this dispute")
def require_no_return_shipment(f: DisputeFacts) -> bool:
    """Agreeing to a return is no answer once a parcel was sent."""
    return not f.return_shipment_registered


@guard("return_already_agreed", "已同意过退货", "A return was already agreed to")
def require_not_agreed_to_return_before(f: DisputeFacts) -> bool:
    """Agreeing to a return again would only start the clock anew."""
    return not f.agreed_to_return_before


@guard("carrier_unknown", "请选择快递公司", "The carrier is not known")
def require_carrier(f: DisputeFacts) -> bool:
    """The shipment names a carrier that sends scans."""
    return f.carrier_known


@guard("tracking_already_used", "运单号已被使用", "The tracking number is in use")
def require_tracking_unused(f: DisputeFacts) -> bool:
    """One parcel, one tracking number."""
    return f.tracking_unused


@guard(
    "return_was_ruled", "判定退货后须说明无法寄回的原因", "The return was ruled; say why it cannot be sent", "reason"
)
def require_consent_or_impossible(f: DisputeFacts) -> bool:
    """A return that was ruled is called off only because it cannot be sent."""
    return f.origin == "consent" or f.reason in RETURN_IMPOSSIBLE


@guard("carrier_exception", "物流异常,不自动退款", "The parcel did not arrive", "carrier_status")
def require_carrier_healthy(f: DisputeFacts) -> bool:
    """A parcel that was lost or failed goes to the platform, not to an automatic refund."""
    return f.carrier_status not in ("lost", "failed")


@guard("no_carrier_exception", "物流没有异常", "The carrier reports nothing wrong", "carrier_status")
def require_carrier_exception(f: DisputeFacts) -> bool:
    """The carrier says the parcel will not arrive."""
    return f.carrier_status in CARRIER_EXCEPTIONS


@guard("ack_unknown", "请选择验货结果", "No such result of inspection", "ack")
def require_problem_ack(f: DisputeFacts) -> bool:
    """The problem is one of four."""
    return f.ack in RETURN_ACKS


@guard("evidence_missing", "请上传验货凭证", "Evidence is needed", "ack", "evidence_count")
def require_problem_evidence(f: DisputeFacts) -> bool:
    """What was received can be shown; what was not cannot."""
    return f.ack == "NOT_RECEIVED" or f.evidence_count >= 1


@guard("goods_held_by_merchant", "商家已收到退货,不可撤销", "The merchant holds the goods")
def require_goods_not_held(f: DisputeFacts) -> bool:
    """A buyer does not withdraw and leave the goods behind."""
    return not f.goods_held_by_merchant


# --- guards: the ruling --------------------------------------------------------------------------------------------


@guard("not_routed", "案件未分配给您", "Neither routed to you nor claimed")
def require_routed_or_claimed(f: DisputeFacts) -> bool:
    """The agent was given the case or took it from the queue."""
    return f.routed_or_claimed


@guard("conflict_of_interest", "与案件有利害关系", "A conflict of interest")
def require_not_conflicted(f: DisputeFacts) -> bool:
    """Nobody judges their own purchase."""
    return not f.conflicted


@guard("inquiry_armed", "尚有等待商家回复的核实咨询", "An inquiry still waits for the merchant")
def require_no_armed_inquiry(f: DisputeFacts) -> bool:
    """No ruling while the merchant has time left to answer."""
    return not f.armed_inquiry


@guard("evidence_window_open", "尚有未结束的必交举证", "A mandatory evidence window is open", "open_mandatory_evidence")
def require_evidence_closed(f: DisputeFacts) -> bool:
    """No ruling, by an agent or by default, while either party may still submit what it must."""
    return f.open_mandatory_evidence == 0


@guard("ruling_kind_unknown", "没有这种判责结果", "No such kind of ruling", "ruling_kind")
def require_ruling_kind(f: DisputeFacts) -> bool:
    """Full, partial, with return, or rejected."""
    return f.ruling_kind in RULING_KINDS


@guard("amount_over_refundable", "金额超出可退金额", "Over what can be refunded", "amount_fen", "refundable_fen")
def require_within_refundable(f: DisputeFacts) -> bool:
    """0 ≤ amount ≤ refundable."""
    return 0 <= f.amount_fen <= f.refundable_fen


@guard("amount_over_claim", "判定金额超出申请金额", "Over what was claimed", "amount_fen", "claimed_fen")
def require_within_claim(f: DisputeFacts) -> bool:
    """Nobody is awarded more than they asked for (edge case 38)."""
    return f.amount_fen <= f.claimed_fen


@guard(
    "amount_not_of_kind", "金额与判责结果不符", "Amount and kind disagree", "ruling_kind", "amount_fen", "claimed_fen"
)
def require_amount_of_kind(f: DisputeFacts) -> bool:
    """Rejected pays nothing, full pays the claim, partial less than it, with return something."""
    return {
        "reject": f.amount_fen == 0,
        "refund_full": f.amount_fen == f.claimed_fen > 0,
        "refund_partial": 0 < f.amount_fen < f.claimed_fen,
        "refund_with_return": f.amount_fen > 0,
    }.get(f.ruling_kind, False)


@guard("return_not_rulable", "不可再次判定退货", "A return cannot be ruled", "cycle", "goods_held_by_merchant")
def require_return_rulable(f: DisputeFacts) -> bool:
    """The last cycle ends the matter, and goods that came back are not sent back again."""
    if f.ruling_kind != "refund_with_return":
        return True
    return f.cycle < f.policy.ruling_cycles_max and not f.goods_held_by_merchant


@guard("ruling_uncited", "判责须引用至少一条记录", "A ruling cites at least one entry", "cites")
def require_ruling_cites(f: DisputeFacts) -> bool:
    """A ruling points at what it rests on."""
    return f.cites >= f.policy.cites_min


@guard("second_approver_missing", "超过限额须第二人复核", "A second person must approve", "amount_fen")
def require_second_approver_over_limit(f: DisputeFacts) -> bool:
    """Above M1 two people decide."""
    return f.second_approver or f.amount_fen <= f.policy.ruling_limit_fen


@guard("promise_not_relayed", "须为已转告且含金额的退款承诺", "Not a relayed promise of money", "promise_action")
def require_relayed_refund_promise(f: DisputeFacts) -> bool:
    """The buyer accepts exactly what the merchant confirmed and the platform passed on."""
    return f.promise_relayed and f.promise_action in ("refund", "partial_refund") and f.amount_fen > 0


@guard("not_losing_party", "只有未获支持的一方可以操作", "Only a losing party may")
def require_losing_party(f: DisputeFacts) -> bool:
    """The winner has nothing to accept or appeal."""
    return f.is_losing_party


@guard("already_appealed", "本轮已申诉过", "Already appealed in this cycle", "cycle")
def require_not_appealed_in_cycle(f: DisputeFacts) -> bool:
    """One appeal per party and cycle."""
    return not f.appealed_in_cycle


@guard("no_new_grounds", "申诉须有新证据或程序错误", "New evidence or a procedural error is needed")
def require_new_grounds(f: DisputeFacts) -> bool:
    """An appeal brings something the ruling did not have."""
    return f.new_evidence_or_error


@guard("reviewer_is_author", "复核人不能是判责人", "The reviewer wrote the ruling")
def require_other_reviewer(f: DisputeFacts) -> bool:
    """Nobody reviews their own ruling."""
    return not f.reviewer_is_author


@guard("remands_exhausted", "只可发回重审一次", "Remanded once already", "remands")
def require_remands_left(f: DisputeFacts) -> bool:
    """A case goes back once."""
    return f.remands < f.policy.remands_max


@guard("not_appellant", "只有申诉方可以撤回", "Only the appellant may")
def require_appellant(f: DisputeFacts) -> bool:
    """An appeal belongs to the party that made it."""
    return f.is_appellant


# --- guards: the money ---------------------------------------------------------------------------------------------


@guard("refund_already_counted", "该退款已入账", "This refund was already counted")
def require_refund_new(f: DisputeFacts) -> bool:
    """A refund_id succeeds once."""
    return not f.refund_already_counted


@guard("attempts_exhausted", "退款重试次数已用完", "No attempts left", "attempts")
def require_attempts_left(f: DisputeFacts) -> bool:
    """Fewer attempts than the policy allows were made."""
    return f.attempts < f.policy.refund_attempts_max


@guard("attempts_left", "退款仍可重试", "Attempts are left", "attempts")
def require_attempts_spent(f: DisputeFacts) -> bool:
    """Every attempt the policy allows was made."""
    return f.attempts >= f.policy.refund_attempts_max


@guard("advance_fund_off", "未启用平台垫付", "The advance fund is off")
def require_advance_fund(f: DisputeFacts) -> bool:
    """The operator lets the platform pay first."""
    return f.policy.advance_fund


@guard("execution_undecided", "支付渠道未确认原退款失败", "The gateway has not said that the old refund failed")
def require_old_execution_dead(f: DisputeFacts) -> bool:
    """Never a second payment while the first may still succeed."""
    return f.old_execution_dead


@guard("gateway_may_still_pay", "原退款可能成功,不可线下结清", "The old refund may yet succeed")
def require_gateway_not_paying(f: DisputeFacts) -> bool:
    """Nothing is settled by hand while the gateway says it is paying or has paid."""
    return not f.gateway_may_pay


@guard("proof_missing", "须上传退款凭证", "Proof of the refund is needed")
def require_payment_proof(f: DisputeFacts) -> bool:
    """A payment made outside is shown."""
    return f.has_proof


@guard("second_approver_missing", "须第二人复核", "A second person must approve")
def require_second_approver(f: DisputeFacts) -> bool:
    """Two people settle by hand."""
    return f.second_approver
