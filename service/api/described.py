"""The OpenAPI document says what the edge enforces: every refusal, every header, no member that is not named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_origin

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
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

from service.api.examples import EXAMPLES
from service.api.links import link_operations
from service.api.preconditions import IDEMPOTENCY_KEY, IF_MATCH
from service.api.problems import PROBLEM_JSON
from service.api.shapes import Problem
from service.domain.staff import Role

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
    """Say what Litestar cannot derive: shapes as they are read, header parameters, headers of answers, credentials."""
    document.components.security_schemes = {
        SECURITY: SecurityScheme(
            type="http", scheme="bearer", description="An access token of the configured issuer, or an API key rk_..."
        )
    }
    described = list(_described(document, operations))
    for operation, handler, method in described:
        _describe(operation, handler, method)
    _say_shapes(document, described)
    _show_examples(operation for operation, _, _ in described)
    _share_refusals(document, described)
    link_operations({str(operation.operation_id): operation for operation, _, _ in described})
    return document


Described = tuple[Operation, HTTPRouteHandler, str]


def _described(document: OpenAPI, operations: Mapping[tuple[str, str], HTTPRouteHandler]) -> Iterator[Described]:
    for path, item in (document.paths or {}).items():
        for method in ("get", "post", "put", "patch", "delete"):
            operation: Operation | None = getattr(item, method)
            if operation is not None:
                yield operation, operations[path, method.upper()], method.upper()


def _describe(operation: Operation, handler: HTTPRouteHandler, method: str) -> None:
    terms: Mapping[str, Any] = handler.opt
    operation.security = [{SECURITY: named} for named in _who(terms)]
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


def _who(terms: Mapping[str, Any]) -> list[list[str]]:
    """Any of these roles, a system with its scopes; nobody in particular where an operation is public.

    OpenAPI 3.1 has role names in a security requirement for what is not OAuth.
    """
    scopes = sorted(terms.get("scopes", ()))
    roles: frozenset[Role] = terms.get("roles", frozenset())
    return [[role.value, *(scopes if role is Role.SYSTEM else [])] for role in Role if role in roles]


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


def _say_shapes(document: OpenAPI, described: Iterable[Described]) -> None:
    """Replace every shape by the reader's own description of it: each bound, each closed object, as it is enforced.

    Litestar's loses the bounds of an optional number and of the items of a list.
    """
    places: list[tuple[OpenAPIMediaType, Any]] = []
    for operation, handler, _ in described:
        data = handler.parsed_fn_signature.parameters.get("data")
        if data is not None and isinstance(operation.request_body, RequestBody):
            places += [(content, data.annotation) for content in operation.request_body.content.values()]
        for code, response in (operation.responses or {}).items():
            if isinstance(response, OpenAPIResponse):
                shape = _answered(handler, int(code))
                places += [(content, shape) for content in (response.content or {}).values()]
                _add_problem(int(code), response, places)
    structs = list(dict.fromkeys(struct for _, shape in places for struct in _structs(shape)))
    references, schemas = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    named = {struct: Reference(ref=given["$ref"]) for struct, given in zip(structs, references, strict=True)}
    for content, shape in places:
        told = [named[struct] for struct in _structs(shape)]
        if told:
            content.schema = told[0] if len(told) == 1 else Schema(any_of=told)
    document.components.schemas = dict(sorted(schemas.items()))


def _show_examples(operations: Iterable[Operation]) -> None:
    for operation in operations:
        body, example = operation.request_body, EXAMPLES.get(str(operation.operation_id))
        if example is not None and isinstance(body, RequestBody):
            for content in body.content.values():
                content.examples = {"usual": Example(value=example)}


def _answered(handler: HTTPRouteHandler, code: int) -> Any:
    """The type of an answer: as documented for its status, or as the handler returns it."""
    if code in (handler.responses or {}):
        return (handler.responses or {})[code].data_container
    returned = handler.parsed_fn_signature.return_type
    return returned.inner_types[0].annotation if returned.inner_types else returned.annotation


def _add_problem(code: int, response: OpenAPIResponse, places: list[tuple[OpenAPIMediaType, Any]]) -> None:
    """Where a refusal's status also has a body of the operation's own (a blocked text), it can still be a problem."""
    if code >= 400 and PROBLEM_JSON not in (response.content or {}):
        problem = OpenAPIMediaType()
        response.content = {**(response.content or {}), PROBLEM_JSON: problem}
        places.append((problem, Problem))


def _structs(shape: Any) -> list[Any]:
    """The shape itself, or the members of a union; nothing for what is no Struct (bytes)."""
    if isinstance(shape, UnionType):
        return [struct for member in get_args(shape) for struct in _structs(member)]
    kind = get_origin(shape) or shape
    return [shape] if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else []


def _share_refusals(document: OpenAPI, described: Iterable[Described]) -> None:
    """Every refusal stands once, under components."""
    shared: dict[str, OpenAPIResponse | Reference] = {}
    for operation, _, _ in described:
        for code, response in (operation.responses or {}).items():
            if isinstance(response, OpenAPIResponse) and PROBLEM_JSON in (response.content or {}):
                name = f"Problem{code}" if len(response.content or {}) == 1 else f"ProblemOrOutcome{code}"
                shared[name] = response
                assert operation.responses is not None, "it was just read"
                operation.responses[code] = Reference(ref=f"#/components/responses/{name}")
    document.components.responses = dict(sorted(shared.items()))
