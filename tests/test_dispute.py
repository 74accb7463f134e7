"""The dispute: both sides of every guard's edge, its outcomes, stages and cycles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.domain.dispute import (
    DISPUTE,
    STAGES,
    STATE_LABELS,
    SUB_STATUS_LABELS,
    Liability,
    Outcome,
    cycle_after,
    default_ruling_of,
    left_intervention,
    outcome_after,
    raises_obligation,
    stage_of,
    sub_status,
)
from service.domain.errors import GuardFailed, Kind, WindowClosed
from service.domain.lifecycle import Arrow, Guard
from service.domain.outcome import benefited, losing_parties, outcome_of_ruling
from service.domain.policy import DEFAULT
from service.domain.reasons import REFUSAL_REASONS
from tests.lifecycle_facts import A_DISPUTE, MICROSECOND, NOON, fitting


def numbered(number: str) -> Arrow[Any]:
    return next(arrow for arrow in DISPUTE.arrows if arrow.number == number)


# --- both sides of every edge --------------------------------------------------------------------------------------
# (arrow, what still passes, what no longer does, the refusal)

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


def test_giving_in_is_never_too_late() -> None:
    """A merchant who agrees or waives, and a buyer who withdraws, hurt nobody by being late."""
    late = replace(A_DISPUTE, received_at=NOON + MICROSECOND, due_at=NOON)

    for state, trigger in (
        ("requested", "seller_agree_refund"),
        ("refused", "seller_agree_refund"),
        ("refused", "buyer_withdraw"),
        ("awaiting_return", "seller_waive_return"),
        ("return_in_transit", "seller_confirm_receipt"),
        ("ruled", "accept_ruling"),
    ):
        DISPUTE.advance(state, trigger, late)


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


# --- by ruling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "trigger"),
    [
        ("ruled", "accept_ruling"),
        ("ruled", "appeal_window_closed"),
        ("appealed", "appeal_uphold"),
        ("appealed", "appeal_overturn"),
        ("appealed", "appeal_review_timeout"),
        ("appealed", "appeal_withdrawn"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "amount_fen", "target"),
    [
        ("refund_full", 12_900, "executing"),
        ("refund_partial", 5_000, "executing"),
        ("refund_with_return", 12_900, "awaiting_return"),
        ("reject", 0, "closed"),
    ],
)
def test_a_final_ruling_leads_where_its_kind_says(
    state: str, trigger: str, kind: str, amount_fen: int, target: str
) -> None:
    """▸: full and partial refunds are paid, with return waits for the goods, a rejection closes."""
    arrow = DISPUTE.advance(state, trigger, replace(A_DISPUTE, ruling_kind=kind, amount_fen=amount_fen))

    assert DISPUTE.target(state, arrow) == target


def test_a_ruling_is_carried_out_only_when_every_losing_party_has_accepted() -> None:
    """An earlier acceptance is recorded and the state stays."""
    first = DISPUTE.advance("ruled", "accept_ruling", replace(A_DISPUTE, losing_parties_pending=1))
    second = DISPUTE.advance("ruled", "accept_ruling", replace(A_DISPUTE, losing_parties_pending=0))

    assert DISPUTE.target("ruled", first) == "ruled"
    assert DISPUTE.target("ruled", second) == "executing"


def test_withdrawing_one_of_two_appeals_leaves_the_other_standing() -> None:
    """Edge case 49: appeals of both sides are merged, and one side's change of mind does not silence the other."""
    merged = DISPUTE.advance("appealed", "appeal_withdrawn", replace(A_DISPUTE, other_appeals=1))
    alone = DISPUTE.advance("appealed", "appeal_withdrawn", replace(A_DISPUTE, other_appeals=0))

    assert DISPUTE.target("appealed", merged) == "appealed"
    assert DISPUTE.target("appealed", alone) == "executing"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("38", ("refund_full", "PLATFORM_TIMEOUT", Liability.PLATFORM)),
        ("40", ("refund_full", "MERCHANT_NO_RESPONSE", Liability.MERCHANT)),
        ("41", ("reject", "BUYER_NO_EVIDENCE", Liability.BUYER)),
        ("42", ("refund_full", "MERCHANT_NO_EVIDENCE", Liability.MERCHANT)),
        ("48", ("refund_full", "PLATFORM_TIMEOUT", Liability.PLATFORM)),
        ("39", None),
        ("40b", None),
        ("43", None),
    ],
)
def test_a_default_ruling_says_what_it_is_and_on_what_basis(
    number: str, expected: tuple[str, str, Liability] | None
) -> None:
    """Silence of one side is ruled on, silence of both is left to an agent (edge case 47)."""
    assert default_ruling_of(numbered(number)) == expected


@pytest.mark.parametrize(
    ("blocking", "how", "target"),
    [
        (True, "auto", "ruled"),
        (True, "agent_confirm", "intervening"),
        (False, "auto", "intervening"),
        (False, "agent_confirm", "intervening"),
    ],
)
def test_an_overdue_ticket_rules_only_where_it_blocks_and_the_operator_said_so(
    blocking: bool, how: str, target: str
) -> None:
    """K2: agent_confirm by default, automatic is the operator's choice."""
    arrow = DISPUTE.advance("intervening", "ticket_overdue", replace(A_DISPUTE, blocking=blocking, default_ruling=how))

    assert DISPUTE.target("intervening", arrow) == target


# --- outcomes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "held", "expected"),
    [
        ("1", None, Outcome.SELLER_AGREED),
        ("2", None, Outcome.SELLER_AGREED),
        ("6", None, Outcome.BUYER_WITHDREW),
        ("7", None, Outcome.REFUNDED_SELLER_TIMEOUT),
        ("12", None, Outcome.SELLER_AGREED_LATE),
        ("16", None, Outcome.BUYER_TIMEOUT_AFTER_REFUSAL),
        ("17", None, Outcome.OFFER_ACCEPTED),
        ("18", None, Outcome.OFFER_ACCEPTED),
        ("26", "OFFER_ACCEPTED", Outcome.OFFER_ACCEPTED),
        ("29", "SELLER_AGREED", Outcome.BUYER_RETURN_TIMEOUT),
        ("30", "SELLER_AGREED_LATE", Outcome.SELLER_AGREED_LATE),
        ("31", "SELLER_AGREED", Outcome.REFUNDED_RECEIPT_TIMEOUT),
        ("34", None, None),
        ("46", None, Outcome.OFFER_ACCEPTED),
        ("51c", None, Outcome.SELLER_AGREED_LATE),
        ("58", "REFUNDED_BY_RULING", Outcome.REFUNDED_BY_RULING),
        ("62", "REFUNDED_BY_RULING", Outcome.PLATFORM_ADVANCED),
        ("62b", "SELLER_AGREED", Outcome.SELLER_AGREED),
        ("62d", "REFUNDED_BY_RULING", Outcome.REFUNDED_BY_RULING),
        ("63", "SELLER_AGREED", Outcome.SETTLED_OFFLINE),
    ],
)
def test_an_arrow_names_the_outcome_or_keeps_the_one_held(
    number: str, held: str | None, expected: Outcome | None
) -> None:
    """A return keeps the outcome it was agreed with until the money goes."""
    assert outcome_after(numbered(number), held) == expected


@pytest.mark.parametrize(
    ("kind", "basis", "expected"),
    [
        ("refund_full", "REASONED", Outcome.REFUNDED_BY_RULING),
        ("refund_with_return", "REASONED", Outcome.REFUNDED_BY_RULING),
        ("refund_partial", "REASONED", Outcome.PARTIALLY_REFUNDED_BY_RULING),
        ("refund_full", "PLATFORM_TIMEOUT", Outcome.REFUNDED_BY_DEFAULT_RULING),
        ("refund_full", "MERCHANT_NO_EVIDENCE", Outcome.REFUNDED_BY_DEFAULT_RULING),
        ("reject", "REASONED", Outcome.REJECTED_BY_RULING),
        ("reject", "BUYER_NO_EVIDENCE", Outcome.REJECTED_BY_RULING),
    ],
)
def test_a_ruling_carried_out_gives_its_outcome(kind: str, basis: str, expected: Outcome) -> None:
    """A default ruling is told from a reasoned one by its basis."""
    arrow = DISPUTE.advance("ruled", "appeal_window_closed", replace(A_DISPUTE, ruling_kind=kind))

    assert outcome_of_ruling(kind, basis) == expected
    assert outcome_after(arrow, None, ruling_kind=kind, ruling_basis=basis) == expected


@pytest.mark.parametrize(
    ("awarded_fen", "liability", "losers"),
    [
        (12_900, "MERCHANT", ("merchant",)),
        (12_900, "PLATFORM", ()),
        (12_899, "MERCHANT", ("buyer", "merchant")),
        (12_899, "PLATFORM", ("buyer",)),
        (1, "BOTH", ("buyer", "merchant")),
        (0, "BUYER", ("buyer",)),
    ],
)
def test_who_lost_follows_from_the_award_and_the_liability(
    awarded_fen: int, liability: str, losers: tuple[str, ...]
) -> None:
    """The buyer if awarded less than claimed, the merchant if it pays."""
    assert losing_parties(awarded_fen=awarded_fen, claimed_fen=12_900, liability=liability) == losers


@pytest.mark.parametrize(
    ("outcome", "paid_fen", "expected"),
    [
        ("REFUNDED_BY_RULING", 12_900, ("buyer",)),
        ("PARTIALLY_REFUNDED_BY_RULING", 1, ("buyer", "merchant")),
        ("BUYER_WITHDREW", 0, ("merchant",)),
        ("REJECTED_BY_RULING", 12_900, ("merchant",)),
        ("SETTLED_OFFLINE", 12_900, ("buyer",)),
    ],
)
def test_who_benefited_follows_from_what_was_paid(outcome: str, paid_fen: int, expected: tuple[str, ...]) -> None:
    """An outcome that pays nothing benefits no buyer, whatever the claim was."""
    assert benefited(outcome, paid_fen=paid_fen, claimed_fen=12_900) == expected


# --- what follows from a move --------------------------------------------------------------------------------------


def test_leaving_the_platforms_hands_is_told_to_the_children_and_accepting_is_not_leaving() -> None:
    """Every arrow out of the intervention fires `dispute_left_intervention`; 34, 40b, 43 and 46b stay inside."""
    inside = {"34", "40b", "43", "46b"}
    for arrow in DISPUTE.arrows:
        for source in arrow.sources:
            if source in ("intervention_requested", "intervening"):
                assert left_intervention(source, DISPUTE.target(source, arrow)) == (arrow.number not in inside)
            else:
                assert not left_intervention(source, DISPUTE.target(source, arrow))


def test_an_obligation_is_raised_whenever_money_becomes_due_and_not_when_it_is_tried_again() -> None:
    """refund_execution: from any state but `execution_failed`."""
    raising = {
        arrow.number
        for arrow in DISPUTE.arrows
        for source in arrow.sources
        if raises_obligation(source, DISPUTE.target(source, arrow))
    }

    assert raising == {
        *("1", "7", "12", "17", "23", "26", "30", "31", "35", "44", "46", "49", "50", "51c", "53", "54", "55", "56")
    }


def test_a_ruled_return_that_goes_wrong_opens_the_second_cycle_and_an_agreed_one_does_not() -> None:
    """Section 4: at most two ruling cycles, in the same dispute."""
    assert cycle_after("return_in_transit", "intervention_requested", origin="ruling", cycle=1) == 2
    assert cycle_after("awaiting_return", "intervention_requested", origin="ruling", cycle=1) == 2
    assert cycle_after("return_in_transit", "intervention_requested", origin="consent", cycle=1) == 1
    assert cycle_after("appealed", "intervening", origin="ruling", cycle=1) == 1
    assert cycle_after("return_in_transit", "executing", origin="ruling", cycle=1) == 1


def test_every_state_has_a_stage_and_a_label_in_both_languages() -> None:
    """Buyers and lists show stages and labels, never the raw state alone."""
    assert set(STATE_LABELS) == set(STAGES) == set(DISPUTE.states)
    assert all(zh and en for zh, en in STATE_LABELS.values())
    assert stage_of("return_in_transit") == "return"
    assert stage_of("ruled") == "ruling"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "reviewing"),
        ({"open_evidence": True}, "awaiting_evidence"),
        ({"open_evidence": True, "armed_inquiry": True}, "awaiting_merchant_reply"),
        ({"open_evidence": True, "armed_inquiry": True, "ticket_open": True}, "ticket_open"),
        ({"ticket_overdue": True, "ticket_open": True}, "ticket_overdue"),
        ({"ticket_overdue": True, "armed_inquiry": True, "open_evidence": True}, "ticket_overdue"),
    ],
)
def test_the_sub_status_shows_the_most_pressing_thing(facts: dict[str, bool], expected: str) -> None:
    """ticket_overdue > ticket_open > awaiting_merchant_reply > awaiting_evidence > reviewing."""
    assert sub_status(**facts) == expected
    assert expected in SUB_STATUS_LABELS
