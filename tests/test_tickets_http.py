"""A ticket over HTTP, from issue to acceptance, and who may not even look."""

from __future__ import annotations

from typing import Any

import pytest

from tests.over_http import HttpWorld
from tests.ticketing import GOOD, HELD, QUESTION


def test_a_ticket_from_issue_to_acceptance_over_http(http: HttpWorld) -> None:
    """api.md: `/service-tickets` with acknowledge, respond, reject, extend, accept; outcomes of one shape."""
    dispute = http.make_dispute(line=http.place_order(), assignee_id="demo-agent-1")
    issued = http.post(
        "agent", "/service-tickets", {"dispute_id": dispute, "category": "product", "question": QUESTION}
    )
    path = f"/service-tickets/{issued.json()['id']}"

    dry = http.post("agent", f"{path}/extend", {"extension": "PT2H"}, Prefer="dry-run")
    steps = [
        http.post("owner", f"{path}/acknowledge", {}),
        http.post("agent", f"{path}/extend", {"extension": "PT2H"}),
        http.post("owner", f"{path}/respond", {"client_message_id": "t-1", "text": HELD}),
        http.post("owner", f"{path}/respond", {"client_message_id": "t-2", "text": GOOD}),
        http.post("agent", f"{path}/reject", {"reason": "请说明具体时间"}),
        http.post("owner", f"{path}/respond", {"client_message_id": "t-3", "text": GOOD}),
        http.post("agent", f"{path}/accept", {}),
    ]
    again = http.post("agent", f"{path}/accept", {})

    assert issued.status_code == 201
    assert dry.headers["Preference-Applied"] == "dry-run"
    assert [s.status_code for s in steps] == [200, 200, 202, 201, 200, 201, 200]
    assert (steps[2].json()["outcome"], bool(steps[2].json()["confirm_token"])) == ("confirm", True)
    assert [p["action"] for p in steps[3].json()["promises"]] == ["ship"]
    assert (steps[-1].json()["state"], steps[-1].json()["answer"]) == ("resolved", GOOD)
    assert (again.status_code, again.json()["code"]) == (409, "arrow_missing")
    listed = http.get("owner", "/service-tickets", state="resolved", limit=1)
    assert [t["id"] for t in listed.json()["items"]] == [issued.json()["id"]]
    assert 'rel="first"' in listed.headers["Link"]


@pytest.mark.parametrize(
    ("user", "method", "status"), [("buyer", "get", 403), ("owner-2", "get", 404), ("owner-2", "post", 404)]
)
def test_a_ticket_is_not_everybodys(http: HttpWorld, user: str, method: str, status: int) -> None:
    """Edge case 55: another shop's ticket is 404 on every route; a buyer has no tickets."""
    dispute = http.make_dispute(line=http.place_order(), assignee_id="demo-agent-1")
    wanted = {"dispute_id": dispute, "category": "product", "question": QUESTION}
    path = f"/service-tickets/{http.post('agent', '/service-tickets', wanted).json()['id']}"

    answer = http.get(user, path) if method == "get" else http.post(user, f"{path}/acknowledge", {})

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"category": "gossip"}, 400),
        ({"agreed": "two hours"}, 400),
        ({"category": "agreed", "agreed": "PT"}, 422),
        ({"category": "agreed", "agreed": "PT1H"}, 422),
        ({"dispute_id": "01a00000-0000-7000-8000-000000000000"}, 404),
    ],
)
def test_a_ticket_that_cannot_be_read_or_may_not_be(http: HttpWorld, change: dict[str, Any], status: int) -> None:
    """Malformed 400, against the rules 422, somebody else's 404; never 500."""
    dispute = http.make_dispute(line=http.place_order(), assignee_id="demo-agent-1")
    wanted = {"dispute_id": dispute, "category": "product", "question": QUESTION}

    answer = http.post("agent", "/service-tickets", wanted | change)

    assert answer.status_code == status, answer.text
