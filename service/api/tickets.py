"""Service tickets over HTTP: the agent issues, accepts, sends back and extends; the shop sees and answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.api.listing import look_page
from service.api.outcomes import OutcomeBody, outcome_responses, shape_outcome
from service.api.paging import LIMIT_DEFAULT, LIMIT_MAX, Keyset
from service.api.perform import Shaped, look, perform
from service.api.shapes import TEXT, Id, Instant, Page, instant_text
from service.api.stated_promises import StatedPromise, attached_of
from service.api.terms import allow
from service.domain.duration import duration_of
from service.domain.staff import Role
from service.domain.ticket import TICKET
from service.flows.context import Context
from service.flows.heard import Outcome
from service.flows.read_ticket import TicketSeen, list_tickets, read_ticket
from service.flows.serve_ticket import (
    TicketAnswer,
    TicketWanted,
    accept_answer,
    acknowledge,
    extend_ticket,
    issue_manual_ticket,
    reject_answer,
    respond,
)

AGENTS = (Role.PLATFORM_AGENT, Role.SUPERVISOR)
SHOP = (Role.MERCHANT_OWNER, Role.MERCHANT_SEAT)
READERS = (*AGENTS, *SHOP, Role.AUDITOR)
LISTING = Keyset("uuid")

Category = Literal[
    "refund_order_operation",
    "exchange",
    "product",
    "negotiated_refund",
    "courier_complaint",
    "attitude_complaint",
    "second_complaint",
    "voucher",
    "risk_goods",
    "logistics",
    "agreed",
]
TicketState = Literal["issued", "acknowledged", "responded", "overdue", "resolved", "cancelled"]
assert set(get_args(TicketState)) == set(TICKET.states), "the edge names the states of the table"

ClientMessageId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.:-]+$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000, pattern=TEXT)]
Reason = Annotated[str, msgspec.Meta(min_length=2, max_length=500, pattern=TEXT)]
Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
Duration = Annotated[
    str,
    msgspec.Meta(
        max_length=32,
        pattern=r"^P(?:[0-9]{1,3}D)?(?:T(?:[0-9]{1,4}H)?(?:[0-9]{1,5}M)?)?$",
        description="ISO 8601, PT2H",
    ),
]


class Issue(msgspec.Struct, forbid_unknown_fields=True):
    """What the agent asks. `agreed`: the business time agreed upon, for the category `agreed` only."""

    dispute_id: Id
    category: Category
    question: Text
    inquiry_id: Id | None = None
    blocking: bool | None = None
    agreed: Duration | None = None


class TicketReply(msgspec.Struct, forbid_unknown_fields=True):
    """What the shop answers; `promises` in fields are confirmed by sending it, as in an inquiry."""

    client_message_id: ClientMessageId
    text: Text
    attachment: Sha256 | None = None
    confirm_token: Id | None = None
    promises: Annotated[list[StatedPromise], msgspec.Meta(max_length=20)] = []


class SentBack(msgspec.Struct, forbid_unknown_fields=True):
    """Why the answer will not do."""

    reason: Reason


class Extension(msgspec.Struct, forbid_unknown_fields=True):
    """How much longer: two to twenty-four hours of business time."""

    extension: Duration


class NoWords(msgspec.Struct, forbid_unknown_fields=True):
    """The action says it all."""


class TicketView(msgspec.Struct):
    """A service ticket; `now` beside `due_at` so that a wrong clock still counts down right."""

    id: Id
    dispute_id: Id
    inquiry_id: Id | None
    cause: str
    category: str
    question: str
    blocking: bool
    state: str
    rejections: int
    extended: bool
    late: bool
    answer: str | None
    issued_at: Instant
    due_at: Instant
    ended_at: Instant | None
    now: Instant


@post(
    "/service-tickets",
    opt=allow(*AGENTS, dry_run=True, errors=(404,)),
    operation_id="issueTicket",
    summary="Ask the shop by ticket, at any hour",
    tags=["tickets"],
)
async def issue(request: Request[Any, Any, Any], data: JSONBody[Issue]) -> Response[TicketView]:
    """A MANUAL ticket; its clock counts business hours only."""
    wanted = TicketWanted(
        category=data.category,
        question=data.question,
        blocking=data.blocking,
        inquiry_id=None if data.inquiry_id is None else str(data.inquiry_id),
        agreed=None if data.agreed is None else _length(data.agreed),
    )
    return await perform(
        request,
        lambda ctx: issue_manual_ticket(ctx, str(data.dispute_id), wanted),
        lambda ctx, ticket_id: Shaped(201, _view(ctx, read_ticket(ctx, ticket_id))),
    )


@get(
    "/service-tickets",
    opt=allow(*READERS),
    operation_id="listTickets",
    summary="Service tickets, oldest first",
    tags=["tickets"],
)
async def list_all(
    request: Request[Any, Any, Any],
    dispute_id: Annotated[Id | None, QueryParameter(description="Only of this dispute")] = None,
    in_state: Annotated[TicketState | None, QueryParameter(name="state", description="Only in this state")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    cursor: Annotated[str | None, QueryParameter(pattern=LISTING.pattern)] = None,
) -> Response[Page[TicketView]]:
    """A shop's own, or all for the platform."""
    after = None if cursor is None else str(LISTING.read(cursor)[0])
    dispute = None if dispute_id is None else str(dispute_id)
    return await look_page(
        request,
        "/v1/service-tickets",
        lambda ctx: list_tickets(ctx, limit=limit, after=after, dispute_id=dispute, state=in_state),
        _view,
        keyset=LISTING,
        position=lambda row: row.ticket.id,
        limit=limit,
        asked={"dispute_id": dispute, "state": in_state},
    )


@get(
    "/service-tickets/{ticket_id:uuid}",
    opt=allow(*READERS),
    operation_id="getTicket",
    summary="One service ticket",
    tags=["tickets"],
)
async def get_one(request: Request[Any, Any, Any], ticket_id: FromPath[Id]) -> Response[TicketView]:
    """With the answer's words, once there is one."""
    return await look(
        request, lambda ctx: read_ticket(ctx, str(ticket_id)), lambda ctx, seen: Shaped(200, _view(ctx, seen))
    )


@post(
    "/service-tickets/{ticket_id:uuid}/acknowledge",
    status_code=200,
    opt=allow(*SHOP, dry_run=True),
    operation_id="acknowledgeTicket",
    summary="The shop has seen the ticket",
    tags=["tickets"],
)
async def see(
    request: Request[Any, Any, Any], ticket_id: FromPath[Id], data: JSONBody[NoWords]
) -> Response[TicketView]:
    """The clock runs on."""
    return await _act(request, ticket_id, lambda ctx: acknowledge(ctx, str(ticket_id)))


@post(
    "/service-tickets/{ticket_id:uuid}/respond",
    opt=allow(*SHOP, dry_run=True),
    operation_id="respondToTicket",
    summary="The shop answers the ticket",
    tags=["tickets"],
    responses=outcome_responses(),
)
async def answer(
    request: Request[Any, Any, Any], ticket_id: FromPath[Id], data: JSONBody[TicketReply]
) -> Response[OutcomeBody]:
    """Judged like every text of a shop; the promises in its words come back ready to be confirmed."""
    token = None if data.confirm_token is None else str(data.confirm_token)
    stated = tuple(attached_of(each) for each in data.promises)
    said = TicketAnswer(data.client_message_id, data.text, data.attachment, token, stated)

    def shape(ctx: Context, outcome: Outcome) -> Shaped:
        return shape_outcome(outcome)

    return await perform(request, lambda ctx: respond(ctx, str(ticket_id), said), shape)


@post(
    "/service-tickets/{ticket_id:uuid}/accept",
    status_code=200,
    opt=allow(*AGENTS, dry_run=True),
    operation_id="acceptTicketAnswer",
    summary="The answer will do",
    tags=["tickets"],
)
async def accept(
    request: Request[Any, Any, Any], ticket_id: FromPath[Id], data: JSONBody[NoWords]
) -> Response[TicketView]:
    """The ticket is resolved."""
    return await _act(request, ticket_id, lambda ctx: accept_answer(ctx, str(ticket_id)))


@post(
    "/service-tickets/{ticket_id:uuid}/reject",
    status_code=200,
    opt=allow(*AGENTS, dry_run=True),
    operation_id="rejectTicketAnswer",
    summary="Send the answer back, once",
    tags=["tickets"],
)
async def reject(
    request: Request[Any, Any, Any], ticket_id: FromPath[Id], data: JSONBody[SentBack]
) -> Response[TicketView]:
    """Half of the category's time is left, at least two hours."""
    return await _act(request, ticket_id, lambda ctx: reject_answer(ctx, str(ticket_id), reason=data.reason))


@post(
    "/service-tickets/{ticket_id:uuid}/extend",
    status_code=200,
    opt=allow(*AGENTS, dry_run=True),
    operation_id="extendTicket",
    summary="Give the shop more time, once and before the end",
    tags=["tickets"],
)
async def extend(
    request: Request[Any, Any, Any], ticket_id: FromPath[Id], data: JSONBody[Extension]
) -> Response[TicketView]:
    """On the business clock."""
    extension = _length(data.extension)
    return await _act(request, ticket_id, lambda ctx: extend_ticket(ctx, str(ticket_id), extension))


async def _act(request: Request[Any, Any, Any], ticket_id: Id, story: Any) -> Response[Any]:
    """Run a story of one ticket and answer with the ticket as it stands then."""
    return await perform(request, story, lambda ctx, _: Shaped(200, _view(ctx, read_ticket(ctx, str(ticket_id)))))


def _length(text: str) -> timedelta:
    return duration_of(text)


def _view(ctx: Context, seen: TicketSeen) -> TicketView:
    ticket = seen.ticket
    return TicketView(
        id=Id(ticket.id),
        dispute_id=Id(ticket.dispute_id),
        inquiry_id=None if ticket.inquiry_id is None else Id(ticket.inquiry_id),
        cause=ticket.cause,
        category=ticket.category,
        question=ticket.question,
        blocking=ticket.blocking,
        state=ticket.state,
        rejections=ticket.rejections,
        extended=ticket.extended,
        late=ticket.late,
        answer=seen.answer,
        issued_at=instant_text(ticket.issued_at),
        due_at=instant_text(ticket.due_at),
        ended_at=None if ticket.ended_at is None else instant_text(ticket.ended_at),
        now=instant_text(ctx.now),
    )


HANDLERS = [issue, list_all, get_one, see, answer, accept, reject, extend]
