"""The conversation of buyer and merchant over HTTP, the files shown in it, and messages taken back."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.api.listing import look_page
from service.api.outcomes import OutcomeBody, ReceiptBody, outcome_responses, shape_outcome
from service.api.paging import LIMIT_DEFAULT, LIMIT_MAX, Keyset
from service.api.perform import Shaped, look, perform, runner
from service.api.shapes import TEXT, ClientClock, Id, Instant, MarketplaceId, Nothing, Page, instant_text
from service.api.terms import allow
from service.api.views import READERS
from service.domain.media_type import READERS as KINDS
from service.domain.restating import unchecked
from service.domain.shared_copy import shared_copy
from service.domain.staff import Role
from service.domain.transcript import Receipt
from service.flows.context import Context
from service.flows.exchange_messages import FileShown, Line, Said, Sent, file_shown, list_messages, post_message
from service.flows.heard import Outcome
from service.flows.recall_message import Recalled, recall_message
from service.store.files import FileStore

PARTIES = (Role.BUYER, Role.MERCHANT_OWNER, Role.MERCHANT_SEAT)
LISTING = Keyset("number")
FILE_TYPES = tuple(kind for kind, _ in KINDS)


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
    """One message as this viewer may see it.

    `not_checked_as_text`: a shop's picture, of which only codes were judged. `awaits_text`: a buyer's picture or voice
    clip that the shop has not put into words yet; the buyer is not told. `recalled_at`: its sender took it back; no
    text and no attachment then, but for a supervisor and an auditor.
    """

    id: Id
    seq: int
    from_side: str
    kind: str
    text: str | None
    attachment: str | None
    delivery: str
    measure: str
    not_checked_as_text: bool
    awaits_text: bool
    received_at: Instant
    recalled_at: Instant | None


class RecalledMessage(msgspec.Struct):
    """A message taken back. `declined_promise_ids`: promises read in it that the shop had not confirmed."""

    message_id: Id
    recalled_at: Instant
    declined_promise_ids: list[Id]
    receipt: ReceiptBody


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


@post(
    "/messages/{message_id:uuid}/recall",
    status_code=200,
    opt=allow(*PARTIES, dry_run=True),
    operation_id="recallMessage",
    summary="The sender takes a message back",
    tags=["messages"],
)
async def recall_one(
    request: Request[Any, Any, Any], message_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[RecalledMessage]:
    """Of the conversation or of an inquiry, within the policy's time; what it did stands, the transcript keeps it."""
    return await perform(request, lambda ctx: recall_message(ctx, str(message_id)), _shape_recalled)


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
    return await look_page(
        request,
        f"/v1/disputes/{dispute_id}/messages",
        lambda ctx: list_messages(ctx, str(dispute_id), after_seq=after, limit=limit),
        lambda _, row: _line(row),
        keyset=LISTING,
        position=lambda row: row.message.seq,
        limit=limit,
    )


@get(
    "/disputes/{dispute_id:uuid}/files/{sha256:str}",
    opt=allow(*READERS, produces=FILE_TYPES, errors=(422,)),
    operation_id="downloadFile",
    summary="A file of the conversation that was shown to you",
    tags=["messages"],
)
async def get_file(request: Request[Any, Any, Any], dispute_id: FromPath[Id], sha256: FromPath[str]) -> Response[bytes]:
    """Own uploads as they came; what the other party shows, without where it was taken. Never run by a browser."""
    found: list[FileShown] = []

    def shape(_: Context, file: FileShown) -> Shaped:
        found.append(file)
        return Shaped(200, None)

    await look(request, lambda ctx: file_shown(ctx, str(dispute_id), sha256), shape)
    whole = await asyncio.to_thread(_bytes_of, runner(request).house.files, found[-1])
    return Response(whole, media_type=found[-1].media_type, headers={"Content-Disposition": "attachment"})


def _bytes_of(files: FileStore, file: FileShown) -> bytes:
    with files.open(file.sha256) as stream:
        whole = stream.read()
    return whole if file.sealed else shared_copy(whole, file.media_type)


def _shape_sent(ctx: Context, answer: Outcome | Sent) -> Shaped:
    if isinstance(answer, Outcome):
        return shape_outcome(answer)
    return Shaped(201, SentMessage("sent", Id(answer.message_id), _receipt(answer.receipt)))


def _shape_recalled(ctx: Context, recalled: Recalled) -> Shaped:
    body = RecalledMessage(
        Id(recalled.message_id),
        instant_text(recalled.recalled_at),
        [Id(each) for each in recalled.declined],
        _receipt(recalled.receipt),
    )
    return Shaped(200, body)


def _receipt(kept: Receipt) -> ReceiptBody:
    return ReceiptBody(kept.seq, kept.hash, instant_text(kept.at))


def _line(line: Line) -> ChatLine:
    message = line.message
    return ChatLine(
        id=Id(message.id),
        seq=message.seq,
        from_side=message.sender_side,
        kind=message.kind,
        text=line.text,
        attachment=line.attachment,
        delivery=message.delivery,
        measure=message.measure,
        not_checked_as_text=unchecked(message.sender_side, message.kind),
        awaits_text=line.awaits_text,
        received_at=instant_text(message.received_at),
        recalled_at=None if message.recalled_at is None else instant_text(message.recalled_at),
    )


HANDLERS = [post_one, recall_one, get_all, get_file]
