"""Evidence: a window for each party, files under their fingerprint, frozen when submitted, waived or overdue.

A file is uploaded first and becomes evidence by naming its fingerprint: so bytes are whole or not there, and what comes
after the freeze is refused. What the last mandatory request of a round leaves open moves the dispute once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from service.domain.duration import duration_text
from service.domain.errors import Absent, Conflict, Refusal, WindowClosed
from service.domain.evidence import EVIDENCE_REQUEST, EvidenceFacts, round_overdue
from service.domain.timers import evidence_timers
from service.domain.transcript import rfc3339
from service.domain.windows import in_time
from service.flows.asking_evidence import PARTIES, ask_party, put_forward, require_fit, round_of, uploaded_file
from service.flows.context import Context
from service.flows.heard import Heard, Outcome, rules_facts
from service.flows.hearing import hear_note, keep_back, let_out, require_length, says_anything
from service.flows.issuing import arm_all, call_somebody
from service.flows.moves import facts_of, move
from service.flows.permits import require_agents_case, require_intervening, require_transcript_room
from service.flows.read_case import require_may_after_sale, require_seen
from service.store import tables, timers
from service.store.disputes import CaseFile, load_case
from service.store.tables import EvidenceItem, EvidenceRequest
from service.store.timers import DueTimer

NOTE: Final = "evidence_note"  # the merchant's text field: the note, and the file's name on a line of its own
PLATFORM: Final = "platform_agent"


@dataclass(frozen=True, slots=True)
class Offered:
    """A file to put forward, uploaded before; its name and a note are optional."""

    sha256: str
    file_name: str | None = None
    note: str | None = None
    confirm_token: str | None = None


# --- the agent asks -------------------------------------------------------------------------------------------------


def open_request(ctx: Context, dispute_id: str, *, party: str, mandatory: bool) -> str:
    """Ask a party for evidence, or make an open optional request mandatory; one request a party and round.

    Returns:
        The request's id.

    Raises:
        Absent, Forbidden: not this agent's dispute.
        Conflict: `dispute_not_intervening`, `evidence_request_open`, `evidence_round_over` (only a remand opens the
            next round).
    """
    case = require_agents_case(ctx, dispute_id)
    require_intervening(case)
    policy = ctx.policy_of(case.dispute)
    number = max(1, round_of(case))
    earlier = next((r for r in case.evidence_requests if r.party == party and r.round == number), None)
    ctx.follow(case.dispute)
    if earlier is None:
        return ask_party(ctx, case, party, number=number, mandatory=mandatory, policy=policy)
    if earlier.state != "open":
        raise Conflict(
            "evidence_round_over",
            zh="该方本轮举证已结束",
            en="This party's round of evidence is over",
            request_id=earlier.id,
            state=earlier.state,
        )
    if earlier.mandatory or not mandatory:
        raise Conflict(
            "evidence_request_open", zh="已有进行中的举证请求", en="A request is open", request_id=earlier.id
        )
    ctx.plan.update(EvidenceRequest, earlier.id, mandatory=True)
    ctx.record("evidence_request.made_mandatory", facts={"request": earlier.id, "party": party})
    return earlier.id


def extend_request(ctx: Context, request_id: str, *, by: timedelta) -> None:
    """Give a party more time, once and at most 24 hours.

    Raises:
        Absent, Forbidden: not this agent's dispute.
        Conflict: `arrow_missing`, `window_closed` (edge case 17: after the end it is over).
        GuardFailed: `extensions_exhausted`, `extension_out_of_range`.
    """
    found = ctx.tx.session.get(EvidenceRequest, request_id)
    if found is None:
        raise Absent("evidence_request")
    case = require_agents_case(ctx, found.dispute_id)
    request = _fresh(case, request_id)
    facts = replace(_facts(ctx, case, request), extension=by, extensions=int(request.extended))
    EVIDENCE_REQUEST.advance(request.state, "extend", facts, side=PLATFORM)
    due_at = request.due_at + by
    ctx.follow(case.dispute)
    ctx.plan.update(EvidenceRequest, request_id, extended=True, due_at=due_at)
    arm_all(ctx, request_id, evidence_timers("open", due_at=due_at), facts.policy)
    ctx.record(
        "evidence_request.extended",
        facts={"request": request_id, "by": duration_text(by), "due_at": rfc3339(due_at)},
    )
    ctx.announce("evidence_request.extended", request_id=request_id, due_at=rfc3339(due_at))


# --- a party answers ------------------------------------------------------------------------------------------------


def add_item(ctx: Context, dispute_id: str, offered: Offered) -> str | Outcome | Refusal:
    """Put a file forward. The platform's own evidence informs, it does not decide, and needs no request (B4).

    Returns:
        The item's id; an outcome where a merchant's words were not let out: nothing was added then; or
        `window_closed` with `in_time`, recorded, where the clock was faster than a file received before it.

    Raises:
        Absent: not this actor's dispute.
        Forbidden: `not_your_dispute`, `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `evidence_not_asked`, `arrow_missing` (frozen, edge case 9), `window_closed`, `confirm_token_invalid`.
        GuardFailed: `file_unknown`, `media_type_refused`, `evidence_too_large`, `evidence_items_exhausted`,
            `evidence_duplicate`, `text_length`.
    """
    if ctx.actor.side not in PARTIES:
        return _add_for_platform(ctx, dispute_id, offered)
    case = _case_of_party(ctx, dispute_id)
    party = ctx.actor.side
    request = _latest(case, party)
    if (overtaken := _overtaken(ctx, case, request)) is not None:
        return overtaken
    upload, facts = uploaded_file(ctx, case, party, offered.sha256)
    facts = replace(facts, is_addressee=True, due_at=request.due_at)
    EVIDENCE_REQUEST.advance(request.state, "add_item", facts, side=party)
    words = "\n".join(w for w in (offered.note, offered.file_name) if w)
    heard = _heard(ctx, case, words, offered.confirm_token, upload)
    if heard is not None and not heard.is_sent:
        return _kept_back(ctx, case, request, heard)
    ctx.follow(case.dispute)
    item_id = put_forward(
        ctx,
        case,
        upload,
        party=party,
        request_id=request.id,
        frozen=False,
        file_name=offered.file_name,
        note=offered.note,
        rules=rules_facts(heard.reply) if heard else None,
    )
    if heard is not None:
        let_out(ctx, case, heard, field_name=NOTE)
    return item_id


def _add_for_platform(ctx: Context, dispute_id: str, offered: Offered) -> str:
    case = require_agents_case(ctx, dispute_id)
    require_intervening(case)
    policy = ctx.policy_of(case.dispute)
    require_transcript_room(case, policy)
    require_length(offered.note or "", least=0, most=policy.note_chars_max, field_name="note")
    upload, facts = uploaded_file(ctx, case, PLATFORM, offered.sha256)
    require_fit(facts)
    ctx.follow(case.dispute)
    return put_forward(
        ctx,
        case,
        upload,
        party=PLATFORM,
        request_id=None,
        frozen=True,
        file_name=offered.file_name,
        note=offered.note,
    )


def retract_item(ctx: Context, dispute_id: str, item_id: str) -> None:
    """Take an own item back while its window is open; the bytes stay, and so does the tombstone.

    Raises:
        Absent: not this party's dispute, or no such item that it may know of.
        Conflict: `arrow_missing` (frozen), `window_closed`.
        GuardFailed: `not_own_item`.
    """
    case = _case_of_party(ctx, dispute_id)
    party = ctx.actor.side
    item = next((i for i in case.evidence_items if i.id == item_id and i.party == party), None)
    if item is None or item.retracted_at is not None:
        raise Absent("evidence")
    if item.request_id is None:
        raise Conflict("evidence_frozen", zh="该凭证已固定", en="This evidence is frozen", item_id=item_id)
    request = _fresh(case, item.request_id)
    facts = replace(_facts(ctx, case, request), is_addressee=True, own_item=True)
    EVIDENCE_REQUEST.advance(request.state, "retract_item", facts, side=party)
    ctx.follow(case.dispute)
    ctx.plan.update(EvidenceItem, item_id, retracted_at=ctx.now)
    ctx.record("evidence.retracted", facts={"item": item_id, "request": request.id, "party": party})
    ctx.announce("evidence.retracted", item_id=item_id, party=party)


def submit(ctx: Context, request_id: str, *, note: str | None, confirm_token: str | None) -> Outcome | Refusal | None:
    """Hand in what was put forward, with a note or without; nothing can be added or taken back any more.

    Returns:
        An outcome where a merchant's note was not let out: nothing has moved then; or `window_closed` with `in_time`.

    Raises:
        Absent: not this party's request.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `arrow_missing`, `window_closed`, `confirm_token_invalid`.
        GuardFailed: `nothing_to_submit`, `text_length`.
    """
    case, request = _request_of_party(ctx, request_id)
    if (overtaken := _overtaken(ctx, case, request)) is not None:
        return overtaken
    items = _live_items(case, request)
    facts = replace(_facts(ctx, case, request), is_addressee=True, item_count=len(items), has_note=bool(note))
    EVIDENCE_REQUEST.advance(request.state, "submit", facts, side=request.party)
    heard = _heard(ctx, case, note or "", confirm_token)
    if heard is not None and not heard.is_sent:
        return _kept_back(ctx, case, request, heard)
    ctx.follow(case.dispute)
    rules = rules_facts(heard.reply) if heard else None
    _end(ctx, case, request, "submitted", private={"note": note or None}, rules=rules)
    if note:
        _keep_note(ctx, case, request)
    if heard is not None:
        let_out(ctx, case, heard, field_name=NOTE)
    _close_round(ctx, case, request, "submitted")
    return None


def waive(ctx: Context, request_id: str) -> Refusal | None:
    """Put nothing forward, on purpose.

    Returns:
        None; or `window_closed` with `in_time`, recorded.

    Raises:
        Absent: not this party's request.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `arrow_missing`, `window_closed`.
    """
    case, request = _request_of_party(ctx, request_id)
    if (overtaken := _overtaken(ctx, case, request)) is not None:
        return overtaken
    facts = replace(_facts(ctx, case, request), is_addressee=True)
    EVIDENCE_REQUEST.advance(request.state, "waive", facts, side=request.party)
    ctx.follow(case.dispute)
    _end(ctx, case, request, "waived")
    _close_round(ctx, case, request, "waived")
    return None


# --- the clock ------------------------------------------------------------------------------------------------------


def window_over(ctx: Context, timer: DueTimer) -> None:
    """E1 is over: what was put forward is frozen and counts."""
    case = load_case(ctx.tx.session, timer.dispute_id)
    assert case is not None, "a timer has a dispute"
    request = _fresh(case, timer.subject_id)
    EVIDENCE_REQUEST.advance(request.state, "evidence_window_overdue", _facts(ctx, case, request), side="system")
    ctx.follow(case.dispute)
    _end(ctx, case, request, "overdue")
    _close_round(ctx, case, request, "overdue")


DECISIONS: Final = MappingProxyType({"evidence_window": window_over})


# --- parts ----------------------------------------------------------------------------------------------------------


def _facts(ctx: Context, case: CaseFile, request: EvidenceRequest) -> EvidenceFacts:
    return EvidenceFacts(
        policy=ctx.policy_of(case.dispute), now=ctx.now, received_at=ctx.received_at, due_at=request.due_at
    )


def _fresh(case: CaseFile, request_id: str) -> EvidenceRequest:
    """The request as it stands under the dispute's lock."""
    return next(r for r in case.evidence_requests if r.id == request_id)


def _latest(case: CaseFile, party: str) -> EvidenceRequest:
    asked = [r for r in case.evidence_requests if r.party == party]
    if not asked:
        raise Conflict("evidence_not_asked", zh="尚未请您举证", en="You have not been asked for evidence")
    return asked[-1]


def _live_items(case: CaseFile, request: EvidenceRequest) -> list[EvidenceItem]:
    return [i for i in case.evidence_items if i.request_id == request.id and i.retracted_at is None]


def _case_of_party(ctx: Context, dispute_id: str) -> CaseFile:
    case = require_seen(ctx, dispute_id, lock=True)
    if ctx.actor.side == "merchant":
        require_may_after_sale(ctx)
    require_transcript_room(case, ctx.policy_of(case.dispute))
    return case


def _request_of_party(ctx: Context, request_id: str) -> tuple[CaseFile, EvidenceRequest]:
    found = ctx.tx.session.get(EvidenceRequest, request_id)
    if found is None or found.party != ctx.actor.side:
        raise Absent("evidence_request")
    case = _case_of_party(ctx, found.dispute_id)
    return case, _fresh(case, request_id)


def _heard(
    ctx: Context, case: CaseFile, text: str, token: str | None, upload: tables.Upload | None = None
) -> Heard | None:
    """A merchant's words and pictures are judged; a buyer's stand as they are (only their length is bounded)."""
    require_length(text, least=0, most=ctx.policy_of(case.dispute).note_chars_max, field_name="note")
    files = (upload.sha256,) if upload else ()
    if ctx.actor.side != "merchant" or not says_anything(ctx, case.dispute.id, text, files):
        return None
    return hear_note(ctx, case, text, field_name=NOTE, token=token, files=files)


def _kept_back(ctx: Context, case: CaseFile, request: EvidenceRequest, heard: Heard) -> Outcome:
    facts = {"request": request.id}
    return keep_back(ctx, case, heard, field_name=NOTE, window_due_at=request.due_at, facts=facts)


def _overtaken(ctx: Context, case: CaseFile, request: EvidenceRequest) -> Refusal | None:
    """The clock closed the window on something received before its end: refused, recorded, a supervisor looks."""
    if request.state != "overdue" or not in_time(ctx.received_at, request.due_at):
        return None
    due_at, received_at = rfc3339(request.due_at), rfc3339(ctx.received_at)
    ctx.follow(case.dispute)
    ctx.record(
        "dispute.overtaken_by_clock",
        facts={"timer": "evidence_window", "request": request.id, "due_at": due_at, "received_at": received_at},
    )
    call_somebody(ctx, role="supervisor", kind="evidence_window_was_in_time")
    return WindowClosed(due_at=due_at, received_at=received_at, in_time=True)


def _keep_note(ctx: Context, case: CaseFile, request: EvidenceRequest) -> None:
    """The note of a submission is evidence too; its words stand in the entry of the submission."""
    assert ctx.plan.head is not None, "a submission is recorded"
    ctx.plan.insert(
        EvidenceItem,
        id=ctx.new_id(),
        dispute_id=case.dispute.id,
        request_id=request.id,
        party=request.party,
        added_by=ctx.actor.seat_id or ctx.actor.subject,
        seq=ctx.plan.head.seq,
        frozen=True,
        added_at=ctx.now,
    )


def _end(
    ctx: Context,
    case: CaseFile,
    request: EvidenceRequest,
    state: str,
    *,
    private: Mapping[str, object] | None = None,
    rules: Mapping[str, object] | None = None,
) -> None:
    """The window closes: what was put forward is frozen."""
    items = _live_items(case, request)
    ctx.plan.update(EvidenceRequest, request.id, state=state, ended_at=ctx.now)
    for item in items:
        ctx.plan.update(EvidenceItem, item.id, frozen=True)
    timers.disarm(ctx.plan, request.id, ("evidence_window",), at=ctx.now)
    ctx.record(
        f"evidence_request.{state}",
        facts={"request": request.id, "party": request.party, "round": request.round, "items": len(items)},
        private={"items": [i.id for i in items] or None} | dict(private or {}),
        rules=rules,
    )
    ctx.announce(f"evidence_request.{state}", request_id=request.id, party=request.party)


def _close_round(ctx: Context, case: CaseFile, ended: EvidenceRequest, state: str) -> None:
    """Once the last mandatory request of the round has ended, the dispute hears who let it pass, once."""
    if not ended.mandatory or case.dispute.state != "intervening":
        return
    states: dict[str, list[str]] = {}
    for request in case.evidence_requests:
        if request.round == ended.round and request.mandatory:
            states.setdefault(request.party, []).append(state if request.id == ended.id else request.state)
    overdue = round_overdue(states)
    if overdue is None:
        return
    buyer, merchant = overdue
    facts = facts_of(
        ctx,
        case,
        open_mandatory_evidence=0,
        buyer_evidence_overdue=buyer,
        merchant_evidence_overdue=merchant,
    )
    told = {"round": ended.round, "buyer_overdue": buyer, "merchant_overdue": merchant}
    changes = {"flagged": True} if buyer and merchant else None
    move(ctx, case, "evidence_overdue", facts, side="system", changes=changes, entry_facts=told)
