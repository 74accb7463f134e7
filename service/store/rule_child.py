"""Work on a rule book in a process of its own, so that no request waits for it: build, check, replay."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from service.store.book_parts import Built, joined, split
from service.store.rule_archive import Files, laid_out
from service.store.rule_replay import PastMessage, Replay
from service.store.rule_yaml import BadPack
from service.store.rulepacks import FailedExample, RuleBook, check_examples, load_rule_book

SECONDS_MAX: Final = 120  # choice: 100,000 terms take a few
MEMORY_BYTES_MAX: Final = 4 << 30  # choice: a million terms take one gigabyte
FAILURES_SHOWN: Final = 50  # of a check
UNTRIED_SHOWN: Final = 200  # of a check
ROOT: Final = Path(__file__).parent.parent.parent


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
    """What a child answers; a build answers `parts`, a check `checked` and `untried`."""

    fault: Fault | None = None
    checked: Checked | None = None
    untried: list[str] = []
    replayed: Replay | None = None
    parts: list[tuple[str, bytes]] = []


# -- the parent's side


def build(files: Files, schema_from: Path, *, like: RuleBook) -> Built:
    """A compiled book, built by a child and read here part by part.

    Args:
        like: a book of the same code; what does not depend on the files is taken from it.

    Raises:
        BadPack: the files are not as they must be.
        ChildFailed: no answer.
    """
    shared = {type(each).__name__: each for each in (like.syllables, like.disguises.common_pairs)}
    return joined(_ask(Task("build", dict(files), str(schema_from))).parts, shared)


def check(files: Files, files_in_force: Files, schema_from: Path) -> tuple[Checked, list[str]]:
    """Every example of every rule; a file that cannot be used is a finding, too.

    Returns:
        What was found; the rules that would act though they are not in force, not even watched, in book order.

    Raises:
        ChildFailed: no answer.
    """
    try:
        answer = _ask(Task("check", dict(files), str(schema_from), dict(files_in_force)))
    except BadPack as bad:
        return Checked(False, fault=Fault(bad.file, bad.line, bad.reason)), []
    assert answer.checked is not None, "a check answers"
    return answer.checked, answer.untried


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


# -- the child's side


def _work(task: Task) -> Answer:
    schema_from = Path(task.schema_from)
    try:
        with laid_out(task.files, schema_from) as folder:
            book = load_rule_book(folder)
        book.compile()
        if task.work in ("check", "replay"):
            with laid_out(task.files_before, schema_from) as folder:
                before = load_rule_book(folder)
        if task.work == "check":
            known = {rule.id for rule in before.rules}
            untried = [rule.id for rule in book.rules if rule.acts and rule.id not in known]
            return Answer(checked=_checked(book), untried=untried[:UNTRIED_SHOWN])
        if task.work == "replay":
            replay = Replay()
            for message in task.messages:
                replay.note_message(message, before, book)
            return Answer(replayed=replay)
        return Answer(parts=split(book))
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
