"""Offers: what may be offered, bettered, accepted and declined, and a promise that was passed on taken as one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from service.domain.errors import ArrowMissing, Forbidden, GuardFailed, WindowClosed
from service.domain.staff import Actor
from service.flows.answer_offer import accept_offer, decline_offer
from service.flows.context import THE_CLOCK
from service.flows.negotiate import Offering, improve_offer, seller_offer
from service.store import tables
from tests.judge import dispute, put
from tests.negotiating import offer, offered, pulls
from tests.world import BUYER, OWNER, START, World

# --- offers ---------------------------------------------------------------------------------------------------------


def test_an_offer_is_for_something_and_for_no_more_than_was_asked(world: World) -> None:
    """Edge case 35: = 0, negative, over."""
    dispute_id = world.make_dispute("requested")

    for amount in (-1, 0, 12_901):
        with pytest.raises(GuardFailed, match="offer_out_of_range"):
            world.tell(OWNER, lambda ctx, amount=amount: seller_offer(ctx, dispute_id, offer(amount)))


def test_an_offer_waits_48_hours_for_the_buyer(world: World) -> None:
    """T3, from one fen to everything."""
    for amount in (1, 12_900):
        dispute_id = offered(world, amount)

        assert dispute(world, dispute_id).state == "offer_pending"
        assert world.armed(dispute_id) == {"offer_response": START + timedelta(hours=48)}
        assert world.row(tables.Offer, dispute_id=dispute_id).state == "open"


def test_an_offer_is_in_the_currency_of_the_order(world: World) -> None:
    """Edge case 38."""
    dispute_id = world.make_dispute("requested")

    with pytest.raises(GuardFailed, match="currency_mismatch"):
        world.tell(OWNER, lambda ctx: seller_offer(ctx, dispute_id, Offering("partial_refund", 100, "USD")))


def test_a_better_offer_takes_the_place_of_the_one_on_the_table(world: World) -> None:
    """Arrow 21: T3 runs anew; a worse or an equal one is refused."""
    dispute_id = offered(world, 3_000)
    world.pass_time(hours=1)

    for worse in (offer(3_000), offer(2_999), offer(9_000, "refund_with_return")):
        with pytest.raises(GuardFailed, match="offer_not_better"):
            world.tell(OWNER, lambda ctx, worse=worse: improve_offer(ctx, dispute_id, worse))
    world.tell(OWNER, lambda ctx: improve_offer(ctx, dispute_id, offer(3_001)))

    states = [(o.number, o.state, o.amount_fen) for o in world.rows(tables.Offer, dispute_id=dispute_id)]
    assert states == [(1, "superseded", 3_000), (2, "open", 3_001)]
    assert world.armed(dispute_id) == {"offer_response": world.now + timedelta(hours=48)}


def test_the_fourth_offer_is_one_too_many(world: World) -> None:
    """Policy: three offers."""
    dispute_id = offered(world, 1)
    for amount in (2, 3):
        world.tell(OWNER, lambda ctx, amount=amount: improve_offer(ctx, dispute_id, offer(amount)))

    with pytest.raises(GuardFailed, match="offers_exhausted"):
        world.tell(OWNER, lambda ctx: improve_offer(ctx, dispute_id, offer(4)))
    world.tell(BUYER, lambda ctx: decline_offer(ctx, dispute_id, note=None))
    with pytest.raises(GuardFailed, match="offers_exhausted"):
        world.tell(OWNER, lambda ctx: seller_offer(ctx, dispute_id, offer(4)))


def test_an_accepted_offer_pays_what_was_offered(world: World) -> None:
    """Arrow 17: awarded is the offer, not the claim."""
    dispute_id = offered(world, 3_000)

    world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))

    row = dispute(world, dispute_id)
    assert (row.state, row.awarded_fen, row.outcome_hint) == ("executing", 3_000, "OFFER_ACCEPTED")
    assert world.row(tables.RefundExecution, dispute_id=dispute_id).amount_fen == 3_000
    assert world.row(tables.Offer, dispute_id=dispute_id).state == "accepted"


def test_an_accepted_offer_with_a_return_waits_for_the_goods(world: World) -> None:
    """Arrow 18: the address is fixed, the amount is what was offered, nothing is paid yet."""
    dispute_id = offered(world, 3_000, "refund_with_return")

    world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))

    row = dispute(world, dispute_id)
    assert (row.state, row.awarded_fen, row.return_origin) == ("awaiting_return", 3_000, "consent")
    assert row.return_address
    assert world.rows(tables.RefundExecution) == []


def test_an_offer_is_not_raised_after_it_was_accepted(world: World) -> None:
    """Edge case 37: offer raised after acceptance."""
    dispute_id = offered(world)
    world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))

    with pytest.raises(ArrowMissing):
        world.tell(OWNER, lambda ctx: improve_offer(ctx, dispute_id, offer(9_000)))


def test_nobody_accepts_their_own_offer(world: World) -> None:
    """Edge case 37: "Cannot accept your own offer"."""
    dispute_id = offered(world)

    with pytest.raises(Forbidden, match="not_your_action"):
        world.tell(OWNER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))


def test_an_offer_is_not_accepted_once_its_time_is_over(world: World) -> None:
    """T3 is half-open."""
    dispute_id = offered(world)
    world.pass_time(hours=48)

    with pytest.raises(WindowClosed):
        world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))


def test_an_offer_that_the_line_can_no_longer_pay_is_not_accepted(world: World) -> None:
    """Edge case 36: refunded elsewhere while the offer was on the table."""
    dispute_id = offered(world, 3_000)
    put(world, tables.OrderLine, dispute(world, dispute_id).order_line_id, refunded_fen=10_000)

    with pytest.raises(GuardFailed, match="amount_over_refundable"):
        world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))


def test_a_declined_offer_gives_the_buyer_seven_days_anew(world: World) -> None:
    """Arrow 19 re-arms T2."""
    dispute_id = offered(world)
    world.pass_time(hours=3)

    world.tell(BUYER, lambda ctx: decline_offer(ctx, dispute_id, note="太少了"))

    assert world.armed(dispute_id) == {"escalate_window": world.now + timedelta(days=7)}
    assert world.row(tables.Offer, dispute_id=dispute_id).state == "declined"


def test_the_offer_ends_with_the_negotiation(world: World) -> None:
    """Arrow 22 and the others: no offer stays open once its state is left."""
    ends: tuple[tuple[Actor, str, str], ...] = (
        (BUYER, "request_intervention", "declined"),
        (BUYER, "buyer_withdraw", "declined"),
        (OWNER, "seller_agree_refund", "superseded"),
        (THE_CLOCK, "offer_expired", "expired"),
    )
    for actor, trigger, state in ends:
        dispute_id = offered(world)

        world.tell(actor, pulls(dispute_id, trigger))

        assert world.row(tables.Offer, dispute_id=dispute_id).state == state


# --- a promise that was passed on (arrow 46) ------------------------------------------------------------------------


def promise(world: World, dispute_id: str, state: str = "relayed", **columns: Any) -> str:
    promise_id = f"01890000-0000-7000-8000-{next(world.numbers):012d}"
    told = state in ("relayed", "fulfilled", "breached")
    world.insert(
        (
            tables.Promise,
            {
                "id": promise_id,
                "dispute_id": dispute_id,
                "state": state,
                "wording": "unconditional",
                "action": "partial_refund",
                "amount_fen": 4_000,
                "due_at": world.now + timedelta(days=1),
                "canonical_zh": "退款 40 元",
                "canonical_en": "refund 40 yuan",
                "canonical_sha256": "a" * 64,
                "confirmed_canonical": "a" * 64 if state == "confirmed" or told else None,
                "confirmation_hash": b"h" * 32 if state == "confirmed" or told else None,
                "relay_seq": 1 if told else None,
                "created_at": world.now,
            }
            | columns,
        )
    )
    return promise_id


def test_a_buyer_takes_the_refund_that_was_passed_on(world: World) -> None:
    """Arrow 46 (source 002 FAQ 4): awarded is what was promised."""
    dispute_id = world.make_dispute("intervening")
    promise_id = promise(world, dispute_id)

    world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=promise_id))

    row = dispute(world, dispute_id)
    assert (row.state, row.awarded_fen, row.outcome_hint) == ("executing", 4_000, "OFFER_ACCEPTED")


def test_only_a_promise_of_money_that_was_passed_on_is_accepted(world: World) -> None:
    """What the buyer was not told of cannot be accepted, nor what names no amount."""
    dispute_id = world.make_dispute("intervening")
    others: tuple[dict[str, Any], ...] = (
        {"state": "confirmed"},
        {"state": "extracted"},
        {"action": "ship"},
        {"amount_fen": None},
    )
    for columns in others:
        promise_id = promise(world, dispute_id, **columns)

        with pytest.raises(GuardFailed, match="promise_not_relayed"):
            world.tell(BUYER, lambda ctx, p=promise_id: accept_offer(ctx, dispute_id, promise_id=p))


def test_another_disputes_promise_is_none_of_this_one(world: World) -> None:
    """Arrow 46 names a promise of its own dispute."""
    dispute_id, other = world.make_dispute("intervening"), world.make_dispute("intervening")
    promise_id = promise(world, other)

    with pytest.raises(GuardFailed, match="promise_not_relayed"):
        world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=promise_id))
