"""Calling the platform in over HTTP: the buyer, a supervisor for the buyer, a merchant with a report, a risk rule."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, post
from litestar.params import FromPath, JSONBody

from service.api.case_shapes import DisputeView
from service.api.shapes import Id, Note, Words
from service.api.terms import allow
from service.api.views import act, action_responses
from service.domain.staff import Role
from service.flows.call_platform import CITES_MAX, Call, Cited, call_platform, platform_intervene

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=r"^[a-z][a-z0-9_]*$")]
Place = Annotated[int, msgspec.Meta(ge=0, le=100_000, description="Unicode code points")]


class Citation(msgspec.Struct, forbid_unknown_fields=True):
    """A message, whole; or with `text` exactly the words that stand from `start` to `end` (half-open)."""

    message_id: Id
    start: Place | None = None
    end: Place | None = None
    text: Words | None = None


class InterventionCall(msgspec.Struct, forbid_unknown_fields=True):
    """Why the platform is called in; a merchant cites at least one message of the buyer."""

    reason: Code = "other"
    note: Note | None = None
    cites: Annotated[list[Citation], msgspec.Meta(max_length=CITES_MAX)] = []
    confirm_token: Id | None = None


class RiskHit(msgspec.Struct, forbid_unknown_fields=True):
    """The marketplace's rule that calls the platform in."""

    risk_rule: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.:-]+$")]


@post(
    "/disputes/{dispute_id:uuid}/actions/request-intervention",
    opt=allow(
        Role.BUYER, Role.MERCHANT_OWNER, Role.MERCHANT_SEAT, Role.SUPERVISOR, dry_run=True, if_match=True, etag=True
    ),
    operation_id="requestIntervention",
    summary="Call the platform in",
    status_code=200,
    responses=action_responses(),
    tags=["actions"],
)
async def request_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[InterventionCall]
) -> Response[DisputeView]:
    """The buyer after a refusal; a supervisor on the buyer's behalf; a merchant who reports the buyer."""
    cites = tuple(Cited(str(c.message_id), c.start, c.end, c.text) for c in data.cites)
    token = None if data.confirm_token is None else str(data.confirm_token)
    call = Call(data.reason, data.note, cites, token)
    return await act(request, dispute_id, lambda ctx: call_platform(ctx, str(dispute_id), call))


@post(
    "/disputes/{dispute_id:uuid}/actions/platform-intervene",
    opt=allow(Role.SYSTEM, scopes=("risk",), dry_run=True, if_match=True, etag=True),
    operation_id="platformIntervene",
    summary="A risk rule of the marketplace calls the platform in",
    status_code=200,
    tags=["actions"],
)
async def intervene_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[RiskHit]
) -> Response[DisputeView]:
    """Before the merchant has answered; `If-Match: *` where the system has not read the dispute."""
    return await act(
        request, dispute_id, lambda ctx: platform_intervene(ctx, str(dispute_id), risk_rule=data.risk_rule)
    )


HANDLERS = [request_one, intervene_one]
