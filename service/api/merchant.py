"""What a merchant does with a dispute over HTTP; every text of theirs may be answered with an outcome body instead."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, post
from litestar.params import FromPath, JSONBody

from service.api.case_shapes import DisputeView
from service.api.perform import Shaped, perform
from service.api.shapes import TEXT, Id, Instant, Money, Note, Nothing, instant_text
from service.api.terms import allow
from service.api.views import act, action_responses
from service.domain.staff import Role
from service.flows.acknowledge_notice import acknowledge_notice
from service.flows.context import Context
from service.flows.negotiate import (
    ADDRESS_CHARS_MAX,
    PROOFS_MAX,
    Offering,
    Refusing,
    improve_offer,
    seller_agree_refund,
    seller_agree_return,
    seller_offer,
    seller_refuse,
)
from service.store import tables

SELLERS = (Role.MERCHANT_OWNER, Role.MERCHANT_SEAT)
Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=ADDRESS_CHARS_MAX, pattern=TEXT)]
RefusalCode = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=r"^[a-z][a-z0-9_]*$")]


class RefusalBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why not: a listed reason, 2 to 200 characters, and proof (files uploaded before) where the reason needs it."""

    reason: RefusalCode
    message: Annotated[str, msgspec.Meta(max_length=500, pattern=TEXT)]
    proof: Annotated[list[Sha256], msgspec.Meta(max_length=PROOFS_MAX)] = []
    confirm_token: Id | None = None


class AgreementBody(msgspec.Struct, forbid_unknown_fields=True):
    """`amount`: left out is the amount requested; another one is refused, less is an offer."""

    amount: Money | None = None


class ReturnAgreementBody(msgspec.Struct, forbid_unknown_fields=True):
    """`return_address`: left out is the shop's own."""

    return_address: Address | None = None
    confirm_token: Id | None = None


class OfferBody(msgspec.Struct, forbid_unknown_fields=True):
    """A proposal to the buyer."""

    kind: Literal["refund", "partial_refund", "refund_with_return"]
    amount: Money
    note: Note | None = None
    confirm_token: Id | None = None


class NoticeView(msgspec.Struct):
    """A violation notice that was read."""

    id: Id
    dispute_id: Id
    message_id: Id
    created_at: Instant
    acknowledged_at: Instant


@post(
    "/disputes/{dispute_id:uuid}/actions/seller-refuse",
    opt=allow(*SELLERS, dry_run=True, if_match=True, etag=True),
    operation_id="refuseRequest",
    summary="The merchant refuses, and says why",
    status_code=200,
    responses=action_responses(),
    tags=["actions"],
)
async def refuse_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[RefusalBody]
) -> Response[DisputeView]:
    """The buyer may then bring the platform in."""
    refusing = Refusing(data.reason, data.message, tuple(data.proof), _token(data.confirm_token))
    return await act(request, dispute_id, lambda ctx: seller_refuse(ctx, str(dispute_id), refusing))


@post(
    "/disputes/{dispute_id:uuid}/actions/seller-agree-refund",
    opt=allow(*SELLERS, dry_run=True, if_match=True, etag=True),
    operation_id="agreeRefund",
    summary="The merchant agrees to refund what was asked for",
    status_code=200,
    tags=["actions"],
)
async def agree_refund_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[AgreementBody]
) -> Response[DisputeView]:
    """Possible until a ruling is final; it ends whatever is open."""
    amount, currency = (data.amount.amount, data.amount.currency) if data.amount else (None, None)
    return await act(
        request,
        dispute_id,
        lambda ctx: seller_agree_refund(ctx, str(dispute_id), amount_fen=amount, currency=currency),
    )


@post(
    "/disputes/{dispute_id:uuid}/actions/seller-agree-return",
    opt=allow(*SELLERS, dry_run=True, if_match=True, etag=True),
    operation_id="agreeReturn",
    summary="The merchant agrees to take the goods back",
    status_code=200,
    responses=action_responses(),
    tags=["actions"],
)
async def agree_return_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[ReturnAgreementBody]
) -> Response[DisputeView]:
    """The address is fixed at this moment."""
    token = _token(data.confirm_token)
    return await act(
        request,
        dispute_id,
        lambda ctx: seller_agree_return(ctx, str(dispute_id), return_address=data.return_address, confirm_token=token),
    )


@post(
    "/disputes/{dispute_id:uuid}/actions/seller-offer",
    opt=allow(*SELLERS, dry_run=True, if_match=True, etag=True),
    operation_id="makeOffer",
    summary="The merchant puts an offer on the table",
    status_code=200,
    responses=action_responses(),
    tags=["actions"],
)
async def offer_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[OfferBody]
) -> Response[DisputeView]:
    """At most three; the buyer has 48 hours to answer."""
    return await act(request, dispute_id, lambda ctx: seller_offer(ctx, str(dispute_id), _offering(data)))


@post(
    "/disputes/{dispute_id:uuid}/actions/improve-offer",
    opt=allow(*SELLERS, dry_run=True, if_match=True, etag=True),
    operation_id="improveOffer",
    summary="The merchant replaces the offer with a better one",
    status_code=200,
    responses=action_responses(),
    tags=["actions"],
)
async def improve_one(
    request: Request[Any, Any, Any], dispute_id: FromPath[Id], data: JSONBody[OfferBody]
) -> Response[DisputeView]:
    """Nothing worse for the buyer, and something better."""
    return await act(request, dispute_id, lambda ctx: improve_offer(ctx, str(dispute_id), _offering(data)))


@post(
    "/moderation/notices/{notice_id:uuid}/acknowledge",
    opt=allow(*SELLERS, dry_run=True),
    operation_id="acknowledgeNotice",
    summary="The seat has read its violation notice",
    status_code=200,
    tags=["moderation"],
)
async def acknowledge_one(
    request: Request[Any, Any, Any], notice_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[NoticeView]:
    """Until then nothing that this seat sends goes out."""

    def shape(ctx: Context, notice: tables.Notice) -> Shaped:
        read_at = notice.acknowledged_at or ctx.now
        return Shaped(
            200,
            NoticeView(
                Id(notice.id),
                Id(notice.dispute_id),
                Id(notice.message_id),
                instant_text(notice.created_at),
                instant_text(read_at),
            ),
        )

    return await perform(request, lambda ctx: acknowledge_notice(ctx, str(notice_id)), shape)


def _offering(data: OfferBody) -> Offering:
    return Offering(data.kind, data.amount.amount, data.amount.currency, data.note, _token(data.confirm_token))


def _token(given: Id | None) -> str | None:
    return None if given is None else str(given)


HANDLERS = [
    refuse_one,
    agree_refund_one,
    agree_return_one,
    offer_one,
    improve_one,
    acknowledge_one,
]
