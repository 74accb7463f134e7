"""The dispute's own clocks: what a deadline pulls, what an alarm tells, and how T7 rests while a party is due."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from service.domain.calendar import business_time_between
from service.domain.policy import DEFAULT
from service.flows import ask_merchant, negotiate, serve_ticket, settle_dispute
from service.flows.ask_merchant import Asked
from service.flows.call_platform import Call, call_platform
from service.flows.negotiate import Offering
from service.flows.receive_reply import Said, receive_reply
from service.flows.serve_ticket import TicketAnswer, TicketWanted
from service.flows.take_payment_in_hand import retry_execution
from service.store import tables, timers
from service.store.writes import Plan
from tests.judge import at_work, dispute, due, put, rule, tick
from tests.world import AGENT, BUYER, OWNER, SUPERVISOR, World


def offered(world: World) -> str:
    dispute_id = world.make_dispute("refused")
    offering = Offering("partial_refund", 5_000, "CNY")
    world.tell(OWNER, lambda ctx: negotiate.seller_offer(ctx, dispute_id, offering))
    return dispute_id


@pytest.mark.parametrize(
    ("state", "type_", "waits", "after", "outcome"),
    [
        ("requested", "refund_only", DEFAULT.seller_response, "executing", "REFUNDED_SELLER_TIMEOUT"),
        ("requested", "return_refund", DEFAULT.seller_response, "awaiting_return", "REFUNDED_SELLER_TIMEOUT"),
        ("refused", "refund_only", DEFAULT.escalate_window, "closed", "BUYER_TIMEOUT_AFTER_REFUSAL"),
    ],
)
def test_a_deadline_fires_a_settle_margin_after_its_end_and_once(
    world: World, state: str, type_: str, waits: timedelta, after: str, outcome: str
) -> None:
    """Arrows 7, 8 and 16; edge case 7: never early, and a second sweep finds nothing to do."""
    dispute_id = world.make_dispute(state, type=type_)

    world.now += waits
    tick(world)
    at_its_end = dispute(world, dispute_id).state
    world.pass_time(seconds=1)
    tick(world)
    entries = world.kinds(dispute_id)
    tick(world)

    assert at_its_end == state
    moved = dispute(world, dispute_id)
    assert (moved.state, moved.outcome_hint) == (after, outcome)
    assert world.kinds(dispute_id) == entries
    assert len(world.rows(tables.RefundExecution, dispute_id=dispute_id)) == (after == "executing")
    if after == "awaiting_return":
        assert moved.return_address == world.row(tables.Merchant, id="shop-1").return_address


def test_an_offer_nobody_answers_expires(world: World) -> None:
    """Arrow 20: back to refused, T2 anew, the offer expired."""
    dispute_id = offered(world)

    world.now += DEFAULT.offer_response + DEFAULT.settle_margin
    tick(world)

    assert dispute(world, dispute_id).state == "refused"
    assert world.row(tables.Offer, dispute_id=dispute_id).state == "expired"
    assert due(world, dispute_id, "escalate_window") == world.now + DEFAULT.escalate_window


def test_a_refund_that_cannot_be_paid_any_more_calls_somebody(world: World) -> None:
    """Edge case 41: the line was refunded elsewhere meanwhile; the clock still fires and nothing is owed twice."""
    dispute_id = world.make_dispute("requested")
    line = dispute(world, dispute_id).order_line_id
    put(world, tables.OrderLine, line, refunded_fen=12_900)

    world.now += DEFAULT.seller_response + DEFAULT.settle_margin
    tick(world)

    assert dispute(world, dispute_id).state == "executing"
    assert world.rows(tables.RefundExecution, dispute_id=dispute_id) == []
    assert "refund_nothing_left" in {t.kind for t in world.rows(tables.Task, dispute_id=dispute_id)}


def test_a_refund_of_which_nothing_is_left_ends_with_nobody_acting(world: World) -> None:
    """Edge case 41: people get four days to correct the line; then the dispute closes as it was decided, unpaid."""
    dispute_id = world.make_dispute("requested")
    put(world, tables.OrderLine, dispute(world, dispute_id).order_line_id, refunded_fen=12_900)
    world.now += DEFAULT.seller_response + DEFAULT.settle_margin
    tick(world)
    world.now += DEFAULT.refund_retries + DEFAULT.settle_margin
    tick(world)
    assert dispute(world, dispute_id).state == "execution_failed"

    world.now += DEFAULT.platform_advance + DEFAULT.settle_margin
    tick(world)

    closed = dispute(world, dispute_id)
    assert (closed.state, closed.outcome) == ("closed", "REFUNDED_SELLER_TIMEOUT")
    assert world.rows(tables.RefundExecution, dispute_id=dispute_id) == []
    assert "dispute.refund_not_due" in world.kinds(dispute_id)


def test_a_line_corrected_in_time_is_paid_after_all(world: World) -> None:
    """The supervisor called has it paid by the fund that owes it (arrow 61)."""
    dispute_id = world.make_dispute("requested")
    line = dispute(world, dispute_id).order_line_id
    put(world, tables.OrderLine, line, refunded_fen=12_900)
    world.now += DEFAULT.seller_response + DEFAULT.settle_margin
    tick(world)
    world.now += DEFAULT.refund_retries + DEFAULT.settle_margin
    tick(world)

    put(world, tables.OrderLine, line, refunded_fen=0)
    world.tell(SUPERVISOR, lambda ctx: retry_execution(ctx, dispute_id, None))

    made = world.row(tables.RefundExecution, dispute_id=dispute_id)
    assert (made.amount_fen, made.fund, made.state) == (12_900, "MERCHANT", "pending")


def test_what_is_left_of_the_line_is_what_is_owed(world: World) -> None:
    """Edge cases 35 and 36: never more than the cap, refunds under way counted."""
    dispute_id = world.make_dispute("requested")
    line = dispute(world, dispute_id).order_line_id
    put(world, tables.OrderLine, line, refunded_fen=2_000, pending_fen=900)

    world.now += DEFAULT.seller_response + DEFAULT.settle_margin
    tick(world)

    assert world.row(tables.RefundExecution, dispute_id=dispute_id).amount_fen == 10_000
    assert world.row(tables.OrderLine, id=line).pending_fen == 10_900


@pytest.mark.parametrize(("name", "kind"), [("accept_alarm", "acceptance_late"), ("rule_alarm", "ruling_late")])
def test_a_slow_platform_rings_and_costs_nobody_anything(world: World, name: str, kind: str) -> None:
    """T6 and T7 are alarms only."""
    if name == "accept_alarm":
        dispute_id = world.make_dispute("intervention_requested")
    else:
        dispute_id = at_work(world)
    before = dispute(world, dispute_id).state

    world.now = due(world, dispute_id, name)
    tick(world)

    assert dispute(world, dispute_id).state == before
    assert kind in {t.kind for t in world.rows(tables.Task, dispute_id=dispute_id)}


def test_the_hard_end_may_be_a_task_with_a_later_end(world: World) -> None:
    """T13 as an operator may switch it: a task after 15 days, the default ruling after 30."""
    dispute_id = world.make_dispute("intervention_requested")
    plan_hard = world.now + timedelta(days=30)
    world.database.run(lambda tx: tx.apply([_hard_as_task(dispute_id, world.now + timedelta(days=15), plan_hard)]))

    world.pass_time(days=15)
    tick(world)
    told = {t.kind for t in world.rows(tables.Task, dispute_id=dispute_id)}
    still = dispute(world, dispute_id).state
    world.pass_time(days=15, seconds=1)
    tick(world)

    assert "hard_deadline" in told
    assert still == "intervention_requested"
    assert world.row(tables.Ruling, dispute_id=dispute_id).basis == "PLATFORM_TIMEOUT"


def _hard_as_task(dispute_id: str, task_at: datetime, final_at: datetime) -> Any:
    plan = Plan()
    for name, at, margin in (("hard_task", task_at, timedelta(0)), ("hard_deadline", final_at, timedelta(seconds=1))):
        timers.arm(plan, dispute_id=dispute_id, subject_id=dispute_id, name=name, due_at=at, fires_at=at + margin)
    return plan


# --- T7 rests while a party is due ----------------------------------------------------------------------------------


def rings_at(world: World, dispute_id: str) -> datetime:
    """Let the alarm fire, as often as it arms itself again, until it rings."""
    while "ruling_late" not in {t.kind for t in world.rows(tables.Task, dispute_id=dispute_id)}:
        armed = world.armed(dispute_id)["rule_alarm"]
        assert armed >= world.now
        world.now = armed
        tick(world)
    return world.now


def worked(begins: datetime, ends: datetime) -> timedelta:
    return business_time_between(begins, ends, DEFAULT.business_hours)


def test_an_inquiry_the_shop_owes_an_answer_to_pauses_the_alarm(world: World) -> None:
    """Edge case 21: from the question to the answer, and no longer."""
    dispute_id = at_work(world)
    began = world.now
    world.pass_time(hours=1)
    asked_at = world.now
    inquiry_id = world.tell(
        AGENT, lambda ctx: ask_merchant.open_inquiry(ctx, dispute_id, Asked("q-1", "今天能发货吗?"))
    )
    world.pass_time(seconds=100)
    said = Said("a-1", text="可以的,今天下午发货")
    world.tell(OWNER, lambda ctx: receive_reply(ctx, inquiry_id, said, key_id="k"), one_statement=True)
    answered_at = world.now

    rang = rings_at(world, dispute_id)

    assert worked(began, rang) - worked(asked_at, answered_at) == DEFAULT.rule_alarm


def test_mandatory_evidence_pauses_the_alarm_and_optional_does_not(world: World) -> None:
    """A party is due only where the ruling waits for it."""
    dispute_id = at_work(world)
    began = world.now
    request = world.rows(tables.EvidenceRequest, dispute_id=dispute_id, party="buyer")[0]
    put(world, tables.EvidenceRequest, request.id, mandatory=True, state="waived", ended_at=began + timedelta(hours=30))

    rang = rings_at(world, dispute_id)

    assert worked(began, rang) - worked(began, began + timedelta(hours=30)) == DEFAULT.rule_alarm


def test_a_ticket_pauses_the_alarm_until_it_is_answered_or_overdue(world: World) -> None:
    """An overdue ticket is waited for no longer."""
    dispute_id = at_work(world)
    began = world.now
    wanted = TicketWanted("logistics", "请说明物流情况")
    ticket_id = world.tell(AGENT, lambda ctx: serve_ticket.issue_manual_ticket(ctx, dispute_id, wanted))
    world.pass_time(hours=3)
    answer = TicketAnswer("t-1", "包裹已在途,预计明天送达")
    world.tell(OWNER, lambda ctx: serve_ticket.respond(ctx, ticket_id, answer))
    answered_at = world.now

    rang = rings_at(world, dispute_id)

    assert worked(began, rang) - worked(began, answered_at) == DEFAULT.rule_alarm


def test_any_number_of_pauses_adds_no_drift(world: World) -> None:
    """Edge case 21: pausing and resuming twenty times, overlapping and apart, to the microsecond."""
    dispute_id = at_work(world)
    began, paused = world.now, timedelta(0)
    for number in range(20):
        begins = began + timedelta(minutes=13 * number + 1, microseconds=number)
        ends = begins + timedelta(minutes=5, microseconds=7)
        paused += worked(begins, ends)
        world.insert(
            (
                tables.EvidenceRequest,
                {
                    "id": f"request-{number:02d}",
                    "dispute_id": dispute_id,
                    "party": "buyer",
                    "round": 9,
                    "mandatory": True,
                    "state": "waived",
                    "due_at": ends,
                    "created_at": begins,
                    "ended_at": ends,
                },
            )
        )

    rang = rings_at(world, dispute_id)

    assert worked(began, rang) - paused == DEFAULT.rule_alarm


def test_an_alarm_of_a_state_that_has_passed_says_nothing(world: World) -> None:
    """A ruling disarms it."""
    dispute_id = at_work(world)

    rule(world, dispute_id)

    assert "rule_alarm" not in world.armed(dispute_id)


def test_handing_the_case_over_does_not_start_the_alarm_anew(world: World) -> None:
    """Arrow 46b stays: every clock runs on."""
    dispute_id = at_work(world)
    before = due(world, dispute_id, "rule_alarm")
    world.pass_time(hours=5)

    world.tell(AGENT, lambda ctx: settle_dispute.transfer(ctx, dispute_id, assignee_id="agent-2"))

    assert due(world, dispute_id, "rule_alarm") == before


def test_no_number_of_clocks_below_a_dispute_hides_its_own(world: World) -> None:
    """A shop that fills the dispute with loose promises, each with a clock, does not take the buyer's right away."""
    dispute_id = world.make_dispute("refused")
    row = {
        "dispute_id": dispute_id,
        "name": "promise_lapse",
        "due_at": world.now,
        "fires_at": world.now + timedelta(days=1),
    }
    world.insert(*((tables.Timer, row | {"id": f"p-{n}:promise_lapse", "subject_id": f"p-{n}"}) for n in range(510)))

    world.tell(BUYER, lambda ctx: call_platform(ctx, dispute_id, Call("other")))

    assert world.row(tables.Dispute, id=dispute_id).state == "intervention_requested"
    assert "escalate_window" not in world.armed(dispute_id)
