"""A promise on its way: nothing but the merchant's act on the canonical text confirms it; kept or broken it ends."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from service.domain.canonical import canonical
from service.domain.errors import ArrowMissing
from service.flows.confirm_promise import (
    Confirmation,
    Correction,
    Proof,
    ask_confirm,
    confirm,
    correct,
    decline,
    fulfil,
    list_promises,
)
from service.flows.context import Context
from service.flows.heard import Outcome
from service.flows.keeping import keep_promises
from service.flows.moves import facts_of, move
from service.flows.serve_ticket import TicketAnswer, TicketWanted, issue_manual_ticket, respond
from service.store import tables
from service.store.disputes import load_case
from tests.clockwork import fire
from tests.judge import PIXEL, refused, upload
from tests.promise_world import ask, new_name, press, promise_of, relay, say, set_columns
from tests.world import (
    AGENT,
    AUDITOR,
    BUYER,
    MARKETPLACE,
    OTHER_AGENT,
    OTHER_BUYER,
    OTHER_OWNER,
    OWNER,
    SEAT,
    World,
)

TODAY, REFUND, INSULT = "今天18点前发货", "明天12点前给您退款50元", "你是不是有病"
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


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


# --- corrections ----------------------------------------------------------------------------------------------------


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
