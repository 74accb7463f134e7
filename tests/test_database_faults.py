"""The database fails: full, away, or sending one of two back. Nothing is half done, and it goes on by itself."""

from __future__ import annotations

import sqlite3
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, make_url
from structlog.testing import capture_logs

from service.store import tables
from service.store.disputes import load_case
from service.store.engine import Transaction
from service.store.threads import TRIES_MAX, Job, Workers, Writer
from service.store.writes import Busy
from tests.conftest import NewDatabase, statements
from tests.over_http import HttpWorld, new_http_world
from tests.proofs import broken_chains
from tests.world import new_world

CANARY = "袖子上有一个破洞canary"
WAIT_SECONDS_MAX = 60


def say(world: HttpWorld, dispute_id: str, key: str) -> tuple[int, dict[str, str], str]:
    """The buyer writes, always the same under the same key."""
    body = {"client_message_id": key, "text": CANARY * 60}
    answer = world.post("buyer", f"/disputes/{dispute_id}/messages", body, key=key)
    return answer.status_code, dict(answer.headers), answer.text


@contextmanager
def full(world: HttpWorld) -> Iterator[None]:
    """No page more on the disk, for a while."""

    def allow(tx: Transaction, pages: str) -> None:
        tx.driver.execute(f"PRAGMA max_page_count = {pages}").fetchone()

    world.database.run(lambda tx: allow(tx, "1"))  # SQLite keeps what it has and takes no more
    try:
        yield
    finally:
        world.database.run(lambda tx: allow(tx, "1073741823"))


def test_a_full_disk_is_503_and_an_alarm_reads_go_on_and_writes_when_there_is_room(
    new_sqlite: NewDatabase, tmp_path: Path
) -> None:
    """F6: no half state, and the same key succeeds as soon as there is room."""
    with new_http_world(new_sqlite(), tmp_path) as world:
        dispute_id = world.open_one()
        before = world.kinds(dispute_id)

        with full(world), capture_logs() as logs:
            refused = [say(world, dispute_id, f"key-of-{number:05d}") for number in range(3)]
            read = world.get("buyer", f"/disputes/{dispute_id}")

        assert [status for status, _, _ in refused] == [503] * 3
        assert all(headers["retry-after"] for _, headers, _ in refused)
        assert read.status_code == 200
        assert world.kinds(dispute_id) == before
        assert broken_chains(world.database) == []
        alarms = [line for line in logs if line["event"] == "database_failed"]
        assert len(alarms) == 3
        assert {line["log_level"] for line in alarms} == {"error"}
        assert all(CANARY not in told for line in alarms for told in traceback.format_exception(line["exc_info"]))

        status, _, text = say(world, dispute_id, "key-of-00001")

        assert status == 201, text
        assert len(world.rows(tables.Message)) == 1


def test_a_file_that_somebody_else_holds_is_503_for_all_and_the_writer_goes_on(
    new_sqlite: NewDatabase, tmp_path: Path
) -> None:
    """F6: a backup that locks the file for too long costs a batch its answer, not the service its only writer."""
    url = new_sqlite()
    with new_world(url, tmp_path) as world, sqlite3.connect(str(make_url(url).database)) as backup:
        world.database.run(lambda tx: tx.driver.execute("PRAGMA busy_timeout = 100").fetchone())
        backup.execute("BEGIN IMMEDIATE")

        futures = [world.database.submit(lambda tx, n=n: n) for n in range(6)]  # five wait while the first one does

        assert [type(future.exception(WAIT_SECONDS_MAX)) for future in futures] == [Busy] * 6
        backup.rollback()
        assert world.database.run(lambda tx: "served") == "served"


@pytest.mark.postgres
def test_a_database_that_is_away_is_503_and_the_service_goes_on_by_itself_once_it_is_back(
    new_postgres: NewDatabase, postgres: URL, tmp_path: Path
) -> None:
    """F3: every connection cut, new ones refused, then let in; the same key succeeds, once."""
    url = new_postgres()
    name = make_url(url).database
    with new_http_world(url, tmp_path) as world:
        dispute_id = world.open_one()
        for number in range(8):  # every worker has a connection that will be cut
            assert say(world, dispute_id, f"before-{number:05d}")[0] == 201
        cut = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"

        statements(postgres, f'alter database "{name}" allow_connections false', cut)
        with capture_logs() as logs:
            refused = [say(world, dispute_id, f"during-{number:05d}")[0] for number in range(8)]
            refused += [world.get("buyer", f"/disputes/{dispute_id}").status_code for _ in range(8)]
        statements(postgres, f'alter database "{name}" allow_connections true')

        assert refused == [503] * 16
        assert [line["event"] for line in logs].count("database_failed") == 16
        for number in range(8):
            status, _, text = say(world, dispute_id, f"during-{number:05d}")
            assert status == 201, text
        assert len(world.rows(tables.Message)) == 16
        assert broken_chains(world.database) == []


@pytest.mark.postgres
def test_two_stories_that_wait_for_each_other_both_end(new_postgres: NewDatabase, tmp_path: Path) -> None:
    """F14: the database sends one of them back; it runs again and finds the other done."""
    with new_world(new_postgres(), tmp_path) as world:
        one, two = world.make_dispute("intervening"), world.make_dispute("intervening")
        met = threading.Barrier(2)
        tries: list[str] = []

        def lock(first: str, second: str) -> None:
            def story(tx: Transaction) -> None:
                tries.append(first)
                load_case(tx.session, first)
                if len(tries) <= 2:
                    met.wait(WAIT_SECONDS_MAX)
                load_case(tx.session, second)

            world.database.run(story)

        threads = [threading.Thread(target=lock, args=pair) for pair in ((one, two), (two, one))]
        for thread in threads:
            thread.start()
        ends = time.monotonic() + WAIT_SECONDS_MAX
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))

        assert not any(thread.is_alive() for thread in threads)
        assert 3 <= len(tries) <= 2 * TRIES_MAX  # who is sent back may meet the other again


class GivenUp(Future[Any]):
    """Somebody gives up waiting just after the thread has looked whether anybody waits."""

    def cancelled(self) -> bool:
        waits = not super().cancelled()
        self.cancel()
        return not waits


@pytest.mark.parametrize("make", [Writer, lambda engine: Workers(engine, 1)], ids=["writer", "worker"])
def test_a_thread_outlives_whoever_gives_up_while_it_answers(new_sqlite: NewDatabase, make: Any) -> None:
    """A health check has a bound of its own: its giving up must not end the thread that everybody else waits for."""
    threads = make(create_engine(new_sqlite(), connect_args={"check_same_thread": False}))

    def away(_: Transaction) -> None:
        raise ConnectionError

    for story in (away, lambda _: "done"):
        threads.submit(Job(story, GivenUp()))
    after: Future[Any] = Future()
    threads.submit(Job(lambda _: "served", after))

    assert after.result(WAIT_SECONDS_MAX) == "served"
    threads.close()
