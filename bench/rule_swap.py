"""How long a request waits while a rule book is built in a child process, read, swapped in, and the old one freed."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bench.moderation import EVERYDAY, PLATFORM, RULES, generated_terms
from service.domain.matcher import has_fast
from service.domain.moderation import Channel, Context, moderate
from service.store.rule_archive import read_folder
from service.store.rule_versions import InForce
from service.store.rulepacks import load_rule_book
from service.store.rules_in_force import RulesInForce

HEADER: Final = (
    "| a swap with extra terms | matcher | swaps | from asking to in force s | longest wait ms |"
    " without any swap ms | 99.9 of 100 wait less than ms |\n|---|---|---|---|---|---|---|"
)
SWAPS: Final = 3
PAUSE_SECONDS: Final = 0.0005  # between two requests: one process is never all busy
QUIET_SECONDS: Final = 5.0


def rows(*, quick: bool) -> Iterator[str]:
    """Lines of the table."""
    yield HEADER
    yield "| aim | | | | ≤ 5 with [fast], ≤ 40 without | | |"
    for extra in (0,) if quick else (0, 100_000):
        yield _row(extra)


def _row(extra: int) -> str:
    book = load_rule_book(RULES)
    book.compile()
    rules = RulesInForce(book, RULES)
    gc.collect()
    gc.freeze()  # as the service does
    quiet = _waits(rules, until=_after(QUIET_SECONDS))
    took: list[float] = []
    swapping = threading.Thread(target=_swap, args=(rules, extra, took))
    swapping.start()
    waits = _waits(rules, until=lambda: not swapping.is_alive())
    matcher = "daachorse" if has_fast() else "pyahocorasick"
    return (
        f"| {extra:,} | {matcher} | {len(took)} | {max(took):.1f} | {waits[-1]:.1f} | {quiet[-1]:.1f} |"
        f" {waits[int(len(waits) * 0.999)]:.1f} |"
    )


def _swap(rules: RulesInForce, extra: int, took: list[float]) -> None:
    files = read_folder(RULES)
    if extra:
        files["packs/generated.yaml"] = _pack(generated_terms(extra))
    for number in range(1, SWAPS + 1):
        began = time.perf_counter()
        rules.follow(InForce(number, str(number), f"swap {number}", frozenset()), files)
        took.append(time.perf_counter() - began)
        rules.let_go()


def _pack(terms: Sequence[str]) -> str:
    return (
        "pack: generated\nversion: 1\ncategory: abuse\ndisguises: [noise, homophone]\nrules:\n"
        f"  - id: abuse.generated\n    mode: act\n    any: [{', '.join(terms)}]\n"
        "    reason: {zh: 测, en: bench}\n    source: bench\n"
        f"    examples:\n      hit: [{', '.join(terms[:3])}]\n      pass: [好的, 在的, 您好]\n"
    )


def _after(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


def _waits(rules: RulesInForce, *, until: Callable[[], bool]) -> list[float]:
    """How long each of many small requests took, in milliseconds, ascending."""
    chat, text, waits = Context(Channel.BUYER_CHAT, PLATFORM), EVERYDAY[:50], []
    while not until():
        began = time.perf_counter()
        moderate(text, rules().for_platform(PLATFORM), chat)
        waits.append((time.perf_counter() - began) * 1e3)
        time.sleep(PAUSE_SECONDS)
    return sorted(waits)
