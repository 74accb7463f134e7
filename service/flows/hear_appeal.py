"""The appeal: a losing party's one chance in a cycle, decided by somebody who did not write the ruling.

What is decided is carried out at once: upheld, overturned by a second ruling, or sent back once to be worked on again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from service.domain.dispute import DISPUTE
from service.domain.dispute_facts import DisputeFacts
from service.domain.errors import Absent, GuardFailed
from service.flows.asking_evidence import ask_both, put_forward, require_fit, uploaded_file
from service.flows.context import Context
from service.flows.heard import Outcome, rules_facts
from service.flows.hearing import hear_note, keep_back, let_out, require_length
from service.flows.issuing import call_somebody
from service.flows.moves import facts_of, move, window_due
from service.flows.owing import write_ruling
from service.flows.permits import require_transcript_room
from service.flows.read_case import require_may_after_sale, require_seen
from service.flows.rulings import (
    Cite,
    Decision,
    accepted_by,
    changes_of,
    cleared_reasons,
    losers_of,
    made_final,
    reasoned,
    require_not_conflicted,
    verified_cites,
)
from service.store import people, tables
from service.store.disputes import CaseFile, load_case
from service.store.timers import DueTimer

NOTE: Final = "appeal_note"  # the merchant's text field: the note, and the name of each file on a line of its own


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file brought with an appeal: uploaded before, named by its fingerprint."""

    sha256: str
    file_name: str | None = None


@dataclass(frozen=True, slots=True)
class Appealing:
    """An appeal: new evidence or a procedural error, with a note, files and exact quotations."""

    ground: str
    note: str
    files: tuple[NewFile, ...] = ()
    cites: tuple[Cite, ...] = ()
    confirm_token: str | None = None


# --- the parties ----------------------------------------------------------------------------------------------------


def appeal(ctx: Context, dispute_id: str, appealing: Appealing) -> Outcome | None:
    """A losing party appeals; a second one is merged with the first (edge case 49).

    Returns:
        An outcome where a merchant's note was not let out: nothing has moved then.

    Raises:
        Absent: not this party's dispute.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `arrow_missing`, `window_closed`, `confirm_token_invalid`.
        GuardFailed: `not_losing_party`, `already_appealed`, `appeal_waived`, `no_new_grounds`, `file_unknown`,
            `text_length`, the bounds of evidence and citations.
    """
    case = _case_of_party(ctx, dispute_id)
    party, ruling = ctx.actor.side, case.ruling
    policy = ctx.policy_of(case.dispute)
    require_transcript_room(case, policy)
    facts = _appeal_facts(ctx, case, appealing)
    DISPUTE.advance(case.dispute.state, "appeal", facts, side=party)
    assert ruling is not None, "a dispute that is ruled has a ruling"
    if party in accepted_by(ruling):
        raise GuardFailed("appeal_waived", zh="您已接受判责,不可再申诉", en="You have accepted the ruling")
    files = _files(ctx, case, appealing)
    cites = verified_cites(ctx, case, appealing.cites)
    text = "\n".join((appealing.note, *(f.file_name for f in appealing.files if f.file_name)))
    require_length(text, least=2, most=policy.note_chars_max, field_name="note")
    heard = None
    if party == "merchant":
        shown = tuple(f.sha256 for f in appealing.files)
        heard = hear_note(ctx, case, text, field_name=NOTE, token=appealing.confirm_token, files=shown)
        if not heard.is_sent:
            return keep_back(
                ctx,
                case,
                heard,
                field_name=NOTE,
                window_due_at=window_due(case),
                facts={"ground": appealing.ground},
            )
    appeal_id = ctx.new_id()
    move(
        ctx,
        case,
        "appeal",
        facts,
        entry_facts={"appeal": appeal_id, "party": party, "ground": appealing.ground, "ruling": ruling.id},
        rules=rules_facts(heard.reply) if heard else None,
        private={"note": appealing.note, "cites": [dict(cite) for cite in cites] or None},
    )
    assert ctx.plan.head is not None, "the dispute has moved"
    ctx.plan.insert(
        tables.Appeal,
        id=appeal_id,
        dispute_id=dispute_id,
        cycle=case.dispute.cycle,
        party=party,
        ground=appealing.ground,
        state="filed",
        seq=case.dispute.last_seq + 1,
        filed_at=ctx.now,
    )
    for upload, file_name in files:
        put_forward(ctx, case, upload, party=party, request_id=None, frozen=True, file_name=file_name, note=None)
    if heard is not None:
        let_out(ctx, case, heard, field_name=NOTE)
    return None


def _appeal_facts(ctx: Context, case: CaseFile, appealing: Appealing) -> DisputeFacts:
    party, ruling = ctx.actor.side, case.ruling
    known = {i.sha256 for i in case.evidence_items}
    brings_new = any(f.sha256 not in known for f in appealing.files)
    return facts_of(
        ctx,
        case,
        is_losing_party=ruling is not None and party in losers_of(case, ruling),
        appealed_in_cycle=any(a.party == party and a.cycle == case.dispute.cycle for a in case.appeals),
        new_evidence_or_error=appealing.ground == "procedural_error" or brings_new,
    )


def _files(ctx: Context, case: CaseFile, appealing: Appealing) -> list[tuple[tables.Upload, str | None]]:
    wanted = {f.sha256: f.file_name for f in appealing.files}
    found = []
    for number, (sha256, file_name) in enumerate(wanted.items()):
        upload, facts = uploaded_file(ctx, case, ctx.actor.side, sha256, already=number)
        require_fit(facts)
        found.append((upload, file_name))
    return found


def withdraw_appeal(ctx: Context, dispute_id: str) -> None:
    """The appellant takes it back; the ruling is final unless the other party's appeal stands.

    Raises:
        Absent: not this party's dispute.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `arrow_missing`.
        GuardFailed: `not_appellant`.
    """
    case = _case_of_party(ctx, dispute_id)
    party, ruling = ctx.actor.side, case.ruling
    filed = _filed(case)
    mine = next((a for a in filed if a.party == party), None)
    facts = facts_of(ctx, case, is_appellant=mine is not None, other_appeals=sum(a.party != party for a in filed))
    DISPUTE.advance(case.dispute.state, "appeal_withdrawn", facts, side=party)
    assert mine is not None, "an appellant has an appeal"
    assert ruling is not None, "a dispute under appeal has a ruling"
    ctx.plan.update(tables.Appeal, mine.id, state="withdrawn")
    final = facts.other_appeals == 0
    changes = changes_of(case, ruling.kind) if final else {}
    move(ctx, case, "appeal_withdrawn", facts, changes=changes, entry_facts={"appeal": mine.id, "party": party})
    if final:
        _final(ctx, ruling)


# --- the reviewer ---------------------------------------------------------------------------------------------------


def uphold(ctx: Context, dispute_id: str, *, reasons: str) -> None:
    """The ruling stands, and is carried out.

    Raises:
        Absent: no such dispute.
        Conflict: `arrow_missing`.
        GuardFailed: `reviewer_is_author`, `conflict_of_interest`, `text_length`.
        Refusal: `uncleared_promise`.
    """
    case, ruling, facts = _under_review(ctx, dispute_id)
    DISPUTE.advance(case.dispute.state, "appeal_uphold", facts, side=ctx.actor.side)
    said = _said(ctx, case, reasons)
    assert ruling is not None, "a dispute under appeal has a ruling"
    _decide(ctx, case, "upheld")
    move(
        ctx,
        case,
        "appeal_uphold",
        facts,
        changes=changes_of(case, ruling.kind),
        entry_facts={"ruling": ruling.id},
        private={"reasons": said},
    )
    _final(ctx, ruling)


def overturn(ctx: Context, dispute_id: str, decision: Decision) -> str:
    """Another ruling takes its place, and is carried out. Returns its id.

    Raises:
        Absent: no such dispute.
        Conflict: `arrow_missing`.
        GuardFailed: `reviewer_is_author`, `ruling_uncited`, the guards of a ruling, and those of `reasoned`.
        Refusal: `uncleared_promise`.
    """
    case, ruling, facts = _under_review(ctx, dispute_id, kind=decision.kind, amount_fen=decision.amount_fen)
    people.order_line(ctx.tx.session, case.dispute.order_line_id, lock=True)
    DISPUTE.advance(case.dispute.state, "appeal_overturn", facts, side=ctx.actor.side)
    made = reasoned(ctx, case, decision)
    if len(made.cites) < facts.policy.cites_min:
        raise GuardFailed(
            "ruling_uncited", zh="判责须引用至少一条记录", en="A ruling cites at least one entry", cites=0
        )
    _decide(ctx, case, "overturned")
    ctx.follow(case.dispute)
    ruling_id = write_ruling(
        ctx,
        case,
        kind=made.kind,
        amount_fen=made.amount_fen,
        liability=made.liability,
        basis=made.basis,
        policy=facts.policy,
        reasons=made.reasons,
        cites=[dict(cite) for cite in made.cites],
        final=True,
    )
    told = {"ruling": ruling_id, "overturned": ruling.id if ruling else None}
    changes = changes_of(case, made.kind)
    move(ctx, case, "appeal_overturn", facts, changes=changes, entry_facts=told, ruling_basis=made.basis)
    ctx.announce("ruling.final", ruling_id=ruling_id)
    return ruling_id


def remand(ctx: Context, dispute_id: str, *, reasons: str) -> None:
    """Back to work, once: evidence is open again, and T13 leaves at least PT72H.

    Raises:
        Absent: no such dispute.
        Conflict: `arrow_missing`.
        GuardFailed: `reviewer_is_author`, `remands_exhausted`, `conflict_of_interest`, `text_length`.
        Refusal: `uncleared_promise`.
    """
    case, ruling, facts = _under_review(ctx, dispute_id)
    DISPUTE.advance(case.dispute.state, "appeal_remand", facts, side=ctx.actor.side)
    said = _said(ctx, case, reasons)
    _decide(ctx, case, "remanded")
    move(
        ctx,
        case,
        "appeal_remand",
        facts,
        changes={"remands": case.dispute.remands + 1, "awarded_fen": None, "liability": None},
        entry_facts={"ruling": ruling.id} if ruling else {},
        private={"reasons": said},
    )
    ask_both(ctx, case, facts.policy)


def _under_review(
    ctx: Context, dispute_id: str, *, kind: str | None = None, amount_fen: int = 0
) -> tuple[CaseFile, tables.Ruling | None, DisputeFacts]:
    """The case under appeal, and the facts of a reviewer: neither who wrote the ruling nor who approved it."""
    case = load_case(ctx.tx.session, dispute_id)
    if case is None:
        raise Absent("dispute")
    ruling = case.ruling
    wrote = ruling is not None and ctx.actor.subject in (ruling.author_id, ruling.approver_id)
    facts = facts_of(ctx, case, reviewer_is_author=wrote, amount_fen=amount_fen)
    return case, ruling, facts if kind is None else replace(facts, ruling_kind=kind)


def _said(ctx: Context, case: CaseFile, reasons: str) -> str:
    require_not_conflicted(ctx, case)
    return cleared_reasons(reasons, ctx.policy_of(case.dispute))


def _decide(ctx: Context, case: CaseFile, state: str) -> None:
    for filed in _filed(case):
        ctx.plan.update(tables.Appeal, filed.id, state=state)


def _filed(case: CaseFile) -> list[tables.Appeal]:
    return [a for a in case.appeals if a.state == "filed"]


def _final(ctx: Context, ruling: tables.Ruling) -> None:
    made_final(ctx, ruling)
    ctx.announce("ruling.final", ruling_id=ruling.id)


# --- the clocks -----------------------------------------------------------------------------------------------------


def appeal_window_over(ctx: Context, timer: DueTimer) -> None:
    """T8 is over: nobody appealed, the ruling is carried out (arrow 50)."""
    _stands(ctx, timer, "appeal_window_closed")


def review_over(ctx: Context, timer: DueTimer) -> None:
    """T9 is over: the original ruling stands, and a supervisor hears of it (arrow 55)."""
    case = _stands(ctx, timer, "appeal_review_timeout")
    _decide(ctx, case, "timed_out")
    call_somebody(ctx, role="supervisor", kind="appeal_not_reviewed")


def review_late(ctx: Context, timer: DueTimer) -> None:
    """The review takes long: an alarm, nothing moves."""
    case = _case_of(timer, ctx)
    ctx.follow(case.dispute)
    ctx.record("dispute.alarm", facts={"alarm": timer.name})
    call_somebody(ctx, role="supervisor", kind="appeal_review_late")


def _stands(ctx: Context, timer: DueTimer, trigger: str) -> CaseFile:
    case = _case_of(timer, ctx)
    ruling = case.ruling
    assert ruling is not None, "a dispute that is ruled has a ruling"
    told: Mapping[str, object] = {"ruling": ruling.id}
    facts = facts_of(ctx, case)
    move(ctx, case, trigger, facts, side="system", changes=changes_of(case, ruling.kind), entry_facts=told)
    _final(ctx, ruling)
    return case


DECISIONS: Final = MappingProxyType(
    {"appeal_window": appeal_window_over, "appeal_review": review_over, "appeal_alarm": review_late}
)


def _case_of(timer: DueTimer, ctx: Context) -> CaseFile:
    case = load_case(ctx.tx.session, timer.dispute_id)
    assert case is not None, "a timer has a dispute"
    return case


def _case_of_party(ctx: Context, dispute_id: str) -> CaseFile:
    case = require_seen(ctx, dispute_id, lock=True)
    if ctx.actor.side == "merchant":
        require_may_after_sale(ctx)
    return case
