"""What a clause of a reply says: an action, or something that bears on its neighbours, and the text it stands in."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Protocol, TypeVar

from service.domain.promise_actions import Act
from service.domain.promise_amount import Share, Sum
from service.domain.promise_time import Deadline


@dataclass(slots=True)
class Statement:
    """One thing said: an action, or a clause that bears on its neighbours.

    `kind`: act | yes | no | heard | bare (only a time or a sum) | generic (安排, 处理) | deferring | hedge | condition
    | buyer | proposal | asking | other. `tone` of an act: unconditional | hedged | conditional | refused | none.
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
    latest: bool = False  # 最晚
    correcting: bool = False  # 不对,是后天
    demanded: bool = False  # 客户要求退款: somebody else's wish, which an answer may grant
    strong: bool = False  # 可以, not 好的
    open_asking: bool = False
    choice: bool = False
    arrival: bool = False  # 到账: when the money is there, not that it is paid
    backward: bool = False
    consequence: bool = False
    own_voice: bool = False
    event: bool = False  # the condition is something that must happen first: a span of hours runs from then
    verb: str = ""


@dataclass(slots=True)
class Reading:
    """A text taken apart, with what the clauses were read from."""

    text: str
    deadlines: list[Deadline]
    sums: list[Sum]
    shares: list[Share]
    acts: list[Act]
    statements: list[Statement] = field(default_factory=list)
    _present: dict[int, bool] = field(default_factory=dict)

    def find(self, pattern: re.Pattern[str], a: int, b: int) -> re.Match[str] | None:
        """The first hit in [a, b); a pattern that the whole text does not hold is looked for only once."""
        present = self._present.get(id(pattern))
        if present is None:
            present = self._present[id(pattern)] = pattern.search(self.text) is not None
        return pattern.search(self.text, a, b) if present else None


@dataclass(slots=True)
class Clause:
    start: int
    end: int
    sentence: int
    asked: bool  # a question mark follows


class _Found(Protocol):
    @property
    def start(self) -> int: ...


_Kind = TypeVar("_Kind", bound=_Found)


def within(found: list[_Kind], a: int, b: int) -> list[_Kind]:
    """Those that start in [a, b), of a list in order."""
    if not found:
        return found
    first = bisect_left(found, a, key=_start_of)
    last = first
    while last < len(found) and found[last].start < b:
        last += 1
    return found[first:last]


_start_of = attrgetter("start")


def without(text: str, a: int, b: int, spans: list[tuple[int, int]]) -> str:
    pieces, at = [], a
    for start, end in sorted(spans):
        pieces.append(text[at:start] if start > at else "")
        at = max(at, end)
    pieces.append(text[at:b])
    return "".join(pieces)
