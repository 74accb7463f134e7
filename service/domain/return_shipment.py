"""The return shipment: what the carrier says of the parcel, ranked by carrier time, never backwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.domain.lifecycle import Arrow, Lifecycle, guard

RANK = {
    "registered": 0,
    "picked_up": 1,
    "in_transit": 2,
    "out_for_delivery": 3,
    "signed": 4,
    "failed": 4,
    "lost": 4,
    "returned_to_sender": 4,
}
FINAL = ("signed", "failed", "lost", "returned_to_sender")
STATE_LABELS = {
    "registered": ("已登记", "Registered"),
    "picked_up": ("已揽收", "Picked up"),
    "in_transit": ("运输中", "On its way"),
    "out_for_delivery": ("派送中", "Out for delivery"),
    "signed": ("已签收", "Signed for"),
    "failed": ("投递失败", "Failed"),
    "lost": ("已丢失", "Lost"),
    "returned_to_sender": ("已退回寄件人", "Returned to the sender"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentFacts:
    """When the carrier saw the parcel, now and for the state it is in; None where no scan made that state."""

    current_at: datetime | None = None
    scan_at: datetime | None = None


@guard("scan_out_of_order", "物流轨迹早于当前状态", "Older than what is known", "current_at", "scan_at")
def require_not_older(f: ShipmentFacts) -> bool:
    """A scan that the carrier made before the present one changes nothing."""
    return f.current_at is None or (f.scan_at is not None and f.scan_at >= f.current_at)


def _arrows() -> tuple[Arrow[ShipmentFacts], ...]:
    targets = [state for state in RANK if state != "registered"]
    return tuple(
        Arrow(
            number=f"L{number}",
            sources=tuple(state for state in RANK if RANK[state] < RANK[target]),
            trigger=f"scan_{target}",
            actors=("carrier",),
            target=target,
            require=(require_not_older,),
            effects=_EFFECTS.get(target, ()),
            basis="LM returnGoodLogisticsStatus",
        )
        for number, target in enumerate(targets, start=1)
    )


_EFFECTS = {
    "signed": ("T5 re-armed once",),
    "failed": ("dispute.return_exception",),
    "lost": ("dispute.return_exception",),
    "returned_to_sender": ("dispute.return_exception",),
}

RETURN_SHIPMENT: Lifecycle[ShipmentFacts] = Lifecycle(
    "return_shipment", states=tuple(RANK), initial="registered", final=FINAL, arrows=_arrows()
)


def next_scan(current_state: str, current_at: datetime | None, scan_state: str, scan_at: datetime) -> str | None:
    """Where a scan moves the shipment, or None where it changes nothing: a duplicate, an older one, a step back.

    Args:
        current_at: the carrier's time of the scan that made `current_state`; None while only registered.
        scan_at: the carrier's time of this scan.
    """
    arrow = RETURN_SHIPMENT.arrows_from(current_state, f"scan_{scan_state}")
    if not arrow or not require_not_older.holds(ShipmentFacts(current_at=current_at, scan_at=scan_at)):
        return None
    return scan_state


def merchant_holds_goods(state: str) -> bool:
    """Whether the parcel has reached the merchant, so that the buyer may not withdraw."""
    return state == "signed"
