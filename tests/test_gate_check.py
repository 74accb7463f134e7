"""The gate is checked from a transcript alone: what holds passes, and whatever is changed in it is found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from service.domain.gate_check import GateReport, Line, check_gate
from service.flows.confirm_promise import Correction, correct
from service.flows.tell_buyer import Relay, tell_buyer
from service.store import tables
from tests.promise_world import ask, new_name, press, relay, say, set_columns, transcript
from tests.world import AGENT, OWNER, SUPERVISOR, World, relay_templates

TEMPLATES = {relay_templates().sha256_hex: relay_templates()}


def check(lines: list[Line]) -> GateReport:
    return check_gate(lines, TEMPLATES)


@pytest.fixture
def lines(world: World) -> list[Line]:
    """Everything that can be said to a buyer: a promise, a corrected one, softened words, free text."""
    dispute, inquiry = ask(world)
    (ship,) = say(world, inquiry, "今天18点前发货")
    press(world, dispute, ship)
    relay(world, dispute, ship.id)
    (paid,) = say(world, inquiry, "明天12点前给您退款50元")
    change = Correction(paid.canonical_sha256, due_at=world.now + timedelta(days=2))
    corrected = world.tell(OWNER, lambda ctx: correct(ctx, dispute, paid.id, change))
    relay(world, dispute, str(corrected))
    (soft,) = say(world, inquiry, "尽快给您换货")
    told = Relay(new_name(world), softened_ids=(soft.id,))
    world.tell(AGENT, lambda ctx: tell_buyer(ctx, dispute, told))
    relay(world, dispute, promise_ids=(), text="您好,正在核实相关情况。")
    return transcript(world, dispute)


def test_everything_that_was_said_holds(lines: list[Line]) -> None:
    """promises.md section 3: an auditor can check the gate from the export alone."""
    report = check(lines)

    assert (report.faults, report.checked, report.withheld) == ([], 4, 0)


def test_words_that_are_withheld_are_counted_and_their_act_is_checked_all_the_same(lines: list[Line]) -> None:
    """A masked export leaves disclosures out: that is no fault, and no proof of the words either."""
    masked = [Line(line.hash, line.body, {}) for line in lines]

    report = check(masked)

    assert (report.faults, report.checked, report.withheld) == ([], 0, 4)


def last(lines: list[Line], kind: str, source: str | None = None) -> Line:
    found = [x for x in lines if x.kind == kind and source in (None, x.facts.get("source"))]
    return found[-1]


def other_words(lines: list[Line]) -> None:
    last(lines, "buyer.told", "promises").disclosed["text"] += "明天再退您20元。"


def other_english(lines: list[Line]) -> None:
    last(lines, "buyer.told", "promises").disclosed["text_en"] = "Today."


def other_time(lines: list[Line]) -> None:
    last(lines, "buyer.told", "promises").facts["promises"][0]["due_at"] = "2026-11-24T10:00:00.000000Z"


def other_sum(lines: list[Line]) -> None:
    last(lines, "buyer.told", "promises").facts["promises"][0]["amount_fen"] = 50_000


def other_act(lines: list[Line]) -> None:
    last(lines, "buyer.told", "promises").facts["promises"][0]["confirmation"] = lines[0].hash


def other_promise(lines: list[Line]) -> None:
    last(lines, "buyer.told", "promises").facts["promises"][0]["id"] = "nobody's"


def no_confirmation(lines: list[Line]) -> None:
    lines.remove(last(lines, "promise.confirmed"))


def confirmed_by_the_platform(lines: list[Line]) -> None:
    last(lines, "promise.confirmed").body["actor"]["t"] = "platform_agent"


def confirmed_another_text(lines: list[Line]) -> None:
    last(lines, "promise.confirmed").facts["canonical"] = "0" * 64


def never_found(lines: list[Line]) -> None:
    lines.remove(last(lines, "promise.corrected"))


def hedged_words(lines: list[Line]) -> None:
    for line in lines:
        if line.kind == "promise.extracted":
            line.facts["promises"][0]["wording"] = "hedged"


def declined_before(lines: list[Line]) -> None:
    told = last(lines, "buyer.told", "promises")
    taken_back = copy.deepcopy(last(lines, "promise.confirmed"))
    taken_back.body["kind"] = "promise.declined"
    lines.insert(lines.index(told), taken_back)


def told_twice(lines: list[Line]) -> None:
    lines.append(copy.deepcopy(last(lines, "buyer.told", "promises")))


def against_the_order(lines: list[Line]) -> None:
    last(lines, "promise.corrected").facts["against"] = "ship_by"


def said_by_the_shop(lines: list[Line]) -> None:
    last(lines, "buyer.told").body["actor"]["t"] = "merchant"


def free_text_that_promises(lines: list[Line]) -> None:
    last(lines, "buyer.told", "free_text").disclosed["text"] = "商家今天会给您发货"


def softened_as_a_promise(lines: list[Line]) -> None:
    last(lines, "buyer.told", "softened").disclosed["text"] = "商家会为您换货。"


def softened_without_words(lines: list[Line]) -> None:
    last(lines, "buyer.told", "softened").facts["softened"][0]["action"] = "refund"


def another_source(lines: list[Line]) -> None:
    last(lines, "buyer.told", "softened").facts["source"] = "quick_phrase"


def unknown_template(lines: list[Line]) -> None:
    last(lines, "buyer.told", "promises").facts["template_sha256"] = "0" * 64


def reasons_that_promise(lines: list[Line]) -> None:
    reasons = {"reasons": "商家明天会给您退款"}
    lines.append(Line("h", {"seq": 99, "kind": "ruling.issued", "actor": {"t": "supervisor"}}, reasons))


HARM: tuple[Callable[[list[Line]], None], ...] = (
    other_words, other_english, other_time, other_sum, other_act, other_promise, no_confirmation,
    confirmed_by_the_platform, confirmed_another_text, never_found, hedged_words, declined_before, told_twice,
    against_the_order, said_by_the_shop, free_text_that_promises, softened_as_a_promise, softened_without_words,
    another_source, unknown_template, reasons_that_promise,
)  # fmt: skip


@pytest.mark.parametrize("harm", HARM)
def test_whatever_is_changed_is_found(lines: list[Line], harm: Callable[[list[Line]], None]) -> None:
    """A proof that finds nothing must be able to find something."""
    changed = copy.deepcopy(lines)
    harm(changed)

    assert check(changed).faults


def test_what_the_order_contradicts_holds_only_as_a_supervisor_cleared_it(world: World) -> None:
    """D15: the entry names the fact, and who said it."""
    dispute, inquiry = ask(world)
    line = world.row(tables.Dispute, id=dispute).order_line_id
    set_columns(world, tables.OrderLine, line, custom_made=True)
    (found,) = say(world, inquiry, "明天18点前给您换货")
    press(world, dispute, found)
    relay(world, dispute, found.id, actor=SUPERVISOR, override_reason="同款现货")
    lines = transcript(world, dispute)
    by_agent: list[Any] = copy.deepcopy(lines)
    last(by_agent, "buyer.told").body["actor"]["t"] = "platform_agent"

    assert check(lines).faults == []
    assert len(check(by_agent).faults) == 1
