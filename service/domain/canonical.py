"""The canonical text of a promise: one sentence in each language, made from its fields alone, with its hash."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from service.domain.calendar import SHANGHAI

_ZH: Final = {
    "ship": "发货",
    "refund": "退款",
    "partial_refund": "部分退款",
    "exchange": "换货",
    "resend": "补发商品",
    "compensate": "补偿",
    "pickup": "安排上门取件",
    "reply_later": "给出答复",
    "none": "未承诺具体事项",
}
_EN: Final = {
    "ship": "ship the order",
    "refund": "refund the order",
    "partial_refund": "refund part of the price",
    "exchange": "exchange the goods",
    "resend": "resend the goods",
    "compensate": "pay compensation",
    "pickup": "have the goods collected",
    "reply_later": "give an answer",
    "none": "promises nothing definite",
}


class Canonical(NamedTuple):
    """One sentence in Chinese and in English; `sha256_hex` of the two joined by a line feed, UTF-8."""

    zh: str
    en: str
    sha256_hex: str


def yuan(amount_fen: int) -> str:
    """Fen as yuan with two decimals: 5050 → 50.50."""
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def amount_words(amount_fen: int | None, amount_max_fen: int | None) -> tuple[str, str]:
    """The sum in zh and en, of a range both ends; empty texts when there is none."""
    if amount_fen is None:
        return "", ""
    if amount_max_fen is None or amount_max_fen == amount_fen:
        return f"{yuan(amount_fen)}元", f"CNY {yuan(amount_fen)}"
    return (
        f"至少{yuan(amount_fen)}元(至多{yuan(amount_max_fen)}元)",
        f"at least CNY {yuan(amount_fen)} (at most CNY {yuan(amount_max_fen)})",
    )


def due_words(due_at: datetime | None) -> tuple[str, str]:
    """The deadline to the second in Asia/Shanghai, in zh and en; empty texts when there is none."""
    if due_at is None:
        return "", ""
    local = due_at.astimezone(SHANGHAI)
    clock = f"{local.hour:02d}:{local.minute:02d}:{local.second:02d}"  # strftime costs more than all the rest
    return (
        f"{local.year}年{local.month}月{local.day}日{clock}(北京时间)前",
        f"{local.year:04d}-{local.month:02d}-{local.day:02d} {clock} (UTC+08:00)",
    )


@lru_cache(maxsize=4096)  # most deadlines are the end of one of the next days
def canonical(action: str, amount_fen: int | None, amount_max_fen: int | None, due_at: datetime | None) -> Canonical:
    """Say a promise from its fields: the same fields give the same bytes on every machine.

    Args:
        action: one of the actions of promises.md section 1.
        amount_fen: fen, of a range the lower end; None when no sum was promised.
        amount_max_fen: fen, the upper end of a range.
        due_at: aware; shown in Asia/Shanghai to the second.
    """
    amount_zh, amount_en = amount_words(amount_fen, amount_max_fen)
    due_zh, due_en = due_words(due_at)
    zh = f"商家承诺:{due_zh}{_ZH[action]}{amount_zh}。" if action != "none" else "商家未承诺具体事项。"
    en = f"The merchant will {_EN[action]}" if action != "none" else "The merchant promises nothing definite"
    en += f": {amount_en}" if amount_en else ""
    en += f", by {due_en}." if due_en else "."
    digest = hashlib.sha256(f"{zh}\n{en}".encode()).hexdigest()
    return Canonical(zh=zh, en=en, sha256_hex=digest)
