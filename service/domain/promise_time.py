"""Deadlines in Chinese replies: the last instant by which a thing must be done (promises.md section 2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from service.domain.calendar import SHANGHAI
from service.domain.promise_days import RELATIVE_DAY, end_of, named_day, span_due, spoken_number
from service.domain.promise_pattern import ahead, gated

# When a part of the day is over (hours after midnight). 上午/明早 12:00, 下午 18:00, 凌晨 06:00, 今晚 23:59:59:
# promises.md section 2. 中午 13:00, 傍晚 20:00, 下班前 18:00: choice.
_NIGHT: Final = 24
_MIDNIGHT: Final = time(tzinfo=SHANGHAI)
_PART_ENDS: Final = (
    ("凌晨|清早", 6),
    ("早上|早晨|清晨|大清早|一大早|一早|大早|上午|早间|早", 12),
    ("中午|正午|晌午|午间", 13),
    ("下午|午后", 18),
    ("傍晚", 20),
    ("晚上|晚间|夜里|夜间|半夜|深夜|夜晚|午夜|晚", _NIGHT),
    ("下班", 18),
)
_NOON: Final = frozenset(("中午", "正午", "晌午"))
_PART_END: Final = {word: hour for words, hour in _PART_ENDS for word in words.split("|")}
_AFTER_DAY: Final = "(?<=[今明天日号一二三四五六末])"  # 早 and 晚 alone are no times: 早拍早发货
_PART: Final = "|".join(
    {
        "早": f"(?:{_AFTER_DAY}|(?=早[0-9七八九十]{{1,2}}点))早(?![已些点日]|就(?![发寄退补给安处换赔送打转]))",
        "晚": f"(?:{_AFTER_DAY}|(?=晚[0-9五六七八九十]{{1,3}}点))晚(?![点些安于了]|会(?![把给发退补为帮安寄处]))",
    }.get(word, word)
    for word in sorted(_PART_END, key=len, reverse=True)
)
_NUM: Final = r"[0-9]{1,3}|[零一二两俩仨三四五六七八九十廿]{1,4}|半"
_SMALL: Final = r"[0-9]{1,2}|[零一二两三四五六七八九十廿]{1,3}"
_DASH: Final = r"(?:-|~|到|至|或者?|、)"
_DAYS: Final = "|".join(words for words, _ in RELATIVE_DAY)
_UNITS: Final = (
    r"个?工作日|个?交易日|个?半?小时|个?钟头|个钟|h(?![a-z])|分钟|min(?![a-z])"
    r"|刻钟|天半?|日(?=之?以?内|之?以?后)|个?星期|个?礼拜|周|个月"
)
_SPAN: Final = rf"""
    (?P<past>超过了?|已经?|都|等了|过了|过去|用了|花了|保修|质保|保价|支持|享受|第)?
    (?:(?P<from>{_NUM})(?:个?(?:工作日|小时|h|天|日|星期|周|月))?{_DASH})?
    (?P<n>{_NUM})(?P<half>个半|天半)?(?P<unit>{_UNITS})
    (?P<tail>之内|以内|内|之后|以后|后|前|无理由|保价|质保|无忧|包退|包换|试用)?
"""
_DATE: Final = rf"""
    (?P<rel>{_DAYS}|今(?=晚|早|夜|下午|上午|中午|晨)|明(?=晚|早|晨|上午|下午|中午))(?:之内|以内|内)?
  | (?:(?P<year>20[0-9]{{2}})(?:年|[-/.]))?(?P<month>{_SMALL})月份?(?:的)?(?:(?P<day>{_SMALL})(?:号|日)?(?![0-9天个])
        (?:{_DASH}(?P<day_to>{_SMALL})(?:号|日))?|(?P<third>底|末|初|中旬|上旬|下旬|中(?!国))|(?=内|之内|以内|前))
  | (?P<iso>20[0-9]{{2}}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2}})(?![0-9])
  | (?<![0-9.退补赔返付扣减款价偿额给¥])(?P<md_m>1[0-2]|0?[1-9])[./]
        (?P<md_d>3[01]|[12][0-9]|0?[1-9])(?![0-9%.元块圆角折万kw倍斤米厘g/个件小天周h])(?:号|日)?
  | (?P<which_month>本月|这个?月|当月|下下个?月|下个?月)?的?(?<![大小加减])
        (?P<dom>{_SMALL})(?:{_DASH}(?P<dom_to>{_SMALL}))?
        (?:号|日)(?!线|店|仓|楼|链接|客服|库|内|以内|之内|常|期|志|本|用)
  | (?P<week>下下个?|下个?|这个?|本|上个?)?(?:周|星期|礼拜)(?P<dow>[一二三四五六日天末]|[1-7](?![0-9天个]))
        (?:{_DASH}?(?:周|星期|礼拜)?(?P<dow_to>[二三四五六日]))?(?!年|个|到|岁)
  | (?P<whole_week>下下个?|下个?|这个?|本)(?:周|星期|礼拜)(?!边|围|末|[一二三四五六日天1-7])(?:底|之内|以内|内|里)?
  | (?P<whole_month>本|这个?|当|下下个?|下个?)?月(?P<month_third>底|末|初|中旬|上旬|下旬|中(?!国))
  | (?P<this_month>本|这个?|当|下个?)月(?:之内|以内|内|里)
  | (?P<year_end>年底|年末)
  | (?<![0-9])(?P<festival>双十一|双十二|双11|双12|元旦|国庆|五一|618|圣诞)节?
        (?:(?P<before>前(?!后)|之前|以前)|当天|(?=前后)|(?=就?[发寄出退补给]))
"""
_CLOCK: Final = rf"""
    (?P<hour>{_SMALL})(?:
        (?:点钟?|时(?!间|效|候|刻|常|差|段|尚|代))(?:(?P<half_past>半)|(?P<quarter>[一三])刻|(?P<minute>[0-9]{{1,2}}|[零一二三四五六七八九十]{{1,3}})分?)?
      | :(?P<colon>[0-5][0-9])(?::[0-5][0-9])?)
    (?!多|五十|折)
    (?:{_DASH}(?P<hour_to>{_SMALL})(?:(?:点钟?|时)(?P<half_to>半)?|:(?P<colon_to>[0-5][0-9])))?
"""
_DATE_AHEAD: Final = ahead(
    "0123456789一七三上下两九二五元八六前十即双后周四国圣大年廿当星昨月本次的礼第这隔零",
    "-./0123456789~、一七三上下两个中九二五儿八六初到前十号后周四天庆底廿当或拜日旦星月期末本的礼至诞这零",
    alone="今明",
)
_SPAN_AHEAD: Final = ahead(
    "0123456789一七三两俩仨九二五享保八六十半四已廿支用第等花质超过都零",
    "-0123456789hm~、一七三两俩仨个九了二五交享价保修八六分到刻十半去受周四天小工已廿或持支日星月用礼第等经至花质超过都钟零",
)
TOKEN: Final = gated(
    "TOKEN",
    "0123456789一七三上下两中九二五享今仨保俩傍元八六凌前十午半即双后周四国圣夜大已年廿当支早明星昨晌晚月本次正深清用的礼第等花质超过这都隔零"
    "晌晚月本次正深清用的礼第等花质超过这都隔零",
    rf"(?P<date>{_DATE_AHEAD}(?:{_DATE}))|(?P<span>{_SPAN_AHEAD}{_SPAN})|(?P<clock>{_CLOCK})|(?P<part>{_PART})",
    flags=re.VERBOSE,
)
_TAIL: Final = re.compile(
    r"(?:的时候|当天|之前|以前|前(?!台|天|几|面|往|期)|之内|以内|内(?!部|容)|为止|之后|以后|后(?!天|台|面|续|期"
    r"|再|补))"
)
_TAIL_OPENINGS: Final = frozenset("的当之以前内为后")
_SOFT_OPENINGS: Final = frozenset(")的左上前光样")
_JOINS: Final = frozenset(("", "的", ",", "(", "号", "日", "就"))
_RANGES: Final = frozenset(
    ["-", "~", "到", "至", "或", "或者", "还是", "和", "跟", "、", "最晚", "最迟", ",最晚", ",最迟"]
)
_SOFT: Final = re.compile(r"[)的]?(?:左右|上下|前后|光景|样子)")


@dataclass(slots=True)
class Deadline:
    """A time found in a text: its span and the last instant it allows; None when it cannot be fixed."""

    start: int
    end: int
    due_at: datetime | None
    soft: bool = False  # 三点左右
    past: bool = False  # 昨天, 3小时前
    relative: bool = False  # 24小时内: counted from the words, or from an event named beside it
    open_end: bool = False  # 3点以后: no last instant of its own
    rolled: bool = False  # 早上 said in the afternoon: the next one, unless it tells what was
    hourly: bool = False  # another instant if said at another hour of the same day


class _Parts:
    """What one run of adjacent tokens says, before it is made an instant; what it does not say stands at the class."""

    start: int
    end: int
    day: date | None = None
    part: str = ""
    hour: int | None = None
    minute: int = 0
    due_at: datetime | None = None  # of a span
    exclusive: bool = False  # 元旦前: the day itself is too late
    past: bool = False
    relative: bool = False
    hourly: bool = False
    chosen: bool = False  # 周五或周六: left open
    digital: bool = False  # 5:00, the 24-hour clock

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end


_ONE_OCLOCK: Final = re.compile(r"一(?:点(?:钟|半|整|前|之前|以前|左右|[一二三四五零十0-9])|时|:)")


def _read_clock(hit: re.Match[str], parts: _Parts) -> bool:
    said, half_past, quarter, said_minute, colon, said_to, half_to, colon_to = hit.group(
        "hour", "half_past", "quarter", "minute", "colon", "hour_to", "half_to", "colon_to"
    )
    if said == "一" and not (said_to or parts.part or parts.day) and not _ONE_OCLOCK.match(hit.string, hit.start()):
        return False  # 补一点: a little
    hour = spoken_number(said_to or said)
    if hour is None or hour > 24:
        return False
    if said_to:
        minute = 30 if half_to else int(colon_to or 0)
    elif half_past:
        minute = 30
    elif quarter:
        minute = 15 if quarter == "一" else 45
    else:
        minute = int(colon or 0) if not said_minute else spoken_number(said_minute) or 0
    if minute > 59:
        return False
    parts.hour, parts.minute = hour, minute
    parts.digital = colon is not None or colon_to is not None
    return True


_NO_DEADLINES: Final = frozenset(("前", "无理由", "保价", "质保", "无忧", "包退", "包换", "试用"))


def _take(hit: re.Match[str], parts: _Parts, said_at: datetime) -> bool:
    """Add a token to a run; False when it belongs to no run of times."""
    kind = hit.lastgroup
    parts.chosen = parts.chosen or "或" in hit.group()
    if kind == "span":
        if parts.due_at is not None:
            return False
        count, unit, past, tail = hit.group("n", "unit", "past", "tail")
        parts.hourly = count == "半" or unit[-1] not in "日天期拜周月"
        parts.past = parts.past or past is not None or tail in _NO_DEADLINES
        parts.due_at, parts.relative = span_due(hit, said_at), True
        return parts.due_at is not None
    if kind == "date":
        day = named_day(hit, said_at.date())
        if day is None:
            return False
        parts.day = day
        parts.exclusive = hit["before"] is not None
        parts.past = parts.past or (day < said_at.date() and bool(hit["rel"] or hit["week"]))
        return True
    if kind == "clock":
        return parts.hour is None and _read_clock(hit, parts)
    if parts.part and parts.hour is None:
        return False
    parts.part = hit["part"]
    return True


def _hour_in_part(parts: _Parts) -> int:
    """The hour on the 24-hour clock, where the part of the day says which."""
    assert parts.hour is not None, "only asked when a clock was read"
    end = _PART_END[parts.part]
    hour = parts.hour
    if end == _NIGHT and parts.part not in ("半夜", "深夜", "午夜"):
        return 24 if hour in (0, 12) else hour + 12 if hour < 12 else hour
    if end == _NIGHT:
        return 24 if hour in (0, 12) else hour + 24 if hour < 6 else hour + 12 if hour < 12 else hour
    if end in (18, 20):
        return hour + 12 if hour < 12 else hour
    if end == 13:
        return hour + 12 if hour < 4 else hour
    return 0 if hour == 12 and end == 6 else hour


def _at(day: date, hour: int, minute: int) -> datetime:
    return datetime.combine(day, _MIDNIGHT) + timedelta(hours=hour, minutes=minute)


def _instant(parts: _Parts, said_at: datetime) -> datetime | None:
    """The last instant that a run of tokens allows."""
    today = said_at.date()
    if parts.due_at is not None and parts.hour is None and not parts.part:
        return parts.due_at
    day = parts.day or (parts.due_at.date() if parts.due_at else None)
    if parts.exclusive and day is not None and parts.hour is None and not parts.part:
        return end_of(day - timedelta(days=1))
    if parts.hour is not None:
        return _clock_instant(parts, day, said_at)
    if parts.part:
        hour = _PART_END[parts.part]
        day_of_part = day or today
        due = end_of(day_of_part) if hour == _NIGHT else _at(day_of_part, hour, 0)
        return due if day is not None or due > said_at else due + timedelta(days=1)
    return end_of(day) if day is not None else None


def _hourly(parts: _Parts, today: date) -> bool:
    """Whether the instant hangs on the hour it is said at: 3小时内, 下午, 今天5点, but not 明天下午."""
    if parts.hourly or (parts.hour is None and not parts.part):
        return parts.hourly
    return parts.day is None or (parts.day == today and not parts.part)


def _clock_instant(parts: _Parts, day: date | None, said_at: datetime) -> datetime:
    """N点 as said; without a part of the day, the reading that lies ahead and in business hours (choice)."""
    assert parts.hour is not None, "only asked when a clock was read"
    today = said_at.date()
    if parts.part:
        due = _at(day or today, _hour_in_part(parts), parts.minute)
        return due if day is not None or due > said_at else due + timedelta(days=1)
    hour = parts.hour
    due = _at(day or today, hour, parts.minute)
    if day is None or day == today:
        afternoon = due + timedelta(hours=12)
        if due <= said_at and 0 < hour < 12 and afternoon > said_at:
            return afternoon
        if day is None and due <= said_at:
            due += timedelta(days=1)
        return due
    # 明天5点 is the afternoon
    return due + timedelta(hours=12) if 1 <= hour <= 6 and not parts.digital else due


def find_deadlines(text: str, said_at: datetime, cues: int) -> list[Deadline]:
    """Every time in a text in the one spelling, in order; adjacent tokens are one time, ranges take the later end.

    Args:
        text: spelled by `promise_spelling.spell`.
        said_at: aware; read in Asia/Shanghai.
        cues: of the text.
    """
    found: list[Deadline] = []
    if not cues & TOKEN.bit:
        return found
    if said_at.tzinfo is not SHANGHAI:
        said_at = said_at.astimezone(SHANGHAI)
    parts: _Parts | None = None
    for hit in TOKEN.finditer(text):
        if parts is not None and text[parts.end : hit.start()] in _JOINS and _take(hit, parts, said_at):
            parts.end = hit.end()
            continue
        if parts is not None:
            _finish(parts, text, said_at, found)
        parts = _Parts(hit.start(), hit.end())
        if not _take(hit, parts, said_at):
            parts = None
    if parts is not None:
        _finish(parts, text, said_at, found)
    return found


def _finish(parts: _Parts, text: str, said_at: datetime, found: list[Deadline]) -> None:
    end = parts.end
    tail = _TAIL.match(text, end) if text[end : end + 1] in _TAIL_OPENINGS else None
    word = tail.group() if tail else ""
    if tail:
        end = tail.end()
    soft = _SOFT.match(text, end) if text[end : end + 1] in _SOFT_OPENINGS else None
    if soft:
        end = soft.end()
    due_at = _instant(parts, said_at)
    if due_at is not None and parts.hour is None and parts.part in _NOON and word.endswith("前"):
        due_at -= timedelta(hours=1)  # 中午前 is before noon, 中午 the hour after it
    open_end = word.endswith("后") and parts.due_at is None
    if open_end and due_at is not None:
        due_at = end_of(due_at.date()) if parts.hour is not None or parts.part else None
    past = parts.past
    hourly = _hourly(parts, said_at.date())
    last = found[-1] if found else None
    if last is not None and not past and text[last.end : parts.start] in _RANGES and last.due_at and due_at:
        chosen = "或" in text[last.end : parts.start] or text[last.end : parts.start] == "还是"  # 明天或后天: left open
        last.soft = last.soft or soft is not None or chosen
        last.end, last.due_at = end, max(last.due_at, due_at)
        last.hourly = last.hourly or hourly
        return
    found.append(
        Deadline(
            parts.start,
            end,
            due_at,
            soft=soft is not None or parts.chosen,
            past=past,
            relative=parts.relative,
            open_end=open_end,
            rolled=parts.day is None and parts.part != "" and due_at is not None and due_at.date() > said_at.date(),
            hourly=hourly,
        )
    )
