"""Promises over HTTP: the agent asks for the act; the merchant confirms, corrects, declines, shows what it kept."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from service.api.outcomes import Bilingual, outcome_responses, shape_outcome
from service.api.perform import Shaped, look, perform
from service.api.shapes import TEXT, Id, Instant, InstantIn, Money, instant_text, sane_instant
from service.api.terms import allow
from service.api.views import READERS
from service.domain.staff import Role
from service.flows.confirm_promise import (
    Confirmation,
    Correction,
    Proof,
    ask_confirm,
    confirm,
    correct,
    decline,
    fulfil,
    list_promises,
)
from service.flows.context import Context
from service.flows.heard import Outcome
from service.store import tables

AGENTS = (Role.PLATFORM_AGENT, Role.SUPERVISOR)
SHOP = (Role.MERCHANT_OWNER, Role.MERCHANT_SEAT)

Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
Note = Annotated[str, msgspec.Meta(max_length=2_000, pattern=TEXT)]


class Act(msgspec.Struct, forbid_unknown_fields=True):
    """The hash of the canonical text that was shown: the act is of exactly that text."""

    canonical_sha256: Sha256


class NamedAct(msgspec.Struct, forbid_unknown_fields=True):
    """A promise and the hash of its canonical text."""

    promise_id: Id
    canonical_sha256: Sha256


class Acts(msgspec.Struct, forbid_unknown_fields=True):
    """Everything on the card shown right after sending, confirmed at once: all or none."""

    promises: Annotated[list[NamedAct], msgspec.Meta(min_length=1, max_length=20)]


class Corrected(msgspec.Struct, forbid_unknown_fields=True):
    """Another time, another amount; what is left out stays."""

    canonical_sha256: Sha256
    due_at: InstantIn | None = None
    amount: Money | None = None
    note: Note = ""
    confirm_token: Id | None = None


class Kept(msgspec.Struct, forbid_unknown_fields=True):
    """What shows it: uploaded files by sha256, with words if need be."""

    files: Annotated[list[Sha256], msgspec.Meta(min_length=1, max_length=9)]
    note: Note = ""
    confirm_token: Id | None = None


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """The action says it all."""


class PromiseView(msgspec.Struct):
    """A promise in its canonical words. `wording` is what the merchant's words were, `state` what has been done.

    `start`, `end`: code points of the message it was found in, half-open. `contradicts`: the fact of the order that it
    goes against; `contradicts_told`: the promise told to the buyer that it goes against. All null for the buyer, who
    never sees that. `done_at`: when it was done, as carrier, gateway or shop prove it; late where it was broken.
    """

    id: Id
    state: str
    wording: str
    action: str
    amount: Money | None
    amount_max: Money | None
    due_at: Instant | None
    canonical: Bilingual
    canonical_sha256: str
    message_id: Id | None
    start: int | None
    end: int | None
    contradicts: str | None
    contradicts_told: Id | None
    done_at: Instant | None
    created_at: Instant
    ended_at: Instant | None


class PromiseList(msgspec.Struct):
    """The promises of one dispute, oldest first."""

    items: list[PromiseView]


@get(
    "/disputes/{dispute_id:uuid}/promises",
    opt=allow(*READERS),
    operation_id="listPromises",
    summary="The promises of a dispute",
    tags=["promises"],
)
async def get_all(request: Request[Any, Any, Any], dispute_id: FromPath[Id]) -> Response[PromiseList]:
    """A buyer learns only of those that were relayed."""
    return await look(request, lambda ctx: list_promises(ctx, str(dispute_id)), _shape_list)


@post(
    "/disputes/{dispute_id:uuid}/promises/confirm",
    status_code=200,
    opt=allow(*SHOP, dry_run=True),
    operation_id="confirmPromises",
    summary="Confirm every promise of a message in one call",
    tags=["promises"],
)
async def confirm_all(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[Acts]
) -> Response[PromiseList]:
    """The card that a sent message answers with, pressed once."""
    acts = [Confirmation(str(each.promise_id), each.canonical_sha256) for each in data.promises]
    return await _act(request, dispute_id, lambda ctx: confirm(ctx, str(dispute_id), acts))


@post(
    "/disputes/{dispute_id:uuid}/promises/{promise_id:uuid}/ask-confirm",
    status_code=200,
    opt=allow(*AGENTS, dry_run=True),
    operation_id="askConfirmPromise",
    summary="Show the merchant the canonical text and ask for its act",
    tags=["promises"],
)
async def ask(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], promise_id: FromPath[Id], data: JSONBody[Said]
) -> Response[PromiseList]:
    """Hedged, conditional and quoted words are no promise to be confirmed."""
    return await _act(request, dispute_id, lambda ctx: ask_confirm(ctx, str(dispute_id), str(promise_id)))


@post(
    "/disputes/{dispute_id:uuid}/promises/{promise_id:uuid}/confirm",
    status_code=200,
    opt=allow(*SHOP, dry_run=True),
    operation_id="confirmPromise",
    summary="The merchant's act on the canonical text",
    tags=["promises"],
)
async def confirm_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], promise_id: FromPath[Id], data: JSONBody[Act]
) -> Response[PromiseList]:
    """Silence is never consent."""
    acts = [Confirmation(str(promise_id), data.canonical_sha256)]
    return await _act(request, dispute_id, lambda ctx: confirm(ctx, str(dispute_id), acts))


@post(
    "/disputes/{dispute_id:uuid}/promises/{promise_id:uuid}/correct",
    status_code=200,
    opt=allow(*SHOP, dry_run=True),
    operation_id="correctPromise",
    summary="Set time or amount right; the act confirms the corrected promise",
    tags=["promises"],
    responses=outcome_responses(),
)
async def set_right(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], promise_id: FromPath[Id], data: JSONBody[Corrected]
) -> Response[PromiseList]:
    """The corrected promise takes the old one's place; the note is judged like every text of a shop."""
    correction = Correction(
        canonical_sha256=data.canonical_sha256,
        due_at=None if data.due_at is None else sane_instant(data.due_at),
        amount_fen=None if data.amount is None else data.amount.amount,
        currency=None if data.amount is None else data.amount.currency,
        note=data.note,
        confirm_token=None if data.confirm_token is None else str(data.confirm_token),
    )
    return await _act(request, dispute_id, lambda ctx: correct(ctx, str(dispute_id), str(promise_id), correction))


@post(
    "/disputes/{dispute_id:uuid}/promises/{promise_id:uuid}/decline",
    status_code=200,
    opt=allow(*SHOP, dry_run=True),
    operation_id="declinePromise",
    summary="This is not what the merchant promised",
    tags=["promises"],
)
async def say_no(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], promise_id: FromPath[Id], data: JSONBody[Said]
) -> Response[PromiseList]:
    """A confirmed promise is not taken back."""
    return await _act(request, dispute_id, lambda ctx: decline(ctx, str(dispute_id), str(promise_id)))


@post(
    "/disputes/{dispute_id:uuid}/promises/{promise_id:uuid}/fulfil",
    status_code=200,
    opt=allow(*SHOP, dry_run=True),
    operation_id="fulfilPromise",
    summary="The merchant shows that it kept its word",
    tags=["promises"],
    responses=outcome_responses(),
)
async def show_kept(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], promise_id: FromPath[Id], data: JSONBody[Kept]
) -> Response[PromiseList]:
    """Carriers and the payment gateway show it by their own events."""
    token = None if data.confirm_token is None else str(data.confirm_token)
    proof = Proof(tuple(data.files), data.note, token)
    return await _act(request, dispute_id, lambda ctx: fulfil(ctx, str(dispute_id), str(promise_id), proof))


async def _act(request: Request[Any, Any, Any], dispute_id: Id, story: Any) -> Response[Any]:
    """Run a story of one promise; answer with the promises as they stand then, or with what became of its words."""

    def shape(ctx: Context, answer: object) -> Shaped:
        if isinstance(answer, Outcome) and not answer.is_sent:
            return shape_outcome(answer)
        return _shape_list(ctx, list_promises(ctx, str(dispute_id)))

    return await perform(request, story, shape)


def _shape_list(ctx: Context, found: tuple[tables.Dispute, list[tables.Promise]]) -> Shaped:
    dispute, promises = found
    for_buyer = ctx.actor.role is Role.BUYER
    return Shaped(200, PromiseList([_view(p, dispute.currency, for_buyer=for_buyer) for p in promises]))


def _view(promise: tables.Promise, currency: str, *, for_buyer: bool) -> PromiseView:
    def money(amount_fen: int | None) -> Money | None:
        return None if amount_fen is None else Money(amount_fen, currency)

    return PromiseView(
        id=Id(promise.id),
        state=promise.state,
        wording=promise.wording,
        action=promise.action,
        amount=money(promise.amount_fen),
        amount_max=money(promise.amount_max_fen),
        due_at=None if promise.due_at is None else instant_text(promise.due_at),
        canonical=Bilingual(promise.canonical_zh, promise.canonical_en),
        canonical_sha256=promise.canonical_sha256,
        message_id=None if for_buyer or promise.message_id is None else Id(promise.message_id),
        start=None if for_buyer else promise.span_start,
        end=None if for_buyer else promise.span_end,
        contradicts=None if for_buyer else promise.contradicts,
        contradicts_told=None if for_buyer or promise.contradicts_told is None else Id(promise.contradicts_told),
        done_at=None if promise.done_at is None else instant_text(promise.done_at),
        created_at=instant_text(promise.created_at),
        ended_at=None if promise.ended_at is None else instant_text(promise.ended_at),
    )


HANDLERS = [get_all, confirm_all, ask, confirm_one, set_right, say_no, show_kept]
