"""Every finite way to write a word, expanded at build time: jargon, split characters, the syllables it sounds like."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from itertools import islice, product

from service.domain.normalise import TABLE_ENTRIES_MAX, FoldTable
from service.domain.rule_language import Disguise, Disguises

JARGON_PER_WORD_MAX = 64  # choice: spellings of one word that insiders' words may give
SPLIT_PER_WORD_MAX = 96  # choice: every subset of the characters of a four-character word, two ways each
SYLLABLE_LETTERS_MAX = 6  # zhuang


def folded_tables(tables: Disguises, fold: FoldTable) -> Disguises:
    """The tables with folded ways to write their words: what is put together from them needs no fold."""
    return replace(
        tables,
        jargon={word: tuple(way.translate(fold) for way in ways) for word, ways in tables.jargon.items()},
        split={word: tuple(way.translate(fold) for way in ways) for word, ways in tables.split.items()},
    )


def spellings(plain: str, disguises: frozenset[Disguise], tables: Disguises) -> frozenset[str]:
    """The folded ways to write a folded word, the word itself among them. `tables` are folded."""
    ways = {plain}
    if Disguise.JARGON in disguises:
        ways.update(islice(_in_jargon(plain, tables), JARGON_PER_WORD_MAX))
    if Disguise.SPLIT in disguises:
        ways.update(islice(_split(plain, tables), SPLIT_PER_WORD_MAX))
    ways.discard("")
    return frozenset(ways)


def _in_jargon(plain: str, tables: Disguises) -> Iterator[str]:
    """`plain` with one of its parts said in insiders' words."""
    for part, sayings in tables.jargon.items():
        if part in plain:
            for saying in sayings:
                yield plain.replace(part, saying)


def _split(plain: str, tables: Disguises) -> Iterator[str]:
    """`plain` with any of its characters written as their parts, every subset of a short word."""
    choices = [(character, *tables.split.get(character, ())) for character in plain]
    if len(plain) <= 5:
        yield from ("".join(chosen) for chosen in product(*choices))
        return
    for index, ways in enumerate(choices):
        for way in ways[1:]:
            yield plain[:index] + way + plain[index + 1 :]
    yield "".join(ways[-1] for ways in choices)


class SyllableTable(dict[int, str]):
    """From a folded character to its toneless syllable; what has none stays itself."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, frozenset[tuple[str, ...]]] = {}  # words already sounded out

    def __reduce__(self) -> tuple[object, ...]:
        """Known syllables travel with compiled rules; the words sounded out were needed to build them only."""
        return SyllableTable, (), None, None, iter(self.items())

    @cached_property
    def _readings(self) -> Mapping[int, str]:
        from pypinyin.constants import PINYIN_DICT

        return PINYIN_DICT

    @cached_property
    def phrases(self) -> Mapping[str, list[list[str]]]:
        """Phrases with their readings, character by character."""
        from pypinyin.constants import PHRASES_DICT

        return PHRASES_DICT

    def __missing__(self, code_point: int) -> str:
        readings = self._readings.get(code_point)
        entry = toneless(readings.split(",")[0]) if readings else chr(code_point)
        if len(self) < TABLE_ENTRIES_MAX:
            self[code_point] = entry
        return entry

    def have_a_reading(self, code_points: Iterable[int]) -> bool:
        """Whether any of them is a Chinese character with a known reading."""
        return any(map(self._readings.__contains__, code_points))

    def reads_otherwise(self, phrase: str) -> bool:
        """Whether the characters of a known phrase are read otherwise than alone."""
        read = [toneless(reading[0]) for reading in self.phrases[phrase]]
        return read != list(map(self.__getitem__, map(ord, phrase)))


@lru_cache(maxsize=4096)
def toneless(reading: str) -> str:
    """A pinyin syllable as typed: tones off, ü as v."""
    spread = unicodedata.normalize(
        "NFD", reading.replace("ü", "v").replace("ǘ", "v").replace("ǚ", "v").replace("ǜ", "v")
    )
    return "".join(letter for letter in spread if not unicodedata.combining(letter)).lower()


def sounds(plain: str, syllables: SyllableTable) -> frozenset[tuple[str, ...]]:
    """The syllable rows a folded word may be typed as: character by character, and as read in the phrase.

    Letters and digits in a word stand for themselves. A word without any Chinese character has no sound of its own.
    """
    if plain not in syllables.rows:
        syllables.rows[plain] = _sounded(plain, syllables)
    return syllables.rows[plain]


def _sounded(plain: str, syllables: SyllableTable) -> frozenset[tuple[str, ...]]:
    code_points = list(map(ord, plain))
    if not syllables.have_a_reading(code_points):
        return frozenset()
    by_character = tuple(map(syllables.__getitem__, code_points))
    return frozenset((by_character, read_otherwise(plain, syllables) or by_character))


def read_otherwise(plain: str, syllables: SyllableTable) -> tuple[str, ...] | None:
    """The syllables of a folded word with a phrase in it whose characters are read otherwise than alone; rare."""
    known, length = syllables.phrases, len(plain)
    for begin in range(length - 1):
        for end in range(begin + 2, length + 1):
            if plain[begin:end] in known and syllables.reads_otherwise(plain[begin:end]):
                return _read_whole(plain)
    return None


def _read_whole(plain: str) -> tuple[str, ...] | None:
    from pypinyin import Style, lazy_pinyin

    read = tuple(lazy_pinyin(plain, style=Style.NORMAL, v_to_u=False, errors=_one_by_one))  # type: ignore[arg-type]  # pypinyin takes a list, its stub says str
    return read if len(read) == len(plain) else None


def _one_by_one(letters: str) -> list[str]:
    return list(letters)


@lru_cache(maxsize=1)
def toneless_syllables() -> frozenset[str]:
    """Every syllable there is, as typed."""
    from pypinyin.constants import PINYIN_DICT

    readings = {reading for readings in PINYIN_DICT.values() for reading in readings.split(",")}
    return frozenset(plain for plain in map(toneless, readings) if plain.isascii() and plain.isalpha())


def is_letter(character: str) -> bool:
    """Whether a folded character is a latin letter."""
    return character.isascii() and character.isalpha()


def is_latin(character: str) -> bool:
    """Whether a folded character is a latin letter or a digit, which only count as whole tokens."""
    return character.isascii() and character.isalnum()
