"""A dispute at the platform with one of everything, and the usual request about it for every operation."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from uuid import uuid4

from httpx import Response
from sqlmodel import SQLModel

from service.api.examples import EXAMPLES
from service.api.issuer import DEMO_USERS
from service.store import tables
from service.store.engine import Transaction
from service.store.writes import Plan
from tests.openapi_document import COMMITTED
from tests.over_http import HttpWorld
from tests.permission_matrix import MATRIX, ROLES

PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ABUSE: Final = "你他妈的傻逼,滚蛋"
PAID_FEN: Final = 1_000_000  # over what one agent may award alone: a second person decides
NAMED_IN_PATHS: Final = (
    "dispute", "inquiry", "ticket", "promise", "request", "item", "message", "approval", "notice", "version", "rule",
)  # fmt: skip
SHOP_OF: Final = {"owner": "demo-shop-1", "owner-2": "demo-shop-2"}


@dataclass
class Objects:
    """A dispute and what hangs on it; a value by side where each side has its own."""

    line: str
    dispute: str
    inquiry: str
    ticket: str
    promise: str
    promise_sha256: str
    request: dict[str, str] = field(default_factory=dict)
    item: dict[str, str] = field(default_factory=dict)
    file: dict[str, str] = field(default_factory=dict)
    message: dict[str, str] = field(default_factory=dict)  # of the conversation, by side
    approval: str = ""
    approval_sha256: str = ""
    notice: str = ""
    seat: str = "seat-of-nobody"
    version: str = ""  # of the rule book
    version_sha256: str = "0" * 64
    rule: str = "rule.of_nobody"  # one that fell back to watch

    def of(self, kind: str, side: str) -> str:
        """The id of the object of a kind, as one side has it."""
        found = self.dispute if kind == "any-dispute" else getattr(self, kind)
        return str(found.get(side, found["buyer"]) if isinstance(found, dict) else found)


@lru_cache(maxsize=1)
def operations() -> Mapping[str, tuple[str, str, dict[str, Any]]]:
    """operationId to method, path below /v1, and description."""
    document = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return {
        operation["operationId"]: (method, path.removeprefix("/v1"), operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


# Somebody who may do it, for every operation that changes something.
WRITES: Final = {
    row.operation: next(
        user
        for user, who in reversed(DEMO_USERS.items())
        if row.roles[ROLES.index(who.role.value)] == "●" and user not in ("buyer-2", "owner-2", "seat", "seat-2")
    )
    for row in MATRIX.values()
    if operations()[row.operation][0] == "post"
}


def ask(world: HttpWorld, operation: str, user: str, objects: Objects, *, dry: bool = True, **headers: str) -> Response:
    """Send the usual request about an object; as a dry run, unless that is not wanted or not possible."""
    method, _, described = operations()[operation]
    side, path = side_of(user), address(operation, user, objects)
    sent = world.as_(user, **{"If_Match": "*", **headers})
    if dry and honours_dry_run(described):
        sent["Prefer"] = "dry-run"
    if operation == "uploadFile":
        sent["Content-Type"] = "image/png"
        return world.client.post(path, params={"purpose": "message"}, content=PNG, headers=sent)
    if method == "get":
        return world.client.get(path, headers=sent)
    return world.client.post(path, json=body_of(operation, objects, side), headers=sent)


def side_of(user: str) -> str:
    """The side whose objects a user has."""
    return "merchant" if DEMO_USERS[user].merchant_id else "buyer"


def address(operation: str, user: str, objects: Objects) -> str:
    """The path of an operation on these objects."""
    path = "/v1" + operations()[operation][1]
    for name in NAMED_IN_PATHS:
        path = path.replace(f"{{{name}_id}}", objects.of(name, side_of(user)))
    return path.replace("{sha256}", objects.of("file", side_of(user)))


def honours_dry_run(described: Mapping[str, Any]) -> bool:
    """Whether the document offers `Prefer: dry-run`."""
    return "Prefer" in {each["name"] for each in described.get("parameters", ())}


def body_of(operation: str, objects: Objects, side: str) -> dict[str, Any]:
    """The usual body, about these objects."""
    body = dict(EXAMPLES[operation])
    match operation:
        case "openDispute":
            body["order_line_id"] = objects.line
        case "issueTicket":
            body["dispute_id"] = objects.dispute
        case "confirmPromises":
            body["promises"] = [{"promise_id": objects.promise, "canonical_sha256": objects.promise_sha256}]
        case "confirmPromise" | "correctPromise":
            body["canonical_sha256"] = objects.promise_sha256
        case "approve":
            body["payload_sha256"] = objects.approval_sha256
        case "publishRules":
            body["sha256"] = objects.version_sha256
        case "addEvidence":
            body["sha256"] = objects.of("file", side)
        case "issueRuling" | "overturnRuling":
            body["cites"] = [{"evidence_id": objects.of("item", "buyer")}]
        case "appeal":
            body["files"] = [{"sha256": objects.of("file", side)}]
        case "fulfilPromise":
            body["files"] = [objects.of("file", side)]
        case "transferInquiry":
            body["seat_id"] = objects.seat
        case "pushLogisticsEvent":
            body["order_line_id"] = objects.line
    return body


def lay_out(world: HttpWorld, *, buyer: str, owner: str, agent: str, offender: str) -> Objects:
    """A dispute at the platform with one of everything, made by the people themselves."""
    who = DEMO_USERS[buyer]
    line = world.place_order(buyer=who.subject, shop=SHOP_OF[owner], paid_fen=PAID_FEN)
    amount = {"amount": PAID_FEN, "currency": "CNY"}
    opened = world.post(buyer, "/disputes", EXAMPLES["openDispute"] | {"order_line_id": line, "amount": amount})
    assert opened.status_code == 201, opened.text
    dispute = opened.json()["id"]

    def done(answer: Response, status: int) -> Any:
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        return answer.json()

    done(world.act(owner, dispute, "seller-refuse", EXAMPLES["refuseRequest"]), 200)
    done(world.act(buyer, dispute, "request-intervention", EXAMPLES["requestIntervention"]), 200)
    done(world.act(agent, dispute, "accept-dispute"), 200)
    inquiry = done(world.post(agent, f"/disputes/{dispute}/inquiries", EXAMPLES["openInquiry"]), 201)["id"]
    done(world.post(owner, f"/inquiries/{inquiry}/messages", EXAMPLES["answerInquiry"]), 201)
    promise = done(world.get(agent, f"/disputes/{dispute}/promises"), 200)["items"][0]
    ticket = done(world.post(agent, "/service-tickets", EXAMPLES["issueTicket"] | {"dispute_id": dispute}), 201)["id"]
    objects = Objects(line, dispute, inquiry, ticket, promise["id"], promise["canonical_sha256"])
    for side, user in (("buyer", buyer), ("merchant", owner)):
        objects.request[side] = next(
            each["id"]
            for each in done(world.get(user, f"/disputes/{dispute}/evidence-requests"), 200)["items"]
            if each["party"] == side
        )
        sent = world.client.post(
            f"/v1/disputes/{dispute}/files",
            params={"purpose": "evidence"},
            content=PNG + side.encode(),
            headers=world.as_(user, Content_Type="image/png"),
        )
        objects.file[side] = done(sent, 201)["sha256"]
        item = {"sha256": objects.file[side]}
        objects.item[side] = done(world.post(user, f"/disputes/{dispute}/evidence", item), 201)["id"]
        done(world.post(user, f"/evidence-requests/{objects.request[side]}/submit", EXAMPLES["submitEvidence"]), 200)
    cites = [{"evidence_id": objects.item["buyer"]}]
    ruling = EXAMPLES["issueRuling"] | {"kind": "refund_full", "amount": amount, "cites": cites}
    proposed = done(world.act(agent, dispute, "issue-ruling", ruling), 202)
    objects.approval, objects.approval_sha256 = proposed["id"], proposed["payload_sha256"]
    for side, user in (("buyer", buyer), ("merchant", owner)):
        greeting = {"client_message_id": f"greeting-{side}", "text": "您好"}
        objects.message[side] = done(world.post(user, f"/disputes/{dispute}/messages", greeting), 201)["message_id"]
    abuse = {"client_message_id": "abuse-1", "text": ABUSE}
    objects.notice = done(world.post(offender, f"/disputes/{dispute}/messages", abuse), 403)["notice_id"]
    objects.seat = DEMO_USERS[owner].subject
    drafted = done(world.post("rules-editor", "/rule-packs", EXAMPLES["draftRules"]), 201)
    objects.version, objects.version_sha256 = drafted["id"], drafted["sha256"]
    objects.rule = "abuse.insult"
    fallen = Plan()
    fallen.put(tables.RuleBreaker, objects.rule, tripped_at=world.now, per_million=50_000, rearmed_at=None)
    world.database.run(lambda tx: tx.apply([fallen]))
    return objects


def absent() -> Objects:
    """Ids of nothing."""
    ids = [str(uuid4()) for _ in range(9)]
    return Objects("line-of-nobody", *ids[:4], "0" * 64, {"buyer": ids[4]}, {"buyer": ids[5]}, {"buyer": "0" * 64},
                   {"buyer": ids[8]}, ids[6], "0" * 64, ids[7], version=str(uuid4()))  # fmt: skip


def change_seat(world: HttpWorld, seat: str, **columns: object) -> None:
    """The owner changes what a seat may do."""
    plan = Plan()
    plan.update(tables.Seat, seat, **columns)
    world.database.run(lambda tx: tx.apply([plan]))


def begin(world: HttpWorld, beginning: str) -> Objects:
    """A dispute that was just opened, one that was refused, or one at the platform with one of everything."""
    if beginning == "laid out":
        return lay_out(world, buyer="buyer", owner="owner", agent="agent", offender="seat")
    objects = absent()
    objects.dispute, objects.line = world.open_one(), world.place_order()
    if beginning == "refused":
        assert world.act("owner", objects.dispute, "seller-refuse", EXAMPLES["refuseRequest"]).status_code == 200
    return objects


def counts(world: HttpWorld) -> dict[str, int]:
    """How many rows every table holds, and how far the disputes have come."""
    rows = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in SQLModel.metadata.tables)
    whole = f"{rows} UNION ALL SELECT 'revisions', coalesce(sum(version), 0) FROM dispute"

    def work(tx: Transaction) -> dict[str, int]:
        return {str(name): int(number) for name, number in tx.rows(whole, ())}

    return world.database.read(work)
