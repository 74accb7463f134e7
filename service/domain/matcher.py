"""Finding all words of a lexicon in a text in one pass: the protocol, and the two libraries that can do it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Protocol

import ahocorasick

try:
    import daachorse
except ImportError:  # the extra [fast] is not installed
    daachorse = None  # type: ignore[assignment]  # a module that is not there

Hits = list[tuple[int, ...]]  # the last number of a hit is that of its term; what stands before is the matcher's own


Place = tuple[int, int, int]  # half-open in characters, and the term


class Matcher(Protocol):
    """Every occurrence of every term, overlapping ones too. Never changed once built; any thread may search."""

    def find(self, text: str) -> Hits:
        """What occurs, as cheaply as it can be told; the last number of each hit is the place of its term."""

    def places(self, text: str, hits: Hits) -> Iterable[Place]:
        """Where these hits stand, in their order, each with its term."""

    def __len__(self) -> int:
        """How many terms."""


class ByteMatcher:
    """pyahocorasick over UTF-8 read as latin-1: it looks for children in a list, and bytes keep that list short."""

    def __init__(self, terms: Sequence[str]) -> None:
        automaton = ahocorasick.Automaton(ahocorasick.STORE_INTS)
        for number, term in enumerate(terms):
            automaton.add_word(_as_bytes(term), number)
        automaton.make_automaton()
        self._automaton = automaton
        self._lengths = _compact([len(term) for term in terms])

    def __len__(self) -> int:
        return len(self._lengths)

    def find(self, text: str) -> Hits:
        return list(self._automaton.iter(_as_bytes(text))) if self._lengths else []

    def places(self, text: str, hits: Hits) -> Iterable[Place]:
        written = text.encode("utf-8", "surrogatepass")
        marks = [0, *(hit[0] + 1 for hit in hits)]  # bytes, ascending
        pieces = (len(written[begin:end].decode("utf-8", "surrogatepass")) for begin, end in pairwise(marks))
        lengths = self._lengths
        return [(end - lengths[term], end, term) for end, (_, term) in zip(accumulate(pieces), hits, strict=True)]


class FastMatcher:
    """daachorse, the extra [fast]: the same findings sooner; it searches characters and frees the interpreter lock."""

    def __init__(self, terms: Sequence[str]) -> None:
        self._count = len(terms)
        self._automaton = daachorse.CharwiseDoubleArrayAhoCorasick(list(terms)) if terms else None

    def __len__(self) -> int:
        return self._count

    def __reduce__(self) -> tuple[object, ...]:
        saved = self._automaton.serialize() if self._automaton is not None else b""
        return _fast_from, (self._count, saved)

    def find(self, text: str) -> Hits:
        hits: Hits = self._automaton.find_overlapping(text) if self._automaton is not None else []  # type: ignore[assignment]  # rows of three
        return hits

    def places(self, text: str, hits: Hits) -> Iterable[Place]:
        return hits  # type: ignore[return-value]  # they are what is asked for


def _fast_from(count: int, saved: bytes) -> FastMatcher:
    matcher = FastMatcher(())
    matcher._count = count
    matcher._automaton = daachorse.CharwiseDoubleArrayAhoCorasick.deserialize(saved) if saved else None
    return matcher


def new_matcher(terms: Iterable[str], *, fast: bool | None = None) -> Matcher:
    """A matcher for `terms`, each once and none empty; a term's number is its place among them.

    Args:
        fast: with daachorse or without; by default with it where it is installed.
    """
    ordered = list(terms)
    return FastMatcher(ordered) if (has_fast() if fast is None else fast) else ByteMatcher(ordered)


def has_fast() -> bool:
    """Whether the extra [fast] is installed."""
    return daachorse is not None


def _compact(lengths: list[int]) -> Sequence[int]:
    return bytes(lengths) if max(lengths, default=0) < 256 else tuple(lengths)


def _as_bytes(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")
