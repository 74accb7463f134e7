"""A second person decides what was proposed: lets exactly that happen, rejects it, or the proposer takes it back.

The subject's arrow fires in the approver's own transaction, with its guards asked again; where they refuse by now, the
proposal goes stale and the refusal is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from service.domain.approval import APPROVAL, ApprovalFacts
from service.domain.errors import Absent, GuardFailed, Refusal
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.hearing import require_length
from service.flows.paying import Answer
from service.flows.proposals import APPROVAL_WANTED, Approved, Fire, payload_of
from service.store import people, tables, timers
from service.store.approvals import approvals_after
from service.store.disputes import CaseFile, load_case
from service.store.tables import Approval
from service.store.timers import DueTimer
from service.store.writes import Plan


def approve(
    ctx: Context,
    approval_id: str,
    *,
    payload_sha256: str,
    fire: Mapping[str, Fire],
    answer: Answer | None = None,
) -> Refusal | None:
    """Let happen exactly what was proposed.

    Args:
        payload_sha256: of what the approver has read.
        fire: subject → what pulls its arrow.
        answer: the gateway's word about the refund in question, asked just before; None where nobody was asked.

    Returns:
        None when it has happened; the refusal of the subject's own guards, recorded, the proposal being stale then.

    Raises:
        Absent: no such approval.
        Conflict: `arrow_missing` (decided already), `window_closed`.
        GuardFailed: `same_person`, `payload_changed`, `conflict_of_interest`.
    """
    case, approval = _approval(ctx, approval_id)
    facts = _facts(ctx, case, approval, sha256_named=payload_sha256)
    APPROVAL.advance(approval.state, "approve", facts, side=ctx.actor.side)
    _require_not_conflicted(ctx, case)
    payload = payload_of(ctx, approval)
    ctx.follow(case.dispute)
    try:
        fire[approval.subject](ctx, case, Approved(approval_id, payload, approval.proposer_id, answer))
    except Refusal as refusal:
        return _stale(ctx, case, approval, refusal)
    _ended(ctx, approval, "approved", approver_id=ctx.actor.subject)
    ctx.record(
        "approval.approved",
        facts={"approval": approval_id, "subject": approval.subject, "sha256": approval.payload_sha256},
    )
    return None


def reject(ctx: Context, approval_id: str, *, reason: str) -> None:
    """Say no, with a reason for the proposer.

    Raises:
        Absent: no such approval.
        Conflict: `arrow_missing`, `window_closed`.
        GuardFailed: `same_person`, `text_length`.
    """
    case, approval = _approval(ctx, approval_id)
    policy = ctx.policy_of(case.dispute)
    APPROVAL.advance(approval.state, "reject", _facts(ctx, case, approval), side=ctx.actor.side)
    require_length(reason, least=2, most=policy.reason_chars_max, field_name="reason")
    ctx.follow(case.dispute)
    _ended(ctx, approval, "rejected", approver_id=ctx.actor.subject)
    ctx.record(
        "approval.rejected",
        facts={"approval": approval_id, "subject": approval.subject},
        private={"reason": reason},
    )


def withdraw(ctx: Context, approval_id: str) -> None:
    """The proposer takes it back.

    Raises:
        Absent: no such approval, or somebody else's to an agent.
        Conflict: `arrow_missing`.
        GuardFailed: `not_proposer`.
    """
    case, approval = _approval(ctx, approval_id)
    APPROVAL.advance(approval.state, "withdraw", _facts(ctx, case, approval), side=ctx.actor.side)
    ctx.follow(case.dispute)
    _ended(ctx, approval, "withdrawn")
    ctx.record("approval.withdrawn", facts={"approval": approval_id, "subject": approval.subject})


def expire(ctx: Context, timer: DueTimer) -> None:
    """A day has passed and nobody has decided."""
    case, approval = _found(ctx, timer.subject_id)
    APPROVAL.advance(approval.state, "approval_expiry", _facts(ctx, case, approval), side="system")
    ctx.follow(case.dispute)
    _ended(ctx, approval, "stale")
    ctx.record("approval.stale", facts={"approval": approval.id, "subject": approval.subject, "cause": "expired"})


DECISIONS: Final = MappingProxyType({"approval_expiry": expire})


# --- reading --------------------------------------------------------------------------------------------------------


def read_approval(ctx: Context, approval_id: str) -> tuple[Approval, Mapping[str, object]]:
    """A proposal with its exact payload, for whoever may decide it, made it, or audits.

    Raises:
        Absent: no such approval, or somebody else's to an agent.
    """
    approval = ctx.tx.session.get(Approval, approval_id, populate_existing=True)
    if approval is None or not _may_see(ctx, approval):
        raise Absent("approval")
    return approval, payload_of(ctx, approval)


def list_approvals(ctx: Context, *, state: str | None, after: str | None, limit: int) -> Sequence[Approval]:
    """Proposals, newest first, one more than `limit` where there are more; an agent sees the own ones."""
    proposer = ctx.actor.subject if ctx.actor.role is Role.PLATFORM_AGENT else None
    return approvals_after(ctx.tx.session, state=state, proposer_id=proposer, after=after, limit=limit + 1)


# --- parts ----------------------------------------------------------------------------------------------------------


def _may_see(ctx: Context, approval: Approval) -> bool:
    return ctx.actor.role is not Role.PLATFORM_AGENT or approval.proposer_id == ctx.actor.subject


def _approval(ctx: Context, approval_id: str) -> tuple[CaseFile, Approval]:
    case, approval = _found(ctx, approval_id)
    if not _may_see(ctx, approval):
        raise Absent("approval")
    return case, approval


def _found(ctx: Context, approval_id: str) -> tuple[CaseFile, Approval]:
    seen = ctx.tx.session.get(Approval, approval_id)
    case = None if seen is None else load_case(ctx.tx.session, seen.dispute_id)
    if case is None:
        raise Absent("approval")
    return case, next(a for a in case.approvals if a.id == approval_id)  # as it stands under the dispute's lock


def _facts(ctx: Context, case: CaseFile, approval: Approval, *, sha256_named: str = "") -> ApprovalFacts:
    return ApprovalFacts(
        policy=ctx.policy_of(case.dispute),
        now=ctx.now,
        received_at=ctx.received_at,
        due_at=approval.expires_at,
        proposer=approval.proposer_id,
        decider=ctx.actor.subject,
        payload_sha256=approval.payload_sha256,
        sha256_named=sha256_named,
    )


def _require_not_conflicted(ctx: Context, case: CaseFile) -> None:
    if people.shops_as(ctx.tx.session, ctx.actor.subject, case.dispute.buyer_id):
        raise GuardFailed("conflict_of_interest", zh="与案件有利害关系", en="A conflict of interest")


def _ended(ctx: Context, approval: Approval, state: str, *, approver_id: str | None = None) -> None:
    ctx.plan.update(Approval, approval.id, state=state, ended_at=ctx.now, approver_id=approver_id)
    timers.disarm(ctx.plan, approval.id, ("approval_expiry",), at=ctx.now)
    ctx.plan.update(tables.Task, f"{approval.dispute_id}:{APPROVAL_WANTED}", done_at=ctx.now)


def _stale(ctx: Context, case: CaseFile, approval: Approval, refusal: Refusal) -> Refusal:
    """What was proposed may not happen any more; whatever it had begun to plan is dropped."""
    ctx.plan = Plan()
    ctx.follow(case.dispute)
    _ended(ctx, approval, "stale")
    ctx.record(
        "approval.stale",
        facts={"approval": approval.id, "subject": approval.subject, "cause": "refused", "code": refusal.code},
    )
    return refusal
