"""Reads a body before anyone parses it: bounded, UTF-8, shallow, no key twice, no text that a database would refuse."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

import msgspec
from litestar.exceptions import HTTPException
from litestar.types import Receive

from service.domain.errors import Kind, Refusal

DEPTH_MAX = 64  # choice: our deepest shape has 5 levels; a C parser's stack has thousands
WHOLE_MAX = 2**53  # beyond it a float no longer names one integer
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_AT = re.compile(r"^(?P<message>.*?)(?: - at `(?P<where>(?:key in )?\$.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


T = TypeVar("T")


class _Chunk(TypedDict):
    body: bytes
    more_body: bool


class Disconnected(Exception):
    """The caller went away while sending; there is nobody to answer."""


async def read_body(receive: Receive, *, bytes_max: int, seconds_max: float) -> bytes:
    """Collect the whole body, counting as it streams in.

    Raises:
        Refusal: `body_too_large` (413) as soon as one byte too many has arrived.
        HTTPException: 408 when the body is not complete after `seconds_max`.
        Disconnected: the caller left.
    """
    message = await _next(receive, seconds=seconds_max)
    body = message["body"]
    if not message["more_body"]:
        _require_within(len(body), bytes_max)
        return body
    chunks, count = [body], len(body)
    try:
        async with asyncio.timeout(seconds_max):
            while message["more_body"]:
                _require_within(count, bytes_max)
                message = await _next(receive, seconds=None)
                chunks.append(message["body"])
                count += len(message["body"])
    except TimeoutError as error:
        raise HTTPException(status_code=408) from error
    _require_within(count, bytes_max)
    return b"".join(chunks)


def counted(receive: Receive, *, bytes_max: int, seconds_max: float, on_complete: Callable[[], None]) -> Receive:
    """A `receive` for routes that stream (uploads): counts what passes and tells when the last byte is in.

    It refuses as `read_body` does: 413 for one byte too many, 408 when `seconds_max` are over.
    """
    count, complete = 0, False
    ends = asyncio.get_running_loop().time() + seconds_max

    async def receive_and_count() -> Any:
        nonlocal count, complete
        try:
            async with asyncio.timeout_at(None if complete else ends):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(status_code=408) from error
        if message["type"] == "http.request":
            count += len(message.get("body", b""))
            _require_within(count, bytes_max)
            if not message.get("more_body", False):
                complete = True
                on_complete()
        elif not complete:
            raise HTTPException(status_code=400)  # the caller left: said to nobody, and no alarm for the operator
        return message

    return receive_and_count


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands out the collected body once and then listens for the caller leaving."""
    pending = True

    async def receive_again() -> Any:
        nonlocal pending
        if pending:
            pending = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return receive_again


def require_clean_json(body: bytes) -> None:
    """Refuse what JSON parsers disagree about or die of; what passes means the same to all of them.

    Raises:
        Refusal: 400 with `invalid_utf8`, `too_deep`, `invalid_json`, `duplicate_key` or `unstorable_text`.
    """
    parse_clean_json(body)


def parse_clean_json(body: bytes) -> Any:
    """The value of the body, numbers left out (None): for checks, not for use."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(
            "invalid_utf8", kind=Kind.MALFORMED, zh="请求内容不是 UTF-8", en="The body is not UTF-8", offset=error.start
        ) from error
    _require_shallow(body)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_skip_number,
            parse_float=_skip_number,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise invalid_json(offset=error.pos) from error
    if "\\u" in text or "\x00" in text:  # only an escape can smuggle a NUL or half a surrogate pair past UTF-8
        _require_storable(value)
    return value


def decode_strictly(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Read a body as the decoder's type: no text is taken for a number, no member passed over.

    12.0 is the integer 12, as JSON Schema has it (draft 2020-12, validation 6.1.1); msgspec alone would not say so.

    Raises:
        Refusal: 400 `invalid` with the place, or `invalid_json`.
    """
    try:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError:
            return msgspec.convert(_with_whole_numbers(msgspec.json.decode(body)), decoder.type, strict=True)
    except msgspec.ValidationError as error:
        raise invalid_body(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid_json() from error


def clean_object(body: bytes) -> dict[str, Any]:
    """A clean JSON object from a party we do not trust.

    Raises:
        Refusal: not clean JSON.
        msgspec.DecodeError: not an object.
    """
    require_clean_json(body)
    return msgspec.json.decode(body, type=dict[str, Any])


def invalid_json(**facts: object) -> Refusal:
    """The one refusal for a body that is not JSON."""
    return Refusal("invalid_json", kind=Kind.MALFORMED, zh="请求内容不是合法的 JSON", en="Not valid JSON", **facts)


def invalid_body(error: msgspec.ValidationError) -> Refusal:
    """The refusal for JSON that does not fit the schema, pointing at the place (RFC 6901)."""
    found = _AT.match(str(error))
    message = found["message"] if found else str(error)
    return Refusal(
        "invalid",
        kind=Kind.MALFORMED,
        zh="请求内容不符合接口约定",
        en="The request does not match the contract",
        errors=[{"in": "body", "pointer": _pointer((found and found["where"]) or ""), "message": message[:500]}],
    )


def require_clean_text(value: str, *, where: str) -> None:
    """Refuse text with a NUL or half a surrogate pair: PostgreSQL cannot store it, UTF-8 cannot write it."""
    if _UNSTORABLE.search(value):
        raise Refusal(
            "unstorable_text",
            kind=Kind.MALFORMED,
            zh="文本含有无法保存的字符",
            en="Text holds a character that cannot be stored (NUL or a lone surrogate)",
            where=where,
        )


async def _next(receive: Receive, *, seconds: float | None) -> _Chunk:
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
    except TimeoutError as error:
        raise HTTPException(status_code=408) from error
    if message["type"] != "http.request":
        raise Disconnected
    return {"body": message.get("body", b""), "more_body": message.get("more_body", False)}


def _require_within(count: int, bytes_max: int) -> None:
    if count > bytes_max:
        raise Refusal(
            "body_too_large",
            kind=Kind.TOO_LARGE,
            zh="请求内容过大",
            en="The body is too large",
            bytes_max=bytes_max,
        )


def _require_shallow(body: bytes) -> None:
    """Count brackets outside of strings; no parser has seen the body yet."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_MAX:
            raise Refusal("too_deep", kind=Kind.MALFORMED, zh="嵌套层次过深", en="Nested too deep", depth_max=DEPTH_MAX)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        name = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # add returns None
        raise Refusal(
            "duplicate_key",
            kind=Kind.MALFORMED,
            zh="同一字段出现多次",
            en="The same key appears twice",
            key=name.encode("utf-8", "replace").decode()[:100],
        )
    return members


def _require_storable(value: object) -> None:
    if isinstance(value, str):
        require_clean_text(value, where="body")
    elif isinstance(value, dict):
        for name, member in value.items():
            require_clean_text(name, where="body")
            _require_storable(member)
    elif isinstance(value, list):
        for member in value:
            _require_storable(member)


def _with_whole_numbers(value: object) -> object:
    """The same value, floats without a fraction written as integers."""
    match value:
        case float() if value.is_integer() and abs(value) <= WHOLE_MAX:
            return int(value)
        case dict():
            return {name: _with_whole_numbers(member) for name, member in value.items()}
        case list():
            return [_with_whole_numbers(member) for member in value]
    return value


def _skip_number(_: str) -> None:
    """Numbers are judged by the typed reader; making them here would cost time squared in their length."""


def _refuse_constant(name: str) -> None:
    raise invalid_json(constant=name)  # NaN and Infinity are Python's, not JSON's


def _pointer(where: str) -> str:
    steps = [name or index for name, index in _STEP.findall(where)]
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
