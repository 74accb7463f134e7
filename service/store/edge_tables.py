"""What the edge keeps: keys of systems, events to deliver, answers by their keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from service.store.columns import BigId, count, index_where, json_text, key, long_text, moment, one_of, word


class ApiKey(SQLModel, table=True):
    """A key of one of the marketplace's systems; only its SHA-256 is kept."""

    __tablename__ = "api_key"
    id: str = key(32)
    sha256: str = Field(max_length=64)
    scopes: str = Field(max_length=200)
    created_at: datetime = moment()
    expires_at: datetime | None = moment(null=True)


class Outbox(SQLModel, table=True):
    """What follows from a committed transaction: events for others, jobs for the payment gateway."""

    __tablename__ = "outbox"
    __table_args__ = (
        one_of("topic", ("event", "refund")),
        Index("uq_outbox_sequence", "dispute_id", "sequence", unique=True),
        index_where("ix_outbox_jobs", "next_attempt_at", where="done_at IS NULL AND topic = 'refund'"),
    )
    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True, autoincrement=True))
    dispute_id: str = Field(max_length=36)
    sequence: int = count()
    topic: str = word("event", 16)
    type: str = Field(max_length=48)
    payload: Any = json_text(null=False)
    created_at: datetime = moment()
    next_attempt_at: datetime = moment()
    attempts: int = count()
    done_at: datetime | None = moment(null=True)


class IdempotencyRow(SQLModel, table=True):
    """The answer that was given to a key, kept for policy.idempotency_kept."""

    __tablename__ = "idempotency"
    __table_args__ = (Index("ix_idempotency_created_at", "created_at"),)
    id: str = key(140)  # <subject>|<key>
    fingerprint: str = Field(max_length=64)
    status: int = count(200)
    body: str = long_text()
    created_at: datetime = moment()
