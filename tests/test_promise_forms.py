"""Every form of time and of sum that promises.md section 2 names, one by one, with the colloquial ones beside it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.calendar import SHANGHAI
from service.domain.canonical import canonical
from service.domain.promise_amount import chinese_number
from service.domain.promise_text import Extracted, OrderFacts, extract, extract_in_turn, leading

TUESDAY = datetime(2025, 11, 25, 10, 0, tzinfo=SHANGHAI)
BEFORE_NEW_YEAR = datetime(2025, 12, 30, 15, 0, tzinfo=SHANGHAI)  # 1 to 3 January off, Sunday the 4th is worked
BEFORE_NATIONAL_DAY = datetime(2025, 9, 29, 15, 0, tzinfo=SHANGHAI)  # 1 to 8 October off, Saturday the 11th worked

TIMES = [
    # 今天/今晚 23:59:59
    ("今天", "2025-11-25T23:59:59"),
    ("今日", "2025-11-25T23:59:59"),
    ("今儿", "2025-11-25T23:59:59"),
    ("今晚", "2025-11-25T23:59:59"),
    ("今天晚上", "2025-11-25T23:59:59"),
    ("今天之内", "2025-11-25T23:59:59"),
    ("今天内", "2025-11-25T23:59:59"),
    ("当天", "2025-11-25T23:59:59"),
    # N点前 = N:00
    ("今天18点前", "2025-11-25T18:00:00"),
    ("18点前", "2025-11-25T18:00:00"),
    ("下午六点前", "2025-11-25T18:00:00"),
    ("今天下午3点之前", "2025-11-25T15:00:00"),
    ("今晚8点前", "2025-11-25T20:00:00"),
    ("晚上八点半前", "2025-11-25T20:30:00"),
    ("晚8点前", "2025-11-25T20:00:00"),
    ("今天17:30前", "2025-11-25T17:30:00"),
    ("17：30前", "2025-11-25T17:30:00"),
    ("今天５点前", "2025-11-25T17:00:00"),
    ("下午两点一刻前", "2025-11-25T14:15:00"),
    ("下午三点四十前", "2025-11-25T15:40:00"),
    ("明天10点前", "2025-11-26T10:00:00"),
    ("明早9点前", "2025-11-26T09:00:00"),
    ("早8点前", "2025-11-26T08:00:00"),
    ("明天下午四点前", "2025-11-26T16:00:00"),
    # 上午/明早 12:00; 下午 18:00; 凌晨 06:00
    ("今天上午", "2025-11-25T12:00:00"),
    ("明早", "2025-11-26T12:00:00"),
    ("明天上午", "2025-11-26T12:00:00"),
    ("明天早上", "2025-11-26T12:00:00"),
    ("今天下午", "2025-11-25T18:00:00"),
    ("明天下午", "2025-11-26T18:00:00"),
    ("明天凌晨", "2025-11-26T06:00:00"),
    ("明天中午", "2025-11-26T13:00:00"),
    ("明晚", "2025-11-26T23:59:59"),
    # N小时内 = +N h
    ("2小时内", "2025-11-25T12:00:00"),
    ("两小时内", "2025-11-25T12:00:00"),
    ("两个小时之内", "2025-11-25T12:00:00"),
    ("俩小时内", "2025-11-25T12:00:00"),
    ("半小时内", "2025-11-25T10:30:00"),
    ("半个小时内", "2025-11-25T10:30:00"),
    ("一个半小时内", "2025-11-25T11:30:00"),
    ("30分钟内", "2025-11-25T10:30:00"),
    ("十五分钟内", "2025-11-25T10:15:00"),
    ("24小时内", "2025-11-26T10:00:00"),
    ("二十四小时内", "2025-11-26T10:00:00"),
    ("48h内", "2025-11-27T10:00:00"),
    ("72小时以内", "2025-11-28T10:00:00"),
    ("三个钟头内", "2025-11-25T13:00:00"),
    # N天内 = end of day +N
    ("1天内", "2025-11-26T23:59:59"),
    ("一天内", "2025-11-26T23:59:59"),
    ("两天内", "2025-11-27T23:59:59"),
    ("3天内", "2025-11-28T23:59:59"),
    ("三天之内", "2025-11-28T23:59:59"),
    ("3日内", "2025-11-28T23:59:59"),
    ("七天内", "2025-12-02T23:59:59"),
    ("一周内", "2025-12-02T23:59:59"),
    ("一个星期内", "2025-12-02T23:59:59"),
    ("十五天内", "2025-12-10T23:59:59"),
    # N个工作日, counted from the next working day
    ("1个工作日内", "2025-11-26T23:59:59"),
    ("三个工作日内", "2025-11-28T23:59:59"),
    ("5个工作日内", "2025-12-02T23:59:59"),
    ("3-5个工作日内", "2025-12-02T23:59:59"),
    # ranges take the later end
    ("2-3天内", "2025-11-28T23:59:59"),
    ("两三天内", "2025-11-28T23:59:59"),
    ("三到五天内", "2025-11-30T23:59:59"),
    ("明后天", "2025-11-27T23:59:59"),
    ("今明两天内", "2025-11-26T23:59:59"),
    ("28-30号", "2025-11-30T23:59:59"),
    ("周四到周五", "2025-11-28T23:59:59"),
    ("下午3点到5点", "2025-11-25T17:00:00"),
    # X日前 inclusive
    ("28日前", "2025-11-28T23:59:59"),
    ("28号之前", "2025-11-28T23:59:59"),
    ("11月28日前", "2025-11-28T23:59:59"),
    ("周五前", "2025-11-28T23:59:59"),
    ("明天之前", "2025-11-26T23:59:59"),
    # 月底前, 本周五, 下周一, 11.28, 二十五号
    ("月底前", "2025-11-30T23:59:59"),
    ("本月底", "2025-11-30T23:59:59"),
    ("这个月底之前", "2025-11-30T23:59:59"),
    ("12月底前", "2025-12-31T23:59:59"),
    ("下月初", "2025-12-05T23:59:59"),
    ("年底前", "2025-12-31T23:59:59"),
    ("本周五", "2025-11-28T23:59:59"),
    ("这周五", "2025-11-28T23:59:59"),
    ("周五", "2025-11-28T23:59:59"),
    ("星期五", "2025-11-28T23:59:59"),
    ("礼拜五", "2025-11-28T23:59:59"),
    ("周日", "2025-11-30T23:59:59"),
    ("本周内", "2025-11-30T23:59:59"),
    ("下周一", "2025-12-01T23:59:59"),
    ("下星期三", "2025-12-03T23:59:59"),
    ("下周内", "2025-12-07T23:59:59"),
    ("下下周一", "2025-12-08T23:59:59"),
    ("11.28", "2025-11-28T23:59:59"),
    ("11/28", "2025-11-28T23:59:59"),
    ("11月28", "2025-11-28T23:59:59"),
    ("11月28号", "2025-11-28T23:59:59"),
    ("十一月二十八号", "2025-11-28T23:59:59"),
    ("2025年12月1日", "2025-12-01T23:59:59"),
    ("2025-12-01", "2025-12-01T23:59:59"),
    ("二十五号", "2025-11-25T23:59:59"),
    ("三十号", "2025-11-30T23:59:59"),
    ("３０号", "2025-11-30T23:59:59"),
    ("5号", "2025-12-05T23:59:59"),
    ("下月5号", "2025-12-05T23:59:59"),
    ("1月5日", "2026-01-05T23:59:59"),
    ("明天", "2025-11-26T23:59:59"),
    ("明儿", "2025-11-26T23:59:59"),
    ("后天", "2025-11-27T23:59:59"),
    ("大后天", "2025-11-28T23:59:59"),
    ("最晚明天", "2025-11-26T23:59:59"),
    ("最迟后天", "2025-11-27T23:59:59"),
    ("不晚于周五", "2025-11-28T23:59:59"),
    ("双十二前", "2025-12-11T23:59:59"),
    ("元旦前", "2025-12-31T23:59:59"),
]


def led(reply: str, said_at: datetime = TUESDAY, order: OrderFacts | None = None) -> Extracted:
    """The leading promise of a reply that has one."""
    found = leading(extract(reply, None, said_at, order))
    assert found is not None, reply
    return found


@pytest.mark.parametrize(("form", "due"), TIMES)
def test_a_form_of_time_is_its_last_instant(form: str, due: str) -> None:
    """promises.md section 2, due."""
    found = led(f"{form}发货")

    assert (found.wording, found.action) == ("unconditional", "ship")
    assert found.due_at == datetime.fromisoformat(due).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(("form", "due"), TIMES)
def test_a_bare_time_answers_when_as_it_would_before_the_verb(form: str, due: str) -> None:
    """promises.md section 2: an answer takes action, amount and time from the question."""
    found = leading(extract(form, "请问这单什么时候可以发货?", TUESDAY))

    assert found is not None
    assert (found.wording, found.action) == ("unconditional", "ship")
    assert found.due_at == datetime.fromisoformat(due).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("said_at", "form", "due"),
    [
        (BEFORE_NEW_YEAR, "1个工作日内", "2025-12-31T23:59:59"),
        (BEFORE_NEW_YEAR, "2个工作日内", "2026-01-04T23:59:59"),
        (BEFORE_NEW_YEAR, "三个工作日内", "2026-01-05T23:59:59"),
        (BEFORE_NATIONAL_DAY, "两个工作日内", "2025-10-09T23:59:59"),
        (BEFORE_NATIONAL_DAY, "四个工作日内", "2025-10-11T23:59:59"),
        (BEFORE_NATIONAL_DAY, "国庆前", "2025-09-30T23:59:59"),
    ],
)
def test_working_days_skip_the_holidays_and_count_the_days_worked_instead(
    said_at: datetime, form: str, due: str
) -> None:
    """promises.md section 2: N个工作日 counted from the next working day (holiday calendar)."""
    found = led(f"{form}发货", said_at)

    assert found.due_at == datetime.fromisoformat(due).replace(tzinfo=SHANGHAI)


SUMS = [
    ("50元", 5000, None),
    ("50块", 5000, None),
    ("50块钱", 5000, None),
    ("5块钱", 500, None),
    ("¥50", 5000, None),
    ("￥50.5", 5050, None),
    ("50.50元", 5050, None),
    ("５０元", 5000, None),
    ("⑤元", 500, None),
    ("⑮元", 1500, None),
    ("𝟱𝟬元", 5000, None),
    ("1,280元", 128_000, None),
    ("50rmb", 5000, None),
    ("五十块", 5000, None),
    ("五十元", 5000, None),
    ("伍拾元", 5000, None),
    ("壹佰元整", 10_000, None),
    ("十块", 1000, None),
    ("十五块", 1500, None),
    ("二十三块", 2300, None),
    ("一百块", 10_000, None),
    ("一百零五块", 10_500, None),
    ("一百二", 12_000, None),
    ("两百三", 23_000, None),
    ("两百五", 25_000, None),
    ("二百五十块", 25_000, None),
    ("三百六十五元", 36_500, None),
    ("一千二", 120_000, None),
    ("三千五", 350_000, None),
    ("一千零五十元", 105_000, None),
    ("一万二", 1_200_000, None),
    ("1.5万", 1_500_000, None),
    ("2万元", 2_000_000, None),
    ("1k", 100_000, None),
    ("十五块五", 1550, None),
    ("八块八", 880, None),
    ("8块8", 880, None),
    ("3块5", 350, None),
    ("三块五毛", 350, None),
    ("5毛", 50, None),
    ("五毛", 50, None),
    ("五毛钱", 50, None),
    ("5角", 50, None),
    ("50分钱", 50, None),
    ("三五十块", 3000, 5000),
    ("三四十块", 3000, 4000),
    ("20-30元", 2000, 3000),
    ("20到30元", 2000, 3000),
    ("20元到30元", 2000, 3000),
    ("二十到三十块", 2000, 3000),
]


@pytest.mark.parametrize(("form", "low", "high"), SUMS)
def test_a_form_of_sum_is_its_fen_and_of_a_range_both_ends(form: str, low: int, high: int | None) -> None:
    """promises.md section 2, amounts; section 1: of a range the lower end is promised."""
    found = led(f"给客户补偿{form}")

    assert (found.wording, found.action) == ("unconditional", "compensate")
    assert (found.amount_fen, found.amount_max_fen) == (low, high)


@pytest.mark.parametrize(
    "form",
    [
        "百八十",
        "百八十块",
        "十来块",
        "十几块",
        "几十块",
        "一百多",
        "五十左右",
        "十块八块",
        "一点钱",
        "点小钱",
        "些补偿",
    ],
)
def test_a_sum_left_open_is_no_promise_of_a_sum(form: str) -> None:
    """promises.md section 2: hedged is softened."""
    found = leading(extract(f"补偿客户{form}", "客户要求补偿30元,请问同意吗?", TUESDAY))

    assert found is None or (found.wording != "unconditional")


@pytest.mark.parametrize(
    ("reply", "fen"),
    [
        ("每件退5元", 1500),
        ("一件退5块", 1500),
        ("每件给客户退五块", 1500),
        ("5元/件退给客户", 1500),
        ("退一半", 6400),
        ("退50%", 6400),
        ("退百分之三十", 3840),
        ("退30％", 3840),
        ("退三成", 3840),
        ("全额退款", 12_800),
    ],
)
def test_a_sum_per_piece_or_a_share_is_computed_from_the_order_line(reply: str, fen: int) -> None:
    """Issue 4, item 1: 每件退5元 with the quantity of the order line; 退一半, 退30% of what was paid."""
    found = led(reply, order=OrderFacts(quantity=3, paid_fen=12_800, refundable_fen=12_800))

    assert (found.wording, found.amount_fen) == ("unconditional", fen)


@pytest.mark.parametrize("reply", ["打八折退", "按八折退", "按八折退差价", "八折处理"])
def test_a_discount_names_no_sum_to_pay_back(reply: str) -> None:
    """八折 is 80 % of a price, and which price it does not say."""
    found = leading(extract(reply, "请问差价怎么处理?", TUESDAY))

    assert found is None or found.wording != "unconditional" or found.amount_fen is None


_DIGITS = "零一二三四五六七八九"


def spoken(number: int) -> str:
    """A whole number below 100,000 in Chinese, fully said: 105 → 一百零五."""
    units, text, zero = ((10_000, "万"), (1000, "千"), (100, "百"), (10, "十"), (1, "")), "", False
    for size, unit in units:
        digit, number = divmod(number, size)
        if digit:
            text += ("零" if zero and text else "") + _DIGITS[digit] + unit
            zero = False
        else:
            zero = True
    return text or "零"


@settings(deadline=None)
@given(st.integers(1, 99_999))
def test_a_number_said_in_full_comes_back(number: int) -> None:
    """Whatever is spelled out is read as what it is."""
    assert chinese_number(spoken(number)) == number


@given(st.integers(2, 9), st.sampled_from([("百", 100), ("千", 1000), ("万", 10_000)]), st.integers(1, 9))
def test_a_digit_behind_a_large_unit_is_of_the_next_lower_one(digit: int, unit: tuple[str, int], last: int) -> None:
    """promises.md section 2: 两百三 = 230, not 203."""
    assert chinese_number(f"{_DIGITS[digit]}{unit[0]}{_DIGITS[last]}") == digit * unit[1] + last * unit[1] // 10


@settings(deadline=None)
@given(st.integers(1, 9_999_99))
def test_a_sum_in_figures_comes_back_to_the_fen(fen: int) -> None:
    """Integer fen, never a float."""
    assert led(f"给客户补偿{fen // 100}.{fen % 100:02d}元").amount_fen == fen


@settings(deadline=None)
@given(
    st.sampled_from(["ship", "refund", "partial_refund", "exchange", "resend", "compensate", "pickup", "reply_later"]),
    st.none() | st.integers(1, 10**10),
    st.none() | st.integers(1_577_836_800, 3_786_912_000).map(lambda second: datetime.fromtimestamp(second, SHANGHAI)),
    st.sampled_from([UTC, SHANGHAI, timezone(timedelta(hours=-5))]),
)
def test_the_canonical_text_says_the_fields_and_nothing_else(
    action: str, fen: int | None, due: datetime | None, zone: tzinfo
) -> None:
    """Issue 4, item 2: from the fields alone, stable, hashed; the zone a time is written in changes nothing."""
    moved = due.astimezone(zone) if due is not None else None

    said, again = canonical(action, fen, None, due), canonical(action, fen, None, moved)

    assert said == again
    assert said.sha256_hex == hashlib.sha256(f"{said.zh}\n{said.en}".encode()).hexdigest()
    assert (f"{(fen or 0) // 100}.{(fen or 0) % 100:02d}" in said.zh) == (fen is not None)
    assert (str(due.year) in said.zh) if due is not None else ("北京时间" not in said.zh)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["ship", "refund", "compensate"]), st.integers(1, 10**6)), unique=True))
def test_other_fields_have_another_canonical_text(fields: list[tuple[str, int]]) -> None:
    """What is confirmed by its hash is one promise and no other."""
    hashes = {canonical(action, fen, None, None).sha256_hex for action, fen in fields}

    assert len(hashes) == len(fields)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("今天给您发货", "我们今天把货发出哈"),
        ("明天退您50元", "給您退伍拾元,明日"),
        ("补偿20块", "我们愿意给客户补偿二十元"),
    ],
)
def test_the_same_promise_in_other_words_has_the_same_canonical_text(one: str, other: str) -> None:
    """Issue 4, item 2: made from the fields only."""
    assert led(one).canonical == led(other).canonical


ASKED = "商家您好,用户希望今天能够发货,请问今天是否可以发货?"


@pytest.mark.parametrize(
    ("before", "text", "action", "due", "fen"),
    [
        ("明天", "发货", "ship", "2025-11-26T23:59:59", None),
        ("发货", "明天", "ship", "2025-11-26T23:59:59", None),
        ("亲，明天哈", "给他发", "ship", "2025-11-26T23:59:59", None),
        ("下午5点前", "我们给客户发货", "ship", "2025-11-25T17:00:00", None),
        ("给客户退款", "50元", "partial_refund", None, 5000),
        ("50块", "退给他", "partial_refund", None, 5000),
    ],
)
def test_a_promise_over_two_messages_is_one(
    before: str, text: str, action: str, due: str | None, fen: int | None
) -> None:
    """Edge case 32: one promise over two messages; not the day that the question named."""
    found = leading(extract_in_turn(before, text, ASKED if action == "ship" else None, TUESDAY))

    assert found is not None
    assert (found.wording, found.action, found.amount_fen) == ("unconditional", action, fen)
    assert found.due_at == (datetime.fromisoformat(due).replace(tzinfo=SHANGHAI) if due else None)
    assert 0 <= found.start < found.end <= len(text)


@pytest.mark.parametrize(("before", "text"), [("我问下仓库", "今天发"), ("今天发", "谢谢"), ("在的", "明天发货")])
def test_two_messages_of_their_own_are_read_by_themselves(before: str, text: str) -> None:
    """What was said before neither ties nor repeats what is said now."""
    assert extract_in_turn(before, text, None, TUESDAY) == extract(text, None, TUESDAY)
