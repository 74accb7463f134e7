"""What needs a second person: proposed exactly as it shall happen, decided by somebody else (lifecycle.md, approval).

The exact payload, words included, stands in the disclosure of the proposal's entry; its SHA-256 is what the approver
names, so that what was read is what happens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service.domain.approval import approval_due
from service.domain.errors import Conflict
from service.domain.timers import approval_timers
from service.domain.transcript import canonical, rfc3339
from service.flows.context import Context
from service.flows.issuing import arm_all, call_somebody
from service.flows.paying import Answer
from service.store import tables
from service.store.disputes import CaseFile
from service.store.words import words_of

APPROVAL_WANTED: Final = "approval_wanted"  # the supervisors' task


@dataclass(frozen=True, slots=True)
class Proposed:
    """A second person has been asked; the dispute has not moved."""

    approval_id: str
    subject: str
    payload_sha256: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Approved:
    """What a second person has let happen, as it was proposed; `answer` is the gateway's word just before, if asked."""

    approval_id: str
    payload: Mapping[str, object]
    proposer_id: str
    answer: Answer | None = None


Fire = Callable[[Context, CaseFile, Approved], None]  # pulls the subject's arrow, its guards checked again


def propose(
    ctx: Context, case: CaseFile, *, subject: str, payload: Mapping[str, object], shown: Mapping[str, object]
) -> Proposed:
    """Ask for a second person. The guards of the subject's arrow have been asked already, that one left out.

    Args:
        payload: everything that shall happen, words included.
        shown: its ids, kinds and amounts, for lists and columns.

    Raises:
        Conflict: `approval_pending` with its id: one proposal at a time.
    """
    pending = next((a for a in case.approvals if a.state == "proposed"), None)
    if pending is not None:
        raise Conflict(
            "approval_pending", zh="已有待复核的提议", en="A proposal is waiting already", approval_id=pending.id
        )
    policy, approval_id = ctx.policy_of(case.dispute), ctx.new_id()
    due_at, sha256 = approval_due(ctx.now, policy), payload_sha256(payload)
    ctx.follow(case.dispute)
    made = ctx.record(
        "approval.proposed",
        facts={"approval": approval_id, "subject": subject, "sha256": sha256, "due_at": rfc3339(due_at)} | dict(shown),
        private={"payload": dict(payload)},
    )
    ctx.plan.insert(
        tables.Approval,
        id=approval_id,
        dispute_id=case.dispute.id,
        subject=subject,
        seq=made.seq,
        payload=dict(shown),
        payload_sha256=sha256,
        proposer_id=ctx.actor.subject,
        state="proposed",
        created_at=ctx.now,
        expires_at=due_at,
    )
    arm_all(ctx, approval_id, approval_timers("proposed", due_at=due_at), policy)
    call_somebody(ctx, role="supervisor", kind=APPROVAL_WANTED, due_at=due_at)
    return Proposed(approval_id, subject, sha256, due_at)


def payload_of(ctx: Context, approval: tables.Approval) -> Mapping[str, object]:
    """The exact payload that was proposed."""
    payload = words_of(ctx.tx.session, approval.dispute_id, [approval.seq])[approval.seq]["payload"]
    assert isinstance(payload, dict), "a proposal holds its payload"
    assert payload_sha256(payload) == approval.payload_sha256, "a payload is what its fingerprint says"
    return payload


def payload_sha256(payload: Mapping[str, object]) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical(payload)).hexdigest()
