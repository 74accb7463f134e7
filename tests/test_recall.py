"""A party takes a message back: who may and for how long, what nobody reads any more, and what it did all the same."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import Absent, Conflict, Forbidden, Refusal
from service.domain.policy import DEFAULT, from_json, to_json
from service.domain.recalling import closes_at
from service.domain.staff import Actor
from service.domain.transcript import leaf_hash
from service.flows.exchange_messages import Line, Said, file_shown, list_messages, post_message
from service.flows.read_inquiry import read_inquiry
from service.flows.read_settlement import read_rulings
from service.flows.recall_message import Recalled, recall_message
from service.flows.rulings import Cite
from service.flows.settle_dispute import RulingMade, issue_ruling
from service.flows.upload_file import keep_upload
from service.store import tables
from service.store.quotations import Quotation
from tests.judge import PIXEL, at_work, decision, refusal_of
from tests.over_http import HttpWorld, done
from tests.promise_world import ask, press, promise_of, relay, say, set_columns
from tests.world import (
    AGENT,
    AUDITOR,
    BUYER,
    OTHER_BUYER,
    OTHER_OWNER,
    OWNER,
    SEAT,
    START,
    SUPERVISOR,
    World,
)

MICRO = timedelta(microseconds=1)
END_OF_TOMORROW = datetime(2026, 11, 24, 15, 59, 59, tzinfo=UTC)  # 23:59:59 in Shanghai
TODAY, TOMORROW = "我们今天会给消费者发货。", "明天"
GREETING = "您好,请问衣服哪里不满意呢"


def send(world: World, actor: Actor, dispute: str, text: str = GREETING, **more: Any) -> str:
    """A delivered message of the conversation; returns its id."""
    said = Said(f"c-{next(world.numbers)}", text=text, **more)
    answer: Any = world.tell(actor, lambda ctx: post_message(ctx, dispute, said))
    return str(answer.message_id)


def recall(world: World, actor: Actor, message: str, **more: Any) -> Recalled:
    return world.tell(actor, lambda ctx: recall_message(ctx, message), **more)


def refused(world: World, actor: Actor, message: str, **more: Any) -> Refusal:
    """Why not; that nothing was written is looked at here."""
    return refusal_of(world, actor, lambda ctx: recall_message(ctx, message), **more)


def lines(world: World, actor: Actor, dispute: str) -> list[Line]:
    return world.tell(actor, lambda ctx: list_messages(ctx, dispute, after_seq=0, limit=200))


def texts(world: World, actor: Actor, dispute: str) -> list[str | None]:
    return [line.text for line in lines(world, actor, dispute)]


def answers(world: World, actor: Actor, inquiry: str) -> list[str | None]:
    """What the merchant said in an inquiry, as somebody reads it."""
    seen = world.tell(actor, lambda ctx: read_inquiry(ctx, inquiry))
    return [line.text for line in seen.lines if line.message.sender_side == "merchant"]


def last_reply(world: World, inquiry: str) -> str:
    return world.rows(tables.Message, thread_id=inquiry, sender_side="merchant")[-1].id


def show(world: World, actor: Actor, dispute: str) -> tuple[str, str]:
    """A picture that was sent: its message and its fingerprint."""
    stored = world.house.files.put(PIXEL)
    world.tell(actor, lambda ctx: keep_upload(ctx, dispute, "message", stored))
    return send(world, actor, dispute, "", kind="image", attachment=stored.sha256), stored.sha256


# --- what it does ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sender", "kind"), [(BUYER, "buyer"), (SEAT, "merchant"), (OWNER, "merchant")])
def test_what_was_taken_back_is_shown_as_such_and_stays_in_the_evidence(world: World, sender: Actor, kind: str) -> None:
    """Edge case 31: nobody of the conversation reads it; supervisor, auditor and the disclosure keep the words."""
    dispute = world.make_dispute()
    message = send(world, sender, dispute)
    disclosed = world.rows(tables.DisclosureRow, dispute_id=dispute)

    answer = recall(world, sender, message)

    for viewer in (BUYER, SEAT, OWNER, AGENT):
        (line,) = lines(world, viewer, dispute)
        assert (line.text, line.attachment, line.message.recalled_at) == (None, None, world.now)
    assert [texts(world, viewer, dispute) for viewer in (SUPERVISOR, AUDITOR)] == [[GREETING], [GREETING]]
    assert world.rows(tables.DisclosureRow, dispute_id=dispute) == disclosed
    assert world.kinds(dispute)[-1] == f"{kind}.message_recalled"
    assert (answer.message_id, answer.recalled_at, answer.declined) == (message, world.now, ())


def test_the_transcript_grows_by_one_entry_that_names_the_message_and_holds_no_words(world: World) -> None:
    """Edge case 31: what was said before is not touched, the chain goes on, the state does not move."""
    dispute = world.make_dispute()
    message = send(world, SEAT, dispute)
    before = sorted(world.rows(tables.TranscriptEntry, dispute_id=dispute), key=lambda entry: entry.seq)

    answer = recall(world, SEAT, message)

    *earlier, made = sorted(world.rows(tables.TranscriptEntry, dispute_id=dispute), key=lambda entry: entry.seq)
    said = json.loads(made.body)
    assert earlier == before
    assert said["prev"] == base64.b64encode(before[-1].hash).decode()
    assert leaf_hash(made.body) == made.hash == world.row(tables.Dispute, id=dispute).last_hash
    assert said["facts"]["message"] == message
    assert said["facts"]["entry"] == before[-1].seq
    assert GREETING not in made.body.decode()
    assert answer.receipt.seq == made.seq
    assert world.row(tables.Dispute, id=dispute).state == "intervening"
    assert [e.type for e in world.rows(tables.Outbox, dispute_id=dispute)][-1] == "dispute.message_recalled"


def test_a_picture_taken_back_is_given_to_nobody_of_the_other_side(world: World) -> None:
    """Edge case 31: the file goes with the message; its own side, a supervisor and an auditor have it still."""
    dispute = world.make_dispute()
    message, sha256 = show(world, SEAT, dispute)
    assert world.tell(BUYER, lambda ctx: file_shown(ctx, dispute, sha256)).sha256 == sha256

    recall(world, SEAT, message)

    with pytest.raises(Absent):
        world.tell(BUYER, lambda ctx: file_shown(ctx, dispute, sha256))
    for viewer in (SEAT, SUPERVISOR, AUDITOR):
        assert world.tell(viewer, lambda ctx: file_shown(ctx, dispute, sha256)).sha256 == sha256
    assert [line.attachment for line in lines(world, AUDITOR, dispute)] == [sha256]


def test_a_file_shown_twice_is_still_shown_once_it_was_taken_back_once(world: World) -> None:
    """Edge case 31: what another message shows stays shown."""
    dispute = world.make_dispute()
    message, sha256 = show(world, SEAT, dispute)
    send(world, SEAT, dispute, "", kind="image", attachment=sha256)

    recall(world, SEAT, message)

    assert world.tell(BUYER, lambda ctx: file_shown(ctx, dispute, sha256)).sha256 == sha256


def test_an_answer_taken_back_does_not_start_the_window_again(world: World) -> None:
    """Edge case 31, lifecycle.md section 4: recall after delivery does not un-stop R1."""
    dispute, inquiry = ask(world)
    world.pass_time(seconds=30)
    say(world, inquiry, TODAY)
    before = world.row(tables.Inquiry, id=inquiry), world.armed(inquiry)

    recall(world, OWNER, last_reply(world, inquiry))

    assert (world.row(tables.Inquiry, id=inquiry), world.armed(inquiry)) == before
    assert before[0].state == "awaiting_agent"
    assert [answers(world, viewer, inquiry) for viewer in (AGENT, OWNER, SUPERVISOR, AUDITOR)] == [
        [None],
        [None],
        [TODAY],
        [TODAY],
    ]
    assert [e.type for e in world.rows(tables.Outbox, dispute_id=dispute)][-2] == "inquiry.message_recalled"


def test_an_answer_can_be_taken_back_after_its_session_was_closed(world: World) -> None:
    """C7 keeps a merchant from writing into it; taking back writes nothing there and moves nothing."""
    _, inquiry = ask(world)
    say(world, inquiry, TODAY)
    set_columns(world, tables.Inquiry, inquiry, state="closed", closed_at=world.now, close_cause="agent_close")

    recall(world, OWNER, last_reply(world, inquiry))

    assert answers(world, AGENT, inquiry) == [None]
    assert world.row(tables.Inquiry, id=inquiry).state == "closed"


# --- promises -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [False, True])
def test_a_promise_nobody_has_confirmed_goes_with_the_message_it_was_read_in(world: World, asked: bool) -> None:
    """Edge case 31: arrow P4, the merchant declines by the same act, whether or not the agent has asked for it."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, TODAY)
    if asked:
        set_columns(world, tables.Promise, found.id, state="confirmation_requested")

    answer = recall(world, OWNER, last_reply(world, inquiry))

    assert answer.declined == (found.id,)
    assert promise_of(world, found.id).state == "declined"
    assert world.armed(found.id) == {}
    assert world.kinds(dispute)[-2:] == ["merchant.message_recalled", "promise.declined"]
    with pytest.raises(Conflict, match="arrow_missing"):
        press(world, dispute, found)


def test_a_promise_that_was_confirmed_or_relayed_stands(world: World) -> None:
    """Edge case 31: the act confirmed the canonical text, not the message; the buyer relies on what was relayed."""
    dispute, inquiry = ask(world)
    (first,) = say(world, inquiry, TODAY)
    press(world, dispute, first)

    recall(world, OWNER, last_reply(world, inquiry))
    relay(world, dispute, first.id)

    assert promise_of(world, first.id).state == "relayed"
    assert world.kinds(dispute).count("promise.declined") == 0


def test_a_time_that_was_taken_back_is_not_read_into_the_next_message(world: World) -> None:
    """明天, then 发货 is one promise; with 明天 taken back, 发货 has no date."""
    with_time, without = [], []
    for found, takes_back in ((with_time, False), (without, True)):
        _, inquiry = ask(world, question="请问什么时候可以发货")
        say(world, inquiry, TOMORROW)
        if takes_back:
            recall(world, OWNER, last_reply(world, inquiry))
        found += [p.due_at for p in say(world, inquiry, "会发货的")]

    assert (with_time, without) == ([END_OF_TOMORROW], [None])


# --- an edit is a message taken back and a new one ------------------------------------------------------------------


def test_an_edit_is_a_new_message_that_is_judged_like_any_other(world: World) -> None:
    """Edge case 31: what comes after a recall passes moderation, with its own entry; the first words stay evidence."""
    dispute = world.make_dispute()
    recall(world, SEAT, send(world, SEAT, dispute))

    stopped = Said("edit-1", text="你这个骗子,滚")
    outcome: Any = world.tell(SEAT, lambda ctx: post_message(ctx, dispute, stopped))
    send(world, OWNER, dispute, "您好,哪里不满意,我们为您处理")

    assert outcome.outcome == "notice"
    assert texts(world, BUYER, dispute) == [None, "您好,哪里不满意,我们为您处理"]
    assert [kind for kind in world.kinds(dispute) if kind.startswith("merchant.")] == [
        "merchant.message",
        "merchant.message_recalled",
        "merchant.message_blocked",
        "merchant.message",
    ]


def test_messages_taken_back_count_as_written_to_the_buyer(world: World) -> None:
    """D11: the buyer's phone has rung; taking back does not make room for one more in a row, nor for a call."""
    dispute = world.make_dispute()
    for _ in range(DEFAULT.contact_unanswered_messages_max):
        recall(world, SEAT, send(world, SEAT, dispute))

    over = Said("one-more", text=GREETING)
    answer = world.tell(SEAT, lambda ctx: post_message(ctx, dispute, over))

    assert isinstance(answer, Conflict)
    assert answer.code == "contact_cap_reached"


def test_a_question_the_buyer_has_taken_back_is_not_what_the_shop_answers(world: World) -> None:
    """A yes to a question that nobody reads any more promises nothing."""
    promised = []
    for takes_back in (False, True):
        dispute = world.make_dispute()
        question = send(world, BUYER, dispute, "今天能发货吗?")
        if takes_back:
            recall(world, BUYER, question)
        said = Said(f"yes-{takes_back}", text="可以的")
        answer: Any = world.tell(SEAT, lambda ctx, d=dispute, s=said: post_message(ctx, d, s))
        promised.append(len(answer.promises))

    assert promised == [1, 0]


def test_nobody_is_asked_to_put_into_words_what_was_taken_back(world: World) -> None:
    """D10: the mark moves to the buyer's next picture, and goes with the last one."""
    dispute = world.make_dispute()
    (first, sha256), second = show(world, BUYER, dispute), None
    second = send(world, BUYER, dispute, "", kind="image", attachment=sha256)
    place = world.row(tables.Message, id=second).seq

    recall(world, BUYER, first)
    after_first = world.row(tables.Dispute, id=dispute).restate_since_seq
    awaiting = [line.awaits_text for line in lines(world, SEAT, dispute)]
    recall(world, BUYER, second)

    assert (after_first, awaiting) == (place, [False, True])
    assert world.row(tables.Dispute, id=dispute).restate_since_seq is None


# --- quotations -----------------------------------------------------------------------------------------------------


def test_what_was_read_can_be_quoted_before_and_after_it_is_taken_back(world: World) -> None:
    """Edge case 31, B4: the recalled text stays in the evidence; the exact words are still asked for."""
    dispute = at_work(world)
    message = send(world, OWNER, dispute, "是我们仓库发错了货")
    recall(world, OWNER, message)
    cites = (Cite(Quotation(message, 0, 9, "是我们仓库发错了货")),)
    wrong = decision(world, dispute, cites=(Cite(Quotation(message, 0, 9, "是我们仓库没有发错")),))

    mismatch = refusal_of(world, AGENT, lambda ctx: issue_ruling(ctx, dispute, wrong))
    ruled = world.tell(AGENT, lambda ctx: issue_ruling(ctx, dispute, decision(world, dispute, cites=cites)))

    assert mismatch.code == "quotation_mismatch"
    assert isinstance(ruled, RulingMade)


def test_a_ruling_keeps_what_it_has_quoted(world: World) -> None:
    """Edge case 31: a quotation is part of the ruling's own entry."""
    dispute = at_work(world)
    message = send(world, OWNER, dispute, "是我们仓库发错了货")
    cites = (Cite(Quotation(message, 0, 9, "是我们仓库发错了货")),)
    world.tell(AGENT, lambda ctx: issue_ruling(ctx, dispute, decision(world, dispute, cites=cites)))

    recall(world, OWNER, message)

    ((cited,),) = [ruling.cites for ruling in world.tell(BUYER, lambda ctx: read_rulings(ctx, dispute)[1])]
    assert cited.text == "是我们仓库发错了货"


# --- who may, and how long ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late", "code"), [(-MICRO, None), (MICRO * 0, "recall_closed"), (MICRO, "recall_closed")])
def test_two_minutes_and_not_a_microsecond_more(world: World, late: timedelta, code: str | None) -> None:
    """Edge case 31: half-open like every window, by the instant the request was complete, not when it is worked on."""
    dispute = world.make_dispute()
    message = send(world, SEAT, dispute)
    asked_at = world.now + timedelta(minutes=2) + late
    world.pass_time(minutes=10)

    if code is None:
        recall(world, SEAT, message, received_at=asked_at)
        assert texts(world, BUYER, dispute) == [None]
    else:
        refusal = refused(world, SEAT, message, received_at=asked_at)
        assert refusal.code == code
        assert refusal.facts["closed_at"] == "2026-11-23T02:02:00.000000Z"
        assert texts(world, BUYER, dispute) == [GREETING]


def test_a_second_recall_is_told_of_the_first(world: World) -> None:
    """Edge case 31: twice is 409, with one entry."""
    dispute = world.make_dispute()
    message = send(world, BUYER, dispute)
    recall(world, BUYER, message)

    refusal = refused(world, BUYER, message)

    assert refusal.code == "already_recalled"
    assert world.kinds(dispute).count("buyer.message_recalled") == 1


def test_what_nobody_received_cannot_be_taken_back(world: World) -> None:
    """Edge case 31: held, blocked, late, and the answer to a ticket, which is looked at as one."""
    dispute = world.make_dispute()
    held = send(world, SEAT, dispute, "我们这是全国最好的面料")
    blocked = send(world, SEAT, dispute, "你这个骗子,滚")
    closed = world.make_dispute("closed", outcome="BUYER_WITHDREW", closed_at=world.now)
    late = Said("late-1", text=GREETING)
    world.tell(BUYER, lambda ctx: post_message(ctx, closed, late))
    (of_closed,) = world.rows(tables.Message, dispute_id=closed)
    of_ticket = send(world, OWNER, dispute)
    set_columns(world, tables.Message, of_ticket, conversation="ticket")

    refusals = [
        refused(world, actor, message)
        for actor, message in ((SEAT, held), (SEAT, blocked), (BUYER, of_closed.id), (OWNER, of_ticket))
    ]

    assert [(r.code, r.facts["delivery"]) for r in refusals] == [
        ("message_not_recallable", delivery) for delivery in ("held", "blocked", "late", "delivered")
    ]


def test_nothing_is_taken_out_of_a_closed_dispute(world: World) -> None:
    """Closed is sealed, whatever is left of the two minutes."""
    dispute = world.make_dispute()
    message = send(world, BUYER, dispute)
    world.pass_time(seconds=5)
    set_columns(world, tables.Dispute, dispute, state="closed", outcome="BUYER_WITHDREW", closed_at=world.now)

    assert refused(world, BUYER, message).code == "recall_closed"


def test_the_sender_or_the_owner_of_the_shop_and_nobody_else(world: World) -> None:
    """Edge cases 31, 55: one's own, or the shop's for its owner; what one may not know of is not there."""
    dispute = world.make_dispute()
    by_buyer, by_seat, by_owner = (send(world, who, dispute) for who in (BUYER, SEAT, OWNER))
    _, inquiry = ask(world, dispute)
    say(world, inquiry, TODAY)
    answered = last_reply(world, inquiry)
    blocked = send(world, OWNER, dispute, "你这个骗子,滚")

    for actor, message in ((SEAT, by_owner), (SEAT, by_buyer), (BUYER, by_seat), (OWNER, by_buyer), (SEAT, answered)):
        with pytest.raises(Forbidden, match="not_your_message"):
            recall(world, actor, message)
    for actor, message in ((BUYER, blocked), (BUYER, answered), (OTHER_BUYER, by_buyer), (OTHER_OWNER, by_seat)):
        with pytest.raises(Absent):
            recall(world, actor, message)
    with pytest.raises(Absent):
        recall(world, BUYER, "00000000-0000-7000-8000-000000000000")
    recall(world, OWNER, by_seat)

    assert texts(world, BUYER, dispute) == [GREETING, None, GREETING]


def test_a_seat_that_was_switched_off_takes_nothing_back(world: World) -> None:
    """Edge cases 31, 57: its owner still can."""
    dispute = world.make_dispute()
    message = send(world, SEAT, dispute)
    set_columns(world, tables.Seat, "seat-1", active=False)

    with pytest.raises(Forbidden, match="seat_inactive"):
        recall(world, SEAT, message)
    recall(world, OWNER, message)

    assert texts(world, BUYER, dispute) == [None]


# --- the policy -----------------------------------------------------------------------------------------------------


def test_a_policy_that_was_published_before_knows_the_default() -> None:
    """A dispute keeps the body it was pinned to; a field that body lacks has its default."""
    old = {name: value for name, value in to_json(DEFAULT).items() if name != "message_recall"}

    assert from_json(old).message_recall == timedelta(minutes=2)


def test_a_policy_may_forbid_it() -> None:
    """Nought: nothing is received before its own instant."""
    never = from_json(to_json(DEFAULT) | {"message_recall": "PT0S"})

    assert closes_at(START, never, closed_at=None) == START


@given(
    st.timedeltas(timedelta(0), timedelta(days=300)), st.none() | st.timedeltas(-timedelta(days=9), timedelta(days=9))
)
def test_the_end_is_never_after_the_policys_time_nor_after_the_end_of_the_dispute(
    length: timedelta, closed_after: timedelta | None
) -> None:
    """Whichever comes first."""
    policy = from_json(to_json(DEFAULT) | {"message_recall": f"PT{int(length.total_seconds())}S"})
    closed_at = None if closed_after is None else START + closed_after

    until = closes_at(START, policy, closed_at=closed_at)

    assert until == min(x for x in (START + policy.message_recall, closed_at) if x is not None)


# --- over HTTP ------------------------------------------------------------------------------------------------------


def test_taking_back_over_http(http: HttpWorld) -> None:
    """Edge case 31: 200 once, replayed by its key, 409 after that; both sides see that there was something."""
    dispute = http.open_one()
    sent = done(http.post("seat", f"/disputes/{dispute}/messages", {"client_message_id": "m-1", "text": GREETING}), 201)
    path = f"/messages/{sent['message_id']}/recall"

    trial = done(http.post("seat", path, Prefer="dry-run"), 200)
    first = http.post("seat", path, key="recall-key-1")
    replayed = http.post("seat", path, key="recall-key-1")
    again = done(http.post("seat", path), 409)
    by_buyer = done(http.post("buyer", path), 403)
    (line,) = done(http.get("buyer", f"/disputes/{dispute}/messages"), 200)["items"]
    (kept,) = done(http.get("auditor", f"/disputes/{dispute}/messages"), 200)["items"]

    body = done(first, 200)
    assert trial["message_id"] == body["message_id"] == sent["message_id"]
    assert body["receipt"]["seq"] == sent["receipt"]["seq"] + 1
    assert replayed.content == first.content
    assert (again["code"], by_buyer["code"]) == ("already_recalled", "not_your_message")
    assert (line["text"], line["attachment"], line["recalled_at"]) == (None, None, body["recalled_at"])
    assert kept["text"] == GREETING
