"""A merchant reply over HTTP under 16 clients, against the floor of the same run: its own statements, nothing else.

PostgreSQL: `pgbench -M prepared -c16` with the statements that one reply runs, ids counting through the same rows.
SQLite: the statements of as many replies, prepared beforehand, in a raw sqlite3 loop, one commit each,
`synchronous=FULL`. Floor and service alternate; the table shows medians.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from bench.marketplace import (
    MERCHANT,
    OWNER,
    REPLY,
    ROOT,
    fill,
    fresh_schema,
    inquiry_id,
    new_house,
    open_shop,
)
from bench.wire import Wire, demo_token
from service.flows.receive_reply import Said, receive_reply
from service.store import tables
from service.store.engine import Database, Transaction
from tests.postgres_server import server_binaries

CLIENTS = 16
HOST = "127.0.0.1"


@dataclass
class Rounds:
    """Figures of alternated rounds."""

    floor: list[float] = field(default_factory=list)  # transactions per second
    service: list[float] = field(default_factory=list)  # replies per second
    cpu_us: list[float] = field(default_factory=list)  # CPU of the service process per reply
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    def row(self, name: str, aim: str) -> str:
        """One line of the table."""
        middle = statistics.median
        ratio = middle(self.service) / middle(self.floor)
        return (
            f"| {name} | {middle(self.floor):8.0f} | {middle(self.service):8.0f} | {ratio:5.2f} | {aim} |"
            f" {middle(self.cpu_us):6.0f} | {middle(self.p50_ms):5.1f} | {middle(self.p99_ms):5.1f} |"
        )


HEADER = (
    "| merchant reply, 16 clients | floor/s | service/s | ratio | aim | CPU µs/reply | p50 ms | p99 ms |\n"
    "|---|---|---|---|---|---|---|---|"
)


def measure(url: str, folder: Path, *, rounds: int, replies: int) -> Rounds:
    """Alternate floor and service on one database.

    Args:
        replies: per round and side; each uses an inquiry of its own.
    """
    fresh_schema(url)
    house, now = new_house(folder), datetime.now(UTC)
    database = Database(url, workers=8)
    open_shop(database, now)
    fill(database, house, replies * rounds * 2 + CLIENTS, now=now)
    postgres = database.dialect == "postgresql"
    sample = None if not postgres else _sample(database, house, replies * rounds * 2)
    figures = Rounds()
    for number in range(rounds):
        first = number * replies * 2
        if postgres:
            assert sample is not None
            figures.floor.append(_pgbench(url, folder, sample, first, replies))
        else:
            statements = list(_statements(database, house, first, replies))
            figures.floor.append(_raw_sqlite(database, statements))
        if not postgres:
            database.close()  # one process holds the file
        with serving(url, folder) as (port, process):
            _hammer(figures, port, process, first + replies, replies)
        if not postgres:
            database = Database(url, workers=8)
    database.close()
    return figures


# --- the floors -----------------------------------------------------------------------------------------------------


class Noting:
    """A driver connection that writes down what it runs."""

    def __init__(self, driver: Any, *, run: bool) -> None:
        self.driver, self.run, self.said = driver, run, list[tuple[str, Any]]()

    def execute(self, statement: str, parameters: Any = ()) -> Any:
        """Note, then run; writes are only noted unless asked for."""
        self.said.append((statement, parameters))
        if self.run or statement.lstrip().startswith("SELECT"):
            return self.driver.execute(statement, parameters)
        return Nothing()

    def executemany(self, statement: str, rows: list[Any]) -> Any:
        """Note one statement a row: the floor runs what the service runs."""
        self.said.extend((statement, row) for row in rows)
        return Nothing(len(rows))


class Nothing:
    """The cursor of a write that was not run."""

    def __init__(self, rowcount: int = 1) -> None:
        self.rowcount = rowcount

    def fetchone(self) -> tuple[int]:
        """One row was guarded."""
        return (1,)


def _one_reply(database: Database, house: Any, number: int) -> list[tuple[str, Any]]:
    """The statements of one reply, without running its writes."""

    def work(tx: Transaction) -> list[tuple[str, Any]]:
        noting = Noting(tx.driver, run=False)
        tx.driver = noting
        at = datetime.now(UTC)
        key = f"{OWNER}|floor-{number:08d}"
        ctx = house.context(tx, actor=MERCHANT, now=at, received_at=at, cause=f"floor-{number:08d}")
        receive_reply(ctx, inquiry_id(number), Said(f"floor-{number:08d}", text=REPLY), key_id=key)
        ctx.plan.insert(tables.IdempotencyRow, id=key, fingerprint="f" * 64, status=201, body="x" * 1500, created_at=at)
        tx.apply([ctx.plan])
        return noting.said

    return database.run(work, one_statement=database.dialect == "postgresql")


def _statements(database: Database, house: Any, first: int, count: int) -> Iterator[list[tuple[str, Any]]]:
    for number in range(first, first + count):
        yield _one_reply(database, house, number)


def _raw_sqlite(database: Database, replies: list[list[tuple[str, Any]]]) -> float:
    raw = sqlite3.connect(str(database.url.database), isolation_level=None, cached_statements=512)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
        raw.execute(f"PRAGMA {pragma}")
    began = time.perf_counter()
    for statements in replies:
        raw.execute("BEGIN IMMEDIATE")
        for statement, values in statements:
            cursor = raw.execute(statement, values)
            if statement.lstrip().startswith("SELECT"):
                cursor.fetchall()
        raw.execute("COMMIT")
    took = time.perf_counter() - began
    raw.close()
    return len(replies) / took


def _sample(database: Database, house: Any, number: int) -> list[str]:
    """The statements of one reply as text, with `{{n}}` where its number stands."""
    said = _one_reply(database, house, number)
    address = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        texts = [with_values(connection, statement, values) for statement, values in said]
    mine = {one[0]: f"m{k}" for k, one in enumerate(re.finditer(r"'[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}'", texts[1]))}
    return [_numbered(text, number, mine) for text in texts]


def with_values(connection: psycopg.Connection[Any], statement: str, values: Any) -> str:
    """A statement with numbered marks as text, its values in place."""
    return psycopg.ClientCursor(connection).mogrify(re.sub(r"\$\d+", "%s", statement), values)


def _numbered(text: str, number: int, mine: dict[str, str]) -> str:
    """Let every id count with the client: known rows by their number, new rows and hashes made from it."""
    text = re.sub(
        r"(?<!:):(?=[A-Za-z0-9_]|[^\x00-\x7f])", "'||chr(58)||'", text.replace("\n", " ")
    )  # to pgbench `:x` is a variable
    for kind in "df":
        row = f"00000000-0000-7000-8000-{kind}"
        text = text.replace(f"'{row}{number:011d}'", f"('{row}' || lpad(:i::text, 11, '0'))")
    text = text.replace(f"'{OWNER}|floor-{number:08d}'", f"('{OWNER}|floor-' || lpad(:i::text, 8, '0'))")
    text = text.replace(f"'floor-{number:08d}'", "('floor-' || lpad(:i::text, 8, '0'))")
    for uuid, name in mine.items():
        text = text.replace(uuid, f"(:i::text || '-{name}')")
    for k, literal in enumerate(dict.fromkeys(re.findall(r"'\\x[0-9a-f]{64}'", text))):
        text = text.replace(literal, f"sha256((:i::text || '-h{k}')::bytea)")
    return text


def _pgbench(url: str, folder: Path, sample: list[str], first: int, count: int) -> float:
    each = count // CLIENTS
    script = folder / "reply.sql"
    counting = f"\\set n :n + 1\n\\set i {first} + :client_id * {each} + :n - 1\n"
    script.write_text(counting + "\n".join(f"{text};" for text in sample) + "\n")
    parts = make_url(url)
    finished = subprocess.run(
        [
            str(Path(server_binaries()) / "pgbench"),
            "-n",
            "-M",
            "prepared",
            "-c",
            str(CLIENTS),
            "-j",
            "2",
            "-t",
            str(each),
            "-D",
            "n=0",
            "-f",
            str(script),
            "-h",
            str(parts.host),
            "-p",
            str(parts.port),
            "-U",
            str(parts.username),
            str(parts.database),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"tps = ([0-9.]+) \(without", finished.stdout) or re.search(r"tps = ([0-9.]+)", finished.stdout)
    if found is None or "aborted" in finished.stderr:
        raise RuntimeError(f"pgbench: {finished.stderr[:1500]}\n{finished.stdout[-500:]}")
    return float(found[1])


# --- the service ----------------------------------------------------------------------------------------------------


@contextmanager
def serving(url: str, folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The real command on a free port; ended by its own pid."""
    port = _free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "DEMO": "1",
        "FILES_DIR": str(folder / "files"),
        "DEMO_KEY_PATH": str(folder / "demo.pem"),
        "LOG_LEVEL": "ERROR",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.server", str(port)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        asyncio.run(_until_ready(port, process))
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def _until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError("the server ended at once")
        try:
            status, _ = await Wire(HOST, port).get("/health/live")
            if status == 200:
                return
        except OSError:
            pass
        await asyncio.sleep(0.05)
    raise RuntimeError("the server never became ready")


def _hammer(figures: Rounds, port: int, process: subprocess.Popen[bytes], first: int, count: int) -> None:
    async def client(token: str, numbers: range, took: list[float]) -> None:
        wire = Wire(HOST, port, token)
        for number in numbers:
            body = json.dumps({"client_message_id": f"bench-{number:08d}", "text": REPLY}, ensure_ascii=False).encode()
            began = time.perf_counter()
            status, answer = await wire.post(
                f"/v1/inquiries/{inquiry_id(number)}/messages", body, key=f"bench-{number:08d}"
            )
            took.append(time.perf_counter() - began)
            if status != 201:
                raise RuntimeError(f"{status}: {answer.decode()[:300]}")
        await wire.close()

    async def run() -> list[float]:
        token, took, each = await demo_token(HOST, port, "owner"), list[float](), count // CLIENTS
        await asyncio.gather(
            *(client(token, range(first + c * each, first + (c + 1) * each), took) for c in range(CLIENTS))
        )
        return took

    cpu_before, began = _cpu_seconds(process.pid), time.perf_counter()
    took = sorted(asyncio.run(run()))
    elapsed = time.perf_counter() - began
    figures.service.append(len(took) / elapsed)
    figures.cpu_us.append((_cpu_seconds(process.pid) - cpu_before) / len(took) * 1e6)
    figures.p50_ms.append(took[len(took) // 2] * 1000)
    figures.p99_ms.append(took[int(len(took) * 0.99)] * 1000)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


__all__ = ["HEADER", "Rounds", "measure", "serving"]
