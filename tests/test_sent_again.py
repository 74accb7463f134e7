"""The same words again: after an edit was asked for they are refused until they differ, and repeats raise a measure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.resending import edit_digest, normal_form
from service.flows.ask_merchant import QUESTION_TEMPLATES, Asked, open_inquiry
from service.flows.exchange_messages import Said as Saying
from service.flows.exchange_messages import post_message
from service.flows.receive_reply import Said, receive_reply
from service.flows.serve_ticket import TicketAnswer, TicketWanted, issue_manual_ticket, respond
from service.store import tables
from service.store.writes import Plan
from tests.over_http import HttpWorld
from tests.world import AGENT, OWNER, SEAT, World, new_world, rule_book

MUST_EDIT = "你自己不会看吗"  # sarcasm: require_edit in every channel
EDITED = "亲,尺码表在详情页的第二张图"
CHANNELS = ("inquiry", "chat", "ticket")
LEXICON = rule_book().for_platform("taobao").lexicon


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    with new_world(database, tmp_path) as made:
        plan = Plan()
        plan.update(tables.Seat, "seat-1", designated=True)
        made.database.run(lambda tx: tx.apply([plan]))
        yield made


class Conversation:
    """One channel of a merchant, whichever it is."""

    def __init__(self, world: World, channel: str) -> None:
        self.world, self.channel, self.dispute = world, channel, world.make_dispute()
        if channel == "inquiry":
            asked = Asked("q-1", QUESTION_TEMPLATES["ship_today"])
            self.thread = world.tell(AGENT, lambda ctx: open_inquiry(ctx, self.dispute, asked))
        elif channel == "ticket":
            wanted = TicketWanted("product", "请说明尺码")
            self.thread = world.tell(AGENT, lambda ctx: issue_manual_ticket(ctx, self.dispute, wanted))

    def say(self, text: str, actor: Any = OWNER) -> Any:
        """Send a text as a seat of the shop."""
        name = f"m-{next(self.world.numbers)}"
        if self.channel == "inquiry":
            return self.world.tell(
                actor,
                lambda ctx: receive_reply(ctx, self.thread, Said(name, text=text), key_id=name),
                one_statement=True,
            )
        if self.channel == "ticket":
            return self.world.tell(actor, lambda ctx: respond(ctx, self.thread, TicketAnswer(name, text)))
        return self.world.tell(actor, lambda ctx: post_message(ctx, self.dispute, Saying(name, text=text)))

    def attempts(self) -> list[str]:
        """How each of the shop's messages was stored."""
        rows = self.world.rows(tables.Message, dispute_id=self.dispute, sender_side="merchant")
        return [row.delivery for row in rows]


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    "again", [MUST_EDIT, "你 自己不会看吗", "你自己不会看吗😀", "你自己不会看吗!!", "你⾃己不会看吗"]
)
def test_the_same_words_are_refused_after_an_edit_was_asked_for(world: World, channel: str, again: str) -> None:
    """A3, edge case 30: blanks, marks, emoji and look-alikes are no edit; the answer says so, the attempt is kept."""
    talk = Conversation(world, channel)
    first = talk.say(MUST_EDIT)

    second = talk.say(again)

    assert (first.outcome, first.resent_of) == ("edit", None)
    assert (second.outcome, second.resent_of) == ("edit", first.message_id)
    assert talk.attempts() == ["blocked", "blocked"]


@pytest.mark.parametrize("channel", CHANNELS)
def test_words_that_were_edited_go_out(world: World, channel: str) -> None:
    """The refusal ends where the normal form differs."""
    talk = Conversation(world, channel)
    talk.say(MUST_EDIT)

    assert talk.say(EDITED).outcome == "sent"


def test_a_colleague_cannot_send_what_another_seat_had_to_edit(world: World) -> None:
    """The colleague has no offences of its own: alone these words would be held, not stopped."""
    talk, praise = Conversation(world, "chat"), "我们这是全国最好的面料"
    for other in ("我们是全国第一的品牌", "全网最低价,买到就是赚到", "我们这是全国最好的质量"):
        talk.say(other)

    raised, colleague, elsewhere = talk.say(praise), talk.say(praise, SEAT), another(world).say(praise, SEAT)

    assert raised.outcome == "edit", raised
    assert (colleague.outcome, colleague.resent_of) == ("edit", raised.message_id)
    assert (elsewhere.outcome, elsewhere.resent_of) == ("confirm", None)


def another(world: World) -> Conversation:
    """A second conversation of the same shop."""
    talk = Conversation.__new__(Conversation)
    talk.world, talk.channel = world, "chat"
    talk.dispute = world.make_dispute(line=world.place_order("line-2"))
    return talk


def test_an_edit_that_was_asked_for_stands_in_the_transcript(world: World) -> None:
    """Promise 1: the second attempt's entry names the first, and its words are kept like any other's."""
    talk = Conversation(world, "inquiry")
    first = talk.say(MUST_EDIT)
    talk.say(MUST_EDIT + "😀")

    bodies = [e.body.decode() for e in world.rows(tables.TranscriptEntry, dispute_id=talk.dispute)]

    assert f'"resent_of":"{first.message_id}"' in bodies[-1]


# --- over HTTP ---


def test_over_http_the_answer_says_that_nothing_was_edited(http: HttpWorld) -> None:
    """A3: 422 with the outcome body; `resent` names the message and says why."""
    dispute = http.make_dispute()
    first = http.post("owner", f"/disputes/{dispute}/messages", {"client_message_id": "a", "text": MUST_EDIT})

    second = http.post("owner", f"/disputes/{dispute}/messages", {"client_message_id": "b", "text": MUST_EDIT + "。"})

    assert (first.status_code, second.status_code) == (422, 422)
    assert (first.json()["resent"], second.json()["resent"]["message_id"]) == (None, first.json()["message_id"])
    assert second.json()["resent"]["reason"]["zh"]


# --- repeats ---


def test_over_http_the_third_sarcasm_of_a_seat_is_one_rung_graver(http: HttpWorld) -> None:
    """Issue 3, point 5: two earlier offences of the category within the window raise require_edit to reject."""
    dispute = http.make_dispute()
    texts = ("你自己不会看吗", "买不起别买", "这点钱还想怎样")

    said = [
        http.post("owner", f"/disputes/{dispute}/messages", {"client_message_id": f"m-{n}", "text": text}).json()
        for n, text in enumerate(texts)
    ]

    assert [each["outcome"] for each in said] == ["edit", "edit", "rejected"]


def test_repeats_count_over_conversations_but_not_over_seats_nor_beyond_the_window(world: World) -> None:
    """Ladder: 24 hours; an offence counts for the seat that committed it, wherever it did."""
    hours = rule_book().ladder.repeat_window_hours
    chat, other_chat = Conversation(world, "chat"), another(world)
    chat.say("你自己不会看吗")
    other_chat.say("买不起别买")

    colleague = chat.say("这点钱还想怎样", SEAT)
    own = other_chat.say("便宜没好货,你自己不懂吗")
    world.now += timedelta(hours=hours, microseconds=1)
    later = chat.say("这点钱你还想怎样")

    assert (colleague.outcome, own.outcome, later.outcome) == ("edit", "rejected", "edit")


def test_an_offence_at_the_very_edge_of_the_window_no_longer_counts(world: World) -> None:
    """Half-open like every window: an offence counts until the window has passed, not after."""
    hours = rule_book().ladder.repeat_window_hours
    talk = Conversation(world, "chat")
    talk.say("你自己不会看吗")
    talk.say("买不起别买")
    world.now += timedelta(hours=hours) - timedelta(microseconds=1)

    inside = talk.say("这点钱还想怎样")
    world.now += timedelta(microseconds=1)
    outside = talk.say("便宜没好货,你自己不懂吗")

    assert (inside.outcome, outside.outcome) == ("rejected", "edit")


# --- the form ---


@given(st.text(max_size=60))
def test_the_normal_form_is_stable_and_blanks_do_not_change_it(text: str) -> None:
    """Edge case 30: whatever is written, taking the form twice or adding a blank changes nothing."""
    form = normal_form(text, LEXICON)

    assert normal_form(" " + text + "\u200b", LEXICON) == form
    assert len(edit_digest(text, LEXICON, thread_id="t" * 36)) == 32


def test_a_sign_that_stands_for_a_word_is_a_word() -> None:
    """Taking 🐧 (QQ) out is an edit; adding a smile is none."""
    assert normal_form("加🐧聊", LEXICON) != normal_form("加聊", LEXICON)
    assert normal_form("加聊😀", LEXICON) == normal_form("加聊", LEXICON)


def test_the_digest_is_of_one_conversation() -> None:
    """Equal words in two conversations cannot be told to be equal from the rows."""
    assert edit_digest("好", LEXICON, thread_id="a") != edit_digest("好", LEXICON, thread_id="b")
