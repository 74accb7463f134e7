"""How often one caller may ask: a bucket for each subject, in this process, that refills all the time."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Final, NamedTuple

from litestar.types import Message, Scope

from service.api.auth import Authenticate
from service.domain.errors import Kind, Refusal
from service.domain.staff import Actor

WINDOW_SECONDS: Final = 60
SUBJECTS_MAX: Final = 10_000  # choice: whoever has not asked for longest is forgotten, and starts anew


class Standing(NamedTuple):
    """What is left to a caller now, and in how many seconds all of it is there again."""

    left: int
    full_in_seconds: int


class RateLimiter:
    """Counts for one process; with several processes each lets through as much.

    Args:
        per_minute: requests of one subject, all at once or spread; 0 counts nothing.
        monotonic: seconds that never go back.
    """

    def __init__(self, per_minute: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = per_minute
        self._rate = per_minute / WINDOW_SECONDS
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # subject: what was left, and when
        self._standing: ContextVar[Standing | None] = ContextVar("rate_limit", default=None)  # of this request
        self._policy = f'"subject";q={per_minute};w={WINDOW_SECONDS}'.encode()

    def counting(self, authenticate: Authenticate) -> Authenticate:
        """The same authentication, counted once it has told who asks: nobody uses up what is another's."""
        if self._most == 0:
            return authenticate

        async def counted(authorization: Sequence[str]) -> Actor:
            who = await authenticate(authorization)
            self.take(who.subject)
            return who

        return counted

    def take(self, subject: str) -> Standing:
        """Count one request.

        Raises:
            Refusal: 429 `too_many` with `retry_after_seconds`.
        """
        at, most = self._monotonic(), float(self._most)
        left, since = self._buckets.get(subject, (most, at))
        left = min(most, left + (at - since) * self._rate)
        allowed = left >= 1
        if allowed:
            left -= 1
        self._buckets[subject] = (left, at)
        self._buckets.move_to_end(subject)
        if len(self._buckets) > SUBJECTS_MAX:
            self._buckets.popitem(last=False)
        standing = Standing(int(left), math.ceil((most - left) / self._rate))
        self._standing.set(standing)
        if not allowed:
            wait_seconds = (1 - left) / self._rate
            raise Refusal(
                "too_many",
                kind=Kind.TOO_MANY,
                zh="请求过于频繁,请稍后再试",
                en="Too many requests; wait a little",
                retry_after_seconds=wait_seconds,
            )
        return standing

    async def dress(self, message: Message, _: Scope) -> None:
        """`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) on every counted answer."""
        standing = self._standing.get()
        if message["type"] != "http.response.start" or standing is None:
            return
        left = f'"subject";r={standing.left};t={standing.full_in_seconds}'.encode()
        message["headers"] = [*message["headers"], (b"ratelimit-policy", self._policy), (b"ratelimit", left)]
