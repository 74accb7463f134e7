"""The tone of an action in its clause: promised, softened, hung on a condition, refused, or no promise at all."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from service.domain import promise_wording as words
from service.domain.promise_actions import Act
from service.domain.promise_pattern import Cued
from service.domain.promise_statement import Clause, Statement, within, without

_MARKS: Final = re.compile(r"[\W_\x00]")
_BARE_ACT_CHARS_MAX: Final = 2  # choice: 退款吧, 补发哦
_LATE_NO: Final = Cued("以做办及困太现能行", r"不行|不可以|做不到|没办法|办不到|来不及|不现实|有困难|不太可能|不可能")
_MONEY_ACTIONS: Final = frozenset(("refund", "compensate"))
_GOODS_ACTIONS: Final = frozenset(("resend", "exchange", "ship"))


def tone_of(statement: Statement, act: Act, act_end: int, clause: Clause, said_at: datetime) -> str:
    a = statement.start
    if clause.asked or clause.find(words.ASKING, clause.start, clause.end):
        statement.open_asking = clause.find(words.OPEN_ASKING, clause.start, clause.end) is not None
        return "none"
    doer = clause.find(words.OTHER_DOER, a, act_end) if act.action != "pickup" else None
    if doer is not None or _is_fact(statement, act, act_end, clause, said_at) or _is_policy(clause):
        return "none"
    if clause.find(words.DOUBLE_NO, a, act.end):
        return "hedged"
    condition = clause.find(words.CONDITION, clause.start, clause.end)
    refused = _is_refused(statement, act, act_end, clause)
    if refused and (condition is None or condition.start() > act.start):
        return "refused"
    if condition is not None:
        statement.event = clause.find(words.EVENT, clause.start, clause.end) is not None
        return "conditional"
    if _is_then(statement, act, clause):
        return "conditional"
    if _is_hedged(statement, act, clause) or not _is_plain(statement, clause):
        return "hedged"
    if act.action == "reply_later" and statement.deadline is None:
        return "hedged"  # choice: an answer some time later is no promise
    return "unconditional" if _commits(statement, act, act_end, clause) else "none"


def _is_then(statement: Statement, act: Act, clause: Clause) -> bool:
    """Whether 就 makes the action the consequence of what stands before it: 货没问题就退款."""
    then = clause.text.find("就", statement.start, act.end)
    if then < 0:
        return False
    deadlines = within(clause.deadlines, clause.start, then)
    before = without(clause.text, clause.start, then, [(found.start, found.end) for found in deadlines])
    return words.BEFORE_THEN.fullmatch(before) is None


def _is_plain(statement: Statement, clause: Clause) -> bool:
    """Whether nothing stands in the clause that the grammar does not know: the unknown is not confirmed."""
    a, b = statement.start, statement.end
    left = _MARKS.sub("", words.PLAIN.sub("", without(clause.text, a, b, clause.spans(a, b))))
    if left and statement.action in _GOODS_ACTIONS:
        left = _MARKS.sub("", words.PLAIN.sub("", words.GOODS.sub("", without(clause.text, a, b, clause.spans(a, b)))))
    return not left or (len(left) == 1 and words.RISKY.search(left) is None)


def _commits(statement: Statement, act: Act, act_end: int, clause: Clause) -> bool:
    """Whether the words say that it will be done, not just what it is called."""
    if statement.deadline is not None or statement.amount is not None or statement.share is not None:
        return True
    a, b = statement.start, statement.end
    beside = (act.start - a) + (b - act_end)
    return beside <= _BARE_ACT_CHARS_MAX or words.COMMITTING.search(clause.text, a, b) is not None


_POLICY: Final = Cued("享参支由", r"(?:支持|享受|享有|参加|参与).{0,8}(?:无理由|运费险|保价|质保|包退|包换)|无理由退")


def _is_policy(clause: Clause) -> bool:
    """支持七天无理由退货 tells the shop's terms, not what will be done here."""
    return clause.find(_POLICY, clause.start, clause.end) is not None


def _is_refused(statement: Statement, act: Act, act_end: int, clause: Clause) -> bool:
    if clause.find(words.REFUSAL, statement.start, act.end):
        return True
    if clause.follows(words.UNABLE_TAIL, act_end):
        return True
    return clause.find(_LATE_NO, act_end, statement.end) is not None


def _is_hedged(statement: Statement, act: Act, clause: Clause) -> bool:
    text, deadline, amount = clause.text, statement.deadline, statement.amount
    if (deadline is not None and deadline.soft) or (amount is not None and amount.vague):
        return True
    if clause.find(words.LOOKING_INTO, statement.start, act.start):
        return True
    hedge = clause.find(words.HEDGE, statement.start, statement.end)
    if hedge is not None and not (statement.latest and hedge.group() in ("最快", "最早")):
        return hedge.group() != "优先" or deadline is None
    if statement.end == clause.end and clause.find(words.SOFT_END, clause.start, clause.end):
        return act.action not in _MONEY_ACTIONS or re.search("可以|能|会", text[clause.start : act.start]) is not None
    return False


def _is_over(statement: Statement, said_at: datetime) -> bool:
    """今天早上6点走的: the time is named and lies behind."""
    due_at = statement.deadline.due_at if statement.deadline is not None else None
    return due_at is not None and due_at <= said_at


def _is_fact(statement: Statement, act: Act, act_end: int, clause: Clause, said_at: datetime) -> bool:
    """已发货, 昨天退了, 发货了, 正在退款: it happened, or it goes on; nothing is promised."""
    text, a = clause.text, statement.start
    later = statement.deadline is not None and (
        statement.deadline.due_at is None or statement.deadline.due_at.date() > said_at.date()
    )
    timed = statement.deadline is not None
    if clause.find(words.UNDONE, a, act.start):
        return True
    if not timed and clause.cues & words.HAPPENED_TO.bit and words.HAPPENED_TO.match(text[act_end : statement.end]):
        return True
    if text.startswith("的", act_end) and _is_over(statement, said_at):
        return True
    if not timed and text.startswith("的", act_end) and words.PLACED.search(text, a, act.start):
        return True
    for hit in words.FACT_BEFORE.finditer(text, a, act_end) if clause.cues & words.FACT_BEFORE.bit else ():
        if any(
            d.start < hit.end() and hit.start() < d.end and not d.past for d in within(clause.deadlines, a, act_end)
        ):
            continue
        return not (timed and words.ARRANGED.search(text, a, act_end))
    if not later and clause.follows(words.FACT_AFTER, act_end):
        return words.FUTURE.search(text, a, act.start) is None
    return clause.find(words.ONGOING, a, act.start) is not None and not timed
