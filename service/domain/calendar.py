"""The business clock: which hours of which days count, and when a span of counted time is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from service.domain.errors import GuardFailed

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")  # one offset since 1991, so no tz database is read
_MINUTES_OF_A_DAY = 24 * 60
_DAYS_MAX = 3_660  # ten years: every loop over days ends, whatever the holidays say


@dataclass(frozen=True, slots=True)
class Calendar:
    """Opening hours in Asia/Shanghai: half-open intervals of minutes of the day, and days on which nothing counts.

    `intervals` are (opens, closes) in minutes after midnight, ascending and apart; 1440 closes at midnight.
    """

    intervals: tuple[tuple[int, int], ...]
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        before = 0
        for opens, closes in self.intervals:
            if not before <= opens < closes <= _MINUTES_OF_A_DAY:
                raise GuardFailed(
                    "hours_malformed",
                    zh="营业时间须递增且不重叠",
                    en="Opening hours ascend and do not overlap",
                    intervals=hours_json(self.intervals),
                )
            before = closes
        if not self.intervals:
            raise GuardFailed("hours_malformed", zh="营业时间为空", en="No opening hours", intervals=[])


def hours_of(*spans: str) -> tuple[tuple[int, int], ...]:
    """Read spans such as `09:00-21:00` into minutes of the day.

    Raises:
        GuardFailed: `hours_malformed`.
    """
    return tuple((_minutes(*_halves(span)[0]), _minutes(*_halves(span)[1])) for span in spans)


def _halves(span: str) -> tuple[tuple[str, str], tuple[str, str]]:
    opens, _, closes = span.partition("-")
    return (opens.partition(":")[0], opens.partition(":")[2]), (closes.partition(":")[0], closes.partition(":")[2])


def _minutes(hour: str, minute: str) -> int:
    ascii_digits = hour.isascii() and minute.isascii() and hour.isdigit() and minute.isdigit()
    if not ascii_digits or len(hour) != 2 or len(minute) != 2 or int(minute) > 59:
        raise GuardFailed(
            "hours_malformed", zh="时间格式应为 HH:MM", en="Hours are HH:MM", text=f"{hour}:{minute}"[:16]
        )
    return int(hour) * 60 + int(minute)


def hours_json(intervals: tuple[tuple[int, int], ...]) -> list[str]:
    """Write intervals as `09:00-21:00` spans, the inverse of `hours_of`."""
    return [f"{a // 60:02d}:{a % 60:02d}-{b // 60:02d}:{b % 60:02d}" for a, b in intervals]


def calendar_of(stored: Mapping[str, object]) -> Calendar:
    """Read `{"hours": ["09:00-21:00"], "holidays": ["2026-10-01"]}`.

    Raises:
        GuardFailed: `hours_malformed`.
    """
    hours, holidays = stored.get("hours"), stored.get("holidays", [])
    if not isinstance(hours, list) or not isinstance(holidays, list):
        raise GuardFailed("hours_malformed", zh="营业时间格式不对", en="Hours and holidays are lists")
    try:
        days = frozenset(date.fromisoformat(str(day)) for day in holidays)
    except ValueError as wrong:
        raise GuardFailed("hours_malformed", zh="日期格式不对", en="A holiday is YYYY-MM-DD") from wrong
    return Calendar(hours_of(*(str(span) for span in hours)), days)


def calendar_json(calendar: Calendar) -> dict[str, object]:
    """Write a calendar as `calendar_of` reads it."""
    return {
        "hours": hours_json(calendar.intervals),
        "holidays": sorted(day.isoformat() for day in calendar.holidays),
    }


def _spans_from(start: datetime, calendar: Calendar) -> Iterator[tuple[datetime, datetime]]:
    """The counted spans at or after `start`, cut at `start`, in order, for at most ten years."""
    local = start.astimezone(SHANGHAI)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in range(_DAYS_MAX):
        morning = midnight + timedelta(days=day)
        if morning.date() in calendar.holidays:
            continue
        for opens, closes in calendar.intervals:
            begin, end = morning + timedelta(minutes=opens), morning + timedelta(minutes=closes)
            if end > local:
                yield max(begin, local), end


def due_after(start: datetime, counted: timedelta, calendar: Calendar) -> datetime:
    """When `counted` business time has passed since `start`; a span that fills a day ends as that day closes.

    Args:
        start: an aware instant, open or not; while closed nothing is counted.
        counted: not negative; zero is due at once.

    Returns:
        An instant in the zone of `start`.

    Raises:
        GuardFailed: `calendar_never_opens` when ten years do not hold that much business time.
    """
    if counted < timedelta(0):
        raise GuardFailed("duration_malformed", zh="时长不能为负", en="A duration is not negative", text=str(counted))
    if counted == timedelta(0):
        return start
    left = counted
    for begin, end in _spans_from(start, calendar):
        if end - begin >= left:
            return (begin + left).astimezone(start.tzinfo)
        left -= end - begin
    raise GuardFailed("calendar_never_opens", zh="日历在十年内营业时间不足", en="Ten years do not hold that much")


def business_time_between(start: datetime, end: datetime, calendar: Calendar) -> timedelta:
    """How much business time lies in [start, end); zero when `end` is not after `start`."""
    total = timedelta(0)
    for begin, close in _spans_from(start, calendar):
        if begin >= end:
            break
        total += min(close, end) - begin
    return total


def is_open(at: datetime, calendar: Calendar) -> bool:
    """Whether `at` is counted; the closing instant itself is not."""
    return opens_at(at, calendar) == at


def opens_at(at: datetime, calendar: Calendar) -> datetime:
    """The first counted instant at or after `at`, in the zone of `at`.

    Raises:
        GuardFailed: `calendar_never_opens`.
    """
    for begin, _ in _spans_from(at, calendar):
        return begin.astimezone(at.tzinfo)
    raise GuardFailed("calendar_never_opens", zh="日历在十年内没有营业时间", en="Never opens within ten years")
