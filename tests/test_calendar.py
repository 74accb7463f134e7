"""The business clock: what counts, what rests, and when counted time is over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.calendar import (
    SHANGHAI,
    Calendar,
    business_time_between,
    calendar_json,
    calendar_of,
    due_after,
    hours_of,
    is_open,
    opens_at,
)
from service.domain.duration import duration_of, duration_text, instant_text
from service.domain.errors import GuardFailed
from service.domain.policy import DEFAULT
from tests.lifecycle_facts import MICROSECOND, NOON

NINE_TO_NINE = DEFAULT.business_hours
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ("2026-11-23T20:00:00", 12, "2026-11-24T20:00:00"),
        ("2026-11-23T20:00:00", 2, "2026-11-24T10:00:00"),
        ("2026-11-23T20:59:59", 2, "2026-11-24T10:59:59"),
        ("2026-11-23T09:00:00", 12, "2026-11-23T21:00:00"),
        ("2026-11-23T21:00:00", 2, "2026-11-24T11:00:00"),
        ("2026-11-23T03:00:00", 24, "2026-11-24T21:00:00"),
    ],
)
def test_the_clock_of_tickets_gives_the_checked_figures(start: str, hours: int, due: str) -> None:
    """K1 and edge case 17: the figures of section 3; the first equals the example of the trade's own rules."""
    assert due_after(at(start), hours * HOUR, NINE_TO_NINE) == at(due)


def test_a_day_of_several_intervals_rests_in_between() -> None:
    """Lunch does not count."""
    calendar = Calendar(hours_of("09:00-12:00", "13:30-18:00"))

    assert due_after(at("2026-11-23T11:00:00"), 2 * HOUR, calendar) == at("2026-11-23T14:30:00")
    assert due_after(at("2026-11-23T11:00:00"), HOUR, calendar) == at("2026-11-23T12:00:00")
    assert due_after(at("2026-11-23T12:15:00"), MICROSECOND, calendar) == at("2026-11-23T13:30:00") + MICROSECOND


def test_holidays_are_skipped_and_the_year_may_turn_in_between() -> None:
    """A week of holidays is a week of rest."""
    calendar = Calendar(hours_of("09:00-21:00"), frozenset(date(2027, 1, day) for day in (1, 2, 3)))

    assert due_after(at("2026-12-31T20:00:00"), 2 * HOUR, calendar) == at("2027-01-04T10:00:00")
    assert due_after(at("2027-01-02T12:00:00"), 2 * HOUR, calendar) == at("2027-01-04T11:00:00")


def test_the_answer_is_in_the_zone_of_the_question_and_the_day_is_shanghais() -> None:
    """Edge case 19: UTC and +08:00 disagree about the day, never about the instant."""
    start = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)  # 07:30 on the 24th in Shanghai

    due = due_after(start, HOUR, NINE_TO_NINE)

    assert due == at("2026-11-24T10:00:00")
    assert due.tzinfo is UTC


def test_around_the_clock_is_wall_time_across_midnight() -> None:
    """A calendar may be open all day."""
    calendar = Calendar(hours_of("00:00-24:00"))

    assert due_after(at("2026-11-23T22:00:00"), 5 * HOUR, calendar) == at("2026-11-24T03:00:00")


def test_the_opening_instant_counts_and_the_closing_instant_does_not() -> None:
    """Half-open, to the microsecond."""
    assert is_open(at("2026-11-23T09:00:00"), NINE_TO_NINE)
    assert not is_open(at("2026-11-23T09:00:00") - MICROSECOND, NINE_TO_NINE)
    assert is_open(at("2026-11-23T21:00:00") - MICROSECOND, NINE_TO_NINE)
    assert not is_open(at("2026-11-23T21:00:00"), NINE_TO_NINE)
    assert opens_at(at("2026-11-23T21:00:00"), NINE_TO_NINE) == at("2026-11-24T09:00:00")
    assert opens_at(at("2026-11-23T10:00:00"), NINE_TO_NINE) == at("2026-11-23T10:00:00")


def test_no_time_at_all_is_due_at_once_and_negative_time_is_refused() -> None:
    """Zero asks for nothing, even at night."""
    night = at("2026-11-23T03:00:00")

    assert due_after(night, timedelta(0), NINE_TO_NINE) == night
    with pytest.raises(GuardFailed) as refused:
        due_after(night, -MICROSECOND, NINE_TO_NINE)
    assert refused.value.code == "duration_malformed"


def test_a_calendar_that_never_opens_is_found_out_and_does_not_loop() -> None:
    """Every loop has a bound."""
    ten_years = frozenset(date(2026, 1, 1) + timedelta(days=day) for day in range(5_000))
    closed = Calendar(hours_of("09:00-21:00"), ten_years)

    for ask in (lambda: due_after(NOON, HOUR, closed), lambda: opens_at(NOON, closed)):
        with pytest.raises(GuardFailed) as refused:
            ask()
        assert refused.value.code == "calendar_never_opens"
    assert business_time_between(NOON, NOON + timedelta(days=30), closed) == timedelta(0)


@pytest.mark.parametrize(
    "spans",
    [
        (),
        ("21:00-09:00",),
        ("09:00-09:00",),
        ("09:00-12:00", "11:59-13:00"),
        ("13:00-14:00", "09:00-10:00"),
        ("09:00-24:01",),
        ("9:00-21:00",),
        ("09:60-21:00",),
        ("09:00",),
        ("０９:00-21:00",),
        ("-1:00-21:00",),
    ],
)
def test_hours_that_make_no_sense_are_refused(spans: tuple[str, ...]) -> None:
    """Ascending, apart, within the day, written HH:MM-HH:MM."""
    with pytest.raises(GuardFailed) as refused:
        Calendar(hours_of(*spans))
    assert refused.value.code == "hours_malformed"


def test_intervals_may_touch() -> None:
    """Half-open intervals that touch do not overlap."""
    assert Calendar(hours_of("09:00-12:00", "12:00-21:00")).intervals == ((540, 720), (720, 1260))


INTERVALS = st.lists(st.integers(0, 1440), min_size=2, max_size=8, unique=True).map(
    lambda marks: tuple(zip(sorted(marks)[::2], sorted(marks)[1::2], strict=False))
)
CALENDARS = st.builds(
    Calendar,
    INTERVALS,
    st.frozensets(st.dates(date(2026, 11, 1), date(2026, 12, 31)), max_size=20),
)
INSTANTS = st.datetimes(datetime(2026, 11, 1), datetime(2026, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
SPANS = st.integers(1, 48 * 3_600_000_000).map(lambda micro: timedelta(microseconds=micro))


@given(start=INSTANTS, counted=SPANS, calendar=CALENDARS)
def test_the_business_time_until_it_is_due_is_what_was_asked_for(
    start: datetime, counted: timedelta, calendar: Calendar
) -> None:
    """`due_after` and `business_time_between` are each other's inverse; a microsecond earlier is not enough."""
    if counted > 30 * sum((closes - opens for opens, closes in calendar.intervals), 0) * timedelta(minutes=1):
        return

    due = due_after(start, counted, calendar)

    assert business_time_between(start, due, calendar) == counted
    assert business_time_between(start, due - MICROSECOND, calendar) == counted - MICROSECOND


@given(start=INSTANTS, first=SPANS, second=SPANS)
def test_time_counted_in_two_parts_is_time_counted_in_one(start: datetime, first: timedelta, second: timedelta) -> None:
    """Edge case 21: pausing adds no drift."""
    in_parts = due_after(due_after(start, first, NINE_TO_NINE), second, NINE_TO_NINE)

    assert in_parts == due_after(start, first + second, NINE_TO_NINE)


@given(calendar=CALENDARS)
def test_a_calendar_written_down_is_the_same_calendar_when_read(calendar: Calendar) -> None:
    """Policies carry their calendars."""
    assert calendar_of(calendar_json(calendar)) == calendar


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"hours": "09:00-21:00"},
        {"hours": ["09:00-21:00"], "holidays": "2026-10-01"},
        {"hours": ["09:00-21:00"], "holidays": ["2026-13-01"]},
    ],
)
def test_a_calendar_that_is_none_is_refused(stored: dict[str, object]) -> None:
    """No guessing."""
    with pytest.raises(GuardFailed) as refused:
        calendar_of(stored)
    assert refused.value.code == "hours_malformed"


# --- durations as text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(hours=48), "PT48H"),
        (timedelta(hours=72), "PT72H"),
        (timedelta(hours=95), "PT95H"),
        (timedelta(days=4), "P4D"),
        (timedelta(days=7), "P7D"),
        (timedelta(seconds=180), "PT3M"),
        (timedelta(seconds=1), "PT1S"),
        (timedelta(0), "PT0S"),
        (timedelta(hours=1, minutes=2, seconds=3, microseconds=40), "PT1H2M3.00004S"),
        (MICROSECOND, "PT0.000001S"),
    ],
)
def test_a_duration_is_written_in_iso_8601(length: timedelta, text: str) -> None:
    """api.md: durations ISO 8601."""
    assert duration_text(length) == text
    assert duration_of(text) == length


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("P1D", timedelta(days=1)),
        ("P2W", timedelta(weeks=2)),
        ("P1DT12H", timedelta(hours=36)),
        ("PT180S", timedelta(seconds=180)),
    ],
)
def test_other_ways_of_writing_a_duration_are_read(text: str, length: timedelta) -> None:
    """Operators write PT180S."""
    assert duration_of(text) == length


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1DT",
        "1D",
        "P1M",
        "P1Y",
        "PT5",
        "P-1D",
        "-P1D",
        "PT1.5H",
        "PT1S ",
        "pt1s",
        "P1W1D",
        "PT１S",
        "P99999999D",
    ],
)
def test_what_has_no_fixed_length_is_no_duration(text: str) -> None:
    """Months and years are refused, and so is everything that only looks like one."""
    with pytest.raises(GuardFailed) as refused:
        duration_of(text)
    assert refused.value.code == "duration_malformed"


@given(length=st.timedeltas(timedelta(0), timedelta(days=3_650)))
def test_a_duration_written_down_is_the_same_duration_when_read(length: timedelta) -> None:
    """To the microsecond."""
    assert duration_of(duration_text(length)) == length


def test_an_instant_is_written_in_utc_with_six_digits() -> None:
    """api.md: RFC 3339 UTC with microseconds."""
    assert instant_text(at("2026-11-23T12:00:00") + 7 * MICROSECOND) == "2026-11-23T04:00:00.000007Z"
