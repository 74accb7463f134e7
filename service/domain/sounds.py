"""What a text sounds like: words written in other characters of the same sound, and words typed in letters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import eq
from typing import NamedTuple

import ahocorasick

from service.domain.disguises import (
    SYLLABLE_LETTERS_MAX,
    SyllableTable,
    is_latin,
    is_letter,
    sounds,
    toneless_syllables,
)
from service.domain.normalise import TABLE_ENTRIES_MAX

# Words of two characters collide by their sound: 史上/失伤, 包过/包裹 (moderation.md section 3.2); beside its
# neighbours in a `near` a two-character word may be heard when one character is kept. Typed in letters a word needs
# two syllables of its own, or one beside its neighbours.
HOMOPHONE_SYLLABLES_MIN = 3
HOMOPHONE_SYLLABLES_MIN_GROUPED = 2
TYPED_SYLLABLES_MIN = 2
TYPED_SYLLABLES_MIN_GROUPED = 1
SHORT_SOUND = 3  # up to this many syllables a homophone must keep one character as it is
TYPED_RUN_MAX = 60  # choice: letters looked at on each side of a word typed in pinyin

_LETTER = re.compile("[a-z]")
_LETTERS = re.compile("[a-z]*")
_LATIN = re.compile("[a-z0-9]+")
_NO_SYLLABLE = " "


@dataclass(frozen=True, slots=True)
class Spoken:
    """A folded word to be listened for, in the slot it belongs to."""

    word: str
    slot: int
    grouped: bool  # it counts only beside words of other slots


class Heard(NamedTuple):
    """Characters of a folded text, half-open, that sound like a word of some slots."""

    first: int
    last: int
    bits: int  # the slots, as a set of bits
    typed: bool  # in letters, at least in part


class _Alike(NamedTuple):
    """A word under the syllables it sounds like."""

    word: str
    bits: int


class _Typed(NamedTuple):
    """A way to type a word: the begin and end of each of its syllables, counted in letters."""

    syllables: frozenset[tuple[int, int]]
    bits: int


class _Signs(dict[int, int]):
    """A `str.translate` table from a folded character to one sign for its syllable; latin letters have none."""

    def __init__(self, sign_of: dict[str, str], syllables: SyllableTable) -> None:
        super().__init__()
        self._sign_of = sign_of
        self._syllables = syllables

    def __missing__(self, code_point: int) -> int:
        character = chr(code_point)
        syllable = "" if is_latin(character) else self._syllables[code_point]
        sign = ord(self._sign_of.get(syllable, _NO_SYLLABLE))
        if len(self) < TABLE_ENTRIES_MAX:
            self[code_point] = sign
        return sign


class Ear:
    """Two automata over the sounds of words: by whole syllables for homophones, by letters for typed words."""

    def __init__(self, alike: Iterable[Spoken], typed: Iterable[Spoken], syllables: SyllableTable) -> None:
        self._syllables = syllables
        self._alike, self._signs = _alike_automaton(alike, syllables)
        self._typed, self._row_max = _typed_automaton(typed, syllables)
        toneless_syllables()  # made now, not for the first text that is typed

    def listen(self, folded: str) -> list[Heard]:
        """All that sounds like a word and is not the word itself; letters are listened to only where there are any."""
        heard = list(self._alike_in(folded)) if len(self._alike) else []
        if len(self._typed) and _LETTER.search(folded):
            heard += self._typed_in(folded)
        return heard

    def _alike_in(self, folded: str) -> Iterator[Heard]:
        """Every character is a syllable of the word; a short word keeps one of its characters."""
        for last, (length, words) in self._alike.iter(folded.translate(self._signs)):
            written = folded[last + 1 - length : last + 1]
            for word, bits in words:
                if written != word and (length > SHORT_SOUND or any(map(eq, written, word))):
                    yield Heard(last + 1 - length, last + 1, bits, False)

    def _typed_in(self, folded: str) -> Iterator[Heard]:
        for begin, stop in self._near_letters(folded):
            part = folded[begin:stop]
            syllables = list(map(self._syllables.__getitem__, map(ord, part)))
            begins = list(accumulate(map(len, syllables), initial=0))
            unit_at = dict(zip(begins, range(len(begins)), strict=True))
            typed_from, typed_to = _typed_letters(part, begins)
            for last_letter, (length, ways) in self._typed.iter("".join(syllables)):
                if last_letter < typed_from or last_letter + 1 - length >= typed_to:
                    continue
                first, last = unit_at.get(last_letter + 1 - length), unit_at.get(last_letter + 1)
                if first is None or last is None or _LATIN.search(part, first, last) is None:
                    continue
                offset = begins[first]
                whole = {
                    (begins[unit] - offset, begins[unit + 1] - offset)
                    for unit in range(first, last)
                    if not is_latin(part[unit])
                }
                for way in ways:
                    if whole <= way.syllables:  # a Chinese character is exactly one syllable
                        yield Heard(begin + first, begin + last, way.bits, True)

    def _near_letters(self, folded: str) -> Iterator[tuple[int, int]]:
        """The stretches that can hold a word some of which is typed."""
        begin = stop = 0
        for letters in _LATIN.finditer(folded):
            if letters.start() - self._row_max > stop:
                if stop:
                    yield begin, stop
                begin = letters.start() - self._row_max
            stop = letters.end() + self._row_max
        yield begin, stop


def _typed_letters(part: str, begins: list[int]) -> tuple[int, int]:
    """From the first letter to the last that is typed, half-open; the others are those of Chinese syllables."""
    runs = [run.span() for run in _LATIN.finditer(part)]
    return begins[runs[0][0]], begins[runs[-1][1]]


def _alike_automaton(spoken: Iterable[Spoken], syllables: SyllableTable) -> tuple[ahocorasick.Automaton, _Signs]:
    sign_of: dict[str, str] = {}
    entries: dict[str, dict[str, int]] = {}
    for word, slot, row in _rows(spoken, syllables, HOMOPHONE_SYLLABLES_MIN, HOMOPHONE_SYLLABLES_MIN_GROUPED):
        signs = "".join(sign_of.setdefault(syllable, chr(ord("!") + len(sign_of))) for syllable in row)
        words = entries.setdefault(signs, {})
        words[word] = words.get(word, 0) | 1 << slot
    automaton = ahocorasick.Automaton()
    for signs, words in entries.items():
        automaton.add_word(signs, (len(signs), tuple(_Alike(word, bits) for word, bits in words.items())))
    automaton.make_automaton()
    return automaton, _Signs(sign_of, syllables)


def _typed_automaton(spoken: Iterable[Spoken], syllables: SyllableTable) -> tuple[ahocorasick.Automaton, int]:
    """The automaton, and the most syllables a typed word has."""
    entries: dict[str, dict[tuple[str, ...], int]] = {}
    row_max = 0
    for _, slot, row in _rows(spoken, syllables, TYPED_SYLLABLES_MIN, TYPED_SYLLABLES_MIN_GROUPED):
        ways = entries.setdefault("".join(row), {})
        ways[row] = ways.get(row, 0) | 1 << slot
        row_max = max(row_max, len(row))
    automaton = ahocorasick.Automaton()
    for letters, ways in entries.items():
        automaton.add_word(letters, (len(letters), tuple(_Typed(_edges(row), bits) for row, bits in ways.items())))
    automaton.make_automaton()
    return automaton, row_max


def _rows(
    spoken: Iterable[Spoken], syllables: SyllableTable, alone_min: int, grouped_min: int
) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    for word, slot, grouped in ((each.word, each.slot, each.grouped) for each in spoken):
        for row in sounds(word, syllables):
            if len(row) >= (grouped_min if grouped else alone_min) and (len(row) > 1 or len(row[0]) > 1):
                yield word, slot, row


def _edges(row: tuple[str, ...]) -> frozenset[tuple[int, int]]:
    ends = list(accumulate(map(len, row)))
    return frozenset(zip([0, *ends], ends, strict=False))


class Letters:
    """The letters of a folded text, and which of them can be read as rows of syllables; one pass over the text."""

    def __init__(self, folded: str) -> None:
        self._folded = folded

    def are_pinyin_before(self, place: int) -> bool:
        """Whether the letters just before `place`, up to a bound, are syllables to the last one."""
        run, readable = self._runs[place]
        return bool(readable >> min(run, TYPED_RUN_MAX) & 1)

    def are_pinyin_after(self, place: int) -> bool:
        """Whether the letters from `place` on, up to a bound, are syllables to the last one."""
        found = _LETTERS.match(self._folded, place, place + TYPED_RUN_MAX - 1)
        stop = found.end() if found else place
        return bool(self._runs[stop][1] >> (stop - place) & 1)

    @cached_property
    def _runs(self) -> list[tuple[int, int]]:
        """For each place how many letters end there, and as a set of bits how many of these can be read."""
        syllables, folded = toneless_syllables(), self._folded
        runs = [(0, 1)]
        for place in range(1, len(folded) + 1):
            run = runs[-1][0] + 1 if is_letter(folded[place - 1]) else 0
            readable = 1
            for length in range(1, min(run, SYLLABLE_LETTERS_MAX) + 1):
                if folded[place - length : place] in syllables:
                    readable |= runs[place - length][1] << length
            runs.append((run, readable & (2 << TYPED_RUN_MAX) - 1))
        return runs
