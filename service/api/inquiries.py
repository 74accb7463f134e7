"""Inquiries over HTTP: the agent asks, the merchant answers, both read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from service.api.outcomes import OutcomeBody, outcome_responses, shape_outcome
from service.api.perform import Shaped, answer_id, look, perform
from service.api.shapes import TEXT, ClientClock, Id, Instant, MarketplaceId, Note, instant_text
from service.api.stated_promises import StatedPromise, attached_of
from service.api.terms import allow, idempotency_key
from service.domain.restating import unchecked
from service.domain.staff import Role
from service.flows.ask_merchant import Asked, close_inquiry, hand_over, open_inquiry, send_agent_message
from service.flows.context import Context
from service.flows.read_inquiry import InquirySeen, list_inquiries, read_inquiry
from service.flows.receive_reply import Said, receive_reply

ASKERS = (Role.PLATFORM_AGENT, Role.SUPERVISOR)
ANSWERERS = (Role.MERCHANT_OWNER, Role.MERCHANT_SEAT)
READERS = (*ASKERS, *ANSWERERS, Role.AUDITOR)

ClientMessageId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.:-]+$")]
Text = Annotated[str, msgspec.Meta(max_length=2_000, pattern=TEXT)]


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What the agent sends: words, an order card, or both."""

    client_message_id: ClientMessageId
    text: Text = ""
    order_card: MarketplaceId | None = None


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """What the merchant sends. A picture names the sha256 of an uploaded file, an order card an order."""

    client_message_id: ClientMessageId
    kind: Literal["text", "image", "emoji", "order_card"] = "text"
    text: Text = ""
    attachment: MarketplaceId | None = None
    confirm_token: Id | None = None
    promises: Annotated[list[StatedPromise], msgspec.Meta(max_length=20)] = []
    sent_at: ClientClock | None = None


class Closing(msgspec.Struct, forbid_unknown_fields=True):
    """`waive_reason`: why an unanswered session needs no ticket."""

    waive_reason: Note | None = None


class HandOver(msgspec.Struct, forbid_unknown_fields=True):
    """The seat that takes over."""

    seat_id: MarketplaceId


class MessageView(msgspec.Struct):
    """One message of the session as this viewer may see it."""

    id: Id
    from_side: str
    kind: str
    text: str | None
    attachment: str | None
    delivery: str
    measure: str
    not_checked_as_text: bool  # a picture, of which only codes were judged
    answers: bool
    received_at: Instant
    recalled_at: Instant | None  # taken back: no text and no attachment but for a supervisor and an auditor


class InquiryView(msgspec.Struct):
    """An inquiry with its messages, oldest first."""

    id: Id
    dispute_id: Id
    state: str
    turn: int
    seat_id: str | None
    due_at: Instant | None
    now: Instant
    answered_at: Instant | None
    closed_at: Instant | None
    close_cause: str | None
    messages: list[MessageView]


class InquiryList(msgspec.Struct):
    """The inquiries of one dispute, oldest first."""

    items: list[InquiryView]


@post(
    "/disputes/{dispute_id:uuid}/inquiries",
    opt=allow(*ASKERS, dry_run=True),
    operation_id="openInquiry",
    summary="Ask the merchant: the reply window starts now",
    tags=["inquiries"],
)
async def open_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Question]
) -> Response[InquiryView]:
    """Opens an inquiry; with nobody to ask it is undeliverable and a ticket goes out."""
    asked = Asked(data.client_message_id, data.text, data.order_card)
    return await perform(request, lambda ctx: open_inquiry(ctx, str(dispute_id), asked), _shape_new)


@get(
    "/disputes/{dispute_id:uuid}/inquiries",
    opt=allow(*READERS),
    operation_id="listInquiries",
    summary="The inquiries of a dispute",
    tags=["inquiries"],
)
async def get_all(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[InquiryList]:
    """All inquiries of one dispute with their messages."""

    def shape(ctx: Context, seen: list[InquirySeen]) -> Shaped:
        return Shaped(200, InquiryList([_view(ctx, each) for each in seen]))

    return await look(request, lambda ctx: list_inquiries(ctx, str(dispute_id)), shape)


@get(
    "/inquiries/{inquiry_id:uuid}",
    opt=allow(*READERS),
    operation_id="getInquiry",
    summary="One inquiry with its messages",
    tags=["inquiries"],
)
async def get_one(request: Request[Any, Any, Any], inquiry_id: FromPath[Id]) -> Response[InquiryView]:
    """The session, with the server's `now` beside `due_at`: a wrong phone clock still counts down right."""
    return await look(
        request, lambda ctx: read_inquiry(ctx, str(inquiry_id)), lambda ctx, seen: Shaped(200, _view(ctx, seen))
    )


@post(
    "/inquiries/{inquiry_id:uuid}/messages",
    opt=allow(*ANSWERERS, dry_run=True),
    operation_id="answerInquiry",
    summary="The merchant answers",
    tags=["inquiries"],
    responses=outcome_responses(),
)
async def answer(
    request: Request[Any, Any, Any], inquiry_id: FromPath[Id], data: JSONBody[Answer]
) -> Response[OutcomeBody]:
    """THE path of a merchant message; see docs/reply-path.md."""
    token = None if data.confirm_token is None else str(data.confirm_token)
    promises = tuple(attached_of(each) for each in data.promises)
    said = Said(data.client_message_id, data.kind, data.text, data.attachment, token, promises)
    key_id = answer_id(request.user.subject, idempotency_key(request))
    return await perform(
        request,
        lambda ctx: receive_reply(ctx, str(inquiry_id), said, key_id=key_id),
        lambda ctx, outcome: shape_outcome(outcome),
        hot=True,
    )


@post(
    "/inquiries/{inquiry_id:uuid}/questions",
    status_code=200,
    opt=allow(*ASKERS, dry_run=True),
    operation_id="askOn",
    summary="The agent asks on",
    tags=["inquiries"],
)
async def ask_on(
    request: Request[Any, Any, Any], inquiry_id: FromPath[Id], data: JSONBody[Question]
) -> Response[InquiryView]:
    """A new turn after an answer, else one more message of this turn."""
    asked = Asked(data.client_message_id, data.text, data.order_card)

    def story(ctx: Context) -> str:
        send_agent_message(ctx, str(inquiry_id), asked)
        return str(inquiry_id)

    return await perform(request, story, _shape_same)


@post(
    "/inquiries/{inquiry_id:uuid}/close",
    status_code=200,
    opt=allow(*ASKERS, dry_run=True),
    operation_id="closeInquiry",
    summary="The agent closes the session",
    tags=["inquiries"],
)
async def close(
    request: Request[Any, Any, Any], inquiry_id: FromPath[Id], data: JSONBody[Closing]
) -> Response[InquiryView]:
    """An unanswered session becomes a ticket, unless waived with a reason."""

    def story(ctx: Context) -> str:
        close_inquiry(ctx, str(inquiry_id), waive_reason=data.waive_reason)
        return str(inquiry_id)

    return await perform(request, story, _shape_same)


@post(
    "/inquiries/{inquiry_id:uuid}/transfer",
    status_code=200,
    opt=allow(*ANSWERERS, dry_run=True),
    operation_id="transferInquiry",
    summary="The shop hands the session to another seat",
    tags=["inquiries"],
)
async def transfer(
    request: Request[Any, Any, Any], inquiry_id: FromPath[Id], data: JSONBody[HandOver]
) -> Response[InquiryView]:
    """The reply window runs on."""

    def story(ctx: Context) -> str:
        hand_over(ctx, str(inquiry_id), data.seat_id)
        return str(inquiry_id)

    return await perform(request, story, _shape_same)


def _shape_new(ctx: Context, inquiry_id: str) -> Shaped:
    return Shaped(201, _view(ctx, read_inquiry(ctx, inquiry_id)))


def _shape_same(ctx: Context, inquiry_id: str) -> Shaped:
    return Shaped(200, _view(ctx, read_inquiry(ctx, inquiry_id)))


def _view(ctx: Context, seen: InquirySeen) -> InquiryView:
    inquiry = seen.inquiry
    return InquiryView(
        id=Id(inquiry.id),
        dispute_id=Id(inquiry.dispute_id),
        state=inquiry.state,
        turn=inquiry.turn,
        seat_id=inquiry.seat_id,
        due_at=_maybe(inquiry.due_at),
        now=instant_text(ctx.now),
        answered_at=_maybe(inquiry.answered_at),
        closed_at=_maybe(inquiry.closed_at),
        close_cause=inquiry.close_cause,
        messages=[
            MessageView(
                id=Id(line.message.id),
                from_side=line.message.sender_side,
                kind=line.message.kind,
                text=line.text,
                attachment=line.attachment,
                delivery=line.message.delivery,
                measure=line.message.measure,
                not_checked_as_text=unchecked(line.message.sender_side, line.message.kind),
                answers=line.message.answers,
                received_at=instant_text(line.message.received_at),
                recalled_at=_maybe(line.message.recalled_at),
            )
            for line in seen.lines
        ],
    )


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else instant_text(at)


HANDLERS = [open_one, get_all, get_one, answer, ask_on, close, transfer]
