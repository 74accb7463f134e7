"""How a dispute ends: offers, returned goods, rulings, appeals, refunds, and who must agree."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from service.domain.approval import APPROVAL
from service.domain.outcome import Liability
from service.domain.refund import REFUND
from service.domain.return_shipment import RETURN_SHIPMENT
from service.domain.rulings import APPEAL_GROUNDS
from service.store.columns import (
    count,
    fen,
    flag,
    index_where,
    json_text,
    key,
    moment,
    one_of,
    rule,
    unique_where,
    word,
)


class Offer(SQLModel, table=True):
    """A merchant's proposal."""

    __tablename__ = "offer"
    __table_args__ = (
        one_of("kind", ("refund", "partial_refund", "refund_with_return")),
        one_of("state", ("open", "accepted", "declined", "expired", "superseded")),
        rule("amount_positive", "amount_fen > 0"),
        unique_where("uq_offer_open", "dispute_id", where="state = 'open'"),
        Index("ix_offer_dispute_id", "dispute_id"),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    number: int = count(1)
    kind: str = Field(max_length=24)
    amount_fen: int = fen()
    state: str = word("open", 16)
    seq: int = count()
    made_by: str = Field(max_length=64)
    created_at: datetime = moment()


class ReturnShipment(SQLModel, table=True):
    """The parcel on its way back to the merchant."""

    __tablename__ = "return_shipment"
    __table_args__ = (
        one_of("state", RETURN_SHIPMENT.states),
        Index("uq_return_shipment_tracking", "carrier", "tracking_no", unique=True),
        Index("uq_return_shipment_cycle", "dispute_id", "cycle", unique=True),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    cycle: int = count(1)
    carrier: str = Field(max_length=32)
    tracking_no: str = Field(max_length=64)
    state: str = Field(max_length=24)
    scanned_at: datetime | None = moment(null=True)  # carrier time of the scan that holds
    shipped_at: datetime = moment()
    signed_at: datetime | None = moment(null=True)


class RefundExecution(SQLModel, table=True):
    """One attempt to pay one obligation from one fund."""

    __tablename__ = "refund_execution"
    __table_args__ = (
        one_of("state", REFUND.states),
        one_of("fund", ("MERCHANT", "PLATFORM")),
        rule("amount_positive", "amount_fen > 0"),
        unique_where(
            "uq_refund_execution_obligation",
            "dispute_id",
            "obligation_no",
            "fund",
            where="state NOT IN ('failed', 'exhausted')",
        ),
        Index("ix_refund_execution_dispute_id", "dispute_id"),
        Index("ix_refund_execution_order_line_id", "order_line_id"),  # one refund a minute and order
        Index("uq_refund_execution_key", "gateway_key", unique=True),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    order_line_id: str = Field(foreign_key="order_line.id", max_length=64)
    obligation_no: int = count(1)
    fund: str = word("MERCHANT", 16)
    amount_fen: int = fen()
    currency: str = Field(max_length=3)
    state: str = Field(max_length=16)
    attempts: int = count()
    gateway_key: str = Field(max_length=64)
    gateway_refund_id: str | None = Field(default=None, max_length=64, index=True)
    submitted_at: datetime | None = moment(null=True)
    in_flight_until: datetime | None = moment(null=True)  # until then a submit may be under way, its answer not in yet
    last_answer: str | None = Field(default=None, max_length=16)  # the gateway's last word
    answered_at: datetime | None = moment(null=True)
    paid_at: datetime | None = moment(null=True)  # when the gateway said so, also where another execution had paid
    replaces: str | None = Field(default=None, max_length=36)  # the execution of the same obligation that this follows
    outcome_held: str | None = Field(default=None, max_length=32)  # of the dispute, before the platform advanced
    created_at: datetime = moment()
    ended_at: datetime | None = moment(null=True)


class Ruling(SQLModel, table=True):
    """The platform's decision; a later version replaces an earlier one on appeal."""

    __tablename__ = "ruling"
    __table_args__ = (
        one_of("kind", ("refund_full", "refund_partial", "refund_with_return", "reject")),
        one_of("liability", [x.value for x in Liability]),
        rule("amount_not_negative", "amount_fen >= 0"),
        Index("uq_ruling_number", "dispute_id", "number", unique=True),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    number: int = count(1)
    cycle: int = count(1)
    kind: str = Field(max_length=24)
    amount_fen: int = fen()
    liability: str = Field(max_length=16)
    basis: str = Field(max_length=32)
    author_id: str = Field(max_length=64)
    approver_id: str | None = Field(default=None, max_length=64)
    seq: int = count()  # of the entry whose disclosures hold the reasons and the citations
    accepted_by: str = word("", 32)  # the losing parties that have accepted, comma-separated
    final: bool = flag()
    issued_at: datetime = moment()
    appeal_due_at: datetime = moment()


class Appeal(SQLModel, table=True):
    """A losing party's one appeal in a cycle."""

    __tablename__ = "appeal"
    __table_args__ = (
        one_of("party", ("buyer", "merchant")),
        one_of("ground", APPEAL_GROUNDS),
        one_of("state", ("filed", "withdrawn", "upheld", "overturned", "remanded", "timed_out", "moot")),
        Index("uq_appeal_party", "dispute_id", "cycle", "party", unique=True),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    cycle: int = count(1)
    party: str = Field(max_length=16)
    ground: str = word("new_evidence", 20)
    state: str = word("filed", 16)
    seq: int = count()
    filed_at: datetime = moment()


class Approval(SQLModel, table=True):
    """Something that needs a second person."""

    __tablename__ = "approval"
    __table_args__ = (
        one_of("state", APPROVAL.states),
        rule("two_people", "approver_id IS NULL OR approver_id <> proposer_id"),
        unique_where("uq_approval_proposed", "dispute_id", where="state = 'proposed'"),
        Index("ix_approval_dispute_id", "dispute_id"),
        index_where("ix_approval_open", "id", where="state = 'proposed'"),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    subject: str = Field(max_length=32)
    seq: int = count()  # of the entry whose disclosure holds the exact payload
    payload: Any = json_text(null=False)  # its ids, kinds and amounts; no words
    payload_sha256: str = Field(max_length=64)  # of the exact payload in canonical JSON
    proposer_id: str = Field(max_length=64)
    approver_id: str | None = Field(default=None, max_length=64)
    state: str = Field(max_length=16)
    created_at: datetime = moment()
    expires_at: datetime = moment()
    ended_at: datetime | None = moment(null=True)
