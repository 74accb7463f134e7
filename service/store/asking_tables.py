"""What a side is asked and what it answers: inquiries, tickets, evidence, promises, logged contacts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from service.domain.evidence import EVIDENCE_REQUEST
from service.domain.inquiry import INQUIRY
from service.domain.promise import PROMISE
from service.domain.ticket import TICKET
from service.store.columns import (
    Instant,
    count,
    fen,
    flag,
    index_where,
    json_text,
    key,
    long_text,
    moment,
    one_of,
    rule,
    unique_where,
    word,
)


class Inquiry(SQLModel, table=True):
    """One question-and-answer session of a platform agent with the merchant."""

    __tablename__ = "inquiry"
    __table_args__ = (
        one_of("state", INQUIRY.states),
        unique_where(
            "uq_inquiry_open",
            "dispute_id",
            "merchant_id",
            where="state IN ('routing', 'awaiting_merchant', 'awaiting_agent')",
        ),
        rule("awaiting_has_due", "state <> 'awaiting_merchant' OR (due_at IS NOT NULL AND seat_id IS NOT NULL)"),
        Index("ix_inquiry_dispute_id", "dispute_id"),
        index_where("ix_inquiry_seat", "seat_id", where="state IN ('routing', 'awaiting_merchant', 'awaiting_agent')"),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    merchant_id: str = Field(max_length=64)
    agent_id: str = Field(max_length=64)
    seat_id: str | None = Field(default=None, foreign_key="seat.id", max_length=64)
    state: str = Field(max_length=24)
    turn: int = count(1)
    agent_messages_this_turn: int = count(1)
    question: str | None = long_text(null=True)  # the last question of the turn, for judging the answer
    asked_at: datetime = moment()
    due_at: datetime | None = moment(null=True)
    grace_used: bool = flag()
    answered_at: datetime | None = moment(null=True)
    close_cause: str | None = Field(default=None, max_length=32)
    created_at: datetime = moment()
    closed_at: datetime | None = moment(null=True)


class Ticket(SQLModel, table=True):
    """A service ticket, with its slower business clock."""

    __tablename__ = "service_ticket"
    __table_args__ = (
        one_of("state", TICKET.states),
        one_of("cause", ("TIMEOUT", "NO_SEAT", "AGENT_CLOSED", "MANUAL")),
        unique_where("uq_service_ticket_inquiry", "inquiry_id", where="state <> 'cancelled'"),
        Index("ix_service_ticket_dispute_id", "dispute_id"),
        Index("ix_service_ticket_merchant_id", "merchant_id", "id"),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    merchant_id: str = Field(max_length=64)
    inquiry_id: str | None = Field(default=None, foreign_key="inquiry.id", max_length=36)
    cause: str = Field(max_length=16)
    category: str = Field(max_length=32)
    question: str = long_text()
    blocking: bool = flag()
    state: str = Field(max_length=16)
    rejections: int = count()
    extended: bool = flag()
    late: bool = flag()
    answer_seq: int | None = Field(default=None)
    due_at: datetime = moment()
    issued_at: datetime = moment()
    ended_at: datetime | None = moment(null=True)


class EvidenceRequest(SQLModel, table=True):
    """A window in which one party may put forward evidence."""

    __tablename__ = "evidence_request"
    __table_args__ = (
        one_of("state", EVIDENCE_REQUEST.states),
        one_of("party", ("buyer", "merchant", "platform_agent")),
        unique_where("uq_evidence_request_open", "dispute_id", "party", where="state = 'open'"),
        Index("ix_evidence_request_dispute_id", "dispute_id"),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    party: str = Field(max_length=16)
    round: int = count(1)
    mandatory: bool = flag()
    extended: bool = flag()
    state: str = Field(max_length=16)
    due_at: datetime = moment()
    created_at: datetime = moment()
    ended_at: datetime | None = moment(null=True)


class EvidenceItem(SQLModel, table=True):
    """One file or note that a party put forward; retracted ones keep their bytes."""

    __tablename__ = "evidence_item"
    __table_args__ = (
        one_of("party", ("buyer", "merchant", "platform_agent")),
        rule("file_or_note", "(sha256 IS NULL) = (size_bytes IS NULL)"),
        unique_where("uq_evidence_item_file", "dispute_id", "party", "sha256", where="retracted_at IS NULL"),
        Index("ix_evidence_item_dispute_id", "dispute_id"),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    request_id: str | None = Field(default=None, foreign_key="evidence_request.id", max_length=36)
    party: str = Field(max_length=16)
    added_by: str = Field(max_length=64)
    seq: int = count()  # of the entry whose disclosures hold the file's name and the note
    sha256: str | None = Field(default=None, max_length=64)
    size_bytes: int | None = Field(default=None)
    media_type: str | None = Field(default=None, max_length=64)
    frozen: bool = flag()
    added_at: datetime = moment()
    retracted_at: datetime | None = moment(null=True)


class Upload(SQLModel, table=True):
    """A file that a side put into the file store for a dispute; what it is used for names it by its fingerprint."""

    __tablename__ = "upload"
    __table_args__ = (Index("uq_upload_file", "dispute_id", "party", "sha256", unique=True),)
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    party: str = Field(max_length=16)
    uploaded_by: str = Field(max_length=64)
    sha256: str = Field(max_length=64)
    size_bytes: int = count()
    media_type: str = Field(max_length=64)
    uploaded_at: datetime = moment()
    codes: Any = json_text()  # QR and bar codes in a picture: domain/picture_codes.py; null: nobody looked


class ContactAttempt(SQLModel, table=True):
    """A call of a shop to a buyer: logged by its seat, or refused over the cap (D11)."""

    __tablename__ = "contact_attempt"
    __table_args__ = (
        one_of("kind", ("call",)),
        one_of("state", ("logged", "refused")),
        Index("ix_contact_attempt_day", "merchant_id", "buyer_id", "day"),
        Index("ix_contact_attempt_dispute", "dispute_id", "seq"),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    merchant_id: str = Field(max_length=64)
    buyer_id: str = Field(max_length=64)
    seat_id: str = Field(max_length=64)
    seq: int = count()  # of its transcript entry
    kind: str = word("call", 16)
    state: str = Field(max_length=16)
    reached: bool = flag()
    day: str = Field(max_length=10)  # of the shop's calendar, YYYY-MM-DD
    at: datetime = Field(sa_column=Column(Instant, nullable=False))


class Promise(SQLModel, table=True):
    """Something the merchant says will be done, by when, for how much."""

    __tablename__ = "promise"
    __table_args__ = (
        one_of("state", PROMISE.states),
        one_of("wording", ("unconditional", "hedged", "conditional", "refused", "none")),
        rule(
            "relayed_only_if_confirmed",
            "state NOT IN ('confirmed', 'relayed', 'fulfilled', 'breached')"
            " OR (confirmation_hash IS NOT NULL AND confirmed_canonical = canonical_sha256)",
        ),
        rule("relayed_has_entry", "(relay_seq IS NOT NULL) = (state IN ('relayed', 'fulfilled', 'breached'))"),
        rule(
            "only_own_words", "wording = 'unconditional' OR state IN ('extracted', 'superseded', 'lapsed', 'declined')"
        ),
        Index("ix_promise_dispute_id", "dispute_id"),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    message_id: str | None = Field(default=None, max_length=36)
    state: str = Field(max_length=24)
    wording: str = Field(max_length=16)
    action: str = Field(max_length=16)
    amount_fen: int | None = fen(null=True)
    amount_max_fen: int | None = fen(null=True)
    due_at: datetime | None = moment(null=True)
    span_start: int = count()
    span_end: int = count()
    canonical_zh: str = long_text()
    canonical_en: str = long_text()
    canonical_sha256: str = Field(max_length=64)
    confirmed_canonical: str | None = Field(default=None, max_length=64)
    confirmation_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    confirmed_by: str | None = Field(default=None, max_length=64)
    relay_seq: int | None = Field(default=None)
    contradicts: str | None = Field(default=None, max_length=32)  # the order fact that it contradicts (D15)
    contradicts_told: str | None = Field(default=None, max_length=36)  # what the buyer was told, and this is against
    told_seq: int | None = Field(default=None)  # the entry that told the buyer of softened words, as no promise
    done_at: datetime | None = moment(null=True)  # when it was done, as proved: late where the promise was broken
    created_at: datetime = moment()
    ended_at: datetime | None = moment(null=True)
