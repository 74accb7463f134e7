"""What an operation says about itself, and what its handler may ask once the gate has let a request through."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypedDict, Unpack

from litestar.connection import ASGIConnection

from service.domain.staff import Role


class Terms(TypedDict, total=False):
    """Everything an operation may say beside who may call it.

    errors: more statuses to document, beside those that follow from the other terms.
    body_bytes_max: instead of the app's bound.
    consumes: media types read instead of JSON; the handler streams them, counted against the bound.
    produces: media types produced beside JSON.
    idempotency_key: False for a POST that changes nothing.
    if_match: the operation depends on what was seen; its handler calls `require_if_match`.
    dry_run: the operation honours `Prefer: dry-run`; elsewhere that is refused, never silently done.
    etag: the answer carries an ETag.
    repeatable: query parameters that may come several times.
    """

    errors: Iterable[int]
    body_bytes_max: int
    consumes: tuple[str, ...]
    produces: tuple[str, ...]
    idempotency_key: bool
    if_match: bool
    dry_run: bool
    etag: bool
    repeatable: Iterable[str]


def allow(*roles: Role, scopes: Iterable[str] = (), **terms: Unpack[Terms]) -> dict[str, object]:
    """The `opt` of an operation for these roles; API keys (Role.SYSTEM) must hold all `scopes`."""
    assert roles, "an operation for nobody"
    return {**terms, "roles": frozenset(roles), "scopes": frozenset(scopes)}


def public(**terms: Unpack[Terms]) -> dict[str, object]:
    """The `opt` of an operation that anybody may call."""
    return {**terms, "public": True}


def received_at(connection: ASGIConnection[Any, Any, Any, Any]) -> datetime:
    """The instant the last byte of the request was in (UTC): what windows are judged by."""
    found = connection.scope["state"].get("received_at")
    assert isinstance(found, datetime), "asked before the body was complete"
    return found


def idempotency_key(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The checked Idempotency-Key of a POST."""
    found = connection.scope["state"].get("idempotency_key")
    assert isinstance(found, str), "the operation says idempotency_key=False"
    return found


def dry_run(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """True if the caller wants everything checked and nothing kept; answer with `Preference-Applied: dry-run`."""
    return bool(connection.scope["state"].get("dry_run", False))


def request_id(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The caller's X-Request-Id, or the one we gave."""
    return str(connection.scope["state"]["request_id"])
