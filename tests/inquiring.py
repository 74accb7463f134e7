"""Inquiries in tests: asked by the agent, answered as the edge would hand it over, swept by the clock."""

from __future__ import annotations

from typing import Any

from service.flows.ask_merchant import QUESTION_TEMPLATES, Asked, open_inquiry
from service.flows.receive_reply import Said, receive_reply
from service.flows.watch_inquiries import DECISIONS
from service.flows.watch_windows import sweep
from service.store import tables
from service.store.writes import Plan
from tests.world import AGENT, OWNER, World

ASK = Asked("q-1", QUESTION_TEMPLATES["ship_today"])

GOOD, INSULT, HELD = "我们今天会给消费者发货。", "你是不是有病", "自己看详情页"


def ask(world: World) -> tuple[str, str]:
    """A dispute with an inquiry that waits: (dispute, inquiry)."""
    dispute = world.make_dispute()
    return dispute, world.tell(AGENT, lambda ctx: open_inquiry(ctx, dispute, ASK))


def reply(world: World, inquiry: str, text: str = GOOD, *, actor: Any = OWNER, **more: Any) -> Any:
    """One merchant message, as the edge would hand it over."""
    number = next(world.numbers)
    received_at = more.pop("received_at", None)
    said = Said(**{"client_message_id": f"m-{number}", "text": text} | more)
    return world.tell(
        actor,
        lambda ctx: receive_reply(ctx, inquiry, said, key_id=f"key-{number}"),
        received_at=received_at,
        one_statement=True,
    )


def fire(world: World) -> int:
    """Sweep until nothing is due; returns how many timers fired."""
    fired = 0
    while True:
        done = world.database.run(lambda tx: sweep(world.house, tx, now=world.now, decisions=DECISIONS))
        assert not done.failed
        fired += done.claimed
        if not done.claimed:
            return fired


def designated() -> Plan:
    """Make the seat of the shop one that answers the platform."""
    plan = Plan()
    plan.update(tables.Seat, "seat-1", designated=True)
    return plan
