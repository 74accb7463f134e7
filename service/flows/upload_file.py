"""Files for a dispute: uploaded by a side, kept whole under their fingerprint, named by it wherever they are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from service.domain.errors import Absent, Conflict, GuardFailed
from service.domain.picture_codes import Code
from service.domain.staff import Actor, Role
from service.domain.transcript import rfc3339
from service.domain.windows import require_in_time
from service.flows.context import Context
from service.flows.permits import require_agents_case
from service.flows.read_case import require_seat, require_seen, sees_evidence
from service.store import tables
from service.store.disputes import CaseFile
from service.store.files import StoredFile
from service.store.uploads import count_uploads, upload_of

UPLOADS_MAX: Final = 500  # choice: files of one dispute, used or not; evidence alone may be a hundred
EVIDENCE: Final = "evidence"


@dataclass(frozen=True, slots=True)
class Content:
    """A file to hand out. `sealed`: every byte as it came; otherwise the shared copy without metadata."""

    sha256: str
    media_type: str
    sealed: bool


def require_may_upload(ctx: Context, dispute_id: str, purpose: str) -> CaseFile:
    """The dispute, if this side may put a file into it now; asked before the bytes are kept, and again after.

    Args:
        purpose: `evidence` needs an open window of this party; any other is bounded by what the file is used for.

    Raises:
        Absent: not this actor's dispute.
        Forbidden: `seat_inactive`, `not_your_dispute`.
        Conflict: `dispute_closed`, `evidence_frozen` (edge case 9), `window_closed`.
        GuardFailed: `uploads_exhausted`.
    """
    case = require_seen(ctx, dispute_id)
    if ctx.actor.side == "merchant":
        require_seat(ctx)
    elif ctx.actor.side != "buyer":
        require_agents_case(ctx, dispute_id)
    if case.dispute.state == "closed":
        raise Conflict("dispute_closed", zh="该纠纷已结案", en="The dispute is closed")
    if purpose == EVIDENCE and ctx.actor.side in ("buyer", "merchant"):
        _require_window(ctx, case)
    if count_uploads(ctx.tx.session, dispute_id) >= UPLOADS_MAX:
        raise GuardFailed("uploads_exhausted", zh="本案上传文件已达上限", en="No more files in this dispute")
    return case


def _require_window(ctx: Context, case: CaseFile) -> None:
    asked = [r for r in case.evidence_requests if r.party == ctx.actor.side]
    if not asked or asked[-1].state != "open":
        ended = asked[-1].ended_at if asked else None
        raise Conflict(
            "evidence_frozen",
            zh="举证已结束或尚未开始",
            en="No window for evidence is open to you",
            ended_at=None if ended is None else rfc3339(ended),
        )
    require_in_time(ctx.received_at, asked[-1].due_at)


def keep_upload(
    ctx: Context, dispute_id: str, purpose: str, stored: StoredFile, codes: tuple[Code, ...] | None = None
) -> StoredFile:
    """Remember whose file it is; the same bytes of the same side are one upload.

    Args:
        codes: what was found in a picture, judged when it is sent; None where nobody looked.

    Raises:
        As `require_may_upload`: a ruling made while the file was coming in freezes it out, its bytes named by no row.
    """
    require_may_upload(ctx, dispute_id, purpose)
    party = party_of_upload(ctx)
    known = upload_of(ctx.tx.session, dispute_id, party=party, sha256=stored.sha256)
    found = None if codes is None else [each._asdict() for each in codes]
    if known is None:
        ctx.plan.insert(
            tables.Upload,
            id=ctx.new_id(),
            dispute_id=dispute_id,
            party=party,
            uploaded_by=ctx.actor.seat_id or ctx.actor.subject,
            sha256=stored.sha256,
            size_bytes=stored.size,
            media_type=stored.media_type,
            uploaded_at=ctx.now,
            codes=found,
        )
    elif known.codes is None and found is not None:
        ctx.plan.update(tables.Upload, known.id, codes=found)
    return stored


def must_be_looked_into(actor: Actor, media_type: str) -> bool:
    """Whether codes are looked for in a file: in a merchant's pictures, whatever they are for (product.md D1, D10)."""
    return actor.side == "merchant" and media_type.startswith("image/")


def party_of_upload(ctx: Context) -> str:
    """Whose files these are: the buyer's, the shop's, or the platform's."""
    return ctx.actor.side if ctx.actor.side in ("buyer", "merchant") else "platform_agent"


def content_of_evidence(ctx: Context, dispute_id: str, item_id: str) -> Content:
    """What to hand out of a piece of evidence: sealed to its own side and to auditors, the shared copy to others.

    Raises:
        Absent: no such item that this viewer may see, or one without a file.
    """
    case = require_seen(ctx, dispute_id)
    item = next((i for i in case.evidence_items if i.id == item_id and sees_evidence(ctx, case, i)), None)
    if item is None or item.sha256 is None or item.media_type is None:
        raise Absent("evidence")
    own = item.party == party_of_upload(ctx) or ctx.actor.role is Role.AUDITOR
    return Content(item.sha256, item.media_type, sealed=own)
