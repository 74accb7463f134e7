"""A promise that the buyer was told of is kept: by a parcel, a payment, an answer, or what the merchant shows.

What is done after its time was over does not mend the promise, but says how late it came; what was done in time and is
proved only afterwards (carriers report late) takes back what was counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from service.domain.promise import PROMISE, PromiseFacts
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.promising import Earlier, OpenPromise
from service.store import tables, timers
from service.store.disputes import CaseFile


def keep_promise(
    ctx: Context,
    promise: tables.Promise | OpenPromise,
    *,
    side: str,
    at: datetime,
    proof: Mapping[str, object],
    private: Mapping[str, object] | None = None,
) -> None:
    """A promise that the buyer was told of has been kept.

    Args:
        side: whose proof it is: merchant, carrier or payment_gateway.
        at: when it was done, by whoever proves it.
        proof: what shows it, for the entry's facts: a file's hash, a carrier's event, a refund's id.

    Raises:
        ArrowMissing: it was never relayed, or has ended.
    """
    PROMISE.advance(promise.state, "fulfil", PromiseFacts(has_proof=bool(proof)), side=side)
    ctx.plan.update(tables.Promise, promise.id, state="fulfilled", ended_at=ctx.now, done_at=at)
    timers.disarm(ctx.plan, promise.id, ("promise_due",), at=ctx.now)
    ctx.record(
        "promise.fulfilled",
        facts={"promise": promise.id, "by": side, "done_at": rfc3339(at), "proof": dict(proof)},
        private=private,
    )
    ctx.announce("promise.fulfilled", promise_id=promise.id, by=side)


def keep_promises(
    ctx: Context,
    case: CaseFile,
    *,
    actions: Iterable[str],
    side: str,
    at: datetime,
    proof: Mapping[str, object],
    amount_fen: int | None = None,
) -> list[str]:
    """Whatever the buyer was told that this event shows to be done.

    Args:
        actions: the kinds of promise that the event can keep.
        at: when it was done, by the carrier's or the gateway's clock.
        amount_fen: what was paid; a promise of more is not kept by it.

    Returns:
        The ids of the promises that are kept by it, those among them whose breach it takes back.
    """
    wanted, kept = set(actions), []
    for promise in case.promises:
        if promise.action not in wanted or promise.id in _written(ctx):
            continue
        if amount_fen is not None and promise.amount_fen is not None and amount_fen < promise.amount_fen:
            continue
        if promise.state == "relayed" and (promise.due_at is None or at < promise.due_at):
            keep_promise(ctx, promise, side=side, at=at, proof=proof)
            kept.append(promise.id)
        elif promise.state == "breached" and promise.done_at is None:
            kept += [promise.id] if done_after_all(ctx, promise, side=side, at=at, proof=proof) else []
    return kept


def done_after_all(
    ctx: Context,
    promise: tables.Promise,
    *,
    side: str,
    at: datetime,
    proof: Mapping[str, object],
    private: Mapping[str, object] | None = None,
) -> bool:
    """It counts as broken: what was done late says how late; what was done in time takes the count back.

    Returns:
        Whether it was done in time.
    """
    assert promise.due_at is not None, "what was broken had a date"
    ctx.plan.update(tables.Promise, promise.id, done_at=at)
    facts: dict[str, object] = {"promise": promise.id, "by": side, "done_at": rfc3339(at), "proof": dict(proof)}
    if at < promise.due_at:
        ctx.plan.update(tables.StandingEvent, breach_id(promise.id), voided_at=ctx.now)
        ctx.record("promise.kept_in_time", facts=facts, private=private)
        ctx.announce("promise.kept_in_time", promise_id=promise.id, by=side)
        return True
    late = int((at - promise.due_at).total_seconds())
    ctx.record("promise.done_late", facts=facts | {"late_seconds": late}, private=private)
    ctx.announce("promise.done_late", promise_id=promise.id, by=side, late_seconds=late)
    return False


def breach_id(promise_id: str) -> str:
    """The standing event of a broken promise, by which it is found again."""
    return f"{promise_id}:breached"


def keep_by_answer(ctx: Context, earlier: Earlier, *, message_id: str, at: datetime) -> None:
    """The shop has answered, so a promise of an answer is kept (D17).

    Args:
        at: when the message that answers was received; one at or after the due date keeps nothing.
    """
    for each in earlier.open:
        if each.state == "relayed" and each.action == "reply_later" and each.due_at is not None and at < each.due_at:
            keep_promise(ctx, each, side="merchant", at=at, proof={"message": message_id})


def _written(ctx: Context) -> Mapping[str, object]:
    return ctx.plan.updates.get(tables.Promise, {})
