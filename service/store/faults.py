"""What an error of the database means: somebody was faster, it sent one back, or it is away."""

from __future__ import annotations

from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError

# A broken unique rule or CHECK means that somebody was faster: the story runs again and sees what they wrote.
_RACES: Final = frozenset(
    {
        "SQLITE_CONSTRAINT_CHECK",
        "SQLITE_CONSTRAINT_PRIMARYKEY",
        "SQLITE_CONSTRAINT_TRIGGER",
        "SQLITE_CONSTRAINT_UNIQUE",
        "UniqueViolation",
        "CheckViolation",
        "SerializationFailure",
        "DeadlockDetected",
        "LockNotAvailable",
    }
)
# Two who wait for each other: one of them is sent back, whatever it was doing.
_SENT_BACK: Final = frozenset({"SerializationFailure", "DeadlockDetected", "LockNotAvailable"})
# The disk is full or broken, or the file is held; everything else SQLite says is our bug, as a reader that writes.
_AWAY: Final = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_CANTOPEN")


def is_race(error: BaseException) -> bool:
    """Somebody changed what this write was to change."""
    return _name(error) in _RACES


def was_sent_back(error: BaseException) -> bool:
    """The database ended this transaction to let another one through."""
    return _name(error) in _SENT_BACK


def is_away(error: BaseException) -> bool:
    """The database cannot be reached, or cannot keep what it is told: nothing is wrong with the story."""
    cause = _cause(error)
    name = getattr(cause, "sqlite_errorname", None)
    return str(name).startswith(_AWAY) if name is not None else isinstance(cause, psycopg.OperationalError)


def _cause(error: BaseException) -> BaseException:
    """The driver's own error."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _name(error: BaseException) -> str:
    cause = _cause(error)
    return str(getattr(cause, "sqlite_errorname", type(cause).__name__))
