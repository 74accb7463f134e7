"""The two parties settle it, or one of them calls the platform in: every action, in every state, for every side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event
from time import sleep
from typing import Any

import pytest

from service.domain.dispute import DISPUTE
from service.domain.dispute_actions import ACTIONS
from service.domain.errors import Absent, ArrowMissing, Conflict, Forbidden, GuardFailed, Refusal, WindowClosed
from service.domain.staff import Actor, Role
from service.flows.acknowledge_notice import acknowledge_notice
from service.flows.call_platform import Call, Cited, call_platform, platform_intervene
from service.flows.context import THE_CLOCK, Context
from service.flows.exchange_messages import Said, Sent, post_message
from service.flows.heard import Outcome
from service.flows.moves import facts_of, move
from service.flows.negotiate import (
    Offering,
    Refusing,
    accept_offer,
    decline_offer,
    improve_offer,
    seller_agree_refund,
    seller_agree_return,
    seller_offer,
    seller_refuse,
    waive_return,
)
from service.flows.open_dispute import Change, modify, withdraw
from service.flows.overtaken import overtaken_by_clock
from service.flows.read_case import read_case, require_seen
from service.flows.upload_file import keep_upload
from service.store import tables
from service.store.disputes import load_case
from service.store.engine import Transaction
from service.store.files import StoredFile
from service.store.writes import Plan
from tests.over_http import HttpWorld
from tests.world import (
    AGENT,
    BUYER,
    MARKETPLACE,
    OTHER_BUYER,
    OTHER_OWNER,
    OWNER,
    SEAT,
    START,
    SUPERVISOR,
    World,
)

RISK = Actor(Role.SYSTEM, "system:risk", scopes=frozenset({"risk"}))
POLITE = "商品发出前检查过,没有问题,请您再看一下"


def dispute(world: World, dispute_id: str) -> tables.Dispute:
    return world.row(tables.Dispute, id=dispute_id)


def set_row(world: World, model: Any, row_id: str, **columns: object) -> None:
    plan = Plan()
    plan.update(model, row_id, **columns)
    world.database.run(lambda tx: tx.apply([plan]))


def offer(amount_fen: int, kind: str = "partial_refund", **more: Any) -> Offering:
    return Offering(kind, amount_fen, "CNY", **more)


def offered(world: World, amount_fen: int = 3_000, kind: str = "partial_refund", **columns: Any) -> str:
    """A dispute with an offer of the merchant on the table."""
    dispute_id = world.make_dispute("requested", **columns)
    world.tell(OWNER, lambda ctx: seller_offer(ctx, dispute_id, offer(amount_fen, kind)))
    return dispute_id


def said(world: World, dispute_id: str, text: str, actor: Actor = BUYER) -> str:
    """A message of the negotiation; returns its id."""
    client_id = f"c-{next(world.numbers)}"
    answer = world.tell(actor, lambda ctx: post_message(ctx, dispute_id, Said(client_id, text=text)))
    assert isinstance(answer, Sent | Outcome)
    return answer.message_id


# --- every state and every action -----------------------------------------------------------------------------------

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
                world.tell(actor, lambda ctx, d=dispute_id, tell=story: tell(ctx, d))  # type: ignore[misc]
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
                world.tell(strangers[actor.side], lambda ctx, tell=story: tell(ctx, dispute_id))  # type: ignore[misc]

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


# --- refusing -------------------------------------------------------------------------------------------------------


def refuse(world: World, dispute_id: str, *, actor: Actor = OWNER, **changes: Any) -> Outcome | None:
    refusing = replace(Refusing("other", POLITE), **changes)
    return world.tell(actor, lambda ctx: seller_refuse(ctx, dispute_id, refusing))


def test_a_refusal_tells_the_buyer_why_and_until_when_to_go_on(world: World) -> None:
    """Source 001: after a refusal the buyer may bring the platform in, for seven days (T2)."""
    dispute_id = world.make_dispute("requested")

    assert refuse(world, dispute_id) is None

    row = dispute(world, dispute_id)
    assert (row.state, row.refusal_reason, row.refusal_round) == ("refused", "other", 1)
    assert world.armed(dispute_id) == {"escalate_window": START + timedelta(days=7)}
    seen = world.tell(BUYER, lambda ctx: read_case(ctx, require_seen(ctx, dispute_id)))
    assert seen.said(row.refusal_seq, "message") == POLITE


def test_a_refusal_says_two_to_two_hundred_characters(world: World) -> None:
    """Taobao rp.refunds refuse: both edges, both sides."""
    for length, fits in ((1, False), (2, True), (200, True), (201, False)):
        dispute_id = world.make_dispute("requested")
        message = ("请您再看一下商品" * 30)[:length]

        if fits:
            assert refuse(world, dispute_id, message=message) is None
        else:
            with pytest.raises(GuardFailed, match="refusal_message_length"):
                refuse(world, dispute_id, message=message)

        assert dispute(world, dispute_id).state == ("refused" if fits else "requested")


def test_a_reason_that_needs_proof_wants_a_file_that_was_uploaded_here(world: World) -> None:
    """Proof is a file of this shop in this dispute; a fingerprint alone shows nothing."""
    dispute_id = world.make_dispute("requested")
    sha256 = hashlib.sha256(b"proof").hexdigest()

    with pytest.raises(GuardFailed, match="proof_missing"):
        refuse(world, dispute_id, reason="goods_shipped")
    with pytest.raises(GuardFailed, match="proof_unknown"):
        refuse(world, dispute_id, reason="goods_shipped", proof=(sha256,))
    stored = StoredFile(sha256, 5, "image/png")
    world.tell(OWNER, lambda ctx: keep_upload(ctx, dispute_id, "proof", stored))
    refuse(world, dispute_id, reason="goods_shipped", proof=(sha256,))

    assert dispute(world, dispute_id).state == "refused"


def test_a_refusal_at_the_end_of_the_window_is_late_and_before_it_is_not(world: World) -> None:
    """Half-open windows: `received_at == due_at` is late; one microsecond before is in time, whenever it is decided."""
    late, timely = world.make_dispute("requested"), world.make_dispute("requested")
    due_at = START + timedelta(hours=48)
    world.now = due_at + timedelta(milliseconds=500)

    with pytest.raises(WindowClosed):
        world.tell(OWNER, lambda ctx: seller_refuse(ctx, late, Refusing("other", POLITE)), received_at=due_at)
    world.tell(
        OWNER,
        lambda ctx: seller_refuse(ctx, timely, Refusing("other", POLITE)),
        received_at=due_at - timedelta(microseconds=1),
    )

    assert [dispute(world, each).state for each in (late, timely)] == ["requested", "refused"]


def test_a_seat_needs_the_after_sale_permission_when_it_acts(world: World) -> None:
    """The matrix: agree, refuse and offer need `after_sale`; a seat switched off may do nothing (edge case 57)."""
    dispute_id = world.make_dispute("requested")
    set_row(world, tables.Seat, "seat-1", may_after_sale=False)

    with pytest.raises(Forbidden, match="after_sale_permission_missing"):
        refuse(world, dispute_id, actor=SEAT)
    set_row(world, tables.Seat, "seat-1", may_after_sale=True, active=False)
    with pytest.raises(Forbidden, match="seat_inactive"):
        refuse(world, dispute_id, actor=SEAT)
    set_row(world, tables.Merchant, "shop-1", status="shop_closed")

    assert refuse(world, dispute_id, actor=OWNER) is None  # the owner of a closed shop still answers (edge case 27)


# --- words that are not let out -------------------------------------------------------------------------------------

# text → what becomes of it; taken from what the rules of the repository say, not from their lists
BLOCKED = "你这个骗子,滚,别再来找我们店了"


def verdict_of(world: World, text: str) -> str:
    from service.domain.moderation import Channel, moderate
    from service.domain.moderation import Context as Where

    rules = world.house.rules().for_platform("taobao")
    return moderate(text, rules, Where(channel=Channel.NOTE, platform="taobao")).measure.value


def test_words_that_are_not_let_out_are_kept_and_nothing_moves(world: World) -> None:
    """Promise 1: every merchant text is judged; the attempt is recorded and the dispute stays where it is."""
    dispute_id = world.make_dispute("requested")
    assert verdict_of(world, BLOCKED) in ("require_edit", "reject", "reject_with_notice")

    outcome = refuse(world, dispute_id, message=BLOCKED)

    assert isinstance(outcome, Outcome)
    assert not outcome.is_sent
    assert dispute(world, dispute_id).state == "requested"
    assert world.kinds(dispute_id)[-1] == "merchant.refusal_blocked"
    assert world.armed(dispute_id) == {"seller_response": START + timedelta(hours=48)}
    assert world.rows(tables.Offence, seat_id="seat-owner")


def test_a_notice_stops_the_seat_everywhere_until_it_is_read(world: World) -> None:
    """A5: after reject_with_notice the seat's sends answer `notice` until that seat has acknowledged it."""
    first, second = world.make_dispute("requested"), world.make_dispute("requested")
    world.insert(
        (
            tables.Notice,
            {
                "id": "01890000-0000-7000-8000-000000000001",
                "dispute_id": first,
                "merchant_id": "shop-1",
                "seat_id": "seat-1",
                "message_id": "01890000-0000-7000-8000-000000000002",
                "findings": [],
                "created_at": world.now,
            },
        )
    )

    stopped = refuse(world, second, actor=SEAT)
    with pytest.raises(Absent):
        world.tell(OWNER, lambda ctx: acknowledge_notice(ctx, "01890000-0000-7000-8000-000000000001"))
    world.tell(SEAT, lambda ctx: acknowledge_notice(ctx, "01890000-0000-7000-8000-000000000001"))
    world.tell(SEAT, lambda ctx: acknowledge_notice(ctx, "01890000-0000-7000-8000-000000000001"))
    gone_out = refuse(world, second, actor=SEAT)

    assert isinstance(stopped, Outcome)
    assert (stopped.outcome, stopped.notice_id) == ("notice", "01890000-0000-7000-8000-000000000001")
    assert gone_out is None
    assert world.kinds(first)[-1] == "moderation.violation_acknowledged"


def test_the_state_is_asked_before_the_words_are_judged(world: World) -> None:
    """A refusal nobody may make is not even heard: no offence is counted for it."""
    dispute_id = world.make_dispute("refused")

    with pytest.raises(ArrowMissing):
        refuse(world, dispute_id, message=BLOCKED)

    assert world.rows(tables.Offence) == []


# --- agreeing -------------------------------------------------------------------------------------------------------


def agree(world: World, dispute_id: str, amount_fen: int | None = None) -> None:
    world.tell(OWNER, lambda ctx: seller_agree_refund(ctx, dispute_id, amount_fen=amount_fen, currency="CNY"))


def test_agreeing_owes_the_amount_requested(world: World) -> None:
    """Arrow 1: the refund is owed, pending on the line, and goes out behind the transaction."""
    dispute_id = world.make_dispute("requested", claimed_fen=5_000)

    agree(world, dispute_id)

    row = dispute(world, dispute_id)
    assert (row.state, row.awarded_fen, row.outcome_hint) == ("executing", 5_000, "SELLER_AGREED")
    assert world.row(tables.RefundExecution, dispute_id=dispute_id).amount_fen == 5_000
    assert world.row(tables.OrderLine, id=row.order_line_id).pending_fen == 5_000


def test_agreeing_to_another_amount_is_no_agreement(world: World) -> None:
    """An agreement is to the amount requested; less is an offer."""
    for state in ("requested", "refused", "intervening", "ruled"):
        dispute_id = world.make_dispute(state, claimed_fen=5_000)

        for amount in (4_999, 5_001):
            with pytest.raises(GuardFailed, match="amount_not_as_requested"):
                agree(world, dispute_id, amount)

        assert dispute(world, dispute_id).state == state


def test_a_late_agreement_wins_over_everything_that_is_not_final(world: World) -> None:
    """Section 4: SELLER_AGREED_LATE pays what was claimed, whatever was offered or ruled (arrow 51c)."""
    for state in ("refused", "offer_pending", "intervention_requested", "intervening", "ruled", "appealed"):
        dispute_id = world.make_dispute(state, claimed_fen=5_000, awarded_fen=1_000)

        agree(world, dispute_id)

        row = dispute(world, dispute_id)
        assert (row.state, row.outcome_hint, row.awarded_fen) == ("executing", "SELLER_AGREED_LATE", 5_000)


def test_nobody_agrees_to_pay_what_is_not_there(world: World) -> None:
    """Edge case 36: the line was refunded elsewhere meanwhile."""
    dispute_id = world.make_dispute("refused", line=world.place_order(refunded_fen=12_900), claimed_fen=5_000)

    with pytest.raises(GuardFailed, match="amount_over_refundable"):
        agree(world, dispute_id)


def test_the_address_of_the_moment_of_agreement_is_the_one_that_holds(world: World) -> None:
    """Edge case 43: address changed after agreement: the snapshot wins."""
    dispute_id = world.make_dispute("requested", type="return_refund")
    world.tell(OWNER, lambda ctx: seller_agree_return(ctx, dispute_id, return_address=None, confirm_token=None))

    set_row(world, tables.Merchant, "shop-1", return_address="上海市别处 9 号")

    seen = world.tell(BUYER, lambda ctx: read_case(ctx, require_seen(ctx, dispute_id)))
    assert (seen.dispute.state, seen.return_address) == ("awaiting_return", "浙江省杭州市余杭区 1 号")
    assert (seen.dispute.return_origin, seen.dispute.awarded_fen) == ("consent", 12_900)


def test_a_return_needs_an_address(world: World) -> None:
    """Arrow 2: no address, no return; nor an offer that asks for one."""
    set_row(world, tables.Merchant, "shop-1", return_address=None)
    dispute_id = world.make_dispute("requested", type="return_refund")

    with pytest.raises(GuardFailed, match="return_address_missing"):
        world.tell(OWNER, lambda ctx: seller_agree_return(ctx, dispute_id, return_address=" ", confirm_token=None))
    with pytest.raises(GuardFailed, match="return_address_missing"):
        world.tell(OWNER, lambda ctx: seller_offer(ctx, dispute_id, offer(100, "refund_with_return")))


def test_a_late_agreement_to_a_return_is_no_second_one(world: World) -> None:
    """Agreeing again would only start the clock anew; after a parcel was sent it is no answer."""
    dispute_id = world.make_dispute("intervening", type="return_refund", agreed_to_return=True)

    with pytest.raises(GuardFailed, match="return_already_agreed"):
        world.tell(OWNER, lambda ctx: seller_agree_return(ctx, dispute_id, return_address=None, confirm_token=None))


def test_a_waived_return_pays_what_was_agreed(world: World) -> None:
    """Arrow 26: refund without return."""
    dispute_id = world.make_dispute(
        "awaiting_return",
        type="return_refund",
        awarded_fen=4_000,
        outcome_hint="OFFER_ACCEPTED",
        return_origin="consent",
    )

    world.tell(OWNER, lambda ctx: waive_return(ctx, dispute_id))

    assert dispute(world, dispute_id).state == "executing"
    assert world.row(tables.RefundExecution, dispute_id=dispute_id).amount_fen == 4_000


# --- offers ---------------------------------------------------------------------------------------------------------


def test_an_offer_is_for_something_and_for_no_more_than_was_asked(world: World) -> None:
    """Edge case 35: = 0, negative, over."""
    dispute_id = world.make_dispute("requested")

    for amount in (-1, 0, 12_901):
        with pytest.raises(GuardFailed, match="offer_out_of_range"):
            world.tell(OWNER, lambda ctx, amount=amount: seller_offer(ctx, dispute_id, offer(amount)))  # type: ignore[misc]


def test_an_offer_waits_48_hours_for_the_buyer(world: World) -> None:
    """T3, from one fen to everything."""
    for amount in (1, 12_900):
        dispute_id = offered(world, amount)

        assert dispute(world, dispute_id).state == "offer_pending"
        assert world.armed(dispute_id) == {"offer_response": START + timedelta(hours=48)}
        assert world.row(tables.Offer, dispute_id=dispute_id).state == "open"


def test_an_offer_is_in_the_currency_of_the_order(world: World) -> None:
    """Edge case 38."""
    dispute_id = world.make_dispute("requested")

    with pytest.raises(GuardFailed, match="currency_mismatch"):
        world.tell(OWNER, lambda ctx: seller_offer(ctx, dispute_id, Offering("partial_refund", 100, "USD")))


def test_a_better_offer_takes_the_place_of_the_one_on_the_table(world: World) -> None:
    """Arrow 21: T3 runs anew; a worse or an equal one is refused."""
    dispute_id = offered(world, 3_000)
    world.pass_time(hours=1)

    for worse in (offer(3_000), offer(2_999), offer(9_000, "refund_with_return")):
        with pytest.raises(GuardFailed, match="offer_not_better"):
            world.tell(OWNER, lambda ctx, worse=worse: improve_offer(ctx, dispute_id, worse))  # type: ignore[misc]
    world.tell(OWNER, lambda ctx: improve_offer(ctx, dispute_id, offer(3_001)))

    states = [(o.number, o.state, o.amount_fen) for o in world.rows(tables.Offer, dispute_id=dispute_id)]
    assert states == [(1, "superseded", 3_000), (2, "open", 3_001)]
    assert world.armed(dispute_id) == {"offer_response": world.now + timedelta(hours=48)}


def test_the_fourth_offer_is_one_too_many(world: World) -> None:
    """Policy: three offers."""
    dispute_id = offered(world, 1)
    for amount in (2, 3):
        world.tell(OWNER, lambda ctx, amount=amount: improve_offer(ctx, dispute_id, offer(amount)))  # type: ignore[misc]

    with pytest.raises(GuardFailed, match="offers_exhausted"):
        world.tell(OWNER, lambda ctx: improve_offer(ctx, dispute_id, offer(4)))
    world.tell(BUYER, lambda ctx: decline_offer(ctx, dispute_id, note=None))
    with pytest.raises(GuardFailed, match="offers_exhausted"):
        world.tell(OWNER, lambda ctx: seller_offer(ctx, dispute_id, offer(4)))


def test_an_accepted_offer_pays_what_was_offered(world: World) -> None:
    """Arrow 17: awarded is the offer, not the claim."""
    dispute_id = offered(world, 3_000)

    world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))

    row = dispute(world, dispute_id)
    assert (row.state, row.awarded_fen, row.outcome_hint) == ("executing", 3_000, "OFFER_ACCEPTED")
    assert world.row(tables.RefundExecution, dispute_id=dispute_id).amount_fen == 3_000
    assert world.row(tables.Offer, dispute_id=dispute_id).state == "accepted"


def test_an_accepted_offer_with_a_return_waits_for_the_goods(world: World) -> None:
    """Arrow 18: the address is fixed, the amount is what was offered, nothing is paid yet."""
    dispute_id = offered(world, 3_000, "refund_with_return")

    world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))

    row = dispute(world, dispute_id)
    assert (row.state, row.awarded_fen, row.return_origin) == ("awaiting_return", 3_000, "consent")
    assert row.return_address
    assert world.rows(tables.RefundExecution) == []


def test_an_offer_is_not_raised_after_it_was_accepted(world: World) -> None:
    """Edge case 37: offer raised after acceptance."""
    dispute_id = offered(world)
    world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))

    with pytest.raises(ArrowMissing):
        world.tell(OWNER, lambda ctx: improve_offer(ctx, dispute_id, offer(9_000)))


def test_nobody_accepts_their_own_offer(world: World) -> None:
    """Edge case 37: "Cannot accept your own offer"."""
    dispute_id = offered(world)

    with pytest.raises(Forbidden, match="not_your_action"):
        world.tell(OWNER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))


def test_an_offer_is_not_accepted_once_its_time_is_over(world: World) -> None:
    """T3 is half-open."""
    dispute_id = offered(world)
    world.pass_time(hours=48)

    with pytest.raises(WindowClosed):
        world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))


def test_an_offer_that_the_line_can_no_longer_pay_is_not_accepted(world: World) -> None:
    """Edge case 36: refunded elsewhere while the offer was on the table."""
    dispute_id = offered(world, 3_000)
    set_row(world, tables.OrderLine, dispute(world, dispute_id).order_line_id, refunded_fen=10_000)

    with pytest.raises(GuardFailed, match="amount_over_refundable"):
        world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=None))


def test_a_declined_offer_gives_the_buyer_seven_days_anew(world: World) -> None:
    """Arrow 19 re-arms T2."""
    dispute_id = offered(world)
    world.pass_time(hours=3)

    world.tell(BUYER, lambda ctx: decline_offer(ctx, dispute_id, note="太少了"))

    assert world.armed(dispute_id) == {"escalate_window": world.now + timedelta(days=7)}
    assert world.row(tables.Offer, dispute_id=dispute_id).state == "declined"


def test_the_offer_ends_with_the_negotiation(world: World) -> None:
    """Arrow 22 and the others: no offer stays open once its state is left."""
    ends: tuple[tuple[Actor, str, str], ...] = (
        (BUYER, "request_intervention", "declined"),
        (BUYER, "buyer_withdraw", "declined"),
        (OWNER, "seller_agree_refund", "superseded"),
        (THE_CLOCK, "offer_expired", "expired"),
    )
    for actor, trigger, state in ends:
        dispute_id = offered(world)

        world.tell(actor, pulls(dispute_id, trigger))

        assert world.row(tables.Offer, dispute_id=dispute_id).state == state


def pulls(dispute_id: str, trigger: str) -> Callable[[Context], None]:
    """A story that does no more than pull a trigger."""

    def story(ctx: Context) -> None:
        case = load_case(ctx.tx.session, dispute_id)
        assert case is not None
        move(ctx, case, trigger, facts_of(ctx, case, amount_fen=case.dispute.claimed_fen))

    return story


# --- a promise that was passed on (arrow 46) ------------------------------------------------------------------------


def promise(world: World, dispute_id: str, state: str = "relayed", **columns: Any) -> str:
    promise_id = f"01890000-0000-7000-8000-{next(world.numbers):012d}"
    told = state in ("relayed", "fulfilled", "breached")
    world.insert(
        (
            tables.Promise,
            {
                "id": promise_id,
                "dispute_id": dispute_id,
                "state": state,
                "wording": "unconditional",
                "action": "partial_refund",
                "amount_fen": 4_000,
                "due_at": world.now + timedelta(days=1),
                "canonical_zh": "退款 40 元",
                "canonical_en": "refund 40 yuan",
                "canonical_sha256": "a" * 64,
                "confirmed_canonical": "a" * 64 if state == "confirmed" or told else None,
                "confirmation_hash": b"h" * 32 if state == "confirmed" or told else None,
                "relay_seq": 1 if told else None,
                "created_at": world.now,
            }
            | columns,
        )
    )
    return promise_id


def test_a_buyer_takes_the_refund_that_was_passed_on(world: World) -> None:
    """Arrow 46 (source 002 FAQ 4): awarded is what was promised."""
    dispute_id = world.make_dispute("intervening")
    promise_id = promise(world, dispute_id)

    world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=promise_id))

    row = dispute(world, dispute_id)
    assert (row.state, row.awarded_fen, row.outcome_hint) == ("executing", 4_000, "OFFER_ACCEPTED")


def test_only_a_promise_of_money_that_was_passed_on_is_accepted(world: World) -> None:
    """What the buyer was not told of cannot be accepted, nor what names no amount."""
    dispute_id = world.make_dispute("intervening")
    others: tuple[dict[str, Any], ...] = (
        {"state": "confirmed"},
        {"state": "extracted"},
        {"action": "ship"},
        {"amount_fen": None},
    )
    for columns in others:
        promise_id = promise(world, dispute_id, **columns)

        with pytest.raises(GuardFailed, match="promise_not_relayed"):
            world.tell(BUYER, lambda ctx, p=promise_id: accept_offer(ctx, dispute_id, promise_id=p))  # type: ignore[misc]


def test_another_disputes_promise_is_none_of_this_one(world: World) -> None:
    """Arrow 46 names a promise of its own dispute."""
    dispute_id, other = world.make_dispute("intervening"), world.make_dispute("intervening")
    promise_id = promise(world, other)

    with pytest.raises(GuardFailed, match="promise_not_relayed"):
        world.tell(BUYER, lambda ctx: accept_offer(ctx, dispute_id, promise_id=promise_id))


# --- calling the platform in ----------------------------------------------------------------------------------------


def call(world: World, dispute_id: str, actor: Actor = BUYER, **said: Any) -> Outcome | None:
    return world.tell(actor, lambda ctx: call_platform(ctx, dispute_id, Call(**said)))


def test_a_buyer_calls_the_platform_until_the_seventh_day_is_over(world: World) -> None:
    """Edge case 19: T2 as shown is the T2 that is used, in UTC microseconds, whatever the day in Shanghai."""
    late, timely = world.make_dispute("refused"), world.make_dispute("refused")
    seen = world.tell(BUYER, lambda ctx: read_case(ctx, require_seen(ctx, late)))
    shown = next(a.due_at for a in seen.actions if a.action == "request-intervention")
    assert shown is not None

    world.now = shown
    with pytest.raises(WindowClosed):
        call(world, late)
    world.pass_time(microseconds=-1)
    call(world, timely)

    row = dispute(world, timely)
    assert (row.state, row.intervened_at) == ("intervention_requested", world.now)
    assert {"accept_alarm", "hard_deadline"} == set(world.armed(timely))


def test_a_second_call_finds_the_arrow_gone(world: World) -> None:
    """Edge case 2: same intervention request twice, another key → second 409 `arrow_missing`."""
    dispute_id = world.make_dispute("refused")
    call(world, dispute_id)

    with pytest.raises(ArrowMissing):
        call(world, dispute_id)


def test_a_supervisor_calls_on_the_buyers_behalf_and_is_marked_so(world: World) -> None:
    """Edge case 57: supervisor acting on behalf is marked so."""
    dispute_id = world.make_dispute("refused")

    call(world, dispute_id, SUPERVISOR, reason="vulnerable_buyer")

    entry = next(
        e for e in world.rows(tables.TranscriptEntry, dispute_id=dispute_id) if e.kind.endswith("_intervention")
    )
    assert b'"on_behalf_of":"buyer"' in entry.body
    assert dispute(world, dispute_id).opened_by == "supervisor"


def test_a_merchant_reports_with_a_message_of_the_buyer(world: World) -> None:
    """B5: a merchant cites a message; the report alone changes no money."""
    dispute_id = world.make_dispute("requested")
    message_id = said(world, dispute_id, "不退全款我就给你差评,再叫人来骂")

    call(world, dispute_id, OWNER, cites=(Cited(message_id, 8, 10, "差评"),), note="买家以差评威胁,请平台处理")

    row = dispute(world, dispute_id)
    assert (row.state, row.opened_by, row.awarded_fen) == ("intervention_requested", "merchant", None)
    assert world.rows(tables.RefundExecution) == []


def test_words_that_do_not_stand_there_are_no_citation(world: World) -> None:
    """B4: message id, start, end and text are verified against the stored words."""
    dispute_id = world.make_dispute("requested")
    message_id = said(world, dispute_id, "不退全款我就给你差评,再叫人来骂")

    for start, end, text in (
        (8, 10, "好评"),
        (7, 9, "差评"),
        (8, 10, "差"),
        (8, 8, ""),
        (10, 8, "差评"),
        (0, 99, "差评"),
    ):
        with pytest.raises(GuardFailed, match="quotation_mismatch"):
            call(world, dispute_id, OWNER, cites=(Cited(message_id, start, end, text),))


def test_a_merchant_cites_the_buyer_and_this_dispute_only(world: World) -> None:
    """B5: no citation, an own message, another dispute's message, one that nobody wrote."""
    dispute_id, other = world.make_dispute("requested"), world.make_dispute("requested")
    own = said(world, dispute_id, "您好,请问是哪里不满意呢", OWNER)
    elsewhere = said(world, other, "我要投诉你们")

    for cites, code in (
        ((), "citation_missing"),
        ((Cited(own),), "citation_not_of_buyer"),
        ((Cited(elsewhere),), "quotation_unknown"),
        ((Cited("01890000-0000-7000-8000-00000000dead"),), "quotation_unknown"),
    ):
        with pytest.raises(GuardFailed, match=code):
            call(world, dispute_id, OWNER, cites=cites)

    assert dispute(world, dispute_id).state == "requested"


def test_after_a_return_that_was_ruled_only_an_obstacle_brings_the_platform_back(world: World) -> None:
    """Arrow 27: origin=ruling needs a reason why the goods cannot be sent."""
    ruled = world.make_dispute("awaiting_return", return_origin="ruling")
    agreed = world.make_dispute("awaiting_return", return_origin="consent")

    with pytest.raises(GuardFailed, match="return_was_ruled"):
        call(world, ruled, reason="other")
    call(world, ruled, reason="courier_refused")
    call(world, agreed, reason="other")

    assert [dispute(world, each).cycle for each in (ruled, agreed)] == [2, 1]


def test_a_risk_rule_brings_the_platform_in(world: World) -> None:
    """Arrow 9: opened by the system, with the rule named."""
    dispute_id = world.make_dispute("requested")

    world.tell(RISK, lambda ctx: platform_intervene(ctx, dispute_id, risk_rule="counterfeit-3"))

    assert dispute(world, dispute_id).opened_by == "system"


def test_the_second_refusal_needs_nothing_of_the_buyer(world: World) -> None:
    """Edge case 44: goods at the merchant and a second refusal: the intervention opens by itself (arrow 32)."""
    dispute_id = world.make_dispute("return_in_transit", return_origin="consent")

    def story(ctx: Context) -> None:
        case = require_seen(ctx, dispute_id, lock=True)
        move(ctx, case, "seller_report_return_problem", facts_of(ctx, case, ack="DAMAGED", evidence_count=1))

    world.tell(OWNER, story)

    assert dispute(world, dispute_id).state == "intervention_requested"


# --- races ----------------------------------------------------------------------------------------------------------


def together(*attempts: Callable[[], object]) -> list[str]:
    """Run them at once; what each came to: `done` or the code of its refusal."""

    def told(attempt: Callable[[], object]) -> str:
        try:
            attempt()
        except Refusal as refusal:
            return refusal.code
        return "done"

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(told, attempts))


def test_of_agreeing_and_withdrawing_at_once_exactly_one_wins(world: World) -> None:
    """Edge case 4: exactly one wins by revision."""
    for _ in range(8):
        dispute_id = world.make_dispute("refused")

        ended = together(
            lambda d=dispute_id: agree(world, d),  # type: ignore[misc]
            lambda d=dispute_id: world.tell(BUYER, lambda ctx: withdraw(ctx, d, note=None)),  # type: ignore[misc]
        )

        assert sorted(ended) == ["arrow_missing", "done"]
        paid = len(world.rows(tables.RefundExecution, dispute_id=dispute_id))
        assert (dispute(world, dispute_id).state, paid) in (("executing", 1), ("closed", 0))


def test_of_two_calls_at_once_one_is_taken(world: World) -> None:
    """Edge case 2: the buyer's two devices ask for the platform."""
    dispute_id = world.make_dispute("refused")

    ended = together(lambda: call(world, dispute_id), lambda: call(world, dispute_id))

    assert sorted(ended) == ["arrow_missing", "done"]
    assert world.kinds(dispute_id).count("dispute.request_intervention") == 1


def test_a_command_that_was_in_time_is_told_so_when_the_clock_was_faster(world: World) -> None:
    """Section 4: 409 `window_closed` with `in_time: true`, recorded, and a supervisor's task."""
    dispute_id = world.make_dispute("requested")
    due_at = START + timedelta(hours=48)
    world.now = due_at + timedelta(seconds=1)

    world.tell(THE_CLOCK, pulls(dispute_id, "seller_response_timeout"))

    def late(ctx: Context) -> WindowClosed | None:
        return overtaken_by_clock(ctx, require_seen(ctx, dispute_id, lock=True), "seller_refuse")

    in_time = world.tell(OWNER, late, received_at=due_at - timedelta(microseconds=1))
    too_late = world.tell(OWNER, late, received_at=due_at)

    assert in_time is not None
    assert in_time.facts["in_time"] is True
    assert too_late is None
    assert world.kinds(dispute_id)[-1] == "dispute.overtaken_by_clock"
    assert world.row(tables.Task, dispute_id=dispute_id).role == "supervisor"


def test_a_window_that_a_command_closed_was_not_overtaken(world: World) -> None:
    """The clock must have struck itself: a second refusal of the same window is only `arrow_missing`."""
    dispute_id = world.make_dispute("requested")
    due_at = START + timedelta(hours=48)
    world.now = due_at + timedelta(milliseconds=500)
    before = due_at - timedelta(microseconds=1)
    world.tell(OWNER, lambda ctx: seller_refuse(ctx, dispute_id, Refusing("other", POLITE)), received_at=before)

    told = world.tell(
        OWNER,
        lambda ctx: overtaken_by_clock(ctx, require_seen(ctx, dispute_id, lock=True), "seller_refuse"),
        received_at=before,
    )

    assert told is None


# --- over HTTP ------------------------------------------------------------------------------------------------------


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


def test_a_process_that_stalled_beyond_the_end_answers_in_time_all_the_same(http: HttpWorld) -> None:
    """Section 4: received before due_at, decided after the clock struck, the page seen stale: 409 with `in_time`."""
    dispute_id = http.open_one()
    due_at = START + timedelta(hours=48)
    locked, go_on = Event(), Event()

    def strike(tx: Transaction) -> None:
        """Holds the dispute while the request waits, then lets the clock win."""
        ctx = http.house.context(tx, actor=THE_CLOCK, now=due_at + timedelta(seconds=1), received_at=due_at)
        case = load_case(tx.session, dispute_id)
        assert case is not None
        locked.set()
        assert go_on.wait(20)
        move(ctx, case, "seller_response_timeout", facts_of(ctx, case))
        tx.apply([ctx.plan])

    http.now = due_at - timedelta(microseconds=1)
    body = {"reason": "other", "message": POLITE}
    with ThreadPoolExecutor(1) as pool:
        struck = http.database.submit(strike)
        assert locked.wait(20)
        asked = pool.submit(lambda: http.act("owner", dispute_id, "seller-refuse", body, if_match='"1"'))
        sleep(0.5)  # the request is received and waits for the lock
        http.now = due_at + timedelta(seconds=2)
        go_on.set()
        struck.result(20)
        answer = asked.result(20)

    assert (answer.status_code, answer.json()["code"], answer.json()["in_time"]) == (409, "window_closed", True)
    assert http.kinds(dispute_id)[-1] == "dispute.overtaken_by_clock"
    assert http.row(tables.Task, dispute_id=dispute_id).kind == "seller_response_was_in_time"
    late = http.act("owner", dispute_id, "seller-refuse", body, if_match='"1"')
    assert (late.status_code, late.json()["code"]) == (412, "stale_revision")


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


def test_an_agent_or_the_marketplace_answers_for_nobody(world: World) -> None:
    """Sides are asked of the table as well as of the edge."""
    dispute_id = world.make_dispute("intervening")

    for actor in (AGENT, SUPERVISOR, MARKETPLACE):
        with pytest.raises((Forbidden, Absent)):
            world.tell(actor, lambda ctx: seller_agree_refund(ctx, dispute_id, amount_fen=None, currency=None))


def test_a_confirm_token_is_for_one_text_of_one_seat_and_field(world: World) -> None:
    """suggest_edit: the token fits only the text, the seat, the dispute and the field that it was given for."""
    dispute_id = world.make_dispute("requested")
    world.insert(
        (
            tables.ConfirmToken,
            {
                "id": "01890000-0000-7000-8000-00000000000a",
                "seat_id": "seat-owner",
                "thread_id": dispute_id,
                "field": "offer_note",
                "text_sha256": hashlib.sha256(POLITE.encode()).hexdigest(),
                "pack_sha256": world.house.rules().for_platform("taobao").pack_sha256,
                "expires_at": world.now + timedelta(minutes=10),
            },
        )
    )

    with pytest.raises(Conflict, match="confirm_token_invalid"):
        refuse(world, dispute_id, confirm_token="01890000-0000-7000-8000-00000000000a")
    with pytest.raises(Conflict, match="confirm_token_invalid"):
        refuse(world, dispute_id, confirm_token="01890000-0000-7000-8000-00000000000b")
