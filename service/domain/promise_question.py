"""What the platform's question asks for: the content that a bare yes, a time or a sum takes."""

from __future__ import annotations

from datetime import date, datetime, time
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from service.domain.calendar import SHANGHAI
from service.domain.promise_amount import Sum
from service.domain.promise_clauses import read
from service.domain.promise_spelling import spell
from service.domain.promise_statement import Reading

_KEPT_MAX: Final = 1024  # choice: a platform asks from few templates
_KEPT_CHARS_MAX: Final = 500  # choice: a longer question is read anew each time
_MIDNIGHT: Final = time(tzinfo=SHANGHAI)


class Ask(NamedTuple):
    """What a question asks to be done; `concrete` if a bare yes answers it."""

    action: str
    due_at: datetime | None
    amount: Sum | None
    share: int | None
    full: bool
    partial: bool
    concrete: bool


def asked_by(question: str, said_at: datetime) -> tuple[Ask, ...]:
    """The things a question asks for: the last asking of each action, completed from the earlier ones.

    Args:
        said_at: aware, in Asia/Shanghai. A question that hangs only on its day is read once for that day.
    """
    asks = _asked_on(question, said_at.date()) if len(question) <= _KEPT_CHARS_MAX else None
    return _asks(read(spell(question).text, said_at, acts_only=True)) if asks is None else asks


@lru_cache(maxsize=_KEPT_MAX)
def _asked_on(question: str, day: date) -> tuple[Ask, ...] | None:
    """The same for every hour of a day; None if what is asked hangs on the hour."""
    reading = read(spell(question).text, datetime.combine(day, _MIDNIGHT), acts_only=True)
    return None if any(deadline.hourly for deadline in reading.deadlines) else _asks(reading)


def _asks(reading: Reading) -> tuple[Ask, ...]:
    asks: dict[str, Ask] = {}
    bare_due = None
    answer_wanted = False
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
