"""How rulings, appeals and refunds look over HTTP, asked for and shown."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from service.api.shapes import TEXT, Id, Instant, Line, MarketplaceId, Money, Words, instant_text
from service.domain.errors import Kind, Refusal
from service.flows.context import Context
from service.flows.read_settlement import AppealSeen, Cited, RulingSeen
from service.flows.rulings import CITES_MAX, Cite, Decision
from service.store.disputes import CaseFile
from service.store.quotations import Quotation
from service.store.tables import RefundExecution

FILES_MAX = 20  # choice: files brought with one appeal

Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
Place = Annotated[int, msgspec.Meta(ge=0, le=100_000, description="Unicode code points")]
Text = Annotated[str, msgspec.Meta(min_length=2, max_length=2_000, pattern=TEXT)]
Code = Annotated[str, msgspec.Meta(min_length=2, max_length=32, pattern=r"^[A-Z][A-Z_]*$")]
RulingKind = Literal["refund_full", "refund_partial", "refund_with_return", "reject"]
LiabilityName = Literal["MERCHANT", "BUYER", "BOTH", "PLATFORM", "INFLUENCER", "CARRIER", "NONE"]


class CiteBody(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly the words of a message (`message_id`, `start`, `end`, `text`), or a piece of evidence."""

    message_id: Id | None = None
    start: Place | None = None
    end: Place | None = None
    text: Words | None = None
    evidence_id: Id | None = None


Cites = Annotated[list[CiteBody], msgspec.Meta(max_length=CITES_MAX)]


class RulingBody(msgspec.Struct, forbid_unknown_fields=True):
    """A ruling. Its reasons are said to both parties in the platform's name: no word of a promise gets through."""

    kind: RulingKind
    amount: Money
    liability: LiabilityName
    basis: Code
    reasons: Text
    cites: Cites = []


class ReasonsBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why, said to both parties in the platform's name."""

    reasons: Text


class FileBody(msgspec.Struct, forbid_unknown_fields=True):
    """A file uploaded before."""

    sha256: Sha256
    file_name: Line | None = None


class AppealBody(msgspec.Struct, forbid_unknown_fields=True):
    """New evidence or a procedural error."""

    ground: Literal["new_evidence", "procedural_error"]
    note: Text
    files: Annotated[list[FileBody], msgspec.Meta(max_length=FILES_MAX)] = []
    cites: Cites = []
    confirm_token: Id | None = None


class TransferBody(msgspec.Struct, forbid_unknown_fields=True):
    """The agent who takes over."""

    assignee_id: MarketplaceId


class OfflineBody(msgspec.Struct, forbid_unknown_fields=True):
    """Proof of a payment made outside: a file uploaded before."""

    proof_sha256: Sha256


class CiteView(msgspec.Struct):
    """What was cited; `text` null where the viewer does not read that conversation."""

    message_id: Id | None
    conversation: str | None
    start: int | None
    end: int | None
    text: str | None
    evidence_id: Id | None


class RulingView(msgspec.Struct):
    """A decision of the platform, with what it rests on."""

    id: Id
    number: int
    cycle: int
    kind: str
    amount: Money
    liability: str
    basis: str
    reasons: str | None
    cites: list[CiteView]
    accepted_by: list[str]
    final: bool
    issued_at: Instant
    appeal_due_at: Instant
    author_id: str | None
    approver_id: str | None


class AppealView(msgspec.Struct):
    """An appeal in the party's own words."""

    id: Id
    party: str
    cycle: int
    ground: str
    note: str | None
    cites: list[CiteView]
    state: str
    filed_at: Instant


class RefundView(msgspec.Struct):
    """One execution of an obligation to pay; `gateway_said` is the gateway's last word."""

    id: Id
    obligation_no: int
    fund: str
    amount: Money
    state: str
    attempts: int
    gateway_said: str | None
    replaces: Id | None
    created_at: Instant
    submitted_at: Instant | None
    paid_at: Instant | None
    ended_at: Instant | None


class Rulings(msgspec.Struct):
    """All rulings, oldest first."""

    items: list[RulingView]


class Appeals(msgspec.Struct):
    """All appeals, oldest first."""

    items: list[AppealView]


class Refunds(msgspec.Struct):
    """All executions, oldest first."""

    items: list[RefundView]


def decision_of(data: RulingBody) -> Decision:
    """A ruling as it was asked for."""
    return Decision(
        kind=data.kind,
        amount_fen=data.amount.amount,
        currency=data.amount.currency,
        liability=data.liability,
        basis=data.basis,
        reasons=data.reasons,
        cites=cites_of(data.cites),
    )


def cites_of(given: list[CiteBody]) -> tuple[Cite, ...]:
    """What is pointed at."""
    return tuple(_cite(cite) for cite in given)


def _cite(cite: CiteBody) -> Cite:
    if cite.evidence_id is not None and cite.message_id is None:
        return Cite(evidence_id=str(cite.evidence_id))
    if cite.message_id is None or cite.text is None or cite.start is None or cite.end is None or cite.evidence_id:
        raise Refusal(
            "citation_incomplete",
            kind=Kind.GUARD,
            zh="引用须为消息的完整位置与原文,或一件凭证",
            en="A citation is a message with start, end and text, or a piece of evidence",
        )
    return Cite(Quotation(str(cite.message_id), cite.start, cite.end, cite.text))


def ruling_view(ctx: Context, case: CaseFile, seen: RulingSeen) -> RulingView:
    """A ruling as this viewer may see it."""
    row, staff = seen.row, ctx.actor.side not in ("buyer", "merchant")
    return RulingView(
        id=Id(row.id),
        number=row.number,
        cycle=row.cycle,
        kind=row.kind,
        amount=Money(row.amount_fen, case.dispute.currency),
        liability=row.liability,
        basis=row.basis,
        reasons=seen.reasons,
        cites=[_cited(cite) for cite in seen.cites],
        accepted_by=[party for party in row.accepted_by.split(",") if party],
        final=row.final,
        issued_at=instant_text(row.issued_at),
        appeal_due_at=instant_text(row.appeal_due_at),
        author_id=row.author_id if staff else None,
        approver_id=row.approver_id if staff else None,
    )


def appeal_view(seen: AppealSeen) -> AppealView:
    """An appeal."""
    row = seen.row
    return AppealView(
        Id(row.id),
        row.party,
        row.cycle,
        seen.ground,
        seen.note,
        [_cited(cite) for cite in seen.cites],
        row.state,
        instant_text(row.filed_at),
    )


def _cited(cite: Cited) -> CiteView:
    return CiteView(
        message_id=None if cite.message_id is None else Id(cite.message_id),
        conversation=cite.conversation,
        start=cite.start,
        end=cite.end,
        text=cite.text,
        evidence_id=None if cite.evidence_id is None else Id(cite.evidence_id),
    )


def refund_view(row: RefundExecution) -> RefundView:
    """An execution."""
    return RefundView(
        id=Id(row.id),
        obligation_no=row.obligation_no,
        fund=row.fund,
        amount=Money(row.amount_fen, row.currency),
        state=row.state,
        attempts=row.attempts,
        gateway_said=row.last_answer,
        replaces=None if row.replaces is None else Id(row.replaces),
        created_at=instant_text(row.created_at),
        submitted_at=None if row.submitted_at is None else instant_text(row.submitted_at),
        paid_at=None if row.paid_at is None else instant_text(row.paid_at),
        ended_at=None if row.ended_at is None else instant_text(row.ended_at),
    )
