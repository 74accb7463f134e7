"""A merchant answers a request: it refuses in words that are judged, or agrees to pay or to have the goods back."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from service.domain.errors import Absent, ArrowMissing, Conflict, Forbidden, GuardFailed, WindowClosed
from service.flows.acknowledge_notice import acknowledge_notice
from service.flows.heard import Outcome
from service.flows.negotiate import Refusing, seller_agree_return, seller_offer, seller_refuse
from service.flows.read_case import read_case, require_seen
from service.flows.return_goods import waive_return
from service.flows.upload_file import keep_upload
from service.store import tables
from service.store.files import StoredFile
from tests.judge import dispute, put
from tests.negotiating import BLOCKED, POLITE, agree, offer, refuse
from tests.world import BUYER, OWNER, SEAT, START, World

# --- refusing -------------------------------------------------------------------------------------------------------


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
    put(world, tables.Seat, "seat-1", may_after_sale=False)

    with pytest.raises(Forbidden, match="after_sale_permission_missing"):
        refuse(world, dispute_id, actor=SEAT)
    put(world, tables.Seat, "seat-1", may_after_sale=True, active=False)
    with pytest.raises(Forbidden, match="seat_inactive"):
        refuse(world, dispute_id, actor=SEAT)
    put(world, tables.Merchant, "shop-1", status="shop_closed")

    assert refuse(world, dispute_id, actor=OWNER) is None  # the owner of a closed shop still answers (edge case 27)


# --- words that are not let out -------------------------------------------------------------------------------------


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


# --- agreeing -------------------------------------------------------------------------------------------------------


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

    put(world, tables.Merchant, "shop-1", return_address="上海市别处 9 号")

    seen = world.tell(BUYER, lambda ctx: read_case(ctx, require_seen(ctx, dispute_id)))
    assert (seen.dispute.state, seen.return_address) == ("awaiting_return", "浙江省杭州市余杭区 1 号")
    assert (seen.dispute.return_origin, seen.dispute.awarded_fen) == ("consent", 12_900)


def test_a_return_needs_an_address(world: World) -> None:
    """Arrow 2: no address, no return; nor an offer that asks for one."""
    put(world, tables.Merchant, "shop-1", return_address=None)
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
