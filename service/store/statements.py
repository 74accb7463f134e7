"""The statements that write plans, made once per shape (table, operation, columns), on the driver's own connection.

The ORM's unit of work costs five times as much on the path of a reply (performance.md section 3). On PostgreSQL a plan
becomes ONE statement, a chain of data-modifying CTEs behind the update of the dispute that is guarded by `version`: one
round trip, and a lost race writes nothing. Where the order of writes matters (a table both updated and filled) and for
batches it becomes one statement per table, its rows in one JSON parameter.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Boolean, LargeBinary, Table, UniqueConstraint
from sqlalchemy.types import BigInteger, Integer, TypeEngine
from sqlmodel import SQLModel

from service.domain.transcript import micros
from service.store import tables
from service.store.columns import Instant, JsonText
from service.store.writes import Head, LostRace, Plan, Row


class DriverConnection(Protocol):
    """What sqlite3 and psycopg connections have in common."""

    def execute(self, statement: Any, parameters: Any = ..., /) -> Any:
        """Run one statement."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One table, one operation, one set of columns; the last columns of an update are its keys.

    `operation`: insert, put (insert, or replace by id), update, add (to counters), guard (the dispute's own update,
    whose key `seen` is the version that the plan has seen). Made by `shape_of` alone: equal ones are the same object.
    """

    table: type[SQLModel]
    operation: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """The table's name in the database."""
        return _table(self.table).name

    @property
    def inserts(self) -> bool:
        """New rows, not changes of old ones."""
        return self.operation in ("insert", "put")


@lru_cache(maxsize=4096)
def shape_of(table: type[SQLModel], operation: str, columns: tuple[str, ...]) -> Shape:
    """The one shape of these."""
    return Shape(table, operation, columns)


# --- from plans to shapes -------------------------------------------------------------------------------------------

Group = tuple[Shape, list[list[Any]]]  # driver values in the order of the shape's columns


def groups_of(plans: Sequence[Plan]) -> list[Group]:
    """All rows by shape, in the order they must be written: dispute, other updates, then inserts parents first."""
    groups: dict[tuple[type[SQLModel], str, tuple[str, ...]], list[Row]] = {}

    def add(model: type[SQLModel], operation: str, row: Row) -> None:
        groups.setdefault((model, operation, tuple(row)), []).append(row)

    for plan in plans:
        head = plan.head
        if head is not None and not head.is_new:
            add(tables.Dispute, "guard", _sorted(_head_row(head)) | {"id": head.dispute_id, "seen": head.version})
    for model, rows in _merged([plan.updates for plan in plans]):
        for key in sorted(rows):  # one lock order for everybody
            add(model, "update", _sorted(rows[key]) | {"id": key})
    for model, rows in _merged([plan.increments for plan in plans], add=True):
        for key in sorted(rows):
            add(model, "add", _sorted(rows[key]) | {"id": key})
    for model, news in sorted(_new_rows(plans).items(), key=lambda each: _rank(each[0])):
        for operation, row in news:
            add(model, operation, row)
    return [(shape, _driver_values(shape, rows)) for key, rows in groups.items() for shape in (shape_of(*key),)]


def _new_rows(plans: Sequence[Plan]) -> dict[type[SQLModel], list[tuple[str, Row]]]:
    """By table, with the operation that writes each."""
    news: dict[type[SQLModel], list[tuple[str, Row]]] = {}
    for model, rows in _merged([plan.puts for plan in plans]):
        news[model] = [("put", {"id": key} | _sorted(rows[key])) for key in sorted(rows)]
    for plan in plans:
        for model, inserted in plan.inserts.items():
            news.setdefault(model, []).extend(("insert", _with_head(plan, model, row)) for row in inserted)
    return news


def _sorted(row: Row) -> Row:
    """One order of columns for everybody, so that shapes repeat."""
    return dict(sorted(row.items()))


def _merged(
    all_rows: Sequence[dict[type[SQLModel], dict[str, Row]]], *, add: bool = False
) -> list[tuple[type[SQLModel], dict[str, Row]]]:
    """Changes of the same row by several plans become one: counters are summed, columns take the last value."""
    if len(all_rows) == 1:
        return sorted(all_rows[0].items(), key=lambda item: _rank(item[0]))
    by_table: dict[type[SQLModel], dict[str, Row]] = {}
    for of_plan in all_rows:
        for model, rows in of_plan.items():
            merged = by_table.setdefault(model, {})
            for key, row in rows.items():
                known = merged.get(key)
                if known is None:
                    merged[key] = dict(row)
                elif add:
                    for column, delta in row.items():
                        known[column] = int(str(known.get(column, 0))) + int(str(delta))
                else:
                    known.update(row)
    return sorted(by_table.items(), key=lambda item: _rank(item[0]))


def _with_head(plan: Plan, model: type[SQLModel], row: Row) -> Row:
    """A dispute that opens is written with the end of the transcript that its own plan gives it."""
    if model is tables.Dispute and plan.head is not None and plan.head.is_new:
        return {**row, **_head_row(plan.head), "version": 1}
    return row


def _head_row(head: Head) -> Row:
    return {
        **head.changes,
        "last_seq": head.seq,
        "last_hash": head.hash,
        "last_event_seq": head.event_seq,
        "version": head.version + 1,
    }


@lru_cache(maxsize=256)
def _rank(model: type[SQLModel]) -> int:
    """Parents before children, by foreign keys."""
    return SQLModel.metadata.sorted_tables.index(_table(model))


# --- from values to what drivers take -------------------------------------------------------------------------------


def _driver_values(shape: Shape, rows: list[Row]) -> list[list[Any]]:
    """Instants as microseconds, JSON as text, everything else as it is."""
    values = [list(row.values()) for row in rows]
    for index, convert in _conversions(shape):
        for row in values:
            if row[index] is not None:
                row[index] = convert(row[index])
    return values


@lru_cache(maxsize=1024)
def _conversions(shape: Shape) -> tuple[tuple[int, Callable[[Any], Any]], ...]:
    converters = [_converter(kind) for kind in _column_types(shape)]
    return tuple((index, convert) for index, convert in enumerate(converters) if convert is not None)


def _converter(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    if isinstance(kind, Instant):
        return micros
    return JsonText.dumps if isinstance(kind, JsonText) else None


def _column_types(shape: Shape) -> list[TypeEngine[Any]]:
    columns = _table(shape.table).c
    return [columns["version" if column == "seen" else column].type for column in shape.columns]


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]  # SQLModel's metaclass sets it
    return table


ROWS_MAX: Final = 64  # choice: new rows in one statement on SQLite; each count is a statement of its own

# --- statement texts ------------------------------------------------------------------------------------------------

_KEYS: Final = {"update": 1, "add": 1, "guard": 2}  # how many of the last columns are keys


def _assignments(shape: Shape, source: Callable[[str], str]) -> str:
    before = f"{shape.name}." if shape.operation == "add" else None
    return ", ".join(
        f"{c} = {before}{c} + {source(c)}" if before else f"{c} = {source(c)}"
        for c in shape.columns[: -_KEYS[shape.operation]]
    )


def _on_conflict(shape: Shape) -> str:
    if shape.operation != "put":
        return ""
    sets = ", ".join(f"{c} = excluded.{c}" for c in shape.columns if c != "id")
    return f" ON CONFLICT (id) DO UPDATE SET {sets}"


@lru_cache(maxsize=4096)
def sqlite_statement(shape: Shape, count: int = 1) -> str:
    """One row, or `count` new ones."""
    if shape.inserts:
        marks = ", ".join([f"({', '.join('?' for _ in shape.columns)})"] * count)
        return f"INSERT INTO {shape.name} ({', '.join(shape.columns)}) VALUES {marks}{_on_conflict(shape)}"
    guard = " AND version = ?" if shape.operation == "guard" else ""
    return f"UPDATE {shape.name} SET {_assignments(shape, lambda _: '?')} WHERE id = ?{guard}"


@lru_cache(maxsize=1024)
def postgres_batch_statement(shape: Shape) -> str:
    """Many rows, from one parameter: a JSON array of objects, bytes as hex."""
    kinds = _types(shape)
    declared = ", ".join(f"{c} {'text' if k == 'bytea' else k}" for c, k in zip(shape.columns, kinds, strict=True))
    source = {
        c: f"decode(v.{c}, 'hex')" if k == "bytea" else f"v.{c}" for c, k in zip(shape.columns, kinds, strict=True)
    }
    rows = f"json_to_recordset($1::json) AS v({declared})"
    if shape.inserts:
        select = f"SELECT {', '.join(source.values())} FROM {rows}"
        return f"INSERT INTO {shape.name} ({', '.join(shape.columns)}) {select}{_on_conflict(shape)}"
    guard = f" AND {shape.name}.version = v.seen" if shape.operation == "guard" else ""
    sets = _assignments(shape, source.__getitem__)
    return f"UPDATE {shape.name} SET {sets} FROM {rows} WHERE {shape.name}.id = v.id{guard}"


@lru_cache(maxsize=4096)
def postgres_chain(shapes: tuple[tuple[Shape, int], ...]) -> str:
    """One statement for a whole plan; every part hangs on the guarded update of the dispute, if there is one."""
    guarded = shapes[0][0].operation == "guard"
    parts, mark = [], itertools.count(1)
    for number, (shape, count) in enumerate(shapes):
        name, columns = shape.name, ", ".join(shape.columns)
        rows = ["(" + ", ".join(f"${next(mark)}::{kind}" for kind in _types(shape)) + ")" for _ in range(count)]
        values = f"(VALUES {', '.join(rows)}) AS v({columns})"
        behind = values + (", g" if guarded else "")
        if shape.inserts:
            parts.append(f"w{number} AS (INSERT INTO {name} ({columns}) SELECT v.* FROM {behind}{_on_conflict(shape)})")
            continue
        sets = _assignments(shape, lambda c: f"v.{c}")
        if shape.operation == "guard":
            where = f"{name}.id = v.id AND {name}.version = v.seen"
            parts.append(f"g AS (UPDATE {name} SET {sets} FROM {values} WHERE {where} RETURNING 1 AS one)")
        else:
            parts.append(f"w{number} AS (UPDATE {name} SET {sets} FROM {behind} WHERE {name}.id = v.id)")
    return "WITH " + ", ".join(parts) + (" SELECT count(*) FROM g" if guarded else " SELECT 1")


@lru_cache(maxsize=1024)
def numbered_marks(statement: str) -> str:
    """A handwritten statement with `?` marks as PostgreSQL numbers them: `$1`, `$2`, …"""
    first, *others = statement.split("?")
    return first + "".join(f"${number}{text}" for number, text in enumerate(others, 1))


@lru_cache(maxsize=1024)
def _types(shape: Shape) -> tuple[str, ...]:
    return tuple(_postgres_type(kind) for kind in _column_types(shape))


def _postgres_type(kind: TypeEngine[Any]) -> str:
    base = kind.impl if isinstance(kind, Instant | JsonText) else kind
    if isinstance(base, Boolean):
        return "boolean"
    if isinstance(base, LargeBinary):
        return "bytea"
    if isinstance(base, BigInteger):
        return "bigint"
    return "integer" if isinstance(base, Integer) else "text"


# --- writing --------------------------------------------------------------------------------------------------------


def apply_on_sqlite(connection: Any, plans: Sequence[Plan]) -> None:
    """Write the plans inside the transaction that is open on a sqlite3 connection.

    Raises:
        LostRace: a dispute is not at the version its plan has seen; the caller rolls back.
    """
    for shape, rows in groups_of(plans):
        if len(rows) == 1:
            changed = connection.execute(sqlite_statement(shape), rows[0]).rowcount
        elif shape.inserts and len(rows) <= ROWS_MAX:  # sqlite3 hands the interpreter over with every row of a many
            connection.execute(sqlite_statement(shape, len(rows)), [value for row in rows for value in row])
            continue
        else:
            changed = connection.executemany(sqlite_statement(shape), rows).rowcount
        if shape.operation == "guard" and changed != len(rows):
            raise LostRace


def apply_on_postgres(connection: DriverConnection, plans: Sequence[Plan]) -> None:
    """Write the plans in one statement where that is safe, else one statement per table.

    Raises:
        LostRace: a dispute is not at the version its plan has seen; with one statement nothing was written, with
            several the caller rolls back.
    """
    groups = groups_of(plans)
    if not groups:
        return
    if len(plans) == 1 and _order_is_free(groups):
        statement = postgres_chain(tuple((shape, len(rows)) for shape, rows in groups))
        values = [value for _, rows in groups for row in rows for value in row]
        if connection.execute(statement, values).fetchone()[0] != 1:
            raise LostRace
        return
    for shape, rows in groups:
        cursor = connection.execute(postgres_batch_statement(shape), (_as_json(shape, rows),))
        if shape.operation == "guard" and cursor.rowcount != len(rows):
            raise LostRace


def _as_json(shape: Shape, rows: list[list[Any]]) -> str:
    blobs = [index for index, kind in enumerate(_types(shape)) if kind == "bytea"]
    for row in rows:
        for index in blobs:
            if row[index] is not None:
                row[index] = row[index].hex()
    return msgspec.json.encode([dict(zip(shape.columns, row, strict=True)) for row in rows]).decode()


def _order_is_free(groups: Sequence[Group]) -> bool:
    """Parts of one statement run in no set order and see one snapshot: a table with a unique rule beyond its primary
    key must not be both updated and filled (a row that leaves a partial index may still stand in the new one's way)."""
    updated = {shape.table for shape, _ in groups if not shape.inserts}
    filled = {shape.table for shape, _ in groups if shape.inserts}
    return not any(_has_unique_rule(table) for table in updated & filled)


@lru_cache(maxsize=128)
def _has_unique_rule(model: type[SQLModel]) -> bool:
    table = _table(model)
    return any(index.unique for index in table.indexes) or any(
        isinstance(rule, UniqueConstraint) for rule in table.constraints
    )
