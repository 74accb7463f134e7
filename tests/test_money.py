"""Money: whole units, capped, split to the last one."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import GuardFailed
from service.domain.money import (
    AMOUNT_MOST,
    amount_text,
    refund_cap,
    refundable_shipping,
    require_amount,
    require_currency,
    require_within_cap,
    split_largest_remainder,
)


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (100, [1, 1, 1], (34, 33, 33)),
        (1, [1, 1, 1], (1, 0, 0)),
        (0, [5, 5], (0, 0)),
        (12_900, [12_900], (12_900,)),
        (10, [0, 1], (0, 10)),
        (10, [1, 2, 3], (2, 3, 5)),
        (101, [3, 3, 1], (43, 43, 15)),
    ],
)
def test_an_amount_is_split_by_the_largest_remainder(total: int, weights: list[int], shares: tuple[int, ...]) -> None:
    """Edge case 35: 1 分 over three lines; 100 → 34 + 33 + 33."""
    assert split_largest_remainder(total, weights) == shares


@given(total=st.integers(0, AMOUNT_MOST), weights=st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_shares_add_up_and_none_is_a_unit_off(total: int, weights: list[int]) -> None:
    """Nothing is lost, nobody is a whole unit away from the exact share, a line without weight gets nothing."""
    if sum(weights) == 0:
        return

    shares = split_largest_remainder(total, weights)

    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(total * weight, sum(weights))) < 1
        assert weight or not share


@pytest.mark.parametrize(
    ("total", "weights"), [(100, []), (100, [0, 0]), (100, [1, -1]), (100, [2, -1]), (-1, [1]), (1, [1] * 10_001)]
)
def test_what_cannot_be_split_is_refused(total: int, weights: list[int]) -> None:
    """No weights, no share."""
    with pytest.raises(GuardFailed) as refused:
        split_largest_remainder(total, weights)
    assert refused.value.code == "split_impossible"


@pytest.mark.parametrize(
    ("paid", "refunded", "pending", "cap"),
    [(12_900, 0, 0, 12_900), (12_900, 900, 2_000, 10_000), (12_900, 12_900, 0, 0), (100, 60, 60, 0), (0, 0, 0, 0)],
)
def test_pending_refunds_count_as_paid_back(paid: int, refunded: int, pending: int, cap: int) -> None:
    """Edge case 36: two cases whose sum exceeds the payment."""
    assert refund_cap(paid, refunded, pending) == cap


def test_ten_thousand_lines_can_be_split() -> None:
    """The bound from inside."""
    assert split_largest_remainder(1, [1] * 10_000) == (1, *[0] * 9_999)


@pytest.mark.parametrize("books", [(-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_books_with_a_negative_amount_are_our_own_mistake(books: tuple[int, int, int]) -> None:
    """A broken invariant is asserted, not computed with."""
    with pytest.raises(AssertionError, match="not negative"):
        refund_cap(*books)


def test_an_amount_may_reach_the_cap_and_not_pass_it() -> None:
    """Edge case 35: partial > remaining."""
    assert require_within_cap(10_000, 10_000) == 10_000
    with pytest.raises(GuardFailed) as refused:
        require_within_cap(10_001, 10_000)
    assert refused.value.code == "amount_over_refundable"
    assert refused.value.facts == {"amount_fen": 10_001, "refundable_fen": 10_000}


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (0, "amount_not_positive"),
        (-1, "amount_not_positive"),
        (0.5, "amount_not_integer"),
        (1.0, "amount_not_integer"),
        ("129.00", "amount_not_integer"),
        (Decimal("1"), "amount_not_integer"),
        (True, "amount_not_integer"),
        (None, "amount_not_integer"),
        (AMOUNT_MOST + 1, "amount_too_large"),
    ],
)
def test_what_is_no_amount_is_refused(amount: object, code: str) -> None:
    """Edge cases 35 and 38: zero, negative, 0.5 分, mixed yuan and 分."""
    with pytest.raises(GuardFailed) as refused:
        require_amount(amount)
    assert refused.value.code == code


def test_one_fen_and_the_most_are_amounts() -> None:
    """The edges from inside."""
    assert require_amount(1) == 1
    assert require_amount(AMOUNT_MOST) == AMOUNT_MOST


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (12_900, "CNY", "129.00"),
        (5, "CNY", "0.05"),
        (0, "CNY", "0.00"),
        (-5, "CNY", "-0.05"),
        (129, "JPY", "129"),
        (1_290, "KWD", "1.290"),
    ],
)
def test_an_amount_is_written_with_its_currencys_digits(amount: int, currency: str, text: str) -> None:
    """Edge case 38: JPY 0 digits, KWD 3."""
    assert amount_text(amount, currency) == text


def test_a_currency_we_do_not_settle_in_is_refused() -> None:
    """Upper case, three letters, on the list."""
    assert [require_currency(currency) for currency in ("CNY", "JPY", "KWD")] == [2, 0, 3]
    for currency in ("cny", "XXX", "", "RMB"):
        with pytest.raises(GuardFailed) as refused:
            require_currency(currency)
        assert refused.value.code == "currency_unknown"


def test_shipping_comes_back_with_the_last_line_if_nothing_was_sent() -> None:
    """Edge case 35, WXQ."""
    assert refundable_shipping(800, anything_shipped=False, last_line=True) == 800
    assert refundable_shipping(800, anything_shipped=True, last_line=True) == 0
    assert refundable_shipping(800, anything_shipped=False, last_line=False) == 0
