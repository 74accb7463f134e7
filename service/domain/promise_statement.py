"""What a clause of a reply says: an action, or something that bears on its neighbours, and the text it stands in."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Final, Protocol, TypeVar

from service.domain.promise_actions import Act
from service.domain.promise_amount import Share, Sum
from service.domain.promise_pattern import Cued, Cues
from service.domain.promise_time import Deadline


class Statement:
    """One thing said: an action, or a clause that bears on its neighbours.

    `kind`: act | yes | no | heard | bare (only a time or a sum) | generic (安排, 处理) | deferring | hedge | condition
    | buyer | proposal | asking | other. `tone` of an act: unconditional | hedged | conditional | refused | none.

    What a statement does not say stands at the class, for most are said of few: making one is cheap.
    """

    start: int
    end: int
    sentence: int
    kind: str
    tone: str = "unconditional"
    action: str = "none"
    deadline: Deadline | None = None
    amount: Sum | None = None
    share: int | None = None
    full: bool = False
    partial: bool = False
    some: bool = False  # 部分
    latest: bool = False  # 最晚
    correcting: bool = False  # 不对,是后天
    demanded: bool = False  # 客户要求退款: somebody else's wish, which an answer may grant
    strong: bool = False  # 可以, not 好的
    open_asking: bool = False
    choice: bool = False
    arrival: bool = False  # 到账: when the money is there, not that it is paid
    backward: bool = False
    consequence: bool = False
    event: bool = False  # the condition is something that must happen first: a span of hours runs from then
    verb: str = ""
    verb_start: int = 0
    verb_end: int = 0
    weighing: bool = False  # 我核实一下: an answer may still be promised
    carried: bool = False  # 快递明天来取件: the carrier's act, which answers only who asked for it
    strange: bool = False  # beside a promise, and not understood
    naming: bool = False  # 没充上的五十块: which sum it is, for an act beside it; no answer of its own
    unknown: bool = False  # softened only because a word of it is not known
    foreign: bool = False  # in somebody else's words
    untimed: bool = False  # 重发一件: no promise unless a time stands beside it
    firm: bool = False  # 明天早上给您操作: a doing without a name, in plain words alone
    doubting: bool = False  # 不过我得问问: takes the firmness out of what stands beside it

    def __init__(self, start: int, end: int, sentence: int, kind: str) -> None:
        self.start = start
        self.end = end
        self.sentence = sentence
        self.kind = kind

    def say(self, other: Statement) -> None:
        """Say what another statement says, at another place."""
        place = self.start, self.end, self.sentence
        self.__dict__.update(other.__dict__)
        self.start, self.end, self.sentence = place

    def is_of(self, said_at: datetime) -> bool:
        """Whether its time is of the day it was said."""
        due_at = self.deadline.due_at if self.deadline is not None else None
        return due_at is not None and due_at.date() == said_at.date()


@dataclass(slots=True)
class Reading:
    """A text taken apart, with what the clauses were read from."""

    text: str
    cues: Cues
    deadlines: list[Deadline]
    sums: list[Sum]
    shares: list[Share]
    acts: list[Act]
    statements: list[Statement] = field(default_factory=list)


_TAIL_CHARS: Final = 4  # 退款出去了: what is looked at behind an action


class Clause:
    """A stretch of a text between separators, with the cues in it; `asked` if a question mark follows."""

    __slots__ = ("acts", "asked", "cues", "deadlines", "end", "sentence", "shares", "start", "sums", "text")

    def __init__(self, reading: Reading, start: int, end: int, sentence: int, cues: int) -> None:
        self.text = reading.text
        self.start = start
        self.end = end
        self.sentence = sentence
        self.asked = False
        self.cues = cues
        self.deadlines: Sequence[Deadline] = ()
        self.sums: Sequence[Sum] = ()
        self.shares: Sequence[Share] = ()
        self.acts: Sequence[Act] = ()

    def run_on(self, reading: Reading) -> None:
        """Take in the cues behind a separator that an act runs on over."""
        reach = self.acts[-1].end + _TAIL_CHARS
        for at, bits in reading.cues.hits:
            if self.end <= at < reach:
                self.cues |= bits

    @classmethod
    def alone(cls, text: str, cues: int, *, asked: bool) -> Clause:
        """A clause that is all of its text and holds no time, sum or action."""
        clause = cls.__new__(cls)
        clause.text, clause.start, clause.end, clause.sentence = text, 0, len(text), 0
        clause.asked, clause.cues = asked, cues
        clause.deadlines = clause.sums = clause.shares = clause.acts = ()
        return clause

    def find(self, pattern: Cued, a: int, b: int) -> re.Match[str] | None:
        """The first hit in [a, b), which lies in the clause."""
        return pattern.search(self.text, a, b) if self.cues & pattern.bit else None

    def first_of(self, one: Cued, other: Cued, named: Cued, a: int, b: int) -> re.Match[str] | None:
        """The first hit in [a, b) of a pattern, or of another one that is tried only where a third may hit."""
        first = self.find(one, a, b)
        if self.cues & named.bit and (second := self.find(other, a, b)) is not None:
            return second if first is None or second.start() < first.start() else first
        return first

    def follows(self, pattern: Cued, at: int) -> re.Match[str] | None:
        """The hit that begins at a place of the clause."""
        return pattern.match(self.text, at) if self.cues & pattern.bit else None

    def spans(self, a: int, b: int) -> list[tuple[int, int]]:
        """Where in [a, b) the times, sums, shares and actions stand."""
        known: tuple[Sequence[Found], ...] = (self.deadlines, self.sums, self.shares, self.acts)
        return [(each.start, each.end) for found in known if found for each in within(found, a, b)]


class Found(Protocol):
    """Anything that stands at a place of the text, half-open."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


_Kind = TypeVar("_Kind", bound=Found)


def within(found: Sequence[_Kind], a: int, b: int) -> Sequence[_Kind]:
    """Those that start in [a, b), of a list in order."""
    if not found or (a <= found[0].start and found[-1].start < b):
        return found
    if b <= found[0].start or found[-1].start < a:
        return ()
    first = bisect_left(found, a, key=_start_of)
    return found[first : bisect_left(found, b, first, key=_start_of)]


_start_of = attrgetter("start")


def without(text: str, a: int, b: int, spans: list[tuple[int, int]], between: str = "") -> str:
    """The text of [a, b) beside the spans, its pieces joined by `between`."""
    spans.sort()
    pieces, at = [], a
    for start, end in spans:
        if start > at:
            pieces.append(text[at:start])
        if end > at:
            at = end
    if b > at:
        pieces.append(text[at:b])
    return between.join(pieces)
