"""A compiled rule book in parts, so that nobody waits long while it is read from another process, or freed."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterable, Mapping
from io import BytesIO
from itertools import chain
from typing import Any, Final, NamedTuple

from service.store.rulepacks import RuleBook

BYTES_AT_ONCE: Final = 50_000  # choice: read in a millisecond
PARTS_AT_ONCE: Final = 10  # choice: freed in a millisecond; a rule of many words takes some
PAUSE_SECONDS: Final = 0.002  # between two parts of a book: others have their turn
BOOK: Final = "book"
# Parts of a book that are carried over one by one: each holds the interpreter lock while it is read.
_PARTS: Final = frozenset(
    {
        *("Automaton", "ByteMatcher", "FastMatcher", "Terms", "_Namesakes", "Ear", "Lexicon"),
        *("FoldTable", "StandInTable", "Tracks", "PlainSigns", "Disguises"),
        *("Rule", "CompiledRule", "CompiledRules", "Start"),
    }
)
_WORDS_IN_A_PART: Final = 5_000  # of one list of words: some milliseconds
_SHARED: Final = frozenset({"SyllableTable", "CommonPairs"})  # everybody has them already


class Built(NamedTuple):
    """A compiled book, and its parts, each behind those that it holds; see `let_go`."""

    book: RuleBook
    parts: list[object]


def let_go(parts: list[object]) -> None:
    """Free what nobody else holds, in small steps: all at once it would hold the interpreter lock for long."""
    while parts:
        del parts[-PARTS_AT_ONCE:]
        time.sleep(PAUSE_SECONDS)


class _Joiner(pickle.Unpickler):
    def __init__(self, content: bytes, parts: Mapping[str, object]) -> None:
        super().__init__(BytesIO(content))
        self._parts = parts

    def persistent_load(self, pid: Any) -> Any:
        return self._parts[pid]


def joined(parts: Iterable[tuple[str, bytes]], shared: Mapping[str, object]) -> Built:
    """The book again; what comes from our own child is trusted."""
    known: dict[str, object] = dict(shared)
    read: list[object] = []
    at_once = 0
    for name, content in parts:
        known[name] = _Joiner(content, known).load()
        read.append(known[name])
        at_once += len(content)
        if at_once > BYTES_AT_ONCE:
            time.sleep(PAUSE_SECONDS)
            at_once = 0
    book = known[BOOK]
    assert isinstance(book, RuleBook), "a build answers with a book"
    return Built(book, read)


class _Splitter(pickle.Pickler):
    """Writes one part; parts within it are written before it, once, and named.

    Args:
        done: what was written so far, by name.
        names: of what was written, by id, with the thing itself, that no other gets its id.
    """

    def __init__(self, root: object, done: dict[str, bytes], names: dict[int, tuple[str, object]]) -> None:
        self._out = BytesIO()
        super().__init__(self._out, protocol=5)
        self._root, self._done, self._names = root, done, names

    def written(self) -> bytes:
        """The root as bytes."""
        self.dump(self._root)
        return self._out.getvalue()

    def persistent_id(self, obj: Any) -> str | None:
        kind = type(obj).__name__
        if kind in _SHARED:
            return kind
        if obj is self._root or not (kind in _PARTS or _is_long(obj)):
            return self._names[id(obj)][0] if id(obj) in self._names else None
        if id(obj) not in self._names:
            self._write_before(obj, _in_pieces(obj, self) if _is_long(obj) else obj)
        return self._names[id(obj)][0]

    def write_apart(self, obj: object) -> None:
        """Write something as a part of its own."""
        self._write_before(obj, obj)

    def _write_before(self, obj: object, instead: object) -> None:
        content = _Splitter(instead, self._done, self._names).written()
        name = f"part {len(self._done)}"
        self._names[id(obj)] = name, obj
        self._done[name] = content


class _Pieces:
    """A long tuple, read piece by piece."""

    def __init__(self, pieces: list[tuple[str, ...]]) -> None:
        self.pieces = pieces

    def __reduce__(self) -> tuple[object, ...]:
        return _in_one, tuple(self.pieces)


def _in_one(*pieces: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(chain.from_iterable(pieces))


def _in_pieces(long: tuple[str, ...], splitter: _Splitter) -> _Pieces:
    pieces = [long[begin : begin + _WORDS_IN_A_PART] for begin in range(0, len(long), _WORDS_IN_A_PART)]
    for piece in pieces:
        splitter.write_apart(piece)
    return _Pieces(pieces)


def _is_long(obj: Any) -> bool:
    return type(obj) is tuple and len(obj) > _WORDS_IN_A_PART and type(obj[0]) is str


def split(book: RuleBook) -> list[tuple[str, bytes]]:
    """The book as parts, each after those that it holds; the book is the last."""
    done: dict[str, bytes] = {}
    whole = _Splitter(book, done, {}).written()  # the book holds all that was named, by id
    return [*done.items(), (BOOK, whole)]
