"""Goods go back: the buyer ships them in time, and the carrier's scans move the return, in any order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.dispute import DISPUTE
from service.domain.errors import Absent, ArrowMissing, WindowClosed
from service.domain.return_shipment import FINAL, RANK
from service.flows.return_goods import read_return
from service.store import tables
from tests.clockwork import fire
from tests.judge import put, refused
from tests.over_http import HttpWorld
from tests.parcels import DAY, INSULT, MICROSECOND, NUMBER, SECOND, agreed, scan, ship, shipped, state_of
from tests.world import BUYER, OTHER_BUYER, World, new_world

# --- shipping -------------------------------------------------------------------------------------------------------


def test_shipping_back_starts_the_inspection(world: World) -> None:
    """Arrow 25: ReturnShipment.registered; T5 is P10D from shipping; T4 rests."""
    dispute = agreed(world)

    shipment = ship(world, dispute, "sf 1234-5678 90")

    row = world.row(tables.ReturnShipment, id=shipment)
    assert (row.carrier, row.tracking_no, row.state) == ("sf", NUMBER, "registered")
    assert state_of(world, dispute) == "return_in_transit"
    assert world.armed(dispute) == {"receipt": world.now + 10 * DAY}


def test_the_address_of_the_agreement_holds_whatever_the_shop_says_later(world: World) -> None:
    """Edge case 43: address changed after agreement (snapshot wins)."""
    dispute = agreed(world)
    put(world, tables.Merchant, "shop-1", return_address="别处")

    ship(world, dispute)
    seen, shipments = world.tell(BUYER, lambda ctx: read_return(ctx, dispute))

    assert seen.return_address == "浙江省杭州市余杭区 1 号"
    assert len(shipments) == 1


@pytest.mark.parametrize("state", [s for s in DISPUTE.states if s not in ("awaiting_return", "closed")])
def test_nobody_ships_without_an_agreement(world: World, state: str) -> None:
    """Edge case 43: buyer ships without agreement → 409."""
    dispute = agreed(world, state)

    with pytest.raises(ArrowMissing):
        ship(world, dispute)

    assert world.rows(tables.ReturnShipment) == []


@pytest.mark.parametrize(
    ("carrier", "number", "code"),
    [
        ("pigeon", NUMBER, "carrier_unknown"),
        ("sf", "12345", "tracking_number_malformed"),
        ("sf", "单号单号单号单号", "tracking_number_malformed"),
    ],
)
def test_a_parcel_has_a_carrier_that_reports_and_a_number(world: World, carrier: str, number: str, code: str) -> None:
    """Edge case 43: wrong carrier."""
    dispute = agreed(world)

    refused(code, lambda: ship(world, dispute, number, carrier=carrier))

    assert state_of(world, dispute) == "awaiting_return"


def test_one_parcel_one_tracking_number(world: World) -> None:
    """Edge case 43: same tracking number reused, however it is written."""
    shipped(world)
    second = agreed(world)

    refused("tracking_already_used", lambda: ship(world, second, "sf-1234567890"))
    ship(world, second, NUMBER, carrier="zto")  # another carrier's number is another parcel

    assert len(world.rows(tables.ReturnShipment)) == 2


@pytest.mark.parametrize("late_by", [-MICROSECOND, timedelta(0), MICROSECOND])
def test_shipping_at_the_very_end(world: World, late_by: timedelta) -> None:
    """Edge case 43: return after T4: at the end is late."""
    dispute = agreed(world)
    due_at = world.armed(dispute)["return_ship"]
    world.now = due_at + SECOND / 2

    if late_by < timedelta(0):
        ship(world, dispute, received_at=due_at + late_by)
        assert state_of(world, dispute) == "return_in_transit"
    else:
        with pytest.raises(WindowClosed):
            ship(world, dispute, received_at=due_at + late_by)
        assert state_of(world, dispute) == "awaiting_return"


def test_nothing_sent_back_closes_the_dispute(world: World) -> None:
    """Arrow 29: outcome BUYER_RETURN_TIMEOUT, no earlier than the settle margin."""
    dispute = agreed(world)
    due_at = world.armed(dispute)["return_ship"]

    early = fire(world, at=due_at + SECOND - MICROSECOND)
    fire(world, at=due_at + SECOND)

    assert early == 0
    row = world.row(tables.Dispute, id=dispute)
    assert (row.state, row.outcome) == ("closed", "BUYER_RETURN_TIMEOUT")
    with pytest.raises(ArrowMissing):
        ship(world, dispute)


def test_a_shipment_received_in_time_after_the_clock_is_refused_and_looked_at(world: World) -> None:
    """Section 4: 409 `window_closed` with `in_time: true`, recorded, and a supervisor task."""
    dispute = agreed(world)
    due_at = world.armed(dispute)["return_ship"]
    fire(world, at=due_at + SECOND)

    result = ship(world, dispute, received_at=due_at - MICROSECOND)

    assert isinstance(result, WindowClosed)
    assert result.facts["in_time"] is True
    assert "dispute.overtaken_by_clock" in world.kinds(dispute)
    assert world.row(tables.Task).role == "supervisor"


def test_only_the_buyer_of_the_dispute_ships(world: World) -> None:
    """Edge case 55: somebody else's dispute is absent."""
    dispute = agreed(world)

    with pytest.raises(Absent):
        ship(world, dispute, actor=OTHER_BUYER)


# --- scans ----------------------------------------------------------------------------------------------------------


def test_signed_re_arms_the_inspection_once(world: World) -> None:
    """T5: P10D from shipping, or P5D after the carrier's `signed`, whichever comes first."""
    dispute = shipped(world)
    shipped_at = world.now
    world.pass_time(days=2)
    signed_at = world.now - timedelta(hours=3)

    taken = scan(world, "signed", at=signed_at)
    again = scan(world, "signed", at=world.now)

    assert (taken.applied, again.applied) == (True, False)
    assert world.armed(dispute) == {"receipt": signed_at + 5 * DAY}
    assert signed_at + 5 * DAY < shipped_at + 10 * DAY
    assert world.row(tables.Dispute, id=dispute).goods_held_by_merchant


def test_signed_late_never_gives_the_shop_more_than_ten_days(world: World) -> None:
    """T5: the earlier of the two."""
    dispute = shipped(world)
    due_at = world.armed(dispute)["receipt"]
    world.pass_time(days=9)

    scan(world, "signed")

    assert world.armed(dispute)["receipt"] == due_at


def test_a_parcel_signed_for_before_it_was_registered_leaves_the_whole_inspection(world: World) -> None:
    """Edge case 43: signed before shipped: an old number cannot make the refund fall due at once."""
    dispute = shipped(world)

    scan(world, "signed", at=world.now - 30 * DAY)

    assert world.armed(dispute)["receipt"] == world.now + 5 * DAY


def test_scans_come_in_any_order_and_twice(world: World) -> None:
    """Duplicate and out-of-order scans are ranked by carrier time and never move backwards."""
    dispute = shipped(world)
    start = world.now
    world.pass_time(days=3)

    applied = [
        scan(world, "in_transit", at=start + DAY).applied,
        scan(world, "picked_up", at=start + timedelta(hours=1)).applied,  # late news
        scan(world, "in_transit", at=start + DAY).applied,  # the same again
        scan(world, "out_for_delivery", at=start + timedelta(hours=2)).applied,  # older than what is known
        scan(world, "out_for_delivery", at=start + 2 * DAY).applied,
    ]

    assert applied == [True, False, False, False, True]
    assert world.kinds(dispute).count("return.scanned") == 2


@pytest.mark.parametrize("state", ["lost", "returned_to_sender", "failed"])
def test_a_parcel_that_will_not_arrive_brings_the_platform_in(world: World, state: str) -> None:
    """Arrow 33; edge case 43: lost, returned to sender, merchant refuses the parcel."""
    dispute = shipped(world)

    scan(world, state)

    row = world.row(tables.Dispute, id=dispute)
    assert (row.state, row.opened_by, row.goods_held_by_merchant) == ("intervention_requested", "system", False)
    assert "receipt" not in world.armed(dispute)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"state": "teleported"}, "scan_state_unknown"),
        ({"state": "registered"}, "scan_state_unknown"),
        ({"at": timedelta(minutes=5, microseconds=1)}, "scan_in_the_future"),
        ({"number": "SF9999999999"}, "not_found"),
    ],
)
def test_scans_that_nobody_can_use(world: World, change: dict[str, Any], code: str) -> None:
    """A parcel that nobody has registered (yet) is 404: the sender tries again; a clock far ahead is refused."""
    shipped(world)
    wanted = {"state": "signed", "at": timedelta(0)} | change
    wanted["at"] += world.now

    refused(code, lambda: scan(world, **wanted))

    assert world.row(tables.ReturnShipment).state == "registered"


_STATES = st.sampled_from([s for s in RANK if s != "registered"])


@given(scans=st.lists(st.tuples(_STATES, st.integers(0, 50)), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_scans_leave_one_state_and_at_most_one_end(
    new_sqlite: Callable[[], str], tmp_path: Path, scans: list[tuple[str, int]]
) -> None:
    """Whatever comes, in any order: rank and carrier time never go back, and a final state stays."""
    with new_world(new_sqlite(), tmp_path) as world:
        dispute = shipped(world)
        start = world.now
        world.pass_time(days=3)

        seen = []
        for state, hours in scans:
            scan(world, state, at=start + timedelta(hours=hours))
            row = world.row(tables.ReturnShipment)
            seen.append((RANK[row.state], row.scanned_at))

        ranks, times = [r for r, _ in seen], [t for _, t in seen]
        assert ranks == sorted(ranks)
        assert times == sorted(times)
        assert world.kinds(dispute).count("return.scanned") <= len(RANK)
        ended = [s for s, _ in scans if s in FINAL]
        assert (world.row(tables.ReturnShipment).state in FINAL) <= bool(ended)


# --- the edge -------------------------------------------------------------------------------------------------------


def test_a_return_over_http(http: HttpWorld) -> None:
    """api.md: ship-return, report-return-problem with If-Match; a blocked note is an outcome body, not a problem."""
    dispute = http.make_dispute("awaiting_return", line=http.place_order(), type="return_refund")
    parcel = {"carrier": "sf", "tracking_no": NUMBER}

    blind = http.post("buyer", f"/disputes/{dispute}/actions/ship-return", parcel)
    stale = http.act("buyer", dispute, "ship-return", parcel, if_match='"999"')
    shipped = http.act("buyer", dispute, "ship-return", parcel)
    blocked = http.act("owner", dispute, "report-return-problem", {"ack": "NOT_RECEIVED", "note": INSULT})
    notice = http.act("owner", dispute, "report-return-problem", {"ack": "NOT_RECEIVED", "note": "没有收到包裹"})
    reported = http.act("owner", dispute, "report-return-problem", {"ack": "NOT_RECEIVED"})

    assert [blind.status_code, stale.status_code, shipped.status_code] == [428, 412, 200]
    assert shipped.json()["return_shipments"][0]["tracking_no"] == NUMBER
    assert blocked.headers["Content-Type"] == "application/json"
    assert (blocked.status_code, blocked.json()["outcome"]) == (403, "notice")
    assert notice.json()["outcome"] == "notice"  # nothing more goes out until the notice is read
    assert (reported.status_code, reported.json()["state"]) == (200, "intervention_requested")
    assert reported.headers["ETag"] == f'"{reported.json()["revision"]}"'
