"""The circuit breaker of a rule: when it stops far more than it used to, it falls back to watch.

A bad rule is worse than a missing one (moderation.md section 3, number 7). Shops are counted, not messages: one shop
that repeats itself, or tries to make a rule fall, weighs as much as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import sqrt
from typing import Final, NamedTuple

ALL: Final = "*"  # counts what was judged at all; no rule has this name
SPAN: Final = timedelta(minutes=10)  # choice: counts are kept by spans of this length
RECENT: Final = 2 * SPAN  # choice: the present span and the one before
HISTORY: Final = timedelta(days=7)  # choice: a whole week, so that every hour of every weekday is in it
SHOPS_MIN: Final = 20  # choice: fewer shops are an incident between a few people, not a bad rule
TIMES: Final = 5  # choice: "far more" than its own history
SHARE_LEAST: Final = 0.01  # choice: twice the 0.5 % of innocent messages that all rules together may flag (section 5)
ACCEPTED_TIMES: Final = 1.5  # choice
CERTAINTY: Final = 3.0  # choice: standard errors; by chance alone about once in a thousand looks


class Count(NamedTuple):
    """Sums over spans of time."""

    stopped: int = 0
    shops: int = 0
    watched: int = 0


Counts = Mapping[str, Count]


class Trip(NamedTuple):
    """Why a rule fell back: shares are of the shops that wrote anything in a span."""

    rule_id: str
    shops: int
    share: float
    share_before: float


class Accepted(NamedTuple):
    """What a person had seen when arming a rule again: that much is no alarm for as long as a history is."""

    at: datetime
    share: float


def tripped(
    recent: Counts, history: Counts, accepted: Mapping[str, Accepted], *, now: datetime, armed: frozenset[str]
) -> list[Trip]:
    """The rules that stop far more shops than they used to, in the order of their names.

    Args:
        recent: sums over the spans since `now - RECENT`.
        history: sums over the spans of HISTORY before that.
        armed: the rules that could fall; what fell already, or is only watched, is no matter.
    """
    judged, judged_before = recent.get(ALL, Count()).shops, history.get(ALL, Count()).shops
    trips = []
    for rule_id in sorted(recent.keys() & armed):
        shops = recent[rule_id].shops
        before = history.get(rule_id, Count()).shops / judged_before if judged_before else 0.0
        if shops < SHOPS_MIN or surely_at_least(shops, judged) <= max(TIMES * before, SHARE_LEAST):
            continue
        seen = accepted.get(rule_id)
        if seen is not None and _still_holds(seen, shops / judged, now):
            continue
        trips.append(Trip(rule_id, shops, shops / judged, before))
    return trips


def _still_holds(seen: Accepted, share: float, now: datetime) -> bool:
    """Counts from before the arming are what was seen; later ones may be half as much again."""
    return now - seen.at < RECENT or (now - seen.at < HISTORY and share <= ACCEPTED_TIMES * seen.share)


def surely_at_least(hits: int, of: int) -> float:
    """The lower end of Wilson's interval for a share: what it is at least, as far as so few can tell."""
    if of <= 0:
        return 0.0
    share, z = min(hits / of, 1.0), CERTAINTY
    middle = share + z * z / (2 * of)
    return (middle - z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))) / (1 + z * z / of)
