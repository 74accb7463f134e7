"""What an orchestrator asks: is the process alive, may it be given work, and what has it counted."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.openapi.datastructures import ResponseSpec

from service.api.perform import runner
from service.api.terms import public
from service.domain.transcript import instant
from service.metrics import Metrics
from service.store import housekeeping
from service.store.engine import Transaction

SKEW_MS_MAX = 500.0  # lifecycle.md section 4: ready fails above 500 ms against the database's clock
DATABASE_CLOCK = {
    "sqlite": "SELECT cast((julianday('now') - 2440587.5) * 86400000 AS integer) * 1000",
    "postgresql": "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
}


class Live(msgspec.Struct):
    """The process answers."""

    status: str


class Ready(msgspec.Struct):
    """May be given work; `checks` says what was looked at."""

    status: str
    checks: dict[str, str]
    clock_skew_ms: Annotated[float, msgspec.Meta(description="Our clock minus the database's")]


@get("/health/live", opt=public(), operation_id="getLive", summary="The process answers", tags=["operations"])
async def live() -> Live:
    """Alive as long as the event loop turns."""
    return Live("ok")


@get(
    "/health/ready",
    opt=public(),
    operation_id="getReady",
    summary="May be given work",
    tags=["operations"],
    responses={503: ResponseSpec(Ready, description="Not now; `checks` says why", generate_examples=False)},
)
async def ready(request: Request[Any, Any, Any]) -> Response[Ready]:
    """Ready when the database answers, the clocks agree and the ticker ticks."""
    run, checks, skew = runner(request), {"database": "ok", "ticker": "ok", "clock": "ok"}, 0.0

    def ask(tx: Transaction) -> float:
        before = run.now()
        theirs = instant(int(tx.rows(DATABASE_CLOCK[tx.dialect], ())[0][0]))
        return _apart_ms(before, theirs, run.now())

    try:
        skew = await asyncio.wait_for(asyncio.wrap_future(run.database.submit_read(ask)), 5)
    except Exception:
        checks["database"] = "down"
    if abs(skew) > SKEW_MS_MAX:
        checks["clock"] = "skewed"
    if not run.ticks():
        checks["ticker"] = "stopped"
    good = all(state == "ok" for state in checks.values())
    body = Ready("ok" if good else "unavailable", checks, round(skew, 1))
    return Response(body, status_code=200 if good else 503)


def _apart_ms(before: datetime, theirs: datetime, after: datetime) -> float:
    """What the clocks surely differ by: nothing while theirs lies between our two looks; a slow answer is no skew."""
    nearest = min(max(theirs, before), after)
    return (nearest - theirs).total_seconds() * 1000


@get("/metrics", opt=public(produces=("text/plain",)), media_type=MediaType.TEXT, include_in_schema=False)
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Prometheus exposition; keep it from the public by the network."""
    run = runner(request)
    known: Metrics = run.metrics
    found = await asyncio.wrap_future(run.database.submit_read(housekeeping.counts))
    known.windows_armed.set(found.windows_armed)
    known.outbox_backlog.set(found.outbox_backlog)
    known.writer_queue.set(run.database.waiting)
    return Response(known.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


HANDLERS = [live, ready, metrics]
