"""The tables: every state is a CHECK, every rule of uniqueness an index, so that a wrong row cannot be written.

Instants are whole microseconds since 1970 (UTC) in BIGINT columns on both engines, money is integer minor units, states
are text with a CHECK, JSON is text that no query looks into. Rows stop at the stories; the domain gets plain values.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, CheckConstraint, Column, Dialect, Index, Integer, LargeBinary, String, Text, text
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from service.domain.approval import APPROVAL
from service.domain.dispute import DISPUTE
from service.domain.evidence import EVIDENCE_REQUEST
from service.domain.inquiry import INQUIRY
from service.domain.outcome import Liability, Outcome
from service.domain.promise import PROMISE
from service.domain.refund import REFUND
from service.domain.return_shipment import RETURN_SHIPMENT
from service.domain.rule_version import ACTS, RULE_VERSION
from service.domain.rulings import APPEAL_GROUNDS
from service.domain.ticket import TICKET
from service.domain.transcript import instant, micros

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else instant(value)


class JsonText(TypeDecorator[Any]):
    """A JSON value, stored as text; never queried into, so both engines hold the same."""

    impl = Text
    cache_ok = True

    @staticmethod
    def dumps(value: object) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        return self.dumps(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)


BigId = BigInteger().with_variant(Integer, "sqlite")


def one_of(column: str, values: Iterable[str], *, or_null: bool = False) -> CheckConstraint:
    """A CHECK that the column holds one of these words."""
    words = ", ".join(f"'{value}'" for value in values)
    null = f"{column} IS NULL OR " if or_null else ""
    return CheckConstraint(f"{null}{column} IN ({words})", name=column)


def rule(name: str, condition: str) -> CheckConstraint:
    """A CHECK named for what it keeps out."""
    return CheckConstraint(condition, name=name)


def unique_where(name: str, *columns: str, where: str) -> Index:
    """A partial unique index, the same on both engines."""
    return Index(name, *columns, unique=True, sqlite_where=text(where), postgresql_where=text(where))


def index_where(name: str, *columns: str, where: str) -> Index:
    """A partial index for an open queue or due rows, the same on both engines."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


def key(length: int = 36) -> Any:
    """A primary key of text (UUIDv7, or an outside system's id)."""
    return Field(sa_column=Column(String(length), primary_key=True, nullable=False))


def moment(*, null: bool = False) -> Any:
    """An instant."""
    return Field(default=None, sa_column=Column(Instant, nullable=null))


def fen(*, default: int | None = None, null: bool = False) -> Any:
    """Money in minor units."""
    server = None if default is None else str(default)
    return Field(default=default, sa_column=Column(BigInteger, nullable=null, server_default=server))


def count(default: int = 0) -> Any:
    """A small counter."""
    return Field(default=default, sa_column=Column(Integer, nullable=False, server_default=str(default)))


def flag(default: bool = False) -> Any:
    """A yes or no."""
    return Field(default=default, sa_column_kwargs={"server_default": text("true" if default else "false")})


def word(default: str, length: int) -> Any:
    """A short text that the database fills in when it is left out."""
    return Field(default=default, max_length=length, sa_column_kwargs={"server_default": default})


def json_text(*, null: bool = True) -> Any:
    """A JSON value."""
    return Field(default=None, sa_column=Column(JsonText, nullable=null))


def long_text(*, null: bool = False) -> Any:
    """Text without a length in the schema; the edge bounds it."""
    return Field(default=None, sa_column=Column(Text, nullable=null))


# --- people and orders ----------------------------------------------------------------------------------------------


class Merchant(SQLModel, table=True):
    """A shop, the tenant."""

    __tablename__ = "merchant"
    __table_args__ = (
        one_of("status", ("active", "suspended", "shop_closed")),
        one_of("platform", ("taobao", "pinduoduo", "douyin", "jd")),
    )
    id: str = key(64)
    name: str = Field(max_length=100)
    status: str = word("active", 16)
    platform: str = word("taobao", 16)
    is_demo: bool = flag()
    policy_id: str = word("default", 32)
    return_address: str | None = Field(default=None, max_length=300)
    created_at: datetime = moment()


class Seat(SQLModel, table=True):
    """One person of a merchant who can be given work; the owner is a seat too."""

    __tablename__ = "seat"
    __table_args__ = (
        rule("open_inquiries_not_negative", "open_inquiries >= 0"),
        unique_where("uq_seat_owner", "merchant_id", where="is_owner"),
        Index("ix_seat_merchant_id", "merchant_id"),
    )
    id: str = key(64)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=64)
    nickname: str = Field(max_length=50)
    is_owner: bool = flag()
    active: bool = flag(True)
    may_im: bool = flag()
    may_after_sale: bool = flag()
    may_commit: bool = flag()
    commit_limit_fen: int = fen(default=0)
    designated: bool = flag()
    open_inquiries: int = count()
    last_assigned_at: datetime | None = moment(null=True)


class Order(SQLModel, table=True):
    """An order as the marketplace last told us."""

    __tablename__ = "order_snapshot"
    __table_args__ = (one_of("currency", ("CNY", "JPY", "KWD", "USD")), Index("ix_order_snapshot_buyer_id", "buyer_id"))
    id: str = key(64)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=64)
    buyer_id: str = Field(max_length=64)
    currency: str = word("CNY", 3)
    shipping_fen: int = fen(default=0)
    updated_at: datetime = moment()


class OrderLine(SQLModel, table=True):
    """One line of an order, with what has been and is being refunded on it."""

    __tablename__ = "order_line"
    __table_args__ = (
        rule("amounts_not_negative", "paid_fen >= 0 AND refunded_fen >= 0 AND pending_fen >= 0"),
        # the cumulative cap, pending refunds counted: no race and no bug can pay a line twice
        rule("refund_cap", "refunded_fen + pending_fen <= refundable_fen AND refundable_fen <= paid_fen"),
        rule("quantity_positive", "quantity >= 1"),
        Index("ix_order_line_order_id", "order_id"),
    )
    id: str = key(64)
    order_id: str = Field(foreign_key="order_snapshot.id", max_length=64)
    title: str = Field(max_length=200)
    quantity: int = count(1)
    paid_fen: int = fen()
    refundable_fen: int = fen()
    refunded_fen: int = fen(default=0)
    pending_fen: int = fen(default=0)
    returnable: bool = flag(True)
    custom_made: bool = flag()
    on_time_insured: bool = flag()
    ship_by: datetime | None = moment(null=True)
    shipped_at: datetime | None = moment(null=True)


# --- the dispute ----------------------------------------------------------------------------------------------------


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


# --- children of the dispute ----------------------------------------------------------------------------------------


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
    created_at: datetime = moment()
    ended_at: datetime | None = moment(null=True)


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


class StaffAccount(SQLModel, table=True):
    """Which buyer's account a person of the platform shops with: nobody works on their own purchase."""

    __tablename__ = "staff_account"
    id: str = key(64)  # the subject of the agent or supervisor
    buyer_id: str | None = Field(default=None, max_length=64)
    active: bool = flag(True)
    updated_at: datetime = moment()


class PolicyVersion(SQLModel, table=True):
    """A published policy; disputes are pinned to one when they open."""

    __tablename__ = "policy_version"
    __table_args__ = (Index("uq_policy_version", "policy_id", "version", unique=True),)
    id: str = key(64)
    policy_id: str = Field(max_length=32)
    version: int = count(1)
    body: Any = json_text(null=False)
    published_at: datetime = moment()


# --- the rule book --------------------------------------------------------------------------------------------------


class RuleFiles(SQLModel, table=True):
    """The files of a rule book under their fingerprint: a JSON object of names and contents, deflated."""

    __tablename__ = "rule_files"
    id: str = key(64)  # sha256
    deflated: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class RuleVersion(SQLModel, table=True):
    """A version of the rule book that somebody drafted; its files never change."""

    __tablename__ = "rule_version"
    __table_args__ = (
        one_of("state", RULE_VERSION.states),
        rule("published_by_a_second_person", "(state = 'published') = (publisher_id IS NOT NULL)"),
        rule("two_people", "publisher_id IS NULL OR publisher_id <> author_id"),
        unique_where("uq_rule_version_published", "book_id", "book_version", where="state = 'published'"),
    )
    id: str = key()
    book_id: str = Field(max_length=64)
    book_version: int = count(1)
    sha256: str = Field(max_length=64)
    state: str = Field(max_length=16)
    note: str = Field(max_length=200)  # what it is for, in the author's words
    author_id: str = Field(max_length=64)
    publisher_id: str | None = Field(default=None, max_length=64)
    checked: Any = json_text()  # what the last check found
    replayed: Any = json_text()  # what the last replay found
    created_at: datetime = moment()
    published_at: datetime | None = moment(null=True)


class RuleAct(SQLModel, table=True):
    """Who did what to the rules, without gaps and append-only; the last publication is what is in force."""

    __tablename__ = "rule_act"
    __table_args__ = (
        one_of("kind", ACTS),
        index_where("ix_rule_act_in_force", "number", where="kind IN ('published', 'rolled_back')"),
    )
    number: int = Field(sa_column=Column(Integer, primary_key=True, nullable=False, autoincrement=False))
    at: datetime = moment()
    kind: str = Field(max_length=16)
    actor_id: str = Field(max_length=64)
    version_id: str | None = Field(default=None, max_length=36)  # null: the folder's book
    sha256: str | None = Field(default=None, max_length=64)
    rule_id: str | None = Field(default=None, max_length=96)
    facts: Any = json_text()


class RuleBreaker(SQLModel, table=True):
    """A rule that fell back to watch because it stopped far more than it used to, until a person arms it again."""

    __tablename__ = "rule_breaker"
    id: str = key(96)  # the rule
    tripped_at: datetime | None = moment(null=True)
    per_million: int = count()  # of the shops judged, those it stopped something in when it fell
    rearmed_at: datetime | None = moment(null=True)


class RuleTally(SQLModel, table=True):
    """How often a rule stopped something in one span of time; of the rule `*` how much was judged at all."""

    __tablename__ = "rule_tally"
    __table_args__ = (Index("ix_rule_tally_began_at", "began_at"),)
    id: str = key(120)  # <microseconds>|<rule>
    rule_id: str = Field(max_length=96)
    began_at: datetime = moment()
    stopped: int = count()
    shops: int = count()  # in which it stopped something: a shop counts once a process and span
    watched: int = count()  # findings of a rule that was only watched


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
