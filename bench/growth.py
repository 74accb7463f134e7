"""The same statements with twenty times the history: append, queue, due scan, one dispute's history."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.marketplace import MERCHANT, REPLY, dispute_id, fill, fresh_schema, inquiry_id, new_house, open_shop
from service.domain.transcript import micros
from service.flows.context import House
from service.flows.receive_reply import Said, receive_reply
from service.store import timers
from service.store.engine import Database, Transaction
from service.store.writes import Head

HEADER = "| statement | µs at small | µs at large | growth | aim |\n|---|---|---|---|---|"
ENTRIES_EACH = 10  # entries of one dispute in this field
TRIES = 300

QUEUE = (
    "SELECT id, number FROM dispute WHERE state IN ('intervention_requested', 'intervening') AND id > ?"
    " ORDER BY id LIMIT 50"
)
HISTORY = "SELECT seq, kind, at FROM transcript_entry WHERE dispute_id = ? ORDER BY seq LIMIT 200"


def measure(url: str, folder: Path, *, small: int, large: int) -> list[str]:
    """Rows of the table; `small` and `large` are transcript entries."""
    fresh_schema(url)
    house, database = new_house(folder), Database(url, workers=2)
    open_shop(database, datetime.now(UTC))
    try:
        _grow(database, house, 0, small // ENTRIES_EACH)
        before = _all(database, house, first=0, among=small // ENTRIES_EACH)
        _grow(database, house, small // ENTRIES_EACH, large // ENTRIES_EACH)
        after = _all(database, house, first=TRIES, among=large // ENTRIES_EACH)
    finally:
        database.close()
    return [
        f"| {name} | {before[name]:8.1f} | {after[name]:8.1f} | {after[name] / before[name]:5.2f} | ≤ 1.3 |"
        for name in before
    ]


def _grow(database: Database, house: House, first: int, until: int) -> None:
    """Disputes with a history each; the entries are written as stories write them."""
    fill(database, house, until - first, first=first, now=datetime.now(UTC))
    for start in range(first, until, 100):

        def work(tx: Transaction, numbers: range = range(start, min(start + 100, until))) -> None:
            rows = tx.rows(
                f"SELECT id, version, last_seq, last_hash, last_event_seq FROM dispute WHERE id IN ({_marks(numbers)})",
                [dispute_id(n) for n in numbers],
            )
            plans = []
            for row in rows:
                ctx = house.context(tx, actor=MERCHANT, now=datetime.now(UTC), received_at=datetime.now(UTC))
                ctx.plan.head = Head(*row)
                for _ in range(ENTRIES_EACH - 1):
                    ctx.record("note", private={"text": REPLY})
                plans.append(ctx.plan)
            tx.apply(plans)

        database.run(work)
    if database.dialect == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")


def _marks(numbers: range) -> str:
    return ", ".join("?" for _ in numbers)


def _all(database: Database, house: House, *, first: int, among: int) -> dict[str, float]:
    now = datetime.now(UTC)

    def read(statement: str, *values: object) -> Callable[[int], object]:
        return lambda n: database.read(lambda tx: tx.rows(statement, values or (dispute_id(n * 7919 % among),)))

    def append(n: int) -> object:
        def work(tx: Transaction) -> None:
            at = datetime.now(UTC)
            ctx = house.context(tx, actor=MERCHANT, now=at, received_at=at, cause=f"growth-{first + n}")
            said = Said(f"growth-{first + n}", text="好的,已安排,单号 SF0001")
            receive_reply(ctx, inquiry_id((first + n) * 13 % among), said, key_id=f"growth-{first + n}")
            tx.apply([ctx.plan])

        return database.run(work, one_statement=True)

    def due(_: int) -> object:
        return database.read(lambda tx: tx.rows(timers.CLAIM, (micros(now - timedelta(days=1)), 50)))

    return {
        "append a reply": _median_us(append),
        "open queue, one page": _median_us(read(QUEUE, dispute_id(0))),
        "due scan, nothing due": _median_us(due),
        "one dispute's history": _median_us(read(HISTORY)),
    }


def _median_us(run: Callable[[int], object]) -> float:
    for n in range(20):  # warm
        run(n)
    took = []
    for n in range(20, TRIES):
        began = time.perf_counter()
        run(n)
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6
