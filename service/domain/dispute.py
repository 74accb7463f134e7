"""The dispute: twelve states and every arrow between them, as lifecycle.md section 1 numbers them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from service.domain import dispute_facts as choose
from service.domain import dispute_guards as need
from service.domain.dispute_facts import DisputeFacts
from service.domain.lifecycle import Arrow, Lifecycle, Require, When, row_of
from service.domain.outcome import Liability, Outcome, outcome_of_ruling

__all__ = [
    "DISPUTE",
    "DisputeFacts",
    "Liability",
    "Outcome",
    "cycle_after",
    "default_ruling_of",
    "left_intervention",
    "outcome_after",
    "raises_obligation",
    "stage_of",
    "sub_status",
]

STAGES: Mapping[str, str] = MappingProxyType(
    {
        "requested": "refund_request",
        "refused": "refund_request",
        "offer_pending": "negotiation",
        "awaiting_return": "return",
        "return_in_transit": "return",
        "intervention_requested": "intervention",
        "intervening": "intervention",
        "ruled": "ruling",
        "appealed": "appeal",
        "executing": "execution",
        "execution_failed": "execution",
        "closed": "closed",
    }
)
STATE_LABELS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {  # (zh, en)
        "requested": ("待商家处理", "Waiting for the merchant"),
        "refused": ("商家已拒绝·待买家处理", "Refused, the buyer's turn"),
        "offer_pending": ("商家方案待买家确认", "An offer waits for the buyer"),
        "awaiting_return": ("待买家退货", "Waiting for the return"),
        "return_in_transit": ("待商家收货验货", "Return on its way"),
        "intervention_requested": ("待平台客服受理", "Waiting for the platform"),
        "intervening": ("平台客服处理中", "The platform is at work"),
        "ruled": ("已判责·可申诉", "Ruled, open to appeal"),
        "appealed": ("申诉复核中", "Appeal under review"),
        "executing": ("执行中(退款/赔付)", "Paying"),
        "execution_failed": ("执行失败·转人工", "Payment failed, in hand"),
        "closed": ("已结案(封存)", "Closed and sealed"),
    }
)
SUB_STATUS_LABELS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ticket_overdue": ("服务单已超时", "Service ticket overdue"),
        "ticket_open": ("服务单待商家处理", "Service ticket open"),
        "awaiting_merchant_reply": ("待商家回复核实", "Waiting for the merchant's reply"),
        "awaiting_evidence": ("举证中", "Waiting for evidence"),
        "reviewing": ("审核中", "Under review"),
    }
)
INTERVENTION = frozenset({"intervention_requested", "intervening"})
_NEGOTIATING = ("requested", "refused", "offer_pending")


_arrow = row_of(DisputeFacts)


def _by_ruling(
    number: str,
    source: str,
    trigger: str,
    actors: str,
    *,
    when: tuple[When[DisputeFacts], ...] = (),
    require: tuple[Require[DisputeFacts], ...] = (),
    effects: str = "",
    basis: str = "choice",
) -> tuple[Arrow[DisputeFacts], ...]:
    """▸ of the table: where the ruling leads once it is final."""
    return tuple(
        _arrow(number, source, trigger, actors, target, when=(*when, choice), require=require, effects=how, basis=basis)
        for target, choice, how in (
            ("executing", choose.ruling_pays, f"{effects}; outcome=by ruling"),
            ("awaiting_return", choose.ruling_wants_return, f"{effects}; outcome=by ruling"),
            ("closed", choose.ruling_rejects, f"{effects}; outcome=REJECTED_BY_RULING; seal"),
        )
    )


_LATE_RETURN = (
    need.require_return_refund,
    need.require_return_address,
    need.require_no_return_shipment,
    need.require_not_agreed_to_return_before,
)
_OFFER = (need.require_within_window, need.require_offers_left, need.require_offer_kind, need.require_offer_in_range)
_RULING = (
    need.require_no_armed_inquiry,
    need.require_evidence_closed,
    need.require_ruling_kind,
    need.require_within_refundable,
    need.require_within_claim,
    need.require_amount_of_kind,
    need.require_return_rulable,
    need.require_ruling_cites,
    need.require_second_approver_over_limit,
)
_APPEAL = (
    need.require_losing_party,
    need.require_within_window,
    need.require_not_appealed_in_cycle,
    need.require_new_grounds,
)
_OVERTURN = (
    need.require_other_reviewer,
    need.require_ruling_kind,
    need.require_within_refundable,
    need.require_within_claim,
    need.require_amount_of_kind,
    need.require_return_rulable,
)

# fmt: off
_ASKING: tuple[Arrow[DisputeFacts], ...] = (
    _arrow("1", "requested", "seller_agree_refund", "merchant", "executing",
           require=(need.require_refund_only, need.require_amount_as_requested),
           effects="outcome=SELLER_AGREED", basis="WXA accept; TB rp.refunds.agree"),
    _arrow("2", "requested", "seller_agree_return", "merchant", "awaiting_return",
           require=(need.require_return_refund, need.require_return_address),
           effects="outcome.hint=SELLER_AGREED; issue RMA and address snapshot",
           basis="TB rp.returngoods.agree; WXA 10021060"),
    _arrow("3", "requested", "seller_refuse", "merchant", "refused",
           require=(need.require_within_window, need.require_refusable, need.require_refusal_message,
                    need.require_refusal_proof),
           effects="refusal_round=1; notify buyer of escalation right and T2", basis="TB refund.refuse; source 001"),
    _arrow("4", "requested", "seller_offer", "merchant", "offer_pending", require=_OFFER,
           effects="offer v+1", basis="SHP offer/counter_limit; PP make-offer"),
    _arrow("5", "requested", "buyer_modify", "buyer", None,
           require=(need.require_modifications_left, need.require_claim_in_range),
           effects="re-arm T1; version+1", basis="WXQ (5 per SKU)"),
    _arrow("6", "requested", "buyer_withdraw", "buyer", "closed",
           effects="outcome=BUYER_WITHDREW; cancel timers", basis="WXE 102; TB 7; PDD 11"),
    _arrow("7", "requested", "seller_response_timeout", "system", "executing", when=(choose.type_is_refund_only,),
           effects="outcome=REFUNDED_SELLER_TIMEOUT; standing.event",
           basis="WXA reason 9; PP seller_response_due_date"),
    _arrow("8", "requested", "seller_response_timeout", "system", "awaiting_return",
           when=(choose.type_is_return_refund,),
           effects="outcome.hint=REFUNDED_SELLER_TIMEOUT; auto-agree with default address; standing.event",
           basis="WXA; DY auto_audit 17"),
    _arrow("9", "requested", "platform_intervene", "system", "intervention_requested",
           require=(need.require_risk_rule,), effects="opened_by=system", basis="WXG"),
    _arrow("9a", _NEGOTIATING, "merchant_requests_intervention", "merchant", "intervention_requested",
           require=(need.require_cited_message, need.require_no_other_case),
           effects="opened_by=merchant; a report alone changes no money", basis="source 004 part 1.3; B5"),
    _arrow("10", "refused", "request_intervention", "buyer supervisor", "intervention_requested",
           require=(need.require_within_window, need.require_no_other_case),
           effects="opened_by=buyer; freeze settlement hold; enqueue", basis="source 001 step 5; WXG"),
    _arrow("11", "refused", "buyer_modify", "buyer", "requested",
           require=(need.require_within_window, need.require_modifications_left, need.require_claim_in_range),
           effects="re-arm T1; version+1", basis="WXQ"),
    _arrow("12", "refused", "seller_agree_refund", "merchant", "executing",
           effects="outcome=SELLER_AGREED_LATE", basis="service brief; PP accept-claim"),
    _arrow("13", "refused", "seller_agree_return", "merchant", "awaiting_return", require=_LATE_RETURN,
           effects="outcome.hint=SELLER_AGREED_LATE", basis="service brief"),
    _arrow("14", "refused", "seller_offer", "merchant", "offer_pending", require=_OFFER,
           effects="offer v+1", basis="SHP"),
    _arrow("15", "refused", "buyer_withdraw", "buyer", "closed", effects="outcome=BUYER_WITHDREW", basis="PDD 11"),
    _arrow("16", "refused", "buyer_escalation_timeout", "system", "closed",
           effects="outcome=BUYER_TIMEOUT_AFTER_REFUSAL", basis="PDD 12; WXG"),
    _arrow("17", "offer_pending", "buyer_accept_offer", "buyer", "executing", when=(choose.offer_is_money,),
           require=(need.require_within_window,), effects="outcome=OFFER_ACCEPTED",
           basis="PP accept-offer; WXA reason 6/10"),
    _arrow("18", "offer_pending", "buyer_accept_offer", "buyer", "awaiting_return", when=(choose.offer_asks_return,),
           require=(need.require_within_window,), effects="outcome.hint=OFFER_ACCEPTED", basis="PP offer_type"),
    _arrow("19", "offer_pending", "buyer_decline_offer", "buyer", "refused",
           effects="re-arm T2", basis="PP deny-offer"),
    _arrow("20", "offer_pending", "offer_expired", "system", "refused",
           effects="re-arm T2", basis="SHP offer_due_date"),
    _arrow("21", "offer_pending", "seller_improve_offer", "merchant", None,
           require=(*_OFFER, need.require_better_offer), effects="offer v+1; re-arm T3", basis="SHP counter_limit"),
    _arrow("22", "offer_pending", "request_intervention", "buyer", "intervention_requested",
           require=(need.require_within_window, need.require_no_other_case),
           effects="opened_by=buyer; offer.declined", basis="MELI open-dispute"),
    _arrow("23", "offer_pending", "seller_agree_refund", "merchant", "executing",
           effects="outcome=SELLER_AGREED_LATE", basis="service brief"),
    _arrow("24", "offer_pending", "buyer_withdraw", "buyer", "closed", effects="outcome=BUYER_WITHDREW"),
)
_RETURNING: tuple[Arrow[DisputeFacts], ...] = (
    _arrow("25", "awaiting_return", "buyer_ship_return", "buyer", "return_in_transit",
           require=(need.require_within_window, need.require_carrier, need.require_tracking_unused),
           effects="ReturnShipment.registered; arm T5", basis="LM returnGoodLogisticsStatus"),
    _arrow("26", "awaiting_return", "seller_waive_return", "merchant", "executing",
           effects="refund without return", basis="PP SELLER_AGREED_REFUND_WITHOUT_RETURN"),
    _arrow("27", "awaiting_return", "request_intervention", "buyer", "intervention_requested",
           require=(need.require_within_window, need.require_consent_or_impossible),
           effects="opened_by=buyer", basis="WXG"),
    _arrow("28", "awaiting_return", "buyer_withdraw", "buyer", "closed", effects="outcome=BUYER_WITHDREW"),
    _arrow("29", "awaiting_return", "return_ship_timeout", "system", "closed",
           effects="outcome=BUYER_RETURN_TIMEOUT", basis="PDD 13; WXA RETURN_CLOSED"),
    _arrow("30", "return_in_transit", "seller_confirm_receipt", "merchant", "executing",
           effects="ack=ITEM_RECEIVED", basis="PP acknowledge-return-item"),
    _arrow("31", "return_in_transit", "receipt_timeout", "system", "executing",
           require=(need.require_carrier_healthy,), effects="outcome=REFUNDED_RECEIPT_TIMEOUT", basis="WXA reason 11"),
    _arrow("32", "return_in_transit", "seller_report_return_problem", "merchant", "intervention_requested",
           require=(need.require_within_window, need.require_problem_ack, need.require_problem_evidence),
           effects="opened_by=system; the second refusal never waits for the buyer",
           basis="PP ack types; SHP dispute images; DY 29"),
    _arrow("33", "return_in_transit", "return_exception", "carrier", "intervention_requested",
           require=(need.require_carrier_exception,), effects="opened_by=system", basis="LM 6"),
)
_INTERVENING: tuple[Arrow[DisputeFacts], ...] = (
    _arrow("34", "intervention_requested", "accept_dispute", "platform_agent", "intervening",
           require=(need.require_routed_or_claimed, need.require_not_conflicted),
           effects="assignee; auto evidence requests to both", basis="WXE 101->103"),
    _arrow("35", "intervention_requested", "seller_agree_refund", "merchant", "executing",
           effects="outcome=SELLER_AGREED_LATE", basis="service brief"),
    _arrow("36", "intervention_requested", "seller_agree_return", "merchant", "awaiting_return", require=_LATE_RETURN,
           effects="outcome.hint=SELLER_AGREED_LATE", basis="service brief"),
    _arrow("37", "intervention_requested", "buyer_withdraw", "buyer", "closed",
           require=(need.require_goods_not_held,), effects="outcome=BUYER_WITHDREW", basis="WXE 102"),
    _arrow("38", "intervention_requested", "platform_hard_deadline", "system", "ruled",
           effects="ruling=refund_full; basis=PLATFORM_TIMEOUT; liability=PLATFORM; arm T8",
           basis="DY blame 4, refund_type 5; choice"),
    _arrow("39", "intervening", "issue_ruling", "platform_agent", "ruled", require=_RULING,
           effects="ruling v1; liability; arm T8; freeze evidence",
           basis="WXE 112; DY arbitrate_conclusion/blame; EBP revision"),
    _arrow("40", "intervening", "ticket_overdue", "system", "ruled", when=(choose.default_ruling_is_automatic,),
           effects="ruling=refund_full; basis=MERCHANT_NO_RESPONSE; liability=MERCHANT; standing.event",
           basis="choice; PP seller_response_due_date"),
    _arrow("40b", "intervening", "ticket_overdue", "system", None, when=(choose.agent_decides,),
           effects="flag; agent task PT24H; standing.event"),
    _arrow("41", "intervening", "evidence_overdue", "system", "ruled", when=(choose.only_buyer_overdue,),
           require=(need.require_evidence_closed,),
           effects="ruling=reject; basis=BUYER_NO_EVIDENCE; liability=BUYER",
           basis="WXE 305; SHP; PP buyer_response_due_date"),
    _arrow("42", "intervening", "evidence_overdue", "system", "ruled", when=(choose.only_merchant_overdue,),
           require=(need.require_evidence_closed,),
           effects="ruling=refund_full; basis=MERCHANT_NO_EVIDENCE; liability=MERCHANT", basis="WXE 307; PP"),
    _arrow("43", "intervening", "evidence_overdue", "system", None, when=(choose.both_overdue,),
           require=(need.require_evidence_closed,), effects="flag; agent rules on the record", basis="WXE 109"),
    _arrow("44", "intervening", "seller_agree_refund", "merchant", "executing",
           effects="outcome=SELLER_AGREED_LATE; cancel inquiries and tickets", basis="service brief; PP accept-claim"),
    _arrow("45", "intervening", "seller_agree_return", "merchant", "awaiting_return", require=_LATE_RETURN,
           effects="outcome.hint=SELLER_AGREED_LATE; cancel inquiries and tickets", basis="service brief"),
    _arrow("46", "intervening", "buyer_accept_offer", "buyer", "executing",
           require=(need.require_relayed_refund_promise, need.require_within_refundable),
           effects="outcome=OFFER_ACCEPTED", basis="source 002 FAQ 4"),
    _arrow("46b", "intervening", "transfer", "platform_agent", None, require=(need.require_not_conflicted,),
           effects="assignee"),
    _arrow("47", "intervening", "buyer_withdraw", "buyer", "closed", require=(need.require_goods_not_held,),
           effects="outcome=BUYER_WITHDREW", basis="WXE 102; DY ArbitrateCancelled"),
    _arrow("48", "intervening", "platform_hard_deadline", "system", "ruled",
           effects="ruling=refund_full; basis=PLATFORM_TIMEOUT; liability=PLATFORM; arm T8"),
)
_RULED: tuple[Arrow[DisputeFacts], ...] = (
    *_by_ruling("49", "ruled", "accept_ruling", "buyer merchant", when=(choose.everyone_accepted,),
                require=(need.require_losing_party,), effects="appeals waived", basis="MELI; choice"),
    _arrow("49", "ruled", "accept_ruling", "buyer merchant", None, when=(choose.others_still_to_accept,),
           require=(need.require_losing_party,), effects="acceptance recorded", basis="MELI; choice"),
    *_by_ruling("50", "ruled", "appeal_window_closed", "system", effects="ruling final", basis="TB 11; choice"),
    _arrow("51", "ruled", "appeal", "buyer merchant", "appealed", require=_APPEAL,
           effects="reviewer is not the author of the ruling; execution held",
           basis="PP appeal, MULTIPLE_APPEALS_WITH_SAME_REASON; WXT busiAppeal"),
    _arrow("51b", "appealed", "appeal", "buyer merchant", None, require=_APPEAL, effects="merged"),
    _arrow("51c", ("ruled", "appealed"), "seller_agree_refund", "merchant", "executing",
           require=(need.require_amount_as_requested,), effects="outcome=SELLER_AGREED_LATE", basis="section 4"),
    _arrow("51d", "appealed", "buyer_withdraw", "buyer", "closed", require=(need.require_goods_not_held,),
           effects="outcome=BUYER_WITHDREW"),
    _arrow("52", "ruled", "buyer_withdraw", "buyer", "closed", require=(need.require_goods_not_held,),
           effects="outcome=BUYER_WITHDREW"),
    *_by_ruling("53", "appealed", "appeal_uphold", "supervisor", require=(need.require_other_reviewer,),
                effects="ruling final", basis="WXE 112"),
    *_by_ruling("54", "appealed", "appeal_overturn", "supervisor", require=_OVERTURN,
                effects="ruling v2 final", basis="PP PRE_ARBITRATION"),
    *_by_ruling("55", "appealed", "appeal_review_timeout", "system", effects="original ruling stands; alarm"),
    *_by_ruling("56", "appealed", "appeal_withdrawn", "buyer merchant", when=(choose.no_other_appeal,),
                require=(need.require_appellant,), effects="ruling final"),
    _arrow("56", "appealed", "appeal_withdrawn", "buyer merchant", None, when=(choose.another_appeal_stands,),
           require=(need.require_appellant,), effects="the other appeal goes on"),
    _arrow("57", "appealed", "appeal_remand", "supervisor", "intervening",
           require=(need.require_other_reviewer, need.require_remands_left),
           effects="re-open evidence once; T13 at least PT72H from now"),
)
_PAYING: tuple[Arrow[DisputeFacts], ...] = (
    _arrow("58", "executing", "refund_succeeded", "payment_gateway", "closed", require=(need.require_refund_new,),
           effects="ledger; seal transcript; outcome fixed", basis="WXE 115; WXA"),
    _arrow("59", "executing", "refund_failed", "payment_gateway", None, require=(need.require_attempts_left,),
           effects="backoff of at least 60 s per order", basis="WXA 10021059 (1/min)"),
    _arrow("60", "executing", "execution_timeout", "system", "execution_failed",
           effects="page on-call", basis="WXA PLATFORM_REFUND_FAIL"),
    _arrow("61", "execution_failed", "retry_execution", "supervisor", "executing",
           require=(need.require_old_execution_dead,), effects="new refund_id linked", basis="WXE 114"),
    _arrow("62", "execution_failed", "platform_advance_timeout", "system", "executing",
           require=(need.require_advance_fund, need.require_old_execution_dead),
           effects="fund=PLATFORM; outcome=PLATFORM_ADVANCED", basis="DY refund_type 5; TB advance_status"),
    _arrow("62b", "execution_failed", "refund_succeeded", "payment_gateway", "closed",
           require=(need.require_refund_new,), effects="ledger; seal transcript; outcome fixed",
           basis="a late success is a success"),
    _arrow("62c", "executing", "refund_exhausted", "system", "execution_failed",
           require=(need.require_attempts_spent,), effects="page on-call"),
    _arrow("62d", "execution_failed", "refund_not_due", "system", "closed", require=(need.require_nothing_to_pay,),
           effects="outcome fixed; nothing paid", basis="section 1: with nobody acting every run ends"),
    _arrow("63", "execution_failed", "settle_offline", "supervisor", "closed",
           require=(need.require_payment_proof, need.require_second_approver, need.require_gateway_not_paying),
           effects="outcome=SETTLED_OFFLINE", basis="WXA uploadrefundcertificate"),
)
# fmt: on

DISPUTE: Lifecycle[DisputeFacts] = Lifecycle(
    "dispute",
    states=tuple(STAGES),
    initial="requested",
    final=("closed",),
    arrows=(*_ASKING, *_RETURNING, *_INTERVENING, *_RULED, *_PAYING),
)


def stage_of(state: str) -> str:
    """The stage that a state belongs to, as buyers and lists show it."""
    return STAGES[state]


def sub_status(
    *, ticket_overdue: bool = False, ticket_open: bool = False, armed_inquiry: bool = False, open_evidence: bool = False
) -> str:
    """What `intervening` is about just now; always derived, never stored by hand."""
    if ticket_overdue:
        return "ticket_overdue"
    if ticket_open:
        return "ticket_open"
    if armed_inquiry:
        return "awaiting_merchant_reply"
    return "awaiting_evidence" if open_evidence else "reviewing"


def left_intervention(source: str, target: str) -> bool:
    """Whether a move ends the intervention, so that every open child hears `dispute_left_intervention`."""
    return source in INTERVENTION and target not in INTERVENTION


def raises_obligation(source: str, target: str) -> bool:
    """Whether a move makes a new obligation to pay: entering `executing` from anywhere but a failed execution."""
    return target == "executing" and source not in ("executing", "execution_failed")


def cycle_after(source: str, target: str, *, origin: str, cycle: int) -> int:
    """The ruling cycle after a move: a return that was ruled and went wrong opens the next one."""
    came_back = target == "intervention_requested" and STAGES[source] == "return" and origin == "ruling"
    return cycle + 1 if came_back else cycle


def _effect(arrow: Arrow[DisputeFacts], name: str) -> str | None:
    return next((each.partition("=")[2] for each in arrow.effects if each.partition("=")[0] == name), None)


def default_ruling_of(arrow: Arrow[DisputeFacts]) -> tuple[str, str, Liability] | None:
    """The ruling that an arrow makes without anybody: (kind, basis, liability), or None where it makes none."""
    kind, basis, liability = _effect(arrow, "ruling"), _effect(arrow, "basis"), _effect(arrow, "liability")
    return None if kind is None or basis is None or liability is None else (kind, basis, Liability(liability))


def outcome_after(
    arrow: Arrow[DisputeFacts], held: str | None, *, ruling_kind: str = "", ruling_basis: str = ""
) -> Outcome | None:
    """The outcome a dispute carries after an arrow: named by it, taken from the final ruling, or the one held.

    A return holds the outcome it was agreed with until the money goes; it is fixed when the dispute closes.
    """
    named = _effect(arrow, "outcome") or _effect(arrow, "outcome.hint")
    if named == "by ruling":
        return outcome_of_ruling(ruling_kind, ruling_basis)
    return Outcome(named) if named else (Outcome(held) if held else None)
