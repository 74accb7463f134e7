"""A promise corrected or declined by the merchant's own act, within the seat's limit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from service.domain.canonical import canonical
from service.domain.errors import ArrowMissing
from service.flows.confirm_promise import Correction, correct, decline
from service.flows.heard import Outcome
from service.store import tables
from tests.judge import refused
from tests.promise_world import ask, press, promise_of, relay, say, set_columns
from tests.world import OWNER, SEAT, World

TODAY, REFUND, INSULT = "今天18点前发货", "明天12点前给您退款50元", "你是不是有病"


def states(world: World) -> list[str]:
    return [p.state for p in world.rows(tables.Promise)]


def test_a_correction_is_a_new_promise_confirmed_by_the_same_act(world: World) -> None:
    """merchant_correct: superseded; a new promise, confirmed by the same act on its own canonical hash."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)
    later = world.now + timedelta(days=1, microseconds=5)

    made = world.tell(
        OWNER, lambda ctx: correct(ctx, dispute, found.id, Correction(found.canonical_sha256, due_at=later))
    )

    assert isinstance(made, str)
    new = promise_of(world, made)
    text = canonical("ship", None, None, later.replace(microsecond=0))
    assert promise_of(world, found.id).state == "superseded"
    assert (new.state, new.wording, new.canonical_sha256) == ("confirmed", "unconditional", text.sha256_hex)
    assert new.confirmed_canonical == text.sha256_hex
    assert (new.span_start, new.span_end, new.message_id) == (
        found.start,
        found.end,
        promise_of(world, found.id).message_id,
    )
    relay(world, dispute, made)
    assert promise_of(world, made).state == "relayed"


def test_a_softened_promise_becomes_one_by_the_act_of_correcting_it(world: World) -> None:
    """The act is on the canonical text, which says no 尽量."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, "尽量今天发货")
    due_at = world.now + timedelta(hours=20)

    made = world.tell(
        OWNER, lambda ctx: correct(ctx, dispute, found.id, Correction(found.canonical_sha256, due_at=due_at))
    )

    assert promise_of(world, str(made)).state == "confirmed"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "correction_too_wide"),  # nothing would change
        ({"amount_fen": 12_901}, "amount_over_refundable"),
        ({"amount_fen": 0}, "amount_not_positive"),
        ({"amount_fen": 100, "currency": "USD"}, "currency_mismatch"),
        ({"due_at": timedelta(0)}, "promise_already_due"),
        ({"due_at": timedelta(days=366)}, "promise_too_far"),
        ({"canonical_sha256": "0" * 64, "amount_fen": 100}, "hash_mismatch"),
        ({"amount_fen": 100, "note": "字" * 2_001}, "text_length"),
    ],
)
def test_what_a_correction_may_not_be(world: World, change: dict[str, Any], code: str) -> None:
    """Time or amount only, dated ahead, within what the line can give back, of the text that was shown."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, REFUND)
    wanted = {"canonical_sha256": found.canonical_sha256} | change
    if "due_at" in wanted:
        wanted["due_at"] = world.now + wanted["due_at"]
    correction = Correction(**wanted)

    refused(code, lambda: world.tell(OWNER, lambda ctx: correct(ctx, dispute, found.id, correction)))

    assert states(world) == ["extracted"]


def test_an_act_without_a_sum_is_not_given_one(world: World) -> None:
    """A relay says all that was confirmed: 发货 has no amount that the buyer could be told."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)
    correction = Correction(found.canonical_sha256, amount_fen=5_000)

    refused("correction_too_wide", lambda: world.tell(OWNER, lambda ctx: correct(ctx, dispute, found.id, correction)))

    assert [(p.state, p.amount_fen) for p in world.rows(tables.Promise)] == [("extracted", None)]


def test_a_correction_over_the_seats_limit_is_no_correction(world: World) -> None:
    """A seat corrects within its limit."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, REFUND)
    set_columns(world, tables.Seat, "seat-1", commit_limit_fen=6_000)

    refused(
        "commit_limit_exceeded",
        lambda: world.tell(
            SEAT,
            lambda ctx: correct(ctx, dispute, found.id, Correction(found.canonical_sha256, amount_fen=6_001)),
        ),
    )
    made = world.tell(
        SEAT, lambda ctx: correct(ctx, dispute, found.id, Correction(found.canonical_sha256, amount_fen=6_000))
    )

    assert promise_of(world, str(made)).amount_fen == 6_000


def test_a_note_that_is_not_let_out_corrects_nothing(world: World) -> None:
    """merchant_correct is moderated: the attempt is kept, the promise stays as it was."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, REFUND)
    correction = Correction(found.canonical_sha256, amount_fen=4_000, note=INSULT)

    outcome = world.tell(OWNER, lambda ctx: correct(ctx, dispute, found.id, correction))

    assert isinstance(outcome, Outcome)
    assert not outcome.is_sent
    assert states(world) == ["extracted"]


def test_a_declined_promise_is_over(world: World) -> None:
    """merchant_decline."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)

    world.tell(SEAT, lambda ctx: decline(ctx, dispute, found.id))

    assert states(world) == ["declined"]
    assert world.armed(found.id) == {}
    with pytest.raises(ArrowMissing):
        press(world, dispute, found)
