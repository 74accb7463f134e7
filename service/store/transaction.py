"""One transaction as a story sees it: reads by rows or by the driver's own connection, one write of a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection
from sqlmodel import Session

from service.store.faults import is_race
from service.store.statements import apply_on_postgres, apply_on_sqlite, numbered_marks
from service.store.writes import LostRace, Plan

T = TypeVar("T")
Story = Callable[["Transaction"], T]


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
