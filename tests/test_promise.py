"""The promise: nothing is relayed that was not confirmed, to the character, by somebody who may."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import Conflict, GuardFailed, Kind, Refusal
from service.domain.policy import DEFAULT
from service.domain.promise import PROMISE, PromiseFacts, lapses_at, require_confirmed
from tests.lifecycle_facts import MICROSECOND, NOON, fitting

SECOND = timedelta(seconds=1)


def arrow(number: str) -> Any:
    return next(each for each in PROMISE.arrows if each.number == number)


NOT_LAPSED = {"case_closed": False, "left_intervention": False}
EDGES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("P1", {"wording": "unconditional"}, {"wording": "hedged"}, "wording_not_a_promise"),
    ("P1", {"has_span": True}, {"has_span": False}, "promise_incomplete"),
    ("P1", {"has_value": True}, {"has_value": False}, "promise_incomplete"),
    ("P1", {}, {"due_at": None}, "promise_incomplete"),
    ("P2", {}, {"wording": "conditional"}, "wording_not_a_promise"),
    ("P2", {"hash_named": "aa"}, {"hash_named": "ab"}, "hash_mismatch"),
    ("P2", {}, {"hash_named": "", "canonical_hash": ""}, "hash_mismatch"),
    ("P2", {"due_at": NOON + MICROSECOND}, {"due_at": NOON}, "promise_already_due"),
    ("P2", {}, {"due_at": None}, "promise_already_due"),
    ("P2", {"may_commit": True}, {"may_commit": False}, "commit_not_permitted"),
    (
        "P2",
        {"amount_fen": 5_000, "commit_limit_fen": 5_000},
        {"amount_fen": 5_001, "commit_limit_fen": 5_000},
        "commit_limit_exceeded",
    ),
    ("P3", {"only_time_or_amount": True}, {"only_time_or_amount": False}, "correction_too_wide"),
    ("P3", {"measure": "remind"}, {"measure": "reject"}, "not_delivered"),
    ("P3", {"may_commit": True}, {"may_commit": False}, "commit_not_permitted"),
    ("P6", {**NOT_LAPSED, "left_intervention": True}, {**NOT_LAPSED, "lapses_at": NOON}, "not_yet_lapsed"),
    (
        "P8",
        {**NOT_LAPSED, "lapses_at": NOON - SECOND},
        {**NOT_LAPSED, "lapses_at": NOON - SECOND + MICROSECOND},
        "not_yet_lapsed",
    ),
    ("P9", {"hash_named": "aa"}, {"hash_named": "ab"}, "confirmation_mismatch"),
    ("P9", {"confirmed_hash": "aa"}, {"confirmed_hash": "ab"}, "confirmation_mismatch"),
    ("P9", {}, {"canonical_hash": "", "hash_named": "", "confirmed_hash": ""}, "confirmation_mismatch"),
    ("P9", {}, {"wording": "refused"}, "wording_not_a_promise"),
    (
        "P9",
        {"contradicts_order": True, "override_reason": "定制已取消"},
        {"contradicts_order": True},
        "contradicts_order",
    ),
    ("P11", {"case_closed": True}, {"case_closed": False}, "case_not_closed"),
    ("P12", {"has_proof": True}, {"has_proof": False}, "proof_missing"),
    ("P13", {"due_at": NOON - SECOND}, {"due_at": NOON - SECOND + MICROSECOND}, "promise_not_yet_due"),
]


@pytest.mark.parametrize(("number", "passes", "fails", "code"), EDGES, ids=[f"{e[0]}-{e[3]}" for e in EDGES])
def test_a_guard_passes_on_one_side_of_its_edge_and_refuses_on_the_other(
    number: str, passes: dict[str, Any], fails: dict[str, Any], code: str
) -> None:
    """Edge cases 32 and 33; D15."""
    one = arrow(number)
    facts = fitting(PROMISE, one)

    assert PROMISE.advance(one.sources[0], one.trigger, replace(facts, **passes)) is one
    with pytest.raises(GuardFailed) as refused:
        PROMISE.advance(one.sources[0], one.trigger, replace(facts, **fails))
    assert refused.value.code == code


@pytest.mark.parametrize("state", ["extracted", "confirmation_requested", "declined", "superseded", "lapsed"])
def test_an_unconfirmed_promise_is_refused_by_name_before_anything_else_is_asked(state: str) -> None:
    """api.md: relay of an unconfirmed one, 409 promise_not_confirmed."""
    with pytest.raises(Conflict) as refused:
        require_confirmed(state)
    assert refused.value.code == "promise_not_confirmed"
    assert refused.value.kind is Kind.CONFLICT


@pytest.mark.parametrize("state", ["confirmed", "relayed", "fulfilled", "breached"])
def test_a_confirmed_promise_is_not(state: str) -> None:
    """What became of it later is another question."""
    require_confirmed(state)


def test_nobody_answering_lapses_after_a_day() -> None:
    """Silence is never consent."""
    assert lapses_at(NOON, DEFAULT) == NOON + timedelta(days=1)


@given(seed=st.integers(0, 2**32))
def test_no_run_of_triggers_relays_what_was_not_confirmed(seed: int) -> None:
    """Edge case 34, at the heart: random facts and random triggers, and every relay has its confirmation before it."""
    dice = random.Random(seed)
    state, confirmed_hash = PROMISE.initial, ""
    for _ in range(30):
        facts = some_facts(dice, confirmed_hash)
        trigger = dice.choice(PROMISE.triggers)
        try:
            one = PROMISE.advance(state, trigger, facts)
        except Refusal:
            continue
        if trigger == "merchant_confirm":
            confirmed_hash = facts.hash_named
        if trigger == "relay":
            assert state == "confirmed"
            assert facts.hash_named == confirmed_hash != ""
            assert facts.wording == "unconditional"
        state = PROMISE.target(state, one)


def some_facts(dice: random.Random, confirmed_hash: str) -> PromiseFacts:
    shape = dice.choice(("aa", "bb"))
    return PromiseFacts(
        now=NOON,
        due_at=NOON + timedelta(seconds=dice.randint(-5, 50)),
        lapses_at=NOON + timedelta(seconds=dice.randint(-5, 50)),
        wording=dice.choice(("unconditional", "unconditional", "hedged", "conditional", "refused", "none")),
        has_span=True,
        has_value=True,
        canonical_hash=shape,
        hash_named=dice.choice((shape, shape, "aa", "bb", "")),
        confirmed_hash=confirmed_hash,
        may_commit=dice.random() < 0.8,
        only_time_or_amount=dice.random() < 0.5,
        has_proof=dice.random() < 0.5,
        case_closed=dice.random() < 0.1,
    )
