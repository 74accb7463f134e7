"""Plans of the hot statements, on both engines, over thousands of rows: none reads a growing table from end to end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import SQLModel

from bench.marketplace import AGENT as BENCH_AGENT
from bench.marketplace import MERCHANT, dispute_id, fill, inquiry_id, open_shop
from bench.replies import with_values
from service.app import decisions
from service.domain.staff import Actor, Role
from service.domain.transcript import micros
from service.flows import pay_refund
from service.flows.ask_merchant import Asked, close_inquiry, open_inquiry
from service.flows.confirm_promise import list_promises
from service.flows.context import Context
from service.flows.exchange_messages import Said as Saying
from service.flows.exchange_messages import list_messages, post_message
from service.flows.list_cases import list_cases
from service.flows.negotiate import seller_agree_refund
from service.flows.open_dispute import Claim, open_dispute
from service.flows.read_case import read_case
from service.flows.read_inquiry import list_inquiries
from service.flows.read_settlement import read_refunds
from service.flows.read_ticket import list_tickets
from service.flows.receive_reply import Said, receive_reply
from service.flows.tell_buyer import list_told
from service.flows.watch_windows import sweep
from service.store import housekeeping, outbox, tables, timers
from service.store.disputes import load_case
from service.store.engine import Transaction
from service.store.writes import Plan
from tests.world import START, SUPERVISOR, World, new_world

COUNT = 3_000  # disputes, of which LIVE are at work and all others closed
LIVE = 40
GROWING = {"dispute", "transcript_entry", "disclosure", "timer", "message", "outbox", "idempotency", "inquiry",
           "order_line", "order_snapshot", "refund_execution", "service_ticket"}  # fmt: skip
COPIED = ("dispute", "timer", "transcript_entry", "message", "outbox", "idempotency", "inquiry", "refund_execution")
# An index may be read from one end where the statement stops after a page, or where it holds the open rows alone.
FROM_ONE_END = re.compile(r"^SCAN \w+ USING (COVERING )?INDEX (ix_\w+_(due|jobs|queue|open)|sqlite_autoindex_\w+)$")

BUYER = Actor(Role.BUYER, "buyer-7")
OTHER_SHOP = Actor(Role.MERCHANT_OWNER, "owner-1", "shop-1", "seat-owner")


@dataclass
class Listening:
    """A driver connection that notes what it runs."""

    driver: Any
    said: list[tuple[str, Any]] = field(default_factory=list)

    def execute(self, statement: str, parameters: Any = ()) -> Any:
        """Note it and run it."""
        self.said.append((statement, parameters))
        return self.driver.execute(statement, parameters)

    def executemany(self, statement: str, many: Any) -> Any:
        """Note the first one and run them all."""
        self.said.append((statement, many[0]))
        return self.driver.executemany(statement, many)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver, name)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A marketplace with a past: thousands of closed disputes, some at work, every table filled and analysed."""
    folder = tmp_path_factory.mktemp("statements")
    with new_world(_new_database(request, folder), folder) as world:
        open_shop(world.database, world.now)
        fill(world.database, world.house, COUNT, now=world.now, due_at=world.now + timedelta(minutes=3))
        _give_it_a_past(world)
        yield world


def _new_database(request: pytest.FixtureRequest, folder: Path) -> str:
    """One database for the whole module, made as conftest makes them for tests."""
    from sqlalchemy import create_engine

    from tests.conftest import create_all, statements

    if request.param == "sqlite":
        url = f"sqlite:///{folder / 'statements.db'}"
        create_all(create_engine(url))
        return url
    maintenance = request.getfixturevalue("postgres")
    name = f"gongduan_statements_{folder.name}"
    statements(maintenance, f'drop database if exists "{name}" with (force)', f'create database "{name}"')
    request.addfinalizer(lambda: statements(maintenance, f'drop database if exists "{name}" with (force)'))
    address = maintenance.set(database=name)
    create_all(create_engine(address))
    return str(address.render_as_string(hide_password=False))


def _copies(name: str, copy: int) -> str:
    """The past again under other ids: the digit after `-d` of a dispute's and `-f` of an inquiry's names the copy."""
    told = {
        "number": f"number || '-{copy}'",
        "order_line_id": "order_line_id",
        "order_id": "order_id",
        "hash": f"sha256(hash || '{copy}'::bytea)",
        "client_message_id": "client_message_id",
        "gateway_key": f"gateway_key || '-{copy}'",
    }
    columns = [c for c in SQLModel.metadata.tables[name].columns if not (name == "outbox" and c.name == "id")]
    values = []
    for column in columns:
        known = column.name == "id" or column.name.endswith("_id")
        moved = f"replace(replace({column.name}, '-d0', '-d{copy}'), '-f0', '-f{copy}')" if known else column.name
        if column.name == "id" and name in ("message", "idempotency", "refund_execution"):
            moved = f"id || '-{copy}'"
        values.append(told.get(column.name, moved))
    past = "WHERE id" if name == "dispute" else "WHERE dispute_id"
    where = "" if name == "idempotency" else f"{past} BETWEEN '{dispute_id(LIVE)}' AND '{dispute_id(COUNT)}'"
    return f"INSERT INTO {name} ({', '.join(c.name for c in columns)}) SELECT {', '.join(values)} FROM {name} {where}"


def _give_it_a_past(world: World) -> None:
    """Close all but LIVE disputes; messages, answers to keys, refunds and tickets of every one of them."""
    at, closed = micros(world.now), f"id >= '{dispute_id(LIVE)}'"
    plans = []
    for number in range(COUNT):
        plan, one = Plan(), dispute_id(number)
        plan.insert(tables.IdempotencyRow, id=f"old|{number}", fingerprint="f", body="{}", created_at=world.now)
        plan.insert(
            tables.Message, id=f"message-{number}", dispute_id=one, thread_id=one, conversation="dispute", seq=1,
            sender_side="buyer", sender_id="buyer-7", kind="text", delivery="delivered",
            client_message_id=f"old-{number}", received_at=world.now,
        )  # fmt: skip
        plans.append(plan)
        if number < LIVE:
            continue
        plan.insert(
            tables.Outbox, dispute_id=one, sequence=1, type="inquiry.opened", payload={}, created_at=world.now,
            next_attempt_at=world.now, done_at=world.now,
        )  # fmt: skip
        plan.insert(
            tables.RefundExecution, id=f"execution-{number}", dispute_id=one, order_line_id=f"line-{number}",
            amount_fen=1, currency="CNY", state="succeeded", gateway_key=f"key-{number}",
            gateway_refund_id=f"sim-{number}", created_at=world.now, ended_at=world.now,
        )  # fmt: skip
        plan.insert(
            tables.Ticket, id=f"ticket-{number}", dispute_id=one, merchant_id=MERCHANT.merchant_id, cause="MANUAL",
            category="product", question="?", state="resolved", due_at=world.now, issued_at=world.now,
            ended_at=world.now,
        )  # fmt: skip
    for start in range(0, COUNT, 500):
        world.database.run(lambda tx, start=start: tx.apply(plans[start : start + 500]))

    def finish(tx: Transaction) -> None:
        for statement in (
            f"UPDATE dispute SET state = 'closed', outcome = 'SELLER_AGREED', closed_at = {at} WHERE {closed}",
            f"UPDATE timer SET done_at = {at} WHERE dispute_{closed}",
            f"UPDATE inquiry SET state = 'closed', closed_at = {at} WHERE dispute_{closed}",
        ):
            tx.execute(statement, ())
        for name in COPIED if tx.dialect == "postgresql" else ():  # its planner weighs a batch against the table
            for copy in range(1, 10):
                tx.execute(_copies(name, copy), ())

    world.database.run(finish)
    world.database.run(lambda tx: tx.execute("ANALYZE", ()))
    for number in range(20):  # a shop beside the great one
        world.make_dispute("requested", line=world.place_order(f"small-{number}"))


def plans_of(world: World, actor: Actor, story: Callable[[Context], Any]) -> list[tuple[str, list[str]]]:
    """Run a story with its plan, and ask the database how it runs each of its statements; nothing is kept."""
    explained: list[tuple[str, list[str]]] = []

    def work(tx: Transaction) -> None:
        driver, tx.driver = tx.driver, (noting := Listening(tx.driver))

        def note(*said: Any) -> None:
            noting.said.append((said[2], said[3]))

        event.listen(tx.connection, "before_cursor_execute", note)
        try:
            ctx = world.house.context(tx, actor=actor, now=world.now, received_at=world.now)
            story(ctx)
            if not ctx.plan.is_empty:
                tx.apply([ctx.plan])
        finally:
            event.remove(tx.connection, "before_cursor_execute", note)
        explained.extend((text, _explained(driver, tx.dialect, text, values)) for text, values in noting.said)

    world.database.run(work, alone=True)
    assert explained, "it said nothing"
    return explained


def _explained(driver: Any, dialect: str, statement: str, values: Any) -> list[str]:
    """What of the plan reads a growing table from end to end."""
    if dialect == "sqlite":
        rows = driver.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
        steps = [row[3] for row in rows if row[3].startswith("SCAN ") or not re.search(" USING (?!AUTO)", row[3])]
        return [step for step in steps if _table_of(step, statement) in GROWING and not _stops(step, statement)]
    text = with_values(driver.connection, statement, values) if values else statement
    (plan,) = driver.execute(f"EXPLAIN (FORMAT JSON) {text}").fetchone()
    return [f"Seq Scan on {name}" for name in _scanned(plan[0]["Plan"]) if name in GROWING]


def _table_of(step: str, statement: str) -> str:
    """The table that a step of SQLite's plan names, by itself or by its alias in the statement."""
    name = step.split()[1]
    alias = re.search(rf"\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)\s+(?:AS\s+)?{name}\b", statement, re.IGNORECASE)
    return alias[1] if alias and name not in GROWING else name


def _stops(step: str, statement: str) -> bool:
    return bool(FROM_ONE_END.match(step)) and ("autoindex" not in step or "LIMIT" in statement)


def _scanned(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield str(node["Relation Name"])
    for child in node.get("Plans", ()):
        yield from _scanned(child)


def _sweep(ctx: Context) -> None:
    done = sweep(ctx.house, ctx.tx, now=ctx.now + timedelta(minutes=4), decisions=decisions())
    assert done.claimed
    assert not done.failed


def _warn(ctx: Context) -> None:
    assert sweep(ctx.house, ctx.tx, now=ctx.now + timedelta(minutes=2, seconds=1), decisions=decisions()).claimed


def _reply(text: str, *, late: bool = False) -> Callable[[Context], None]:
    def story(ctx: Context) -> None:
        if late:
            ctx.received_at = ctx.now = ctx.now + timedelta(hours=1)
        receive_reply(ctx, inquiry_id(3), Said("m-1", text=text), key_id="demo-owner-1|never-used")
        ctx.plan.insert(tables.IdempotencyRow, id="x|y", fingerprint="f", body="{}", created_at=ctx.now)

    return story


def _view(ctx: Context) -> None:
    case = load_case(ctx.tx.session, dispute_id(5), lock=False)
    assert case is not None
    read_case(ctx, case)


def _pay(ctx: Context) -> None:
    """A refund is agreed to, taken up, and the order's last one looked for."""
    seller_agree_refund(ctx, dispute_id(9), amount_fen=None, currency=None)
    ctx.tx.apply([ctx.plan])
    again = ctx.house.context(ctx.tx, actor=pay_refund.THE_GATEWAY, now=ctx.now, received_at=ctx.now)
    taken, errand = pay_refund.next_errand(again)
    assert taken
    assert errand is not None
    ctx.plan = again.plan


def _ask(ctx: Context) -> None:
    close_inquiry(ctx, inquiry_id(6), waive_reason="商家已电话说明")
    ctx.tx.apply([ctx.plan])
    ctx.plan = Plan()
    open_inquiry(ctx, dispute_id(6), Asked("q-1", "请问今天可以发货吗?"))


def _history(ctx: Context) -> None:
    ctx.tx.rows("SELECT seq, body, hash FROM transcript_entry WHERE dispute_id = ? ORDER BY seq", (dispute_id(5),))


def _open(ctx: Context) -> None:
    ctx.now += timedelta(days=1)  # the numbers of today are taken
    claim = Claim("line-2000", "refund_only", "not_as_described", 100, "CNY", "破洞")
    open_dispute(ctx, claim)


HOT: dict[str, tuple[Actor, Callable[[Context], Any]]] = {
    "a reply": (MERCHANT, _reply("我们今天会给您发货的。")),
    "a reply that is blocked": (MERCHANT, _reply("加我微信聊")),
    "a reply that is late": (MERCHANT, _reply("今天发", late=True)),
    "a sweep of reply windows": (BENCH_AGENT, _sweep),
    "a sweep of warnings": (BENCH_AGENT, _warn),
    "the next due time": (BENCH_AGENT, lambda ctx: timers.next_due(ctx.tx)),
    "a payment taken up": (MERCHANT, _pay),
    "the backlog of payments": (BENCH_AGENT, lambda ctx: outbox.backlog(ctx.tx, now=ctx.now)),
    "a callback of the gateway": (
        BENCH_AGENT,
        lambda ctx: pay_refund.execution_named(ctx.tx.session, key="key-700", refund_id="sim-700"),
    ),
    "the answer to a key": (
        BENCH_AGENT,
        lambda ctx: ctx.tx.rows("SELECT fingerprint, status, body FROM idempotency WHERE id = ?", ("old|77",)),
    ),
    "old answers forgotten": (BENCH_AGENT, lambda ctx: housekeeping.forget_old_answers(ctx.tx, now=START)),
    "the gauges": (BENCH_AGENT, lambda ctx: housekeeping.counts(ctx.tx)),
    "a buyer's disputes": (BUYER, lambda ctx: list_cases(ctx, limit=50)),
    "a shop's disputes": (OTHER_SHOP, lambda ctx: list_cases(ctx, limit=50)),
    "the next page of a great shop": (MERCHANT, lambda ctx: list_cases(ctx, limit=50, after=dispute_id(2_000))),
    "the queue": (BENCH_AGENT, lambda ctx: list_cases(ctx, limit=50, state="intervention_requested")),
    "an agent's own cases": (BENCH_AGENT, lambda ctx: list_cases(ctx, limit=50, assignee="bench-agent")),
    "what is due soon": (BENCH_AGENT, lambda ctx: list_cases(ctx, limit=50, due_before=ctx.now)),
    "everything, for a supervisor": (SUPERVISOR, lambda ctx: list_cases(ctx, limit=50)),
    "one dispute as it is seen": (BENCH_AGENT, _view),
    "one dispute's history": (BENCH_AGENT, _history),
    "messages of a thread": (MERCHANT, lambda ctx: list_messages(ctx, dispute_id(5), after_seq=0, limit=50)),
    "a message": (MERCHANT, lambda ctx: post_message(ctx, dispute_id(5), Saying("m-2", text="您好,照片已上传。"))),
    "inquiries of a dispute": (MERCHANT, lambda ctx: list_inquiries(ctx, dispute_id(5))),
    "an inquiry closed": (BENCH_AGENT, lambda ctx: close_inquiry(ctx, inquiry_id(5), waive_reason="商家已电话说明")),
    "an inquiry opened": (BENCH_AGENT, _ask),
    "a shop's tickets": (OTHER_SHOP, lambda ctx: list_tickets(ctx, limit=50)),
    "tickets of a dispute": (MERCHANT, lambda ctx: list_tickets(ctx, limit=50, dispute_id=dispute_id(5))),
    "promises of a dispute": (MERCHANT, lambda ctx: list_promises(ctx, dispute_id(5))),
    "what the buyer was told": (BENCH_AGENT, lambda ctx: list_told(ctx, dispute_id(5))),
    "refunds of a dispute": (BENCH_AGENT, lambda ctx: read_refunds(ctx, dispute_id(5))),
    "a dispute opened": (Actor(Role.BUYER, f"buyer-{2_000 % 997}"), _open),
}


@pytest.mark.parametrize("name", HOT)
def test_no_hot_statement_reads_a_growing_table_from_end_to_end(world: World, name: str) -> None:
    """Edge case 60, performance.md section 4: as explained by the database, over thousands of rows."""
    actor, story = HOT[name]

    explained = plans_of(world, actor, story)

    bad = {statement: steps for statement, steps in explained if steps}
    assert not bad, json.dumps(bad, indent=1, ensure_ascii=False)


def test_a_statement_that_does_read_a_table_from_end_to_end_is_seen(world: World) -> None:
    """The measure itself: a look-up by a column without an index."""
    explained = plans_of(
        world, SUPERVISOR, lambda ctx: ctx.tx.rows("SELECT id FROM message m WHERE m.sender_id = ?", ("x",))
    )

    assert any(steps for _, steps in explained)
