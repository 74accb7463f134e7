"""Rules that change between two looks at the same words: what is judged is the message, by the rules in force then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.store import tables
from tests.over_http import HttpWorld, new_http_world
from tests.rule_drafts import MOON, done, published, small_rules, trial_pack

QUICK = f"亲,您的问题已经为您登记,{MOON}"  # a phrase that a seat keeps at hand


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_rules(tmp_path_factory.mktemp("rules"))


@pytest.fixture
def world(database: str, tmp_path: Path, rules: Path) -> Iterator[HttpWorld]:
    with new_http_world(database, tmp_path, rules) as made:
        yield made


def swap(world: HttpWorld, version: int = 1_001, pack: str | None = None) -> None:
    """New rules come into force in this process."""
    published(world, version, pack or trial_pack())
    assert world.app.state.parts.rule_watch.follow()


def threads(world: HttpWorld) -> dict[str, str]:
    """The paths of the two conversations in which a shop writes."""
    dispute = world.make_dispute(assignee_id="demo-agent-1")
    question = {"client_message_id": "q-1", "text": "请问什么时候可以发货"}
    inquiry = done(world.post("agent", f"/disputes/{dispute}/inquiries", question), 201)["id"]
    return {"dispute": f"/disputes/{dispute}/messages", "inquiry": f"/inquiries/{inquiry}/messages"}


def message(number: int, text: str, **more: Any) -> dict[str, Any]:
    return {"client_message_id": f"m-{number}", "text": text} | more


@pytest.mark.parametrize("thread", ["dispute", "inquiry"])
def test_a_quick_phrase_that_became_forbidden_is_stopped_like_any_other_words(world: HttpWorld, thread: str) -> None:
    """Edge case 31: it went out this morning; after the rule update the same words do not."""
    path = threads(world)[thread]
    before = world.post("owner", path, message(1, QUICK))

    swap(world)
    after = world.post("owner", path, message(2, QUICK))

    assert (before.status_code, after.status_code) == (201, 422)
    assert (after.json()["outcome"], after.json()["findings"][0]["rule"]) == ("rejected", "trial.moon")
    deliveries = [row.delivery for row in world.rows(tables.Message, sender_side="merchant")]
    assert deliveries == ["delivered", "blocked"]


def test_a_preview_is_no_leave_to_send(world: HttpWorld) -> None:
    """Edge case 31: the pack is swapped between the preview, which found nothing, and the message."""
    path = threads(world)["inquiry"]
    preview = done(
        world.post("owner", "/moderation/check", {"text": QUICK, "channel": "inquiry", "platform": "taobao"})
    )

    swap(world)
    sent = world.post("owner", path, message(1, QUICK))

    assert (preview["measure"], preview["findings"]) == ("none", [])
    assert (sent.status_code, sent.json()["outcome"]) == (422, "rejected")


@pytest.mark.parametrize("thread", ["dispute", "inquiry"])
def test_a_leave_to_send_ends_with_the_rules_it_was_given_under(world: HttpWorld, thread: str) -> None:
    """Edge case 31: what was held is judged anew, and goes out with a leave of today."""
    gentle = trial_pack().replace("measure: reject", "measure: suggest_edit")
    swap(world, 1_001, gentle)
    path = threads(world)[thread]
    held = done(world.post("owner", path, message(1, QUICK)), 202)

    swap(world, 1_002, gentle)
    stale = world.post("owner", path, message(2, QUICK, confirm_token=held["confirm_token"]))
    again = done(world.post("owner", path, message(3, QUICK)), 202)
    sent = done(world.post("owner", path, message(4, QUICK, confirm_token=again["confirm_token"])), 201)

    assert (stale.status_code, stale.json()["code"]) == (409, "confirm_token_invalid")
    assert (again["outcome"], sent["outcome"]) == ("confirm", "sent")
    assert again["confirm_token"] != held["confirm_token"]
