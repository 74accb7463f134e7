"""Outermost of all: one log line and one count for every request, by route template, never by id, body or cookie."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any, Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import Metrics

log = structlog.get_logger("access")
SERIES_MAX: Final = 4096  # choice: operations times statuses are a few hundred
QUIET = ("/health/live", "/health/ready", "/metrics")  # asked every few seconds; counted, not logged


class Observed:
    """Wraps the finished app; `path_template` is what Litestar left on the scope once it had found the route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._counter = lru_cache(SERIES_MAX)(metrics.requests.labels)
        self._timing = lru_cache(SERIES_MAX)(metrics.request_seconds.labels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time the request and note how it ended."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Any, status: int, seconds: float) -> None:
        route = scope.get("path_template") or "unmatched"
        method = scope["method"] if route != "unmatched" else "any"
        self._counter(method, route, str(status)).inc()
        self._timing(route).observe(seconds)
        if route not in QUIET:
            log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))
