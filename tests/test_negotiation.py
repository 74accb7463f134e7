"""Every action of the two parties, in every state, for every side: where the table has no arrow nothing moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain.dispute import DISPUTE
from service.domain.dispute_actions import ACTIONS
from service.domain.errors import Absent, ArrowMissing, Forbidden, Refusal
from service.domain.staff import Actor
from service.flows.answer_offer import accept_offer, decline_offer
from service.flows.call_platform import Call, call_platform, platform_intervene
from service.flows.context import Context
from service.flows.negotiate import (
    Refusing,
    improve_offer,
    seller_agree_refund,
    seller_agree_return,
    seller_offer,
    seller_refuse,
)
from service.flows.open_dispute import Change, modify, withdraw
from service.flows.return_goods import waive_return
from tests.judge import dispute
from tests.negotiating import POLITE, RISK, offer
from tests.world import AGENT, BUYER, MARKETPLACE, OTHER_BUYER, OTHER_OWNER, SEAT, SUPERVISOR, World

Story = Callable[[Context, str], object]

STORIES: dict[str, tuple[Actor, Story]] = {
    "seller_refuse": (SEAT, lambda ctx, d: seller_refuse(ctx, d, Refusing("other", POLITE))),
    "seller_agree_refund": (SEAT, lambda ctx, d: seller_agree_refund(ctx, d, amount_fen=None, currency=None)),
    "seller_agree_return": (SEAT, lambda ctx, d: seller_agree_return(ctx, d, return_address=None, confirm_token=None)),
    "seller_offer": (SEAT, lambda ctx, d: seller_offer(ctx, d, offer(100))),
    "seller_improve_offer": (SEAT, lambda ctx, d: improve_offer(ctx, d, offer(200))),
    "seller_waive_return": (SEAT, lambda ctx, d: waive_return(ctx, d)),
    "buyer_accept_offer": (BUYER, lambda ctx, d: accept_offer(ctx, d, promise_id=None)),
    "buyer_decline_offer": (BUYER, lambda ctx, d: decline_offer(ctx, d, note=None)),
    "buyer_modify": (BUYER, lambda ctx, d: modify(ctx, d, Change(amount_fen=500, currency="CNY"))),
    "buyer_withdraw": (BUYER, lambda ctx, d: withdraw(ctx, d, note=None)),
    "request_intervention": (BUYER, lambda ctx, d: call_platform(ctx, d, Call("address_bad"))),
    "merchant_requests_intervention": (SEAT, lambda ctx, d: call_platform(ctx, d, Call())),
    "platform_intervene": (RISK, lambda ctx, d: platform_intervene(ctx, d, risk_rule="r-1")),
}


def test_an_action_goes_exactly_where_the_table_lets_it(world: World) -> None:
    """Every state × action: where the table has no arrow the answer is 409 `arrow_missing` and nothing has moved."""
    for trigger, (actor, story) in STORIES.items():
        for state in DISPUTE.states:
            closing = {"outcome": "BUYER_WITHDREW", "closed_at": world.now} if state == "closed" else {}
            dispute_id = world.make_dispute(state, intervened_at=world.now, **closing)

            refusal: Refusal | None = None
            try:
                world.tell(actor, lambda ctx, d=dispute_id, tell=story: tell(ctx, d))
            except Refusal as caught:
                refusal = caught

            drawn = bool(DISPUTE.arrows_from(state, trigger))
            assert isinstance(refusal, ArrowMissing) != drawn, (state, trigger, refusal)
            if refusal is not None:
                row = dispute(world, dispute_id)
                assert (row.state, row.version) == (state, 1)


def test_another_partys_dispute_is_absent_to_every_action(world: World) -> None:
    """Edge case 55: ids of another merchant or buyer are 404; the marketplace's own systems have no tenant."""
    dispute_id = world.make_dispute("requested")
    strangers = {"buyer": OTHER_BUYER, "merchant": OTHER_OWNER}

    for actor, story in STORIES.values():
        if actor.side in strangers:
            with pytest.raises(Absent):
                world.tell(strangers[actor.side], lambda ctx, tell=story: tell(ctx, dispute_id))

    assert dispute(world, dispute_id).version == 1


def test_every_action_of_a_party_is_tried_above() -> None:
    """What another story's tests try: shipping, inspecting, ruling, appealing, paying."""
    elsewhere = {
        "accept_dispute",
        "transfer",
        "buyer_ship_return",
        "seller_confirm_receipt",
        "seller_report_return_problem",
        "issue_ruling",
        "accept_ruling",
        "appeal",
        "appeal_withdrawn",
        "appeal_uphold",
        "appeal_overturn",
        "appeal_remand",
        "retry_execution",
        "settle_offline",
    }

    assert set(STORIES) | elsewhere == {action.trigger for action in ACTIONS}


def test_an_agent_or_the_marketplace_answers_for_nobody(world: World) -> None:
    """Sides are asked of the table as well as of the edge."""
    dispute_id = world.make_dispute("intervening")

    for actor in (AGENT, SUPERVISOR, MARKETPLACE):
        with pytest.raises((Forbidden, Absent)):
            world.tell(actor, lambda ctx: seller_agree_refund(ctx, dispute_id, amount_fen=None, currency=None))
