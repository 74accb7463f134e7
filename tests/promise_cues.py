"""Writes service/domain/promise_cues.py, the words that patterns need: `python -m tests.promise_cues`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from re import _constants as ops
from re import _parser
from types import ModuleType
from typing import Any
from unicodedata import east_asian_width

from service.domain import (
    promise_actions,
    promise_amount,
    promise_clauses,
    promise_scope,
    promise_segments,
    promise_spelling,
    promise_time,
    promise_tone,
    promise_wording,
)
from service.domain.promise_pattern import Cued

MODULES: tuple[ModuleType, ...] = (
    promise_actions,
    promise_amount,
    promise_clauses,
    promise_segments,
    promise_scope,
    promise_time,
    promise_tone,
    promise_wording,
)
WRITTEN = Path(str(promise_actions.__file__)).with_name("promise_cues.py")
LABELLED = Path(__file__).parent / "labelled_replies.jsonl"
WORD_COST = 0.5  # choice: few words, unless many are much rarer
LINE_WIDTH_MAX = 109
RUN_WORDS_MAX = 400  # choice: of a run with more spellings a shorter piece is taken
REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)
# Tried on whole texts, so that what they look ahead at is in what the cues were found in.
TEXT_WIDE = frozenset(["ACTION", "BARE", "INNOCENT", "MONEY", "QUOTED", "SHARE", "SIGNED", "TOKEN"])
Words = frozenset[str]


def patterns() -> dict[str, Cued]:
    """Every cued pattern of the reader by its name."""
    found: dict[str, Cued] = {}
    for module in MODULES:
        for pattern in vars(module).values():
            if isinstance(pattern, Cued):
                assert found.get(pattern.name, pattern) is pattern, f"two patterns are named {pattern.name}"
                found[pattern.name] = pattern
    return found


def spellings(op: Any, value: Any) -> Words | None:
    """Every text that a piece of a parsed pattern matches; None if they are many."""
    if op is ops.LITERAL:
        return frozenset(chr(value))
    if op is ops.IN:
        return spellings_of_set(value)
    if op is ops.BRANCH:
        return united(spellings_of_run(each) for each in value[1])
    if op is ops.SUBPATTERN:
        return spellings_of_run(value[3])
    if op in REPEATS and value[1] == 1:
        once = spellings_of_run(value[2])
        return None if once is None else once | {""} if value[0] == 0 else once
    return frozenset([""]) if op in (ops.ASSERT, ops.ASSERT_NOT, ops.AT) else None


def spellings_of_set(value: Any) -> Words | None:
    chars: set[str] = set()
    for op, each in value:
        if op is ops.LITERAL:
            chars.add(chr(each))
        elif op is ops.RANGE and each[1] - each[0] < 64:
            chars |= {chr(code) for code in range(each[0], each[1] + 1)}
        else:
            return None
    return frozenset(chars)


def united(parts: Iterable[Words | None]) -> Words | None:
    whole: set[str] = set()
    for part in parts:
        if part is None:
            return None
        whole |= part
    return frozenset(whole) if len(whole) <= RUN_WORDS_MAX else None


def spellings_of_run(parsed: Any) -> Words | None:
    runs = runs_of(parsed)
    return runs[0] if len(runs) == 1 and runs[0] is not None else None if runs else frozenset([""])


def runs_of(parsed: Any) -> list[Words | None]:
    """The stretches of a parsed pattern that have few spellings; None for each piece between them."""
    runs: list[Words | None] = []
    for op, value in parsed:
        words = spellings(op, value)
        last = runs[-1] if runs else None
        if words is not None and last is not None and len(last) * len(words) <= RUN_WORDS_MAX:
            runs[-1] = frozenset(a + b for a, b in product(last, words))
        else:
            runs.append(words)
    return runs


def candidates(parsed: Any, *, ahead_too: bool) -> list[Words]:
    """Sets of words, each such that every match holds a word of it."""
    found = [run for run in runs_of(parsed) if run and "" not in run]
    for op, value in parsed:
        inner: Words | None = None
        if op is ops.BRANCH:
            inner = every(value[1], ahead_too=ahead_too)
        elif op is ops.SUBPATTERN:
            inner = best(value[3], ahead_too=ahead_too)
        elif op in REPEATS and value[0] > 0:
            inner = best(value[2], ahead_too=ahead_too)
        elif op is ops.ASSERT and value[0] == 1 and ahead_too:
            inner = best(value[1], ahead_too=ahead_too)
        if inner:
            found.append(inner)
    return found


def every(branches: Iterable[Any], *, ahead_too: bool) -> Words | None:
    """Words for all branches, for each those that add least; None if a branch has none."""
    choices = [candidates(branch, ahead_too=ahead_too) for branch in branches]
    if not all(choices):
        return None
    whole: Words = frozenset()
    for _ in range(2):  # the second time round what the others need anyhow costs nothing
        known, whole = whole, frozenset()
        for choice in choices:
            taken = known | whole
            whole |= min(choice, key=lambda words: weight(words - taken))
    return whole


def best(parsed: Any, *, ahead_too: bool) -> Words | None:
    """Of the candidates the one that ordinary replies hold least often."""
    return min(candidates(parsed, ahead_too=ahead_too), key=weight, default=None)


def weight(words: Words) -> float:
    return sum(SEEN.count(word) + WORD_COST for word in sorted(words))


def without_longer(words: Words) -> Words:
    """A word that holds another is found with it."""
    return frozenset(word for word in words if not any(other != word and other in word for other in words))


def cues_of(pattern: Cued) -> list[str]:
    """The words for a pattern; empty if it must always be tried."""
    parsed = _parser.parse(pattern.pattern, pattern.flags)
    return sorted(without_longer(best(parsed, ahead_too=pattern.name in TEXT_WIDE) or frozenset()))


def width(text: str) -> int:
    return sum(1 + (east_asian_width(char) in "WF") for char in text)


def wrapped(words: list[str]) -> list[str]:
    """The words as lines of a string literal, none wider than a line of code may be."""
    shown = json.dumps(" ".join(words), ensure_ascii=False)
    if '\\"' in shown:
        shown = "'" + shown[1:-1].replace('\\"', '"') + "'"
    if width(shown) <= LINE_WIDTH_MAX + 3:
        return [f"        {shown}"]
    lines, line = [], ""
    for word in words:
        shown = json.dumps(word, ensure_ascii=False)[1:-1]
        if line and width(f"{line} {shown}") > LINE_WIDTH_MAX:
            lines.append(f'        "{line} "')
            line = ""
        line = f"{line} {shown}" if line else shown
    return [*lines, f'        "{line}"']


def written() -> str:
    """The module as it must be."""
    lines = [
        '"""For each pattern words of which every match holds one; written by `python -m tests.promise_cues`."""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Final",
        "",
        "CUES: Final[dict[str, str]] = {",
    ]
    for name, pattern in sorted(patterns().items()):
        words = wrapped(cues_of(pattern))
        alone = f"    {json.dumps(name)}: ({words[0].strip()}),"
        lines += (
            [alone] if len(words) == 1 and width(alone) <= 120 else [f"    {json.dumps(name)}: (", *words, "    ),"]
        )
    return "\n".join([*lines, "}", ""])


# Clauses that do nothing, as they are written: most patterns are tried on those, and should not be.
SEEN = "\n".join(
    clause
    for line in LABELLED.read_text(encoding="utf-8").splitlines()
    for clause in re.split("[,。!?;… ]", promise_spelling.spell(json.loads(line)["reply"]).text)
    if promise_actions.ACTION.search(clause) is None
)

if __name__ == "__main__":
    WRITTEN.write_text(written(), encoding="utf-8")
