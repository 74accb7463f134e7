"""Reads what a merchant's reply really promises: wording, action, sum and deadline, with the words it stands in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple

from service.domain.calendar import SHANGHAI
from service.domain.canonical import Canonical, canonical
from service.domain.promise_answers import drafts_of
from service.domain.promise_clauses import read
from service.domain.promise_draft import Draft
from service.domain.promise_question import action_of, asked_by
from service.domain.promise_spelling import Spelled, spell
from service.domain.promise_statement import Reading

WORDINGS: Final = ("unconditional", "conditional", "hedged", "refused")  # the order in which one leads (section 1)


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What is known of the order a promise is about; None where it is not.

    `paid_fen` of the order line, `refundable_fen` what may still go back; `ship_by` aware, from the shop's setting.
    """

    quantity: int | None = None
    paid_fen: int | None = None
    refundable_fen: int | None = None
    returnable: bool | None = None
    custom_made: bool | None = None
    on_time_insured: bool | None = None
    ship_by: datetime | None = None


class Extracted(NamedTuple):
    """One thing a reply says will, may or will not be done.

    `wording` is what the words are (unconditional | hedged | conditional | refused | none), never what the merchant
    pressed. Of a range `amount_fen` is the lower end. `start`, `end`: code points of the text as written, half-open.
    """

    wording: str
    action: str
    amount_fen: int | None
    amount_max_fen: int | None
    due_at: datetime | None
    start: int
    end: int
    canonical: Canonical


def leading(extracted: list[Extracted]) -> Extracted | None:
    """The promise that speaks for the reply: unconditional, conditional, hedged, refused, then by position."""
    led = [each for each in extracted if each.wording in WORDINGS]
    return min(led, key=lambda each: (WORDINGS.index(each.wording), each.start), default=None)


def relayable(extracted: Extracted) -> bool:
    """Whether the words may become a promise to the buyer at all; hedged and conditional ones never."""
    return extracted.wording == "unconditional" and extracted.action != "none"


def extract_in_turn(
    before: str, text: str, question: str | None, said_at: datetime, order: OrderFacts | None = None
) -> list[Extracted]:
    """Read the promises of a reply in the light of the message just before it, of the same side and turn.

    明天 and then 发货 is one promise over two messages, and so is 发货 and then 明天: where one of the two is only a
    time or a sum, they are read as one text. Anything else is read by itself: 我问下仓库 and then 今天发 is a promise.

    Args:
        before: the message before, as written; the other arguments as in `extract`.

    Returns:
        The promises that the reply makes or completes, their spans in the reply alone.
    """
    if not (_only_fields(before, said_at) or _only_fields(text, said_at)):
        return extract(text, question, said_at, order)
    offset = len(before) + 1
    joined = extract(f"{before}\n{text}", question, said_at, order)
    return [
        each._replace(start=max(0, each.start - offset), end=each.end - offset) for each in joined if each.end > offset
    ]


_FIELDS_CHARS_MAX: Final = 30  # choice: 最晚2026年11月25日下午三点之前,您放心哈 is as long as such a message gets


def _only_fields(text: str, said_at: datetime) -> bool:
    """Whether a message names a time or a sum and says nothing else; longer ones say more."""
    if len(text) > _FIELDS_CHARS_MAX:
        return False
    kinds = {statement.kind for statement in read(spell(text).text, said_at, acts_only=False).statements}
    return "bare" in kinds and kinds <= {"bare", "filler"}


def extract(text: str, question: str | None, said_at: datetime, order: OrderFacts | None = None) -> list[Extracted]:
    """Read the promises of a reply, in the order of their words. Pure, linear, any Unicode.

    Args:
        text: the reply as written; promises spread over messages of one turn are read from the joined text.
        question: the platform agent's question it answers, which a bare yes, a time or a sum takes its content from.
        said_at: aware; the instant the reply was said.
        order: for 每件5元, 一半, 30%, 全额.

    Returns:
        Promises, softened and conditional statements and refusals; nothing for questions, facts, chatter and the
        words of third parties.

    Raises:
        ValueError: `said_at` is naive.
    """
    if said_at.tzinfo is None:
        raise ValueError("said_at is naive")
    local = said_at if said_at.tzinfo is SHANGHAI else said_at.astimezone(SHANGHAI)
    spelled = spell(text)
    reading = read(spelled.text, local, acts_only=not question)
    asks = asked_by(question, local) if question and _may_answer(reading) else ()
    drafts = drafts_of(reading, asks)
    if len(drafts) > 1:
        drafts.sort(key=attrgetter("start"))
    return [_finish(draft, spelled, order) for draft in drafts]


_ANSWERING: Final = frozenset(("act", "yes", "no", "bare", "generic", "hedge"))


def _may_answer(reading: Reading) -> bool:
    """Whether the reply holds anything that the question could give content to; else it need not be read."""
    return any(statement.kind in _ANSWERING for statement in reading.statements)


def _finish(draft: Draft, spelled: Spelled, order: OrderFacts | None) -> Extracted:
    refused = draft.wording == "refused"
    low, high = (None, None) if refused else _amount(draft, order)
    action = action_of(draft.action, draft)
    if action == "partial_refund" and order is not None and low is not None and high is None:
        action = "refund" if low == order.refundable_fen else action
    due_at = None if refused else draft.due_at
    if due_at is not None and due_at.microsecond:
        due_at = due_at.replace(microsecond=0)
    start, end = _trimmed(spelled.text, draft.start, draft.end)
    start, end = spelled.written(start, end)
    said = canonical(action, low, high, due_at)
    return Extracted(draft.wording, action, low, high, due_at, start, end, said)


_EDGE: Final = " ,。!?;、\n\x00~…"


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end - 1 and text[start] in _EDGE:
        start += 1
    while end > start + 1 and text[end - 1] in _EDGE:
        end -= 1
    return start, end


def _amount(draft: Draft, order: OrderFacts | None) -> tuple[int | None, int | None]:
    """The sum in fen, computed from the order line where it is a share or per piece."""
    if draft.action not in ("refund", "partial_refund", "compensate"):
        return None, None
    base = None
    if order is not None:
        base = order.refundable_fen if order.refundable_fen is not None else order.paid_fen
    if draft.amount is not None and draft.amount.fen is not None and not draft.amount.vague:
        times = order.quantity if draft.amount.each and order is not None and order.quantity else 1
        upper = draft.amount.upper_fen
        return draft.amount.fen * times, upper * times if upper is not None else None
    if draft.share is not None and base is not None:
        paid = order.paid_fen if order is not None and order.paid_fen is not None else base
        return paid * draft.share // 10_000, None
    if draft.full and base is not None:
        return base, None
    return None, None
