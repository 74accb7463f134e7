"""One text read against compiled rules: which words occur in it, where, and in what disguise."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from service.domain.disguises import is_latin
from service.domain.lexicon import Lexicon, Spelling, as_bytes, bits_of
from service.domain.normalise import CLAUSE_MARK, SENTENCE_END, crosses, is_spelled_out, origins
from service.domain.shapes_of_contact import Looks, worth_a_look
from service.domain.sounds import Heard, Letters

_PAUSE = re.compile(CLAUSE_MARK.pattern + r"|\s|[~～…—]")
_OPENINGS = ("亲亲", "亲爱的", "亲", "您好", "你好")
_ENDINGS = frozenset("亲哦呢哈呀啊了哒啦嘛吧滴呐噢喔")
ADDRESS_CHARS_MAX = 6  # the longest opening and three endings
EVERY_SLOT = -1  # as bits


class Occurrence(NamedTuple):
    """A word in the text: half-open in the text as written, and in characters that the fold keeps."""

    start: int
    end: int
    first: int
    last: int


class Places(NamedTuple):
    """Where the words of a slot occur, in order, each place once; `firsts` are those of the occurrences."""

    all: list[Occurrence]
    firsts: list[int]


_NOWHERE = Places([], [])


@dataclass(frozen=True, slots=True)
class _View:
    """A way to read the text, with the hits in it. `came_from` maps its characters to the text as written."""

    folded: str
    came_from: list[int]
    hits: list[tuple[int, Spelling]]
    runs: list[int] | None = None  # how often each character was repeated, in the view without repeats
    slots_seen: int = EVERY_SLOT  # bits of the slots this view may speak for


class Reading:
    """A text and what occurs in it. Cheap to make; positions are worked out only for the slots asked for."""

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        self.text = text
        self.folded = text.translate(lexicon.fold)
        self.present = 0  # bits of the slots that occur, before positions are checked
        self._lexicon = lexicon
        self._hits = self._scan(self.folded, EVERY_SLOT)
        self._heard = self._listen()
        self._looks = self._look()
        self._other_views = self._views()
        self._located = 0  # bits of the slots whose places are known
        self._spans: dict[int, list[tuple[int, int]]] = {}  # by the bits of the slots they belong to
        self._places: dict[int, Places] = {}

    # -- what is there at all

    def _scan(self, folded: str, slots_seen: int) -> list[tuple[int, Spelling]]:
        hits = list(self._lexicon.automaton.iter(as_bytes(folded)))
        present = 0
        for _, spelling in hits:
            present |= spelling.bits
        self.present |= present & slots_seen
        return hits

    def _listen(self) -> list[Heard]:
        heard = self._lexicon.ear.listen(self.folded)
        for each in heard:
            self.present |= each.bits
        return heard

    def _look(self) -> Looks | None:
        if not self._lexicon.shape_slots or not worth_a_look(self.text, self.folded):
            return None
        looks = Looks(self.text, self._lexicon.signs)
        for shape, slots in self._lexicon.shape_slots.items():
            if looks.spans(shape):
                self.present |= bits_of(slots)
        return looks

    def _views(self) -> list[_View]:
        views: list[_View] = []
        if self._lexicon.stand_in.search(self.text):
            views.append(self._stand_in_view())
        if self._lexicon.repeat.search(self.folded):
            views.append(self._unrepeated_view())
        return views

    def _stand_in_view(self) -> _View:
        read = self.text.translate(self._lexicon.stand_ins)
        seen = self._lexicon.stand_in_bits
        return _View(read, origins(self.text, self._lexicon.stand_ins), self._scan(read, seen), slots_seen=seen)

    def _unrepeated_view(self) -> _View:
        """The text without repeats: a repeat can be a disguise, see `_evenly_repeated`."""
        folded = self.folded
        begins = [0, *(index for index in range(1, len(folded)) if folded[index] != folded[index - 1])]
        read = "".join([folded[index] for index in begins])
        came_from = [self.came_from[index] for index in begins]
        runs = [after - begin for begin, after in pairwise([*begins, len(folded)])]
        seen = self._lexicon.repeated_bits
        return _View(read, came_from, self._scan(read, seen), runs, seen)

    # -- where it is

    @cached_property
    def came_from(self) -> list[int]:
        """For each kept character, its index in the text as written."""
        return origins(self.text, self._lexicon.fold)

    def occurrences(self, slot: int | None) -> list[Occurrence]:
        """Where the words of a slot occur, in order, each place once."""
        return self.places(slot).all

    def places(self, slot: int | None) -> Places:
        """Where the words of a slot occur."""
        if slot is None or not self.present >> slot & 1:
            return _NOWHERE
        if slot not in self._places:
            self.locate(1 << slot)
            spans = {span for bits, spans in self._spans.items() if bits >> slot & 1 for span in spans}
            found = [self.ranked(start, end) for start, end in sorted(spans)]
            self._places[slot] = Places(found, [place.first for place in found])
        return self._places[slot]

    def locate(self, slots: int) -> None:
        """Work out the places of several slots (as bits) in one pass over what was found."""
        wanted = slots & self.present & ~self._located
        if not wanted:
            return
        self._located |= wanted
        for view in (_View(self.folded, self.came_from, self._hits), *self._other_views):
            self._place_spellings(view, wanted & view.slots_seen)
        self._place_sounds(wanted)
        if self._looks is not None:
            for shape, numbers in self._lexicon.shape_slots.items():
                for span in self._looks.spans(shape):
                    self._put(span, bits_of(numbers) & wanted)

    def _put(self, span: tuple[int, int], bits: int) -> None:
        if bits:
            self._spans.setdefault(bits, []).append(span)

    def ranked(self, start: int, end: int) -> Occurrence:
        """A stretch of the text as written, counted in kept characters too."""
        return Occurrence(start, end, bisect_left(self.came_from, start), bisect_left(self.came_from, end))

    def _place_spellings(self, view: _View, wanted: int) -> None:
        folded_bytes = view.folded.encode("utf-8", "surrogatepass")
        read = after = 0  # bytes, and the characters they are
        for last_byte, spelling in view.hits:
            bits = spelling.bits & wanted
            if not bits:
                continue
            after += len(folded_bytes[read : last_byte + 1].decode("utf-8", "surrogatepass"))
            read = last_byte + 1
            first = after - spelling.length
            spots = view.came_from[first:after]
            start, end = spots[0], spots[-1] + 1
            if view.runs is not None:
                if not _evenly_repeated(view.runs[first:after]):
                    continue
                end = self._end_of_run(spots[-1], view.runs[after - 1])
            if not self._is_whole_token(start, end, spelling):
                continue
            if end - start > spelling.length:
                bits &= self._lexicon.noisy_bits
                if view.runs is None and not self._is_one_phrase(start, end, spots):
                    continue
            self._put((start, end), bits)

    def _end_of_run(self, last: int, run: int) -> int:
        """Where a repeated character ends that begins at `last` in the text as written."""
        place = bisect_left(self.came_from, last)
        return self.came_from[min(place + run, len(self.came_from)) - 1] + 1

    def _is_one_phrase(self, start: int, end: int, spots: list[int]) -> bool:
        """Whether a hit with something between its characters is a disguise; across a sentence mark it is prose."""
        return not crosses(self.text, start, end, mark=CLAUSE_MARK) or is_spelled_out(self.text, spots)

    def _is_whole_token(self, start: int, end: int, spelling: Spelling) -> bool:
        if spelling.latin_head and self._touches_latin(start - 1, letters_only=not spelling.all_latin):
            return False
        return not (spelling.latin_tail and self._touches_latin(end, letters_only=not spelling.all_latin))

    def _touches_latin(self, index: int, *, letters_only: bool) -> bool:
        if not 0 <= index < len(self.text):
            return False
        folded = self.text[index].translate(self._lexicon.fold)
        return bool(folded) and is_latin(folded[0]) and not (letters_only and folded[0].isdigit())

    # -- how it sounds

    def _place_sounds(self, wanted: int) -> None:
        for heard in self._heard:
            bits = heard.bits & wanted
            if not bits or (heard.typed and not self._letters_stand_alone(heard.first, heard.last)):
                continue
            spots = self.came_from[heard.first : heard.last]
            start, end = spots[0], spots[-1] + 1
            if end - start == len(spots) or self._is_one_phrase(start, end, spots):
                self._put((start, end), bits)

    @cached_property
    def _letters(self) -> Letters:
        return Letters(self.folded)

    def _letters_stand_alone(self, first: int, last: int) -> bool:
        """Whether the letters at the edges begin and end a token, or the token around them is all pinyin."""
        start, end = self.came_from[first], self.came_from[last - 1] + 1
        head = is_latin(self.folded[first]) and self._touches_latin(start - 1, letters_only=False)
        tail = is_latin(self.folded[last - 1]) and self._touches_latin(end, letters_only=False)
        return (not head or self._letters.are_pinyin_before(first)) and (
            not tail or self._letters.are_pinyin_after(last)
        )

    # -- the message as a whole

    def whole_forms(self) -> Iterator[str]:
        """The folded message, then without its address and its closing particles."""
        core = self.folded
        yield core
        for opening in _OPENINGS:
            if core.startswith(opening) and len(core) > len(opening):
                core = core[len(opening) :]
                yield core
                break
        for _ in range(3):
            if len(core) < 2 or core[-1] not in _ENDINGS:
                return
            core = core[:-1]
            yield core

    def is_a_clause(self, place: Occurrence) -> bool:
        """Whether a word is all there is between two marks (or blanks, or the ends of the text)."""
        before = self.came_from[place.first - 1] + 1 if place.first else 0
        after = self.came_from[place.last] if place.last < len(self.came_from) else len(self.text)
        starts = place.first == 0 or _PAUSE.search(self.text, before, place.start) is not None
        ends = place.last == len(self.came_from) or _PAUSE.search(self.text, place.end, after) is not None
        return starts and ends

    def is_split_by(self, start: int, end: int, *, clauses: bool) -> bool:
        """Whether a sentence ends (or, with `clauses`, a clause) within a stretch that is not spelled out."""
        mark = CLAUSE_MARK if clauses else SENTENCE_END
        if not crosses(self.text, start, end, mark=mark):
            return False
        spots = self.came_from[bisect_left(self.came_from, start) : bisect_left(self.came_from, end)]
        if not is_spelled_out(self.text, spots):
            return True
        gaps = [self.text[before + 1 : after] for before, after in pairwise(sorted(set(spots)))]
        marked = sum(mark.search(gap) is not None for gap in gaps)
        return 2 * marked < len(gaps)  # marks between most characters are noise, a mark between a few is prose


def _evenly_repeated(runs: list[int]) -> bool:
    """Whether repeats look meant: every character equally often, or three times and more; 妈妈的 is neither."""
    if max(runs) == 1:
        return False
    return len(set(runs)) == 1 or all(run == 1 or run >= 3 for run in runs)
