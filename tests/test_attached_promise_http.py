"""A promise stated with the message, over HTTP: one call to confirm it, one more to tell the buyer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.store import tables
from tests.one_of_each import EXAMPLES
from tests.over_http import SHOP, HttpWorld, done, new_http_world

DUE = "2026-11-23T18:00:00+08:00"
SHIP = {"action": "ship", "due_at": DUE}


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[HttpWorld]:
    with new_http_world(database, tmp_path) as world:
        yield world


@pytest.fixture
def asked(world: HttpWorld) -> tuple[str, str]:
    """A dispute at the platform with an inquiry that waits: (dispute, inquiry)."""
    dispute = world.open_one()
    done(world.act("owner", dispute, "seller-refuse", EXAMPLES["refuseRequest"]), 200)
    done(world.act("buyer", dispute, "request-intervention", EXAMPLES["requestIntervention"]), 200)
    done(world.act("agent", dispute, "accept-dispute"), 200)
    question = {"client_message_id": "q-1", "text": "请问今天是否可以发货?"}
    return dispute, done(world.post("agent", f"/disputes/{dispute}/inquiries", question), 201)["id"]


def send(world: HttpWorld, inquiry: str, text: str, *stated: Any, user: str = "owner", **headers: str) -> Any:
    body = {"client_message_id": f"m-{next(world.numbers)}", "text": text, "promises": list(stated)}
    return world.post(user, f"/inquiries/{inquiry}/messages", body, **headers)


def test_a_dry_run_shows_the_text_and_the_next_call_confirms_exactly_it(
    world: HttpWorld, asked: tuple[str, str]
) -> None:
    """The act is on the canonical text: seen, named by its hash, confirmed with the message, relayed."""
    dispute, inquiry = asked

    tried = send(world, inquiry, "好的", SHIP, Prefer="dry-run").json()["promises"][0]
    sent = send(world, inquiry, "好的", SHIP | {"canonical_sha256": tried["canonical_sha256"]})

    (shown,) = sent.json()["promises"]
    assert (sent.status_code, sent.json()["contradictions"]) == (201, [])
    assert (shown["state"], shown["canonical"]) == ("confirmed", tried["canonical"])
    assert shown["canonical"]["zh"] == "商家承诺:2026年11月23日18:00:00(北京时间)前发货。"
    relay = {"client_message_id": "r-1", "promise_ids": [shown["id"]]}
    done(world.post("agent", f"/disputes/{dispute}/relays", relay), 201)
    told = world.get("buyer", f"/disputes/{dispute}/promises").json()["items"]
    assert [(p["id"], p["state"]) for p in told] == [(shown["id"], "relayed")]


def test_words_that_say_otherwise_are_delivered_and_name_what_differs(world: HttpWorld, asked: tuple[str, str]) -> None:
    """201 sent, nothing confirmed; relaying what was read is refused as ever."""
    dispute, inquiry = asked

    answer = send(world, inquiry, "明天发货", SHIP)

    (told,) = answer.json()["contradictions"]
    assert (answer.status_code, told["action"], told["differs"]) == (201, "ship", "due_at")
    assert [p["state"] for p in answer.json()["promises"]] == ["extracted"]
    relay = {"client_message_id": "r-1", "promise_ids": [told["promise_id"]]}
    refused = world.post("agent", f"/disputes/{dispute}/relays", relay)
    assert (refused.status_code, refused.json()["code"]) == (409, "promise_not_confirmed")


def test_the_same_key_again_gives_the_same_answer_and_confirms_nothing_more(
    world: HttpWorld, asked: tuple[str, str]
) -> None:
    """Edge case 1: same key, same body, one effect; another promise under that key is 422."""
    dispute, inquiry = asked
    path, body = f"/inquiries/{inquiry}/messages", {"client_message_id": "m-1", "text": "好的", "promises": [SHIP]}

    first = world.post("owner", path, body, key="the-same-key")
    again = world.post("owner", path, body, key="the-same-key")
    other = world.post("owner", path, body | {"promises": []}, key="the-same-key")

    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert world.kinds(dispute).count("promise.confirmed") == 1


@pytest.mark.parametrize(
    ("stated", "status", "code"),
    [
        ([{"action": "ship"}], 400, "invalid"),
        ([SHIP | {"action": "none"}], 400, "invalid"),
        ([SHIP | {"due_at": "2026-11-23T18:00:00"}], 400, "invalid"),
        ([SHIP | {"due_at": "9999-12-31T23:59:59-14:00"}], 422, "instant_out_of_range"),
        ([SHIP | {"due_at": "0001-01-01T00:00:00+14:00"}], 422, "instant_out_of_range"),
        ([SHIP | {"confirmed": True}], 400, "invalid"),
        ([SHIP] * 21, 400, "invalid"),
        ([SHIP, SHIP], 422, "confirmations"),
        ([SHIP | {"amount": {"amount": 500}}], 422, "amount_not_of_promise"),
        ([{"action": "refund", "due_at": DUE, "amount": {"amount": 12_901}}], 422, "amount_over_refundable"),
        ([SHIP | {"canonical_sha256": "0" * 64}], 422, "hash_mismatch"),
        ([SHIP | {"due_at": "2026-11-23T10:00:00+08:00"}], 422, "promise_already_due"),
    ],
)
def test_what_may_not_be_stated_is_refused_before_anything_is_sent(
    world: HttpWorld, asked: tuple[str, str], stated: list[Any], status: int, code: str
) -> None:
    """Nothing is half done: neither the words nor the promise."""
    dispute, inquiry = asked
    before = world.kinds(dispute)

    answer = send(world, inquiry, "好的", *stated)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert world.kinds(dispute) == before


def test_a_seat_without_the_right_to_commit_is_told_so(world: HttpWorld, asked: tuple[str, str]) -> None:
    """403 with a stable code, and the words alone still go out."""
    _, inquiry = asked
    seat = next(s for s in world.rows(tables.Seat, merchant_id=SHOP) if not s.is_owner)
    world.database.run(
        lambda tx: tx.execute(
            "UPDATE seat SET may_im = ?, designated = ?, may_commit = ? WHERE id = ?", (True, True, False, seat.id)
        )
    )

    refused = send(world, inquiry, "好的", SHIP, user="seat")
    alone = send(world, inquiry, "好的", user="seat")

    assert (refused.status_code, refused.json()["code"]) == (403, "commit_not_permitted")
    assert (alone.status_code, alone.json()["promises"][0]["state"]) == (201, "extracted")


def test_a_tickets_answer_states_promises_over_http_and_what_it_goes_against_is_shown(
    world: HttpWorld, asked: tuple[str, str]
) -> None:
    """D15 and one call: flagged on the card and in the agent's view, never in the buyer's."""
    dispute, _ = asked
    line = world.row(tables.Dispute, id=dispute).order_line_id
    world.database.run(lambda tx: tx.execute("UPDATE order_line SET custom_made = ? WHERE id = ?", (True, line)))
    wanted = {"dispute_id": dispute, "category": "product", "question": "请问如何解决?"}
    ticket = done(world.post("agent", "/service-tickets", wanted), 201)["id"]
    body = {"client_message_id": "t-1", "text": "好的", "promises": [{"action": "exchange", "due_at": DUE}]}

    answer = done(world.post("owner", f"/service-tickets/{ticket}/respond", body), 201)

    (shown,) = answer["promises"]
    assert (shown["state"], shown["contradicts"]) == ("confirmed", "custom_made")
    (seen,) = world.get("agent", f"/disputes/{dispute}").json()["promises"]
    assert (seen["id"], seen["contradicts"]) == (shown["id"], "custom_made")
    relay = {"client_message_id": "r-1", "promise_ids": [shown["id"]]}
    assert world.post("agent", f"/disputes/{dispute}/relays", relay).json()["code"] == "contradicts_order"
    done(world.post("supervisor", f"/disputes/{dispute}/relays", relay | {"override_reason": "同款现货"}), 201)
    (known,) = world.get("buyer", f"/disputes/{dispute}").json()["promises"]
    assert (known["state"], known["contradicts"]) == ("relayed", None)
