"""The clocks of service tickets: nobody answered in time, or nobody read the answer."""

from __future__ import annotations

from types import MappingProxyType

from service.domain.ticket import TICKET, TicketFacts
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.issuing import call_somebody, count_standing
from service.flows.moves import facts_of, move
from service.store import tables
from service.store.disputes import CaseFile, load_case
from service.store.timers import DueTimer


def sla_over(ctx: Context, timer: DueTimer) -> None:
    """Nobody answered in time: it counts, and one that blocks is heard by the dispute (arrows 40 and 40b)."""
    case, ticket = _ticket(ctx, timer)
    policy = ctx.policy_of(case.dispute)
    facts = TicketFacts(policy=policy, now=ctx.now, due_at=ticket.due_at)
    TICKET.advance(ticket.state, "ticket_sla_overdue", facts, side="system")
    ctx.follow(case.dispute)
    ctx.plan.update(tables.Ticket, ticket.id, state="overdue")
    ctx.record("service_ticket.overdue", facts={"ticket": ticket.id, "due_at": rfc3339(ticket.due_at)})
    ctx.announce("service_ticket.overdue", ticket_id=ticket.id, blocking=ticket.blocking)
    if ticket.blocking and case.dispute.state == "intervening":
        dispute_facts = facts_of(ctx, case, blocking=True)
        move(ctx, case, "ticket_overdue", dispute_facts, entry_facts={"ticket": ticket.id}, standing_of=ticket.id)
        return
    count_standing(
        ctx,
        ticket.merchant_id,
        case.dispute.id,
        kind="ticket_overdue",
        standing_id=f"{ticket.id}:ticket_overdue",
        subject_id=ticket.id,
    )


def agent_idle(ctx: Context, timer: DueTimer) -> None:
    """Nobody read the answer: the platform is late, never the shop."""
    case, ticket = _ticket(ctx, timer)
    policy = ctx.policy_of(case.dispute)
    facts = TicketFacts(policy=policy, now=ctx.now, due_at=timer.due_at)
    TICKET.advance(ticket.state, "agent_idle_timeout", facts, side="system")
    ctx.follow(case.dispute)
    ctx.plan.update(tables.Ticket, ticket.id, state="resolved", ended_at=ctx.now)
    ctx.record("service_ticket.resolved", facts={"ticket": ticket.id, "cause": "agent_idle"})
    ctx.announce("service_ticket.resolved", ticket_id=ticket.id, cause="agent_idle")
    call_somebody(ctx, role="supervisor", kind="ticket_answer_unread")


def _ticket(ctx: Context, timer: DueTimer) -> tuple[CaseFile, tables.Ticket]:
    """The ticket as it stands under the dispute's lock."""
    case = load_case(ctx.tx.session, timer.dispute_id)
    assert case is not None, "a timer has a dispute"
    return case, next(ticket for ticket in case.tickets if ticket.id == timer.subject_id)


DECISIONS = MappingProxyType({"ticket_sla": sla_over, "ticket_agent_idle": agent_idle})
