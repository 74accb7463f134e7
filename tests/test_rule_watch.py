"""Every process follows what was published and counts what rules stop; a version that cannot be loaded is an alarm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service.domain.moderation import Context, moderate
from service.domain.rule_language import Channel
from service.rule_watch import RuleWatch
from service.store import tables
from service.store.engine import Transaction
from service.store.rule_tally import Tally
from service.store.writes import Plan
from tests.conftest import NewDatabase
from tests.over_http import HttpWorld, new_http_world
from tests.proofs import Say
from tests.rule_drafts import MOON, changes, done, published, small_rules
from tests.serving import Server, cradle, migrated

CONTACT = "加我微信"
RULE = "diversion.private_contact"
FOLLOWS_SECONDS_MAX = 30  # generous: one look a second, a child that builds, a machine that is busy


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_rules(tmp_path_factory.mktemp("rules"))


@pytest.fixture
def world(database: str, tmp_path: Path, rules: Path) -> Iterator[HttpWorld]:
    with new_http_world(database, tmp_path, rules) as world:
        yield world


def watch(world: HttpWorld) -> RuleWatch:
    found: RuleWatch = world.app.state.parts.rule_watch
    return found


def metric(world: HttpWorld, name: str) -> float | None:
    return world.app.state.parts.metrics.registry.get_sample_value(name)


# --- following -------------------------------------------------------------------------------------------------------


def test_a_request_under_way_keeps_the_book_it_began_with(world: HttpWorld) -> None:
    """Edge case 31: one reference is swapped; whoever has the old book judges by it to the end."""
    before = world.house.rules()
    published(world)
    watch(world).follow()
    after = world.house.rules()

    context = Context(Channel.BUYER_CHAT, "taobao")
    old, new = (moderate(MOON, book.for_platform("taobao"), context) for book in (before, after))
    assert (old.measure, old.pack_version, old.pack_sha256) == ("none", 1, before.sha256)
    assert (new.measure, new.pack_version, new.pack_sha256) == ("reject", 1_001, after.sha256)
    assert metric(world, "gongduan_rules_version") == 1_001
    assert metric(world, "gongduan_rules_swapped_total") == 1


def test_a_process_that_starts_later_judges_by_what_was_published(database: str, tmp_path: Path, rules: Path) -> None:
    """Before its first request."""
    with new_http_world(database, tmp_path, rules) as world:
        sha256 = published(world)["sha256"]
    with new_http_world(database, tmp_path, rules) as later:
        assert later.house.rules().sha256 == sha256


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_in_force_and_calls_for_help(world: HttpWorld) -> None:
    """A row that was damaged: log and metric, tried again after a minute, healed by rolling back."""
    made = published(world)
    broken = Plan()
    broken.put(tables.RuleFiles, made["sha256"], deflated=b"not what was kept")
    world.database.run(lambda tx: tx.apply([broken]))
    book = world.house.rules()

    with capture_logs() as logs:
        swapped = [watch(world).follow(), watch(world).follow()]
        world.pass_time(seconds=61)
        watch(world).follow()
    stale = metric(world, "gongduan_rules_stale")
    done(world.post("supervisor", "/rule-packs/folder/roll-back"))
    watch(world).follow()

    alarms = [entry for entry in logs if entry["event"] == "rules_not_loaded"]
    assert swapped == [False, False]
    assert len(alarms) == 2, "once, and again after a minute"
    assert alarms[0]["log_level"] == "error"
    assert alarms[0]["version_id"] == made["id"]
    assert world.house.rules() is book
    assert (stale, metric(world, "gongduan_rules_stale")) == (1, 0)


def test_two_processes_on_one_database_follow_a_publication_and_a_rolling_back(
    new_empty_postgres: NewDatabase, tmp_path: Path, rules: Path, figure: Say
) -> None:
    """Published through one, in force in both within seconds, no request refused; the same for the way back."""
    url = migrated(new_empty_postgres(), tmp_path)
    with cradle(tmp_path) as nursery:
        both = [nursery.serve(url, tmp_path, RULES_DIR=str(rules)) for _ in range(2)]
        call = Caller(both)
        made = call.post("rules-editor", "/rule-packs", changes(), 201)
        for step in ("check", "replay"):
            call.post("rules-editor", f"/rule-packs/{made['id']}/{step}", {})
        before = call.measures()
        call.post("supervisor", f"/rule-packs/{made['id']}/publish", {"sha256": made["sha256"]})
        forth = call.until_all_say("reject")
        call.post("supervisor-2", "/rule-packs/folder/roll-back", {})
        back = call.until_all_say("none")

    figure(f"two processes followed a publication in {forth:.1f} s and a rolling back in {back:.1f} s")
    assert before == ["none", "none"]


class Caller:
    """Asks two servers, the first for everything that changes something."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.number = 0

    def post(self, user: str, path: str, body: dict[str, Any], status: int = 200, *, at: int = 0) -> dict[str, Any]:
        self.number += 1
        server = self.servers[at]
        headers = {"Authorization": f"Bearer {server.token(user)}", "Idempotency-Key": f"watch-{self.number:08d}"}
        answer = httpx.post(f"{server.url}/v1{path}", json=body, headers=headers, timeout=60)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def measures(self) -> list[str]:
        body = {"text": MOON, "platform": "taobao"}
        return [str(self.post("rules-editor", "/moderation/check", body, at=at)["measure"]) for at in (0, 1)]

    def until_all_say(self, measure: str) -> float:
        began = time.monotonic()
        while self.measures() != [measure, measure]:
            assert time.monotonic() - began < FOLLOWS_SECONDS_MAX, "a process does not follow"
            time.sleep(0.1)
        return time.monotonic() - began


# --- counting and falling back ---------------------------------------------------------------------------------------


def many_shops_write(world: HttpWorld, shops: int, text: str, *, tally: Tally | None = None) -> None:
    """Each shop writes once, as `hear` notes it."""
    verdict = moderate(text, world.house.rules().for_platform("taobao"), Context(Channel.BUYER_CHAT, "taobao"))
    for shop in range(shops):
        (tally or world.house.tally).note(f"shop-{shop}", verdict, at=world.now)


def test_what_was_counted_is_written_in_one_statement_and_nothing_where_nothing_was(
    world: HttpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off the path of every reply: one statement a second and process, whatever the number of rules and shops."""
    ran: list[str] = []
    execute = Transaction.execute

    def noted(self: Transaction, statement: str, parameters: Any) -> None:
        ran.append(statement)
        execute(self, statement, parameters)

    monkeypatch.setattr(Transaction, "execute", noted)
    watch(world).write_counts()
    nothing = len(ran)
    many_shops_write(world, 30, CONTACT)
    many_shops_write(world, 50, "亲请看")
    watch(world).write_counts()

    counted = {row.rule_id: (row.stopped, row.shops) for row in world.rows(tables.RuleTally)}
    assert (nothing, len(ran)) == (0, 1)
    assert counted == {"*": (80, 50), RULE: (30, 30)}


def test_what_could_not_be_written_is_counted_later(world: HttpWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away loses no count."""
    many_shops_write(world, 3, CONTACT)
    with monkeypatch.context() as away:
        away.setattr("service.store.rule_tally.add", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watch(world).write_counts()
    many_shops_write(world, 4, CONTACT)
    watch(world).write_counts()

    assert {row.rule_id: (row.stopped, row.shops) for row in world.rows(tables.RuleTally)} == {
        "*": (7, 4),
        RULE: (7, 4),
    }


def test_a_rule_that_stops_everybody_falls_back_to_watch_until_a_person_arms_it(world: HttpWorld) -> None:
    """Log, metric and an act; the message then goes out; counts of several processes add up."""
    another_process = Tally()
    many_shops_write(world, 12, CONTACT)
    many_shops_write(world, 12, CONTACT, tally=another_process)
    watch(world).write_counts()
    alone = watch(world).look_at_breakers()
    world.house.tally.put_back(another_process.drain())
    watch(world).write_counts()
    with capture_logs() as logs:
        fell = watch(world).look_at_breakers()
        again = watch(world).look_at_breakers()
    watch(world).follow()
    after = moderate(CONTACT, world.house.rules().for_platform("taobao"), Context(Channel.BUYER_CHAT, "taobao"))

    assert (alone, fell, again) == ([], [RULE], [])
    assert [entry["rule"] for entry in logs if entry["event"] == "rule_fell_back"] == [RULE]
    assert metric(world, "gongduan_rules_tripped_total") == 1
    assert metric(world, "gongduan_rules_fallen") == 1
    act = world.row(tables.RuleAct, kind="rule_tripped")
    assert (act.actor_id, act.rule_id, act.facts["shops"]) == ("clock", RULE, 24)
    assert (after.measure, [finding.rule for finding in after.watched]) == ("none", [RULE])
    assert after.pack_sha256 == world.app.state.parts.rules.folder_book.sha256

    told = done(world.get("rules-editor", "/rule-packs/in-force"))["breakers"]
    assert [(each["rule_id"], each["per_million"]) for each in told] == [(RULE, 1_000_000)]
    done(world.post("supervisor", f"/rule-breakers/{RULE}/rearm"))
    twice = world.post("supervisor", f"/rule-breakers/{RULE}/rearm")
    watch(world).follow()
    armed = moderate(CONTACT, world.house.rules().for_platform("taobao"), Context(Channel.BUYER_CHAT, "taobao"))
    world.pass_time(minutes=30)
    many_shops_write(world, 24, CONTACT)
    watch(world).write_counts()

    assert (twice.status_code, twice.json()["code"]) == (409, "rule_is_armed")
    assert armed.measure == "reject_with_notice"
    assert watch(world).look_at_breakers() == [], "a person has seen as much"


def test_two_processes_that_see_the_same_let_a_rule_fall_once(world: HttpWorld) -> None:
    """The number of the act is taken once; the other finds the rule fallen."""
    parts = world.app.state.parts
    other = RuleWatch(world.database, world.house, parts.rules, now=lambda: world.now, metrics=parts.metrics)
    many_shops_write(world, 40, CONTACT)
    watch(world).write_counts()

    fell = [each.look_at_breakers() for each in (watch(world), other)]

    assert fell == [[RULE], []]
    assert len(world.rows(tables.RuleAct, kind="rule_tripped")) == 1


def test_old_counts_are_forgotten_in_steps(world: HttpWorld) -> None:
    """After thirty days; younger ones stay."""
    from service.store import rule_tally

    many_shops_write(world, 1, CONTACT)
    world.pass_time(days=20)
    many_shops_write(world, 1, CONTACT)
    watch(world).write_counts()
    world.database.run(lambda tx: rule_tally.forget(tx, now=world.now + timedelta(days=11)))

    assert len(world.rows(tables.RuleTally)) == 2
