"""The smaller clocks of an inquiry: warnings while there is time, the end of an idle session."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.domain.errors import WindowClosed
from service.domain.policy import REPLY_WINDOW_MOST
from service.flows.heard import Outcome
from service.flows.receive_reply import Said, receive_reply
from service.flows.watch_inquiries import DECISIONS
from service.store import tables
from tests.clockwork import fire
from tests.promise_world import ask, say
from tests.world import OWNER, World

SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


def warned(world: World, dispute: str) -> int:
    return world.kinds(dispute).count("inquiry.warned")


def test_the_merchant_is_warned_when_sixty_and_when_twenty_seconds_are_left(world: World) -> None:
    """R1w: 60 s left and 20 s left; a warning has no settle margin, and each comes once."""
    dispute, inquiry = ask(world)
    due_at = world.row(tables.Inquiry, id=inquiry).due_at
    assert due_at is not None

    seen = []
    for left in (60 * SECOND + MICROSECOND, 60 * SECOND, 30 * SECOND, 20 * SECOND, 10 * SECOND):
        fire(world, at=due_at - left)
        seen.append(warned(world, dispute))

    assert seen == [0, 1, 1, 2, 2]
    events = [e for e in world.rows(tables.Outbox, dispute_id=dispute) if e.type == "inquiry.warning"]
    assert sorted(e.payload["seconds_left"] for e in events) == [20, 60]


def test_who_has_answered_is_not_warned(world: World) -> None:
    """A delivered answer disarms the window and its warnings."""
    dispute, inquiry = ask(world)
    say(world, inquiry, "今天18点前发货")

    fire(world, at=world.now + 170 * SECOND)

    assert warned(world, dispute) == 0


def test_a_warning_that_comes_too_late_is_not_given(world: World) -> None:
    """A process that stood still: the window is over, its warnings are moot, the window closes."""
    dispute, inquiry = ask(world)

    fire(world, at=world.now + 300 * SECOND)

    assert warned(world, dispute) == 0
    assert world.row(tables.Inquiry, id=inquiry).state == "expired"


@pytest.mark.parametrize(("left", "told"), [(45, [45]), (20, [20]), (9.5, [10])])
def test_after_a_pause_of_ours_one_warning_says_what_is_really_left(world: World, left: float, told: list[int]) -> None:
    """A warning armed for 60 s is not given out as that when 10 s are left; two that are due together are one."""
    dispute, inquiry = ask(world)
    due_at = world.row(tables.Inquiry, id=inquiry).due_at
    assert due_at is not None

    fire(world, at=due_at - timedelta(seconds=left))

    events = [e for e in world.rows(tables.Outbox, dispute_id=dispute) if e.type == "inquiry.warning"]
    assert [e.payload["seconds_left"] for e in events] == told


def test_sending_anyway_after_the_window_is_too_late_and_kept(world: World) -> None:
    """Edge case 14: popup left open past the window; late "send anyway" → 409 `window_closed`, stored as attempt."""
    dispute, inquiry = ask(world)
    held = world.tell(
        OWNER, lambda ctx: receive_reply(ctx, inquiry, Said("m-1", text="快递丢件不关我的事"), key_id="k-1")
    )
    assert isinstance(held, Outcome)
    assert held.confirm_token is not None
    anyway = Said("m-2", text="快递丢件不关我的事", confirm_token=held.confirm_token)
    world.now += 400 * SECOND

    result = world.tell(OWNER, lambda ctx: receive_reply(ctx, inquiry, anyway, key_id="k-2"))

    assert isinstance(result, WindowClosed)
    assert [m.delivery for m in world.rows(tables.Message, dispute_id=dispute, sender_side="merchant")] == [
        "held",
        "late",
    ]


def test_a_session_in_which_nobody_asks_on_ends_by_itself(world: World) -> None:
    """I1: PT10M after an answer; no ticket, nothing counts, the seat is free again."""
    dispute, inquiry = ask(world)
    say(world, inquiry, "今天18点前发货")
    ends = world.now + timedelta(minutes=10)

    fire(world, at=ends + SECOND - MICROSECOND)
    early = world.row(tables.Inquiry, id=inquiry).state
    fire(world, at=ends + SECOND)

    row = world.row(tables.Inquiry, id=inquiry)
    assert (early, row.state, row.close_cause) == ("awaiting_agent", "closed", "idle")
    assert world.rows(tables.Ticket) == []
    assert world.rows(tables.StandingEvent) == []
    assert all(seat.open_inquiries == 0 for seat in world.rows(tables.Seat))
    assert "inquiry.closed" in world.kinds(dispute)


def test_every_warning_that_a_policy_may_ask_for_has_a_decision() -> None:
    """A policy may warn at any whole second before the longest window is over."""
    seconds = range(int(REPLY_WINDOW_MOST.total_seconds()))

    assert {f"reply_warning_{left}" for left in seconds} <= set(DECISIONS)
