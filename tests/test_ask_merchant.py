"""The agent asks: one inquiry at a time, the least busy seat first, again, and handed over."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.domain.calendar import SHANGHAI
from service.domain.errors import Conflict
from service.flows.ask_merchant import Asked, hand_over, open_inquiry, send_agent_message
from service.store import tables
from service.store.writes import Plan
from tests.inquiring import ask, designated, reply
from tests.world import AGENT, OWNER, World


def test_the_agent_asks_on_and_the_window_starts_anew(world: World) -> None:
    """A new turn after an answer re-arms R1; inside a turn the end never moves forward (edge case 20)."""
    _, inquiry = ask(world)
    reply(world, inquiry)
    world.pass_time(seconds=60)

    world.tell(AGENT, lambda ctx: send_agent_message(ctx, inquiry, Asked("q-2", "几点发货?")))
    first_end = world.row(tables.Inquiry, id=inquiry).due_at
    world.pass_time(seconds=10)
    world.tell(AGENT, lambda ctx: send_agent_message(ctx, inquiry, Asked("q-3", "哪家快递?")))

    row = world.row(tables.Inquiry, id=inquiry)
    assert first_end == world.now - timedelta(seconds=10) + timedelta(seconds=180)
    assert (row.turn, row.due_at, row.question) == (2, world.now + timedelta(seconds=180), "几点发货?\n哪家快递?")
    assert world.armed(inquiry)["reply_window"] == row.due_at


def test_a_promise_over_two_messages_of_a_turn_is_read_as_one(world: World) -> None:
    """promises.md section 2: 明天, then 发货 is tomorrow's; of the turn before nothing is taken over."""
    _, inquiry = ask(world)
    reply(world, inquiry, "明天")

    (promised,) = reply(world, inquiry, "发货").promises

    assert promised.action == "ship"
    assert promised.due_at.date() == (world.now.astimezone(SHANGHAI) + timedelta(days=1)).date()
    assert (promised.start, promised.end) == (0, 2)

    world.pass_time(seconds=2)
    world.tell(AGENT, lambda ctx: send_agent_message(ctx, inquiry, Asked("q-2", "那款商品是什么材质?")))
    assert [(each.action, each.due_at) for each in reply(world, inquiry, "发货").promises] == [("ship", None)]


def test_a_second_inquiry_is_refused_with_the_open_ones_id(world: World) -> None:
    """One at a time per dispute and merchant: 409 with the id."""
    dispute, inquiry = ask(world)

    with pytest.raises(Conflict, match="inquiry_open") as refused:
        world.tell(AGENT, lambda ctx: open_inquiry(ctx, dispute, Asked("q-9", "在吗")))
    assert refused.value.facts["inquiry_id"] == inquiry


def test_the_least_saturated_seat_gets_the_next_inquiry(world: World) -> None:
    """Edge case 24, C6: a=1, b=2, c=3, so the next goes to a."""
    for number, load in (("a", 1), ("b", 2), ("c", 3)):
        world.insert(
            (
                tables.Seat,
                {
                    "id": f"seat-{number}",
                    "merchant_id": "shop-1",
                    "nickname": number,
                    "may_im": True,
                    "designated": True,
                    "open_inquiries": load,
                },
            )
        )

    _, inquiry = ask(world)

    assert world.row(tables.Inquiry, id=inquiry).seat_id == "seat-a"
    assert world.row(tables.Seat, id="seat-a").open_inquiries == 2


def test_a_hundred_inquiries_to_three_seats_differ_by_one_at_most(world: World) -> None:
    """Edge case 25: spread ≤ 1, and the counters equal a recount."""
    for name in "abc":
        world.insert(
            (
                tables.Seat,
                {"id": f"seat-{name}", "merchant_id": "shop-1", "nickname": name, "may_im": True, "designated": True},
            )
        )

    inquiries = [ask(world)[1] for _ in range(100)]

    loads = {s.id: s.open_inquiries for s in world.rows(tables.Seat) if s.designated}
    counted = [world.row(tables.Inquiry, id=i).seat_id for i in inquiries]
    assert max(loads.values()) - min(loads.values()) <= 1
    assert loads == {seat: counted.count(seat) for seat in loads}


def test_a_closed_shop_has_nobody_to_ask_and_gets_a_ticket_at_once(world: World) -> None:
    """Edge case 22: undeliverable, ticket NO_SEAT, counted once."""
    plan = Plan()
    plan.update(tables.Merchant, "shop-1", status="shop_closed")
    world.database.run(lambda tx: tx.apply([plan]))

    dispute, inquiry = ask(world)

    assert world.row(tables.Inquiry, id=inquiry).state == "undeliverable"
    assert world.row(tables.Ticket, dispute_id=dispute).cause == "NO_SEAT"
    assert world.row(tables.StandingEvent, dispute_id=dispute).kind == "no_seat"


def test_a_hand_over_moves_the_load_and_not_the_window(world: World) -> None:
    """The shop may hand over; R1 is not re-armed."""
    _, inquiry = ask(world)
    world.database.run(lambda tx: tx.apply([designated()]))
    due_at = world.row(tables.Inquiry, id=inquiry).due_at
    world.pass_time(seconds=30)

    world.tell(OWNER, lambda ctx: hand_over(ctx, inquiry, "seat-1"))

    row = world.row(tables.Inquiry, id=inquiry)
    assert (row.seat_id, row.due_at) == ("seat-1", due_at)
    assert {s.id: s.open_inquiries for s in world.rows(tables.Seat)} == {"seat-1": 1, "seat-owner": 0}
