"""The parcel on its way back: shipped, scanned in any order, confirmed, or wrong, with each side of every http."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.dispute import DISPUTE
from service.domain.errors import Absent, ArrowMissing, Refusal, WindowClosed
from service.domain.return_shipment import FINAL, RANK
from service.flows.heard import Outcome
from service.flows.moves import facts_of
from service.flows.return_goods import (
    Problem,
    Scan,
    ScanTaken,
    confirm_receipt,
    read_return,
    report_problem,
    ship_return,
    take_scan,
    waive_return,
)
from service.store import tables
from service.store.disputes import load_case
from service.store.timers import timer_id
from service.store.writes import Plan
from tests.clockwork import fire
from tests.judge import PIXEL, refused, upload
from tests.over_http import HttpWorld
from tests.world import BUYER, MARKETPLACE, OTHER_BUYER, OTHER_OWNER, OWNER, SEAT, World, new_world

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
    _set(world, tables.Merchant, "shop-1", return_address="别处")

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


# --- the shop -------------------------------------------------------------------------------------------------------


def test_goods_in_order_are_paid_for(world: World) -> None:
    """Arrow 30: ack ITEM_RECEIVED → executing; the amount is pending on the line."""
    dispute = shipped(world)

    world.tell(OWNER, lambda ctx: confirm_receipt(ctx, dispute))

    assert state_of(world, dispute) == "executing"
    assert world.row(tables.OrderLine).pending_fen == 12_900
    assert world.row(tables.RefundExecution).state == "pending"
    with pytest.raises(ArrowMissing):
        world.tell(OWNER, lambda ctx: confirm_receipt(ctx, dispute))


def test_a_shop_may_want_nothing_back(world: World) -> None:
    """Arrow 26: refund without return; not once a parcel is on its way."""
    dispute, later = agreed(world), shipped(world)

    world.tell(SEAT, lambda ctx: waive_return(ctx, dispute))
    with pytest.raises(ArrowMissing):
        world.tell(SEAT, lambda ctx: waive_return(ctx, later))

    assert state_of(world, dispute) == "executing"


def test_who_says_nothing_about_a_parcel_has_found_nothing_wrong(world: World) -> None:
    """Arrow 31: receipt_timeout → executing, outcome REFUNDED_RECEIPT_TIMEOUT; no earlier than the settle margin."""
    dispute = shipped(world)
    scan(world, "signed")
    due_at = world.armed(dispute)["receipt"]

    early = fire(world, at=due_at + SECOND - MICROSECOND)
    fire(world, at=due_at + SECOND)

    assert early == 0
    row = world.row(tables.Dispute, id=dispute)
    assert (row.state, row.outcome_hint) == ("executing", "REFUNDED_RECEIPT_TIMEOUT")


def test_the_second_refusal_never_waits_for_the_buyer(world: World) -> None:
    """Edge case 44: goods at the merchant and second refusal: intervention opens by itself."""
    dispute = shipped(world)
    scan(world, "signed")
    sha256 = upload(world, dispute, SEAT, PIXEL)
    problem = Problem("EMPTY_OR_DIFFERENT", "包裹是空的,请平台核实", (sha256,))

    world.tell(SEAT, lambda ctx: report_problem(ctx, dispute, problem))

    row = world.row(tables.Dispute, id=dispute)
    assert (row.state, row.opened_by) == ("intervention_requested", "system")
    item = world.row(tables.EvidenceItem)
    assert (item.party, item.sha256, item.frozen, item.media_type) == ("merchant", sha256, True, "image/png")
    assert "receipt" not in world.armed(dispute)


@pytest.mark.parametrize("ack", ["DAMAGED", "EMPTY_OR_DIFFERENT", "MISSING", "NOT_RECEIVED"])
def test_while_the_merchant_holds_the_goods_the_buyer_does_not_withdraw(world: World, ack: str) -> None:
    """Edge case 51: withdraw while the merchant holds the goods is 422; goods that never came may be left."""
    dispute = shipped(world)
    sha256 = upload(world, dispute, OWNER, PIXEL)
    world.tell(OWNER, lambda ctx: report_problem(ctx, dispute, Problem(ack, evidence=(sha256,))))

    def why_not(ctx: Any) -> str | None:
        case = load_case(ctx.tx.session, dispute)
        assert case is not None
        refusal = DISPUTE.why_not(case.dispute.state, "buyer_withdraw", facts_of(ctx, case), side="buyer")
        return refusal and refusal.code

    assert world.tell(BUYER, why_not) == (None if ack == "NOT_RECEIVED" else "goods_held_by_merchant")


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (Problem("DAMAGED"), "evidence_missing"),
        (Problem("ITEM_RECEIVED"), "ack_unknown"),
        (Problem("NOT_RECEIVED", "字" * 2_001), "text_length"),
        (Problem("DAMAGED", evidence=("0" * 64,)), "file_unknown"),
        (Problem("DAMAGED", evidence=tuple(f"{n:064x}" for n in range(10))), "too_many_files"),
    ],
)
def test_a_problem_is_shown(world: World, problem: Problem, code: str) -> None:
    """Arrow 32: one of four acknowledgements, and evidence unless NOT_RECEIVED."""
    dispute = shipped(world)

    refused(code, lambda: world.tell(OWNER, lambda ctx: report_problem(ctx, dispute, problem)))

    assert state_of(world, dispute) == "return_in_transit"


def test_a_shop_does_not_make_its_own_what_the_buyer_uploaded(world: World) -> None:
    """Edge case 46: the other party gets the copy without the place; naming its fingerprint gives it no more."""
    dispute = shipped(world)
    of_buyer = upload(world, dispute, BUYER, PIXEL)

    refused(
        "file_unknown",
        lambda: world.tell(OWNER, lambda ctx: report_problem(ctx, dispute, Problem("DAMAGED", evidence=(of_buyer,)))),
    )

    assert state_of(world, dispute) == "return_in_transit"
    assert world.rows(tables.EvidenceItem) == []


def test_a_note_that_is_not_let_out_moves_nothing(world: World) -> None:
    """Every merchant text field is judged: the attempt is kept, the state does not move."""
    dispute = shipped(world)

    outcome = world.tell(OWNER, lambda ctx: report_problem(ctx, dispute, Problem("NOT_RECEIVED", INSULT)))

    assert isinstance(outcome, Outcome)
    assert not outcome.is_sent
    assert state_of(world, dispute) == "return_in_transit"
    assert any(kind.startswith("merchant.return_problem_note_") for kind in world.kinds(dispute))


@pytest.mark.parametrize("late_by", [-MICROSECOND, timedelta(0)])
def test_a_problem_reported_at_the_very_end(world: World, late_by: timedelta) -> None:
    """`received_at == due_at` is late, whatever the clock has done by then."""
    dispute = shipped(world)
    due_at = world.armed(dispute)["receipt"]
    world.now = due_at + SECOND / 2

    def report() -> object:
        story = Problem("NOT_RECEIVED")
        return world.tell(OWNER, lambda ctx: report_problem(ctx, dispute, story), received_at=due_at + late_by)

    if late_by < timedelta(0):
        assert report() is None
    else:
        with pytest.raises(WindowClosed):
            report()


def test_a_report_received_in_time_after_the_clock_paid_is_looked_at(world: World) -> None:
    """Section 4: 409 `window_closed` with `in_time: true` and a supervisor task; the payment stands."""
    dispute = shipped(world)
    due_at = world.armed(dispute)["receipt"]
    fire(world, at=due_at + SECOND)

    result = world.tell(
        OWNER,
        lambda ctx: report_problem(ctx, dispute, Problem("NOT_RECEIVED")),
        received_at=due_at - MICROSECOND,
    )

    assert isinstance(result, WindowClosed)
    assert state_of(world, dispute) == "executing"
    assert world.row(tables.Task).role == "supervisor"


def test_only_who_may_decide_refunds_in_this_shop_decides_about_the_parcel(world: World) -> None:
    """api.md section 3: the owner, or a seat with `after_sale`; another shop's dispute is absent."""
    dispute = shipped(world)
    _set(world, tables.Seat, "seat-1", may_after_sale=False)

    refused("after_sale_permission_missing", lambda: world.tell(SEAT, lambda ctx: confirm_receipt(ctx, dispute)))
    refused("not_found", lambda: world.tell(OTHER_OWNER, lambda ctx: confirm_receipt(ctx, dispute)))
    _set(world, tables.Seat, "seat-1", may_after_sale=True, active=False)
    refused("seat_inactive", lambda: world.tell(SEAT, lambda ctx: waive_return(ctx, dispute)))

    assert state_of(world, dispute) == "return_in_transit"


def test_a_return_agreed_to_and_one_ruled_may_both_fall_into_the_first_cycle(world: World) -> None:
    """Section 4: a return dispute after a ruling stays in the same dispute; both parcels are kept."""
    dispute = shipped(world)
    scan(world, "returned_to_sender")
    _set(world, tables.Dispute, dispute, state="awaiting_return", return_origin="ruling")
    plan = Plan()
    plan.put(
        tables.Timer,
        timer_id(dispute, "return_ship"),
        dispute_id=dispute,
        subject_id=dispute,
        name="return_ship",
        due_at=world.now + DAY,
        fires_at=world.now + DAY,
        done_at=None,
    )
    world.database.run(lambda tx: tx.apply([plan]))

    ship(world, dispute, "SF0000000002")

    assert [s.cycle for s in world.rows(tables.ReturnShipment)] == [1, 2]
    assert state_of(world, dispute) == "return_in_transit"


def _set(world: World, model: Any, key: str, **columns: object) -> None:
    plan = Plan()
    plan.update(model, key, **columns)
    world.database.run(lambda tx: tx.apply([plan]))


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
