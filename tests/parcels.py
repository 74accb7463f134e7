"""Returns in tests: agreed to, shipped, and scanned by the carrier."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from service.domain.errors import Refusal
from service.flows.follow_parcel import Scan, ScanTaken, take_scan
from service.flows.return_goods import ship_return
from service.store import tables
from tests.world import BUYER, MARKETPLACE, World

SECOND, MICROSECOND, DAY = timedelta(seconds=1), timedelta(microseconds=1), timedelta(days=1)

NUMBER = "SF1234567890"

INSULT = "你是不是有病"


def agreed(world: World, state: str = "awaiting_return", **columns: Any) -> str:
    """A dispute in which a return was agreed to."""
    wanted = {"type": "return_refund", "agreed_to_return": True, "return_origin": "consent"}
    held = {"return_address": "浙江省杭州市余杭区 1 号", "outcome_hint": "SELLER_AGREED"}
    return world.make_dispute(state, **wanted, **held | columns)


def ship(world: World, dispute: str, number: str = NUMBER, *, carrier: str = "sf", **more: Any) -> str | Refusal:
    actor, received_at = more.get("actor", BUYER), more.get("received_at")
    return world.tell(
        actor, lambda ctx: ship_return(ctx, dispute, carrier=carrier, tracking_no=number), received_at=received_at
    )


def shipped(world: World, **columns: Any) -> str:
    dispute = agreed(world, **columns)
    ship(world, dispute)
    return dispute


def scan(world: World, state: str, *, at: datetime | None = None, number: str = NUMBER) -> ScanTaken:
    return world.tell(MARKETPLACE, lambda ctx: take_scan(ctx, Scan("sf", number, state, at or world.now)))


def state_of(world: World, dispute: str) -> str:
    return world.row(tables.Dispute, id=dispute).state
