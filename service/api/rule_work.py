"""Rule checks and replays run in a child process, one at a time, on values that a transaction has read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from litestar import Request

from service.api.auth import actor
from service.api.perform import answer_id, runner
from service.api.terms import idempotency_key, received_at
from service.flows.context import Context
from service.flows.publish_rules import BadRules
from service.store.engine import Transaction
from service.store.rule_child import ChildFailed
from service.store.rule_yaml import BadPack
from service.store.writes import Busy

T = TypeVar("T")
Read = TypeVar("Read")

WAIT_SECONDS: Final = 30  # choice: for the one check or replay that may run in a process at a time


async def worked_out(
    request: Request[Any, Any, Any], gather: Callable[[Context], Read], work: Callable[[Read], T]
) -> T | None:
    """What a child finds in values that a transaction has read, which is over when the child begins.

    Returns:
        None where this key was answered before: `perform` says the stored answer.
    """
    run, who, arrived = runner(request), actor(request), received_at(request)
    key_id = answer_id(who.subject, idempotency_key(request))

    def read(tx: Transaction) -> Read | None:
        if tx.rows("SELECT 1 FROM idempotency WHERE id = ?", (key_id,)):
            return None
        return gather(run.house.context(tx, actor=who, now=run.now(), received_at=arrived))

    values = await asyncio.wrap_future(run.database.submit_read(read))
    return None if values is None else await _in_a_child(request, lambda: work(values))


async def _in_a_child(request: Request[Any, Any, Any], work: Callable[[], T]) -> T:
    """One at a time in a process; whoever would wait too long is told to come back."""
    turn: asyncio.Semaphore = request.app.state.rule_work
    try:
        await asyncio.wait_for(turn.acquire(), WAIT_SECONDS)
    except TimeoutError:
        raise Busy from None
    try:
        return await asyncio.to_thread(work)
    except BadPack as bad:
        raise BadRules(bad) from bad
    except ChildFailed as failed:
        raise BadRules(BadPack("book.yaml", 1, str(failed))) from failed
    finally:
        turn.release()


def known(found: T | None) -> T:
    """What was worked out; the stored answer may have been forgotten between the two looks."""
    if found is None:
        raise Busy
    return found
