"""Thousands of disputes with an inquiry that waits for the merchant, written in batches: the field of every bench."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import make_url
from uuid_utils.compat import uuid7

from service.domain.policy import DEFAULT
from service.domain.staff import Actor, Role
from service.domain.timers import inquiry_timers
from service.flows.context import Context, House, Policies
from service.flows.issuing import arm_all
from service.store import tables
from service.store.engine import Database, Transaction, create_schema, make_engine
from service.store.files import FolderStore
from service.store.relay_templates import load_relay_templates
from service.store.rulepacks import load_rule_book
from service.store.writes import Head, Plan

SHOP, OWNER = "demo-shop-1", "demo-owner-1"
MERCHANT = Actor(Role.MERCHANT_OWNER, OWNER, SHOP, OWNER)
AGENT = Actor(Role.PLATFORM_AGENT, "bench-agent")
QUESTION = "商家您好,目前用户希望今天能够发货,请您确认下今天是否可以发货,或者回复平台具体的发货时间。"
REPLY = "亲,非常抱歉让您久等了,我们今天会给消费者发货的,发出后第一时间把单号同步到订单里,请放心哦。"
STEP = 200  # disputes a transaction
ROOT = Path(__file__).parent.parent


def dispute_id(number: int) -> str:
    """Ids with a number in them, so that a floor can count through the same rows."""
    return f"00000000-0000-7000-8000-d{number:011d}"


def inquiry_id(number: int) -> str:
    """The inquiry of a numbered dispute."""
    return f"00000000-0000-7000-8000-f{number:011d}"


def new_house(folder: Path) -> House:
    """Real rules, real templates."""
    book = load_rule_book(ROOT / "rules")
    return House(
        rules=lambda: book,
        policies=Policies(),
        templates=load_relay_templates(ROOT / "rules" / "templates" / "relay.toml"),
        files=FolderStore(folder),
        new_id=lambda: str(uuid7()),
        new_salt=lambda: os.urandom(32),
        demo=True,
    )


def fresh_schema(url: str) -> None:
    """All tables and triggers in an empty database."""
    if make_url(url).get_backend_name() == "sqlite":
        Path(str(make_url(url).database)).parent.mkdir(parents=True, exist_ok=True)
    engine = make_engine(url)
    create_schema(engine)
    engine.dispose()


def open_shop(database: Database, now: datetime) -> None:
    """One shop with its owner."""
    plan = Plan()
    plan.insert(tables.Merchant, id=SHOP, name="压测小店", created_at=now, is_demo=True)
    plan.insert(tables.Seat, id=OWNER, merchant_id=SHOP, nickname="掌柜", is_owner=True, may_im=True, designated=True)
    database.run(lambda tx: tx.apply([plan]))


def fill(
    database: Database,
    house: House,
    count: int,
    *,
    first: int = 0,
    now: datetime,
    due_at: datetime | None = None,
    spread: timedelta = timedelta(0),
    warnings: bool = True,
) -> None:
    """Disputes `first … first+count-1` in `intervening`, each with an inquiry that waits for the shop.

    Args:
        due_at: end of the reply windows; None is an hour from now.
        spread: the windows end evenly over this time from `due_at` on.
        warnings: False arms the windows alone, as when the warnings have fired.
    """
    ends = due_at or now + timedelta(hours=1)
    for start in range(first, first + count, STEP):
        numbers = range(start, min(start + STEP, first + count))

        def work(tx: Transaction, numbers: range = numbers) -> None:
            contexts = [
                _one(
                    house.context(tx, actor=AGENT, now=now, received_at=now),
                    number,
                    now,
                    ends + spread * (number - first) / max(1, count),
                    warnings=warnings,
                )
                for number in numbers
            ]
            tx.apply([ctx.plan for ctx in contexts])

        database.run(work)


def _one(ctx: Context, number: int, now: datetime, due_at: datetime, *, warnings: bool) -> Context:
    one, line = dispute_id(number), f"line-{number}"
    ctx.plan.insert(
        tables.Order, id=f"order-{number}", merchant_id=SHOP, buyer_id=f"buyer-{number % 997}", updated_at=now
    )
    ctx.plan.insert(
        tables.OrderLine,
        id=line,
        order_id=f"order-{number}",
        title="棉麻衬衫",
        quantity=1,
        paid_fen=12_900,
        refundable_fen=12_900,
    )
    ctx.plan.head = Head(one, 0, 0, None, 0, is_new=True)
    ctx.plan.insert(
        tables.Dispute,
        id=one,
        number=f"RD-20261123-{number:07d}",
        merchant_id=SHOP,
        buyer_id=f"buyer-{number % 997}",
        order_id=f"order-{number}",
        order_line_id=line,
        type="refund_only",
        reason="not_as_described",
        currency="CNY",
        claimed_fen=12_900,
        state="intervening",
        state_since=now,
        policy_id="default",
        policy_version=1,
        assignee_id="bench-agent",
        intervened_at=now,
        created_at=now,
    )
    ctx.plan.insert(
        tables.Inquiry,
        id=inquiry_id(number),
        dispute_id=one,
        merchant_id=SHOP,
        agent_id="bench-agent",
        seat_id=OWNER,
        state="awaiting_merchant",
        question=QUESTION,
        asked_at=now,
        due_at=due_at,
        created_at=now,
    )
    ctx.plan.add(tables.Seat, OWNER, open_inquiries=1)
    ctx.record("inquiry.opened", facts={"inquiry": inquiry_id(number)}, private={"text": QUESTION})
    timers = inquiry_timers("awaiting_merchant", DEFAULT, now=now, armed_at=now, due_at=due_at)
    arm_all(ctx, inquiry_id(number), timers if warnings else timers[:1], DEFAULT)
    return ctx
