"""The one read behind every merchant reply: dispute, inquiry, seat, notice, counters, tokens and the stored answer.

A handwritten statement on the driver's own connection; together with the guarded write it makes two round trips on
PostgreSQL (counted by tests/test_reply_path.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from service.domain.joined_words import MESSAGES_BEFORE_MAX
from service.domain.transcript import disclosed, instant, micros
from service.store.engine import Transaction


class SeenForReply(NamedTuple):
    """Everything the story of a reply needs to decide, as it stood at one moment."""

    # the dispute and its transcript's head
    dispute_id: str
    version: int
    dispute_state: str
    dispute_type: str
    last_seq: int
    last_hash: bytes | None
    last_event_seq: int
    policy_id: str
    policy_version: int
    merchant_id: str
    order_line_id: str
    # the inquiry
    inquiry_id: str
    inquiry_state: str
    inquiry_seat_id: str | None
    turn: int
    question: str | None
    asked_at_us: int
    due_at_us: int | None
    grace_used: bool
    inquiry_closed_at_us: int | None
    close_cause: str | None
    # the shop and the seat
    platform: str
    merchant_status: str
    seat_is_owner: bool | None
    seat_active: bool | None
    seat_may_im: bool | None
    seat_designated: bool | None
    designated_seats: int
    # the order line, for judging promises
    quantity: int
    paid_fen: int
    refundable_fen: int
    returnable: bool
    custom_made: bool
    on_time_insured: bool
    ship_by_us: int | None
    # what stands in the way, and what was said before
    open_notice_id: str | None
    offences: str | None  # "category:count,…" inside the policy's window
    open_promises: str | None  # "id:action:state:due:fen:most_fen,…" that a newer promise supersedes or contradicts
    promises_total: int  # of the dispute, ended ones included
    earlier_message_id: str | None  # the same client_message_id was received before
    edit_asked: str | None  # the id of a message of the same words in this inquiry that had to be edited
    just_said: str | None  # "seq:disclosure,…" of the shop's last delivered messages here; `seq+:` in this turn
    token_seat_id: str | None
    token_thread_id: str | None
    token_text_sha256: str | None
    token_pack_sha256: str | None
    token_expires_at_us: int | None
    token_used_at_us: int | None
    # the answer that this idempotency key has had
    key_fingerprint: str | None
    key_status: int | None
    key_body: str | None

    @property
    def due_at(self) -> datetime | None:
        """When the reply window closes."""
        return None if self.due_at_us is None else instant(self.due_at_us)

    @property
    def asked_at(self) -> datetime:
        """When the question of this turn was asked."""
        return instant(self.asked_at_us)


_STATEMENT: Final = """
SELECT d.id, d.version, d.state, d.type, d.last_seq, d.last_hash, d.last_event_seq, d.policy_id, d.policy_version,
       d.merchant_id, d.order_line_id,
       i.id, i.state, i.seat_id, i.turn, i.question, i.asked_at, i.due_at, i.grace_used, i.closed_at, i.close_cause,
       m.platform, m.status,
       s.is_owner, s.active, s.may_im, s.designated,
       (SELECT count(*) FROM seat x WHERE x.merchant_id = d.merchant_id AND x.designated AND x.active AND x.may_im),
       l.quantity, l.paid_fen, l.refundable_fen, l.returnable, l.custom_made, l.on_time_insured, l.ship_by,
       (SELECT n.id FROM moderation_notice n WHERE n.seat_id = s.id AND n.acknowledged_at IS NULL LIMIT 1),
       (SELECT {join}(o.category || ':' || o.n, ',') FROM
          (SELECT category, cast(count(*) AS text) AS n FROM offence
           WHERE seat_id = s.id AND at > ? GROUP BY category) o),
       (SELECT {join}(p.id || ':' || p.action || ':' || p.state || ':' || coalesce(cast(p.due_at AS text), '') || ':' ||
          coalesce(cast(p.amount_fen AS text), '') || ':' || coalesce(cast(p.amount_max_fen AS text), ''), ',')
         FROM promise p
         WHERE p.dispute_id = d.id AND p.state IN ('extracted', 'confirmation_requested', 'confirmed', 'relayed')),
       (SELECT count(*) FROM promise p WHERE p.dispute_id = d.id),
       (SELECT e.id FROM message e WHERE e.dispute_id = d.id AND e.sender_id = s.id AND e.client_message_id = ?),
       (SELECT min(e.id) FROM message e WHERE e.thread_id = i.id AND e.edit_digest = ?),
       (SELECT {join}(b.said, ',') FROM
          (SELECT cast(e.seq AS text) ||
             CASE WHEN e.received_at >= i.asked_at AND e.recalled_at IS NULL THEN '+:' ELSE ':' END || x.body AS said
           FROM message e
           JOIN disclosure x ON x.dispute_id = e.dispute_id AND x.seq = e.seq AND x.position = 0 AND x.name = 'text'
           WHERE e.dispute_id = i.dispute_id AND e.thread_id = i.id AND e.sender_side = 'merchant'
             AND e.delivery = 'delivered' AND e.received_at > ?
           ORDER BY e.seq DESC LIMIT {just_said_max}) b),
       t.seat_id, t.thread_id, t.text_sha256, t.pack_sha256, t.expires_at, t.used_at,
       k.fingerprint, k.status, k.body
FROM inquiry i
JOIN dispute d ON d.id = i.dispute_id
JOIN merchant m ON m.id = d.merchant_id
JOIN order_line l ON l.id = d.order_line_id
LEFT JOIN seat s ON s.id = ? AND s.merchant_id = d.merchant_id
LEFT JOIN confirm_token t ON t.id = ?
LEFT JOIN idempotency k ON k.id = ?
WHERE i.id = ?
"""
READ_FOR_REPLY: Final = {
    "sqlite": _STATEMENT.format(join="group_concat", just_said_max=MESSAGES_BEFORE_MAX),
    "postgresql": _STATEMENT.format(join="string_agg", just_said_max=MESSAGES_BEFORE_MAX),
}


def read_for_reply(
    tx: Transaction,
    inquiry_id: str,
    *,
    seat_id: str,
    client_message_id: str,
    edit_digest: str,
    token_id: str | None,
    key_id: str,
    offences_since: datetime,
    just_since: datetime,
) -> SeenForReply | None:
    """Read everything in one statement; None if there is no such inquiry."""
    found = tx.rows(
        READ_FOR_REPLY[tx.dialect],
        (
            micros(offences_since),
            client_message_id,
            edit_digest,
            micros(just_since),
            seat_id,
            token_id or "",
            key_id,
            inquiry_id,
        ),
    )
    return SeenForReply(*found[0]) if found else None


def counted(joined: str | None) -> dict[str, int]:
    """`"abuse:2,threat:1"` as a mapping."""
    return {name: int(n) for name, _, n in (part.partition(":") for part in (joined or "").split(",")) if name}


def listed(joined: str | None) -> list[tuple[str, ...]]:
    """`"id:ship:confirmed,…"` as tuples."""
    return [tuple(part.split(":")) for part in (joined or "").split(",") if part]


def in_order_said(joined: str | None) -> tuple[str, ...]:
    """`"17:<disclosure>,19+:<disclosure>,…"` as texts, oldest first, those that say anything."""
    return tuple(text for text, _ in _in_order(joined) if text)


def said_in_turn(joined: str | None) -> str | None:
    """The shop's last message since the agent asked, if it has words and was not taken back."""
    texts = _in_order(joined)
    return texts[-1][0] or None if texts and texts[-1][1] else None


def _in_order(joined: str | None) -> list[tuple[str, bool]]:
    """Text, and whether it was said in this turn."""
    if joined is None:
        return []
    parts = (part.partition(":") for part in joined.split(","))
    found = sorted((int(seq.rstrip("+")), seq.endswith("+"), body) for seq, _, body in parts)
    texts = ((disclosed(body)[1], now) for _, now, body in found)
    return [(text if isinstance(text, str) else "", now) for text, now in texts]
