"""From the words that occur in a text to the rules it breaks: nearness, innocent phrases, negation, facts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain, islice
from operator import attrgetter

from service.domain.compiled_rules import CompiledRule, CompiledRules, How, NearSlots, Way
from service.domain.excusing import Excuses
from service.domain.reading import Occurrence, Places, Reading
from service.domain.rule_language import Disguise, Rule
from service.domain.suspecting import Suspects

SPANS_PER_RULE_MAX = 16  # choice: more of the same tells the merchant nothing new
SPANS_LOOKED_AT_MAX = 128  # choice: before the longest of overlapping ones are chosen

_PLACE = attrgetter("place")
Span = tuple[int, int]


def broken_rules(reading: Reading, rules: CompiledRules, suspected: Suspects) -> Iterator[tuple[Rule, Span]]:
    """Of the suspects each rule the text breaks with each place where it does, places in text order."""
    guilt = excuses = 0
    for number, ways in suspected.items():
        for way in ways:
            guilt |= way.need
        excuses |= rules.rules[number].excuses
    reading.locate(guilt)
    for number, ways in suspected.items():
        compiled = rules.rules[number]
        ways.sort(key=_PLACE)
        spans = set(islice(_spans(compiled, ways, reading, rules, excuses), SPANS_LOOKED_AT_MAX))
        if ways[0].how is How.WHOLE and reading.folded and not reading.occurrences(compiled.anywhere):
            spans.add((reading.came_from[0], reading.came_from[-1] + 1))
        for span in _longest(spans)[:SPANS_PER_RULE_MAX]:
            yield compiled.rule, span


def _spans(
    compiled: CompiledRule, ways: list[Way], reading: Reading, rules: CompiledRules, excuses: int
) -> Iterator[Span]:
    """The guilty places that nothing excuses; `excuses` are located together, once any place is guilty."""
    guilty = _guilty_spans(compiled, ways, reading)
    first = next(guilty, None)
    if first is None:
        return
    if not reading.excuses_among(compiled.excuses):
        yield first[0]
        yield from (span for span, _ in guilty)
        return
    reading.locate(excuses)
    if reading.occurrences(compiled.anywhere):
        return
    there = Excuses(compiled, reading, rules.not_negation)
    for span, words in chain((first,), guilty):
        if not there.excuse(span, words):
            yield span


def _guilty_spans(compiled: CompiledRule, ways: list[Way], reading: Reading) -> Iterator[tuple[Span, list[Span]]]:
    """Where the rule's words stand, each place with the words it is made of."""
    for way in ways:
        if way.near is not None:
            yield from _near_spans(way.near, reading)
        elif way.how is How.PATTERN:
            yield from ((span, [span]) for span in _pattern_spans(compiled, reading))
        elif way.how is not How.WHOLE:
            for place in reading.occurrences(way.slot):
                if way.how is How.ANYWHERE or reading.is_a_clause(place):
                    yield (place.start, place.end), [(place.start, place.end)]


def _pattern_spans(compiled: CompiledRule, reading: Reading) -> Iterator[Span]:
    """Where the patterns of a rule match, in the text as folded and in the other ways to read it."""
    ways = reading.ways_to_read(repeats=Disguise.REPEAT in compiled.rule.disguises)
    for folded, end_of in ways:
        for pattern in compiled.patterns:
            for found in pattern.finditer(folded):
                first, last = found.span()
                if first < last:
                    yield end_of(first, last)


def _near_spans(near: NearSlots, reading: Reading) -> Iterator[tuple[Span, list[Span]]]:
    """From each word of the first group to the nearest words of the others."""
    yield from (
        (span, words) for span, words, _ in _joined([reading.places(slot) for slot in near.slots], near, reading)
    )
    if reading.has_doubtful:
        groups = [reading.doubtful_places(slot) for slot in near.slots]
        yield from ((span, words) for span, words, heard in _joined(groups, near, reading) if heard > 1)


def _joined(groups: list[Places], near: NearSlots, reading: Reading) -> Iterator[tuple[Span, list[Span], int]]:
    """The stretches that hold a word of each group, their words, and how many of these were only heard."""
    window = near.window * (1 + reading.is_doubled)
    for place in groups[0].all:
        span, words, heard = place, [(place.start, place.end)], int(reading.is_heard(place))
        for places in groups[1:]:
            word = _nearest(span, places, near, window=window, reading=reading)
            if word is None:
                break
            span = _spanning(span, word)
            words.append((word.start, word.end))
            heard += reading.is_heard(word)
        else:
            if not reading.is_split_by(span.start, span.end, clauses=not near.across):
                yield (span.start, span.end), words, heard


def _nearest(span: Occurrence, places: Places, near: NearSlots, *, window: int, reading: Reading) -> Occurrence | None:
    """The nearest of `places` that does not overlap `span`, or None if none is near enough."""
    index = bisect_left(places.firsts, span.last)
    if index < len(places.all):
        first = places.firsts[index]
        gap = first - span.last
        if gap <= window or (reading.is_typed and reading.are_syllables(span.last, first, most=window)):
            return places.all[index]
    if near.ordered:
        return None
    index = bisect_left(places.firsts, span.first) - 1
    for place in reversed(places.all[max(0, index - 3) : index + 1]):
        if place.last <= span.first and span.first - place.last <= window:
            return place
    return None


def _spanning(one: Occurrence, other: Occurrence) -> Occurrence:
    if one.start <= other.start and one.end <= other.end:  # as most stand
        return Occurrence(one.start, other.end, one.first, other.last)
    return Occurrence(
        min(one.start, other.start), max(one.end, other.end), min(one.first, other.first), max(one.last, other.last)
    )


def _longest(spans: set[Span]) -> list[Span]:
    """The longest of overlapping places, in text order."""
    chosen: list[Span] = []
    reach = -1
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= reach:
            chosen.append((start, end))
            reach = end
    return chosen
