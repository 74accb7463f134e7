"""One text read against compiled rules: which words occur in it, where, and in what disguise."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from itertools import pairwise
from typing import NamedTuple

from service.domain.disguises import is_latin
from service.domain.lexicon import Lexicon, Spelling, Terms, slots_in
from service.domain.normalise import CLAUSE_MARK, SENTENCE_END, crosses, is_spelled_out, origins
from service.domain.shapes_of_contact import DIGITS_MIN, Looks, has_a_plus, has_a_sign
from service.domain.sounds import Letters
from service.domain.tracks import DIGIT, LETTER, TRACKS

_PAUSE = re.compile(CLAUSE_MARK.pattern + r"|\s|[~～…—]")
_OPENINGS = ("亲亲", "亲爱的", "亲", "您好", "你好")
_ENDINGS = frozenset("亲哦呢哈呀啊了哒啦嘛吧滴呐噢喔")
ADDRESS_CHARS_MAX = 6  # the longest opening and three endings
EVERY_SLOT = -1  # as bits
ROUGH_HITS_MAX = 1_000  # choice: with more of them a second look costs more than it saves
_A_NUMBER = DIGIT * DIGITS_MIN
_REPEATED = re.compile(r"(.)\1+")
_STRETCH = re.compile(r"(.)\1*")


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


RoughPlaces = dict[int | None, list[tuple[int, int]]]  # by slot, in characters that the fold keeps

_NOWHERE = Places([], [])


class _View:
    """A way to read the text, with the hits in it. `came_from` maps its characters to the text as written."""

    runs: Sequence[int] | None = None  # how often each character was repeated, in the view without repeats

    def __init__(self, folded: str, came_from: Callable[[], Sequence[int]], terms: Terms, slots_seen: int) -> None:
        self.folded = folded
        self.terms = terms
        self.hits = terms.matcher.find(folded)
        self.slots_seen = slots_seen  # bits of the slots this view may speak for
        self._came_from = came_from

    @cached_property
    def came_from(self) -> Sequence[int]:
        return self._came_from()

    def present(self) -> int:
        """Bits of the slots that occur."""
        found = 0
        bits = self.terms.bits
        for hit in self.hits:
            found |= bits[hit[-1]]
        return found & self.slots_seen


class _UnrepeatedView(_View):
    """The text without repeats: a repeat can be a disguise, see `_evenly_repeated`."""

    def __init__(self, folded: str, came_from: Callable[[], Sequence[int]], terms: Terms, slots_seen: int) -> None:
        super().__init__(_REPEATED.sub(r"\1", folded), came_from, terms, slots_seen)
        self._repeated = folded

    @cached_property
    def came_from(self) -> Sequence[int]:
        origin = self._came_from()
        return [origin[begin] for begin, _ in self._stretches]

    @cached_property
    def runs(self) -> Sequence[int]:  # type: ignore[override]  # worked out only when asked for
        return [end - begin for begin, end in self._stretches]

    @cached_property
    def _stretches(self) -> list[tuple[int, int]]:
        return [run.span() for run in _STRETCH.finditer(self._repeated)]


class Reading:
    """A text and what occurs in it. Cheap to make; positions are worked out only for the slots asked for."""

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        tracks = text.translate(lexicon.tracks)
        self.text = text
        self.folded = folded = tracks[::TRACKS]
        self._lexicon = lexicon
        self._plain = _View(folded, self._own_origins, lexicon.guilt, EVERY_SLOT)
        kinds = tracks[2::TRACKS]
        self._heard = lexicon.ear.listen(folded, tracks[1::TRACKS], has_letters=LETTER in kinds)
        self.present = self._what_is_there()  # bits of the slots that occur, before positions are checked
        self._looks = self._look(kinds) if lexicon.shape_slots else None
        self._other_views = self._views()
        self._located = 0  # bits of the slots whose places are known
        self._spans: dict[int, set[Occurrence]] = {}  # by slot
        self._doubtful: dict[int, set[Occurrence]] = {}
        self._heard_spans: set[Occurrence] = set()
        self._places: dict[int, Places] = {}

    # -- what is there at all

    def _what_is_there(self) -> int:
        present = self._plain.present()
        for heard in self._heard:
            present |= heard.bits
        return present

    def _look(self, kinds: str) -> Looks | None:
        if _A_NUMBER not in kinds and not has_a_plus(self.text) and not (LETTER in kinds and has_a_sign(self.text)):
            return None
        looks = Looks(self.text, self._lexicon.signs)
        for shape, slots in self._lexicon.shape_slots.items():
            if looks.spans(shape):
                self.present |= slots
        return looks

    def _views(self) -> tuple[_View, ...]:
        lexicon = self._lexicon
        views: tuple[_View, ...] = ()
        if lexicon.stand_in.search(self.text):
            read = self.text.translate(lexicon.stand_ins)
            views = (_View(read, self._stand_in_origins, lexicon.guilt, lexicon.stand_in_bits),)
        if lexicon.repeat.search(self.folded):
            views += (_UnrepeatedView(self.folded, self._own_origins, lexicon.guilt, lexicon.repeated_bits),)
        for view in views:
            self.present |= view.present()
        return views

    def excuses_among(self, slots: int) -> int:
        """Which of the slots of excuses (as bits) occur."""
        return self._excuse_bits & slots

    @cached_property
    def _excuses(self) -> _View:
        """The words that excuse, looked for only once there is something to excuse."""
        return _View(self.folded, self._own_origins, self._lexicon.excuses, EVERY_SLOT)

    @cached_property
    def _excuse_bits(self) -> int:
        return self._excuses.present()

    @property
    def is_doubled(self) -> bool:
        """Whether a third of the text and more is repeats; distances count about half then."""
        return any(
            3 * len(view.folded) <= 2 * len(self.folded)
            for view in self._other_views
            if isinstance(view, _UnrepeatedView)
        )

    # -- where it is, roughly

    @property
    def can_be_looked_over(self) -> bool:
        """Whether the words stand in the folded text alone (no signs read as words, repeats, shapes), and are few."""
        return not self._other_views and self._looks is None and len(self._plain.hits) <= ROUGH_HITS_MAX

    def rough_places(self, slots: int) -> RoughPlaces:
        """Where words of several slots (as bits) seem to stand, a part of a token or of prose taken for a word too."""
        roughly: RoughPlaces = {}
        terms = self._plain.terms
        bits_of_entry, entries = terms.bits, terms.entries
        hits = [hit for hit in self._plain.hits if bits_of_entry[hit[-1]] & slots]
        for hit, last in zip(hits, terms.matcher.ends(self.folded, hits), strict=True):
            entry = entries[hit[-1]]
            place = (last - entry.length, last)
            for slot in slots_in(entry.bits & slots):
                roughly.setdefault(slot, []).append(place)
        for heard in self._heard:
            for slot in slots_in(heard.bits & slots):
                roughly.setdefault(slot, []).append((heard.first, heard.last))
        return roughly

    def is_a_rough_clause(self, first: int, last: int) -> bool:
        """Whether a place is all there is between two marks; see `is_a_clause`."""
        return self.is_a_clause(Occurrence(self.came_from[first], self.came_from[last - 1] + 1, first, last))

    # -- where it is

    @cached_property
    def came_from(self) -> Sequence[int]:
        """For each kept character, its index in the text as written."""
        fold = self._lexicon.fold
        if len(self.folded) == len(self.text) and not fold.has_expanding(self.text):
            return range(len(self.text))
        return origins(self.text, fold)

    def _stand_in_origins(self) -> Sequence[int]:
        return origins(self.text, self._lexicon.stand_ins)

    def _own_origins(self) -> Sequence[int]:
        return self.came_from

    def occurrences(self, slot: int | None) -> list[Occurrence]:
        """Where the words of a slot occur, in order, each place once."""
        return self.places(slot).all

    def places(self, slot: int | None) -> Places:
        """Where the words of a slot occur."""
        if slot is None:
            return _NOWHERE
        if slot not in self._places:
            self.locate(1 << slot)
            found = self._spans.get(slot)
            self._places[slot] = _in_order(found) if found else _NOWHERE
        return self._places[slot]

    def doubtful_places(self, slot: int) -> Places:
        """The places of a slot, those among them too that only sound like its words."""
        doubtful = self._doubtful.get(slot)
        return _in_order(doubtful.union(self.places(slot).all)) if doubtful else self.places(slot)

    @property
    def has_doubtful(self) -> bool:
        """Whether any place is doubtful at all."""
        return bool(self._doubtful)

    def is_heard(self, place: Occurrence) -> bool:
        """Whether a place was found by its sound."""
        return place in self._heard_spans

    def _occurs(self, slots: int) -> int:
        excuses = slots & self._lexicon.excuse_bits
        return self.present & slots | (self._excuse_bits & excuses if excuses else 0)

    def locate(self, slots: int) -> None:
        """Work out the places of several slots (as bits) in one pass over what was found."""
        wanted = self._occurs(slots & ~self._located)
        if not wanted:
            return
        self._located |= wanted
        guilty = wanted & ~self._lexicon.excuse_bits
        if guilty:
            self._place_spellings(self._plain, guilty)
            for view in self._other_views:
                self._place_spellings(view, guilty & view.slots_seen)
            self._place_sounds(guilty)
            self._place_shapes(guilty)
        if wanted != guilty:
            self._place_spellings(self._excuses, wanted)

    def _place_shapes(self, wanted: int) -> None:
        if self._looks is None:
            return
        for shape, slots in self._lexicon.shape_slots.items():
            if slots & wanted:
                for span in self._looks.spans(shape):
                    self._put(self.ranked(*span), slots & wanted)

    def _put(self, place: Occurrence, bits: int) -> None:
        for slot in slots_in(bits):
            self._spans.setdefault(slot, set()).add(place)

    def ranked(self, start: int, end: int) -> Occurrence:
        """A stretch of the text as written, counted in kept characters too."""
        return Occurrence(start, end, bisect_left(self.came_from, start), bisect_left(self.came_from, end))

    def _place_spellings(self, view: _View, wanted: int) -> None:
        bits_of_entry, entries = view.terms.bits, view.terms.entries
        hits = [hit for hit in view.hits if bits_of_entry[hit[-1]] & wanted]
        for hit, after in zip(hits, view.terms.matcher.ends(view.folded, hits), strict=True):
            entry = entries[hit[-1]]
            self._place(view, entry, after - entry.length, after, entry.bits & wanted)

    def _place(self, view: _View, entry: Spelling, first: int, after: int, bits: int) -> None:
        """Keep a hit of a view unless it is a part of a token, or prose."""
        start, end = view.came_from[first], view.came_from[after - 1] + 1
        if view.runs is not None:
            if not _evenly_repeated(view.runs[first:after]):
                return
            end = self._end_of_run(end - 1, view.runs[after - 1])
        if (entry.latin_head or entry.latin_tail) and not self._is_whole_token(start, end, entry):
            return
        if end - start > entry.length:
            bits &= self._lexicon.noisy_bits
            if view.runs is None and not self._is_one_phrase(start, end, view.came_from[first:after]):
                return
        if view is self._plain or view is self._excuses:
            self._put(Occurrence(start, end, first, after), bits)
        else:
            self._put(self.ranked(start, end), bits)

    def _end_of_run(self, last: int, run: int) -> int:
        """Where a repeated character ends that begins at `last` in the text as written."""
        place = bisect_left(self.came_from, last)
        return self.came_from[min(place + run, len(self.came_from)) - 1] + 1

    def _is_one_phrase(self, start: int, end: int, spots: Sequence[int]) -> bool:
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

    def ways_to_read(self, *, repeats: bool) -> Iterator[tuple[str, Callable[[int, int], tuple[int, int]]]]:
        """The folded text, then without repeats, each with the way from its characters to the text as written."""
        yield self.folded, lambda first, last: (self.came_from[first], self.came_from[last - 1] + 1)
        for view in self._other_views if repeats else ():
            if isinstance(view, _UnrepeatedView):
                yield view.folded, partial(self._unrepeated_span, view)

    def _unrepeated_span(self, view: _View, first: int, last: int) -> tuple[int, int]:
        runs = view.runs or ()
        return view.came_from[first], self._end_of_run(view.came_from[last - 1], runs[last - 1])

    # -- how it sounds

    def _place_sounds(self, wanted: int) -> None:
        for heard in self._heard:
            bits = heard.bits & wanted
            if not bits or (heard.typed and not self._letters_stand_alone(heard.first, heard.last)):
                continue
            spots = self.came_from[heard.first : heard.last]
            start, end = spots[0], spots[-1] + 1
            if end - start != len(spots) and not self._is_one_phrase(start, end, spots):
                continue
            place = Occurrence(start, end, heard.first, heard.last)
            self._heard_spans.add(place)
            for slot in slots_in(bits):
                (self._doubtful if heard.doubtful else self._spans).setdefault(slot, set()).add(place)

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


def _in_order(places: set[Occurrence]) -> Places:
    found = sorted(places)
    return Places(found, [place.first for place in found])


def _evenly_repeated(runs: Sequence[int]) -> bool:
    """Whether repeats look meant: every character equally often, or three times and more; 妈妈的 is neither."""
    if max(runs) == 1:
        return False
    return len(set(runs)) == 1 or all(run == 1 or run >= 3 for run in runs)
