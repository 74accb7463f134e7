"""The service ticket: its slower clock, its one extension and its one rejection."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from service.domain.calendar import SHANGHAI, Calendar, hours_of
from service.domain.errors import GuardFailed, WindowClosed
from service.domain.policy import DEFAULT
from service.domain.ticket import TICKET, due_after_extension, due_after_rejection, is_blocking, sla_due, sla_of
from tests.lifecycle_facts import MICROSECOND, NOON, fitting

HOUR = timedelta(hours=1)
HOURS = DEFAULT.business_hours


def arrow(number: str) -> Any:
    return next(each for each in TICKET.arrows if each.number == number)


EDGES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("S2", {"measure": "remind"}, {"measure": "require_edit"}, "not_delivered"),
    ("S3", {"measure": "suggest_edit", "confirmed_as_is": True}, {"measure": "suggest_edit"}, "not_delivered"),
    ("S5", {"rejections": 0}, {"rejections": 1}, "rejections_exhausted"),
    ("S6", {"due_at": NOON - timedelta(seconds=1)}, {"due_at": NOON}, "window_still_open"),
    (
        "S7",
        {"due_at": NOON - timedelta(seconds=1)},
        {"due_at": NOON - timedelta(seconds=1) + MICROSECOND},
        "window_still_open",
    ),
    ("S8", {"due_at": NOON - timedelta(seconds=1)}, {"due_at": NOON + HOUR}, "window_still_open"),
    ("S9", {"extensions": 0}, {"extensions": 1}, "extensions_exhausted"),
    ("S9", {"extension": 2 * HOUR}, {"extension": 2 * HOUR - MICROSECOND}, "extension_out_of_range"),
    ("S9", {"extension": 24 * HOUR}, {"extension": 24 * HOUR + MICROSECOND}, "extension_out_of_range"),
    ("S10", {"inquiry_revived": True}, {"inquiry_revived": False}, "inquiry_not_revived"),
    ("S11", {"dispute_intervening": True}, {"dispute_intervening": False}, "dispute_not_intervening"),
    ("S11", {"measure": "none"}, {"measure": "reject_with_notice"}, "not_delivered"),
]


@pytest.mark.parametrize(("number", "passes", "fails", "code"), EDGES, ids=[f"{e[0]}-{e[3]}" for e in EDGES])
def test_a_guard_passes_on_one_side_of_its_edge_and_refuses_on_the_other(
    number: str, passes: dict[str, Any], fails: dict[str, Any], code: str
) -> None:
    """Both sides of every edge, to the microsecond."""
    one = arrow(number)
    facts = fitting(TICKET, one)

    assert TICKET.advance(one.sources[0], one.trigger, replace(facts, **passes)) is one
    with pytest.raises(GuardFailed) as refused:
        TICKET.advance(one.sources[0], one.trigger, replace(facts, **fails))
    assert refused.value.code == code


@pytest.mark.parametrize("number", ["S2", "S3", "S9"])
def test_an_answer_and_an_extension_at_the_end_are_late(number: str) -> None:
    """Edge case 17: extension in the last second; extension after due 409."""
    one = arrow(number)
    facts = replace(fitting(TICKET, one), due_at=NOON)

    TICKET.advance(one.sources[0], one.trigger, replace(facts, received_at=NOON - MICROSECOND))
    for late in (NOON, NOON + MICROSECOND):
        with pytest.raises(WindowClosed):
            TICKET.advance(one.sources[0], one.trigger, replace(facts, received_at=late))


def test_an_overdue_ticket_may_still_be_answered_late() -> None:
    """The dispute goes on, so a late answer helps; what was counted stays."""
    facts = replace(fitting(TICKET, arrow("S11")), received_at=NOON + HOUR, due_at=NOON)

    assert TICKET.target("overdue", TICKET.advance("overdue", "merchant_respond", facts)) == "responded"


@pytest.mark.parametrize(
    ("category", "hours"),
    [
        ("refund_order_operation", 2),
        ("exchange", 12),
        ("product", 12),
        ("negotiated_refund", 12),
        ("courier_complaint", 12),
        ("attitude_complaint", 12),
        ("second_complaint", 2),
        ("voucher", 2),
        ("risk_goods", 2),
        ("logistics", 24),
        ("agreed", 2),
    ],
)
def test_each_category_has_its_own_time(category: str, hours: int) -> None:
    """K1, from the service-ticket SLA of the trade."""
    assert sla_of(category, DEFAULT) == hours * HOUR


def test_an_agreed_time_is_at_least_two_hours() -> None:
    """K1: agreed ≥2 h, both sides of the edge; other categories take no agreement."""
    assert sla_of("agreed", DEFAULT, agreed=5 * HOUR) == 5 * HOUR
    assert sla_of("agreed", DEFAULT, agreed=2 * HOUR) == 2 * HOUR
    assert sla_of("logistics", DEFAULT, agreed=5 * HOUR) == 24 * HOUR
    with pytest.raises(GuardFailed) as refused:
        sla_of("agreed", DEFAULT, agreed=2 * HOUR - MICROSECOND)
    assert refused.value.code == "ticket_sla_too_short"


def test_an_unknown_category_is_refused() -> None:
    """No silent default."""
    with pytest.raises(GuardFailed) as refused:
        sla_of("gossip", DEFAULT)
    assert refused.value.code == "ticket_category_unknown"


@pytest.mark.parametrize(
    ("issued", "due"),
    [
        ("2026-11-23T20:59:59", "2026-11-24T10:59:59"),
        ("2026-11-23T21:00:00", "2026-11-24T11:00:00"),
        ("2026-11-23T03:00:00", "2026-11-23T11:00:00"),
    ],
)
def test_a_ticket_born_at_night_starts_its_clock_in_the_morning(issued: str, due: str) -> None:
    """Edge case 17: born 20:59:59, 21:00:00, 03:00."""
    at = datetime.fromisoformat(issued).replace(tzinfo=SHANGHAI)

    assert sla_due(at, "refund_order_operation", DEFAULT, HOURS) == datetime.fromisoformat(due).replace(tzinfo=SHANGHAI)


def test_a_holiday_list_changed_later_moves_only_tickets_armed_later() -> None:
    """Edge case 17: what is due is written down when armed; the new list counts from the next arming."""
    at = datetime(2026, 11, 23, 20, tzinfo=SHANGHAI)
    with_holiday = Calendar(hours_of("09:00-21:00"), frozenset({date(2026, 11, 24)}))

    assert sla_due(at, "exchange", DEFAULT, HOURS).date().isoformat() == "2026-11-24"
    assert sla_due(at, "exchange", DEFAULT, with_holiday).date().isoformat() == "2026-11-25"


@pytest.mark.parametrize(("category", "hours"), [("logistics", 12), ("exchange", 6), ("voucher", 2), ("agreed", 2)])
def test_an_answer_sent_back_has_half_the_time_but_never_less_than_two_hours(category: str, hours: int) -> None:
    """Re-arm half of the category SLA, at least PT2H."""
    at = datetime(2026, 11, 23, 9, tzinfo=SHANGHAI)

    assert due_after_rejection(at, category, DEFAULT, HOURS) == at + hours * HOUR


def test_an_extension_runs_on_business_time() -> None:
    """due+=PT2H..PT24H; nothing is due at night."""
    due = datetime(2026, 11, 23, 20, tzinfo=SHANGHAI)

    assert due_after_extension(due, 2 * HOUR, HOURS) == datetime(2026, 11, 24, 10, tzinfo=SHANGHAI)


def test_time_outs_block_the_ruling_and_questions_do_not() -> None:
    """K2."""
    assert [is_blocking(cause, DEFAULT) for cause in ("TIMEOUT", "NO_SEAT", "MANUAL", "AGENT_CLOSED")] == [
        True,
        True,
        False,
        False,
    ]
