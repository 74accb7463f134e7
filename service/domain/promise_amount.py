"""Sums of money in Chinese replies, in fen: 50元, 两百三, 十五块五, 八块八, 1.5万, 三五十, 20-30元, 一半, 30%."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from service.domain.promise_pattern import Cued, gated

_DIGIT: Final = {char: i for i, char in enumerate("零一二三四五六七八九")} | {"两": 2, "俩": 2, "仨": 3, "陆": 6}
_UNIT: Final = {"十": 10, "百": 100, "千": 1000, "k": 1000, "万": 10_000, "w": 10_000}
AMOUNT_FEN_MAX: Final = 10**12  # choice: ten billion yuan; a larger number is no sum of money


def chinese_number(text: str) -> int | None:
    """The whole number a Chinese numeral says: 两百三 → 230, 一百零二 → 102, 一万二 → 12000; None when it says none."""
    total = section = digit = 0
    last_unit = 1
    after_zero = False
    seen_unit = False
    for char in text:
        if char == "零":
            after_zero = True
        elif char in _DIGIT:
            digit = digit * 10 + _DIGIT[char] if digit and not seen_unit else _DIGIT[char]
        elif char in ("万", "w"):
            total, section, digit = (total + section + digit) * 10_000, 0, 0
            last_unit, seen_unit, after_zero = 10_000, True, False
        elif char in _UNIT:
            section += (digit or 1) * _UNIT[char]
            digit, last_unit, seen_unit, after_zero = 0, _UNIT[char], True, False
        else:
            return None
    if digit and seen_unit and not after_zero and last_unit >= 100:
        digit *= last_unit // 10  # 一百二 is 120
    return total + section + digit


_ARABIC: Final = r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,3})?|[0-9]{1,9}(?:\.[0-9]{1,3})?"
_HAN: Final = r"[零一二两俩三四五六陆七八九十百千万]{1,12}"
_SCALE: Final = r"[百千万wk]"
_YUAN: Final = r"(?:元|块|圆|rmb|cny|yuan|人民币|大洋)"
_SUM: Final = rf"""
    (?P<sign>[¥$]|rmb|人民币)?
    (?:(?P<low>{_ARABIC}|{_HAN})(?P<low_scale>{_SCALE})?(?:{_YUAN}钱?)?(?:-|~|到|至)(?=[¥0-9零一二两三四五六七八九十]))?
    [¥]?(?P<number>{_ARABIC}|{_HAN})(?P<scale>{_SCALE})?
    (?P<vague>[多几来])?
    (?:
        (?P<yuan>{_YUAN})(?:钱)?
        (?:零?(?P<jiao>[0-9]|[一二两三四五六七八九])(?P<jiao_unit>[角毛])?(?:(?P<fen>[0-9]|[一二三四五六七八九])分?)?
           (?![0-9.天日个件号点小时百千万十%折年月周工分秒块元]))?
      | (?P<small>[角毛]|分(?!钟|之|期|批|开|别|拣|拨))
    )
"""
_SPOKEN_RANGE: Final = re.compile(r"^([一二两三四五六七八九])([二两三四五六七八九])([十百千万]?)$")
MONEY: Final = gated(
    "MONEY",
    "$0123456789r¥一七万三两九二五人俩八六十千四百陆零",
    _SUM,
    second="$,-.0123456789ckmrwy~¥一七万三两九二五人俩元八六几分到十千四圆块多大来毛民百至角陆零",
    flags=re.VERBOSE,
)
_NO_UNIT: Final = r"(?![0-9.天日个件号点小时分秒年月周工次份套双台条包盒瓶箱只把支本张下单位楼层折倍%kg克斤米厘半h:/-])"
BARE: Final = gated(
    "BARE",
    "差打款红补费赔返退金",
    r"(?:退款|退还|退给|退|(?<!相)差|补偿|补给|补贴|补|赔偿|赔付|赔给|赔|返现|返还|返|红包|差价|费|金额|款|打)"
    r"(?:给?(?:您|你|客户|客人|消费者|买家|顾客|他|她|人家|读者|业主|娃|[书茶球车]友|孩子|姑娘|大姐|阿姨|新娘|老人家?|小哥)|是|为|至少|最多|个|了|款)?"
    rf"(?P<number>{_ARABIC}|[零一二两三四五六七八九]{{0,3}}[十百千万][零一二两三四五六七八九十百千万]{{0,8}})"
    rf"(?:(?:-|~|到|至)(?P<upper>{_ARABIC}|[零一二两三四五六七八九]{{0,3}}[十百千万][零一二两三四五六七八九十百千万]{{0,8}}))?(?P<scale>[wk万千百])?{_NO_UNIT}",
)
SIGNED: Final = gated(
    "SIGNED",
    "0123456789r¥一七万三两九二五人俩八六十千四百陆零",
    rf"(?:¥|rmb|人民币)(?P<number>{_ARABIC})(?:(?:-|~|到|至)¥?(?P<upper>{_ARABIC}))?(?P<scale>[wk万千百])?"
    rf"|(?P<said>{_ARABIC}|{_HAN})(?=的?(?:无门槛)?(?:现金)?(?:红包|优惠券|代金券|抵用券|券|补偿金?|赔偿金?|差价))"
    r"|(?P<offer>(?<![0-9./:-])[0-9]{1,5}(?:\.[0-9]{1,2})?[wk万千]?"
    r"|(?<![0-9零一二两三四五六七八九十百千万第])(?:十|[一二两三四五六七八九]{1,2}[十百千万])[零一二两三四五六七八九十百千万]{0,8})"
    r"(?=(?:可以|能|我们?|全额?|都|直接|原路|一分不少|给(?:他|您|客户|买家|消费者)){0,2}(?:退(?!货|换)|赔|补(?!发|寄))|原路|全款|全额)",
    second="0123456789,.m一七万三两九二五俩八六十千四百陆零民的无现红优代抵券补赔差可能我全都直给退原wk",
)
SHARE: Final = Cued(
    "SHARE",
    r"(?P<percent>[0-9]{1,3}(?:\.[0-9]{1,2})?)%|百分之(?P<han>[一二两三四五六七八九十百零]{1,4}|[0-9]{1,3})"
    r"|(?<=[退补赔返偿款])(?P<tenths>[一二两三四五六七八九])成(?!功|本|交|立|为|品|套)|(?P<half>一半|半价|半数)",
)
EACH: Final = re.compile(
    r"(?:每|一)(?:件|个|条|双|套|份|台|只|盒|包|瓶|单品)(?:给您|给你|给客户|为您|帮您|都|各|再)?(?:退款|退|补偿"
    r"|补贴|补|赔偿|赔付|赔|返现|返|减|优惠)?(?:您|你|给您|客户)?$"
)


class Sum(NamedTuple):
    """A sum found in a text: its span, in fen; `upper_fen` of a range; `vague` for 一百多; `each` for 每件5元."""

    start: int
    end: int
    fen: int | None
    upper_fen: int | None = None
    vague: bool = False
    each: bool = False


def _yuan_in_fen(number: str, scale: str | None) -> int | None:
    """A number of yuan in fen, exactly; None when it is no whole number of fen."""
    if number[0] in "0123456789":
        whole, _, part = number.replace(",", "").partition(".")
        thousandths = int(whole) * 1000 + int((part + "000")[:3] or 0)
        thousandths *= _UNIT[scale] if scale else 1
        fen, rest = divmod(thousandths, 10)
        return fen if not rest and fen <= AMOUNT_FEN_MAX else None
    spoken = chinese_number(number + (scale or ""))
    return spoken * 100 if spoken is not None and spoken * 100 <= AMOUNT_FEN_MAX else None


def _spoken_range(number: str) -> tuple[int, int] | None:
    """三五十 → 30 to 50 yuan, 二三十 → 20 to 30, 三五 → 3 to 5; None when the numeral is no range."""
    said = _SPOKEN_RANGE.match(number)
    if said is None or _DIGIT[said[1]] >= _DIGIT[said[2]]:
        return None
    unit = _UNIT.get(said[3], 1)
    return _DIGIT[said[1]] * unit * 100, _DIGIT[said[2]] * unit * 100


_FOR_EACH: Final = ("/件", "每件", "一件", "/个", "一个")


def _read_money(hit: re.Match[str], text: str) -> Sum:
    start, end = hit.span()
    low, number, scale, small, jiao = hit.group("low", "number", "scale", "small", "jiao")
    each = EACH.search(text, max(0, start - 8), start) is not None or text.startswith(_FOR_EACH, end)
    if small:
        fen = _yuan_in_fen(number, None)
        divisor = 10 if small in "角毛" else 100
        return Sum(start, end, fen // divisor if fen is not None and fen % divisor == 0 else None, each=each)
    spoken = _spoken_range(number) if scale is None and low is None else None
    if spoken is not None:
        return Sum(start, end, spoken[0], spoken[1], each=each)
    fen = _yuan_in_fen(number, scale)
    if fen is not None and jiao:
        fen += _small_digit(jiao) * 10 + (_small_digit(hit["fen"]) if hit["fen"] else 0)
    if low is not None and fen is not None:
        low_fen = _yuan_in_fen(low, hit["low_scale"] or (scale if low[0] in "0123456789" else None))
        if low_fen is not None and low_fen < fen:
            return Sum(start, end, low_fen, fen, each=each)
    return Sum(start, end, fen, vague=hit["vague"] is not None or number[0] in "百千万", each=each)  # 百八十块


def _small_digit(char: str) -> int:
    return int(char) if char in "0123456789" else _DIGIT[char]


def _number_of(hit: re.Match[str]) -> str:
    groups = hit.groupdict()
    return str(groups["number"] or groups["said"] or groups["offer"])


def find_sums(text: str, cues: int) -> list[Sum]:
    """Every sum of money in a text in the one spelling, in order; a bare number counts after a money verb (退50)."""
    found = [_read_money(hit, text) for hit in MONEY.finditer(text)] if cues & MONEY.bit else []
    if not cues & (SIGNED.bit | BARE.bit):
        return _side_by_side(found, text) if len(found) > 1 else found
    signed = [(hit, hit.start()) for hit in SIGNED.finditer(text)] if cues & SIGNED.bit else []
    bare = [(hit, hit.start("number")) for hit in BARE.finditer(text)] if cues & BARE.bit else []
    taken = {at for known in found for at in range(known.start, known.end)} if signed or bare else set()
    for hit, start in signed + bare:
        number, end, scale = _number_of(hit), hit.end(), hit["scale"]
        if number[0] in "0123456789" and number[-1] in _UNIT:  # 1.2万全退
            number, scale = number[:-1], number[-1]
        if not taken.isdisjoint(range(start, end)):
            continue
        taken.update(range(start, end))
        spoken = _spoken_range(number) if scale is None and not hit["upper"] else None
        if spoken is not None:
            found.append(Sum(start, end, *spoken))
            continue
        fen = _yuan_in_fen(number, scale)
        upper = _yuan_in_fen(hit["upper"], scale) if hit["upper"] else None
        upper = upper if upper and fen and upper > fen else None
        found.append(Sum(start, end, fen, upper, vague=number[0] in "百千万"))
    found.sort(key=lambda known: known.start)
    return _side_by_side(found, text)


_BETWEEN: Final = frozenset(("", "、", "或", "或者", "还是", "的"))


def _side_by_side(found: list[Sum], text: str) -> list[Sum]:
    """十块八块, 20或者30元: one sum, left open."""
    kept: list[Sum] = []
    for each in found:
        last = kept[-1] if kept else None
        if last is not None and text[last.end : each.start] in _BETWEEN:
            kept[-1] = last._replace(end=each.end, vague=True)
        else:
            kept.append(each)
    return kept


class Share(NamedTuple):
    """A share of a price found in a text, in hundredths of a percent."""

    start: int
    end: int
    hundredths: int


def find_shares(text: str, cues: int) -> list[Share]:
    """Every share of a price, in order: 一半 → 5000, 30% → 3000, 三成 → 3000."""
    found: list[Share] = []
    if not cues & SHARE.bit:
        return found
    for hit in SHARE.finditer(text):
        if hit["half"]:
            share = 5000
        elif hit["tenths"]:
            share = _DIGIT[hit["tenths"]] * 1000
        elif hit["han"]:
            said = int(hit["han"]) if hit["han"].isdigit() else chinese_number(hit["han"])
            share = (said or 0) * 100
        else:
            whole, _, part = hit["percent"].partition(".")
            share = int(whole) * 100 + int((part + "00")[:2])
        if 0 < share <= 10_000:
            found.append(Share(hit.start(), hit.end(), share))
    return found
