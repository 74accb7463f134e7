"""Every lifecycle: each state crossed with each trigger, allowed as drawn and refused otherwise."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.diagrams import BEGIN, END, mermaid, render_lifecycles
from service.domain.dispute import DISPUTE, STAGES
from service.domain.errors import ArrowMissing, Forbidden, GuardFailed
from service.domain.lifecycle import Arrow, Guard, Lifecycle
from service.domain.policy import DEFAULT, Policy
from service.domain.timers import FIRES, Timer, dispute_timers, fires_at
from tests import lifecycle_design as design
from tests.lifecycle_facts import A_DISPUTE, NOON, TABLES, fitting
from tests.readme_map import ROOT

EVERY = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
AT_THE_GATEWAY = ("executing", "execution_failed")


def drawn(table: Lifecycle[Any], *, numbered: bool) -> set[tuple[str, ...]]:
    return {
        (arrow.number if numbered else "-", source, arrow.trigger, "+".join(arrow.actors), table.target(source, arrow))
        for arrow in table.arrows
        for source in arrow.sources
    }


def table_of(name: str) -> Lifecycle[Any]:
    return next(table for table in TABLES if table.name == name)


# --- as the design draws them --------------------------------------------------------------------------------------


def test_the_dispute_has_every_arrow_of_the_design_and_no_other() -> None:
    """Numbers 1 to 63 with 9a, 40b, 46b, 51b to 51d, 62b and 62c; ours: 62d, and two that stay where they are."""
    assert drawn(DISPUTE, numbered=True) == design.rows(design.DISPUTE) | design.rows(design.DISPUTE_OURS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("inquiry", design.INQUIRY),
        ("service_ticket", design.SERVICE_TICKET),
        ("evidence_request", design.EVIDENCE_REQUEST),
        ("promise", design.PROMISE),
        ("refund_execution", design.REFUND_EXECUTION),
        ("approval", design.APPROVAL),
    ],
)
def test_a_child_has_every_arrow_of_the_design_and_no_other(name: str, text: str) -> None:
    """The child tables carry no numbers in the design, so states, triggers and actors are compared."""
    assert drawn(table_of(name), numbered=False) == design.rows(text)


def test_a_return_shipment_moves_forward_to_every_later_state_and_to_every_end() -> None:
    """A scan may be missing, so each step may be skipped; none is taken back."""
    expected = {
        (source, f"scan_{target}", target)
        for place, source in enumerate(design.RETURN_SHIPMENT)
        for target in (*design.RETURN_SHIPMENT[place + 1 :], *design.RETURN_ENDS)
    }

    assert {(source, trigger, target) for _, source, trigger, _, target in drawn(TABLES[5], numbered=False)} == expected


@EVERY
def test_numbers_are_given_once_and_only_ends_of_one_rule_share_them(table: Lifecycle[Any]) -> None:
    """A number names one trigger, whatever its ends."""
    triggers: dict[str, set[str]] = {}
    for arrow in table.arrows:
        triggers.setdefault(arrow.number, set()).add(arrow.trigger)

    assert {number: names for number, names in triggers.items() if len(names) > 1} == {}


# --- every state × every trigger -----------------------------------------------------------------------------------


def crossings() -> list[Any]:
    return [
        pytest.param(table, state, trigger, id=f"{table.name}-{state}-{trigger}")
        for table in TABLES
        for state, trigger in itertools.product(table.states, table.triggers)
    ]


@pytest.mark.parametrize(("table", "state", "trigger"), crossings())
def test_a_trigger_moves_a_state_as_drawn_and_is_refused_where_nothing_is_drawn(
    table: Lifecycle[Any], state: str, trigger: str
) -> None:
    """An illegal trigger raises, names what is allowed, and nothing has happened."""
    arrows = [arrow for arrow in table.arrows if arrow.trigger == trigger and state in arrow.sources]
    if arrows:
        for arrow in arrows:
            taken = table.advance(state, trigger, fitting(table, arrow))

            assert taken is arrow
            assert table.target(state, taken) == (arrow.target or state)
    else:
        some_facts = fitting(table, next(arrow for arrow in table.arrows if arrow.trigger == trigger))

        with pytest.raises(ArrowMissing) as refused:
            table.advance(state, trigger, some_facts)

        assert refused.value.code == "arrow_missing"
        assert refused.value.facts["state"] == state
        assert set(refused.value.facts["allowed"]) == {
            arrow.trigger for arrow in table.arrows if state in arrow.sources
        }


@EVERY
def test_an_arrow_is_taken_by_its_own_side_and_refused_to_others(table: Lifecycle[Any]) -> None:
    """403 `not_your_action` comes before any guard is asked; a supervisor stands in for an agent."""
    sides = ("buyer", "merchant", "platform_agent", "supervisor", "system", "auditor", "rules_editor")
    for arrow in table.arrows:
        for state, side in itertools.product(arrow.sources, sides):
            facts = fitting(table, arrow)
            mine = any(side in other.actors for other in table.arrows_from(state, arrow.trigger))
            stands_in = (side == "supervisor" and "platform_agent" in arrow.actors) or (
                side == "system" and not {"carrier", "payment_gateway"}.isdisjoint(arrow.actors)
            )
            if mine or stands_in:
                assert table.advance(state, arrow.trigger, facts, side=side) is arrow
                assert arrow.trigger in table.triggers_from(state, side)
            else:
                with pytest.raises(Forbidden) as refused:
                    table.advance(state, arrow.trigger, facts, side=side)

                assert refused.value.code == "not_your_action"


@EVERY
def test_why_not_is_silent_exactly_where_advance_is(table: Lifecycle[Any]) -> None:
    """`available_actions` says why an action is closed, with the very refusal the action would get."""
    for state, trigger in itertools.product(table.states, table.triggers):
        arrow = next(arrow for arrow in table.arrows if arrow.trigger == trigger)
        facts = fitting(table, arrow)
        said = table.why_not(state, trigger, facts)
        if said is None:
            assert table.advance(state, trigger, facts).trigger == trigger
        else:
            with pytest.raises(type(said)) as refused:
                table.advance(state, trigger, facts)

            assert (refused.value.code, refused.value.facts) == (said.code, said.facts)


@EVERY
def test_every_guard_has_a_code_and_words_in_both_languages(table: Lifecycle[Any]) -> None:
    """A refusal can always be shown; its code is snake_case."""
    for arrow in table.arrows:
        for refuses in arrow.require:
            if isinstance(refuses, Guard):
                assert refuses.code == refuses.code.lower()
                assert refuses.code.replace("_", "").isalpha()
                assert refuses.zh
                assert refuses.en
                assert refuses.__doc__


# --- structure -----------------------------------------------------------------------------------------------------


def reachable(table: Lifecycle[Any]) -> set[str]:
    seen, todo = {table.initial}, [table.initial]
    while todo:
        state = todo.pop()
        for arrow in table.arrows:
            if state in arrow.sources and (target := table.target(state, arrow)) not in seen:
                seen.add(target)
                todo.append(target)
    return seen


@EVERY
def test_every_state_can_be_reached(table: Lifecycle[Any]) -> None:
    """No state is drawn that nothing leads to."""
    assert reachable(table) == set(table.states)


@EVERY
def test_no_state_is_a_dead_end(table: Lifecycle[Any]) -> None:
    """From every state some path leads to an end."""
    ends = set(table.final)
    for _ in table.states:
        ends |= {
            source
            for arrow in table.arrows
            for source in arrow.sources
            if table.target(source, arrow) in ends and source != table.target(source, arrow)
        }

    assert ends == set(table.states)


@EVERY
def test_nothing_leads_out_of_an_end_but_what_was_in_time_after_all(table: Lifecycle[Any]) -> None:
    """Closed is sealed; only a reply received in time revives an inquiry, and a late success is a success."""
    out = {(source, arrow.trigger) for arrow in table.arrows for source in arrow.sources if table.is_final(source)}

    assert out == {
        "inquiry": {("expired", "reply_received_in_time"), ("closed", "reply_received_in_time")},
        "refund_execution": {("exhausted", "gateway_succeeded")},
    }.get(table.name, set())


def test_a_dispute_that_is_closed_answers_to_nothing() -> None:
    """No arrow out of `closed`."""
    assert DISPUTE.triggers_from("closed") == ()
    assert DISPUTE.final == {"closed"}


def every_system_fact() -> list[Any]:
    """Everything that a clock's arrow of a dispute may look at, in all combinations."""
    return [
        replace(A_DISPUTE, type=kind, ruling_kind=ruling, carrier_status=carrier, blocking=blocking, default_ruling=how)
        for kind in ("refund_only", "return_refund")
        for ruling in ("refund_full", "refund_partial", "refund_with_return", "reject")
        for carrier in ("", "registered", "picked_up", "in_transit", "out_for_delivery", "signed")
        for blocking in (False, True)
        for how in ("auto", "agent_confirm")
    ]


POLICIES = (
    DEFAULT,
    replace(DEFAULT, hard_deadline_pays=False, hard_deadline_final=timedelta(days=30)),
)


@pytest.mark.parametrize("policy", POLICIES, ids=["platform-pays", "agent-task-first"])
def test_every_open_state_arms_a_clock_that_leads_on_whatever_the_facts(policy: Policy) -> None:
    """With nobody acting no state waits for ever, except at the payment gateway."""
    for state in STAGES:
        if state in ("closed", *AT_THE_GATEWAY):
            continue
        timers = dispute_timers(state, NOON, policy, policy.business_hours)
        triggers = {FIRES[timer.name].trigger for timer in timers} - {None}

        assert triggers, f"{state} arms no deadline"
        for trigger, facts in itertools.product(triggers, every_system_fact()):
            arrow = DISPUTE.advance(state, str(trigger), replace(facts, policy=policy), side="system")
            assert DISPUTE.target(state, arrow) != state


@given(
    state=st.sampled_from([state for state in STAGES if state != "closed"]),
    facts=st.sampled_from(every_system_fact()),
    policy=st.sampled_from(POLICIES),
    seed=st.integers(0, 2**32),
)
def test_with_nobody_acting_every_run_ends_or_waits_at_the_gateway(
    state: str, facts: Any, policy: Policy, seed: int
) -> None:
    """Promise 5: fire the clocks in due order, with overdue tickets and evidence thrown in, and see where it ends."""
    dice, now = random.Random(seed), NOON
    armed = arm({}, None, state, "", now, policy)
    for _ in range(100):
        if state in ("closed", *AT_THE_GATEWAY):
            break
        name = min(armed, key=lambda each: fires_at(Timer(each, armed[each]), policy))
        now = fires_at(Timer(name, armed.pop(name)), policy)
        trigger = FIRES[name].trigger
        if trigger is None and state == "intervening":
            trigger = dice.choice(("ticket_overdue", "evidence_overdue"))
            facts = replace(
                facts,
                default_ruling=dice.choice(("auto", "agent_confirm")),
                buyer_evidence_overdue=True,
                merchant_evidence_overdue=True,
            )
        if trigger is None:
            continue
        arrow = DISPUTE.advance(state, trigger, facts, side="system")
        came_from, state = state, DISPUTE.target(state, arrow)
        armed = arm(armed, came_from, state, trigger, now, policy)

    assert state in ("closed", *AT_THE_GATEWAY)
    assert now <= NOON + timedelta(days=60)


def arm(
    armed: dict[str, datetime], came_from: str | None, state: str, trigger: str, now: datetime, policy: Policy
) -> dict[str, datetime]:
    timers = dispute_timers(
        state, now, policy, policy.business_hours, trigger=trigger, came_from=came_from, armed=armed
    )
    return {timer.name: timer.due_at for timer in timers}


@pytest.mark.parametrize("name", sorted(FIRES))
def test_every_clock_that_pulls_a_trigger_pulls_one_that_is_drawn_for_the_system(name: str) -> None:
    """A timer whose trigger no table knows would fire into nothing."""
    fires = FIRES[name]
    if fires.trigger is None:
        return
    arrows: list[Arrow[Any]] = [
        arrow for arrow in table_of(fires.noun).arrows if arrow.trigger == fires.trigger and "system" in arrow.actors
    ]

    assert arrows


@EVERY
def test_where_arrows_share_a_trigger_at_most_one_fits(table: Lifecycle[Any]) -> None:
    """The order of the rows never decides."""
    for arrow in table.arrows:
        facts = fitting(table, arrow)
        for source in arrow.sources:
            rivals = [
                other
                for other in table.arrows_from(source, arrow.trigger)
                if all(chooses(facts) for chooses in other.when)
            ]
            assert rivals == [arrow]


def test_facts_that_fit_no_arrow_are_refused_with_the_choices_named() -> None:
    """A ruling without a kind leads nowhere."""
    with pytest.raises(GuardFailed) as refused:
        DISPUTE.advance("ruled", "appeal_window_closed", replace(A_DISPUTE, ruling_kind=""))

    assert refused.value.code == "no_arrow_fits"
    assert refused.value.facts["unmet"] == ["ruling_pays", "ruling_rejects", "ruling_wants_return"]


# --- the page ------------------------------------------------------------------------------------------------------


@pytest.mark.frozen
def test_the_page_of_lifecycles_is_drawn_from_the_tables() -> None:
    """If this fails on purpose, put what `render_lifecycles()` returns between the markers of docs/lifecycle.md."""
    page = (ROOT / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    _, begin, rest = page.partition(BEGIN)
    drawn_part, end, after = rest.partition(END)

    assert begin + drawn_part + end == render_lifecycles()
    assert after == "\n"


@EVERY
def test_a_diagram_shows_every_arrow_and_every_end(table: Lifecycle[Any]) -> None:
    """Nothing drawn in a table is missing from its picture."""
    picture = mermaid(table)

    assert picture.startswith(f"stateDiagram-v2\n    [*] --> {table.initial}\n")
    for arrow in table.arrows:
        for source in arrow.sources:
            line = next(
                line
                for line in picture.splitlines()
                if line.startswith(f"    {source} --> {table.target(source, arrow)}:")
            )
            assert f"{arrow.number} {arrow.trigger}" in line.partition(": ")[2].split("<br/>")
    assert {line.split()[0] for line in picture.splitlines() if line.endswith("--> [*]")} == set(table.final)
