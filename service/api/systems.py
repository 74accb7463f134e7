"""The marketplace's systems over HTTP: orders, carrier scans, staff; by API key, signed where a secret is set.

A system's own event id is its Idempotency-Key: the same event twice is answered the same and does nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, post
from litestar.params import JSONBody

from service.api.perform import Shaped, perform, runner
from service.api.shapes import TEXT, Id, InstantIn, MarketplaceId, Money, sane_instant
from service.api.terms import allow, idempotency_key
from service.domain.errors import GuardFailed, Kind, Refusal
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.follow_parcel import Scan, ScanTaken, take_scan
from service.flows.settle_dispute import know_staff
from service.flows.take_orders import LineSnapshot, OrderSnapshot, OrderTaken, Parcel, take_order, take_parcel
from service.store.signing import require_signature

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=TEXT)]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Carrier = Annotated[str, msgspec.Meta(min_length=2, max_length=32, pattern=r"^[a-z_]+$")]
TrackingNumber = Annotated[str, msgspec.Meta(min_length=6, max_length=64, pattern=r"^[0-9A-Za-z -]+$")]
ParcelState = Literal["picked_up", "in_transit", "out_for_delivery", "signed", "failed", "lost", "returned_to_sender"]
ON_ITS_WAY = frozenset({"picked_up", "in_transit", "out_for_delivery", "signed"})


class LineIn(msgspec.Struct, forbid_unknown_fields=True):
    """One order line. `refundable`: what may be given back of it in all, before any refund of ours."""

    id: MarketplaceId
    title: Title
    quantity: Quantity
    paid: Money
    refundable: Money
    returnable: bool = True
    custom_made: bool = False
    on_time_insured: bool = False
    ship_by: InstantIn | None = None
    shipped_at: InstantIn | None = None


class OrderIn(msgspec.Struct, forbid_unknown_fields=True):
    """An order as the marketplace has it at `updated_at`, by its own clock; an older snapshot changes nothing."""

    id: MarketplaceId
    merchant_id: MarketplaceId
    buyer_id: MarketplaceId
    updated_at: InstantIn
    lines: Annotated[list[LineIn], msgspec.Meta(min_length=1, max_length=200)]
    shipping: Money = Money(0)


class OrderTakenView(msgspec.Struct):
    """`applied` false: a newer snapshot was here before."""

    order_id: str
    applied: bool
    lines: int


class LogisticsEvent(msgspec.Struct, forbid_unknown_fields=True):
    """A carrier's scan, at its own time.

    A `return` parcel is named by carrier and tracking number, one to the buyer (`order`: the goods bought,
    `replacement`: goods sent again) by the order line.
    """

    parcel: Literal["return", "order", "replacement"]
    state: ParcelState
    at: InstantIn
    carrier: Carrier | None = None
    tracking_no: TrackingNumber | None = None
    order_line_id: MarketplaceId | None = None


class LogisticsTakenView(msgspec.Struct):
    """`applied` false: a duplicate, an older scan, a step back, or one that says nothing new."""

    applied: bool
    dispute_id: Id | None
    state: str
    kept_promises: list[Id]


class StaffBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which account a person of the platform shops with, if any, and whether they still work there."""

    id: MarketplaceId
    buyer_id: MarketplaceId | None = None
    active: bool = True


class StaffView(msgspec.Struct):
    """What we know now."""

    id: str
    buyer_id: str | None
    active: bool


@post(
    "/orders",
    status_code=200,
    opt=allow(Role.SYSTEM, scopes=("orders",), dry_run=True),
    operation_id="pushOrder",
    summary="A snapshot of an order",
    tags=["systems"],
)
async def push_order(request: Request[Any, Any, Any], data: JSONBody[OrderIn]) -> Response[OrderTakenView]:
    """Known lines follow the snapshot in everything but what was refunded; the cap never falls below that."""
    await require_signed(request)
    snapshot = _snapshot(data)

    def shape(_: Context, taken: OrderTaken) -> Shaped:
        return Shaped(200, OrderTakenView(taken.order_id, taken.applied, taken.lines))

    return await perform(request, lambda ctx: take_order(ctx, snapshot), shape)


@post(
    "/logistics-events",
    status_code=200,
    opt=allow(Role.SYSTEM, scopes=("logistics",), errors=(404,), dry_run=True),
    operation_id="pushLogisticsEvent",
    summary="A carrier's scan of a parcel",
    tags=["systems"],
)
async def push_event(request: Request[Any, Any, Any], data: JSONBody[LogisticsEvent]) -> Response[LogisticsTakenView]:
    """404 for a parcel that nobody has registered (yet): send it again later."""
    await require_signed(request)
    if data.parcel == "return":
        return await _returning(request, data)
    return await _to_buyer(request, data)


@post(
    "/staff-accounts",
    status_code=200,
    opt=allow(Role.SYSTEM, scopes=("staff",), dry_run=True),
    operation_id="pushStaffAccount",
    summary="Which account a person of the platform shops with",
    tags=["systems"],
)
async def push_staff(request: Request[Any, Any, Any], data: JSONBody[StaffBody]) -> Response[StaffView]:
    """Nobody works on their own purchase: they neither accept, are handed, rule on nor review it."""
    await require_signed(request)

    def story(ctx: Context) -> None:
        know_staff(ctx, data.id, buyer_id=data.buyer_id, active=data.active)

    return await perform(request, story, lambda *_: Shaped(200, StaffView(data.id, data.buyer_id, data.active)))


async def _returning(request: Request[Any, Any, Any], data: LogisticsEvent) -> Response[Any]:
    if data.carrier is None or data.tracking_no is None:
        raise _incomplete("carrier", "tracking_no")
    scan = Scan(data.carrier, data.tracking_no, data.state, sane_instant(data.at))

    def shape(_: Context, taken: ScanTaken) -> Shaped:
        kept = [Id(each) for each in taken.kept_promises]
        return Shaped(200, LogisticsTakenView(taken.applied, Id(taken.dispute_id), taken.state, kept))

    return await perform(request, lambda ctx: take_scan(ctx, scan), shape)


async def _to_buyer(request: Request[Any, Any, Any], data: LogisticsEvent) -> Response[Any]:
    if data.order_line_id is None:
        raise _incomplete("order_line_id")
    parcel = Parcel(data.order_line_id, data.parcel, sane_instant(data.at), on_its_way=data.state in ON_ITS_WAY)

    def shape(_: Context, kept: list[str]) -> Shaped:
        view = LogisticsTakenView(parcel.on_its_way, None, data.state, [Id(each) for each in kept])
        return Shaped(200, view)

    return await perform(request, lambda ctx: take_parcel(ctx, parcel), shape)


async def require_signed(request: Request[Any, Any, Any]) -> None:
    """Where the operator has set a secret, what systems push is signed (Standard Webhooks), too.

    Raises:
        SignatureRefused: 401.
        Refusal: 400 `event_id_mismatch`: the signed id is not the Idempotency-Key.
    """
    secrets: Sequence[str] = getattr(request.app.state, "systems_secrets", ())
    if not secrets:
        return
    headers = {name: request.headers.get(name, "") for name in SIGNED}
    message_id = require_signature(headers, await request.body(), secrets=secrets, now=runner(request).now())
    if message_id != idempotency_key(request):
        raise Refusal(
            "event_id_mismatch",
            kind=Kind.MALFORMED,
            zh="webhook-id 与 Idempotency-Key 不一致",
            en="webhook-id and Idempotency-Key name different events",
        )


SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")


def _incomplete(*names: str) -> GuardFailed:
    return GuardFailed("event_incomplete", zh="物流事件缺少字段", en="The event lacks members", members=list(names))


def _snapshot(data: OrderIn) -> OrderSnapshot:
    currencies = {data.shipping.currency, *(m.currency for line in data.lines for m in (line.paid, line.refundable))}
    if data.shipping.amount == 0:
        currencies.discard(data.shipping.currency)  # no shipping fee is of no currency
        currencies |= {data.lines[0].paid.currency}
    if len(currencies) != 1:
        raise GuardFailed("currency_mismatch", zh="订单内币种不一致", en="One order, one currency")
    return OrderSnapshot(
        id=data.id,
        merchant_id=data.merchant_id,
        buyer_id=data.buyer_id,
        updated_at=sane_instant(data.updated_at),
        currency=currencies.pop(),
        shipping_fen=data.shipping.amount,
        lines=[
            LineSnapshot(
                id=line.id,
                title=line.title,
                quantity=line.quantity,
                paid_fen=line.paid.amount,
                refundable_fen=line.refundable.amount,
                returnable=line.returnable,
                custom_made=line.custom_made,
                on_time_insured=line.on_time_insured,
                ship_by=None if line.ship_by is None else sane_instant(line.ship_by),
                shipped_at=None if line.shipped_at is None else sane_instant(line.shipped_at),
            )
            for line in data.lines
        ],
    )


HANDLERS = [push_order, push_event, push_staff]
