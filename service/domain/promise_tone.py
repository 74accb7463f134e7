"""The tone of an action in its clause: promised, softened, hung on a condition, refused, or no promise at all."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from service.domain import promise_scope as scope
from service.domain import promise_wording as words
from service.domain.promise_actions import Act
from service.domain.promise_pattern import Cued
from service.domain.promise_plain import (
    BLANK,
    CAUSE,
    COMMITTING,
    GOODS,
    OBJECT,
    PARTICLES,
    PLACE,
    WHICH_ONE,
    understood,
)
from service.domain.promise_statement import Clause, Statement, within, without

_LATE_NO: Final = Cued(
    "_LATE_NO",
    r"不行|不可以|做不到|没办法|办不到|来不及|不现实|有困难|不太可能|不可能|(?:就|还是)算了|免谈|免了|没戏|没门|别想",
)
# 补偿20那笔上礼拜五打过去了: the act is the subject of what happened.
_SINCE: Final = Cued(
    "_SINCE",
    r"(?:昨[天日晚]|前天|上个?(?:周|礼拜|星期|月)|刚才?|早就?|已经?)[^,。!?;]{0,6}?(?<![漏少错多])[打转汇付退赔补返给]"
    r"(?:过去|出去|回去|给.{1,2}|完|掉|到账)?了",
)
_POLICY: Final = Cued(
    "_POLICY",
    r"(?:支持|享受|享有|参加|参与).{0,8}(?:无理由|运费险|保价|质保|包退|包换)|无理由|是[0-9一二三两]{1,3}(?:小时|天|个工作日)内|期间[^,。!?;]{0,6}内|[一二三0-9][赔罚][一二两三四五六七八九十0-9]|一律|凡是|所有(?:订单|商品|宝贝|客户)|(?:本店|店铺|我们店)(?:的)?(?:规定|一直|向来|历来|都是)",
)
_NO_HEDGE_BESIDE_A_TIME: Final = frozenset(("优先", "第一时间", "及时"))
_CHECKED: Final = re.compile(r"(?:核实|查|确认)(?:完|好|清楚|一下)?(?:了|就|再|并)?")
_BOOKED: Final = re.compile(r"约(?:好|了|的|在|定)?")
_GOODS_ACTIONS: Final = frozenset(("resend", "exchange", "ship"))
_MONEY_ACTIONS: Final = frozenset(("refund", "compensate"))


_NOT_OWN: Final = (
    words.OTHER_DOER.bit | scope.COMPLAINT.bit | scope.SAID.bit | scope.BUYER_VOICE.bit  # by whom
)
_FACTUAL: Final = (
    _SINCE.bit
    | words.UNDONE.bit
    | words.HAPPENED_TO.bit
    | words.FACT_BEFORE.bit
    | words.FACT_AFTER.bit
    | words.ONGOING.bit
)
_NEGATED: Final = words.DOUBLE_NO.bit | words.REFUSAL.bit | words.UNABLE_TAIL.bit | _LATE_NO.bit
_TURNING: Final = (
    _NOT_OWN | _FACTUAL | _NEGATED | words.ASKING.bit | words.CONDITION.bit | words.BUYER_CONDITION.bit | _POLICY.bit
)
_SOFTENING: Final = (
    words.LOOKING_INTO.bit | words.HEDGE.bit | words.SOFT_END.bit | scope.LITTLE.bit | scope.HARD_DOUBT.bit
)


def tone_of(statement: Statement, act: Act, act_end: int, clause: Clause, said_at: datetime) -> str:
    """What the words about an action make of it; looks only for what the cues of the clause let stand there."""
    a, cues = statement.start, clause.cues
    if not (clause.asked or cues & _TURNING):
        if _is_fact(statement, act, act_end, clause, said_at):
            return "none"
        return "conditional" if _is_then(statement, act, clause) else _firmness(statement, act, act_end, clause)
    if clause.asked or clause.find(words.ASKING, clause.start, clause.end):
        statement.open_asking = clause.find(words.OPEN_ASKING, clause.start, clause.end) is not None
        statement.doubting = not clause.asked and clause.find(scope.DOUBT, clause.start, clause.end) is not None
        return "none"
    if cues & _NOT_OWN and _is_anothers(statement, act, act_end, clause):
        return "none"
    if _is_fact(statement, act, act_end, clause, said_at) or _is_policy(clause):
        return "none"
    refused = False
    if cues & _NEGATED:
        if clause.find(words.DOUBLE_NO, a, act.end):
            return "hedged"
        refused = _is_refused(statement, act, act_end, clause)
    condition = clause.first_of(words.CONDITION, words.BUYER_CONDITION, words.BUYER_NAMED, clause.start, clause.end)
    if refused and (condition is None or condition.start() > act.start):
        return "refused"
    if condition is not None:
        statement.event = clause.find(words.EVENT, clause.start, clause.end) is not None
        return "conditional"
    if _is_then(statement, act, clause):
        return "conditional"
    return _firmness(statement, act, act_end, clause)


def _firmness(statement: Statement, act: Act, act_end: int, clause: Clause) -> str:
    """Of an action of one's own, ahead and not refused: whether it is promised."""
    if _is_hedged(statement, act, clause):
        return "hedged"
    if not _is_plain(statement, act_end, clause):
        statement.unknown = True
        return "hedged"
    if act.action == "reply_later" and statement.deadline is None:
        statement.untimed = True
        return "hedged"  # choice: an answer some time later is no promise
    strings = None
    if not statement.correcting:
        strings = clause.first_of(scope.STRINGS, scope.BUYER_STRINGS, words.BUYER_NAMED, clause.start, act.start)
    if strings is not None and not scope.NO_STRING.search(clause.text, clause.start, act.start):
        return "conditional"
    statement.untimed = not _commits(statement, act, act_end, clause)
    return "none" if statement.untimed else "unconditional"


def _is_anothers(statement: Statement, act: Act, act_end: int, clause: Clause) -> bool:
    """Whether somebody else does it, said it, or wants it."""
    a = statement.start
    doer = clause.find(words.OTHER_DOER, a, act_end)
    if doer is not None and doer.group("straight") is not None and doer.end() != act.start:
        doer = None
    statement.carried = doer is not None and act.action == "pickup"
    if clause.find(scope.COMPLAINT, a, act.start) or clause.find(scope.SAID, a, act.start):
        return True
    if clause.find(scope.BUYER_VOICE, a, statement.end):
        return True
    return doer is not None and not statement.carried


def _is_then(statement: Statement, act: Act, clause: Clause) -> bool:
    """Whether 就 makes the action the consequence of what stands before it: 货没问题就退款."""
    then = clause.text.find("就", statement.start, act.end)
    if then < 0 or clause.text[then - 1] == "这":
        return False
    deadlines = within(clause.deadlines, clause.start, then)
    before = without(clause.text, clause.start, then, [(found.start, found.end) for found in deadlines])
    return words.BEFORE_THEN.fullmatch(before) is None


def _is_plain(statement: Statement, act_end: int, clause: Clause) -> bool:
    """Whether nothing stands about an action that the grammar does not know."""
    a, b, text = statement.start, statement.end, clause.text
    spans = clause.spans(a, b)
    if understood(without(text, a, b, spans, BLANK)):
        return True
    left = without(text, a, b, spans)
    if statement.action in _GOODS_ACTIONS:
        object_named = statement.action != "ship" and OBJECT.fullmatch(text, act_end, b) is not None
        if object_named and understood(without(text, a, act_end, spans, BLANK)):
            return True
        left = GOODS.sub("", left)
    elif statement.action in _MONEY_ACTIONS:
        left = WHICH_ONE.sub("", left)  # 那个坏了的扣子补您8元
    if statement.action == "reply_later":
        left = _CHECKED.sub("", left)
    if statement.action == "pickup":
        left = _BOOKED.sub("", left)  # 约的明天取件
    return understood(PLACE.sub("", CAUSE.sub("", left)))


def _commits(statement: Statement, act: Act, act_end: int, clause: Clause) -> bool:
    """Whether the words say that it will be done, not just what it is called."""
    if statement.deadline is not None or statement.amount is not None or statement.share is not None:
        return True
    a, b = statement.start, statement.end
    if PARTICLES.fullmatch(clause.text, a, act.start) and PARTICLES.fullmatch(clause.text, act_end, b):
        return True
    return COMMITTING.search(clause.text, a, b) is not None


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
    if not clause.cues & _SOFTENING:
        return (deadline is not None and deadline.soft) or (amount is not None and amount.vague)
    if statement.latest and deadline is not None and not deadline.soft and amount is None:
        return clause.find(words.HEDGE, deadline.start, statement.end) is not None
    if (deadline is not None and deadline.soft) or (amount is not None and amount.vague):
        return True
    if clause.find(scope.HARD_DOUBT, clause.start, clause.end):
        return True
    if act.action in _MONEY_ACTIONS and amount is None and clause.find(scope.LITTLE, statement.start, statement.end):
        return True
    answer = act.action == "reply_later" and deadline is not None  # 一小时内核实完回复您
    if not answer and clause.find(words.LOOKING_INTO, statement.start, act.start):
        return True
    hedge = clause.find(words.HEDGE, statement.start, statement.end)
    if hedge is not None and not (statement.latest and hedge.group() in ("最快", "最早")):
        return hedge.group() not in _NO_HEDGE_BESIDE_A_TIME or deadline is None
    if statement.end == clause.end and clause.find(words.SOFT_END, clause.start, clause.end):
        return act.action not in _MONEY_ACTIONS or re.search("可以|能|会", text[clause.start : act.start]) is not None
    return False


def _is_over(statement: Statement, said_at: datetime) -> bool:
    """今天早上6点走的: the time is named and lies behind."""
    due_at = statement.deadline.due_at if statement.deadline is not None else None
    return due_at is not None and due_at <= said_at


_FAR_DAYS: Final = 20  # choice: 14号发的, said on the 15th, is the 14th that was


def _is_far(statement: Statement, said_at: datetime) -> bool:
    due_at = statement.deadline.due_at if statement.deadline is not None else None
    return due_at is not None and (due_at - said_at).days >= _FAR_DAYS


def _is_fact(statement: Statement, act: Act, act_end: int, clause: Clause, said_at: datetime) -> bool:
    """已发货, 昨天退了, 发货了, 正在退款: it happened, or it goes on; nothing is promised."""
    text, a = clause.text, statement.start
    said_so = text.startswith("的", act_end) or text[act_end - 1] == "的"  # 7月6号退的
    over = _is_over(statement, said_at)
    if not (clause.cues & _FACTUAL or said_so or over):
        return False
    later = (
        statement.deadline is not None
        and not statement.deadline.rolled
        and (statement.deadline.due_at is None or statement.deadline.due_at.date() > said_at.date())
    )
    timed = statement.deadline is not None
    if clause.find(words.UNDONE, a, act.start):
        return True
    if not timed and clause.cues & words.HAPPENED_TO.bit and words.HAPPENED_TO.match(text[act_end : statement.end]):
        return True
    if over and (statement.is_of(said_at) or said_so):
        return True
    if clause.find(_SINCE, act_end, clause.end):
        return True
    rolled = statement.deadline is not None and statement.deadline.rolled  # 早上发的, said in the afternoon
    if said_so and rolled and words.FUTURE.search(text, a, act.start) is None:
        return True
    if (
        text.startswith("的", act_end)
        and _is_far(statement, said_at)
        and words.FUTURE.search(text, a, act.start) is None
    ):
        return True
    if not timed and text.startswith("的", act_end) and words.PLACED.search(text, a, act.start):
        return True
    for hit in words.FACT_BEFORE.finditer(text, a, act_end) if clause.cues & words.FACT_BEFORE.bit else ():
        if any(
            d.start < hit.end() and hit.start() < d.end and not d.past for d in within(clause.deadlines, a, act_end)
        ):
            continue
        return not (timed and words.ARRANGED.search(text, a, act_end))
    behind = act_end - (text[act_end - 1] == "了")  # 退了两次: the 了 belongs to the verb
    far = timed and text.startswith("了", behind) and _is_far(statement, said_at)  # 12号就发了, said on the 14th
    if (not later or far) and clause.follows(words.FACT_AFTER, behind) and not (timed and "把" in text[a : act.start]):
        return words.FUTURE.search(text, a, act.start) is None
    return clause.find(words.ONGOING, a, act.start) is not None and not timed
