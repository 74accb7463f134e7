"""A buyer asks for a refund: what is checked, what is pinned, what starts, and how it ends or begins again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.errors import Absent, ArrowMissing, Conflict, GuardFailed, Refusal, WindowClosed
from service.domain.policy import DEFAULT, to_json
from service.domain.staff import Actor
from service.flows.context import Context
from service.flows.negotiate import Refusing, seller_refuse
from service.flows.open_dispute import Change, Claim, modify, open_dispute, reopen, withdraw
from service.flows.read_case import read_case, require_seen
from service.store import tables
from service.store.writes import Plan
from tests.over_http import HttpWorld
from tests.world import BUYER, OTHER_BUYER, OWNER, START, SUPERVISOR, World


def claim(line: str, **changes: Any) -> Claim:
    whole = Claim(line, "refund_only", "not_as_described", 12_900, "CNY", "颜色与图片不一样")
    return replace(whole, **changes)


def opened(world: World, line: str | None = None, *, actor: Actor = BUYER, **changes: Any) -> str:
    asked = claim(line or world.place_order(buyer=actor.subject), **changes)
    return world.tell(actor, lambda ctx: open_dispute(ctx, asked))


def refused(world: World, line: str, *, actor: Actor = BUYER, **changes: Any) -> Refusal:
    """The refusal of a claim, which must leave nothing behind."""
    before = len(world.rows(tables.Dispute))
    with pytest.raises(Refusal) as caught:
        world.tell(actor, lambda ctx: open_dispute(ctx, claim(line, **changes)))
    assert len(world.rows(tables.Dispute)) == before
    return caught.value


def set_row(world: World, model: Any, row_id: str, **columns: object) -> None:
    plan = Plan()
    plan.update(model, row_id, **columns)
    world.database.run(lambda tx: tx.apply([plan]))


def dispute(world: World, dispute_id: str) -> tables.Dispute:
    return world.row(tables.Dispute, id=dispute_id)


# --- opening --------------------------------------------------------------------------------------------------------


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
        set_row(world, tables.Order, f"order-{line}", currency=order_currency)

        refusal = refused(world, line, currency=currency)

        assert (refusal.code, refusal.facts["order_currency"]) == ("currency_mismatch", order_currency)


def test_an_order_in_yen_is_claimed_in_whole_yen(world: World) -> None:
    """Edge case 38: JPY has no minor digits; the integer is the amount."""
    line = world.place_order(paid_fen=1_500)
    set_row(world, tables.Order, f"order-{line}", currency="JPY")

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
    set_row(world, tables.OrderLine, line, shipped_at=world.now)

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
    set_row(world, tables.Merchant, "shop-1", policy_id="demo")

    assert refused(world, world.place_order()).code == "demo_policy_refused"

    set_row(world, tables.Merchant, "shop-1", is_demo=True)
    assert dispute(world, opened(world)).policy_id == "demo"


def test_a_demo_policy_is_refused_where_the_demo_is_off(world: World) -> None:
    """Even a demo shop needs the embedded demo."""
    set_row(world, tables.Merchant, "shop-1", policy_id="demo", is_demo=True)
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


# --- changing -------------------------------------------------------------------------------------------------------


def test_a_change_starts_the_merchants_time_anew(world: World) -> None:
    """Arrow 5 re-arms T1."""
    dispute_id = opened(world)
    world.pass_time(hours=10)

    world.tell(
        BUYER, lambda ctx: modify(ctx, dispute_id, Change(amount_fen=5_000, currency="CNY", note="只退一半也行"))
    )

    row = dispute(world, dispute_id)
    assert (row.claimed_fen, row.modifications, row.claim_seq) == (5_000, 1, 2)
    assert world.armed(dispute_id) == {"seller_response": world.now + timedelta(hours=48)}


def test_the_sixth_change_is_refused(world: World) -> None:
    """WXQ: at most five modifications."""
    dispute_id = opened(world)
    for amount in range(1, 6):
        change = Change(amount_fen=amount, currency="CNY")
        world.tell(BUYER, lambda ctx, change=change: modify(ctx, dispute_id, change))  # type: ignore[misc]

    with pytest.raises(GuardFailed, match="modifications_exhausted"):
        world.tell(BUYER, lambda ctx: modify(ctx, dispute_id, Change(amount_fen=6, currency="CNY")))

    assert dispute(world, dispute_id).claimed_fen == 5


def test_a_change_is_checked_like_a_request(world: World) -> None:
    """What could not be asked for cannot be changed to."""
    dispute_id = opened(world)

    for change, code in (
        (Change(amount_fen=12_901, currency="CNY"), "claim_out_of_range"),
        (Change(amount_fen=0, currency="CNY"), "claim_out_of_range"),
        (Change(amount_fen=5, currency="USD"), "currency_mismatch"),
        (Change(type="return_refund", reason="not_received"), "claim_reason_not_for_type"),
    ):
        with pytest.raises(GuardFailed, match=code):
            world.tell(BUYER, lambda ctx, change=change: modify(ctx, dispute_id, change))  # type: ignore[misc]

    assert dispute(world, dispute_id).version == 1


# --- withdrawing and applying again ---------------------------------------------------------------------------------


def withdrawn(world: World, dispute_id: str) -> None:
    world.tell(BUYER, lambda ctx: withdraw(ctx, dispute_id, note=None))


def test_a_withdrawn_dispute_is_closed_and_sealed(world: World) -> None:
    """Arrow 6: no clock is left, and the last entry is the seal."""
    dispute_id = opened(world)

    withdrawn(world, dispute_id)

    row = dispute(world, dispute_id)
    assert (row.state, row.outcome) == ("closed", "BUYER_WITHDREW")
    assert world.armed(dispute_id) == {}
    assert world.kinds(dispute_id)[-1] == "case.sealed"


def test_nobody_withdraws_while_the_merchant_holds_the_goods(world: World) -> None:
    """Edge case 51: withdraw while the merchant holds the goods is 422."""
    for state in ("intervention_requested", "intervening", "ruled", "appealed"):
        dispute_id = world.make_dispute(state, goods_held_by_merchant=True)

        with pytest.raises(GuardFailed, match="goods_held_by_merchant"):
            withdrawn(world, dispute_id)

        assert dispute(world, dispute_id).state == state


def test_a_buyer_may_withdraw_after_the_ruling(world: World) -> None:
    """Edge case 51: withdraw after ruling (arrows 51d, 52)."""
    for state in ("ruled", "appealed"):
        dispute_id = world.make_dispute(state)

        withdrawn(world, dispute_id)

        assert dispute(world, dispute_id).outcome == "BUYER_WITHDREW"


def test_applying_again_counts_and_the_sixth_time_is_refused(world: World) -> None:
    """Edge case 51: withdraw and re-apply counts towards the five modifications; the sixth re-application is 422."""
    line = world.place_order()
    for earlier in range(6):
        dispute_id = opened(world, line)
        assert dispute(world, dispute_id).modifications == earlier
        withdrawn(world, dispute_id)

    assert refused(world, line).code == "modifications_exhausted"


def test_a_line_whose_dispute_ended_otherwise_may_be_disputed_afresh(world: World) -> None:
    """Edge case 41: a second case on the same line after a rejection starts without the first one's changes."""
    line = world.place_order()
    world.make_dispute("closed", line=line, outcome="REJECTED_BY_RULING", closed_at=world.now, modifications=3)

    assert dispute(world, opened(world, line)).modifications == 0


# --- reopening ------------------------------------------------------------------------------------------------------


def closed(world: World, **columns: Any) -> str:
    return world.make_dispute(
        "closed", **{"outcome": "REJECTED_BY_RULING", "closed_at": world.now, "claimed_fen": 5_000} | columns
    )


def reopened(world: World, dispute_id: str, *, actor: Actor = BUYER, amount_fen: int | None = None) -> str:
    def story(ctx: Context) -> str:
        return reopen(ctx, dispute_id, amount_fen=amount_fen, currency="CNY", note="收到后又坏了")

    return world.tell(actor, story)


def test_a_successor_begins_anew_and_each_shows_the_other(world: World) -> None:
    """Edge case 50: the successor shows both chains; the closed dispute stays sealed."""
    parent = closed(world)
    sealed = dispute(world, parent).version

    child = reopened(world, parent)

    row = dispute(world, child)
    assert (row.state, row.parent_id, row.claimed_fen) == ("requested", parent, 5_000)
    assert dispute(world, parent).version == sealed
    seen = world.tell(BUYER, lambda ctx: read_case(ctx, require_seen(ctx, parent)))
    assert seen.successor_id == child


def test_a_buyer_reopens_until_the_fifteenth_day_is_over(world: World) -> None:
    """Edge case 50: `received_at < closed + P15D` is in time, one microsecond later is late."""
    parent = closed(world)
    world.pass_time(days=15)

    with pytest.raises(WindowClosed):
        reopened(world, parent)

    world.pass_time(microseconds=-1)
    assert reopened(world, parent)


def test_a_dispute_is_reopened_once(world: World) -> None:
    """Edge case 50: twice is refused and names the successor."""
    parent = closed(world)
    child = reopened(world, parent)

    with pytest.raises(Conflict, match="already_reopened") as caught:
        reopened(world, parent)

    assert caught.value.facts["dispute_id"] == child


def test_a_buyer_does_not_reopen_what_was_reopened_before_but_a_supervisor_may(world: World) -> None:
    """Section 4: once by the buyer, any time by a supervisor, who is marked as acting on behalf (edge case 57)."""
    child = reopened(world, closed(world))
    world.tell(BUYER, lambda ctx: withdraw(ctx, child, note=None))
    world.pass_time(days=100)

    with pytest.raises(Conflict, match="window_closed"):
        reopened(world, child)
    world.pass_time(days=-99)
    with pytest.raises(Conflict, match="reopens_exhausted"):
        reopened(world, child)
    world.pass_time(days=400)
    grandchild = reopened(world, child, actor=SUPERVISOR)

    entry = world.row(tables.TranscriptEntry, dispute_id=grandchild)
    assert b'"on_behalf_of":"buyer"' in entry.body
    assert dispute(world, grandchild).opened_by == "supervisor"


def test_a_dispute_that_runs_is_not_reopened(world: World) -> None:
    """Only what is closed has a successor."""
    with pytest.raises(ArrowMissing):
        reopened(world, world.make_dispute("ruled"))


def test_a_successor_claims_no_more_than_is_left(world: World) -> None:
    """Edge case 36: what the parent paid is not claimed again."""
    line = world.place_order(refunded_fen=10_000)
    parent = closed(world, line=line)

    with pytest.raises(GuardFailed, match="amount_over_refundable"):
        reopened(world, parent, amount_fen=2_901)

    assert dispute(world, reopened(world, parent)).claimed_fen == 2_900


def test_no_successor_beside_another_active_dispute_of_the_line(world: World) -> None:
    """One active dispute per order line, successors included."""
    line = world.place_order()
    parent = closed(world, line=line)
    active = opened(world, line)

    with pytest.raises(Conflict, match="duplicate_active") as caught:
        reopened(world, parent)

    assert caught.value.facts["dispute_id"] == active


# --- over HTTP ------------------------------------------------------------------------------------------------------


def test_the_same_post_twice_is_one_dispute_with_the_same_answer(http: HttpWorld) -> None:
    """Edge case 1: same key, same body → one effect; same key, other body → 422."""
    line = http.place_order()
    body = {
        "order_line_id": line,
        "type": "refund_only",
        "reason": "not_as_described",
        "amount": {"amount": 12_900, "currency": "CNY"},
    }

    first = http.post("buyer", "/disputes", body, key="the-same-key")
    again = http.post("buyer", "/disputes", body, key="the-same-key")
    other = http.post("buyer", "/disputes", body | {"note": "别的"}, key="the-same-key")
    another_key = http.post("buyer", "/disputes", body)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert first.headers["ETag"] == again.headers["ETag"] == '"1"'
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (another_key.status_code, another_key.json()["dispute_id"]) == (409, first.json()["id"])
    assert len(http.rows(tables.Dispute)) == 1


def test_a_dry_run_checks_everything_and_keeps_nothing(http: HttpWorld) -> None:
    """`Prefer: dry-run`: the number that was tried is still free afterwards."""
    body = {
        "order_line_id": http.place_order(),
        "type": "refund_only",
        "reason": "not_as_described",
        "amount": {"amount": 1, "currency": "CNY"},
    }

    tried = http.post("buyer", "/disputes", body, Prefer="dry-run")
    done = http.post("buyer", "/disputes", body)

    assert (tried.status_code, tried.headers["Preference-Applied"]) == (201, "dry-run")
    assert (done.status_code, done.json()["number"]) == (201, "RD-20261123-00001")


IMPOSSIBLE: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({"amount": {"amount": -1, "currency": "CNY"}}, 400, "invalid"),
    ({"amount": {"amount": 0.5, "currency": "CNY"}}, 400, "invalid"),
    ({"amount": {"amount": "12.90", "currency": "CNY"}}, 400, "invalid"),
    ({"amount": {"amount": 0, "currency": "CNY"}}, 422, "amount_not_positive"),
    ({"amount": {"amount": 12_901, "currency": "CNY"}}, 422, "amount_over_refundable"),
    ({"amount": {"amount": 129, "currency": "JPY"}}, 422, "currency_mismatch"),
    ({"type": "exchange"}, 400, "invalid"),
    ({"order_line_id": "somebody-elses"}, 404, "not_found"),
    ({"created_at": "2020-01-01T00:00:00Z"}, 400, "invalid"),
)


def test_a_request_that_cannot_be_is_refused_with_its_code(http: HttpWorld) -> None:
    """Edge cases 16, 35 and 38 over HTTP: half fen, mixed units, another currency, a client's own clock."""
    body = {
        "order_line_id": http.place_order(),
        "type": "refund_only",
        "reason": "not_as_described",
        "amount": {"amount": 12_900, "currency": "CNY"},
    }

    for change, status, code in IMPOSSIBLE:
        answer = http.post("buyer", "/disputes", body | change)

        assert (answer.status_code, answer.json()["code"]) == (status, code), change
    assert http.rows(tables.Dispute) == []


def test_only_buyers_open_disputes(http: HttpWorld) -> None:
    """The matrix of api.md section 3: creating a request is the buyer's alone."""
    body = {
        "order_line_id": http.place_order(),
        "type": "refund_only",
        "reason": "other",
        "amount": {"amount": 1, "currency": "CNY"},
    }

    for user in ("owner", "seat", "agent", "supervisor", "auditor", "rules-editor"):
        assert http.post(user, "/disputes", body).status_code == 403


def test_a_successor_is_opened_over_http(http: HttpWorld) -> None:
    """The answer of `reopen` is the successor, with its own revision."""
    dispute_id = http.open_one()
    http.act("buyer", dispute_id, "withdraw", {"note": "先不退了"})

    answer = http.act("buyer", dispute_id, "reopen", {"note": "还是要退"})

    assert answer.status_code == 201
    assert (answer.json()["parent_id"], answer.json()["state"]) == (dispute_id, "requested")
    parent = http.get("buyer", f"/disputes/{dispute_id}").json()
    assert parent["successor_id"] == answer.json()["id"]
    assert [a["why_not"]["code"] for a in parent["available_actions"]] == ["already_reopened"]


def test_after_a_refusal_the_buyers_change_asks_again(world: World) -> None:
    """Arrow 11: a modification brings a refused request back before the merchant, while T2 runs."""
    dispute_id = opened(world)
    world.tell(OWNER, lambda ctx: seller_refuse(ctx, dispute_id, Refusing("other", "商品没有问题,请您再看看")))
    assert dispute(world, dispute_id).state == "refused"

    world.tell(BUYER, lambda ctx: modify(ctx, dispute_id, Change(amount_fen=6_000, currency="CNY")))

    assert dispute(world, dispute_id).state == "requested"
    assert set(world.armed(dispute_id)) == {"seller_response"}
