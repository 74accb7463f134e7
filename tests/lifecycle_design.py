"""The arrows as the design draws them, written out by hand from its tables: number, from, trigger, actors, to."""

from __future__ import annotations

# Taken from the design, not from the code: a table that changes must change here too, and say why. `+` joins actors;
# a dispute row marked ▸ there has its three ends here.

DISPUTE = """
1 requested seller_agree_refund merchant executing
2 requested seller_agree_return merchant awaiting_return
3 requested seller_refuse merchant refused
4 requested seller_offer merchant offer_pending
5 requested buyer_modify buyer requested
6 requested buyer_withdraw buyer closed
7 requested seller_response_timeout system executing
8 requested seller_response_timeout system awaiting_return
9 requested platform_intervene system intervention_requested
9a requested merchant_requests_intervention merchant intervention_requested
9a refused merchant_requests_intervention merchant intervention_requested
9a offer_pending merchant_requests_intervention merchant intervention_requested
10 refused request_intervention buyer+supervisor intervention_requested
11 refused buyer_modify buyer requested
12 refused seller_agree_refund merchant executing
13 refused seller_agree_return merchant awaiting_return
14 refused seller_offer merchant offer_pending
15 refused buyer_withdraw buyer closed
16 refused buyer_escalation_timeout system closed
17 offer_pending buyer_accept_offer buyer executing
18 offer_pending buyer_accept_offer buyer awaiting_return
19 offer_pending buyer_decline_offer buyer refused
20 offer_pending offer_expired system refused
21 offer_pending seller_improve_offer merchant offer_pending
22 offer_pending request_intervention buyer intervention_requested
23 offer_pending seller_agree_refund merchant executing
24 offer_pending buyer_withdraw buyer closed
25 awaiting_return buyer_ship_return buyer return_in_transit
26 awaiting_return seller_waive_return merchant executing
27 awaiting_return request_intervention buyer intervention_requested
28 awaiting_return buyer_withdraw buyer closed
29 awaiting_return return_ship_timeout system closed
30 return_in_transit seller_confirm_receipt merchant executing
31 return_in_transit receipt_timeout system executing
32 return_in_transit seller_report_return_problem merchant intervention_requested
33 return_in_transit return_exception carrier intervention_requested
34 intervention_requested accept_dispute platform_agent intervening
35 intervention_requested seller_agree_refund merchant executing
36 intervention_requested seller_agree_return merchant awaiting_return
37 intervention_requested buyer_withdraw buyer closed
38 intervention_requested platform_hard_deadline system ruled
39 intervening issue_ruling platform_agent ruled
40 intervening ticket_overdue system ruled
40b intervening ticket_overdue system intervening
41 intervening evidence_overdue system ruled
42 intervening evidence_overdue system ruled
43 intervening evidence_overdue system intervening
44 intervening seller_agree_refund merchant executing
45 intervening seller_agree_return merchant awaiting_return
46 intervening buyer_accept_offer buyer executing
46b intervening transfer platform_agent intervening
47 intervening buyer_withdraw buyer closed
48 intervening platform_hard_deadline system ruled
49 ruled accept_ruling buyer+merchant executing
49 ruled accept_ruling buyer+merchant awaiting_return
49 ruled accept_ruling buyer+merchant closed
50 ruled appeal_window_closed system executing
50 ruled appeal_window_closed system awaiting_return
50 ruled appeal_window_closed system closed
51 ruled appeal buyer+merchant appealed
51b appealed appeal buyer+merchant appealed
51c ruled seller_agree_refund merchant executing
51c appealed seller_agree_refund merchant executing
51d appealed buyer_withdraw buyer closed
52 ruled buyer_withdraw buyer closed
53 appealed appeal_uphold supervisor executing
53 appealed appeal_uphold supervisor awaiting_return
53 appealed appeal_uphold supervisor closed
54 appealed appeal_overturn supervisor executing
54 appealed appeal_overturn supervisor awaiting_return
54 appealed appeal_overturn supervisor closed
55 appealed appeal_review_timeout system executing
55 appealed appeal_review_timeout system awaiting_return
55 appealed appeal_review_timeout system closed
56 appealed appeal_withdrawn buyer+merchant executing
56 appealed appeal_withdrawn buyer+merchant awaiting_return
56 appealed appeal_withdrawn buyer+merchant closed
57 appealed appeal_remand supervisor intervening
58 executing refund_succeeded payment_gateway closed
59 executing refund_failed payment_gateway executing
60 executing execution_timeout system execution_failed
61 execution_failed retry_execution supervisor executing
62 execution_failed platform_advance_timeout system executing
62b execution_failed refund_succeeded payment_gateway closed
62c executing refund_exhausted system execution_failed
63 execution_failed settle_offline supervisor closed
"""

INQUIRY = """
- routing routed system awaiting_merchant
- routing no_eligible_account system undeliverable
- awaiting_merchant merchant_reply_delivered merchant awaiting_agent
- awaiting_merchant merchant_reply_blocked merchant awaiting_merchant
- awaiting_merchant transfer merchant awaiting_merchant
- awaiting_merchant reply_window_expired system expired
- awaiting_merchant merchant_message_without_answer merchant awaiting_merchant
- awaiting_merchant agent_close platform_agent closed
- awaiting_agent agent_message platform_agent awaiting_merchant
- awaiting_agent agent_close platform_agent closed
- expired reply_received_in_time system awaiting_agent
- closed reply_received_in_time system closed
- awaiting_merchant merchant_reply_held merchant awaiting_merchant
- awaiting_merchant agent_message platform_agent awaiting_merchant
- awaiting_merchant seat_lost system awaiting_merchant
- awaiting_merchant seat_lost system undeliverable
- routing dispute_left_intervention system closed
- awaiting_merchant dispute_left_intervention system closed
- awaiting_agent dispute_left_intervention system closed
- awaiting_agent merchant_reply_delivered merchant awaiting_agent
- awaiting_agent idle_timeout system closed
"""

SERVICE_TICKET = """
- issued merchant_open merchant acknowledged
- issued merchant_respond merchant responded
- acknowledged merchant_respond merchant responded
- responded agent_accept platform_agent resolved
- responded agent_reject platform_agent issued
- responded agent_idle_timeout system resolved
- issued ticket_sla_overdue system overdue
- acknowledged ticket_sla_overdue system overdue
- issued extend platform_agent issued
- acknowledged extend platform_agent acknowledged
- issued reply_received_in_time system cancelled
- overdue merchant_respond merchant responded
- overdue dispute_left_intervention system cancelled
- issued dispute_left_intervention system cancelled
- acknowledged dispute_left_intervention system cancelled
- responded dispute_left_intervention system resolved
"""

EVIDENCE_REQUEST = """
- open add_item buyer+merchant open
- open retract_item buyer+merchant open
- open submit buyer+merchant submitted
- open waive buyer+merchant waived
- open evidence_window_overdue system overdue
- open extend platform_agent open
- open dispute_left_intervention system cancelled
"""

PROMISE = """
- extracted ask_confirm platform_agent confirmation_requested
- extracted merchant_confirm merchant confirmed
- confirmation_requested merchant_confirm merchant confirmed
- extracted merchant_correct merchant superseded
- confirmation_requested merchant_correct merchant superseded
- extracted merchant_decline merchant declined
- confirmation_requested merchant_decline merchant declined
- extracted superseded_by_newer system superseded
- extracted promise_lapse_timeout system lapsed
- confirmation_requested superseded_by_newer system superseded
- confirmation_requested promise_lapse_timeout system lapsed
- confirmed relay platform_agent relayed
- confirmed superseded_by_newer system superseded
- confirmed promise_lapse_timeout system lapsed
- relayed fulfil merchant+carrier+payment_gateway fulfilled
- relayed promise_due_timeout system breached
"""

# The three that the design gives as a chain of states.
RETURN_SHIPMENT = ("registered", "picked_up", "in_transit", "out_for_delivery")
RETURN_ENDS = ("signed", "failed", "lost", "returned_to_sender")
REFUND_EXECUTION = """
- pending submit system submitted
- pending gateway_succeeded payment_gateway succeeded
- submitted gateway_succeeded payment_gateway succeeded
- pending gateway_failed payment_gateway failed
- submitted gateway_failed payment_gateway failed
- failed retry system pending
- failed give_up system exhausted
- failed gateway_succeeded payment_gateway succeeded
- exhausted gateway_succeeded payment_gateway succeeded
"""
APPROVAL = """
- proposed approve supervisor approved
- proposed reject supervisor rejected
- proposed withdraw platform_agent+supervisor+rules_editor withdrawn
- proposed approval_expiry system stale
"""
# Ours, beside the design: an acceptance or a withdrawal that leaves the other party's matter open stays where it is.
DISPUTE_OURS = """
49 ruled accept_ruling buyer+merchant ruled
56 appealed appeal_withdrawn buyer+merchant appealed
62d execution_failed refund_not_due system closed
"""


def rows(text: str) -> set[tuple[str, ...]]:
    """The rows of one table, each as (number, from, trigger, actors, to)."""
    return {tuple(line.split()) for line in text.strip().splitlines()}
