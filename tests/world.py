"""A small marketplace for tests: a real database, real rules, a clock that only moves when told, and a shop."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from sqlmodel import SQLModel, col, select
from uuid_utils.compat import uuid7

from service.domain.policy import Policy
from service.domain.staff import Actor, Role
from service.domain.timers import dispute_timers
from service.flows.context import Context, House, Policies
from service.flows.issuing import arm_all
from service.store import tables
from service.store.engine import Database, Transaction
from service.store.files import FolderStore
from service.store.relay_templates import RelayTemplates, load_relay_templates
from service.store.rulepacks import RuleBook, load_rule_book
from service.store.writes import Head, Plan

T = TypeVar("T")
Model = TypeVar("Model", bound=SQLModel)

RULES = Path(__file__).parent.parent / "rules"
START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)  # a Monday, 10:00 in Shanghai

BUYER = Actor(Role.BUYER, "buyer-1")
OTHER_BUYER = Actor(Role.BUYER, "buyer-2")
OWNER = Actor(Role.MERCHANT_OWNER, "owner-1", "shop-1", "seat-owner")
SEAT = Actor(Role.MERCHANT_SEAT, "seat-1", "shop-1", "seat-1")
OTHER_OWNER = Actor(Role.MERCHANT_OWNER, "owner-2", "shop-2", "seat-owner-2")
AGENT = Actor(Role.PLATFORM_AGENT, "agent-1")
OTHER_AGENT = Actor(Role.PLATFORM_AGENT, "agent-2")
SUPERVISOR = Actor(Role.SUPERVISOR, "supervisor-1")
OTHER_SUPERVISOR = Actor(Role.SUPERVISOR, "supervisor-2")
AUDITOR = Actor(Role.AUDITOR, "auditor-1")
MARKETPLACE = Actor(Role.SYSTEM, "system:marketplace", scopes=frozenset({"orders", "logistics", "payments"}))


@lru_cache(maxsize=1)
def rule_book() -> RuleBook:
    """The rules of the repository, compiled once per process."""
    return load_rule_book(RULES)


@lru_cache(maxsize=1)
def relay_templates() -> RelayTemplates:
    """The relay templates of the repository."""
    return load_relay_templates(RULES / "templates" / "relay.toml")


class World:
    """A database with a clock; stories run in it as anybody."""

    def __init__(self, url: str, folder: Path, *, workers: int = 4) -> None:
        self.database = Database(url, workers=workers)
        self.now = START
        self.house = House(
            rules=rule_book,
            policies=Policies(),
            templates=relay_templates(),
            files=FolderStore(folder),
            new_id=lambda: str(uuid7()),
            new_salt=lambda: os.urandom(32),
            demo=True,
        )
        self.numbers = itertools.count(1)

    def close(self) -> None:
        """Stop the database's threads."""
        self.database.close()

    @contextmanager
    def closing(self) -> Iterator[World]:
        """Close the database in the end."""
        try:
            yield self
        finally:
            self.close()

    def pass_time(self, **lengths: float) -> datetime:
        """Move the clock on; returns the new instant."""
        self.now += timedelta(**lengths)
        return self.now

    def tell(
        self,
        actor: Actor,
        story: Callable[[Context], T],
        *,
        received_at: datetime | None = None,
        one_statement: bool = False,
    ) -> T:
        """Run one story as somebody and apply its plan, as the edge does."""

        def work(tx: Transaction) -> T:
            ctx = self.house.context(
                tx, actor=actor, now=self.now, received_at=received_at or self.now, cause=f"test-{next(self.numbers)}"
            )
            answer = story(ctx)
            if not ctx.plan.is_empty:
                tx.apply([ctx.plan])
            return answer

        return self.database.run(work, one_statement=one_statement)

    def rows(self, model: type[Model], **where: object) -> list[Model]:
        """All rows of a table that have these values, oldest first where ids are UUIDv7."""

        def work(tx: Transaction) -> list[Model]:
            table: Any = model
            statement = select(model).where(*(getattr(table, name) == value for name, value in where.items()))
            return list(tx.session.exec(statement).all())

        found = self.database.read(work)
        return sorted(found, key=lambda row: str(getattr(row, "id", "")))

    def row(self, model: type[Model], **where: object) -> Model:
        """The one row that has these values."""
        found = self.rows(model, **where)
        assert len(found) == 1, f"{len(found)} rows of {model.__name__} with {where}"
        return found[0]

    def insert(self, *rows: tuple[type[SQLModel], dict[str, object]]) -> None:
        """Write rows as they are: the marketplace's own facts."""
        plan = Plan()
        for model, row in rows:
            plan.insert(model, **row)
        self.database.run(lambda tx: tx.apply([plan]))

    # --- a shop, an order, a dispute ---

    def open_shop(self, shop: str = "shop-1", *, owner: str = "seat-owner", **columns: object) -> None:
        """A shop with its owner and one seat that may do everything but is not designated."""
        seat = {"merchant_id": shop, "active": True, "open_inquiries": 0}
        staff = f"seat-{shop.rpartition('-')[2]}"
        self.insert(
            (
                tables.Merchant,
                {"id": shop, "name": "云边小店", "created_at": self.now, "return_address": "浙江省杭州市余杭区 1 号"}
                | columns,
            ),
            (tables.Seat, seat | {"id": owner, "nickname": "掌柜", "is_owner": True}),
            (
                tables.Seat,
                seat
                | {
                    "id": staff,
                    "nickname": "小二",
                    "may_im": True,
                    "may_after_sale": True,
                    "may_commit": True,
                    "commit_limit_fen": 20_000,
                },
            ),
        )

    def place_order(
        self,
        line: str | None = None,
        *,
        buyer: str = "buyer-1",
        shop: str = "shop-1",
        paid_fen: int = 12_900,
        **columns: object,
    ) -> str:
        """An order of one line; returns the line's id."""
        line = line or f"line-{next(self.numbers)}"
        self.insert(
            (
                tables.Order,
                {
                    "id": f"order-{line}",
                    "merchant_id": shop,
                    "buyer_id": buyer,
                    "currency": "CNY",
                    "updated_at": self.now,
                },
            ),
            (
                tables.OrderLine,
                {
                    "id": line,
                    "order_id": f"order-{line}",
                    "title": "棉麻衬衫",
                    "quantity": 1,
                    "paid_fen": paid_fen,
                    "refundable_fen": paid_fen,
                }
                | columns,
            ),
        )
        return line

    def make_dispute(self, state: str = "intervening", *, line: str | None = None, **columns: object) -> str:
        """A dispute that stands in `state` with the timers of that state; returns its id.

        Stories are the normal way in; this is for tests of what comes later.
        """
        line = line or self.place_order()
        dispute_id = str(uuid7())

        def work(tx: Transaction) -> None:
            ctx = self.house.context(tx, actor=BUYER, now=self.now, received_at=self.now)
            ctx.plan.head = Head(dispute_id, 0, 0, None, 0, is_new=True)
            policy_id, version = str(columns.get("policy_id", "default")), 1
            policy: Policy = self.house.policies.get(tx, policy_id, version)
            order_line = tx.session.get(tables.OrderLine, line)
            assert order_line is not None
            order = tx.session.get(tables.Order, order_line.order_id)
            assert order is not None
            ctx.plan.insert(
                tables.Dispute,
                **{
                    "id": dispute_id,
                    "number": f"RD-20261123-{next(self.numbers):05d}",
                    "merchant_id": order.merchant_id,
                    "buyer_id": order.buyer_id,
                    "order_id": order.id,
                    "order_line_id": line,
                    "type": "refund_only",
                    "reason": "not_as_described",
                    "currency": "CNY",
                    "claimed_fen": order_line.paid_fen,
                    "state": state,
                    "state_since": self.now,
                    "policy_id": policy_id,
                    "policy_version": version,
                    "assignee_id": AGENT.subject if state == "intervening" else None,
                    "intervened_at": self.now if state.startswith("interven") else None,
                    "created_at": self.now,
                }
                | columns,
            )
            ctx.record("dispute.requested", facts={"to": state})
            arm_all(ctx, dispute_id, dispute_timers(state, self.now, policy, policy.business_hours), policy)
            tx.apply([ctx.plan])

        self.database.run(work)
        return dispute_id

    def kinds(self, dispute_id: str) -> list[str]:
        """The kinds of a dispute's transcript entries, in order."""
        found = self.rows(tables.TranscriptEntry, dispute_id=dispute_id)
        return [entry.kind for entry in sorted(found, key=lambda entry: entry.seq)]

    def armed(self, subject_id: str) -> dict[str, datetime]:
        """Armed timers of a subject by name."""

        def work(tx: Transaction) -> dict[str, datetime]:
            timers = tx.session.exec(
                select(tables.Timer).where(tables.Timer.subject_id == subject_id, col(tables.Timer.done_at).is_(None))
            )
            return {t.name: t.due_at for t in timers}

        return self.database.read(work)


@contextmanager
def new_world(url: str, folder: Path) -> Iterator[World]:
    """A world with a shop in it, closed in the end."""
    world = World(url, folder)
    try:
        world.open_shop()
        yield world
    finally:
        world.close()
