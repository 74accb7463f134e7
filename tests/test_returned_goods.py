"""The shop has the parcel: it is in order, waived, or something is wrong with it, and who may say so until when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from service.domain.dispute import DISPUTE
from service.domain.errors import ArrowMissing, WindowClosed
from service.flows.heard import Outcome
from service.flows.moves import facts_of
from service.flows.return_goods import Problem, confirm_receipt, report_problem, waive_return
from service.store import tables
from service.store.disputes import load_case
from service.store.timers import timer_id
from service.store.writes import Plan
from tests.clockwork import fire
from tests.judge import PIXEL, put, refused, upload
from tests.parcels import DAY, INSULT, MICROSECOND, SECOND, agreed, scan, ship, shipped, state_of
from tests.world import BUYER, OTHER_OWNER, OWNER, SEAT, World


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
    put(world, tables.Seat, "seat-1", may_after_sale=False)

    refused("after_sale_permission_missing", lambda: world.tell(SEAT, lambda ctx: confirm_receipt(ctx, dispute)))
    refused("not_found", lambda: world.tell(OTHER_OWNER, lambda ctx: confirm_receipt(ctx, dispute)))
    put(world, tables.Seat, "seat-1", may_after_sale=True, active=False)
    refused("seat_inactive", lambda: world.tell(SEAT, lambda ctx: waive_return(ctx, dispute)))

    assert state_of(world, dispute) == "return_in_transit"


def test_a_return_agreed_to_and_one_ruled_may_both_fall_into_the_first_cycle(world: World) -> None:
    """Section 4: a return dispute after a ruling stays in the same dispute; both parcels are kept."""
    dispute = shipped(world)
    scan(world, "returned_to_sender")
    put(world, tables.Dispute, dispute, state="awaiting_return", return_origin="ruling")
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
