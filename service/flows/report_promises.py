"""The promise report: what a shop has promised, told to buyers, kept and broken, and how late the broken ones came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.domain.errors import Absent, GuardFailed
from service.flows.context import Context
from service.store import people
from service.store.promise_counts import Counted, count_promises, median_lateness

PERIOD: Final = timedelta(days=30)  # choice: as the counts of standing
PERIOD_MAX: Final = timedelta(days=366)  # choice


@dataclass(frozen=True, slots=True)
class PromiseReport:
    """Of promises confirmed in a half-open period; `merchant_id` None is every shop."""

    merchant_id: str | None
    since: datetime
    until: datetime
    by_action: Sequence[Counted]
    median_lateness: timedelta | None


def report_promises(
    ctx: Context, *, merchant_id: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> PromiseReport:
    """Count the promises of a shop; people of a shop read their own.

    Args:
        merchant_id: None is the actor's own shop, for the platform's people every shop.
        since, until: aware; the last 30 days unless named.

    Raises:
        Absent: no such shop, or not the actor's.
        GuardFailed: `period_out_of_range`: it ends before it begins, or is longer than a year.
    """
    own = ctx.actor.merchant_id if ctx.actor.side == "merchant" else None
    if own is not None and merchant_id not in (None, own):
        raise Absent("merchant")
    merchant_id = own or merchant_id
    if merchant_id is not None and people.merchant(ctx.tx.session, merchant_id) is None:
        raise Absent("merchant")
    until = until or ctx.now
    since = since or until - PERIOD
    if not timedelta(0) < until - since <= PERIOD_MAX:
        raise GuardFailed("period_out_of_range", zh="统计区间须在一年以内", en="A period of at most a year")
    counted = count_promises(ctx.tx, merchant_id, since=since, until=until)
    late = sum(each.done_late for each in counted)
    median = median_lateness(ctx.tx, merchant_id, since=since, until=until, number=late)
    return PromiseReport(merchant_id, since, until, counted, median)
