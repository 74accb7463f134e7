"""Approvals over HTTP: what waits for a second person, and what that person decides."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from service.api.listing import look_page
from service.api.paging import LIMIT_DEFAULT, LIMIT_MAX, Keyset
from service.api.perform import Shaped, look, perform, runner
from service.api.shapes import TEXT, Id, Instant, Nothing, Page, instant_text
from service.api.terms import allow
from service.domain.staff import Role
from service.flows.approve import approve, list_approvals, read_approval, reject, withdraw
from service.flows.context import Context
from service.flows.paying import Answer
from service.flows.proposals import Fire, Proposed
from service.flows.settle_dispute import RULING, ruling_approved
from service.flows.take_payment_in_hand import (
    SETTLE_OFFLINE,
    ask_about,
    name_of_old_refund,
    settlement_approved,
)
from service.store.payments import PaymentGateway
from service.store.tables import Approval

DECIDERS = (Role.PLATFORM_AGENT, Role.SUPERVISOR)
READERS = (*DECIDERS, Role.AUDITOR)
LISTING = Keyset("uuid")
FIRE: dict[str, Fire] = {RULING: ruling_approved, SETTLE_OFFLINE: settlement_approved}

Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=TEXT)]
State = Literal["proposed", "approved", "rejected", "withdrawn", "stale"]


class ApprovalBody(msgspec.Struct, forbid_unknown_fields=True):
    """The fingerprint of what was read: exactly that happens."""

    payload_sha256: Sha256


class RejectionBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why not, for the proposer."""

    reason: Reason


class ProposalLine(msgspec.Struct):
    """A proposal in a list: its ids, kinds and amounts, no words."""

    id: Id
    dispute_id: Id
    subject: str
    state: str
    payload_sha256: str
    proposer_id: str
    approver_id: str | None
    created_at: Instant
    expires_at: Instant
    ended_at: Instant | None
    shown: dict[str, Any]


class ApprovalView(msgspec.Struct):
    """A proposal with exactly what shall happen."""

    id: Id
    dispute_id: Id
    subject: str
    state: str
    payload: dict[str, Any]
    payload_sha256: str
    proposer_id: str
    approver_id: str | None
    created_at: Instant
    expires_at: Instant
    ended_at: Instant | None


@get(
    "/approvals",
    opt=allow(*READERS),
    operation_id="listApprovals",
    summary="What waits for a second person, newest first",
    tags=["approvals"],
)
async def list_all(
    request: Request[Any, Any, Any],
    in_state: Annotated[State | None, QueryParameter(name="state", description="Only proposals in this state")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    cursor: Annotated[str | None, QueryParameter(pattern=LISTING.pattern)] = None,
) -> Response[Page[ProposalLine]]:
    """An agent sees the own proposals, supervisors and auditors all."""
    after = None if cursor is None else str(LISTING.read(cursor)[0])
    return await look_page(
        request,
        "/v1/approvals",
        lambda ctx: list_approvals(ctx, state=in_state, after=after, limit=limit),
        lambda _, row: _line(row),
        keyset=LISTING,
        position=lambda row: row.id,
        limit=limit,
        asked={"state": in_state},
    )


@get(
    "/approvals/{approval_id:uuid}",
    opt=allow(*READERS),
    operation_id="getApproval",
    summary="One proposal with exactly what shall happen",
    tags=["approvals"],
)
async def get_one(request: Request[Any, Any, Any], approval_id: FromPath[Id]) -> Response[ApprovalView]:
    """Its `payload_sha256` is what the approver names."""
    return await look(request, lambda ctx: str(approval_id), lambda ctx, found: Shaped(200, approval_view(ctx, found)))


@post(
    "/approvals/{approval_id:uuid}/approve",
    opt=allow(Role.SUPERVISOR, dry_run=True),
    operation_id="approve",
    summary="Let exactly that happen",
    status_code=200,
    tags=["approvals"],
)
async def approve_one(
    request: Request[Any, Any, Any], approval_id: FromPath[Id], data: JSONBody[ApprovalBody]
) -> Response[ApprovalView]:
    """422 `same_person`; where the case has moved on, the refusal of its own guards, and the proposal is stale."""
    dispute_id = await look(
        request,
        lambda ctx: read_approval(ctx, str(approval_id))[0].dispute_id,
        lambda _, found: Shaped(200, found),
    )
    answer = await gateways_word(request, msgspec.json.decode(dispute_id.content, type=str))

    def story(ctx: Context) -> Any:
        refused = approve(ctx, str(approval_id), payload_sha256=data.payload_sha256, fire=FIRE, answer=answer)
        return refused or str(approval_id)

    return await perform(request, story, lambda ctx, found: Shaped(200, approval_view(ctx, found)))


@post(
    "/approvals/{approval_id:uuid}/reject",
    opt=allow(Role.SUPERVISOR, dry_run=True),
    operation_id="rejectProposal",
    summary="Say no, with a reason",
    status_code=200,
    tags=["approvals"],
)
async def reject_one(
    request: Request[Any, Any, Any], approval_id: FromPath[Id], data: JSONBody[RejectionBody]
) -> Response[ApprovalView]:
    """The dispute stays as it is."""

    def story(ctx: Context) -> str:
        reject(ctx, str(approval_id), reason=data.reason)
        return str(approval_id)

    return await perform(request, story, lambda ctx, found: Shaped(200, approval_view(ctx, found)))


@post(
    "/approvals/{approval_id:uuid}/withdraw",
    opt=allow(*DECIDERS, dry_run=True),
    operation_id="withdrawProposal",
    summary="The proposer takes it back",
    status_code=200,
    tags=["approvals"],
)
async def withdraw_one(
    request: Request[Any, Any, Any], approval_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[ApprovalView]:
    """Another proposal may then be made."""

    def story(ctx: Context) -> str:
        withdraw(ctx, str(approval_id))
        return str(approval_id)

    return await perform(request, story, lambda ctx, found: Shaped(200, approval_view(ctx, found)))


# --- shared with the actions that propose ---------------------------------------------------------------------------


async def gateways_word(request: Request[Any, Any, Any], dispute_id: str) -> Answer | None:
    """What the gateway says about a refund that failed, asked outside of any transaction; None where none did."""
    found = await look(request, lambda ctx: name_of_old_refund(ctx, dispute_id), lambda _, name: Shaped(200, name))
    name = msgspec.json.decode(found.content, type=str | None)
    if name is None:
        return None
    gateway: PaymentGateway = request.app.state.gateway
    return await asyncio.to_thread(ask_about, gateway, name, asked_at=runner(request).now())


def proposed_instead(ctx: Context, answer: object) -> Shaped | None:
    """202 with the proposal, where an action was only proposed."""
    return Shaped(202, approval_view(ctx, answer.approval_id)) if isinstance(answer, Proposed) else None


def proposal_responses() -> dict[int, ResponseSpec]:
    """Beside 200: a second person has been asked."""
    return {
        202: ResponseSpec(ApprovalView, description="Proposed; a second person decides", generate_examples=False),
    }


def approval_view(ctx: Context, approval_id: str) -> ApprovalView:
    """A proposal as it stands."""
    row, payload = read_approval(ctx, approval_id)
    return ApprovalView(
        id=Id(row.id),
        dispute_id=Id(row.dispute_id),
        subject=row.subject,
        state=row.state,
        payload=dict(payload),
        payload_sha256=row.payload_sha256,
        proposer_id=row.proposer_id,
        approver_id=row.approver_id,
        created_at=instant_text(row.created_at),
        expires_at=instant_text(row.expires_at),
        ended_at=None if row.ended_at is None else instant_text(row.ended_at),
    )


def _line(row: Approval) -> ProposalLine:
    return ProposalLine(
        id=Id(row.id),
        dispute_id=Id(row.dispute_id),
        subject=row.subject,
        state=row.state,
        payload_sha256=row.payload_sha256,
        proposer_id=row.proposer_id,
        approver_id=row.approver_id,
        created_at=instant_text(row.created_at),
        expires_at=instant_text(row.expires_at),
        ended_at=None if row.ended_at is None else instant_text(row.ended_at),
        shown=dict(row.payload),
    )


HANDLERS = [list_all, get_one, approve_one, reject_one, withdraw_one]
