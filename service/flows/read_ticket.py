"""Reading service tickets: the shop its own, the platform all; a buyer never sees one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import col, select

from service.domain.errors import Absent
from service.domain.staff import Role
from service.flows.context import Context
from service.store.tables import Ticket
from service.store.words import words_of


@dataclass(frozen=True, slots=True)
class TicketSeen:
    """A ticket with the words of its answer."""

    ticket: Ticket
    answer: str | None


def read_ticket(ctx: Context, ticket_id: str) -> TicketSeen:
    """One ticket.

    Raises:
        Absent: no such ticket, or not this viewer's to know of.
    """
    ticket = ctx.tx.session.get(Ticket, ticket_id)
    if ticket is None or not _may_see(ctx, ticket):
        raise Absent("service_ticket")
    return _seen(ctx, ticket)


def list_tickets(
    ctx: Context, *, limit: int, after: str | None = None, dispute_id: str | None = None, state: str | None = None
) -> list[TicketSeen]:
    """Tickets in the order in which they were issued: the shop's own, or all for the platform; one more than `limit`
    says that there are more."""
    wanted = select(Ticket).order_by(col(Ticket.id)).limit(limit + 1)
    if ctx.actor.merchant_id is not None:
        wanted = wanted.where(Ticket.merchant_id == ctx.actor.merchant_id)
    if after is not None:
        wanted = wanted.where(col(Ticket.id) > after)
    if dispute_id is not None:
        wanted = wanted.where(Ticket.dispute_id == dispute_id)
    if state is not None:
        wanted = wanted.where(Ticket.state == state)
    return [_seen(ctx, ticket) for ticket in ctx.tx.session.exec(wanted)]


def _may_see(ctx: Context, ticket: Ticket) -> bool:
    if ctx.actor.merchant_id is not None:
        return ticket.merchant_id == ctx.actor.merchant_id
    return ctx.actor.role in (Role.PLATFORM_AGENT, Role.SUPERVISOR, Role.AUDITOR)


def _seen(ctx: Context, ticket: Ticket) -> TicketSeen:
    if ticket.answer_seq is None:
        return TicketSeen(ticket, None)
    words: Mapping[str, object] = words_of(ctx.tx.session, ticket.dispute_id, [ticket.answer_seq]).get(
        ticket.answer_seq, {}
    )
    text = words.get("text")
    return TicketSeen(ticket, text if isinstance(text, str) else None)
