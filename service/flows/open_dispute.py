"""The buyer's request: opened on an order line, changed, withdrawn, and opened again once it was closed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.domain.claims import Goods, require_claimable
from service.domain.dispute import DISPUTE
from service.domain.errors import Absent, Conflict, GuardFailed
from service.domain.money import require_within_cap
from service.domain.outcome import Outcome
from service.domain.policy import Policy, require_demo_allowed
from service.domain.staff import Role
from service.domain.timers import dispute_timers
from service.flows.context import Context
from service.flows.hearing import require_length
from service.flows.issuing import arm_all
from service.flows.moves import facts_of, move
from service.flows.read_case import TOLD, require_no_active, require_reopenable, require_seen
from service.store import people, tables
from service.store.case_lists import last_dispute_on_line, next_case_number
from service.store.disputes import CaseFile
from service.store.writes import Head

SHANGHAI: Final = timedelta(hours=8)  # no daylight saving since 1991: the day of a case number


@dataclass(frozen=True, slots=True)
class Claim:
    """What a buyer asks for, in the order's currency and its minor units."""

    order_line_id: str
    type: str
    reason: str
    amount_fen: int
    currency: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a buyer changes of a claim; None leaves it."""

    amount_fen: int | None = None
    currency: str | None = None
    type: str | None = None
    reason: str | None = None
    note: str | None = None


# --- opening --------------------------------------------------------------------------------------------------------


def open_dispute(ctx: Context, claim: Claim) -> str:
    """Open a dispute about one order line. Returns its id; the merchant's time to answer (T1) starts now.

    Raises:
        Absent: no such order line of this buyer.
        Conflict: `duplicate_active` with the id of the one that is active.
        GuardFailed: `currency_mismatch`, `amount_over_refundable` and other amounts, `claim_reason_…`,
            `return_not_offered`, `modifications_exhausted`, `demo_policy_refused`, `text_length`.
    """
    line = people.order_line(ctx.tx.session, claim.order_line_id, lock=True)
    order = people.order(ctx.tx.session, line.order_id) if line is not None else None
    if line is None or order is None or order.buyer_id != ctx.actor.subject:
        raise Absent("order_line")
    require_no_active(ctx, line.id)
    require_currency_of(claim.currency, order.currency)
    require_claimable(claim.type, claim.reason, goods_of(line))
    require_within_cap(claim.amount_fen, line.refundable_fen - line.refunded_fen - line.pending_fen)
    shop = people.merchant(ctx.tx.session, order.merchant_id)
    assert shop is not None, "an order has a shop"
    policy = _policy_for(ctx, shop).for_dispute(claim.type)
    _require_note(claim.note, policy)
    return _write(ctx, order, line, claim, policy, modifications=_applied_before(ctx, line, policy))


def reopen(ctx: Context, dispute_id: str, *, amount_fen: int | None, currency: str | None, note: str | None) -> str:
    """Open the successor of a closed dispute: the closed one stays sealed. Returns the successor's id.

    A supervisor reopens on the buyer's behalf, at any time, and is marked so.

    Args:
        amount_fen: None claims what was claimed before, or what is left of it.

    Raises:
        Absent: not this actor's dispute.
        Conflict: as `read_case.require_reopenable`.
        GuardFailed: `amount_over_refundable` and other amounts, `currency_mismatch`, `text_length`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    require_reopenable(ctx, case)
    parent = case.dispute
    line = people.order_line(ctx.tx.session, parent.order_line_id, lock=True)
    order = people.order(ctx.tx.session, parent.order_id)
    assert line is not None, "a dispute has an order line"
    assert order is not None, "a dispute has an order"
    left = line.refundable_fen - line.refunded_fen - line.pending_fen
    if amount_fen is not None:
        require_currency_of(currency, parent.currency)
    amount = require_within_cap(min(parent.claimed_fen, left) if amount_fen is None else amount_fen, left)
    policy = _policy_for(ctx, case.merchant).for_dispute(parent.type)
    _require_note(note, policy)
    claim = Claim(line.id, parent.type, parent.reason, amount, parent.currency, note)
    return _write(ctx, order, line, claim, policy, modifications=0, parent=parent)


def require_currency_of(currency: str | None, of_order: str) -> None:
    """Refuse an amount in another currency than the order's (edge case 38).

    Raises:
        GuardFailed: `currency_mismatch`.
    """
    if currency != of_order:
        raise GuardFailed(
            "currency_mismatch",
            zh="币种与订单不一致",
            en="Not the currency of the order",
            currency=currency,
            order_currency=of_order,
        )


def goods_of(line: tables.OrderLine) -> Goods:
    """What the order line says about the goods now."""
    return Goods(shipped=line.shipped_at is not None, returnable=line.returnable, custom_made=line.custom_made)


def _policy_for(ctx: Context, shop: tables.Merchant) -> Policy:
    """The shop's policy as published now; a demo policy binds demo shops of the embedded demo alone.

    Raises:
        GuardFailed: `demo_policy_refused`.
    """
    policy = ctx.house.policies.in_force(ctx.tx, shop.policy_id)
    require_demo_allowed(policy, merchant_is_demo=shop.is_demo, demo_enabled=ctx.house.demo)
    return policy


def _applied_before(ctx: Context, line: tables.OrderLine, policy: Policy) -> int:
    """Withdrawing and applying again counts as a modification (WXQ).

    Raises:
        GuardFailed: `modifications_exhausted`.
    """
    last = last_dispute_on_line(ctx.tx.session, line.id)
    if last is None or last.outcome != Outcome.BUYER_WITHDREW or last.buyer_id != ctx.actor.subject:
        return 0
    if last.modifications >= policy.modifications_max:
        raise GuardFailed(
            "modifications_exhausted",
            zh="修改次数已用完",
            en="No modifications left",
            modifications=last.modifications,
            modifications_max=policy.modifications_max,
        )
    return last.modifications + 1


def _require_note(note: str | None, policy: Policy) -> None:
    require_length(note or "", least=0, most=policy.reason_chars_max, field_name="note")


def _write(
    ctx: Context,
    order: tables.Order,
    line: tables.OrderLine,
    claim: Claim,
    policy: Policy,
    *,
    modifications: int,
    parent: tables.Dispute | None = None,
) -> str:
    dispute_id, state = ctx.new_id(), DISPUTE.initial
    number = next_case_number(ctx.tx, shanghai_day(ctx.now))
    ctx.plan.head = Head(dispute_id, 0, 0, None, 0, is_new=True)
    ctx.plan.insert(
        tables.Dispute,
        id=dispute_id,
        number=number,
        merchant_id=order.merchant_id,
        buyer_id=order.buyer_id,
        order_id=order.id,
        order_line_id=line.id,
        type=claim.type,
        reason=claim.reason,
        currency=order.currency,
        claimed_fen=claim.amount_fen,
        state=state,
        state_since=ctx.now,
        opened_by=ctx.actor.side,
        policy_id=policy.policy_id,
        policy_version=policy.version,
        parent_id=parent.id if parent else None,
        reopened_by=ctx.actor.side if parent else None,
        modifications=modifications,
        created_at=ctx.now,
    )
    ctx.record(
        "dispute.requested",
        facts={"to": state, "number": number} | _facts_of_request(ctx, line, claim, policy, parent),
        private={"note": claim.note or None},
    )
    arm_all(ctx, dispute_id, dispute_timers(state, ctx.now, policy, policy.business_hours), policy)
    ctx.announce("dispute.requested", state=state, number=number, order_line_id=line.id)
    if parent is not None:
        ctx.announce("dispute.reopened_as", parent_id=parent.id, number=number)
    # The marketplace does not confirm the order by itself while a dispute runs (edge case 45), until `dispute.closed`.
    ctx.announce("order.auto_confirm_held", order_id=order.id, order_line_id=line.id)
    return dispute_id


def _facts_of_request(
    ctx: Context, line: tables.OrderLine, claim: Claim, policy: Policy, parent: tables.Dispute | None
) -> dict[str, object]:
    facts: dict[str, object] = {
        "type": claim.type,
        "reason": claim.reason,
        "amount_fen": claim.amount_fen,
        "currency": claim.currency,
        "order": line.order_id,
        "order_line": line.id,
        "shipped": line.shipped_at is not None,
        "policy": policy.ref,
    }
    if parent is not None:
        facts["parent"] = parent.id
    if ctx.actor.role is Role.SUPERVISOR:
        facts["on_behalf_of"] = "buyer"
    return facts


def shanghai_day(now: datetime) -> str:
    """The day of an instant in Shanghai, as case numbers write it: 20261123."""
    return (now + SHANGHAI).strftime("%Y%m%d")


# --- changing and withdrawing ---------------------------------------------------------------------------------------


def modify(ctx: Context, dispute_id: str, change: Change) -> None:
    """Change the claim; the merchant's time to answer starts anew.

    Raises:
        Absent: not this buyer's dispute.
        Conflict: `arrow_missing`, `window_closed`.
        GuardFailed: `modifications_exhausted`, `claim_out_of_range`, `claim_reason_…`, `currency_mismatch`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    dispute = case.dispute
    amount = dispute.claimed_fen if change.amount_fen is None else change.amount_fen
    facts = facts_of(ctx, case, amount_fen=amount)
    DISPUTE.advance(dispute.state, "buyer_modify", facts, side=ctx.actor.side)
    if change.amount_fen is not None:
        require_currency_of(change.currency, dispute.currency)
    wanted, reason = change.type or dispute.type, change.reason or dispute.reason
    if (wanted, reason) != (dispute.type, dispute.reason):
        require_claimable(wanted, reason, goods_of(case.line))
    _require_note(change.note, facts.policy)
    renoted = {"claim_seq": dispute.last_seq + 1} if change.note else {}
    move(
        ctx,
        case,
        "buyer_modify",
        facts,
        changes={"claimed_fen": amount, "type": wanted, "reason": reason, "modifications": dispute.modifications + 1}
        | renoted,
        entry_facts={"amount_fen": amount, "type": wanted, "reason": reason, "was_fen": dispute.claimed_fen},
        private={"note": change.note or None},
    )


def withdraw(ctx: Context, dispute_id: str, *, note: str | None, agreed_promise_id: str | None = None) -> None:
    """The buyer gives the request up; refused while the merchant holds the goods.

    Args:
        agreed_promise_id: the promise that settles it (goods sent again, a sum as compensation): one that the buyer was
            told of, so that the agreed solution stands in the transcript (D16). It is watched after the close, too.

    Raises:
        Absent: not this buyer's dispute, or no promise that the buyer was told of.
        Conflict: `arrow_missing`, `promise_broken`.
        GuardFailed: `goods_held_by_merchant`, `text_length`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    facts = facts_of(ctx, case)
    DISPUTE.advance(case.dispute.state, "buyer_withdraw", facts, side=ctx.actor.side)
    _require_note(note, facts.policy)
    agreed = None if agreed_promise_id is None else _agreed(case, agreed_promise_id)
    move(ctx, case, "buyer_withdraw", facts, entry_facts=agreed, private={"note": note or None})


def _agreed(case: CaseFile, promise_id: str) -> dict[str, object]:
    """The promise on which buyer and shop agree, for the entry of the close."""
    promise = next((p for p in case.promises if p.id == promise_id and p.state in TOLD), None)
    if promise is None:
        raise Absent("promise")
    if promise.state == "breached":
        raise Conflict("promise_broken", zh="该承诺未履行", en="This promise was not kept", promise_id=promise_id)
    return {"agreed": {"promise": promise.id, "action": promise.action, "canonical": promise.canonical_sha256}}
