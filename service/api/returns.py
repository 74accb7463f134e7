"""Returns over HTTP: the buyer ships, the shop confirms, waives or says what is wrong."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from service.api.case_shapes import DisputeView, ShipmentLine
from service.api.perform import Shaped, look
from service.api.shapes import TEXT, Id, Nothing, instant_text
from service.api.terms import allow
from service.api.views import READERS, act, action_responses
from service.domain.carriers import CARRIERS
from service.domain.dispute_guards import RETURN_ACKS
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.return_goods import Problem, confirm_receipt, read_return, report_problem, ship_return, waive_return
from service.store import tables

SHOP = (Role.MERCHANT_OWNER, Role.MERCHANT_SEAT)

Carrier = Annotated[
    str,
    msgspec.Meta(
        min_length=2, max_length=32, pattern=r"^[a-z_]+$", description="One of " + ", ".join(sorted(CARRIERS))
    ),
]
TrackingNumber = Annotated[str, msgspec.Meta(min_length=6, max_length=64, pattern=r"^[0-9A-Za-z -]+$")]
Ack = Literal["NOT_RECEIVED", "DAMAGED", "EMPTY_OR_DIFFERENT", "MISSING"]
Note = Annotated[str, msgspec.Meta(max_length=2_000, pattern=TEXT)]
Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
Files = Annotated[list[Sha256], msgspec.Meta(max_length=9)]
assert set(RETURN_ACKS) == set(get_args(Ack)), "the edge names the acknowledgements of the guard"


class Shipping(msgspec.Struct, forbid_unknown_fields=True):
    """With whom the goods travel. Blanks and hyphens of the number do not count."""

    carrier: Carrier
    tracking_no: TrackingNumber


class Inspection(msgspec.Struct, forbid_unknown_fields=True):
    """What the shop found wrong. `evidence`: sha256 of uploaded files; only NOT_RECEIVED needs none."""

    ack: Ack
    note: Note = ""
    evidence: Files = []
    confirm_token: Id | None = None


class ReturnView(msgspec.Struct):
    """Where the goods go back to, and the parcels so far, oldest first."""

    dispute_id: Id
    state: str
    return_address: str | None
    goods_held_by_merchant: bool
    shipments: list[ShipmentLine]


@post(
    "/disputes/{dispute_id:uuid}/actions/ship-return",
    status_code=200,
    opt=allow(Role.BUYER, dry_run=True, if_match=True, etag=True),
    operation_id="shipReturn",
    summary="The buyer has given the goods to a carrier",
    tags=["returns"],
)
async def ship(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Shipping]
) -> Response[DisputeView]:
    """One parcel, one tracking number; the address of the agreement holds whatever the shop says later."""
    return await act(
        request,
        dispute_id,
        lambda ctx: ship_return(ctx, str(dispute_id), carrier=data.carrier, tracking_no=data.tracking_no),
    )


@post(
    "/disputes/{dispute_id:uuid}/actions/confirm-receipt",
    status_code=200,
    opt=allow(*SHOP, dry_run=True, if_match=True, etag=True),
    operation_id="confirmReceipt",
    summary="The goods are back and in order: the refund goes out",
    tags=["returns"],
)
async def confirm(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[DisputeView]:
    """The shop acknowledges ITEM_RECEIVED."""
    return await act(request, dispute_id, lambda ctx: confirm_receipt(ctx, str(dispute_id)))


@post(
    "/disputes/{dispute_id:uuid}/actions/waive-return",
    status_code=200,
    opt=allow(*SHOP, dry_run=True, if_match=True, etag=True),
    operation_id="waiveReturn",
    summary="The shop wants nothing back: the refund goes out",
    tags=["returns"],
)
async def waive(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[DisputeView]:
    """Refund without return."""
    return await act(request, dispute_id, lambda ctx: waive_return(ctx, str(dispute_id)))


@post(
    "/disputes/{dispute_id:uuid}/actions/report-return-problem",
    status_code=200,
    opt=allow(*SHOP, dry_run=True, if_match=True, etag=True),
    operation_id="reportReturnProblem",
    summary="The parcel is missing, damaged, empty or not complete: the platform steps in",
    tags=["returns"],
    responses=action_responses(),
)
async def report(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Inspection]
) -> Response[DisputeView]:
    """The note is judged like every text of a shop; the buyer need not do anything."""
    token = None if data.confirm_token is None else str(data.confirm_token)
    problem = Problem(data.ack, data.note, tuple(data.evidence), token)
    return await act(request, dispute_id, lambda ctx: report_problem(ctx, str(dispute_id), problem))


@get(
    "/disputes/{dispute_id:uuid}/return",
    opt=allow(*READERS),
    operation_id="getReturn",
    summary="The parcel on its way back",
    tags=["returns"],
)
async def get_return(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[ReturnView]:
    """Every parcel of the dispute with what the carrier last said of it."""

    def shape(ctx: Context, found: tuple[tables.Dispute, Any]) -> Shaped:
        dispute, shipments = found
        return Shaped(
            200,
            ReturnView(
                dispute_id=Id(dispute.id),
                state=dispute.state,
                return_address=dispute.return_address,
                goods_held_by_merchant=dispute.goods_held_by_merchant,
                shipments=[
                    ShipmentLine(
                        Id(s.id),
                        s.cycle,
                        s.carrier,
                        s.tracking_no,
                        s.state,
                        instant_text(s.shipped_at),
                        None if s.signed_at is None else instant_text(s.signed_at),
                    )
                    for s in shipments
                ],
            ),
        )

    return await look(request, lambda ctx: read_return(ctx, str(dispute_id)), shape)


HANDLERS = [ship, confirm, waive, report, get_return]
