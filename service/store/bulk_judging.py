"""Many messages judged at once: joined, folded by table look-up, scanned once; only suspects are judged one by one.

The unit of work is `broken`: a pure function of Arrow arrays and a rules folder, for whatever runs it
(bulk_runners.py). Its verdicts are those of `moderate`; what the sieve lets fall could break no rule. Needs the extra
`[bulk]`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from service.domain.compiled_rules import CompiledRules, How, NearSlots
from service.domain.disguises import is_letter
from service.domain.lexicon import bits_of, slots_in
from service.domain.moderation import Channel, Context, moderate
from service.domain.reading import LETTERS_OF_A_SYLLABLE
from service.domain.shapes_of_contact import DIGIT_SIGNS, DIGITS_MIN, has_a_plus, has_a_sign
from service.domain.sounds import Ear, Heard
from service.domain.whole_message import ADDRESS_CHARS_MAX, cores
from service.store.differing_rules import only
from service.store.rule_replay import CHANNEL_DEFAULT as CHANNEL
from service.store.rule_replay import fired
from service.store.rulepacks import RuleBook, load_rule_book

BLOCK_ROWS: Final = 8_192  # choice: joined at once; the tables stay in the cache, the memory small
WAYS_MAX: Final = 300  # choice: by more ways to break a rule, looking costs as much as judging (measured)
CODE_POINTS: Final = 0x110000
NEXT: Final = 0  # stands between two messages; the fold makes it of no character
DROPPED: Final = -1
UNKNOWN: Final = -2
SUSPICIOUS: Final = 1  # flags of a character
DIGIT: Final = 2
LETTER: Final = 4
WATCHED: Final = "?"  # behind a rule that is only watched
PLATFORM: Final = "taobao"
CHANNELS: Final = frozenset(Channel)

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
        self._whole_chars_max = rules.whole_chars_max + ADDRESS_CHARS_MAX
        self._wholes: defaultdict[str, set[int]] = defaultdict(set)
        for form, numbers in rules.whole.items():
            self._wholes[next(cores(form))].update(numbers)
        self._ways = {
            slot: [(way, tuple(slots_in(way.need))) for way in start.ways] for slot, start in rules.starts.items()
        }
        self.way_count = sum(map(len, self._ways.values()))
        self._needed = bits_of(slot for ways in self._ways.values() for _, slots in ways for slot in slots)
        self._first_slot, self._slots = _slots_by_entry(rules.lexicon.guilt.bits, self._needed)
        self._slot_count = self._needed.bit_length()
        self._slot_type = np.min_scalar_type(self._slot_count)

    def suspects(self, texts: Sequence[str], asked: Asked) -> list[int]:
        """The places of the texts that must be judged one by one, ascending."""
        if not texts or not (self._ways or self._wholes):
            return []
        suspected = np.zeros(len(texts), dtype=bool)
        written = np.frombuffer("\0".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
        between = written == NEXT
        if int(between.sum()) != len(texts) - 1:
            return self._without_nul(texts, asked)
        folded = self._fold[written]
        unknown = folded == UNKNOWN
        if unknown.any():
            self._learn(np.unique(written[unknown]).tolist())
            folded = self._fold[written]
        message = np.cumsum(between)
        suspected[message[self._flags[written] & SUSPICIOUS > 0]] = True
        kept = folded >= NEXT
        folded, message = folded[kept], message[kept]
        edges = _edges(folded, np.flatnonzero(kept))
        text = folded.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        if self._lexicon.shape_slots:
            self._note_shapes(texts, folded, message, suspected)
        self._note_forms(text, folded, message, suspected, asked)
        self._note_words(_Hits(self, text, folded, message, edges), suspected, asked)
        return [int(place) for place in np.flatnonzero(suspected)]

    def _without_nul(self, texts: Sequence[str], asked: Asked) -> list[int]:
        """Texts that hold what stands between texts are suspects, and read as nothing."""
        found = set(self.suspects(["" if "\0" in text else text for text in texts], asked))
        return sorted(found | {place for place, text in enumerate(texts) if "\0" in text})

    def _learn(self, code_points: Iterable[int]) -> None:
        """Look up characters that were never seen before."""
        lexicon = self._lexicon
        for code_point in code_points:
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
        for core in cores(folded):
            yield from self._wholes.get(core, ())

    def _note_words(self, hits: _Hits, suspected: Array, asked: Asked) -> None:
        """Words that can start a rule, as they are written and as they sound, with all that the rule needs."""
        present = np.zeros((self._slot_count, len(suspected)), dtype=bool)
        present[hits.slots, hits.places] = True
        for slot, ways in self._ways.items():
            started = np.flatnonzero(present[slot] & ~suspected)
            for way, slots in ways if len(started) else ():
                there = started
                for needed in slots:
                    there = there[present[needed, there]]
                if len(there) and way.near is not None:
                    there = np.intersect1d(there, hits.near(way.near), assume_unique=True)
                elif len(there) and way.how is How.CLAUSE:
                    there = np.intersect1d(there, hits.clauses(way.slot), assume_unique=True)
                for place in there.tolist():
                    if not suspected[place] and self._applies(way.rule, place, asked):
                        suspected[place] = True

    def _applies(self, number: int, place: int, asked: Asked) -> bool:
        rule = self._rules.rules[number].rule
        if rule.needs_question and not asked.questions[place]:
            return False
        return asked.channels[place] in rule.channels


class _Hits:
    """The words found in a block, as written and as they sound, by slot; in characters that the fold keeps."""

    def __init__(self, sieve: Sieve, text: str, folded: Array, message: Array, edges: Array) -> None:
        matcher = sieve._lexicon.guilt.matcher
        found = matcher.places(text, matcher.find(text))
        rows = np.fromiter(chain.from_iterable(found), dtype=np.int64).reshape(-1, 3)
        entries = rows[:, 2]
        signs = sieve._signs[folded].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        all_heard = _heard(sieve._lexicon.ear, text, signs, sieve._flags[folded] & LETTER > 0)
        self._spread = LETTERS_OF_A_SYLLABLE if any(each.typed for each in all_heard) else 1
        heard = [(slot, each.first, each.last) for each in all_heard for slot in slots_in(each.bits & sieve._needed)]
        sounds = np.array(heard, dtype=np.int64).reshape(-1, 3)
        widths = np.diff(sieve._first_slot)[entries]
        of_hit = np.repeat(np.arange(len(rows)), widths)
        offsets = np.arange(len(of_hit)) - np.repeat(np.cumsum(widths) - widths, widths)
        written = sieve._slots[sieve._first_slot[entries][of_hit] + offsets]
        slots = np.concatenate([written, sounds[:, 0]])
        firsts = np.concatenate([rows[:, 0][of_hit], sounds[:, 1]])
        order = np.argsort(slots.astype(sieve._slot_type), kind="stable")  # sixteen bits are sorted without comparing
        self.slots, self._firsts = slots[order], firsts[order]
        self._lasts = np.concatenate([rows[:, 1][of_hit], sounds[:, 2]])[order]
        self.places = message[self._firsts]  # the number of the message that a word stands in
        self._begins = np.searchsorted(self.slots, np.arange(sieve._slot_count + 1))
        self._edges = edges

    def _of(self, slot: int) -> slice:
        return slice(self._begins[slot], self._begins[slot + 1])

    def clauses(self, slot: int) -> Array:
        """The messages in which a word of the slot may be all that stands between two marks."""
        mine = self._of(slot)
        apart = self._edges[self._firsts[mine]] & self._edges[self._lasts[mine]]
        return np.unique(self.places[mine][apart])

    def near(self, near: NearSlots) -> Array:
        """The messages in which words of all groups stand about as near as they must; never too few."""
        mine = self._of(near.slots[0])
        firsts, lasts, places = self._firsts[mine], self._lasts[mine], self.places[mine]
        reach = 0
        for slot in near.slots[1:]:
            others = self._of(slot)
            other_firsts, other_lasts = self._firsts[others], self._lasts[others]
            reach += near.window * self._spread
            is_near = _has_any(np.sort(other_firsts), lasts, lasts + reach)
            if not near.ordered:
                is_near |= _has_any(np.sort(other_lasts), firsts - reach, firsts)
            firsts, lasts, places = firsts[is_near], lasts[is_near], places[is_near]
            if not len(firsts):
                break
            reach += int((other_lasts - other_firsts).max())
        return np.unique(places)


def _heard(ear: Ear, text: str, signs: str, letters: Array) -> list[Heard]:
    """What sounds like words; only messages with letters hold typed ones."""
    heard = ear.homophones(text, signs)
    end = 0
    for place in np.flatnonzero(letters).tolist():
        if place >= end:  # of the next message
            begin = text.rfind("\0", end, place) + 1 or end
            end = text.find("\0", place)
            end = len(text) if end < 0 else end
            typed = ear.typed(text[begin:end])
            heard += [each._replace(first=begin + each.first, last=begin + each.last) for each in typed]
    return heard


def _has_any(ascending: Array, least: Array, most: Array) -> Array:
    """Whether any of the numbers lies between two others, both included."""
    return np.searchsorted(ascending, least) < np.searchsorted(ascending, most, side="right")


def _edges(folded: Array, spots: Array) -> Array:
    """Before each kept character, and after the last, whether something that was dropped, or no message, stands."""
    edges = np.ones(len(folded) + 1, dtype=bool)
    edges[1:-1] = (np.diff(spots) > 1) | (folded[1:] == NEXT) | (folded[:-1] == NEXT)
    return edges


def _slots_by_entry(bits: Sequence[int], needed: int) -> tuple[Array, Array]:
    """The slots of each entry that are needed, one after the other, and where those of each entry begin."""
    known = {each: tuple(slots_in(each & needed)) for each in set(bits)}
    slots = [known[each] for each in bits]
    begins = np.concatenate([[0], np.cumsum([len(each) for each in slots])]).astype(np.int64)
    return begins, np.array([slot for each in slots for slot in each], dtype=np.int64)


@lru_cache(maxsize=4)
def read_book(folder: str) -> RuleBook:
    """The book of a rules folder, read once by each process that works on it."""
    return load_rule_book(Path(folder))


@lru_cache(maxsize=4)
def book_of(folder: str, rule_ids: frozenset[str] | None = None) -> RuleBook:
    """The compiled book of a rules folder, or these rules of it, kept by each process that works on it."""
    book = read_book(folder)
    if rule_ids is not None:
        book = only(book, rule_ids)
    book.compile()
    return book


@lru_cache(maxsize=16)
def _sieve(folder: str, rule_ids: frozenset[str] | None, platform: str) -> Sieve:
    return Sieve(book_of(folder, rule_ids).for_platform(platform))


class Block(NamedTuple):
    """Messages of one marketplace: their places among all, and what they are."""

    platform: str
    places: Sequence[int]
    texts: list[str]
    asked: Asked

    @property
    def in_no_channel(self) -> list[int]:
        """The places of those that stood in a channel that there is not."""
        return [place for place, name in zip(self.places, self.asked.channels, strict=True) if name not in CHANNELS]


def broken(
    texts: Array,
    platforms: Array,
    channels: Array,
    questions: Array,
    folders: Sequence[str],
    rule_ids: frozenset[str] | None = None,
) -> list[Array]:
    """The rules that messages break, by the books of some folders.

    Args:
        texts: Arrow strings; null is judged as nothing.
        rule_ids: these rules only; None: all.
        platforms: null is taobao. channels: null is buyer_chat. questions: null where nothing was asked.

    Returns:
        for each folder Arrow strings: rule ids joined by commas in the order of their names, `?` behind those that are
        only watched; empty where none is broken, null where the book knows no such marketplace or there is no such
        channel.
    """
    blocks = list(_blocks(*map(_values, (texts, platforms, channels, questions))))
    told = [_told(blocks, len(texts), folder, rule_ids) for folder in folders]
    if channels.null_count < len(channels):
        for place in (place for block in blocks for place in block.in_no_channel):
            for each in told:
                each[place] = None
    return [pa.array(each, type=pa.string()) for each in told]


def _values(column: Array) -> list[str | None]:
    """A column as Python has it; one without any value at once."""
    values: list[str | None] = [None] * len(column) if column.null_count == len(column) else column.to_pylist()
    return values


def _blocks(
    texts: list[str | None], platforms: list[str | None], channels: list[str | None], questions: list[str | None]
) -> Iterator[Block]:
    """All messages, those of one marketplace together, as many at once as are joined."""
    by_platform: defaultdict[str, list[int]] = defaultdict(list)
    for place, platform in enumerate(platforms):
        by_platform[platform or PLATFORM].append(place)
    for platform, places in by_platform.items():
        for begin in range(0, len(places), BLOCK_ROWS):
            some = places[begin : begin + BLOCK_ROWS]
            asked = Asked([channels[place] or CHANNEL for place in some], [questions[place] for place in some])
            yield Block(platform, some, [texts[place] or "" for place in some], asked)


def _told(blocks: Iterable[Block], count: int, folder: str, rule_ids: frozenset[str] | None) -> list[str | None]:
    """What one book says of all messages."""
    told: list[str | None] = [""] * count
    book = book_of(folder, rule_ids)
    for block in blocks:
        if block.platform not in book.profiles:
            for place in block.places:
                told[place] = None
            continue
        rules, sieve = book.for_platform(block.platform), _sieve(folder, rule_ids, block.platform)
        many = sieve.way_count > WAYS_MAX
        for index in range(len(block.texts)) if many else sieve.suspects(block.texts, block.asked):
            channel, question = block.asked.channels[index], block.asked.questions[index]
            if channel in CHANNELS:
                context = Context(Channel(channel), block.platform, question)
                told[block.places[index]] = _named(block.texts[index], rules, context)
    return told


def _named(text: str, rules: CompiledRules, context: Context) -> str:
    return names(fired(moderate(text, rules, context)).items())


def names(found: Iterable[tuple[str, tuple[bool, int, int]]]) -> str:
    """Rules with whether they act, as `broken` tells them."""
    return ",".join(sorted(rule if acts else rule + WATCHED for rule, (acts, _, _) in found))
