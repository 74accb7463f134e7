"""Calls of a shop to its buyer over HTTP: logged by a seat before it dials, refused over the cap."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.api.listing import look_page
from service.api.outcomes import OutcomeBody, outcome_responses, shape_outcome
from service.api.paging import LIMIT_DEFAULT, LIMIT_MAX, Keyset
from service.api.perform import Shaped, perform
from service.api.shapes import TEXT, Id, Instant, Page, instant_text
from service.api.terms import allow
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.heard import Outcome
from service.flows.log_call import AttemptSeen, Call, list_calls, log_call, read_call

CALLERS = (Role.MERCHANT_OWNER, Role.MERCHANT_SEAT)
READERS = (*CALLERS, Role.PLATFORM_AGENT, Role.SUPERVISOR, Role.AUDITOR)
LISTING = Keyset("number")


class ContactAttemptBody(msgspec.Struct, forbid_unknown_fields=True):
    """A call to the buyer: whether it was answered, and what came of it."""

    kind: Literal["call"] = "call"
    reached: bool = False
    note: Annotated[str, msgspec.Meta(max_length=500, pattern=TEXT)] = ""
    confirm_token: Id | None = None


class ContactAttemptView(msgspec.Struct):
    """A call, logged or refused over a cap. `day`: of the shop's calendar, Asia/Shanghai; `at`: the server's clock."""

    id: Id
    seq: int
    kind: str
    state: str
    reached: bool
    day: str
    at: Instant
    seat_id: str
    note: str | None


@post(
    "/disputes/{dispute_id:uuid}/contact-attempts",
    opt=allow(*CALLERS, dry_run=True),
    operation_id="logCall",
    summary="A seat logs a call to the buyer",
    responses=outcome_responses(),
    tags=["messages"],
)
async def log_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[ContactAttemptBody]
) -> Response[OutcomeBody | ContactAttemptView]:
    """Chat first: a call only where a message stays unanswered, and a few a day; over the cap 409, and recorded."""
    token = None if data.confirm_token is None else str(data.confirm_token)
    call = Call(data.reached, data.note, token)

    def shape(ctx: Context, answer: str | Outcome) -> Shaped:
        if isinstance(answer, Outcome):
            return shape_outcome(answer)
        return Shaped(201, _view(read_call(ctx, answer)))

    def story(ctx: Context) -> Any:
        return log_call(ctx, str(dispute_id), call)

    return await perform(request, story, shape)


@get(
    "/disputes/{dispute_id:uuid}/contact-attempts",
    opt=allow(*READERS),
    operation_id="listCalls",
    summary="Calls of the shop to the buyer, oldest first",
    tags=["messages"],
)
async def get_all(
    request: Request[Any, Any, Any],
    dispute_id: FromPath[Id],
    limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    cursor: Annotated[str | None, QueryParameter(pattern=LISTING.pattern)] = None,
) -> Response[Page[ContactAttemptView]]:
    """For the shop, the platform and auditors; refused attempts too."""
    after = 0 if cursor is None else min(int(str(LISTING.read(cursor)[0])), 2**31 - 1)
    return await look_page(
        request,
        f"/v1/disputes/{dispute_id}/contact-attempts",
        lambda ctx: list_calls(ctx, str(dispute_id), after_seq=after, limit=limit),
        lambda _, row: _view(row),
        keyset=LISTING,
        position=lambda row: row.attempt.seq,
        limit=limit,
    )


def _view(seen: AttemptSeen) -> ContactAttemptView:
    attempt = seen.attempt
    return ContactAttemptView(
        id=Id(attempt.id),
        seq=attempt.seq,
        kind=attempt.kind,
        state=attempt.state,
        reached=attempt.reached,
        day=attempt.day,
        at=instant_text(attempt.at),
        seat_id=attempt.seat_id,
        note=seen.note,
    )


HANDLERS = [log_one, get_all]
