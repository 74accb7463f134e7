"""The conversation of buyer and merchant over HTTP, and the files shown in it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from service.api.outcomes import OutcomeBody, ReceiptBody, outcome_responses, shape_outcome
from service.api.paging import LIMIT_DEFAULT, LIMIT_MAX, Keyset, link_header
from service.api.perform import Shaped, look, perform, runner
from service.api.shapes import TEXT, ClientClock, Id, Instant, MarketplaceId, Page, instant_text
from service.api.terms import allow
from service.api.views import READERS
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.exchange_messages import (
    Line,
    Said,
    Sent,
    attachment_shown,
    keep_attachment,
    list_messages,
    post_message,
    require_may_attach,
)
from service.flows.hearing import Outcome
from service.store.files import FILE_BYTES_MAX, StoredFile

PARTIES = (Role.BUYER, Role.MERCHANT_OWNER, Role.MERCHANT_SEAT)
LISTING = Keyset("number")
BINARY = "application/octet-stream"
FILE_TYPES = (
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "audio/mp4",
    "audio/ogg",
    "audio/amr",
    "audio/wav",
    "audio/aac",
    "audio/mpeg",
    "video/mp4",
    "application/pdf",
    BINARY,
)
Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]


class ChatMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A message. A picture or a voice clip names the sha256 of an uploaded file, an order card an order."""

    client_message_id: MarketplaceId
    kind: Literal["text", "image", "emoji", "order_card", "voice"] = "text"
    text: Annotated[str, msgspec.Meta(max_length=2_000, pattern=TEXT)] = ""
    attachment: MarketplaceId | None = None
    confirm_token: Id | None = None
    sent_at: ClientClock | None = None  # edge case 16


class SentMessage(msgspec.Struct):
    """A buyer's message that went out."""

    outcome: Literal["sent"]
    message_id: Id
    receipt: ReceiptBody


class ChatLine(msgspec.Struct):
    """One message as this viewer may see it."""

    id: Id
    seq: int
    from_side: str
    kind: str
    text: str | None
    attachment: str | None
    delivery: str
    measure: str
    received_at: Instant


class FileKept(msgspec.Struct):
    """A file that was kept; messages and refusals name it by its fingerprint."""

    sha256: Sha256
    size_bytes: int
    media_type: str


@post(
    "/disputes/{dispute_id:uuid}/messages",
    opt=allow(*PARTIES, dry_run=True),
    operation_id="postMessage",
    summary="Buyer or merchant writes to the other",
    responses=outcome_responses(),
    tags=["messages"],
)
async def post_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[ChatMessage]
) -> Response[OutcomeBody | SentMessage]:
    """The merchant's words are judged first; the buyer's go out as they are."""
    token = None if data.confirm_token is None else str(data.confirm_token)
    said = Said(data.client_message_id, data.kind, data.text, data.attachment, token)

    def story(ctx: Context) -> Any:
        return post_message(ctx, str(dispute_id), said)

    return await perform(request, story, _shape_sent)


@get(
    "/disputes/{dispute_id:uuid}/messages",
    opt=allow(*READERS),
    operation_id="listMessages",
    summary="What buyer and merchant wrote, oldest first",
    tags=["messages"],
)
async def get_all(
    request: Request[Any, Any, Any],
    dispute_id: FromPath[Id],
    limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    cursor: Annotated[str | None, QueryParameter(pattern=LISTING.pattern)] = None,
) -> Response[Page[ChatLine]]:
    """Attempts that were not delivered are shown to the sender's side, a supervisor and an auditor."""
    after = 0 if cursor is None else min(int(str(LISTING.read(cursor)[0])), 2**31 - 1)
    next_cursor: list[str | None] = []

    def shape(ctx: Context, lines: list[Line]) -> Shaped:
        more = LISTING.write(lines[limit - 1].message.seq) if len(lines) > limit else None
        next_cursor.append(more)
        return Shaped(200, Page([_line(each) for each in lines[:limit]], more))

    response = await look(request, lambda ctx: list_messages(ctx, str(dispute_id), after_seq=after, limit=limit), shape)
    path = f"/v1/disputes/{dispute_id}/messages"
    response.headers["Link"] = link_header(path, {"limit": limit}, next_cursor=next_cursor[-1])
    return response


@post(
    "/disputes/{dispute_id:uuid}/attachments",
    opt=allow(*PARTIES, consumes=FILE_TYPES, body_bytes_max=FILE_BYTES_MAX, errors=(400,)),
    operation_id="uploadAttachment",
    summary="Upload a picture, a voice clip or a proof to a dispute",
    request_max_body_size=None,
    tags=["messages"],
)
async def upload_one(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[FileKept]:
    """The type is read from the bytes; the same bytes twice are one file."""
    whole = await request.body()  # taken in first: it is counted against the bound, and then it has its instant
    await look(request, lambda ctx: require_may_attach(ctx, str(dispute_id)), lambda ctx, _: Shaped(204, None))
    declared = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    files = runner(request).house.files
    # A crash after this line leaves a whole file that no row names: harmless, and found by fsck.
    stored = await asyncio.to_thread(files.put, whole, declared=None if declared == BINARY else declared)
    return await perform(request, lambda ctx: keep_attachment(ctx, str(dispute_id), stored), _shape_file)


@get(
    "/disputes/{dispute_id:uuid}/attachments/{sha256:str}",
    opt=allow(*READERS, produces=FILE_TYPES),
    operation_id="getAttachment",
    summary="A file that was shown to you",
    media_type=BINARY,
    responses={200: ResponseSpec(bytes, media_type=BINARY, description="The bytes", generate_examples=False)},
    tags=["messages"],
)
async def get_file(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], sha256: FromPath[Sha256]
) -> Response[bytes]:
    """Own uploads, and what the other party's messages and refusals show; never run by a browser."""
    kinds: list[str] = []

    def shape(ctx: Context, media_type: str) -> Shaped:
        kinds.append(media_type)
        return Shaped(200, None)

    await look(request, lambda ctx: attachment_shown(ctx, str(dispute_id), sha256).media_type, shape)
    files = runner(request).house.files
    with await asyncio.to_thread(files.open, sha256) as stream:
        whole = await asyncio.to_thread(stream.read)
    return Response(whole, media_type=kinds[-1], headers={"Content-Disposition": "attachment"})


def _shape_sent(ctx: Context, answer: Outcome | Sent) -> Shaped:
    if isinstance(answer, Outcome):
        return shape_outcome(answer)
    kept = answer.receipt
    return Shaped(
        201, SentMessage("sent", Id(answer.message_id), ReceiptBody(kept.seq, kept.hash, instant_text(kept.at)))
    )


def _shape_file(ctx: Context, stored: StoredFile) -> Shaped:
    return Shaped(201, FileKept(stored.sha256, stored.size, stored.media_type))


def _line(line: Line) -> ChatLine:
    message = line.message
    return ChatLine(
        id=Id(message.id),
        seq=message.seq,
        from_side=message.sender_side,
        kind=message.kind,
        text=line.text,
        attachment=message.attachment,
        delivery=message.delivery,
        measure=message.measure,
        received_at=instant_text(message.received_at),
    )


HANDLERS = [post_one, get_all, upload_one, get_file]
