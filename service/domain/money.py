"""Money as integers of the smallest unit, split and capped without losing one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from service.domain.errors import GuardFailed

# ISO 4217 minor-unit digits of the currencies we settle in.
CURRENCY_DIGITS: Mapping[str, int] = MappingProxyType(
    {"CNY": 2, "HKD": 2, "MOP": 2, "TWD": 2, "USD": 2, "EUR": 2, "GBP": 2, "SGD": 2, "JPY": 0, "KRW": 0, "KWD": 3}
)
AMOUNT_MOST = 10**15  # choice: far above any order, far below a BIGINT
_WEIGHTS_MOST = 10_000


def require_currency(currency: str) -> int:
    """The digits of a currency we settle in.

    Raises:
        GuardFailed: `currency_unknown`.
    """
    digits = CURRENCY_DIGITS.get(currency)
    if digits is None:
        raise GuardFailed(
            "currency_unknown", zh="不支持的币种", en="Not a currency we settle in", currency=currency[:8]
        )
    return digits


def require_amount(amount: object) -> int:
    """Refuse whatever is not a whole, positive number of the smallest unit: 0.5 分, "12.90", true.

    Raises:
        GuardFailed: `amount_not_integer`, `amount_not_positive`, `amount_too_large`.
    """
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise GuardFailed("amount_not_integer", zh="金额须为整数(最小单位)", en="A whole number of the smallest unit")
    if amount <= 0:
        raise GuardFailed("amount_not_positive", zh="金额须大于零", en="More than nothing", amount=amount)
    if amount > AMOUNT_MOST:
        raise GuardFailed("amount_too_large", zh="金额过大", en="Too large")
    return amount


def refund_cap(paid: int, already_refunded: int, pending: int) -> int:
    """What is left to refund of an order line: pending refunds count as paid back; never below zero."""
    assert min(paid, already_refunded, pending) >= 0, "amounts on the books are not negative"
    return max(0, paid - already_refunded - pending)


def require_within_cap(amount: object, cap: int) -> int:
    """Refuse an amount that is not one, or more than can be refunded.

    Raises:
        GuardFailed: as `require_amount`; `amount_over_refundable` with the cap.
    """
    whole = require_amount(amount)
    if whole > cap:
        raise GuardFailed(
            "amount_over_refundable",
            zh="金额超出可退金额",
            en="Over what can be refunded",
            amount_fen=whole,
            refundable_fen=cap,
        )
    return whole


def split_largest_remainder(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Share a total out by weight to the last unit: 100 over three equal lines is 34 + 33 + 33.

    Args:
        total: not negative.
        weights: one per line, not negative, not all zero; at most 10,000.

    Returns:
        Shares in the order of the weights; they add up to `total`, and none is a unit away from its exact share.
        Leftover units go to the largest remainders, the earlier line first.

    Raises:
        GuardFailed: `split_impossible`.
    """
    whole = sum(weights)
    if total < 0 or not weights or len(weights) > _WEIGHTS_MOST or min(weights) < 0 or whole == 0:
        raise GuardFailed("split_impossible", zh="无法分摊", en="Cannot be shared out", total=total, lines=len(weights))
    shares = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda line: (-(total * weights[line] % whole), line))
    for line in by_remainder[: total - sum(shares)]:
        shares[line] += 1
    return tuple(shares)


def refundable_shipping(shipping: int, *, anything_shipped: bool, last_line: bool) -> int:
    """How much of the shipping fee may be refunded: all of it, with the order's last line, if nothing was shipped.

    Source: WXQ.
    """
    return shipping if last_line and not anything_shipped else 0


def amount_text(amount: int, currency: str) -> str:
    """Write an amount for people: 12900 CNY is `129.00`, 129 JPY is `129`, 1290 KWD is `1.290`."""
    digits = require_currency(currency)
    sign, units = ("-", -amount) if amount < 0 else ("", amount)
    if digits == 0:
        return f"{sign}{units}"
    return f"{sign}{units // 10**digits}.{units % 10**digits:0{digits}d}"
