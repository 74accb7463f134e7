"""The negotiation over HTTP: each answer is the view with its revision, and nobody acts for another."""

from __future__ import annotations

from typing import Any

from service.store import tables
from tests.negotiating import BLOCKED, POLITE
from tests.over_http import HttpWorld


def test_a_negotiation_over_http_from_request_to_platform(http: HttpWorld) -> None:
    """A refusal, an offer, a better one, a no, and the platform: each answer is the view with its new revision."""
    dispute_id = http.open_one()

    refused = http.act(
        "seat", dispute_id, "seller-refuse", {"reason": "wrong_amount", "message": POLITE}, if_match='"1"'
    )
    offered = http.act(
        "owner",
        dispute_id,
        "seller-offer",
        {"kind": "partial_refund", "amount": {"amount": 2_000, "currency": "CNY"}, "note": "可以退您 20 元"},
        if_match=refused.headers["ETag"],
    )
    better = http.act(
        "owner", dispute_id, "improve-offer", {"kind": "refund", "amount": {"amount": 5_000, "currency": "CNY"}}
    )
    declined = http.act("buyer", dispute_id, "decline-offer", {"note": "要全额"})
    called = http.act("buyer", dispute_id, "request-intervention", {"reason": "no_agreement"})

    told = [(a.status_code, a.json()["state"]) for a in (refused, offered, better, declined, called)]
    assert told == [
        (200, "refused"),
        (200, "offer_pending"),
        (200, "offer_pending"),
        (200, "refused"),
        (200, "intervention_requested"),
    ]
    assert [o["state"] for o in called.json()["offers"]] == ["superseded", "declined"]
    assert called.json()["offers"][0]["note"] == "可以退您 20 元"
    assert called.json()["refusal"] == {"reason": "wrong_amount", "message": POLITE, "proof": []}
    assert called.headers["ETag"] == f'"{called.json()["revision"]}"'


def test_whoever_saw_an_old_page_is_shown_how_things_stand(http: HttpWorld) -> None:
    """Edge cases 2, 4 and 54: 412 for a stale revision, 428 for none, 409 `arrow_missing`, each with the actions."""
    dispute_id = http.open_one()
    http.act("buyer", dispute_id, "withdraw")

    stale = http.act("owner", dispute_id, "seller-agree-refund", if_match='"1"')
    weak = http.act("owner", dispute_id, "seller-agree-refund", if_match='W/"2"')
    gone = http.act("owner", dispute_id, "seller-agree-refund")
    without = http.post("owner", f"/disputes/{dispute_id}/actions/seller-agree-refund", {})

    assert (stale.status_code, stale.json()["code"], stale.json()["revision"]) == (412, "stale_revision", 2)
    assert weak.status_code == 412
    assert (gone.status_code, gone.json()["code"], gone.json()["state"]) == (409, "arrow_missing", "closed")
    assert gone.json()["available_actions"] == []
    assert without.status_code == 428


def test_an_answer_to_a_blocked_text_is_its_outcome(http: HttpWorld) -> None:
    """api.md section 2: `application/json` outcome bodies, never problem+json; the state does not move."""
    dispute_id = http.open_one()

    answer = http.act("seat", dispute_id, "seller-refuse", {"reason": "other", "message": BLOCKED})

    assert answer.status_code in (403, 422)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json()["outcome"] in ("edit", "rejected", "notice")
    assert answer.json()["findings"]
    assert http.get("buyer", f"/disputes/{dispute_id}").json()["state"] == "requested"


OTHERS: dict[str, tuple[str, ...]] = {  # action → users of the demo who may not even try
    "seller-refuse": ("buyer", "agent", "supervisor", "auditor", "rules-editor"),
    "seller-agree-refund": ("buyer", "agent", "supervisor", "auditor", "rules-editor"),
    "seller-agree-return": ("buyer", "agent", "supervisor", "auditor", "rules-editor"),
    "seller-offer": ("buyer", "agent", "supervisor", "auditor", "rules-editor"),
    "improve-offer": ("buyer", "agent", "supervisor", "auditor", "rules-editor"),
    "waive-return": ("buyer", "agent", "supervisor", "auditor", "rules-editor"),
    "accept-offer": ("owner", "seat", "agent", "supervisor", "auditor", "rules-editor"),
    "decline-offer": ("owner", "seat", "agent", "supervisor", "auditor", "rules-editor"),
    "modify": ("owner", "seat", "agent", "supervisor", "auditor", "rules-editor"),
    "withdraw": ("owner", "seat", "agent", "supervisor", "auditor", "rules-editor"),
    "request-intervention": ("agent", "auditor", "rules-editor"),
    "platform-intervene": ("buyer", "owner", "seat", "agent", "supervisor", "auditor", "rules-editor"),
    "reopen": ("owner", "seat", "agent", "auditor", "rules-editor"),
}

BODIES: dict[str, dict[str, Any]] = {
    "seller-refuse": {"reason": "other", "message": POLITE},
    "seller-offer": {"kind": "refund", "amount": {"amount": 1, "currency": "CNY"}},
    "improve-offer": {"kind": "refund", "amount": {"amount": 1, "currency": "CNY"}},
    "platform-intervene": {"risk_rule": "r-1"},
}


def test_the_matrix_of_who_may_do_what_holds_over_http(http: HttpWorld) -> None:
    """api.md section 3: another role is 403; another party's or no dispute is 404 (edge case 55)."""
    dispute_id, absent = http.open_one(), "01890000-0000-7000-8000-00000000dead"

    for action, users in OTHERS.items():
        for user in users:
            assert http.act(user, dispute_id, action, BODIES.get(action)).status_code == 403, (action, user)
        stranger = "owner-2" if "buyer" in users and action != "platform-intervene" else "buyer-2"
        if action == "platform-intervene":
            continue
        for target in (dispute_id, absent):
            user = stranger if target == dispute_id else {"owner-2": "owner", "buyer-2": "buyer"}[stranger]
            answer = http.act(user, target, action, BODIES.get(action))
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (action, user)

    assert http.get("buyer", f"/disputes/{dispute_id}").json()["revision"] == 1


def test_a_dry_run_of_an_action_moves_nothing(http: HttpWorld) -> None:
    """`Prefer: dry-run` on actions: checked and answered, nothing kept."""
    dispute_id = http.open_one()

    tried = http.post(
        "owner", f"/disputes/{dispute_id}/actions/seller-agree-refund", {}, If_Match="*", Prefer="dry-run"
    )

    assert (tried.status_code, tried.json()["state"]) == (200, "executing")
    assert http.get("owner", f"/disputes/{dispute_id}").json()["state"] == "requested"
    assert http.rows(tables.RefundExecution) == []
