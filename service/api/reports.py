"""Reports over HTTP: how a shop keeps its promises, for the shop itself and the platform's people."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter

from service.api.perform import Shaped, look
from service.api.shapes import Instant, instant_text, read_instant
from service.api.terms import allow
from service.domain.duration import duration_text
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.report_promises import PromiseReport, report_promises
from service.store.promise_counts import Counted

READERS: Final = (
    Role.MERCHANT_OWNER,
    Role.MERCHANT_SEAT,
    Role.PLATFORM_AGENT,
    Role.SUPERVISOR,
    Role.AUDITOR,
)
OF_SHOP: Final = "Left out: the own shop, or for the platform every shop"
INSTANT: Final = "RFC 3339 with an offset"


class PromiseTally(msgspec.Struct):
    """Promises made (confirmed by the shop's own act) and told to the buyer; of these kept, broken, still waited for.

    `done_late`: of the broken ones those that were done all the same.
    """

    made: int
    told: int
    kept: int
    broken: int
    done_late: int
    waiting: int


class ActTally(PromiseTally):
    """The same of one act: ship, refund, …"""

    action: str


class PromiseReportView(msgspec.Struct):
    """How a shop keeps its word, of promises made from `since` until before `until`; `merchant_id` null is every shop.

    `median_lateness`: ISO 8601, of the broken promises that were done all the same; null where there is none.
    """

    merchant_id: str | None
    since: Instant
    until: Instant
    total: PromiseTally
    by_action: list[ActTally]
    median_lateness: str | None


@get(
    "/reports/promises",
    opt=allow(*READERS, errors=(404, 422)),
    operation_id="reportPromises",
    summary="How a shop keeps its promises",
    tags=["reports"],
)
async def promises(
    request: Request[Any, Any, Any],
    merchant_id: Annotated[
        str | None,
        QueryParameter(
            min_length=1,
            max_length=64,
            pattern=r"^[0-9A-Za-z_.:-]+$",
            description=OF_SHOP,
        ),
    ] = None,
    since: Annotated[str | None, QueryParameter(format="date-time", description=INSTANT)] = None,
    until: Annotated[str | None, QueryParameter(format="date-time", description=INSTANT)] = None,
) -> Response[PromiseReportView]:
    """The last 30 days unless a period is named, of at most a year."""
    begins = None if since is None else read_instant(since, name="since")
    ends = None if until is None else read_instant(until, name="until")
    return await look(
        request, lambda ctx: report_promises(ctx, merchant_id=merchant_id, since=begins, until=ends), _shape
    )


def _shape(ctx: Context, report: PromiseReport) -> Shaped:
    counts = [sum(int(each[place]) for each in report.by_action) for place in range(1, len(Counted._fields))]
    total = Counted("", *counts)
    late = report.median_lateness
    return Shaped(
        200,
        PromiseReportView(
            merchant_id=report.merchant_id,
            since=instant_text(report.since),
            until=instant_text(report.until),
            total=PromiseTally(**_tally(total)),
            by_action=[ActTally(**_tally(each), action=each.action) for each in report.by_action],
            median_lateness=None if late is None else duration_text(late),
        ),
    )


def _tally(counted: Counted) -> dict[str, int]:
    return {
        "made": counted.made,
        "told": counted.told,
        "kept": counted.kept,
        "broken": counted.broken,
        "done_late": counted.done_late,
        "waiting": counted.told - counted.kept - counted.broken,
    }


HANDLERS = [promises]
