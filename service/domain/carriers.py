"""Carriers that send scans, and tracking numbers as they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# choice: the carriers of parcels between people in China that report scans; codes in small letters
CARRIERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "sf": ("顺丰速运", "SF Express"),
        "zto": ("中通快递", "ZTO Express"),
        "yto": ("圆通速递", "YTO Express"),
        "sto": ("申通快递", "STO Express"),
        "yunda": ("韵达快递", "Yunda Express"),
        "jd": ("京东物流", "JD Logistics"),
        "ems": ("邮政 EMS", "EMS"),
        "china_post": ("中国邮政", "China Post"),
        "jtexpress": ("极兔速递", "J&T Express"),
        "deppon": ("德邦快递", "Deppon Express"),
        "cainiao": ("菜鸟速递", "Cainiao Express"),
        "ane": ("安能物流", "ANE Logistics"),
        "kye": ("跨越速运", "KYE Express"),
    }
)
TRACKING_CHARS = (6, 32)  # choice: the shortest and the longest number that these carriers print


def is_carrier(code: str) -> bool:
    """Whether this carrier sends us scans."""
    return code in CARRIERS


def tracking_number(written: str) -> str | None:
    """A tracking number as it is stored and compared: without blanks and hyphens, in capitals; None if it is none."""
    bare = "".join(written.split()).replace("-", "").upper()
    least, most = TRACKING_CHARS
    return bare if bare.isascii() and bare.isalnum() and least <= len(bare) <= most else None
