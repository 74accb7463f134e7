"""Runs one story for one request: its key's stored answer, the story, its plan, the answer, in one transaction.

The story runs in the database's own threads; the event loop only waits. What was answered to an Idempotency-Key is
written in the transaction of the story itself, so a crash leaves both or neither.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from litestar import Request, Response
from litestar.types import Receive, Scope, Send

from service.api import contract
from service.api.auth import actor
from service.domain.errors import Conflict, GuardFailed, Kind, Refusal
from service.domain.staff import Role
from service.flows.context import AnsweredBefore, Context, House, StoredAnswer
from service.flows.heard import Outcome
from service.flows.read_case import require_seat
from service.metrics import Metrics
from service.store import tables
from service.store.engine import Database, Transaction
from service.store.writes import Plan

T = TypeVar("T")
JSON = "application/json"
Story = Callable[[Context], T]


class Shaped(NamedTuple):
    """An answer as it goes out. `etag` is the revision of the representation, where it has one."""

    status: int
    body: object
    etag: int | None = None


Shape = Callable[[Context, T], Shaped]


class Awaited:
    """The answer of a story on its way from a thread of the database to the event loop."""

    __slots__ = ("_loop", "future")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def cancelled(self) -> bool:
        """Whether the caller has gone."""
        return self.future.cancelled()

    def set_result(self, result: Any) -> None:
        """Wake the caller with what the story returned."""
        self._tell(self.future.set_result, result)

    def set_exception(self, exception: BaseException | None) -> None:
        """Wake the caller with what it raised."""
        self._tell(self.future.set_exception, exception)

    def _tell(self, say: Callable[[Any], None], said: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            self._loop.call_soon_threadsafe(lambda: None if self.future.done() else say(said))


class Rendered(Response[Any]):
    """A body that is bytes already, sent as it is: half the cost of the general way."""

    def to_asgi_response(self, app: Any, request: Any, **_: Any) -> Any:
        """Head and body in ASGI messages."""
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self.content))]
        head += [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]

        async def send_all(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": self.status_code or 200, "headers": head})
            await send({"type": "http.response.body", "body": self.content, "more_body": False})

        return send_all


@dataclass(slots=True)
class Runner:
    """The database, the house and the clock, as the endpoints use them. `app.py` makes one."""

    database: Database
    house: House
    now: Callable[[], datetime]
    metrics: Metrics
    ticks: Callable[[], bool] = lambda: True
    in_flight: set[str] = field(default_factory=set)


def runner(request: Request[Any, Any, Any]) -> Runner:
    """The app's runner."""
    found = request.app.state.runner
    assert isinstance(found, Runner)
    return found


async def perform(
    request: Request[Any, Any, Any], story: Story[T | Refusal], shape: Shape[T], *, hot: bool = False
) -> Response[Any]:
    """Run a story that may change things.

    Args:
        story: returns its answer; a Refusal it *returns* (rather than raises) is said after its plan is written, for
            what is refused and recorded.
        shape: turns the answer into a body, seeing what was written (`hot`: not yet written).
        hot: the story reads once, by `read_for_reply`, and looks for the stored answer itself.

    Raises:
        Refusal: whatever the story refuses; 409 `idempotency_in_progress`, 422 `idempotency_key_reused`.
    """
    run, who, key = runner(request), actor(request), contract.idempotency_key(request)
    arrived, dry = contract.received_at(request), contract.dry_run(request)
    fingerprint = _fingerprint(request, await request.body())
    key_id = answer_id(who.subject, key)

    heard: list[Outcome] = []  # of the try that was kept

    def work(tx: Transaction) -> Response[Any] | Refusal:
        heard.clear()
        ctx = run.house.context(tx, actor=who, now=run.now(), received_at=arrived, cause=key)
        if not hot:
            _require_still_seated(ctx)
            if (stored := _stored(tx, key_id)) is not None:
                return replayed(stored, fingerprint)
        try:
            result = story(ctx)
        except AnsweredBefore as before:
            return replayed(before.stored, fingerprint)
        if isinstance(result, Outcome):
            heard.append(result)
        if hot:
            return _remembered(ctx, ctx.plan, result, shape, key_id, fingerprint)
        if not ctx.plan.is_empty:
            tx.apply([ctx.plan])
        return _remembered(ctx, Plan(), result, shape, key_id, fingerprint)

    if key_id in run.in_flight:
        raise Conflict(
            "idempotency_in_progress",
            zh="相同请求正在处理",
            en="The same request is being worked on",
            retry_after_seconds=1,
        )
    run.in_flight.add(key_id)
    try:
        answer = Awaited()
        run.database.queue(work, answer, alone=dry, one_statement=hot and not dry)
        answered: Response[Any] | Refusal = await answer.future
    finally:
        run.in_flight.discard(key_id)
    for outcome in heard:
        gravest = max(outcome.findings, key=lambda f: f.measure.rank, default=None)
        run.metrics.measures.labels(outcome.measure, gravest.category if gravest else "none").inc()
    if isinstance(answered, Refusal):
        raise answered
    if dry:
        answered.headers["Preference-Applied"] = "dry-run"
    return answered


async def look(request: Request[Any, Any, Any], story: Story[T], shape: Shape[T]) -> Response[Any]:
    """Run a story that only reads."""
    run, who, arrived = runner(request), actor(request), contract.received_at(request)

    def work(tx: Transaction) -> Response[Any]:
        ctx = run.house.context(tx, actor=who, now=run.now(), received_at=arrived)
        _require_still_seated(ctx)
        return _response(shape(ctx, story(ctx)))

    answer = Awaited()
    run.database.queue_read(work, answer)
    found: Response[Any] = await answer.future
    return found


def _require_still_seated(ctx: Context) -> None:
    """A shop's sub-account that was switched off sees and does nothing more, however good its token (edge case 57)."""
    if ctx.actor.role is Role.MERCHANT_SEAT:
        require_seat(ctx)


def answer_id(subject: str, key: str) -> str:
    """The primary key of a stored answer: keys of different callers never meet."""
    return f"{subject}|{key}"


def _fingerprint(request: Request[Any, Any, Any], body: bytes) -> str:
    scope = request.scope
    said = f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')}\n".encode()
    return hashlib.sha256(said + body).hexdigest()


def _stored(tx: Transaction, key_id: str) -> StoredAnswer | None:
    found = tx.rows("SELECT fingerprint, status, body FROM idempotency WHERE id = ?", (key_id,))
    return StoredAnswer(*found[0]) if found else None


def replayed(stored: StoredAnswer, fingerprint: str) -> Response[Any] | Refusal:
    """The stored answer again, to the same request.

    Raises:
        GuardFailed: `idempotency_key_reused`: the key was used for another request.
    """
    if stored.fingerprint != fingerprint:
        raise GuardFailed(
            "idempotency_key_reused", zh="该 Idempotency-Key 已用于其他请求", en="This key was used for another request"
        )
    if stored.status == 0:
        return _refusal_from(stored.body)
    kept = msgspec.json.decode(stored.body, type=_KeptAnswer)
    response = _response(Shaped(stored.status, kept.body, kept.etag))
    response.headers["Idempotency-Replayed"] = "true"
    return response


class _KeptAnswer(msgspec.Struct):
    body: msgspec.Raw
    etag: int | None = None


class _KeptRefusal(msgspec.Struct):
    code: str
    kind: str
    zh: str
    en: str
    facts: dict[str, Any]


def _refusal_from(body: str) -> Refusal:
    kept = msgspec.json.decode(body, type=_KeptRefusal)
    return Refusal(kept.code, kind=Kind(kept.kind), zh=kept.zh, en=kept.en, **kept.facts)


def _remembered(
    ctx: Context, plan: Plan, result: T | Refusal, shape: Shape[T], key_id: str, fingerprint: str
) -> Response[Any] | Refusal:
    """Shape the answer, store it with the key, and give it."""
    answer: Response[Any] | Refusal
    if isinstance(result, Refusal):
        answer, status = result, 0
        kept: msgspec.Struct = _KeptRefusal(result.code, result.kind.value, result.zh, result.en, result.facts)
    else:
        shaped = shape(ctx, result)
        answer, status = _response(shaped), shaped.status
        kept = _KeptAnswer(msgspec.Raw(answer.content), shaped.etag)
    plan.insert(
        tables.IdempotencyRow,
        id=key_id,
        fingerprint=fingerprint,
        status=status,
        body=msgspec.json.encode(kept).decode(),
        created_at=ctx.now,
    )
    ctx.tx.apply([plan])
    return answer


def _response(shaped: Shaped) -> Response[Any]:
    content = bytes(shaped.body) if isinstance(shaped.body, msgspec.Raw) else msgspec.json.encode(shaped.body)
    headers = {} if shaped.etag is None else {"ETag": f'"{shaped.etag}"'}
    return Rendered(content, status_code=shaped.status, media_type=JSON, headers=headers)
