"""The clocks: what every state arms, keeps and cancels, and when it may fire."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.calendar import SHANGHAI, business_time_between
from service.domain.policy import DEFAULT
from service.domain.timers import (
    FIRES,
    WINDOW_OF,
    Timer,
    approval_timers,
    dispute_timers,
    evidence_timers,
    fires,
    fires_at,
    inquiry_timers,
    is_deadline,
    promise_timers,
    receipt_after_signed,
    rule_alarm_due,
    ticket_timers,
    timer_change,
)
from tests.lifecycle_facts import NOON

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HOURS = DEFAULT.business_hours


def armed_in(state: str, **more: object) -> dict[str, timedelta]:
    """The timers of a dispute that enters a state at noon, as time from noon."""
    timers = dispute_timers(state, NOON, DEFAULT, HOURS, **more)
    return {timer.name: timer.due_at - NOON for timer in timers}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("requested", {"seller_response": 48 * HOUR}),
        ("refused", {"escalate_window": 7 * DAY}),
        ("offer_pending", {"offer_response": 48 * HOUR}),
        ("awaiting_return", {"return_ship": 7 * DAY}),
        ("return_in_transit", {"receipt": 10 * DAY}),
        ("intervention_requested", {"accept_alarm": 2 * DAY, "hard_deadline": 15 * DAY}),
        ("intervening", {"rule_alarm": 6 * DAY, "hard_deadline": 15 * DAY}),
        ("ruled", {"appeal_window": 72 * HOUR}),
        ("appealed", {"appeal_alarm": 72 * HOUR, "appeal_review": 7 * DAY}),
        ("executing", {"refund_retries": 24 * HOUR}),
        ("execution_failed", {"platform_advance": 72 * HOUR}),
        ("closed", {}),
    ],
)
def test_entering_a_state_arms_its_clocks(state: str, expected: dict[str, timedelta]) -> None:
    """T1 to T13 of section 3; T6 and T7 run on business time (24 h and 72 h are two and six days of twelve hours)."""
    assert armed_in(state) == expected


def test_the_hard_deadline_runs_on_from_request_to_ruling() -> None:
    """T13 is armed once, when the platform is called."""
    before = {timer.name: timer.due_at for timer in dispute_timers("intervention_requested", NOON, DEFAULT, HOURS)}

    after = {
        timer.name: timer.due_at
        for timer in dispute_timers(
            "intervening", NOON + 5 * DAY, DEFAULT, HOURS, came_from="intervention_requested", armed=before
        )
    }

    assert armed_in("intervention_requested", came_from="refused")["hard_deadline"] == 15 * DAY
    assert after["hard_deadline"] == before["hard_deadline"]
    assert set(after) == {"hard_deadline", "rule_alarm"}


@pytest.mark.parametrize(
    ("hard_due_in", "expected"),
    [(10 * DAY, 10 * DAY), (71 * HOUR, 72 * HOUR), (-DAY, 72 * HOUR), (72 * HOUR, 72 * HOUR)],
)
def test_a_remand_leaves_at_least_three_days(hard_due_in: timedelta, expected: timedelta) -> None:
    """Arrow 57: T13 at least PT72H from now."""
    armed = armed_in("intervening", came_from="appealed", trigger="appeal_remand", hard_due_at=NOON + hard_due_in)

    assert armed["hard_deadline"] == expected


def test_a_hard_deadline_that_is_a_task_first_keeps_its_later_end() -> None:
    """T13 switched: an agent task at P15D and the default ruling at P30D, both running on."""
    policy = replace(DEFAULT, hard_deadline_pays=False, hard_deadline_final=30 * DAY)
    first = {timer.name: timer.due_at for timer in dispute_timers("intervention_requested", NOON, policy, HOURS)}

    later = {
        timer.name: timer.due_at
        for timer in dispute_timers(
            "intervening", NOON + DAY, policy, HOURS, came_from="intervention_requested", armed=first
        )
    }

    assert (first["hard_task"], first["hard_deadline"]) == (NOON + 15 * DAY, NOON + 30 * DAY)
    assert (later["hard_task"], later["hard_deadline"]) == (NOON + 15 * DAY, NOON + 30 * DAY)
    assert not is_deadline("hard_task")


def test_a_hard_deadline_that_pays_needs_no_later_end_and_ignores_one() -> None:
    """T13 as it stands: the platform pays at P15D."""
    policy = replace(DEFAULT, hard_deadline_pays=True, hard_deadline_final=30 * DAY)

    timers = dispute_timers("intervention_requested", NOON, policy, HOURS)

    assert {timer.name: timer.due_at for timer in timers}["hard_deadline"] == NOON + 15 * DAY
    assert "hard_task" not in {timer.name for timer in timers}


@pytest.mark.parametrize(
    ("state", "trigger", "name", "length"),
    [
        ("requested", "buyer_modify", "seller_response", 48 * HOUR),
        ("offer_pending", "seller_improve_offer", "offer_response", 48 * HOUR),
    ],
)
def test_staying_re_arms_only_what_the_table_says(state: str, trigger: str, name: str, length: timedelta) -> None:
    """Arrows 5 and 21."""
    old = {name: NOON + HOUR}

    assert armed_in(state, trigger=trigger, came_from=state, armed=old) == {name: length}
    assert armed_in(state, trigger="something_else", came_from=state, armed=old) == {name: HOUR}


def test_declining_an_offer_gives_the_buyer_a_new_week() -> None:
    """Arrows 19 and 20: re-arm T2."""
    left = armed_in("refused", trigger="buyer_decline_offer", came_from="offer_pending", armed={"offer_response": NOON})

    assert left == {"escalate_window": 7 * DAY}


@pytest.mark.parametrize("trigger", ["ticket_overdue", "evidence_overdue"])
def test_an_overdue_flag_gives_the_agent_a_day_and_moves_nothing_else(trigger: str) -> None:
    """Arrows 40b and 43."""
    running = {"hard_deadline": NOON + 3 * DAY, "rule_alarm": NOON + DAY}

    armed = armed_in("intervening", trigger=trigger, came_from="intervening", armed=running)

    assert armed == {"hard_deadline": 3 * DAY, "rule_alarm": DAY, "agent_task": DAY}


@pytest.mark.parametrize(
    ("state", "trigger"),
    [("ruled", "accept_ruling"), ("appealed", "appeal"), ("executing", "refund_failed"), ("intervening", "transfer")],
)
def test_what_stays_keeps_its_clocks(state: str, trigger: str) -> None:
    """Arrows 49, 51b, 59 and 46b move nothing."""
    running = {"some_clock": NOON + HOUR}

    assert armed_in(state, trigger=trigger, came_from=state, armed=running) == {"some_clock": HOUR}


def test_the_difference_is_what_is_written() -> None:
    """Unchanged clocks are not written again, the rest is armed, moved or cancelled."""
    armed = {"a": NOON, "b": NOON, "c": NOON}

    change = timer_change(armed, (Timer("a", NOON), Timer("b", NOON + HOUR), Timer("d", NOON)))

    assert change.arm == (Timer("b", NOON + HOUR), Timer("d", NOON))
    assert change.cancel == ("c",)


def test_a_deadline_waits_for_the_settle_margin_and_a_warning_does_not() -> None:
    """Section 4: a deadline trigger fires no earlier than due_at + settle."""
    assert fires_at(Timer("reply_window", NOON), DEFAULT) == NOON + timedelta(seconds=1)
    for name in ("reply_warning_60", "accept_alarm", "rule_alarm", "agent_task", "appeal_alarm", "hard_task"):
        assert fires_at(Timer(name, NOON), DEFAULT) == NOON
    assert fires("reply_warning_45").noun == "inquiry"
    assert not is_deadline("reply_warning_45")
    with pytest.raises(KeyError):
        fires("reply_warning_soon")


def test_every_state_with_a_partys_window_arms_that_window() -> None:
    """`DisputeFacts.due_at` is the end of that clock."""
    for state, name in WINDOW_OF.items():
        assert name in FIRES
        if state != "appealed":
            assert name in armed_in(state)


@pytest.mark.parametrize(
    ("signed_after", "expected"), [(DAY, 6 * DAY), (5 * DAY, 10 * DAY), (9 * DAY, 10 * DAY), (timedelta(0), 5 * DAY)]
)
def test_five_days_after_signing_or_ten_after_shipping_whichever_comes_first(
    signed_after: timedelta, expected: timedelta
) -> None:
    """T5."""
    assert receipt_after_signed(NOON + 10 * DAY, NOON + signed_after, DEFAULT) == NOON + expected


# --- T7, paused while a party is due -------------------------------------------------------------------------------


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=SHANGHAI)


def test_the_alarm_for_the_ruling_rests_while_a_party_is_due() -> None:
    """Edge case 21: 72 business hours, less the spans in which somebody else had to act."""
    started = at(23, 9)

    assert rule_alarm_due(started, (), DEFAULT, HOURS) == at(28, 21)
    assert rule_alarm_due(started, [(at(23, 9), at(24, 9))], DEFAULT, HOURS) == at(29, 21)
    assert rule_alarm_due(started, [(at(23, 12), at(23, 15)), (at(23, 14), at(23, 18))], DEFAULT, HOURS) == at(29, 15)
    assert rule_alarm_due(started, [(at(23, 12), None)], DEFAULT, HOURS) is None
    for already_due in ((at(29, 12), None), (at(28, 21), None), (at(28, 21), at(30, 9))):
        assert rule_alarm_due(started, [already_due], DEFAULT, HOURS) == at(28, 21)


PAUSES = st.lists(
    st.tuples(st.integers(0, 12 * 24 * 60), st.integers(1, 2_000)).map(
        lambda span: (NOON + timedelta(minutes=span[0]), NOON + timedelta(minutes=span[0] + span[1]))
    ),
    max_size=12,
)


@given(pauses=PAUSES)
def test_however_often_it_is_paused_the_alarm_drifts_by_nothing(pauses: list[tuple[datetime, datetime]]) -> None:
    """Edge case 21: computed from intervals, not from counters; worked time outside the pauses is exactly PT72H."""
    due = rule_alarm_due(NOON, pauses, DEFAULT, HOURS)

    assert due is not None
    worked, cursor = timedelta(0), NOON
    for begin, end in sorted(pauses):
        if begin > cursor:
            worked += business_time_between(cursor, min(begin, due), HOURS)
        cursor = max(cursor, end)
    worked += business_time_between(cursor, due, HOURS)
    assert worked == DEFAULT.rule_alarm


# --- the children --------------------------------------------------------------------------------------------------


def test_a_turn_arms_its_window_and_the_warnings_still_ahead() -> None:
    """R1 and R1w."""
    due = NOON + timedelta(seconds=180)
    sixty, twenty = NOON + timedelta(seconds=120), NOON + timedelta(seconds=160)

    assert inquiry_timers("awaiting_merchant", DEFAULT, now=NOON, armed_at=NOON, due_at=due) == (
        Timer("reply_window", due),
        Timer("reply_warning_60", sixty),
        Timer("reply_warning_20", twenty),
    )
    assert inquiry_timers("awaiting_merchant", DEFAULT, now=sixty, armed_at=NOON, due_at=due) == (
        Timer("reply_window", due),
        Timer("reply_warning_20", twenty),
    )


def test_after_an_answer_the_session_idles_out_and_an_ended_one_has_no_clock() -> None:
    """I1."""
    assert inquiry_timers("awaiting_agent", DEFAULT, now=NOON) == (Timer("inquiry_idle", NOON + timedelta(minutes=10)),)
    for state in ("routing", "expired", "closed", "undeliverable"):
        assert inquiry_timers(state, DEFAULT, now=NOON) == ()


def test_the_other_children_arm_what_their_state_waits_for() -> None:
    """K1, E1, promise, approval."""
    due = NOON + HOUR

    assert ticket_timers("issued", NOON, DEFAULT, due_at=due) == (Timer("ticket_sla", due),)
    assert ticket_timers("acknowledged", NOON, DEFAULT, due_at=due) == (Timer("ticket_sla", due),)
    assert ticket_timers("responded", NOON, DEFAULT, due_at=due) == (Timer("ticket_agent_idle", NOON + DAY),)
    assert ticket_timers("overdue", NOON, DEFAULT, due_at=due) == ()
    assert evidence_timers("open", due_at=due) == (Timer("evidence_window", due),)
    assert evidence_timers("submitted", due_at=due) == ()
    assert promise_timers("extracted", lapses_at=due, due_at=None) == (Timer("promise_lapse", due),)
    assert promise_timers("confirmed", lapses_at=due, due_at=due) == ()
    assert promise_timers("relayed", lapses_at=NOON, due_at=due) == (Timer("promise_due", due),)
    assert approval_timers("proposed", due_at=due) == (Timer("approval_expiry", due),)
    assert approval_timers("stale", due_at=due) == ()
