"""How a dispute ends: its outcome, who lost, who is liable, and who gained."""

from __future__ import annotations

from enum import StrEnum

RULING_KINDS = ("refund_full", "refund_partial", "refund_with_return", "reject")
DEFAULT_BASES = frozenset({"PLATFORM_TIMEOUT", "MERCHANT_NO_RESPONSE", "MERCHANT_NO_EVIDENCE", "BUYER_NO_EVIDENCE"})


class Outcome(StrEnum):
    """The outcome codes of lifecycle.md section 4."""

    SELLER_AGREED = "SELLER_AGREED"
    SELLER_AGREED_LATE = "SELLER_AGREED_LATE"
    OFFER_ACCEPTED = "OFFER_ACCEPTED"
    REFUNDED_SELLER_TIMEOUT = "REFUNDED_SELLER_TIMEOUT"
    REFUNDED_RECEIPT_TIMEOUT = "REFUNDED_RECEIPT_TIMEOUT"
    REFUNDED_BY_RULING = "REFUNDED_BY_RULING"
    PARTIALLY_REFUNDED_BY_RULING = "PARTIALLY_REFUNDED_BY_RULING"
    REFUNDED_BY_DEFAULT_RULING = "REFUNDED_BY_DEFAULT_RULING"
    REJECTED_BY_RULING = "REJECTED_BY_RULING"
    BUYER_WITHDREW = "BUYER_WITHDREW"
    BUYER_TIMEOUT_AFTER_REFUSAL = "BUYER_TIMEOUT_AFTER_REFUSAL"
    BUYER_RETURN_TIMEOUT = "BUYER_RETURN_TIMEOUT"
    SETTLED_OFFLINE = "SETTLED_OFFLINE"
    PLATFORM_ADVANCED = "PLATFORM_ADVANCED"


class Liability(StrEnum):
    """Who answers for what went wrong."""

    MERCHANT = "MERCHANT"
    BUYER = "BUYER"
    BOTH = "BOTH"
    PLATFORM = "PLATFORM"
    INFLUENCER = "INFLUENCER"
    CARRIER = "CARRIER"
    NONE = "NONE"


_PAYS_NOTHING = frozenset(
    {
        Outcome.REJECTED_BY_RULING,
        Outcome.BUYER_WITHDREW,
        Outcome.BUYER_TIMEOUT_AFTER_REFUSAL,
        Outcome.BUYER_RETURN_TIMEOUT,
    }
)


def outcome_of_ruling(kind: str, basis: str) -> Outcome:
    """The outcome a ruling leads to once carried out; `basis` tells a default ruling from a reasoned one."""
    assert kind in RULING_KINDS, "a ruling is of one of four kinds"
    if kind == "reject":
        return Outcome.REJECTED_BY_RULING
    if basis in DEFAULT_BASES:
        return Outcome.REFUNDED_BY_DEFAULT_RULING
    return Outcome.PARTIALLY_REFUNDED_BY_RULING if kind == "refund_partial" else Outcome.REFUNDED_BY_RULING


def losing_parties(*, awarded_fen: int, claimed_fen: int, liability: str) -> tuple[str, ...]:
    """Who may accept or appeal a ruling: the buyer if awarded less than claimed, the merchant if it pays.

    Returns:
        `buyer`, `merchant`, both or none, in that order.
    """
    buyer = ("buyer",) if awarded_fen < claimed_fen else ()
    merchant = ("merchant",) if awarded_fen > 0 and liability != Liability.PLATFORM else ()
    return buyer + merchant


def benefited(outcome: str, *, paid_fen: int, claimed_fen: int) -> tuple[str, ...]:
    """Who came out ahead: the buyer if anything was paid, the merchant if less than the claim was."""
    paid = 0 if Outcome(outcome) in _PAYS_NOTHING else paid_fen
    return (("buyer",) if paid > 0 else ()) + (("merchant",) if paid < claimed_fen else ())
