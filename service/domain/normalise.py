"""One fold for rules and texts: the same characters however they are dressed, with a way back to the original.

The fold of a text is a single `str.translate`. Its table is computed character by character on first use and then kept;
it depends on nothing but Unicode's tables, the traditional-to-simplified data and the look-alikes it was made with.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import compress, pairwise

TABLE_ENTRIES_MAX = 70_000  # choice: all of the basic plane; rarer characters are computed each time
BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")  # letters by category that show nothing
SENTENCE_MARKS = frozenset("，。！？；：、,!?;:\n\r\u2028\u2029︰︐︑︒︓︔︕︖﹐﹑﹒﹔﹕﹖﹗｡､")
SENTENCE_ENDS = frozenset("。！？!?；;\n\r\u2028\u2029︒︕︖﹒﹖﹗｡﹔")
CLAUSE_MARK = re.compile("[" + re.escape("".join(sorted(SENTENCE_MARKS))) + "]")
SENTENCE_END = re.compile("[" + re.escape("".join(sorted(SENTENCE_ENDS))) + "]")


class FoldTable(dict[int, str | int | None]):
    """A `str.translate` table: compatibility forms, case, width, marks, separators and script variants are folded.

    A character becomes one character (a code point), none (`None`) or several (a text); no character becomes U+0000.

    Args:
        simplified: character to character, traditional to simplified.
        look_alikes: character to its stand-in for the fold; an empty text drops it.

    Folding twice gives what folding once gave.
    """

    def __init__(self, simplified: Mapping[str, str], look_alikes: Mapping[str, str]) -> None:
        super().__init__()
        self._simplified = dict(simplified)
        self._look_alikes = dict(look_alikes)
        self._expanding: set[str] = set()  # characters that become several, of those seen so far

    def __missing__(self, code_point: int) -> str | int | None:
        character = chr(code_point)
        entry = as_entry(self._settled(character))
        if isinstance(entry, str):
            self._expanding.add(character)
        if len(self) < TABLE_ENTRIES_MAX:
            self[code_point] = entry
        return entry

    def has_expanding(self, text: str) -> bool:
        """Whether a character of a text that was folded before becomes several."""
        return not self._expanding.isdisjoint(text)

    def _settled(self, character: str) -> str:
        """Fold until nothing changes; chains are short (a circled traditional character takes two rounds)."""
        seen = character
        for _ in range(6):
            folded = "".join(self._once(each) for each in seen)
            if folded == seen:
                return folded
            seen = folded
        return seen

    def _once(self, character: str) -> str:
        if character in self._look_alikes:
            return self._look_alikes[character]
        letter = _badge_letter(ord(character))
        if letter:
            return letter
        plain = "".join(each for each in unicodedata.normalize("NFKD", character) if not _is_mark(each))
        plain = unicodedata.normalize("NFC", plain).casefold()
        kept = (each for each in plain if not _is_separator(each))
        return "".join(self._simplified.get(each, each) for each in kept)


class StandInTable(dict[int, str | int | None]):
    """A `str.translate` table that reads the signs that stand for words as these, and folds all else.

    Args:
        stand_ins: sign to the folded word it stands for.
    """

    def __init__(self, stand_ins: Mapping[str, str], fold: FoldTable) -> None:
        super().__init__({ord(sign): as_entry(word) for sign, word in stand_ins.items()})
        self._fold = fold

    def __missing__(self, code_point: int) -> str | int | None:
        return self._fold[code_point]


def as_entry(folded: str) -> str | int | None:
    """What a character becomes, as `str.translate` takes it most quickly."""
    if len(folded) == 1:
        return ord(folded)
    return folded or None


def _badge_letter(code_point: int) -> str:
    """The letter on a badge that Unicode gives no compatibility form: 🅐 🅰 🇻."""
    for first in (0x1F150, 0x1F170, 0x1F1E6):
        if first <= code_point < first + 26:
            return chr(ord("a") + code_point - first)
    return ""


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def _is_separator(character: str) -> bool:
    """Whether a character carries no letter or digit: spaces, punctuation, symbols, controls, unassigned."""
    return character in BLANK_LETTERS or unicodedata.category(character)[0] in "PSZCM"


def origins(text: str, table: FoldTable | StandInTable) -> list[int]:
    """For each character of the folded text, the index of the character of `text` it came from; ascending."""
    entries = list(map(table.__getitem__, map(ord, text)))
    if str not in set(map(type, entries)):
        return list(compress(range(len(text)), entries))
    lengths = (0 if entry is None else 1 if isinstance(entry, int) else len(entry) for entry in entries)
    return [index for index, length in enumerate(lengths) for _ in range(length)]


def is_spelled_out(text: str, spots: Sequence[int]) -> bool:
    """Whether every character at `spots` stands alone between separators, as in 绝!对! - noise, not prose.

    Args:
        text: as written.
        spots: indices of the characters of a hit in `text`, ascending.
    """
    distinct = sorted(set(spots))
    if len(distinct) < 2:
        return False
    if any(after - before < 2 for before, after in pairwise(distinct)):
        return False
    if len(distinct) > 2:
        return True
    left, right = distinct[0] - 1, distinct[-1] + 1
    left_apart = left < 0 or _is_separator(text[left])
    right_apart = right >= len(text) or _is_separator(text[right])
    return left_apart and right_apart


def crosses(text: str, start: int, end: int, *, mark: re.Pattern[str]) -> bool:
    """Whether a sentence mark lies in `text[start:end]`."""
    return mark.search(text, start, end) is not None
