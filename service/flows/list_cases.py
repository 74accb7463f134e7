"""Lists of disputes: whose, by what, and what is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.domain.errors import Forbidden
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.read_case import party_of
from service.store import tables
from service.store.case_lists import disputes_of, soonest_windows


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One line of a list: the dispute and the end of its own running window."""

    dispute: tables.Dispute
    due_at: datetime | None


def list_cases(
    ctx: Context,
    *,
    limit: int,
    after: str | None = None,
    state: str | None = None,
    due_before: datetime | None = None,
    assignee: str | None = None,
) -> list[CaseLine]:
    """Disputes that the actor may see, newest first; one more than `limit` if there are more.

    Args:
        after: the id of the last one seen.
        due_before: a clock of the dispute or below it ends before this instant; parties see the dispute's own clocks.

    Raises:
        Forbidden: `filter_not_allowed`: parties do not list by assignee.
    """
    if assignee is not None and party_of(ctx) is not None:
        raise Forbidden("filter_not_allowed", zh="不可按处理人筛选", en="Not a filter of yours", filter="assignee")
    found = disputes_of(
        ctx.tx.session,
        buyer_id=ctx.actor.subject if ctx.actor.role is Role.BUYER else None,
        merchant_id=ctx.actor.merchant_id if ctx.actor.side == "merchant" else None,
        intervened=ctx.actor.role is Role.PLATFORM_AGENT,
        state=state,
        due_before=due_before,
        own_clocks_only=party_of(ctx) is not None,
        assignee_id=assignee,
        after=after,
        limit=limit + 1,
    )
    due = soonest_windows(ctx.tx.session, [d.id for d in found])
    return [CaseLine(d, due.get(d.id)) for d in found]
