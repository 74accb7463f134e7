"""The looks ahead and the letters that rule patterns out: they never rule out a match, and no hour changes a day."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from re import _constants as ops
from re import _parser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain import promise_actions, promise_asides, promise_scope, promise_spelling, promise_time
from service.domain.calendar import SHANGHAI
from service.domain.promise_cues import CUES
from service.domain.promise_pattern import Cued, Cues
from service.domain.promise_question import _asked_at, asked_by
from tests.promise_cues import TEXT_WIDE, WRITTEN, patterns, runs_of, written

CUED = [pytest.param(pattern, id=name) for name, pattern in patterns().items()]
GATED = [case for case in CUED if case.values[0].pattern.startswith("(?=[")]
LED = [
    pytest.param(pattern, id=name)
    for module in (promise_scope, promise_asides)
    for name, pattern in vars(module).items()
    if isinstance(pattern, re.Pattern) and pattern.pattern.startswith("(?=[")
]
REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)
ANY = "\U0010ffff"


def chars_of(charset: list[tuple[Any, Any]]) -> set[str]:
    """The characters of a set; `ANY` for one that names what it leaves out."""
    chars: set[str] = set()
    for op, value in charset:
        if op is ops.LITERAL:
            chars.add(chr(value))
        elif op is ops.RANGE and value[1] - value[0] < 128:
            chars |= {chr(code) for code in range(value[0], value[1] + 1)}
        else:
            return {ANY}
    return chars


def always_holds(parsed: Any, cues: list[str], *, ahead_too: bool) -> bool:
    """Whether every match of a parsed pattern holds a cue, counting what it asks to follow only if `ahead_too`."""
    runs = [run for run in runs_of(parsed) if run]
    if any(all(any(cue in word for cue in cues) for word in run) for run in runs):
        return True
    return any(item_holds(op, value, cues, ahead_too=ahead_too) for op, value in parsed)


def item_holds(op: Any, value: Any, cues: list[str], *, ahead_too: bool) -> bool:
    if op is ops.BRANCH:
        return all(always_holds(each, cues, ahead_too=ahead_too) for each in value[1])
    if op is ops.SUBPATTERN:
        return always_holds(value[3], cues, ahead_too=ahead_too)
    if op is ops.ASSERT and value[0] == 1:
        return ahead_too and always_holds(value[1], cues, ahead_too=ahead_too)
    return op in REPEATS and value[0] > 0 and always_holds(value[2], cues, ahead_too=ahead_too)


def joined(before: set[str], after: set[str]) -> set[str]:
    return {one if len(one) == 2 else (one + two)[:2] for one in before for two in after}


def openings(parsed: Any) -> set[str]:
    """The first two characters of all that a parsed pattern can match, with what it asks to follow."""
    found = {""}
    for op, value in parsed:
        if op is ops.ASSERT and value[0] == 1:
            return joined(found, openings(value[1]))
        if op in (ops.ASSERT, ops.ASSERT_NOT, ops.AT):
            continue
        found = joined(found, item_openings(op, value))
    return found


def item_openings(op: Any, value: Any) -> set[str]:
    if op is ops.LITERAL:
        return {chr(value)}
    if op is ops.IN:
        return chars_of(value)
    if op is ops.BRANCH:
        return set().union(*(openings(each) for each in value[1]))
    if op is ops.SUBPATTERN:
        return openings(value[3])
    if op in REPEATS:
        once = openings(value[2])
        more = once | joined(once, once)
        return more | {""} if value[0] == 0 else more
    assert op in (ops.ANY, ops.NOT_LITERAL), op
    return {ANY}


def ruled_out(look: str, pattern: str, flags: int) -> list[str]:
    """The openings of a pattern that a look ahead in front of it does not let pass."""
    passes = re.compile(look, flags)
    every = openings(_parser.parse(pattern, flags))
    return [each for each in every if not passes.match(each.replace(ANY, "\x01") + "\x01\x01"[len(each) :])]


@pytest.mark.parametrize("pattern", CUED)
def test_every_match_holds_one_of_the_cues_of_its_pattern(pattern: Cued) -> None:
    """Proved from the parsed pattern, not from examples."""
    parsed = _parser.parse(pattern.pattern, pattern.flags)

    assert always_holds(parsed, CUES[pattern.name].split(), ahead_too=pattern.name in TEXT_WIDE)


def test_the_cues_are_what_their_writer_writes() -> None:
    """A changed pattern needs `python -m tests.promise_cues`."""
    assert WRITTEN.read_text(encoding="utf-8") == written()


@given(st.text(alphabet="发退今明天货款给您不能会先等如果就了的吗,。1点元\x00"))
def test_a_text_without_the_cue_of_a_pattern_holds_no_match(text: str) -> None:
    """What `Cues` leaves out would not have been found."""
    found = Cues(text).whole

    missed = [name for name, pattern in patterns().items() if not found & pattern.bit and pattern.search(text)]
    assert missed == []


@pytest.mark.parametrize("pattern", [*GATED, *LED])
def test_no_opening_of_a_pattern_is_ruled_out_by_the_look_ahead_of_it(pattern: Cued | re.Pattern[str]) -> None:
    """Proved from the parsed pattern, not from examples."""
    look, _, behind = pattern.pattern.partition(")(?:")

    assert ruled_out(look + ")", "(?:" + behind, pattern.flags) == []


@pytest.mark.parametrize(
    ("look", "pattern"),
    [
        (promise_time._DATE_AHEAD, promise_time._DATE),
        (promise_time._SPAN_AHEAD, promise_time._SPAN),
        *((f"(?=[{first}])", promise_actions._VERBS[name]) for name, first in promise_actions._FIRST.items()),
    ],
)
def test_no_opening_of_a_branch_is_ruled_out_by_the_look_ahead_of_it(look: str, pattern: str) -> None:
    """Proved from the parsed pattern, not from examples."""
    assert ruled_out(look, pattern, re.VERBOSE) == []


@given(st.text() | st.text(alphabet="發貨,１Ａ①\u200b５𝟗今 天"))
def test_folding_what_is_foreign_is_folding_every_character(text: str) -> None:
    """The one spelling does not hang on which way a text is folded."""
    folded = promise_spelling._FOREIGN.sub(promise_spelling._form, text)

    rare = promise_spelling._RARE.search(text) is not None
    assert rare or folded == text.translate(promise_spelling._TABLE)


PIECES = st.sampled_from(
    [
        "今天",
        "明天",
        "后天",
        "18点前",
        "下午3点",
        "5点前",
        "24小时内",
        "半天内",
        "三天内",
        "晚上",
        "今晚",
        "明早",
        "5号",
        "周五前",
        "12:30",
        "下班前",
        "3天后下午",
        "至后天",
        "两个工作日",
        "昨天",
        "3点以后",
        "能",
        "可以",
        "发货",
        "退款20元",
        "补发",
        "换货",
        "给答复",
        "上门取件",
        "吗?",
        ",",
        "。",
        "客户要求",
        "是否",
        "或者",
    ]
)


@settings(max_examples=300)
@given(st.lists(PIECES, min_size=1, max_size=6).map("".join), st.times(), st.times())
def test_a_question_asks_the_same_whether_or_not_it_was_read_earlier_that_day(
    question: str, earlier: time, later: time
) -> None:
    """What is kept of a question for a day never hangs on the hour."""
    day = date(2025, 11, 25)
    instants = [datetime.combine(day, each, SHANGHAI) for each in (earlier, later)]

    asked = [asked_by(question, instant) for instant in instants]

    assert asked == [_asked_at(question, instant)[0] for instant in instants]
    later_day = instants[0] + timedelta(days=1)
    assert asked_by(question, later_day) == _asked_at(question, later_day)[0]
