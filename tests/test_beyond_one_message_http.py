"""Over HTTP in every channel: the same words after an edit was asked for, and phrases spread over two messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from tests.one_of_each import EXAMPLES
from tests.over_http import HttpWorld, new_http_world

MUST_EDIT = "你自己不会看吗"  # sarcasm: require_edit in every channel
CHANNELS = ("dispute", "inquiry", "ticket")


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[HttpWorld]:
    with new_http_world(database, tmp_path) as world:
        yield world


class Conversation:
    """One channel of a shop; a ticket takes one answer, so the agent sends it back before the next."""

    def __init__(self, world: HttpWorld, channel: str) -> None:
        self.world, self.channel, self.answered = world, channel, False
        dispute = world.open_one()
        if channel == "dispute":
            self.path = f"/disputes/{dispute}/messages"
            return
        for user, action in (
            ("owner", "seller-refuse"),
            ("buyer", "request-intervention"),
            ("agent", "accept-dispute"),
        ):
            example = {"seller-refuse": "refuseRequest", "request-intervention": "requestIntervention"}.get(action)
            acted = world.act(user, dispute, action, EXAMPLES[example] if example else None)
            assert acted.status_code == 200, acted.text
        if channel == "inquiry":
            made = world.post("agent", f"/disputes/{dispute}/inquiries", EXAMPLES["openInquiry"])
            self.path = f"/inquiries/{made.json()['id']}/messages"
        else:
            made = world.post("agent", "/service-tickets", EXAMPLES["issueTicket"] | {"dispute_id": dispute})
            self.ticket = f"/service-tickets/{made.json()['id']}"
            self.path = f"{self.ticket}/respond"
        assert made.status_code == 201, made.text

    def say(self, text: str) -> Response:
        """Send a text as the owner."""
        if self.answered and self.channel == "ticket":
            back = self.world.post("agent", f"{self.ticket}/reject", EXAMPLES["rejectTicketAnswer"])
            assert back.status_code == 200, back.text
        name = f"m-{next(self.world.numbers)}"
        answer = self.world.post("owner", self.path, {"client_message_id": name, "text": text})
        self.answered = answer.status_code == 201
        return answer


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_same_words_are_refused_until_they_differ(world: HttpWorld, channel: str) -> None:
    """A3, edge case 30: blanks and marks are no edit; the answer names the first message; edited words go out."""
    talk = Conversation(world, channel)

    first, second, third = (talk.say(text) for text in (MUST_EDIT, f"{MUST_EDIT} 。", "亲,今天发货"))

    assert (first.status_code, first.json()["outcome"], first.json()["resent"]) == (422, "edit", None)
    assert (second.status_code, second.json()["outcome"]) == (422, "edit")
    assert second.json()["resent"]["message_id"] == first.json()["message_id"]
    assert second.json()["resent"]["reason"]["zh"]
    assert (third.status_code, third.json()["outcome"]) == (201, "sent")


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("halves", [("加我", "微信abc123"), ("转", "账给我")])
def test_a_phrase_spread_over_two_messages_is_stopped_in_the_second(
    world: HttpWorld, channel: str, halves: tuple[str, str]
) -> None:
    """Issue 3, point 5: neither half is anything alone; the finding says where it began and cuts the second."""
    talk = Conversation(world, channel)

    begun, ended = (talk.say(half) for half in halves)

    assert begun.status_code == 201, begun.text
    assert ended.status_code in (403, 422), ended.text
    spread: list[Any] = [
        each for each in ended.json()["findings"] if each["category"] in ("diversion", "offline_payment")
    ]
    assert spread
    for each in spread:
        assert each["matched"] == halves[1][each["start"] : each["end"]]
    assert any("上一条消息" in each["reason"]["zh"] for each in spread)


@pytest.mark.parametrize("channel", CHANNELS)
def test_sentences_that_merely_meet_go_out(world: HttpWorld, channel: str) -> None:
    """The innocent example matters more than the guilty one."""
    talk = Conversation(world, channel)

    said = [talk.say(text).status_code for text in ("亲,给您备注加急了", "微信支付的话会原路退回")]

    assert said == [201, 201]
