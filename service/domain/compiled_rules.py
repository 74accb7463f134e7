"""A rule book compiled: for each marketplace its rules in force, their words as slots of one shared lexicon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

import re2

from service.domain.disguises import SyllableTable
from service.domain.lexicon import Lexicon, Slots, bits_of, build_lexicon, expand_lists, slots_in
from service.domain.normalise import FoldTable
from service.domain.rule_language import Disguise, Disguises, Ladder, Near, Profile, Rule, Scene
from service.domain.uncollected import uncollected

_BARE: frozenset[Disguise] = frozenset({Disguise.NOISE})
# What is in the slots of a compiled rule, or was for authors; hundreds of thousands of words are not carried along.
_NO_WORDS: Mapping[str, Any] = dict.fromkeys(
    [
        *("any_of", "nears", "alone", "patterns", "cues", "hits", "passes"),
        *("unless", "unless_within", "unless_before", "unless_after", "unless_earlier", "unless_next"),
        *("unless_asked", "unless_refused", "unless_anywhere"),
    ],
    (),
)


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
    """A rule with its words as slots of the lexicon."""

    rule: Rule  # without the words that are in slots, and without examples
    any_slot: int | None
    alone_slot: int | None
    nears: tuple[NearSlots, ...]
    patterns: tuple[re2._Regexp, ...]
    cue_slot: int | None
    unless: tuple[int, ...]
    within: int | None
    before: int | None
    after: int | None
    earlier: int | None
    next: int | None
    asked: int | None
    refused: int | None
    anywhere: int | None
    single: int  # bits of the slots that make it guilty without others
    excuses: int  # bits of the slots that excuse it


class How(Enum):
    """How a rule is broken."""

    ANYWHERE = "a word, wherever it stands"
    CLAUSE = "a word that is a clause"
    NEAR = "words near each other"
    PATTERN = "a pattern, if a cue is there"
    WHOLE = "the message as a whole"


class Way(NamedTuple):
    """One way to break a rule. `need`: bits of the slots that must all be there; `slot`: one of them."""

    rule: int  # its number
    place: int  # of this way among those of the rule
    how: How
    need: int
    slot: int
    near: NearSlots | None = None


class Start(NamedTuple):
    """What a slot can start."""

    bit: int
    ways: tuple[Way, ...]


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
    lexicon: Lexicon
    whole: Mapping[str, tuple[int, ...]]  # folded message to the rules that mean exactly it
    whole_chars_max: int
    triggers: int  # bits of the slots that can start a rule
    starts: Mapping[int, Start]  # by slot
    not_negation: int | None


@uncollected()
def compile_rules(
    rules: Iterable[Rule],
    *,
    profiles: Iterable[Profile],
    lists: Mapping[str, tuple[str, ...]],
    ladder: Ladder,
    scenes: Mapping[str, Scene],
    disguises: Disguises,
    fold: FoldTable,
    syllables: SyllableTable,
    pack: tuple[str, int, str],
    fast: bool | None = None,
) -> dict[str, CompiledRules]:
    """What `moderate` needs, by marketplace. `pack` is id, version and sha256 of the whole rule book.

    Args:
        fast: with the matcher of the extra [fast] or without; by default with it where it is installed.

    Raises:
        UnknownList: a rule names a list nobody has.
    """
    rules = tuple(rules)
    slots = Slots(lists)
    not_negation = slots.number(lists.get("not_negation", ()), _BARE, excuses=True)
    in_force = [(profile, _in_force(rules, profile, slots)) for profile in profiles]
    lexicon = build_lexicon(slots, disguises=disguises, fold=fold, syllables=syllables, fast=fast)
    commonness = _commonness(rules, lexicon)
    compiled: dict[str, CompiledRules] = {}
    for profile, own_rules in in_force:
        whole = _whole(own_rules, {**lists, **profile.lists}, fold)
        starts = _starts(own_rules, commonness)
        compiled[profile.name] = CompiledRules(
            platform=profile.name,
            pack_id=pack[0],
            pack_version=pack[1],
            pack_sha256=pack[2],
            ladder=ladder,
            profile=profile,
            scenes=scenes,
            rules=own_rules,
            lexicon=lexicon,
            whole=whole,
            whole_chars_max=max(map(len, whole), default=0),
            triggers=bits_of(starts),
            starts=starts,
            not_negation=not_negation,
        )
    return compiled


def _in_force(rules: tuple[Rule, ...], profile: Profile, slots: Slots) -> tuple[CompiledRule, ...]:
    own_slots = Slots({**slots.lists, **profile.lists}, slots.numbers)
    common = own_slots.number(profile.innocent, _BARE, excuses=True)
    return tuple(
        _compile_rule(rule, own_slots, common)
        for rule in rules
        if rule.id not in profile.rules_off and (not rule.platforms or profile.name in rule.platforms)
    )


def _compile_rule(rule: Rule, slots: Slots, common: int | None) -> CompiledRule:
    any_slot = slots.number(rule.any_of, rule.disguises)
    alone_slot = slots.number(rule.alone, rule.disguises)
    nears = tuple(_compile_near(near, rule.disguises, slots) for near in rule.nears)
    cue_slot = slots.number(rule.cues, _BARE | rule.disguises & {Disguise.REPEAT})
    unless = tuple(slot for slot in (slots.number(rule.unless, _BARE, excuses=True), common) if slot is not None)
    within = slots.number(rule.unless_within, _BARE, excuses=True)
    before = slots.number(rule.unless_before, _BARE, excuses=True)
    after = slots.number(rule.unless_after, _BARE, excuses=True)
    earlier = slots.number(rule.unless_earlier, _BARE, excuses=True)
    following = slots.number(rule.unless_next, _BARE, excuses=True)
    asked = slots.number(rule.unless_asked, _BARE, excuses=True)
    refused = slots.number(rule.unless_refused, _BARE, excuses=True)
    anywhere = slots.number(rule.unless_anywhere, _BARE, excuses=True)
    return CompiledRule(
        rule=replace(rule, **_NO_WORDS),
        any_slot=any_slot,
        alone_slot=alone_slot,
        nears=nears,
        patterns=tuple(map(_pattern, rule.patterns)),
        cue_slot=cue_slot,
        unless=unless,
        within=within,
        before=before,
        after=after,
        earlier=earlier,
        next=following,
        asked=asked,
        refused=refused,
        anywhere=anywhere,
        single=bits_of(slot for slot in (any_slot, alone_slot, cue_slot) if slot is not None),
        excuses=bits_of(
            slot
            for slot in (*unless, within, before, after, earlier, following, asked, refused, anywhere)
            if slot is not None
        ),
    )


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re2._Regexp:
    """One for all marketplaces."""
    return re2.compile(pattern)


def _compile_near(near: Near, disguises: frozenset[Disguise], slots: Slots) -> NearSlots:
    numbers = [slots.number(group, disguises, grouped=True) for group in near.groups]
    found = tuple(number for number in numbers if number is not None)
    return NearSlots(found, bits_of(found), near.window, near.ordered, near.across)


def _commonness(rules: tuple[Rule, ...], lexicon: Lexicon) -> Counter[int]:
    """In how many of the innocent examples the words of each slot occur."""
    seen: Counter[int] = Counter()
    for example in (example for rule in rules for example in rule.passes):
        present = 0
        for hit in lexicon.guilt.matcher.find(example.text.translate(lexicon.fold)):
            present |= lexicon.guilt.bits[hit[-1]]
        seen.update(slots_in(present))
    return seen


def _starts(compiled: tuple[CompiledRule, ...], commonness: Counter[int]) -> dict[int, Start]:
    """The slots whose presence can start a rule, each with what it starts.

    A `near` starts with the group whose words are rarest in innocent texts; of several with the last, for authors put
    the commonest words (加, 我, 去) first.
    """
    started: dict[int, list[Way]] = {}
    for number, each in enumerate(compiled):
        for way in _ways(number, each, commonness):
            started.setdefault(way.slot, []).append(way)
    return {slot: Start(1 << slot, tuple(ways)) for slot, ways in started.items()}


def _ways(number: int, compiled: CompiledRule, commonness: Counter[int]) -> Iterator[Way]:
    if compiled.any_slot is not None:
        yield Way(number, 0, How.ANYWHERE, 1 << compiled.any_slot, compiled.any_slot)
    if compiled.alone_slot is not None:
        yield Way(number, 1, How.CLAUSE, 1 << compiled.alone_slot, compiled.alone_slot)
    for place, near in enumerate(compiled.nears, 2):
        rarest = min(reversed(near.slots), key=commonness.__getitem__)
        yield Way(number, place, How.NEAR, near.need, rarest, near)
    if compiled.cue_slot is not None:
        yield Way(number, len(compiled.nears) + 2, How.PATTERN, 1 << compiled.cue_slot, compiled.cue_slot)


def _whole(
    compiled: tuple[CompiledRule, ...], lists: Mapping[str, tuple[str, ...]], fold: FoldTable
) -> dict[str, tuple[int, ...]]:
    rules_of: dict[str, list[int]] = {}
    for number, each in enumerate(compiled):
        for word in expand_lists(each.rule.whole, lists):
            rules_of.setdefault(word.translate(fold), []).append(number)
    return {folded: tuple(dict.fromkeys(numbers)) for folded, numbers in rules_of.items()}
