"""The service ticket: issued at any hour, answered through moderation, and read by whom it concerns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.errors import Absent, GuardFailed, WindowClosed
from service.domain.policy import DEFAULT, to_json
from service.flows.ask_merchant import Asked, open_inquiry
from service.flows.heard import Outcome
from service.flows.read_ticket import list_tickets, read_ticket
from service.flows.serve_ticket import TicketAnswer, TicketWanted, acknowledge, issue_manual_ticket, respond
from service.store import tables
from tests.judge import PIXEL, put, refused, upload
from tests.ticketing import GOOD, HELD, HOUR, INSULT, MICROSECOND, QUESTION, SECOND, answer, issue, ticket_of
from tests.world import AGENT, AUDITOR, BUYER, OTHER_AGENT, OTHER_OWNER, OWNER, SEAT, SUPERVISOR, World

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
    put(world, tables.Seat, "seat-1", designated=True)

    assert refusal.facts == {"im_permission": True, "designated": False}
    assert isinstance(answer(world, ticket, actor=SEAT), Outcome)


def test_a_closed_shop_is_answered_for_by_its_owner_alone(world: World) -> None:
    """Edge case 27: shop closed in mid-case: tickets go to the owner, then default."""
    put(world, tables.Seat, "seat-1", designated=True)
    ticket = issue(world)
    put(world, tables.Merchant, "shop-1", status="shop_closed")

    refused("shop_not_active", lambda: answer(world, ticket, actor=SEAT))
    outcome = answer(world, ticket, actor=OWNER)

    assert isinstance(outcome, Outcome)
    assert ticket_of(world, ticket).state == "responded"


def test_a_seat_that_was_switched_off_answers_nothing(world: World) -> None:
    """Edge case 57: the token of a disabled sub-account."""
    ticket = issue(world)
    put(world, tables.Seat, "seat-1", designated=True, active=False)

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
