"""A phrase or a number spread over several messages: read with what the same side said just before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from service.domain.compiled_rules import CompiledRule, CompiledRules
from service.domain.judging import broken_rules
from service.domain.lexicon import slots_in
from service.domain.normalise import SENTENCE_ENDS
from service.domain.reading import Occurrence, Reading
from service.domain.rule_language import Category, Channel, Measure, Rule
from service.domain.suspecting import suspects

TOGETHER_WITHIN = timedelta(minutes=10)  # choice: later nobody reads the two as one
MESSAGES_BEFORE_MAX = 4  # choice: 加 | 我 | 微 | 信 | abc123
TAIL_CHARS_MAX = 48  # choice: of what was said before; no phrase of ours is longer
HEAD_CHARS_MAX = 64  # choice: of the new message; what follows is judged by itself
PIECE_CHARS_MAX = 8  # choice: a message of more folded characters is a sentence, not a piece of one
LETTERS_MAX = 2  # choice: a message of so few folded characters is a part of a word
# Cold words are judged message by message; these are red lines, where pieces are meant to be read together (D1-D4).
_RED_LINES = frozenset(
    {
        Category.DIVERSION,
        Category.CONTACT_INFO,
        Category.OFFLINE_PAYMENT,
        Category.ABUSE,
        Category.THREAT,
        Category.REVIEW_MANIPULATION,
    }
)


class Spread(NamedTuple):
    """A rule broken over the seam. `begun`: what stood before; `start`, `end`: of the new message, half-open."""

    rule: Rule
    begun: str
    start: int
    end: int


def spread_over(
    before: Sequence[str],
    text: str,
    rules: CompiledRules,
    *,
    channel: Channel,
    question: str | None = None,
    facts: frozenset[str] = frozenset(),
) -> list[Spread]:
    """The rules that a message breaks together with those before it and that none of them breaks alone.

    Args:
        before: the same side's delivered messages of this conversation within `TOGETHER_WITHIN`, oldest first.
    """
    tail = _tail(before)
    if not tail or not text.strip():
        return []
    joint, seam = tail + text[:HEAD_CHARS_MAX], len(tail)
    reading = Reading(joint, rules.lexicon)
    suspected = suspects(reading, rules, channel=channel, question=question, facts=facts)
    if not suspected:
        return []
    found: list[Spread] = []
    pieces = _folded_chars(before[-1], rules), _folded_chars(text, rules)
    for number, ways in suspected.items():
        compiled = rules.rules[number]
        for rule, (start, end) in broken_rules(reading, rules, {number: ways}):
            if not start < seam < end or not _is_meant(compiled, reading, (start, end), seam, pieces):
                continue
            if rule.measure.rank > Measure.SUGGEST_EDIT.rank or not _is_broken_by(tail, rule, rules, channel, question):
                found.append(Spread(rule, joint[start:seam], len(text) - len(text.lstrip()), end - seam))
    return found


def _tail(before: Sequence[str]) -> str:
    """The end of what was said, as far back as no sentence ends between two messages."""
    tail = ""
    for said in reversed(before[-MESSAGES_BEFORE_MAX:]):
        ended = said.rstrip()
        if ended and ended[-1] in SENTENCE_ENDS and (tail or len(ended) > LETTERS_MAX):
            break
        tail = said + tail
        if len(tail) >= TAIL_CHARS_MAX:
            return tail[-TAIL_CHARS_MAX:]
    return tail


def _is_meant(
    compiled: CompiledRule, reading: Reading, span: tuple[int, int], seam: int, pieces: tuple[int, int]
) -> bool:
    """Whether the hit is one phrase cut in two, rather than two sentences that happen to meet.

    Args:
        pieces: how many folded characters the message before and the new one have.
    """
    if compiled.rule.category is Category.PERFUNCTORY:
        return False
    words = _words_within(compiled, reading, span)
    cut = [word for word in words if word.start < seam < word.end]
    if any(word.last - word.first > LETTERS_MAX for word in cut):
        return True
    if cut:
        return min(pieces) <= LETTERS_MAX
    if compiled.rule.category not in _RED_LINES:
        return False
    left = [word.last for word in words if word.end <= seam]
    right = [word.first for word in words if word.start >= seam]
    if not left or not right:
        return max(pieces) <= PIECE_CHARS_MAX
    return min(right) == max(left) and min(pieces) <= PIECE_CHARS_MAX  # whole words that touch over the seam


def _words_within(compiled: CompiledRule, reading: Reading, span: tuple[int, int]) -> list[Occurrence]:
    slots = compiled.single
    for near in compiled.nears:
        slots |= near.need
    return [
        word
        for slot in slots_in(slots)
        for word in reading.occurrences(slot)
        if span[0] <= word.start and word.end <= span[1]
    ]


def _folded_chars(text: str, rules: CompiledRules) -> int:
    return len(text[:TAIL_CHARS_MAX].translate(rules.lexicon.fold))


def _is_broken_by(tail: str, rule: Rule, rules: CompiledRules, channel: Channel, question: str | None) -> bool:
    """Whether the words before broke the rule by themselves and went out all the same: that has been judged."""
    reading = Reading(tail, rules.lexicon)
    suspected = suspects(reading, rules, channel=channel, question=question, facts=frozenset())
    return any(broken is rule for broken, _ in broken_rules(reading, rules, suspected))
