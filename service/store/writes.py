"""A plan: everything one story will write, in one value, and the statements that write it.

Stories decide first and write last: they fill a `Plan` and the runner applies it. So a refusal leaves nothing, a dry
run is a plan that nobody applies, a lost race is the same story run again, and a batch of stories is a list of plans.
Statements are made once per shape (table, columns) and run on the driver's own connection: the ORM's unit of work costs
five times as much on the path of a reply (performance.md section 3).

On PostgreSQL a plan becomes ONE statement, a chain of data-modifying CTEs behind the update of the dispute that is
guarded by `version`: one round trip, and a lost race writes nothing. Where the order of writes matters (a table both
updated and filled) and for batches it becomes one statement per table instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Boolean, LargeBinary, Table, UniqueConstraint
from sqlalchemy.types import BigInteger, Integer, TypeEngine
from sqlmodel import SQLModel

from service.domain.errors import Kind, Refusal
from service.domain.transcript import Disclosure, Entry, micros
from service.store import tables
from service.store.tables import Instant, JsonText

Row = dict[str, object]


class LostRace(Exception):
    """Somebody else changed the dispute between our read and our write; nothing was written, run the story again."""


class Busy(Refusal):
    """Too much at once; nothing was written, try again."""

    kind = Kind.BUSY

    def __init__(self) -> None:
        super().__init__("busy", zh="系统繁忙,请稍后重试", en="Busy, try again", retry_after_seconds=1)


@dataclass(slots=True)
class Head:
    """The end of a dispute's transcript as this plan saw it and as it will leave it."""

    dispute_id: str
    version: int
    seq: int
    hash: bytes | None
    event_seq: int
    is_new: bool = False
    changes: Row = field(default_factory=dict)


@dataclass(slots=True)
class Plan:
    """The writes of one story about at most one dispute."""

    head: Head | None = None
    inserts: dict[type[SQLModel], list[Row]] = field(default_factory=dict)
    updates: dict[type[SQLModel], dict[str, Row]] = field(default_factory=dict)
    increments: dict[type[SQLModel], dict[str, Row]] = field(default_factory=dict)
    puts: dict[type[SQLModel], dict[str, Row]] = field(default_factory=dict)

    def insert(self, table: type[SQLModel], **row: object) -> None:
        """Add one row; columns left out take their defaults from the database."""
        self.inserts.setdefault(table, []).append(row)

    def update(self, table: type[SQLModel], key: str, **columns: object) -> None:
        """Set columns of the row with this primary key; later calls win."""
        self.updates.setdefault(table, {}).setdefault(key, {}).update(columns)

    def add(self, table: type[SQLModel], key: str, **deltas: int) -> None:
        """Add to counters of the row with this primary key, whatever they are by then."""
        row = self.increments.setdefault(table, {}).setdefault(key, {})
        for column, delta in deltas.items():
            row[column] = int(str(row.get(column, 0))) + delta

    def put(self, table: type[SQLModel], key: str, **row: object) -> None:
        """Add the row with this primary key, or overwrite the one that is there."""
        self.puts.setdefault(table, {})[key] = row

    def change(self, **columns: object) -> None:
        """Set columns of the dispute itself."""
        assert self.head is not None, "a plan without a dispute cannot change one"
        self.head.changes.update(columns)

    def append(self, entry: Entry, disclosures: Sequence[Disclosure]) -> None:
        """Append an entry to the transcript; the domain made it from this plan's head."""
        head = self.head
        assert head is not None, "an entry belongs to a dispute"
        assert entry.seq == head.seq + 1, "entries are appended in order"
        head.seq, head.hash = entry.seq, entry.hash
        self.insert(
            tables.TranscriptEntry,
            dispute_id=head.dispute_id,
            seq=entry.seq,
            at=entry.at,
            kind=entry.kind,
            body=entry.body,
            hash=entry.hash,
        )
        for position, disclosure in enumerate(disclosures):
            self.insert(
                tables.DisclosureRow,
                dispute_id=head.dispute_id,
                seq=entry.seq,
                position=position,
                name=disclosure.name,
                body=disclosure.body,
                digest=disclosure.digest,
            )

    def announce(self, event_type: str, *, at: datetime, topic: str = "event", payload: Row) -> None:
        """Queue an event (or a job for the gateway) behind this transaction, numbered per dispute."""
        head = self.head
        assert head is not None, "an event belongs to a dispute"
        head.event_seq += 1
        self.insert(
            tables.Outbox,
            dispute_id=head.dispute_id,
            sequence=head.event_seq,
            topic=topic,
            type=event_type,
            payload=payload,
            created_at=at,
            next_attempt_at=at,
        )

    @property
    def is_empty(self) -> bool:
        """Nothing would be written."""
        return not (self.inserts or self.updates or self.increments or self.puts or (self.head and self.head.changes))


class DriverConnection(Protocol):
    """What sqlite3 and psycopg connections have in common."""

    def execute(self, statement: Any, parameters: Any = ..., /) -> Any: ...


# --- shapes: one statement text per table, columns and dialect ------------------------------------------------------

Convert = Callable[[Any], Any]


def _as_text(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _as_micros(value: datetime | None) -> int | None:
    return None if value is None else micros(value)


def _converter(kind: TypeEngine[Any]) -> Convert:
    if isinstance(kind, Instant):
        return _as_micros
    if isinstance(kind, JsonText):
        return JsonText.dumps
    return _as_text


def _postgres_type(kind: TypeEngine[Any]) -> str:
    base = kind.impl if isinstance(kind, Instant | JsonText) else kind
    if isinstance(base, Boolean):
        return "boolean"
    if isinstance(base, LargeBinary):
        return "bytea"
    if isinstance(base, BigInteger):
        return "bigint"
    return "integer" if isinstance(base, Integer) else "text"


@dataclass(frozen=True, slots=True)
class _Shape:
    """One table, one operation, one set of columns."""

    table: type[SQLModel]
    operation: str  # insert, put (insert or replace by id), update, add, or guard (the dispute's own update)
    columns: tuple[str, ...]

    def values(self, rows: Iterable[Row]) -> Iterator[list[Any]]:
        """Driver values in the order of `columns`."""
        converters = _converters(self)
        for row in rows:
            yield [convert(row[column]) for convert, column in zip(converters, self.columns, strict=True)]


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]  # SQLModel's metaclass sets it
    return table


def _column_types(shape: _Shape) -> list[TypeEngine[Any]]:
    """The column `seen` of a guard holds the version that the plan has seen."""
    columns = _table(shape.table).c
    return [columns["version" if column == "seen" else column].type for column in shape.columns]


@lru_cache(maxsize=1024)
def _converters(shape: _Shape) -> tuple[Convert, ...]:
    return tuple(_converter(kind) for kind in _column_types(shape))


@lru_cache(maxsize=1024)
def _types(shape: _Shape) -> tuple[str, ...]:
    return tuple(_postgres_type(kind) for kind in _column_types(shape))


# The last columns of an update are its keys: (…, id) or, for the guarded dispute, (…, id, seen).
_KEYS = {"update": 1, "add": 1, "guard": 2}


def _assignments(shape: _Shape, *, source: str) -> str:
    name, settable = _table(shape.table).name, shape.columns[: -_KEYS[shape.operation]]
    before = f"{name}." if shape.operation == "add" else None
    return ", ".join(
        f"{c} = " + (f"{before}{c} + " if before else "") + (source if source == "?" else f"{source}{c}")
        for c in settable
    )


def _on_conflict(shape: _Shape) -> str:
    if shape.operation != "put":
        return ""
    sets = ", ".join(f"{c} = excluded.{c}" for c in shape.columns if c != "id")
    return f" ON CONFLICT (id) DO UPDATE SET {sets}"


@lru_cache(maxsize=1024)
def _sqlite_statement(shape: _Shape) -> str:
    name = _table(shape.table).name
    if shape.operation in ("insert", "put"):
        marks = ", ".join("?" for _ in shape.columns)
        return f"INSERT INTO {name} ({', '.join(shape.columns)}) VALUES ({marks}){_on_conflict(shape)}"
    guard = " AND version = ?" if shape.operation == "guard" else ""
    return f"UPDATE {name} SET {_assignments(shape, source='?')} WHERE id = ?{guard}"


@lru_cache(maxsize=1024)
def _postgres_batch_statement(shape: _Shape) -> str:
    """Many rows in one statement: one array per column."""
    name, columns = _table(shape.table).name, ", ".join(shape.columns)
    arrays = ", ".join(f"%s::{kind}[]" for kind in _types(shape))
    if shape.operation in ("insert", "put"):
        return f"INSERT INTO {name} ({columns}) SELECT * FROM unnest({arrays}){_on_conflict(shape)}"
    guard = f" AND {name}.version = v.seen" if shape.operation == "guard" else ""
    sets = _assignments(shape, source="v.")
    return f"UPDATE {name} SET {sets} FROM unnest({arrays}) AS v({columns}) WHERE {name}.id = v.id{guard}"


@lru_cache(maxsize=4096)
def _postgres_chain(shapes: tuple[tuple[_Shape, int], ...]) -> str:
    """One statement for a whole plan; every part hangs on the guarded update of the dispute, if there is one."""
    guarded = shapes[0][0].operation == "guard"
    parts = []
    for number, (shape, count) in enumerate(shapes):
        name, columns = _table(shape.table).name, ", ".join(shape.columns)
        row = "(" + ", ".join(f"%s::{kind}" for kind in _types(shape)) + ")"
        values = f"(VALUES {', '.join([row] * count)}) AS v({columns})"
        behind = values + (", g" if guarded else "")
        if shape.operation in ("insert", "put"):
            parts.append(f"w{number} AS (INSERT INTO {name} ({columns}) SELECT v.* FROM {behind}{_on_conflict(shape)})")
        elif shape.operation == "guard":
            sets = _assignments(shape, source="v.")
            where = f"{name}.id = v.id AND {name}.version = v.seen"
            parts.append(f"g AS (UPDATE {name} SET {sets} FROM {values} WHERE {where} RETURNING 1 AS one)")
        else:
            sets = _assignments(shape, source="v.")
            parts.append(f"w{number} AS (UPDATE {name} SET {sets} FROM {behind} WHERE {name}.id = v.id)")
    return "WITH " + ", ".join(parts) + (" SELECT count(*) FROM g" if guarded else " SELECT 1")


# --- from plans to shapes -------------------------------------------------------------------------------------------

_ORDER: dict[str, int] = {}


def _rank(model: type[SQLModel]) -> int:
    if not _ORDER:
        _ORDER.update({t.name: n for n, t in enumerate(SQLModel.metadata.sorted_tables)})
    return _ORDER[_table(model).name]


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


def _groups(plans: Sequence[Plan]) -> list[tuple[_Shape, list[Row]]]:
    """All rows by shape, in the order they must be written: dispute, other updates, then inserts parents first."""
    groups: dict[_Shape, list[Row]] = {}

    def put(model: type[SQLModel], operation: str, row: Row, keys: Row) -> None:
        columns = (*row, *keys)
        groups.setdefault(_Shape(model, operation, columns), []).append({**row, **keys})

    for plan in plans:
        head = plan.head
        if head is not None and not head.is_new:
            row = dict(sorted(_head_row(head).items()))
            put(tables.Dispute, "guard", row, {"id": head.dispute_id, "seen": head.version})
    for operation, pick in (("update", lambda p: p.updates), ("add", lambda p: p.increments)):
        for model, rows in _merged(plans, pick, add=operation == "add"):
            for key in sorted(rows):  # one lock order for everybody
                put(model, operation, dict(sorted(rows[key].items())), {"id": key})
    new: list[tuple[type[SQLModel], str, Row]] = []
    for model, rows in _merged(plans, lambda p: p.puts, add=False):
        new.extend((model, "put", {"id": key, **dict(sorted(rows[key].items()))}) for key in sorted(rows))
    for plan in plans:
        for model, inserted in plan.inserts.items():
            new.extend((model, "insert", _with_head(plan, model, row)) for row in inserted)
    for model, operation, row in sorted(new, key=lambda each: _rank(each[0])):
        put(model, operation, row, {})
    return list(groups.items())


def _merged(
    plans: Sequence[Plan], pick: Callable[[Plan], dict[type[SQLModel], dict[str, Row]]], *, add: bool
) -> Iterator[tuple[type[SQLModel], dict[str, Row]]]:
    """Updates of the same row by several plans become one: counters are summed, columns take the last value."""
    by_table: dict[type[SQLModel], dict[str, Row]] = {}
    for plan in plans:
        for model, rows in pick(plan).items():
            for key, row in rows.items():
                known = by_table.setdefault(model, {}).setdefault(key, {})
                for column, value in row.items():
                    known[column] = int(str(known.get(column, 0))) + int(str(value)) if add else value
    yield from sorted(by_table.items(), key=lambda item: _rank(item[0]))


def apply_on_sqlite(connection: DriverConnection, plans: Sequence[Plan]) -> None:
    """Write the plans inside the transaction that is open on `connection`.

    Raises:
        LostRace: a dispute is not at the version its plan has seen; the caller rolls back.
    """
    for shape, rows in _groups(plans):
        statement = _sqlite_statement(shape)
        for values in shape.values(rows):
            cursor = connection.execute(statement, values)
            if shape.operation == "guard" and cursor.rowcount != 1:
                raise LostRace


def apply_on_postgres(connection: DriverConnection, plans: Sequence[Plan]) -> None:
    """Write the plans in one statement where that is safe, else one statement per table.

    Raises:
        LostRace: a dispute is not at the version its plan has seen; with one statement nothing was written, with
            several the caller rolls back.
    """
    groups = _groups(plans)
    if not groups:
        return
    if len(plans) == 1 and _order_is_free(groups):
        statement = _postgres_chain(tuple((shape, len(rows)) for shape, rows in groups))
        values = [value for shape, rows in groups for row in shape.values(rows) for value in row]
        if connection.execute(statement, values).fetchone()[0] != 1:
            raise LostRace
        return
    for shape, rows in groups:
        columns = [list(column) for column in zip(*shape.values(rows), strict=True)]
        cursor = connection.execute(_postgres_batch_statement(shape), columns)
        if shape.operation == "guard" and cursor.rowcount != len(rows):
            raise LostRace


def _order_is_free(groups: Sequence[tuple[_Shape, list[Row]]]) -> bool:
    """Parts of one statement run in no set order and see one snapshot: a table with a unique rule beyond its primary
    key must not be both updated and filled (a row that leaves a partial index may still stand in the new one's way)."""
    updated = {shape.table for shape, _ in groups if shape.operation in ("update", "add", "guard")}
    filled = {shape.table for shape, _ in groups if shape.operation in ("insert", "put")}
    return not any(_has_unique_rule(table) for table in updated & filled)


@lru_cache(maxsize=128)
def _has_unique_rule(model: type[SQLModel]) -> bool:
    table = _table(model)
    return any(index.unique for index in table.indexes) or any(
        isinstance(rule, UniqueConstraint) for rule in table.constraints
    )
