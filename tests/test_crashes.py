"""Crashes: servers killed in the middle of windows, replies and payments, and stopped under load."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import random
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest
from sqlmodel import col

from bench.marketplace import REPLY, fill, inquiry_id, open_shop
from bench.wire import Wire
from service.settings import Settings
from service.store import tables
from service.store.payments import SimulatedGateway
from tests.conftest import NewDatabase
from tests.judge import put
from tests.payer import PAID_FEN, dispute, live_on, owed, pay
from tests.proofs import Say, broken_chains, new_seed, rows, size
from tests.serving import Cradle, Server, cradle, environment, migrated
from tests.waiting import wait_until
from tests.world import START, World

CLIENTS = 8
SILENCE = (OSError, asyncio.IncompleteReadError)  # the connection broke: nobody knows what became of the request

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cradle]:
    """Processes on demand."""
    with cradle(tmp_path_factory.mktemp("processes")) as rocking:
        yield rocking


@dataclass
class Field:
    """Disputes whose merchant is asked, on a migrated database that a server can be started on, again and again."""

    nursery: Cradle
    url: str
    folder: Path

    def lay_out(self, count: int) -> None:
        """Inquiries 0 … count-1, open for an hour."""
        with self.world() as world:
            open_shop(world.database, world.now)
            fill(world.database, world.house, count, now=world.now, warnings=False)

    def serve(self) -> Server:
        """A server that is ready."""
        return self.nursery.serve(self.url, self.folder)

    def world(self) -> Any:
        """The database, while nobody serves it: on SQLite one process holds the file."""
        world = World(self.url, self.folder / "files")
        world.now = datetime.now(UTC)
        return world.closing()


@pytest.fixture
def ground(nursery: Cradle, new_empty_database: NewDatabase, tmp_path: Path) -> Field:
    """A field on either engine."""
    return Field(nursery, migrated(new_empty_database(), tmp_path), tmp_path)


# --- in the middle of a window --------------------------------------------------------------------------------------


def test_a_window_that_was_armed_when_the_server_was_killed_fires_once_and_a_reply_before_it_wins(
    ground: Field,
) -> None:
    """Edge cases 7 and 15: killed with three windows armed, one answered before, one after; killed again, once more."""
    answered_before, silent, answered_after = range(3)
    ground.lay_out(3)
    server = ground.serve()
    assert asyncio.run(reply(server, answered_before))[0] == 201
    server.kill()
    with ground.world() as world:  # what waiting would do: the silent one's time is up a moment after the start
        ends = datetime.now(UTC) + timedelta(seconds=2)
        put(world, tables.Inquiry, inquiry_id(silent), due_at=ends)
        timer = f"{inquiry_id(silent)}:reply_window"
        put(world, tables.Timer, timer, due_at=ends, fires_at=ends + timedelta(seconds=1))

    for _ in range(2):
        server = ground.serve()
        assert asyncio.run(reply(server, answered_after))[0] == 201
        wait_until(lambda: state_of(server, silent) == "expired", seconds_max=120)  # noqa: B023  # of this round
        server.kill()

    with ground.world() as world:
        states = {i.id: i.state for i in rows(world.database, tables.Inquiry)}
        assert states == {
            inquiry_id(answered_before): "awaiting_agent",
            inquiry_id(silent): "expired",
            inquiry_id(answered_after): "awaiting_agent",
        }
        (ticket,) = rows(world.database, tables.Ticket)
        assert (ticket.inquiry_id, ticket.cause, ticket.state) == (inquiry_id(silent), "TIMEOUT", "issued")
        assert world.kinds(ticket.dispute_id).count("inquiry.expired") == 1
        armed = rows(world.database, tables.Timer, col(tables.Timer.done_at).is_(None))
        assert sorted(t.name for t in armed if t.name != "promise_lapse") == ["inquiry_idle"] * 2 + ["ticket_sla"]
        assert broken_chains(world.database) == []


async def reply(server: Server, number: int, token: str = "") -> tuple[int, Any]:
    """Answer an inquiry, always with the same key and words."""
    wire = server.wire(token or await _owner(server))
    try:
        return await send(wire, number)
    finally:
        await wire.close()


async def send(wire: Wire, number: int) -> tuple[int, Any]:
    body = json.dumps({"client_message_id": f"crash-{number}", "text": REPLY}).encode()
    status, answer = await wire.post(f"/v1/inquiries/{inquiry_id(number)}/messages", body, key=f"crash-{number:08d}")
    return status, json.loads(answer)


async def _owner(server: Server) -> str:
    return await asyncio.to_thread(server.token, "owner")


def state_of(server: Server, number: int) -> str:
    """An inquiry as the merchant sees it."""

    async def look() -> str:
        wire = server.wire(await _owner(server))
        _, answer = await wire.get(f"/v1/inquiries/{inquiry_id(number)}")
        await wire.close()
        return str(json.loads(answer)["state"])

    return asyncio.run(look())


# --- at random, under load ------------------------------------------------------------------------------------------


@dataclass
class Load:
    """Merchants who answer one inquiry after the other until the connection breaks."""

    next_number: int = 0
    acked: dict[int, Any] = field(default_factory=dict)  # number: the body of its 201
    unknown: set[int] = field(default_factory=set)  # sent, and no answer came
    refused: list[Any] = field(default_factory=list)  # any other answer

    async def run(self, server: Server, token: str, number_max: int, then: Callable[[], None], after: float) -> None:
        """Send until the server is gone; `then` happens `after` seconds."""
        clients = [asyncio.create_task(self._client(server, token, number_max)) for _ in range(CLIENTS)]
        await asyncio.sleep(after)
        then()
        await asyncio.gather(*clients)

    async def _client(self, server: Server, token: str, number_max: int) -> None:
        wire = server.wire(token)
        while self.next_number < number_max:
            number, self.next_number = self.next_number, self.next_number + 1
            try:
                await self.take(number, wire)
            except SILENCE:
                self.unknown.add(number)
                break
        await wire.close()

    async def take(self, number: int, wire: Wire) -> None:
        """Send one and keep what came."""
        status, answer = await send(wire, number)
        if status == 201:
            self.acked[number] = answer
        else:
            self.refused.append((number, status, answer))


def test_kill_at_random_under_load_loses_nothing_acknowledged(ground: Field, figure: Say) -> None:
    """Edge case 58, F2: every receipt is in the transcript, chains verify, the same key gives the same result."""
    seed, kills, each = new_seed(), size(whole=100, part=5), 400  # 200 and 10 over both engines
    dice, load, ready = random.Random(seed), Load(), list[float]()
    ground.lay_out(kills * each)
    for number in range(1, kills + 1):
        server = ground.serve()
        ready.append(server.ready_seconds)
        token = server.token("owner")
        asyncio.run(retry(load, server, token, dice))
        load.next_number = max([*load.acked, -1]) + 1
        asyncio.run(
            load.run(server, token, number * each, partial(server.signal, signal.SIGKILL), dice.uniform(0.05, 0.8))
        )
        assert server.gone()
    server = ground.serve()
    asyncio.run(retry(load, server, server.token("owner"), dice))
    server.kill()

    assert not load.refused, (seed, load.refused[:3])
    with ground.world() as world:
        require_all_there(world, load)
    figure(f"seed {seed}: {kills} kills, {len(load.acked)} acknowledged, 0 lost; ready {median(ready):.1f} s after")


async def retry(load: Load, server: Server, token: str, dice: random.Random) -> None:
    """Send again, with the same keys, what nobody knows of, and some of what was answered."""
    wire = server.wire(token)
    for number in sorted(load.unknown):
        await load.take(number, wire)
    load.unknown.clear()
    for number in dice.sample(sorted(load.acked), k=min(10, len(load.acked))):
        status, answer = await send(wire, number)
        assert (status, answer) == (201, load.acked[number]), "the same key, the same result"
    await wire.close()


def require_all_there(world: World, load: Load) -> None:
    """Every acknowledged reply stands in its transcript, once, with the hash of its receipt; nothing else does."""
    entries = {}
    for entry in rows(world.database, tables.TranscriptEntry, tables.TranscriptEntry.kind == "merchant.reply"):
        inquiry = json.loads(entry.body)["facts"]["inquiry"]
        assert inquiry not in entries, f"{inquiry} has two replies"
        entries[inquiry] = entry
    for number, answer in load.acked.items():
        entry = entries.pop(inquiry_id(number))
        receipt = answer["receipt"]
        assert (receipt["seq"], base64.b64decode(receipt["hash"])) == (entry.seq, entry.hash)
    assert not entries, "a reply that nobody was told of, and that no retry found"
    assert broken_chains(world.database) == []


# --- at every step of a reply ---------------------------------------------------------------------------------------


def test_kill_at_any_step_of_a_reply_leaves_all_or_nothing(ground: Field, figure: Say) -> None:
    """Edge case 58, F1: between any two calls of the path, database and answer included; a retry gives the same."""
    seed, points = new_seed(), size(whole=150, part=8)  # 300 and 16 over both engines
    dice = random.Random(seed)
    ground.lay_out(points + 1)
    answers = ground.folder / "answers.jsonl"

    def play(number: int, dies_at: int) -> None:
        words = [ground.url, str(ground.folder), str(answers), str(number), str(dies_at)]
        assert (actor := ground.nursery.play("tests.test_crashes:reply_and_die", *words)).gone()
        assert "Traceback" not in (log := actor.log.read_text()), log

    play(0, 0)
    steps = int(json.loads(answers.read_text().splitlines()[-1])["steps"])
    for number in range(1, points + 1):
        play(number, dice.randrange(1, steps))
    play(points + 1, 0)  # retries the last one

    said: dict[int, list[Any]] = defaultdict(list)
    for line in map(json.loads, answers.read_text().splitlines()):
        if "body" in line:
            assert line["status"] == 201, (seed, line)
            said[line["number"]].append(line["body"])
    assert all(body == bodies[0] for bodies in said.values() for body in bodies), "a retry gives the same result"
    assert sorted(said) == list(range(points + 1)), seed
    acked_before = sum(len(bodies) > 1 for bodies in said.values()) - 1
    with ground.world() as world:
        require_all_there(world, Load(acked={number: bodies[0] for number, bodies in said.items()}))
    figure(f"seed {seed}: killed at {points} of {steps} steps, {acked_before} after the answer, 0 lost")


def reply_and_die(url: str, folder: str, answers: str, number: str, dies_at: str) -> None:
    """In a process of its own: try the reply before again, then make the next one and die at one of its steps."""
    from service.app import create_app, lay_out_demo

    environ = environment(url, Path(folder), 0) | {"WORKER_THREADS": "1"}
    app = create_app(Settings.from_env(environ), tick=False)
    lay_out_demo(app)
    steps = itertools.count(1)
    out = os.open(answers, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(**line: object) -> None:
        os.write(out, json.dumps(line).encode() + b"\n")

    def step(*_: object) -> None:
        if next(steps) == int(dies_at):
            os.kill(os.getpid(), signal.SIGKILL)

    async def send(client: httpx.AsyncClient, number: int) -> None:
        body = {"client_message_id": f"crash-{number}", "text": REPLY}
        headers = {"Idempotency-Key": f"crash-{number:08d}"}
        answer = await client.post(f"/v1/inquiries/{inquiry_id(number)}/messages", json=body, headers=headers)
        note(number=number, status=answer.status_code, body=answer.json())

    async def act() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            given = await client.post("/v1/demo/tokens", json={"user": "owner"})
            client.headers["Authorization"] = f"Bearer {given.json()['access_token']}"
            if int(number):
                await send(client, int(number) - 1)
            if int(number) and not int(dies_at):
                return
            app.state.parts.database.run(lambda _: sys.setprofile(step))  # in the thread that writes
            sys.setprofile(step)
            await send(client, int(number))
            sys.setprofile(None)
            note(steps=next(steps))

    asyncio.run(act())


# --- in the middle of a payment -------------------------------------------------------------------------------------


@pytest.mark.parametrize("deaths", [("before",), ("after",), ("recorded",), ("after", "before", "after")], ids="-".join)
def test_a_payer_who_dies_between_asking_and_recording_pays_once(ground: Field, deaths: tuple[str, ...]) -> None:
    """Edge case 58: killed before the gateway hears of it, after the money moved, after it was written down."""
    with World(ground.url, ground.folder / "files").closing() as world:
        world.open_shop()
        dispute_id = owed(world)
    until = START
    for moment in deaths:
        words = [ground.url, str(ground.folder), moment, until.isoformat()]
        assert (actor := ground.nursery.play("tests.test_crashes:pay_and_die", *words)).gone()
        assert "Traceback" not in (log := actor.log.read_text()), log
        until += timedelta(seconds=61)  # the lease of the one who died has run out

    gateway = SimulatedGateway(ground.folder / "gateway.db")
    with World(ground.url, ground.folder / "files").closing() as world:
        world.now = until
        live_on(world, gateway, hours=3)
        (line,) = rows(world.database, tables.OrderLine)

        assert [payment.amount_fen for payment in gateway.payments()] == [PAID_FEN]
        assert (line.refunded_fen, line.pending_fen) == (PAID_FEN, 0)
        assert dispute(world, dispute_id).state == "closed"
        assert broken_chains(world.database) == []


def pay_and_die(url: str, folder: str, moment: str, now: str) -> None:
    """In a process of its own: take up what is owed and die at a moment of the payment."""
    gateway = SimulatedGateway(Path(folder) / "gateway.db")

    class Deadly:
        def submit(self, *order: Any, **more: Any) -> Any:
            if moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            submitted = gateway.submit(*order, **more)
            if moment == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return submitted

        def query(self, refund_id: str) -> Any:
            return gateway.query(refund_id)

    with World(url, Path(folder) / "files").closing() as world:
        world.now = datetime.fromisoformat(now)
        pay(world, Deadly())
        os.kill(os.getpid(), signal.SIGKILL)


# --- an orderly stop ------------------------------------------------------------------------------------------------


def test_a_graceful_stop_under_load_fails_no_write_in_flight(ground: Field, figure: Say) -> None:
    """F17: whatever was taken in is answered, whatever was not answered was not done; the process ends by itself."""
    seed, stops, each = new_seed(), size(whole=20, part=1), 2_000
    dice, load = random.Random(seed), Load()
    ground.lay_out(stops * each)
    for number in range(1, stops + 1):
        server = ground.serve()
        token = server.token("owner")
        load.next_number = max([*load.acked, -1]) + 1
        asyncio.run(
            load.run(server, token, number * each, partial(server.signal, signal.SIGTERM), dice.uniform(0.3, 0.8))
        )
        assert server.gone(), "it stops within its bound"
        with ground.world() as world:
            require_all_there(world, load)
        load.unknown.clear()  # nothing of theirs was done
    assert not load.refused, (seed, load.refused[:3])
    assert load.acked
    figure(f"seed {seed}: {stops} stops, {len(load.acked)} replies answered, 0 failed in flight")
