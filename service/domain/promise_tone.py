"""The tone of an action in its clause: promised, softened, hung on a condition, refused, or no promise at all."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from service.domain import promise_wording as words
from service.domain.promise_actions import Act
from service.domain.promise_statement import Clause, Reading, Statement, within, without

_MARKS: Final = re.compile(r"[\W_\x00]")
_BARE_ACT_CHARS_MAX: Final = 2  # choice: 退款吧, 补发哦
_LATE_NO: Final = re.compile(r"不行|不可以|做不到|没办法|办不到|来不及|不现实|有困难|不太可能|不可能")
_MONEY_ACTIONS: Final = frozenset(("refund", "compensate"))


def tone_of(statement: Statement, act: Act, act_end: int, reading: Reading, clause: Clause, said_at: datetime) -> str:
    text, a = reading.text, statement.start
    if clause.asked or reading.find(words.ASKING, clause.start, clause.end):
        statement.open_asking = words.OPEN_ASKING.search(text, clause.start, clause.end) is not None
        return "none"
    doer = reading.find(words.OTHER_DOER, a, act_end) if act.action != "pickup" else None
    if doer is not None or _is_fact(statement, act, act_end, reading, said_at) or _is_policy(reading, clause):
        return "none"
    if reading.find(words.DOUBLE_NO, a, act.end):
        return "hedged"
    condition = reading.find(words.CONDITION, clause.start, clause.end)
    refused = _is_refused(statement, act, act_end, reading)
    if refused and (condition is None or condition.start() > act.start):
        return "refused"
    if condition is not None:
        statement.event = reading.find(words.EVENT, clause.start, clause.end) is not None
        return "conditional"
    if _is_then(statement, act, clause, reading):
        return "conditional"
    if _is_hedged(statement, act, reading, clause) or not _is_plain(statement, reading):
        return "hedged"
    if act.action == "reply_later" and statement.deadline is None:
        return "hedged"  # choice: an answer some time later is no promise
    return "unconditional" if _commits(statement, act, act_end, reading) else "none"


def _is_then(statement: Statement, act: Act, clause: Clause, reading: Reading) -> bool:
    """Whether 就 makes the action the consequence of what stands before it: 货没问题就退款."""
    then = reading.text.find("就", statement.start, act.end)
    if then < 0:
        return False
    deadlines = within(reading.deadlines, clause.start, then)
    before = without(reading.text, clause.start, then, [(found.start, found.end) for found in deadlines])
    return words.BEFORE_THEN.fullmatch(before) is None


def _is_plain(statement: Statement, reading: Reading) -> bool:
    """Whether nothing stands in the clause that the grammar does not know: the unknown is not confirmed."""
    a, b = statement.start, statement.end
    spans = [(found.start, found.end) for found in within(reading.deadlines, a, b)]
    spans += [(found.start, found.end) for found in within(reading.sums, a, b)]
    spans += [(found.start, found.end) for found in within(reading.shares, a, b)]
    spans += [(max(a, found.start), found.end) for found in within(reading.acts, a, b)]
    left = _MARKS.sub("", words.PLAIN.sub("", without(reading.text, a, b, spans)))
    return not left or (len(left) == 1 and words.RISKY.search(left) is None)


def _commits(statement: Statement, act: Act, act_end: int, reading: Reading) -> bool:
    """Whether the words say that it will be done, not just what it is called."""
    if statement.deadline is not None or statement.amount is not None or statement.share is not None:
        return True
    a, b = statement.start, statement.end
    beside = (act.start - a) + (b - act_end)
    return beside <= _BARE_ACT_CHARS_MAX or words.COMMITTING.search(reading.text, a, b) is not None


_POLICY: Final = re.compile(r"(?:支持|享受|享有|参加|参与).{0,8}(?:无理由|运费险|保价|质保|包退|包换)|无理由退")


def _is_policy(reading: Reading, clause: Clause) -> bool:
    """支持七天无理由退货 tells the shop's terms, not what will be done here."""
    return reading.find(_POLICY, clause.start, clause.end) is not None


def _is_refused(statement: Statement, act: Act, act_end: int, reading: Reading) -> bool:
    if reading.find(words.REFUSAL, statement.start, act.end):
        return True
    if words.UNABLE_TAIL.match(reading.text, act_end):
        return True
    return reading.find(_LATE_NO, act_end, statement.end) is not None


def _is_hedged(statement: Statement, act: Act, reading: Reading, clause: Clause) -> bool:
    text, deadline, amount = reading.text, statement.deadline, statement.amount
    if (deadline is not None and deadline.soft) or (amount is not None and amount.vague):
        return True
    if reading.find(words.LOOKING_INTO, statement.start, act.start):
        return True
    hedge = reading.find(words.HEDGE, statement.start, statement.end)
    if hedge is not None and not (statement.latest and hedge.group() in ("最快", "最早")):
        return True
    if words.SOFT_END.search(text, clause.start, clause.end) and statement.end == clause.end:
        return act.action not in _MONEY_ACTIONS or re.search("可以|能|会", text[clause.start : act.start]) is not None
    return False


def _is_fact(statement: Statement, act: Act, act_end: int, reading: Reading, said_at: datetime) -> bool:
    """已发货, 昨天退了, 发货了, 正在退款: it happened, or it goes on; nothing is promised."""
    text, a = reading.text, statement.start
    later = statement.deadline is not None and (
        statement.deadline.due_at is None or statement.deadline.due_at.date() > said_at.date()
    )
    timed = statement.deadline is not None
    if words.UNDONE.search(text, a, act.start):
        return True
    if not timed and words.HAPPENED_TO.match(text[act_end : statement.end]):
        return True
    if not timed and text.startswith("的", act_end) and words.PLACED.search(text, a, act.start):
        return True
    for hit in words.FACT_BEFORE.finditer(text, a, act_end):
        if any(
            d.start < hit.end() and hit.start() < d.end and not d.past for d in within(reading.deadlines, a, act_end)
        ):
            continue
        return not (timed and words.ARRANGED.search(text, a, act_end))
    if words.FACT_AFTER.match(text, act_end) and not later:
        return words.FUTURE.search(text, a, act.start) is None
    return reading.find(words.ONGOING, a, act.start) is not None and not timed
