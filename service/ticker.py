"""The clockwork of one process: fires what is due, pays what is owed, sweeps out old answers.

One thread, woken by the next due time and at least once a second. Any number of processes may tick on PostgreSQL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from service.flows.context import House
from service.flows.watch_windows import BATCH_MAX, Decide, sweep
from service.metrics import Metrics
from service.store import housekeeping, timers
from service.store.engine import Database

SLEEP_MAX_SECONDS: Final = 1.0  # stack.md, Timers: sleep until the next due time, at most 1 s
HOUSEKEEPING_EVERY: Final = timedelta(minutes=10)  # choice
log = structlog.get_logger(__name__)


class Ticker:
    """Sweeps until it is stopped. `pay` does one round of the gateway's jobs and returns how many it did."""

    def __init__(
        self,
        database: Database,
        house: House,
        *,
        now: Callable[[], datetime],
        decisions: Mapping[str, Decide],
        pay: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._house = house
        self._now = now
        self._decisions = decisions
        self._pay = pay
        self._metrics = metrics
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._tick, name="ticker", daemon=True),
            threading.Thread(target=self._pay_on, name="payer", daemon=True),
        ]
        self._cleaned_at: datetime | None = None

    def start(self) -> None:
        """Begin; what came due while nobody ticked fires first, in due order."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the batch in hand and stop."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    @property
    def alive(self) -> bool:
        """Both threads run."""
        return all(thread.is_alive() for thread in self._threads)

    def sweep_once(self) -> int:
        """Fire one batch; returns how many timers it claimed."""
        now = self._now()
        done = self._database.run(lambda tx: sweep(self._house, tx, now=now, decisions=self._decisions))
        self._metrics.fired.inc(done.claimed - done.failed)
        self._metrics.failed.inc(done.failed)
        for seconds in done.lateness_seconds:
            self._metrics.lateness.observe(seconds)
        return done.claimed

    def _tick(self) -> None:
        while not self._stop.is_set():
            try:
                claimed = self.sweep_once()
                self._keep_house()
                pause = 0.0 if claimed else self._until_next()
            except Exception:
                log.exception("tick_failed")
                pause = SLEEP_MAX_SECONDS
            self._stop.wait(pause)

    def _pay_on(self) -> None:
        while not self._stop.is_set():
            try:
                done = self._pay()
            except Exception:
                log.exception("payment_round_failed")
                done = 0
            self._stop.wait(0.0 if done else SLEEP_MAX_SECONDS / 4)

    def _until_next(self) -> float:
        due = self._database.read(timers.next_due)
        if due is None:
            return SLEEP_MAX_SECONDS
        return min(SLEEP_MAX_SECONDS, max(0.0, (due - self._now()).total_seconds()))

    def _keep_house(self) -> None:
        now = self._now()
        if self._cleaned_at is not None and now - self._cleaned_at < HOUSEKEEPING_EVERY:
            return
        self._cleaned_at = now
        self._database.run(lambda tx: housekeeping.forget_old_answers(tx, now=now))


__all__ = ["BATCH_MAX", "Ticker"]
