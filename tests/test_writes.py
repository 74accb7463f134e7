"""Plans and how they are written: whole or not at all, once or again, alone or together, on either engine."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.domain.errors import GuardFailed
from service.flows.context import Context
from service.store import tables
from service.store.engine import DatabaseHeld, Transaction
from service.store.writes import Busy, Head, LostRace, Plan
from tests.proofs import broken_chains
from tests.world import AGENT, World, new_world


@pytest.fixture
def world(database: str, tmp_path: Path):
    """A shop on a fresh database."""
    with new_world(database, tmp_path) as made:
        yield made


def note(ctx: Context, dispute_id: str, kind: str = "note") -> None:
    """The smallest story: one entry."""
    dispute = ctx.tx.session.get(tables.Dispute, dispute_id, with_for_update=True)
    assert dispute is not None
    ctx.follow(dispute)
    ctx.record(kind)
    ctx.announce(kind)


def test_a_story_that_refuses_leaves_nothing(world: World) -> None:
    """What a story has planned before it refuses is dropped with it."""
    dispute = world.make_dispute()

    def story(ctx: Context) -> None:
        note(ctx, dispute)
        raise GuardFailed("changed_its_mind")

    with pytest.raises(GuardFailed):
        world.tell(AGENT, story)
    assert world.kinds(dispute) == ["dispute.requested"]
    assert world.row(tables.Dispute, id=dispute).version == 1


def test_a_plan_that_has_seen_an_older_version_writes_nothing(world: World) -> None:
    """The guard: a lost race leaves no entry, no event, no child."""
    dispute = world.make_dispute()
    row = world.row(tables.Dispute, id=dispute)
    stale = Plan(head=Head(dispute, row.version - 1, row.last_seq, row.last_hash, row.last_event_seq))
    stale.insert(tables.CaseCounter, day="19990101", last=1)

    with pytest.raises((LostRace, Busy)):
        world.database.run(lambda tx: tx.apply([stale]))
    assert world.rows(tables.CaseCounter) == []
    assert world.row(tables.Dispute, id=dispute).version == row.version


def test_a_lost_race_is_run_again_and_sees_what_the_other_wrote(world: World) -> None:
    """The second try reads afresh: both notes stand, in order."""
    dispute, tries = world.make_dispute(), []

    def story(ctx: Context) -> None:
        tries.append(1)
        note(ctx, dispute, f"note-{len(tries)}")
        if len(tries) == 1:
            assert ctx.plan.head is not None
            ctx.plan.head.version -= 1  # as if somebody had been faster

    world.tell(AGENT, story)

    assert len(tries) == 2
    assert world.kinds(dispute) == ["dispute.requested", "note-2"]


def test_a_race_that_is_lost_three_times_is_busy(world: World) -> None:
    """Bounded: at most three tries, then 503."""
    dispute, tries = world.make_dispute(), []

    def story(ctx: Context) -> None:
        tries.append(1)
        note(ctx, dispute)
        assert ctx.plan.head is not None
        ctx.plan.head.version -= 1

    with pytest.raises(Busy):
        world.tell(AGENT, story)
    assert len(tries) == 3


def test_many_writers_of_one_dispute_lose_nothing(world: World) -> None:
    """Forty notes from eight threads: forty entries, one chain, forty events."""
    dispute = world.make_dispute()
    errors: list[Exception] = []

    def one(_: int) -> None:
        for _attempt in range(20):
            try:
                world.tell(AGENT, lambda ctx: note(ctx, dispute))
                return
            except Busy as busy:
                errors.append(busy)
        raise AssertionError("never got through")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(40)))

    row = world.row(tables.Dispute, id=dispute)
    assert (row.last_seq, row.version, row.last_event_seq) == (41, 41, 40)
    assert sorted(e.sequence for e in world.rows(tables.Outbox, dispute_id=dispute)) == list(range(1, 41))


def test_a_unique_rule_decides_between_two_at_once(world: World) -> None:
    """Two disputes on one line: the second story runs again, sees the first, and can say so."""
    line = world.place_order()
    world.make_dispute(line=line)

    with pytest.raises(Busy):  # make_dispute does not look; a real story would refuse with the other's id
        world.make_dispute(line=line)
    assert len(world.rows(tables.Dispute, order_line_id=line)) == 1


def test_counters_are_added_up_over_a_batch_of_plans(world: World) -> None:
    """Two plans of one batch that touch the same seat both count."""
    plans = [Plan(), Plan()]
    for plan in plans:
        plan.add(tables.Seat, "seat-1", open_inquiries=1)

    world.database.run(lambda tx: tx.apply(plans))

    assert world.row(tables.Seat, id="seat-1").open_inquiries == 2


def test_a_counter_below_zero_is_refused_by_the_database(world: World) -> None:
    """A CHECK stands behind every counter."""
    plan = Plan()
    plan.add(tables.Seat, "seat-1", open_inquiries=-1)

    with pytest.raises(Busy):
        world.database.run(lambda tx: tx.apply([plan]))


def test_a_dry_run_shows_the_answer_and_keeps_nothing(world: World) -> None:
    """alone=True: everything is written, read back, and rolled back."""
    dispute = world.make_dispute()

    def work(tx: Transaction) -> int:
        ctx = world.house.context(tx, actor=AGENT, now=world.now, received_at=world.now)
        note(ctx, dispute)
        tx.apply([ctx.plan])
        return len(tx.rows("SELECT seq FROM transcript_entry WHERE dispute_id = ?", (dispute,)))

    assert world.database.run(work, alone=True) == 2
    assert world.kinds(dispute) == ["dispute.requested"]


def test_stories_of_one_group_commit_do_not_pull_each_other_down(world: World) -> None:
    """On SQLite many share a transaction; the one that refuses or breaks does so alone."""
    disputes = [world.make_dispute() for _ in range(6)]
    gate = threading.Event()
    world.database.submit(lambda tx: gate.wait(5))  # let a batch gather behind it

    def story(number: int):
        def work(tx: Transaction) -> int:
            ctx = world.house.context(tx, actor=AGENT, now=world.now, received_at=world.now)
            note(ctx, disputes[number])
            if number == 2:
                raise GuardFailed("not_me")
            if number == 4 and ctx.plan.head is not None:
                ctx.plan.head.version = 99  # loses every race
            tx.apply([ctx.plan])
            return number

        return work

    futures = [world.database.submit(story(n)) for n in range(6)]
    gate.set()

    outcomes = [f.exception() or f.result() for f in futures]
    assert outcomes[:2] == [0, 1]
    assert isinstance(outcomes[2], GuardFailed)
    assert isinstance(outcomes[4], Busy)
    assert [len(world.kinds(d)) for d in disputes] == [2, 2, 1, 2, 1, 2]


def test_stories_that_may_run_beside_each_other_are_written_together_or_each_alone(world: World) -> None:
    """Two of a batch are about one dispute: the second sees what the first wrote; no word of anybody is lost."""
    disputes = [world.make_dispute() for _ in range(5)]
    gate = threading.Event()
    world.database.submit(lambda tx: gate.wait(5))

    def story(number: int):
        def work(tx: Transaction) -> int:
            (row,) = tx.rows(
                "SELECT version, last_seq, last_hash, last_event_seq FROM dispute WHERE id = ?", (disputes[number % 5],)
            )
            ctx = world.house.context(tx, actor=AGENT, now=world.now, received_at=world.now)
            ctx.plan.head = Head(disputes[number % 5], *row)
            if number == 3:
                raise GuardFailed("not_me")
            ctx.record("note")
            tx.apply([ctx.plan])
            return number

        return work

    futures = [world.database.submit(story(n), one_statement=True) for n in range(7)]
    gate.set()

    outcomes = [f.exception() or f.result() for f in futures]
    assert [n for n in outcomes if isinstance(n, int)] == [0, 1, 2, 4, 5, 6]
    assert isinstance(outcomes[3], GuardFailed)
    assert [len(world.kinds(d)) for d in disputes] == [3, 3, 2, 1, 2]
    assert broken_chains(world.database) == []


def test_a_hot_story_that_reads_rows_leaves_its_connection_as_it_was(world: World) -> None:
    """What the session began ends with the story: the next one on the same connection begins as ever."""
    dispute = world.make_dispute()

    def hot(tx: Transaction) -> object:
        return tx.session.get(tables.Dispute, dispute)

    for _ in range(20):
        assert world.database.run(hot, one_statement=True) is not None
        world.tell(AGENT, lambda ctx: note(ctx, dispute))

    assert len(world.kinds(dispute)) == 21


def test_a_second_process_may_not_open_the_same_sqlite_file(tmp_path: Path, new_sqlite: object) -> None:
    """One process holds the file; the other says so at once."""
    url = new_sqlite()
    with new_world(url, tmp_path), pytest.raises(DatabaseHeld):
        World(url, tmp_path)


def test_readers_cannot_write(world: World) -> None:
    """On SQLite a reader's connection refuses every change."""
    if world.database.dialect == "sqlite":
        plan = Plan()
        plan.insert(tables.CaseCounter, day="20261123", last=1)

        with pytest.raises(Exception, match="readonly"):
            world.database.read(lambda tx: tx.apply([plan]))
    assert world.rows(tables.CaseCounter) == []
