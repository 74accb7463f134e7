"""Durations as ISO 8601 text and instants as RFC 3339 text, both ways."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from service.domain.errors import GuardFailed

_DURATION = re.compile(
    r"P(?:(?P<weeks>\d{1,4})W|(?=\d|T\d)(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,8})M)?(?:(?P<seconds>\d{1,9})(?:\.(?P<micro>\d{1,6}))?S)?)?)",
    re.ASCII,
)
_WHOLE_DAYS_FROM = timedelta(days=4)  # PT72H is how the table of durations speaks; P7D beyond


def duration_text(length: timedelta) -> str:
    """Write a length of time in ISO 8601, e.g. `PT48H`, `P7D`, `PT180S` as `PT3M`; never months or years."""
    if length < timedelta(0):
        raise GuardFailed("duration_malformed", zh="时长不能为负", en="A duration is not negative", text=str(length))
    if length >= _WHOLE_DAYS_FROM and length % timedelta(days=1) == timedelta(0):
        return f"P{length.days}D"
    seconds, micro = divmod(length // timedelta(microseconds=1), 1_000_000)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{micro:06d}".rstrip("0") if micro else ""
    parts = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if seconds or micro or not parts:
        parts += f"{seconds}{fraction}S"
    return f"PT{parts}"


def duration_of(text: str) -> timedelta:
    """Read an ISO 8601 duration of weeks, or of days, hours, minutes and seconds.

    Raises:
        GuardFailed: `duration_malformed` for anything else: months and years have no fixed length.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise GuardFailed("duration_malformed", zh="时长格式不对", en="Not an ISO 8601 duration", text=text[:64])
    part = found.groupdict(default="0")
    return timedelta(
        weeks=int(part["weeks"]),
        days=int(part["days"]),
        hours=int(part["hours"]),
        minutes=int(part["minutes"]),
        seconds=int(part["seconds"]),
        microseconds=int(part["micro"].ljust(6, "0")),
    )


def instant_text(instant: datetime) -> str:
    """Write an aware instant as RFC 3339 in UTC, always with six digits: `2026-11-23T01:02:03.000004Z`."""
    assert instant.tzinfo is not None, "an instant carries its offset"
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
