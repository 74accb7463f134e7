"""The columns that tables are made of: instants, money, counts, JSON, states with their CHECK, partial indexes.

Instants are whole microseconds since 1970 (UTC) in BIGINT columns on both engines, money is integer minor units, states
are text with a CHECK, JSON is text that no query looks into.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, CheckConstraint, Column, Dialect, Index, Integer, String, Text, text
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from service.domain.transcript import instant, micros

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else instant(value)


class JsonText(TypeDecorator[Any]):
    """A JSON value, stored as text; never queried into, so both engines hold the same."""

    impl = Text
    cache_ok = True

    @staticmethod
    def dumps(value: object) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        return self.dumps(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)


BigId = BigInteger().with_variant(Integer, "sqlite")


def one_of(column: str, values: Iterable[str], *, or_null: bool = False) -> CheckConstraint:
    """A CHECK that the column holds one of these words."""
    words = ", ".join(f"'{value}'" for value in values)
    null = f"{column} IS NULL OR " if or_null else ""
    return CheckConstraint(f"{null}{column} IN ({words})", name=column)


def rule(name: str, condition: str) -> CheckConstraint:
    """A CHECK named for what it keeps out."""
    return CheckConstraint(condition, name=name)


def unique_where(name: str, *columns: str, where: str) -> Index:
    """A partial unique index, the same on both engines."""
    return Index(name, *columns, unique=True, sqlite_where=text(where), postgresql_where=text(where))


def index_where(name: str, *columns: str, where: str) -> Index:
    """A partial index for an open queue or due rows, the same on both engines."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


def key(length: int = 36) -> Any:
    """A primary key of text (UUIDv7, or an outside system's id)."""
    return Field(sa_column=Column(String(length), primary_key=True, nullable=False))


def moment(*, null: bool = False) -> Any:
    """An instant."""
    return Field(default=None, sa_column=Column(Instant, nullable=null))


def fen(*, default: int | None = None, null: bool = False) -> Any:
    """Money in minor units."""
    server = None if default is None else str(default)
    return Field(default=default, sa_column=Column(BigInteger, nullable=null, server_default=server))


def count(default: int = 0) -> Any:
    """A small counter."""
    return Field(default=default, sa_column=Column(Integer, nullable=False, server_default=str(default)))


def flag(default: bool = False) -> Any:
    """A yes or no."""
    return Field(default=default, sa_column_kwargs={"server_default": text("true" if default else "false")})


def word(default: str, length: int) -> Any:
    """A short text that the database fills in when it is left out."""
    return Field(default=default, max_length=length, sa_column_kwargs={"server_default": default})


def json_text(*, null: bool = True) -> Any:
    """A JSON value."""
    return Field(default=None, sa_column=Column(JsonText, nullable=null))


def long_text(*, null: bool = False) -> Any:
    """Text without a length in the schema; the edge bounds it."""
    return Field(default=None, sa_column=Column(Text, nullable=null))
