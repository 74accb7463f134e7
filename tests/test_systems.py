"""What the marketplace's systems push: orders and parcels, by key and signature, each event once, money never back."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.api.auth import api_key_sha256, api_key_text
from service.domain.canonical import canonical
from service.domain.errors import Refusal
from service.flows.take_orders import LineSnapshot, OrderSnapshot, OrderTaken, Parcel, take_order, take_parcel
from service.store import tables
from service.store.signing import signed_headers
from service.store.writes import Plan
from tests.judge import refused
from tests.one_of_each import EXAMPLES
from tests.over_http import HttpWorld
from tests.world import MARKETPLACE, World, new_world

SECRET = "whsec_" + "c2VjcmV0IG9mIHR3ZW50eS1mb3VyIGJ5dGVzIQ=="
SECOND = timedelta(seconds=1)


def snapshot(world: World, **changes: Any) -> OrderSnapshot:
    line = LineSnapshot("line-1", "棉麻衬衫", 1, 12_900, 12_900)
    return replace(OrderSnapshot("order-1", "shop-1", "buyer-1", world.now, (line,)), **changes)


def push(world: World, order: OrderSnapshot) -> OrderTaken:
    return world.tell(MARKETPLACE, lambda ctx: take_order(ctx, order))


def line_of(world: World, line: str = "line-1") -> tables.OrderLine:
    return world.row(tables.OrderLine, id=line)


def _set(world: World, model: Any, key: str, **columns: object) -> None:
    plan = Plan()
    plan.update(model, key, **columns)
    world.database.run(lambda tx: tx.apply([plan]))


# --- orders ---------------------------------------------------------------------------------------------------------


def test_a_snapshot_adds_what_is_new_and_follows_what_is_known(world: World) -> None:
    """Edge case 41: multi-item orders; lines that a later snapshot leaves out stay."""
    first = snapshot(world)
    push(world, first)
    world.pass_time(minutes=1)
    socks = LineSnapshot("line-2", "袜子", 2, 900, 900, returnable=False, ship_by=world.now + 2 * SECOND)

    taken = push(world, snapshot(world, lines=(socks,), shipping_fen=600))

    assert taken == OrderTaken("order-1", applied=True, lines=1)
    assert line_of(world).title == "棉麻衬衫"
    two = line_of(world, "line-2")
    assert (two.quantity, two.returnable, two.ship_by) == (2, False, world.now + 2 * SECOND)
    assert world.row(tables.Order).shipping_fen == 600


@pytest.mark.parametrize("older_by", [timedelta(0), SECOND])
def test_an_older_snapshot_changes_nothing(world: World, older_by: timedelta) -> None:
    """Snapshots are ranked by the marketplace's own time: the same again, or an older one, is passed over."""
    push(world, snapshot(world))
    late = LineSnapshot("line-1", "旧标题", 9, 1, 1)

    taken = push(world, snapshot(world, updated_at=world.now - older_by, lines=(late,)))

    assert not taken.applied
    assert line_of(world).title == "棉麻衬衫"


def test_a_snapshot_never_takes_back_what_was_refunded(world: World) -> None:
    """The cap never falls below what has been and is being refunded; less paid than that is refused."""
    push(world, snapshot(world))
    _set(world, tables.OrderLine, "line-1", refunded_fen=5_000, pending_fen=2_000)
    world.pass_time(minutes=1)

    push(world, snapshot(world, lines=(LineSnapshot("line-1", "棉麻衬衫", 1, 12_900, 100),)))
    world.pass_time(minutes=1)
    less = snapshot(world, lines=(LineSnapshot("line-1", "棉麻衬衫", 1, 6_999, 0),))
    refused("paid_below_refunded", lambda: push(world, less))

    line = line_of(world)
    assert (line.refundable_fen, line.refunded_fen, line.pending_fen, line.paid_fen) == (7_000, 5_000, 2_000, 12_900)


@given(
    spent=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    told=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), min_size=1, max_size=6),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_told_the_books_hold(
    new_sqlite: Callable[[], str], tmp_path: Path, spent: tuple[int, int], told: list[tuple[int, int]]
) -> None:
    """refunded + pending ≤ refundable ≤ paid after any snapshots, and what was refunded stays."""
    with new_world(new_sqlite(), tmp_path) as world:
        push(world, snapshot(world, lines=(LineSnapshot("line-1", "衬衫", 1, 100, 100),)))
        _set(world, tables.OrderLine, "line-1", refunded_fen=spent[0], pending_fen=spent[1])

        for paid, refundable in told:
            world.pass_time(seconds=1)
            with suppress(Refusal):
                push(world, snapshot(world, lines=(LineSnapshot("line-1", "衬衫", 1, paid, refundable),)))
            line = line_of(world)
            assert (line.refunded_fen, line.pending_fen) == spent
            assert sum(spent) <= line.refundable_fen <= line.paid_fen


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"merchant_id": "shop-9"}, "merchant_unknown"),
        ({"currency": "XAU"}, "currency_unknown"),
        ({"lines": ()}, "order_lines"),
        ({"lines": (LineSnapshot("line-1", "衬衫", 1, 1, 1),) * 2}, "order_lines"),
        ({"lines": (LineSnapshot("line-1", "衬衫", 1, 10, 11),)}, "refundable_over_paid"),
        ({"lines": (LineSnapshot("line-1", "衬衫", 0, 10, 10),)}, "amount_out_of_bounds"),
        ({"lines": (LineSnapshot("line-1", "衬衫", 1, -1, -1),)}, "amount_out_of_bounds"),
        ({"lines": (LineSnapshot("line-1", "衬衫", 1, 10**16, 1),)}, "amount_out_of_bounds"),
        ({"shipping_fen": -1}, "amount_out_of_bounds"),
    ],
)
def test_what_no_order_is(world: World, changes: dict[str, Any], code: str) -> None:
    """Bounds of an order; a refusal leaves nothing."""
    refused(code, lambda: push(world, snapshot(world, **changes)))

    assert world.rows(tables.Order) == []
    assert world.rows(tables.OrderLine) == []


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(minutes=5, microseconds=1)])
def test_a_clock_that_runs_ahead_is_believed_for_five_minutes(world: World, ahead: timedelta) -> None:
    """Client clocks are never used for windows; for ranking they may be a little ahead."""
    order = snapshot(world, updated_at=world.now + ahead)

    if ahead <= timedelta(minutes=5):
        assert push(world, order).applied
    else:
        refused("snapshot_in_the_future", lambda: push(world, order))


def test_whose_an_order_is_never_changes(world: World) -> None:
    """Shop, buyer and currency of an order are fixed, and a line stays in its order."""
    push(world, snapshot(world))
    world.pass_time(minutes=1)

    for change in ({"merchant_id": "shop-2"}, {"buyer_id": "buyer-2"}, {"currency": "USD"}):
        refused("order_parties_fixed", lambda change=change: push(world, snapshot(world, **change)))
    refused("line_of_another_order", lambda: push(world, snapshot(world, id="order-2")))


# --- parcels to the buyer -------------------------------------------------------------------------------------------


def relayed(world: World, dispute: str, action: str, due_in: timedelta = timedelta(hours=5)) -> str:
    """A promise that the buyer has been told of."""
    due_at = world.now + due_in
    words, promise = canonical(action, None, None, due_at), f"promise-{action}"
    row = {
        "id": promise,
        "dispute_id": dispute,
        "state": "relayed",
        "wording": "unconditional",
        "action": action,
        "due_at": due_at,
        "canonical_zh": words.zh,
        "canonical_en": words.en,
        "canonical_sha256": words.sha256_hex,
        "confirmed_canonical": words.sha256_hex,
        "confirmation_hash": b"\x01" * 32,
        "relay_seq": 1,
        "created_at": world.now,
    }
    world.insert((tables.Promise, row))
    return promise


@pytest.mark.parametrize(("purpose", "kept"), [("order", "ship"), ("replacement", "resend")])
def test_a_parcel_keeps_the_promise_to_send_it(world: World, purpose: str, kept: str) -> None:
    """relayed → fulfilled by the carrier's own event; the original parcel keeps no promise to send again."""
    dispute = world.make_dispute(line=world.place_order("line-1"))
    promises = {action: relayed(world, dispute, action) for action in ("ship", "resend")}

    ids = world.tell(MARKETPLACE, lambda ctx: take_parcel(ctx, Parcel("line-1", purpose, world.now)))

    assert ids == [promises[kept]]
    states = {p.action: p.state for p in world.rows(tables.Promise)}
    assert states == {"ship": "relayed", "resend": "relayed"} | {kept: "fulfilled"}
    assert (line_of(world).shipped_at == world.now) is (purpose == "order")


def test_a_parcel_after_the_day_keeps_nothing(world: World) -> None:
    """Kept means by its due date."""
    dispute = world.make_dispute(line=world.place_order("line-1"))
    relayed(world, dispute, "ship", timedelta(0))
    before = world.kinds(dispute)

    ids = world.tell(MARKETPLACE, lambda ctx: take_parcel(ctx, Parcel("line-1", "order", world.now)))

    assert ids == []
    assert world.kinds(dispute) == before
    assert line_of(world).shipped_at == world.now


def test_shipped_while_the_dispute_runs_is_known_from_the_first_scan(world: World) -> None:
    """Edge case 42: shipped while pending; the earliest scan says when, a failed delivery says nothing."""
    world.place_order("line-1")
    world.pass_time(days=1)

    world.tell(MARKETPLACE, lambda ctx: take_parcel(ctx, Parcel("line-1", "order", world.now, on_its_way=False)))
    assert line_of(world).shipped_at is None
    for ago in (timedelta(0), timedelta(hours=3), timedelta(hours=1)):
        at = world.now - ago
        world.tell(MARKETPLACE, lambda ctx, at=at: take_parcel(ctx, Parcel("line-1", "order", at)))

    assert line_of(world).shipped_at == world.now - timedelta(hours=3)
    refused(
        "not_found",
        lambda: world.tell(MARKETPLACE, lambda ctx: take_parcel(ctx, Parcel("line-9", "order", world.now))),
    )


# --- the edge -------------------------------------------------------------------------------------------------------


def system_key(http: HttpWorld, *scopes: str) -> str:
    text = api_key_text("local", f"market{next(http.numbers):04d}", bytes(range(32)))
    row = {
        "id": text.split("_")[2],
        "sha256": api_key_sha256(text).hex(),
        "scopes": " ".join(scopes),
        "created_at": http.now,
    }
    http.insert((tables.ApiKey, row))
    return text


def order_body(http: HttpWorld, **changes: Any) -> dict[str, Any]:
    money = {"amount": 12_900, "currency": "CNY"}
    line = {"id": "line-1", "title": "棉麻衬衫", "quantity": 1, "paid": money, "refundable": money}
    return {
        "id": "order-1",
        "merchant_id": "demo-shop-1",
        "buyer_id": "demo-buyer-1",
        "updated_at": http.now.isoformat(),
        "lines": [line],
    } | changes


def send(http: HttpWorld, key: str, path: str, body: Any, *, event: str = "event-0001", **headers: str) -> Response:
    own = {"Authorization": f"Bearer {key}", "Idempotency-Key": event, "Content-Type": "application/json"}
    return http.client.post(f"/v1{path}", content=json.dumps(body), headers=own | headers)


def test_an_event_is_answered_the_same_and_taken_once(http: HttpWorld) -> None:
    """Edge case 1: the system's own event id is its Idempotency-Key; the same id with another body is 422."""
    key = system_key(http, "orders")
    body = order_body(http)

    first = send(http, key, "/orders", body)
    again = send(http, key, "/orders", body)
    other = send(http, key, "/orders", order_body(http, buyer_id="demo-buyer-2"))

    assert (first.status_code, first.json()) == (200, {"order_id": "order-1", "applied": True, "lines": 1})
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_a_key_reaches_as_far_as_its_scopes(http: HttpWorld) -> None:
    """api.md: API keys with scopes; nobody else pushes orders."""
    key = system_key(http, "logistics")

    lacking = send(http, key, "/orders", order_body(http))
    person = http.post("owner", "/orders", order_body(http))
    forged = send(http, key[:-1] + ("A" if key[-1] != "A" else "B"), "/orders", order_body(http))

    assert (lacking.status_code, lacking.json()["code"]) == (403, "scope_missing")
    assert person.status_code == 403
    assert forged.status_code == 401


def test_where_a_secret_is_set_what_is_pushed_is_signed(http: HttpWorld) -> None:
    """Standard Webhooks: the signature is of these bytes, the id is the event's, the instant is near."""
    http.app.state.systems_secrets = (SECRET,)
    key, body = system_key(http, "orders"), order_body(http)

    def signed(event: str, text: str) -> dict[str, str]:
        return signed_headers(secret=SECRET, message_id=event, at=http.now, body=text)

    bare = send(http, key, "/orders", body)
    tampered = send(http, key, "/orders", body, **signed("event-0001", json.dumps(body | {"id": "order-2"})))
    mismatch = send(http, key, "/orders", body, event="event-0002", **signed("event-0001", json.dumps(body)))
    good = send(http, key, "/orders", body, **signed("event-0001", json.dumps(body)))

    assert [r.status_code for r in (bare, tampered, mismatch, good)] == [401, 401, 400, 200]
    assert mismatch.json()["code"] == "event_id_mismatch"
    assert len(http.rows(tables.Order, id="order-1")) == 1


# --- staff ----------------------------------------------------------------------------------------------------------

STAFF = {"id": "demo-agent-1", "buyer_id": "demo-buyer-1", "active": True}


def test_the_marketplace_says_which_account_an_agent_shops_with(http: HttpWorld) -> None:
    """Edge case 28: agent with a conflict of interest excluded; the demo's marketplace may say so."""
    dispute = http.open_one()
    assert http.act("owner", dispute, "seller-refuse", EXAMPLES["refuseRequest"]).status_code == 200
    assert http.act("buyer", dispute, "request-intervention", EXAMPLES["requestIntervention"]).status_code == 200

    told = http.post("marketplace", "/staff-accounts", STAFF)
    own_purchase = http.act("agent", dispute, "accept-dispute")
    left = http.post("marketplace", "/staff-accounts", {"id": "demo-agent-1"})
    accepted = http.act("agent", dispute, "accept-dispute")

    assert (told.status_code, told.json()) == (200, STAFF)
    assert own_purchase.json()["code"] == "conflict_of_interest"
    assert left.json() == {"id": "demo-agent-1", "buyer_id": None, "active": True}
    assert accepted.status_code == 200


def test_the_same_word_about_staff_twice_is_one(http: HttpWorld) -> None:
    """Edge case 1: the same event id is answered the same, with another body it is refused; trying keeps nothing."""
    tried = http.post("marketplace", "/staff-accounts", STAFF, Prefer="dry-run")
    nothing = http.rows(tables.StaffAccount)
    first = http.post("marketplace", "/staff-accounts", STAFF, key="event-0001")
    http.pass_time(seconds=5)
    again = http.post("marketplace", "/staff-accounts", STAFF, key="event-0001")
    other = http.post("marketplace", "/staff-accounts", STAFF | {"active": False}, key="event-0001")

    assert (tried.status_code, tried.headers["Preference-Applied"], nothing) == (200, "dry-run", [])
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    row = http.row(tables.StaffAccount)
    assert (row.buyer_id, row.active, row.updated_at) == ("demo-buyer-1", True, http.now - 5 * SECOND)


@pytest.mark.parametrize("user", ["buyer", "owner", "seat", "agent", "supervisor", "auditor", "rules-editor"])
def test_no_person_says_who_works_here(http: HttpWorld, user: str) -> None:
    """api.md section 3: the marketplace's systems push; everybody else is 403."""
    answer = http.post(user, "/staff-accounts", STAFF)

    assert (answer.status_code, answer.json()["code"]) == (403, "role_not_allowed")
    assert http.rows(tables.StaffAccount) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": ""},
        {"id": "x" * 65},
        {"id": "two words"},
        {"id": None},
        {"id": "agent-1", "buyer_id": ""},
        {"id": "agent-1", "active": "yes"},
        {"id": "agent-1", "role": "supervisor"},
    ],
)
def test_a_word_about_staff_that_is_not_as_documented_is_refused(http: HttpWorld, body: dict[str, Any]) -> None:
    """400 with the place of the mistake, and nothing is kept."""
    answer = http.post("marketplace", "/staff-accounts", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert answer.json()["errors"]
    assert http.rows(tables.StaffAccount) == []


def test_a_word_about_staff_is_within_the_keys_scopes_and_signed_where_a_secret_is_set(http: HttpWorld) -> None:
    """What systems push is signed (docs/operations.md, SYSTEMS_SECRET)."""
    lacking = send(http, system_key(http, "orders"), "/staff-accounts", STAFF)
    http.app.state.systems_secrets = (SECRET,)
    bare = http.post("marketplace", "/staff-accounts", STAFF, key="event-0001")
    signature = signed_headers(secret=SECRET, message_id="event-0002", at=http.now, body=json.dumps(STAFF))
    good = send(http, system_key(http, "staff"), "/staff-accounts", STAFF, event="event-0002", **signature)

    assert (lacking.status_code, lacking.json()["code"]) == (403, "scope_missing")
    assert (bare.status_code, good.status_code) == (401, 200)


def test_amounts_of_one_order_are_of_one_currency(http: HttpWorld) -> None:
    """Edge case 38: mixed currencies rejected; 12.5 fen is no amount."""
    key = system_key(http, "orders")
    mixed, broken = order_body(http), order_body(http)
    mixed["lines"][0]["refundable"] = {"amount": 1, "currency": "JPY"}
    broken["lines"][0]["paid"] = {"amount": 12.5, "currency": "CNY"}

    answers = [send(http, key, "/orders", body, event=f"event-{n:04d}") for n, body in enumerate((mixed, broken))]

    assert [(a.status_code, a.json()["code"]) for a in answers] == [(422, "currency_mismatch"), (400, "invalid")]


def test_a_scan_of_a_parcel_that_nobody_registered_is_sent_again_later(http: HttpWorld) -> None:
    """404, and the event is not used up: once the buyer has registered the parcel, the same event is taken."""
    key = system_key(http, "logistics")
    event = {
        "parcel": "return",
        "state": "signed",
        "at": http.now.isoformat(),
        "carrier": "sf",
        "tracking_no": "SF1234567890",
    }
    early = send(http, key, "/logistics-events", event)
    dispute = http.make_dispute("awaiting_return", line=http.place_order(), type="return_refund")
    shipped = http.act("buyer", dispute, "ship-return", {"carrier": "sf", "tracking_no": "SF1234567890"})

    taken = send(http, key, "/logistics-events", event)

    assert (early.status_code, shipped.status_code) == (404, 200)
    assert shipped.json()["state"] == "return_in_transit"
    assert taken.json() == {"applied": True, "dispute_id": dispute, "state": "signed", "kept_promises": []}
    seen = http.get("owner", f"/disputes/{dispute}/return").json()
    assert (seen["goods_held_by_merchant"], seen["shipments"][0]["state"]) == (True, "signed")


@pytest.mark.parametrize("parcel", ["return", "order"])
def test_an_event_names_its_parcel(http: HttpWorld, parcel: str) -> None:
    """A return parcel by carrier and number, one to the buyer by order line."""
    key = system_key(http, "logistics")

    answer = send(http, key, "/logistics-events", {"parcel": parcel, "state": "signed", "at": http.now.isoformat()})

    assert (answer.status_code, answer.json()["code"]) == (422, "event_incomplete")


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1999-12-31T23:59:59Z"])
def test_an_instant_that_no_calendar_shows_is_malformed(http: HttpWorld, at: str) -> None:
    """Malformed input is 400, never 500."""
    key = system_key(http, "logistics")
    event = {"parcel": "order", "state": "signed", "at": at, "order_line_id": "line-1"}

    answer = send(http, key, "/logistics-events", event)

    assert (answer.status_code, answer.json()["code"]) == (422, "instant_out_of_range")
