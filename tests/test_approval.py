"""The approval: another person, the exact payload, within a day."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.domain.approval import APPROVAL, approval_due
from service.domain.errors import GuardFailed, WindowClosed
from service.domain.policy import DEFAULT
from tests.lifecycle_facts import MICROSECOND, NOON, fitting


def arrow(number: str) -> Any:
    return next(each for each in APPROVAL.arrows if each.number == number)


@pytest.mark.parametrize(
    ("number", "fails", "code"),
    [
        ("A1", {"decider": "agent-1"}, "same_person"),
        ("A1", {"decider": ""}, "same_person"),
        ("A1", {"sha256_named": "bb"}, "payload_changed"),
        ("A1", {"sha256_named": "", "payload_sha256": ""}, "payload_changed"),
        ("A2", {"decider": "agent-1"}, "same_person"),
        ("A3", {"decider": "boss-1"}, "not_proposer"),
        ("A3", {"decider": "", "proposer": ""}, "not_proposer"),
        ("A4", {"due_at": NOON - DEFAULT.settle_margin + MICROSECOND}, "window_still_open"),
    ],
)
def test_an_approval_is_refused_to_the_wrong_person_the_wrong_text_and_the_wrong_time(
    number: str, fails: dict[str, Any], code: str
) -> None:
    """approver ≠ proposer, exact payload and its sha256."""
    one = arrow(number)
    facts = fitting(APPROVAL, one)

    assert APPROVAL.advance("proposed", one.trigger, facts) is one
    with pytest.raises(GuardFailed) as refused:
        APPROVAL.advance("proposed", one.trigger, replace(facts, **fails))
    assert refused.value.code == code


@pytest.mark.parametrize("number", ["A1", "A2"])
def test_a_decision_after_a_day_is_too_late(number: str) -> None:
    """Expires P1D → stale."""
    one = arrow(number)
    facts = replace(fitting(APPROVAL, one), due_at=approval_due(NOON, DEFAULT))
    end = NOON + timedelta(days=1)

    APPROVAL.advance("proposed", one.trigger, replace(facts, received_at=end - MICROSECOND))
    with pytest.raises(WindowClosed):
        APPROVAL.advance("proposed", one.trigger, replace(facts, received_at=end))
