"""Reading a dispute: who may, what each viewer may know of it, and what they may do next.

`require_seen` is the door of every story about one dispute: somebody else's is absent, never forbidden. `read_case`
gives the viewer's part of it; the edge only dresses it (`api/views.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service.domain import dispute as disputes
from service.domain.dispute import DISPUTE
from service.domain.dispute_actions import Action, actions_from, at_its_best, falls_under_window, is_mandatory
from service.domain.dispute_facts import DisputeFacts
from service.domain.errors import Absent, ArrowMissing, Conflict, Forbidden, Refusal
from service.domain.outcome import benefited, losing_parties
from service.domain.policy import Policy
from service.domain.staff import Role
from service.domain.timers import fires
from service.domain.windows import require_in_time
from service.flows.context import Context
from service.flows.moves import facts_of, window_due
from service.flows.owing import refundable_fen
from service.store import people, tables
from service.store.case_lists import reopened_by_buyer, successor_of
from service.store.disputes import CaseFile, active_dispute_on_line, load_case
from service.store.words import words_of

STAFF: Final = frozenset({Role.PLATFORM_AGENT, Role.SUPERVISOR, Role.AUDITOR})
TOLD: Final = frozenset({"relayed", "fulfilled", "breached"})  # promises that the buyer has been told of
REOPEN: Final = "reopen"


# --- who may see it -------------------------------------------------------------------------------------------------


def require_seen(ctx: Context, dispute_id: str, *, lock: bool = False) -> CaseFile:
    """The dispute, for somebody who may know of it; `lock` it to act on it.

    Raises:
        Absent: no such dispute, or not this actor's to know of.
    """
    case = load_case(ctx.tx.session, dispute_id, lock=lock)
    if case is None or not may_see(ctx, case.dispute):
        raise Absent("dispute")
    return case


def may_see(ctx: Context, dispute: tables.Dispute) -> bool:
    """Buyers see their own, shops their own, agents what came to the platform, supervisors and auditors all."""
    actor = ctx.actor
    match actor.role:
        case Role.BUYER:
            return dispute.buyer_id == actor.subject
        case Role.MERCHANT_OWNER | Role.MERCHANT_SEAT:
            return actor.merchant_id is not None and dispute.merchant_id == actor.merchant_id
        case Role.PLATFORM_AGENT:
            return dispute.intervened_at is not None
        case Role.SUPERVISOR | Role.AUDITOR | Role.SYSTEM:
            return True
    return False


def party_of(ctx: Context) -> str | None:
    """`buyer` or `merchant` for a party of the dispute, None for everybody else."""
    return ctx.actor.side if ctx.actor.side in ("buyer", "merchant") else None


def sees_evidence(ctx: Context, case: CaseFile, item: tables.EvidenceItem) -> bool:
    """The own items always; the other side's once they are frozen and the own request has ended (no copying)."""
    party = party_of(ctx)
    if party is None or item.party == party:
        return True
    own_is_open = any(r.party == party and r.state == "open" for r in case.evidence_requests)
    return item.frozen and item.retracted_at is None and not own_is_open


# --- who may act ----------------------------------------------------------------------------------------------------


def require_may_after_sale(ctx: Context) -> tables.Seat:
    """The acting seat, if it may agree, refuse and offer: the owner, or a seat with that permission.

    Raises:
        Absent: no such seat in this shop.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
    """
    seat = require_seat(ctx)
    if not (seat.is_owner or seat.may_after_sale):
        raise Forbidden(
            "after_sale_permission_missing", zh="该客服没有售后处理权限", en="This seat may not decide refunds"
        )
    return seat


def require_seat(ctx: Context) -> tables.Seat:
    """The acting seat of a merchant, switched on.

    Raises:
        Absent: no such seat in this shop.
        Forbidden: `seat_inactive`.
    """
    seat = people.seat(ctx.tx.session, ctx.actor.seat_id or "")
    if seat is None or seat.merchant_id != ctx.actor.merchant_id:
        raise Absent("seat")
    if not seat.active:
        raise Forbidden("seat_inactive", zh="该客服账号已停用", en="This seat is switched off")
    return seat


# --- what may be done -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ActionNow:
    """One thing that the viewer's side could do in this state; `why_not` says what is in the way."""

    action: str
    opens_at: datetime
    due_at: datetime | None
    mandatory: bool
    why_not: Refusal | None


def available_actions(ctx: Context, case: CaseFile) -> list[ActionNow]:
    """What the state offers to the viewer's side, asked of the table with the facts that hold now."""
    dispute, side = case.dispute, ctx.actor.side
    if dispute.state == "closed":
        return _reopening(ctx, case)
    offered = actions_from(dispute.state, side)
    if not offered:
        return []
    due_at, facts, barred = window_due(case), party_facts(ctx, case), _barred(ctx, case)
    return [
        ActionNow(
            action=action.name,
            opens_at=dispute.state_since,
            due_at=due_at if falls_under_window(dispute.state, action.trigger, side) else None,
            mandatory=is_mandatory(dispute.state, action.trigger),
            why_not=barred.get(action.trigger, barred.get("*")) or _why_not(dispute.state, action, facts, side),
        )
        for action in offered
    ]


def party_facts(ctx: Context, case: CaseFile) -> DisputeFacts:
    """The facts that rows tell, with those that depend on who acts: loser, appellant, reviewer, promise told."""
    party, ruling, cycle = party_of(ctx), case.ruling, case.dispute.cycle
    losers = (
        losing_parties(awarded_fen=ruling.amount_fen, claimed_fen=case.dispute.claimed_fen, liability=ruling.liability)
        if ruling
        else ()
    )
    accepted = set(ruling.accepted_by.split(",")) if ruling else set()
    appeals = [a for a in case.appeals if a.cycle == cycle]
    mine = [a for a in appeals if a.party == party]
    promise = promised_refund(case)
    return facts_of(
        ctx,
        case,
        is_losing_party=party in losers,
        losing_parties_pending=len(set(losers) - accepted - {party}),
        appealed_in_cycle=bool(mine),
        is_appellant=any(a.state == "filed" for a in mine),
        other_appeals=sum(a.state == "filed" and a.party != party for a in appeals),
        reviewer_is_author=ruling is not None and ruling.author_id == ctx.actor.subject,
        conflicted=ctx.actor.subject == case.dispute.buyer_id,
        **(
            {"promise_relayed": True, "promise_action": promise.action, "amount_fen": promise.amount_fen or 0}
            if promise is not None and case.dispute.state == "intervening"
            else {}
        ),
    )


def promised_refund(case: CaseFile, promise_id: str | None = None) -> tables.Promise | None:
    """A promise of money that the buyer has been told of: the one named, or the last."""
    told = [
        p
        for p in case.promises
        if p.state == "relayed"
        and p.action in ("refund", "partial_refund")
        and p.amount_fen
        and promise_id in (None, p.id)
    ]
    return told[-1] if told else None


def _why_not(state: str, action: Action, facts: DisputeFacts, side: str) -> Refusal | None:
    if facts.due_at is None and falls_under_window(state, action.trigger, side):
        return None  # its clock has run and the state stayed: nothing limits the action any more
    return DISPUTE.why_not(state, action.trigger, at_its_best(action.trigger, facts), side=side)


def _barred(ctx: Context, case: CaseFile) -> Mapping[str, Refusal]:
    """What the person, not the state, is in the way of; `*` is everything."""
    if ctx.actor.side == "merchant":
        try:
            require_may_after_sale(ctx)
        except Refusal as refusal:
            return {"*": refusal}
    if ctx.actor.role is Role.MERCHANT_SEAT:  # api.md section 3: an appeal is the owner's
        owners = Forbidden("role_not_allowed", zh="仅店主可以申诉", en="Only the owner may appeal")
        return {"appeal": owners, "withdraw_appeal": owners}
    if ctx.actor.role is Role.PLATFORM_AGENT and case.dispute.assignee_id != ctx.actor.subject:
        not_yours = Forbidden("not_your_dispute", zh="该纠纷不由您处理", en="This dispute is another agent's")
        return {"issue_ruling": not_yours, "transfer": not_yours}
    return {}


def _reopening(ctx: Context, case: CaseFile) -> list[ActionNow]:
    closed_at = case.dispute.closed_at
    if ctx.actor.role not in (Role.BUYER, Role.SUPERVISOR) or closed_at is None:
        return []
    due_at = closed_at + ctx.policy_of(case.dispute).reopen_within if ctx.actor.role is Role.BUYER else None
    why_not: Refusal | None = None
    try:
        require_reopenable(ctx, case)
    except Refusal as refusal:
        why_not = refusal
    return [ActionNow(REOPEN, closed_at, due_at, mandatory=False, why_not=why_not)]


def require_reopenable(ctx: Context, case: CaseFile) -> None:
    """Refuse a successor that may not be: too late, a second one, or one beside another active dispute of the line.

    Raises:
        ArrowMissing: the dispute has not been closed.
        Conflict: `window_closed` (a buyer after P15D), `already_reopened`, `reopens_exhausted`, `duplicate_active`.
    """
    dispute, policy = case.dispute, ctx.policy_of(case.dispute)
    if dispute.state != "closed" or dispute.closed_at is None:
        raise ArrowMissing(lifecycle="dispute", state=dispute.state, trigger=REOPEN, allowed=[])
    successor = successor_of(ctx.tx.session, dispute.id)
    if successor is not None:
        raise Conflict(
            "already_reopened", zh="该纠纷已重新发起", en="This dispute has a successor", dispute_id=successor.id
        )
    if ctx.actor.role is Role.BUYER:
        require_in_time(ctx.received_at, dispute.closed_at + policy.reopen_within)
        if reopened_by_buyer(ctx.tx.session, dispute) >= policy.buyer_reopens_max:
            raise Conflict("reopens_exhausted", zh="重新发起次数已用完", en="You have reopened this matter before")
    require_no_active(ctx, dispute.order_line_id)


def require_no_active(ctx: Context, order_line_id: str) -> None:
    """Refuse a second active dispute about one order line.

    Raises:
        Conflict: `duplicate_active` with the id of the active one.
    """
    active = active_dispute_on_line(ctx.tx.session, order_line_id)
    if active is not None:
        raise Conflict(
            "duplicate_active",
            zh="该订单行已有进行中的纠纷",
            en="A dispute of this order line is active",
            dispute_id=active.id,
            number=active.number,
            state=active.state,
        )


# --- what is seen ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CaseSeen:
    """A dispute as one viewer sees it; rows are those the viewer may know of, `words` what they say, by seq."""

    dispute: tables.Dispute
    sub_status: str | None
    benefited: tuple[str, ...]
    refundable_fen: int
    policy: Policy
    successor_id: str | None
    next_answer_due_at: datetime | None
    return_address: str | None
    actions: Sequence[ActionNow]
    timers: Sequence[tables.Timer]
    offers: Sequence[tables.Offer]
    inquiries: Sequence[tables.Inquiry]
    tickets: Sequence[tables.Ticket]
    evidence_requests: Sequence[tables.EvidenceRequest]
    evidence: Sequence[tables.EvidenceItem]
    promises: Sequence[tables.Promise]
    rulings: Sequence[tables.Ruling]
    appeals: Sequence[tables.Appeal]
    shipments: Sequence[tables.ReturnShipment]
    refunds: Sequence[tables.RefundExecution]
    approvals: Sequence[tables.Approval]
    words: Mapping[int, Mapping[str, object]]

    def said(self, seq: int | None, name: str) -> str | None:
        """A text that an entry disclosed under this name."""
        found = self.words.get(seq or 0, {}).get(name)
        return found if isinstance(found, str) else None

    def shown(self, seq: int | None, name: str) -> list[str]:
        """The fingerprints that an entry disclosed under this name."""
        found = self.words.get(seq or 0, {}).get(name)
        return [str(each) for each in found] if isinstance(found, list) else []


def read_case(ctx: Context, case: CaseFile) -> CaseSeen:
    """Everything of the dispute that the actor may see, as it stands in this transaction."""
    dispute, role = case.dispute, ctx.actor.role
    successor = successor_of(ctx.tx.session, dispute.id) if dispute.state == "closed" else None
    behind_the_desk = role is not Role.BUYER  # what passes between the platform and the merchant is not the buyer's
    offers, rulings = case.offers, case.rulings
    evidence = [item for item in case.evidence_items if sees_evidence(ctx, case, item)]
    spoken = [dispute.claim_seq, *(o.seq for o in offers), *(r.seq for r in rulings)]
    spoken += [dispute.refusal_seq] if dispute.refusal_seq else []
    return CaseSeen(
        dispute=dispute,
        sub_status=_sub_status(case) if dispute.state == "intervening" else None,
        benefited=_benefited(dispute),
        refundable_fen=refundable_fen(case),
        policy=ctx.policy_of(dispute),
        successor_id=successor.id if successor else None,
        next_answer_due_at=next_answer_due(case),
        return_address=dispute.return_address if dispute.return_origin or behind_the_desk else None,
        actions=available_actions(ctx, case),
        timers=[t for t in case.timers if _sees_timer(ctx, case, t)],
        offers=offers,
        inquiries=case.inquiries if behind_the_desk else (),
        tickets=case.tickets if behind_the_desk else (),
        evidence_requests=case.evidence_requests,
        evidence=evidence,
        promises=[p for p in case.promises if behind_the_desk or p.state in TOLD],
        rulings=rulings,
        appeals=case.appeals,
        shipments=case.shipments,
        refunds=case.executions,
        approvals=case.approvals if role in STAFF else (),
        words=words_of(ctx.tx.session, dispute.id, spoken),
    )


def next_answer_due(case: CaseFile) -> datetime | None:
    """When the buyer hears from the shop next (D17): its time to answer the request, or an answer it has promised."""
    due = [p.due_at for p in case.promises if p.state == "relayed" and p.action == "reply_later" and p.due_at]
    if case.dispute.state == "requested" and (window := window_due(case)) is not None:
        due.append(window)
    return min(due, default=None)


def _sub_status(case: CaseFile) -> str:
    return disputes.sub_status(
        ticket_overdue=any(t.state == "overdue" for t in case.tickets),
        ticket_open=any(t.state in ("issued", "acknowledged") for t in case.tickets),
        armed_inquiry=any(i.state in ("routing", "awaiting_merchant") for i in case.inquiries),
        open_evidence=any(r.state == "open" for r in case.evidence_requests),
    )


def _benefited(dispute: tables.Dispute) -> tuple[str, ...]:
    if dispute.outcome is None:
        return ()
    return benefited(dispute.outcome, paid_fen=dispute.awarded_fen or 0, claimed_fen=dispute.claimed_fen)


def _sees_timer(ctx: Context, case: CaseFile, timer: tables.Timer) -> bool:
    """Staff see every clock; a party sees the deadlines of the dispute and of what it may see below it."""
    party = party_of(ctx)
    if party is None:
        return True
    if fires(timer.name).trigger is None:
        return False
    if timer.subject_id == case.dispute.id:
        return True
    own = {r.id for r in case.evidence_requests if r.party == party}
    if party == "merchant":
        own |= {i.id for i in case.inquiries} | {t.id for t in case.tickets} | {p.id for p in case.promises}
    else:
        own |= {p.id for p in case.promises if p.state in TOLD}
    return timer.subject_id in own
