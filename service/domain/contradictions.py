"""What a promise goes against: the facts of its order (D15), or a promise that the buyer has been told of."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, NamedTuple

from service.domain.attached_promise import MONEY, keeps
from service.domain.promise_text import OrderFacts

GOODS_BACK: Final = frozenset({"exchange", "pickup"})  # acts that need the goods to come back
MENDED_BY_CORRECTION: Final = frozenset({"refundable_fen", "ship_by"})  # another sum or time may agree with the order
SENDING: Final = frozenset({"ship", "resend", "exchange"})
_RETURN: Final = re.compile("退货|寄回|退回|退換|退换")
_ARRIVAL: Final = re.compile(r"送到|送达|送達|到货|到貨|到达|到達|签收|收到货|[天日号晚]到(?![货付])")


class Terms(NamedTuple):
    """What a promise says, in fields. `due_at` aware; amounts in fen, of a range both ends."""

    wording: str
    action: str
    amount_fen: int | None
    amount_max_fen: int | None
    due_at: datetime | None


def against_order(terms: Terms, words: str, order: OrderFacts) -> str | None:
    """The first fact of the order that a promise goes against; None where the order has nothing against it.

    `refundable_fen`: more money than the line can give back. `custom_made`, `returnable`: goods made to order or sold
    without return would have to come back. `ship_by`: sent later than the shop's own setting. `on_time_insured`: an
    arrival is promised without on-time insurance (D6).

    Args:
        words: of the promise, as the merchant wrote them; empty for one that is stated in fields alone.
    """
    most = max(terms.amount_fen or 0, terms.amount_max_fen or 0)
    if terms.action in MONEY and order.refundable_fen is not None and most > order.refundable_fen:
        return "refundable_fen"
    if terms.action in GOODS_BACK or (terms.action in MONEY and _RETURN.search(words)):
        if order.custom_made:
            return "custom_made"
        if order.returnable is False:
            return "returnable"
    ends, due_at = order.ship_by, terms.due_at
    if terms.action == "ship" and ends is not None and due_at is not None and due_at > ends:
        return "ship_by"
    if terms.action in SENDING and order.on_time_insured is False and _ARRIVAL.search(words):
        return "on_time_insured"
    return None


def against_told(told: Terms, said: Terms) -> str | None:
    """The field in which new words go against what the buyer was told: `wording`, `action`, `due_at` or `amount`.

    Another act says nothing of it, nor do softened words that name neither time nor sum; the same day at an hour that
    the told one keeps is no other time. What is better for the buyer is something else, too: it has to be told.
    """
    assert told.due_at is not None, "the buyer is told of dated promises only"
    if told.action != said.action and not {told.action, said.action} <= MONEY:
        return None
    if said.wording not in ("unconditional", "hedged"):
        return "wording"
    if told.action != said.action:
        return "action"
    if said.due_at is not None and not keeps(told.due_at, said.due_at):
        return "due_at"
    if said.amount_fen is not None and _sums(said) != _sums(told):
        return "amount"
    return None


def _sums(terms: Terms) -> tuple[int | None, int | None]:
    return terms.amount_fen, terms.amount_fen if terms.amount_max_fen is None else terms.amount_max_fen
