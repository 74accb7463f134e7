"""Reading evidence: the requests, and the items that a viewer may see, with their names and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.errors import Absent
from service.flows.context import Context
from service.flows.read_case import require_seen, sees_evidence
from service.store import tables
from service.store.disputes import CaseFile
from service.store.words import words_of


@dataclass(frozen=True, slots=True)
class ItemSeen:
    """A piece of evidence with its words: the party's own, never the platform's."""

    row: tables.EvidenceItem
    file_name: str | None
    note: str | None


def read_evidence(ctx: Context, dispute_id: str) -> Sequence[ItemSeen]:
    """What the viewer may see, oldest first (edge case 48).

    Raises:
        Absent: no such dispute, or not this viewer's to know of.
    """
    case = require_seen(ctx, dispute_id)
    return _seen(ctx, case, [i for i in case.evidence_items if sees_evidence(ctx, case, i)])


def read_item(ctx: Context, dispute_id: str, item_id: str) -> ItemSeen:
    """One item.

    Raises:
        Absent: no such dispute or item, or not this viewer's to see.
    """
    found = next((i for i in read_evidence(ctx, dispute_id) if i.row.id == item_id), None)
    if found is None:
        raise Absent("evidence")
    return found


def read_requests(ctx: Context, dispute_id: str) -> Sequence[tables.EvidenceRequest]:
    """All requests for evidence, oldest first.

    Raises:
        Absent: no such dispute, or not this viewer's to know of.
    """
    return require_seen(ctx, dispute_id).evidence_requests


def read_request(ctx: Context, request_id: str) -> tables.EvidenceRequest:
    """One request.

    Raises:
        Absent: no such request, or not this viewer's to know of.
    """
    found = ctx.tx.session.get(tables.EvidenceRequest, request_id, populate_existing=True)
    if found is None:
        raise Absent("evidence_request")
    require_seen(ctx, found.dispute_id)
    return found


def _seen(ctx: Context, case: CaseFile, items: Sequence[tables.EvidenceItem]) -> Sequence[ItemSeen]:
    words = words_of(ctx.tx.session, case.dispute.id, [i.seq for i in items])

    def text(item: tables.EvidenceItem, name: str) -> str | None:
        found = words.get(item.seq, {}).get(name)
        return found if isinstance(found, str) else None

    return [ItemSeen(i, text(i, "file_name"), text(i, "note")) for i in items]
