"""Reading a reply's promises against two parsers of times and sums on the same replies (promises.md section 4)."""

from __future__ import annotations

import importlib
import json
import random
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

from service.domain.promise_text import extract

LABELLED = Path(__file__).resolve().parent.parent / "tests" / "labelled_replies.jsonl"
SAID_AT = datetime.fromisoformat("2025-11-25T10:00:00+08:00")
SEED = 20261125
LENGTHS = (20, 50, 200)  # characters, as issue 4 asks
SPREAD = 0.15  # a reply counts as of a length within this share of it
REPLIES = 200  # of each length
ROUNDS = 7  # each reply is read this often; its best time counts
SLOW_ROUNDS = 2  # for parsers that take milliseconds
WITHOUT_ACT = ("好的", "在的", "稍等", "收到", "您好", "嗯嗯", "谢谢", "知道了")
HEADER = (
    "| reader | without an act p50 µs | 20 characters p50 µs (p99) | 50 characters p50 µs (p99)"
    " | 200 characters p50 µs (p99) | 50 × ours |\n|---|---|---|---|---|---|"
)
AIM = "| aim | | | ≤ 100 | | |"
Asked = tuple[str, str | None]  # a reply and the question it answers


def replies_of(length: int) -> list[Asked]:
    """Labelled replies, joined where they are shorter, with the question of the first."""
    rows = [json.loads(line) for line in LABELLED.read_text(encoding="utf-8").splitlines()]
    chance = random.Random(SEED)
    found: list[Asked] = []
    while len(found) < REPLIES:
        row = chance.choice(rows)
        text = row["reply"]
        while len(text) < length * (1 - SPREAD):
            text += chance.choice("，。") + chance.choice(rows)["reply"]
        if len(text) <= length * (1 + SPREAD):
            found.append((text, row["question"]))
    return found


def microseconds(read: Callable[[str, str | None], Any], asked: list[Asked], rounds: int) -> list[float]:
    """The best CPU time of each reply, in order of size."""
    best = [float("inf")] * len(asked)
    for _ in range(rounds):
        for index, (reply, question) in enumerate(asked):
            started = time.process_time_ns()
            read(reply, question)
            best[index] = min(best[index], (time.process_time_ns() - started) / 1000)
    return sorted(best)


def ours(reply: str, question: str | None) -> object:
    return extract(reply, question, SAID_AT)


def with_jionlp() -> Callable[[str, str | None], object]:
    """Times and sums of a reply by jionlp; it judges neither act nor wording."""
    ner = importlib.import_module("jionlp").ner
    base = SAID_AT.timestamp()
    return lambda reply, question: (ner.extract_time(reply, time_base=base), ner.extract_money(reply))


def with_recognizers() -> Callable[[str, str | None], object]:
    """The same by recognizers-text."""
    times = importlib.import_module("recognizers_date_time").recognize_datetime
    sums = importlib.import_module("recognizers_number_with_unit").recognize_currency
    return lambda reply, question: (times(reply, "zh-cn", reference=SAID_AT), sums(reply, "zh-cn"))


def row(
    name: str, read: Callable[[str, str | None], object], sets: list[list[Asked]], rounds: int, floor: float
) -> tuple[str, float]:
    """A line of the table, and the p50 of 50 characters; `floor`: ours, 0 where this is ours."""
    cells, at_fifty = [], 0.0
    for length, asked in zip((0, *LENGTHS), sets, strict=True):
        spent = microseconds(read, asked, rounds)
        middle = statistics.median(spent)
        cells.append(f"{middle:,.0f}" + (f" ({spent[int(len(spent) * 0.99) - 1]:,.0f})" if length else ""))
        at_fifty = middle if length == 50 else at_fifty
    times = f"{at_fifty / floor:,.0f} ×" if floor else ""
    return f"| {name} | {' | '.join(cells)} | {times} |", at_fifty


def rows(*, quick: bool) -> Iterator[str]:
    """The table, ours first; a parser that is not installed has a note instead of a line."""
    sets: list[list[Asked]] = [[(text, None) for text in WITHOUT_ACT], *map(replies_of, LENGTHS)]
    if quick:
        sets = [asked[:20] for asked in sets]
    yield HEADER
    line, floor = row("ours: acts, wording, times, sums, canonical text", ours, sets, ROUNDS, 0.0)
    yield line
    for name, load in (("jionlp: times, sums", with_jionlp), ("recognizers-text: times, sums", with_recognizers)):
        try:
            with warnings.catch_warnings(), redirect_stdout(StringIO()):  # jionlp greets
                warnings.simplefilter("ignore")
                read = load()
        except ImportError as missing:
            yield f"| {name} | skipped: {missing}; `uv pip install --group compare` | | | | |"
            continue
        few = [asked[: len(asked) // 5 or 1] for asked in sets]
        yield row(name, read, few, SLOW_ROUNDS, floor)[0]
    yield AIM
