"""A plan: everything one story will write, in one value, and the statements that write it.

Stories decide first and write last: they fill a `Plan` and the runner applies it. So a refusal leaves nothing, a dry
run is a plan that nobody applies, a lost race is the same story run again, and a batch of stories is a list of plans.
How it is written stands in `statements.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import SQLModel

from service.domain.errors import Kind, Refusal
from service.domain.transcript import Disclosure, Entry
from service.store import tables

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
