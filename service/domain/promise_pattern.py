"""Patterns that are tried only where their letters stand: several times cheaper on ordinary text."""

from __future__ import annotations

import re
from functools import reduce
from operator import or_
from typing import Final

_CUES_OF: Final[dict[str, int]] = {}  # by letter, the bits of the patterns it stands in


class Cued:
    """A compiled pattern with a bit of its own: where the cues of a text lack the bit, it holds no match.

    Args:
        letters: every match holds one of them, the rarer the better (a test proves it from the pattern).
    """

    __slots__ = ("bit", "finditer", "flags", "fullmatch", "match", "pattern", "search", "sub")
    _count = 0

    def __init__(self, letters: str, pattern: str, flags: int = 0) -> None:
        compiled = re.compile(pattern, flags)
        self.pattern, self.flags = pattern, flags
        self.search, self.match, self.fullmatch = compiled.search, compiled.match, compiled.fullmatch
        self.finditer, self.sub = compiled.finditer, compiled.sub
        self.bit: Final = 1 << Cued._count
        Cued._count += 1
        for letter in letters:
            _CUES_OF[letter] = _CUES_OF.get(letter, 0) | self.bit


def gated(first: str, pattern: str, *, letters: str, second: str = "", alone: str = "", flags: int = 0) -> Cued:
    """Compile a pattern behind a look ahead; it must find exactly what it would find without.

    Args:
        first, second, alone: as in `ahead` (a test computes them from the pattern and compares).
        pattern: never matches the empty text.
        letters: as in `Cued`.
    """
    return Cued(letters, f"{ahead(first, second, alone)}(?:{pattern})", flags)


def ahead(first: str, second: str = "", alone: str = "") -> str:
    """A look at the next character or two, to stand before a branch of a pattern.

    Args:
        first: every character that the branch can begin with, as in `gated`.
        second: if given, every character that can follow one of them.
        alone: characters that the branch can begin with whatever follows.
    """
    follows = f"[{re.escape(second)}]" if second else ""
    return f"(?=[{re.escape(first)}]{follows}{'|[' + re.escape(alone) + ']' if alone else ''})"


def cues_by_char(text: str) -> list[int]:
    """For each character the bits of the patterns it is a letter of; linear."""
    cues_of = _CUES_OF.get
    return [cues_of(char, 0) for char in text]


def together(cues: list[int]) -> int:
    """The bits of all the patterns that a stretch of characters may hold a match of; without a bit there is none."""
    return reduce(or_, cues, 0)
