"""The carrier reports the parcel on its way back.

Scans are ranked by the carrier's own time and never move backwards; `signed` re-arms the inspection once, and a parcel
that will not arrive brings the platform in by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import select

from service.domain.carriers import tracking_number
from service.domain.dispute_guards import CARRIER_EXCEPTIONS
from service.domain.errors import Absent, GuardFailed
from service.domain.return_shipment import RANK, merchant_holds_goods, next_scan
from service.domain.timers import Timer, receipt_after_signed
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.issuing import arm_all
from service.flows.keeping import keep_promises
from service.flows.moves import armed_timers, facts_of, move
from service.store import tables
from service.store.disputes import CaseFile, load_case

SCAN_AHEAD_MAX: Final = timedelta(minutes=5)  # choice: how far a carrier's clock may be ahead of ours


@dataclass(frozen=True, slots=True)
class Scan:
    """What a carrier saw of a parcel, at its own time."""

    carrier: str
    tracking_no: str
    state: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ScanTaken:
    """What became of a scan: a duplicate, an older one or a step back changes nothing."""

    dispute_id: str
    state: str
    applied: bool
    kept_promises: tuple[str, ...] = ()


def take_scan(ctx: Context, scan: Scan) -> ScanTaken:
    """A carrier's scan of a parcel on its way back, ranked by the carrier's time.

    Raises:
        Absent: nobody has registered that parcel (yet); the sender may send the scan again later.
        GuardFailed: `scan_in_the_future`, `tracking_number_malformed`, `scan_state_unknown`.
    """
    case, shipment = _shipment(ctx, scan)
    state = next_scan(shipment.state, shipment.scanned_at, scan.state, scan.at)
    if state is None:
        return ScanTaken(case.dispute.id, shipment.state, applied=False)
    ctx.follow(case.dispute)
    signed = merchant_holds_goods(state)
    ctx.plan.update(tables.ReturnShipment, shipment.id, state=state, scanned_at=scan.at)
    made = ctx.record(
        "return.scanned",
        facts={"shipment": shipment.id, "from": shipment.state, "to": state, "carrier_at": rfc3339(scan.at)},
    )
    if signed:
        ctx.plan.update(tables.ReturnShipment, shipment.id, signed_at=scan.at)
        ctx.plan.change(goods_held_by_merchant=True)
        ctx.announce("return.signed", shipment_id=shipment.id)
    kept = keep_promises(ctx, case, actions=("pickup",), side="carrier", at=scan.at, proof={"scan": made.seq})
    if case.dispute.state == "return_in_transit":
        _heard_by_dispute(ctx, case, shipment, state, scan.at)
    return ScanTaken(case.dispute.id, state, applied=True, kept_promises=tuple(kept))


def _shipment(ctx: Context, scan: Scan) -> tuple[CaseFile, tables.ReturnShipment]:
    if scan.state not in RANK or scan.state == "registered":
        raise GuardFailed("scan_state_unknown", zh="没有这种物流状态", en="No such state of a parcel")
    if scan.at > ctx.now + SCAN_AHEAD_MAX:
        raise GuardFailed(
            "scan_in_the_future", zh="物流时间晚于当前时间", en="The scan lies in the future", at=rfc3339(scan.at)
        )
    number = tracking_number(scan.tracking_no)
    if number is None:
        raise GuardFailed("tracking_number_malformed", zh="运单号格式不对", en="Not a tracking number")
    found = ctx.tx.session.exec(
        select(tables.ReturnShipment.id, tables.ReturnShipment.dispute_id).where(
            tables.ReturnShipment.carrier == scan.carrier, tables.ReturnShipment.tracking_no == number
        )
    ).first()
    if found is None:
        raise Absent("return_shipment")
    case = load_case(ctx.tx.session, found[1])
    assert case is not None, "a shipment has a dispute"
    return case, next(each for each in case.shipments if each.id == found[0])


def _heard_by_dispute(ctx: Context, case: CaseFile, shipment: tables.ReturnShipment, state: str, at: datetime) -> None:
    """What a scan means while the shop waits for the parcel: T5 after `signed`, or the platform steps in."""
    policy = ctx.policy_of(case.dispute)
    due_at = armed_timers(case).get("receipt")
    if merchant_holds_goods(state) and due_at is not None:
        # a parcel signed for before it was registered gives the shop no less time to look at it
        signed_at = max(at, shipment.shipped_at)
        arm_all(ctx, case.dispute.id, (Timer("receipt", receipt_after_signed(due_at, signed_at, policy)),), policy)
    if state in CARRIER_EXCEPTIONS:
        facts = facts_of(ctx, case, carrier_status=state)
        move(
            ctx,
            case,
            "return_exception",
            facts,
            side="carrier",
            changes={"opened_by": "system"},
            entry_facts={"shipment": shipment.id, "carrier_status": state},
        )
