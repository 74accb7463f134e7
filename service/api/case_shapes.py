"""How a dispute looks over HTTP: the shapes of one, of everything below it, and of a line in a list."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from service.api.outcomes import Bilingual
from service.api.shapes import CaseNumber, Id, Instant, Money, Revision

StateName = Literal[
    "requested",
    "refused",
    "offer_pending",
    "awaiting_return",
    "return_in_transit",
    "intervention_requested",
    "intervening",
    "ruled",
    "appealed",
    "executing",
    "execution_failed",
    "closed",
]


class WhyNot(msgspec.Struct):
    """What is in the way of an action: the code it would be refused with, and why."""

    code: str
    zh: str
    en: str
    facts: dict[str, Any]


class ActionView(msgspec.Struct):
    """One action open to the viewer's side; `why_not` null means that a well-made request would be taken."""

    action: str
    opens_at: Instant
    due_at: Instant | None
    mandatory: bool
    why_not: WhyNot | None


class TimerView(msgspec.Struct):
    """An armed clock. `on_expiry` is the trigger it pulls, null where it only reminds somebody."""

    name: str
    due_at: Instant
    on_expiry: str | None
    noun: str
    subject: Id
    label: str


class StatusView(msgspec.Struct):
    """A derived status with its label."""

    code: str
    label: Bilingual


class RefusalView(msgspec.Struct):
    """The merchant's last refusal; `proof` are the sha256 of files to read under `/files`."""

    reason: str
    message: str | None
    proof: list[str]


class OfferView(msgspec.Struct):
    """A proposal of the merchant."""

    id: Id
    number: int
    kind: str
    amount: Money
    state: str
    note: str | None
    created_at: Instant


class InquiryLine(msgspec.Struct):
    """An inquiry in short; its messages are read under /v1/inquiries/{id}."""

    id: Id
    state: str
    turn: int
    due_at: Instant | None
    created_at: Instant


class TicketLine(msgspec.Struct):
    """A service ticket in short."""

    id: Id
    cause: str
    category: str
    blocking: bool
    state: str
    due_at: Instant
    inquiry_id: Id | None


class EvidenceRequestLine(msgspec.Struct):
    """A window for evidence in short."""

    id: Id
    party: str
    round: int
    mandatory: bool
    state: str
    due_at: Instant


class EvidenceLine(msgspec.Struct):
    """A piece of evidence in short."""

    id: Id
    party: str
    request_id: Id | None
    sha256: str | None
    media_type: str | None
    size_bytes: int | None
    frozen: bool
    retracted: bool
    added_at: Instant


class PromiseLine(msgspec.Struct):
    """A promise in its canonical words.

    `contradicts`: the fact of the order that it goes against; `contradicts_told`: the promise told to the buyer that it
    goes against. Both null for the buyer.
    """

    id: Id
    state: str
    wording: str
    action: str
    amount: Money | None
    due_at: Instant | None
    canonical: Bilingual
    canonical_sha256: str
    contradicts: str | None
    contradicts_told: Id | None


class RulingLine(msgspec.Struct):
    """A decision of the platform."""

    id: Id
    number: int
    cycle: int
    kind: str
    amount: Money
    liability: str
    basis: str
    reasons: str | None
    final: bool
    issued_at: Instant
    appeal_due_at: Instant


class AppealLine(msgspec.Struct):
    """An appeal in short."""

    id: Id
    party: str
    cycle: int
    state: str
    filed_at: Instant


class ShipmentLine(msgspec.Struct):
    """The parcel on its way back."""

    id: Id
    cycle: int
    carrier: str
    tracking_no: str
    state: str
    shipped_at: Instant
    signed_at: Instant | None


class RefundLine(msgspec.Struct):
    """A payment under way or made."""

    id: Id
    obligation_no: int
    fund: str
    amount: Money
    state: str
    attempts: int
    created_at: Instant
    ended_at: Instant | None


class ApprovalLine(msgspec.Struct):
    """What a second person was asked for."""

    id: Id
    subject: str
    state: str
    proposer_id: str
    expires_at: Instant


class RestateView(msgspec.Struct):
    """The buyer showed or spoke something since this entry that the shop has not put into words yet."""

    since_seq: int
    notice: Bilingual


class DisputeView(msgspec.Struct):
    """A dispute as this viewer may see it. `now` is the server's: count down from it, never from the own clock.

    `next_answer_due_at`: by when the shop has to answer the request, or has promised the buyer an answer.
    """

    id: Id
    number: CaseNumber
    revision: Revision
    state: str
    state_label: Bilingual
    stage: str
    sub_status: StatusView | None
    type: str
    reason: str
    note: str | None
    order_id: str
    order_line_id: str
    buyer_id: str
    merchant_id: str
    claimed: Money
    refundable: Money
    awarded: Money | None
    outcome: str | None
    liability: str | None
    benefited: list[str]
    opened_by: str
    assignee_id: str | None
    policy: str
    cycle: int
    offers_left: int
    modifications_left: int
    return_address: str | None
    refusal: RefusalView | None
    restate: RestateView | None
    parent_id: Id | None
    successor_id: Id | None
    created_at: Instant
    state_since: Instant
    closed_at: Instant | None
    next_answer_due_at: Instant | None
    now: Instant
    timers: list[TimerView]
    available_actions: list[ActionView]
    offers: list[OfferView]
    inquiries: list[InquiryLine]
    service_tickets: list[TicketLine]
    evidence_requests: list[EvidenceRequestLine]
    evidence: list[EvidenceLine]
    promises: list[PromiseLine]
    rulings: list[RulingLine]
    appeals: list[AppealLine]
    return_shipments: list[ShipmentLine]
    refunds: list[RefundLine]
    approvals: list[ApprovalLine]


class DisputeLine(msgspec.Struct):
    """A dispute in a list."""

    id: Id
    number: CaseNumber
    revision: Revision
    state: str
    state_label: Bilingual
    stage: str
    type: str
    reason: str
    order_line_id: str
    buyer_id: str
    merchant_id: str
    assignee_id: str | None
    claimed: Money
    outcome: str | None
    due_at: Instant | None
    created_at: Instant
    closed_at: Instant | None
