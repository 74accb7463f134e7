"""A promise ends: it lapses unconfirmed, is broken, or is shown or seen to be kept."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.domain.errors import ArrowMissing
from service.flows.confirm_promise import Proof, ask_confirm, fulfil
from service.flows.context import Context
from service.flows.heard import Outcome
from service.flows.keeping import keep_promises
from service.store import tables
from service.store.disputes import load_case
from tests.clockwork import fire
from tests.judge import PIXEL, refused, upload
from tests.promise_world import ask, press, relay, say
from tests.world import AGENT, BUYER, MARKETPLACE, OWNER, World

TODAY, REFUND, INSULT = "今天18点前发货", "明天12点前给您退款50元", "你是不是有病"

SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


def states(world: World) -> list[str]:
    return [p.state for p in world.rows(tables.Promise)]


# --- the clock ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [False, True])
def test_what_nobody_confirms_lapses_after_a_day(world: World, asked: bool) -> None:
    """promise_lapse_timeout: P1D after extraction; silence is never consent."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, "三天内发货")
    if asked:
        world.tell(AGENT, lambda ctx: ask_confirm(ctx, dispute, found.id))
    lapses = world.now + timedelta(days=1)

    fire(world, at=lapses + SECOND - MICROSECOND)
    early = states(world)
    fire(world, at=lapses + SECOND)

    assert early == (["confirmation_requested"] if asked else ["extracted"])
    assert states(world) == ["lapsed"]


def test_a_confirmed_promise_lapses_only_with_its_case(world: World) -> None:
    """confirmed → lapsed: case closed; closing the inquiry changes nothing."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, "三天内发货")
    press(world, dispute, found)

    fire(world, at=world.now + timedelta(days=2))

    assert states(world) == ["confirmed"]


def test_a_promise_not_kept_is_broken_and_counts(world: World) -> None:
    """promise_due_timeout: no earlier than due_at + settle; standing event; the agent is told."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)
    press(world, dispute, found)
    relay(world, dispute, found.id)
    assert found.due_at is not None

    fire(world, at=found.due_at + SECOND - MICROSECOND)
    early = states(world)
    fire(world, at=found.due_at + SECOND)

    assert (early, states(world)) == (["relayed"], ["breached"])
    event = world.row(tables.StandingEvent)
    assert (event.kind, event.subject_id) == ("promise_breached", found.id)
    assert world.row(tables.Task, kind="promise_breached").role == "platform_agent"


# --- kept -----------------------------------------------------------------------------------------------------------


def test_the_merchant_shows_that_it_kept_its_word(world: World) -> None:
    """fulfil: proof; a kept promise is no longer watched."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)
    press(world, dispute, found)
    sha256 = upload(world, dispute, OWNER, PIXEL)
    with pytest.raises(ArrowMissing):
        world.tell(OWNER, lambda ctx: fulfil(ctx, dispute, found.id, Proof((sha256,))))
    relay(world, dispute, found.id)

    refused("proof_missing", lambda: world.tell(OWNER, lambda ctx: fulfil(ctx, dispute, found.id, Proof())))
    of_buyer = upload(world, dispute, BUYER, b"%PDF-1.4\n% mine\n%%EOF\n")
    for foreign in ("f" * 64, of_buyer):
        proof = Proof((foreign,))
        refused(
            "file_unknown", lambda proof=proof: world.tell(OWNER, lambda ctx: fulfil(ctx, dispute, found.id, proof))
        )
    blocked = world.tell(OWNER, lambda ctx: fulfil(ctx, dispute, found.id, Proof((sha256,), INSULT)))
    assert isinstance(blocked, Outcome)
    assert states(world) == ["relayed"]


def test_a_kept_promise_is_watched_no_longer(world: World) -> None:
    """relayed → fulfilled ends its clock."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)
    press(world, dispute, found)
    relay(world, dispute, found.id)
    sha256 = upload(world, dispute, OWNER, PIXEL)

    world.tell(OWNER, lambda ctx: fulfil(ctx, dispute, found.id, Proof((sha256,), "已发货,见图")))
    fire(world, at=world.now + timedelta(days=1))

    assert states(world) == ["fulfilled"]
    assert world.rows(tables.StandingEvent) == []


@pytest.mark.parametrize(("paid_fen", "kept"), [(5_000, True), (4_999, False)])
def test_a_payment_keeps_the_promise_that_it_covers(world: World, paid_fen: int, kept: bool) -> None:
    """fulfil by the payment gateway: what was paid is at least what was promised."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, REFUND)
    press(world, dispute, found)
    relay(world, dispute, found.id)

    def paid(ctx: Context) -> list[str]:
        case = load_case(ctx.tx.session, dispute)
        assert case is not None
        ctx.follow(case.dispute)
        proof = {"refund": "r-1"}
        return keep_promises(
            ctx,
            case,
            actions=("refund", "partial_refund"),
            side="payment_gateway",
            at=ctx.now,
            proof=proof,
            amount_fen=paid_fen,
        )

    ids = world.tell(MARKETPLACE, paid)

    assert ids == ([found.id] if kept else [])
    assert states(world) == (["fulfilled"] if kept else ["relayed"])
