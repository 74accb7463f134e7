"""The threads that run stories: one writer of a SQLite file, or workers that each own a connection.

A lost race runs again; a story that refuses, breaks or waits in vain does so alone.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import InvalidStateError
from contextlib import suppress
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from service.store.faults import is_away, was_sent_back
from service.store.transaction import Story, Transaction
from service.store.writes import Busy, LostRace, Plan

log = structlog.get_logger(__name__)

TRIES_MAX: Final = 3  # architecture.md: a lost race runs again, at most three times
GROUP_MAX: Final = 16  # stories per SQLite commit; evidence.md section 3: batches of 16
QUEUE_MAX: Final = 10_000  # stories waiting for the writer or a worker


class Answer(Protocol):
    """Where the answer of a story goes, from whatever thread has it: a future, or what stands for one at the edge."""

    def cancelled(self) -> bool:
        """Nobody waits any more."""

    def set_result(self, result: Any, /) -> None:
        """What the story returned."""

    def set_exception(self, exception: BaseException | None, /) -> None:
        """What it raised."""


class Job:
    """A story waiting to run, and where its answer goes."""

    __slots__ = ("alone", "answer", "one_statement", "story")

    def __init__(self, story: Story[Any], answer: Answer, *, alone: bool = False, one_statement: bool = False) -> None:
        self.story = story
        self.answer = answer
        self.alone = alone  # must not share a transaction (dry runs roll back)
        self.one_statement = one_statement  # reads once and writes one guarded statement: no BEGIN on PostgreSQL


class Writer:
    """The one thread that writes a SQLite file."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: queue.Queue[Job | None] = queue.Queue(QUEUE_MAX)
        self._thread = threading.Thread(target=self._work, name="sqlite-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def submit(self, job: Job) -> None:
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            raise Busy from None

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        with self._engine.connect() as connection:
            while True:
                batch, stop = self._next_batch()
                if batch:
                    self._run_batch(connection, batch)
                if stop:
                    return

    def _next_batch(self) -> tuple[list[Job], bool]:
        batch: list[Job] = []
        job = self._queue.get()
        while job is not None:
            batch.append(job)
            if job.alone or len(batch) == GROUP_MAX:
                return batch, False
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _run_batch(self, connection: Connection, batch: list[Job]) -> None:
        if batch[-1].alone or len(batch) == 1:
            for job in batch:
                _run_alone(connection, "sqlite", job)
            return
        outcomes: list[tuple[Job, Any, BaseException | None]] = []
        held: list[Plan] = []  # of stories that could run beside each other: written together, a statement a table
        try:
            transaction = connection.begin()
            for job in batch:
                if not job.one_statement:
                    _write_held(connection, held)
                tx = Transaction(connection, "sqlite", held=held if job.one_statement else None)
                try:
                    outcomes.append((job, job.story(tx), None))
                except Exception as error:
                    if tx.wrote:  # half a story must not ride along with the others
                        raise
                    outcomes.append((job, None, error))
                finally:
                    tx.close()
            _write_held(connection, held)
            transaction.commit()
        except Exception:
            if (shared := connection.get_transaction()) is not None:
                with suppress(DBAPIError):
                    shared.rollback()
            for job in batch:
                _run_alone(connection, "sqlite", job)
            return
        for job, result, refusal in outcomes:
            _answer(job, result, refusal)


def _write_held(connection: Connection, held: list[Plan]) -> None:
    """Write what the stories of a batch have held back; raises LostRace if two of them were about one dispute."""
    if held:
        Transaction(connection, "sqlite").apply(held)
        held.clear()


class Workers:
    """Threads that each own a connection; they start as work comes."""

    def __init__(self, engine: Engine, workers: int, *, read_only: bool = False) -> None:
        self._engine = engine
        self._dialect = engine.dialect.name
        self._name = "reader" if read_only else "worker"
        self._most = workers
        self._threads: list[threading.Thread] = []
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._busy = 0  # stories queued or running
        self._closed = False
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def submit(self, job: Job) -> None:
        with self._lock:
            if self._closed or self._busy - len(self._threads) >= QUEUE_MAX:
                raise Busy
            self._busy += 1
            if self._busy > len(self._threads) < self._most:
                self._start_one()
        self._queue.put(job)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._engine.dispose()

    def _start_one(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}_{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        connection: Connection | None = None
        while (job := self._queue.get()) is not None:
            connection = self._run(connection, job)
            with self._lock:
                self._busy -= 1
        if connection is not None:
            with suppress(DBAPIError):
                connection.close()

    def _run(self, connection: Connection | None, job: Job) -> Connection | None:
        """Run one story; returns the connection for the next one."""
        if connection is None or connection.closed or connection.invalidated:
            try:
                connection = self._engine.connect()
            except Exception as error:
                _answer(job, None, error)
                return None
        if job.one_statement and self._dialect == "postgresql":
            _run_unlocked(connection, job)
        else:
            _run_alone(connection, self._dialect, job)
        return connection


def _run_alone(connection: Connection, dialect: str, job: Job) -> None:
    """One story in a transaction of its own, again after a lost race."""
    for tries_left in reversed(range(TRIES_MAX)):
        try:
            if dialect == "postgresql":
                _set_autocommit(connection, False)
            with connection.begin() as transaction:
                tx = Transaction(connection, dialect)
                try:
                    result = job.story(tx)
                finally:
                    tx.close()
                if job.alone:
                    transaction.rollback()
            _answer(job, result, None)
            return
        except Exception as error:
            _forget_if_broken(connection, error)
            if not (isinstance(error, LostRace) or was_sent_back(error)):
                _answer(job, None, error)
                return
            if not tries_left:
                log.warning("gave_up", cause=str(error))
                _answer(job, None, Busy())
                return


def _run_unlocked(connection: Connection, job: Job) -> None:
    """On PostgreSQL: one read and one guarded statement, each its own transaction, so two round trips in all."""
    try:
        _set_autocommit(connection, True)
        for tries_left in reversed(range(TRIES_MAX)):
            tx = Transaction(connection, "postgresql")
            try:
                result = job.story(tx)
            except LostRace as race:
                if not tries_left:
                    log.warning("gave_up", cause=str(race))
                    _answer(job, None, Busy())
                    return
            else:
                _answer(job, result, None)
                return
            finally:
                tx.close()  # a session that read has begun a transaction of its own
    except Exception as error:
        _forget_if_broken(connection, error)
        _answer(job, None, error)


def _set_autocommit(connection: Connection, wanted: bool) -> None:
    """Whether statements stand alone on this connection; it stays so until work of the other kind comes."""
    driver: Any = connection.connection.driver_connection
    if driver.autocommit is not wanted:
        driver.autocommit = wanted


def _forget_if_broken(connection: Connection, error: Exception) -> None:
    driver = connection.connection.driver_connection if not connection.invalidated else None
    if getattr(driver, "closed", False) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        connection.invalidate()


def _answer(job: Job, result: Any, error: BaseException | None) -> None:
    if job.answer.cancelled():
        return
    if error is not None and is_away(error):
        log.error("database_failed", exc_info=error)
        error = Busy()
    with suppress(InvalidStateError):  # cancelled since we looked; this thread has more to do
        if error is not None:
            job.answer.set_exception(error)
        else:
            job.answer.set_result(result)
