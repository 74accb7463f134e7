"""Work on a rule book in a process of its own, so that no request waits for it: build, check, replay."""

from __future__ import annotations

import pickle
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from service.store.rule_archive import Files, laid_out
from service.store.rule_replay import PastMessage, Replay
from service.store.rule_yaml import BadPack
from service.store.rulepacks import FailedExample, RuleBook, check_examples, load_rule_book

SECONDS_MAX: Final = 120  # choice: 100,000 terms take a few
MEMORY_BYTES_MAX: Final = 4 << 30  # choice: a million terms take one gigabyte
BOOK: Final = "book"
FAILURES_SHOWN: Final = 50  # of a check
BYTES_AT_ONCE: Final = 50_000  # choice: read in a millisecond
PARTS_AT_ONCE: Final = 10  # choice: freed in a millisecond; a rule of many words takes some
PAUSE_SECONDS: Final = 0.002  # between two parts of a book: others have their turn
ROOT: Final = Path(__file__).parent.parent.parent
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


class ChildFailed(Exception):
    """The process ended without an answer: killed, out of memory, out of time."""


class Task(msgspec.Struct):
    """What a child is asked for. `work`: build, check or replay."""

    work: str
    files: dict[str, str]
    schema_from: str
    files_before: dict[str, str] = {}
    messages: list[PastMessage] = []


class Fault(msgspec.Struct):
    """Why a book cannot be used, and where."""

    file: str
    line: int
    reason: str


class Failure(msgspec.Struct):
    """An example that did not do as it should."""

    file: str
    line: int
    rule: str
    wanted: str
    text: str
    platform: str
    got: list[str]


class Checked(msgspec.Struct):
    """What a check found. `failures` are the first FAILURES_SHOWN."""

    holds: bool
    rules: int = 0
    acting: int = 0
    examples: int = 0
    failed: int = 0
    failures: list[Failure] = []
    fault: Fault | None = None


class Answer(msgspec.Struct):
    """What a child answers; a build answers `parts`."""

    fault: Fault | None = None
    checked: Checked | None = None
    replayed: Replay | None = None
    parts: list[tuple[str, bytes]] = []


# -- the parent's side


class Built(NamedTuple):
    """A compiled book, and its parts, each behind those that it holds; see `let_go`."""

    book: RuleBook
    parts: list[object]


def let_go(parts: list[object]) -> None:
    """Free what nobody else holds, in small steps: all at once it would hold the interpreter lock for long."""
    while parts:
        del parts[-PARTS_AT_ONCE:]
        time.sleep(PAUSE_SECONDS)


def build(files: Files, schema_from: Path, *, like: RuleBook) -> Built:
    """A compiled book, built by a child and read here part by part.

    Args:
        like: a book of the same code; what does not depend on the files is taken from it.

    Raises:
        BadPack: the files are not as they must be.
        ChildFailed: no answer.
    """
    shared = {type(each).__name__: each for each in (like.syllables, like.disguises.common_pairs)}
    return _joined(_ask(Task("build", dict(files), str(schema_from))).parts, shared)


def check(files: Files, schema_from: Path) -> Checked:
    """Every example of every rule; a file that cannot be used is a finding, too.

    Raises:
        ChildFailed: no answer.
    """
    try:
        found = _ask(Task("check", dict(files), str(schema_from))).checked
    except BadPack as bad:
        return Checked(False, fault=Fault(bad.file, bad.line, bad.reason))
    assert found is not None, "a check answers"
    return found


def replay(files: Files, files_before: Files, messages: list[PastMessage], schema_from: Path) -> Replay:
    """What the files would have done to past messages, beside what was in force.

    Raises:
        BadPack: the files are not as they must be.
        ChildFailed: no answer.
    """
    found = _ask(Task("replay", dict(files), str(schema_from), dict(files_before), messages)).replayed
    assert found is not None, "a replay answers"
    return found


def _ask(task: Task) -> Answer:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "service.store.rule_child"],
            input=msgspec.msgpack.encode(task),
            capture_output=True,
            cwd=ROOT,
            timeout=SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise ChildFailed(f"no answer after {SECONDS_MAX} s") from late
    if done.returncode:
        raise ChildFailed(f"exit code {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")
    answer = msgspec.msgpack.decode(done.stdout, type=Answer)
    if answer.fault is not None:
        raise BadPack(answer.fault.file, answer.fault.line, answer.fault.reason)
    return answer


class _Joiner(pickle.Unpickler):
    def __init__(self, content: bytes, parts: Mapping[str, object]) -> None:
        super().__init__(BytesIO(content))
        self._parts = parts

    def persistent_load(self, pid: Any) -> Any:
        return self._parts[pid]


def _joined(parts: Iterable[tuple[str, bytes]], shared: Mapping[str, object]) -> Built:
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


# -- the child's side


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


def _split(book: RuleBook) -> list[tuple[str, bytes]]:
    """The book as parts, each after those that it holds; the book is the last."""
    done: dict[str, bytes] = {}
    whole = _Splitter(book, done, {}).written()  # the book holds all that was named, by id
    return [*done.items(), (BOOK, whole)]


def _work(task: Task) -> Answer:
    schema_from = Path(task.schema_from)
    try:
        with laid_out(task.files, schema_from) as folder:
            book = load_rule_book(folder)
        book.compile()
        if task.work == "check":
            return Answer(checked=_checked(book))
        if task.work == "replay":
            with laid_out(task.files_before, schema_from) as folder:
                before = load_rule_book(folder)
            replay = Replay()
            for message in task.messages:
                replay.note_message(message, before, book)
            return Answer(replayed=replay)
        return Answer(parts=_split(book))
    except BadPack as bad:
        return Answer(fault=Fault(bad.file, bad.line, bad.reason))


def _checked(book: RuleBook) -> Checked:
    failed = check_examples(book)
    return Checked(
        holds=not failed,
        rules=len(book.rules),
        acting=sum(rule.acts for rule in book.rules),
        examples=sum(len(rule.hits) + len(rule.passes) for rule in book.rules),
        failed=len(failed),
        failures=[_failure(each) for each in failed[:FAILURES_SHOWN]],
    )


def _failure(each: FailedExample) -> Failure:
    return Failure(each.file, each.line, each.rule, each.wanted, each.text[:200], each.platform, list(each.got[:20]))


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Task)
    sys.stdout.buffer.write(msgspec.msgpack.encode(_work(task)))


if __name__ == "__main__":
    _main()
