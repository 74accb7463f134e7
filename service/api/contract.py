"""The terms of every request: who may call, in which format, how large, how often, and when it was complete.

An operation states its terms in `opt`, made by `allow(...)` or `public(...)`; one without terms does not start. The
order of the checks is the order of `_Gate._let_in`: method, credentials, role, formats, headers, body, clock.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import Litestar, Request
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.plugins import InitPlugin, ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from service.api import problems
from service.api.auth import Authenticate, require_allowed
from service.api.described import document_refusals, harden_openapi
from service.api.keyring import Clock
from service.api.preconditions import (
    if_match,
    require_idempotency_key,
    require_if_match_readable,
    wants_dry_run,
)
from service.api.reading import (
    Disconnected,
    counted,
    decode_strictly,
    read_body,
    replayed,
    require_clean_json,
    require_clean_text,
)
from service.api.terms import allow, dry_run, idempotency_key, public, received_at, request_id
from service.domain.errors import Kind, Refusal

__all__ = ["Contract", "allow", "dry_run", "idempotency_key", "public", "received_at", "request_id", "seal"]

JSON = "application/json"
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
BODY_BYTES_MAX = 262_144  # choice: the longest text allowed, every character escaped, several times over
BODY_SECONDS_MAX = 30.0  # choice
UPLOAD_BYTES_MAX = 10_485_760  # api.md: 10 MB a file
UPLOAD_SECONDS_MAX = 300.0  # choice: ten times as long as for a JSON body
QUERY_BYTES_MAX = 8_192  # choice
_ANYTHING = msgspec.json.Decoder(Any)
_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{8,64}\Z")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",  # browsers heed it over https only
}


class StrictRequest(Request[Any, Any, Any]):
    """Reads a JSON body straight into the handler's type: no text is taken for a number, no member passed over.

    Litestar's own way is lenient ("12" becomes 12), which the schema does not say.
    """

    async def json(self) -> Any:
        """The body as the type of the handler's `data`; raises Refusal `invalid` or `invalid_json` (400)."""
        decoder = self.route_handler.opt.get("decoder", _ANYTHING)
        return decode_strictly(await self.body(), decoder)


# The contract itself


class Contract(InitPlugin, ReceiveRoutePlugin):
    """Puts the gate before every operation and problem+json behind it.

    Give it to the app as a plugin and finish with `seal(app, contract)`.

    Args:
        authenticate: Authorization headers to actor (`auth.Authenticator`).
        now: the clock; only app.py reads the real one.
        new_id: makes request ids.
        headers: sent with every answer, beside the security headers.
    """

    def __init__(
        self,
        *,
        authenticate: Authenticate,
        now: Clock,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        body_bytes_max: int = BODY_BYTES_MAX,
        body_seconds_max: float = BODY_SECONDS_MAX,
        upload_bytes_max: int = UPLOAD_BYTES_MAX,
        upload_seconds_max: float = UPLOAD_SECONDS_MAX,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.authenticate = authenticate
        self.now = now
        self.new_id = new_id
        self.body_bytes_max = body_bytes_max
        self.body_seconds_max = body_seconds_max
        self.upload_bytes_max = upload_bytes_max
        self.upload_seconds_max = upload_seconds_max
        whole = {**SECURITY_HEADERS, **(headers or {})}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in whole.items()]
        self.methods: dict[str, set[str]] = {}  # path template to methods: Litestar knows only those of one route
        self.operations: dict[tuple[str, str], HTTPRouteHandler] = {}

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Register the gate, the strict request, the problem handlers and the headers of every answer."""
        for kind, handler in problems.exception_handlers().items():
            app_config.exception_handlers.setdefault(kind, handler)
        app_config.request_class = StrictRequest
        app_config.middleware.insert(0, lambda app: _Gate(app, self))
        app_config.before_send.append(self._dress)
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Learn a route's methods and terms; refuse to start with an operation that does not say who may call it."""
        if not isinstance(route, HTTPRoute):
            return
        self.methods.setdefault(route.path_format, set()).update(str(method) for method in route.methods)
        for handler in route.route_handlers:
            if handler.http_methods == {"OPTIONS"}:
                continue
            if not handler.opt.get("public") and not handler.opt.get("roles"):
                raise RuntimeError(f"{route.path_format}: the operation must be allow(...)ed to roles or public()")
            data = handler.parsed_fn_signature.parameters.get("data")
            if data is not None and not handler.opt.get("consumes"):
                handler.opt.setdefault("decoder", msgspec.json.Decoder(data.annotation))
                handler.opt.setdefault("body_required", not data.is_optional and not data.has_default)
            document_refusals(route, handler)
            for method in handler.http_methods:
                self.operations[route.path_format, str(method)] = handler

    async def _dress(self, message: Message, scope: Scope) -> None:
        """Headers of every answer, 404 and 500 too: before_send is the only hook that sees them all."""
        if message["type"] != "http.response.start":
            return
        sent = list(message["headers"])
        present = {name.lower() for name, _ in sent}
        sent += [pair for pair in self._headers if pair[0] not in present]
        if request_id := scope.get("state", {}).get("request_id"):
            sent.append((b"x-request-id", request_id.encode()))
        message["headers"] = sent


def seal(app: Litestar, contract: Contract) -> Litestar:
    """Finish the app: the frame before routing (request ids, HEAD like GET without body), and its own description."""
    app.asgi_handler = _Frame(app.asgi_handler, contract)
    if app.openapi_config is not None:
        harden_openapi(app.openapi_schema, contract.operations)
    return app


class _Frame:
    """Outermost: names the request, turns HEAD into GET and keeps the body back (RFC 9110 section 9.3.2)."""

    def __init__(self, app: ASGIApp, contract: Contract) -> None:
        self._app = app
        self._new_id = contract.new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
        scope["state"]["request_id"] = name = given if _REQUEST_ID.match(given) else self._new_id()
        clear_contextvars()
        bind_contextvars(request_id=name)
        if scope["method"] == "HEAD":
            await self._app(cast("HTTPScope", {**scope, "method": "GET"}), receive, _without_body(send))
        else:
            await self._app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            if message.get("more_body", False):
                return
            message = {**message, "body": b""}
        await send(message)

    return send_head


class _Gate:
    """Before every operation: the checks that need its terms but not its code."""

    def __init__(self, app: ASGIApp, contract: Contract) -> None:
        self._app = app
        self._contract = contract

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
        else:
            await self._let_in(scope, receive, send)

    async def _let_in(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":
            await self._answer_options(scope, send)
            return
        headers, terms = Headers.from_scope(scope), scope["route_handler"].opt
        if not terms.get("public"):
            scope["user"] = await self._contract.authenticate(headers.getall("Authorization", []))
            require_allowed(scope["user"], roles=terms["roles"], scopes=terms.get("scopes", frozenset()))
        _require_acceptable(headers, terms)
        _require_clean_query(scope, terms)
        _read_preconditions(scope, headers, terms)
        try:
            receive = await self._complete(scope, headers, terms, receive)
        except Disconnected:
            return  # nobody is left to answer
        await self._app(scope, receive, send)

    async def _answer_options(self, scope: HTTPScope, send: Send) -> None:
        methods = self._contract.methods.get(scope["path_template"], set())
        allow_value = problems.allow_header(sorted(methods)).encode()
        await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow_value)]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _complete(self, scope: HTTPScope, headers: Headers, terms: dict[str, Any], receive: Receive) -> Receive:
        """Take the body in, check it, and stamp the instant at which it was complete."""

        def stamp() -> None:
            scope["state"]["received_at"] = self._contract.now()

        contract = self._contract
        bytes_max = terms.get("body_bytes_max") or contract.body_bytes_max
        if terms.get("consumes"):
            bytes_max = min(bytes_max, contract.upload_bytes_max)
        has_body = headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers
        if scope["method"] not in WRITES or not (has_body or terms.get("body_required") or "Content-Type" in headers):
            stamp()
            return replayed(b"", receive)
        _require_media_type(headers, terms.get("consumes") or (JSON,))
        _require_announced_within(headers, bytes_max)
        if terms.get("consumes"):
            seconds_max = contract.upload_seconds_max
            return counted(receive, bytes_max=bytes_max, seconds_max=seconds_max, on_complete=stamp)
        body = await read_body(receive, bytes_max=bytes_max, seconds_max=contract.body_seconds_max)
        stamp()
        if body or terms.get("body_required"):
            require_clean_json(body)
        return replayed(body, receive)


def _require_acceptable(headers: Headers, terms: dict[str, Any]) -> None:
    """406 when the caller takes nothing of what we produce (RFC 9110 section 12.5.1)."""
    accept = ",".join(headers.getall("Accept", []))
    if not accept.strip():
        return
    ours = {JSON, problems.PROBLEM_JSON, *terms.get("produces", ())}
    ours |= {f"{media_type.partition('/')[0]}/*" for media_type in ours} | {"*/*"}
    for item in accept.split(","):
        media_range, _, parameters = item.partition(";")
        weights = re.findall(r"(?:^|;)\s*q\s*=\s*([0-9.]*)", parameters.lower())
        refused = any(weight.strip("0.") == "" for weight in weights)
        if media_range.strip().lower() in ours and not refused:
            return
    raise HTTPException(status_code=406)


def _require_media_type(headers: Headers, consumes: Iterable[str]) -> None:
    """415 unless the one Content-Type is ours: text/plain and form types would let a foreign page post JSON."""
    values = headers.getall("Content-Type", [])
    media_type, _, parameters = (values[0] if len(values) == 1 else "").partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]*)", parameters.lower())
    encoded = headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")
    if media_type.strip().lower() not in consumes or encoded or (charset and charset[1] not in ("utf-8", "utf8")):
        raise HTTPException(status_code=415, headers={"Accept": ", ".join(consumes)})


def _require_announced_within(headers: Headers, bytes_max: int) -> None:
    """413 before reading when the announced length is already too much."""
    announced = headers.get("Content-Length", "")
    if announced.isascii() and announced.isdigit() and (len(announced) > 15 or int(announced) > bytes_max):
        raise Refusal(
            "body_too_large", kind=Kind.TOO_LARGE, zh="请求内容过大", en="The body is too large", bytes_max=bytes_max
        )


def _require_clean_query(scope: HTTPScope, terms: dict[str, Any]) -> None:
    """Refuse a query or path that is not UTF-8, holds NUL or `null`, is endless, or names a parameter twice."""
    query = scope.get("query_string", b"")
    if len(query) > QUERY_BYTES_MAX:
        raise Refusal("query_too_long", kind=Kind.MALFORMED, zh="查询参数过长", en="The query is too long")
    names: set[str] = set()
    for pair in query.split(b"&") if query else ():
        name, value = (_unquoted(part) for part in pair.partition(b"=")[::2])
        if value.strip().lower() == "null":  # the reader would take it for a parameter that is left out
            raise Refusal(
                "null_parameter",
                kind=Kind.MALFORMED,
                zh="查询参数没有 null，不需要时请省略",
                en="There is no null in a query; leave the parameter out",
                parameter=name[:100],
            )
        if name and name in names and name not in terms.get("repeatable", ()):
            raise Refusal(
                "repeated_parameter",
                kind=Kind.MALFORMED,
                zh="同一查询参数出现多次",
                en="A query parameter appears twice",
                parameter=name[:100],
            )
        names.add(name)
    _unquoted(scope.get("raw_path", b"").partition(b"?")[0])


def _unquoted(text: bytes) -> str:
    try:
        value = unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(
            "invalid_utf8", kind=Kind.MALFORMED, zh="地址不是 UTF-8", en="The address is not UTF-8"
        ) from error
    require_clean_text(value, where="address")
    return value


def _read_preconditions(scope: HTTPScope, headers: Headers, terms: dict[str, Any]) -> None:
    if scope["method"] == "POST" and terms.get("idempotency_key", True):
        scope["state"]["idempotency_key"] = require_idempotency_key(headers.getall("Idempotency-Key", []))
    if terms.get("if_match") and (header := if_match(ASGIConnection(scope))) is not None:
        require_if_match_readable(header)
    if scope["method"] in WRITES and wants_dry_run(headers.getall("Prefer", [])):
        if not terms.get("dry_run"):
            raise Refusal(
                "dry_run_unsupported",
                kind=Kind.MALFORMED,
                zh="该操作不支持试运行",
                en="This operation cannot be tried without doing it",
            )
        scope["state"]["dry_run"] = True
