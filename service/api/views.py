"""The dispute as a viewer may see it, over HTTP: one shape for every answer about a dispute, and lists of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, get_args

import msgspec
from litestar import Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

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
    StateName,
    StatusView,
    TicketLine,
    TimerView,
    WhyNot,
)
from service.api.listing import look_page
from service.api.outcomes import Bilingual, outcome_responses, shape_outcome
from service.api.paging import LIMIT_DEFAULT, LIMIT_MAX, Keyset
from service.api.perform import Shaped, look, perform
from service.api.preconditions import if_match, require_if_match
from service.api.shapes import Id, Money, Page, instant_text, read_instant
from service.api.terms import allow
from service.domain.dispute import DISPUTE, STATE_LABELS, SUB_STATUS_LABELS, stage_of
from service.domain.errors import ArrowMissing, Kind, Refusal, WindowClosed
from service.domain.restating import NOTICE_EN, NOTICE_ZH
from service.domain.staff import Role
from service.domain.timers import fires
from service.flows.context import Context
from service.flows.heard import Outcome
from service.flows.list_cases import CaseLine, list_cases
from service.flows.overtaken import overtaken_by_clock
from service.flows.read_case import STAFF, ActionNow, CaseSeen, available_actions, read_case, require_seen
from service.store import tables
from service.store.disputes import CaseFile

READERS = (
    Role.BUYER,
    Role.MERCHANT_OWNER,
    Role.MERCHANT_SEAT,
    Role.PLATFORM_AGENT,
    Role.SUPERVISOR,
    Role.AUDITOR,
)
LISTING = Keyset("uuid")
DUE_BEFORE = "A clock of theirs ends before; RFC 3339 with an offset"


# --- acting ---------------------------------------------------------------------------------------------------------


async def act(
    request: Request[Any, Any, Any],
    dispute_id: Id,
    story: Callable[[Context], object],
    *,
    status: int = 200,
    shows: Callable[[Any], str] | None = None,
    instead: Callable[[Context, Any], Shaped | None] | None = None,
) -> Response[Any]:
    """Run an action of a dispute for somebody who has seen its present revision; answer with the fresh view.

    A story that returns an `Outcome` not sent answers with the outcome body instead, and the state has not moved; a
    Refusal it returns is said after its plan is written; whatever else it returns, the fresh view is the answer. A
    refusal by the state carries the present `revision` and `available_actions`.

    Args:
        shows: from the story's answer to the id of the dispute to show, where it is another one.
        instead: another answer than the view, where the story's answer asks for it (202 for what was only proposed).

    Raises:
        Refusal: 404 not the actor's, 412 and 428 for If-Match, and whatever the story refuses.
    """
    header = if_match(request)
    if header is None:  # said before an earlier answer to the same key could be given again
        await look(
            request, lambda ctx: require_if_match(None, require_seen(ctx, str(dispute_id)).dispute.version), _never
        )

    def checked(ctx: Context) -> Any:
        case = require_seen(ctx, str(dispute_id), lock=True)
        try:
            require_if_match(header, case.dispute.version)
        except Refusal as stale:
            if stale.kind is Kind.STALE and (told := _beaten(ctx, case, story)) is not None:
                return told
            raise _with_the_state(ctx, case, stale) from None
        try:
            return story(ctx)
        except ArrowMissing as missing:
            if (told := overtaken_by_clock(ctx, case, str(missing.facts["trigger"]))) is not None:
                return told
            raise _with_the_state(ctx, case, missing) from None
        except Refusal as refusal:
            raise _with_the_state(ctx, case, refusal) from None

    def shape(ctx: Context, answer: Any) -> Shaped:
        if isinstance(answer, Outcome) and not answer.is_sent:
            return shape_outcome(answer)
        if instead is not None and (shaped := instead(ctx, answer)) is not None:
            return shaped
        return shape_case(ctx, shows(answer) if shows else str(dispute_id), status=status)

    return await perform(request, checked, shape)


def _never(ctx: Context, answer: None) -> Shaped:
    raise AssertionError("a missing If-Match is always refused")


def _beaten(ctx: Context, case: CaseFile, story: Callable[[Context], object]) -> WindowClosed | None:
    """Whoever was in time has seen a page from before the clock struck: told so, rather than `stale_revision`."""
    try:
        told = story(ctx)
    except ArrowMissing as missing:
        return overtaken_by_clock(ctx, case, str(missing.facts["trigger"]))
    except Refusal:
        return None
    return told if isinstance(told, WindowClosed) and told.facts["in_time"] else None


def _with_the_state(ctx: Context, case: CaseFile, refusal: Refusal) -> Refusal:
    """Who lost a race, or looked at an old page, is shown how things stand (edge case 4)."""
    if refusal.kind in (Kind.CONFLICT, Kind.STALE):
        refusal.facts.setdefault("revision", case.dispute.version)
        refusal.facts.setdefault("state", case.dispute.state)
        refusal.facts["available_actions"] = [
            msgspec.to_builtins(_action(each)) for each in available_actions(ctx, case)
        ]
    return refusal


def shape_case(ctx: Context, dispute_id: str, *, status: int = 200) -> Shaped:
    """The dispute as the actor sees it now, with its ETag."""
    case = require_seen(ctx, dispute_id)
    return Shaped(status, dispute_view(ctx, read_case(ctx, case)), etag=case.dispute.version)


def action_responses() -> dict[int, ResponseSpec]:
    """Beside 200: where a text was held or blocked, the outcome body (api.md section 2)."""
    return outcome_responses()


# --- from rows to shapes --------------------------------------------------------------------------------------------


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
        available_actions=[_action(a) for a in seen.actions],
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


def _line(ctx: Context, line: CaseLine) -> DisputeLine:
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


def _action(action: ActionNow) -> ActionView:
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


# --- reading --------------------------------------------------------------------------------------------------------


@get(
    "/disputes",
    opt=allow(*READERS, errors=(422,)),
    operation_id="listDisputes",
    summary="Disputes that you may see, newest first",
    tags=["disputes"],
)
async def list_disputes(
    request: Request[Any, Any, Any],
    in_state: Annotated[
        StateName | None, QueryParameter(name="state", description="Only disputes in this state")
    ] = None,
    due_before: Annotated[str | None, QueryParameter(format="date-time", description=DUE_BEFORE)] = None,
    assignee: Annotated[
        str | None, QueryParameter(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.:-]+$", description="Staff only")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    cursor: Annotated[str | None, QueryParameter(pattern=LISTING.pattern)] = None,
) -> Response[Page[DisputeLine]]:
    """By role: a buyer's own, a shop's own, what came to the platform, or all."""
    after = None if cursor is None else str(LISTING.read(cursor)[0])
    before = None if due_before is None else read_instant(due_before, name="due_before")
    return await look_page(
        request,
        "/v1/disputes",
        lambda ctx: list_cases(ctx, limit=limit, after=after, state=in_state, due_before=before, assignee=assignee),
        _line,
        keyset=LISTING,
        position=lambda row: row.dispute.id,
        limit=limit,
        asked={
            "state": in_state,
            "due_before": None if before is None else instant_text(before),
            "assignee": assignee,
        },
    )


@get(
    "/disputes/{dispute_id:uuid}",
    opt=allow(*READERS, etag=True),
    operation_id="getDispute",
    summary="One dispute as you may see it",
    tags=["disputes"],
)
async def get_dispute(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[DisputeView]:
    """Shaped by the viewer, with the actions open to them and the server's clock."""
    return await look(
        request,
        lambda ctx: require_seen(ctx, str(dispute_id)),
        lambda ctx, case: Shaped(200, dispute_view(ctx, read_case(ctx, case)), etag=case.dispute.version),
    )


assert set(get_args(StateName)) == set(DISPUTE.states), "the list filters by every state of the table"

HANDLERS = [list_disputes, get_dispute]
