"""What a buyer does with a dispute over HTTP, and a supervisor on the buyer's behalf."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, post
from litestar.params import FromPath, JSONBody

from service.api.case_shapes import DisputeView
from service.api.perform import perform
from service.api.shapes import Id, MarketplaceId, Money, Note
from service.api.terms import allow
from service.api.views import act, shape_case
from service.domain.staff import Role
from service.flows.answer_offer import accept_offer, decline_offer
from service.flows.context import Context
from service.flows.open_dispute import Change, Claim, modify, open_dispute, reopen, withdraw

DisputeType = Literal["refund_only", "return_refund"]
ReasonCode = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=r"^[a-z][a-z0-9_]*$")]


class DisputeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What the buyer asks for, in the order's currency."""

    order_line_id: MarketplaceId
    type: DisputeType
    reason: ReasonCode
    amount: Money
    note: Note | None = None


class Modification(msgspec.Struct, forbid_unknown_fields=True):
    """What changes; left out stays."""

    amount: Money | None = None
    type: DisputeType | None = None
    reason: ReasonCode | None = None
    note: Note | None = None


class Remark(msgspec.Struct, forbid_unknown_fields=True):
    """An optional word to go with it."""

    note: Note | None = None


class Withdrawal(Remark, forbid_unknown_fields=True):
    """`agreed_promise_id`: the promise passed on that settles the matter; the transcript names it with the close."""

    agreed_promise_id: Id | None = None


class Accepting(msgspec.Struct, forbid_unknown_fields=True):
    """`promise_id`: while the platform is at work, the refund promise that was passed on."""

    promise_id: Id | None = None


class Reopening(msgspec.Struct, forbid_unknown_fields=True):
    """`amount`: left out claims what was claimed before, or what is left of it."""

    amount: Money | None = None
    note: Note | None = None


@post(
    "/disputes",
    opt=allow(Role.BUYER, dry_run=True, etag=True, errors=(404,)),
    operation_id="openDispute",
    summary="Ask for a refund of an order line",
    tags=["disputes"],
)
async def open_one(request: Request[Any, Any, Any], data: JSONBody[DisputeRequest]) -> Response[DisputeView]:
    """Opens a dispute; the merchant's time to answer starts now."""
    claim = Claim(data.order_line_id, data.type, data.reason, data.amount.amount, data.amount.currency, data.note)
    return await perform(
        request, lambda ctx: open_dispute(ctx, claim), lambda ctx, dispute_id: shape_case(ctx, dispute_id, status=201)
    )


@post(
    "/disputes/{dispute_id:uuid}/actions/modify",
    opt=allow(Role.BUYER, dry_run=True, if_match=True, etag=True),
    operation_id="modifyDispute",
    summary="The buyer changes the request",
    status_code=200,
    tags=["actions"],
)
async def modify_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Modification]
) -> Response[DisputeView]:
    """The merchant's time to answer starts anew; at most five times."""
    change = Change(
        amount_fen=data.amount.amount if data.amount else None,
        currency=data.amount.currency if data.amount else None,
        type=data.type,
        reason=data.reason,
        note=data.note,
    )
    return await act(request, dispute_id, lambda ctx: modify(ctx, str(dispute_id), change))


@post(
    "/disputes/{dispute_id:uuid}/actions/withdraw",
    opt=allow(Role.BUYER, dry_run=True, if_match=True, etag=True),
    operation_id="withdrawDispute",
    summary="The buyer gives the request up",
    status_code=200,
    tags=["actions"],
)
async def withdraw_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Withdrawal]
) -> Response[DisputeView]:
    """Refused while the merchant holds the goods."""
    agreed = None if data.agreed_promise_id is None else str(data.agreed_promise_id)
    return await act(
        request, dispute_id, lambda ctx: withdraw(ctx, str(dispute_id), note=data.note, agreed_promise_id=agreed)
    )


@post(
    "/disputes/{dispute_id:uuid}/actions/accept-offer",
    opt=allow(Role.BUYER, dry_run=True, if_match=True, etag=True),
    operation_id="acceptOffer",
    summary="The buyer takes the offer, or the refund promise that was passed on",
    status_code=200,
    tags=["actions"],
)
async def accept_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Accepting]
) -> Response[DisputeView]:
    """The amount offered is what is awarded."""
    promise_id = None if data.promise_id is None else str(data.promise_id)
    return await act(request, dispute_id, lambda ctx: accept_offer(ctx, str(dispute_id), promise_id=promise_id))


@post(
    "/disputes/{dispute_id:uuid}/actions/decline-offer",
    opt=allow(Role.BUYER, dry_run=True, if_match=True, etag=True),
    operation_id="declineOffer",
    summary="The buyer turns the offer down",
    status_code=200,
    tags=["actions"],
)
async def decline_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Remark]
) -> Response[DisputeView]:
    """The request stands refused; the time to call the platform runs anew."""
    return await act(request, dispute_id, lambda ctx: decline_offer(ctx, str(dispute_id), note=data.note))


@post(
    "/disputes/{dispute_id:uuid}/actions/reopen",
    opt=allow(Role.BUYER, Role.SUPERVISOR, dry_run=True, if_match=True, etag=True),
    operation_id="reopenDispute",
    summary="Open a successor of a closed dispute",
    tags=["actions"],
)
async def reopen_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Reopening]
) -> Response[DisputeView]:
    """The closed one stays sealed; the answer is the successor."""

    def story(ctx: Context) -> str:
        amount, currency = (data.amount.amount, data.amount.currency) if data.amount else (None, None)
        return reopen(ctx, str(dispute_id), amount_fen=amount, currency=currency, note=data.note)

    return await act(request, dispute_id, story, shows=lambda successor: str(successor), status=201)


HANDLERS = [open_one, modify_one, withdraw_one, accept_one, decline_one, reopen_one]
