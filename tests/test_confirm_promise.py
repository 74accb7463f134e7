"""The merchant's act: what it confirms, for whom, until when, and what newer words do to it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from service.domain.errors import ArrowMissing
from service.flows.confirm_promise import Confirmation, ask_confirm, confirm, decline, list_promises
from service.flows.context import Context
from service.flows.heard import Outcome
from service.flows.moves import facts_of, move
from service.flows.serve_ticket import TicketAnswer, TicketWanted, issue_manual_ticket, respond
from service.store import tables
from service.store.disputes import load_case
from tests.judge import refused
from tests.promise_world import ask, new_name, press, promise_of, relay, say, set_columns
from tests.world import AGENT, AUDITOR, BUYER, OTHER_AGENT, OTHER_BUYER, OTHER_OWNER, OWNER, SEAT, World

TODAY, REFUND = "今天18点前发货", "明天12点前给您退款50元"

MICROSECOND = timedelta(microseconds=1)


def states(world: World) -> list[str]:
    return [p.state for p in world.rows(tables.Promise)]


def agree_late(world: World, dispute: str) -> None:
    """The dispute leaves the platform's hands."""

    def story(ctx: Context) -> None:
        case = load_case(ctx.tx.session, dispute)
        assert case is not None
        move(ctx, case, "seller_agree_refund", facts_of(ctx, case))

    world.tell(OWNER, story)


# --- the act --------------------------------------------------------------------------------------------------------


def test_the_card_shown_after_sending_is_confirmed_in_one_call(world: World) -> None:
    """Edge case 32: two promises in one message are two, and one call confirms both, each in an entry of its own."""
    dispute, inquiry = ask(world)
    found = say(world, inquiry, "今天18点前发货,另外明天12点前补偿您五块钱")

    press(world, dispute, *found)

    assert [p.action for p in found] == ["ship", "compensate"]
    assert states(world) == ["confirmed", "confirmed"]
    entries = {e.hash: json.loads(e.body)["facts"] for e in world.rows(tables.TranscriptEntry, dispute_id=dispute)}
    for each in found:
        row = promise_of(world, each.id)
        assert row.confirmation_hash is not None
        assert entries[row.confirmation_hash] == {"promise": each.id, "canonical": each.canonical_sha256}
        assert world.armed(each.id) == {}


def test_the_agent_may_ask_for_the_act(world: World) -> None:
    """ask_confirm: the canonical text is shown; the act on it confirms."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)

    world.tell(AGENT, lambda ctx: ask_confirm(ctx, dispute, found.id))
    asked = states(world)
    press(world, dispute, found)

    assert asked == ["confirmation_requested"]
    assert states(world) == ["confirmed"]


@pytest.mark.parametrize(
    ("text", "wording"),
    [
        ("尽量", "hedged"),
        ("应该可以", "hedged"),
        ("您退回后我们退款50元", "conditional"),
        ("不能今天发", "refused"),
    ],
)
def test_words_that_are_no_promise_are_never_confirmed(world: World, text: str, wording: str) -> None:
    """Edge case 32: hedged, conditional and negated words are shown as what they are."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, text)

    refused("wording_not_a_promise", lambda: world.tell(AGENT, lambda ctx: ask_confirm(ctx, dispute, found.id)))
    refused("wording_not_a_promise", lambda: press(world, dispute, found))

    assert (found.wording, states(world)) == (wording, ["extracted"])


@pytest.mark.parametrize("text", ["嗯嗯", "今天能发吗?", "昨天已经发了", "快递说明天到"])
def test_chatter_questions_and_other_peoples_words_hold_no_promise(world: World, text: str) -> None:
    """Edge case 32: a bare 嗯嗯, a question, a past date, a third party's words."""
    _, inquiry = ask(world)

    assert say(world, inquiry, text) == ()


def test_a_promise_without_a_date_is_not_asked_for_and_not_confirmed(world: World) -> None:
    """ask_confirm needs span, value and due date; a correction can add the date."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, "我们给您退款50元")

    refused("promise_incomplete", lambda: world.tell(AGENT, lambda ctx: ask_confirm(ctx, dispute, found.id)))
    refused("promise_already_due", lambda: press(world, dispute, found))

    assert states(world) == ["extracted"]


def test_another_hash_confirms_nothing(world: World) -> None:
    """Edge case 33: the merchant confirms another hash."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)

    refused(
        "hash_mismatch",
        lambda: world.tell(OWNER, lambda ctx: confirm(ctx, dispute, [Confirmation(found.id, "0" * 64)])),
    )

    assert states(world) == ["extracted"]
    assert "promise.confirmed" not in world.kinds(dispute)


def test_one_wrong_hash_in_a_call_confirms_none(world: World) -> None:
    """All or none."""
    dispute, inquiry = ask(world)
    first, second = say(world, inquiry, "今天18点前发货,另外明天12点前补偿您五块钱")
    acts = [Confirmation(first.id, first.canonical_sha256), Confirmation(second.id, first.canonical_sha256)]

    refused("hash_mismatch", lambda: world.tell(OWNER, lambda ctx: confirm(ctx, dispute, acts)))
    refused("confirmations", lambda: world.tell(OWNER, lambda ctx: confirm(ctx, dispute, [])))
    refused("confirmations", lambda: world.tell(OWNER, lambda ctx: confirm(ctx, dispute, [acts[0], acts[0]])))

    assert states(world) == ["extracted", "extracted"]


def test_confirming_twice_leaves_one_confirmation(world: World) -> None:
    """Edge case 33: confirms twice."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)
    press(world, dispute, found)

    with pytest.raises(ArrowMissing):
        press(world, dispute, found)
    with pytest.raises(ArrowMissing):
        world.tell(OWNER, lambda ctx: decline(ctx, dispute, found.id))

    assert world.kinds(dispute).count("promise.confirmed") == 1


def test_confirming_after_the_case_moved_on_is_too_late(world: World) -> None:
    """Edge case 33: merchant confirms a promise after the case moved on: it has lapsed, silence is never consent."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)
    agree_late(world, dispute)

    with pytest.raises(ArrowMissing):
        press(world, dispute, found)

    assert states(world) == ["lapsed"]


@pytest.mark.parametrize("before", [MICROSECOND, timedelta(0)])
def test_nobody_confirms_the_past(world: World, before: timedelta) -> None:
    """due_at in the future: at the due date it is too late."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)
    assert found.due_at is not None
    world.now = found.due_at - before

    if before:
        press(world, dispute, found)
    else:
        refused("promise_already_due", lambda: press(world, dispute, found))


@pytest.mark.parametrize("limit_fen", [5_000, 4_999])
def test_a_seat_commits_up_to_its_limit(world: World, limit_fen: int) -> None:
    """api.md section 3: confirm promise: a seat with `commit`, amount limit; the owner without."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, REFUND)
    set_columns(world, tables.Seat, "seat-1", commit_limit_fen=limit_fen)

    if limit_fen < 5_000:
        refused("commit_limit_exceeded", lambda: press(world, dispute, found, actor=SEAT))
        press(world, dispute, found, actor=OWNER)
    else:
        press(world, dispute, found, actor=SEAT)

    assert states(world) == ["confirmed"]


def test_a_refund_of_no_named_sum_commits_to_the_whole_claim(world: World) -> None:
    """A seat cannot slip the whole claim under its limit by naming no amount; of a range the upper end counts."""
    dispute, inquiry = ask(world)
    (whole,) = say(world, inquiry, "可以今天给您退款")
    set_columns(world, tables.Seat, "seat-1", commit_limit_fen=12_899)
    refused("commit_limit_exceeded", lambda: press(world, dispute, whole, actor=SEAT))
    (span,) = say(world, inquiry, "我们补偿您15-20元,今天内")
    set_columns(world, tables.Seat, "seat-1", commit_limit_fen=1_999)

    refused("commit_limit_exceeded", lambda: press(world, dispute, span, actor=SEAT))

    assert (whole.amount_fen, span.amount_fen, span.amount_max_fen) == (None, 1_500, 2_000)


def test_who_may_commit_the_shop(world: World) -> None:
    """Edge cases 55 and 57: permission, a switched-off seat, another shop."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)

    refused("not_found", lambda: press(world, dispute, found, actor=OTHER_OWNER))
    set_columns(world, tables.Seat, "seat-1", may_commit=False)
    refused("commit_not_permitted", lambda: press(world, dispute, found, actor=SEAT))
    set_columns(world, tables.Seat, "seat-1", may_commit=True, active=False)
    refused("seat_inactive", lambda: press(world, dispute, found, actor=SEAT))
    refused("not_your_dispute", lambda: world.tell(OTHER_AGENT, lambda ctx: ask_confirm(ctx, dispute, found.id)))
    other, _ = ask(world)
    refused("not_found", lambda: press(world, other, found))  # a promise of another dispute

    assert states(world) == ["extracted"]


# --- newer words ----------------------------------------------------------------------------------------------------


def test_a_newer_promise_takes_the_place_of_one_that_was_not_relayed(world: World) -> None:
    """Edge case 32: a promise contradicting an earlier confirmed one → superseded; another action stays."""
    dispute, inquiry = ask(world)
    first, other = say(world, inquiry, "今天18点前发货,另外明天12点前补偿您五块钱")
    press(world, dispute, first)

    (newer,) = say(world, inquiry, "明天18点前发货")

    assert promise_of(world, first.id).state == "superseded"
    assert promise_of(world, other.id).state == "extracted"
    assert promise_of(world, newer.id).state == "extracted"
    with pytest.raises(ArrowMissing):
        press(world, dispute, first)


def test_softened_words_take_nobodys_place(world: World) -> None:
    """Only an unconditional promise supersedes."""
    dispute, inquiry = ask(world)
    (first,) = say(world, inquiry, TODAY)
    press(world, dispute, first)

    say(world, inquiry, "尽量今天发货")

    assert promise_of(world, first.id).state == "confirmed"


def test_a_promise_that_the_buyer_knows_is_not_superseded(world: World) -> None:
    """not relayed: what was relayed stays and is watched."""
    dispute, inquiry = ask(world)
    (first,) = say(world, inquiry, TODAY)
    press(world, dispute, first)
    relay(world, dispute, first.id)

    say(world, inquiry, "明天18点前发货")

    assert promise_of(world, first.id).state == "relayed"


# --- the same in tickets, and who sees what -------------------------------------------------------------------------


def test_promises_in_a_tickets_answer_go_the_same_way(world: World) -> None:
    """A ticket's answer is a merchant message: found, superseding, confirmed by the act."""
    dispute, inquiry = ask(world)
    (first,) = say(world, inquiry, TODAY)
    wanted = TicketWanted("product", "请确认发货时间")
    ticket = world.tell(AGENT, lambda ctx: issue_manual_ticket(ctx, dispute, wanted))

    answered = TicketAnswer(new_name(world), "明天18点前发货")
    outcome = world.tell(OWNER, lambda ctx: respond(ctx, ticket, answered))
    assert isinstance(outcome, Outcome)
    press(world, dispute, *outcome.promises)

    assert promise_of(world, first.id).state == "superseded"
    assert promise_of(world, outcome.promises[0].id).state == "confirmed"


def test_the_buyer_learns_only_of_what_was_relayed(world: World) -> None:
    """Edge case 32: the buyer is informed only of the confirmed, and only once it was relayed."""
    dispute, inquiry = ask(world)
    first, second = say(world, inquiry, "今天18点前发货,另外明天12点前补偿您五块钱")
    press(world, dispute, first, second)
    relay(world, dispute, first.id)

    def seen(actor: Any) -> list[str]:
        return [p.id for p in world.tell(actor, lambda ctx: list_promises(ctx, dispute))[1]]

    assert seen(BUYER) == [first.id]
    assert [seen(a) for a in (OWNER, AGENT, AUDITOR)] == [[first.id, second.id]] * 3
    for stranger in (OTHER_BUYER, OTHER_OWNER):
        refused("not_found", lambda stranger=stranger: seen(stranger))
