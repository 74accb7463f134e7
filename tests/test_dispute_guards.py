"""The dispute: both sides of every guard's edge, what is late and what never is, and what a refusal shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.domain.dispute import DISPUTE
from service.domain.errors import GuardFailed, Kind, WindowClosed
from service.domain.lifecycle import Arrow, Guard
from service.domain.policy import DEFAULT
from service.domain.reasons import REFUSAL_REASONS
from tests.lifecycle_facts import A_DISPUTE, MICROSECOND, NOON, fitting


def numbered(number: str) -> Arrow[Any]:
    return next(arrow for arrow in DISPUTE.arrows if arrow.number == number)


EDGES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("1", {"type": "refund_only"}, {"type": "return_refund"}, "type_not_refund_only"),
    ("1", {}, {"amount_fen": 12_899}, "amount_not_as_requested"),
    ("1", {}, {"amount_fen": 12_901}, "amount_not_as_requested"),
    ("1", {}, {"amount_fen": 0, "claimed_fen": 0}, "amount_not_as_requested"),
    ("2", {"type": "return_refund"}, {"type": "refund_only"}, "type_not_return_refund"),
    ("2", {"return_address": True}, {"return_address": False}, "return_address_missing"),
    ("3", {"reason": "goods_shipped"}, {"type": "return_refund", "reason": "goods_shipped"}, "reason_not_refusable"),
    ("3", {"reason": "other"}, {"reason": "because"}, "reason_not_refusable"),
    ("3", {"message_chars": 2}, {"message_chars": 1}, "refusal_message_length"),
    ("3", {"message_chars": 200}, {"message_chars": 201}, "refusal_message_length"),
    ("3", {"reason": "no_fault_found"}, {"reason": "no_fault_found", "has_proof": False}, "proof_missing"),
    ("3", {"reason": "period_over", "has_proof": False}, {"reason": "", "has_proof": True}, "reason_not_refusable"),
    ("4", {"offers_used": 2}, {"offers_used": 3}, "offers_exhausted"),
    ("4", {"amount_fen": 1}, {"amount_fen": 0}, "offer_out_of_range"),
    ("4", {"amount_fen": 12_900}, {"amount_fen": 12_901, "refundable_fen": 20_000}, "offer_out_of_range"),
    ("4", {"amount_fen": 100, "refundable_fen": 100}, {"amount_fen": 101, "refundable_fen": 100}, "offer_out_of_range"),
    ("4", {"amount_fen": 1}, {"amount_fen": -1}, "offer_out_of_range"),
    ("4", {"offer_kind": "refund_with_return"}, {"offer_kind": "coupon"}, "offer_kind_unknown"),
    ("5", {"modifications": 4}, {"modifications": 5}, "modifications_exhausted"),
    ("5", {"amount_fen": 12_900}, {"amount_fen": 12_901}, "claim_out_of_range"),
    ("5", {"amount_fen": 1}, {"amount_fen": 0}, "claim_out_of_range"),
    ("9", {"risk_rule": "velocity"}, {"risk_rule": ""}, "risk_rule_not_hit"),
    ("9a", {"cites": 1}, {"cites": 0}, "citation_missing"),
    ("9a", {}, {"other_active_case": True}, "other_case_active"),
    ("10", {}, {"other_active_case": True}, "other_case_active"),
    ("11", {"modifications": 4}, {"modifications": 5}, "modifications_exhausted"),
    ("13", {}, {"type": "refund_only"}, "type_not_return_refund"),
    ("13", {}, {"return_address": False}, "return_address_missing"),
    ("13", {}, {"return_shipment_registered": True}, "return_already_sent"),
    ("13", {}, {"agreed_to_return_before": True}, "return_already_agreed"),
    ("14", {"offers_used": 2}, {"offers_used": 3}, "offers_exhausted"),
    ("21", {"offers_used": 2}, {"offers_used": 3}, "offers_exhausted"),
    ("21", {"amount_fen": 12_900}, {"amount_fen": 12_899}, "offer_not_better"),
    (
        "21",  # the same money without the parcel is better
        {"amount_fen": 12_899, "offered_before_kind": "refund_with_return"},
        {"amount_fen": 12_898, "offered_before_kind": "refund_with_return"},
        "offer_not_better",
    ),
    ("21", {"amount_fen": 12_900}, {"amount_fen": 12_900, "offer_kind": "refund_with_return"}, "offer_not_better"),
    ("22", {}, {"other_active_case": True}, "other_case_active"),
    ("25", {"carrier_known": True}, {"carrier_known": False}, "carrier_unknown"),
    ("25", {"tracking_unused": True}, {"tracking_unused": False}, "tracking_already_used"),
    ("27", {"origin": "consent", "reason": ""}, {"origin": "ruling", "reason": ""}, "return_was_ruled"),
    ("27", {"origin": "ruling", "reason": "address_bad"}, {"origin": "ruling", "reason": "late"}, "return_was_ruled"),
    ("27", {"origin": "ruling", "reason": "courier_refused"}, {"origin": "ruling"}, "return_was_ruled"),
    ("31", {"carrier_status": "signed"}, {"carrier_status": "lost"}, "carrier_exception"),
    ("31", {"carrier_status": ""}, {"carrier_status": "failed"}, "carrier_exception"),
    ("32", {"ack": "MISSING"}, {"ack": "ITEM_RECEIVED"}, "ack_unknown"),
    ("32", {"ack": "DAMAGED", "evidence_count": 1}, {"ack": "DAMAGED", "evidence_count": 0}, "evidence_missing"),
    ("32", {"ack": "NOT_RECEIVED", "evidence_count": 0}, {"ack": "MISSING", "evidence_count": 0}, "evidence_missing"),
    ("33", {"carrier_status": "returned_to_sender"}, {"carrier_status": "signed"}, "no_carrier_exception"),
    ("34", {"routed_or_claimed": True}, {"routed_or_claimed": False}, "not_routed"),
    ("34", {"conflicted": False}, {"conflicted": True}, "conflict_of_interest"),
    ("36", {}, {"return_shipment_registered": True}, "return_already_sent"),
    ("37", {}, {"goods_held_by_merchant": True}, "goods_held_by_merchant"),
    ("39", {}, {"armed_inquiry": True}, "inquiry_armed"),
    ("39", {"open_mandatory_evidence": 0}, {"open_mandatory_evidence": 1}, "evidence_window_open"),
    ("39", {}, {"ruling_kind": "split"}, "ruling_kind_unknown"),
    ("39", {}, {"refundable_fen": 12_899}, "amount_over_refundable"),
    ("39", {"ruling_kind": "reject", "amount_fen": 0}, {"amount_fen": -1}, "amount_over_refundable"),
    ("39", {}, {"amount_fen": 12_901, "refundable_fen": 20_000}, "amount_over_claim"),
    (
        "39",
        {"ruling_kind": "reject", "amount_fen": 0},
        {"ruling_kind": "reject", "amount_fen": 1},
        "amount_not_of_kind",
    ),
    (
        "39",
        {"ruling_kind": "refund_partial", "amount_fen": 12_899},
        {"ruling_kind": "refund_partial", "amount_fen": 12_900},
        "amount_not_of_kind",
    ),
    (
        "39",
        {"ruling_kind": "refund_partial", "amount_fen": 1},
        {"ruling_kind": "refund_partial", "amount_fen": 0},
        "amount_not_of_kind",
    ),
    (
        "39",
        {"ruling_kind": "refund_with_return", "amount_fen": 1},
        {"ruling_kind": "refund_with_return", "amount_fen": 0},
        "amount_not_of_kind",
    ),
    ("39", {}, {"amount_fen": 12_899}, "amount_not_of_kind"),
    ("39", {}, {"amount_fen": 0, "claimed_fen": 0}, "amount_not_of_kind"),
    (
        "39",
        {"ruling_kind": "refund_with_return", "cycle": 1},
        {"ruling_kind": "refund_with_return", "cycle": 2},
        "return_not_rulable",
    ),
    (
        "39",
        {"ruling_kind": "refund_full", "cycle": 2, "goods_held_by_merchant": True},
        {"ruling_kind": "refund_with_return", "goods_held_by_merchant": True},
        "return_not_rulable",
    ),
    ("39", {"cites": 1}, {"cites": 0}, "ruling_uncited"),
    (
        "39",
        {"amount_fen": 50_000, "claimed_fen": 50_000, "refundable_fen": 50_000, "second_approver": False},
        {"amount_fen": 50_001, "claimed_fen": 50_001, "refundable_fen": 50_001, "second_approver": False},
        "second_approver_missing",
    ),
    ("41", {}, {"open_mandatory_evidence": 1}, "evidence_window_open"),
    ("42", {}, {"open_mandatory_evidence": 1}, "evidence_window_open"),
    ("43", {}, {"open_mandatory_evidence": 1}, "evidence_window_open"),
    ("45", {}, {"agreed_to_return_before": True}, "return_already_agreed"),
    ("46", {"promise_action": "partial_refund"}, {"promise_action": "ship"}, "promise_not_relayed"),
    ("46", {}, {"promise_relayed": False}, "promise_not_relayed"),
    ("46", {"amount_fen": 1}, {"amount_fen": 0}, "promise_not_relayed"),
    ("46", {}, {"amount_fen": 12_901}, "amount_over_refundable"),
    ("46b", {}, {"conflicted": True}, "conflict_of_interest"),
    ("47", {}, {"goods_held_by_merchant": True}, "goods_held_by_merchant"),
    ("49", {}, {"is_losing_party": False}, "not_losing_party"),
    ("51", {}, {"is_losing_party": False}, "not_losing_party"),
    ("51", {}, {"appealed_in_cycle": True}, "already_appealed"),
    ("51", {}, {"new_evidence_or_error": False}, "no_new_grounds"),
    ("51b", {}, {"appealed_in_cycle": True}, "already_appealed"),
    ("51c", {}, {"amount_fen": 12_899}, "amount_not_as_requested"),
    ("51d", {}, {"goods_held_by_merchant": True}, "goods_held_by_merchant"),
    ("52", {}, {"goods_held_by_merchant": True}, "goods_held_by_merchant"),
    ("53", {}, {"reviewer_is_author": True}, "reviewer_is_author"),
    ("54", {}, {"reviewer_is_author": True}, "reviewer_is_author"),
    ("54", {}, {"refundable_fen": 12_899}, "amount_over_refundable"),
    ("54", {}, {"amount_fen": 12_901, "refundable_fen": 20_000}, "amount_over_claim"),
    ("56", {}, {"is_appellant": False}, "not_appellant"),
    ("57", {"remands": 0}, {"remands": 1}, "remands_exhausted"),
    ("57", {}, {"reviewer_is_author": True}, "reviewer_is_author"),
    ("58", {}, {"refund_already_counted": True}, "refund_already_counted"),
    ("59", {"attempts": 7}, {"attempts": 8}, "attempts_exhausted"),
    ("61", {}, {"old_execution_dead": False}, "execution_undecided"),
    ("62", {}, {"old_execution_dead": False}, "execution_undecided"),
    ("62", {}, {"policy": replace(DEFAULT, advance_fund=False)}, "advance_fund_off"),
    ("62b", {}, {"refund_already_counted": True}, "refund_already_counted"),
    ("62c", {"attempts": 8}, {"attempts": 7}, "attempts_left"),
    ("62d", {"nothing_to_pay": True}, {"nothing_to_pay": False}, "refund_still_due"),
    ("63", {}, {"has_proof": False}, "proof_missing"),
    ("63", {}, {"second_approver": False}, "second_approver_missing"),
    ("63", {}, {"gateway_may_pay": True}, "gateway_may_still_pay"),
]


@pytest.mark.parametrize(("number", "passes", "fails", "code"), EDGES, ids=[f"{e[0]}-{e[3]}" for e in EDGES])
def test_a_guard_passes_on_one_side_of_its_edge_and_refuses_on_the_other(
    number: str, passes: dict[str, Any], fails: dict[str, Any], code: str
) -> None:
    """Edge cases 35, 38, 40 to 44, 47, 49 and 51; the refusal's code says which rule it was."""
    arrow = numbered(number)
    state, facts = arrow.sources[0], fitting(DISPUTE, arrow)

    assert DISPUTE.advance(state, arrow.trigger, replace(facts, **passes)).number == number
    with pytest.raises(GuardFailed) as refused:
        DISPUTE.advance(state, arrow.trigger, replace(facts, **fails))
    assert refused.value.code == code
    assert refused.value.kind is Kind.GUARD


def test_every_guard_of_the_dispute_has_an_edge_in_this_list() -> None:
    """A guard without a test for both sides would be a hope."""
    tested = {(number, code) for number, _, _, code in EDGES}
    codes = {code for _, code in tested}
    missing = {
        refuses.code
        for arrow in DISPUTE.arrows
        for refuses in arrow.require
        if isinstance(refuses, Guard) and refuses.code not in codes
    }

    assert missing == set()


WINDOWED = ("3", "4", "10", "11", "14", "17", "18", "21", "22", "25", "27", "32", "51", "51b")


@pytest.mark.parametrize("number", WINDOWED)
def test_one_microsecond_before_the_end_is_in_time_and_the_end_itself_is_late(number: str) -> None:
    """Edge cases 19, 43 and 49; section 4: received_at < due_at is in time, received_at == due_at is late."""
    arrow = numbered(number)
    state, facts = arrow.sources[0], fitting(DISPUTE, arrow)

    assert DISPUTE.advance(state, arrow.trigger, replace(facts, received_at=NOON - MICROSECOND, due_at=NOON)) is arrow
    for late in (NOON, NOON + MICROSECOND):
        with pytest.raises(WindowClosed) as refused:
            DISPUTE.advance(state, arrow.trigger, replace(facts, received_at=late, due_at=NOON))
        assert refused.value.kind is Kind.CONFLICT
        assert refused.value.facts["due_at"] == "2026-11-23T04:00:00.000000Z"
        assert refused.value.facts["in_time"] is False


AGREES = ("1", "2", "12", "13", "23", "26", "30", "35", "36", "44", "45", "46", "49", "51c")  # pays, waives, accepts

WITHDRAWS = ("5", "6", "15", "19", "24", "28", "37", "47", "51d", "52", "56")  # or asks for less, or declines

CALLS = ("9a",)  # a merchant who cannot go on may say so at any time


def test_giving_in_is_never_too_late() -> None:
    """Whoever agrees, waives or withdraws hurts nobody by being late; all else that a party does has its window."""
    drawn = [arrow for arrow in DISPUTE.arrows if {"buyer", "merchant"} & set(arrow.actors)]
    free = [arrow for arrow in drawn if arrow.number not in WINDOWED]

    assert {arrow.number for arrow in drawn} >= set(WINDOWED)
    assert {arrow.number for arrow in free} == {*AGREES, *WITHDRAWS, *CALLS}
    for arrow in free:
        late = replace(fitting(DISPUTE, arrow), received_at=NOON + MICROSECOND, due_at=NOON)
        for state in arrow.sources:
            assert DISPUTE.advance(state, arrow.trigger, late).number == arrow.number, (state, arrow.number)


def test_a_refusal_for_a_reason_that_needs_proof_is_refused_without_it() -> None:
    """Every reason of the list is tried with and without proof, for the types it fits."""
    for reason, known in REFUSAL_REASONS.items():
        for kind in known.types:
            facts = replace(A_DISPUTE, type=kind, reason=reason)
            DISPUTE.advance("requested", "seller_refuse", facts)
            refusal = DISPUTE.why_not("requested", "seller_refuse", replace(facts, has_proof=False))
            assert (refusal is not None) == known.needs_proof


def test_a_guard_shows_the_facts_it_refused() -> None:
    """A refusal explains itself."""
    with pytest.raises(GuardFailed) as refused:
        DISPUTE.advance("requested", "seller_offer", replace(A_DISPUTE, amount_fen=13_000, refundable_fen=20_000))

    assert refused.value.facts == {"amount_fen": 13_000, "claimed_fen": 12_900, "refundable_fen": 20_000}
    assert refused.value.zh == "方案金额超出范围"


def test_limits_come_from_the_policy_pinned_to_the_dispute() -> None:
    """Edge case 17: a case keeps the policy it was opened with."""
    strict = replace(DEFAULT, offers_max=1, modifications_max=0, ruling_limit_fen=12_899)

    for state, trigger, facts in (
        ("requested", "seller_offer", replace(A_DISPUTE, offers_used=1)),
        ("requested", "buyer_modify", A_DISPUTE),
        ("intervening", "issue_ruling", replace(A_DISPUTE, second_approver=False)),
    ):
        DISPUTE.advance(state, trigger, facts)
        assert DISPUTE.why_not(state, trigger, replace(facts, policy=strict)) is not None
