"""How often each rule stopped something: counted in memory, written once a second, read for the circuit breaker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, NamedTuple

from service.domain.moderation import Verdict
from service.domain.rule_breaker import ALL, SPAN, Count, Counts
from service.domain.transcript import micros
from service.store.engine import Transaction

ROWS_MAX: Final = 2_000  # rules and spans counted between two writes; more are left out
SHOPS_MAX: Final = 50_000  # shop and rule pairs remembered in a span; beyond them a shop counts no more
KEPT: Final = timedelta(days=30)  # choice: longer than any history looked at
STEP_MAX: Final = 10_000  # rows forgotten in one transaction


class Counted(NamedTuple):
    """What one row adds."""

    rule_id: str
    began_at: int  # microseconds: the begin of the span
    stopped: int
    shops: int
    watched: int


class Tally:
    """Counts of one process since they were last written. Any thread may note; noting takes a microsecond or two."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._began_at = 0
        self._rows: dict[tuple[str, int], list[int]] = {}
        self._seen: set[tuple[str, str]] = set()

    def note(self, shop_id: str, verdict: Verdict, *, at: datetime) -> None:
        """Count a verdict: of each rule at most once, whatever number of places it was broken in."""
        began_at = span_of(at)
        stopped = {finding.rule for finding in verdict.findings if not finding.measure.delivers}
        watched = {finding.rule for finding in verdict.watched}
        with self._lock:
            if began_at != self._began_at:
                self._began_at = began_at
                self._seen.clear()
            self._add(ALL, shop_id, 0)
            for rule_id in stopped:
                self._add(rule_id, shop_id, 0)
            for rule_id in watched:
                self._add(rule_id, None, 2)

    def _add(self, rule_id: str, shop_id: str | None, place: int) -> None:
        row = self._rows.get((rule_id, self._began_at))
        if row is None:
            if len(self._rows) >= ROWS_MAX:
                return
            row = self._rows[rule_id, self._began_at] = [0, 0, 0]
        row[place] += 1
        if shop_id is not None and (rule_id, shop_id) not in self._seen and len(self._seen) < SHOPS_MAX:
            self._seen.add((rule_id, shop_id))
            row[1] += 1

    def drain(self) -> list[Counted]:
        """What was counted, which is then forgotten here."""
        with self._lock:
            rows, self._rows = self._rows, {}
        return [Counted(rule_id, began_at, *row) for (rule_id, began_at), row in sorted(rows.items())]

    def put_back(self, counted: Iterable[Counted]) -> None:
        """Keep what could not be written."""
        with self._lock:
            for each in counted:
                row = self._rows.setdefault((each.rule_id, each.began_at), [0, 0, 0])
                for place, number in enumerate((each.stopped, each.shops, each.watched)):
                    row[place] += number


def span_of(at: datetime) -> int:
    """The begin of the span of time that `at` lies in, in microseconds."""
    length = int(SPAN.total_seconds()) * 1_000_000
    return micros(at) // length * length


_SETS: Final = ", ".join(f"{c} = rule_tally.{c} + excluded.{c}" for c in ("stopped", "shops", "watched"))
_COLUMNS: Final = "id, rule_id, began_at, stopped, shops, watched"
ADD: Final = {
    "postgresql": f"INSERT INTO rule_tally ({_COLUMNS}) SELECT {_COLUMNS} FROM jsonb_to_recordset(?::jsonb) AS r"
    "(id text, rule_id text, began_at bigint, stopped int, shops int, watched int)"
    f" ON CONFLICT (id) DO UPDATE SET {_SETS}",
    "sqlite": f"INSERT INTO rule_tally ({_COLUMNS}) SELECT "
    + ", ".join(f"json_extract(value, '$.{c.strip()}')" for c in _COLUMNS.split(","))
    + f" FROM json_each(?) WHERE true ON CONFLICT (id) DO UPDATE SET {_SETS}",
}
COUNTS: Final = """
SELECT rule_id, sum(stopped), sum(shops), sum(watched) FROM rule_tally
WHERE began_at >= ? AND began_at < ? GROUP BY rule_id
"""


def add(tx: Transaction, counted: list[Counted]) -> None:
    """Write what was counted, in one statement; rows in one order, so that two processes never wait for each other."""
    rows = [{"id": f"{each.began_at}|{each.rule_id}", **each._asdict()} for each in counted]
    rows.sort(key=lambda row: str(row["id"]))
    tx.execute(ADD[tx.dialect], (json.dumps(rows),))


def counts(tx: Transaction, *, since: datetime, before: datetime) -> Counts:
    """Sums by rule of the spans that began in [since, before)."""
    rows = tx.rows(COUNTS, (micros(since), micros(before)))
    return {rule_id: Count(int(stopped), int(shops), int(watched)) for rule_id, stopped, shops, watched in rows}


def forget(tx: Transaction, *, now: datetime) -> None:
    """Delete old counts, at most STEP_MAX rows at a time."""
    tx.execute(
        "DELETE FROM rule_tally WHERE id IN (SELECT id FROM rule_tally WHERE began_at < ? LIMIT ?)",
        (micros(now - KEPT), STEP_MAX),
    )
