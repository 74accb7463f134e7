"""Asking a party for evidence, and taking a file it has uploaded into the case: the same wherever it happens."""

from __future__ import annotations

from collections.abc import Mapping

from service.domain.errors import GuardFailed
from service.domain.evidence import (
    EvidenceFacts,
    evidence_due,
    require_items_left,
    require_media_type,
    require_new_bytes,
    require_not_empty,
    require_size,
)
from service.domain.policy import Policy
from service.domain.timers import evidence_timers
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.issuing import arm_all
from service.store import tables
from service.store.disputes import CaseFile
from service.store.uploads import upload_of

PARTIES = ("buyer", "merchant")


def round_of(case: CaseFile) -> int:
    """The round of evidence under way; a remand and a second cycle open the next one."""
    return max((r.round for r in case.evidence_requests), default=0)


def ask_party(ctx: Context, case: CaseFile, party: str, *, number: int, mandatory: bool, policy: Policy) -> str:
    """Open a party's window for evidence; returns the request's id."""
    request_id, due_at = ctx.new_id(), evidence_due(ctx.now, policy)
    ctx.plan.insert(
        tables.EvidenceRequest,
        id=request_id,
        dispute_id=case.dispute.id,
        party=party,
        round=number,
        mandatory=mandatory,
        state="open",
        due_at=due_at,
        created_at=ctx.now,
    )
    arm_all(ctx, request_id, evidence_timers("open", due_at=due_at), policy)
    ctx.record(
        "evidence_request.opened",
        facts={
            "request": request_id,
            "party": party,
            "round": number,
            "mandatory": mandatory,
            "due_at": rfc3339(due_at),
        },
    )
    ctx.announce("evidence_request.opened", request_id=request_id, party=party, due_at=rfc3339(due_at))
    return request_id


def ask_both(ctx: Context, case: CaseFile, policy: Policy) -> None:
    """Open the next round for both parties (E0: optional unless the policy says otherwise)."""
    number = round_of(case) + 1
    for party in PARTIES:
        ask_party(ctx, case, party, number=number, mandatory=policy.evidence_auto_mandatory, policy=policy)


def uploaded_file(
    ctx: Context, case: CaseFile, party: str, sha256: str, *, already: int = 0
) -> tuple[tables.Upload, EvidenceFacts]:
    """A file that this side uploaded to this dispute, with the facts that its becoming evidence depends on.

    Args:
        already: items that the same story has added before this one.

    Raises:
        GuardFailed: `file_unknown`: this side has uploaded no such file here.
    """
    upload = upload_of(ctx.tx.session, case.dispute.id, party=party, sha256=sha256)
    if upload is None:
        raise GuardFailed("file_unknown", zh="请先上传该文件", en="Upload the file first", sha256=sha256)
    own = [i for i in case.evidence_items if i.party == party and i.retracted_at is None]
    return upload, EvidenceFacts(
        policy=ctx.policy_of(case.dispute),
        now=ctx.now,
        received_at=ctx.received_at,
        media_type=upload.media_type,
        size_bytes=upload.size_bytes,
        items_in_case=len(case.evidence_items) + already,
        sha256_known=any(i.sha256 == sha256 for i in own),
    )


def require_fit(facts: EvidenceFacts) -> None:
    """The bounds of every piece of evidence, where no request of a party holds them.

    Raises:
        GuardFailed: `media_type_refused`, `evidence_empty`, `evidence_too_large`, `evidence_items_exhausted`,
            `evidence_duplicate`.
    """
    for refuse_unless in (require_media_type, require_not_empty, require_size, require_items_left, require_new_bytes):
        refuse_unless(facts)


def put_forward(
    ctx: Context,
    case: CaseFile,
    upload: tables.Upload,
    *,
    party: str,
    request_id: str | None,
    frozen: bool,
    file_name: str | None,
    note: str | None,
    rules: Mapping[str, object] | None = None,
) -> str:
    """Take a file into the case as evidence; returns the item's id."""
    item_id = ctx.new_id()
    made = ctx.record(
        "evidence.added",
        facts={"item": item_id, "party": party, "sha256": upload.sha256, "media_type": upload.media_type}
        | ({"request": request_id} if request_id else {}),
        rules=rules,
        private={"file_name": file_name, "note": note},
    )
    ctx.plan.insert(
        tables.EvidenceItem,
        id=item_id,
        dispute_id=case.dispute.id,
        request_id=request_id,
        party=party,
        added_by=ctx.actor.seat_id or ctx.actor.subject,
        seq=made.seq,
        sha256=upload.sha256,
        size_bytes=upload.size_bytes,
        media_type=upload.media_type,
        frozen=frozen,
        added_at=ctx.now,
    )
    ctx.announce("evidence.added", item_id=item_id, party=party)
    return item_id
