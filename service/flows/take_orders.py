"""What the marketplace tells us of its orders: snapshots of what was bought, and parcels on their way to the buyer.

A snapshot is ranked by the marketplace's own time; an older one changes nothing. Money that has been or is being
refunded is ours to count: a snapshot never takes it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, select

from service.domain.errors import Absent, Conflict, GuardFailed
from service.domain.money import AMOUNT_MOST
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.keeping import keep_promises
from service.store import people, tables
from service.store.disputes import CaseFile, load_case

AHEAD_MAX: Final = timedelta(minutes=5)  # choice: how far the marketplace's clock may be ahead of ours
LINES_MAX: Final = 200  # choice: order lines of one snapshot
CURRENCIES: Final = ("CNY", "JPY", "KWD", "USD")  # those that order_snapshot holds
# What a parcel to the buyer can keep: the goods bought, or those sent again.
KEPT_BY: Final = {"order": ("ship",), "replacement": ("resend", "exchange")}


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """One line as the marketplace has it now. Amounts in minor units; `refundable_fen` before any refund of ours."""

    id: str
    title: str
    quantity: int
    paid_fen: int
    refundable_fen: int
    returnable: bool = True
    custom_made: bool = False
    on_time_insured: bool = False
    ship_by: datetime | None = None
    shipped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """An order as the marketplace has it at `updated_at`, by its own clock."""

    id: str
    merchant_id: str
    buyer_id: str
    updated_at: datetime
    lines: Sequence[LineSnapshot]
    currency: str = "CNY"
    shipping_fen: int = 0


@dataclass(frozen=True, slots=True)
class OrderTaken:
    """What became of a snapshot: `applied` False is an older one, which changes nothing."""

    order_id: str
    applied: bool
    lines: int


@dataclass(frozen=True, slots=True)
class Parcel:
    """A scan of a parcel to the buyer; `purpose`: the order itself, or goods sent again (`replacement`).

    `on_its_way` False is a scan that says nothing of its having left: failed, lost, returned to the sender.
    """

    order_line_id: str
    purpose: str
    at: datetime
    on_its_way: bool = True


def take_order(ctx: Context, snapshot: OrderSnapshot) -> OrderTaken:
    """Take a snapshot in: new lines are added, known ones follow it; lines it leaves out stay.

    Raises:
        GuardFailed: `merchant_unknown`, `currency_unknown`, `order_lines`, `amount_out_of_bounds`,
            `refundable_over_paid`, `snapshot_in_the_future`.
        Conflict: `order_parties_fixed`: shop, buyer and currency of an order never change; `line_of_another_order`;
            `paid_below_refunded`: less was paid than has been or is being refunded.
    """
    _require_sound(ctx, snapshot)
    known = ctx.tx.session.get(tables.Order, snapshot.id, with_for_update=True)
    if known is not None:
        _require_same_parties(known, snapshot)
        if snapshot.updated_at <= known.updated_at:
            return OrderTaken(snapshot.id, applied=False, lines=0)
    elif people.merchant(ctx.tx.session, snapshot.merchant_id) is None:
        raise GuardFailed("merchant_unknown", zh="店铺不存在", en="No such shop", merchant_id=snapshot.merchant_id)
    ctx.plan.put(
        tables.Order,
        snapshot.id,
        merchant_id=snapshot.merchant_id,
        buyer_id=snapshot.buyer_id,
        currency=snapshot.currency,
        shipping_fen=snapshot.shipping_fen,
        updated_at=snapshot.updated_at,
    )
    for line in sorted(snapshot.lines, key=lambda each: each.id):  # one lock order for everybody
        _take_line(ctx, snapshot, line)
    return OrderTaken(snapshot.id, applied=True, lines=len(snapshot.lines))


def _require_sound(ctx: Context, snapshot: OrderSnapshot) -> None:
    if snapshot.currency not in CURRENCIES:
        raise GuardFailed(
            "currency_unknown", zh="不支持的币种", en="Not a currency we settle in", currency=snapshot.currency
        )
    if snapshot.updated_at > ctx.now + AHEAD_MAX:
        raise GuardFailed(
            "snapshot_in_the_future",
            zh="快照时间晚于当前时间",
            en="The snapshot lies in the future",
            at=rfc3339(snapshot.updated_at),
        )
    ids = [line.id for line in snapshot.lines]
    if not 1 <= len(ids) <= LINES_MAX or len(set(ids)) != len(ids):
        raise GuardFailed(
            "order_lines", zh="订单行数量或编号有误", en="An order has 1 to 200 different lines", lines=len(ids)
        )
    for line in snapshot.lines:
        if not (0 <= line.paid_fen <= AMOUNT_MOST and line.refundable_fen >= 0 and 1 <= line.quantity <= 1_000_000):
            raise GuardFailed("amount_out_of_bounds", zh="金额或数量超出范围", en="Out of bounds", line_id=line.id)
        if line.refundable_fen > line.paid_fen:
            raise GuardFailed(
                "refundable_over_paid", zh="可退金额超出实付金额", en="More than was paid", line_id=line.id
            )
    if not 0 <= snapshot.shipping_fen <= AMOUNT_MOST:
        raise GuardFailed("amount_out_of_bounds", zh="金额超出范围", en="Out of bounds")


def _require_same_parties(known: tables.Order, snapshot: OrderSnapshot) -> None:
    before = (known.merchant_id, known.buyer_id, known.currency)
    if before != (snapshot.merchant_id, snapshot.buyer_id, snapshot.currency):
        raise Conflict(
            "order_parties_fixed",
            zh="订单的店铺、买家和币种不可更改",
            en="Shop, buyer and currency of an order never change",
            order_id=known.id,
        )


def _take_line(ctx: Context, snapshot: OrderSnapshot, line: LineSnapshot) -> None:
    """Follow the snapshot in everything but what was refunded; the cap never falls below that."""
    told = {
        "title": line.title,
        "quantity": line.quantity,
        "paid_fen": line.paid_fen,
        "returnable": line.returnable,
        "custom_made": line.custom_made,
        "on_time_insured": line.on_time_insured,
        "ship_by": line.ship_by,
        "shipped_at": line.shipped_at,
    }
    known = people.order_line(ctx.tx.session, line.id, lock=True)
    if known is None:
        ctx.plan.insert(tables.OrderLine, id=line.id, order_id=snapshot.id, refundable_fen=line.refundable_fen, **told)
        return
    if known.order_id != snapshot.id:
        raise Conflict("line_of_another_order", zh="该订单行属于其他订单", en="Another order's line", line_id=line.id)
    spent = known.refunded_fen + known.pending_fen
    if line.paid_fen < spent:
        raise Conflict(
            "paid_below_refunded",
            zh="实付金额低于已退和退款中的金额",
            en="Less than has been or is being refunded",
            line_id=line.id,
            refunded_fen=known.refunded_fen,
            pending_fen=known.pending_fen,
        )
    told["shipped_at"] = line.shipped_at or known.shipped_at
    ctx.plan.update(tables.OrderLine, line.id, refundable_fen=max(line.refundable_fen, spent), **told)


def take_parcel(ctx: Context, parcel: Parcel) -> list[str]:
    """A parcel to the buyer was handed over: the line has shipped, and a promise to send may be kept by it.

    Returns:
        The ids of the promises that it kept.

    Raises:
        Absent: no such order line.
        GuardFailed: `scan_in_the_future`.
    """
    if parcel.at > ctx.now + AHEAD_MAX:
        raise GuardFailed(
            "scan_in_the_future", zh="物流时间晚于当前时间", en="The scan lies in the future", at=rfc3339(parcel.at)
        )
    case = _newest_case(ctx, parcel.order_line_id)  # the dispute's lock comes before the line's, as everywhere
    line = people.order_line(ctx.tx.session, parcel.order_line_id, lock=True)
    if line is None:
        raise Absent("order_line")
    if not parcel.on_its_way:
        return []
    if parcel.purpose == "order" and (line.shipped_at is None or parcel.at < line.shipped_at):
        ctx.plan.update(tables.OrderLine, line.id, shipped_at=parcel.at)
    if case is None:
        return []
    ctx.follow(case.dispute)
    proof = {"parcel": parcel.purpose, "carrier_at": rfc3339(parcel.at)}
    kept = keep_promises(ctx, case, actions=KEPT_BY[parcel.purpose], side="carrier", at=parcel.at, proof=proof)
    assert ctx.plan.head is not None, "the dispute is followed"
    if ctx.plan.head.seq == case.dispute.last_seq:
        ctx.plan.head = None  # nothing of the dispute has changed
    return kept


def _newest_case(ctx: Context, line_id: str) -> CaseFile | None:
    """The line's newest dispute: promises are watched after it has closed, too."""
    newest = ctx.tx.session.exec(
        select(tables.Dispute.id)
        .where(tables.Dispute.order_line_id == line_id)
        .order_by(col(tables.Dispute.id).desc())
        .limit(1)
    ).first()
    return None if newest is None else load_case(ctx.tx.session, newest)
