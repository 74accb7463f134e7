"""Races: two server processes on one PostgreSQL, replies against their deadlines, people against each other."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from sqlmodel import col

from bench.marketplace import MERCHANT, OWNER, fill, inquiry_id, open_shop
from service.app import decisions
from service.domain.errors import Conflict, Refusal
from service.domain.staff import Actor, Role
from service.flows import settle_dispute
from service.flows.receive_reply import Said, receive_reply
from service.flows.watch_windows import sweep
from service.store import tables
from service.store.engine import Database, Transaction
from service.store.payments import Outcome, SimulatedGateway
from tests.conftest import NewDatabase
from tests.judge import SAID, say
from tests.payer import owed, pay, tick
from tests.proofs import Say, broken_chains, new_seed, rows, size
from tests.serving import Cradle, Server, cradle, migrated
from tests.waiting import wait_until
from tests.world import AGENT, OTHER_AGENT, World, new_world

T = TypeVar("T")
SETTLE = timedelta(seconds=1)  # policy default@1
ANSWERS = ("亲,我们今天会给您发货的。", "实在抱歉,明天下午6点前发货。", "已经联系仓库了,我们会尽快处理的。")
SETTLED_SECONDS_MAX = 180  # generous: the machine may be busy with other tests

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cradle]:
    """Servers on demand."""
    with cradle(tmp_path_factory.mktemp("servers")) as rocking:
        yield rocking


@dataclass
class Two:
    """Two processes that serve one database, and the database itself."""

    servers: tuple[Server, Server]
    database: Database
    world: World

    def rest(self) -> None:
        """Stop both, so that what is looked at stands still."""
        for server in self.servers:
            server.stop()

    def tokens(self, user: str) -> str:
        """One key file signs for both."""
        return self.servers[0].token(user)


@pytest.fixture
def two(nursery: Cradle, new_empty_postgres: NewDatabase, tmp_path: Path) -> Iterator[Two]:
    """Two servers, ticking, on one fresh PostgreSQL."""
    url = migrated(new_empty_postgres(), tmp_path)
    servers = (nursery.serve(url, tmp_path), nursery.serve(url, tmp_path))
    world = World(url, tmp_path / "files")
    world.now = datetime.now(UTC)  # the servers have the real clock
    with world.closing():
        try:
            yield Two(servers, world.database, world)
        finally:
            for server in servers:
                if server.alive:
                    server.kill()


# --- replies against their deadlines, over HTTP ---------------------------------------------------------------------


@pytest.mark.postgres
def test_every_inquiry_ends_exactly_once_when_replies_race_their_deadlines(two: Two, figure: Say) -> None:
    """Edge cases 6 and 7, F9, F10: two processes sweep and answer; who replies before due_at is in time, always."""
    seed, count = new_seed(), size(whole=1_500, part=150)
    dice, a_second = random.Random(seed), 40
    silent = {number for number in range(count) if dice.random() < 0.05}
    begins = datetime.now(UTC) + timedelta(seconds=3 + count / 100)
    fill(two.database, two.world.house, count, now=datetime.now(UTC), due_at=begins,
         spread=timedelta(seconds=count / a_second), warnings=False)  # fmt: skip
    due = {i.id: i.due_at for i in rows(two.database, tables.Inquiry)}

    async def race() -> dict[int, tuple[int, str]]:
        talkers = [number for number in range(count) if number not in silent]
        dues = {number: due[inquiry_id(number)] for number in talkers}
        return dict(await asyncio.gather(*(reply_near(two, token, number, dues[number], dice) for number in talkers)))

    token = two.tokens("owner")
    said = asyncio.run(race())
    wait_until(
        lambda: not rows(two.database, tables.Inquiry, col(tables.Inquiry.state) == "awaiting_merchant"),
        seconds_max=SETTLED_SECONDS_MAX,
    )

    two.rest()
    inquiries = {i.id: i for i in rows(two.database, tables.Inquiry)}
    messages = {m.thread_id: m for m in rows(two.database, tables.Message, tables.Message.sender_side == "merchant")}
    in_time = {number for number in said if messages[inquiry_id(number)].received_at < due[inquiry_id(number)]}
    for number, (status, code) in said.items():
        assert (status, code) == ((201, "") if number in in_time else (409, "window_closed")), (seed, number)
        assert messages[inquiry_id(number)].delivery == ("delivered" if number in in_time else "late"), (seed, number)
    states = {number: inquiries[inquiry_id(number)].state for number in range(count)}
    assert states == {n: "awaiting_agent" if n in in_time else "expired" for n in range(count)}, seed
    require_one_ending_each(two.database, in_time, count)
    assert 0 < len(in_time) < len(said), "both outcomes were there"
    figure(f"seed {seed}: {count} windows, {len(in_time)} answered in time, {len(said) - len(in_time)} too late, "
           f"{len(silent)} silent; each ended once")  # fmt: skip


async def reply_near(two: Two, token: str, number: int, due_at: datetime, dice: random.Random) -> tuple[int, Any]:
    """Reply within 150 ms of the deadline, through either server; a `busy` answer is tried again with its key."""
    wire = dice.choice(two.servers).wire(token)
    text, shift = dice.choice(ANSWERS), dice.uniform(-0.15, 0.12)
    body = json.dumps({"client_message_id": f"race-{number}", "text": text}).encode()
    await asyncio.sleep(max(0.0, (due_at - datetime.now(UTC)).total_seconds() + shift))
    status, answer = 503, b"{}"
    while status == 503:
        status, answer = await wire.post(
            f"/v1/inquiries/{inquiry_id(number)}/messages", body, key=f"race-key-{number:06d}"
        )
    await wire.close()
    return number, (status, json.loads(answer).get("code", ""))


def require_one_ending_each(database: Database, in_time: set[int], count: int) -> None:
    """One ticket for each that was not answered, none standing for the others; nothing armed that should not be."""
    tickets = rows(database, tables.Ticket)
    standing = Counter(t.inquiry_id for t in tickets if t.state != "cancelled")
    late = {inquiry_id(number) for number in range(count) if number not in in_time}
    assert standing == dict.fromkeys(late, 1)
    expired: Counter[str] = Counter()
    for entry in rows(database, tables.TranscriptEntry, col(tables.TranscriptEntry.kind).like("inquiry.%")):
        inquiry = json.loads(entry.body)["facts"]["inquiry"]
        expired[inquiry] += {"inquiry.expired": 1, "inquiry.revived": -1}.get(entry.kind, 0)  # taken back: not ended
    assert {inquiry: times for inquiry, times in expired.items() if times} == dict.fromkeys(late, 1)
    armed = rows(database, tables.Timer, col(tables.Timer.done_at).is_(None))
    waiting = {i.id for i in rows(database, tables.Inquiry, tables.Inquiry.state == "awaiting_agent")}
    running = {t.id for t in tickets if t.state in ("issued", "acknowledged")}
    assert not [t.id for t in armed if t.name.startswith("reply_")], "no window and no warning is armed any more"
    assert {t.subject_id for t in armed if t.name == "inquiry_idle"} == waiting
    assert {t.subject_id for t in armed if t.name == "ticket_sla"} == running
    (owner,) = rows(database, tables.Seat, tables.Seat.id == OWNER)
    assert owner.open_inquiries == len(waiting), "the counter equals a recount"
    counted = rows(
        database,
        tables.StandingEvent,
        col(tables.StandingEvent.voided_at).is_(None),
        tables.StandingEvent.kind == "timeout",
    )
    assert len(counted) == len(late)
    assert broken_chains(database) == []


# --- replies against their deadlines, with a clock that is told ------------------------------------------------------


def test_who_is_in_time_depends_on_receipt_alone_however_timer_and_reply_interleave(
    database: str, tmp_path: Path, figure: Say
) -> None:
    """Edge cases 6, 11 and 12: the sweep before, after or at once with the reply, the reply worked on seconds late."""
    seed, count = new_seed(), size(whole=10_000, part=500)
    dice = random.Random(seed)
    with new_world(database, tmp_path) as world:
        open_shop(world.database, world.now)
        due_at = world.now + timedelta(hours=1)
        spread = timedelta(seconds=30 * count)
        fill(world.database, world.house, count, now=world.now, due_at=due_at, spread=spread, warnings=False)
        in_time = set()
        for number in range(count):
            due = due_at + spread * number / count
            received_at = due + timedelta(microseconds=dice.choice((-1, 0, 1, dice.randint(-2_000_000, 2_000_000))))
            if received_at < due:
                in_time.add(number)

            interleave(world, number, due, received_at, dice)

            (inquiry,) = rows(world.database, tables.Inquiry, tables.Inquiry.id == inquiry_id(number))
            (message,) = rows(world.database, tables.Message, tables.Message.thread_id == inquiry_id(number))
            wanted = ("awaiting_agent", "delivered") if number in in_time else ("expired", "late")
            assert (inquiry.state, message.delivery) == wanted, (seed, number)
        require_one_ending_each(world.database, in_time, count)
    assert 0 < len(in_time) < count, "both outcomes were there"
    figure(f"seed {seed}: {count} interleavings, {len(in_time)} in time")


def interleave(world: World, number: int, due: datetime, received_at: datetime, dice: random.Random) -> None:
    """Reply and sweep in any order and at any time that a real one could have; both run to their end."""
    worked_at = received_at + timedelta(seconds=dice.choice((0, 0.001, dice.uniform(0, 5))))
    swept_at = [due + SETTLE + timedelta(seconds=dice.choice((-1.5, -0.000001, 0, 0.3, 4))) for _ in range(2)]
    acts = [(worked_at, "reply"), *((at, "sweep") for at in swept_at), (due + timedelta(seconds=12), "sweep")]
    dice.shuffle(acts)
    acts.sort(key=lambda act: act[0])
    together = dice.random() < 0.3
    running: list[Future[Any]] = []
    for at, act in acts[:-1]:
        work = _reply(world, number, at, received_at) if act == "reply" else _sweep(world, at)
        running.append(world.database.submit(work))
        if not together:
            running[-1].result()
    for future in running:
        future.result()
    world.database.run(_sweep(world, acts[-1][0]))


def _reply(world: World, number: int, at: datetime, received_at: datetime) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        ctx = world.house.context(tx, actor=MERCHANT, now=at, received_at=received_at)
        receive_reply(ctx, inquiry_id(number), Said(f"m-{number}", text=ANSWERS[number % 3]), key_id=f"k-{number}")
        tx.apply([ctx.plan])

    return work


def _sweep(world: World, at: datetime) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        assert not sweep(world.house, tx, now=at, decisions=decisions()).failed

    return work


# --- people against each other --------------------------------------------------------------------------------------


def at_once(*stories: Callable[[], T]) -> list[T | Refusal]:
    """Run stories in threads of their own that begin together; a refusal is an answer."""
    gate, answers = threading.Barrier(len(stories)), dict[int, T | Refusal]()

    def run(place: int, story: Callable[[], T]) -> None:
        gate.wait()
        try:
            answers[place] = story()
        except Refusal as refusal:
            answers[place] = refusal

    threads = [threading.Thread(target=run, args=each) for each in enumerate(stories)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[place] for place in range(len(stories))]


def test_two_agents_who_accept_one_case_leave_one_assignee(database: str, tmp_path: Path, figure: Say) -> None:
    """Edge case 3, F9: one accepts, the other is refused; one acceptance in the transcript."""
    seed, races = new_seed(), size(whole=1_000, part=50)
    dice, wins = random.Random(seed), Counter[str]()
    with new_world(database, tmp_path) as world:
        for _ in range(races):
            dispute_id = world.make_dispute("intervention_requested")
            people = [AGENT, OTHER_AGENT]
            dice.shuffle(people)

            answers = at_once(*(partial(accept, world, dispute_id, who) for who in people))

            (winner,) = (who for who, said in zip(people, answers, strict=True) if said is None)
            (loser,) = (said for said in answers if said is not None)
            assert isinstance(loser, Conflict), seed
            assert world.row(tables.Dispute, id=dispute_id).assignee_id == winner.subject
            assert world.kinds(dispute_id).count("dispute.accept_dispute") == 1
            wins[winner.subject] += 1
        assert broken_chains(world.database) == []
    figure(f"seed {seed}: {races} races, won by {dict(wins)}")


def accept(world: World, dispute_id: str, who: Actor) -> None:
    """One agent takes the case."""
    world.tell(who, lambda ctx: settle_dispute.accept_dispute(ctx, dispute_id))


@pytest.mark.postgres
def test_of_ruling_agreement_withdrawal_and_transfer_at_one_revision_exactly_one_wins(two: Two, figure: Say) -> None:
    """Edge cases 3 and 4: two processes, one revision; every loser is refused and may read the view that won."""
    seed, races = new_seed(), size(whole=250, part=12)
    dice, wins = random.Random(seed), Counter[str]()
    tokens = {user: two.tokens(user) for user in ("agent", "agent-2", "buyer", "owner", "supervisor")}
    for number in range(races):
        dispute_id, acts = dispute_in_dispute(two.world, number)
        acts = dict(dice.sample(sorted(acts.items()), k=len(acts)))
        revision = two.world.row(tables.Dispute, id=dispute_id).version

        servers = dice.choices(two.servers, k=len(acts))
        answers = at_once(
            *(
                partial(post_action, server, tokens[user], dispute_id, action, body, revision)
                for server, ((user, action), body) in zip(servers, acts.items(), strict=True)
            )
        )

        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] + [412] * (len(acts) - 1), (seed, [answer.text for answer in answers])
        (winner,) = (act for act, answer in zip(acts, answers, strict=True) if answer.status_code == 200)
        (won,) = (answer.json() for answer in answers if answer.status_code == 200)
        assert won["revision"] == revision + 1, seed
        moves = [kind for kind in two.world.kinds(dispute_id) if kind in MOVES.values()]
        assert moves == [MOVES[winner[1]]], seed
        assert {answer.json()["code"] for answer in answers if answer.status_code == 412} == {"stale_revision"}
        wins[winner[1]] += 1
    two.rest()
    assert broken_chains(two.database) == []
    figure(f"seed {seed}: {races} races of {len(acts)}, won by {dict(wins)}")


MOVES = {
    "accept-dispute": "dispute.accept_dispute",
    "issue-ruling": "dispute.issue_ruling",
    "transfer": "dispute.transfer",
    "withdraw": "dispute.buyer_withdraw",
    "seller-agree-refund": "dispute.seller_agree_refund",
}


def dispute_in_dispute(world: World, number: int) -> tuple[str, dict[tuple[str, str], dict[str, Any]]]:
    """A dispute at which four people can do something at one revision; returns it and what each of them does."""
    buyer = Actor(Role.BUYER, "demo-buyer-1")
    line = world.place_order(f"race-line-{number}", buyer=buyer.subject, shop="demo-shop-1")
    if number % 3 == 0:
        dispute_id = world.make_dispute("intervention_requested", line=line)
        return dispute_id, {
            ("agent", "accept-dispute"): {},
            ("agent-2", "accept-dispute"): {},
            ("buyer", "withdraw"): {},
            ("owner", "seller-agree-refund"): {},
        }
    dispute_id = world.make_dispute("intervening", line=line, assignee_id="demo-agent-1")
    message_id = say(world, dispute_id, buyer, SAID)
    ruling = {
        "kind": "refund_full",
        "amount": {"amount": 12_900, "currency": "CNY"},
        "liability": "MERCHANT",
        "basis": "QUALITY_PROBLEM",
        "reasons": "买家提供的照片显示商品有破损,商家没有说明原因。",
        "cites": [{"message_id": message_id, "start": 0, "end": 4, "text": SAID[:4]}],
    }
    return dispute_id, {
        ("agent", "issue-ruling"): ruling,
        ("supervisor", "transfer"): {"assignee_id": "demo-agent-2"},
        ("buyer", "withdraw"): {},
        ("owner", "seller-agree-refund"): {},
    }


def post_action(
    server: Server, token: str, dispute_id: str, action: str, body: dict[str, Any], revision: int
) -> httpx.Response:
    """Take an action at a revision."""
    headers = {"Authorization": f"Bearer {token}", "If-Match": f'"{revision}"', "Idempotency-Key": uuid.uuid4().hex}
    url = f"{server.url}/v1/disputes/{dispute_id}/actions/{action}"
    return httpx.post(url, json=body, headers=headers, timeout=120)


@pytest.mark.postgres
def test_two_payers_and_two_sweepers_pay_an_agreed_refund_once(
    new_postgres: NewDatabase, tmp_path: Path, figure: Say
) -> None:
    """Edge case 7, F9: two workers take up the same jobs and clocks at once; one payment an obligation."""
    seed, races = new_seed(), size(whole=500, part=25)
    dice, url = random.Random(seed), new_postgres()
    gateway = SimulatedGateway(tmp_path / "gateway.db")
    with new_world(url, tmp_path / "a") as world, World(url, tmp_path / "b").closing() as other:
        for _ in range(races):
            owed(world)
        for _ in range(races * 20):
            gateway.outcomes = deque(dice.choices(list(Outcome), k=8))
            other.now = world.pass_time(minutes=dice.choice((0, 1, 2, 30)))
            at_once(*(partial(work, one) for one in (world, other) for work in (partial(pay_from, gateway), tick)))
            if not open_jobs(world):
                break
        paid = Counter(payment.payment_no for payment in gateway.payments())
        lines = rows(world.database, tables.OrderLine)

        assert max(paid.values()) == 1, seed
        for line in lines:
            assert (line.refunded_fen > 0) == (paid[line.order_id] == 1), (seed, line.id)
            assert line.refunded_fen in (0, line.paid_fen), (seed, line.id)
        assert broken_chains(world.database) == []
    figure(f"seed {seed}: {races} refunds under two payers, {sum(paid.values())} payments, none twice")


def pay_from(gateway: SimulatedGateway, world: World) -> None:
    """One round of a payer."""
    pay(world, gateway)


def open_jobs(world: World) -> int:
    """Jobs for the gateway that are not done."""
    return len(
        rows(world.database, tables.Outbox, tables.Outbox.topic == "refund", col(tables.Outbox.done_at).is_(None))
    )
