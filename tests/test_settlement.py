"""The platform takes a case in hand and rules: whose case, what a ruling must rest on, who accepts."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.errors import Absent, Forbidden
from service.domain.policy import DEFAULT
from service.domain.staff import Actor
from service.flows import hear_appeal, negotiate, settle_dispute
from service.flows.read_settlement import read_rulings
from service.flows.rulings import Cite
from service.flows.settle_dispute import RulingMade
from service.store import tables
from service.store.quotations import Quotation
from tests.judge import (
    appealing,
    at_work,
    decision,
    dispute,
    due,
    quotation,
    refusal_of,
    rule,
    say,
    tick,
)
from tests.world import (
    AGENT,
    AUDITOR,
    BUYER,
    MARKETPLACE,
    OTHER_AGENT,
    OWNER,
    SUPERVISOR,
    World,
)

# --- whose case it is -----------------------------------------------------------------------------------------------


def test_who_accepts_first_has_the_case_and_the_second_is_told_so(world: World) -> None:
    """Edge case 3: one assignee, one event."""
    dispute_id = world.make_dispute("intervention_requested")
    world.tell(AGENT, lambda ctx: settle_dispute.accept_dispute(ctx, dispute_id))

    refused = refusal_of(world, OTHER_AGENT, lambda ctx: settle_dispute.accept_dispute(ctx, dispute_id))

    assert refused.code == "arrow_missing"
    assert dispute(world, dispute_id).assignee_id == AGENT.subject
    assert len(world.rows(tables.Outbox, type="dispute.assigned")) == 1
    assert {r.party for r in world.rows(tables.EvidenceRequest, dispute_id=dispute_id)} == {"buyer", "merchant"}


def test_a_case_routed_to_one_agent_is_not_for_another(world: World) -> None:
    """Routed or claimed: `not_routed`."""
    dispute_id = world.make_dispute("intervention_requested", assignee_id=AGENT.subject)

    refused = refusal_of(world, OTHER_AGENT, lambda ctx: settle_dispute.accept_dispute(ctx, dispute_id))
    world.tell(AGENT, lambda ctx: settle_dispute.accept_dispute(ctx, dispute_id))

    assert refused.code == "not_routed"
    assert dispute(world, dispute_id).state == "intervening"


@pytest.mark.parametrize("action", ["accept", "transfer", "rule"])
def test_nobody_works_on_their_own_purchase(world: World, action: str) -> None:
    """Edge case 28: the agent's own buyer account is the one that disputes."""
    world.insert((tables.StaffAccount, {"id": OTHER_AGENT.subject, "buyer_id": "buyer-1", "updated_at": world.now}))
    world.insert((tables.StaffAccount, {"id": SUPERVISOR.subject, "buyer_id": "buyer-1", "updated_at": world.now}))
    if action == "accept":
        dispute_id = world.make_dispute("intervention_requested")
        refused = refusal_of(world, OTHER_AGENT, lambda ctx: settle_dispute.accept_dispute(ctx, dispute_id))
    else:
        dispute_id = at_work(world)
        wanted = decision(world, dispute_id)
        refused = (
            refusal_of(
                world,
                AGENT,
                lambda ctx: settle_dispute.transfer(ctx, dispute_id, assignee_id=OTHER_AGENT.subject),
            )
            if action == "transfer"
            else refusal_of(world, SUPERVISOR, lambda ctx: settle_dispute.issue_ruling(ctx, dispute_id, wanted))
        )

    assert refused.code == "conflict_of_interest"


def test_nobody_is_handed_a_case_who_no_longer_works_here(world: World) -> None:
    """What the marketplace told last counts; an agent it never spoke of is taken at their word."""
    dispute_id = at_work(world)
    world.tell(
        MARKETPLACE, lambda ctx: settle_dispute.know_staff(ctx, OTHER_AGENT.subject, buyer_id=None, active=False)
    )

    refused = refusal_of(
        world, AGENT, lambda ctx: settle_dispute.transfer(ctx, dispute_id, assignee_id=OTHER_AGENT.subject)
    )
    world.tell(
        MARKETPLACE, lambda ctx: settle_dispute.know_staff(ctx, OTHER_AGENT.subject, buyer_id="buyer-9", active=True)
    )
    world.tell(AGENT, lambda ctx: settle_dispute.transfer(ctx, dispute_id, assignee_id=OTHER_AGENT.subject))

    assert refused.code == "agent_inactive"
    assert dispute(world, dispute_id).assignee_id == OTHER_AGENT.subject


def test_a_case_is_handed_over_released_and_taken_up_again(world: World) -> None:
    """Only its own agent or a supervisor hands it over; a released one is anybody's to take."""
    dispute_id = at_work(world)

    stranger = refusal_of(
        world, OTHER_AGENT, lambda ctx: settle_dispute.transfer(ctx, dispute_id, assignee_id=OTHER_AGENT.subject)
    )
    world.tell(AGENT, lambda ctx: settle_dispute.release(ctx, dispute_id))
    released = dispute(world, dispute_id).assignee_id
    world.tell(OTHER_AGENT, lambda ctx: settle_dispute.transfer(ctx, dispute_id, assignee_id=OTHER_AGENT.subject))

    assert isinstance(stranger, Forbidden)
    assert released is None
    assert dispute(world, dispute_id).assignee_id == OTHER_AGENT.subject
    assert dispute(world, dispute_id).state == "intervening"


def test_a_dispute_that_never_came_to_the_platform_is_absent_to_agents(world: World) -> None:
    """Somebody else's object is 404."""
    dispute_id = world.make_dispute("refused")

    refused = refusal_of(world, AGENT, lambda ctx: settle_dispute.accept_dispute(ctx, dispute_id))

    assert isinstance(refused, Absent)


# --- the ruling -----------------------------------------------------------------------------------------------------


def test_a_ruling_stands_with_its_reasons_and_freezes_the_evidence(world: World) -> None:
    """Arrow 39: ruling v1, liability, T8 armed, evidence frozen, requests ended."""
    dispute_id = at_work(world)

    made = rule(world, dispute_id, "refund_partial")

    assert isinstance(made, RulingMade)
    ruling = world.row(tables.Ruling, id=made.ruling_id)
    assert (ruling.kind, ruling.amount_fen, ruling.liability, ruling.author_id) == (
        "refund_partial",
        5_000,
        "MERCHANT",
        AGENT.subject,
    )
    assert ruling.appeal_due_at == due(world, dispute_id, "appeal_window") == world.now + DEFAULT.appeal_window
    assert dispute(world, dispute_id).state == "ruled"
    assert {r.state for r in world.rows(tables.EvidenceRequest, dispute_id=dispute_id)} == {"cancelled"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount_fen": 12_901}, "amount_over_refundable"),
        ({"amount_fen": 0}, "amount_not_of_kind"),
        ({"kind": "refund_partial", "amount_fen": 12_900}, "amount_not_of_kind"),
        ({"kind": "reject", "amount_fen": 1}, "amount_not_of_kind"),
        ({"kind": "give_it_all"}, "ruling_kind_unknown"),
        ({"currency": "JPY"}, "currency_mismatch"),
        ({"cites": ()}, "ruling_uncited"),
        ({"basis": "PLATFORM_TIMEOUT"}, "basis_unknown"),
        ({"reasons": "短"}, "text_length"),
        ({"reasons": "商家承诺今天会退款129元给您"}, "uncleared_promise"),
        ({"cites": (Cite(evidence_id="00000000-0000-7000-8000-000000000000"),)}, "evidence_unknown"),
    ],
)
def test_what_a_ruling_may_not_be(world: World, changes: dict[str, Any], code: str) -> None:
    """Edge cases 35 and 38: within claim and cap, of its kind, cited, in cleared words."""
    dispute_id = at_work(world)
    wanted = decision(world, dispute_id, **changes)

    refused = refusal_of(world, AGENT, lambda ctx: settle_dispute.issue_ruling(ctx, dispute_id, wanted))

    assert refused.code == code
    assert dispute(world, dispute_id).state == "intervening"


def test_more_than_was_claimed_is_awarded_to_nobody(world: World) -> None:
    """Edge case 38: the line would allow it, the claim does not."""
    dispute_id = at_work(world, paid_fen=20_000, claimed_fen=12_900)
    wanted = decision(world, dispute_id, amount_fen=12_901)

    refused = refusal_of(world, AGENT, lambda ctx: settle_dispute.issue_ruling(ctx, dispute_id, wanted))

    assert refused.code == "amount_over_claim"


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [(0, 4, "收到的鞋"), (1, 5, "收到的衣"), (0, 99, "收到的衣"), (4, 4, ""), (0, 3, "收到的衣")],
)
def test_a_quotation_says_exactly_what_stands_there(world: World, start: int, end: int, text: str) -> None:
    """B4: another word, another place, past the end, nothing at all: refused."""
    dispute_id = at_work(world)
    message = world.rows(tables.Message, dispute_id=dispute_id)[0]
    wanted = decision(world, dispute_id, cites=(Cite(Quotation(message.id, start, end, text)),))

    refused = refusal_of(world, AGENT, lambda ctx: settle_dispute.issue_ruling(ctx, dispute_id, wanted))

    assert refused.code == "quotation_mismatch"


def test_what_was_blocked_cannot_be_quoted(world: World) -> None:
    """A ruling is read by the buyer: words that never went out do not go out with it."""
    dispute_id = at_work(world)
    blocked = say(world, dispute_id, OWNER, "加我微信", delivery="blocked")
    wanted = decision(world, dispute_id, cites=(Cite(Quotation(blocked, 0, 4, "加我微信")),))

    refused = refusal_of(world, AGENT, lambda ctx: settle_dispute.issue_ruling(ctx, dispute_id, wanted))

    assert refused.code == "quotation_unknown"


def test_a_buyer_reads_the_ruling_but_not_the_platforms_talk_with_the_shop(world: World) -> None:
    """The citation is shown, the words of a conversation it does not read are not."""
    dispute_id = at_work(world)
    answered = say(world, dispute_id, OWNER, "我们仓库确认发错了货", conversation="inquiry")
    rule(world, dispute_id, cites=(quotation(world, dispute_id), Cite(Quotation(answered, 0, 6, "我们仓库确认"))))

    seen = {
        who.side: world.tell(who, lambda ctx: [c.text for c in read_rulings(ctx, dispute_id)[1][0].cites])
        for who in (BUYER, OWNER, AUDITOR)
    }

    assert seen == {
        "buyer": ["收到的衣", None],
        "merchant": ["收到的衣", "我们仓库确认"],
        "auditor": ["收到的衣", "我们仓库确认"],
    }


def test_of_a_ruling_and_an_agreement_at_once_the_second_finds_another_state(world: World) -> None:
    """Edge case 4: exactly one wins."""
    dispute_id = at_work(world)
    wanted = decision(world, dispute_id)
    world.tell(OWNER, lambda ctx: negotiate.seller_agree_refund(ctx, dispute_id, amount_fen=None, currency=None))

    refused = refusal_of(world, AGENT, lambda ctx: settle_dispute.issue_ruling(ctx, dispute_id, wanted))

    assert refused.code == "arrow_missing"
    assert world.rows(tables.Ruling, dispute_id=dispute_id) == []


# --- acceptance -----------------------------------------------------------------------------------------------------


def test_a_partial_ruling_waits_for_both_losing_parties(world: World) -> None:
    """Arrow 49: an earlier acceptance is recorded, the state stays; twice is refused."""
    dispute_id = at_work(world)
    rule(world, dispute_id, "refund_partial")
    world.tell(BUYER, lambda ctx: settle_dispute.accept_ruling(ctx, dispute_id))
    waiting = dispute(world, dispute_id).state

    twice = refusal_of(world, BUYER, lambda ctx: settle_dispute.accept_ruling(ctx, dispute_id))
    world.tell(OWNER, lambda ctx: settle_dispute.accept_ruling(ctx, dispute_id))

    assert (waiting, twice.code) == ("ruled", "already_accepted")
    assert dispute(world, dispute_id).state == "executing"
    assert world.row(tables.Ruling, dispute_id=dispute_id).final
    execution = world.row(tables.RefundExecution, dispute_id=dispute_id)
    assert (execution.amount_fen, execution.fund) == (5_000, "MERCHANT")


@pytest.mark.parametrize(("kind", "winner"), [("refund_full", BUYER), ("reject", OWNER)])
def test_the_winner_has_nothing_to_accept_or_appeal(world: World, kind: str, winner: Actor) -> None:
    """Edge case 49: `not_losing_party`."""
    dispute_id = at_work(world)
    rule(world, dispute_id, kind)
    wanted = appealing(world, dispute_id, winner)

    accepted = refusal_of(world, winner, lambda ctx: settle_dispute.accept_ruling(ctx, dispute_id))
    appealed = refusal_of(world, winner, lambda ctx: hear_appeal.appeal(ctx, dispute_id, wanted))

    assert (accepted.code, appealed.code) == ("not_losing_party", "not_losing_party")


def test_a_ruling_that_wants_the_goods_back_sends_them_to_the_shops_address(world: World) -> None:
    """Arrow 49 ▸: refund_with_return leads to a return that was ruled."""
    dispute_id = at_work(world)
    rule(world, dispute_id, "refund_with_return")

    world.tell(OWNER, lambda ctx: settle_dispute.accept_ruling(ctx, dispute_id))

    after = dispute(world, dispute_id)
    shop = world.row(tables.Merchant, id="shop-1")
    assert (after.state, after.return_origin, after.return_address) == (
        "awaiting_return",
        "ruling",
        shop.return_address,
    )
    assert after.outcome_hint == "REFUNDED_BY_RULING"


def test_where_the_platform_is_liable_the_platform_pays(world: World) -> None:
    """T13: nobody ruled in fifteen days; nobody loses, and the fund is the platform's."""
    dispute_id = at_work(world)

    world.pass_time(days=15, seconds=1)
    tick(world)
    ruled = dispute(world, dispute_id)
    nobody = refusal_of(world, OWNER, lambda ctx: settle_dispute.accept_ruling(ctx, dispute_id))
    world.pass_time(hours=72, seconds=1)
    tick(world)

    assert (ruled.state, ruled.liability) == ("ruled", "PLATFORM")
    assert nobody.code == "not_losing_party"
    assert world.row(tables.RefundExecution, dispute_id=dispute_id).fund == "PLATFORM"
    assert dispute(world, dispute_id).outcome_hint == "REFUNDED_BY_DEFAULT_RULING"
