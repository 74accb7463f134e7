"""From the words that occur in a text to the rules it breaks: nearness, innocent phrases, negation, facts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter

from service.domain.compiled_rules import CompiledRule, CompiledRules, How, NearSlots, Way
from service.domain.reading import Occurrence, Places, Reading
from service.domain.rule_language import Disguise, Rule
from service.domain.suspecting import Suspects

SPANS_PER_RULE_MAX = 16  # choice: more of the same tells the merchant nothing new
SPANS_LOOKED_AT_MAX = 128  # choice: before the longest of overlapping ones are chosen
NEGATION_CHARS_MAX = 6  # the longest negations have five characters
AFTER_WINDOW_EXTRA = 6  # a warning may follow a little further off than a negation precedes

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
    for span, words in _guilty_spans(compiled, ways, reading):
        if not reading.excuses_among(compiled.excuses):
            yield span
            continue
        reading.locate(excuses)
        if reading.occurrences(compiled.anywhere):
            return
        if not (_is_innocent(span, words, compiled, reading) or _is_negated(span, words, compiled, reading, rules)):
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
    for place in groups[0].all:
        span, words, heard = place, [(place.start, place.end)], int(reading.is_heard(place))
        for places in groups[1:]:
            word = _nearest(span, places, near, window=near.window * (1 + reading.is_doubled))
            if word is None:
                break
            span = _spanning(span, word)
            words.append((word.start, word.end))
            heard += reading.is_heard(word)
        else:
            if not reading.is_split_by(span.start, span.end, clauses=not near.across):
                yield (span.start, span.end), words, heard


def _nearest(span: Occurrence, places: Places, near: NearSlots, *, window: int) -> Occurrence | None:
    """The nearest of `places` that does not overlap `span`, or None if none is near enough."""
    index = bisect_left(places.firsts, span.last)
    if index < len(places.all) and places.firsts[index] - span.last <= window:
        return places.all[index]
    if near.ordered:
        return None
    index = bisect_left(places.firsts, span.first) - 1
    for place in reversed(places.all[max(0, index - 3) : index + 1]):
        if place.last <= span.first and span.first - place.last <= window:
            return place
    return None


def _spanning(one: Occurrence, other: Occurrence) -> Occurrence:
    return Occurrence(
        min(one.start, other.start), max(one.end, other.end), min(one.first, other.first), max(one.last, other.last)
    )


def _is_innocent(span: Span, words: list[Span], compiled: CompiledRule, reading: Reading) -> bool:
    """Whether an innocent phrase claims the hit or one of its words, or lies within and makes it innocent."""
    if any(span[0] <= place.start and place.end <= span[1] for place in reading.occurrences(compiled.within)):
        return True
    return any(
        _claims(place, word)
        for slot in compiled.unless
        for word in {span, *words}
        for place in _around(reading.occurrences(slot), *word)
    )


def _claims(phrase: Occurrence, word: Span) -> bool:
    """Whether a phrase needs characters of the word and is more than a part of it: 光线下 claims 线下拍."""
    start, end = word
    overlaps = phrase.start < end and start < phrase.end
    is_a_part = start <= phrase.start and phrase.end <= end and (phrase.start, phrase.end) != word
    return overlaps and not is_a_part


def _around(places: list[Occurrence], start: int, end: int) -> list[Occurrence]:
    """The few places that may overlap a stretch; phrases are short, so only the last ones that start before its end."""
    low = bisect_left(places, (start,))
    high = bisect_left(places, (end,), low)
    return places[max(0, low - 8) : high]


def _is_negated(span: Span, words: list[Span], compiled: CompiledRule, reading: Reading, rules: CompiledRules) -> bool:
    """Whether a negation stands before the hit in its clause, or between its words, or a warning after it."""
    hit = reading.ranked(*span)
    window = compiled.rule.unless_window
    for place in _between(reading.places(compiled.before), hit.first - window - NEGATION_CHARS_MAX, hit.last):
        if (
            hit.first - place.last <= window
            and not any(place.start < end and start < place.end for start, end in words)
            and not _is_no_negation(place, reading, rules)
            and not reading.is_split_by(min(place.start, hit.start), max(place.end, hit.start), clauses=True)
        ):
            return True
    return any(
        not any(place.start < end and start < place.end for start, end in words)
        and not _is_no_negation(place, reading, rules)
        and not reading.is_split_by(hit.start, place.end, clauses=False)
        for place in _between(reading.places(compiled.after), hit.first, hit.last + window + AFTER_WINDOW_EXTRA)
    )


def _between(places: Places, first: int, last: int) -> list[Occurrence]:
    low = bisect_left(places.firsts, first)
    return places.all[low : bisect_left(places.firsts, last, low)]


def _is_no_negation(place: Occurrence, reading: Reading, rules: CompiledRules) -> bool:
    """Whether the word only looks like a negation: 能不能, 特别."""
    return any(
        phrase.start <= place.start
        and place.end <= phrase.end
        and (phrase.start, phrase.end) != (place.start, place.end)
        for phrase in _around(reading.occurrences(rules.not_negation), place.start, place.end)
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
