"""The service ticket as a story: issued at any hour, answered through moderation, sent back once, overdue, heard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.errors import Absent, ArrowMissing, GuardFailed, Refusal, WindowClosed
from service.domain.policy import DEFAULT, to_json
from service.flows.ask_merchant import Asked, open_inquiry
from service.flows.context import Context
from service.flows.heard import Outcome
from service.flows.moves import facts_of, move
from service.flows.read_ticket import list_tickets, read_ticket
from service.flows.serve_ticket import (
    TicketAnswer,
    TicketWanted,
    accept_answer,
    acknowledge,
    extend_ticket,
    issue_manual_ticket,
    reject_answer,
    respond,
)
from service.store import tables
from service.store.disputes import load_case
from tests.clockwork import fire
from tests.judge import PIXEL, refused, upload
from tests.over_http import HttpWorld
from tests.world import AGENT, AUDITOR, BUYER, OTHER_AGENT, OTHER_OWNER, OWNER, SEAT, SUPERVISOR, World

GOOD, INSULT, HELD = "我们今天会给消费者发货。", "你是不是有病", "快递丢件不关我的事"
QUESTION = "请确认今天是否可以发货"
HOUR, SECOND, MICROSECOND = timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1)


def issue(world: World, dispute: str | None = None, **wanted: Any) -> str:
    """A MANUAL ticket of two business hours."""
    dispute = dispute or world.make_dispute()
    made = TicketWanted(**{"category": "refund_order_operation", "question": QUESTION} | wanted)
    return world.tell(AGENT, lambda ctx: issue_manual_ticket(ctx, dispute, made))


def answer(world: World, ticket: str, text: str = GOOD, *, actor: Any = OWNER, **more: Any) -> Outcome | Refusal:
    received_at = more.pop("received_at", None)
    said = TicketAnswer(f"m-{next(world.numbers)}", text, **more)
    return world.tell(actor, lambda ctx: respond(ctx, ticket, said), received_at=received_at)


def ticket_of(world: World, ticket: str) -> tables.Ticket:
    return world.row(tables.Ticket, id=ticket)


def overdue(world: World, ticket: str) -> None:
    """Let the ticket's time pass."""
    fire(world, at=ticket_of(world, ticket).due_at + SECOND)


# --- issuing --------------------------------------------------------------------------------------------------------


def test_a_ticket_may_be_issued_at_night_and_its_clock_starts_in_the_morning(world: World) -> None:
    """Edge case 18: an inquiry at 02:00 is refused with `opens_at`; the MANUAL ticket's clock starts at 09:00."""
    world.now = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)  # 02:00 in Shanghai
    dispute = world.make_dispute()

    refusal = refused(
        "outside_service_hours",
        lambda: world.tell(AGENT, lambda ctx: open_inquiry(ctx, dispute, Asked("q", QUESTION))),
    )
    ticket = ticket_of(world, issue(world, dispute))

    assert refusal.facts["opens_at"] == "2026-11-24T00:00:00.000000Z"
    assert ticket.due_at == datetime(2026, 11, 24, 3, 0, tzinfo=UTC)  # 11:00, two hours after 09:00
    assert (ticket.cause, ticket.blocking, ticket.state) == ("MANUAL", False, "issued")


@pytest.mark.parametrize(
    ("issued", "due"),
    [
        ((12, 59, 59), datetime(2026, 11, 24, 2, 59, 59, tzinfo=UTC)),  # 20:59:59 → 10:59:59
        ((13, 0, 0), datetime(2026, 11, 24, 3, 0, tzinfo=UTC)),  # 21:00 → 11:00
        ((19, 0, 0), datetime(2026, 11, 24, 3, 0, tzinfo=UTC)),  # 03:00 → 11:00
    ],
)
def test_a_ticket_born_at_the_edges_of_the_business_day(
    world: World, issued: tuple[int, int, int], due: datetime
) -> None:
    """Edge case 17: born 20:59:59, 21:00:00 and 03:00."""
    world.now = datetime(2026, 11, 23, *issued, tzinfo=UTC)

    ticket = ticket_of(world, issue(world))

    assert ticket.due_at == due


def test_a_policy_published_meanwhile_changes_nothing_for_a_dispute_that_is_pinned(world: World) -> None:
    """Edge case 17: policy published mid-case (the case keeps the old one)."""
    dispute = world.make_dispute()
    body = to_json(DEFAULT) | {"version": 2, "ticket_sla": {"refund_order_operation": "PT9H"}}
    world.insert(
        (
            tables.PolicyVersion,
            {"id": "default@2", "policy_id": "default", "version": 2, "body": body, "published_at": world.now},
        )
    )

    ticket = ticket_of(world, issue(world, dispute))

    assert ticket.due_at == world.now + 2 * HOUR


def test_only_the_agent_of_an_intervening_dispute_issues(world: World) -> None:
    """Somebody else's dispute is 403 for agents, one that never came to the platform is absent."""
    dispute, early = world.make_dispute(), world.make_dispute("requested")
    wanted = TicketWanted("product", QUESTION)

    refused("not_your_dispute", lambda: world.tell(OTHER_AGENT, lambda ctx: issue_manual_ticket(ctx, dispute, wanted)))
    refused("not_found", lambda: world.tell(AGENT, lambda ctx: issue_manual_ticket(ctx, early, wanted)))
    queued = world.make_dispute("intervention_requested", assignee_id=AGENT.subject)
    refused("dispute_not_intervening", lambda: world.tell(AGENT, lambda ctx: issue_manual_ticket(ctx, queued, wanted)))

    assert world.rows(tables.Ticket) == []


def test_an_inquiry_has_one_ticket_that_counts(world: World) -> None:
    """Ticket issued once per inquiry: a second one is told the first one's id."""
    dispute = world.make_dispute()
    inquiry = world.tell(AGENT, lambda ctx: open_inquiry(ctx, dispute, Asked("q", QUESTION)))
    first = issue(world, dispute, inquiry_id=inquiry)

    refusal = refused("ticket_issued_already", lambda: issue(world, dispute, inquiry_id=inquiry))
    refused("not_found", lambda: issue(world, world.make_dispute(), inquiry_id=inquiry))

    assert refusal.facts["ticket_id"] == first


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"category": "gossip"}, "ticket_category_unknown"),
        ({"category": "agreed", "agreed": HOUR}, "ticket_sla_too_short"),
        ({"category": "agreed", "agreed": timedelta(days=31)}, "ticket_sla_too_long"),
        ({"question": ""}, "text_length"),
        ({"question": "问" * 2_001}, "text_length"),
    ],
)
def test_what_no_ticket_may_be(world: World, wanted: dict[str, Any], code: str) -> None:
    """Category, time and question have bounds."""
    refused(code, lambda: issue(world, **wanted))

    assert world.rows(tables.Ticket) == []


# --- answering ------------------------------------------------------------------------------------------------------


def test_a_good_answer_stops_the_clock_and_its_promise_waits_for_the_act(world: World) -> None:
    """merchant_respond: stop clock; promises in a ticket's answer are kept unconfirmed, ready to confirm."""
    ticket = issue(world)

    outcome = answer(world, ticket)

    assert isinstance(outcome, Outcome)
    assert outcome.outcome == "sent"
    assert [(p.action, p.wording, p.state) for p in outcome.promises] == [("ship", "unconditional", "extracted")]
    assert world.row(tables.Promise).message_id == outcome.message_id
    row = ticket_of(world, ticket)
    assert (row.state, row.late) == ("responded", False)
    assert set(world.armed(ticket)) == {"ticket_agent_idle"}
    assert world.tell(AGENT, lambda ctx: read_ticket(ctx, ticket)).answer == GOOD


def test_a_file_that_goes_with_an_answer_is_one_of_the_shops_own(world: World) -> None:
    """Promise 1: neither a made-up name nor the buyer's file goes out with a ticket's answer."""
    ticket = issue(world)
    dispute_id = ticket_of(world, ticket).dispute_id
    own, buyers = (upload(world, dispute_id, who, PIXEL + who.side.encode()) for who in (OWNER, BUYER))

    for sha256 in ("0" * 64, buyers):
        with pytest.raises(GuardFailed, match="attachment_unknown"):
            answer(world, ticket, attachment=sha256)
    outcome = answer(world, ticket, attachment=own)

    assert isinstance(outcome, Outcome)
    assert world.row(tables.Message, id=outcome.message_id).attachment == own


@pytest.mark.parametrize(("text", "told"), [(INSULT, {"edit", "rejected", "notice"}), (HELD, {"confirm"})])
def test_an_answer_that_is_not_let_out_moves_nothing_but_is_kept(world: World, text: str, told: set[str]) -> None:
    """Every merchant text field is judged: where the measure does not deliver, the state does not move."""
    ticket = issue(world)

    outcome = answer(world, ticket, text)

    assert isinstance(outcome, Outcome)
    assert outcome.outcome in told
    assert ticket_of(world, ticket).state == "issued"
    assert world.row(tables.Message, conversation="ticket").delivery != "delivered"
    assert set(world.armed(ticket)) == {"ticket_sla"}
    assert world.tell(AGENT, lambda ctx: read_ticket(ctx, ticket)).answer is None


def test_a_held_answer_goes_out_as_it_is_with_its_token(world: World) -> None:
    """suggest_edit: the one-time token sends the same text as it is, to this ticket only."""
    dispute = world.make_dispute()
    ticket, other = issue(world, dispute), issue(world, dispute)
    held = answer(world, ticket, HELD)
    assert isinstance(held, Outcome)

    refused("confirm_token_invalid", lambda: answer(world, other, HELD, confirm_token=held.confirm_token))
    sent = answer(world, ticket, HELD, confirm_token=held.confirm_token)

    assert isinstance(sent, Outcome)
    assert sent.outcome == "sent"
    assert ticket_of(world, ticket).state == "responded"
    refused("confirm_token_invalid", lambda: answer(world, other, HELD, confirm_token=held.confirm_token))


def test_the_same_client_message_is_taken_once(world: World) -> None:
    """`client_message_id` deduplicates messages."""
    ticket = issue(world)
    said = TicketAnswer("m-same", INSULT)
    world.tell(OWNER, lambda ctx: respond(ctx, ticket, said))

    refused("duplicate_message", lambda: world.tell(OWNER, lambda ctx: respond(ctx, ticket, said)))

    assert len(world.rows(tables.Message, conversation="ticket")) == 1


def test_who_may_answer_the_platform(world: World) -> None:
    """Edge case 23 and source 002: the owner; a seat only with IM permission and the owner's designation."""
    ticket = issue(world)

    refusal = refused("im_permission_missing", lambda: answer(world, ticket, actor=SEAT))
    refused("not_found", lambda: answer(world, ticket, actor=OTHER_OWNER))
    world.database.run(lambda tx: _set(tx, tables.Seat, "seat-1", designated=True))

    assert refusal.facts == {"im_permission": True, "designated": False}
    assert isinstance(answer(world, ticket, actor=SEAT), Outcome)


def test_a_closed_shop_is_answered_for_by_its_owner_alone(world: World) -> None:
    """Edge case 27: shop closed in mid-case: tickets go to the owner, then default."""
    world.database.run(lambda tx: _set(tx, tables.Seat, "seat-1", designated=True))
    ticket = issue(world)
    world.database.run(lambda tx: _set(tx, tables.Merchant, "shop-1", status="shop_closed"))

    refused("shop_not_active", lambda: answer(world, ticket, actor=SEAT))
    outcome = answer(world, ticket, actor=OWNER)

    assert isinstance(outcome, Outcome)
    assert ticket_of(world, ticket).state == "responded"


def test_a_seat_that_was_switched_off_answers_nothing(world: World) -> None:
    """Edge case 57: the token of a disabled sub-account."""
    ticket = issue(world)
    world.database.run(lambda tx: _set(tx, tables.Seat, "seat-1", designated=True, active=False))

    refused("seat_inactive", lambda: answer(world, ticket, actor=SEAT))
    refused("seat_inactive", lambda: world.tell(SEAT, lambda ctx: acknowledge(ctx, ticket)))

    assert ticket_of(world, ticket).state == "issued"
    assert world.rows(tables.Message, conversation="ticket") == []


@pytest.mark.parametrize("late_by", [-MICROSECOND, timedelta(0), MICROSECOND])
def test_an_answer_at_the_very_end(world: World, late_by: timedelta) -> None:
    """Edge case 11 for tickets: due−1 µs, due, due+1 µs: in time, late, late; a late attempt is kept."""
    ticket = issue(world)
    due_at = ticket_of(world, ticket).due_at
    world.now = due_at + SECOND / 2

    result = answer(world, ticket, received_at=due_at + late_by)

    if late_by < timedelta(0):
        assert isinstance(result, Outcome)
        assert ticket_of(world, ticket).state == "responded"
    else:
        assert isinstance(result, WindowClosed)
        assert ticket_of(world, ticket).state == "issued"
        assert world.row(tables.Message, conversation="ticket").delivery == "late"


def test_sending_anyway_after_the_end_is_too_late_and_kept(world: World) -> None:
    """Edge case 14: popup left open past the window; late "send anyway" → 409 `window_closed`, stored as attempt."""
    ticket = issue(world)
    held = answer(world, ticket, HELD)
    assert isinstance(held, Outcome)
    world.now = ticket_of(world, ticket).due_at

    result = answer(world, ticket, HELD, confirm_token=held.confirm_token)

    assert isinstance(result, WindowClosed)
    assert sorted(m.delivery for m in world.rows(tables.Message, conversation="ticket")) == ["held", "late"]


# --- the agent's word on the answer ---------------------------------------------------------------------------------


def test_an_answer_is_accepted_or_sent_back_once(world: World) -> None:
    """agent_reject: half of the category's time, at least two hours; rejections<1; agent_accept resolves."""
    ticket = issue(world, category="product")  # twelve business hours
    answer(world, ticket)

    world.tell(AGENT, lambda ctx: reject_answer(ctx, ticket, reason="请说明具体时间"))
    again = ticket_of(world, ticket)
    answer(world, ticket, "我们明天上午发货")
    refused(
        "rejections_exhausted",
        lambda: world.tell(AGENT, lambda ctx: reject_answer(ctx, ticket, reason="还是不够清楚")),
    )
    world.tell(AGENT, lambda ctx: accept_answer(ctx, ticket))

    assert (again.state, again.rejections, again.due_at) == ("issued", 1, world.now + 6 * HOUR)
    assert ticket_of(world, ticket).state == "resolved"
    assert world.armed(ticket) == {}


def test_a_short_ticket_sent_back_still_has_two_hours(world: World) -> None:
    """K1 and re-arming after a rejection: at least PT2H."""
    ticket = issue(world)
    answer(world, ticket)

    world.tell(AGENT, lambda ctx: reject_answer(ctx, ticket, reason="请说明具体时间"))

    assert ticket_of(world, ticket).due_at == world.now + 2 * HOUR
    assert world.armed(ticket) == {"ticket_sla": world.now + 2 * HOUR}


def test_an_extension_in_the_last_moment_counts_and_one_after_the_end_does_not(world: World) -> None:
    """Edge case 17: extension in the last second; extension after due → 409; only once."""
    ticket = issue(world)
    due_at = ticket_of(world, ticket).due_at
    world.now = due_at + SECOND / 2

    with pytest.raises(WindowClosed):
        world.tell(AGENT, lambda ctx: extend_ticket(ctx, ticket, 2 * HOUR), received_at=due_at)
    world.tell(AGENT, lambda ctx: extend_ticket(ctx, ticket, 2 * HOUR), received_at=due_at - MICROSECOND)
    refused(
        "extensions_exhausted",
        lambda: world.tell(AGENT, lambda ctx: extend_ticket(ctx, ticket, 2 * HOUR), received_at=due_at),
    )

    assert ticket_of(world, ticket).due_at == due_at + 2 * HOUR
    assert fire(world) == 0


@pytest.mark.parametrize("extension", [2 * HOUR - MICROSECOND, 24 * HOUR + MICROSECOND])
def test_an_extension_is_worth_having_and_has_an_end(world: World, extension: timedelta) -> None:
    """due += PT2H..PT24H."""
    ticket = issue(world)

    refused("extension_out_of_range", lambda: world.tell(AGENT, lambda ctx: extend_ticket(ctx, ticket, extension)))


def test_seen_is_not_answered(world: World) -> None:
    """merchant_open: the clock runs on, and a ticket is opened once."""
    ticket = issue(world)

    world.tell(OWNER, lambda ctx: acknowledge(ctx, ticket))
    with pytest.raises(ArrowMissing):
        world.tell(OWNER, lambda ctx: acknowledge(ctx, ticket))
    overdue(world, ticket)

    assert ticket_of(world, ticket).state == "overdue"


# --- the clock ------------------------------------------------------------------------------------------------------


def test_a_ticket_is_not_overdue_before_the_settle_margin(world: World) -> None:
    """A deadline fires no earlier than due_at + settle."""
    ticket = issue(world)
    due_at = ticket_of(world, ticket).due_at

    world.now = due_at + SECOND - MICROSECOND
    early = fire(world)
    world.now = due_at + SECOND
    on_time = fire(world)

    assert (early, on_time) == (0, 1)


def test_an_overdue_ticket_that_does_not_block_counts_and_rules_nothing(world: World) -> None:
    """Non-blocking tickets can go overdue without a default ruling."""
    dispute = world.make_dispute()
    ticket = issue(world, dispute)

    overdue(world, ticket)

    assert world.row(tables.Dispute, id=dispute).state == "intervening"
    event = world.row(tables.StandingEvent)
    assert (event.kind, event.subject_id) == ("ticket_overdue", ticket)
    assert "dispute.ticket_overdue" not in world.kinds(dispute)


def test_an_overdue_ticket_that_blocks_flags_the_dispute_and_counts_once(world: World) -> None:
    """Arrow 40b: flag; agent task PT24H; one standing event for one ticket."""
    dispute = world.make_dispute()
    ticket = issue(world, dispute, blocking=True)

    overdue(world, ticket)

    assert world.row(tables.Dispute, id=dispute).state == "intervening"
    assert "dispute.ticket_overdue" in world.kinds(dispute)
    assert "agent_task" in world.armed(dispute)
    assert [e.subject_id for e in world.rows(tables.StandingEvent)] == [ticket]


def test_an_automatic_default_ruling_follows_a_blocking_ticket(world: World) -> None:
    """Arrow 40: ruling refund_full, basis MERCHANT_NO_RESPONSE, liability MERCHANT; open children end with it."""
    body = to_json(DEFAULT) | {"policy_id": "strict", "version": 1, "default_ruling": "auto"}
    world.insert(
        (
            tables.PolicyVersion,
            {"id": "strict@1", "policy_id": "strict", "version": 1, "body": body, "published_at": world.now},
        )
    )
    dispute = world.make_dispute(policy_id="strict")
    blocking, other = issue(world, dispute, blocking=True), issue(world, dispute, category="product")

    overdue(world, blocking)

    ruling = world.row(tables.Ruling)
    assert (ruling.kind, ruling.basis, ruling.liability, ruling.amount_fen) == (
        "refund_full",
        "MERCHANT_NO_RESPONSE",
        "MERCHANT",
        12_900,
    )
    assert world.row(tables.Dispute, id=dispute).state == "ruled"
    assert [ticket_of(world, t).state for t in (blocking, other)] == ["cancelled", "cancelled"]
    assert world.armed(other) == {}


def test_an_answer_received_in_time_after_the_default_ruling_is_refused_and_looked_at(world: World) -> None:
    """Section 4: a command in time whose deadline arrow was taken is 409 `window_closed` with `in_time: true` and a
    supervisor task; only inquiries revive by themselves."""
    body = to_json(DEFAULT) | {"policy_id": "strict", "version": 1, "default_ruling": "auto"}
    world.insert(
        (
            tables.PolicyVersion,
            {"id": "strict@1", "policy_id": "strict", "version": 1, "body": body, "published_at": world.now},
        )
    )
    ticket = issue(world, world.make_dispute(policy_id="strict"), blocking=True)
    due_at = ticket_of(world, ticket).due_at
    overdue(world, ticket)

    result = answer(world, ticket, received_at=due_at - MICROSECOND)

    assert isinstance(result, WindowClosed)
    assert result.facts["in_time"] is True
    assert world.row(tables.Task, kind="ticket_answer_was_in_time").role == "supervisor"
    assert world.row(tables.Message, conversation="ticket").delivery == "late"


def test_a_late_answer_helps_while_the_platform_is_at_work(world: World) -> None:
    """overdue → responded, late=true; the standing event stays."""
    ticket = issue(world)
    overdue(world, ticket)

    outcome = answer(world, ticket)

    assert isinstance(outcome, Outcome)
    row = ticket_of(world, ticket)
    assert (row.state, row.late) == ("responded", True)
    assert world.row(tables.StandingEvent).voided_at is None


def test_an_answer_that_nobody_reads_is_the_platforms_delay(world: World) -> None:
    """agent_idle_timeout: resolved, an alarm, and never counted against the merchant."""
    ticket = issue(world)
    answer(world, ticket)

    world.pass_time(hours=24, seconds=1)
    fire(world)

    assert ticket_of(world, ticket).state == "resolved"
    assert world.rows(tables.StandingEvent) == []
    assert world.row(tables.Task).kind == "ticket_answer_unread"


def test_tickets_end_with_the_intervention_and_later_answers_are_kept_as_attempts(world: World) -> None:
    """dispute_left_intervention; edge case 29: posting after the close is 409, stored, not delivered."""
    dispute = world.make_dispute()
    ticket = issue(world, dispute)

    def agree(ctx: Context) -> None:
        case = load_case(ctx.tx.session, dispute)
        assert case is not None
        move(ctx, case, "seller_agree_refund", facts_of(ctx, case, amount_fen=12_900))

    world.tell(OWNER, agree)
    result = answer(world, ticket)

    assert ticket_of(world, ticket).state == "cancelled"
    assert isinstance(result, ArrowMissing)
    assert world.row(tables.Message, conversation="ticket").delivery == "late"
    assert world.rows(tables.Promise) == []


def test_a_timer_that_fires_twice_makes_one_overdue(world: World) -> None:
    """Edge case 7: timer fires twice: one standing event."""
    ticket = issue(world)
    overdue(world, ticket)
    world.database.run(lambda tx: _set(tx, tables.Timer, f"{ticket}:ticket_sla", done_at=None))

    fire(world)

    assert len(world.rows(tables.StandingEvent)) == 1
    assert ticket_of(world, ticket).state == "overdue"


# --- reading --------------------------------------------------------------------------------------------------------


def test_everybody_sees_the_tickets_that_are_theirs(world: World) -> None:
    """Edge case 55: another merchant's ticket is absent; the platform sees all, in pages."""
    dispute = world.make_dispute()
    tickets = [issue(world, dispute) for _ in range(3)]

    page = world.tell(AUDITOR, lambda ctx: list_tickets(ctx, limit=2))
    rest = world.tell(SUPERVISOR, lambda ctx: list_tickets(ctx, limit=2, after=tickets[1]))
    own = world.tell(OWNER, lambda ctx: list_tickets(ctx, limit=10, dispute_id=dispute, state="issued"))
    foreign = world.tell(OTHER_OWNER, lambda ctx: list_tickets(ctx, limit=10))

    assert [seen.ticket.id for seen in page] == tickets  # one more says that there are more
    assert [seen.ticket.id for seen in rest] == tickets[2:]
    assert [seen.ticket.id for seen in own] == tickets
    assert foreign == []
    with pytest.raises(Absent):
        world.tell(OTHER_OWNER, lambda ctx: read_ticket(ctx, tickets[0]))


def _set(tx: Any, model: Any, key: str, **columns: object) -> None:
    from service.store.writes import Plan

    plan = Plan()
    plan.update(model, key, **columns)
    tx.apply([plan])


# --- the edge -------------------------------------------------------------------------------------------------------


def test_a_ticket_from_issue_to_acceptance_over_http(http: HttpWorld) -> None:
    """api.md: `/service-tickets` with acknowledge, respond, reject, extend, accept; outcomes of one shape."""
    dispute = http.make_dispute(line=http.place_order(), assignee_id="demo-agent-1")
    issued = http.post(
        "agent", "/service-tickets", {"dispute_id": dispute, "category": "product", "question": QUESTION}
    )
    path = f"/service-tickets/{issued.json()['id']}"

    dry = http.post("agent", f"{path}/extend", {"extension": "PT2H"}, Prefer="dry-run")
    steps = [
        http.post("owner", f"{path}/acknowledge", {}),
        http.post("agent", f"{path}/extend", {"extension": "PT2H"}),
        http.post("owner", f"{path}/respond", {"client_message_id": "t-1", "text": HELD}),
        http.post("owner", f"{path}/respond", {"client_message_id": "t-2", "text": GOOD}),
        http.post("agent", f"{path}/reject", {"reason": "请说明具体时间"}),
        http.post("owner", f"{path}/respond", {"client_message_id": "t-3", "text": GOOD}),
        http.post("agent", f"{path}/accept", {}),
    ]
    again = http.post("agent", f"{path}/accept", {})

    assert issued.status_code == 201
    assert dry.headers["Preference-Applied"] == "dry-run"
    assert [s.status_code for s in steps] == [200, 200, 202, 201, 200, 201, 200]
    assert (steps[2].json()["outcome"], bool(steps[2].json()["confirm_token"])) == ("confirm", True)
    assert [p["action"] for p in steps[3].json()["promises"]] == ["ship"]
    assert (steps[-1].json()["state"], steps[-1].json()["answer"]) == ("resolved", GOOD)
    assert (again.status_code, again.json()["code"]) == (409, "arrow_missing")
    listed = http.get("owner", "/service-tickets", state="resolved", limit=1)
    assert [t["id"] for t in listed.json()["items"]] == [issued.json()["id"]]
    assert 'rel="first"' in listed.headers["Link"]


@pytest.mark.parametrize(
    ("user", "method", "status"), [("buyer", "get", 403), ("owner-2", "get", 404), ("owner-2", "post", 404)]
)
def test_a_ticket_is_not_everybodys(http: HttpWorld, user: str, method: str, status: int) -> None:
    """Edge case 55: another shop's ticket is 404 on every route; a buyer has no tickets."""
    dispute = http.make_dispute(line=http.place_order(), assignee_id="demo-agent-1")
    wanted = {"dispute_id": dispute, "category": "product", "question": QUESTION}
    path = f"/service-tickets/{http.post('agent', '/service-tickets', wanted).json()['id']}"

    answer = http.get(user, path) if method == "get" else http.post(user, f"{path}/acknowledge", {})

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"category": "gossip"}, 400),
        ({"agreed": "two hours"}, 400),
        ({"category": "agreed", "agreed": "PT"}, 422),
        ({"category": "agreed", "agreed": "PT1H"}, 422),
        ({"dispute_id": "01a00000-0000-7000-8000-000000000000"}, 404),
    ],
)
def test_a_ticket_that_cannot_be_read_or_may_not_be(http: HttpWorld, change: dict[str, Any], status: int) -> None:
    """Malformed 400, against the rules 422, somebody else's 404; never 500."""
    dispute = http.make_dispute(line=http.place_order(), assignee_id="demo-agent-1")
    wanted = {"dispute_id": dispute, "category": "product", "question": QUESTION}

    answer = http.post("agent", "/service-tickets", wanted | change)

    assert answer.status_code == status, answer.text
