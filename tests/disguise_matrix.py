"""Every red line of the packs in every disguise: `python -m tests.disguise_matrix` prints what is still found.

The disguises are made here, from Unicode's tables, OpenCC, pypinyin and hanzi tables of Python's codecs, never from
`rules/disguises`, so that the measure knows nothing of what the rules were taught. Each red line is a `hit` example of
a pack that is found as it stands; what is disguised are the characters of the finding, or the whole text where the
column says so.
"""

from __future__ import annotations

import random
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import opencc
from pypinyin import Style, lazy_pinyin

from service.domain.moderation import Context, moderate
from service.domain.rule_language import Example
from service.store.disguise_tables import read_disguises
from service.store.rulepacks import RuleBook, load_rule_book

RULES = Path(__file__).resolve().parent.parent / "rules"
SEED = 20261125
NOISE = "*-~.·_|^ 　'\"`"
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u2061"
EMOJI = "🌟😀❀♪★🌸💥✨"
MARKS = "\u0301\u0308\u0336\u0332\u20dd\u0337\u0334\u030a"
Spots = list[int]  # indices of the characters to disguise, ascending
Disguise = Callable[[str, Spots, random.Random], str]


@dataclass(frozen=True)
class RedLine:
    """A text that breaks a rule, and the characters by which it does."""

    text: str
    category: str
    example: Example
    spots: Spots


def red_lines(book: RuleBook) -> Iterator[RedLine]:
    """Every hit example that is found as it stands."""
    for rule in book.rules:
        for example in rule.hits:
            found = [span for name, *span in _findings(book, example.text, example) if name == rule.category.value]
            spots = sorted({spot for start, end in found for spot in range(start, end)})
            if spots:
                yield RedLine(example.text, rule.category.value, example, spots)


def is_kept(book: RuleBook, line: RedLine, text: str) -> bool:
    """Whether the disguised text still breaks a rule of the same category."""
    return any(name == line.category for name, *_ in _findings(book, text, line.example))


def _findings(book: RuleBook, text: str, example: Example) -> list[tuple[str, int, int]]:
    context = Context(example.channel, example.platform, example.question, example.facts)
    verdict = moderate(text, book.for_platform(example.platform), context)
    return [(each.category, each.start, each.end) for each in (*verdict.findings, *verdict.watched)]


# -- disguises


def _between(marks: str, *, share: float = 1.0) -> Disguise:
    """A mark of one's choice after the chosen characters, the last one excepted; the same or another each time."""

    def disguise(text: str, spots: Spots, rng: random.Random) -> str:
        mark = rng.choice(marks)
        inner = set(spots[:-1])
        shown = [
            each + (mark if share == 1.0 else rng.choice(marks)) if index in inner and rng.random() < share else each
            for index, each in enumerate(text)
        ]
        return "".join(shown)

    return disguise


def _each(change: Callable[[str, random.Random], str]) -> Disguise:
    """Every chosen character changed on its own."""

    def disguise(text: str, spots: Spots, rng: random.Random) -> str:
        chosen = set(spots)
        return "".join(change(each, rng) if index in chosen else each for index, each in enumerate(text))

    return disguise


def _some(change: Callable[[str, random.Random], str], count: int) -> Disguise:
    """`count` of the chosen characters changed, of those that can be."""

    def disguise(text: str, spots: Spots, rng: random.Random) -> str:
        able = [spot for spot in spots if change(text[spot], random.Random(0)) != text[spot]]
        chosen = set(rng.sample(able, min(count, len(able))))
        return "".join(change(each, rng) if index in chosen else each for index, each in enumerate(text))

    return disguise


def _whole(disguise: Disguise) -> Disguise:
    return lambda text, spots, rng: disguise(text, list(range(len(text))), rng)


def _full_width(character: str, _: random.Random) -> str:
    return chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character


@lru_cache(maxsize=1)
def _to_traditional() -> opencc.OpenCC:
    return opencc.OpenCC("s2t")


def _traditional(text: str, spots: Spots, _: random.Random) -> str:
    shown = _to_traditional().convert(text)
    if len(shown) != len(text):
        return shown
    chosen = set(spots)
    return "".join(new if index in chosen else old for index, (old, new) in enumerate(zip(text, shown, strict=True)))


@lru_cache(maxsize=1)
def _compatible() -> dict[str, list[str]]:
    """Character to the compatibility forms of it: Kangxi radicals, ideographs, enclosed, small, mathematical."""
    forms: dict[str, list[str]] = defaultdict(list)
    for code_point in range(0xA0, 0x30000):
        sign = chr(code_point)
        plain = unicodedata.normalize("NFKC", sign).casefold()
        if plain != sign and len(plain) == 1 and unicodedata.category(sign)[0] in "LNS" and sign.casefold() != plain:
            forms[plain].append(sign)
    return forms


def _compatibility(character: str, rng: random.Random) -> str:
    return rng.choice(_compatible().get(character.casefold(), [character]))


# Whole-script confusables of Latin letters in Unicode's confusables.txt (UTS #39), Cyrillic and Greek.
_CONFUSABLE = {
    "a": "аα", "b": "ЬВ", "c": "сϲ", "e": "еℯ", "h": "һ", "i": "іι", "j": "ј", "k": "кκ", "l": "ӏ", "m": "м", "n": "п",
    "o": "оο", "p": "рρ", "q": "ԛ", "s": "ѕ", "t": "т", "u": "υ", "v": "ѵν", "w": "ԝω", "x": "хχ", "y": "уγ",
}  # fmt: skip


def _confusable(character: str, rng: random.Random) -> str:
    return rng.choice(_CONFUSABLE.get(character.casefold(), character))


def _marked(character: str, rng: random.Random) -> str:
    return character + rng.choice(MARKS)


def _reading(text: str, style: Style) -> list[str]:
    """The syllable of each character as it is read in this text; what has none stays itself."""
    read = lazy_pinyin(text, style=style, errors=lambda other: list(other))
    return read if len(read) == len(text) else [lazy_pinyin(each, style=style)[0] for each in text]


def _pinyin(*, style: Style = Style.NORMAL, blank: str = "", share: float = 1.0) -> Disguise:
    """Chosen characters typed as they are read."""

    def disguise(text: str, spots: Spots, rng: random.Random) -> str:
        read = _reading(text, style)
        chosen = {spot for spot in spots if _is_chinese(text[spot])}
        if share < 1.0 and chosen:
            chosen = set(rng.sample(sorted(chosen), max(1, round(share * len(chosen)))))
        shown = ""
        for index, character in enumerate(text):
            if index not in chosen:
                shown += character
                continue
            shown += (blank if index - 1 in chosen else "") + read[index]
        return shown

    return disguise


def _is_chinese(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


@lru_cache(maxsize=1)
def _frequent() -> dict[str, list[str]]:
    """Syllable to the frequent characters read so: the first level of GB 2312."""
    alike: dict[str, list[str]] = defaultdict(list)
    for row in range(0xB0, 0xD8):
        for cell in range(0xA1, 0xFF):
            try:
                character = bytes((row, cell)).decode("gb2312")
            except UnicodeDecodeError:
                continue
            alike[lazy_pinyin(character)[0]].append(character)
    return alike


def _homophones(*, count: int | None) -> Disguise:
    """`count` of the chosen characters, or all, replaced by frequent ones of the same sound, whatever the tone."""

    def disguise(text: str, spots: Spots, rng: random.Random) -> str:
        read = _reading(text, Style.NORMAL)
        able = [s for s in spots if _is_chinese(text[s]) and set(_frequent().get(read[s], ())) - {text[s]}]
        chosen = set(able if count is None else rng.sample(able, min(count, len(able))))
        return "".join(
            rng.choice([other for other in _frequent()[read[index]] if other != character])
            if index in chosen
            else character
            for index, character in enumerate(text)
        )

    return disguise


@lru_cache(maxsize=1)
def _parts() -> dict[str, tuple[str, ...]]:
    """Characters to the two parts they are written in; this one table is shared, for there is no other in reach."""
    return dict(read_disguises(RULES).split)


def _split(character: str, rng: random.Random) -> str:
    ways = [way for way in _parts().get(character, ()) if len(way) == 2]
    return rng.choice(ways) if ways else character


DIGITS = {
    "in Chinese": "零一二三四五六七八九",
    "capitals": "零壹贰叁肆伍陆柒捌玖",
    "circled": "⓪①②③④⑤⑥⑦⑧⑨",
    "full width": "０１２３４５６７８９",
}


def _digits(signs: str | None) -> Disguise:
    def change(character: str, rng: random.Random) -> str:
        if not (character.isascii() and character.isdigit()):
            return character
        return (signs or rng.choice(list(DIGITS.values())))[int(character)]

    return _each(change)


def _doubled(character: str, _: random.Random) -> str:
    """Not letters and digits: 1133 is another number than 13."""
    return character * 2 if _is_chinese(character) else character


def _stretched(text: str, spots: Spots, rng: random.Random) -> str:
    able = [spot for spot in spots if _is_chinese(text[spot])]
    if not able:
        return text
    spot = rng.choice(able)
    return text[:spot] + text[spot] * rng.randint(3, 5) + text[spot + 1 :]


# name, the share to be kept (issue 3 and moderation.md section 5), the disguise
DISGUISES: tuple[tuple[str, float, Disguise], ...] = (
    ("noise between all", 0.99, _between(NOISE)),
    ("noise at random", 0.99, _between(NOISE, share=0.5)),
    ("noise, whole text", 0.99, _whole(_between(NOISE))),
    ("invisible", 0.99, _between(INVISIBLE)),
    ("emoji between", 0.99, _between(EMOJI)),
    ("combining marks", 0.99, _each(_marked)),
    ("full width", 0.99, _each(_full_width)),
    ("traditional", 0.99, _traditional),
    ("compatibility", 0.99, _each(_compatibility)),
    ("look-alikes", 0.99, _each(_confusable)),
    ("pinyin", 0.90, _pinyin()),
    ("pinyin, blanks", 0.90, _pinyin(blank=" ")),
    ("pinyin, half", 0.90, _pinyin(share=0.5)),
    ("pinyin, tone marks", 0.90, _pinyin(style=Style.TONE, blank=" ")),
    ("pinyin, tone digits", 0.90, _pinyin(style=Style.TONE3)),
    ("split, one", 0.90, _some(_split, 1)),
    ("split, all", 0.90, _each(_split)),
    ("homophone of one", 0.70, _homophones(count=1)),
    ("homophones of two", 0.70, _homophones(count=2)),
    ("homophones of all", 0.70, _homophones(count=None)),
    ("homophones, whole text", 0.70, _whole(_homophones(count=None))),
    ("doubled", 0.95, _each(_doubled)),
    ("one stretched", 0.95, _stretched),
    *((f"digits {name}", 0.95, _digits(signs)) for name, signs in DIGITS.items()),
    ("digits mixed", 0.95, _digits(None)),
)


@dataclass
class Kept:
    """Of `tried` disguised red lines (those the disguise changes), `kept` are still found."""

    tried: int = 0
    kept: int = 0

    def __str__(self) -> str:
        return f"{self.kept / self.tried:.2f}" if self.tried else ""

    @property
    def share(self) -> float:
        return self.kept / self.tried if self.tried else 1.0


def measure(
    book: RuleBook, *, seed: int = SEED, lost: list[tuple[str, str, str]] | None = None
) -> dict[str, dict[str, Kept]]:
    """Disguise to category to what was kept; `lost` collects disguise, red line and the text that was missed."""
    table: dict[str, dict[str, Kept]] = {}
    for name, _, disguise in DISGUISES:
        row: dict[str, Kept] = defaultdict(Kept)
        rng = random.Random(f"{seed} {name}")
        for line in red_lines(book):
            text = disguise(line.text, line.spots, rng)
            if text == line.text:
                continue
            kept = is_kept(book, line, text)
            for cell in (row[line.category], row["all"]):
                cell.tried += 1
                cell.kept += kept
            if not kept and lost is not None:
                lost.append((name, line.text, text))
        table[name] = row
    return table


def as_markdown(table: dict[str, dict[str, Kept]]) -> str:
    categories = sorted({category for row in table.values() for category in row} - {"all"})
    lines = [
        f"| disguise | aim | all | {' | '.join(categories)} |",
        "|" + "---|" * (len(categories) + 3),
    ]
    for name, aim, _ in DISGUISES:
        row = table[name]
        cells = " | ".join(str(row[category]) if category in row else "" for category in categories)
        total = row["all"]
        lines.append(f"| {name} | ≥ {aim:.2f} | {total.share:.3f} of {total.tried} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    lost: list[tuple[str, str, str]] = []
    sys.stdout.write(as_markdown(measure(load_rule_book(RULES), lost=lost)) + "\n")
    if "--lost" in sys.argv:
        for name, text, shown in lost:
            sys.stdout.write(f"{name}\t{text}\t{shown}\n")


if __name__ == "__main__":
    main()
