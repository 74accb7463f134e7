"""What excuses a hit: an innocent phrase that claims its characters, a negation before it, a warning around it."""

from __future__ import annotations

from bisect import bisect_left

from service.domain.compiled_rules import CompiledRule
from service.domain.reading import Occurrence, Places, Reading

NEGATION_CHARS_MAX = 6  # the longest negations have five characters
REFUSAL_CHARS_MAX = 12  # choice: what is refused further off may be something else
AFTER_WINDOW_EXTRA = 6  # a warning may follow a little further off than a negation precedes

Span = tuple[int, int]


class Excuses:
    """What may excuse the hits of one rule in one text; its words must have been located.

    Args:
        not_negation: the slot of the words that only look like a negation: 能不能, 特别.
    """

    def __init__(self, compiled: CompiledRule, reading: Reading, not_negation: int | None) -> None:
        self._reading = reading
        self._window = compiled.rule.unless_window
        self._within = reading.occurrences(compiled.within)
        phrases = (reading.occurrences(slot) for slot in compiled.unless)
        self._phrases = [places for places in phrases if places]
        self._before = reading.places(compiled.before)
        self._after = reading.places(compiled.after)
        self._earlier = reading.places(compiled.earlier)
        self._next = reading.places(compiled.next)
        self._asked = reading.places(compiled.asked)
        self._refused = reading.places(compiled.refused)
        self._not_negation = not_negation

    def excuse(self, span: Span, words: list[Span]) -> bool:
        """Whether a hit is innocent, or negated, or warned of. `words` are those that it is made of."""
        if self._is_innocent(span, words) or (self._next.all and self._is_part_of_a_name(span)):
            return True
        if self._earlier.all and self._stands_earlier(self._earlier, span):  # 骗子冒充客服,让您加微信
            return True
        if self._asked.all and self._refused.all and self._is_turned_down(span):
            return True
        return bool(self._before.all or self._after.all) and self._is_negated(span, words)

    def _is_innocent(self, span: Span, words: list[Span]) -> bool:
        """Whether an innocent phrase claims the hit or one of its words, or lies within and makes it innocent."""
        if any(span[0] <= place.start and place.end <= span[1] for place in self._within):
            return True
        if not self._phrases:
            return False
        claimed = {span, *words}
        return any(
            _claims(place, word)
            for places in self._phrases
            for word in claimed
            for place in _around(places, word[0], word[1])
        )

    def _is_part_of_a_name(self, span: Span) -> bool:
        """Whether a word stands right behind the hit that makes it the name of something: 猪头面具."""
        hit = self._reading.ranked(*span)
        return any(
            not self._reading.is_split_by(hit.start, place.end, clauses=True)
            for place in _between(self._next, hit.last, hit.last + 1)
        )

    def _stands_earlier(self, places: Places, span: Span) -> bool:
        """Whether one of the words stands before the hit, or begins with it, in its sentence."""
        index = bisect_left(places.firsts, self._reading.ranked(*span).first + 1)
        if not index:
            return False
        nearest = places.all[index - 1]
        return (nearest.end <= span[0] or nearest.start == span[0]) and not self._reading.is_split_by(
            nearest.start, span[0], clauses=False
        )

    def _is_turned_down(self, span: Span) -> bool:
        """Whether the buyer is said to want it and is refused, both in its sentence: 您说加V聊,真不行."""
        reading = self._reading
        last = reading.ranked(*span).last
        return self._stands_earlier(self._asked, span) and any(
            not self._is_no_negation(place) and not reading.is_split_by(span[0], place.end, clauses=False)
            for place in _between(self._refused, last, last + REFUSAL_CHARS_MAX + 1)
        )

    def _is_negated(self, span: Span, words: list[Span]) -> bool:
        """Whether a negation stands before the hit in its clause, or between its words, or a warning after it."""
        reading, window = self._reading, self._window
        hit = reading.ranked(*span)
        for place in _between(self._before, hit.first - window - NEGATION_CHARS_MAX, hit.last):
            if (
                hit.first - place.last <= window
                and not _touches(place, words)
                and not self._is_no_negation(place)
                and not reading.is_parted(place.end, hit.start)
                and not reading.is_split_by(min(place.start, hit.start), max(place.end, hit.start), clauses=True)
            ):
                return True
        return any(
            not _touches(place, words)
            and not self._is_no_negation(place)
            and not reading.is_split_by(hit.start, place.end, clauses=False)
            for place in _between(self._after, hit.first, hit.last + window + AFTER_WINDOW_EXTRA)
        )

    def _is_no_negation(self, place: Occurrence) -> bool:
        return any(
            phrase.start <= place.start
            and place.end <= phrase.end
            and (phrase.start, phrase.end) != (place.start, place.end)
            for phrase in _around(self._reading.occurrences(self._not_negation), place.start, place.end)
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


def _touches(place: Occurrence, words: list[Span]) -> bool:
    return any(place.start < end and start < place.end for start, end in words)


def _between(places: Places, first: int, last: int) -> list[Occurrence]:
    low = bisect_left(places.firsts, first)
    return places.all[low : bisect_left(places.firsts, last, low)]
