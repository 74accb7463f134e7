"""What a request says in its headers before it acts: the revision it saw, which attempt it is, whether it means it."""

from __future__ import annotations

import re
from typing import Any

from litestar.connection import ASGIConnection

from service.domain.errors import Kind, Refusal

END = r"(?!\n)$"  # the very end in every dialect; Python's own $ lets one line feed through
IDEMPOTENCY_KEY = rf"^[0-9A-Za-z_-]{{8,64}}{END}"
IF_MATCH = rf'^(?:\*|(?:W/)?"[!#-~]{{0,64}}"(?:, ?(?:W/)?"[!#-~]{{0,64}}"){{0,15}}){END}'
_KEY = re.compile(IDEMPOTENCY_KEY)
_LIST = re.compile(IF_MATCH)
_TAG = re.compile(r'(W/)?"([!#-~]{0,64})"')


def etag(revision: int) -> str:
    """The strong entity tag of a representation (RFC 9110 section 8.8.3)."""
    return f'"{revision}"'


def if_match(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """The If-Match header, None if absent; several count as one list."""
    values = connection.headers.getall("If-Match", [])
    return ", ".join(values) if values else None


def require_if_match(header: str | None, revision: int) -> None:
    """Let only those act who have seen the present revision.

    `*` matches whatever is there (RFC 9110 section 13.1.1); a weak tag never matches, comparison is strong.

    Raises:
        Refusal: 428 `if_match_missing`, 412 `stale_revision` with the present one, 400 `if_match_malformed`.
    """
    if header is None:
        raise Refusal(
            "if_match_missing",
            kind=Kind.PRECONDITION_MISSING,
            zh="请在 If-Match 中给出所见版本的 ETag",
            en="Send the ETag you have seen as If-Match",
            revision=revision,
        )
    require_if_match_readable(header)
    if header.strip() == "*":
        return
    if any(not weak and opaque == str(revision) for weak, opaque in _TAG.findall(header)):
        return
    raise Refusal(
        "stale_revision",
        kind=Kind.STALE,
        zh="内容已被更新，请重新查看后再操作",
        en="It has changed since you saw it",
        revision=revision,
    )


def require_if_match_readable(header: str) -> None:
    """Refuse what is not `*` or a list of entity tags."""
    if not _LIST.match(header.strip()):
        raise Refusal(
            "if_match_malformed",
            kind=Kind.MALFORMED,
            zh="If-Match 格式错误",
            en="If-Match is not a list of entity tags",
        )


def require_idempotency_key(values: list[str]) -> str:
    """The Idempotency-Key of a POST (draft-ietf-httpapi-idempotency-key-header-07): 8 to 64 of 0-9 A-Z a-z _ -.

    The draft writes it as a quoted string; with or without quotes it is the same key.

    Raises:
        Refusal: 400 `idempotency_key_missing` or `idempotency_key_malformed`.
    """
    if not values:
        raise Refusal(
            "idempotency_key_missing",
            kind=Kind.MALFORMED,
            zh="缺少 Idempotency-Key",
            en="Send an Idempotency-Key; repeat it when you repeat the request",
        )
    key = values[0].strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if len(values) > 1 or not _KEY.match(key):
        raise Refusal(
            "idempotency_key_malformed",
            kind=Kind.MALFORMED,
            zh="Idempotency-Key 应为 8 至 64 位字母、数字、- 或 _",
            en="An Idempotency-Key has 8 to 64 letters, digits, - or _",
        )
    return key


def wants_dry_run(values: list[str]) -> bool:
    """True if a Prefer header (RFC 7240) asks for `dry-run`: check everything, keep nothing."""
    for preference in ",".join(values)[:1_024].split(","):
        if preference.partition(";")[0].partition("=")[0].strip().lower() == "dry-run":
            return True
    return False
