"""What is kept of a merchant's promises, the same wherever the words were said: found, superseded, contradicted.

A promise found in delivered words is stored unconfirmed; only the merchant's own act on its canonical text confirms it
(`confirm_promise.py`). A newer unconditional one of the same action takes the place of one the buyer was not told of;
what goes against one that the buyer was told of is shown to the agent and stays beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from service.domain.contradictions import Terms, against_order, against_told
from service.domain.errors import GuardFailed
from service.domain.policy import Policy
from service.domain.promise import PROMISE, lapses_at
from service.domain.promise_text import Extracted, OrderFacts, extract, extract_in_turn
from service.domain.timers import promise_timers
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.heard import PromiseFound
from service.flows.issuing import arm_all, call_somebody
from service.store import tables, timers
from service.store.disputes import CHILDREN_MAX, CaseFile

UNTOLD: Final = frozenset({"extracted", "confirmation_requested", "confirmed"})  # what a newer promise may supersede
PROMISES_MAX: Final = CHILDREN_MAX  # of one dispute: as many as every story sees of it


class OpenPromise(NamedTuple):
    """A promise of the dispute that has not ended: not yet told, or told (`relayed`) and watched."""

    id: str
    action: str
    state: str
    due_at: datetime | None
    amount_fen: int | None
    amount_max_fen: int | None

    @property
    def terms(self) -> Terms:
        """What it says."""
        return Terms("unconditional", self.action, self.amount_fen, self.amount_max_fen, self.due_at)


@dataclass(frozen=True, slots=True)
class Earlier:
    """The promises that a dispute has so far: the open ones, and how many there are in all."""

    open: tuple[OpenPromise, ...]
    total: int

    def without(self, promise_id: str) -> Earlier:
        """The same but for one that is being replaced."""
        return Earlier(tuple(each for each in self.open if each.id != promise_id), self.total)


@dataclass(frozen=True, slots=True)
class Against:
    """What a promise goes against, if anything: a fact of its order; a promise told, and the field that differs."""

    order: str | None = None
    told: str | None = None
    differs: str | None = None


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
    before: str | None = None  # what the same side said just before it, in the same turn


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


def earlier_promises(case: CaseFile) -> Earlier:
    """What the dispute's promises are, read by rows."""
    rows = case.promises
    return Earlier(
        tuple(
            OpenPromise(p.id, p.action, p.state, p.due_at, p.amount_fen, p.amount_max_fen)
            for p in rows
            if p.state in UNTOLD or p.state == "relayed"
        ),
        len(rows),
    )


def require_promise_room(earlier: Earlier, more: int) -> None:
    """Refuse promises that no story would see any more: no message is taken whose promises could not be kept.

    Raises:
        GuardFailed: `promises_max`.
    """
    if more and earlier.total + more > PROMISES_MAX:
        raise GuardFailed(
            "promises_max",
            zh="该纠纷的承诺条数已达上限,请确认或更正已有的承诺",
            en="This dispute holds no more promises; confirm or correct one that is there",
            most=PROMISES_MAX,
            present=earlier.total,
        )


def promises_found(ctx: Context, spoken: Spoken, *, earlier: Earlier, policy: Policy) -> tuple[PromiseFound, ...]:
    """Read the promises out of delivered words; each is kept unconfirmed, and supersedes an unrelayed one.

    Raises:
        GuardFailed: `promises_max`.
    """
    extracted = read_promises(spoken)
    return keep_found(ctx, spoken, extracted, earlier=earlier, policy=policy) if extracted else ()


def read_promises(spoken: Spoken) -> list[Extracted]:
    """What the words promise, refuse or leave open."""
    if spoken.before is None:
        return extract(spoken.text, spoken.question, spoken.said_at, spoken.order)
    return extract_in_turn(spoken.before, spoken.text, spoken.question, spoken.said_at, spoken.order)


def keep_found(
    ctx: Context,
    spoken: Spoken,
    extracted: Collection[Extracted],
    *,
    earlier: Earlier,
    policy: Policy,
    replaced: Collection[Extracted] = (),
) -> tuple[PromiseFound, ...]:
    """Keep at least one promise found in the words, unconfirmed; as many as the policy allows a message.

    Args:
        replaced: of these, what the same message states otherwise: kept, but superseded at once (`committing.py`).

    Raises:
        GuardFailed: `promises_max`.
    """
    most = policy.promises_per_message_max
    left_out, extracted = max(0, len(extracted) - most), list(extracted)[:most]
    require_promise_room(earlier, len(extracted))
    found = tuple(_kept_unconfirmed(ctx, spoken, each, policy, earlier, ended=each in replaced) for each in extracted)
    supersede(ctx, earlier, actions={p.action for p in found if p.wording == "unconditional"})
    ctx.record(
        "promise.extracted",
        facts={
            "message": spoken.message_id,
            "promises": [_shown(p) for p in found],
        }
        | ({"left_out": left_out} if left_out else {}),
        private={"canonical": [{"zh": p.canonical_zh, "en": p.canonical_en} for p in found]},
    )
    ctx.announce("promise.extracted", **spoken.refs, promise_ids=[p.id for p in found])
    for each in found:
        if each.state != "superseded":
            tell_of_contradiction(ctx, each.id, Against(each.contradicts, each.contradicts_told, each.differs))
    return found


def _shown(found: PromiseFound) -> dict[str, object]:
    """A promise found, as its entry names it; `against` only where the order has something against it."""
    shown: dict[str, object] = {
        "id": found.id,
        "wording": found.wording,
        "action": found.action,
        "canonical": found.canonical_sha256,
    }
    return shown | ({"against": found.contradicts} if found.contradicts else {})


def promise_past(due_at: datetime) -> GuardFailed:
    """The refusal of a promise whose time has passed: nobody promises the past."""
    return GuardFailed("promise_already_due", zh="承诺时间已过", en="Its time has passed", due_at=rfc3339(due_at))


def judged(terms: Terms, words: str, order: OrderFacts, earlier: Earlier) -> Against:
    """What a promise goes against: its order's facts (D15), and the last promise told to the buyer that differs."""
    told = None
    for each in earlier.open:
        if each.state == "relayed" and (differs := against_told(each.terms, terms)) is not None:
            told = (each.id, differs)
    return Against(against_order(terms, words, order), *(told or (None, None)))


def tell_of_contradiction(ctx: Context, promise_id: str, against: Against) -> None:
    """New words go against what the buyer was told: on record, and shown to the agent.

    The buyer hears of it only by a new promise, confirmed and relayed; until then the told one stands and is watched.
    """
    if against.told is None:
        return
    ctx.record(
        "promise.contradicts_told",
        facts={"promise": promise_id, "told": against.told, "differs": against.differs},
    )
    ctx.announce("promise.contradicts_told", promise_id=promise_id, told_promise_id=against.told)
    call_somebody(ctx, role="platform_agent", kind="promise_contradicted")


def _kept_unconfirmed(
    ctx: Context, spoken: Spoken, each: Extracted, policy: Policy, earlier: Earlier, *, ended: bool
) -> PromiseFound:
    promise_id, state = ctx.new_id(), "superseded" if ended else "extracted"
    terms = Terms(each.wording, each.action, each.amount_fen, each.amount_max_fen, each.due_at)
    against = judged(terms, spoken.text[each.start : each.end], spoken.order, earlier)
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
        contradicts=against.order,
        contradicts_told=against.told,
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
        against.order,
        against.told,
        against.differs,
    )


def supersede(ctx: Context, earlier: Earlier, *, actions: Iterable[str]) -> None:
    """A newer promise of the same action takes the place of one that the buyer has not been told."""
    wanted = set(actions)
    for each in earlier.open:
        if each.action not in wanted or not PROMISE.arrows_from(each.state, "superseded_by_newer"):
            continue
        ctx.plan.update(tables.Promise, each.id, state="superseded", ended_at=ctx.now)
        timers.disarm(ctx.plan, each.id, ("promise_lapse",), at=ctx.now)
        ctx.record("promise.superseded", facts={"promise": each.id, "action": each.action})
        ctx.announce("promise.superseded", promise_id=each.id)
