"""Evidence over HTTP: files in and out, requests, and what the parties put forward."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.api.evidence_shapes import (
    Evidence,
    EvidenceRequests,
    EvidenceRequestView,
    EvidenceView,
    ExtensionBody,
    FileView,
    ItemBody,
    Purpose,
    RequestBody,
    SubmissionBody,
    item_view,
    request_view,
)
from service.api.outcomes import outcome_responses, shape_outcome
from service.api.perform import Shaped, look, perform, runner
from service.api.shapes import Id, Nothing
from service.api.terms import allow
from service.api.views import READERS
from service.domain.duration import duration_of
from service.domain.media_type import READERS as KINDS
from service.domain.policy import EVIDENCE_KINDS
from service.domain.shared_copy import shared_copy
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.give_evidence import (
    Offered,
    add_item,
    extend_request,
    open_request,
    retract_item,
    submit,
    waive,
)
from service.flows.heard import Outcome
from service.flows.read_evidence import read_evidence, read_item, read_request, read_requests
from service.flows.upload_file import (
    Content,
    content_of_evidence,
    keep_upload,
    must_be_looked_into,
    require_may_upload,
)
from service.store.files import FILE_BYTES_MAX, FileStore, StoredFile

AGENTS = (Role.PLATFORM_AGENT, Role.SUPERVISOR)
PARTIES = (Role.BUYER, Role.MERCHANT_OWNER, Role.MERCHANT_SEAT)
ACTORS = (*PARTIES, *AGENTS)
FILE_TYPES = ("application/octet-stream", "text/plain", *(kind for kind, _ in KINDS))


# --- files ----------------------------------------------------------------------------------------------------------


@post(
    "/disputes/{dispute_id:uuid}/files",
    opt=allow(*ACTORS, consumes=FILE_TYPES, body_bytes_max=FILE_BYTES_MAX),
    operation_id="uploadFile",
    summary="Upload one file: the raw bytes",
    request_max_body_size=FILE_BYTES_MAX,
    tags=["evidence"],
)
async def upload_one(
    request: Request[Any, Any, Any],
    dispute_id: FromPath[Id],
    purpose: Annotated[Purpose, QueryParameter(description="What it is for; evidence needs an open window")],
) -> Response[FileView]:
    """1 byte to 10 MB. The type is read from the bytes and must be the one declared, where one is.

    Codes (QR and others) are looked for in a shop's picture; what they say is judged when the picture is sent.
    """
    house, content = runner(request).house, await request.body()
    declared = request.headers.get("Content-Type")
    await look(request, lambda ctx: require_may_upload(ctx, str(dispute_id), purpose), lambda *_: Shaped(200, None))
    stored = await asyncio.to_thread(house.files.put, content, declared=declared)
    codes = (
        await asyncio.wrap_future(house.pictures.submit(content, stored.media_type))
        if must_be_looked_into(request.user, stored.media_type)
        else None
    )

    def shape(_: Context, kept: StoredFile) -> Shaped:
        return Shaped(201, FileView(kept.sha256, kept.size, kept.media_type))

    return await perform(request, lambda ctx: keep_upload(ctx, str(dispute_id), purpose, stored, codes), shape)


@get(
    "/disputes/{dispute_id:uuid}/evidence/{item_id:uuid}/content",
    opt=allow(*READERS, produces=EVIDENCE_KINDS),
    operation_id="downloadEvidence",
    summary="The bytes of a piece of evidence",
    tags=["evidence"],
)
async def download_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], item_id: FromPath[Id]
) -> Response[bytes]:
    """As they came for its own side; for others the shared copy, without where and with what it was taken."""
    found: list[Content] = []

    def shape(_: Context, content: Content) -> Shaped:
        found.append(content)
        return Shaped(200, None)

    await look(request, lambda ctx: content_of_evidence(ctx, str(dispute_id), str(item_id)), shape)
    content = found[-1]
    whole = await asyncio.to_thread(_bytes_of, runner(request).house.files, content)
    name = f"{content.sha256[:16]}.{content.media_type.rpartition('/')[2]}"
    return Response(
        whole, media_type=content.media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _bytes_of(files: FileStore, content: Content) -> bytes:
    with files.open(content.sha256) as stream:
        whole = stream.read()
    return whole if content.sealed else shared_copy(whole, content.media_type)


# --- requests -------------------------------------------------------------------------------------------------------


@post(
    "/disputes/{dispute_id:uuid}/evidence-requests",
    opt=allow(*AGENTS, dry_run=True),
    operation_id="requestEvidence",
    summary="Ask a party for evidence, or make an open request mandatory",
    tags=["evidence"],
)
async def open_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[RequestBody]
) -> Response[EvidenceRequestView]:
    """One request a party and round; only a remand opens the next round."""

    def story(ctx: Context) -> str:
        return open_request(ctx, str(dispute_id), party=data.party, mandatory=data.mandatory)

    return await perform(request, story, lambda ctx, found: Shaped(201, request_view(ctx, read_request(ctx, found))))


@get(
    "/disputes/{dispute_id:uuid}/evidence-requests",
    opt=allow(*READERS),
    operation_id="listEvidenceRequests",
    summary="The requests for evidence",
    tags=["evidence"],
)
async def requests_of(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[EvidenceRequests]:
    """With the server's `now` beside every `due_at`."""
    return await look(
        request,
        lambda ctx: read_requests(ctx, str(dispute_id)),
        lambda ctx, found: Shaped(200, EvidenceRequests([request_view(ctx, each) for each in found])),
    )


@post(
    "/evidence-requests/{request_id:uuid}/submit",
    opt=allow(*PARTIES, dry_run=True),
    operation_id="submitEvidence",
    summary="Hand in what was put forward",
    status_code=200,
    responses=outcome_responses(),
    tags=["evidence"],
)
async def submit_one(
    request: Request[Any, Any, Any], request_id: FromPath[Id], data: JSONBody[SubmissionBody]
) -> Response[EvidenceRequestView]:
    """Nothing can be added or taken back any more."""
    token = None if data.confirm_token is None else str(data.confirm_token)

    def story(ctx: Context) -> Any:
        return submit(ctx, str(request_id), note=data.note, confirm_token=token)

    return await perform(request, story, _told(str(request_id)))


@post(
    "/evidence-requests/{request_id:uuid}/waive",
    opt=allow(*PARTIES, dry_run=True),
    operation_id="waiveEvidence",
    summary="Put nothing forward, on purpose",
    status_code=200,
    tags=["evidence"],
)
async def waive_one(
    request: Request[Any, Any, Any], request_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[EvidenceRequestView]:
    """A waiver is never held against a party as being late."""
    return await perform(request, lambda ctx: waive(ctx, str(request_id)), _told(str(request_id)))


@post(
    "/evidence-requests/{request_id:uuid}/extend",
    opt=allow(*AGENTS, dry_run=True),
    operation_id="extendEvidence",
    summary="Give a party more time, once",
    status_code=200,
    tags=["evidence"],
)
async def extend_one(
    request: Request[Any, Any, Any], request_id: FromPath[Id], data: JSONBody[ExtensionBody]
) -> Response[EvidenceRequestView]:
    """At most 24 hours, and before the end."""
    by: timedelta = duration_of(data.by)

    def story(ctx: Context) -> None:
        extend_request(ctx, str(request_id), by=by)

    return await perform(request, story, _told(str(request_id)))


# --- items ----------------------------------------------------------------------------------------------------------


@post(
    "/disputes/{dispute_id:uuid}/evidence",
    opt=allow(*ACTORS, dry_run=True),
    operation_id="addEvidence",
    summary="Put an uploaded file forward as evidence",
    responses=outcome_responses(),
    tags=["evidence"],
)
async def add_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[ItemBody]
) -> Response[EvidenceView]:
    """At most 100 a case; the same bytes of the same party once. A platform agent adds what informs, not decides."""
    token = None if data.confirm_token is None else str(data.confirm_token)
    offered = Offered(data.sha256, data.file_name, data.note, token)

    def shape(ctx: Context, added: str | Outcome) -> Shaped:
        if isinstance(added, Outcome):
            return shape_outcome(added)
        return Shaped(201, item_view(read_item(ctx, str(dispute_id), added)))

    def story(ctx: Context) -> Any:
        return add_item(ctx, str(dispute_id), offered)

    return await perform(request, story, shape)


@get(
    "/disputes/{dispute_id:uuid}/evidence",
    opt=allow(*READERS),
    operation_id="listEvidence",
    summary="The evidence that you may see",
    tags=["evidence"],
)
async def evidence_of(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[Evidence]:
    """The other party's only once it is frozen and your own window has ended (no copying)."""
    return await look(
        request,
        lambda ctx: read_evidence(ctx, str(dispute_id)),
        lambda _, found: Shaped(200, Evidence([item_view(each) for each in found])),
    )


@post(
    "/disputes/{dispute_id:uuid}/evidence/{item_id:uuid}/retract",
    opt=allow(*PARTIES, dry_run=True),
    operation_id="retractEvidence",
    summary="Take an own item back while the window is open",
    status_code=200,
    tags=["evidence"],
)
async def retract_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], item_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[EvidenceView]:
    """The bytes stay, and so does the tombstone."""

    def story(ctx: Context) -> str:
        retract_item(ctx, str(dispute_id), str(item_id))
        return str(item_id)

    return await perform(
        request, story, lambda ctx, found: Shaped(200, item_view(read_item(ctx, str(dispute_id), found)))
    )


# --- shapes ---------------------------------------------------------------------------------------------------------


def _told(request_id: str) -> Any:
    def shape(ctx: Context, answer: Outcome | None) -> Shaped:
        if isinstance(answer, Outcome):
            return shape_outcome(answer)
        return Shaped(200, request_view(ctx, read_request(ctx, request_id)))

    return shape


HANDLERS = [
    upload_one,
    download_one,
    open_one,
    requests_of,
    submit_one,
    waive_one,
    extend_one,
    add_one,
    evidence_of,
    retract_one,
]
