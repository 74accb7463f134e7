"""How often one caller may ask, what every answer says about it, and whose trace a log line belongs to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.contextvars import get_contextvars

from service.api import limits
from service.api.limits import SUBJECTS_MAX, RateLimiter
from service.domain.errors import Refusal
from service.domain.staff import Actor
from service.settings import Settings
from service.store import tables
from tests.over_http import HttpWorld, new_http_world

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def sparing(database: str, tmp_path: Path) -> Iterator[HttpWorld]:
    """A service that takes three requests a minute of anybody."""

    def few(**given: object) -> Settings:
        return replace(Settings(**given), rate_limit_per_minute=3)

    with patch("tests.over_http.Settings", few), new_http_world(database, tmp_path) as world:
        yield world


def test_who_asks_too_often_is_told_when_to_come_back_and_nobody_else_is(sparing: HttpWorld) -> None:
    """api.md section 1: rate limits with RateLimit headers and Retry-After; one subject, one bucket."""
    taken = [sparing.get("buyer", "/disputes") for _ in range(4)]
    other = sparing.get("buyer-2", "/disputes")

    assert [answer.status_code for answer in taken] == [200, 200, 200, 429]
    assert [answer.headers["RateLimit"].split(";")[1] for answer in taken] == ["r=2", "r=1", "r=0", "r=0"]
    assert {answer.headers["RateLimit-Policy"] for answer in taken} == {'"subject";q=3;w=60'}
    assert (taken[3].json()["code"], taken[3].headers["Content-Type"]) == ("too_many", "application/problem+json")
    assert 1 <= int(taken[3].headers["Retry-After"]) <= 20
    assert other.status_code == 200
    assert "RateLimit" not in sparing.client.get("/health/live").headers


def test_a_refused_request_does_nothing_and_its_key_is_not_used_up(sparing: HttpWorld) -> None:
    """429 is said before the request is looked at."""
    for _ in range(3):
        sparing.post("marketplace", "/staff-accounts", {"id": "agent-1"})

    refused = sparing.post("marketplace", "/staff-accounts", {"id": "agent-2"}, key="the-same-key")

    assert refused.status_code == 429
    assert [row.id for row in sparing.rows(tables.StaffAccount)] == ["agent-1"]
    assert len(sparing.rows(tables.IdempotencyRow)) == 3


@given(st.lists(st.floats(0, 30), max_size=60))
def test_nobody_gets_more_than_a_full_bucket_and_what_flowed_in_since(pauses: list[float]) -> None:
    """However the requests are spread: at most what was there, and ten a minute."""
    clock = [0.0]
    limiter = RateLimiter(10, monotonic=lambda: clock[0])
    let_in = 0
    for pause in pauses:
        clock[0] += pause
        try:
            limiter.take("somebody")
            let_in += 1
        except Refusal as refusal:
            wait = float(str(refusal.facts["retry_after_seconds"]))
            assert 0 < wait <= 6.001

    assert let_in <= 10 + clock[0] / 6 + 1e-6
    assert let_in >= min(len(pauses), 10)


def test_the_number_of_callers_remembered_is_bounded() -> None:
    """Any number of subjects takes a bounded memory; the one that was quiet longest is forgotten."""
    limiter = RateLimiter(1, monotonic=lambda: 0.0)
    limiter.take("first")
    for number in range(SUBJECTS_MAX):
        limiter.take(f"other-{number}")

    limiter.take("first")

    with pytest.raises(Refusal):
        limiter.take(f"other-{SUBJECTS_MAX - 1}")


def test_counting_costs_next_to_nothing() -> None:
    """Off the hot path: under 10 µs a request of CPU time."""
    limiter = RateLimiter(10_000_000)
    began = time.process_time()
    for number in range(20_000):
        limiter.take(f"somebody-{number % 100}")

    assert (time.process_time() - began) / 20_000 < 10e-6


def test_nothing_is_counted_where_the_operator_says_so() -> None:
    """0 counts nothing: the authentication is handed back as it was."""

    async def authenticate(_: Sequence[str]) -> Actor:
        raise AssertionError

    assert RateLimiter(0).counting(authenticate) is authenticate


@pytest.mark.parametrize(
    ("header", "bound"),
    [
        (PARENT, {"trace_id": TRACE, "parent_span_id": "00f067aa0ba902b7"}),
        (PARENT.upper(), {}),
        (PARENT.replace(TRACE, "0" * 32), {}),
        ("ff" + PARENT[2:], {}),
        (PARENT + "-more", {}),
        ("", {}),
    ],
)
def test_a_callers_trace_stands_in_the_log_lines_of_its_request(
    database: str, tmp_path: Path, header: str, bound: dict[str, str]
) -> None:
    """W3C Trace Context: a valid traceparent is honoured, another is passed over."""
    seen: list[dict[str, object]] = []
    take = limits.RateLimiter.take

    def looking(self: RateLimiter, subject: str) -> object:
        seen.append({name: value for name, value in get_contextvars().items() if name != "request_id"})
        return take(self, subject)

    with patch.object(limits.RateLimiter, "take", looking), new_http_world(database, tmp_path) as world:
        answer = world.client.get("/v1/disputes", headers=world.as_("buyer") | {"traceparent": header})

    assert (answer.status_code, seen) == (200, [bound])
