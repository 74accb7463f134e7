"""All the words of a rule book, for all marketplaces: matchers for their spellings, an ear for their sounds."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from service.domain.disguises import SyllableTable, folded_tables, is_latin, spellings
from service.domain.matcher import Matcher, new_matcher
from service.domain.normalise import FoldTable, StandInTable
from service.domain.rule_language import Disguise, Disguises
from service.domain.shapes_of_contact import PLUS_SIGNS, PlainSigns, Shape
from service.domain.sounds import Ear, Spoken
from service.domain.tracks import Tracks

LISTS_DEEP_MAX = 4  # choice: lists of lists of lists; one that holds itself is found out here


class Spelling(NamedTuple):
    """What one term of a matcher stands for."""

    bits: int  # the slots, as a set of bits
    length: int  # folded characters
    latin_head: bool
    latin_tail: bool
    all_latin: bool


_as_spelling: Callable[[tuple[int, int, bool, bool, bool]], Spelling] = partial(tuple.__new__, Spelling)


@dataclass(frozen=True, slots=True)
class _WordSet:
    """Words looked for together.

    `grouped`: they count only beside the words of other groups. `excuses`: they make a hit innocent, and are looked
    for only once there is one.
    """

    words: tuple[str, ...]
    disguises: frozenset[Disguise]
    grouped: bool
    excuses: bool


@dataclass(frozen=True, slots=True)
class Slots:
    """Sets of words that are looked for together; the same set asked for twice is one slot.

    `lists` are those of one marketplace, `numbers` are shared by all.
    """

    lists: Mapping[str, tuple[str, ...]]
    numbers: dict[_WordSet, int] = field(default_factory=dict)

    def number(
        self, words: Iterable[str], disguises: frozenset[Disguise], *, grouped: bool = False, excuses: bool = False
    ) -> int | None:
        """The slot of a set of words, or None of an empty set.

        Raises:
            UnknownList: a word names a list nobody has.
        """
        chosen = tuple(sorted(set(expand_lists(words, self.lists))))
        if not chosen:
            return None
        return self.numbers.setdefault(_WordSet(chosen, disguises, grouped, excuses), len(self.numbers))


class UnknownList(Exception):
    """A rule names a list that neither its profile nor the shared lists have."""


def expand_lists(words: Iterable[str], lists: Mapping[str, tuple[str, ...]], *, depth: int = 0) -> Iterator[str]:
    """`words` with every `$name` replaced by that list, lists in lists too.

    Raises:
        UnknownList: no list of that name, or one that holds itself.
    """
    for word in words:
        if not word.startswith("$"):
            yield word
        elif word[1:] in lists and depth < LISTS_DEEP_MAX:
            yield from expand_lists(lists[word[1:]], lists, depth=depth + 1)
        else:
            raise UnknownList(word[1:])


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Terms:
    """Spellings with a matcher for them, and for each what it stands for; many mean the same."""

    matcher: Matcher
    meanings: tuple[Spelling, ...]
    numbers: Sequence[int]  # for each spelling that of its meaning
    bits: Sequence[int]  # for each spelling, apart, for they are all that most texts need

    def meaning(self, term: int) -> Spelling:
        """What a spelling stands for."""
        return self.meanings[self.numbers[term]]

    def __reduce__(self) -> tuple[object, ...]:
        """The bits are made again."""
        meanings = [tuple(meaning) for meaning in self.meanings]
        return _terms_from, (self.matcher, meanings, array("I", self.numbers).tobytes())


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Lexicon:
    """The words of all slots as a text is searched for them; never changed once built.

    Slots are numbers; `..._bits` are sets of them as bits.
    """

    fold: FoldTable
    tracks: Tracks
    signs: PlainSigns
    stand_ins: StandInTable
    stand_in: re.Pattern[str]  # finds what may be a stand-in
    odd: re.Pattern[str]  # finds what may be a stand-in or a plus
    repeat: re.Pattern[str]  # finds what may be a word with its characters repeated
    guilt: Terms  # words that can make a text guilty
    excuses: Terms  # words that can make it innocent again
    excuse_bits: int
    ear: Ear
    noisy_bits: int
    repeated_bits: int
    stand_in_bits: int
    shape_slots: Mapping[Shape, int]  # as bits


def build_lexicon(
    slots: Slots, *, disguises: Disguises, fold: FoldTable, syllables: SyllableTable, fast: bool | None = None
) -> Lexicon:
    """What a text is searched with for the words of all slots. `fast`: see `new_matcher`."""
    words = {word for group in slots.numbers for word in group.words if not word.startswith("@")}
    plain = {word: word.translate(fold) for word in words}
    tables = folded_tables(disguises, fold)
    guilt = _spellings(slots, plain, tables, excuses=False)
    excuses = _spellings(slots, plain, tables, excuses=True)
    repeated = _with_disguise(slots, Disguise.REPEAT)
    alone = repeated & bits_of(slot for group, slot in slots.numbers.items() if not group.grouped)
    singles = [spelling for spelling, bits in guilt.items() if len(spelling) == 1 and bits & alone]
    ear = Ear(
        _spoken(slots, plain, Disguise.HOMOPHONE),
        _spoken(slots, plain, Disguise.PINYIN),
        syllables,
        common_pairs=disguises.common_pairs,
        fast=fast,
    )
    return Lexicon(
        fold=fold,
        tracks=Tracks(fold, ear.signs),
        signs=PlainSigns(fold),
        stand_ins=StandInTable({sign: word.translate(fold) for sign, word in disguises.stand_ins.items()}, fold),
        stand_in=re.compile(_any_of(disguises.stand_ins, astral=True)),
        odd=re.compile(_any_of({*disguises.stand_ins, *PLUS_SIGNS}, astral=True)),
        repeat=re.compile(rf"(.)\1(?:\1|(.)\2|(?<={_any_of(singles)}))"),
        guilt=_terms(guilt, fast),
        excuses=_terms(excuses, fast),
        excuse_bits=bits_of(slot for group, slot in slots.numbers.items() if group.excuses),
        ear=ear,
        noisy_bits=_with_disguise(slots, Disguise.NOISE),
        repeated_bits=repeated,
        stand_in_bits=_with_disguise(slots, Disguise.STAND_IN),
        shape_slots=_shape_slots(slots),
    )


def _terms(spelled: Mapping[str, int], fast: bool | None) -> Terms:
    number: dict[tuple[int, int, bool, bool, bool], int] = {}
    ordered = sorted(spelled)
    numbers = array("I", [number.setdefault(_meaning(each, spelled[each]), len(number)) for each in ordered])
    return _terms_of(new_matcher(ordered, fast=fast), tuple(map(_as_spelling, number)), numbers)


def _meaning(spelling: str, bits: int) -> tuple[int, int, bool, bool, bool]:
    """A `Spelling` as a plain row; nearly all begin and end with a Chinese character."""
    head, tail = spelling[0], spelling[-1]
    if head > "\x7f" and tail > "\x7f":
        return bits, len(spelling), False, False, False
    all_latin = spelling.isascii() and spelling.isalnum()
    return bits, len(spelling), is_latin(head), is_latin(tail), all_latin


def _terms_of(matcher: Matcher, meanings: tuple[Spelling, ...], numbers: array[int]) -> Terms:
    bits = [meaning.bits for meaning in meanings]
    return Terms(matcher, meanings, numbers, [bits[number] for number in numbers])


def _terms_from(matcher: Matcher, meanings: list[tuple[int, int, bool, bool, bool]], numbers: bytes) -> Terms:
    return _terms_of(matcher, tuple(map(_as_spelling, meanings)), array("I", numbers))


def _shape_slots(slots: Slots) -> dict[Shape, int]:
    found: dict[Shape, int] = {}
    for group, slot in slots.numbers.items():
        for word in group.words:
            if word.startswith("@"):
                found[Shape(word[1:])] = found.get(Shape(word[1:]), 0) | 1 << slot
    return found


def bits_of(numbers: Iterable[int]) -> int:
    """Slots as a set of bits."""
    total = 0
    for number in numbers:
        total |= 1 << number
    return total


def slots_in(bits: int) -> Iterator[int]:
    """The slots of a set of bits, ascending."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _any_of(characters: Iterable[str], *, astral: bool = False) -> str:
    """A pattern for any one of the characters; of none it finds nothing.

    With `astral` all characters beyond the basic plane are taken for the rare ones among them: a class of many such
    is searched one by one, a range at once.
    """
    ordered = sorted(characters)
    basic = [character for character in ordered if not astral or character <= "\uffff"]
    beyond = "\U00010000-\U0010ffff" if len(basic) < len(ordered) else ""
    return f"[{re.escape(''.join(basic))}{beyond}]" if ordered else "(?!)"


def _with_disguise(slots: Slots, disguise: Disguise) -> int:
    return bits_of(slot for group, slot in slots.numbers.items() if disguise in group.disguises)


def _spellings(slots: Slots, plain: Mapping[str, str], tables: Disguises, *, excuses: bool) -> dict[str, int]:
    """Every spelling of every word with its slots as bits."""
    bits: dict[str, int] = {}
    known: dict[frozenset[Disguise], dict[str, frozenset[str]]] = {}
    for group, slot in slots.numbers.items():
        if group.excuses != excuses:
            continue
        bit, how = 1 << slot, group.disguises & {Disguise.JARGON, Disguise.SPLIT}
        spelled = known.setdefault(how, {})
        for word in group.words:
            folded = plain.get(word)
            if folded is None:
                continue
            if not how:
                bits[folded] = bits.get(folded, 0) | bit
                continue
            if word not in spelled:
                spelled[word] = spellings(folded, how, tables)
            for spelling in spelled[word]:
                bits[spelling] = bits.get(spelling, 0) | bit
    bits.pop("", None)
    return bits


def _spoken(slots: Slots, plain: Mapping[str, str], disguise: Disguise) -> Iterator[Spoken]:
    for group, slot in slots.numbers.items():
        if disguise in group.disguises:
            yield Spoken(tuple(plain[word] for word in group.words if word in plain), slot, group.grouped)
