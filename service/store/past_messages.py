"""Merchants' past messages as they were judged: text, marketplace, channel, what they answered; in bounded pages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from service.domain.transcript import disclosed
from service.store.engine import Transaction
from service.store.rule_replay import PastMessage

THREADS_MAX: Final = 50_000  # conversations whose last question is remembered; older ones are judged without
CHANNEL_OF: Final = {"dispute": "buyer_chat", "inquiry": "inquiry", "ticket": "ticket"}
COLUMNS: Final = """
SELECT m.id, m.conversation, m.thread_id, m.sender_side, m.delivery, s.platform, t.question, w.body
FROM message m
JOIN disclosure w ON w.dispute_id = m.dispute_id AND w.seq = m.seq AND w.name = 'text'
JOIN dispute d ON d.id = m.dispute_id
JOIN merchant s ON s.id = d.merchant_id
LEFT JOIN service_ticket t ON t.id = m.thread_id
WHERE m.conversation IN ('dispute', 'inquiry', 'ticket') AND m.kind = 'text'
"""
AFTER: Final = COLUMNS + " AND m.id > ? ORDER BY m.id LIMIT ?"
NEWEST: Final = COLUMNS + " ORDER BY m.id DESC LIMIT ?"
ASKS: Final = {"dispute": "buyer", "inquiry": "platform_agent"}  # whose words a merchant answers there


class Questions:
    """What was asked last in each conversation, as far as it is remembered."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, str] = OrderedDict()

    def read(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[PastMessage]:
        """The merchants' messages among rows in the order they were written, each with what it answered."""
        for _, conversation, thread_id, side, delivery, platform, asked, body in rows:
            text = disclosed(body)[1]
            if not isinstance(text, str):
                continue
            if side == "merchant":
                question = asked if conversation == "ticket" else self._last.get(thread_id)
                yield PastMessage(text, platform, CHANNEL_OF[conversation], question)
            elif delivery == "delivered" and (side == ASKS.get(conversation) or side == "supervisor"):
                self._last[thread_id] = text
                self._last.move_to_end(thread_id)
                if len(self._last) > THREADS_MAX:
                    self._last.popitem(last=False)


def newest(tx: Transaction, *, limit: int) -> list[PastMessage]:
    """The merchants' messages among the last `limit` messages of all."""
    return list(Questions().read(reversed(tx.rows(NEWEST, (limit,)))))


def page_after(tx: Transaction, message_id: str, *, limit: int) -> list[tuple[Any, ...]]:
    """Rows for `Questions.read`, of messages after this one, by the primary key; the first column is the id."""
    return tx.rows(AFTER, (message_id, limit))
