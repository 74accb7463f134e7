"""Many messages judged at once: joined, folded by table look-up, scanned once; only suspects are judged one by one.

The unit of work is `broken`: a pure function of Arrow arrays and a rules folder, for whatever runs it
(bulk_runners.py). Its verdicts are those of `moderate`; what the sieve lets fall could break no rule. Needs the extra
`[bulk]`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from service.domain import reading
from service.domain.compiled_rules import CompiledRules, NearSlots
from service.domain.disguises import is_letter
from service.domain.lexicon import slots_in
from service.domain.moderation import Channel, Context, moderate
from service.domain.shapes_of_contact import DIGIT_SIGNS, DIGITS_MIN, has_a_plus, has_a_sign
from service.store.differing_rules import only
from service.store.rule_replay import CHANNEL_DEFAULT as CHANNEL
from service.store.rule_replay import fired
from service.store.rulepacks import RuleBook, load_rule_book

BLOCK_ROWS: Final = 8_192  # choice: joined at once; the tables stay in the cache, the memory small
CODE_POINTS: Final = 0x110000
NEXT: Final = 0  # stands between two messages; the fold makes it of no character
DROPPED: Final = -1
UNKNOWN: Final = -2
SUSPICIOUS: Final = 1  # flags of a character
DIGIT: Final = 2
LETTER: Final = 4
WATCHED: Final = "?"  # behind a rule that is only watched
PLATFORM: Final = "taobao"

Array = Any  # a numpy or an Arrow array


class Asked(NamedTuple):
    """Where the texts of a block stand and whether they answer anything: one value a text."""

    channels: Sequence[str]
    questions: Sequence[str | None]


class Sieve:
    """Tells which of many texts could break a rule at all; never too few."""

    def __init__(self, rules: CompiledRules) -> None:
        self._rules = rules
        self._lexicon = rules.lexicon
        self._fold = np.full(CODE_POINTS, UNKNOWN, dtype=np.int32)
        self._flags = np.zeros(CODE_POINTS, dtype=np.uint8)
        self._signs = np.zeros(CODE_POINTS, dtype=np.uint32)
        self._fold[NEXT] = NEXT
        self._signs[NEXT] = rules.lexicon.ear.signs[NEXT]
        self._whole_chars_max = rules.whole_chars_max + reading.ADDRESS_CHARS_MAX
        self._wholes: defaultdict[str, set[int]] = defaultdict(set)
        for form, numbers in rules.whole.items():
            self._wholes[_core(form)].update(numbers)
        self._ways = {
            slot: [(way, tuple(slots_in(way.need))) for way in start.ways] for slot, start in rules.starts.items()
        }
        self._first_slot, self._slots = _slots_by_entry(rules.lexicon.guilt.bits)
        self._slot_count = 1 + max(
            (slot for ways in self._ways.values() for _, needed in ways for slot in needed), default=0
        )

    def suspects(self, texts: Sequence[str], asked: Asked) -> list[int]:
        """The places of the texts that must be judged one by one, ascending."""
        if not texts:
            return []
        suspected = np.zeros(len(texts), dtype=bool)
        written = np.frombuffer("\0".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
        between = written == NEXT
        if int(between.sum()) != len(texts) - 1:
            return self._without_nul(texts, asked)
        self._learn(written)
        message = np.cumsum(between)
        suspected[message[self._flags[written] & SUSPICIOUS > 0]] = True
        folded = self._fold[written]
        kept = folded >= NEXT
        folded, message = folded[kept], message[kept]
        text = folded.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        if self._lexicon.shape_slots:
            self._note_shapes(texts, folded, message, suspected)
        self._note_forms(text, folded, message, suspected, asked)
        self._note_words(_Hits(self, text, folded, message), suspected, asked)
        return [int(place) for place in np.flatnonzero(suspected)]

    def _without_nul(self, texts: Sequence[str], asked: Asked) -> list[int]:
        """Texts that hold what stands between texts are suspects, and read as nothing."""
        found = set(self.suspects(["" if "\0" in text else text for text in texts], asked))
        return sorted(found | {place for place, text in enumerate(texts) if "\0" in text})

    def _learn(self, written: Array) -> None:
        """Look up the characters that were never seen before."""
        lexicon = self._lexicon
        for code_point in np.unique(written[self._fold[written] == UNKNOWN]).tolist():
            character = chr(code_point)
            becomes = character.translate(lexicon.fold)
            self._fold[code_point] = ord(becomes) if len(becomes) == 1 else DROPPED
            if (
                len(becomes) > 1
                or (lexicon.stand_in_bits and lexicon.stand_in.search(character))
                or (lexicon.shape_slots and has_a_plus(character))
            ):
                self._flags[code_point] |= SUSPICIOUS
            if len(becomes) == 1:
                self._signs[ord(becomes)] = lexicon.ear.signs[ord(becomes)]
                if becomes in DIGIT_SIGNS:
                    self._flags[ord(becomes)] |= DIGIT
                if is_letter(becomes):
                    self._flags[ord(becomes)] |= LETTER

    def _note_shapes(self, texts: Sequence[str], folded: Array, message: Array, suspected: Array) -> None:
        """A run of digits may be a number to call or to pay to, letters with a sign among them an address."""
        for place in np.unique(message[self._flags[folded] & LETTER > 0]).tolist():
            if has_a_sign(texts[place]):
                suspected[place] = True
        digit = self._flags[folded] & DIGIT > 0
        run = digit
        for ahead in range(1, DIGITS_MIN):
            run = run[:-1] & digit[ahead:]
        suspected[message[: len(run)][run]] = True

    def _note_forms(self, text: str, folded: Array, message: Array, suspected: Array, asked: Asked) -> None:
        """Messages that a rule means as a whole, and messages with repeats."""
        parts = text.split("\0")
        lengths = np.bincount(message, minlength=len(parts)) - 1  # the mark before it counts to a message
        lengths[0] += 1
        short = np.flatnonzero(lengths <= self._whole_chars_max).tolist() if self._wholes else ()
        for place in short:
            if any(self._applies(rule, place, asked) for rule in self._meant_by(parts[place])):
                suspected[place] = True
        repeat = self._lexicon.repeat
        doubled = (folded[:-1] == folded[1:]) & (folded[1:] != NEXT)
        for place in np.unique(message[:-1][doubled]).tolist():
            if not suspected[place] and repeat.search(parts[place]):
                suspected[place] = True

    def _meant_by(self, folded: str) -> Iterator[int]:
        """The rules that may mean a message as a whole."""
        yield from self._wholes.get(_core(folded), ())
        for opening in reading._OPENINGS:
            if folded.startswith(opening):
                yield from self._wholes.get(_core(folded[len(opening) :]), ())

    def _note_words(self, hits: _Hits, suspected: Array, asked: Asked) -> None:
        """Words that can start a rule, as they are written and as they sound, with all that the rule needs."""
        present = np.zeros((self._slot_count, len(suspected)), dtype=bool)
        inside = hits.slots < self._slot_count
        present[hits.slots[inside], hits.places[inside]] = True
        for slot, ways in self._ways.items():
            started = np.flatnonzero(present[slot] & ~suspected)
            for way, slots in ways if len(started) else ():
                there = started
                for needed in slots:
                    there = there[present[needed, there]]
                for place in there.tolist():
                    if not suspected[place] and self._applies(way.rule, place, asked):
                        suspected[place] = way.near is None or hits.are_near(place, way.near)

    def _applies(self, number: int, place: int, asked: Asked) -> bool:
        rule = self._rules.rules[number].rule
        if rule.needs_question and not asked.questions[place]:
            return False
        return asked.channels[place] in rule.channels


class _Hits:
    """The words found in a block, by message: as written and as they sound; in characters that the fold keeps."""

    def __init__(self, sieve: Sieve, text: str, folded: Array, message: Array) -> None:
        matcher = sieve._lexicon.guilt.matcher
        found = matcher.places(text, matcher.find(text))
        rows = np.fromiter(chain.from_iterable(found), dtype=np.int64).reshape(-1, 3)
        firsts, lasts, entries = rows[:, 0], rows[:, 1], rows[:, 2]
        signs = sieve._signs[folded].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        heard = [
            (slot, each.first, each.last)
            for each in sieve._lexicon.ear.listen(text, signs, has_letters=bool((sieve._flags[folded] & LETTER).any()))
            for slot in slots_in(each.bits)
        ]
        sounds = np.array(heard, dtype=np.int64).reshape(-1, 3)
        widths = np.diff(sieve._first_slot)[entries]
        of_hit = np.repeat(np.arange(len(rows)), widths)
        offsets = np.arange(len(of_hit)) - np.repeat(np.cumsum(widths) - widths, widths)
        slots = sieve._slots[sieve._first_slot[entries][of_hit] + offsets]
        self.slots = np.concatenate([slots, sounds[:, 0]])
        self._lasts = np.concatenate([lasts[of_hit], sounds[:, 2]])
        self._firsts = np.concatenate([firsts[of_hit], sounds[:, 1]])
        self.places = message[self._lasts - 1]

    @cached_property
    def _by_message(self) -> tuple[Array, Array]:
        order = np.argsort(self.places, kind="stable")
        return order, self.places[order]

    def are_near(self, place: int, near: NearSlots) -> bool:
        """Whether words of all groups stand about as near as they must; never too strict."""
        order, sorted_places = self._by_message
        low, high = np.searchsorted(sorted_places, (place, place + 1))
        mine = order[low:high]
        spots: dict[int, list[tuple[int, int]]] = {slot: [] for slot in near.slots}
        for slot, first, last in zip(
            self.slots[mine].tolist(), self._firsts[mine].tolist(), self._lasts[mine].tolist(), strict=True
        ):
            if slot in spots:
                spots[slot].append((first, last))
        groups = [spots[slot] for slot in near.slots]
        reach = near.window
        for group in groups[1:-1]:
            reach += near.window + max(last - first for first, last in group)
        return any(all(any(_gap(one, other) <= reach for other in group) for group in groups[1:]) for one in groups[0])


def _gap(one: tuple[int, int], other: tuple[int, int]) -> int:
    """Characters between two words; less than none where they overlap."""
    return max(one[0], other[0]) - min(one[1], other[1])


def _slots_by_entry(bits: Sequence[int]) -> tuple[Array, Array]:
    """The slots of each entry, one after the other, and where those of each entry begin."""
    slots = [tuple(slots_in(each)) for each in bits]
    begins = np.concatenate([[0], np.cumsum([len(each) for each in slots])]).astype(np.int64)
    return begins, np.array([slot for each in slots for slot in each], dtype=np.int64)


def _core(folded: str) -> str:
    """A whole message without the closing particles."""
    return folded.rstrip(_ENDINGS)


_ENDINGS: Final = "".join(reading._ENDINGS)


@lru_cache(maxsize=4)
def book_of(folder: str, rule_ids: frozenset[str] | None = None) -> RuleBook:
    """The compiled book of a rules folder, or these rules of it, kept by each process that works on it."""
    book = load_rule_book(Path(folder))
    if rule_ids is not None:
        book = only(book, rule_ids)
    book.compile()
    return book


@lru_cache(maxsize=16)
def _sieve(folder: str, rule_ids: frozenset[str] | None, platform: str) -> Sieve:
    return Sieve(book_of(folder, rule_ids).for_platform(platform))


def broken(
    texts: Array,
    platforms: Array,
    channels: Array,
    questions: Array,
    folder: str,
    rule_ids: frozenset[str] | None = None,
) -> Array:
    """The rules that messages break, by the book of a folder.

    Args:
        texts: Arrow strings; null is judged as nothing.
        rule_ids: these rules only; None: all.
        platforms: null is taobao. channels: null is buyer_chat. questions: null where nothing was asked.

    Returns:
        Arrow strings: rule ids joined by commas in the order of their names, `?` behind those that are only watched;
        empty where none is broken, null where the book knows no such marketplace or there is no such channel.
    """
    rows = [_values(column) for column in (texts, platforms, channels, questions)]
    told: list[str | None] = [""] * len(rows[0])
    by_platform: defaultdict[str, list[int]] = defaultdict(list)
    if platforms.null_count == len(platforms):
        by_platform[PLATFORM] = list(range(len(platforms)))
    else:
        for place, platform in enumerate(rows[1]):
            by_platform[platform or PLATFORM].append(place)
    book, channel_names = book_of(folder, rule_ids), frozenset(Channel)
    for platform, places in by_platform.items():
        if platform not in book.profiles:
            for place in places:
                told[place] = None
            continue
        rules, sieve = book.for_platform(platform), _sieve(folder, rule_ids, platform)
        for begin in range(0, len(places), BLOCK_ROWS):
            block = places[begin : begin + BLOCK_ROWS]
            asked = Asked([rows[2][place] or CHANNEL for place in block], [rows[3][place] for place in block])
            for index in sieve.suspects([rows[0][place] or "" for place in block], asked):
                place, channel = block[index], asked.channels[index]
                if channel in channel_names:
                    context = Context(Channel(channel), platform, rows[3][place])
                    told[place] = _named(rows[0][place] or "", rules, context)
    if set(rows[2]) - channel_names - {None}:
        told = [each if (rows[2][at] or CHANNEL) in channel_names else None for at, each in enumerate(told)]
    return pa.array(told, type=pa.string())


def _values(column: Array) -> list[str | None]:
    """A column as Python has it; one without any value at once."""
    values: list[str | None] = [None] * len(column) if column.null_count == len(column) else column.to_pylist()
    return values


def _named(text: str, rules: CompiledRules, context: Context) -> str:
    return names(fired(moderate(text, rules, context)).items())


def names(found: Iterable[tuple[str, tuple[bool, int, int]]]) -> str:
    """Rules with whether they act, as `broken` tells them."""
    return ",".join(sorted(rule if acts else rule + WATCHED for rule, (acts, _, _) in found))
