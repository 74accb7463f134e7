"""What moving things entails, the same in every story: the dispute's arrow with all its effects, a ticket, a payment.

Stories call `move` with the trigger and the facts; the tables of the domain decide, this module writes down what the
arrow says: timers, children that end with the intervention, obligations to pay, default rulings, the seal at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from service.domain import dispute as disputes
from service.domain.dispute import DISPUTE
from service.domain.dispute_facts import DisputeFacts
from service.domain.evidence import EVIDENCE_REQUEST
from service.domain.inquiry import INQUIRY
from service.domain.lifecycle import Arrow
from service.domain.outcome import Liability
from service.domain.policy import Policy
from service.domain.promise import PROMISE, PromiseFacts
from service.domain.staff import Actor
from service.domain.ticket import TICKET, is_blocking, sla_due
from service.domain.timers import WINDOW_OF, Timer, dispute_timers, fires_at, ticket_timers, timer_change
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.store import people, tables, timers
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


def refundable_fen(case: CaseFile) -> int:
    """What may still be paid on the order line, refunds under way taken off."""
    line = case.line
    return max(0, line.refundable_fen - line.refunded_fen - line.pending_fen)


def armed_timers(case: CaseFile) -> dict[str, datetime]:
    """The dispute's own armed timers by name (children have theirs)."""
    return {t.name: t.due_at for t in case.timers if t.subject_id == case.dispute.id}


def window_due(case: CaseFile) -> datetime | None:
    """When the window that the party's next action falls under ends; while an appeal runs, the ruling's T8."""
    if case.dispute.state == "appealed" and case.ruling is not None:
        return case.ruling.appeal_due_at
    name = WINDOW_OF.get(case.dispute.state)
    return armed_timers(case).get(name) if name else None


# --- the dispute ----------------------------------------------------------------------------------------------------


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
    _default_ruling(ctx, case, arrow, facts)
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
    _end_offer(ctx, case, trigger)
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


def arm_all(ctx: Context, subject_id: str, wanted: Iterable[Timer], policy: Policy) -> None:
    """Arm timers of the plan's dispute or of one of its children."""
    assert ctx.plan.head is not None, "timers belong to a dispute"
    for timer in wanted:
        timers.arm(
            ctx.plan,
            dispute_id=ctx.plan.head.dispute_id,
            subject_id=subject_id,
            name=timer.name,
            due_at=timer.due_at,
            fires_at=fires_at(timer, policy),
        )


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


# --- children -------------------------------------------------------------------------------------------------------


def end_children(ctx: Context, case: CaseFile, policy: Policy) -> None:
    """Every open child hears `dispute_left_intervention` in the same transaction."""
    ended: dict[str, str] = {}
    for inquiry in case.inquiries:
        if INQUIRY.arrows_from(inquiry.state, "dispute_left_intervention"):
            ctx.plan.update(
                tables.Inquiry, inquiry.id, state="closed", closed_at=ctx.now, close_cause="dispute_left_intervention"
            )
            release_seat(ctx, inquiry.seat_id)
            ended[inquiry.id] = "closed"
    for ticket in case.tickets:
        for arrow in TICKET.arrows_from(ticket.state, "dispute_left_intervention"):
            ctx.plan.update(tables.Ticket, ticket.id, state=TICKET.target(ticket.state, arrow), ended_at=ctx.now)
            ended[ticket.id] = TICKET.target(ticket.state, arrow)
    decided = ctx.plan.updates.get(tables.EvidenceRequest, {})  # the one whose end moved the dispute keeps its end
    for request in case.evidence_requests:
        if request.id in decided:
            continue
        if EVIDENCE_REQUEST.arrows_from(request.state, "dispute_left_intervention"):
            ctx.plan.update(tables.EvidenceRequest, request.id, state="cancelled", ended_at=ctx.now)
            ended[request.id] = "cancelled"
    for item in case.evidence_items:
        if not item.frozen:
            ctx.plan.update(tables.EvidenceItem, item.id, frozen=True)
    _disarm_children(ctx, case, ended)
    if ended:
        ctx.record("children.ended", facts={"cause": "dispute_left_intervention", "ended": ended})
    lapse_promises(ctx, case, case_closed=False)


def end_decisions(ctx: Context, case: CaseFile) -> None:
    """What was asked for in the state that is left is moot: proposals go stale, appeals that nobody decided end."""
    head = ctx.plan.head
    assert head is not None, "a dispute that moves is being written"
    for approval in case.approvals:
        if approval.state == "proposed":
            ctx.plan.update(tables.Approval, approval.id, state="stale", ended_at=ctx.now)
            timers.disarm(ctx.plan, approval.id, ("approval_expiry",), at=ctx.now)
    if case.dispute.state != "appealed":
        return
    decided = ctx.plan.updates.get(tables.Appeal, {})
    for appeal in case.appeals:
        if appeal.state == "filed" and appeal.id not in decided:
            ctx.plan.update(tables.Appeal, appeal.id, state="moot")


_OFFER_ENDS: Final[Mapping[str, str]] = {
    "buyer_accept_offer": "accepted",
    "buyer_decline_offer": "declined",
    "request_intervention": "declined",  # arrow 22: offer.declined
    "buyer_withdraw": "declined",
    "offer_expired": "expired",
}


def _end_offer(ctx: Context, case: CaseFile, trigger: str) -> None:
    """The offer on the table ends with the negotiation; what was not answered is superseded by what was done."""
    offer = case.open_offer
    if offer is not None:
        ctx.plan.update(tables.Offer, offer.id, state=_OFFER_ENDS.get(trigger, "superseded"))


def _disarm_children(ctx: Context, case: CaseFile, ended: Iterable[str]) -> None:
    gone = set(ended)
    for timer in case.timers:
        if timer.subject_id in gone:
            timers.disarm(ctx.plan, timer.subject_id, (timer.name,), at=ctx.now)


def lapse_promises(ctx: Context, case: CaseFile, *, case_closed: bool) -> None:
    """Silence is never consent: what was not confirmed lapses when the platform lets go of the dispute."""
    lapsed = []
    facts = PromiseFacts(now=ctx.now, left_intervention=True, case_closed=case_closed)
    for promise in case.promises:
        if promise.id in ctx.plan.updates.get(tables.Promise, {}):
            continue
        if promise.state == "confirmed" and not case_closed:
            continue
        for arrow in PROMISE.arrows_from(promise.state, "promise_lapse_timeout"):
            PROMISE.advance(promise.state, arrow.trigger, facts, side="system")
            ctx.plan.update(tables.Promise, promise.id, state="lapsed", ended_at=ctx.now)
            timers.disarm(ctx.plan, promise.id, ("promise_lapse",), at=ctx.now)
            lapsed.append(promise.id)
    if lapsed:
        ctx.record("promise.lapsed", facts={"promises": lapsed})
        ctx.announce("promise.lapsed", promise_ids=lapsed)


def release_seat(ctx: Context, seat_id: str | None) -> None:
    """A seat has one open inquiry less."""
    if seat_id is not None:
        ctx.plan.add(tables.Seat, seat_id, open_inquiries=-1)


# --- tickets and standing -------------------------------------------------------------------------------------------


def issue_ticket(
    ctx: Context,
    *,
    merchant_id: str,
    policy: Policy,
    cause: str,
    category: str,
    question: str,
    inquiry_id: str | None = None,
    standing_id: str | None = None,
    agreed: timedelta | None = None,
    blocking: bool | None = None,
) -> str:
    """Issue a service ticket; its clock runs in business hours from now. Returns the ticket's id.

    Args:
        cause: TIMEOUT, NO_SEAT, AGENT_CLOSED or MANUAL.
        standing_id: the standing event to count, named so that a revived reply can void it; None counts nothing.
        blocking: None takes the policy's word for this cause.
    """
    head = ctx.plan.head
    assert head is not None, "a ticket belongs to a dispute"
    ticket_id = ctx.new_id()
    due_at = sla_due(ctx.now, category, policy, policy.business_hours, agreed)
    ctx.plan.insert(
        tables.Ticket,
        id=ticket_id,
        dispute_id=head.dispute_id,
        merchant_id=merchant_id,
        inquiry_id=inquiry_id,
        cause=cause,
        category=category,
        question=question,
        blocking=is_blocking(cause, policy) if blocking is None else blocking,
        state="issued",
        due_at=due_at,
        issued_at=ctx.now,
    )
    arm_all(ctx, ticket_id, ticket_timers("issued", ctx.now, policy, due_at=due_at), policy)
    ctx.record(
        "service_ticket.issued",
        facts={"ticket": ticket_id, "cause": cause, "category": category, "due_at": rfc3339(due_at)}
        | ({"inquiry": inquiry_id} if inquiry_id else {}),
        private={"question": question or None},
    )
    ctx.announce("service_ticket.issued", ticket_id=ticket_id, cause=cause, due_at=rfc3339(due_at))
    if standing_id is not None:
        count_standing(
            ctx, merchant_id, head.dispute_id, kind=cause.lower(), standing_id=standing_id, subject_id=inquiry_id
        )
    return ticket_id


def count_standing(
    ctx: Context, merchant_id: str, dispute_id: str, *, kind: str, standing_id: str, subject_id: str | None = None
) -> None:
    """Count something towards the merchant's standing; the id is the thing counted, so nothing counts twice."""
    ctx.plan.put(
        tables.StandingEvent,
        standing_id,
        merchant_id=merchant_id,
        dispute_id=dispute_id,
        subject_id=subject_id or dispute_id,
        kind=kind,
        at=ctx.now,
        voided_at=None,
    )
    ctx.announce("standing.event_counted", kind=kind, subject_id=subject_id or dispute_id)


def call_somebody(ctx: Context, *, role: str, kind: str, due_at: datetime | None = None) -> None:
    """Give the platform's people a task: on call, a supervisor, or the agent of the dispute."""
    head = ctx.plan.head
    assert head is not None, "a task belongs to a dispute"
    ctx.plan.put(
        tables.Task,
        f"{head.dispute_id}:{kind}",
        dispute_id=head.dispute_id,
        role=role,
        kind=kind,
        created_at=ctx.now,
        due_at=due_at,
        done_at=None,
    )
    ctx.announce("dispute.alarm", kind=kind, role=role)


# --- rulings and money ----------------------------------------------------------------------------------------------


def _default_ruling(ctx: Context, case: CaseFile, arrow: Arrow[DisputeFacts], facts: DisputeFacts) -> None:
    """The ruling that an arrow makes without anybody."""
    made = disputes.default_ruling_of(arrow)
    if made is None:
        return
    kind, basis, liability = made
    amount = 0 if kind == "reject" else min(case.dispute.claimed_fen, facts.refundable_fen)
    write_ruling(ctx, case, kind=kind, amount_fen=amount, liability=liability.value, basis=basis, policy=facts.policy)
    ctx.announce("ruling.default_issued", basis=basis)


def write_ruling(
    ctx: Context,
    case: CaseFile,
    *,
    kind: str,
    amount_fen: int,
    liability: str,
    basis: str,
    policy: Policy,
    reasons: str | None = None,
    cites: object | None = None,
    author: Actor | None = None,
    approver_id: str | None = None,
    final: bool = False,
) -> str:
    """Write a ruling and what it awards; returns its id."""
    number, ruling_id = len(case.rulings) + 1, ctx.new_id()
    made = ctx.record(
        "ruling.issued",
        facts={
            "ruling": ruling_id,
            "number": number,
            "kind": kind,
            "amount_fen": amount_fen,
            "liability": liability,
            "basis": basis,
            "policy": policy.ref,
        },
        private={"reasons": reasons, "cites": cites},
    )
    ctx.plan.insert(
        tables.Ruling,
        id=ruling_id,
        dispute_id=case.dispute.id,
        number=number,
        cycle=case.dispute.cycle,
        kind=kind,
        amount_fen=amount_fen,
        liability=liability,
        basis=basis,
        author_id=(author or ctx.actor).subject,
        approver_id=approver_id,
        seq=made.seq,
        final=final,
        issued_at=ctx.now,
        appeal_due_at=ctx.now + policy.appeal_window,
    )
    ctx.plan.change(awarded_fen=amount_fen, liability=liability)
    return ruling_id


_AGREED: Final = frozenset({"seller_agree_refund", "buyer_accept_offer", "seller_response_timeout"})
_AS_CLAIMED: Final = frozenset(
    {"seller_agree_refund", "seller_response_timeout"}
)  # whatever was ruled or offered before


def owed_fen(ctx: Context, case: CaseFile, trigger: str) -> int:
    """How much entering `executing` owes: what was ruled, what was offered and taken, or what was claimed."""
    changes = ctx.plan.head.changes if ctx.plan.head else {}
    awarded = changes.get("awarded_fen", case.dispute.awarded_fen)
    return case.dispute.claimed_fen if awarded is None or trigger in _AS_CLAIMED else int(str(awarded))


def fund_of(ctx: Context, case: CaseFile, trigger: str) -> str:
    """Who pays: the platform where a ruling holds it liable, the merchant for everything else."""
    changes = ctx.plan.head.changes if ctx.plan.head else {}
    liability = changes.get("liability", case.dispute.liability)
    return "PLATFORM" if liability == Liability.PLATFORM and trigger not in _AGREED else "MERCHANT"


def owe(
    ctx: Context,
    case: CaseFile,
    *,
    amount_fen: int,
    fund: str = "MERCHANT",
    replaces: tables.RefundExecution | None = None,
) -> str | None:
    """Make an execution that pays an obligation, and queue its submission behind this transaction.

    The line is locked and the amount capped by what is left on it; its `pending_fen` grows, and the database's own
    CHECK holds the cumulative cap. A retry or a platform advance pays the same obligation again, from another
    execution, only after the old one is known dead; its pending amount passes to the new one.

    Returns:
        The execution's id, or None where nothing is left to refund: then a supervisor is called.
    """
    dispute, execution_id = case.dispute, ctx.new_id()
    line = people.order_line(ctx.tx.session, dispute.order_line_id, lock=True)
    assert line is not None, "a dispute has an order line"
    left = line.refundable_fen - line.refunded_fen - line.pending_fen + (replaces.amount_fen if replaces else 0)
    due_fen = max(0, min(amount_fen, left))
    obligation_no = dispute.obligation_no + (0 if replaces else 1)
    ctx.plan.change(obligation_no=obligation_no)
    facts: dict[str, object] = {"obligation": obligation_no, "fund": fund, "amount_fen": due_fen}
    if due_fen < amount_fen:
        facts["asked_fen"] = amount_fen
    if due_fen == 0:
        ctx.record("refund.nothing_left", facts=facts)
        call_somebody(ctx, role="supervisor", kind="refund_nothing_left")
        return None
    ctx.plan.change(awarded_fen=due_fen)
    ctx.plan.insert(
        tables.RefundExecution,
        id=execution_id,
        dispute_id=dispute.id,
        order_line_id=dispute.order_line_id,
        obligation_no=obligation_no,
        fund=fund,
        amount_fen=due_fen,
        currency=dispute.currency,
        state="pending",
        gateway_key=execution_id,
        replaces=replaces.id if replaces else None,
        created_at=ctx.now,
    )
    ctx.plan.add(
        tables.OrderLine, dispute.order_line_id, pending_fen=due_fen - (replaces.amount_fen if replaces else 0)
    )
    ctx.record(
        "refund.owed", facts={"execution": execution_id} | facts | ({"replaces": replaces.id} if replaces else {})
    )
    ctx.ask_gateway("refund.submit", execution_id=execution_id)
    return execution_id
