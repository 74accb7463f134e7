"""A caller's trace (W3C Trace Context): its id stands in every log line of the request."""

from __future__ import annotations

import re
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

_PARENT: Final = re.compile(rb"^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}\Z")


class Traced:
    """Binds `trace_id` and `parent_span_id`; a header that is no trace context is passed over, as the standard says."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the header, then go on."""
        if scope["type"] == ScopeType.HTTP:
            given = [value for name, value in scope["headers"] if name == b"traceparent"]
            if len(given) == 1 and (found := _PARENT.match(given[0])):
                bind_contextvars(trace_id=found[1].decode(), parent_span_id=found[2].decode())
        await self._app(scope, receive, send)
