"""The refund execution: tried again with patience, never paid twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from service.domain.errors import ArrowMissing, GuardFailed
from service.domain.policy import DEFAULT
from service.domain.refund import REFUND, RefundFacts, earliest_submit_at, is_dead, next_attempt_at
from tests.lifecycle_facts import MICROSECOND, NOON

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
ONCE = RefundFacts(now=NOON, attempts=1, last_submit_at=NOON - HOUR)


@pytest.mark.parametrize(
    ("state", "trigger", "passes", "fails", "code"),
    [
        ("pending", "submit", {"attempts": 7}, {"attempts": 8}, "attempts_exhausted"),
        ("pending", "submit", {"next_attempt_at": NOON}, {"next_attempt_at": NOON + MICROSECOND}, "backoff_running"),
        ("submitted", "gateway_failed", {"answer": "failed"}, {"answer": "pending"}, "gateway_undecided"),
        (
            "submitted",
            "gateway_failed",
            {"answer": "unknown"},
            {"answer": "unknown", "last_submit_at": NOON - HOUR + MICROSECOND},
            "gateway_undecided",
        ),
        ("submitted", "gateway_succeeded", {}, {"replaced": True}, "refund_replaced"),
        ("exhausted", "gateway_succeeded", {}, {"dispute_closed": True}, "refund_replaced"),
        ("failed", "retry", {"attempts": 7}, {"attempts": 8}, "attempts_exhausted"),
        ("failed", "give_up", {"attempts": 8}, {"attempts": 7}, "attempts_left"),
    ],
)
def test_a_guard_passes_on_one_side_of_its_edge_and_refuses_on_the_other(
    state: str, trigger: str, passes: dict[str, Any], fails: dict[str, Any], code: str
) -> None:
    """Edge cases 8, 39 and 40."""
    REFUND.advance(state, trigger, replace(ONCE, **passes))
    with pytest.raises(GuardFailed) as refused:
        REFUND.advance(state, trigger, replace(ONCE, **fails))
    assert refused.value.code == code


def test_success_may_arrive_before_the_submit_call_returned() -> None:
    """Edge case 8: still pending in our books, paid in theirs."""
    assert REFUND.target("pending", REFUND.advance("pending", "gateway_succeeded", ONCE)) == "succeeded"


@pytest.mark.parametrize("trigger", ["gateway_failed", "gateway_succeeded", "retry", "submit", "give_up"])
def test_what_succeeded_stays_so(trigger: str) -> None:
    """Edge case 8: failed after succeeded, succeeded twice."""
    with pytest.raises(ArrowMissing):
        REFUND.advance("succeeded", trigger, ONCE)


def test_the_wait_doubles_from_a_minute_to_an_hour_and_ends_with_the_eighth_attempt() -> None:
    """Arrow 59: backoff of at least 60 s, at most eight attempts."""
    waits = [next_attempt_at(attempts, NOON, DEFAULT) for attempts in range(1, 9)]

    assert waits == [*(NOON + minutes * MINUTE for minutes in (1, 2, 4, 8, 16, 32, 60)), None]


def test_eight_attempts_fit_into_the_time_for_retries() -> None:
    """T10: PT24H."""
    at: datetime | None = NOON
    for attempts in range(1, DEFAULT.refund_attempts_max):
        assert at is not None
        at = next_attempt_at(attempts, at, DEFAULT)

    assert at is not None
    assert at - NOON < DEFAULT.refund_retries


def test_two_refunds_on_one_order_within_a_minute_are_queued_not_failed() -> None:
    """Edge case 39."""
    assert earliest_submit_at(NOON, None, DEFAULT) == NOON
    assert earliest_submit_at(NOON, NOON - MINUTE, DEFAULT) == NOON
    assert earliest_submit_at(NOON, NOON - MINUTE + MICROSECOND, DEFAULT) == NOON + MICROSECOND


@pytest.mark.parametrize(
    ("answer", "since", "dead"),
    [
        ("failed", timedelta(0), True),
        ("unknown", HOUR, True),
        ("unknown", HOUR - MICROSECOND, False),
        ("unknown", None, True),
        ("pending", 100 * HOUR, False),
        ("succeeded", 100 * HOUR, False),
        ("", 100 * HOUR, False),
    ],
)
def test_a_new_payment_is_made_only_when_the_old_one_is_dead(answer: str, since: timedelta | None, dead: bool) -> None:
    """Shows: no money twice; while the gateway answers pending or not at all, nothing new is paid."""
    last = None if since is None else NOON - since

    assert is_dead(answer, last, NOON, DEFAULT) == dead
