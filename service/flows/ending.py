"""What ends when a dispute moves on: open children, pending decisions, offers, promises that nobody stands by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from service.domain.evidence import EVIDENCE_REQUEST
from service.domain.inquiry import INQUIRY
from service.domain.policy import Policy
from service.domain.promise import PROMISE, PromiseFacts
from service.domain.ticket import TICKET
from service.flows.context import Context
from service.flows.issuing import release_seat
from service.store import tables, timers
from service.store.disputes import CaseFile


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


def end_offer(ctx: Context, case: CaseFile, trigger: str) -> None:
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


def decline_promise(ctx: Context, promise: tables.Promise, **facts: object) -> None:
    """The shop does not stand by what was read in its words: by saying so, or by taking the message back.

    Args:
        facts: more for the entry: ids.

    Raises:
        Conflict: `arrow_missing`: a confirmed promise is not taken back.
    """
    PROMISE.advance(promise.state, "merchant_decline", PromiseFacts(now=ctx.now), side="merchant")
    ctx.plan.update(tables.Promise, promise.id, state="declined", ended_at=ctx.now)
    timers.disarm(ctx.plan, promise.id, ("promise_lapse",), at=ctx.now)
    ctx.record("promise.declined", facts={"promise": promise.id, **facts})
    ctx.announce("promise.declined", promise_id=promise.id)
