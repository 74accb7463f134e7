"""Payment callbacks over HTTP: signed by the gateway, once per event, in whatever order they come."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, post
from litestar.params import JSONBody

from service.api.perform import Shaped, perform, runner
from service.api.preconditions import require_idempotency_key
from service.api.terms import allow
from service.domain.errors import Absent, Kind, Refusal
from service.domain.staff import Role
from service.flows.pay_refund import take_callback
from service.store.payments import (
    CALLBACK_BYTES_MAX,
    GatewaySilent,
    GatewayStatus,
    PaymentGateway,
    RefundCallback,
    verify_callback,
)

SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[!-~]+$")]


class CallbackBody(msgspec.Struct):
    """What became of a refund: the gateway's number and, where it has it, our key. Other members are passed over."""

    refund_id: Name
    status: Literal["pending", "succeeded", "failed"]
    key: Name | None = None
    amount_fen: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)] | None = None


class CallbackTaken(msgspec.Struct):
    """`paid`, `failed`, `noted` (pending, or known already), `duplicate`, or `paid_twice`: people have been called."""

    result: str


@post(
    "/payments/callbacks",
    opt=allow(
        Role.SYSTEM,
        scopes=("payments",),
        errors=(404,),
        idempotency_key=False,
        body_bytes_max=CALLBACK_BYTES_MAX,
    ),
    operation_id="pushPaymentCallback",
    summary="The gateway says what became of a refund",
    status_code=200,
    tags=["systems"],
)
async def push_callback(request: Request[Any, Any, Any], data: JSONBody[CallbackBody]) -> Response[CallbackTaken]:
    """Signed (Standard Webhooks); `webhook-id` is the event's id. 404 for a refund not known (yet): send it again."""
    said = await _believed(request, data)
    request.scope["state"]["idempotency_key"] = hashlib.sha256(said.event_id.encode()).hexdigest()
    return await perform(
        request, lambda ctx: take_callback(ctx, said), lambda _, result: Shaped(200, CallbackTaken(result))
    )


async def _believed(request: Request[Any, Any, Any], data: CallbackBody) -> RefundCallback:
    """By its signature; where the operator has set no secret, only what the gateway itself says when asked."""
    secrets: Sequence[str] = getattr(request.app.state, "payment_secrets", ())
    if secrets:
        headers = {name: request.headers.get(name, "") for name in SIGNED}
        return verify_callback(headers, await request.body(), secrets, now=runner(request).now())
    status = await asyncio.to_thread(_asked, request.app.state.gateway, data.key or data.refund_id)
    keys = request.headers.getall("Idempotency-Key", [])
    named = request.headers.get("webhook-id") or (require_idempotency_key(keys) if keys else "")
    event_id = named or f"{data.refund_id} {status}"  # the same word about the same refund is the same event
    return RefundCallback(event_id, data.refund_id, status, data.key, data.amount_fen)


def _asked(gateway: PaymentGateway, name: str) -> GatewayStatus:
    try:
        status = gateway.query(name)
    except GatewaySilent as silent:
        raise Refusal("busy", kind=Kind.BUSY, zh="支付渠道暂无应答", en="The gateway does not answer") from silent
    if status is GatewayStatus.UNKNOWN:
        raise Absent("refund")
    return status


HANDLERS = [push_callback]
