"""The versions of the rule book in the database: what is in force, what was drafted, who did what."""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlmodel import Session, col, select

from service.store.engine import Transaction
from service.store.rule_archive import inflated
from service.store.tables import RuleAct, RuleBreaker, RuleFiles, RuleVersion

TRIPPED_MAX: Final = 1_000  # rules out of force at once

# One descent of the primary key: numbers have no gaps, so the last one tells whether anything has happened.
LAST_ACT: Final = "SELECT coalesce(max(number), 0) FROM rule_act"
IN_FORCE: Final = """
SELECT number, version_id, sha256 FROM rule_act
WHERE kind IN ('published', 'rolled_back') ORDER BY number DESC LIMIT 1
"""
TRIPPED: Final = "SELECT id FROM rule_breaker WHERE tripped_at IS NOT NULL ORDER BY id LIMIT ?"


class InForce(NamedTuple):
    """What the database says is in force. `version_id` None: the book of the folder."""

    last_act: int
    version_id: str | None
    sha256: str | None
    tripped: frozenset[str]


def last_act(tx: Transaction) -> int:
    """The number of the last act, 0 before the first."""
    return int(tx.rows(LAST_ACT, ())[0][0])


def in_force(tx: Transaction) -> InForce:
    """The version in force and the rules that fell back to watch."""
    number = last_act(tx)
    found = tx.rows(IN_FORCE, ())
    _, version_id, sha256 = found[0] if found else (0, None, None)
    tripped = frozenset(row[0] for row in tx.rows(TRIPPED, (TRIPPED_MAX,)))
    return InForce(number, version_id, None if version_id is None else sha256, tripped)


def version(session: Session, version_id: str) -> RuleVersion | None:
    """A version, without its files."""
    return session.get(RuleVersion, version_id)


def files_of(session: Session, sha256: str) -> dict[str, str]:
    """The files of a version.

    Raises:
        BadPack: the row does not hold a rule book.
    """
    row = session.get(RuleFiles, sha256)
    assert row is not None, "files are written with the first version that has them"
    return inflated(row.deflated)


def has_files(session: Session, sha256: str) -> bool:
    """Whether these very files are kept already."""
    return session.exec(select(RuleFiles.id).where(RuleFiles.id == sha256)).first() is not None


def newest_published(session: Session, book_id: str) -> int:
    """The highest version of this book that was ever published; 0 if none was."""
    found = session.exec(
        select(RuleVersion.book_version)
        .where(RuleVersion.book_id == book_id, RuleVersion.state == "published")
        .order_by(col(RuleVersion.book_version).desc())
        .limit(1)
    ).first()
    return found or 0


def act_in_force(session: Session) -> RuleAct | None:
    """The act that brought into force what is in force; None: nothing was ever published."""
    kinds = col(RuleAct.kind).in_(("published", "rolled_back"))
    return session.exec(select(RuleAct).where(kinds).order_by(col(RuleAct.number).desc()).limit(1)).first()


def versions_before(session: Session, before: str | None, *, limit: int) -> list[RuleVersion]:
    """Newest first."""
    statement = select(RuleVersion).order_by(col(RuleVersion.id).desc()).limit(limit)
    if before is not None:
        statement = statement.where(RuleVersion.id < before)
    return list(session.exec(statement))


def acts_before(session: Session, before: int | None, *, limit: int) -> list[RuleAct]:
    """Newest first."""
    statement = select(RuleAct).order_by(col(RuleAct.number).desc()).limit(limit)
    if before is not None:
        statement = statement.where(RuleAct.number < before)
    return list(session.exec(statement))


def breaker(session: Session, rule_id: str) -> RuleBreaker | None:
    """The breaker of a rule that ever fell back."""
    return session.get(RuleBreaker, rule_id)


def breakers(session: Session) -> list[RuleBreaker]:
    """Every breaker that ever tripped."""
    return list(session.exec(select(RuleBreaker).order_by(col(RuleBreaker.id)).limit(TRIPPED_MAX)))
