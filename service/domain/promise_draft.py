"""A promise while its neighbours may still change it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from service.domain.promise_amount import Sum
from service.domain.promise_scope import NAMED
from service.domain.promise_statement import Statement

REFUNDS: Final = frozenset(("refund", "partial_refund"))
_SENDING: Final = frozenset(("ship", "resend", "exchange"))


class Draft:
    """A promise while its neighbours may still change it.

    What a draft does not say stands at the class, for most are said of few: making one is cheap.
    """

    wording: str
    action: str
    start: int
    end: int
    sentence: int
    due_at: datetime | None = None
    amount: Sum | None = None
    share: int | None = None
    full: bool = False
    partial: bool = False
    arrival: bool = False
    from_question: bool = False
    more: bool = False  # 多了退不了: of what goes beyond
    some: bool = False  # 退一部分: how much is not said
    unknown: bool = False  # as in a statement
    revoking: bool = False  # 哦不对,发不了

    def __init__(self, wording: str, action: str, start: int, end: int, sentence: int) -> None:
        self.wording = wording
        self.action = action
        self.start = start
        self.end = end
        self.sentence = sentence


def same(one: str, other: str) -> bool:
    return one == other or (one in REFUNDS and other in REFUNDS)


def takes_back(earlier: Draft, refused: Draft) -> bool:
    """可以退货,但不能退款: a bare no behind a bare yes; a no to another time, sum or part takes nothing back."""
    due_at = None if refused.due_at == earlier.due_at else refused.due_at  # 今天发。等等,没库存,今天发不了
    stated = (due_at, refused.amount, refused.share)
    parts = earlier.partial or refused.partial or refused.full or refused.more
    return not any(stated) and not parts and refused.sentence - earlier.sentence <= 1 + refused.revoking


def take_fields(draft: Draft, statement: Statement) -> None:
    draft.due_at = statement.deadline.due_at if statement.deadline else None
    draft.amount, draft.share = statement.amount, statement.share
    draft.full, draft.partial = statement.full, statement.partial


def repeats(earlier: Draft, draft: Draft) -> bool:
    """Whether a draft only goes on about the earlier one: nothing in it contradicts."""
    if earlier.wording != draft.wording or (draft.action in _SENDING and earlier.due_at and draft.due_at):
        return False
    adds_due = draft.due_at is None or earlier.due_at is None
    adds_sum = draft.amount is None or earlier.amount is None
    return adds_due and adds_sum and draft.sentence - earlier.sentence <= 1


def completes(earlier: Draft, draft: Draft) -> bool:
    """给娃退三十块,今天就退: a firm clause takes what it lacks from one of which only a word is not known."""
    if not earlier.unknown or (earlier.wording, draft.wording) != ("hedged", "unconditional"):
        return False
    adds_due = draft.due_at is None or earlier.due_at is None
    adds_sum = draft.amount is None or earlier.amount is None
    return adds_due and adds_sum and draft.sentence == earlier.sentence


def carries_on(earlier: Draft, draft: Draft, said: str) -> bool:
    """给您换新的概率大,月底寄: a bare sending tells when of the exchange before it, and is no firmer."""
    if earlier.wording not in ("hedged", "conditional") or earlier.due_at is not None:
        return False
    return draft.sentence - earlier.sentence <= 1 and not NAMED.search(said)


def refines(due_at: datetime, later: datetime | None) -> bool:
    """今天就发,18点前: whether a time said after names the hour of a day that was promised whole."""
    whole = (due_at.hour, due_at.minute, due_at.second) == (23, 59, 59)
    return whole and later is not None and later.date() == due_at.date() and later < due_at
