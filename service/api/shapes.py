"""Shapes that endpoints share: money, ids, bounded texts, pages, problems. What they say is what is enforced."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from msgspec import Meta, Struct, ValidationError, convert, field

from service.api.preconditions import END
from service.domain.errors import Kind, Refusal
from service.domain.transcript import rfc3339

T = TypeVar("T")

# No NUL: PostgreSQL cannot store it. A lone surrogate is no character at all; reading.py refuses it in every body, and
# naming it here would make the pattern one that validators in other languages cannot compile.
TEXT = r"^[^\u0000]*$"
AMOUNT_MINOR_MAX = 1_000_000_000_000  # choice: ten thousand million yuan; far below 2^53, exact in every JSON reader

INSTANT_LEAST = datetime(2000, 1, 1, tzinfo=UTC)  # choice
INSTANT_MOST = datetime(2199, 12, 31, tzinfo=UTC)  # choice

# Ids
Id = UUID  # ours, version 7; any version is read
MarketplaceId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=rf"^[0-9A-Za-z_.:-]+{END}",
        description="An id of the marketplace: order, order line, shop, seat, buyer",
    ),
]
CaseNumber = Annotated[str, Meta(pattern=rf"^RD-[0-9]{{8}}-[0-9]{{5,9}}{END}", description="RD-20261123-00042")]

# Texts: the bound is in code points
Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=rf"^[^\u0000-\u001f\u007f]+{END}")]
Note = Annotated[str, Meta(max_length=500, pattern=TEXT)]
Words = Annotated[str, Meta(min_length=1, max_length=5_000, pattern=TEXT)]

# Instants go out as RFC 3339 UTC with microseconds and come in with any offset
Instant = Annotated[
    str,
    Meta(
        pattern=rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}\.[0-9]{{6}}Z{END}",
        description="RFC 3339, UTC, microseconds",
    ),
]
InstantIn = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]
ClientClock = Annotated[str, Meta(max_length=64, pattern=TEXT, description="What the client's clock says; never used")]

AmountMinor = Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX, description="Minor units (fen)")]
Revision = Annotated[int, Meta(ge=0, le=2**53 - 1, description="Grows with every change; the ETag")]


class Money(Struct, forbid_unknown_fields=True, frozen=True):
    """An amount in minor units and its currency (ISO 4217)."""

    amount: AmountMinor
    currency: Annotated[str, Meta(pattern=rf"^[A-Z]{{3}}{END}")] = "CNY"


class Nothing(Struct, forbid_unknown_fields=True):
    """The address says all there is to say; the body is `{}`."""


class Page(Struct, Generic[T]):
    """One page of a list; `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None = None


class FieldError(Struct):
    """One thing wrong with a request, and where: an RFC 6901 pointer into that part of it."""

    part: Annotated[str, Meta(description="body, query, path, header or request")] = field(name="in")
    pointer: str
    message: str


class Problem(Struct):
    """RFC 9457 problem details; the facts of the refusal stand beside these members.

    Built as a plain mapping in problems.py; this is its description.
    """

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    code: Annotated[str, Meta(description="Stable; listed in docs/errors.md")]
    detail: str
    instance: str
    request_id: str | None = None
    errors: list[FieldError] = []
    revision: Revision = 0
    available_actions: list[dict[str, Any]] = []


def sane_instant(at: datetime) -> datetime:
    """An instant that came in, in UTC; one that no calendar of ours could show is refused.

    Raises:
        Refusal: 422 `instant_out_of_range`: before 2000 or after 2199.
    """
    if not INSTANT_LEAST <= at <= INSTANT_MOST:
        raise Refusal(
            "instant_out_of_range",
            kind=Kind.GUARD,
            zh="时间超出可用范围",
            en="Times lie between 2000 and 2199",
        )
    return at.astimezone(UTC)


def read_instant(text: str, *, name: str) -> datetime:
    """An instant from the query, where no reader looks at types, in UTC.

    Raises:
        Refusal: 400 `invalid`: not RFC 3339 with an offset; 422 `instant_out_of_range`, as `sane_instant`.
    """
    try:
        return sane_instant(convert(text, InstantIn))
    except ValidationError as error:
        told = {"in": "query", "pointer": f"/{name}", "message": str(error)}
        raise Refusal(
            "invalid", kind=Kind.MALFORMED, zh="请求内容不符合接口约定", en="Not as documented", errors=[told]
        ) from error


def instant_text(instant: datetime) -> str:
    """RFC 3339 in UTC, always six decimals: sorts as text the way it sorts as time."""
    return rfc3339(instant)
