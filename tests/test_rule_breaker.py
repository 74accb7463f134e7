"""The circuit breaker: a rule that stops far more than its own history, and only such a rule, falls back to watch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.rule_breaker import (
    ALL,
    HISTORY,
    RECENT,
    SHOPS_MIN,
    TIMES,
    Accepted,
    Count,
    surely_at_least,
    tripped,
)

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
RULE = "abuse.insult"
ARMED = frozenset({RULE, "diversion.private_contact"})


def fallen(
    shops: int, of: int, *, before: int = 10, of_before: int = 10_000, accepted: Accepted | None = None
) -> list[str]:
    recent = {ALL: Count(of, of), RULE: Count(3 * shops, shops)}
    history = {ALL: Count(of_before, of_before), RULE: Count(before, before)}
    known = {} if accepted is None else {RULE: accepted}
    return [trip.rule_id for trip in tripped(recent, history, known, now=NOW, armed=ARMED)]


@pytest.mark.parametrize(
    ("shops", "of", "falls"),
    [
        (100, 1_000, True),  # 10 % of the shops where it used to be 0.1 %
        (3, 1_000, False),  # as many as chance brings
        (SHOPS_MIN - 1, 40, False),  # an incident between a few
        (SHOPS_MIN, 40, True),
    ],
)
def test_it_falls_when_it_stops_far_more_shops_than_it_used_to(shops: int, of: int, falls: bool) -> None:
    """Both sides of the least number of shops."""
    assert (fallen(shops, of) == [RULE]) is falls


def test_a_rule_that_always_stopped_as_much_stays() -> None:
    """Its own history is the measure, not how often it fires."""
    assert fallen(100, 1_000, before=1_000, of_before=10_000) == []


def test_a_rule_without_history_falls_only_over_the_least_share() -> None:
    """A new rule may stop up to about one shop in a hundred before it is looked at."""
    assert fallen(25, 10_000, before=0, of_before=0) == []
    assert fallen(400, 10_000, before=0, of_before=0) == [RULE]


def test_one_shop_alone_never_lets_a_rule_fall() -> None:
    """However often it writes: shops are counted, so nobody can write a rule out of force."""
    recent = {ALL: Count(100_000, 1), RULE: Count(100_000, 1)}

    assert tripped(recent, {}, {}, now=NOW, armed=ARMED) == []


def test_what_is_only_watched_cannot_fall() -> None:
    """It stops nothing."""
    recent = {ALL: Count(1_000, 1_000), "trial.moon": Count(500, 500)}

    assert tripped(recent, {}, {}, now=NOW, armed=ARMED) == []


def test_what_a_person_has_seen_is_no_alarm_for_as_long_as_a_history_is() -> None:
    """Armed again it stays, also at what it stopped then; half as much again, or a week later, it may fall."""
    at = NOW - timedelta(hours=1)

    assert fallen(100, 1_000, accepted=Accepted(at, 0.1)) == []
    assert fallen(100, 1_000, accepted=Accepted(NOW - RECENT / 2, 0.0)) == [], "counts from before it was armed"
    assert fallen(160, 1_000, accepted=Accepted(at, 0.1)) == [RULE]
    assert fallen(100, 1_000, accepted=Accepted(NOW - HISTORY, 0.1)) == [RULE]


@given(st.integers(0, 5_000), st.integers(1, 5_000), st.integers(0, 5_000), st.integers(0, 5_000))
def test_a_rule_falls_only_where_the_share_really_is_far_larger(
    shops: int, of: int, before: int, of_before: int
) -> None:
    """Never below the least number of shops, never at less than TIMES its history."""
    shops, before = min(shops, of), min(before, of_before)
    if fallen(shops, of, before=before, of_before=of_before):
        assert shops >= SHOPS_MIN
        assert shops / of > TIMES * (before / of_before if of_before else 0)


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_what_a_share_surely_is_is_never_more_than_it_is(hits: int, of: int) -> None:
    """The lower end of an interval, within [0, share]."""
    hits = min(hits, of)

    assert -1e-12 <= surely_at_least(hits, of) <= hits / of + 1e-12
