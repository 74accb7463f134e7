"""Past messages judged by two rule books: messages a second, by how many rules differ, start and reading included."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from bench.moderation import EVERYDAY, PLATFORM, RULES, SEED
from service.store.bulk_runners import Books, Parquet, run_duckdb, run_pool
from service.store.rule_archive import laid_out, read_folder
from service.store.rulepacks import RuleBook, load_rule_book

HEADER: Final = "| replay: rules that differ | runner | messages | messages a second | hit |\n|---|---|---|---|---|"
WORKERS: Final = 2
RED_EVERY: Final = 50  # messages: two in a hundred hold a red line


def rows(*, quick: bool) -> Iterator[str]:
    """Lines of the table."""
    yield HEADER
    yield f"| aim | {WORKERS} cores | | ≥ 300,000 | |"
    book = load_rule_book(RULES)
    every = sorted(rule.id for rule in book.rules)
    with TemporaryDirectory() as folder, laid_out(read_folder(RULES), RULES) as other:
        for ids in ([], every[:1], every[:: max(1, len(every) // 5)], every):
            count = (20_000 if quick else 1_000_000) // (10 if len(ids) == len(every) else 1)
            path = Path(folder) / "messages.parquet"
            pq.write_table(pa.table({"text": _messages(book, count)}), path)
            books = Books(str(RULES), str(other), frozenset(ids))
            for runner in (run_duckdb, run_pool):
                source = Parquet(path)
                began = time.perf_counter()
                judged = hit = 0
                for part in runner(source, books, workers=WORKERS):
                    judged += part.replay.judged
                    hit += part.replay.hit_after
                rate = judged / (time.perf_counter() - began)
                yield f"| {len(ids)} of {len(every)} | {runner.__name__[4:]} | {judged:,} | {rate:,.0f} | {hit:,} |"


def _messages(book: RuleBook, count: int) -> list[str]:
    """Everyday sentences as long as people write them, some with a red line."""
    rng = random.Random(SEED)
    red = [example.text for rule in book.rules for example in rule.hits if example.platform == PLATFORM]
    messages = []
    for number in range(count):
        begin, length = rng.randrange(len(EVERYDAY)), rng.choice((6, 10, 14, 18, 24, 30, 40, 60))
        messages.append((EVERYDAY * 2)[begin : begin + length])
        if number % RED_EVERY == 0:
            messages[-1] += "，" + rng.choice(red)
    return messages
