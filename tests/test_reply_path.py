"""The path of a merchant's answer: delivered, stopped or late, sent twice, in two round trips, all or nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import Absent, Conflict, Forbidden, GuardFailed, WindowClosed
from service.flows.ask_merchant import close_inquiry
from service.flows.context import AnsweredBefore
from service.flows.heard import Outcome
from service.flows.read_inquiry import read_inquiry
from service.flows.receive_reply import Said, receive_reply
from service.flows.settle_dispute import transfer
from service.store import tables
from service.store.engine import Transaction
from service.store.writes import Plan
from tests.inquiring import GOOD, HELD, INSULT, ask, designated, fire, reply
from tests.judge import PIXEL, upload
from tests.world import AGENT, BUYER, OTHER_AGENT, OTHER_OWNER, OWNER, SEAT, SUPERVISOR, World, new_world

# --- delivered ---


def test_a_clear_answer_is_delivered_stops_the_clock_and_leaves_its_promise_unconfirmed(world: World) -> None:
    """Source 002's own example: 我们今天会给消费者发货."""
    dispute, inquiry = ask(world)
    world.pass_time(seconds=30)

    outcome = reply(world, inquiry)

    row = world.row(tables.Inquiry, id=inquiry)
    promise = world.row(tables.Promise, dispute_id=dispute)
    assert (outcome.outcome, outcome.measure) == ("sent", "none")
    assert (row.state, row.answered_at) == ("awaiting_agent", world.now)
    assert set(world.armed(inquiry)) == {"inquiry_idle"}
    assert (promise.state, promise.wording, promise.action) == ("extracted", "unconditional", "ship")
    assert [p.id for p in outcome.promises] == [promise.id]
    assert world.kinds(dispute)[-2:] == ["merchant.reply", "promise.extracted"]


def test_the_receipt_is_the_entry_that_holds_the_message(world: World) -> None:
    """A sender can prove what was sent: place and fingerprint of the entry."""
    dispute, inquiry = ask(world)

    outcome = reply(world, inquiry)

    line = next(e for e in world.rows(tables.TranscriptEntry, dispute_id=dispute) if e.seq == outcome.receipt_seq)
    assert json.loads(line.body)["kind"] == "merchant.reply"


@pytest.mark.parametrize("text", ["收到", "在吗", "😀", "", "   ", "\u200b\u200d"])
def test_what_does_not_answer_is_delivered_and_the_clock_runs_on(world: World, text: str) -> None:
    """C4, edge case 30: an emoji, a picture alone, 收到 or 在吗 does not stop the clock."""
    dispute, inquiry = ask(world)
    before = world.armed(inquiry)
    shown = {} if text.strip() else {"kind": "image", "attachment": upload(world, dispute, OWNER, PIXEL)}

    outcome = reply(world, inquiry, text, **shown)

    assert (outcome.outcome, outcome.answers) == ("sent", False)
    assert world.row(tables.Inquiry, id=inquiry).state == "awaiting_merchant"
    assert world.armed(inquiry) == before


@pytest.mark.parametrize(
    ("kind", "attachment", "code"),
    [
        ("image", "jia-wo-weixin-abc12345", "attachment_unknown"),
        ("image", None, "attachment_missing"),
        ("text", "0" * 64, "attachment_unwanted"),
        ("order_card", "jia-wo-weixin-abc12345", "order_card_unknown"),
    ],
)
def test_what_hangs_on_an_answer_is_the_shops_to_show(
    world: World, kind: str, attachment: str | None, code: str
) -> None:
    """Promise 1: the name of an attachment is no way around the moderation; nothing is kept of it."""
    dispute, inquiry = ask(world)
    upload(world, dispute, BUYER, PIXEL)
    entries = len(world.kinds(dispute))

    with pytest.raises(GuardFailed) as refused:
        reply(world, inquiry, kind=kind, attachment=attachment)

    assert (refused.value.code, len(world.kinds(dispute))) == (code, entries)


def test_a_picture_of_the_buyers_is_not_the_shops_to_answer_with(world: World) -> None:
    """The fingerprint of somebody else's file opens nothing."""
    dispute, inquiry = ask(world)
    sha256 = upload(world, dispute, BUYER, PIXEL)

    with pytest.raises(GuardFailed, match="attachment_unknown"):
        reply(world, inquiry, kind="image", attachment=sha256)


def test_owner_and_seat_answer_together_and_both_stand(world: World) -> None:
    """Edge case 5: the first delivered stops the clock, the second is a further message of the turn."""
    dispute, inquiry = ask(world)
    world.database.run(lambda tx: tx.apply([designated()]))

    first, second = reply(world, inquiry), reply(world, inquiry, "单号稍后给您", actor=SEAT)

    assert (first.outcome, second.outcome) == ("sent", "sent")
    assert [m.sender_id for m in world.rows(tables.Message, dispute_id=dispute)][1:] == ["seat-owner", "seat-1"]


# --- stopped ---


def test_an_insult_is_stopped_kept_and_must_be_read_about(world: World) -> None:
    """A5: nothing goes out, not even a good text, until the notice is read; the attempt is in the transcript."""
    dispute, inquiry = ask(world)

    outcome, after = reply(world, inquiry, INSULT), reply(world, inquiry)

    assert (outcome.outcome, after.outcome) == ("notice", "notice")
    assert outcome.notice_id == after.notice_id == world.row(tables.Notice).id
    assert [m.delivery for m in world.rows(tables.Message, dispute_id=dispute)] == ["delivered", "blocked", "blocked"]
    assert world.rows(tables.Promise) == []
    assert world.row(tables.Inquiry, id=inquiry).state == "awaiting_merchant"


def test_a_held_text_goes_out_as_it_is_with_its_token_once(world: World) -> None:
    """A2: 继续发送 with the one-time token; the token is good for this text, seat and conversation only."""
    _, inquiry = ask(world)

    held = reply(world, inquiry, HELD)
    with pytest.raises(Conflict, match="confirm_token_invalid"):
        reply(world, inquiry, HELD + "!", confirm_token=held.confirm_token)
    sent = reply(world, inquiry, HELD, confirm_token=held.confirm_token)
    with pytest.raises(Conflict, match="confirm_token_invalid"):
        reply(world, inquiry, HELD, confirm_token=held.confirm_token)

    assert (held.outcome, sent.outcome) == ("confirm", "sent")
    assert held.confirm_until <= held.due_at


def test_a_blocked_attempt_in_time_earns_grace_once(world: World) -> None:
    """Edge case 13: blocked at 179 s, edited at 200 s is in time; a second attempt earns nothing more."""
    _, inquiry = ask(world)
    due_at = world.row(tables.Inquiry, id=inquiry).due_at
    world.pass_time(seconds=179)

    blocked = reply(world, inquiry, HELD)
    again = reply(world, inquiry, HELD)
    world.pass_time(seconds=21)
    fire(world)
    edited = reply(world, inquiry)

    assert due_at is not None
    assert blocked.due_at == again.due_at == due_at - timedelta(seconds=1) + timedelta(seconds=60)
    assert edited.outcome == "sent"


def test_swearing_does_not_stall_the_ticket(world: World) -> None:
    """Edge case 13: blocked attempts alone never postpone the ticket beyond the grace."""
    dispute, inquiry = ask(world)
    for _ in range(4):
        world.pass_time(seconds=59)
        reply(world, inquiry, INSULT)

    world.pass_time(seconds=10)
    fire(world)

    assert world.row(tables.Inquiry, id=inquiry).state == "expired"
    assert world.row(tables.Ticket, dispute_id=dispute).cause == "TIMEOUT"


# --- time ---


@pytest.mark.parametrize(("microseconds", "in_time"), [(-1, True), (0, False), (1, False)])
def test_the_window_is_half_open_to_the_microsecond(world: World, microseconds: int, in_time: bool) -> None:
    """Edge case 11: due-1 µs is in time; due and due+1 µs are late."""
    _, inquiry = ask(world)
    due_at = world.row(tables.Inquiry, id=inquiry).due_at
    assert due_at is not None
    world.now = due_at + timedelta(seconds=5)

    answer = reply(world, inquiry, received_at=due_at + timedelta(microseconds=microseconds))

    assert isinstance(answer, Outcome) == in_time
    if not in_time:
        assert isinstance(answer, WindowClosed)


def test_a_late_answer_reaches_nobody_and_stays_in_the_transcript(world: World) -> None:
    """Edge cases 14 and 29: 409 window_closed, stored as a late attempt, no promise, no state."""
    dispute, inquiry = ask(world)
    world.pass_time(seconds=181)
    fire(world)

    answer = reply(world, inquiry)

    late = world.rows(tables.Message, dispute_id=dispute)[-1]
    assert isinstance(answer, WindowClosed)
    assert (late.delivery, world.rows(tables.Promise)) == ("late", [])
    assert world.row(tables.Inquiry, id=inquiry).state == "expired"
    assert world.kinds(dispute)[-1] == "merchant.reply_late"


def test_an_answer_received_in_time_takes_the_expiry_back(world: World) -> None:
    """Edge case 12, lifecycle.md section 4: revived, the ticket cancelled, the standing event void."""
    dispute, inquiry = ask(world)
    due_at = world.row(tables.Inquiry, id=inquiry).due_at
    assert due_at is not None
    world.now = due_at + timedelta(seconds=6)
    fire(world)

    outcome = reply(world, inquiry, received_at=due_at - timedelta(microseconds=1))

    assert outcome.outcome == "sent"
    assert world.row(tables.Inquiry, id=inquiry).state == "awaiting_agent"
    assert world.row(tables.Ticket, dispute_id=dispute).state == "cancelled"
    assert world.row(tables.StandingEvent).voided_at is not None
    assert [s.open_inquiries for s in world.rows(tables.Seat)] == [0, 1]
    assert "inquiry.revived" in world.kinds(dispute)


def test_a_blocked_text_revives_nothing(world: World) -> None:
    """Only a delivered message takes an expiry back."""
    dispute, inquiry = ask(world)
    due_at = world.row(tables.Inquiry, id=inquiry).due_at
    assert due_at is not None
    world.now = due_at + timedelta(seconds=6)
    fire(world)

    outcome = reply(world, inquiry, INSULT, received_at=due_at - timedelta(seconds=1))

    assert outcome.outcome == "notice"
    assert world.row(tables.Inquiry, id=inquiry).state == "expired"
    assert world.row(tables.Ticket, dispute_id=dispute).state == "issued"


def test_the_timer_never_closes_before_the_settle_margin(world: World) -> None:
    """A window closes no earlier than due_at + 1 s, whoever sweeps."""
    _, inquiry = ask(world)
    world.pass_time(seconds=180, microseconds=999_999)
    fire(world)
    before = world.row(tables.Inquiry, id=inquiry).state

    world.pass_time(microseconds=1)
    fire(world)

    assert (before, world.row(tables.Inquiry, id=inquiry).state) == ("awaiting_merchant", "expired")


def test_a_closed_window_issues_one_ticket_however_often_it_is_swept(world: World) -> None:
    """Edge case 7: one ticket, one standing event, the seat freed once."""
    dispute, inquiry = ask(world)
    world.pass_time(seconds=200)

    for _ in range(3):
        fire(world)

    assert len(world.rows(tables.Ticket, inquiry_id=inquiry)) == 1
    assert len(world.rows(tables.StandingEvent, dispute_id=dispute)) == 1
    assert [s.open_inquiries for s in world.rows(tables.Seat)] == [0, 0]


def test_an_answer_that_crosses_the_agents_close_is_kept_for_the_agent(world: World) -> None:
    """Received before the close: into the transcript, and the closing's ticket is cancelled."""
    dispute, inquiry = ask(world)
    world.pass_time(seconds=20)
    before_close = world.now
    world.pass_time(seconds=1)
    world.tell(AGENT, lambda ctx: close_inquiry(ctx, inquiry, waive_reason=None))

    outcome = reply(world, inquiry, received_at=before_close)
    late = reply(world, inquiry)

    assert outcome.outcome == "sent"
    assert isinstance(late, WindowClosed)
    assert world.row(tables.Inquiry, id=inquiry).state == "closed"
    assert world.row(tables.Ticket, dispute_id=dispute).state == "cancelled"


# --- who may ---


def test_another_shop_does_not_know_the_inquiry(world: World) -> None:
    """Edge case 55: somebody else's object is absent, not forbidden."""
    world.open_shop("shop-2", owner="seat-owner-2")
    _, inquiry = ask(world)

    with pytest.raises(Absent):
        reply(world, inquiry, actor=OTHER_OWNER)


def test_a_seat_needs_im_permission_and_designation(world: World) -> None:
    """Edge case 23: designated without IM permission, or the other way round, is 403."""
    _, inquiry = ask(world)

    with pytest.raises(Forbidden, match="im_permission_missing"):
        reply(world, inquiry, actor=SEAT)


def test_a_seat_that_was_switched_off_may_not_answer(world: World) -> None:
    """Edge case 57: permissions are checked when it sends, not when it was routed to."""
    _, inquiry = ask(world)
    plan = Plan()
    plan.update(tables.Seat, "seat-1", designated=True, active=False)
    world.database.run(lambda tx: tx.apply([plan]))

    with pytest.raises(Forbidden, match="seat_inactive"):
        reply(world, inquiry, actor=SEAT)


# --- twice ---


def test_the_same_message_twice_is_received_once(world: World) -> None:
    """Edge case 30: client_message_id deduplicates; the answer names the first."""
    dispute, inquiry = ask(world)
    first = reply(world, inquiry, client_message_id="same")

    with pytest.raises(Conflict, match="duplicate_message") as refused:
        reply(world, inquiry, client_message_id="same")
    assert refused.value.facts["message_id"] == first.message_id
    assert len(world.rows(tables.Message, dispute_id=dispute)) == 2


def test_a_stored_answer_is_found_by_the_one_read(world: World) -> None:
    """The idempotency row comes with the read: no second trip for it."""
    _, inquiry = ask(world)
    plan = Plan()
    plan.insert(tables.IdempotencyRow, id="key", fingerprint="f", status=201, body='{"body": {}}', created_at=world.now)
    world.database.run(lambda tx: tx.apply([plan]))

    with pytest.raises(AnsweredBefore):
        world.tell(OWNER, lambda ctx: receive_reply(ctx, inquiry, Said("m", text=GOOD), key_id="key"))


# --- trips and crashes ---


def test_a_reply_makes_two_round_trips_on_postgresql(new_postgres: Any, tmp_path: Path) -> None:
    """One read and one guarded statement, counted on the driver's own connection."""
    with new_world(new_postgres(), tmp_path) as world:
        _, inquiry = ask(world)
        trips: list[str] = []

        def work(tx: Transaction) -> None:
            tx.driver = Counting(tx.driver, trips)
            ctx = world.house.context(tx, actor=OWNER, now=world.now, received_at=world.now)
            receive_reply(ctx, inquiry, Said("m-1", text=GOOD), key_id="k")
            tx.apply([ctx.plan])

        world.database.run(work, one_statement=True)

        assert len(trips) == 2
        assert world.row(tables.Inquiry, id=inquiry).state == "awaiting_agent"


def test_a_dispute_transferred_while_its_message_is_judged_keeps_the_message_in_its_turn(
    new_postgres: Any, tmp_path: Path
) -> None:
    """Edge case 10: the lost race is run again, the message stays with its turn, and the new agent sees it."""
    with new_world(new_postgres(), tmp_path) as world:
        dispute, inquiry = ask(world)
        tries: list[int] = []

        def work(tx: Transaction) -> Any:
            ctx = world.house.context(tx, actor=OWNER, now=world.now, received_at=world.now)
            outcome = receive_reply(ctx, inquiry, Said("m-1", text=GOOD), key_id="k")
            tries.append(1)
            if len(tries) == 1:
                world.tell(SUPERVISOR, lambda other: transfer(other, dispute, assignee_id=OTHER_AGENT.subject))
            tx.apply([ctx.plan])
            return outcome

        outcome = world.database.run(work, one_statement=True)

        seen = world.tell(OTHER_AGENT, lambda ctx: read_inquiry(ctx, inquiry))
        assert len(tries) == 2
        assert world.row(tables.Dispute, id=dispute).assignee_id == OTHER_AGENT.subject
        assert [(line.message.id, line.text) for line in seen.lines][1:] == [(outcome.message_id, GOOD)]
        assert seen.inquiry.state == "awaiting_agent"


class Counting:
    """A driver connection that writes down what it is asked to run."""

    def __init__(self, driver: Any, trips: list[str], *, fail_at: int = -1) -> None:
        self._driver, self._trips, self._fail_at = driver, trips, fail_at

    def execute(self, statement: str, parameters: Any = ()) -> Any:
        """Count, break where told to, else run."""
        self._count(statement)
        return self._driver.execute(statement, parameters)

    def executemany(self, statement: str, rows: Any) -> Any:
        """The same for many rows."""
        self._count(statement)
        return self._driver.executemany(statement, rows)

    def _count(self, statement: str) -> None:
        self._trips.append(statement)
        if len(self._trips) == self._fail_at:
            raise ConnectionError("the wire broke here")


def test_a_break_at_any_statement_leaves_all_or_nothing(world: World) -> None:
    """Edge case 58 in small: whichever write fails, no half reply is left, and the next try succeeds."""
    dispute, inquiry = ask(world)
    before = (world.kinds(dispute), len(world.rows(tables.Message)))
    broke = 0
    for fail_at in range(1, 60):

        def work(tx: Transaction, fail_at: int = fail_at) -> None:
            tx.driver = Counting(tx.driver, [], fail_at=fail_at)
            ctx = world.house.context(tx, actor=OWNER, now=world.now, received_at=world.now)
            receive_reply(ctx, inquiry, Said("m-1", text=GOOD), key_id="k")
            tx.apply([ctx.plan])

        try:
            world.database.run(work, one_statement=True)
            break
        except ConnectionError:
            broke += 1
            assert (world.kinds(dispute), len(world.rows(tables.Message))) == before
            assert world.row(tables.Inquiry, id=inquiry).state == "awaiting_merchant"

    assert broke >= 2
    assert world.row(tables.Inquiry, id=inquiry).state == "awaiting_agent"
