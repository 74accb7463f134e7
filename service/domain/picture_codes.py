"""Codes in pictures: which of them only number a thing, which lead home, and which words the others say to a buyer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

NUMBER_CHARS_MAX: Final = 48  # choice: article, batch and tracking numbers are shorter
# A number of an article, a parcel or a batch: capitals, digits and dashes, never a blank, a dot or a colon.
_NUMBER: Final = re.compile(rf"[0-9A-Z][0-9A-Z-]{{3,{NUMBER_CHARS_MAX - 1}}}")
# What looks like such a number and can be called or added: a mobile number, alone or behind the name of an app.
_CONTACT: Final = re.compile(r"(?:V|VX|WX|WEIXIN|WECHAT|QQ|Q|TEL)?-?(?:(?:00)?86-?)?1[3-9][0-9]-?[0-9]{4}-?[0-9]{4}")
_CHAT_ID: Final = re.compile(r"(?:VX|WX|WEIXIN|WECHAT|QQ)-?[0-9A-Z-]{5,20}")
# An address as every browser reads it: no user name in front, nothing odd in the host, no blank anywhere.
_ADDRESS: Final = re.compile(r"(?i)https?://(?P<host>[0-9a-z][0-9a-z.-]*)(?::[0-9]{1,5})?(?:[/?#][^\s\\]*)?")
# What is printed for tills and parcels; the standards give such a code no room for anything but a number.
NUMBERS_ONLY: Final = frozenset({"EAN13", "EAN8", "UPCA", "UPCE", "ITF14", "ISBN", "DataBar", "EAN2", "EAN5"})


class Code(NamedTuple):
    """A code that was found in a picture. `kind`: QRCode, EAN13, Code128 and so on; `text`: what it says."""

    kind: str
    text: str


def only_numbers(code: Code) -> bool:
    """Whether a code says nothing but the number of an article or a parcel, which leads nobody anywhere."""
    said = code.text.strip()
    if code.kind in NUMBERS_ONLY and said.isascii() and said.isdigit():
        return True
    if _CONTACT.fullmatch(said) or _CHAT_ID.fullmatch(said):
        return False
    return _NUMBER.fullmatch(said) is not None


def leads_home(code: Code, own_domains: Iterable[str]) -> bool:
    """Whether a code is one address and nothing else, on a host of the marketplace or below one."""
    address = _ADDRESS.fullmatch(code.text.strip())
    if address is None:
        return False
    host = address["host"].rstrip(".").casefold()
    return any(host == own.casefold() or host.endswith("." + own.casefold()) for own in own_domains)


def words_shown(codes: Sequence[Code], own_domains: Iterable[str]) -> tuple[str, ...]:
    """What the codes of a picture say to whoever scans them, as far as it must be judged; each text once."""
    own = tuple(own_domains)
    judged = (code.text for code in codes if not (only_numbers(code) or leads_home(code, own)))
    return tuple(dict.fromkeys(text for text in judged if text.strip()))
