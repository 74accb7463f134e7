"""From the words that occur in a text to the rules it breaks: nearness, innocent phrases, negation, facts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice

from service.domain.compiled_rules import CompiledRule, CompiledRules, NearSlots
from service.domain.lexicon import slots_in
from service.domain.reading import ADDRESS_CHARS_MAX, Occurrence, Places, Reading, RoughPlaces
from service.domain.rule_language import Channel, Disguise, Rule

SPANS_PER_RULE_MAX = 16  # choice: more of the same tells the merchant nothing new
SPANS_LOOKED_AT_MAX = 128  # choice: before the longest of overlapping ones are chosen
NEGATION_CHARS_MAX = 6  # the longest negations have five characters
AFTER_WINDOW_EXTRA = 6  # a warning may follow a little further off than a negation precedes

WORD_CHARS_MAX = 200  # as the schema says
PAIRS_LOOKED_AT_MAX = 100  # choice: more pairs cost more than the exact look that they may save
TOO_FAR = 1_000_000  # more than a text has characters

Span = tuple[int, int]


def candidates(
    reading: Reading, rules: CompiledRules, *, channel: Channel, question: str | None, facts: frozenset[str]
) -> list[int]:
    """The rules whose words are there, wherever they stand, as numbers in book order; most texts have none."""
    numbers = _started(reading.present, rules)
    if len(reading.folded) <= rules.whole_chars_max + ADDRESS_CHARS_MAX:
        numbers |= _whole(reading, rules)
    if not numbers:
        return []
    return [
        number
        for number in sorted(numbers)
        if _applies(rules.rules[number].rule, channel=channel, question=question, facts=facts)
    ]


def broken_rules(reading: Reading, rules: CompiledRules, numbers: list[int]) -> Iterator[tuple[Rule, Span]]:
    """Of the `candidates` each rule the text breaks with each place where it does, places in text order."""
    whole = _whole(reading, rules)
    numbers = _possible(numbers, reading, rules, whole)
    guilt = excuses = 0
    for number in numbers:
        guilt |= _reachable(rules.rules[number], reading.present)
        excuses |= rules.rules[number].excuses
    reading.locate(guilt)
    for number in numbers:
        compiled = rules.rules[number]
        spans = set(islice(_spans(compiled, reading, rules, excuses), SPANS_LOOKED_AT_MAX))
        if number in whole and reading.folded and not reading.occurrences(compiled.anywhere):
            spans.add((reading.came_from[0], reading.came_from[-1] + 1))
        for span in _longest(spans)[:SPANS_PER_RULE_MAX]:
            yield compiled.rule, span


def _possible(numbers: list[int], reading: Reading, rules: CompiledRules, whole: set[int]) -> list[int]:
    """Those of the rules that a quick look at where words stand, or seem to stand, does not rule out."""
    if not reading.can_be_looked_over:
        return numbers
    wanted = 0
    for number in numbers:
        wanted |= _reachable(rules.rules[number], reading.present)
    roughly = reading.rough_places(wanted)
    return [number for number in numbers if number in whole or _may_hit(rules.rules[number], reading, roughly)]


def _may_hit(compiled: CompiledRule, reading: Reading, roughly: RoughPlaces) -> bool:
    present = reading.present
    if compiled.any_slot is not None and present >> compiled.any_slot & 1:
        return True
    if any(reading.is_a_rough_clause(*place) for place in roughly.get(compiled.alone_slot, ())):
        return True
    if compiled.cue_slot in roughly and any(pattern.search(reading.folded) for pattern in compiled.patterns):
        return True
    return any(_may_be_near(near, roughly) for near in compiled.nears if near.need & present == near.need)


def _may_be_near(near: NearSlots, roughly: RoughPlaces) -> bool:
    """Whether for a word of the first group there are words of all others that are not too far away."""
    reach = near.window + (len(near.slots) - 2) * (near.window + WORD_CHARS_MAX)
    first, *others = (roughly.get(slot, ()) for slot in near.slots)
    if len(first) * max(map(len, others)) > PAIRS_LOOKED_AT_MAX:
        return True
    return any(
        all(any(_gap(place, other, ordered=near.ordered) <= reach for other in places) for places in others)
        for place in first
    )


def _gap(one: Span, other: Span, *, ordered: bool) -> int:
    """Characters between two words that do not overlap; too many to count if they do, or stand in another order."""
    if one[1] <= other[0]:
        return other[0] - one[1]
    return TOO_FAR if ordered or other[1] > one[0] else one[0] - other[1]


def _reachable(compiled: CompiledRule, present: int) -> int:
    """Bits of the slots by which a rule can be guilty of a text in which `present` occur."""
    reachable = compiled.single & present
    for near in compiled.nears:
        if near.need & present == near.need:
            reachable |= near.need
    return reachable


def _whole(reading: Reading, rules: CompiledRules) -> set[int]:
    """The rules that mean the message as a whole."""
    if len(reading.folded) > rules.whole_chars_max + ADDRESS_CHARS_MAX:
        return set()
    return {number for form in reading.whole_forms() for number in rules.whole.get(form, ())}


def _started(present: int, rules: CompiledRules) -> set[int]:
    """The rules whose words are there, wherever they stand."""
    return {
        number
        for slot in slots_in(present & rules.triggers)
        for number, need in rules.starts[slot]
        if need & present == need
    }


def _applies(rule: Rule, *, channel: Channel, question: str | None, facts: frozenset[str]) -> bool:
    if channel not in rule.channels or not facts.isdisjoint(rule.unless_facts):
        return False
    return not rule.needs_question or bool(question and question.strip())


def _spans(compiled: CompiledRule, reading: Reading, rules: CompiledRules, excuses: int) -> Iterator[Span]:
    """The guilty places that nothing excuses; `excuses` are located together, once any place is guilty."""
    for span, words in _guilty_spans(compiled, reading):
        if not reading.excuses_among(compiled.excuses):
            yield span
            continue
        reading.locate(excuses)
        if reading.occurrences(compiled.anywhere):
            return
        if not (_is_innocent(span, words, compiled, reading) or _is_negated(span, words, compiled, reading, rules)):
            yield span


def _guilty_spans(compiled: CompiledRule, reading: Reading) -> Iterator[tuple[Span, list[Span]]]:
    """Where the rule's words stand, each place with the words it is made of."""
    for place in reading.occurrences(compiled.any_slot):
        yield (place.start, place.end), [(place.start, place.end)]
    for place in reading.occurrences(compiled.alone_slot):
        if reading.is_a_clause(place):
            yield (place.start, place.end), [(place.start, place.end)]
    for near in compiled.nears:
        if near.need & reading.present == near.need:
            yield from _near_spans(near, reading)
    if compiled.cue_slot is not None and reading.present >> compiled.cue_slot & 1:
        yield from ((span, [span]) for span in _pattern_spans(compiled, reading))


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
