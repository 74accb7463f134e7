"""A text read once in three tracks: the folded characters, what each sounds like, and what kind it is."""

from __future__ import annotations

from collections.abc import Mapping

from service.domain.disguises import is_letter
from service.domain.normalise import TABLE_ENTRIES_MAX, FoldTable
from service.domain.shapes_of_contact import DIGIT_SIGNS

TRACKS = 3
LETTER, DIGIT, OTHER = "l", "d", "o"


class Tracks(dict[int, str | None]):
    """A `str.translate` table: each character becomes three for every character that the fold makes of it.

    Reading the three tracks together costs what the fold alone costs; slices take them apart again.

    Args:
        signs: folded character to one sign for its syllable.
    """

    def __init__(self, fold: FoldTable, signs: Mapping[int, int]) -> None:
        super().__init__()
        self._fold = fold
        self._signs = signs

    def __missing__(self, code_point: int) -> str | None:
        folded = chr(code_point).translate(self._fold)
        entry = "".join(each + chr(self._signs[ord(each)]) + _kind(each) for each in folded) or None
        if len(self) < TABLE_ENTRIES_MAX:
            self[code_point] = entry
        return entry


def _kind(character: str) -> str:
    if is_letter(character):
        return LETTER
    return DIGIT if character in DIGIT_SIGNS else OTHER
