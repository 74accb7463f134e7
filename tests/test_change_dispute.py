"""A buyer changes a request, withdraws it and applies again, or has a closed dispute reopened."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from service.domain.errors import ArrowMissing, Conflict, GuardFailed, WindowClosed
from service.domain.staff import Actor
from service.flows.context import Context
from service.flows.negotiate import Refusing, seller_refuse
from service.flows.open_dispute import Change, modify, reopen, withdraw
from service.flows.read_case import read_case, require_seen
from service.store import tables
from tests.claims import opened, refused
from tests.judge import dispute
from tests.world import BUYER, OWNER, SUPERVISOR, World

# --- changing -------------------------------------------------------------------------------------------------------


def test_a_change_starts_the_merchants_time_anew(world: World) -> None:
    """Arrow 5 re-arms T1."""
    dispute_id = opened(world)
    world.pass_time(hours=10)

    world.tell(
        BUYER, lambda ctx: modify(ctx, dispute_id, Change(amount_fen=5_000, currency="CNY", note="只退一半也行"))
    )

    row = dispute(world, dispute_id)
    assert (row.claimed_fen, row.modifications, row.claim_seq) == (5_000, 1, 2)
    assert world.armed(dispute_id) == {"seller_response": world.now + timedelta(hours=48)}


def test_the_sixth_change_is_refused(world: World) -> None:
    """WXQ: at most five modifications."""
    dispute_id = opened(world)
    for amount in range(1, 6):
        change = Change(amount_fen=amount, currency="CNY")
        world.tell(BUYER, lambda ctx, change=change: modify(ctx, dispute_id, change))

    with pytest.raises(GuardFailed, match="modifications_exhausted"):
        world.tell(BUYER, lambda ctx: modify(ctx, dispute_id, Change(amount_fen=6, currency="CNY")))

    assert dispute(world, dispute_id).claimed_fen == 5


def test_a_change_is_checked_like_a_request(world: World) -> None:
    """What could not be asked for cannot be changed to."""
    dispute_id = opened(world)

    for change, code in (
        (Change(amount_fen=12_901, currency="CNY"), "claim_out_of_range"),
        (Change(amount_fen=0, currency="CNY"), "claim_out_of_range"),
        (Change(amount_fen=5, currency="USD"), "currency_mismatch"),
        (Change(type="return_refund", reason="not_received"), "claim_reason_not_for_type"),
    ):
        with pytest.raises(GuardFailed, match=code):
            world.tell(BUYER, lambda ctx, change=change: modify(ctx, dispute_id, change))

    assert dispute(world, dispute_id).version == 1


# --- withdrawing and applying again ---------------------------------------------------------------------------------


def withdrawn(world: World, dispute_id: str) -> None:
    world.tell(BUYER, lambda ctx: withdraw(ctx, dispute_id, note=None))


def test_a_withdrawn_dispute_is_closed_and_sealed(world: World) -> None:
    """Arrow 6: no clock is left, and the last entry is the seal."""
    dispute_id = opened(world)

    withdrawn(world, dispute_id)

    row = dispute(world, dispute_id)
    assert (row.state, row.outcome) == ("closed", "BUYER_WITHDREW")
    assert world.armed(dispute_id) == {}
    assert world.kinds(dispute_id)[-1] == "case.sealed"


def test_nobody_withdraws_while_the_merchant_holds_the_goods(world: World) -> None:
    """Edge case 51: withdraw while the merchant holds the goods is 422."""
    for state in ("intervention_requested", "intervening", "ruled", "appealed"):
        dispute_id = world.make_dispute(state, goods_held_by_merchant=True)

        with pytest.raises(GuardFailed, match="goods_held_by_merchant"):
            withdrawn(world, dispute_id)

        assert dispute(world, dispute_id).state == state


def test_a_buyer_may_withdraw_after_the_ruling(world: World) -> None:
    """Edge case 51: withdraw after ruling (arrows 51d, 52)."""
    for state in ("ruled", "appealed"):
        dispute_id = world.make_dispute(state)

        withdrawn(world, dispute_id)

        assert dispute(world, dispute_id).outcome == "BUYER_WITHDREW"


def test_applying_again_counts_and_the_sixth_time_is_refused(world: World) -> None:
    """Edge case 51: withdraw and re-apply counts towards the five modifications; the sixth re-application is 422."""
    line = world.place_order()
    for earlier in range(6):
        dispute_id = opened(world, line)
        assert dispute(world, dispute_id).modifications == earlier
        withdrawn(world, dispute_id)

    assert refused(world, line).code == "modifications_exhausted"


def test_a_line_whose_dispute_ended_otherwise_may_be_disputed_afresh(world: World) -> None:
    """Edge case 41: a second case on the same line after a rejection starts without the first one's changes."""
    line = world.place_order()
    world.make_dispute("closed", line=line, outcome="REJECTED_BY_RULING", closed_at=world.now, modifications=3)

    assert dispute(world, opened(world, line)).modifications == 0


# --- reopening ------------------------------------------------------------------------------------------------------


def closed(world: World, **columns: Any) -> str:
    return world.make_dispute(
        "closed", **{"outcome": "REJECTED_BY_RULING", "closed_at": world.now, "claimed_fen": 5_000} | columns
    )


def reopened(world: World, dispute_id: str, *, actor: Actor = BUYER, amount_fen: int | None = None) -> str:
    def story(ctx: Context) -> str:
        return reopen(ctx, dispute_id, amount_fen=amount_fen, currency="CNY", note="收到后又坏了")

    return world.tell(actor, story)


def test_a_successor_begins_anew_and_each_shows_the_other(world: World) -> None:
    """Edge case 50: the successor shows both chains; the closed dispute stays sealed."""
    parent = closed(world)
    sealed = dispute(world, parent).version

    child = reopened(world, parent)

    row = dispute(world, child)
    assert (row.state, row.parent_id, row.claimed_fen) == ("requested", parent, 5_000)
    assert dispute(world, parent).version == sealed
    seen = world.tell(BUYER, lambda ctx: read_case(ctx, require_seen(ctx, parent)))
    assert seen.successor_id == child


def test_a_buyer_reopens_until_the_fifteenth_day_is_over(world: World) -> None:
    """Edge case 50: `received_at < closed + P15D` is in time, one microsecond later is late."""
    parent = closed(world)
    world.pass_time(days=15)

    with pytest.raises(WindowClosed):
        reopened(world, parent)

    world.pass_time(microseconds=-1)
    assert reopened(world, parent)


def test_a_dispute_is_reopened_once(world: World) -> None:
    """Edge case 50: twice is refused and names the successor."""
    parent = closed(world)
    child = reopened(world, parent)

    with pytest.raises(Conflict, match="already_reopened") as caught:
        reopened(world, parent)

    assert caught.value.facts["dispute_id"] == child


def test_a_buyer_does_not_reopen_what_was_reopened_before_but_a_supervisor_may(world: World) -> None:
    """Section 4: once by the buyer, any time by a supervisor, who is marked as acting on behalf (edge case 57)."""
    child = reopened(world, closed(world))
    world.tell(BUYER, lambda ctx: withdraw(ctx, child, note=None))
    world.pass_time(days=100)

    with pytest.raises(Conflict, match="window_closed"):
        reopened(world, child)
    world.pass_time(days=-99)
    with pytest.raises(Conflict, match="reopens_exhausted"):
        reopened(world, child)
    world.pass_time(days=400)
    grandchild = reopened(world, child, actor=SUPERVISOR)

    entry = world.row(tables.TranscriptEntry, dispute_id=grandchild)
    assert b'"on_behalf_of":"buyer"' in entry.body
    assert dispute(world, grandchild).opened_by == "supervisor"


def test_a_dispute_that_runs_is_not_reopened(world: World) -> None:
    """Only what is closed has a successor."""
    with pytest.raises(ArrowMissing):
        reopened(world, world.make_dispute("ruled"))


def test_a_successor_claims_no_more_than_is_left(world: World) -> None:
    """Edge case 36: what the parent paid is not claimed again."""
    line = world.place_order(refunded_fen=10_000)
    parent = closed(world, line=line)

    with pytest.raises(GuardFailed, match="amount_over_refundable"):
        reopened(world, parent, amount_fen=2_901)

    assert dispute(world, reopened(world, parent)).claimed_fen == 2_900


def test_no_successor_beside_another_active_dispute_of_the_line(world: World) -> None:
    """One active dispute per order line, successors included."""
    line = world.place_order()
    parent = closed(world, line=line)
    active = opened(world, line)

    with pytest.raises(Conflict, match="duplicate_active") as caught:
        reopened(world, parent)

    assert caught.value.facts["dispute_id"] == active


def test_after_a_refusal_the_buyers_change_asks_again(world: World) -> None:
    """Arrow 11: a modification brings a refused request back before the merchant, while T2 runs."""
    dispute_id = opened(world)
    world.tell(OWNER, lambda ctx: seller_refuse(ctx, dispute_id, Refusing("other", "商品没有问题,请您再看看")))
    assert dispute(world, dispute_id).state == "refused"

    world.tell(BUYER, lambda ctx: modify(ctx, dispute_id, Change(amount_fen=6_000, currency="CNY")))

    assert dispute(world, dispute_id).state == "requested"
    assert set(world.armed(dispute_id)) == {"seller_response"}
