"""The OpenAPI document says what the edge enforces: every refusal, every header, no member that is not named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIFormat,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)
from litestar.routes import HTTPRoute

from service.api.preconditions import IDEMPOTENCY_KEY, IF_MATCH
from service.api.problems import PROBLEM_JSON
from service.api.shapes import Problem

DESCRIPTION = {
    400: "The request does not match the contract",
    401: "Credentials are missing or not valid",
    403: "The role or scope does not allow it",
    404: "No such thing, or somebody else's",
    406: "The media type asked for is not produced",
    408: "The body took too long to arrive",
    409: "Conflicts with the present state",
    412: "If-Match names an older revision",
    413: "The body is too large",
    415: "The body is not of a media type we read",
    422: "A rule of the house says no",
    428: "If-Match is missing",
    429: "Too many requests",
    503: "Busy; try again",
}
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
WRITES = BODY_METHODS | {"DELETE"}
SECURITY = "BearerToken"


def document_refusals(route: HTTPRoute, handler: HTTPRouteHandler) -> None:
    """Add to an operation the statuses that its terms make possible; what it documents itself stays."""
    terms = handler.opt
    codes = {400, 406, 429, 503, *terms.get("errors", ())}
    if not terms.get("public"):
        codes |= {401, 403}
    if route.path_parameters:
        codes |= {404}
    if handler.http_methods & WRITES:
        codes |= {408, 409, 413, 415, 422}
    if terms.get("if_match"):
        codes |= {412, 428}
    refusals = {
        code: ResponseSpec(Problem, media_type=PROBLEM_JSON, description=DESCRIPTION[code], generate_examples=False)
        for code in sorted(codes)
    }
    handler.responses = {**refusals, **(handler.responses or {})}


def harden_openapi(document: OpenAPI, operations: Mapping[tuple[str, str], HTTPRouteHandler]) -> OpenAPI:
    """Say what Litestar cannot derive: header parameters, headers of answers, credentials, closed objects."""
    _close_objects(document)
    document.components.security_schemes = {
        SECURITY: SecurityScheme(
            type="http", scheme="bearer", description="An access token of the configured issuer, or an API key rk_..."
        )
    }
    for path, item in (document.paths or {}).items():
        for method in ("get", "post", "put", "patch", "delete"):
            operation: Operation | None = getattr(item, method)
            if operation is not None:
                _describe(operation, operations[path, method.upper()], method.upper())
    return document


def _describe(operation: Operation, handler: HTTPRouteHandler, method: str) -> None:
    terms: Mapping[str, Any] = handler.opt
    operation.security = [] if terms.get("public") else [{SECURITY: list[str]()}]
    for parameter in operation.parameters or []:
        _drop_null(parameter)
    operation.parameters = [*(operation.parameters or []), *_header_parameters(method, terms)] or None
    if terms.get("consumes"):
        operation.request_body = RequestBody(content=_raw(terms["consumes"]), required=True)
    for code, response in (operation.responses or {}).items():
        if isinstance(response, OpenAPIResponse):
            if code == "200" and terms.get("produces"):
                response.content = _raw(terms["produces"])
            response.headers = {**(response.headers or {}), **_headers(str(code), terms)}


def _raw(media_types: Iterable[str]) -> dict[str, OpenAPIMediaType]:
    """Bytes of any of these types."""
    raw = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
    return {media_type: OpenAPIMediaType(schema=raw) for media_type in media_types}


def _drop_null(parameter: Parameter | Reference) -> None:
    """A parameter of type `T | None` is left out or is a T; there is no way to write null in an address."""
    if not isinstance(parameter, Parameter) or not isinstance(parameter.schema, Schema):
        return
    outer, kinds = parameter.schema, parameter.schema.one_of or []
    real = [kind for kind in kinds if not (isinstance(kind, Schema) and kind.type == OpenAPIType.NULL)]
    if len(real) != 1 or len(kinds) != 2 or not isinstance(real[0], Schema):
        return
    outer.one_of = None
    for member in fields(real[0]):
        if getattr(outer, member.name) is None:  # bounds stand outside of the union, the type inside
            setattr(outer, member.name, getattr(real[0], member.name))


def _header_parameters(method: str, terms: Mapping[str, object]) -> Iterator[Parameter]:
    if method == "POST" and terms.get("idempotency_key", True):
        yield Parameter(
            name="Idempotency-Key",
            param_in="header",
            required=True,
            description="Yours, new for each intention; repeat it to repeat the request. Kept 7 days.",
            schema=Schema(type=OpenAPIType.STRING, min_length=8, max_length=64, pattern=IDEMPOTENCY_KEY),
        )
    if terms.get("if_match"):
        yield Parameter(
            name="If-Match",
            param_in="header",
            required=True,
            description="The ETag you have seen; 412 if it changed since, 428 without",
            schema=Schema(type=OpenAPIType.STRING, max_length=256, pattern=IF_MATCH),
        )
    if terms.get("dry_run"):
        yield Parameter(
            name="Prefer",
            param_in="header",
            required=False,
            description="`dry-run`: everything is checked and answered, nothing is kept (RFC 7240)",
            schema=Schema(type=OpenAPIType.STRING),
        )


def _headers(code: str, terms: Mapping[str, object]) -> dict[str, OpenAPIHeader]:
    text = Schema(type=OpenAPIType.STRING)
    headers = {"X-Request-Id": OpenAPIHeader(schema=text, required=True, description="Yours, or the one we gave")}
    if code == "401":
        headers["WWW-Authenticate"] = OpenAPIHeader(schema=text, required=True)
    if code in ("429", "503"):
        headers["Retry-After"] = OpenAPIHeader(schema=Schema(type=OpenAPIType.INTEGER), description="Seconds")
    if code.startswith("2") and terms.get("etag"):
        headers["ETag"] = OpenAPIHeader(schema=text, required=True, description="The revision")
    return headers


def _close_objects(document: OpenAPI) -> None:
    """additionalProperties: false wherever the reader forbids unknown fields."""
    schemas = document.components.schemas or {}
    for struct in _all_structs(msgspec.Struct):
        if not struct.__struct_config__.forbid_unknown_fields:
            continue
        for name in (struct.__name__, f"{struct.__module__}_{struct.__name__}".replace(".", "_")):
            schema = schemas.get(name)
            if schema is not None and set(schema.properties or {}) == set(struct.__struct_encode_fields__):
                schema.additional_properties = False


def _all_structs(base: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for struct in base.__subclasses__():
        yield struct
        yield from _all_structs(struct)
