"""The shapes by which a contact gives itself away: phone, QQ, WeChat id, e-mail, address of a page, bank card."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cached_property

from service.domain.normalise import TABLE_ENTRIES_MAX, FoldTable

Span = tuple[int, int]  # half-open, in the text as written


class Shape(StrEnum):
    """What a rule may name with an @."""

    PHONE = "phone"
    LANDLINE = "landline"
    DIGITS = "digits"  # 5 to 12 digits in a row: a number only its neighbours explain
    CHAT_ID = "chat_id"  # a WeChat or QQ id behind its letter: V:abc123, wx-138...
    PLUS_CONTACT = "plus_contact"  # +V, ＋薇
    EMAIL = "email"
    URL = "url"
    BANK_CARD = "bank_card"


_DIGIT_OF = {
    **{ord(sign): str(value) for value, sign in enumerate("零一二三四五六七八九")},
    **{ord(sign): str(value) for value, sign in enumerate("〇壹贰叁肆伍陆柒捌玖")},
    **{ord(sign): str(value) for value, sign in enumerate("零壹貳參肆伍陸柒捌玖")},
    ord("幺"): "1",
    ord("两"): "2",
    ord("洞"): "0",
    ord("拐"): "7",
    ord("勾"): "9",
}
DIGIT_SIGNS = frozenset("0123456789" + "".join(map(chr, _DIGIT_OF)))
DIGITS_MIN = 5  # fewer are no number to call or to pay to
# A run of digits as people write a number: up to three separators between two digits.
_RUN = re.compile(r"[0-9](?:(?:[^\w:：]|_){0,3}[0-9])*")
_MOBILE = re.compile(r"(?:0086|86)?(1[3-9][0-9]{9})")
_LANDLINE = re.compile(r"0[1-9][0-9]{1,2}-[2-9][0-9]{6,7}")
_EMAIL = re.compile(r"[a-z0-9][a-z0-9._%+-]{0,63}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,4}")
_URL = re.compile(
    r"(?:https?://|www\.)[a-z0-9][a-z0-9.\-]{2,252}(?:/[a-z0-9_\-./?%&=#+~]{0,500})?"
    r"|(?<![a-z0-9@.\-])[a-z0-9][a-z0-9\-]{0,62}(?:\.[a-z0-9\-]{1,62}){0,3}"
    r"\.(?:com|cn|net|org|cc|top|shop|xyz|vip|me|io|info|co)(?![a-z0-9])(?:/[a-z0-9_\-./?%&=#+~]{0,500})?"
)
_CHAT_ID = re.compile(
    r"(?<![a-z0-9])(?:v信|v|vx|wx|wechat|weixin|qq|[微薇威溦徽][信芯心]?号?|扣扣|企鹅)\s{0,2}(?:号|id)?\s{0,2}"
    r"(?:[:：=>\-—是]{1,3}|就是[这那]?[串个]?|[这那]串)\s{0,2}([a-z][a-z0-9_\-]{5,19}|[1-9][0-9]{5,11})(?![a-z0-9])"
)
# An id behind a word of adding: it has a digit or a dash, so that it is no brand.
_ADDED_ID = re.compile(
    r"(?:[加找搜]我|添加我|我的?号|联系我|工作号|私人号|小号)\s{0,2}(?:[:：=>]|是)\s{0,2}"
    r"(?=[a-z][a-z_\-]{0,18}[0-9_\-])([a-z][a-z0-9_\-]{5,19})(?![a-z0-9])"
)
_CHAT_ID_GLUED = re.compile(r"(?<![a-z0-9])(?:vx|wx|qq|v)\s{0,2}(1[3-9][0-9]{9}|[1-9][0-9]{5,10})(?![a-z0-9])")
# One mark between all characters of a stretch of letters, digits and signs of addresses; six of them at least.
_SPACED_OUT = re.compile(r"[\w@.:/+-]([^\w]|_)[\w@.:/+-](?:\1[\w@.:/+_-]){4,}")
# Marks that nobody writes inside a number or an address; not * and ~, which stand in masked numbers and in ranges.
_ODD_MARKS = re.compile(r"(?<=[a-zA-Z0-9@.:/])[|^'\"`·_]{1,2}(?=[a-zA-Z0-9@.:/])")
_PLUS = re.compile(r"(?<![a-z0-9+])[+➕✚]\s{0,2}(?:vx|v信|wx|v|q|qq|[薇微威溦徽]信?|卫星|扣扣)(?![a-z])")


class PlainSigns(dict[int, str]):
    """A `str.translate` table: each character as the shapes read it - folded, a plain sign, a blank, or nothing."""

    def __init__(self, fold: FoldTable) -> None:
        super().__init__()
        self._fold = fold

    def __missing__(self, code_point: int) -> str:
        plain = _plain(chr(code_point), self._fold)
        if len(self) < TABLE_ENTRIES_MAX:
            self[code_point] = plain
        return plain


class Looks:
    """A text prepared once for the shapes: lower case, plain widths, no marks, no invisible characters."""

    def __init__(self, text: str, signs: PlainSigns) -> None:
        self._shown, self._places = _closed_up(text)
        self._signs = signs
        self.text = self._shown.translate(signs)
        self.digits = self.text.translate(_DIGIT_OF)
        self._spans: dict[Shape, list[Span]] = {}

    def spans(self, shape: Shape) -> list[Span]:
        """Where `shape` occurs, in the text as written."""
        if shape not in self._spans:
            found = list(_FINDERS[shape](self)) if _NEEDS[shape](self) else ()
            self._spans[shape] = [(self._origin(start), self._origin(end - 1) + 1) for start, end in found]
        return self._spans[shape]

    def _origin(self, place: int) -> int:
        shown = self._origins[place]
        return shown if self._places is None else self._places[shown]

    @cached_property
    def _origins(self) -> list[int]:
        """For each character of `text`, the index of the shown one it came from."""
        lengths = map(len, map(self._signs.__getitem__, map(ord, self._shown)))
        return [index for index, length in enumerate(lengths) for _ in range(length)]

    @cached_property
    def groups(self) -> list[tuple[str, str, int, int]]:
        """Runs of five digits and more, the digits alone, and where they stand; one that touches a letter is a code."""
        found = ((run.group(), *run.span()) for run in _RUN.finditer(self.digits))
        told = ((run, _only_digits(run), start, end) for run, start, end in found if end - start >= DIGITS_MIN)
        return [each for each in told if len(each[1]) >= DIGITS_MIN and not self._touches_latin(*each[2:])]

    def _touches_latin(self, start: int, end: int) -> bool:
        return _is_latin(self.text[max(0, start - 1) : start]) or _is_latin(self.text[end : end + 1])


def _closed_up(text: str) -> tuple[str, list[int] | None]:
    """The text without what stands after every character of a stretch, as in 1!3!8! and a*b*@*c, and without odd marks.

    Returns:
        what is left, and for each of its characters its index in the text; None if nothing was taken away.
    """
    stretches = [match.span() for match in _SPACED_OUT.finditer(text)]
    taken = {place for start, end in stretches for place in range(start + 1, end - 1, 2)}
    taken.update(place for match in _ODD_MARKS.finditer(text) for place in range(*match.span()))
    if not taken:
        return text, None
    places = [place for place in range(len(text)) if place not in taken]
    return "".join([text[place] for place in places]), places


def _plain(character: str, fold: FoldTable) -> str:
    """A character as the shapes read it: folded if it carries anything, a plain sign, a blank, or nothing."""
    entry = fold[ord(character)]
    if isinstance(entry, int):
        return chr(entry)
    if entry is not None:
        return entry
    if unicodedata.category(character) in ("Cf", "Mn", "Me", "Mc"):
        return ""
    sign = unicodedata.normalize("NFKC", character)
    if len(sign) == 1 and (sign.isascii() or sign in "➕✚，。、（）—·"):
        return sign
    return "" if unicodedata.category(character)[0] == "S" else " "


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _phones(looks: Looks) -> Iterator[Span]:
    for run, number, start, end in looks.groups:
        if _MOBILE.fullmatch(number):
            yield start, end
            continue
        for part in re.finditer(r"[^\s,，、/|]+", run):
            if part.group() != run and _MOBILE.fullmatch(_only_digits(part.group())):
                yield start + part.start(), start + part.end()


def _landlines(looks: Looks) -> Iterator[Span]:
    for run, _, start, end in looks.groups:
        if _LANDLINE.fullmatch(run):
            yield start, end


def _digits(looks: Looks) -> Iterator[Span]:
    for run, number, start, end in looks.groups:
        if len(number) <= 12 and _is_one_number(run):
            yield start, end


def _is_one_number(run: str) -> bool:
    """Whether the digits stand together, in blocks as numbers are told, or one by one; not 72-105."""
    blocks = re.findall(r"[0-9]+", run)
    return (
        len(blocks) == 1
        or all(len(block) == 1 for block in blocks)
        or (all(3 <= len(block) <= 4 for block in blocks) and re.fullmatch(r"[0-9 ]+", run) is not None)
    )


def _bank_cards(looks: Looks) -> Iterator[Span]:
    """16 to 19 digits that start as issued cards do (62, 4, 5) and pass Luhn's check."""
    for _, number, start, end in looks.groups:
        if 16 <= len(number) <= 19 and number.startswith(("62", "4", "5")) and _luhn(number):
            yield start, end


def _only_digits(run: str) -> str:
    return "".join(re.findall("[0-9]+", run))


def _luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, sign in enumerate(reversed(number)):
        value = int(sign) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _matches(pattern: re.Pattern[str]) -> Callable[[Looks], Iterator[Span]]:
    return lambda looks: (found.span() for found in pattern.finditer(looks.text))


def _emails(looks: Looks) -> Iterator[Span]:
    """As it stands, or with its digits in Chinese."""
    found = [match.span() for match in _EMAIL.finditer(looks.text)]
    yield from found or (match.span() for match in _EMAIL.finditer(looks.digits))


def _chat_ids(looks: Looks) -> Iterator[Span]:
    for pattern in (_CHAT_ID, _CHAT_ID_GLUED, _ADDED_ID):
        for found in pattern.finditer(looks.digits):
            yield found.span()


_FINDERS: dict[Shape, Callable[[Looks], Iterator[Span]]] = {
    Shape.PHONE: _phones,
    Shape.LANDLINE: _landlines,
    Shape.DIGITS: _digits,
    Shape.CHAT_ID: _chat_ids,
    Shape.PLUS_CONTACT: _matches(_PLUS),
    Shape.EMAIL: _emails,
    Shape.URL: _matches(_URL),
    Shape.BANK_CARD: _bank_cards,
}

_CHAT_ID_SIGN = re.compile(r"[:：=>\-—是串]|[vxq]\s{0,2}[1-9]")
# What a shape cannot do without, so that most are never searched for.
_NEEDS: dict[Shape, Callable[[Looks], object]] = {
    Shape.PHONE: lambda looks: looks.groups,
    Shape.LANDLINE: lambda looks: looks.groups,
    Shape.DIGITS: lambda looks: looks.groups,
    Shape.CHAT_ID: lambda looks: _CHAT_ID_SIGN.search(looks.digits),
    Shape.PLUS_CONTACT: lambda looks: has_a_plus(looks.text),
    Shape.EMAIL: lambda looks: "@" in looks.text,
    Shape.URL: lambda looks: "." in looks.text,
    Shape.BANK_CARD: lambda looks: looks.groups,
}
_SIGNS, _DOTS, _LETTERS = "@＠﹫+＋➕✚", ".．｡。﹒", "a-zA-Z信号號薇微扣鹅鵝"
_CHINESE = "\u3400-\u9fff"
_A_SIGN = re.compile(  # the class in front lets `re` skip all other characters
    rf"[{_SIGNS}{_DOTS}{_LETTERS}我](?:(?<=[{_SIGNS}])|(?<=[{_DOTS}])\W{{0,2}}(?![{_CHINESE}])[^\W\d_]"
    rf"|(?<=[{_LETTERS}])\W{{0,2}}[:：=>—是就这那]|(?<=我)\W{{0,2}}[:：=>]|(?<=[wW])[wW]{{2}})"
)


PLUS_SIGNS = "+＋﹢⁺₊➕✚"
_A_PLUS = re.compile(f"[{PLUS_SIGNS}]")


def has_a_plus(text: str) -> bool:
    """Whether something may be added to: +V."""
    return _A_PLUS.search(text) is not None


def has_a_sign(text: str) -> bool:
    """Whether a sign stands in it that shapes other than numbers cannot do without."""
    return _A_SIGN.search(text) is not None
