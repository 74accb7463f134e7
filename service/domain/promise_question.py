"""What the platform's question asks for: the content that a bare yes, a time or a sum takes."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from service.domain.calendar import SHANGHAI
from service.domain.promise_amount import Sum, find_sums
from service.domain.promise_clauses import read
from service.domain.promise_pattern import Cues
from service.domain.promise_scope import PAUSE
from service.domain.promise_spelling import spell
from service.domain.promise_statement import Reading, Statement
from service.domain.promise_time import find_deadlines

_KEPT_MAX: Final = 1024  # choice: a platform asks from few templates
_KEPT_CHARS_MAX: Final = 500  # choice: a longer question is read anew each time
_MIDNIGHT: Final = time(tzinfo=SHANGHAI)


# 如果消费者寄回,能退款吗: whoever says yes has said it for that case only. 消费者说如果… is what somebody threatens.
_CONDITION: Final = re.compile(
    r"(?<![说称示讲])(?:如果|假如|倘若|要是|只要|除非|前提|(?<![相宛似])若(?!干))|情况下"
    r"|的话(?=[,。?能可今明补退换赔您])"
    r"|(?:寄回|退回|寄来|返回|收到(?:退|货|商品|寄)|撤[销诉回]|撤投诉|补拍|拍照|提供|上传|补差)[^,。?]{0,8}后(?!悔)"
)


# 今天发不了是吗: asks whether it will not be done; 能不能退, 买家不想退了 do not.
_DENYING: Final = re.compile(
    r"(?<![能会是可要行同愿退发补赔换寄家户者他她您同])(?:您|你们?|商家|店铺|贵店|店里|您这边)?(?:是)?"
    r"(?:(?<![能会可要愿])(?:不(?:打算|想|愿意?|同意|会|肯|准备|支持|接受|给|予|能)|拒绝|无法|没法|没办法)[^,。!?;]{0,8}[退发补赔换寄取]"
    r"|[退发补赔换寄取](?:款|货|钱)?不(?:了|出|成|到))[^,。!?;]{0,6}(?:[,]?(?:对吗|是吗|是吧|对吧|是不是|对不对|吗|么|吧)[?]?)$"
)


class Ask(NamedTuple):
    """What a question asks to be done; `concrete` if a bare yes answers it."""

    action: str
    due_at: datetime | None
    amount: Sum | None
    share: int | None
    full: bool
    partial: bool
    concrete: bool
    tied: bool = False  # the question itself names a condition
    denied: bool = False  # 您不打算退了,对吗: a yes is a no


def asked_by(question: str, said_at: datetime) -> tuple[Ask, ...]:
    """The things a question asks for: the last asking of each action, completed from the earlier ones.

    Args:
        said_at: aware, in Asia/Shanghai. A question that hangs only on its day is read once for that day.
    """
    kept = _asked_on(question, said_at.date()) if len(question) <= _KEPT_CHARS_MAX else None
    return _asked_at(question, said_at)[0] if kept is None else kept


@lru_cache(maxsize=_KEPT_MAX)
def _asked_on(question: str, day: date) -> tuple[Ask, ...] | None:
    """The same for every hour of a day; None if what is asked hangs on the hour."""
    asks, hourly = _asked_at(question, datetime.combine(day, _MIDNIGHT))
    return None if hourly else asks


def _asked_at(question: str, said_at: datetime) -> tuple[tuple[Ask, ...], bool]:
    """What is asked, and whether a time in it hangs on the hour."""
    text = spell(question).text
    reading = read(text, said_at, acts_only=True)
    asks = _asks(reading)
    hourly = any(deadline.hourly for deadline in reading.deadlines)
    if not asks:
        asks, hourly = _topic(text, said_at)
    if _CONDITION.search(text):
        asks = tuple(ask._replace(tied=True) for ask in asks)
    if _DENYING.search(text):
        asks = tuple(ask._replace(denied=True) for ask in asks)
    return asks, hourly


# What a question is about, where it asks in other words than the grammar of replies knows: 具体发货时间?
_TOPIC: Final = re.compile(
    r"(?P<resend>补发|补寄|重发|重寄)|(?P<exchange>换货|更换|换新|调换|换一?[个件双])|(?P<pickup>上门|取件|揽件)"
    r"|(?P<compensate>补偿|赔偿|赔付|红包|优惠券|补差)|(?P<ship>发货|发出|寄出|出库|揽收|发走|发运)"
    r"|(?P<refund>退款|退钱|退货|退差|差价|退还|打款|全额退)|(?P<reply_later>答复|回复|结果|方案|反馈|回应)"
)
_GRANTING: Final = re.compile(r"吗|么|是否|能否|可否|能不能|可不可以|可以|同意|接受|支持|行不行|行吗|好吗|意见|怎么看")
_PARTLY: Final = re.compile(r"部分|差价|退差|一半")


def _topic(text: str, said_at: datetime) -> tuple[tuple[Ask, ...], bool]:
    """The last thing a question names, with its sum and, if a yes answers it, its time."""
    named = [hit for hit in _TOPIC.finditer(text) if hit.lastgroup != "reply_later"]
    if not named:
        named = list(_TOPIC.finditer(text))
    if not named or not (_ASKED.search(text) or _GRANTING.search(text)):
        return (), False
    action = str(named[-1].lastgroup)
    cues = Cues(text).whole
    deadlines, sums = find_deadlines(text, said_at, cues), find_sums(text, cues)
    partial = action == "refund" and _PARTLY.search(text) is not None
    concrete = _GRANTING.search(text) is not None and action != "reply_later"
    ask = Ask(
        action="partial_refund" if partial else action,
        due_at=deadlines[-1].due_at if deadlines and concrete and not deadlines[-1].past else None,
        amount=sums[-1] if sums and action in ("refund", "compensate") else None,
        share=None,
        full=not partial,
        partial=partial,
        concrete=concrete,
    )
    return (ask,), any(deadline.hourly for deadline in deadlines)


_ASKED: Final = re.compile(r"[?]|什么|何时|几[点号天]|多久|请|哪天|时间")


def _asks(reading: Reading) -> tuple[Ask, ...]:
    asks: dict[str, Ask] = {}
    bare_due = None
    answer_wanted = False
    last: Statement | None = None
    for statement in reading.statements:
        if statement.kind != "act":
            if statement.kind in ("bare", "asking", "proposal", "other") and statement.deadline is not None:
                bare_due = statement.deadline.due_at
            continue
        if statement.tone == "refused":
            continue
        if statement.action == "reply_later" and not statement.deadline:
            answer_wanted = answer_wanted or statement.open_asking  # 什么时候能给答复, not 请回复平台
            continue
        action = action_of(statement.action, statement)
        if action == "ship" and last is not None and not PAUSE.search(reading.text, last.end, statement.start):
            action = last.action if last.action in ("resend", "exchange") else action  # 补发的哪天寄出
        last = statement
        due_at = statement.deadline.due_at if statement.deadline else None
        known = asks.get(action)
        amount = statement.amount or (known.amount if known else None)
        concrete = not statement.open_asking and not statement.choice
        asks[action] = Ask(
            action=action,
            due_at=due_at or (known.due_at if known else None) or bare_due,
            amount=amount,
            share=statement.share or (known.share if known else None),
            full=statement.full,
            partial=statement.partial,
            concrete=concrete or (known.concrete if known else False),
        )
        bare_due = None
    if answer_wanted and not asks:
        asks["reply_later"] = Ask("reply_later", bare_due, None, None, full=False, partial=False, concrete=False)
    return tuple(asks.values())


class _Fields(Protocol):
    """What of a statement or a promise tells a part from the whole."""

    @property
    def full(self) -> bool: ...
    @property
    def partial(self) -> bool: ...
    @property
    def amount(self) -> Sum | None: ...
    @property
    def share(self) -> int | None: ...


def action_of(action: str, fields: _Fields) -> str:
    """A refund of a stated part is a partial refund."""
    if action == "refund" and not fields.full and (fields.amount or fields.share or fields.partial):
        return "partial_refund"
    return action
