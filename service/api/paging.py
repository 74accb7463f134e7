"""Lists by keyset: a cursor is the sort key of the last row seen, spelt so that a pattern can check it whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlencode
from uuid import UUID

from service.api.preconditions import END

LIMIT_MAX = 200  # api.md section 1
LIMIT_DEFAULT = 50  # choice
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Part = Literal["number", "instant", "uuid", "word"]
Position = int | datetime | UUID | str

_SPELLING: Mapping[Part, str] = {
    "number": "[0-9]{1,9}",  # up to 10^9 - 1: what is numbered here is an INTEGER column, below 2^31
    "instant": "[0-9]{1,16}",  # microseconds since 1970, up to the year 2286
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "word": "[0-9A-Za-z-]{1,64}",
}


class Keyset:
    """The sort key of one list, as cursor text and back.

    A cursor is checked, not signed: it can only say where to go on in rows that the reader may see anyway, and what
    the pattern of the query parameter lets through always reads. Give `pattern` to that parameter; a bad cursor is
    then refused as `invalid` (400) with every other bad parameter.

    Args:
        parts: the columns of ORDER BY, in order; the last one must make the key unique.
    """

    def __init__(self, *parts: Part) -> None:
        assert parts, "a list without an order has no pages"
        self._parts = parts
        self.pattern = "^" + "_".join(_SPELLING[part] for part in parts) + END

    def write(self, *position: Position) -> str:
        """The cursor that goes on after a row with this sort key."""
        assert len(position) == len(self._parts), "one value for each part of the key"
        return "_".join(_written(part, value) for part, value in zip(self._parts, position, strict=True))

    def read(self, cursor: str) -> tuple[Position, ...]:
        """The sort key that `pattern` has let through."""
        return tuple(_read(part, text) for part, text in zip(self._parts, cursor.split("_"), strict=True))


def link_header(path: str, query: Mapping[str, str | int | None], *, next_cursor: str | None) -> str:
    """Link (RFC 8288) to the first page and, where there is one, the next; relative to the host.

    Args:
        path: of this list.
        query: every parameter as asked for, the cursor left out or replaced here; None ones are dropped.
        next_cursor: None on the last page.
    """
    asked = {name: str(value) for name, value in query.items() if value is not None and name != "cursor"}
    links = {"first": asked}
    if next_cursor is not None:
        links["next"] = {**asked, "cursor": next_cursor}
    return ", ".join(
        f'<{path}{"?" if given else ""}{urlencode(sorted(given.items()))}>; rel="{relation}"'
        for relation, given in links.items()
    )


def _written(part: Part, value: Position) -> str:
    if part == "instant":
        assert isinstance(value, datetime), "an instant is a datetime"
        assert value.tzinfo is not None, "an instant knows its zone"
        return str((value - EPOCH) // timedelta(microseconds=1))
    return str(value)


def _read(part: Part, text: str) -> Position:
    match part:
        case "number":
            return int(text)
        case "instant":
            return EPOCH + timedelta(microseconds=int(text))
        case "uuid":
            return UUID(text)
    return text
