"""The inquiry: the reply window, its grace and its edges, to the microsecond."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.calendar import SHANGHAI
from service.domain.errors import GuardFailed, WindowClosed
from service.domain.inquiry import (
    INQUIRY,
    delivers,
    extended_window,
    grace,
    in_time,
    is_fast,
    latency,
    reply_trigger,
    reply_window_due,
    require_inquiry_hours,
    warnings_due,
)
from service.domain.policy import DEFAULT, DEMO
from tests.lifecycle_facts import MICROSECOND, NOON, fitting

SECOND = timedelta(seconds=1)
DUE = NOON + DEFAULT.reply_window


def arrow(number: str) -> Any:
    return next(each for each in INQUIRY.arrows if each.number == number)


EDGES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("Q1", {"eligible_seat": True}, {"eligible_seat": False}, "no_eligible_seat"),
    ("Q2", {"eligible_seat": False}, {"eligible_seat": True}, "seat_available"),
    ("Q3", {"measure": "remind"}, {"measure": "require_edit"}, "not_delivered"),
    ("Q3", {"measure": "suggest_edit", "confirmed_as_is": True}, {"measure": "suggest_edit"}, "not_delivered"),
    ("Q4", {"measure": "reject_with_notice"}, {"measure": "remind"}, "not_blocked"),
    ("Q5", {"target_eligible": True}, {"target_eligible": False}, "seat_not_eligible"),
    ("Q6", {"due_at": NOON - SECOND}, {"due_at": NOON - SECOND + MICROSECOND}, "window_still_open"),
    ("Q7", {"measure": "none"}, {"measure": "reject"}, "not_delivered"),
    ("Q9", {"dispute_intervening": True}, {"dispute_intervening": False}, "dispute_not_intervening"),
    ("Q11", {"ticket_state": "issued"}, {"ticket_state": "acknowledged"}, "ticket_not_issued"),
    ("Q11", {"dispute_intervening": True}, {"dispute_intervening": False}, "dispute_not_intervening"),
    ("Q12", {"closed_by_agent": True}, {"closed_by_agent": False}, "not_closed_by_agent"),
    ("Q13", {"measure": "suggest_edit"}, {"measure": "suggest_edit", "confirmed_as_is": True}, "not_held"),
    ("Q14", {"agent_appends": 1}, {"agent_appends": 2}, "turn_extensions_exhausted"),
    ("Q14", {}, {"dispute_intervening": False}, "dispute_not_intervening"),
    ("Q18", {"measure": "remind"}, {"measure": "reject"}, "not_delivered"),
    ("Q19", {"due_at": NOON - SECOND}, {"due_at": NOON - SECOND + MICROSECOND}, "window_still_open"),
]


@pytest.mark.parametrize(("number", "passes", "fails", "code"), EDGES, ids=[f"{e[0]}-{e[3]}" for e in EDGES])
def test_a_guard_passes_on_one_side_of_its_edge_and_refuses_on_the_other(
    number: str, passes: dict[str, Any], fails: dict[str, Any], code: str
) -> None:
    """Edge cases 22 and 23, and the settle margin of section 4."""
    one = arrow(number)
    facts = fitting(INQUIRY, one)

    assert INQUIRY.advance(one.sources[0], one.trigger, replace(facts, **passes)) is one
    with pytest.raises(GuardFailed) as refused:
        INQUIRY.advance(one.sources[0], one.trigger, replace(facts, **fails))
    assert refused.value.code == code


@pytest.mark.parametrize("number", ["Q3", "Q4", "Q7", "Q11", "Q13"])
def test_a_reply_is_in_time_until_a_microsecond_before_the_end(number: str) -> None:
    """Edge case 11: due-1 µs in time, due late, due+1 µs late."""
    one = arrow(number)
    facts = replace(fitting(INQUIRY, one), due_at=DUE)

    assert INQUIRY.advance(one.sources[0], one.trigger, replace(facts, received_at=DUE - MICROSECOND)) is one
    for late in (DUE, DUE + MICROSECOND):
        with pytest.raises(WindowClosed):
            INQUIRY.advance(one.sources[0], one.trigger, replace(facts, received_at=late))


def test_a_reply_that_raced_the_agents_close_is_kept_if_it_was_first() -> None:
    """`closed` + reply_received_in_time: received before the instant of closing."""
    facts = replace(fitting(INQUIRY, arrow("Q12")), closed_at=NOON)

    INQUIRY.advance("closed", "reply_received_in_time", replace(facts, received_at=NOON - MICROSECOND))
    with pytest.raises(WindowClosed):
        INQUIRY.advance("closed", "reply_received_in_time", replace(facts, received_at=NOON))


def test_an_agent_cannot_lengthen_a_window_that_is_over() -> None:
    """The second between the end and the settle margin belongs to the clock."""
    facts = replace(fitting(INQUIRY, arrow("Q14")), due_at=NOON)

    INQUIRY.advance("awaiting_merchant", "agent_message", replace(facts, now=NOON - MICROSECOND))
    with pytest.raises(WindowClosed):
        INQUIRY.advance("awaiting_merchant", "agent_message", replace(facts, now=NOON))


def test_a_lost_seat_is_replaced_or_the_inquiry_is_undeliverable() -> None:
    """Edge cases 22, 26 and 27."""
    facts = fitting(INQUIRY, arrow("Q15"))

    replaced = INQUIRY.advance("awaiting_merchant", "seat_lost", replace(facts, eligible_seat=True))
    nobody = INQUIRY.advance("awaiting_merchant", "seat_lost", replace(facts, eligible_seat=False))

    assert INQUIRY.target("awaiting_merchant", replaced) == "awaiting_merchant"
    assert INQUIRY.target("awaiting_merchant", nobody) == "undeliverable"


@pytest.mark.parametrize(
    ("measure", "confirmed", "answers", "trigger"),
    [
        ("none", False, True, "merchant_reply_delivered"),
        ("none", False, False, "merchant_message_without_answer"),
        ("remind", False, True, "merchant_reply_delivered"),
        ("suggest_edit", False, True, "merchant_reply_held"),
        ("suggest_edit", True, True, "merchant_reply_delivered"),
        ("suggest_edit", True, False, "merchant_message_without_answer"),
        ("require_edit", True, True, "merchant_reply_blocked"),
        ("reject", False, True, "merchant_reply_blocked"),
        ("reject_with_notice", False, False, "merchant_reply_blocked"),
    ],
)
def test_the_measure_and_the_words_decide_which_trigger_a_message_pulls(
    measure: str, confirmed: bool, answers: bool, trigger: str
) -> None:
    """C4 and section 4: only a message that was delivered and answers stops R1."""
    assert reply_trigger(measure=measure, confirmed_as_is=confirmed, answers=answers) == trigger
    assert delivers(measure, confirmed) == (trigger in ("merchant_reply_delivered", "merchant_message_without_answer"))


# --- the window ----------------------------------------------------------------------------------------------------


def test_the_reply_window_is_three_minutes_and_warns_at_sixty_and_twenty_seconds_left() -> None:
    """R1 and R1w."""
    assert reply_window_due(NOON, DEFAULT) == NOON + timedelta(seconds=180)
    assert warnings_due(NOON, DUE, DEFAULT) == (
        (60, NOON + timedelta(seconds=120)),
        (20, NOON + timedelta(seconds=160)),
    )


@pytest.mark.parametrize(("window", "warned"), [(61, [60, 20]), (60, [20]), (21, [20]), (20, []), (12, [])])
def test_a_warning_that_would_come_before_the_window_opens_is_not_armed(window: int, warned: list[int]) -> None:
    """Section 3: a warning later than the window's start is not armed; short windows belong to demos."""
    due = NOON + timedelta(seconds=window)

    assert [left for left, _ in warnings_due(NOON, due, DEFAULT)] == warned


def test_the_first_blocked_attempt_in_the_last_second_gives_a_minute_and_the_second_nothing() -> None:
    """Edge case 13: blocked at 179 s, edited at 200 s is in time; swearing again postpones nothing."""
    first = grace(DUE, NOON + timedelta(seconds=179), DEFAULT, already_used=False)

    assert first == NOON + timedelta(seconds=239)
    assert in_time(NOON + timedelta(seconds=200), first)
    assert grace(first, NOON + timedelta(seconds=238), DEFAULT, already_used=True) is None


def test_an_early_blocked_attempt_uses_up_the_grace_without_adding_anything() -> None:
    """max(due_at, attempt + 60 s), of the first attempt only."""
    assert grace(DUE, NOON + timedelta(seconds=10), DEFAULT, already_used=False) == DUE
    assert grace(DUE, NOON + timedelta(seconds=120), DEFAULT, already_used=False) == DUE
    assert grace(DUE, NOON + timedelta(seconds=120) + MICROSECOND, DEFAULT, already_used=False) == DUE + MICROSECOND


def test_a_late_attempt_gets_no_grace() -> None:
    """R1g: only if that attempt was in time."""
    assert grace(DUE, DUE - MICROSECOND, DEFAULT, already_used=False) == DUE - MICROSECOND + timedelta(seconds=60)
    assert grace(DUE, DUE, DEFAULT, already_used=False) is None


@given(attempts=st.lists(st.integers(0, 400_000_000), min_size=1, max_size=20))
def test_blocked_attempts_never_postpone_the_end_by_more_than_a_minute(attempts: list[int]) -> None:
    """Edge case 13: no stalling by swearing, whatever the merchant tries."""
    due, used = DUE, False
    for micro in sorted(attempts):
        moved = grace(due, NOON + timedelta(microseconds=micro), DEFAULT, used)
        if moved is not None:
            due, used = moved, True

    assert DUE <= due < DUE + timedelta(seconds=60)


def test_a_further_agent_message_never_shortens_the_window() -> None:
    """Edge case 20: no shrinking."""
    graced = DUE + timedelta(seconds=59)

    assert extended_window(DUE, NOON + timedelta(seconds=30), DEFAULT) == DUE + timedelta(seconds=30)
    assert extended_window(graced, NOON + timedelta(seconds=30), DEFAULT) == graced


def test_an_answer_inside_the_grace_is_in_time_but_not_fast() -> None:
    """R1g: counts as slow in rate180."""
    assert is_fast(NOON, NOON + timedelta(seconds=180) - MICROSECOND)
    assert not is_fast(NOON, NOON + timedelta(seconds=180))
    assert latency(NOON, NOON + timedelta(seconds=200)) == timedelta(seconds=200)


# --- the hours -----------------------------------------------------------------------------------------------------


def shanghai(day: int, hour: int, minute: int = 0, second: int = 0, micro: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, micro, tzinfo=SHANGHAI)


@pytest.mark.parametrize("at", [shanghai(23, 8), shanghai(23, 22, 59, 59, 999_999), shanghai(23, 12).astimezone(UTC)])
def test_inquiries_open_between_eight_and_twenty_three(at: datetime) -> None:
    """H1, both ends."""
    require_inquiry_hours(at, DEFAULT)


@pytest.mark.parametrize(
    ("at", "opens_at"),
    [
        (shanghai(23, 2), "2026-11-23T00:00:00.000000Z"),
        (shanghai(23, 7, 59, 59, 999_999), "2026-11-23T00:00:00.000000Z"),
        (shanghai(23, 23), "2026-11-24T00:00:00.000000Z"),
    ],
)
def test_at_night_an_inquiry_is_refused_and_says_when_it_opens(at: datetime, opens_at: str) -> None:
    """Edge case 18: 422 outside_service_hours + opens_at, for opening and for every agent message that arms R1."""
    with pytest.raises(GuardFailed) as refused:
        require_inquiry_hours(at, DEFAULT)
    assert refused.value.code == "outside_service_hours"
    assert refused.value.facts["opens_at"] == opens_at

    for state in ("awaiting_agent", "awaiting_merchant"):
        facts = replace(fitting(INQUIRY, arrow("Q14")), now=at, due_at=at + SECOND)
        refusal = INQUIRY.why_not(state, "agent_message", facts)
        assert refusal is not None
        assert refusal.code == "outside_service_hours"


def test_a_demo_is_open_at_night() -> None:
    """H1: policy demo@1, always."""
    require_inquiry_hours(shanghai(23, 2), DEMO)
