"""Promises that the buyer was told of: kept by a parcel, a payment, an answer, a proof; late, or broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.flows.confirm_promise import Proof, fulfil
from service.flows.context import Context
from service.flows.exchange_messages import Said as Chat
from service.flows.exchange_messages import post_message
from service.flows.read_case import next_answer_due, require_seen
from service.flows.receive_reply import Said, receive_reply
from service.flows.serve_ticket import TicketAnswer, TicketWanted, issue_manual_ticket, respond
from service.flows.take_orders import Parcel, take_parcel
from service.store import tables
from service.store.writes import Plan
from tests.clockwork import fire
from tests.judge import PIXEL, refused, upload
from tests.promise_world import ask, new_name, press, promise_of, relay, say
from tests.world import AGENT, BUYER, MARKETPLACE, OWNER, World, new_world

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
LATER = "明天18点前回复您"


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    with new_world(database, tmp_path) as made:
        yield made


def told(world: World, text: str) -> tuple[str, str, str, datetime]:
    """The buyer was told of this promise: (dispute, inquiry, promise, due)."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, text)
    press(world, dispute, found)
    relay(world, dispute, found.id)
    assert found.due_at is not None
    return dispute, inquiry, found.id, found.due_at


def scan(world: World, dispute: str, at: datetime, purpose: str = "order") -> list[str]:
    """The carrier's push about a parcel to the buyer."""
    line = world.row(tables.Dispute, id=dispute).order_line_id
    return world.tell(MARKETPLACE, lambda ctx: take_parcel(ctx, Parcel(line, purpose, at)))


def facts(world: World, dispute: str, kind: str) -> list[dict[str, Any]]:
    entries = sorted(world.rows(tables.TranscriptEntry, dispute_id=dispute), key=lambda entry: entry.seq)
    return [json.loads(entry.body)["facts"] for entry in entries if entry.kind == kind]


def still_counts(world: World) -> list[str]:
    return [each.kind for each in world.rows(tables.StandingEvent) if each.voided_at is None]


# --- by a parcel ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("early_by", "state"), [(SECOND / 1_000_000, "fulfilled"), (timedelta(0), "relayed")])
def test_a_parcel_scanned_before_the_due_date_keeps_the_promise(world: World, early_by: timedelta, state: str) -> None:
    """Kept by carrier scan, by the carrier's clock: half-open like every window."""
    dispute, _, promise, due_at = told(world, "今天18点前发货")
    world.now = due_at

    kept = scan(world, dispute, due_at - early_by)

    row = promise_of(world, promise)
    assert (row.state, kept) == (state, [promise] if state == "fulfilled" else [])
    assert row.done_at == (due_at - early_by if kept else None)


def test_a_parcel_of_the_order_keeps_no_promise_to_send_it_again(world: World) -> None:
    """The goods bought, or those sent again."""
    dispute, _, promise, due_at = told(world, "今天18点前补发")

    world.now = due_at - HOUR

    assert scan(world, dispute, due_at - HOUR) == []
    assert scan(world, dispute, due_at - HOUR, purpose="replacement") == [promise]


def test_a_carrier_that_reports_late_takes_the_count_back(world: World) -> None:
    """In time stays in time: done before the due date, reported only after the promise counted as broken."""
    dispute, _, promise, due_at = told(world, "今天18点前发货")
    fire(world, at=due_at + SECOND)
    counted = still_counts(world)

    kept = scan(world, dispute, due_at - HOUR)
    again = scan(world, dispute, due_at - HOUR)

    row = promise_of(world, promise)
    assert (counted, still_counts(world)) == (["promise_breached"], [])
    assert (kept, again, row.state, row.done_at) == ([promise], [], "breached", due_at - HOUR)
    assert [each["promise"] for each in facts(world, dispute, "promise.kept_in_time")] == [promise]


def test_what_was_done_late_says_how_late_and_counts(world: World) -> None:
    """For the promise report: median lateness."""
    dispute, _, promise, due_at = told(world, "今天18点前发货")
    fire(world, at=due_at + SECOND)
    world.now = due_at + 5 * HOUR

    kept = scan(world, dispute, due_at + 3 * HOUR)

    (late,) = facts(world, dispute, "promise.done_late")
    assert (kept, late["late_seconds"], still_counts(world)) == ([], 3 * 3_600, ["promise_breached"])
    assert promise_of(world, promise).done_at == due_at + 3 * HOUR


# --- by the merchant's proof ----------------------------------------------------------------------------------------


def prove(world: World, dispute: str, promise: str, received_at: datetime | None = None) -> None:
    sha256 = upload(world, dispute, OWNER, PIXEL)
    proof = Proof((sha256,), "见图")
    world.tell(OWNER, lambda ctx: fulfil(ctx, dispute, promise, proof), received_at=received_at)


def test_a_proof_shown_at_the_due_date_is_too_late_and_afterwards_says_how_late(world: World) -> None:
    """Every window is half-open; a broken promise may still be shown to be done, once."""
    dispute, _, promise, due_at = told(world, "今天18点前发货")
    world.now = due_at
    refused("window_closed", lambda: prove(world, dispute, promise))
    fire(world, at=due_at + SECOND)
    world.now = due_at + HOUR

    prove(world, dispute, promise)
    refused("arrow_missing", lambda: prove(world, dispute, promise))

    assert facts(world, dispute, "promise.done_late")[0]["late_seconds"] == 3_600
    assert (promise_of(world, promise).state, still_counts(world)) == ("breached", ["promise_breached"])


def test_a_proof_received_in_time_and_worked_on_too_late_is_in_time(world: World) -> None:
    """The clock was faster than a stalled process: what was received in time takes the count back."""
    dispute, _, promise, due_at = told(world, "今天18点前发货")
    fire(world, at=due_at + SECOND)

    prove(world, dispute, promise, received_at=due_at - SECOND)

    assert (promise_of(world, promise).done_at, still_counts(world)) == (due_at - SECOND, [])


# --- broken ---------------------------------------------------------------------------------------------------------


def test_a_broken_promise_asks_the_shop_by_a_ticket(world: World) -> None:
    """promises.md section 3: told to the agent, counted in standing, a ticket when the policy says so."""
    dispute, _, _, due_at = told(world, "今天18点前发货")

    fire(world, at=due_at + SECOND)

    ticket = world.row(tables.Ticket, dispute_id=dispute)
    assert (ticket.cause, ticket.blocking, ticket.state) == ("MANUAL", False, "issued")
    assert "商家承诺:2026年11月23日18:00:00(北京时间)前发货" in ticket.question
    assert facts(world, dispute, "promise.breached")[0]["ticket"] == ticket.id
    assert world.row(tables.Task, kind="promise_breached").role == "platform_agent"


def without_tickets(world: World) -> None:
    body = {"policy_id": "quiet", "version": 1, "ticket_of_broken_promise": False}
    plan = Plan()
    plan.insert(tables.PolicyVersion, id="quiet@1", policy_id="quiet", version=1, body=body, published_at=world.now)
    world.database.run(lambda tx: tx.apply([plan]))


def test_a_policy_may_want_no_ticket(world: World) -> None:
    """By policy: `ticket_of_broken_promise`."""
    without_tickets(world)
    dispute = world.make_dispute(policy_id="quiet")
    _, inquiry = ask(world, dispute)
    (found,) = say(world, inquiry, "今天18点前发货")
    press(world, dispute, found)
    relay(world, dispute, found.id)
    assert found.due_at is not None

    fire(world, at=found.due_at + SECOND)

    assert world.rows(tables.Ticket, dispute_id=dispute) == []
    assert still_counts(world) == ["promise_breached"]


# --- an answer that was promised (D17) ------------------------------------------------------------------------------


def by_reply(world: World, dispute: str, inquiry: str, text: str) -> None:
    name = new_name(world)
    said = Said(name, text=text)
    world.tell(OWNER, lambda ctx: receive_reply(ctx, inquiry, said, key_id=name), one_statement=True)


def by_ticket(world: World, dispute: str, inquiry: str, text: str) -> None:
    wanted = TicketWanted("product", "请说明进展")
    ticket = world.tell(AGENT, lambda ctx: issue_manual_ticket(ctx, dispute, wanted))
    world.tell(OWNER, lambda ctx: respond(ctx, ticket, TicketAnswer(new_name(world), text)))


def by_chat(world: World, dispute: str, inquiry: str, text: str) -> None:
    world.tell(OWNER, lambda ctx: post_message(ctx, dispute, Chat(new_name(world), text=text)))


@pytest.mark.parametrize("answer", [by_reply, by_ticket, by_chat])
@pytest.mark.parametrize(
    ("text", "kept"), [("仓库核实过了,您的衣服是漏发", True), ("收到", False), ("后天18点前回复您", False)]
)
def test_a_promised_answer_is_kept_by_an_answer(
    world: World, answer: Callable[[World, str, str, str], None], text: str, kept: bool
) -> None:
    """D17: a delivered message that answers, whichever way it comes; 收到 and another 稍后回复 are none."""
    dispute, inquiry, promise, _ = told(world, LATER)

    answer(world, dispute, inquiry, text)

    assert promise_of(world, promise).state == ("fulfilled" if kept else "relayed")


def next_answer(world: World, dispute: str) -> datetime | None:
    def story(ctx: Context) -> datetime | None:
        return next_answer_due(require_seen(ctx, dispute))

    return world.tell(BUYER, story)


def test_the_buyer_sees_when_the_next_answer_is_due_and_the_seat_is_reminded(world: World) -> None:
    """D17: only of what was relayed; when that passes the seat is reminded."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, LATER)
    press(world, dispute, found)
    before = next_answer(world, dispute)
    relay(world, dispute, found.id)
    seen = next_answer(world, dispute)
    assert found.due_at is not None

    fire(world, at=found.due_at + SECOND)

    reminders = [job.payload for job in world.rows(tables.Outbox) if job.type == "promise.reminder"]
    assert (before, seen, next_answer(world, dispute)) == (None, found.due_at, None)
    assert [(each["promise_id"], each["seat_id"]) for each in reminders] == [(found.id, "seat-owner")]


def test_a_request_shows_by_when_the_shop_answers(world: World) -> None:
    """D17: an open after-sale matter shows the buyer when the next answer is due: T1."""
    dispute = world.make_dispute("requested")

    assert next_answer(world, dispute) == world.now + timedelta(hours=48)
