"""The evidence request: what is taken, how much, by when, and who was silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.domain.errors import ArrowMissing, GuardFailed, WindowClosed
from service.domain.evidence import EVIDENCE_REQUEST, evidence_due, is_visible_to_other_party, round_overdue
from service.domain.policy import DEFAULT
from tests.lifecycle_facts import MICROSECOND, NOON, fitting

MEGABYTES_10 = 10 * 1024 * 1024


def arrow(number: str) -> Any:
    return next(each for each in EVIDENCE_REQUEST.arrows if each.number == number)


EDGES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("V1", {"is_addressee": True}, {"is_addressee": False}, "not_addressee"),
    ("V1", {"media_type": "application/pdf"}, {"media_type": "text/html"}, "media_type_refused"),
    ("V1", {"size_bytes": 1}, {"size_bytes": 0}, "evidence_empty"),
    ("V1", {"size_bytes": MEGABYTES_10}, {"size_bytes": MEGABYTES_10 + 1}, "evidence_too_large"),
    ("V1", {"items_in_case": 99}, {"items_in_case": 100}, "evidence_items_exhausted"),
    ("V1", {"sha256_known": False}, {"sha256_known": True}, "evidence_duplicate"),
    ("V2", {"own_item": True}, {"own_item": False}, "not_own_item"),
    ("V3", {"item_count": 1}, {"item_count": 0}, "nothing_to_submit"),
    ("V3", {"item_count": 0, "has_note": True}, {"item_count": 0, "has_note": False}, "nothing_to_submit"),
    ("V4", {"is_addressee": True}, {"is_addressee": False}, "not_addressee"),
    (
        "V5",
        {"due_at": NOON - timedelta(seconds=1)},
        {"due_at": NOON - timedelta(seconds=1) + MICROSECOND},
        "window_still_open",
    ),
    ("V6", {"extensions": 0}, {"extensions": 1}, "extensions_exhausted"),
    (
        "V6",
        {"extension": timedelta(hours=24)},
        {"extension": timedelta(hours=24) + MICROSECOND},
        "extension_out_of_range",
    ),
    ("V6", {"extension": MICROSECOND}, {"extension": timedelta(0)}, "extension_out_of_range"),
]


@pytest.mark.parametrize(("number", "passes", "fails", "code"), EDGES, ids=[f"{e[0]}-{e[3]}" for e in EDGES])
def test_a_guard_passes_on_one_side_of_its_edge_and_refuses_on_the_other(
    number: str, passes: dict[str, Any], fails: dict[str, Any], code: str
) -> None:
    """Edge case 46: 100th and 101st item, 10 MB and a byte more, 0 B, wrong type, the same bytes twice."""
    one = arrow(number)
    facts = fitting(EVIDENCE_REQUEST, one)

    assert EVIDENCE_REQUEST.advance("open", one.trigger, replace(facts, **passes)) is one
    with pytest.raises(GuardFailed) as refused:
        EVIDENCE_REQUEST.advance("open", one.trigger, replace(facts, **fails))
    assert refused.value.code == code


@pytest.mark.parametrize("number", ["V1", "V2", "V3", "V4", "V6"])
def test_evidence_is_in_time_until_a_microsecond_before_the_end(number: str) -> None:
    """Edge case 47: both submit in the last second."""
    one = arrow(number)
    facts = replace(fitting(EVIDENCE_REQUEST, one), due_at=NOON)

    EVIDENCE_REQUEST.advance("open", one.trigger, replace(facts, received_at=NOON - MICROSECOND))
    for late in (NOON, NOON + MICROSECOND):
        with pytest.raises(WindowClosed):
            EVIDENCE_REQUEST.advance("open", one.trigger, replace(facts, received_at=late))


@pytest.mark.parametrize("state", ["submitted", "waived", "overdue", "cancelled"])
def test_nothing_is_added_once_the_request_has_ended(state: str) -> None:
    """Edge cases 9 and 47: after the freeze, and waive then add, 409."""
    with pytest.raises(ArrowMissing):
        EVIDENCE_REQUEST.advance(state, "add_item", fitting(EVIDENCE_REQUEST, arrow("V1")))


def test_each_party_has_forty_eight_hours() -> None:
    """E1."""
    assert evidence_due(NOON, DEFAULT) == NOON + timedelta(hours=48)


def test_the_other_party_sees_nothing_while_it_could_still_copy() -> None:
    """Edge case 48."""
    assert not is_visible_to_other_party("open")
    assert all(is_visible_to_other_party(state) for state in ("submitted", "waived", "overdue", "cancelled"))


@pytest.mark.parametrize(
    ("buyer", "merchant", "heard"),
    [
        (["overdue"], ["open"], None),
        (["overdue"], ["submitted"], (True, False)),
        (["submitted"], ["overdue"], (False, True)),
        (["overdue"], ["overdue"], (True, True)),
        (["submitted"], ["waived"], None),
        (["submitted", "overdue"], ["submitted"], (True, False)),
        (["overdue"], [], (True, False)),
        ([], [], None),
    ],
)
def test_a_round_is_heard_once_when_its_last_mandatory_request_has_ended(
    buyer: list[str], merchant: list[str], heard: tuple[bool, bool] | None
) -> None:
    """Edge case 47: both sides silent, only one silent; decided together."""
    assert round_overdue({"buyer": buyer, "merchant": merchant}) == heard
