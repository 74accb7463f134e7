"""Past messages in bounded batches: from JSON Lines, from Parquet, from the service's own database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from service.domain.moderation import REPLY_CHARS_MAX
from service.store.engine import Transaction, make_engine
from service.store.past_messages import Questions, page_after
from service.store.rule_replay import PastMessage

BATCH_ROWS: Final = 65_536  # performance.md section 6
CHUNK_BYTES: Final = 8_000_000  # of JSON Lines handed to one worker
PAGE_ROWS: Final = 20_000  # of the database
LINE_BYTES_MAX: Final = 1_000_000  # as `intervention moderate`
COLUMNS: Final = ("text", "platform", "channel", "question")
SCHEMA: Final = pa.schema([(name, pa.string()) for name in COLUMNS])


class Batch(NamedTuple):
    """A piece of the work as it is handed to a worker, and how far it brings us (rows or bytes of `Source.whole`)."""

    content: Any  # a record batch, or bytes of JSON Lines
    progress: int


class Source(Protocol):
    """Where messages come from. `whole`: of the same unit as a batch's progress; 0 where nobody knows."""

    whole: int

    def batches(self) -> Iterator[Batch]:
        """Bounded pieces, in order."""


class JsonLines:
    """A file of lines as `intervention moderate` takes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.whole = path.stat().st_size

    def batches(self) -> Iterator[Batch]:
        """Whole lines, about CHUNK_BYTES at a time; a line that never ends is cut and then counted as bad."""
        with self.path.open("rb") as lines:
            while chunk := lines.read(CHUNK_BYTES):
                chunk += lines.readline(LINE_BYTES_MAX)
                yield Batch(chunk, len(chunk))


class Parquet:
    """A Parquet file with a column `text`, and where they are known `platform`, `channel`, `question`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = pq.ParquetFile(path)
        self.whole = self._file.metadata.num_rows
        if "text" not in self._file.schema_arrow.names:
            raise ValueError(f"{path}: no column text")

    def batches(self) -> Iterator[Batch]:
        """Record batches of the four columns."""
        names = [name for name in COLUMNS if name in self._file.schema_arrow.names]
        for batch in self._file.iter_batches(BATCH_ROWS, columns=names):
            yield Batch(whole_batch(batch), batch.num_rows)


class ServiceDatabase:
    """The merchants' messages of the service, oldest first, by pages of the primary key."""

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url, read_only=True)
        with self._engine.connect() as connection:
            self.whole = int(connection.exec_driver_sql("SELECT count(*) FROM message").scalar_one())

    def batches(self) -> Iterator[Batch]:
        """Record batches; a page is one short transaction."""
        questions, last = Questions(), ""
        while True:
            with self._engine.connect() as connection:
                rows = page_after(Transaction(connection, self._engine.dialect.name), last, limit=PAGE_ROWS)
            if not rows:
                self._engine.dispose()
                return
            last = rows[-1][0]
            yield Batch(batch_of(list(questions.read(rows))), len(rows))


def batch_of(messages: list[PastMessage]) -> pa.RecordBatch:
    """Messages as columns."""
    columns = [[getattr(message, name) for message in messages] for name in COLUMNS]
    return pa.record_batch([pa.array(column, type=pa.string()) for column in columns], schema=SCHEMA)


def whole_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The four columns as strings, those that are missing as nulls."""
    columns = [
        batch.column(name).cast(pa.string()) if name in batch.schema.names else pa.nulls(batch.num_rows, pa.string())
        for name in COLUMNS
    ]
    return pa.record_batch(columns, schema=SCHEMA)


class _Line(msgspec.Struct):
    text: str
    platform: str | None = None
    channel: str | None = None
    question: str | None = None


_LINE: Final = msgspec.json.Decoder(_Line)


def parsed(chunk: bytes) -> tuple[pa.RecordBatch, int]:
    """JSON Lines as columns, and how many lines were bad."""
    lines: list[_Line] = []
    bad = 0
    for line in chunk.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if not line.strip():
            continue
        try:
            read = _LINE.decode(line)
            read.text.encode("utf-8")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            bad += 1
            continue
        if max(len(read.text), len(read.question or "")) > REPLY_CHARS_MAX or len(line) > LINE_BYTES_MAX:
            bad += 1
            continue
        lines.append(read)
    columns = [[getattr(line, name) for line in lines] for name in COLUMNS]
    return pa.record_batch([pa.array(column, type=pa.string()) for column in columns], schema=SCHEMA), bad
