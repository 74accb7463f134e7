"""A dispute is opened over HTTP: once for a key, for trying only, and refused with its code."""

from __future__ import annotations

from typing import Any

from service.store import tables
from tests.over_http import HttpWorld


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
