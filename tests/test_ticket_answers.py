"""A ticket after its answer, or without one: accepted, sent back, extended, overdue, and what then follows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.domain.errors import ArrowMissing, WindowClosed
from service.domain.policy import DEFAULT, to_json
from service.flows.context import Context
from service.flows.heard import Outcome
from service.flows.moves import facts_of, move
from service.flows.serve_ticket import accept_answer, acknowledge, extend_ticket, reject_answer
from service.store import tables
from service.store.disputes import load_case
from tests.clockwork import fire
from tests.judge import put, refused
from tests.ticketing import HOUR, MICROSECOND, SECOND, answer, issue, overdue, ticket_of
from tests.world import AGENT, OWNER, World

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
    put(world, tables.Timer, f"{ticket}:ticket_sla", done_at=None)

    fire(world)

    assert len(world.rows(tables.StandingEvent)) == 1
    assert ticket_of(world, ticket).state == "overdue"
