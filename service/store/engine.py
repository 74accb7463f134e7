"""One way to run a story on either database: SQLite with one writer thread, PostgreSQL with several workers.

A story is a plain function of a `Transaction`; whoever hands it over awaits its answer. On SQLite the writer drains its
queue and commits once per batch (group commit), answering after the commit; if the database refuses, the batch is
rolled back and each story is run alone. On PostgreSQL every worker thread owns a connection and runs one story at a
time. A lost race runs the story again, at most three times, then it is `busy`; so is a database that is away or full,
and the operator is told.
"""

from __future__ import annotations

import fcntl
import os
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeVar

from psycopg.types.numeric import Int8Dumper
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlmodel import SQLModel

from service.store import tables as tables  # registers the tables with the metadata
from service.store.threads import Answer, Job, Workers, Writer
from service.store.transaction import Story
from service.store.transaction import Transaction as Transaction
from service.store.triggers import create_triggers

T = TypeVar("T")

SQLITE_BUSY_MS: Final = 5_000
STATEMENTS_MAX: Final = 256  # choice: prepared per connection; a plan's shape is one


class DatabaseHeld(Exception):
    """Another process has this SQLite file; only one may write it."""


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
        self._backend: Writer | Workers = (
            Writer(self.engine) if self.dialect == "sqlite" else Workers(self.engine, workers)
        )
        readers = 2 if self.dialect == "sqlite" else workers
        self._readers = Workers(make_engine(url, pool_size=readers, read_only=True), readers, read_only=True)

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
