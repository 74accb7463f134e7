"""One text read against compiled rules: which words occur in it, where, and in what disguise."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from itertools import pairwise
from typing import NamedTuple

from service.domain.disguises import is_latin
from service.domain.lexicon import Lexicon, Spelling, slots_in
from service.domain.normalise import CLAUSE_MARK, SENTENCE_END, crosses, is_spelled_out, origins
from service.domain.shapes_of_contact import DIGITS_MIN, Looks, has_a_plus, has_a_sign
from service.domain.sounds import Letters
from service.domain.tracks import DIGIT, LETTER, TRACKS
from service.domain.views import UnrepeatedView, View, evenly_repeated

_PAUSE = re.compile(CLAUSE_MARK.pattern + r"|\s|[~～…—]")
_PARTING = re.compile(r"(?<=[\u3400-\u9fff]{2})\s+")
_A_NUMBER = DIGIT * DIGITS_MIN
LETTERS_OF_A_SYLLABLE = 3  # of the syllables of running text: 3.1


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


class Reading:
    """A text and what occurs in it. Cheap to make; positions are worked out only for the slots asked for."""

    _looks: Looks | None = None
    _other_views: Sequence[View] = ()
    _origins: Sequence[int] | None = None
    _excuses_seen: View | None = None
    _located = 0  # bits of the slots whose places are known, or that occur nowhere

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        tracks = text.translate(lexicon.tracks)
        self.text = text
        self.folded = folded = tracks[::TRACKS]
        self._lexicon = lexicon
        self._kinds = kinds = tracks[2::TRACKS]
        self._hits = hits = lexicon.guilt.matcher.find(folded)
        self._heard = heard = lexicon.ear.listen(folded, tracks[1::TRACKS], has_letters=LETTER in kinds)
        bits, present = lexicon.guilt.bits, 0
        for hit in hits:
            present |= bits[hit[-1]]
        for each in heard:
            present |= each[2]
        self.present = present  # bits of the slots that occur, before positions are checked
        self._spans: dict[int, set[Occurrence]] = {}  # by slot
        self._doubtful: dict[int, set[Occurrence]] = {}
        self._heard_spans: set[Occurrence] = set()
        self._places: dict[int, Places] = {}
        if lexicon.odd.search(text) or lexicon.repeat.search(folded) or _A_NUMBER in kinds or LETTER in kinds:
            self._look_again()

    # -- what is there at all

    def _look_again(self) -> None:
        """Where a text may be read in more ways than one: numbers and addresses, signs for words, repeats."""
        lexicon = self._lexicon
        views: list[View] = []
        if lexicon.shape_slots and self._may_hold_shapes():
            self._looks = Looks(self.text, lexicon.signs)
            for shape, slots in lexicon.shape_slots.items():
                if self._looks.spans(shape):
                    self.present |= slots
        if lexicon.stand_in.search(self.text):
            read = self.text.translate(lexicon.stand_ins)
            views.append(View(read, self._stand_in_origins, lexicon.guilt, slots_seen=lexicon.stand_in_bits))
        if lexicon.repeat.search(self.folded):
            seen = lexicon.repeated_bits
            views.append(UnrepeatedView(self.folded, self._own_origins, lexicon.guilt, slots_seen=seen))
        for view in views:
            self.present |= view.present
        self._other_views = views

    def _may_hold_shapes(self) -> bool:
        kinds = self._kinds
        return _A_NUMBER in kinds or has_a_plus(self.text) or (LETTER in kinds and has_a_sign(self.text))

    def excuses_among(self, slots: int) -> int:
        """Which of the slots of excuses (as bits) occur."""
        return self._excuse_bits & slots

    @property
    def _excuses(self) -> View:
        """The words that excuse, looked for only once there is something to excuse."""
        if self._excuses_seen is None:
            self._excuses_seen = View(self.folded, self._own_origins, self._lexicon.excuses)
        return self._excuses_seen

    @property
    def _excuse_bits(self) -> int:
        return self._excuses.present

    @property
    def is_doubled(self) -> bool:
        """Whether a third of the text and more is repeats; distances count about half then."""
        return any(
            3 * len(view.folded) <= 2 * len(self.folded)
            for view in self._other_views
            if isinstance(view, UnrepeatedView)
        )

    @cached_property
    def is_typed(self) -> bool:
        """Whether a word was found in letters, at least in part; letters between two words are counted as syllables."""
        return any(each.typed for each in self._heard)

    def are_syllables(self, first: int, last: int, *, most: int) -> bool:
        """Whether a stretch of the folded text is at most so many characters, three letters counted as one."""
        if last - first >= LETTERS_OF_A_SYLLABLE * (most + 1):
            return False
        letters = sum(map(is_latin, self.folded[first:last]))
        return last - first - letters + letters // LETTERS_OF_A_SYLLABLE <= most

    # -- where it is, roughly

    @property
    def can_be_looked_over(self) -> bool:
        """Whether the words stand in the folded text alone: no signs read as words, no repeats, no shapes."""
        return not self._other_views and self._looks is None

    def rough_places(self, slots: int) -> RoughPlaces:
        """Where words of several slots (as bits) seem to stand, a part of a token or of prose taken for a word too."""
        roughly: RoughPlaces = {}
        guilt = self._lexicon.guilt
        bits = guilt.bits
        hits = [hit for hit in self._hits if bits[hit[-1]] & slots]
        found: dict[int, list[tuple[int, int]]] = {}  # by slots as bits: most words stand in the same as others
        for first, last, term in guilt.matcher.places(self.folded, hits):
            found.setdefault(bits[term] & slots, []).append((first, last))
        for heard in self._heard:
            if heard.bits & slots:
                found.setdefault(heard.bits & slots, []).append((heard.first, heard.last))
        for together, places in found.items():
            for slot in slots_in(together):
                roughly.setdefault(slot, []).extend(places)
        return roughly

    def is_a_rough_clause(self, first: int, last: int) -> bool:
        """Whether a place is all there is between two marks; see `is_a_clause`."""
        before, after = self.folded[max(0, first - 1) : last], self.folded[first : last + 1]
        if (first and self._stands_once(before)) or (last < len(self.folded) and self._stands_once(after)):
            return False
        return self.is_a_clause(Occurrence(self.came_from[first], self.came_from[last - 1] + 1, first, last))

    def _stands_once(self, stretch: str) -> bool:
        """Whether folded characters stand in one place alone, and there as they are written, with nothing between."""
        return stretch in self.text and self.folded.find(stretch) == self.folded.rfind(stretch)

    # -- where it is

    @property
    def came_from(self) -> Sequence[int]:
        """For each kept character, its index in the text as written."""
        if self._origins is None:
            fold = self._lexicon.fold
            as_written = len(self.folded) == len(self.text) and not fold.has_expanding(self.text)
            self._origins = range(len(self.text)) if as_written else origins(self.text, fold)
        return self._origins

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
        places = self._places.get(slot)
        if places is None:
            if not self._located >> slot & 1:
                self.locate(1 << slot)
            found = self._spans.get(slot)
            places = self._places[slot] = _in_order(found) if found else _NOWHERE
        return places

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
        self._located |= slots
        if not wanted:
            return
        guilty = wanted & ~self._lexicon.excuse_bits
        if guilty:
            self._place_spellings(View(self.folded, self._own_origins, self._lexicon.guilt, hits=self._hits), guilty)
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
                self._put([self.ranked(*span) for span in self._looks.spans(shape)], slots & wanted)

    def _put(self, places: list[Occurrence], bits: int) -> None:
        for slot in slots_in(bits):
            self._spans.setdefault(slot, set()).update(places)

    def ranked(self, start: int, end: int) -> Occurrence:
        """A stretch of the text as written, counted in kept characters too."""
        return Occurrence(start, end, bisect_left(self.came_from, start), bisect_left(self.came_from, end))

    def _place_spellings(self, view: View, wanted: int) -> None:
        """Keep the hits of a view unless they are a part of a token, or prose."""
        terms, came_from, runs = view.terms, view.came_from, view.runs
        bits, noisy, is_own = terms.bits, self._lexicon.noisy_bits, came_from is self.came_from
        kept: dict[int, list[Occurrence]] = {}  # by slots as bits
        hits = [hit for hit in view.hits if bits[hit[-1]] & wanted]
        for first, after, term in terms.matcher.places(view.folded, hits):
            entry, found = terms.meaning(term), bits[term] & wanted
            start, end = came_from[first], came_from[after - 1] + 1
            if runs is not None:
                if not evenly_repeated(runs[first:after]):
                    continue
                end = self._end_of_run(end - 1, runs[after - 1])
            if (entry.latin_head or entry.latin_tail) and not self._is_whole_token(start, end, entry):
                continue
            if end - start > entry.length:
                found &= noisy
                if runs is None and not self._is_one_phrase(start, end, came_from[first:after]):
                    continue
            place = Occurrence(start, end, first, after) if is_own else self.ranked(start, end)
            kept.setdefault(found, []).append(place)
        for found, places in kept.items():
            self._put(places, found)

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
            if isinstance(view, UnrepeatedView):
                yield view.folded, partial(self._unrepeated_span, view)

    def _unrepeated_span(self, view: View, first: int, last: int) -> tuple[int, int]:
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

    def is_a_clause(self, place: Occurrence) -> bool:
        """Whether a word is all there is between two marks (or blanks, or the ends of the text)."""
        before = self.came_from[place.first - 1] + 1 if place.first else 0
        after = self.came_from[place.last] if place.last < len(self.came_from) else len(self.text)
        starts = place.first == 0 or _PAUSE.search(self.text, before, place.start) is not None
        ends = place.last == len(self.came_from) or _PAUSE.search(self.text, place.end, after) is not None
        return starts and ends

    def is_parted(self, start: int, end: int) -> bool:
        """Whether a blank behind a word of Chinese stands within a stretch, not at its start, and so ends a clause.

        In 发不了 加微信 the blank parts 不 from 加; in 不 要 加 it stands between all characters.
        """
        return start < end and _PARTING.search(self.text, start + 1, end) is not None

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
