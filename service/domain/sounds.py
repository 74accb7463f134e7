"""What a text sounds like: words written in other characters of the same sound, and words typed in letters."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from operator import eq
from typing import NamedTuple

from service.domain.disguises import (
    SYLLABLE_LETTERS_MAX,
    SyllableTable,
    is_latin,
    is_letter,
    read_otherwise,
    sounds,
    toneless_syllables,
)
from service.domain.matcher import Matcher, new_matcher
from service.domain.normalise import TABLE_ENTRIES_MAX
from service.domain.rule_language import CommonPairs

# Words of two characters collide by their sound: 史上/失伤, 包过/包裹 (moderation.md section 3.2); they are heard only
# beside their neighbours in a `near`. Typed in letters a word needs two syllables of its own, or one beside its
# neighbours.
HOMOPHONE_SYLLABLES_MIN = 3
HOMOPHONE_SYLLABLES_MIN_GROUPED = 2
TYPED_SYLLABLES_MIN = 2
TYPED_SYLLABLES_MIN_GROUPED = 1
SHORT_SOUND = 3  # up to this many syllables a homophone keeps a character, or is no row of everyday words
TYPED_RUN_MAX = 60  # choice: letters looked at on each side of a word typed in pinyin

_LETTERS = re.compile("[a-z]*")
_LATIN = re.compile("[a-z0-9]+")
_VOWEL = re.compile("[aeiouv]")  # every syllable but a few grunts has one
_TONE = re.compile("(?<=[a-z])[1-5](?![0-9])")  # as in jia1 wei1 xin4
_INITIAL = re.compile("[zcs]h|[bpmfdtnlgkhjqxrzcsyw]|")
_SIGNS_FROM = 0x80  # UTF-8 makes two bytes of each sign: one for its initial, one for its final
_FINALS_MAX = 64
_NO_SYLLABLE = chr(0x7FF)


@dataclass(frozen=True, slots=True)
class Spoken:
    """Folded words to be listened for, in the slot they belong to."""

    words: tuple[str, ...]
    slot: int
    grouped: bool  # they count only beside words of other slots


class Heard(NamedTuple):
    """Characters of a folded text, half-open, that sound like a word of some slots."""

    first: int
    last: int
    bits: int  # the slots, as a set of bits
    typed: bool  # in letters, at least in part
    doubtful: bool = False  # two characters, neither of them the word's own: counts only beside another word heard


_Meant = tuple[int, bool]  # the slots of a word that is meant, as bits; whether it is close enough to be sure
_Typed = tuple[int, int]  # a way to type a word: bits of the letters where a syllable begins or ends; its slots as bits


class Signs(dict[int, int]):
    """From a folded character to one sign for its syllable; what has none, latin letters too, shares one sign."""

    def __init__(self, sign_of: dict[str, str], syllables: SyllableTable) -> None:
        super().__init__()
        self._sign_of = sign_of
        self._syllables = syllables

    def __missing__(self, code_point: int) -> int:
        character = chr(code_point)
        sign = ord(self.of_syllable("" if is_latin(character) else self._syllables[code_point]))
        if len(self) < TABLE_ENTRIES_MAX:
            self[code_point] = sign
        return sign

    def of_syllable(self, syllable: str) -> str:
        """The sign of a syllable, or of what is none."""
        return self._sign_of.get(syllable, _NO_SYLLABLE)


class _Namesakes:
    """For each row of syllables the words that sound so, each with its slots as bits; one text tells them all.

    Args:
        told: a line for each row, of words and the numbers of their meanings in turn.
        begins: where each line begins, and where one more would.
    """

    def __init__(self, told: str, begins: array[int], meanings: Sequence[int]) -> None:
        self._told = told
        self._begins = begins
        self._meanings = meanings

    def __reduce__(self) -> tuple[object, ...]:
        return _namesakes_from, (self._told, self._begins.tobytes(), self._meanings)

    def of(self, row: int) -> Iterator[tuple[str, int]]:
        """The words of a row."""
        begin, end = self._begins[row : row + 2]
        told = iter(self._told[begin : end - 1].split("\t"))
        return ((word, self._meanings[int(number)]) for word, number in zip(told, told, strict=True))


def _namesakes_from(told: str, begins: bytes, meanings: Sequence[int]) -> _Namesakes:
    return _Namesakes(told, array("I", begins), meanings)


class Ear:
    """Two matchers over the sounds of words: by whole syllables for homophones, by letters for typed words.

    Args:
        common_pairs: everyday words of two characters; what is written in them is no homophone of a short word.
        fast: see `new_matcher`.
    """

    def __init__(
        self,
        alike: Iterable[Spoken],
        typed: Iterable[Spoken],
        syllables: SyllableTable,
        *,
        common_pairs: CommonPairs,
        fast: bool | None = None,
    ) -> None:
        self._syllables = syllables
        self._common_pairs = common_pairs
        self.signs = Signs(_sign_of_syllables(), syllables)
        self._alike, self._namesakes = _alike_matcher(alike, syllables, self.signs, fast)
        self._meant: dict[str, tuple[_Meant, ...]] = {}  # what was heard before, by what was written
        self._typed, self._typed_ways, self._row_max = _typed_matcher(typed, syllables, fast)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_meant": {}}

    def listen(self, folded: str, signs: str, *, has_letters: bool) -> list[Heard]:
        """All that sounds like a word and is not the word itself; letters are listened to only where there are any.

        Args:
            signs: of the same characters, one for each.
        """
        heard = self.homophones(folded, signs)
        if has_letters:
            heard += self.typed(folded)
        return heard

    def homophones(self, folded: str, signs: str) -> list[Heard]:
        """Every character is a syllable of the word; a short word keeps one of them or is no everyday word."""
        heard: list[Heard] = []
        hits = self._alike.find(signs)
        if not hits:
            return heard
        known = self._meant
        for first, last, term in self._alike.places(signs, hits):
            meant = known.get(folded[first:last])
            if meant is None:
                meant = self._learn(folded[first:last], term)
            for bits, close in meant:  # mostly none: most hits are the word itself
                if close:
                    heard.append(Heard(first, last, bits, False))
                elif not self._is_everyday(folded, first, last):
                    heard.append(Heard(first, last, bits, False, last - first < HOMOPHONE_SYLLABLES_MIN))
        return heard

    def _learn(self, written: str, term: int) -> tuple[_Meant, ...]:
        """What characters that sound like a term can mean, kept for the next time."""
        words = list(self._namesakes.of(term))
        is_common = len(written) == 2 and self._common_pairs.begin_in(written, 0, 1)  # 送货 is no 怂货
        is_a_word = is_common or any(word == written for word, _ in words)
        meant = tuple(
            (bits, len(written) > SHORT_SOUND or (not is_a_word and any(map(eq, written, word))))
            for word, bits in words
            if word != written
        )
        if len(self._meant) < TABLE_ENTRIES_MAX:
            self._meant[written] = meant
        return meant

    def _is_everyday(self, folded: str, first: int, last: int) -> bool:
        """Whether an everyday word of two characters has a part in a stretch."""
        return self._common_pairs.begin_in(folded, first - 1 if first else 0, last)

    def typed(self, folded: str) -> Iterator[Heard]:
        """Words of which some characters or all are typed in letters."""
        for begin, stop, typed in self._near_letters(folded) if len(self._typed) else ():
            part = folded[begin:stop]
            syllables = list(map(self._syllables.__getitem__, map(ord, part)))
            for tone in _TONE.finditer(part):
                syllables[tone.start()] = ""
            letters = "".join(syllables)
            hits = self._typed.find(letters)
            if not hits:
                continue
            begins = list(accumulate(map(len, syllables), initial=0))
            typed_from, typed_to = begins[typed[0] - begin], begins[typed[1] - begin]
            unit_at = dict(zip(begins, range(len(begins)), strict=True))
            for first, last, term in self._typed.places(letters, hits):
                if last > typed_from and first < typed_to:
                    units = unit_at.get(first), unit_at.get(last)
                    yield from _heard_typed(part, begin, begins, units, self._typed_ways[term])

    def _near_letters(self, folded: str) -> Iterator[tuple[int, int, tuple[int, int]]]:
        """The stretches that can hold a word some of which is typed, and from where to where letters stand in them."""
        begin = stop = 0
        typed: tuple[int, int] | None = None
        for letters in _LATIN.finditer(folded):
            first, last = letters.span()
            if _VOWEL.search(folded, first, last) is None:
                continue
            if typed is not None and first - self._row_max > stop:
                yield begin, stop, typed
                typed = None
            if typed is None:
                begin = max(0, first - self._row_max)
            typed = (typed[0] if typed else first, last)
            stop = last + self._row_max
        if typed is not None:
            yield begin, stop, typed


def _heard_typed(
    part: str, begin: int, begins: list[int], units: tuple[int | None, int | None], ways: tuple[_Typed, ...]
) -> Iterator[Heard]:
    """A hit among letters, if it begins and ends with whole units, one of them at least in letters."""
    first, last = units
    if first is None or last is None:
        return
    if part[first:last].isascii():  # letters and digits alone
        for _, bits in ways:
            yield Heard(begin + first, begin + last, bits, True)
        return
    if _LATIN.search(part, first, last) is None:
        return
    offset = begins[first]
    whole = [
        (begins[unit] - offset, begins[unit + 1] - begins[unit])
        for unit in range(first, last)
        if not is_latin(part[unit])
    ]
    for edges, bits in ways:
        if all(_is_a_syllable(edges, *each) for each in whole):  # a Chinese character is exactly one
            yield Heard(begin + first, begin + last, bits, True)


def _is_a_syllable(edges: int, letter: int, length: int) -> bool:
    return edges >> letter & (2 << length) - 1 == 1 << length | 1


def _sign_of_syllables() -> dict[str, str]:
    """A sign for every syllable: its place tells the initial and the final."""
    initials: dict[str, int] = {}
    finals: dict[str, int] = {}
    signs: dict[str, str] = {}
    for syllable in sorted(toneless_syllables()):
        found = _INITIAL.match(syllable)
        initial = found.group() if found else ""
        final = syllable[len(initial) :]
        row = initials.setdefault(initial, len(initials))
        column = finals.setdefault(final, len(finals))
        assert column < _FINALS_MAX, "more finals than a byte of UTF-8 tells apart"
        signs[syllable] = chr(_SIGNS_FROM + row * _FINALS_MAX + column)
    return signs


def _alike_matcher(
    spoken: Iterable[Spoken], syllables: SyllableTable, signs: Signs, fast: bool | None
) -> tuple[Matcher, _Namesakes]:
    """The matcher, and for each of its terms the words that sound so."""
    bits = _bits_of_words(spoken, HOMOPHONE_SYLLABLES_MIN, HOMOPHONE_SYLLABLES_MIN_GROUPED)
    number: dict[int, int] = {}
    told: dict[str, str] = {}
    for word, slots in bits.items():
        entry = f"{word}\t{number.setdefault(slots, len(number))}"
        for row in _sign_rows(word, syllables, signs):
            told[row] = f"{told[row]}\t{entry}" if row in told else entry
    ordered = sorted(told)
    lines = [told[row] + "\n" for row in ordered]
    begins = array("I", accumulate(map(len, lines), initial=0))
    return new_matcher(ordered, fast=fast), _Namesakes("".join(lines), begins, list(number))


def _bits_of_words(spoken: Iterable[Spoken], alone_min: int, grouped_min: int) -> dict[str, int]:
    """Words of enough characters with their slots as bits."""
    bits: dict[str, int] = {}
    for each in spoken:
        bit, least = 1 << each.slot, grouped_min if each.grouped else alone_min
        for word in each.words:
            if len(word) >= least:
                bits[word] = bits.get(word, 0) | bit
    return bits


def _sign_rows(word: str, syllables: SyllableTable, signs: Signs) -> Iterator[str]:
    """The signs of a word, character by character and as read in the phrase; what has no syllable has no homophone."""
    by_character = word.translate(signs)
    if _NO_SYLLABLE not in by_character:
        yield by_character
    otherwise = read_otherwise(word, syllables)
    if otherwise is not None:
        row = "".join(map(signs.of_syllable, otherwise))
        if row != by_character and _NO_SYLLABLE not in row:
            yield row


def _typed_matcher(
    spoken: Iterable[Spoken], syllables: SyllableTable, fast: bool | None
) -> tuple[Matcher, Sequence[tuple[_Typed, ...]], int]:
    """The matcher, for each of its terms the ways it can be typed, and the most syllables of a word."""
    entries: dict[str, dict[tuple[str, ...], int]] = {}
    row_max = 0
    for word, slots in _bits_of_words(spoken, TYPED_SYLLABLES_MIN, TYPED_SYLLABLES_MIN_GROUPED).items():
        for row in sounds(word, syllables):
            if len(row) > 1 or len(row[0]) > 1:
                ways = entries.setdefault("".join(row), {})
                ways[row] = ways.get(row, 0) | slots
                row_max = max(row_max, len(row))
    ordered = sorted(entries)
    typed = tuple(tuple((_edges(row), bits) for row, bits in entries[letters].items()) for letters in ordered)
    return new_matcher(ordered, fast=fast), typed, row_max


def _edges(row: tuple[str, ...]) -> int:
    return sum(1 << edge for edge in accumulate(map(len, row), initial=0))


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
        folded, bound = self._folded, (2 << TYPED_RUN_MAX) - 1
        ends = {syllable[-1] for syllable in toneless_syllables()}
        runs = [(0, 1)]
        run = 0
        for place, character in enumerate(folded, 1):
            run = run + 1 if is_letter(character) else 0
            readable = 1
            if character in ends:
                for length in _syllables_ending(folded[place - min(run, SYLLABLE_LETTERS_MAX) : place]):
                    readable |= runs[place - length][1] << length
            runs.append((run, readable & bound))
        return runs


@lru_cache(maxsize=4096)
def _syllables_ending(letters: str) -> tuple[int, ...]:
    """The lengths of the syllables that a few letters end with."""
    syllables = toneless_syllables()
    return tuple(length for length in range(1, len(letters) + 1) if letters[-length:] in syllables)
