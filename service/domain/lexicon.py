"""A rule book compiled for one marketplace: one automaton over all spellings, one over syllables, one fold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import ahocorasick
import re2

from service.domain.disguises import SyllableTable, sounds, spellings
from service.domain.normalise import FoldTable
from service.domain.rule_language import Disguise, Disguises, Ladder, Near, Profile, Rule, Scene
from service.domain.shapes_of_contact import Shape

# Words of two characters collide by their sound: 史上/失伤, 包过/包裹 (moderation.md section 3.2); beside its
# neighbours in a `near` a two-character word may be heard when one character is kept. Typed in letters a word needs
# two syllables of its own, or one beside its neighbours.
HOMOPHONE_SYLLABLES_MIN = 3
HOMOPHONE_SYLLABLES_MIN_GROUPED = 2
TYPED_SYLLABLES_MIN = 2
TYPED_SYLLABLES_MIN_GROUPED = 1


@dataclass(frozen=True, slots=True)
class Spelling:
    """What one entry of the automaton stands for."""

    length: int  # folded characters
    bits: int  # the slots, as a set of bits
    slots: tuple[int, ...]
    latin_head: bool
    latin_tail: bool
    all_latin: bool


@dataclass(frozen=True, slots=True)
class Sound:
    """One entry of a syllable automaton: the word, where its syllables end, and which slots hear it."""

    word: str
    ends: tuple[int, ...]  # counted in letters
    slots: tuple[int, ...]
    bits: int


@dataclass(frozen=True, slots=True)
class NearSlots:
    """A `Near` with its groups as slots."""

    slots: tuple[int, ...]
    need: int
    window: int
    ordered: bool
    across: bool


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with its words as slots of the automaton."""

    rule: Rule
    any_slot: int | None
    alone_slot: int | None
    nears: tuple[NearSlots, ...]
    patterns: tuple[re2._Regexp, ...]
    cue_slot: int | None
    unless: tuple[int, ...]
    within: int | None
    before: int | None
    after: int | None
    anywhere: int | None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class CompiledRules:
    """The rules in force for one marketplace; never changed once built, replaced whole."""

    platform: str
    pack_id: str
    pack_version: int
    pack_sha256: str
    ladder: Ladder
    profile: Profile
    scenes: Mapping[str, Scene]
    rules: tuple[CompiledRule, ...]
    fold: FoldTable
    stand_ins: Mapping[int, str]
    stand_in_signs: frozenset[str]
    automaton: ahocorasick.Automaton
    homophones: ahocorasick.Automaton
    typed: ahocorasick.Automaton
    syllables: SyllableTable
    whole: Mapping[str, tuple[int, ...]]  # folded message to the rules that mean exactly it
    triggers: int  # bits of the slots that can start a rule
    starts: Mapping[int, tuple[tuple[int, int], ...]]  # slot to rules, each with the bits it needs
    noisy_slots: frozenset[int]
    repeated_slots: int
    stand_in_slots: int
    not_negation: int | None
    shape_slots: Mapping[Shape, tuple[int, ...]]
    shape_bits: Mapping[Shape, int]


@dataclass(frozen=True, slots=True)
class _WordSet:
    """Words looked for together. `grouped`: they count only beside the words of other groups."""

    words: tuple[str, ...]
    disguises: frozenset[Disguise]
    grouped: bool


@dataclass
class _Slots:
    """Sets of words that are looked for together; the same set asked for twice is one slot."""

    lists: Mapping[str, tuple[str, ...]]
    numbers: dict[_WordSet, int] = field(default_factory=dict)

    def number(self, words: Iterable[str], disguises: frozenset[Disguise], *, grouped: bool = False) -> int | None:
        """The slot of a set of words, or None of an empty set."""
        chosen = tuple(sorted(set(expand_lists(words, self.lists))))
        return self.numbers.setdefault(_WordSet(chosen, disguises, grouped), len(self.numbers)) if chosen else None

    def with_disguise(self, disguise: Disguise) -> list[int]:
        """The slots that ask for a disguise."""
        return [slot for words, slot in self.numbers.items() if disguise in words.disguises]


class UnknownList(Exception):
    """A rule names a list that neither its profile nor the shared lists have."""


def expand_lists(words: Iterable[str], lists: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """`words` with every `$name` replaced by that list, lists in lists too.

    Raises:
        UnknownList: no list of that name.
    """
    for word in words:
        if not word.startswith("$"):
            yield word
        elif word[1:] in lists:
            yield from expand_lists(lists[word[1:]], lists)
        else:
            raise UnknownList(word[1:])


_BARE: frozenset[Disguise] = frozenset({Disguise.NOISE})


def compile_rules(
    rules: Iterable[Rule],
    *,
    profile: Profile,
    lists: Mapping[str, tuple[str, ...]],
    ladder: Ladder,
    scenes: Mapping[str, Scene],
    disguises: Disguises,
    fold: FoldTable,
    syllables: SyllableTable,
    pack: tuple[str, int, str],
) -> CompiledRules:
    """Build what `moderate` needs for one marketplace. `pack` is id, version and sha256 of the whole rule book.

    Raises:
        UnknownList: a rule names a list nobody has.
    """
    slots = _Slots({**lists, **profile.lists})
    common = slots.number(profile.innocent, _BARE)
    not_negation = slots.number(lists.get("not_negation", ()), _BARE)
    in_force = [rule for rule in rules if _is_in_force(rule, profile)]
    compiled = tuple(_compile_rule(rule, slots, common) for rule in in_force)
    automaton, shape_slots = _spelling_automaton(slots, disguises, fold)
    triggers, starts = _triggers(compiled)
    return CompiledRules(
        platform=profile.name,
        pack_id=pack[0],
        pack_version=pack[1],
        pack_sha256=pack[2],
        ladder=ladder,
        profile=profile,
        scenes=scenes,
        rules=compiled,
        fold=fold,
        stand_ins={ord(sign): word for sign, word in disguises.stand_ins.items()},
        stand_in_signs=frozenset(disguises.stand_ins),
        automaton=automaton,
        homophones=_syllable_automaton(slots, fold, syllables, Disguise.HOMOPHONE),
        typed=_syllable_automaton(slots, fold, syllables, Disguise.PINYIN),
        syllables=syllables,
        whole=_whole(compiled, slots.lists, fold),
        triggers=triggers,
        starts=starts,
        noisy_slots=frozenset(slots.with_disguise(Disguise.NOISE)),
        repeated_slots=_bits(slots.with_disguise(Disguise.REPEAT)),
        stand_in_slots=_bits(slots.with_disguise(Disguise.STAND_IN)),
        not_negation=not_negation,
        shape_slots=shape_slots,
        shape_bits={shape: _bits(numbers) for shape, numbers in shape_slots.items()},
    )


def _is_in_force(rule: Rule, profile: Profile) -> bool:
    return rule.id not in profile.rules_off and (not rule.platforms or profile.name in rule.platforms)


def _bits(numbers: Iterable[int]) -> int:
    total = 0
    for number in numbers:
        total |= 1 << number
    return total


def _compile_rule(rule: Rule, slots: _Slots, common: int | None) -> CompiledRule:
    unless = (slots.number(rule.unless, _BARE), common)
    return CompiledRule(
        rule=rule,
        any_slot=slots.number(rule.any_of, rule.disguises),
        alone_slot=slots.number(rule.alone, rule.disguises),
        nears=tuple(_compile_near(near, rule.disguises, slots) for near in rule.nears),
        patterns=tuple(re2.compile(pattern) for pattern in rule.patterns),
        cue_slot=slots.number(rule.cues, _BARE),
        unless=tuple(slot for slot in unless if slot is not None),
        within=slots.number(rule.unless_within, _BARE),
        before=slots.number(rule.unless_before, _BARE),
        after=slots.number(rule.unless_after, _BARE),
        anywhere=slots.number(rule.unless_anywhere, _BARE),
    )


def _compile_near(near: Near, disguises: frozenset[Disguise], slots: _Slots) -> NearSlots:
    numbers = [slots.number(group, disguises, grouped=True) for group in near.groups]
    found = tuple(number for number in numbers if number is not None)
    return NearSlots(found, _bits(found), near.window, near.ordered, near.across)


def _triggers(compiled: tuple[CompiledRule, ...]) -> tuple[int, dict[int, tuple[tuple[int, int], ...]]]:
    """The slots whose presence can start a rule, each with the rules and the bits that must all be present.

    A `near` starts with its last group: authors put the commonest words (加, 我, 去) first.
    """
    started: dict[int, list[tuple[int, int]]] = {}
    for number, each in enumerate(compiled):
        for slot in (each.any_slot, each.alone_slot, each.cue_slot):
            if slot is not None:
                started.setdefault(slot, []).append((number, 1 << slot))
        for near in each.nears:
            started.setdefault(near.slots[-1], []).append((number, near.need))
    return _bits(started), {slot: tuple(starts) for slot, starts in started.items()}


def _spelling_automaton(
    slots: _Slots, disguises: Disguises, fold: FoldTable
) -> tuple[ahocorasick.Automaton, dict[Shape, tuple[int, ...]]]:
    """Every spelling of every word, UTF-8 read as latin-1 so that each node has at most 256 children."""
    slots_of: dict[str, set[int]] = {}
    shape_slots: dict[Shape, list[int]] = {}
    spelled: dict[tuple[str, frozenset[Disguise]], frozenset[str]] = {}
    for group, slot in slots.numbers.items():
        how = group.disguises
        for word in group.words:
            if word.startswith("@"):
                shape_slots.setdefault(Shape(word[1:]), []).append(slot)
                continue
            if (word, how) not in spelled:
                spelled[word, how] = spellings(word, how, disguises, fold)
            for spelling in spelled[word, how]:
                slots_of.setdefault(spelling, set()).add(slot)
    automaton = ahocorasick.Automaton()
    for spelling, numbers in slots_of.items():
        automaton.add_word(as_bytes(spelling), _spelling(spelling, numbers))
    automaton.make_automaton()
    return automaton, {shape: tuple(numbers) for shape, numbers in shape_slots.items()}


def as_bytes(folded: str) -> str:
    """UTF-8 read as latin-1: pyahocorasick looks for children in a list, and bytes keep that list short."""
    return folded.encode("utf-8", "surrogatepass").decode("latin-1")


def is_latin(character: str) -> bool:
    """Whether a folded character is a latin letter or a digit, which only count as whole tokens."""
    return character.isascii() and character.isalnum()


def _spelling(spelling: str, numbers: set[int]) -> Spelling:
    ordered = tuple(sorted(numbers))
    return Spelling(
        length=len(spelling),
        bits=_bits(ordered),
        slots=ordered,
        latin_head=is_latin(spelling[0]),
        latin_tail=is_latin(spelling[-1]),
        all_latin=all(map(is_latin, spelling)),
    )


def _syllable_automaton(
    slots: _Slots, fold: FoldTable, syllables: SyllableTable, disguise: Disguise
) -> ahocorasick.Automaton:
    """The rows of syllables of the words that ask for homophones, or for pinyin."""
    entries: dict[str, dict[tuple[str, tuple[int, ...]], set[int]]] = {}
    for group, slot in slots.numbers.items():
        if disguise not in group.disguises:
            continue
        for word in group.words:
            plain = "" if word.startswith("@") else word.translate(fold)
            for row in sounds(plain, syllables):
                if len(row) >= _syllables_min(disguise, grouped=group.grouped) and len("".join(row)) > 1:
                    entries.setdefault("".join(row), {}).setdefault((plain, _ends(row)), set()).add(slot)
    automaton = ahocorasick.Automaton()
    for letters, meanings in entries.items():
        automaton.add_word(
            letters,
            tuple(
                Sound(word, ends, tuple(sorted(numbers)), _bits(numbers))
                for (word, ends), numbers in sorted(meanings.items())
            ),
        )
    automaton.make_automaton()
    return automaton


def _syllables_min(disguise: Disguise, *, grouped: bool) -> int:
    if disguise is Disguise.HOMOPHONE:
        return HOMOPHONE_SYLLABLES_MIN_GROUPED if grouped else HOMOPHONE_SYLLABLES_MIN
    return TYPED_SYLLABLES_MIN_GROUPED if grouped else TYPED_SYLLABLES_MIN


def _ends(row: tuple[str, ...]) -> tuple[int, ...]:
    ends: list[int] = []
    total = 0
    for syllable in row:
        total += len(syllable)
        ends.append(total)
    return tuple(ends)


def _whole(
    compiled: tuple[CompiledRule, ...], lists: Mapping[str, tuple[str, ...]], fold: FoldTable
) -> dict[str, tuple[int, ...]]:
    rules_of: dict[str, list[int]] = {}
    for number, each in enumerate(compiled):
        for word in expand_lists(each.rule.whole, lists):
            rules_of.setdefault(word.translate(fold), []).append(number)
    return {folded: tuple(dict.fromkeys(numbers)) for folded, numbers in rules_of.items()}
