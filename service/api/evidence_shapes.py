"""How evidence requests, what was put forward and files look over HTTP, asked for and shown."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from service.api.shapes import TEXT, Id, Instant, Line, instant_text
from service.flows.context import Context
from service.flows.read_evidence import ItemSeen
from service.store.tables import EvidenceRequest

Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
EvidenceNote = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000, pattern=TEXT)]
Purpose = Literal["evidence", "message", "proof", "appeal"]
Duration = Annotated[str, msgspec.Meta(max_length=20, pattern=r"^PT[0-9]{1,5}[HMS]$", description="ISO 8601: PT12H")]


class FileView(msgspec.Struct):
    """A file that is kept: its fingerprint is its only name, its type was read from the bytes."""

    sha256: str
    size_bytes: int
    media_type: str


class RequestBody(msgspec.Struct, forbid_unknown_fields=True):
    """Who is asked, and whether a ruling waits for it."""

    party: Literal["buyer", "merchant"]
    mandatory: bool = False


class ExtensionBody(msgspec.Struct, forbid_unknown_fields=True):
    """How much more time, at most PT24H."""

    by: Duration


class SubmissionBody(msgspec.Struct, forbid_unknown_fields=True):
    """A note with the submission, or none."""

    note: EvidenceNote | None = None
    confirm_token: Id | None = None


class ItemBody(msgspec.Struct, forbid_unknown_fields=True):
    """A file uploaded before, by its fingerprint; its name and a note are optional."""

    sha256: Sha256
    file_name: Line | None = None
    note: EvidenceNote | None = None
    confirm_token: Id | None = None


class EvidenceRequestView(msgspec.Struct):
    """A window for evidence."""

    id: Id
    dispute_id: Id
    party: str
    round: int
    mandatory: bool
    extended: bool
    state: str
    due_at: Instant
    now: Instant
    created_at: Instant
    ended_at: Instant | None


class EvidenceView(msgspec.Struct):
    """A piece of evidence; name and note are the party's own words, not the platform's."""

    id: Id
    party: str
    request_id: Id | None
    sha256: str | None
    size_bytes: int | None
    media_type: str | None
    file_name: str | None
    note: str | None
    frozen: bool
    retracted: bool
    added_at: Instant


class EvidenceRequests(msgspec.Struct):
    """All requests, oldest first."""

    items: list[EvidenceRequestView]


class Evidence(msgspec.Struct):
    """What you may see, oldest first."""

    items: list[EvidenceView]


def request_view(ctx: Context, row: EvidenceRequest) -> EvidenceRequestView:
    """A request, with the server's `now` beside `due_at`."""
    return EvidenceRequestView(
        id=Id(row.id),
        dispute_id=Id(row.dispute_id),
        party=row.party,
        round=row.round,
        mandatory=row.mandatory,
        extended=row.extended,
        state=row.state,
        due_at=instant_text(row.due_at),
        now=instant_text(ctx.now),
        created_at=instant_text(row.created_at),
        ended_at=None if row.ended_at is None else instant_text(row.ended_at),
    )


def item_view(seen: ItemSeen) -> EvidenceView:
    """What a party has put forward, with the words that go with it."""
    row = seen.row
    return EvidenceView(
        id=Id(row.id),
        party=row.party,
        request_id=None if row.request_id is None else Id(row.request_id),
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        media_type=row.media_type,
        file_name=seen.file_name,
        note=seen.note,
        frozen=row.frozen,
        retracted=row.retracted_at is not None,
        added_at=instant_text(row.added_at),
    )
