"""What is shown or spoken is put into words (D10): a buyer's picture or clip is marked until the shop has done so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.store import tables
from tests.one_of_each import EXAMPLES
from tests.over_http import HttpWorld, done, new_http_world
from tests.pictures_http import GUILTY, INNOCENT, at_the_platform, kept
from tests.test_files import AMR


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[HttpWorld]:
    with new_http_world(database, tmp_path) as world:
        yield world


def test_a_shops_picture_is_marked_as_not_checked_as_text(world: HttpWorld) -> None:
    """D10: in the conversation, in the inquiry, and in the transcript."""
    dispute = at_the_platform(world)
    sha256 = kept(world, "owner", dispute, INNOCENT)
    inquiry = done(world.post("agent", f"/disputes/{dispute}/inquiries", EXAMPLES["openInquiry"]), 201)["id"]
    picture = {"kind": "image", "attachment": sha256}

    done(world.post("owner", f"/disputes/{dispute}/messages", {"client_message_id": "p-1"} | picture), 201)
    done(world.post("owner", f"/inquiries/{inquiry}/messages", {"client_message_id": "p-2"} | picture), 201)
    done(world.post("owner", f"/inquiries/{inquiry}/messages", {"client_message_id": "p-3", "text": "今天发货"}), 201)

    (line,) = done(world.get("buyer", f"/disputes/{dispute}/messages"), 200)["items"]
    seen = done(world.get("agent", f"/inquiries/{inquiry}"), 200)["messages"]
    assert line["not_checked_as_text"] is True
    assert [each["not_checked_as_text"] for each in seen] == [False, True, False]
    marked = [
        e.kind
        for e in world.rows(tables.TranscriptEntry, dispute_id=dispute)
        if b'"not_checked_as_text":true' in e.body
    ]
    assert sorted(marked) == ["merchant.message", "merchant.reply"]


def said(world: HttpWorld, user: str, dispute: str, **body: Any) -> Any:
    name = {"client_message_id": f"m-{next(world.numbers)}"}
    return done(world.post(user, f"/disputes/{dispute}/messages", name | body), 201)


def mark(world: HttpWorld, user: str, dispute: str) -> Any:
    return done(world.get(user, f"/disputes/{dispute}"), 200)["restate"]


@pytest.mark.parametrize(
    ("kind", "content", "media_type"),
    [("voice", AMR, "audio/amr"), ("image", GUILTY, "image/png")],
    ids=["voice", "image"],
)
def test_what_a_buyer_shows_or_says_is_to_be_put_into_words(
    world: HttpWorld, kind: str, content: bytes, media_type: str
) -> None:
    """D10: the turn is marked for all but the buyer until a text of substance; perfunctory words clear nothing."""
    dispute = at_the_platform(world)
    sha256 = kept(world, "buyer", dispute, content, media_type)
    assert mark(world, "owner", dispute) is None

    said(world, "buyer", dispute, kind=kind, attachment=sha256)
    said(world, "buyer", dispute, text="你们看看")
    since = mark(world, "owner", dispute)

    assert "文字" in since["notice"]["zh"]
    assert [mark(world, user, dispute) for user in ("agent", "supervisor", "auditor")] == [since] * 3
    assert mark(world, "buyer", dispute) is None
    lines = done(world.get("agent", f"/disputes/{dispute}/messages"), 200)["items"]
    assert [(each["seq"], each["awaits_text"]) for each in lines] == [
        (since["since_seq"], True),
        (since["since_seq"] + 1, False),
    ]
    for nothing in ("收到", "好的", "在的亲"):
        said(world, "owner", dispute, text=nothing)
        assert mark(world, "owner", dispute) == since, nothing

    said(world, "seat", dispute, text="您的意思是收到的是灰色,订单是白色,我们核实后给您换货")

    assert mark(world, "owner", dispute) is None
    lines = done(world.get("agent", f"/disputes/{dispute}/messages"), 200)["items"]
    assert not any(each["awaits_text"] for each in lines)
    entries = world.rows(tables.TranscriptEntry, dispute_id=dispute, kind="merchant.message")
    restated = f'"restates_since":{since["since_seq"]}'.encode()
    assert [restated in entry.body for entry in sorted(entries, key=lambda entry: entry.seq)] == [False] * 3 + [True]


def test_a_picture_an_emoji_or_a_blocked_text_puts_nothing_into_words(world: HttpWorld) -> None:
    """Only a text that was delivered does."""
    dispute = world.open_one()
    said(world, "buyer", dispute, kind="image", attachment=kept(world, "buyer", dispute, INNOCENT))
    since = mark(world, "owner", dispute)

    said(world, "owner", dispute, kind="emoji", text="👌👌👌👌👌")
    said(world, "owner", dispute, kind="image", attachment=kept(world, "owner", dispute, INNOCENT))
    done(
        world.post("owner", f"/disputes/{dispute}/messages", {"client_message_id": "x", "text": "你自己不会看吗"}), 422
    )

    assert since is not None
    assert mark(world, "owner", dispute) == since


def test_a_second_picture_after_the_words_marks_the_turn_again(world: HttpWorld) -> None:
    """The mark names the first thing that is not in words yet."""
    dispute = world.open_one()
    sha256 = kept(world, "buyer", dispute, INNOCENT)
    said(world, "buyer", dispute, kind="image", attachment=sha256)
    first = mark(world, "owner", dispute)["since_seq"]
    said(world, "owner", dispute, text="图里是灰色,订单是白色,我们核实一下")
    said(world, "buyer", dispute, kind="image", attachment=sha256)
    said(world, "buyer", dispute, kind="image", attachment=sha256)

    lines = done(world.get("owner", f"/disputes/{dispute}/messages"), 200)["items"]

    assert mark(world, "owner", dispute)["since_seq"] == first + 2
    assert [each["awaits_text"] for each in lines] == [False, False, True, True]
