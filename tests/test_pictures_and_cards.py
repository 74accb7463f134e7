"""Pictures, voice clips and order cards in a conversation: whose they are, and who sees the file."""

from __future__ import annotations

import pytest

from service.domain.errors import Absent, GuardFailed
from service.domain.staff import Actor
from service.flows.exchange_messages import file_shown
from service.store import tables
from tests.conversing import ABUSES, POLITE, outcome, post, upload
from tests.world import BUYER, OTHER_OWNER, OWNER, SEAT, SUPERVISOR, World


def test_a_voice_clip_is_the_buyers_alone(world: World) -> None:
    """Issue item 8: buyers' voice clips are stored; a merchant's could not be judged and is not taken."""
    dispute_id = world.make_dispute("requested")
    clips = {actor: upload(world, actor, dispute_id, b"clip", "audio/amr") for actor in (BUYER, SEAT)}

    post(world, BUYER, dispute_id, kind="voice", attachment=clips[BUYER])
    with pytest.raises(GuardFailed, match="message_kind_refused"):
        post(world, SEAT, dispute_id, kind="voice", attachment=clips[SEAT])

    assert world.row(tables.Message, dispute_id=dispute_id).attachment == clips[BUYER]


def test_a_message_shows_only_a_file_of_its_own_side_and_type(world: World) -> None:
    """Edge case 30: image only, voice; by reference to a file that was uploaded to this dispute."""
    dispute_id, other = world.make_dispute("requested"), world.make_dispute("requested")
    picture = upload(world, BUYER, dispute_id, b"picture", "image/png")
    clip = upload(world, BUYER, dispute_id, b"clip", "audio/amr")
    elsewhere = upload(world, BUYER, other, b"elsewhere", "image/png")

    for kind, attachment, code in (
        ("image", None, "attachment_missing"),
        ("image", elsewhere, "attachment_unknown"),
        ("image", clip, "attachment_of_other_type"),
        ("voice", picture, "attachment_of_other_type"),
        ("text", picture, "attachment_unwanted"),
    ):
        with pytest.raises(GuardFailed, match=code):
            post(world, BUYER, dispute_id, kind=kind, text="看图", attachment=attachment)
    with pytest.raises(GuardFailed, match="attachment_unknown"):
        post(world, SEAT, dispute_id, kind="image", attachment=picture)
    post(world, BUYER, dispute_id, kind="image", attachment=picture)

    assert [m.kind for m in world.rows(tables.Message)] == ["image"]


def test_the_caption_of_a_merchants_picture_is_judged_too(world: World) -> None:
    """Every merchant text field goes the same way."""
    dispute_id = world.make_dispute("requested")
    picture = upload(world, SEAT, dispute_id, b"picture", "image/png")

    assert outcome(world, SEAT, dispute_id, kind="image", text=ABUSES, attachment=picture).outcome == "notice"


def test_an_order_card_is_of_an_order_between_these_two(world: World) -> None:
    """Edge case 30: order card; nobody else's order can be shown, nor one that is not there."""
    dispute_id = world.make_dispute("requested")
    ours = f"order-{world.place_order()}"
    theirs = f"order-{world.place_order(buyer='buyer-2')}"

    post(world, BUYER, dispute_id, kind="order_card", attachment=ours)
    for order_id in (theirs, "order-nowhere"):
        with pytest.raises(GuardFailed, match="order_card_unknown"):
            post(world, SEAT, dispute_id, kind="order_card", attachment=order_id)

    assert world.row(tables.Message, dispute_id=dispute_id).attachment == ours


def test_a_file_is_shown_once_a_delivered_message_shows_it(world: World) -> None:
    """A file is its uploader's until a message that went out, or a refusal, shows it."""
    dispute_id = world.make_dispute("requested")
    picture = upload(world, SEAT, dispute_id, b"picture", "image/png")

    def shown(actor: Actor) -> bool:
        try:
            world.tell(actor, lambda ctx: file_shown(ctx, dispute_id, picture))
        except Absent:
            return False
        return True

    before = [shown(actor) for actor in (SEAT, OWNER, BUYER, SUPERVISOR, OTHER_OWNER)]
    outcome(world, SEAT, dispute_id, kind="image", text=ABUSES, attachment=picture)
    blocked = shown(BUYER)
    outcome(world, OWNER, dispute_id, kind="image", text=POLITE, attachment=picture)

    assert before == [True, True, False, True, False]
    assert (blocked, shown(BUYER)) == (False, True)
