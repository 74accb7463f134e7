"""A promise that the merchant states in fields beside its words, and whether the words say otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.domain.calendar import SHANGHAI
from service.domain.canonical import Canonical, canonical
from service.domain.promise_text import WORDINGS, Extracted

MONEY: Final = frozenset({"refund", "partial_refund"})  # what the order line's cap bounds
WITH_A_SUM: Final = MONEY | {"compensate"}  # the acts whose canonical text and relay say an amount
SAME_TIME: Final = timedelta(seconds=60)  # promises.md section 4: a deadline is right within 60 s


@dataclass(frozen=True, slots=True)
class Attached:
    """What the merchant promises, in fields: its act is on the canonical text that they make.

    `due_at` aware; `amount_fen` for the acts with a sum, exact, no range; `canonical_sha256` of the text that the
    merchant was shown, where its client showed one.
    """

    action: str
    due_at: datetime
    amount_fen: int | None = None
    currency: str | None = None
    canonical_sha256: str | None = None

    @property
    def to_the_second(self) -> datetime:
        """The deadline as the canonical text says it."""
        return self.due_at.replace(microsecond=0)

    @property
    def text(self) -> Canonical:
        """The one sentence that the fields make."""
        return canonical(self.action, self.amount_fen, None, self.to_the_second)


def beside(attached: Attached, extracted: Sequence[Extracted]) -> Extracted | None:
    """What the words say of the same act; None where they are silent.

    The last unconditional statement speaks ("今天发不了,明天发"), else the first of the firmest kind; with no statement
    of the same act, one of the other kind of refund.
    """
    same = [each for each in extracted if each.action == attached.action]
    if not same and attached.action in MONEY:
        same = [each for each in extracted if each.action in MONEY]
    firm = [each for each in same if each.wording == "unconditional"]
    if firm:
        return firm[-1]
    return min(same, key=lambda each: WORDINGS.index(each.wording), default=None)


def differs(attached: Attached, said: Extracted) -> str | None:
    """The field in which the words say otherwise: `wording`, `action`, `due_at` or `amount`; None where they agree.

    Words that refuse or set a condition say otherwise. Softened words (尽快) do not, the fields say the same more
    firmly; nor does a later hour of the day that the fields name. A time or a sum left open is for the fields to say.
    """
    if said.wording not in ("unconditional", "hedged"):
        return "wording"
    if said.action != attached.action:
        return "action"
    if said.due_at is not None and not keeps(attached.to_the_second, said.due_at):
        return "due_at"
    if said.amount_fen is not None and (said.amount_fen, said.amount_max_fen or said.amount_fen) != (
        attached.amount_fen,
        attached.amount_fen,
    ):
        return "amount"
    return None


def keeps(stated: datetime, said: datetime) -> bool:
    """The same time, or an earlier one of the same day: 今天 is kept by 18:00 today, 明天 is not what today says."""
    same_day = stated.astimezone(SHANGHAI).date() == said.astimezone(SHANGHAI).date()
    return abs(said - stated) <= SAME_TIME or (same_day and stated < said)
