"""Who may see a dispute, what they see of it, and what they are told they may do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from service.domain.dispute import DISPUTE
from service.domain.errors import Absent, Forbidden
from service.domain.staff import Actor, Role
from service.flows.context import Context
from service.flows.list_cases import list_cases
from service.flows.read_case import CaseSeen, read_case, require_seen
from service.store import tables
from service.store.writes import Plan
from tests.over_http import HttpWorld
from tests.world import (
    AGENT,
    AUDITOR,
    BUYER,
    OTHER_AGENT,
    OTHER_BUYER,
    OTHER_OWNER,
    OWNER,
    SEAT,
    SUPERVISOR,
    World,
)

RULES_EDITOR = Actor(Role.RULES_EDITOR, "editor-1")
EVERYBODY = (BUYER, OWNER, SEAT, AGENT, SUPERVISOR, AUDITOR)


def set_row(world: World, model: Any, row_id: str, **columns: object) -> None:
    plan = Plan()
    plan.update(model, row_id, **columns)
    world.database.run(lambda tx: tx.apply([plan]))


def seen(world: World, actor: Actor, dispute_id: str) -> CaseSeen:
    return world.tell(actor, lambda ctx: read_case(ctx, require_seen(ctx, dispute_id)))


def actions(world: World, actor: Actor, dispute_id: str) -> dict[str, str | None]:
    """Action → the code that is in its way, None if nothing is."""
    return {a.action: a.why_not and a.why_not.code for a in seen(world, actor, dispute_id).actions}


# --- who may see it -------------------------------------------------------------------------------------------------


def test_everybody_concerned_can_read_a_dispute_in_every_state(world: World) -> None:
    """A view never fails, whatever the state and whoever looks."""
    for state in DISPUTE.states:
        closing = {"outcome": "BUYER_WITHDREW", "closed_at": world.now} if state == "closed" else {}
        dispute_id = world.make_dispute(state, intervened_at=world.now, **closing)

        for actor in EVERYBODY:
            view = seen(world, actor, dispute_id)

            assert view.dispute.state == state
            assert all(a.why_not is None or a.why_not.code for a in view.actions)


def test_somebody_elses_dispute_is_absent(world: World) -> None:
    """Edge case 55: another buyer's, another shop's, one that never came to the platform, one that is not there."""
    dispute_id = world.make_dispute("refused")

    for actor in (OTHER_BUYER, OTHER_OWNER, AGENT, RULES_EDITOR):
        with pytest.raises(Absent):
            seen(world, actor, dispute_id)
    with pytest.raises(Absent):
        seen(world, SUPERVISOR, "01890000-0000-7000-8000-00000000dead")


def test_an_agent_reads_what_came_to_the_platform_whoever_works_on_it(world: World) -> None:
    """api.md section 3: queue and own; acting is for the assignee."""
    dispute_id = world.make_dispute("intervening")

    mine, anothers = actions(world, AGENT, dispute_id), actions(world, OTHER_AGENT, dispute_id)

    assert mine["issue-ruling"] is None
    assert anothers["issue-ruling"] == "not_your_dispute"


# --- what is seen ---------------------------------------------------------------------------------------------------


def children(world: World, dispute_id: str) -> None:
    """One of everything that passes between the platform and the merchant."""
    common = {"dispute_id": dispute_id}
    world.insert(
        (
            tables.Inquiry,
            common
            | {
                "id": "i-1",
                "merchant_id": "shop-1",
                "agent_id": "agent-1",
                "seat_id": "seat-1",
                "state": "awaiting_merchant",
                "asked_at": world.now,
                "due_at": world.now + timedelta(minutes=3),
                "created_at": world.now,
            },
        ),
        (
            tables.Ticket,
            common
            | {
                "id": "t-1",
                "merchant_id": "shop-1",
                "cause": "MANUAL",
                "category": "product",
                "question": "?",
                "state": "issued",
                "due_at": world.now + timedelta(hours=2),
                "issued_at": world.now,
            },
        ),
    )
    for number, (subject, name) in enumerate(
        (("i-1", "reply_window"), ("i-1", "reply_warning_60"), ("t-1", "ticket_sla"))
    ):
        due_at = world.now + timedelta(minutes=number + 1)
        world.insert(
            (
                tables.Timer,
                common
                | {
                    "id": f"{subject}:{name}",
                    "subject_id": subject,
                    "name": name,
                    "due_at": due_at,
                    "fires_at": due_at,
                },
            )
        )


def test_a_buyer_sees_nothing_of_what_passes_between_platform_and_merchant(world: World) -> None:
    """api.md section 3: no merchant↔platform chat, no ticket, no assignee's clocks; the others see it."""
    dispute_id = world.make_dispute("intervening")
    children(world, dispute_id)

    buyer, owner, agent = (seen(world, actor, dispute_id) for actor in (BUYER, OWNER, AGENT))

    assert ([*buyer.inquiries], [*buyer.tickets]) == ([], [])
    assert {t.name for t in buyer.timers} == {"hard_deadline"}
    assert ([i.id for i in owner.inquiries], [t.id for t in owner.tickets]) == (["i-1"], ["t-1"])
    assert {t.name for t in owner.timers} == {"hard_deadline", "reply_window", "ticket_sla"}
    assert {t.name for t in agent.timers} == {
        "hard_deadline",
        "rule_alarm",
        "reply_window",
        "reply_warning_60",
        "ticket_sla",
    }
    assert agent.sub_status == "ticket_open"


def test_a_buyer_sees_only_the_promises_that_were_passed_on(world: World) -> None:
    """Edge case 34: nothing unconfirmed reaches the buyer, in no list either."""
    dispute_id = world.make_dispute("intervening")
    for number, state in enumerate(("extracted", "confirmed", "relayed")):
        told = state == "relayed"
        world.insert(
            (
                tables.Promise,
                {
                    "id": f"p-{number}",
                    "dispute_id": dispute_id,
                    "state": state,
                    "wording": "unconditional",
                    "action": "ship",
                    "canonical_zh": "今天发货",
                    "canonical_en": "ships today",
                    "canonical_sha256": "a" * 64,
                    "confirmed_canonical": None if state == "extracted" else "a" * 64,
                    "confirmation_hash": None if state == "extracted" else b"h" * 32,
                    "relay_seq": 1 if told else None,
                    "created_at": world.now,
                },
            )
        )

    assert [p.state for p in seen(world, BUYER, dispute_id).promises] == ["relayed"]
    assert len(seen(world, OWNER, dispute_id).promises) == 3


def evidence(world: World, dispute_id: str, party: str, item_id: str, *, frozen: bool) -> None:
    world.insert(
        (
            tables.EvidenceItem,
            {
                "id": item_id,
                "dispute_id": dispute_id,
                "party": party,
                "added_by": party,
                "frozen": frozen,
                "added_at": world.now,
            },
        )
    )


def test_the_other_partys_evidence_is_seen_after_the_own_request_has_ended(world: World) -> None:
    """Edge case 48: seen only after the own submit or window end (no copying)."""
    dispute_id = world.make_dispute("intervening")
    for party in ("buyer", "merchant"):
        world.insert(
            (
                tables.EvidenceRequest,
                {
                    "id": f"r-{party}",
                    "dispute_id": dispute_id,
                    "party": party,
                    "state": "open" if party == "buyer" else "submitted",
                    "due_at": world.now + timedelta(hours=48),
                    "created_at": world.now,
                },
            )
        )
    evidence(world, dispute_id, "merchant", "e-frozen", frozen=True)
    evidence(world, dispute_id, "buyer", "e-draft", frozen=False)

    def items(actor: Actor) -> list[str]:
        return [e.id for e in seen(world, actor, dispute_id).evidence]

    while_open = {actor.subject: items(actor) for actor in (BUYER, OWNER, AGENT)}
    set_row(world, tables.EvidenceRequest, "r-buyer", state="submitted")
    set_row(world, tables.EvidenceItem, "e-draft", frozen=True)
    afterwards = {actor.subject: items(actor) for actor in (BUYER, OWNER)}

    assert while_open == {"buyer-1": ["e-draft"], "owner-1": ["e-frozen"], "agent-1": ["e-draft", "e-frozen"]}
    assert afterwards == {"buyer-1": ["e-draft", "e-frozen"], "owner-1": ["e-draft", "e-frozen"]}


# --- what may be done -----------------------------------------------------------------------------------------------


def test_the_actions_are_those_of_the_state_and_the_side(world: World) -> None:
    """`available_actions` by viewer, asked of the table with the facts that hold now."""
    requested = world.make_dispute("requested")
    refused = world.make_dispute("refused", offers_used=3, modifications=5)

    assert actions(world, OWNER, requested) == {
        "seller-refuse": None,
        "seller-agree-refund": None,
        "seller-agree-return": "type_not_return_refund",
        "seller-offer": None,
        "request-intervention": None,
    }
    assert actions(world, BUYER, requested) == {"modify": None, "withdraw": None}
    assert actions(world, BUYER, refused) == {
        "modify": "modifications_exhausted",
        "withdraw": None,
        "request-intervention": None,
    }
    assert actions(world, OWNER, refused)["seller-offer"] == "offers_exhausted"
    assert actions(world, AUDITOR, refused) == {}
    assert actions(world, SUPERVISOR, refused) == {"request-intervention": None}


def test_an_action_says_until_when_and_whether_it_must_be(world: World) -> None:
    """Edge cases 19 and 59: the server gives due_at; it is the instant that is used."""
    dispute_id = world.make_dispute("requested")

    refusing = next(a for a in seen(world, OWNER, dispute_id).actions if a.action == "seller-refuse")
    withdrawing = next(a for a in seen(world, BUYER, dispute_id).actions if a.action == "withdraw")

    assert (refusing.due_at, refusing.mandatory) == (world.now + timedelta(hours=48), True)
    assert (withdrawing.due_at, withdrawing.mandatory) == (None, False)


def test_a_window_that_is_over_is_in_the_way(world: World) -> None:
    """Once T2 has passed, calling the platform shows `window_closed`."""
    dispute_id = world.make_dispute("refused")
    world.pass_time(days=7)

    assert actions(world, BUYER, dispute_id)["request-intervention"] == "window_closed"


def test_a_seat_without_the_permission_sees_what_is_in_its_way(world: World) -> None:
    """Permissions are shown before they refuse."""
    dispute_id = world.make_dispute("requested")
    set_row(world, tables.Seat, "seat-1", may_after_sale=False)

    assert set(actions(world, SEAT, dispute_id).values()) == {"after_sale_permission_missing"}


def test_only_a_loser_may_accept_or_appeal(world: World) -> None:
    """losing_party: the buyer if awarded < claimed, the merchant if it pays and is liable."""
    dispute_id = world.make_dispute("ruled", awarded_fen=12_900)
    world.insert(
        (
            tables.Ruling,
            {
                "id": "ruling-1",
                "dispute_id": dispute_id,
                "kind": "refund_full",
                "amount_fen": 12_900,
                "liability": "MERCHANT",
                "basis": "RECORD",
                "author_id": "agent-1",
                "issued_at": world.now,
                "appeal_due_at": world.now + timedelta(hours=72),
            },
        )
    )

    buyer, owner = actions(world, BUYER, dispute_id), actions(world, OWNER, dispute_id)

    assert (buyer["appeal"], buyer["accept-ruling"]) == ("not_losing_party", "not_losing_party")
    assert (owner["appeal"], owner["accept-ruling"], owner["seller-agree-refund"]) == (None, None, None)


# --- lists ----------------------------------------------------------------------------------------------------------


def listed(world: World, actor: Actor, **filters: Any) -> list[str]:
    def story(ctx: Context) -> list[str]:
        return [line.dispute.id for line in list_cases(ctx, **{"limit": 50} | filters)]

    return world.tell(actor, story)


def test_everybody_lists_what_they_may_see_newest_first(world: World) -> None:
    """By role: own, own shop's, what came to the platform, all."""
    mine = world.make_dispute("refused")
    world.open_shop("shop-2", owner="seat-owner-2")
    theirs = world.make_dispute("intervening", line=world.place_order(buyer="buyer-2", shop="shop-2"))

    assert listed(world, BUYER) == listed(world, OWNER) == listed(world, SEAT) == [mine]
    assert listed(world, OTHER_BUYER) == listed(world, OTHER_OWNER) == listed(world, AGENT) == [theirs]
    assert listed(world, SUPERVISOR) == listed(world, AUDITOR) == [theirs, mine]


def test_a_list_is_filtered_by_state_assignee_and_what_is_due(world: World) -> None:
    """Half-open again: due before an instant means earlier than it."""
    refused = world.make_dispute("refused")  # T2 in seven days
    asked = world.make_dispute("requested")  # T1 in two
    taken = world.make_dispute("intervening", assignee_id="agent-1")
    two_days = world.now + timedelta(hours=48)

    assert listed(world, SUPERVISOR, state="requested") == [asked]
    assert listed(world, SUPERVISOR, assignee="agent-1") == [taken]
    assert listed(world, BUYER, due_before=two_days) == []
    assert listed(world, BUYER, due_before=two_days + timedelta(microseconds=1)) == [asked]
    assert listed(world, SUPERVISOR, due_before=world.now + timedelta(days=8)) == [taken, asked, refused]
    with pytest.raises(Forbidden, match="filter_not_allowed"):
        listed(world, BUYER, assignee="agent-1")


def test_a_partys_list_tells_nothing_of_clocks_below_the_dispute(world: World) -> None:
    """A buyer cannot find out by filters when the merchant's reply is due."""
    dispute_id = world.make_dispute("intervening")
    children(world, dispute_id)
    soon = world.now + timedelta(hours=1)

    assert (listed(world, BUYER, due_before=soon), listed(world, AGENT, due_before=soon)) == ([], [dispute_id])


def test_pages_of_a_list_neither_repeat_nor_skip(world: World) -> None:
    """Keyset by id: what is opened meanwhile changes no later page."""
    made = [world.make_dispute("requested") for _ in range(5)]

    first = listed(world, BUYER, limit=2)[:2]
    world.make_dispute("requested")
    second = listed(world, BUYER, limit=2, after=first[-1])[:2]
    third = listed(world, BUYER, limit=2, after=second[-1])

    assert first + second + third == made[::-1]


# --- over HTTP ------------------------------------------------------------------------------------------------------


def test_a_dispute_looks_to_each_as_it_should(http: HttpWorld) -> None:
    """Edge case 59: `now` and `due_at` are the server's; only staff see the assignee; strangers find nothing."""
    dispute_id = http.open_one()
    path = f"/disputes/{dispute_id}"

    buyer, owner, supervisor = (http.get(user, path) for user in ("buyer", "owner", "supervisor"))

    assert buyer.json()["now"] == "2026-11-23T02:00:00.000000Z"
    assert [(t["name"], t["due_at"], t["on_expiry"]) for t in buyer.json()["timers"]] == [
        ("seller_response", "2026-11-25T02:00:00.000000Z", "seller_response_timeout")
    ]
    assert buyer.headers["ETag"] == f'"{buyer.json()["revision"]}"'
    assert buyer.json()["state_label"] == {"zh": "待商家处理", "en": "Waiting for the merchant"}
    assert [a["action"] for a in owner.json()["available_actions"] if a["mandatory"]] == [
        "seller-refuse",
        "seller-agree-refund",
        "seller-agree-return",
        "seller-offer",
    ]
    assert supervisor.status_code == 200
    for user in ("buyer-2", "owner-2", "agent"):
        assert http.get(user, path).status_code == 404
    assert http.get("rules-editor", path).status_code == 403


def test_a_list_over_http_pages_and_filters(http: HttpWorld) -> None:
    """Links, cursors, bad filters and bounds."""
    made = [http.open_one() for _ in range(3)]

    first = http.get("buyer", "/disputes", limit=2, state="requested")
    second = http.get("buyer", "/disputes", limit=2, state="requested", cursor=first.json()["next_cursor"])

    assert [d["id"] for d in first.json()["items"] + second.json()["items"]] == made[::-1]
    assert 'rel="next"' in first.headers["Link"]
    assert 'rel="next"' not in second.headers["Link"]
    assert first.json()["items"][0]["due_at"] == "2026-11-25T02:00:00.000000Z"
    for bad in ({"limit": 0}, {"limit": 201}, {"state": "happy"}, {"due_before": "tomorrow"}, {"cursor": "x"}):
        assert http.get("buyer", "/disputes", **bad).status_code == 400, bad
    assert http.get("buyer", "/disputes", assignee="agent-1").status_code == 403
    assert http.get("agent", "/disputes").json()["items"] == []
    assert len(http.get("auditor", "/disputes", due_before="2026-11-25T10:00:00.000001+08:00").json()["items"]) == 3


@pytest.mark.parametrize("year", ["0001-01-01", "9999-12-31", "1999-12-30", "2200-01-02"])
@pytest.mark.parametrize("clock", ["T00:00:00+14:00", "T23:59:59.999999-12:00", "T12:00:00Z"])
def test_an_instant_that_no_calendar_of_ours_shows_is_no_filter(http: HttpWorld, year: str, clock: str) -> None:
    """The ends of the calendar overflow in another zone: a clear refusal, the same as in a body, never 500."""
    http.open_one()

    refused = http.get("buyer", "/disputes", due_before=year + clock)

    assert (refused.status_code, refused.json()["code"]) == (422, "instant_out_of_range")


@pytest.mark.parametrize("edge", ["2000-01-01T00:00:00Z", "2199-12-31T00:00:00Z", "2199-12-31T14:00:00+14:00"])
def test_the_ends_of_our_calendar_are_filters_like_any_other(http: HttpWorld, edge: str) -> None:
    """What is taken is answered, in pages whose links are good."""
    for _ in range(2):
        http.open_one()

    page = http.get("buyer", "/disputes", due_before=edge, limit=1)

    assert (page.status_code, len(page.json()["items"])) == (200, 0 if edge.startswith("2000") else 1)
    for link in page.headers["Link"].split(", "):
        address = link[1:].partition(">")[0]
        assert http.client.get(address, headers=http.as_("buyer")).status_code == 200
