"""Tickets in tests: issued by hand, answered by the shop, overdue."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from service.domain.errors import Refusal
from service.flows.heard import Outcome
from service.flows.serve_ticket import TicketAnswer, TicketWanted, issue_manual_ticket, respond
from service.store import tables
from tests.clockwork import fire
from tests.world import AGENT, OWNER, World

GOOD, INSULT, HELD = "我们今天会给消费者发货。", "你是不是有病", "快递丢件不关我的事"

QUESTION = "请确认今天是否可以发货"

HOUR, SECOND, MICROSECOND = timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1)


def issue(world: World, dispute: str | None = None, **wanted: Any) -> str:
    """A MANUAL ticket of two business hours."""
    dispute = dispute or world.make_dispute()
    made = TicketWanted(**{"category": "refund_order_operation", "question": QUESTION} | wanted)
    return world.tell(AGENT, lambda ctx: issue_manual_ticket(ctx, dispute, made))


def answer(world: World, ticket: str, text: str = GOOD, *, actor: Any = OWNER, **more: Any) -> Outcome | Refusal:
    received_at = more.pop("received_at", None)
    said = TicketAnswer(f"m-{next(world.numbers)}", text, **more)
    return world.tell(actor, lambda ctx: respond(ctx, ticket, said), received_at=received_at)


def ticket_of(world: World, ticket: str) -> tables.Ticket:
    return world.row(tables.Ticket, id=ticket)


def overdue(world: World, ticket: str) -> None:
    """Let the ticket's time pass."""
    fire(world, at=ticket_of(world, ticket).due_at + SECOND)
