"""The ways to read one text, each with the words found in it: as folded, with signs read as words, without repeats."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property

from service.domain.lexicon import Terms
from service.domain.matcher import Hits

EVERY_SLOT = -1  # as bits
_REPEATED = re.compile(r"(.)\1+")
_STRETCH = re.compile(r"(.)\1*")


class View:
    """A way to read the text, with the hits in it. `came_from` maps its characters to the text as written.

    Args:
        hits: of the terms, where they are known already.
        slots_seen: bits of the slots this view may speak for.
    """

    runs: Sequence[int] | None = None  # how often each character was repeated, in the view without repeats

    def __init__(
        self,
        folded: str,
        came_from: Callable[[], Sequence[int]],
        terms: Terms,
        *,
        hits: Hits | None = None,
        slots_seen: int = EVERY_SLOT,
    ) -> None:
        self.folded = folded
        self.terms = terms
        self.hits = terms.matcher.find(folded) if hits is None else hits
        self.slots_seen = slots_seen
        self._came_from = came_from
        self._origins: Sequence[int] | None = None
        self._present: int | None = None

    @property
    def came_from(self) -> Sequence[int]:
        """Not a cached_property, whose lock would cost as much as the work."""
        if self._origins is None:
            self._origins = self._came_from()
        return self._origins

    @property
    def present(self) -> int:
        """Bits of the slots that occur."""
        if self._present is None:
            found = 0
            bits = self.terms.bits
            for hit in self.hits:
                found |= bits[hit[-1]]
            self._present = found & self.slots_seen
        return self._present


class UnrepeatedView(View):
    """The text without repeats: a repeat can be a disguise, see `evenly_repeated`."""

    def __init__(
        self, folded: str, came_from: Callable[[], Sequence[int]], terms: Terms, *, slots_seen: int = EVERY_SLOT
    ) -> None:
        super().__init__(_REPEATED.sub(r"\1", folded), self._begins, terms, slots_seen=slots_seen)
        self._repeated = folded
        self._repeated_from = came_from

    def _begins(self) -> Sequence[int]:
        origin = self._repeated_from()
        return [origin[begin] for begin, _ in self._stretches]

    @cached_property
    def runs(self) -> Sequence[int]:  # type: ignore[override]  # worked out only when asked for
        return [end - begin for begin, end in self._stretches]

    @cached_property
    def _stretches(self) -> list[tuple[int, int]]:
        return [run.span() for run in _STRETCH.finditer(self._repeated)]


def evenly_repeated(runs: Sequence[int]) -> bool:
    """Whether repeats look meant: every character equally often, or three times and more; 妈妈的 is neither."""
    if max(runs) == 1:
        return False
    return len(set(runs)) == 1 or all(run == 1 or run >= 3 for run in runs)
