"""Which day and which instant a named time is: weekdays, dates, parts of months, spans and working days."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

import chinese_calendar

from service.domain.calendar import SHANGHAI
from service.domain.promise_amount import chinese_number

_DATE_PAST_DAYS_MAX: Final = 31  # choice: a date longer past than that means next year's
_LAST_SECOND: Final = time(23, 59, 59, tzinfo=SHANGHAI)
DAYS_MAX: Final = 400  # choice: a promise further off than a year is no deadline
RELATIVE_DAY: Final = (
    ("大后天", 3),
    ("明后两天|明后天|明后|后天|后日", 2),
    ("今明两天|今明天|今明|明天|明日|明儿个?|次日|第二天|隔天", 1),
    ("今天|今日|今儿个?|当天|当日|本日|即日", 0),
    ("大前天", -3),
    ("前天|前日", -2),
    ("昨天|昨日|昨儿个?", -1),
)
_OFFSET: Final = {
    form: days
    for words, days in RELATIVE_DAY
    for word in words.split("|")
    for form in ((word[:-2], word[:-1]) if word.endswith("?") else (word,))
}
_FESTIVAL: Final = {
    "元旦": (1, 1),
    "五一": (5, 1),
    "国庆": (10, 1),
    "十一": (10, 1),
    "双十一": (11, 11),
    "双11": (11, 11),
    "双十二": (12, 12),
    "双12": (12, 12),
    "618": (6, 18),
    "圣诞": (12, 25),
}


@lru_cache(maxsize=4096)
def is_working_day(day: date) -> bool:
    """Whether a day counts as 工作日: the State Council's calendar where it is known, else Monday to Friday."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:  # the package knows 2004 to next year's announced holidays
        return day.weekday() < 5


@lru_cache(maxsize=1024)  # choice: most times named are of the next days
def end_of(day: date) -> datetime:
    """23:59:59 of a day in Asia/Shanghai."""
    return datetime.combine(day, _LAST_SECOND)


def working_day_after(day: date, count: int) -> date:
    """The count-th working day after a day, counted from the next working day."""
    for _ in range(DAYS_MAX * 3):
        if count <= 0:
            break
        day += timedelta(days=1)
        count -= is_working_day(day)
    return day


def spoken_number(said: str) -> int | None:
    if said.isascii():
        return int(said)
    return chinese_number(said.replace("廿", "二十"))


def _upper_number(said: str) -> int | None:
    """The larger reading of a spoken count: 两三 → 3, 三五 → 5, 十 → 10."""
    if len(said) == 2 and all(char in "一二两三四五六七八九" for char in said):
        return chinese_number(said[1])
    return spoken_number(said)


def span_due(hit: re.Match[str], said_at: datetime) -> datetime | None:
    unit, half = hit["unit"], hit["half"] or ""
    halved = hit["n"] == "半"
    count = 0 if halved else _upper_number(hit["n"])
    if count is None or count > 10_000:
        return None
    minutes = _minutes_of(unit, count, halved=halved, half=bool(half) or unit.endswith("半"))
    if minutes is not None:
        return said_at + timedelta(minutes=minutes) if minutes <= DAYS_MAX * 1440 else None
    today = said_at.date()
    if "工作日" in unit or "交易日" in unit:
        return end_of(working_day_after(today, max(count, 1))) if count <= DAYS_MAX else None
    if "月" in unit:
        return end_of(today + timedelta(days=15)) if halved else _months_on(today, count)
    days = 7 * count if unit[-1] in "期拜周" else count
    if halved:
        return said_at + timedelta(hours=12) if unit[0] in "天日" else end_of(today + timedelta(days=4))
    days += 1 if half or unit == "天半" else 0
    return end_of(today + timedelta(days=days)) if days <= DAYS_MAX else None


def _minutes_of(unit: str, count: int, *, halved: bool, half: bool) -> int | None:
    """Minutes of a span in hours or minutes; None for days and longer."""
    if "小时" in unit or "钟头" in unit or unit in ("h", "个钟", "钟"):
        return 30 if halved or (count == 0 and half) else count * 60 + (30 if half else 0)
    if unit in ("分钟", "min"):
        return count
    if unit == "刻钟":
        return count * 15
    return None


def _months_on(today: date, count: int) -> datetime | None:
    if count > 12:
        return None
    year, month = _month_after(today, count)
    return end_of(date(year, month, min(today.day, monthrange(year, month)[1])))


def _month_after(today: date, count: int) -> tuple[int, int]:
    months = today.year * 12 + today.month - 1 + count
    return months // 12, months % 12 + 1


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _nearest(today: date, month: int, day: int) -> date | None:
    """The next such day, unless it was less than a month ago: 1.5 said in December is to come."""
    for year in (today.year - 1, today.year, today.year + 1):
        found = _valid(year, month, day)
        if found is not None and found >= today - timedelta(days=_DATE_PAST_DAYS_MAX):
            return found
    return None


def _month_part(year: int, month: int, part: str) -> date:
    """The last day of a part of a month. 月初 the 5th, 月中 the 15th: choice; 上旬 10th, 中旬 20th by definition."""
    fixed = {"初": 5, "上旬": 10, "中": 15, "中旬": 20}.get(part)
    return date(year, month, fixed or monthrange(year, month)[1])


def _months_named(word: str | None) -> int:
    word = word or ""
    return 2 if word.startswith("下下") else 1 if word.startswith("下") else 0


def _day_of_month(hit: re.Match[str], today: date) -> date | None:
    day = spoken_number(hit["dom_to"] or hit["dom"])
    if day is None or not 1 <= day <= 31:
        return None
    ahead = _months_named(hit["which_month"])
    if ahead or hit["which_month"]:
        return _valid(*_month_after(today, ahead), day)
    for later in range(3):
        found = _valid(*_month_after(today, later), day)
        if found is not None and found >= today:
            return found
    return None


def _weekday(hit: re.Match[str], today: date) -> date:
    """本周五 of this week, Monday first; 周五 the next one, today included; 下周一 of next week."""
    said = hit["dow_to"] or hit["dow"]
    index = 6 if said in "日天末7" else "一二三四五六".find(said) if said in "一二三四五六" else int(said) - 1
    monday = today - timedelta(days=today.weekday())
    word = hit["week"] or ""
    if word:
        weeks = 2 if word.startswith("下下") else 1 if word.startswith("下") else -1 if word.startswith("上") else 0
        return monday + timedelta(days=7 * weeks + index)
    return today + timedelta(days=(index - today.weekday()) % 7)


def named_day(hit: re.Match[str], today: date) -> date | None:
    """The last day that a date token allows."""
    if hit["rel"]:
        word = hit["rel"]
        return today + timedelta(days=_OFFSET.get(word, 1 if word == "明" else 0))
    if hit["iso"]:
        year, month, day = (int(part) for part in re.split(r"[-/.]", hit["iso"]))
        return _valid(year, month, day)
    if hit["month"]:
        return _month_and_day(hit, today)
    if hit["md_m"]:
        return _nearest(today, int(hit["md_m"]), int(hit["md_d"]))
    if hit["dom"]:
        return _day_of_month(hit, today)
    if hit["dow"]:
        return _weekday(hit, today)
    if hit["whole_week"]:
        return today + timedelta(days=6 - today.weekday() + 7 * _months_named(hit["whole_week"]))
    return _named_month(hit, today)


def _month_and_day(hit: re.Match[str], today: date) -> date | None:
    month = spoken_number(hit["month"])
    if month is None or not 1 <= month <= 12:
        return None
    year = int(hit["year"]) if hit["year"] else None
    if hit["day"]:
        day = spoken_number(hit["day_to"] or hit["day"])
        if day is None:
            return None
        return _valid(year, month, day) if year else _nearest(today, month, day)
    if year is None:
        year = today.year if month >= today.month else today.year + 1
    return _month_part(year, month, hit["third"] or "底")


def _named_month(hit: re.Match[str], today: date) -> date | None:
    if hit["month_third"]:
        found = _month_part(*_month_after(today, _months_named(hit["whole_month"])), hit["month_third"])
        if not hit["whole_month"] and found < today:
            found = _month_part(*_month_after(today, 1), hit["month_third"])
        return found
    if hit["this_month"]:
        return _month_part(*_month_after(today, _months_named(hit["this_month"])), "底")
    if hit["year_end"]:
        return date(today.year, 12, 31)
    month, day = _FESTIVAL[hit["festival"]]
    found = date(today.year, month, day)
    return found if found >= today else date(today.year + 1, month, day)
