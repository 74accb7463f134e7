"""What is kept of a merchant's promises, the same wherever the words were said: found, superseded, kept.

A promise found in delivered words is stored unconfirmed; only the merchant's own act on its canonical text confirms it
(`confirm_promise.py`). A newer unconditional one of the same action takes the place of one the buyer was not told of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from service.domain.errors import GuardFailed
from service.domain.policy import Policy
from service.domain.promise import PROMISE, PromiseFacts, lapses_at
from service.domain.promise_text import Extracted, OrderFacts, extract
from service.domain.timers import promise_timers
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.hearing import PromiseFound
from service.flows.issuing import arm_all
from service.store import tables, timers
from service.store.disputes import CaseFile

UNTOLD = frozenset({"extracted", "confirmation_requested", "confirmed"})  # what a newer promise may supersede


@dataclass(frozen=True, slots=True)
class Spoken:
    """Delivered words of a merchant. `refs` name where they were said, for the event: the inquiry or the ticket."""

    dispute_id: str
    message_id: str
    text: str
    question: str | None
    said_at: datetime
    order: OrderFacts
    refs: Mapping[str, str]


def order_facts(line: tables.OrderLine) -> OrderFacts:
    """What a promise is judged by: the order line as the marketplace last told us."""
    return OrderFacts(
        quantity=line.quantity,
        paid_fen=line.paid_fen,
        refundable_fen=line.refundable_fen,
        returnable=line.returnable,
        custom_made=line.custom_made,
        on_time_insured=line.on_time_insured,
        ship_by=line.ship_by,
    )


def promises_found(
    ctx: Context, spoken: Spoken, *, untold: Iterable[tuple[str, str, str]], policy: Policy
) -> tuple[PromiseFound, ...]:
    """Read the promises out of delivered words; each is kept unconfirmed, and supersedes an unrelayed one.

    Args:
        untold: (id, action, state) of the dispute's promises that the buyer has not been told of.
    """
    extracted = read_promises(spoken, policy)
    return keep_found(ctx, spoken, extracted, untold=untold, policy=policy) if extracted else ()


def read_promises(spoken: Spoken, policy: Policy) -> list[Extracted]:
    """What the words promise, refuse or leave open; as many as the policy allows a message."""
    return extract(spoken.text, spoken.question, spoken.said_at, spoken.order)[: policy.promises_per_message_max]


def keep_found(
    ctx: Context,
    spoken: Spoken,
    extracted: Iterable[Extracted],
    *,
    untold: Iterable[tuple[str, str, str]],
    policy: Policy,
    replaced: Collection[Extracted] = (),
) -> tuple[PromiseFound, ...]:
    """Keep at least one promise found in the words, unconfirmed.

    Args:
        replaced: of these, what the same message states otherwise: kept, but superseded at once (`committing.py`).
    """
    found = tuple(_kept_unconfirmed(ctx, spoken, each, policy, ended=each in replaced) for each in extracted)
    supersede(ctx, untold, actions={p.action for p in found if p.wording == "unconditional"})
    ctx.record(
        "promise.extracted",
        facts={
            "message": spoken.message_id,
            "promises": [
                {"id": p.id, "wording": p.wording, "action": p.action, "canonical": p.canonical_sha256} for p in found
            ],
        },
        private={"canonical": [{"zh": p.canonical_zh, "en": p.canonical_en} for p in found]},
    )
    ctx.announce("promise.extracted", **spoken.refs, promise_ids=[p.id for p in found])
    return found


def promise_past(due_at: datetime) -> GuardFailed:
    """The refusal of a promise whose time has passed: nobody promises the past."""
    return GuardFailed("promise_already_due", zh="承诺时间已过", en="Its time has passed", due_at=rfc3339(due_at))


def _contradicted(each: Extracted, order: OrderFacts) -> str | None:
    """The order's fact that a promise goes against (D15); relaying it needs a supervisor's reason."""
    over = order.refundable_fen is not None and (each.amount_fen or 0) > order.refundable_fen
    return "refundable_fen" if over and each.action in ("refund", "partial_refund") else None


def _kept_unconfirmed(ctx: Context, spoken: Spoken, each: Extracted, policy: Policy, *, ended: bool) -> PromiseFound:
    promise_id, state = ctx.new_id(), "superseded" if ended else "extracted"
    ctx.plan.insert(
        tables.Promise,
        id=promise_id,
        dispute_id=spoken.dispute_id,
        message_id=spoken.message_id,
        state=state,
        wording=each.wording,
        action=each.action,
        amount_fen=each.amount_fen,
        amount_max_fen=each.amount_max_fen,
        due_at=each.due_at,
        span_start=each.start,
        span_end=each.end,
        canonical_zh=each.canonical.zh,
        canonical_en=each.canonical.en,
        canonical_sha256=each.canonical.sha256_hex,
        contradicts=_contradicted(each, spoken.order),
        created_at=ctx.now,
        **({"ended_at": ctx.now} if ended else {}),
    )
    if not ended:
        wanted = promise_timers(state, lapses_at=lapses_at(ctx.now, policy), due_at=each.due_at)
        arm_all(ctx, promise_id, wanted, policy)
    return PromiseFound(
        promise_id,
        state,
        each.wording,
        each.action,
        each.amount_fen,
        each.amount_max_fen,
        each.due_at,
        each.start,
        each.end,
        each.canonical.zh,
        each.canonical.en,
        each.canonical.sha256_hex,
    )


def supersede(ctx: Context, untold: Iterable[tuple[str, str, str]], *, actions: Iterable[str]) -> None:
    """A newer promise of the same action takes the place of one that the buyer has not been told."""
    wanted = set(actions)
    for promise_id, action, state in untold:
        if action not in wanted or not PROMISE.arrows_from(state, "superseded_by_newer"):
            continue
        ctx.plan.update(tables.Promise, promise_id, state="superseded", ended_at=ctx.now)
        timers.disarm(ctx.plan, promise_id, ("promise_lapse",), at=ctx.now)
        ctx.record("promise.superseded", facts={"promise": promise_id, "action": action})
        ctx.announce("promise.superseded", promise_id=promise_id)


def untold_promises(case: CaseFile) -> list[tuple[str, str, str]]:
    """(id, action, state) of the promises that the buyer has not been told of."""
    return [(p.id, p.action, p.state) for p in case.promises if p.state in UNTOLD]


def keep_promise(
    ctx: Context,
    promise: tables.Promise,
    *,
    side: str,
    proof: Mapping[str, object],
    private: Mapping[str, object] | None = None,
) -> None:
    """A promise that the buyer was told of has been kept.

    Args:
        side: whose proof it is: merchant, carrier or payment_gateway.
        proof: what shows it, for the entry's facts: a file's hash, a carrier's event, a refund's id.

    Raises:
        ArrowMissing: it was never relayed, or has ended.
    """
    PROMISE.advance(promise.state, "fulfil", PromiseFacts(has_proof=bool(proof)), side=side)
    ctx.plan.update(tables.Promise, promise.id, state="fulfilled", ended_at=ctx.now)
    timers.disarm(ctx.plan, promise.id, ("promise_due",), at=ctx.now)
    ctx.record("promise.fulfilled", facts={"promise": promise.id, "by": side, "proof": dict(proof)}, private=private)
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
    """Whatever the buyer was told that this event shows to be done; returns the promises' ids.

    Args:
        actions: the kinds of promise that the event can keep.
        at: when it was done, by the carrier's or the gateway's clock; one after the due date keeps nothing.
        amount_fen: what was paid; a promise of more is not kept by it.
    """
    wanted, kept = set(actions), []
    for promise in case.promises:
        if promise.state != "relayed" or promise.action not in wanted or promise.id in _ended(ctx):
            continue
        if promise.due_at is not None and at >= promise.due_at:
            continue
        if amount_fen is not None and promise.amount_fen is not None and amount_fen < promise.amount_fen:
            continue
        keep_promise(ctx, promise, side=side, proof=proof)
        kept.append(promise.id)
    return kept


def _ended(ctx: Context) -> Mapping[str, object]:
    return ctx.plan.updates.get(tables.Promise, {})
