"""The rule book: files, versions, acts, what rules did and which of them were turned down."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Integer, LargeBinary
from sqlmodel import Field, SQLModel

from service.domain.rule_version import ACTS, RULE_VERSION
from service.store.columns import count, index_where, json_text, key, moment, one_of, rule, unique_where


class RuleFiles(SQLModel, table=True):
    """The files of a rule book under their fingerprint: a JSON object of names and contents, deflated."""

    __tablename__ = "rule_files"
    id: str = key(64)  # sha256
    deflated: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class RuleVersion(SQLModel, table=True):
    """A version of the rule book that somebody drafted; its files never change."""

    __tablename__ = "rule_version"
    __table_args__ = (
        one_of("state", RULE_VERSION.states),
        rule("published_by_a_second_person", "(state = 'published') = (publisher_id IS NOT NULL)"),
        rule("two_people", "publisher_id IS NULL OR publisher_id <> author_id"),
        unique_where("uq_rule_version_published", "book_id", "book_version", where="state = 'published'"),
    )
    id: str = key()
    book_id: str = Field(max_length=64)
    book_version: int = count(1)
    sha256: str = Field(max_length=64)
    state: str = Field(max_length=16)
    note: str = Field(max_length=200)  # what it is for, in the author's words
    author_id: str = Field(max_length=64)
    publisher_id: str | None = Field(default=None, max_length=64)
    checked: Any = json_text()  # what the last check found
    replayed: Any = json_text()  # what the last replay found
    created_at: datetime = moment()
    published_at: datetime | None = moment(null=True)


class RuleAct(SQLModel, table=True):
    """Who did what to the rules, without gaps and append-only; the last publication is what is in force."""

    __tablename__ = "rule_act"
    __table_args__ = (
        one_of("kind", ACTS),
        index_where("ix_rule_act_in_force", "number", where="kind IN ('published', 'rolled_back')"),
    )
    number: int = Field(sa_column=Column(Integer, primary_key=True, nullable=False, autoincrement=False))
    at: datetime = moment()
    kind: str = Field(max_length=16)
    actor_id: str = Field(max_length=64)
    version_id: str | None = Field(default=None, max_length=36)  # null: the folder's book
    sha256: str | None = Field(default=None, max_length=64)
    rule_id: str | None = Field(default=None, max_length=96)
    facts: Any = json_text()


class RuleBreaker(SQLModel, table=True):
    """A rule that fell back to watch because it stopped far more than it used to, until a person arms it again."""

    __tablename__ = "rule_breaker"
    id: str = key(96)  # the rule
    tripped_at: datetime | None = moment(null=True)
    per_million: int = count()  # of the shops judged, those it stopped something in when it fell
    rearmed_at: datetime | None = moment(null=True)


class RuleTally(SQLModel, table=True):
    """How often a rule stopped something in one span of time; of the rule `*` how much was judged at all."""

    __tablename__ = "rule_tally"
    __table_args__ = (Index("ix_rule_tally_began_at", "began_at"),)
    id: str = key(120)  # <microseconds>|<rule>
    rule_id: str = Field(max_length=96)
    began_at: datetime = moment()
    stopped: int = count()
    shops: int = count()  # in which it stopped something: a shop counts once a process and span
    watched: int = count()  # findings of a rule that was only watched
