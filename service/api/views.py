"""The dispute as a viewer may see it, over HTTP: one shape for every answer about a dispute, and lists of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, get_args

import msgspec
from litestar import Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from service.api.case_shapes import (
    DisputeLine,
    DisputeView,
    StateName,
)
from service.api.case_views import action_view, dispute_line, dispute_view
from service.api.listing import look_page
from service.api.outcomes import outcome_responses, shape_outcome
from service.api.paging import LIMIT_DEFAULT, LIMIT_MAX, Keyset
from service.api.perform import Shaped, look, perform
from service.api.preconditions import if_match, require_if_match
from service.api.shapes import Id, Page, instant_text, read_instant
from service.api.terms import allow
from service.domain.dispute import DISPUTE
from service.domain.errors import ArrowMissing, Kind, Refusal, WindowClosed
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.heard import Outcome
from service.flows.list_cases import list_cases
from service.flows.overtaken import overtaken_by_clock
from service.flows.read_case import available_actions, read_case, require_seen
from service.store.disputes import CaseFile

READERS = (
    Role.BUYER,
    Role.MERCHANT_OWNER,
    Role.MERCHANT_SEAT,
    Role.PLATFORM_AGENT,
    Role.SUPERVISOR,
    Role.AUDITOR,
)
LISTING = Keyset("uuid")
DUE_BEFORE = "A clock of theirs ends before; RFC 3339 with an offset"


# --- acting ---------------------------------------------------------------------------------------------------------


async def act(
    request: Request[Any, Any, Any],
    dispute_id: Id,
    story: Callable[[Context], object],
    *,
    status: int = 200,
    shows: Callable[[Any], str] | None = None,
    instead: Callable[[Context, Any], Shaped | None] | None = None,
) -> Response[Any]:
    """Run an action of a dispute for somebody who has seen its present revision; answer with the fresh view.

    A story that returns an `Outcome` not sent answers with the outcome body instead, and the state has not moved; a
    Refusal it returns is said after its plan is written; whatever else it returns, the fresh view is the answer. A
    refusal by the state carries the present `revision` and `available_actions`.

    Args:
        shows: from the story's answer to the id of the dispute to show, where it is another one.
        instead: another answer than the view, where the story's answer asks for it (202 for what was only proposed).

    Raises:
        Refusal: 404 not the actor's, 412 and 428 for If-Match, and whatever the story refuses.
    """
    header = if_match(request)
    if header is None:  # said before an earlier answer to the same key could be given again
        await look(
            request, lambda ctx: require_if_match(None, require_seen(ctx, str(dispute_id)).dispute.version), _never
        )

    def checked(ctx: Context) -> Any:
        case = require_seen(ctx, str(dispute_id), lock=True)
        try:
            require_if_match(header, case.dispute.version)
        except Refusal as stale:
            if stale.kind is Kind.STALE and (told := _beaten(ctx, case, story)) is not None:
                return told
            raise _with_the_state(ctx, case, stale) from None
        try:
            return story(ctx)
        except ArrowMissing as missing:
            if (told := overtaken_by_clock(ctx, case, str(missing.facts["trigger"]))) is not None:
                return told
            raise _with_the_state(ctx, case, missing) from None
        except Refusal as refusal:
            raise _with_the_state(ctx, case, refusal) from None

    def shape(ctx: Context, answer: Any) -> Shaped:
        if isinstance(answer, Outcome) and not answer.is_sent:
            return shape_outcome(answer)
        if instead is not None and (shaped := instead(ctx, answer)) is not None:
            return shaped
        return shape_case(ctx, shows(answer) if shows else str(dispute_id), status=status)

    return await perform(request, checked, shape)


def _never(ctx: Context, answer: None) -> Shaped:
    raise AssertionError("a missing If-Match is always refused")


def _beaten(ctx: Context, case: CaseFile, story: Callable[[Context], object]) -> WindowClosed | None:
    """Whoever was in time has seen a page from before the clock struck: told so, rather than `stale_revision`."""
    try:
        told = story(ctx)
    except ArrowMissing as missing:
        return overtaken_by_clock(ctx, case, str(missing.facts["trigger"]))
    except Refusal:
        return None
    return told if isinstance(told, WindowClosed) and told.facts["in_time"] else None


def _with_the_state(ctx: Context, case: CaseFile, refusal: Refusal) -> Refusal:
    """Who lost a race, or looked at an old page, is shown how things stand (edge case 4)."""
    if refusal.kind in (Kind.CONFLICT, Kind.STALE):
        refusal.facts.setdefault("revision", case.dispute.version)
        refusal.facts.setdefault("state", case.dispute.state)
        refusal.facts["available_actions"] = [
            msgspec.to_builtins(action_view(each)) for each in available_actions(ctx, case)
        ]
    return refusal


def shape_case(ctx: Context, dispute_id: str, *, status: int = 200) -> Shaped:
    """The dispute as the actor sees it now, with its ETag."""
    case = require_seen(ctx, dispute_id)
    return Shaped(status, dispute_view(ctx, read_case(ctx, case)), etag=case.dispute.version)


def action_responses() -> dict[int, ResponseSpec]:
    """Beside 200: where a text was held or blocked, the outcome body (api.md section 2)."""
    return outcome_responses()


# --- reading --------------------------------------------------------------------------------------------------------


@get(
    "/disputes",
    opt=allow(*READERS, errors=(422,)),
    operation_id="listDisputes",
    summary="Disputes that you may see, newest first",
    tags=["disputes"],
)
async def list_disputes(
    request: Request[Any, Any, Any],
    in_state: Annotated[
        StateName | None, QueryParameter(name="state", description="Only disputes in this state")
    ] = None,
    due_before: Annotated[str | None, QueryParameter(format="date-time", description=DUE_BEFORE)] = None,
    assignee: Annotated[
        str | None, QueryParameter(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.:-]+$", description="Staff only")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    cursor: Annotated[str | None, QueryParameter(pattern=LISTING.pattern)] = None,
) -> Response[Page[DisputeLine]]:
    """By role: a buyer's own, a shop's own, what came to the platform, or all."""
    after = None if cursor is None else str(LISTING.read(cursor)[0])
    before = None if due_before is None else read_instant(due_before, name="due_before")
    return await look_page(
        request,
        "/v1/disputes",
        lambda ctx: list_cases(ctx, limit=limit, after=after, state=in_state, due_before=before, assignee=assignee),
        dispute_line,
        keyset=LISTING,
        position=lambda row: row.dispute.id,
        limit=limit,
        asked={
            "state": in_state,
            "due_before": None if before is None else instant_text(before),
            "assignee": assignee,
        },
    )


@get(
    "/disputes/{dispute_id:uuid}",
    opt=allow(*READERS, etag=True),
    operation_id="getDispute",
    summary="One dispute as you may see it",
    tags=["disputes"],
)
async def get_dispute(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[DisputeView]:
    """Shaped by the viewer, with the actions open to them and the server's clock."""
    return await look(
        request,
        lambda ctx: require_seen(ctx, str(dispute_id)),
        lambda ctx, case: Shaped(200, dispute_view(ctx, read_case(ctx, case)), etag=case.dispute.version),
    )


assert set(get_args(StateName)) == set(DISPUTE.states), "the list filters by every state of the table"

HANDLERS = [list_disputes, get_dispute]
