"""One way to run a story on either database: SQLite with one writer thread, PostgreSQL with several workers.

A story is a plain function of a `Transaction`; the edge hands it over and awaits the future. On SQLite the writer
drains its queue and commits once per batch (group commit), answering after the commit; if the database refuses, the
batch is rolled back and each story is run alone. On PostgreSQL every worker thread owns a connection and runs one story
at a time. A lost race runs the story again, at most three times, then it is `busy`; so is a database that is away or
full, and the operator is told.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import psycopg
import structlog
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, SQLModel

from service.store import tables as tables  # registers the tables with the metadata
from service.store.faults import is_away, is_race, was_sent_back
from service.store.statements import apply_on_postgres, apply_on_sqlite, numbered_marks
from service.store.triggers import create_triggers
from service.store.writes import Busy, LostRace, Plan

log = structlog.get_logger(__name__)

T = TypeVar("T")
Story = Callable[["Transaction"], T]

TRIES_MAX: Final = 3  # architecture.md: a lost race runs again, at most three times
GROUP_MAX: Final = 16  # stories per SQLite commit; evidence.md section 3: batches of 16
QUEUE_MAX: Final = 10_000  # stories waiting for the writer or a worker
SQLITE_BUSY_MS: Final = 5_000
STATEMENTS_MAX: Final = 256  # choice: prepared per connection; a plan's shape is one


class DatabaseHeld(Exception):
    """Another process has this SQLite file; only one may write it."""


class Transaction:
    """What a story may use while it runs: reads through `session` or `driver`, one `apply` at the end."""

    def __init__(self, connection: Connection, dialect: str, *, held: list[Plan] | None = None) -> None:
        """Begin.

        Args:
            held: where plans wait to be written together with those of other stories, instead of at once.
        """
        self._held = held
        self.connection = connection
        self.dialect = dialect
        driver: Any = connection.connection.driver_connection
        # A raw cursor sends `$1` marks as they stand; psycopg would look for its own in every long statement anew.
        self.driver: Any = psycopg.RawCursor(driver) if dialect == "postgresql" else driver
        self.wrote = False
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """A session for reading rows; nothing is ever flushed through it."""
        if self._session is None:
            self._session = Session(self.connection, autoflush=False, join_transaction_mode="rollback_only")
        return self._session

    def rows(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a handwritten read with `?` marks on the driver's own connection."""
        if self.dialect == "postgresql":
            statement = numbered_marks(statement)
        found: list[tuple[Any, ...]] = self.driver.execute(statement, parameters).fetchall()
        return found

    def execute(self, statement: str, parameters: Sequence[Any]) -> None:
        """Run a handwritten statement with `?` marks that is no part of a story (housekeeping, leases, counters)."""
        if self.dialect == "postgresql":
            statement = numbered_marks(statement)
        self.wrote = True
        self.driver.execute(statement, parameters)

    def apply(self, plans: Sequence[Plan]) -> None:
        """Write; raises LostRace if the world has moved."""
        if self._held is not None:
            self._held.extend(plans)
            return
        self.wrote = True
        try:
            (apply_on_postgres if self.dialect == "postgresql" else apply_on_sqlite)(self.driver, plans)
        except Exception as error:
            if is_race(error):
                raise LostRace(str(error)) from error
            raise
        if self._session is not None:
            self._session.expire_all()

    def close(self) -> None:
        """Forget the rows that were read."""
        if self._session is not None:
            self._session.close()
            self._session = None


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


class Database:
    """A database and the threads that may write it."""

    def __init__(self, url: str, *, workers: int = 8) -> None:
        """Open the database; creates nothing.

        Raises:
            DatabaseHeld: another process writes this SQLite file.
        """
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        self._lock_file: int | None = None
        if self.dialect == "sqlite":
            self._lock_file = hold(self.url.database)
        self.engine = make_engine(url, pool_size=workers)
        self._backend: _Writer | _Workers = (
            _Writer(self.engine) if self.dialect == "sqlite" else _Workers(self.engine, workers)
        )
        readers = 2 if self.dialect == "sqlite" else workers
        self._readers = _Workers(make_engine(url, pool_size=readers, read_only=True), readers, read_only=True)

    def queue(self, story: Story[Any], answer: Answer, *, alone: bool = False, one_statement: bool = False) -> None:
        """Queue a story that may write; its answer goes to `answer`."""
        self._backend.submit(Job(story, answer, alone=alone, one_statement=one_statement))

    def queue_read(self, story: Story[Any], answer: Answer) -> None:
        """Queue a story that only reads."""
        self._readers.submit(Job(story, answer))

    def submit(self, story: Story[T], *, alone: bool = False, one_statement: bool = False) -> Future[T]:
        """Queue a story that may write."""
        future: Future[T] = Future()
        self.queue(story, future, alone=alone, one_statement=one_statement)
        return future

    def run(self, story: Story[T], *, alone: bool = False, one_statement: bool = False) -> T:
        """Run a story that may write, and wait for it."""
        return self.submit(story, alone=alone, one_statement=one_statement).result()

    def submit_read(self, story: Story[T]) -> Future[T]:
        """Queue a story that only reads."""
        future: Future[T] = Future()
        self.queue_read(story, future)
        return future

    def read(self, story: Story[T]) -> T:
        """Run a story that only reads, and wait for it."""
        return self.submit_read(story).result()

    @property
    def waiting(self) -> int:
        """Stories in the queue, for the metrics."""
        return self._backend.waiting

    def close(self) -> None:
        """Finish what is queued, then let go."""
        self._backend.close()
        self._readers.close()
        self.engine.dispose()
        let_go(self._lock_file)
        self._lock_file = None


def make_engine(url: str, *, pool_size: int = 1, read_only: bool = False) -> Engine:
    """An engine with the settings that were measured (stack.md, Database facts)."""
    if make_url(url).get_backend_name() != "sqlite":
        engine = create_engine(url, pool_size=pool_size, max_overflow=0, pool_pre_ping=False, hide_parameters=True)

        @event.listens_for(engine, "connect")
        def _one_kind_of_int(connection: Any, _: Any) -> None:
            # psycopg picks a type by the size of each number, and a statement is prepared once per mix of types
            connection.adapters.register_dumper(int, Int8Dumper)
            connection.prepared_max = STATEMENTS_MAX

        return engine
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,  # an error in the log says the statement, not somebody's words
        connect_args={"check_same_thread": False, "isolation_level": None, "cached_statements": 512},
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: Any) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"busy_timeout={SQLITE_BUSY_MS}",
            "foreign_keys=ON",
            "recursive_triggers=ON",  # INSERT OR REPLACE must meet the delete triggers of the transcript
            f"query_only={'ON' if read_only else 'OFF'}",
            "wal_autocheckpoint=" + ("0" if read_only else "1000"),
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def create_schema(engine: Engine) -> None:
    """Make all tables and triggers at once; migrations must give the same (tests/test_schema.py)."""
    with engine.begin() as connection:
        SQLModel.metadata.create_all(connection)
        create_triggers(connection)


def hold(database: str | None) -> int | None:
    """Take the lock beside the file; the operating system lets go when the process dies."""
    if not database or database == ":memory:":
        return None
    Path(database).parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(f"{database}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise DatabaseHeld(database) from error
    return handle


def let_go(lock: int | None) -> None:
    """Release what `hold` took."""
    if lock is not None:
        os.close(lock)


class _Writer:
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
        transaction = connection.begin()
        try:
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
            with suppress(DBAPIError):
                transaction.rollback()
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


class _Workers:
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
    if error is not None:
        job.answer.set_exception(error)
    else:
        job.answer.set_result(result)
