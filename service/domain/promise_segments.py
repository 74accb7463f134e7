"""The actions of a clause: each with the words that are about it, its time, its sum and its tone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from service.domain import promise_wording as words
from service.domain.promise_actions import FULL, PARTIAL, PAYS, Act
from service.domain.promise_pattern import Cued
from service.domain.promise_statement import Clause, Statement, within
from service.domain.promise_tone import tone_of

_PARTS: Final = FULL.bit | PARTIAL.bit
_AFTERWARDS: Final = Cued("_AFTERWARDS", r"(?:了|款|货)?(?:之后|以后|后(?!天|续|台|面))")
_FIRST_DONE: Final = re.compile(r"了(?:[给就再才]|马上|立|即|我)")
_LISTED_CHARS_MAX: Final = 1  # choice: 退货、换货 share what is said of them
_BUYER_ADDS: Final = re.compile(r"补差|补[运邮]|补$")
_GOODS: Final = frozenset(("ship", "exchange", "resend"))
_MONEY_ACTIONS: Final = frozenset(("refund", "compensate"))
_CHANGING: Final = words.LATEST.bit | words.CORRECTING.bit


def segments(clause: Clause, acts: Sequence[Act], said_at: datetime) -> list[Statement]:
    """One statement for each action of a clause, each with the words that are about it."""
    text, a, b = clause.text, clause.start, clause.end
    if len(acts) == 1:
        return [_statement(acts[0], acts[0].end, a, b, clause, said_at)]
    merged: list[tuple[Act, int]] = []
    for act in acts:
        last = merged[-1] if merged else None
        beside = last is not None and act.start - last[1] <= 2 and "了" not in text[last[1] : act.start]
        if last is not None and beside and last[0].action == act.action:
            merged[-1] = (last[0], act.end)
        else:
            merged.append((act, act.end))
    statements: list[Statement] = []
    start = a
    for index, (act, act_end) in enumerate(merged):
        following = merged[index + 1][0].start if index + 1 < len(merged) else b
        end = _segment_end(clause, act_end, following) if following < b else b
        statement = _statement(act, act_end, start, end, clause, said_at)
        if index:
            _bear_on(statements[-1], statement, act, clause)
        statements.append(statement)
        start = end
    for first, second in pairwise(statements):
        _carry_on(first, second)
    for second, first in pairwise(reversed(statements)):
        listed = second.verb_start - first.verb_end <= _LISTED_CHARS_MAX
        if listed and first.tone == "unconditional" and second.tone in ("hedged", "conditional", "refused"):
            first.tone = second.tone  # 退货退款换货都可以谈
    return statements


def _statement(act: Act, act_end: int, start: int, end: int, clause: Clause, said_at: datetime) -> Statement:
    """What the words of [start, end) say of an action."""
    statement = Statement(start, end, clause.sentence, "act")
    statement.action, statement.verb = act.action, clause.text[act.start : act_end]
    statement.verb_start, statement.verb_end = act.start, act_end
    _fill(statement, act, act_end, clause)
    statement.tone = tone_of(statement, act, act_end, clause, said_at)
    return statement


def _bear_on(first: Statement, second: Statement, act: Act, clause: Clause) -> None:
    """What the words before an action say of it and of the action before."""
    text, start = clause.text, second.start
    if clause.cues & _AFTERWARDS.bit and _AFTERWARDS.match(
        text, start
    ):  # 补差价5元后发货: the second waits for the first
        first.tone, second.tone = "none", "conditional"
    if _FIRST_DONE.search(text, start - 1, act.start):  # 钱到账了给退
        second.tone = "conditional"
    if first.tone == "refused" and second.tone == "unconditional":  # 不退货补30: for the case that he keeps it
        second.tone = "conditional"
    choice = clause.find(words.CHOICE, start, act.start) is not None
    if choice or (clause.cues & words.TOGETHER.bit and words.TOGETHER.search(text[start : act.start])):
        _join(first, second, choice=choice)


def _carry_on(first: Statement, second: Statement) -> None:
    """估计补您20块明天打过去: what softens the first of a clause softens what follows in the same breath."""
    if first.action == "compensate" and second.action in _GOODS and _BUYER_ADDS.match(first.verb):
        first.tone, second.tone = "none", "conditional"  # 补差价20元今天发
        return
    paid = second.verb.startswith(PAYS)
    if second.tone == "unconditional" and (first.tone in ("hedged", "conditional") or (paid and first.tone == "none")):
        second.tone = first.tone


def _join(first: Statement, second: Statement, *, choice: bool) -> None:
    """Time and tone spread over verbs joined by 并; 或 leaves open which of two is done."""
    if choice:
        first.choice = second.choice = True
        for either in (first, second):
            if either.tone in ("unconditional", "hedged"):
                either.tone = "conditional"
        return
    if second.deadline is None:
        second.deadline = first.deadline
    if second.tone == "unconditional" and first.tone in ("hedged", "conditional", "refused", "none"):
        second.tone = first.tone


def _segment_end(clause: Clause, act_end: int, following: int) -> int:
    """Where the words about an action end: after its own sum and its 不了/了, before the next one's time."""
    end = act_end
    tail = clause.follows(words.UNABLE_TAIL, act_end) or clause.follows(words.FACT_AFTER, act_end)
    if tail and tail.end() <= following:
        end = tail.end()
    for found in within(clause.sums, act_end, following):
        if end <= found.start <= end + 6 and found.end <= following:
            end = found.end
    return end


def _fill(statement: Statement, act: Act, act_end: int, clause: Clause) -> None:
    """Give an action its time and its sum."""
    a, b = statement.start, statement.end
    deadlines = [found for found in within(clause.deadlines, a, b) if not found.past] if clause.deadlines else ()
    if clause.cues & _CHANGING:
        statement.latest = clause.find(words.LATEST, a, b) is not None
        statement.correcting = clause.find(words.CORRECTING, a, b) is not None
    if deadlines:
        before = [found for found in deadlines if found.end <= act_end]
        statement.deadline = before[-1] if before else deadlines[0]
        if statement.latest or statement.correcting:
            statement.deadline = deadlines[-1]
    statement.arrival = statement.verb == "到账"
    if act.action not in _MONEY_ACTIONS:
        return
    if clause.sums:
        sums = within(clause.sums, a, b)
        after = [found for found in sums if found.end > act.start]
        statement.amount = after[0] if after else sums[-1] if sums else None
    if clause.shares and statement.amount is None:
        shares = within(clause.shares, a, b)
        statement.share = shares[-1].hundredths if shares else None
    if clause.cues & _PARTS:
        statement.full = clause.find(FULL, a, b) is not None
        statement.partial = clause.find(PARTIAL, a, b) is not None
        statement.some = statement.partial and "部分" in clause.text[a:b]
