"""Reply windows that end: 10,000 in one second, 200 a second, and what 10,000 armed ones cost while nothing is due."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.marketplace import fill, fresh_schema, new_house, open_shop
from service.app import decisions
from service.flows.context import House
from service.flows.watch_windows import Swept, sweep
from service.store import timers
from service.store.engine import Database
from service.ticker import SLEEP_MAX_SECONDS

SETTLE = timedelta(seconds=1)  # policy default@1: a deadline fires no earlier than due_at + 1 s
HEADER = "| reply windows | n | drained/s | lateness p50 ms | p99 ms | aim |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Drained:
    """What one field of windows did; lateness is commit time minus the instant a window may fire."""

    windows: int
    per_second: float
    p50_ms: float
    p99_ms: float

    def row(self, name: str, aim: str) -> str:
        """One line of the table."""
        return f"| {name} | {self.windows} | {self.per_second:7.0f} | {self.p50_ms:7.1f} | {self.p99_ms:7.1f} | {aim} |"


def measure(url: str, folder: Path, *, at_once: int, a_second: int, seconds: int) -> tuple[Drained, Drained, float]:
    """Both fields and the idle cost.

    Returns:
        all at once, spread out, and the share of one core (percent) with `at_once` windows armed and nothing due.
    """
    fresh_schema(url)
    house, database = new_house(folder), Database(url, workers=2)
    open_shop(database, datetime.now(UTC))
    try:
        due_at = datetime.now(UTC) + timedelta(hours=2)
        fill(database, house, at_once, now=datetime.now(UTC), due_at=due_at, warnings=False)
        idle = _idle_percent(house, database)
        once = _drain_moved(house, database, at_once, due_at)
        spread = _drain_spread(house, database, at_once, a_second * seconds, seconds)
    finally:
        database.close()
    return once, spread, idle


def _idle_percent(house: House, database: Database, seconds: float = 10.0) -> float:
    began, cpu = time.monotonic(), _cpu()
    while time.monotonic() - began < seconds:
        _sweep(house, database, datetime.now(UTC))
        time.sleep(_pause(database))
    return (_cpu() - cpu) / (time.monotonic() - began) * 100


def _drain_moved(house: House, database: Database, count: int, due_at: datetime) -> Drained:
    """All windows in one second: the clock that the sweep is shown is the hour they are due."""
    ahead = due_at + SETTLE - datetime.now(UTC)
    return _drain(house, database, count, ahead=ahead)


def _drain_spread(house: House, database: Database, first: int, count: int, seconds: int) -> Drained:
    begins = datetime.now(UTC) + timedelta(seconds=count / 1500 + 1)  # after they are written
    fill(
        database,
        house,
        count,
        first=first,
        now=datetime.now(UTC),
        due_at=begins - SETTLE,
        spread=timedelta(seconds=seconds),
        warnings=False,
    )
    return _drain(house, database, count, ahead=timedelta(0))


def _drain(house: House, database: Database, count: int, *, ahead: timedelta) -> Drained:
    """Sweep as the ticker does until `count` windows have closed."""
    late: list[float] = []
    began = time.perf_counter()
    while len(late) < count:
        now = datetime.now(UTC) + ahead
        done = _sweep(house, database, now)
        assert not done.failed, "a decision failed"
        committed = datetime.now(UTC) + ahead
        late.extend(seconds + (committed - now).total_seconds() for seconds in done.lateness_seconds)
        if not done.claimed:
            time.sleep(_pause(database, ahead))
    took = time.perf_counter() - began
    late.sort()
    return Drained(count, count / took, late[len(late) // 2] * 1000, late[int(len(late) * 0.99)] * 1000)


def _sweep(house: House, database: Database, now: datetime) -> Swept:
    return database.run(lambda tx: sweep(house, tx, now=now, decisions=decisions()))


def _pause(database: Database, ahead: timedelta = timedelta(0)) -> float:
    due = database.read(timers.next_due)
    if due is None:
        return SLEEP_MAX_SECONDS
    return min(SLEEP_MAX_SECONDS, max(0.0, (due - datetime.now(UTC) - ahead).total_seconds()))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
