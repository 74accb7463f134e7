"""Which rules a text may break at all: quick looks at what occurs and about where, for most texts break none."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from service.domain.compiled_rules import CompiledRules, How, NearSlots, Way
from service.domain.reading import LETTERS_OF_A_SYLLABLE, Reading, RoughPlaces
from service.domain.rule_language import Channel, Rule
from service.domain.whole_message import ADDRESS_CHARS_MAX, whole_forms

PAIRS_LOOKED_AT_MAX = 100  # choice: more pairs are put in order first

Span = tuple[int, int]  # half-open, in characters that the fold keeps
Suspects = dict[int, list[Way]]  # by the number of a rule in book order, the ways in which it may be broken
_CLAUSE, _PATTERN = How.CLAUSE, How.PATTERN


def suspects(
    reading: Reading, rules: CompiledRules, *, channel: Channel, question: str | None, facts: frozenset[str]
) -> Suspects:
    """The rules that the text may break, in book order; most texts have none."""
    started = _started(reading.present, rules)
    if len(reading.folded) <= rules.whole_chars_max + ADDRESS_CHARS_MAX:
        _add_whole(started, reading, rules)
    if not started:
        return started
    suspected = {
        number: started[number]
        for number in sorted(started)
        if _applies(rules.rules[number].rule, channel=channel, question=question, facts=facts)
    }
    return _possible(suspected, reading, rules) if suspected and reading.can_be_looked_over else suspected


def _started(present: int, rules: CompiledRules) -> Suspects:
    """The rules whose words are there, wherever they stand."""
    started: Suspects = {}
    starts, left = rules.starts, present & rules.triggers
    while left:
        bit, ways = starts[left.bit_length() - 1]
        left ^= bit
        for way in ways:
            need = way.need
            if need & present == need:
                started.setdefault(way.rule, []).append(way)
    return started


def _add_whole(started: Suspects, reading: Reading, rules: CompiledRules) -> None:
    """The rules that mean the message as a whole."""
    whole = rules.whole
    for number in {number for form in whole_forms(reading.folded) if form in whole for number in whole[form]}:
        started.setdefault(number, []).append(Way(number, -1, How.WHOLE, 0, 0))


def _applies(rule: Rule, *, channel: Channel, question: str | None, facts: frozenset[str]) -> bool:
    if channel not in rule.channels or not facts.isdisjoint(rule.unless_facts):
        return False
    return not rule.needs_question or bool(question and question.strip())


def _possible(suspected: Suspects, reading: Reading, rules: CompiledRules) -> Suspects:
    """Those that a quick look at where words stand, or seem to stand, does not rule out, by those ways alone."""
    wanted = 0
    for ways in suspected.values():
        for way in ways:
            if way.near is not None or way.how is _CLAUSE:
                wanted |= way.need
    roughly = reading.rough_places(wanted) if wanted else {}
    possible: Suspects = {}
    for number, ways in suspected.items():
        left = [way for way in ways if _may_hit(way, reading, rules, roughly)]
        if left:
            possible[number] = left
    return possible


def _may_hit(way: Way, reading: Reading, rules: CompiledRules, roughly: RoughPlaces) -> bool:
    if way.near is not None:
        return _may_be_near(way.near, roughly, spread=LETTERS_OF_A_SYLLABLE if reading.is_typed else 1)
    if way.how is _CLAUSE:
        return any(reading.is_a_rough_clause(*place) for place in roughly.get(way.slot, ()))
    if way.how is _PATTERN:
        return any(pattern.search(reading.folded) for pattern in rules.rules[way.rule].patterns)
    return True


def _may_be_near(near: NearSlots, roughly: RoughPlaces, *, spread: int) -> bool:
    """Whether for a word of the first group there are words of all others that are not too far away.

    Args:
        spread: how many times as far as the window they may stand: where letters are typed for characters.
    """
    places, *others = (roughly.get(slot, ()) for slot in near.slots)
    reach = 0
    for group in others:
        reach += near.window * spread
        if len(places) * len(group) > PAIRS_LOOKED_AT_MAX:
            places = _near_many(places, group, reach, ordered=near.ordered)
        else:
            places = [place for place in places if _is_near(place, group, reach, ordered=near.ordered)]
        if not places:
            return False
        reach += max(last - first for first, last in group)  # the word may stand between the first and the next
    return True


def _is_near(place: Span, others: Sequence[Span], reach: int, *, ordered: bool) -> bool:
    """Whether one of the other words lies within reach of a place, behind it if they are ordered, and not over it."""
    first, last = place
    for other_first, other_last in others:
        if 0 <= other_first - last <= reach or (not ordered and 0 <= first - other_last <= reach):
            return True
    return False


def _near_many(places: Sequence[Span], others: Sequence[Span], reach: int, *, ordered: bool) -> list[Span]:
    """The places that are near one of many others."""
    firsts, lasts = sorted(first for first, _ in others), sorted(last for _, last in others)
    return [
        (first, last)
        for first, last in places
        if bisect_left(firsts, last) < bisect_right(firsts, last + reach)
        or (not ordered and bisect_left(lasts, first - reach) < bisect_right(lasts, first))
    ]
