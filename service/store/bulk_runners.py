"""What runs the unit of bulk_judging.py over many messages: a pool of processes, DuckDB, or Daft where a cluster is."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from service.store.bulk_judging import PLATFORM, broken, read_book
from service.store.bulk_judging import book_of as book_of
from service.store.bulk_sources import BATCH_ROWS, COLUMNS, Source, parsed, whole_batch
from service.store.bulk_sources import Parquet as Parquet
from service.store.differing_rules import differing
from service.store.rule_replay import CHANNEL_DEFAULT, PastMessage, Replay, fired_by

AHEAD: Final = 2  # batches that wait for each worker: enough to keep it busy, few enough for constant memory
TOLD: Final = "told"  # the column that a runner adds
BETWEEN: Final = "|"  # what the book before says and what the one after says


class Books(NamedTuple):
    """The rules folders that are compared, and the rules in which they differ; only these are judged."""

    before: str
    after: str
    differing: frozenset[str]

    @property
    def folders(self) -> tuple[str, str]:
        """Both."""
        return self.before, self.after


class Part(NamedTuple):
    """What one batch gave."""

    replay: Replay
    bad_lines: int
    progress: int


def books_of(before: str, after: str) -> Books:
    """Two rules folders to be compared.

    Raises:
        BadPack: a file is not as it must be.
    """
    return Books(before, after, differing(read_book(before), read_book(after)))


def compare(content: Any, books: Books) -> tuple[Replay, int]:
    """One batch judged by both books; the few messages that differ are then looked at one by one, for their places.

    Args:
        content: a record batch of COLUMNS, or bytes of JSON Lines.

    Returns:
        the sums, and the number of bad lines.
    """
    batch, bad = parsed(content) if isinstance(content, bytes) else (content, 0)
    text, platform, channel, question = (batch.column(name) for name in COLUMNS)
    before, after = broken(text, platform, channel, question, books.folders, books.differing)
    return differences(batch, before, after, books), bad


def differences(batch: pa.RecordBatch, before: Any, after: Any, books: Books) -> Replay:
    """Sums over a batch from what both books say of it."""
    known = pc.and_(pc.is_valid(before), pc.is_valid(after))
    found = Replay(
        judged=_true(known),
        hit_before=_true(pc.and_(known, pc.not_equal(before, ""))),
        hit_after=_true(pc.and_(known, pc.not_equal(after, ""))),
    )
    found.skipped = batch.num_rows - found.judged
    books_read = [book_of(folder, books.differing) for folder in books.folders]
    for row in batch.filter(pc.and_(known, pc.not_equal(before, after))).to_pylist():
        message = PastMessage(
            row["text"] or "", row["platform"] or PLATFORM, row["channel"] or CHANNEL_DEFAULT, row["question"]
        )
        one = Replay()
        one.note(message.text, *(fired_by(message, book) for book in books_read))
        one.judged = one.hit_before = one.hit_after = 0
        found.add(one)
    return found


def _true(mask: Any) -> int:
    return int(pc.sum(mask).as_py() or 0)


def run_pool(source: Source, books: Books, *, workers: int) -> Iterator[Part]:
    """Processes that each keep both books (one: this process itself); parts come in the order of the batches."""
    if workers == 1:
        for batch in source.batches():
            yield Part(*compare(batch.content, books), batch.progress)
        return
    waiting: deque[tuple[Future[tuple[Replay, int]], int]] = deque()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_ready, initargs=(books,)) as pool:
        for batch in source.batches():
            waiting.append((pool.submit(compare, batch.content, books), batch.progress))
            if len(waiting) > workers * AHEAD:
                yield _part(waiting.popleft())
        while waiting:
            yield _part(waiting.popleft())


def _ready(books: Books) -> None:
    for folder in books.folders:
        book_of(folder, books.differing)
    gc.freeze()  # the books live as long as the process: no collection need walk them


def _part(done: tuple[Future[tuple[Replay, int]], int]) -> Part:
    found, bad = done[0].result()
    return Part(found, bad, done[1])


def run_duckdb(source: Parquet, books: Books, *, workers: int) -> Iterator[Part]:
    """DuckDB reads the Parquet file and calls the unit as an Arrow function of its own threads."""
    import duckdb

    connection: Any = duckdb.connect(config={"threads": workers, "memory_limit": "1GB"})
    connection.create_function(
        "broken_by_both", _unit(books), ["VARCHAR"] * len(COLUMNS), "VARCHAR", type="arrow", null_handling="special"
    )
    there = pq.read_schema(source.path).names
    columns = ", ".join(name if name in there else f"CAST(NULL AS VARCHAR) AS {name}" for name in COLUMNS)
    told = f"broken_by_both({', '.join(COLUMNS)}) AS {TOLD}"
    path = str(source.path).replace("'", "''")
    query = f"SELECT *, {told} FROM (SELECT {columns} FROM read_parquet('{path}'))"
    yield from _parts(connection.sql(query).to_arrow_reader(BATCH_ROWS), books)


def run_daft(source: Parquet, books: Books) -> Iterator[Part]:
    """Daft, on this machine or on the Ray cluster that its own settings name (DAFT_RUNNER, RAY_ADDRESS)."""
    import daft

    @daft.func.batch(return_dtype=daft.DataType.string())
    def told(text: daft.Series, platform: daft.Series, channel: daft.Series, question: daft.Series) -> Any:
        return _unit(books)(text.to_arrow(), platform.to_arrow(), channel.to_arrow(), question.to_arrow())

    frame = daft.read_parquet(str(source.path))
    missing = {name: daft.lit(None).cast(daft.DataType.string()) for name in COLUMNS if name not in frame.column_names}
    frame = frame.with_columns(missing).select(*COLUMNS) if missing else frame.select(*COLUMNS)
    columns = [daft.col(name) for name in COLUMNS]
    judged = frame.with_columns({TOLD: told(*columns)})
    yield from _parts(judged.to_arrow_iter(), books)


def _unit(books: Books) -> Callable[[Any, Any, Any, Any], Any]:
    """The unit of work by both books in one column, over whatever Arrow arrays a runner hands over."""

    def unit(texts: Any, platforms: Any, channels: Any, questions: Any) -> Any:
        columns = _plain(texts), _plain(platforms), _plain(channels), _plain(questions)
        before, after = broken(*columns, books.folders, books.differing)
        return pc.binary_join_element_wise(before, after, BETWEEN)

    return unit


def _plain(column: Any) -> Any:
    """One array of strings: runners hand over chunks, and strings with long offsets."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.cast(pa.string())


def _parts(batches: Any, books: Books) -> Iterator[Part]:
    for batch in batches:
        both = pc.split_pattern(batch.column(TOLD).cast(pa.string()), BETWEEN)
        before, after = (pc.list_element(both, place) for place in (0, 1))
        yield Part(differences(whole_batch(batch), before, after, books), 0, batch.num_rows)
