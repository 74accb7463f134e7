"""Reading an inquiry: who may, and which of its lines."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import col, select

from service.domain.errors import Absent
from service.domain.recalling import hides
from service.domain.staff import Role
from service.flows.context import Context
from service.store.tables import Dispute, Inquiry, Message
from service.store.words import words_of

KEEPS_EVIDENCE = frozenset({Role.AUDITOR, Role.SUPERVISOR})  # they read what was stopped and what was taken back
LINES_MAX = 500  # messages of one inquiry that are shown; a turn is bounded far below


@dataclass(frozen=True, slots=True)
class Line:
    """A message with its words and file, where this viewer may read them."""

    message: Message
    text: str | None
    attachment: str | None


@dataclass(frozen=True, slots=True)
class InquirySeen:
    """An inquiry as one viewer sees it."""

    inquiry: Inquiry
    lines: tuple[Line, ...]


def read_inquiry(ctx: Context, inquiry_id: str) -> InquirySeen:
    """One inquiry with its messages.

    Raises:
        Absent: no such inquiry, or not this viewer's to know of; a buyer never sees one.
    """
    inquiry = ctx.tx.session.get(Inquiry, inquiry_id)
    if inquiry is None or not _may_see(ctx, inquiry):
        raise Absent("inquiry")
    return _seen(ctx, inquiry)


def list_inquiries(ctx: Context, dispute_id: str) -> list[InquirySeen]:
    """All inquiries of a dispute, oldest first.

    Raises:
        Absent: no such dispute, or not this viewer's to know of.
    """
    dispute = ctx.tx.session.get(Dispute, dispute_id)
    shop = ctx.actor.merchant_id
    if dispute is None or (shop is not None and dispute.merchant_id != shop) or ctx.actor.role is Role.BUYER:
        raise Absent("dispute")
    if ctx.actor.role is Role.PLATFORM_AGENT and dispute.intervened_at is None:
        raise Absent("dispute")
    found = ctx.tx.session.exec(
        select(Inquiry).where(Inquiry.dispute_id == dispute_id).order_by(col(Inquiry.id)).limit(LINES_MAX)
    ).all()
    return [_seen(ctx, inquiry) for inquiry in found]


def _may_see(ctx: Context, inquiry: Inquiry) -> bool:
    if ctx.actor.merchant_id is not None:
        return inquiry.merchant_id == ctx.actor.merchant_id
    return ctx.actor.role in (Role.PLATFORM_AGENT, Role.SUPERVISOR, Role.AUDITOR)


def _seen(ctx: Context, inquiry: Inquiry) -> InquirySeen:
    messages = ctx.tx.session.exec(
        select(Message)
        .where(Message.dispute_id == inquiry.dispute_id, Message.thread_id == inquiry.id)
        .order_by(col(Message.seq))
        .limit(LINES_MAX)
    ).all()
    shown = [m for m in messages if _shows(ctx, m)]
    evidence = ctx.actor.role in KEEPS_EVIDENCE
    open_to_read = [m for m in shown if not hides(m.recalled_at, keeps_evidence=evidence)]
    words = words_of(ctx.tx.session, inquiry.dispute_id, [m.seq for m in open_to_read])
    files = {m.seq: m.attachment for m in open_to_read}
    return InquirySeen(inquiry, tuple(Line(m, _text(words.get(m.seq, {})), files.get(m.seq)) for m in shown))


def _shows(ctx: Context, message: Message) -> bool:
    """What was not let out is for its own shop, the auditor and a supervisor; the asking agent sees delivered words."""
    if message.delivery == "delivered":
        return True
    return ctx.actor.merchant_id is not None or ctx.actor.role in KEEPS_EVIDENCE


def _text(words: object) -> str | None:
    found = words.get("text") if isinstance(words, dict) else None
    return found if isinstance(found, str) else None
