"""One text read against compiled rules: which words occur in it, where, and in what disguise."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import ahocorasick

from service.domain.disguises import is_letter, is_pinyin
from service.domain.lexicon import CompiledRules, Sound, Spelling, as_bytes, is_latin
from service.domain.normalise import CLAUSE_MARK, SENTENCE_END, crosses, is_spelled_out, origins
from service.domain.shapes_of_contact import Looks, worth_a_look

_PAUSE = re.compile(CLAUSE_MARK.pattern + r"|\s|[~～…—]")
_LETTER = re.compile(r"[a-z]")
_DOUBLED = re.compile(r"(.)\1+")
_OPENINGS = ("亲亲", "亲爱的", "亲", "您好", "你好")
_ENDINGS = frozenset("亲哦呢哈呀啊了哒啦嘛吧滴呐噢喔")
TYPED_RUN_MAX = 60  # choice: letters looked at on each side of a word typed in pinyin
SHORT_SOUND = 3  # up to this many syllables a homophone must keep one character as it is


@dataclass(frozen=True, slots=True, order=True)
class Occurrence:
    """A word in the text: half-open in the text as written, and in characters that the fold keeps."""

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class _View:
    """A way to read the text, with the hits in it. `came_from` maps its characters to the text as written."""

    folded: str
    came_from: list[int]
    hits: list[tuple[int, Spelling]]
    runs: list[int] | None = None  # how often each character was repeated, in the view without repeats
    slots_seen: int = -1  # bits of the slots this view may speak for


class Reading:
    """A text and what occurs in it. Cheap to make; positions are worked out when first asked for."""

    def __init__(self, text: str, rules: CompiledRules) -> None:
        self.text = text
        self.rules = rules
        self.folded = text.translate(rules.fold)
        self.present = 0  # bits of the slots that occur, before positions are checked
        self._main_hits = self._scan(self.folded, -1)
        self._sounds = self._hear()
        self._looks = self._look()
        self._other_views = [*self._stand_in_view(), *self._unrepeated_view()]
        self._places: dict[int, set[tuple[int, int]]] | None = None
        self._occurrences: dict[int, list[Occurrence]] = {}
        self._origins: list[int] | None = None

    # -- what is there at all

    def _scan(self, folded: str, slots_seen: int) -> list[tuple[int, Spelling]]:
        hits: list[tuple[int, Spelling]] = []
        present = 0
        for end, spelling in self.rules.automaton.iter(as_bytes(folded)):
            hits.append((end, spelling))
            present |= spelling.bits
        self.present |= present & slots_seen
        return hits

    def _hear(self) -> tuple[list[tuple[int, Sound]], list[tuple[int, Sound]]]:
        """What sounds like a word, and what is typed like one; letters are listened to only where there are any."""
        spoken = self.folded.translate(self.rules.syllables)
        alike = self._listen(self.rules.homophones, spoken)
        return alike, self._listen(self.rules.typed, spoken) if _LETTER.search(self.folded) else []

    def _listen(self, automaton: ahocorasick.Automaton, spoken: str) -> list[tuple[int, Sound]]:
        heard: list[tuple[int, Sound]] = []
        if not len(automaton):
            return heard
        for last_letter, sounds in automaton.iter(spoken):
            for sound in sounds:
                heard.append((last_letter, sound))
                self.present |= sound.bits
        return heard

    def _look(self) -> Looks | None:
        if not self.rules.shape_slots or not worth_a_look(self.text, self.folded):
            return None
        looks = Looks(self.text, self.rules.fold)
        for shape, bits in self.rules.shape_bits.items():
            if looks.spans(shape):
                self.present |= bits
        return looks

    def _stand_in_view(self) -> Iterator[_View]:
        if self.rules.stand_in_signs.isdisjoint(self.text):
            return
        folded: list[str] = []
        came_from: list[int] = []
        for index, sign in enumerate(self.text):
            word = self.rules.stand_ins.get(ord(sign), sign).translate(self.rules.fold)
            folded.append(word)
            came_from.extend([index] * len(word))
        read = "".join(folded)
        yield _View(read, came_from, self._scan(read, self.rules.stand_in_slots), slots_seen=self.rules.stand_in_slots)

    def _unrepeated_view(self) -> Iterator[_View]:
        if _DOUBLED.search(self.folded) is None:
            return
        kept: list[str] = []
        came_from: list[int] = []
        runs: list[int] = []
        spots = origins(self.text, self.rules.fold)
        for index, character in enumerate(self.folded):
            if kept and kept[-1] == character:
                runs[-1] += 1
            else:
                kept.append(character)
                came_from.append(spots[index])
                runs.append(1)
        read = "".join(kept)
        hits = self._scan(read, self.rules.repeated_slots)
        yield _View(read, came_from, hits, runs, self.rules.repeated_slots)

    # -- where it is

    @property
    def came_from(self) -> list[int]:
        """For each kept character, its index in the text as written."""
        if self._origins is None:
            self._origins = origins(self.text, self.rules.fold)
        return self._origins

    def occurrences(self, slot: int | None) -> list[Occurrence]:
        """Where the words of a slot occur, in order, each place once."""
        if slot is None or not self.present >> slot & 1:
            return []
        if self._places is None:
            self._places = self._placed()
        if slot not in self._occurrences:
            spans = sorted(self._places.get(slot, ()))
            self._occurrences[slot] = [self.ranked(start, end) for start, end in spans]
        return self._occurrences[slot]

    def _placed(self) -> dict[int, set[tuple[int, int]]]:
        places: dict[int, set[tuple[int, int]]] = {}
        for view in (_View(self.folded, self.came_from, self._main_hits), *self._other_views):
            self._place_spellings(view, places)
        self._place_sounds(places)
        if self._looks is not None:
            for shape, slots in self.rules.shape_slots.items():
                for span in self._looks.spans(shape):
                    for slot in slots:
                        places.setdefault(slot, set()).add(span)
        return places

    def ranked(self, start: int, end: int) -> Occurrence:
        """A stretch of the text as written, counted in kept characters too."""
        return Occurrence(start, end, bisect_left(self.came_from, start), bisect_left(self.came_from, end))

    def _place_spellings(self, view: _View, places: dict[int, set[tuple[int, int]]]) -> None:
        index_of = _index_after(view.folded) if view.hits else {}
        for end_byte, spelling in view.hits:
            if not spelling.bits & view.slots_seen:
                continue
            after = index_of[end_byte]
            first = after - spelling.length
            spots = view.came_from[first:after]
            start, end = spots[0], spots[-1] + 1
            if view.runs is not None:
                end = self._end_of_run(spots[-1], view.runs[after - 1])
                if not _evenly_repeated(view.runs[first:after]):
                    continue
            if not self._is_whole_token(start, end, spelling):
                continue
            noisy = end - start > spelling.length
            if noisy and view.runs is None and not self._is_one_phrase(start, end, spots):
                continue
            for slot in spelling.slots:
                if view.slots_seen >> slot & 1 and (not noisy or slot in self.rules.noisy_slots):
                    places.setdefault(slot, set()).add((start, end))

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
        folded = self.text[index].translate(self.rules.fold)
        return bool(folded) and is_latin(folded[0]) and not (letters_only and folded[0].isdigit())

    # -- how it sounds

    def _place_sounds(self, places: dict[int, set[tuple[int, int]]]) -> None:
        alike, typed = self._sounds
        if not alike and not typed:
            return
        begins, unit_of = self._spoken_units()
        for heard, in_letters in ((alike, False), (typed, True)):
            for last_letter, sound in heard:
                first_letter = last_letter + 1 - sound.ends[-1]
                units = self._heard(sound, first_letter, last_letter, begins, unit_of, in_letters=in_letters)
                if units is None:
                    continue
                spots = self.came_from[units[0] : units[1]]
                start, end = spots[0], spots[-1] + 1
                if end - start > len(spots) and not self._is_one_phrase(start, end, spots):
                    continue
                for slot in sound.slots:
                    places.setdefault(slot, set()).add((start, end))

    def _spoken_units(self) -> tuple[list[int], list[int]]:
        """Where each kept character begins among the letters, and which character each letter belongs to."""
        begins: list[int] = []
        unit_of: list[int] = []
        for unit, character in enumerate(self.folded):
            begins.append(len(unit_of))
            unit_of.extend([unit] * len(character.translate(self.rules.syllables)))
        begins.append(len(unit_of))
        return begins, unit_of

    def _heard(
        self,
        sound: Sound,
        first_letter: int,
        last_letter: int,
        begins: list[int],
        unit_of: list[int],
        *,
        in_letters: bool,
    ) -> tuple[int, int] | None:
        """The kept characters that sound like the word, half-open, or None if they do not.

        Every Chinese character must be exactly one syllable of the word. With `in_letters` some of it must be typed,
        letters standing alone; without, none, and a short word must keep one of its characters.
        """
        first, last = unit_of[first_letter], unit_of[last_letter]
        if begins[first] != first_letter or begins[last + 1] != last_letter + 1:
            return None
        syllable_at = dict(zip((0, *sound.ends), range(len(sound.ends)), strict=False))
        kept_as_is = letters = 0
        for unit in range(first, last + 1):
            character = self.folded[unit]
            if is_latin(character):
                letters += 1
                continue
            place = syllable_at.get(begins[unit] - first_letter)
            if place is None or begins[unit + 1] - first_letter != sound.ends[place]:
                return None
            kept_as_is += character == sound.word[place]
        if in_letters:
            return (first, last + 1) if letters and self._letters_stand_alone(first, last) else None
        short = len(sound.ends) <= SHORT_SOUND
        if letters or kept_as_is == len(sound.ends) or (short and not kept_as_is):
            return None
        return first, last + 1

    def _letters_stand_alone(self, first: int, last: int) -> bool:
        """Whether the letters at the edges begin and end a token, or the token around them is all pinyin."""
        start, end = self.came_from[first], self.came_from[last] + 1
        head = is_latin(self.folded[first]) and self._touches_latin(start - 1, letters_only=False)
        tail = is_latin(self.folded[last]) and self._touches_latin(end, letters_only=False)
        if head:
            begin = first
            while begin and is_letter(self.folded[begin - 1]) and first - begin < TYPED_RUN_MAX:
                begin -= 1
            if not is_pinyin(self.folded[begin:first]):
                return False
        if tail:
            stop = last + 1
            while stop < len(self.folded) and is_letter(self.folded[stop]) and stop - last < TYPED_RUN_MAX:
                stop += 1
            return is_pinyin(self.folded[last + 1 : stop])
        return True

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


def _index_after(folded: str) -> dict[int, int]:
    """From the index of a character's last byte to the index after that character."""
    after: dict[int, int] = {}
    total = 0
    for index, character in enumerate(folded):
        code_point = ord(character)
        total += 1 if code_point < 0x80 else 2 if code_point < 0x800 else 3 if code_point < 0x10000 else 4
        after[total - 1] = index + 1
    return after


def _evenly_repeated(runs: list[int]) -> bool:
    """Whether repeats look meant: every character equally often, or three times and more; 妈妈的 is neither."""
    if max(runs) == 1:
        return False
    return len(set(runs)) == 1 or all(run == 1 or run >= 3 for run in runs)
