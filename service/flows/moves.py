"""What moving things entails, the same in every story: the dispute's arrow with all its effects, a ticket, a payment.

Stories call `move` with the trigger and the facts; the tables of the domain decide, this module writes down what the
arrow says: timers, children that end with the intervention, obligations to pay, default rulings, the seal at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from service.domain import dispute as disputes
from service.domain.dispute import DISPUTE
from service.domain.dispute_facts import DisputeFacts
from service.domain.lifecycle import Arrow
from service.domain.policy import Policy
from service.domain.timers import WINDOW_OF, dispute_timers, timer_change
from service.flows.context import Context
from service.flows.ending import end_children, end_decisions, end_offer, lapse_promises
from service.flows.issuing import arm_all, count_standing
from service.flows.owing import default_ruling, fund_of, owe, owed_fen, refundable_fen
from service.store import timers
from service.store.disputes import CaseFile

# trigger → event type (api.md section 4); what is not listed announces `dispute.<trigger>`
EVENTS: Final[Mapping[str, str]] = {
    "seller_agree_refund": "dispute.agreed",
    "seller_agree_return": "dispute.agreed",
    "seller_refuse": "dispute.refused",
    "seller_offer": "offer.made",
    "seller_improve_offer": "offer.improved",
    "buyer_accept_offer": "offer.accepted",
    "buyer_decline_offer": "offer.declined",
    "offer_expired": "offer.expired",
    "buyer_modify": "dispute.modified",
    "buyer_withdraw": "dispute.withdrawn",
    "request_intervention": "dispute.intervention_requested",
    "merchant_requests_intervention": "dispute.intervention_requested",
    "platform_intervene": "dispute.intervention_requested",
    "accept_dispute": "dispute.accepted",
    "transfer": "dispute.transferred",
    "buyer_ship_return": "return.shipped",
    "seller_confirm_receipt": "return.acknowledged",
    "seller_report_return_problem": "return.exception",
    "return_exception": "return.exception",
    "receipt_timeout": "return.timed_out",
    "return_ship_timeout": "return.timed_out",
    "issue_ruling": "ruling.issued",
    "accept_ruling": "ruling.accepted",
    "appeal_window_closed": "ruling.final",
    "appeal": "appeal.filed",
    "appeal_withdrawn": "appeal.withdrawn",
    "appeal_uphold": "appeal.upheld",
    "appeal_overturn": "appeal.overturned",
    "appeal_remand": "appeal.remanded",
    "appeal_review_timeout": "appeal.timed_out",
    "refund_succeeded": "refund.succeeded",
    "refund_failed": "refund.failed",
    "refund_exhausted": "refund.exhausted",
    "platform_advance_timeout": "refund.platform_advanced",
}


def facts_of(ctx: Context, case: CaseFile, **more: Any) -> DisputeFacts:
    """The facts that rows alone tell; a story adds what its request says."""
    return replace(_facts(ctx, case, ctx.policy_of(case.dispute)), **more)


def _facts(ctx: Context, case: CaseFile, policy: Policy) -> DisputeFacts:
    dispute, ruling, offer = case.dispute, case.ruling, case.open_offer
    return DisputeFacts(
        policy=policy,
        type=dispute.type,
        claimed_fen=dispute.claimed_fen,
        refundable_fen=refundable_fen(case),
        modifications=dispute.modifications,
        received_at=ctx.received_at,
        due_at=window_due(case),
        offers_used=dispute.offers_used,
        offer_kind=offer.kind if offer else "",
        offer_fen=offer.amount_fen if offer else 0,
        offered_before_kind=offer.kind if offer else "",
        return_address=bool(dispute.return_address or case.merchant.return_address),
        return_shipment_registered=bool(case.shipments),
        agreed_to_return_before=dispute.agreed_to_return,
        origin=dispute.return_origin or "consent",
        carrier_status=case.shipments[-1].state if case.shipments else "",
        goods_held_by_merchant=dispute.goods_held_by_merchant,
        armed_inquiry=any(i.state in ("routing", "awaiting_merchant") for i in case.inquiries),
        open_mandatory_evidence=sum(r.state == "open" and r.mandatory for r in case.evidence_requests),
        default_ruling=policy.default_ruling,
        ruling_kind=ruling.kind if ruling else "",
        cycle=dispute.cycle,
        remands=dispute.remands,
    )


def armed_timers(case: CaseFile) -> dict[str, datetime]:
    """The dispute's own armed timers by name (children have theirs)."""
    return {t.name: t.due_at for t in case.timers if t.subject_id == case.dispute.id}


def window_due(case: CaseFile) -> datetime | None:
    """When the window that the party's next action falls under ends; while an appeal runs, the ruling's T8."""
    if case.dispute.state == "appealed" and case.ruling is not None:
        return case.ruling.appeal_due_at
    name = WINDOW_OF.get(case.dispute.state)
    return armed_timers(case).get(name) if name else None


def move(
    ctx: Context,
    case: CaseFile,
    trigger: str,
    facts: DisputeFacts,
    *,
    side: str | None = None,
    changes: Mapping[str, object] | None = None,
    entry_facts: Mapping[str, object] | None = None,
    rules: Mapping[str, object] | None = None,
    private: Mapping[str, object] | None = None,
    standing_of: str | None = None,
    ruling_basis: str | None = None,
) -> Arrow[DisputeFacts]:
    """Pull a trigger of the dispute and write down everything that its arrow entails.

    Args:
        facts: from `facts_of`, completed with what the request says.
        side: who pulls it; defaults to the actor's side.
        changes: further columns of the dispute to set.
        entry_facts, rules, private: for the transcript entry `dispute.<trigger>`.
        standing_of: the child whose failure counts towards standing, where the arrow counts one; else the dispute.
        ruling_basis: of a ruling that this very move puts in force; else that of the last one.

    Raises:
        Refusal: the state has no such arrow, it is not the actor's, or a guard says no. Nothing is planned then.
    """
    dispute = case.dispute
    arrow = DISPUTE.advance(dispute.state, trigger, facts, side=side or ctx.actor.side)
    target = DISPUTE.target(dispute.state, arrow)
    if ctx.plan.head is None:
        ctx.follow(dispute)
    ctx.plan.change(**(changes or {}))
    ctx.record(
        f"dispute.{trigger}",
        facts={"from": dispute.state, "to": target, "arrow": arrow.number, "policy": facts.policy.ref}
        | dict(entry_facts or {}),
        rules=rules,
        private=private,
    )
    ctx.announce(EVENTS.get(trigger, f"dispute.{trigger}"), state=target, arrow=arrow.number)
    default_ruling(ctx, case, arrow, facts)
    _outcome(ctx, case, arrow, facts, ruling_basis)
    _retime(ctx, case, trigger, target, facts.policy)
    if target != dispute.state:
        _enter(ctx, case, trigger, target, facts)
    if "standing.event" in arrow.effects:
        counted = f"{standing_of or dispute.id}:{trigger}"
        count_standing(ctx, dispute.merchant_id, dispute.id, kind=trigger, standing_id=counted, subject_id=standing_of)
    return arrow


def _enter(ctx: Context, case: CaseFile, trigger: str, target: str, facts: DisputeFacts) -> None:
    """What entering another state entails, in the order a reader would expect it in the transcript."""
    dispute = case.dispute
    ctx.plan.change(state=target, state_since=ctx.now)
    if target in disputes.INTERVENTION and dispute.state not in disputes.INTERVENTION:
        ctx.plan.change(intervened_at=dispute.intervened_at or ctx.now)
    cycle = disputes.cycle_after(dispute.state, target, origin=facts.origin, cycle=dispute.cycle)
    if cycle != dispute.cycle:
        ctx.plan.change(cycle=cycle)
    if disputes.left_intervention(dispute.state, target):
        end_children(ctx, case, facts.policy)
    end_decisions(ctx, case)
    end_offer(ctx, case, trigger)
    if disputes.raises_obligation(dispute.state, target):
        owe(ctx, case, amount_fen=owed_fen(ctx, case, trigger), fund=fund_of(ctx, case, trigger))
    if target == "closed":
        _close(ctx, case)


def _outcome(
    ctx: Context, case: CaseFile, arrow: Arrow[DisputeFacts], facts: DisputeFacts, ruling_basis: str | None
) -> None:
    """An outcome is held while the return or the payment is under way, and fixed when the dispute closes."""
    held = ctx.plan.head.changes.get("outcome_hint", case.dispute.outcome_hint) if ctx.plan.head else None
    basis = ruling_basis or (case.ruling.basis if case.ruling else "")
    outcome = disputes.outcome_after(
        arrow, None if held is None else str(held), ruling_kind=facts.ruling_kind, ruling_basis=basis
    )
    if outcome is not None:
        ctx.plan.change(outcome_hint=outcome.value)


def _retime(ctx: Context, case: CaseFile, trigger: str, target: str, policy: Policy) -> None:
    """Arm and disarm the dispute's own timers as its state wants them."""
    dispute, armed = case.dispute, armed_timers(case)
    wanted = dispute_timers(
        target,
        ctx.now,
        policy,
        policy.business_hours,
        trigger=trigger,
        came_from=dispute.state,
        armed=armed,
        hard_due_at=dispute.hard_due_at,
    )
    change = timer_change(armed, wanted)
    arm_all(ctx, dispute.id, change.arm, policy)
    timers.disarm(ctx.plan, dispute.id, change.cancel, at=ctx.now)
    hard = next((t.due_at for t in wanted if t.name == "hard_deadline"), None)
    if hard is not None and hard != dispute.hard_due_at:
        ctx.plan.change(hard_due_at=hard)


def _close(ctx: Context, case: CaseFile) -> None:
    """Fix the outcome, let what was never confirmed lapse, and seal the transcript with its own head."""
    held = ctx.plan.head.changes.get("outcome_hint", case.dispute.outcome_hint) if ctx.plan.head else None
    assert held is not None, "a dispute closes with an outcome"
    ctx.plan.change(outcome=held, closed_at=ctx.now)
    lapse_promises(ctx, case, case_closed=True)
    assert ctx.plan.head is not None, "a closing dispute is being written"
    ctx.announce("dispute.closed", outcome=held)
    ctx.record("case.sealed", facts={"outcome": held, "entries": ctx.plan.head.seq})
    ctx.announce("transcript.sealed", entries=ctx.plan.head.seq)
