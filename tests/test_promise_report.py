"""How a shop keeps its word, counted; and what was agreed upon stands in the transcript before a dispute closes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.flows.open_dispute import withdraw
from service.flows.report_promises import PromiseReport, report_promises
from service.flows.take_orders import Parcel, take_parcel
from service.store import tables
from tests.clockwork import fire
from tests.judge import refused
from tests.over_http import SHOP, new_http_world
from tests.promise_world import ask, press, promise_of, relay, say
from tests.world import AGENT, AUDITOR, BUYER, MARKETPLACE, OTHER_OWNER, OWNER, SEAT, SUPERVISOR, World, new_world

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    with new_world(database, tmp_path) as made:
        yield made


def told(world: World, text: str, *, until: str = "relay") -> tuple[str, str, datetime]:
    """A dispute of its own with one promise that has come as far as `until`: (dispute, promise, due)."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, text)
    if until != "say":
        press(world, dispute, found)
    if until == "relay":
        relay(world, dispute, found.id)
    assert found.due_at is not None
    return dispute, found.id, found.due_at


def parcel(world: World, dispute: str, at: datetime, purpose: str = "order") -> list[str]:
    line = world.row(tables.Dispute, id=dispute).order_line_id
    return world.tell(MARKETPLACE, lambda ctx: take_parcel(ctx, Parcel(line, purpose, at)))


def read(world: World, actor: Any = OWNER, **asked: Any) -> PromiseReport:
    return world.tell(actor, lambda ctx: report_promises(ctx, **asked))


# --- the report -----------------------------------------------------------------------------------------------------


def test_a_report_counts_what_was_made_told_kept_and_broken_and_how_late(world: World) -> None:
    """Issue 4 point 4: made, kept, broken, median lateness; words that nobody confirmed are no promise."""
    told(world, "今天18点前发货", until="say")
    told(world, "今天18点前发货", until="press")
    waiting = told(world, "三天内发货")
    kept, *broken = [told(world, "今天18点前发货") for _ in range(5)]
    world.now += HOUR
    parcel(world, kept[0], world.now)
    fire(world, at=broken[0][2] + SECOND)
    world.now += 4 * DAY - HOUR
    for (dispute, _, due_at), late in zip(broken, (HOUR, 3 * HOUR, 2 * DAY), strict=False):
        parcel(world, dispute, due_at + late)

    report = read(world)

    (ship,) = report.by_action
    assert waiting[1] not in {each[1] for each in broken}
    assert ship._asdict() == {
        "action": "ship", "made": 7, "told": 6, "kept": 1, "broken": 4, "done_late": 3,
    }  # fmt: skip
    assert report.median_lateness == 3 * HOUR


def test_of_an_even_number_the_median_is_the_mean_of_the_two_in_the_middle(world: World) -> None:
    """Lateness of 1 h and 4 h: 2.5 h."""
    broken = [told(world, "今天18点前发货") for _ in range(2)]
    fire(world, at=broken[0][2] + SECOND)
    world.now += DAY
    for (dispute, _, due_at), late in zip(broken, (HOUR, 4 * HOUR), strict=True):
        parcel(world, dispute, due_at + late)

    assert read(world).median_lateness == 2.5 * HOUR


def test_what_was_done_in_time_and_reported_late_counts_as_kept(world: World) -> None:
    """In time stays in time."""
    dispute, _, due_at = told(world, "今天18点前发货")
    fire(world, at=due_at + SECOND)
    before = read(world).by_action[0]
    parcel(world, dispute, due_at - HOUR)

    after = read(world)

    assert (before.kept, before.broken) == (0, 1)
    assert (after.by_action[0].kept, after.by_action[0].broken, after.median_lateness) == (1, 0, None)


def test_acts_are_counted_apart_and_a_period_is_half_open(world: World) -> None:
    """Made at `since` counts, made at `until` does not."""
    dispute, inquiry = ask(world)
    press(world, dispute, *say(world, inquiry, "今天18点前发货,另外明天12点前补偿您五块钱"))
    made_at = world.now
    world.now += HOUR

    assert [each.action for each in read(world).by_action] == ["compensate", "ship"]
    assert len(read(world, since=made_at, until=made_at + SECOND).by_action) == 2
    assert read(world, since=made_at - HOUR, until=made_at).by_action == []


def test_a_shop_reads_its_own_report_and_the_platform_any_or_all(world: World) -> None:
    """For the merchant himself, agents, supervisors and auditors; another shop's is absent."""
    world.open_shop("shop-2", owner="seat-owner-2")
    told(world, "今天18点前发货")
    world.now += HOUR

    assert [read(world, actor).merchant_id for actor in (OWNER, SEAT, OTHER_OWNER)] == ["shop-1", "shop-1", "shop-2"]
    assert read(world, OTHER_OWNER).by_action == []
    refused("not_found", lambda: read(world, OTHER_OWNER, merchant_id="shop-1"))
    for actor in (AGENT, SUPERVISOR, AUDITOR):
        assert len(read(world, actor).by_action) == len(read(world, actor, merchant_id="shop-1").by_action) == 1
        assert read(world, actor, merchant_id="shop-2").by_action == []
        refused("not_found", lambda actor=actor: read(world, actor, merchant_id="nobody"))


@pytest.mark.parametrize("length", [timedelta(0), -SECOND, timedelta(days=366) + SECOND])
def test_a_period_has_bounds(world: World, length: timedelta) -> None:
    """It ends after it begins, and is at most a year."""
    refused("period_out_of_range", lambda: read(world, since=world.now, until=world.now + length))


def test_the_report_over_http(database: str, tmp_path: Path) -> None:
    """`GET /v1/reports/promises`; a buyer has no business there."""
    with new_http_world(database, tmp_path) as edge:
        own = edge.get("owner", "/reports/promises", since="2026-11-01T00:00:00Z", until="2026-12-01T00:00:00Z")
        every = edge.get("auditor", "/reports/promises").json()

        nothing = {"made": 0, "told": 0, "kept": 0, "broken": 0, "done_late": 0, "waiting": 0}
        assert (own.status_code, own.json()["merchant_id"], own.json()["total"]) == (200, SHOP, nothing)
        assert (every["merchant_id"], every["by_action"], every["median_lateness"]) == (None, [], None)
        assert edge.get("buyer", "/reports/promises").status_code == 403
        assert edge.get("owner", "/reports/promises", since="yesterday").status_code == 400


# --- agreed upon (D16) ----------------------------------------------------------------------------------------------


def closing_entry(world: World, dispute: str) -> dict[str, Any]:
    entries = world.rows(tables.TranscriptEntry, dispute_id=dispute)
    (closing,) = [json.loads(e.body)["facts"] for e in entries if e.kind == "dispute.buyer_withdraw"]
    return closing


def test_what_was_agreed_stands_in_the_transcript_before_the_dispute_closes_and_is_watched_on(world: World) -> None:
    """D16: an agreed solution (goods sent again, a coupon with its amount) stands as a promise; the buyer gives up."""
    dispute, promise, due_at = told(world, "明天18点前补发")

    world.tell(BUYER, lambda ctx: withdraw(ctx, dispute, note=None, agreed_promise_id=promise))

    row = promise_of(world, promise)
    agreed = {"promise": promise, "action": "resend", "canonical": row.canonical_sha256}
    assert closing_entry(world, dispute)["agreed"] == agreed
    assert (row.state, set(world.armed(promise))) == ("relayed", {"promise_due"})
    fire(world, at=due_at + SECOND)
    assert promise_of(world, promise).state == "breached"
    assert world.rows(tables.Ticket, dispute_id=dispute) == []


@pytest.mark.parametrize("until", ["say", "press"])
def test_only_what_the_buyer_was_told_can_be_agreed_upon(world: World, until: str) -> None:
    """D16 and the gate: a promise that was not relayed is absent for the buyer; the dispute stays open."""
    dispute, promise, _ = told(world, "明天18点前补发", until=until)

    refused(
        "not_found", lambda: world.tell(BUYER, lambda ctx: withdraw(ctx, dispute, note=None, agreed_promise_id=promise))
    )

    assert world.row(tables.Dispute, id=dispute).state == "intervening"


def test_a_broken_promise_settles_nothing(world: World) -> None:
    """409 `promise_broken`."""
    dispute, promise, due_at = told(world, "今天18点前补发")
    fire(world, at=due_at + SECOND)

    refused(
        "promise_broken",
        lambda: world.tell(BUYER, lambda ctx: withdraw(ctx, dispute, note=None, agreed_promise_id=promise)),
    )

    assert world.row(tables.Dispute, id=dispute).state == "intervening"
