"""The dispute: where rulings lead, who won and lost, and what follows from a move."""

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
from service.domain.lifecycle import Arrow
from service.domain.outcome import benefited, losing_parties, outcome_of_ruling
from tests.lifecycle_facts import A_DISPUTE


def numbered(number: str) -> Arrow[Any]:
    return next(arrow for arrow in DISPUTE.arrows if arrow.number == number)


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
