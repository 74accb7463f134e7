"""What a shop's words led to: notices, leaves to send, offences, standing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from service.store.columns import Instant, index_where, json_text, key, moment


class Notice(SQLModel, table=True):
    """A violation notice that its seat must read before it may send again (A5)."""

    __tablename__ = "moderation_notice"
    __table_args__ = (index_where("ix_moderation_notice_open", "seat_id", where="acknowledged_at IS NULL"),)
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    merchant_id: str = Field(max_length=64)
    seat_id: str = Field(max_length=64)
    message_id: str = Field(max_length=36)
    findings: Any = json_text(null=False)
    created_at: datetime = moment()
    acknowledged_at: datetime | None = moment(null=True)


class ConfirmToken(SQLModel, table=True):
    """A one-time leave to send a held text as it is (A2)."""

    __tablename__ = "confirm_token"
    id: str = key()
    seat_id: str = Field(max_length=64)
    thread_id: str = Field(max_length=36)
    field: str = Field(max_length=32)
    text_sha256: str = Field(max_length=64)
    pack_sha256: str = Field(max_length=64)
    expires_at: datetime = moment()
    used_at: datetime | None = moment(null=True)


class Offence(SQLModel, table=True):
    """One finding of a seat's message, counted for repeat offences."""

    __tablename__ = "offence"
    __table_args__ = (Index("ix_offence_seat", "seat_id", "at"),)
    id: str = key()
    seat_id: str = Field(max_length=64)
    merchant_id: str = Field(max_length=64)
    category: str = Field(max_length=32)
    measure: str = Field(max_length=20)
    at: datetime = Field(sa_column=Column(Instant, nullable=False))


class StandingEvent(SQLModel, table=True):
    """Something that counts towards a merchant's standing, until it is voided."""

    __tablename__ = "standing_event"
    __table_args__ = (Index("ix_standing_event_merchant", "merchant_id", "at"),)
    id: str = key(100)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=64)
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    subject_id: str = Field(max_length=36)
    kind: str = Field(max_length=32)
    at: datetime = Field(sa_column=Column(Instant, nullable=False))
    voided_at: datetime | None = moment(null=True)
