"""What the platform says to the buyer, over HTTP: confirmed promises, or words that carry no promise at all."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from service.api.perform import Shaped, look, perform
from service.api.shapes import TEXT, Id, Instant, instant_text
from service.api.terms import allow
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.tell_buyer import Relay, Told, list_told, tell_buyer

AGENTS = (Role.PLATFORM_AGENT, Role.SUPERVISOR)
READERS = (Role.BUYER, *AGENTS, Role.AUDITOR)

ClientMessageId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.:-]+$")]
Text = Annotated[str, msgspec.Meta(max_length=2_000, pattern=TEXT)]
Reason = Annotated[str, msgspec.Meta(max_length=500, pattern=TEXT)]


class RelayIn(msgspec.Struct, forbid_unknown_fields=True):
    """Promises by id, rendered from what the merchant confirmed; or a text of the agent's own. Not both.

    `softened_ids`, instead of either: softened (尽快) or conditional (您退回后) words of the merchant, by their ids
    among the promises; the buyer is told of which act they are, and that they are no promise. `override_reason`: a
    supervisor's, for a promise that the order's facts contradict.
    """

    client_message_id: ClientMessageId
    promise_ids: Annotated[list[Id], msgspec.Meta(max_length=20)] = []
    softened_ids: Annotated[list[Id], msgspec.Meta(max_length=20)] = []
    text: Text = ""
    override_reason: Reason = ""


class RelayOne(msgspec.Struct, forbid_unknown_fields=True):
    """The promise stands in the address."""

    client_message_id: ClientMessageId
    override_reason: Reason = ""


class RelayView(msgspec.Struct):
    """One message to the buyer in the platform's name; `text_en` where a template has it.

    `softened_ids`: the words of the merchant that it says to be no promise.
    """

    id: Id
    text: str
    text_en: str | None
    promise_ids: list[Id]
    softened_ids: list[Id]
    from_side: str
    seq: int
    at: Instant


class RelayList(msgspec.Struct):
    """Everything said to the buyer about one dispute, oldest first."""

    items: list[RelayView]


@post(
    "/disputes/{dispute_id:uuid}/relays",
    opt=allow(*AGENTS, dry_run=True),
    operation_id="tellBuyer",
    summary="Tell the buyer",
    tags=["relays"],
)
async def tell(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[RelayIn]
) -> Response[RelayView]:
    """409 `promise_not_confirmed` before the merchant's act; 422 `uncleared_promise` names the words that promise."""
    promises, softened = (tuple(str(each) for each in ids) for ids in (data.promise_ids, data.softened_ids))
    relay = Relay(data.client_message_id, promises, data.text, data.override_reason, softened)
    return await _say(request, dispute_id, relay)


@post(
    "/disputes/{dispute_id:uuid}/promises/{promise_id:uuid}/relay",
    opt=allow(*AGENTS, dry_run=True),
    operation_id="relayPromise",
    summary="Tell the buyer of one confirmed promise",
    tags=["promises"],
)
async def relay_one(
    request: Request[Any, Any, Any],
    dispute_id: FromPath[Id],
    promise_id: FromPath[Id],
    data: JSONBody[RelayOne],
) -> Response[RelayView]:
    """The same as a relay that names one promise; twice is one message."""
    relay = Relay(data.client_message_id, (str(promise_id),), override_reason=data.override_reason)
    return await _say(request, dispute_id, relay)


@get(
    "/disputes/{dispute_id:uuid}/relays",
    opt=allow(*READERS),
    operation_id="listRelays",
    summary="What the buyer has been told",
    tags=["relays"],
)
async def get_all(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[RelayList]:
    """In the platform's name; what the shop writes to the buyer stands in the dispute's messages."""
    return await look(
        request,
        lambda ctx: list_told(ctx, str(dispute_id)),
        lambda ctx, told: Shaped(200, RelayList([_view(each) for each in told])),
    )


async def _say(request: Request[Any, Any, Any], dispute_id: Id, relay: Relay) -> Response[Any]:
    def shape(ctx: Context, message_id: str) -> Shaped:
        told = next(each for each in list_told(ctx, str(dispute_id)) if each.message.id == message_id)
        return Shaped(201, _view(told))

    return await perform(request, lambda ctx: tell_buyer(ctx, str(dispute_id), relay), shape)


def _view(told: Told) -> RelayView:
    return RelayView(
        id=Id(told.message.id),
        text=told.text,
        text_en=told.text_en,
        promise_ids=[Id(each) for each in told.promise_ids],
        softened_ids=[Id(each) for each in told.softened_ids],
        from_side=told.message.sender_side,
        seq=told.message.seq,
        at=instant_text(told.message.received_at),
    )


HANDLERS = [tell, relay_one, get_all]
