"""One page of a list: its rows as they go out, the cursor of the next page, and the Link header."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from litestar import Request, Response

from service.api.paging import Keyset, Position, link_header
from service.api.perform import Shaped, look
from service.api.shapes import Page
from service.flows.context import Context

Row = TypeVar("Row")


async def look_page(
    request: Request[Any, Any, Any],
    path: str,
    read: Callable[[Context], Sequence[Row]],
    show: Callable[[Context, Row], object],
    *,
    keyset: Keyset,
    position: Callable[[Row], Position],
    limit: int,
    asked: Mapping[str, str | None] | None = None,
) -> Response[Any]:
    """Read one page and shape it.

    Args:
        path: of the list, for the links.
        read: gives up to `limit` rows and one more where there is another page.
        show: a row as it goes out.
        position: a row's sort key, of which the cursor is made.
        asked: the filters of the request; None ones are dropped from the links.
    """
    seen: list[str | None] = []

    def shape(ctx: Context, rows: Sequence[Row]) -> Shaped:
        seen.append(keyset.write(position(rows[limit - 1])) if len(rows) > limit else None)
        return Shaped(200, Page([show(ctx, row) for row in rows[:limit]], seen[-1]))

    response = await look(request, read, shape)
    response.headers["Link"] = link_header(path, {**(asked or {}), "limit": limit}, next_cursor=seen[-1])
    return response
