"""The dispute, its transcript, its messages, its clocks and its tasks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Index, Integer, LargeBinary, String
from sqlmodel import Field, SQLModel

from service.domain.dispute import DISPUTE
from service.domain.outcome import Liability, Outcome
from service.store.columns import (
    Instant,
    count,
    fen,
    flag,
    index_where,
    key,
    long_text,
    moment,
    one_of,
    rule,
    unique_where,
    word,
)


class Dispute(SQLModel, table=True):
    """One refund dispute about one order line. Its row is the lock of everything below it."""

    __tablename__ = "dispute"
    __table_args__ = (
        one_of("state", DISPUTE.states),
        one_of("type", ("refund_only", "return_refund")),
        one_of("outcome", [o.value for o in Outcome], or_null=True),
        one_of("liability", [x.value for x in Liability], or_null=True),
        rule("closed_has_outcome", "(state = 'closed') = (closed_at IS NOT NULL AND outcome IS NOT NULL)"),
        rule("claim_positive", "claimed_fen > 0"),
        rule("awarded_not_negative", "awarded_fen IS NULL OR awarded_fen >= 0"),
        rule("counts", "offers_used >= 0 AND modifications >= 0 AND cycle BETWEEN 1 AND 2"),
        rule("head", "(last_seq = 0) = (last_hash IS NULL)"),
        unique_where("uq_dispute_active_line", "order_line_id", where="state <> 'closed'"),
        unique_where("uq_dispute_successor", "parent_id", where="parent_id IS NOT NULL"),
        Index("ix_dispute_merchant_id", "merchant_id", "id"),
        Index("ix_dispute_order_line_id", "order_line_id", "id"),
        Index("ix_dispute_buyer_id", "buyer_id", "id"),
        index_where("ix_dispute_queue", "state", "id", where="state IN ('intervention_requested', 'intervening')"),
        index_where("ix_dispute_assignee", "assignee_id", "id", where="state <> 'closed'"),
    )
    id: str = key()
    number: str = Field(max_length=32, unique=True)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=64)
    buyer_id: str = Field(max_length=64)
    order_id: str = Field(foreign_key="order_snapshot.id", max_length=64)
    order_line_id: str = Field(foreign_key="order_line.id", max_length=64)
    type: str = Field(max_length=16)
    reason: str = Field(max_length=32)
    currency: str = Field(max_length=3)
    claimed_fen: int = fen()
    state: str = Field(max_length=32)
    state_since: datetime = moment()
    outcome: str | None = Field(default=None, max_length=32)
    outcome_hint: str | None = Field(default=None, max_length=32)
    liability: str | None = Field(default=None, max_length=16)
    awarded_fen: int | None = fen(null=True)
    opened_by: str = word("buyer", 16)
    assignee_id: str | None = Field(default=None, max_length=64)
    policy_id: str = Field(max_length=32)
    policy_version: int = count(1)
    parent_id: str | None = Field(default=None, foreign_key="dispute.id", max_length=36)
    reopened_by: str | None = Field(default=None, max_length=16)  # the side that made this successor
    return_address: str | None = Field(default=None, max_length=300)
    agreed_to_return: bool = flag()
    return_origin: str | None = Field(default=None, max_length=16)  # consent or ruling
    goods_held_by_merchant: bool = flag()
    offers_used: int = count()
    modifications: int = count()
    refusal_round: int = count()
    claim_seq: int = count(1)  # of the entry whose disclosures hold the buyer's note: the request, or its last change
    refusal_seq: int | None = Field(default=None)  # of the last refusal's entry
    refusal_reason: str | None = Field(default=None, max_length=32)
    remands: int = count()
    cycle: int = count(1)
    obligation_no: int = count()
    flagged: bool = flag()
    hard_due_at: datetime | None = moment(null=True)  # T13, armed once on entering intervention
    intervened_at: datetime | None = moment(null=True)
    created_at: datetime = moment()
    closed_at: datetime | None = moment(null=True)
    last_seq: int = count()
    last_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    last_event_seq: int = count()
    version: int = count(1)
    restate_since_seq: int | None = Field(default=None)  # the buyer's first picture or voice nobody put into words yet


class CaseCounter(SQLModel, table=True):
    """The last readable case number of a day."""

    __tablename__ = "case_counter"
    day: str = key(8)
    last: int = count()


class Timer(SQLModel, table=True):
    """Something that is due; the key is `<subject id>:<name>`, so arming again moves the same row."""

    __tablename__ = "timer"
    __table_args__ = (
        index_where("ix_timer_due", "fires_at", where="done_at IS NULL"),
        index_where("ix_timer_dispute", "dispute_id", "due_at", where="done_at IS NULL"),  # lists by `due_before`
    )
    id: str = key(100)
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    subject_id: str = Field(max_length=36)
    name: str = Field(max_length=32)
    due_at: datetime = moment()
    fires_at: datetime = moment()  # due_at plus the settle margin for deadlines, due_at itself for warnings
    done_at: datetime | None = moment(null=True)


class TranscriptEntry(SQLModel, table=True):
    """One line of a dispute's transcript; append-only by triggers (engine.py)."""

    __tablename__ = "transcript_entry"
    __table_args__ = (Index("uq_transcript_entry_hash", "hash", unique=True), {"sqlite_with_rowid": False})
    dispute_id: str = Field(
        sa_column=Column(String(36), primary_key=True, nullable=False),
    )
    seq: int = Field(sa_column=Column(Integer, primary_key=True, nullable=False, autoincrement=False))
    at: datetime = Field(sa_column=Column(Instant, nullable=False))
    kind: str = Field(max_length=48)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class DisclosureRow(SQLModel, table=True):
    """What an entry committed to; plain for now, encrypted and erasable with the Evidence issue."""

    __tablename__ = "disclosure"
    __table_args__ = ({"sqlite_with_rowid": False},)
    dispute_id: str = Field(sa_column=Column(String(36), primary_key=True, nullable=False))
    seq: int = Field(sa_column=Column(Integer, primary_key=True, nullable=False, autoincrement=False))
    position: int = Field(sa_column=Column(Integer, primary_key=True, nullable=False, autoincrement=False))
    name: str = Field(max_length=32)
    body: str = long_text()
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Message(SQLModel, table=True):
    """One message or attempt; its words stand in the disclosure of its entry and nowhere else."""

    __tablename__ = "message"
    __table_args__ = (
        one_of("conversation", ("dispute", "inquiry", "ticket", "relay")),
        one_of("sender_side", ("buyer", "merchant", "platform_agent", "supervisor", "system")),
        one_of("kind", ("text", "image", "emoji", "order_card", "voice")),
        one_of("delivery", ("delivered", "held", "blocked", "late")),
        Index("uq_message_client", "dispute_id", "sender_id", "client_message_id", unique=True),
        Index("ix_message_thread", "dispute_id", "thread_id", "seq"),
        index_where("ix_message_edit", "thread_id", "edit_digest", where="edit_digest IS NOT NULL"),
    )
    id: str = key()
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    thread_id: str = Field(max_length=36)  # the inquiry, the ticket, or the dispute itself
    conversation: str = Field(max_length=16)
    seq: int = count()  # of its transcript entry
    sender_side: str = Field(max_length=16)
    sender_id: str = Field(max_length=64)
    kind: str = word("text", 16)
    delivery: str = Field(max_length=16)
    measure: str = word("none", 20)
    answers: bool = flag(True)  # False: delivered but marked 未明确
    attachment: str | None = Field(default=None, max_length=64)  # sha256 of a file, or an order id
    client_message_id: str = Field(max_length=64)
    received_at: datetime = moment()
    edit_digest: str | None = Field(default=None, max_length=32)  # of a text that must be edited: domain/resending.py
    recalled_at: datetime | None = moment(null=True)  # taken back by its sender: domain/recalling.py


class Task(SQLModel, table=True):
    """Work for a person of the platform: on call, a supervisor, the assignee."""

    __tablename__ = "task"
    __table_args__ = (index_where("ix_task_open", "role", "id", where="done_at IS NULL"),)
    id: str = key(100)
    dispute_id: str = Field(foreign_key="dispute.id", max_length=36)
    role: str = Field(max_length=24)
    kind: str = Field(max_length=48)
    created_at: datetime = moment()
    due_at: datetime | None = moment(null=True)
    done_at: datetime | None = moment(null=True)
