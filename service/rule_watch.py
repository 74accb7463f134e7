"""Keeps the rules of one process as the database says: follows publications, counts stops, trips circuit breakers.

A thread of its own, beside the ticker, so that a build never holds up a clock. Once a second it asks for the number of
the last act and writes what was counted; both are one statement.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from service.domain.rule_breaker import HISTORY, RECENT, Counts
from service.flows import publish_rules
from service.flows.context import THE_CLOCK, House
from service.metrics import Metrics
from service.store import rule_tally, rule_versions
from service.store.engine import Database, Transaction
from service.store.rule_child import ChildFailed
from service.store.rule_versions import InForce
from service.store.rule_yaml import BadPack
from service.store.rules_in_force import RulesInForce

POLL_SECONDS: Final = 1.0  # choice: within this every process knows of a publication
LOOK_EVERY: Final = timedelta(seconds=5)  # choice: between two looks at the breakers
AGAIN_AFTER: Final = timedelta(minutes=1)  # choice: before a version that could not be loaded is tried again
STOP_SECONDS_MAX: Final = 3.0  # choice: a stop need not wait for a build
FORGET_EVERY: Final = timedelta(hours=1)  # choice
log = structlog.get_logger(__name__)


class RuleWatch:
    """Watches until it is stopped."""

    def __init__(
        self, database: Database, house: House, rules: RulesInForce, *, now: Callable[[], datetime], metrics: Metrics
    ) -> None:
        self._database = database
        self._house = house
        self._rules = rules
        self._now = now
        self._metrics = metrics
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rules", daemon=True)
        self._failed: tuple[InForce, datetime] | None = None
        self._looked_at: datetime | None = None
        self._forgot_at: datetime | None = None

    def begin(self) -> None:
        """Bring into force what was published, before the first request, and say what judges here."""
        if not self.follow():
            self._tell()

    def start(self) -> None:
        """Go on by itself."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the round in hand, write what was counted, and stop; a build that takes longer is left behind."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS_MAX)
            self._guarded(self.write_counts)

    def follow(self) -> bool:
        """Bring into force what was published or fell back since the last look; returns whether anything changed."""
        if not self._database.read(self._rules.differs):
            return False
        told, files = self._database.read(self._told)
        if self._failed is not None and self._failed[0] == told and self._now() - self._failed[1] < AGAIN_AFTER:
            return False
        fallen = self._rules.state.tripped
        try:
            changed = self._rules.follow(told, files)
        except (BadPack, ChildFailed) as error:
            self._alarm(told, error)
            return False
        self._failed = None
        self._metrics.rules_stale.set(0)
        if changed:
            self._metrics.rules_swapped.inc()
        changed = changed or told.tripped != fallen
        if changed:
            self._tell()
        return changed

    def write_counts(self) -> None:
        """Write what was counted since the last time, in one statement; nothing if nothing was judged."""
        counted = self._house.tally.drain()
        if not counted:
            return
        try:
            self._database.run(lambda tx: rule_tally.add(tx, counted))
        except Exception:
            self._house.tally.put_back(counted)
            raise

    def look_at_breakers(self) -> list[str]:
        """Let fall back what stops far more than it used to; returns the rules that fell just now."""
        now, armed = self._now(), self._rules.acting
        recent, history = self._database.read(lambda tx: _counts(tx, now))
        if not recent:
            return []

        def work(tx: Transaction) -> list[str]:
            ctx = self._house.context(tx, actor=THE_CLOCK, now=now, received_at=now)
            trips = publish_rules.let_fall(ctx, recent, history, armed=armed)
            if not ctx.plan.is_empty:
                tx.apply([ctx.plan])
            return [trip.rule_id for trip in trips]

        fallen = self._database.run(work)
        for rule_id in fallen:
            log.error("rule_fell_back", rule=rule_id)
            self._metrics.rules_tripped.inc()
        return fallen

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._guarded(self._round)
            self._stop.wait(POLL_SECONDS)

    def _round(self) -> None:
        self._rules.let_go()
        self.follow()
        self.write_counts()
        now = self._now()
        if self._looked_at is None or now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            if self.look_at_breakers():
                self.follow()
        if self._forgot_at is None or now - self._forgot_at >= FORGET_EVERY:
            self._forgot_at = now
            self._database.run(lambda tx: rule_tally.forget(tx, now=now))

    def _guarded(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception:
            log.exception("rule_watch_failed")

    def _told(self, tx: Transaction) -> tuple[InForce, dict[str, str] | None]:
        told = rule_versions.in_force(tx)
        if self._rules.has(told):
            return told, None
        assert told.sha256 is not None, "the folder's book is always here"
        try:
            return told, rule_versions.files_of(tx.session, told.sha256)
        except BadPack:
            return told, {}  # refused when it is built, with its alarm

    def _alarm(self, told: InForce, error: Exception) -> None:
        self._failed = (told, self._now())
        self._metrics.rules_stale.set(1)
        log.error("rules_not_loaded", version_id=told.version_id, sha256=told.sha256, reason=str(error))

    def _tell(self) -> None:
        book = self._rules()
        self._metrics.rules_version.set(book.version)
        self._metrics.rules_fallen.set(len(self._rules.state.tripped))
        log.info("rules_in_force", book=book.book_id, version=book.version, sha256=book.sha256)


def _counts(tx: Transaction, now: datetime) -> tuple[Counts, Counts]:
    since = now - RECENT
    return rule_tally.counts(tx, since=since, before=now + RECENT), rule_tally.counts(
        tx, since=since - HISTORY, before=since
    )
