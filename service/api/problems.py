"""Every no of the service as RFC 9457 problem+json: one table from kind to status, zh by default, en on request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.exceptions.base_exceptions import SerializationException
from litestar.types import ExceptionHandlersMap

from service.domain.errors import Kind, Refusal

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:gongduan:problem:"
RETRY_AFTER_SECONDS = 1  # choice: a busy writer is free again within a second
RESERVED = frozenset({"type", "title", "status", "code", "detail", "instance", "request_id"})

Language = Literal["zh", "en"]
log = structlog.get_logger(__name__)


class Answer(NamedTuple):
    """How one kind of refusal looks over HTTP."""

    status: int
    zh: str
    en: str


STATUS_OF: Mapping[Kind, Answer] = {
    Kind.MALFORMED: Answer(400, "请求无法识别", "The request cannot be read"),
    Kind.UNAUTHENTICATED: Answer(401, "需要有效的身份凭证", "Valid credentials are required"),
    Kind.FORBIDDEN: Answer(403, "没有权限", "Not allowed"),
    Kind.ABSENT: Answer(404, "没有找到", "Not found"),
    Kind.CONFLICT: Answer(409, "与当前状态冲突", "Conflicts with the present state"),
    Kind.STALE: Answer(412, "内容已被更新", "You have seen an older revision"),
    Kind.PRECONDITION_MISSING: Answer(428, "缺少 If-Match", "If-Match is required"),
    Kind.GUARD: Answer(422, "规则不允许", "A rule does not allow it"),
    Kind.TOO_LARGE: Answer(413, "内容过大", "Too large"),
    Kind.TOO_MANY: Answer(429, "请求过于频繁", "Too many requests"),
    Kind.BUSY: Answer(503, "系统繁忙，请稍后重试", "Busy, try again"),
}

# Statuses that HTTP itself knows and the domain does not; the code, then how it reads.
HTTP_ONLY: Mapping[int, tuple[str, Answer]] = {
    400: ("malformed", STATUS_OF[Kind.MALFORMED]),
    401: ("credentials_missing", STATUS_OF[Kind.UNAUTHENTICATED]),
    403: ("forbidden", STATUS_OF[Kind.FORBIDDEN]),
    404: ("not_found", STATUS_OF[Kind.ABSENT]),
    405: ("method_not_allowed", Answer(405, "不支持该请求方法", "Method not allowed")),
    406: ("not_acceptable", Answer(406, "无法提供所要求的格式", "We cannot produce the media type asked for")),
    408: ("body_too_slow", Answer(408, "请求内容接收超时", "The body took too long to arrive")),
    413: ("too_large", STATUS_OF[Kind.TOO_LARGE]),
    415: ("unsupported_media_type", Answer(415, "请使用 application/json", "Send application/json")),
    429: ("too_many", STATUS_OF[Kind.TOO_MANY]),
    503: ("busy", STATUS_OF[Kind.BUSY]),
}

# What is said before there is a request (api/head.py), in Chinese only.
HEAD_ONLY: Mapping[int, tuple[str, Answer]] = {
    400: ("malformed", STATUS_OF[Kind.MALFORMED]),
    408: ("head_too_slow", Answer(408, "请求头接收超时", "The head took too long to arrive")),
    431: ("head_too_large", Answer(431, "请求头过大", "The head is too large")),
}

INTERNAL = Answer(500, "系统内部错误", "Internal error")


def exception_handlers() -> ExceptionHandlersMap:
    """What to register on the app: refusals, HTTP's own errors, and everything unforeseen."""
    return {Refusal: on_refusal, HTTPException: on_http, Exception: on_unknown}


def on_refusal(request: Request[Any, Any, Any], refusal: Refusal) -> Response[dict[str, object]]:
    """Say no with the code, the facts and the headers that the kind asks for."""
    answer = STATUS_OF[refusal.kind]
    headers: dict[str, str] = {}
    if refusal.kind is Kind.UNAUTHENTICATED:
        error = "" if refusal.code == "credentials_missing" else ', error="invalid_token"'
        headers["WWW-Authenticate"] = f'Bearer realm="gongduan"{error}'
    if refusal.kind in (Kind.TOO_MANY, Kind.BUSY):
        headers["Retry-After"] = str(_retry_after(refusal.facts.get("retry_after_seconds")))
    log.info("refused", code=refusal.code, status=answer.status, method=request.method, path=_template(request))
    return problem(
        request, answer, code=refusal.code, zh=refusal.zh, en=refusal.en, facts=refusal.facts, headers=headers
    )


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, object]]:
    """Dress Litestar's own errors; its texts name internals, so only ours go out."""
    if error.status_code >= 500 and error.status_code not in HTTP_ONLY:
        return on_unknown(request, error)
    unknown = (f"http_{error.status_code}", Answer(error.status_code, "请求未被接受", "Not accepted"))
    code, answer = HTTP_ONLY.get(error.status_code, unknown)
    headers = {name.title(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 401:
        headers.setdefault("Www-Authenticate", 'Bearer realm="gongduan"')
    if error.status_code in (429, 503):
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if error.status_code == 405:
        headers["Allow"] = allow_header(headers.get("Allow", "").replace(" ", "").split(","))
    facts: dict[str, object] = {}
    if isinstance(error, ValidationException):
        code, facts = "invalid", {"errors": _field_errors(error)}
    elif isinstance(error.__cause__, SerializationException):
        code = "invalid_json"
    return problem(request, answer, code=code, facts=facts, headers=headers)


def on_unknown(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, object]]:
    """Tell the caller nothing and the operator everything."""
    log.error("unhandled", method=request.method, path=_template(request), exc_info=error)
    return problem(request, INTERNAL, code="internal")


def problem(
    request: Request[Any, Any, Any],
    answer: Answer,
    *,
    code: str,
    zh: str = "",
    en: str = "",
    facts: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[dict[str, object]]:
    """Build the body of RFC 9457 section 3; facts become extension members beside the standard ones."""
    language = preferred_language(request.headers.get("Accept-Language"))
    title = answer.zh if language == "zh" else answer.en
    detail = (zh or en) if language == "zh" else (en or zh)
    body: dict[str, object] = {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": answer.status,
        "code": code,
        "detail": detail or title,
        "instance": request.scope["path"],
    }
    if request_id := request.scope.get("state", {}).get("request_id"):
        body["request_id"] = request_id
    for name, value in (facts or {}).items():
        body[f"fact_{name}" if name in RESERVED else name] = value
    sent = {"Content-Language": "zh-CN" if language == "zh" else "en", "Vary": "Accept-Language", **(headers or {})}
    return Response(body, status_code=answer.status, media_type=PROBLEM_JSON, headers=sent)


def allow_header(methods: list[str]) -> str:
    """The value of Allow: every GET route answers HEAD too, every route answers OPTIONS."""
    known = {method for method in methods if method} | {"OPTIONS"}
    if "GET" in known:
        known.add("HEAD")
    return ", ".join(sorted(known))


def preferred_language(accept_language: str | None) -> Language:
    """zh unless the caller weighs en higher (RFC 9110 section 12.5.4); a tie goes to zh."""
    weights = {"zh": 0.0, "en": 0.0}
    for item in (accept_language or "")[:256].split(","):
        tag, _, parameter = item.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        if primary in weights:
            weights[primary] = max(weights[primary], _weight(parameter))
    return "en" if weights["en"] > weights["zh"] else "zh"


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


def _retry_after(seconds: object) -> int:
    """Whole seconds, rounded up so that the caller never comes back too early."""
    if isinstance(seconds, int | float) and math.isfinite(seconds) and seconds > 0:
        return math.ceil(seconds)
    return RETRY_AFTER_SECONDS


def _field_errors(error: ValidationException) -> list[dict[str, str]]:
    """Litestar's list as {in, pointer, message}; the pointer is RFC 6901 within that part of the request."""
    listed = error.extra if isinstance(error.extra, list) else []
    return [
        {
            "in": str(getattr(item.get("source"), "value", item.get("source")) or "request"),
            "pointer": "/" + str(item.get("key", "")).replace("~", "~0").replace("/", "~1"),
            "message": str(item.get("message", ""))[:500],
        }
        for item in listed
        if isinstance(item, dict)
    ]


def _template(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get("path_template", "(no route)"))
