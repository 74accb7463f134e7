"""The server's clock is set back, set forward, or stood still for long: what was due fires once, in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service.flows.watch_inquiries import DECISIONS
from service.flows.watch_windows import sweep
from service.metrics import Metrics
from service.store import tables
from service.ticker import Ticker
from tests.promise_world import ask, say, set_columns
from tests.waiting import wait_until
from tests.world import World

TEN_MINUTES = timedelta(minutes=10)
ANSWER = "我们今天会给消费者发货。"


def fire(world: World) -> int:
    """Sweep until nothing is due; returns how many timers fired."""
    fired = 0
    while claimed := world.database.run(lambda tx: sweep(world.house, tx, now=world.now, decisions=DECISIONS)).claimed:
        fired += claimed
    return fired


def test_a_clock_set_back_fires_nothing_a_second_time(world: World) -> None:
    """Edge case 15: −10 min after a window closed; one ticket, and what opens then has its whole window."""
    dispute, inquiry = ask(world)
    world.pass_time(seconds=181)
    fire(world)

    world.now -= TEN_MINUTES
    again = fire(world)
    _, later = ask(world)
    armed = world.row(tables.Inquiry, id=later)

    assert again == 0
    assert world.row(tables.Inquiry, id=inquiry).state == "expired"
    assert world.row(tables.Ticket, dispute_id=dispute).state == "issued"
    assert armed.due_at == world.now + timedelta(seconds=180)


def test_a_clock_that_ran_ahead_costs_no_merchant_its_window(world: World) -> None:
    """Edge case 15: +10 min closes the window; set right again, a reply in time takes that back."""
    dispute, inquiry = ask(world)
    world.now += TEN_MINUTES
    fire(world)
    closed = world.row(tables.Inquiry, id=inquiry).state

    world.now -= TEN_MINUTES - timedelta(seconds=30)
    say(world, inquiry, ANSWER)

    assert (closed, world.row(tables.Inquiry, id=inquiry).state) == ("expired", "awaiting_agent")
    assert world.row(tables.Ticket, dispute_id=dispute).state == "cancelled"


def test_order_is_kept_by_number_when_a_second_comes_twice(world: World) -> None:
    """Edge case 15: a leap second or a slew gives an entry an earlier instant, never an earlier place."""
    dispute, inquiry = ask(world)
    say(world, inquiry, ANSWER)
    world.now -= timedelta(seconds=1)
    say(world, inquiry, "单号稍后提供给您。")

    entries = sorted(world.rows(tables.TranscriptEntry, dispute_id=dispute), key=lambda entry: entry.seq)
    messages = sorted(world.rows(tables.Message, thread_id=inquiry), key=lambda message: message.seq)

    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[-1].at < entries[-2].at or entries[-1].at < entries[1].at
    assert [message.sender_side for message in messages] == ["platform_agent", "merchant", "merchant"]


def test_what_came_due_during_a_long_stop_fires_once_in_due_order(world: World) -> None:
    """Edge case 15: a day without anybody ticking."""
    waiting = []
    for _ in range(5):
        waiting.append(ask(world))
        world.pass_time(seconds=7)
    world.pass_time(days=1)

    fired, again = fire(world), fire(world)

    events = sorted(world.rows(tables.Outbox, type="inquiry.expired"), key=lambda row: row.id)
    assert [row.dispute_id for row in events] == [dispute for dispute, _ in waiting]
    assert (fired >= len(waiting), again) == (True, 0)
    assert len(world.rows(tables.Ticket)) == len(waiting)


@pytest.mark.parametrize("step", [-TEN_MINUTES, TEN_MINUTES])
def test_the_ticker_goes_on_when_the_clock_is_set(world: World, step: timedelta) -> None:
    """Edge case 15: it sleeps by the monotonic clock, a second at most, and reads the wall clock anew each time."""
    _, inquiry = ask(world)
    skew = timedelta(0)

    def now() -> datetime:
        return datetime.now(UTC) + skew

    set_window(world, inquiry, now() + timedelta(hours=1))
    ticker = Ticker(world.database, world.house, now=now, decisions=DECISIONS, pay=lambda: 0, metrics=Metrics())
    ticker.start()
    try:
        skew = step
        set_window(world, inquiry, now() + timedelta(milliseconds=200))
        wait_until(lambda: world.row(tables.Inquiry, id=inquiry).state == "expired")
    finally:
        ticker.stop()

    assert len(world.rows(tables.Ticket)) == 1


def set_window(world: World, inquiry: str, due_at: datetime) -> None:
    """Let the reply window end then, and its timer fire then."""
    set_columns(world, tables.Inquiry, inquiry, due_at=due_at)
    set_columns(world, tables.Timer, f"{inquiry}:reply_window", due_at=due_at, fires_at=due_at + timedelta(seconds=1))
