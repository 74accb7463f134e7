"""Who may do what: every operation of the document, as every demo user, on one's own, somebody else's and no object."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from httpx import Response

from service.api.examples import EXAMPLES
from service.api.issuer import DEMO_USERS
from service.app import MODULES
from service.domain.staff import Role
from service.store import tables
from tests.one_of_each import absent, ask, change_seat, lay_out, operations
from tests.over_http import HttpWorld, new_http_world
from tests.permission_matrix import MATRIX, PUBLIC, ROLES, Row

THEIRS: Final = {"own": {"buyer", "owner", "seat", "seat-2"}, "other": {"buyer-2", "owner-2"}}
AGENT_OF: Final = {"own": "agent", "other": "agent-2"}
WHOSE: Final = defaultdict(lambda: ("own", "other", "absent"), {"": ("own",), "refund": ("absent",)})
LACKS: Final = {"transferInquiry": "not_your_inquiry"}  # what the demo's seat is told where it may not yet
GOOD_OR_REFUSED_BY_STATE: Final = {200, 201, 202, 409, 422}


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[HttpWorld]:
    with new_http_world(database, tmp_path) as world:
        yield world


# --- the table and the document --------------------------------------------------------------------------------------


def test_every_operation_stands_in_the_matrix() -> None:
    """A new one is decided about before it is served."""
    assert set(MATRIX) | PUBLIC == set(operations())
    assert set(MATRIX) & PUBLIC == set()


@pytest.mark.parametrize("row", MATRIX.values(), ids=lambda row: row.operation)
def test_the_document_names_the_roles_of_the_matrix(row: Row) -> None:
    """The document is what a client reads; the matrix is what was decided (api.md section 3)."""
    named = {each["BearerToken"][0] for each in operations()[row.operation][2]["security"]}

    assert named == {role for role, mark in zip(ROLES, row.roles, strict=True) if mark != "-"}


def test_every_operation_is_served_by_one_handler() -> None:
    """The framework takes the first of two without a word; the second would be dead code that only looks alive."""
    served = Counter(
        (method, path)
        for module in MODULES
        for handler in module.HANDLERS
        for method in handler.http_methods
        for path in handler.paths
    )

    assert [each for each, count in served.items() if count > 1] == []


# --- the service -----------------------------------------------------------------------------------------------------


def test_everybody_gets_what_is_theirs_and_nobody_else_s(world: HttpWorld) -> None:
    """Edge case 55: another's id is 404 on every route, and reads like one that does not exist."""
    objects = {
        "own": lay_out(world, buyer="buyer", owner="owner", agent="agent", offender="seat"),
        "other": lay_out(world, buyer="buyer-2", owner="owner-2", agent="agent-2", offender="owner-2"),
    }
    objects["absent"] = absent()
    wrong = []
    for row in MATRIX.values():
        for user in DEMO_USERS:
            for whose in WHOSE[row.on]:
                want = wanted(row, user, whose)
                got = seen(ask(world, row.operation, user, objects[whose]))
                if want != got:
                    wrong.append(f"{row.operation} by {user} on {whose}: wanted {want}, got {got}")

    assert wrong == []


def test_what_never_came_to_the_platform_is_not_there_for_its_agents(world: HttpWorld) -> None:
    """api.md section 3: an agent reads the queue and the own cases; a talk between the parties is theirs."""
    objects = absent()
    objects.dispute = world.open_one()
    wrong = [
        f"{row.operation}: {answer.status_code}"
        for row in MATRIX.values()
        if row.on == "dispute" and row.roles[ROLES.index("platform_agent")] != "-"
        for answer in [ask(world, row.operation, "agent", objects)]
        if answer.status_code != 404
    ]

    assert wrong == []


def test_lists_hold_what_is_theirs_and_nothing_else(world: HttpWorld) -> None:
    """A filter by somebody else's dispute finds nothing; a list never names what a look would refuse."""
    own = lay_out(world, buyer="buyer", owner="owner", agent="agent", offender="seat")
    other = lay_out(world, buyer="buyer-2", owner="owner-2", agent="agent-2", offender="owner-2")

    def ids(user: str, path: str, **query: str) -> set[str]:
        return {str(each["id"]) for each in world.get(user, path, **query).json()["items"]}

    for user in ("buyer", "owner", "seat"):
        assert ids(user, "/disputes") == {own.dispute}
    for user in ("buyer-2", "owner-2"):
        assert ids(user, "/disputes") == {other.dispute}
    for user in ("supervisor", "auditor"):
        assert ids(user, "/disputes") == {own.dispute, other.dispute}
        assert {own.ticket, other.ticket} <= ids(user, "/service-tickets")
        assert ids(user, "/approvals") == {own.approval, other.approval}
    assert ids("owner", "/service-tickets") == {own.ticket}
    assert ids("owner", "/service-tickets", dispute_id=other.dispute) == set()
    assert ids("owner-2", "/service-tickets", dispute_id=own.dispute) == set()
    assert ids("agent", "/approvals") == {own.approval}
    assert ids("agent-2", "/approvals") == {other.approval}


# --- edge case 57: who one is can change ------------------------------------------------------------------------------


def test_a_disabled_seat_is_refused_with_its_token_still_good(world: HttpWorld) -> None:
    """Edge case 57: permissions are checked when it sends, not when the token was made."""
    dispute = world.open_one()
    body = EXAMPLES["refuseRequest"]
    before = world.post("seat", f"/disputes/{dispute}/actions/seller-refuse", body, If_Match="*", Prefer="dry-run")

    change_seat(world, "demo-seat-1", active=False)
    after = world.act("seat", dispute, "seller-refuse", body)

    assert before.status_code == 200
    assert (after.status_code, after.json()["code"]) == (403, "seat_inactive")
    assert world.get("owner", f"/disputes/{dispute}").json()["state"] == "requested"


def test_a_disabled_seat_neither_sees_nor_does_anything(world: HttpWorld) -> None:
    """Edge case 57: the token of a disabled sub-account opens nothing, on any route; enabled again it does."""
    objects = lay_out(world, buyer="buyer", owner="owner", agent="agent", offender="seat-2")
    rows = [row for row in MATRIX.values() if row.roles[ROLES.index("merchant_seat")] != "-" and row.on != "notice"]

    change_seat(world, "demo-seat-1", active=False)
    refused = {row.operation: seen(ask(world, row.operation, "seat", objects)) for row in rows}
    change_seat(world, "demo-seat-1", active=True)
    again = {row.operation: seen(ask(world, row.operation, "seat", objects)) for row in rows}

    assert set(refused.values()) == {"seat_inactive"}, refused
    assert "seat_inactive" not in again.values()


@pytest.mark.parametrize(
    ("lost", "operation", "code"),
    [
        ({"may_after_sale": False}, "refuseRequest", "after_sale_permission_missing"),
        ({"may_commit": False}, "confirmPromise", "commit_not_permitted"),
        ({"designated": False}, "answerInquiry", "im_permission_missing"),
        ({"may_im": False}, "respondToTicket", "im_permission_missing"),
        ({"active": False}, "postMessage", "seat_inactive"),
    ],
)
def test_a_permission_lost_in_mid_session_is_lost_at_once(
    world: HttpWorld, lost: dict[str, bool], operation: str, code: str
) -> None:
    """Edge case 57: what the seat could do a moment ago it is refused now, by name."""
    objects = lay_out(world, buyer="buyer", owner="owner", agent="agent", offender="seat-2")
    change_seat(world, "demo-seat-1", designated=True)
    before = ask(world, operation, "seat", objects)

    change_seat(world, "demo-seat-1", **lost)
    after = ask(world, operation, "seat", objects)

    assert before.status_code in GOOD_OR_REFUSED_BY_STATE, before.text
    assert (after.status_code, after.json()["code"]) == (403, code)


def test_a_role_lost_in_mid_session_ends_with_the_token(world: HttpWorld) -> None:
    """Edge case 57: a token is a statement of its hour; eight hours and the leeway later it says nothing any more."""
    dispute = world.open_one()

    world.pass_time(hours=8, seconds=29)
    last = world.get("buyer", f"/disputes/{dispute}")
    world.pass_time(seconds=1)
    late = world.get("buyer", f"/disputes/{dispute}")

    assert last.status_code == 200
    assert (late.status_code, late.json()["code"]) == (401, "token_expired")


def test_a_supervisor_who_acts_on_behalf_is_marked_so(world: HttpWorld) -> None:
    """Edge case 57: the record says who acted and as what; nothing looks as if the buyer had asked."""
    dispute = world.open_one()
    refused = world.act("owner", dispute, "seller-refuse", EXAMPLES["refuseRequest"])

    called = world.act("supervisor", dispute, "request-intervention", EXAMPLES["requestIntervention"])

    assert (refused.status_code, called.status_code) == (200, 200), called.text
    written = [json.loads(entry.body) for entry in world.rows(tables.TranscriptEntry, dispute_id=dispute)]
    [asked] = [each for each in written if each["kind"] == "dispute.request_intervention"]
    assert asked["actor"] == {"t": "supervisor", "ref": "demo-supervisor-1"}
    assert asked["facts"]["on_behalf_of"] == "buyer"


# --- asking and expecting --------------------------------------------------------------------------------------------


def wanted(row: Row, user: str, whose: str) -> str:
    """What the matrix says of this user, this operation and whose object it is."""
    role = DEMO_USERS[user].role
    mark = row.roles[ROLES.index(role.value)]
    if mark == "-":
        return "role_not_allowed"
    if row.on and whose == "absent":
        return "not_found"
    if role is Role.PLATFORM_AGENT and row.on and user != AGENT_OF[whose] and row.agents == "own":
        return "not_found" if row.on == "approval" else "not_your_dispute"
    if role in (Role.BUYER, Role.MERCHANT_OWNER, Role.MERCHANT_SEAT) and row.on:
        theirs = user in THEIRS[whose]
        if row.on == "notice":
            theirs = (whose, user) in {("own", "seat"), ("other", "owner-2")}
        if not theirs:
            return "not_found"
        if row.on == "message" and role is Role.MERCHANT_SEAT:
            return "not_your_message"  # the owner's: seen, not taken back
    return LACKS.get(row.operation, "im_permission_missing") if mark == "◐" else "in"


def seen(answer: Response) -> str:
    """`in` where the service looked at the matter itself, else the code with which it did not."""
    if answer.status_code in GOOD_OR_REFUSED_BY_STATE or "outcome" in answer.json():  # or kept back by moderation
        return "in"
    code = str(answer.json().get("code"))
    if code == "not_found":
        assert set(answer.json()) == {"type", "title", "status", "code", "detail", "instance", "request_id"}
        assert answer.json()["detail"] == "没有找到", "it must not say what is not there"
    return code if answer.status_code in (401, 403, 404) else f"{answer.status_code} {code}"
