"""Patterns that are tried only where their words stand: several times cheaper on ordinary text."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import ahocorasick

from service.domain.promise_cues import CUES

_BITS_OF: Final[dict[str, int]] = {}  # by cue, the bits of the patterns it stands in


class Cued:
    """A compiled pattern with a bit of its own: where the cues of a text lack the bit, it holds no match.

    Args:
        name: under which `promise_cues.py` has the words of which every match holds one (a test proves it from the
            pattern); a pattern without words there is always tried.
    """

    __slots__ = ("bit", "finditer", "flags", "fullmatch", "match", "name", "pattern", "search", "sub")
    _count = 0
    always = 0

    def __init__(self, name: str, pattern: str, flags: int = 0) -> None:
        compiled = re.compile(pattern, flags)
        self.name, self.pattern, self.flags = name, pattern, flags
        self.search, self.match, self.fullmatch = compiled.search, compiled.match, compiled.fullmatch
        self.finditer, self.sub = compiled.finditer, compiled.sub
        self.bit: Final = 1 << Cued._count
        Cued._count += 1
        cues = CUES.get(name, "").split()
        for cue in cues:
            _BITS_OF[cue] = _BITS_OF.get(cue, 0) | self.bit
        if not cues:
            Cued.always |= self.bit


def gated(name: str, first: str, pattern: str, *, second: str = "", alone: str = "", flags: int = 0) -> Cued:
    """Compile a pattern behind a look ahead; it must find exactly what it would find without.

    Args:
        first, second, alone: as in `ahead` (a test computes them from the pattern and compares).
        pattern: never matches the empty text.
        name: as in `Cued`.
    """
    return Cued(name, f"{ahead(first, second, alone)}(?:{pattern})", flags)


def led(first: str, pattern: str) -> re.Pattern[str]:
    """Compile a pattern without cues behind a look ahead, as `gated` does."""
    return re.compile(f"{ahead(first)}(?:{pattern})")


def ahead(first: str, second: str = "", alone: str = "") -> str:
    """A look at the next character or two, to stand before a branch of a pattern.

    Args:
        first: every character that the branch can begin with, as in `gated`.
        second: if given, every character that can follow one of them.
        alone: characters that the branch can begin with whatever follows.
    """
    follows = f"[{re.escape(second)}]" if second else ""
    return f"(?=[{re.escape(first)}]{follows}{'|[' + re.escape(alone) + ']' if alone else ''})"


@cache
def _automaton() -> ahocorasick.Automaton:
    """All cues; made when the first text is read, when every pattern has been compiled."""
    automaton = ahocorasick.Automaton()
    for cue, bits in _BITS_OF.items():
        automaton.add_word(cue, bits)
    automaton.make_automaton()
    return automaton


class Cues:
    """The cues of a text: where each ends, and the bits of its patterns."""

    __slots__ = ("hits", "whole")

    def __init__(self, text: str) -> None:
        self.hits: list[tuple[int, int]] = list(_automaton().iter(text))
        whole = Cued.always
        for _, bits in self.hits:
            whole |= bits
        self.whole = whole
