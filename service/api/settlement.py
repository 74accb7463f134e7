"""Settling a dispute over HTTP: whose case it is, rulings, acceptance, appeals, and payments taken in hand."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from service.api.approvals import gateways_word, proposal_responses, proposed_instead
from service.api.case_shapes import DisputeView
from service.api.perform import Shaped, look
from service.api.settlement_shapes import (
    AppealBody,
    Appeals,
    OfflineBody,
    ReasonsBody,
    Refunds,
    RulingBody,
    Rulings,
    TransferBody,
    appeal_view,
    cites_of,
    decision_of,
    refund_view,
    ruling_view,
)
from service.api.shapes import Id, Nothing
from service.api.terms import allow
from service.api.views import READERS, act, action_responses
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.hear_appeal import Appealing, NewFile, appeal, overturn, remand, uphold, withdraw_appeal
from service.flows.read_settlement import read_appeals, read_refunds, read_rulings
from service.flows.settle_dispute import accept_dispute, accept_ruling, issue_ruling, release, transfer
from service.flows.take_payment_in_hand import propose_settlement, retry_execution
from service.store.disputes import CaseFile

AGENTS = (Role.PLATFORM_AGENT, Role.SUPERVISOR)
PARTIES = (Role.BUYER, Role.MERCHANT_OWNER, Role.MERCHANT_SEAT)
APPELLANTS = (Role.BUYER, Role.MERCHANT_OWNER)  # api.md section 3


# --- whose case it is -----------------------------------------------------------------------------------------------


@post(
    "/disputes/{dispute_id:uuid}/actions/accept-dispute",
    opt=allow(*AGENTS, dry_run=True, if_match=True, etag=True),
    operation_id="acceptDispute",
    summary="An agent takes the case from the queue",
    status_code=200,
    tags=["actions"],
)
async def accept_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[DisputeView]:
    """Both parties are asked for evidence. Two agents at once: one has it, the other is told so."""
    return await act(request, dispute_id, lambda ctx: accept_dispute(ctx, str(dispute_id)))


@post(
    "/disputes/{dispute_id:uuid}/actions/transfer",
    opt=allow(*AGENTS, dry_run=True, if_match=True, etag=True),
    operation_id="transferDispute",
    summary="Hand the case to another agent",
    status_code=200,
    tags=["actions"],
)
async def transfer_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[TransferBody]
) -> Response[DisputeView]:
    """An agent hands on the own case, or takes one that was released; a supervisor any."""
    return await act(request, dispute_id, lambda ctx: transfer(ctx, str(dispute_id), assignee_id=data.assignee_id))


@post(
    "/disputes/{dispute_id:uuid}/actions/release",
    opt=allow(*AGENTS, dry_run=True, if_match=True, etag=True),
    operation_id="releaseDispute",
    summary="Give the case back to the queue",
    status_code=200,
    tags=["actions"],
)
async def release_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[DisputeView]:
    """Every clock runs on."""
    return await act(request, dispute_id, lambda ctx: release(ctx, str(dispute_id)))


# --- the ruling -----------------------------------------------------------------------------------------------------


@post(
    "/disputes/{dispute_id:uuid}/actions/issue-ruling",
    opt=allow(*AGENTS, dry_run=True, if_match=True, etag=True),
    operation_id="issueRuling",
    summary="Rule on the case",
    status_code=200,
    responses=proposal_responses(),
    tags=["actions"],
)
async def rule_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[RulingBody]
) -> Response[DisputeView]:
    """Above the limit it is only proposed (202): a second person decides. 422 `uncleared_promise` names the words."""
    decision = decision_of(data)
    return await act(
        request, dispute_id, lambda ctx: issue_ruling(ctx, str(dispute_id), decision), instead=proposed_instead
    )


@post(
    "/disputes/{dispute_id:uuid}/actions/accept-ruling",
    opt=allow(*PARTIES, dry_run=True, if_match=True, etag=True),
    operation_id="acceptRuling",
    summary="A losing party accepts the ruling",
    status_code=200,
    tags=["actions"],
)
async def accept_ruling_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[DisputeView]:
    """When every losing party has, it is carried out at once."""
    return await act(request, dispute_id, lambda ctx: accept_ruling(ctx, str(dispute_id)))


# --- the appeal -----------------------------------------------------------------------------------------------------


@post(
    "/disputes/{dispute_id:uuid}/actions/appeal",
    opt=allow(*APPELLANTS, dry_run=True, if_match=True, etag=True),
    operation_id="appeal",
    summary="A losing party appeals",
    status_code=200,
    responses=action_responses(),
    tags=["actions"],
)
async def appeal_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[AppealBody]
) -> Response[DisputeView]:
    """Once a party and cycle, with new evidence or for a procedural error."""
    appealing = Appealing(
        ground=data.ground,
        note=data.note,
        files=tuple(NewFile(f.sha256, f.file_name) for f in data.files),
        cites=cites_of(data.cites),
        confirm_token=None if data.confirm_token is None else str(data.confirm_token),
    )
    return await act(request, dispute_id, lambda ctx: appeal(ctx, str(dispute_id), appealing))


@post(
    "/disputes/{dispute_id:uuid}/actions/withdraw-appeal",
    opt=allow(*APPELLANTS, dry_run=True, if_match=True, etag=True),
    operation_id="withdrawAppeal",
    summary="The appellant takes the appeal back",
    status_code=200,
    tags=["actions"],
)
async def withdraw_appeal_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[DisputeView]:
    """The ruling is final, unless the other party's appeal stands."""
    return await act(request, dispute_id, lambda ctx: withdraw_appeal(ctx, str(dispute_id)))


@post(
    "/disputes/{dispute_id:uuid}/actions/uphold",
    opt=allow(Role.SUPERVISOR, dry_run=True, if_match=True, etag=True),
    operation_id="upholdRuling",
    summary="The ruling stands",
    status_code=200,
    tags=["actions"],
)
async def uphold_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[ReasonsBody]
) -> Response[DisputeView]:
    """Decided by somebody who did not write it."""
    return await act(request, dispute_id, lambda ctx: uphold(ctx, str(dispute_id), reasons=data.reasons))


@post(
    "/disputes/{dispute_id:uuid}/actions/overturn",
    opt=allow(Role.SUPERVISOR, dry_run=True, if_match=True, etag=True),
    operation_id="overturnRuling",
    summary="Another ruling takes its place",
    status_code=200,
    tags=["actions"],
)
async def overturn_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[RulingBody]
) -> Response[DisputeView]:
    """It is final, and carried out at once."""
    decision = decision_of(data)
    return await act(request, dispute_id, lambda ctx: overturn(ctx, str(dispute_id), decision))


@post(
    "/disputes/{dispute_id:uuid}/actions/remand",
    opt=allow(Role.SUPERVISOR, dry_run=True, if_match=True, etag=True),
    operation_id="remandDispute",
    summary="Back to work, once",
    status_code=200,
    tags=["actions"],
)
async def remand_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[ReasonsBody]
) -> Response[DisputeView]:
    """Evidence is open again."""
    return await act(request, dispute_id, lambda ctx: remand(ctx, str(dispute_id), reasons=data.reasons))


# --- payments taken in hand -----------------------------------------------------------------------------------------


@post(
    "/disputes/{dispute_id:uuid}/actions/retry-execution",
    opt=allow(Role.SUPERVISOR, dry_run=True, if_match=True, etag=True),
    operation_id="retryExecution",
    summary="Pay anew, the old refund being dead",
    status_code=200,
    tags=["actions"],
)
async def retry_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[DisputeView]:
    """The gateway is asked about the old one first; 422 `execution_undecided` while it may still succeed."""
    answer = await gateways_word(request, str(dispute_id))
    return await act(request, dispute_id, lambda ctx: retry_execution(ctx, str(dispute_id), answer))


@post(
    "/disputes/{dispute_id:uuid}/actions/settle-offline",
    opt=allow(Role.SUPERVISOR, dry_run=True, if_match=True, etag=True),
    operation_id="settleOffline",
    summary="Propose to settle by hand, with proof",
    status_code=200,
    responses=proposal_responses(),
    tags=["actions"],
)
async def settle_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[OfflineBody]
) -> Response[DisputeView]:
    """Always 202: a second person decides; 422 `gateway_may_still_pay`."""
    answer = await gateways_word(request, str(dispute_id))
    return await act(
        request,
        dispute_id,
        lambda ctx: propose_settlement(ctx, str(dispute_id), proof_sha256=data.proof_sha256, answer=answer),
        instead=proposed_instead,
    )


# --- reading --------------------------------------------------------------------------------------------------------


@get(
    "/disputes/{dispute_id:uuid}/rulings",
    opt=allow(*READERS),
    operation_id="listRulings",
    summary="The rulings, with reasons and citations",
    tags=["disputes"],
)
async def rulings_of(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[Rulings]:
    """Who wrote and approved them is shown to the platform only."""

    def shape(ctx: Context, found: tuple[CaseFile, Any]) -> Shaped:
        case, seen = found
        return Shaped(200, Rulings([ruling_view(ctx, case, each) for each in seen]))

    return await look(request, lambda ctx: read_rulings(ctx, str(dispute_id)), shape)


@get(
    "/disputes/{dispute_id:uuid}/appeals",
    opt=allow(*READERS),
    operation_id="listAppeals",
    summary="The appeals, in the parties' own words",
    tags=["disputes"],
)
async def appeals_of(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[Appeals]:
    """At most one a party and cycle."""
    return await look(
        request,
        lambda ctx: read_appeals(ctx, str(dispute_id)),
        lambda _, seen: Shaped(200, Appeals([appeal_view(each) for each in seen])),
    )


@get(
    "/disputes/{dispute_id:uuid}/refunds",
    opt=allow(*READERS),
    operation_id="listRefunds",
    summary="The payments under way and made",
    tags=["disputes"],
)
async def refunds_of(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[Refunds]:
    """Every execution of every obligation."""
    return await look(
        request,
        lambda ctx: read_refunds(ctx, str(dispute_id)),
        lambda _, case: Shaped(200, Refunds([refund_view(each) for each in case.executions])),
    )


HANDLERS = [
    accept_one,
    transfer_one,
    release_one,
    rule_one,
    accept_ruling_one,
    appeal_one,
    withdraw_appeal_one,
    uphold_one,
    overturn_one,
    remand_one,
    retry_one,
    settle_one,
    rulings_of,
    appeals_of,
    refunds_of,
]
