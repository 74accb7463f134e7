"""The life of a rule over HTTP: drafted, checked, replayed, published by a second person, rolled back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from service.domain.staff import Actor, Role
from service.flows import publish_rules
from service.store import tables
from service.store.engine import Transaction
from service.store.rulepacks import load_rule_book
from tests.over_http import HttpWorld, new_http_world
from tests.rule_drafts import (
    MOON,
    RULES,
    book_yaml,
    changes,
    done,
    drafted,
    published,
    replayed,
    small_rules,
    stands,
    trial_pack,
)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_rules(tmp_path_factory.mktemp("rules"))


@pytest.fixture
def world(database: str, tmp_path: Path, rules: Path) -> Iterator[HttpWorld]:
    with new_http_world(database, tmp_path, rules) as world:
        yield world


def follow(world: HttpWorld) -> bool:
    """What the rule watch of the process does every second."""
    return bool(world.app.state.parts.rule_watch.follow())


def measure(world: HttpWorld, text: str) -> str:
    return str(done(world.post("rules-editor", "/moderation/check", {"text": text, "platform": "taobao"}))["measure"])


def kinds(world: HttpWorld) -> list[str]:
    rows = world.rows(tables.RuleAct)
    return [row.kind for row in sorted(rows, key=lambda row: row.number)]


# --- the way into force ----------------------------------------------------------------------------------------------


def test_a_rule_goes_from_draft_into_force_and_back(world: HttpWorld) -> None:
    """Drafted and checked by one person, published by another, in force at the next look, rolled back by one."""
    made = drafted(world)
    done(world.post("rules-editor", f"/rule-packs/{made['id']}/check"))
    done(world.post("rules-editor", f"/rule-packs/{made['id']}/replay"))
    before = measure(world, MOON)
    told = done(world.post("supervisor", f"/rule-packs/{made['id']}/publish", {"sha256": made["sha256"]}))
    not_yet = measure(world, MOON)
    swapped = follow(world)
    after = measure(world, MOON)
    here = done(world.get("auditor", "/rule-packs/in-force"))
    done(world.post("supervisor", "/rule-packs/folder/roll-back"))
    follow(world)

    assert (before, not_yet, swapped, after, measure(world, MOON)) == ("none", "none", True, "reject", "none")
    assert (told["state"], told["author_id"], told["publisher_id"]) == (
        "published",
        "demo-rules-editor-1",
        "demo-supervisor-1",
    )
    assert here["version"]["id"] == made["id"]
    assert here["here"] == {"book": "gongduan", "version": 1_001, "sha256": made["sha256"]}
    assert kinds(world) == ["drafted", "checked", "replayed", "published", "rolled_back"]


def test_every_act_says_who_when_and_which_files(world: HttpWorld) -> None:
    """The list of acts has no gaps and names the sha256 of the very files."""
    made = published(world)
    world.pass_time(hours=1)
    done(world.post("supervisor-2", "/rule-packs/folder/roll-back"))
    page = done(world.get("auditor", "/rule-acts", limit=2))
    rest = done(world.get("auditor", "/rule-acts", limit=10, cursor=page["next_cursor"]))

    acts = page["items"] + rest["items"]
    assert [act["number"] for act in acts] == [3, 2, 1]
    assert [(act["kind"], act["actor_id"], act["sha256"]) for act in acts] == [
        ("rolled_back", "demo-supervisor-2", None),
        ("published", "demo-supervisor-1", made["sha256"]),
        ("drafted", "demo-rules-editor-1", made["sha256"]),
    ]
    assert acts[0]["facts"] == {"from": made["id"]}
    assert acts[0]["at"] > acts[1]["at"]


@pytest.mark.parametrize("statement", ["UPDATE rule_act SET actor_id = 'nobody'", "DELETE FROM rule_act"])
def test_an_act_can_be_neither_changed_nor_removed(world: HttpWorld, statement: str) -> None:
    """Append-only by triggers, as the transcript."""
    drafted(world)

    with pytest.raises(Exception, match="append-only") as refused:
        world.database.run(lambda tx: tx.connection.exec_driver_sql(statement))

    assert isinstance(refused.value, DBAPIError)
    assert kinds(world) == ["drafted"]


# --- the second person -----------------------------------------------------------------------------------------------


def test_the_author_may_not_publish_in_whatever_role(world: HttpWorld, rules: Path) -> None:
    """403 for the editor by the role; somebody who is both is refused by name, and nothing is in force."""
    made = replayed(world)
    as_editor = world.post("rules-editor", f"/rule-packs/{made['id']}/publish", {"sha256": made["sha256"]})
    both = Actor(Role.SUPERVISOR, "demo-rules-editor-1")

    with pytest.raises(Exception, match="author_may_not_publish"):
        world.tell(both, lambda ctx: publish_rules.publish(ctx, made["id"], sha256=made["sha256"], schema_from=rules))

    assert (as_editor.status_code, as_editor.json()["code"]) == (403, "role_not_allowed")
    assert world.row(tables.RuleVersion, id=made["id"]).state == "replayed"


def test_what_was_not_read_is_not_published(world: HttpWorld) -> None:
    """422 `payload_changed` for another fingerprint."""
    made = replayed(world)
    answer = world.post("supervisor", f"/rule-packs/{made['id']}/publish", {"sha256": "0" * 64})

    assert (answer.status_code, answer.json()["code"]) == (422, "payload_changed")


@pytest.mark.parametrize("state", ["drafted", "checked"])
def test_nothing_is_published_before_it_was_checked_and_replayed(world: HttpWorld, state: str) -> None:
    """409 `arrow_missing` from a draft and from a checked version."""
    made = drafted(world)
    stands(world, made["id"], state)
    answer = world.post("supervisor", f"/rule-packs/{made['id']}/publish", {"sha256": made["sha256"]})

    assert (answer.status_code, answer.json()["code"]) == (409, "arrow_missing")


def test_two_books_never_share_a_version(world: HttpWorld) -> None:
    """422 `version_not_raised`, when drafting, and again when publishing what was drafted before."""
    first, second = replayed(world, 1_001), replayed(world, 1_001, trial_pack(word="月亮不亮"))
    done(world.post("supervisor", f"/rule-packs/{first['id']}/publish", {"sha256": first["sha256"]}))

    late = world.post("supervisor", f"/rule-packs/{second['id']}/publish", {"sha256": second["sha256"]})
    again = world.post("rules-editor", "/rule-packs", changes(1_001))

    assert [(each.status_code, each.json()["code"]) for each in (late, again)] == [(422, "version_not_raised")] * 2
    assert late.json()["newest_version"] == 1_001


def test_two_supervisors_at_once_publish_one_after_the_other(world: HttpWorld) -> None:
    """The number of an act is taken once: both happen, in one order, and the last is in force."""
    made = [replayed(world, 1_001), replayed(world, 1_002, trial_pack(word="月亮不亮"))]

    def publish(user: str, each: dict[str, str]) -> int:
        answer = world.post(user, f"/rule-packs/{each['id']}/publish", {"sha256": each["sha256"]})
        return answer.status_code

    with ThreadPoolExecutor(2) as both:
        first = both.submit(publish, "supervisor", made[0])
        second = both.submit(publish, "supervisor-2", made[1])
    seen = {first.result(), second.result()}

    numbers = sorted(row.number for row in world.rows(tables.RuleAct))
    assert numbers == list(range(1, len(numbers) + 1))
    assert seen <= {200, 422}, "the lower version comes too late, or both in order"
    assert second.result() == 200
    last = max(world.rows(tables.RuleAct, kind="published"), key=lambda row: row.number)
    assert last.version_id == made[1]["id"]


def test_only_what_was_published_can_come_back(world: HttpWorld) -> None:
    """409 `never_published` for a draft, 409 `in_force_already` for what is in force."""
    made = drafted(world)
    answers = [
        world.post("supervisor", f"/rule-packs/{made['id']}/roll-back"),
        world.post("supervisor", "/rule-packs/folder/roll-back"),
    ]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [
        (409, "never_published"),
        (409, "in_force_already"),
    ]


def test_an_earlier_version_comes_back_as_it_was(world: HttpWorld) -> None:
    """Rolled back to by its id, with the same files and fingerprint."""
    first = published(world, 1_001)
    published(world, 1_002, trial_pack(word="月亮不亮"))
    follow(world)
    before = (measure(world, MOON), measure(world, "月亮不亮"))
    done(world.post("supervisor", f"/rule-packs/{first['id']}/roll-back"))
    follow(world)

    assert before == ("none", "reject")
    assert (measure(world, MOON), measure(world, "月亮不亮")) == ("reject", "none")
    assert world.house.rules().sha256 == first["sha256"]


# --- what is no rule book --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "where", "what"),
    [
        ({"book.yaml": "book: gongduan\nversion: two\n"}, ("book.yaml", 2), "version"),
        ({"book.yaml": None}, ("book.yaml", 1), "missing"),
        ({"book.yaml": "a: &x 1\nb: *x\n"}, ("book.yaml", 1), ""),
    ],
)
def test_a_book_that_cannot_say_what_it_is_is_refused_with_file_and_line(
    world: HttpWorld, files: dict[str, str | None], where: tuple[str, int], what: str
) -> None:
    """422 `bad_rules`; nothing is kept."""
    body = {"files": [{"name": name, "content": content} for name, content in files.items()], "base": "folder"}
    answer = world.post("rules-editor", "/rule-packs", body)

    told = answer.json()
    assert (answer.status_code, told["code"]) == (422, "bad_rules")
    assert (told["file"], told["line"]) == where
    assert what in told["reason"]
    assert world.rows(tables.RuleVersion) == []


@pytest.mark.parametrize("name", ["../book.yaml", "packs/../../x.yaml", "packs/A.yaml", "templates/relay.toml", "x.py"])
def test_a_file_lies_where_rule_files_lie(world: HttpWorld, name: str) -> None:
    """No path leads out of the folder; the edge refuses the name."""
    answer = world.post("rules-editor", "/rule-packs", {"files": [{"name": name, "content": "a"}]})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_a_pack_that_cannot_be_read_is_found_by_the_check_with_its_line(world: HttpWorld) -> None:
    """The version stays a draft, the fault is kept, and what is in force stays in force."""
    made = drafted(world, pack=trial_pack().replace("source: a test", "sauce: a test"))
    found = done(world.post("rules-editor", f"/rule-packs/{made['id']}/check"))

    assert found["version"]["state"] == "drafted"
    assert found["check"]["holds"] is False
    assert found["check"]["fault"]["file"] == "packs/trial.yaml"
    assert found["check"]["fault"]["line"] >= 5
    assert found["version"]["checked"]["fault"] == found["check"]["fault"]
    assert kinds(world) == ["drafted", "check_failed"]


def test_an_example_that_does_not_hold_keeps_the_version_a_draft(world: HttpWorld) -> None:
    """With the file, the line and what fired instead."""
    pack = trial_pack(hit="月亮很圆啊")
    line = pack[: pack.index("hit:")].count("\n") + 1
    made = drafted(world, pack=pack)
    found = done(world.post("rules-editor", f"/rule-packs/{made['id']}/check"))["check"]

    assert (found["holds"], found["failed"]) == (False, 1)
    [failure] = found["failures"]
    assert (failure["file"], failure["line"], failure["rule"]) == ("packs/trial.yaml", line, "trial.moon")
    assert (failure["wanted"], failure["got"]) == ("hit", [])


def test_only_the_author_withdraws_a_draft(world: HttpWorld) -> None:
    """422 `not_the_author` for another editor; withdrawn, it can no longer be checked."""
    made = drafted(world)
    with pytest.raises(Exception, match="not_the_author"):
        world.tell(Actor(Role.RULES_EDITOR, "editor-2"), lambda ctx: publish_rules.withdraw(ctx, made["id"]))

    done(world.post("rules-editor", f"/rule-packs/{made['id']}/withdraw"))
    late = world.post("rules-editor", f"/rule-packs/{made['id']}/check")

    assert (late.status_code, late.json()["code"]) == (409, "arrow_missing")


def test_the_files_come_back_as_they_were_drafted(world: HttpWorld, rules: Path) -> None:
    """Those of the folder with the drafted ones over them; their fingerprint is that of the same files on disk."""
    made = drafted(world)
    found = done(world.get("supervisor", f"/rule-packs/{made['id']}/files"))

    files = {each["name"]: each["content"] for each in found["files"]}
    assert files["book.yaml"] == book_yaml(1_001)
    assert files["packs/trial.yaml"] == trial_pack()
    assert files["ladder.yaml"] == (RULES / "ladder.yaml").read_text(encoding="utf-8")
    assert found["sha256"] == made["sha256"] != load_rule_book(rules).sha256


@pytest.mark.parametrize(("mode", "untried"), [("act", ["trial.moon"]), ("watch", [])])
def test_the_check_names_new_rules_that_would_act_at_once(world: HttpWorld, mode: str, untried: list[str]) -> None:
    """Decision 0010: nothing forces a new rule into watch, but whoever publishes reads which ones were never tried."""
    made = drafted(world, pack=trial_pack(mode=mode))
    found = done(world.post("rules-editor", f"/rule-packs/{made['id']}/check"))

    assert found["version"]["checked"]["untried"] == untried
    assert done(world.get("supervisor", f"/rule-packs/{made['id']}"))["checked"]["untried"] == untried


def test_a_rule_that_was_watched_may_act_next(world: HttpWorld) -> None:
    """watch → act: it is in force already, so it is not untried."""
    published(world, 1_001, trial_pack(mode="watch"))
    made = drafted(world, 1_002, trial_pack(mode="act"))
    found = done(world.post("rules-editor", f"/rule-packs/{made['id']}/check"))

    assert found["version"]["checked"]["untried"] == []


def test_a_rule_without_a_mode_is_watched(world: HttpWorld) -> None:
    """Every new rule starts in watch unless its author says otherwise."""
    made = drafted(world, pack=trial_pack().replace("    mode: act\n", ""))
    found = done(world.post("rules-editor", f"/rule-packs/{made['id']}/check"))

    assert (found["check"]["rules"], found["check"]["acting"]) == (2, 1)
    assert found["version"]["checked"]["untried"] == []


# --- watch, and replay -----------------------------------------------------------------------------------------------


def test_a_watched_rule_is_counted_without_effect_and_shown_to_nobody(world: HttpWorld) -> None:
    """watch → act: the shop's message goes out as if there were no such rule; the count is kept for the editor."""
    published(world, pack=trial_pack(mode="watch"))
    follow(world)
    dispute = world.open_one()
    sent = done(
        world.post("owner", f"/disputes/{dispute}/messages", {"client_message_id": "m-1", "text": f"亲,{MOON}"}), 201
    )
    world.app.state.parts.rule_watch.write_counts()

    assert (sent["outcome"], sent["measure"], sent["findings"]) == ("sent", "none", [])
    entries = [json.loads(row.body) for row in world.rows(tables.TranscriptEntry, dispute_id=dispute)]
    assert "trial.moon" not in json.dumps(entries)
    assert not [row for row in world.rows(tables.DisclosureRow, dispute_id=dispute) if "trial" in row.body]
    assert world.rows(tables.Offence) == []
    counted = {row.rule_id: row for row in world.rows(tables.RuleTally)}
    assert (counted["trial.moon"].watched, counted["trial.moon"].stopped, counted["trial.moon"].shops) == (1, 0, 0)
    assert (counted["*"].stopped, counted["*"].shops) == (1, 1)


def test_a_replay_shows_new_and_lost_hits_without_telling_whose_they_are(world: HttpWorld) -> None:
    """Samples are the words around the hit with digits masked, in the answer only; the database keeps counts."""
    dispute = world.open_one()
    text = f"亲,订单 20261123 的{MOON},请您再等等看好吗,谢谢您的理解和支持"
    done(world.post("owner", f"/disputes/{dispute}/messages", {"client_message_id": "m-1", "text": text}), 201)
    made = drafted(world)
    stands(world, made["id"], "checked")
    found = done(world.post("supervisor", f"/rule-packs/{made['id']}/replay", {"messages": 50}))

    assert (found["replay"]["judged"], found["replay"]["changed"]) == (1, 1)
    difference = found["replay"]["rules"]["trial.moon"]
    assert (difference["new"], difference["new_acting"], difference["lost"]) == (1, 1, 0)
    assert difference["new_samples"] == [f"…单 ######## 的[{MOON}],请您再等等看好吗,谢谢…"]
    kept = world.row(tables.RuleVersion, id=made["id"]).replayed
    assert kept["rules"]["trial.moon"] == {"new": 1, "lost": 0, "new_acting": 1, "lost_acting": 0}
    assert MOON not in json.dumps(kept, ensure_ascii=False)


def test_the_read_that_every_process_repeats_is_one_descent_of_an_index(world: HttpWorld) -> None:
    """Once a second and process: no scan of the acts, however many there are."""
    plans: list[str] = []

    def explain(tx: Transaction) -> None:
        how = "EXPLAIN QUERY PLAN " if tx.dialect == "sqlite" else "EXPLAIN "
        if tx.dialect != "sqlite":
            tx.driver.execute("SET LOCAL enable_seqscan = off")
        plans.extend(str(row) for row in tx.rows(how + "SELECT coalesce(max(number), 0) FROM rule_act", ()))

    world.database.run(explain, alone=True)

    text = " ".join(plans)
    assert "Index Only Scan" in text or "SEARCH rule_act" in text, text
