"""A buyer asks for a refund: what is checked, what is pinned, what starts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from service.domain.errors import Absent, Conflict
from service.domain.policy import DEFAULT, to_json
from service.flows.open_dispute import Change, modify
from service.flows.read_case import read_case, require_seen
from service.store import tables
from tests.claims import opened, refused
from tests.judge import dispute, put
from tests.world import BUYER, OTHER_BUYER, START, World


def test_a_request_waits_for_the_merchant_and_its_clock_runs(world: World) -> None:
    """A dispute opens as requested, with T1 armed for 48 hours and its first entry hashed."""
    dispute_id = opened(world)

    row = dispute(world, dispute_id)
    assert (row.state, row.claimed_fen, row.currency, row.policy_id, row.policy_version) == (
        "requested",
        12_900,
        "CNY",
        "default",
        1,
    )
    assert world.armed(dispute_id) == {"seller_response": START + timedelta(hours=48)}
    assert world.kinds(dispute_id) == ["dispute.requested"]
    assert row.last_hash is not None


def test_the_buyers_words_stand_in_a_disclosure_and_not_in_the_entry(world: World) -> None:
    """Free text never goes into an entry's facts or a plain column."""
    dispute_id = opened(world, note="手机号 13800000000 别打")

    entry = world.row(tables.TranscriptEntry, dispute_id=dispute_id)
    assert "13800000000" not in entry.body.decode()
    seen = world.tell(BUYER, lambda ctx: read_case(ctx, require_seen(ctx, dispute_id)))
    assert seen.said(1, "note") == "手机号 13800000000 别打"


def test_the_number_counts_by_the_day_in_shanghai(world: World) -> None:
    """16:00 UTC is midnight in Shanghai: the number's day changes there (edge case 19, day change)."""
    world.now = datetime(2026, 11, 23, 15, 59, 59, 999_999, tzinfo=UTC)
    first, second = opened(world), opened(world)
    world.pass_time(microseconds=1)
    third = opened(world)

    numbers = [dispute(world, each).number for each in (first, second, third)]

    assert numbers == ["RD-20261123-00001", "RD-20261123-00002", "RD-20261124-00001"]


def test_many_buyers_at_once_never_share_a_number(world: World) -> None:
    """The counter is one statement under the row's lock."""
    lines = [world.place_order() for _ in range(12)]

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda line: opened(world, line), lines))

    numbers = sorted(d.number for d in world.rows(tables.Dispute))
    assert numbers == [f"RD-20261123-{n:05d}" for n in range(1, 13)]


def test_somebody_elses_order_line_is_as_absent_as_none(world: World) -> None:
    """Edge case 55: an id of another party is 404, on opening too."""
    line = world.place_order(buyer="buyer-1")

    assert isinstance(refused(world, line, actor=OTHER_BUYER), Absent)
    assert isinstance(refused(world, "line-nowhere"), Absent)


def test_a_second_dispute_of_the_line_names_the_one_that_is_active(world: World) -> None:
    """Edge case 2: a second dispute on the same line is 409 `duplicate_active` with its id."""
    line = world.place_order()
    first = opened(world, line)

    refusal = refused(world, line)

    assert isinstance(refusal, Conflict)
    assert refusal.code == "duplicate_active"
    assert refusal.facts["dispute_id"] == first


def test_of_two_devices_at_once_one_opens_and_the_other_is_told(world: World) -> None:
    """Edge case 2: the buyer's two devices."""
    line = world.place_order()

    def attempt(_: int) -> str:
        try:
            return opened(world, line)
        except Conflict as refusal:
            return refusal.code

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(attempt, range(2)))

    assert answers.count("duplicate_active") == 1
    assert len(world.rows(tables.Dispute)) == 1


def test_an_amount_outside_of_what_can_be_refunded_is_refused(world: World) -> None:
    """Edge case 35: zero, negative, more than was paid."""
    line = world.place_order()

    for amount, code in (
        (0, "amount_not_positive"),
        (-1, "amount_not_positive"),
        (12_901, "amount_over_refundable"),
        (10**16, "amount_too_large"),
    ):
        assert refused(world, line, amount_fen=amount).code == code


def test_any_amount_from_one_fen_to_all_that_is_left_is_taken(world: World) -> None:
    """Edge case 35: the edges that are inside."""
    for amount in (1, 12_899, 12_900):
        assert dispute(world, opened(world, amount_fen=amount)).claimed_fen == amount


def test_refunds_under_way_count_as_paid(world: World) -> None:
    """Edge case 36: pending refunds count, so two claims never exceed the payment."""
    line = world.place_order(refunded_fen=2_000, pending_fen=900)

    refusal = refused(world, line, amount_fen=10_001)

    assert (refusal.code, refusal.facts["refundable_fen"]) == ("amount_over_refundable", 10_000)
    assert opened(world, line, amount_fen=10_000)


def test_an_order_cancelled_meanwhile_has_nothing_left(world: World) -> None:
    """Edge case 41: the order was cancelled and refunded before the buyer asked."""
    line = world.place_order(refunded_fen=12_900)

    assert refused(world, line, amount_fen=1).code == "amount_over_refundable"


def test_one_line_may_be_disputed_while_another_is(world: World) -> None:
    """Edge case 41: after-sale per line; lines of one order do not stand in each other's way."""
    first = world.place_order("line-a")
    world.insert(
        (
            tables.OrderLine,
            {
                "id": "line-b",
                "order_id": "order-line-a",
                "title": "围巾",
                "quantity": 5,
                "paid_fen": 500,
                "refundable_fen": 500,
            },
        )
    )

    assert opened(world, first) != opened(world, "line-b", amount_fen=300)


def test_the_amount_is_in_the_currency_of_the_order(world: World) -> None:
    """Edge case 38: mixed currencies are refused."""
    for currency, order_currency in (("JPY", "CNY"), ("CNY", "JPY"), ("KWD", "USD")):
        line = world.place_order()
        put(world, tables.Order, f"order-{line}", currency=order_currency)

        refusal = refused(world, line, currency=currency)

        assert (refusal.code, refusal.facts["order_currency"]) == ("currency_mismatch", order_currency)


def test_an_order_in_yen_is_claimed_in_whole_yen(world: World) -> None:
    """Edge case 38: JPY has no minor digits; the integer is the amount."""
    line = world.place_order(paid_fen=1_500)
    put(world, tables.Order, f"order-{line}", currency="JPY")

    assert dispute(world, opened(world, line, amount_fen=1_500, currency="JPY")).currency == "JPY"


def test_a_reason_must_fit_the_type_and_the_goods(world: World) -> None:
    """Edge cases 41 and 42: goods made to order, goods shipped or not when the claim is made."""
    no_reason = {"type": "return_refund", "reason": "no_reason_return"}
    unfit: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
        ({}, {"reason": "nonsense"}, "claim_reason_unknown"),
        ({}, {"type": "return_refund", "reason": "not_received"}, "claim_reason_not_for_type"),
        ({"shipped_at": START}, {"reason": "changed_mind_unshipped"}, "claim_reason_not_for_goods"),
        ({"custom_made": True}, no_reason, "return_not_offered"),
        ({"returnable": False}, no_reason, "return_not_offered"),
    )
    for columns, changes, code in unfit:
        assert refused(world, world.place_order(**columns), **changes).code == code


def test_goods_made_to_order_may_still_be_faulty(world: World) -> None:
    """A fault is claimed for any goods; only the return without a reason is not."""
    line = world.place_order(custom_made=True, shipped_at=START)

    assert opened(world, line, type="return_refund", reason="quality_problem")


def test_goods_shipped_while_the_claim_is_pending_change_nothing_of_it(world: World) -> None:
    """Edge case 42: unshipped when asked, shipped while pending."""
    line = world.place_order()
    dispute_id = opened(world, line, reason="changed_mind_unshipped")
    put(world, tables.OrderLine, line, shipped_at=world.now)

    world.tell(BUYER, lambda ctx: modify(ctx, dispute_id, Change(amount_fen=9_900, currency="CNY")))

    assert (dispute(world, dispute_id).reason, dispute(world, dispute_id).claimed_fen) == (
        "changed_mind_unshipped",
        9_900,
    )


def test_a_dispute_keeps_the_policy_it_was_opened_under(world: World) -> None:
    """Edge case 17: a policy published in mid-case leaves the case with the old one."""
    first = opened(world)
    newer = replace(DEFAULT, version=2, seller_response=timedelta(hours=24))
    world.insert(
        (
            tables.PolicyVersion,
            {
                "id": "default@2",
                "policy_id": "default",
                "version": 2,
                "body": to_json(newer),
                "published_at": world.now,
            },
        )
    )

    second = opened(world)
    world.tell(BUYER, lambda ctx: modify(ctx, first, Change(amount_fen=100, currency="CNY")))

    assert [dispute(world, each).policy_version for each in (first, second)] == [1, 2]
    assert world.armed(first)["seller_response"] == world.now + timedelta(hours=48)
    assert world.armed(second)["seller_response"] == world.now + timedelta(hours=24)


def test_a_demo_policy_binds_demo_shops_only(world: World) -> None:
    """The window of seconds is refused for everybody else."""
    put(world, tables.Merchant, "shop-1", policy_id="demo")

    assert refused(world, world.place_order()).code == "demo_policy_refused"

    put(world, tables.Merchant, "shop-1", is_demo=True)
    assert dispute(world, opened(world)).policy_id == "demo"


def test_a_demo_policy_is_refused_where_the_demo_is_off(world: World) -> None:
    """Even a demo shop needs the embedded demo."""
    put(world, tables.Merchant, "shop-1", policy_id="demo", is_demo=True)
    world.house = replace(world.house, demo=False)

    assert refused(world, world.place_order()).code == "demo_policy_refused"


def test_the_order_is_not_confirmed_by_itself_while_a_dispute_runs(world: World) -> None:
    """Edge case 45: the marketplace is told to hold its automatic confirmation."""
    dispute_id = opened(world)

    events = {row.type: row.payload for row in world.rows(tables.Outbox, dispute_id=dispute_id)}

    assert events["order.auto_confirm_held"]["order_line_id"] == dispute(world, dispute_id).order_line_id
    assert "dispute.requested" in events


def test_a_note_of_500_characters_is_taken_and_501_are_not(world: World) -> None:
    """Free reasons of buyers are bounded by the policy."""
    assert opened(world, note="好" * 500)
    assert refused(world, world.place_order(), note="好" * 501).code == "text_length"
