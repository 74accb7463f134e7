"""Evidence, ruling, approval, appeal and payment over HTTP: the whole second half of a dispute, and its edges."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from httpx import Response

from service.store import tables
from service.store.engine import Transaction
from service.store.payments import GatewayStatus, Outcome, SimulatedGateway
from service.store.signing import signed_headers
from tests.conftest import NewDatabase
from tests.over_http import HttpWorld, new_http_world
from tests.test_shared_copy import SECRET, exif, jpeg, segment

SECRET_KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
SAID = "收到的衣服袖子上有一个破洞"


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HttpWorld]:
    """On SQLite; what is marked `both_databases` on PostgreSQL too. What stories write is proved on both elsewhere."""
    url = getattr(request, "param", None)
    new: NewDatabase = request.getfixturevalue(f"new_{url or 'sqlite'}")
    with new_http_world(new(), tmp_path) as made:
        yield made


both_databases = pytest.mark.parametrize(
    "world", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


def at_work(world: HttpWorld, *, paid_fen: int = 12_900) -> str:
    """From the request to the platform's desk."""
    line = world.place_order(paid_fen=paid_fen)
    dispute_id = world.open_one(order_line_id=line, amount={"amount": paid_fen, "currency": "CNY"})
    refusal = {"reason": "other", "message": "商品寄出前已检查,没有问题"}
    good(world.act("owner", dispute_id, "seller-refuse", refusal))
    sent = world.post(
        "buyer", f"/disputes/{dispute_id}/messages", {"client_message_id": "b-1", "kind": "text", "text": SAID}
    )
    assert sent.status_code == 201, sent.text
    good(world.act("buyer", dispute_id, "request-intervention", {"reason": "quality_problem"}))
    good(world.act("agent", dispute_id, "accept-dispute"))
    return dispute_id


def good(answer: Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def cite(world: HttpWorld, dispute_id: str) -> dict[str, Any]:
    message = next(m for m in world.rows(tables.Message, dispute_id=dispute_id) if m.sender_side == "buyer")
    return {"message_id": message.id, "start": 0, "end": 4, "text": SAID[:4]}


def ruling(world: HttpWorld, dispute_id: str, kind: str = "refund_full", amount: int = 12_900) -> dict[str, Any]:
    return {
        "kind": kind,
        "amount": {"amount": amount, "currency": "CNY"},
        "liability": "MERCHANT",
        "basis": "QUALITY_PROBLEM",
        "reasons": "买家提供的照片显示商品有破损,商家没有说明原因。",
        "cites": [cite(world, dispute_id)],
    }


def upload(
    world: HttpWorld, user: str, dispute_id: str, content: bytes, purpose: str = "evidence", **headers: str
) -> Response:
    own = {"Content-Type": "application/octet-stream"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return world.client.post(
        f"/v1/disputes/{dispute_id}/files",
        params={"purpose": purpose},
        content=content,
        headers=world.as_(user) | own,
    )


def pay(world: HttpWorld) -> None:
    while world.app.state.parts.ticker._pay():
        pass


def sweep(world: HttpWorld) -> None:
    while world.app.state.parts.ticker.sweep_once():
        pass


def gateway(world: HttpWorld) -> SimulatedGateway:
    found = world.app.state.gateway
    assert isinstance(found, SimulatedGateway)
    return found


# --- the story ------------------------------------------------------------------------------------------------------


@both_databases
def test_from_evidence_to_money_over_http(world: HttpWorld) -> None:
    """Upload, put forward, submit, rule, accept, pay: each answer is the dispute as its viewer may see it."""
    dispute_id = at_work(world)
    kept = good(upload(world, "buyer", dispute_id, jpeg(segment(0xE1, exif(6)))), 201)
    item = good(
        world.post(
            "buyer",
            f"/disputes/{dispute_id}/evidence",
            {"sha256": kept["sha256"], "file_name": "破洞.jpg", "note": "袖口处"},
        ),
        201,
    )
    requests = good(world.get("buyer", f"/disputes/{dispute_id}/evidence-requests"))["items"]
    mine = next(r for r in requests if r["party"] == "buyer")
    good(world.post("buyer", f"/evidence-requests/{mine['id']}/submit", {"note": "请看照片"}))
    unseen = good(world.get("owner", f"/disputes/{dispute_id}/evidence"))["items"]
    theirs = next(r for r in requests if r["party"] == "merchant")
    good(world.post("owner", f"/evidence-requests/{theirs['id']}/waive"))
    seen = good(world.get("owner", f"/disputes/{dispute_id}/evidence"))["items"]
    body = ruling(world, dispute_id) | {"cites": [cite(world, dispute_id), {"evidence_id": item["id"]}]}
    ruled = good(world.act("agent", dispute_id, "issue-ruling", body))
    shown = good(world.get("buyer", f"/disputes/{dispute_id}/rulings"))["items"][0]
    good(world.act("owner", dispute_id, "accept-ruling"))
    pay(world)
    closed = good(world.get("buyer", f"/disputes/{dispute_id}"))
    refunds = good(world.get("buyer", f"/disputes/{dispute_id}/refunds"))["items"]

    assert (kept["media_type"], item["file_name"], item["note"]) == ("image/jpeg", "破洞.jpg", "袖口处")
    assert unseen == []
    assert [i["sha256"] for i in seen] == [kept["sha256"], None]
    assert ruled["state"] == "ruled"
    assert [c["text"] for c in shown["cites"]] == [SAID[:4], None]
    assert shown["cites"][1]["evidence_id"] == item["id"]
    assert shown["author_id"] is None
    assert (closed["state"], closed["outcome"], closed["benefited"]) == ("closed", "REFUNDED_BY_RULING", ["buyer"])
    assert [(r["state"], r["amount"]["amount"], r["fund"]) for r in refunds] == [("succeeded", 12_900, "MERCHANT")]
    assert len(gateway(world).payments()) == 1


def test_the_other_side_downloads_the_picture_without_where_it_was_taken(world: HttpWorld) -> None:
    """Edge case 46: sealed to its own side and auditors, shared to the others, unseen before the own window ends."""
    dispute_id = at_work(world)
    whole = jpeg(segment(0xE1, exif(6)))
    sha256 = good(upload(world, "buyer", dispute_id, whole), 201)["sha256"]
    item = good(world.post("buyer", f"/disputes/{dispute_id}/evidence", {"sha256": sha256}), 201)["id"]
    path = f"/disputes/{dispute_id}/evidence/{item}/content"
    requests = good(world.get("buyer", f"/disputes/{dispute_id}/evidence-requests"))["items"]
    before = world.get("owner", path).status_code
    for request in requests:
        user = "buyer" if request["party"] == "buyer" else "owner"
        good(world.post(user, f"/evidence-requests/{request['id']}/submit", {"note": "请看"}))

    got = {user: world.get(user, path) for user in ("buyer", "owner", "agent", "auditor", "buyer-2")}

    assert before == 404
    assert got["buyer-2"].status_code == 404
    assert got["buyer"].content == got["auditor"].content == whole
    assert SECRET not in got["owner"].content + got["agent"].content
    assert got["owner"].headers["content-type"] == "image/jpeg"
    assert got["owner"].headers["content-disposition"].startswith("attachment;")


def test_two_agents_with_the_same_page_one_case(world: HttpWorld) -> None:
    """Edge case 3: one 200, one 412; no second assignee."""
    dispute_id = world.make_dispute("intervention_requested", line=world.place_order())
    tag = world.get("agent", f"/disputes/{dispute_id}").headers["etag"]

    first = world.act("agent", dispute_id, "accept-dispute", if_match=tag)
    second = world.act("agent-2", dispute_id, "accept-dispute", if_match=tag)

    assert (first.status_code, second.status_code) == (200, 412)
    assert second.json()["state"] == "intervening"
    assert len(world.rows(tables.Outbox, type="dispute.assigned")) == 1


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_file_has_one_byte_to_ten_megabytes(world: HttpWorld) -> None:
    """Edge case 46: 10 MB ± 1 B, and 0 B."""
    dispute_id, ten_megabytes = at_work(world), 10 * 1024 * 1024
    sizes = (0, 1, ten_megabytes, ten_megabytes + 1)

    answers = [upload(world, "buyer", dispute_id, b"a" * size).status_code for size in sizes]

    assert answers == [400, 201, 201, 413]
    assert {u.size_bytes for u in world.rows(tables.Upload, dispute_id=dispute_id)} == {1, ten_megabytes}


def test_the_type_is_read_from_the_bytes(world: HttpWorld) -> None:
    """Edge case 46: a wrong declaration and a file of two kinds are refused, and nothing is kept."""
    dispute_id = at_work(world)

    wrong = upload(world, "buyer", dispute_id, jpeg(), Content_Type="image/png")
    polyglot = upload(world, "buyer", dispute_id, jpeg(after=b"%PDF-1.4\n<html><script>alert(1)</script>"))
    unread = upload(world, "buyer", dispute_id, b"{}", Content_Type="application/json")

    assert (wrong.status_code, wrong.json()["code"]) == (400, "media_type_mismatch")
    assert (polyglot.status_code, polyglot.json()["code"]) == (400, "media_type_refused")
    assert unread.status_code == 415
    assert world.rows(tables.Upload, dispute_id=dispute_id) == []


def test_an_upload_after_the_freeze_is_refused(world: HttpWorld) -> None:
    """Edge case 9: 409; the same bytes for an appeal are taken."""
    dispute_id = at_work(world)
    good(world.act("agent", dispute_id, "issue-ruling", ruling(world, dispute_id)))

    late = upload(world, "owner", dispute_id, jpeg())
    appeal = upload(world, "owner", dispute_id, jpeg(), "appeal")

    assert (late.status_code, late.json()["code"]) == (409, "evidence_frozen")
    assert appeal.status_code == 201


def test_the_same_upload_again_is_the_same_file(world: HttpWorld) -> None:
    """Same key, same bytes: replayed; same key, other bytes: 422; another key, same bytes: one row."""
    dispute_id = at_work(world)
    key = "upload-0001"

    first = upload(world, "buyer", dispute_id, jpeg(), Idempotency_Key=key)
    again = upload(world, "buyer", dispute_id, jpeg(), Idempotency_Key=key)
    other = upload(world, "buyer", dispute_id, jpeg(after=b"x"), Idempotency_Key=key)
    fresh = upload(world, "buyer", dispute_id, jpeg())

    assert (first.status_code, again.status_code, other.status_code, fresh.status_code) == (201, 201, 422, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(world.rows(tables.Upload, dispute_id=dispute_id)) == 1


# --- rulings and approvals ------------------------------------------------------------------------------------------


def test_a_promise_in_the_reasons_is_named_and_refused(world: HttpWorld) -> None:
    """Promise 2: what the platform says to a buyer holds no unconfirmed promise."""
    dispute_id = at_work(world)
    body = ruling(world, dispute_id) | {"reasons": "商家今天会发货,请放心。"}

    answer = world.act("agent", dispute_id, "issue-ruling", body)

    assert (answer.status_code, answer.json()["code"]) == (422, "uncleared_promise")
    assert answer.json()["words"]


UNSAYABLE: list[tuple[dict[str, Any], int]] = [
    ({"amount": {"amount": 0.5, "currency": "CNY"}}, 400),
    ({"amount": {"amount": -1, "currency": "CNY"}}, 400),
    ({"cites": [{"message_id": "00000000-0000-7000-8000-000000000000"}]}, 422),
    ({"cites": [{}]}, 422),
    ({"kind": "all_of_it"}, 400),
    ({"awarded_by": "me"}, 400),
]


def test_what_a_ruling_cannot_even_say(world: HttpWorld) -> None:
    """Edge case 35: half a fen, less than nothing, half a citation."""
    dispute_id = at_work(world)

    for broken, status in UNSAYABLE:
        answer = world.act("agent", dispute_id, "issue-ruling", ruling(world, dispute_id) | broken)
        assert answer.status_code == status, answer.text

    assert good(world.get("agent", f"/disputes/{dispute_id}"))["state"] == "intervening"


@both_databases
def test_above_the_limit_202_and_another_supervisor_lets_it_happen(world: HttpWorld) -> None:
    """An action that needs a second person answers 202 with the approval; 422 `same_person`."""
    dispute_id = at_work(world, paid_fen=60_000)

    proposed = good(world.act("supervisor", dispute_id, "issue-ruling", ruling(world, dispute_id, amount=60_000)), 202)
    path, sha = f"/approvals/{proposed['id']}", {"payload_sha256": proposed["payload_sha256"]}
    own = world.post("supervisor", f"{path}/approve", sha)
    listed = good(world.get("supervisor-2", "/approvals", state="proposed"))["items"]
    hidden = world.get("agent", path).status_code
    approved = good(world.post("supervisor-2", f"{path}/approve", sha))
    twice = world.post("supervisor-2", f"{path}/approve", sha)

    assert (proposed["state"], proposed["payload"]["amount_fen"]) == ("proposed", 60_000)
    assert (own.status_code, own.json()["code"]) == (422, "same_person")
    assert [a["id"] for a in listed] == [proposed["id"]]
    assert hidden == 404
    assert (approved["state"], approved["approver_id"]) == ("approved", "demo-supervisor-2")
    assert (twice.status_code, twice.json()["code"]) == (409, "arrow_missing")
    assert good(world.get("buyer", f"/disputes/{dispute_id}"))["state"] == "ruled"


def test_a_dry_run_of_a_ruling_keeps_nothing(world: HttpWorld) -> None:
    """`Prefer: dry-run`: everything is checked and answered."""
    dispute_id = at_work(world)
    headers = world.as_("agent", If_Match="*", Prefer="dry-run")

    answer = world.client.post(
        f"/v1/disputes/{dispute_id}/actions/issue-ruling", json=ruling(world, dispute_id), headers=headers
    )

    assert good(answer)["state"] == "ruled"
    assert answer.headers["Preference-Applied"] == "dry-run"
    assert good(world.get("agent", f"/disputes/{dispute_id}"))["state"] == "intervening"


def test_an_appeal_is_read_by_both_sides_and_overturned(world: HttpWorld) -> None:
    """The appeal's words are the party's own; the second ruling is final and pays once."""
    dispute_id = at_work(world)
    good(world.act("agent", dispute_id, "issue-ruling", ruling(world, dispute_id)))
    sha256 = good(upload(world, "owner", dispute_id, jpeg(), "appeal"), 201)["sha256"]
    body = {
        "ground": "new_evidence",
        "note": "出库时的照片显示商品完好",
        "files": [{"sha256": sha256, "file_name": "出库.jpg"}],
        "cites": [cite(world, dispute_id)],
    }
    appealed = good(world.act("owner", dispute_id, "appeal", body))
    read = good(world.get("buyer", f"/disputes/{dispute_id}/appeals"))["items"][0]
    overturned = good(
        world.act("supervisor", dispute_id, "overturn", ruling(world, dispute_id, "refund_partial", 3_000))
    )
    pay(world)

    assert appealed["state"] == "appealed"
    assert (read["party"], read["ground"], read["note"]) == ("merchant", "new_evidence", body["note"])
    assert overturned["state"] == "executing"
    assert [p.amount_fen for p in gateway(world).payments()] == [3_000]


def test_a_rude_appeal_is_answered_with_an_outcome_and_nothing_moves(world: HttpWorld) -> None:
    """Blocked outcomes are outcome bodies, never problem+json."""
    dispute_id = at_work(world)
    good(world.act("agent", dispute_id, "issue-ruling", ruling(world, dispute_id)))
    body = {"ground": "procedural_error", "note": "你是不是有病,加我微信"}

    answer = world.act("owner", dispute_id, "appeal", body)

    assert answer.status_code in (403, 422)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["findings"]
    assert good(world.get("owner", f"/disputes/{dispute_id}"))["state"] == "ruled"


# --- payments -------------------------------------------------------------------------------------------------------


def owed(world: HttpWorld) -> str:
    dispute_id = at_work(world)
    good(world.act("owner", dispute_id, "seller-agree-refund"))
    return dispute_id


def call_back(
    world: HttpWorld, event_id: str, *, at: timedelta = timedelta(0), sign: str = SECRET_KEY, **said: Any
) -> Response:
    body = msgspec.json.encode(said).decode()
    headers = world.as_("marketplace") | signed_headers(secret=sign, message_id=event_id, at=world.now + at, body=body)
    headers.pop("Idempotency-Key")
    headers["Content-Type"] = "application/json"
    return world.client.post("/v1/payments/callbacks", content=body, headers=headers)


@both_databases
def test_a_callback_is_believed_by_its_signature_and_once(world: HttpWorld) -> None:
    """Edge case 8: signed and idempotent; the event's id is the key; another body under the same id is 422."""
    world.app.state.payment_secrets = (SECRET_KEY,)
    gateway(world).outcomes.append(Outcome.PEND)
    dispute_id = owed(world)
    pay(world)
    execution = world.row(tables.RefundExecution, dispute_id=dispute_id)
    said = {"refund_id": execution.gateway_refund_id, "status": "succeeded", "key": execution.gateway_key}
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()

    forged = call_back(world, "evt-1", sign=other, **said)
    old = call_back(world, "evt-1", at=timedelta(minutes=-6), **said)
    unknown = call_back(world, "evt-0", refund_id="gw-unheard-of", status="succeeded")
    first = call_back(world, "evt-1", **said)
    again = call_back(world, "evt-1", **said)
    reused = call_back(world, "evt-1", **(said | {"status": "failed"}))
    later = call_back(world, "evt-2", **(said | {"status": "failed"}))

    assert [r.status_code for r in (forged, old, unknown, first, again, reused, later)] == [
        401,
        401,
        404,
        200,
        200,
        422,
        200,
    ]
    assert (first.json(), again.json(), later.json()) == ({"result": "paid"}, {"result": "paid"}, {"result": "noted"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert good(world.get("buyer", f"/disputes/{dispute_id}"))["state"] == "closed"


def test_without_a_secret_only_the_gateways_own_word_counts(world: HttpWorld) -> None:
    """The embedded default: a callback that claims success moves nothing while the gateway says pending."""
    gateway(world).outcomes.append(Outcome.PEND)
    dispute_id = owed(world)
    pay(world)
    key = world.row(tables.RefundExecution, dispute_id=dispute_id).gateway_key
    said = {"refund_id": f"sim-{key}", "status": "succeeded"}

    claimed = world.post("marketplace", "/payments/callbacks", said)
    unknown = world.post("marketplace", "/payments/callbacks", {"refund_id": "sim-nothing", "status": "succeeded"})

    assert claimed.json() == {"result": "noted"}
    assert unknown.status_code == 404
    assert good(world.get("buyer", f"/disputes/{dispute_id}"))["state"] == "executing"


def test_only_the_payment_system_calls_back(world: HttpWorld) -> None:
    """By role and scope."""
    answers = [
        world.post(user, "/payments/callbacks", {"refund_id": "x", "status": "failed"})
        for user in ("buyer", "owner", "agent", "supervisor")
    ]

    assert {a.status_code for a in answers} == {403}


@both_databases
def test_a_failed_payment_is_taken_in_hand_over_http(world: HttpWorld) -> None:
    """Retry refused while pending, settled by hand by two people once the gateway says failed."""
    gateway(world).outcomes.extend([Outcome.PEND])
    dispute_id = owed(world)
    pay(world)
    world.pass_time(hours=24, seconds=1)
    world.tokens.clear()  # they are good for eight hours
    sweep(world)
    undecided = world.act("supervisor", dispute_id, "retry-execution")
    proof = good(upload(world, "supervisor", dispute_id, b"%PDF-1.4\nproof\n%%EOF", "proof"), 201)["sha256"]
    too_early = world.act("supervisor", dispute_id, "settle-offline", {"proof_sha256": proof})
    gateway(world).settle(world.row(tables.RefundExecution, dispute_id=dispute_id).gateway_key, GatewayStatus.FAILED)

    proposed = good(world.act("supervisor", dispute_id, "settle-offline", {"proof_sha256": proof}), 202)
    sha = {"payload_sha256": proposed["payload_sha256"]}
    good(world.post("supervisor-2", f"/approvals/{proposed['id']}/approve", sha))

    assert (undecided.status_code, undecided.json()["code"]) == (422, "execution_undecided")
    assert (too_early.status_code, too_early.json()["code"]) == (422, "gateway_may_still_pay")
    closed = good(world.get("buyer", f"/disputes/{dispute_id}"))
    assert (closed["state"], closed["outcome"]) == ("closed", "SETTLED_OFFLINE")
    assert gateway(world).payments() == []


# --- tenants --------------------------------------------------------------------------------------------------------

READS = ("evidence", "evidence-requests", "rulings", "appeals", "refunds")
ACTS = (
    ("agent", "accept-dispute", {}),
    ("agent", "release", {}),
    ("agent", "transfer", {"assignee_id": "demo-agent-2"}),
    ("buyer-2", "accept-ruling", {}),
    ("owner-2", "accept-ruling", {}),
    ("owner-2", "appeal", {"ground": "procedural_error", "note": "申诉"}),
    ("buyer-2", "withdraw-appeal", {}),
)


def test_somebody_elses_dispute_is_absent_everywhere(world: HttpWorld) -> None:
    """Edge case 55: 404 with the same body as for an id that does not exist."""
    dispute_id = world.make_dispute("refused", line=world.place_order())
    nowhere = "00000000-0000-7000-8000-000000000000"
    strangers = [("buyer-2", r) for r in READS] + [("owner-2", r) for r in READS] + [("agent", r) for r in READS]

    for user, what in strangers:
        for id_ in (dispute_id, nowhere):
            assert world.get(user, f"/disputes/{id_}/{what}").status_code == 404, (user, what)
    for user, action, body in ACTS:
        for id_ in (dispute_id, nowhere):
            assert world.act(user, id_, action, body).status_code == 404, (user, action)
    assert upload(world, "buyer-2", dispute_id, jpeg()).status_code == 404


def test_the_bytes_on_disk_are_named_for_what_they_are(world: HttpWorld) -> None:
    """The file store keeps what the fingerprint says."""
    dispute_id = at_work(world)
    content = jpeg()

    kept = good(upload(world, "buyer", dispute_id, content, "message"), 201)

    def intact(_: Transaction) -> bool:
        return world.house.files.is_intact(kept["sha256"])

    assert kept["sha256"] == hashlib.sha256(content).hexdigest()
    assert world.database.read(intact)
