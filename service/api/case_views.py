"""From the rows of a dispute to its shapes over HTTP, as its viewer may see them."""

from __future__ import annotations

from datetime import datetime

from service.api.case_shapes import (
    ActionView,
    AppealLine,
    ApprovalLine,
    DisputeLine,
    DisputeView,
    EvidenceLine,
    EvidenceRequestLine,
    InquiryLine,
    OfferView,
    PromiseLine,
    RefundLine,
    RefusalView,
    RestateView,
    RulingLine,
    ShipmentLine,
    StatusView,
    TicketLine,
    TimerView,
    WhyNot,
)
from service.api.outcomes import Bilingual
from service.api.shapes import Id, Money, instant_text
from service.domain.dispute import STATE_LABELS, SUB_STATUS_LABELS, stage_of
from service.domain.restating import NOTICE_EN, NOTICE_ZH
from service.domain.staff import Role
from service.domain.timers import fires
from service.flows.context import Context
from service.flows.list_cases import CaseLine
from service.flows.read_case import STAFF, ActionNow, CaseSeen
from service.store import tables


def dispute_view(ctx: Context, seen: CaseSeen) -> DisputeView:
    """Dress what the viewer may see."""
    dispute, policy = seen.dispute, seen.policy

    def money(amount_fen: int) -> Money:
        return Money(amount_fen, dispute.currency)

    return DisputeView(
        id=Id(dispute.id),
        number=dispute.number,
        revision=dispute.version,
        state=dispute.state,
        state_label=_label(STATE_LABELS[dispute.state]),
        stage=stage_of(dispute.state),
        sub_status=StatusView(seen.sub_status, _label(SUB_STATUS_LABELS[seen.sub_status])) if seen.sub_status else None,
        type=dispute.type,
        reason=dispute.reason,
        note=seen.said(dispute.claim_seq, "note"),
        order_id=dispute.order_id,
        order_line_id=dispute.order_line_id,
        buyer_id=dispute.buyer_id,
        merchant_id=dispute.merchant_id,
        claimed=money(dispute.claimed_fen),
        refundable=money(seen.refundable_fen),
        awarded=None if dispute.awarded_fen is None else money(dispute.awarded_fen),
        outcome=dispute.outcome,
        liability=dispute.liability,
        benefited=list(seen.benefited),
        opened_by=dispute.opened_by,
        assignee_id=dispute.assignee_id if ctx.actor.role in STAFF else None,
        policy=policy.ref,
        cycle=dispute.cycle,
        offers_left=max(0, policy.offers_max - dispute.offers_used),
        modifications_left=max(0, policy.modifications_max - dispute.modifications),
        return_address=seen.return_address,
        refusal=_refusal(seen),
        restate=None if ctx.actor.role is Role.BUYER else _restate(dispute.restate_since_seq),
        parent_id=_id(dispute.parent_id),
        successor_id=_id(seen.successor_id),
        created_at=instant_text(dispute.created_at),
        state_since=instant_text(dispute.state_since),
        closed_at=_at(dispute.closed_at),
        next_answer_due_at=_at(seen.next_answer_due_at),
        now=instant_text(ctx.now),
        timers=[_timer(t) for t in seen.timers],
        available_actions=[action_view(a) for a in seen.actions],
        offers=[_offer(o, money(o.amount_fen), seen.said(o.seq, "note")) for o in seen.offers],
        inquiries=[InquiryLine(Id(i.id), i.state, i.turn, _at(i.due_at), _on(i.created_at)) for i in seen.inquiries],
        service_tickets=[
            TicketLine(Id(t.id), t.cause, t.category, t.blocking, t.state, _on(t.due_at), _id(t.inquiry_id))
            for t in seen.tickets
        ],
        evidence_requests=[
            EvidenceRequestLine(Id(r.id), r.party, r.round, r.mandatory, r.state, _on(r.due_at))
            for r in seen.evidence_requests
        ],
        evidence=[_evidence(e) for e in seen.evidence],
        promises=[_promise(p, dispute.currency, for_buyer=ctx.actor.role is Role.BUYER) for p in seen.promises],
        rulings=[_ruling(r, money(r.amount_fen), seen.said(r.seq, "reasons")) for r in seen.rulings],
        appeals=[AppealLine(Id(a.id), a.party, a.cycle, a.state, _on(a.filed_at)) for a in seen.appeals],
        return_shipments=[
            ShipmentLine(Id(s.id), s.cycle, s.carrier, s.tracking_no, s.state, _on(s.shipped_at), _at(s.signed_at))
            for s in seen.shipments
        ],
        refunds=[_refund(e, money(e.amount_fen)) for e in seen.refunds],
        approvals=[
            ApprovalLine(Id(a.id), a.subject, a.state, a.proposer_id, _on(a.expires_at)) for a in seen.approvals
        ],
    )


def _offer(offer: tables.Offer, amount: Money, note: str | None) -> OfferView:
    return OfferView(Id(offer.id), offer.number, offer.kind, amount, offer.state, note, _on(offer.created_at))


def _refund(made: tables.RefundExecution, amount: Money) -> RefundLine:
    return RefundLine(
        id=Id(made.id),
        obligation_no=made.obligation_no,
        fund=made.fund,
        amount=amount,
        state=made.state,
        attempts=made.attempts,
        created_at=_on(made.created_at),
        ended_at=_at(made.ended_at),
    )


def _refusal(seen: CaseSeen) -> RefusalView | None:
    reason, seq = seen.dispute.refusal_reason, seen.dispute.refusal_seq
    return RefusalView(reason, seen.said(seq, "message"), seen.shown(seq, "proof")) if reason else None


def _restate(since_seq: int | None) -> RestateView | None:
    return None if since_seq is None else RestateView(since_seq, Bilingual(NOTICE_ZH, NOTICE_EN))


def _evidence(item: tables.EvidenceItem) -> EvidenceLine:
    return EvidenceLine(
        id=Id(item.id),
        party=item.party,
        request_id=_id(item.request_id),
        sha256=item.sha256,
        media_type=item.media_type,
        size_bytes=item.size_bytes,
        frozen=item.frozen,
        retracted=item.retracted_at is not None,
        added_at=_on(item.added_at),
    )


def _promise(promise: tables.Promise, currency: str, *, for_buyer: bool) -> PromiseLine:
    return PromiseLine(
        id=Id(promise.id),
        state=promise.state,
        wording=promise.wording,
        action=promise.action,
        amount=None if promise.amount_fen is None else Money(promise.amount_fen, currency),
        due_at=_at(promise.due_at),
        canonical=Bilingual(promise.canonical_zh, promise.canonical_en),
        canonical_sha256=promise.canonical_sha256,
        contradicts=None if for_buyer else promise.contradicts,
        contradicts_told=None if for_buyer else _id(promise.contradicts_told),
    )


def _ruling(ruling: tables.Ruling, amount: Money, reasons: str | None) -> RulingLine:
    return RulingLine(
        id=Id(ruling.id),
        number=ruling.number,
        cycle=ruling.cycle,
        kind=ruling.kind,
        amount=amount,
        liability=ruling.liability,
        basis=ruling.basis,
        reasons=reasons,
        final=ruling.final,
        issued_at=_on(ruling.issued_at),
        appeal_due_at=_on(ruling.appeal_due_at),
    )


def dispute_line(ctx: Context, line: CaseLine) -> DisputeLine:
    """A dispute as a line of a list."""
    dispute = line.dispute
    return DisputeLine(
        id=Id(dispute.id),
        number=dispute.number,
        revision=dispute.version,
        state=dispute.state,
        state_label=_label(STATE_LABELS[dispute.state]),
        stage=stage_of(dispute.state),
        type=dispute.type,
        reason=dispute.reason,
        order_line_id=dispute.order_line_id,
        buyer_id=dispute.buyer_id,
        merchant_id=dispute.merchant_id,
        assignee_id=dispute.assignee_id if ctx.actor.role in STAFF else None,
        claimed=Money(dispute.claimed_fen, dispute.currency),
        outcome=dispute.outcome,
        due_at=_at(line.due_at),
        created_at=_on(dispute.created_at),
        closed_at=_at(dispute.closed_at),
    )


def action_view(action: ActionNow) -> ActionView:
    """What the viewer could do, until when, and what is in the way."""
    why = action.why_not
    return ActionView(
        action=action.action,
        opens_at=_on(action.opens_at),
        due_at=_at(action.due_at),
        mandatory=action.mandatory,
        why_not=None if why is None else WhyNot(why.code, why.zh, why.en, dict(why.facts)),
    )


def _timer(timer: tables.Timer) -> TimerView:
    what = fires(timer.name)
    return TimerView(timer.name, _on(timer.due_at), what.trigger, what.noun, Id(timer.subject_id), what.zh)


def _label(texts: tuple[str, str]) -> Bilingual:
    return Bilingual(*texts)


def _on(at: datetime) -> str:
    return instant_text(at)


def _at(at: datetime | None) -> str | None:
    return None if at is None else instant_text(at)


def _id(given: str | None) -> Id | None:
    return None if given is None else Id(given)
