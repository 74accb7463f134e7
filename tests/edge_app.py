"""A tiny app on the edge kit: the whole contract with nothing behind it, for test_edge.py and test_auth.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from litestar import Litestar, Request, Response, Router, get, patch, post, put
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.testing import TestClient

from service.api.auth import DEMO_ISSUER, ApiKey, Authenticator, TokenVerifier, actor
from service.api.contract import Contract, seal
from service.api.issuer import DEMO_HEADERS, BuiltInIssuer, demo_router
from service.api.keyring import JwksSource, KeyRing
from service.api.paging import LIMIT_DEFAULT, LIMIT_MAX, Keyset, link_header
from service.api.preconditions import etag, if_match, require_if_match
from service.api.shapes import InstantIn, MarketplaceId, Money, Note, Page, Words, instant_text
from service.api.terms import allow, dry_run, idempotency_key, public, received_at
from service.domain.errors import Absent, GuardFailed, Kind, Refusal, WindowClosed
from service.domain.staff import Role

AUDIENCE = "gongduan-test"
PERSONS = tuple(role for role in Role if role is not Role.SYSTEM)
LISTING = Keyset("instant", "uuid")


@dataclass
class Clock:
    """A clock that stands still until it is told to go on."""

    at: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **step: float) -> None:
        self.at += timedelta(**step)


class StoredKeys:
    """API keys in a dictionary."""

    def __init__(self, keys: dict[str, ApiKey] | None = None) -> None:
        self.keys = keys or {}

    async def find(self, key_id: str) -> ApiKey | None:
        return self.keys.get(key_id)


class CaseIn(msgspec.Struct, forbid_unknown_fields=True):
    order_line: MarketplaceId
    amount: Money
    words: Words
    note: Note | None = None
    happened_at: InstantIn | None = None


class CaseOut(msgspec.Struct):
    id: UUID
    order_line: MarketplaceId
    amount: Money
    words: Words
    note: Note | None
    revision: int
    received_at: str
    kept: bool


class CaseChange(msgspec.Struct, forbid_unknown_fields=True):
    words: Words


def make_app(
    *,
    clock: Clock,
    key_path: Path | None = None,
    jwks: JwksSource | None = None,
    issuer: str = DEMO_ISSUER,
    api_keys: StoredKeys | None = None,
    extra: tuple[Any, ...] = (),
    **bounds: Any,
) -> Litestar:
    """Build the app on the built-in issuer (`key_path`) or on another source of keys (`jwks`)."""
    source, routers, headers = jwks, list(extra), {}
    if key_path is not None:
        source = built_in = BuiltInIssuer(key_path, audience=AUDIENCE, now=clock, new_id=lambda: uuid4().hex)
        routers, headers = [demo_router(built_in), *extra], dict(DEMO_HEADERS)
    assert source is not None, "an app without keys knows nobody"
    authenticate = Authenticator(
        TokenVerifier(KeyRing(source, now=clock), issuer=issuer, audience=AUDIENCE, now=clock),
        api_keys=api_keys or StoredKeys(),
        environment="test",
        now=clock,
    )
    contract = Contract(authenticate=authenticate, now=clock, headers=headers, **bounds)
    openapi = OpenAPIConfig(
        title="edge",
        version="1",
        create_examples=False,
        render_plugins=[JsonRenderPlugin()],
        openapi_router=Router("/schema", route_handlers=[], opt=public(), include_in_schema=False),
    )
    app = Litestar([*case_handlers(), *routers], plugins=[contract], openapi_config=openapi)
    return seal(app, contract)


def case_handlers() -> list[Any]:
    """Handlers over one dictionary, new for each app."""
    cases: dict[UUID, CaseOut] = {}
    return [*_writers(cases), *_readers(cases), get_who, get_broken, get_refusal, post_echo, put_bytes]


def _writers(cases: dict[UUID, CaseOut]) -> list[Any]:
    @post("/v1/cases", opt=allow(Role.BUYER, dry_run=True, etag=True), operation_id="createCase", summary="Open")
    async def create_case(request: Request[Any, Any, Any], data: JSONBody[CaseIn]) -> Response[CaseOut]:
        assert idempotency_key(request)
        kept = not dry_run(request)
        case = CaseOut(
            uuid4(), data.order_line, data.amount, data.words, data.note, 1, instant_text(received_at(request)), kept
        )
        if kept:
            cases[case.id] = case
        return Response(case, headers={"ETag": etag(1), **({} if kept else {"Preference-Applied": "dry-run"})})

    @patch("/v1/cases/{case_id:uuid}", opt=allow(Role.BUYER, if_match=True), operation_id="changeCase", summary="Edit")
    async def change_case(
        request: Request[Any, Any, Any], case_id: FromPath[UUID], data: JSONBody[CaseChange]
    ) -> CaseOut:
        case = _found(cases, case_id)
        require_if_match(if_match(request), case.revision)
        cases[case_id] = msgspec.structs.replace(case, words=data.words, revision=case.revision + 1)
        return cases[case_id]

    @post("/v1/cases/{case_id:uuid}/close", opt=allow(Role.BUYER), operation_id="closeCase", summary="Close")
    async def close_case(case_id: FromPath[UUID]) -> CaseOut:
        return _found(cases, case_id)

    return [create_case, change_case, close_case]


def _readers(cases: dict[UUID, CaseOut]) -> list[Any]:
    @get("/v1/cases", opt=allow(*PERSONS), operation_id="listCases", summary="List")
    async def list_cases(
        limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        cursor: Annotated[str | None, QueryParameter(pattern=LISTING.pattern)] = None,
    ) -> Response[Page[CaseOut]]:
        after = LISTING.read(cursor) if cursor is not None else None
        ordered = sorted(cases.values(), key=_sort_key)
        rest = [case for case in ordered if after is None or _sort_key(case) > after]
        last = rest[limit - 1] if len(rest) > limit else None
        next_cursor = LISTING.write(*_sort_key(last)) if last is not None else None
        links = link_header("/v1/cases", {"limit": limit}, next_cursor=next_cursor)
        return Response(Page(rest[:limit], next_cursor), headers={"Link": links})

    @get("/v1/cases/{case_id:uuid}", opt=allow(*PERSONS, etag=True), operation_id="getCase", summary="One")
    async def get_case(case_id: FromPath[UUID]) -> Response[CaseOut]:
        case = _found(cases, case_id)
        return Response(case, headers={"ETag": etag(case.revision)})

    return [list_cases, get_case]


def _sort_key(case: CaseOut) -> tuple[datetime, UUID]:
    return datetime.fromisoformat(case.received_at), case.id


def _found(cases: dict[UUID, CaseOut], case_id: UUID) -> CaseOut:
    if case_id not in cases:
        raise Absent("case")
    return cases[case_id]


@get("/v1/who", opt=allow(*Role, scopes=("who:read",)), operation_id="getWho", summary="Who asks")
async def get_who(request: Request[Any, Any, Any]) -> dict[str, Any]:
    who = actor(request)
    return {"role": who.role, "subject": who.subject, "merchant_id": who.merchant_id, "seat_id": who.seat_id}


@get("/v1/broken", opt=public(), include_in_schema=False)
async def get_broken() -> None:
    raise ZeroDivisionError("canary-in-the-message")


REFUSALS: dict[str, Callable[[], Refusal]] = {
    **{kind.value: partial(Refusal, "code_of_kind", kind=kind, zh="不行", en="No") for kind in Kind},
    "window": lambda: WindowClosed(due_at="2026-11-23T08:00:00.000000Z", received_at="2026-11-23T08:00:00.000001Z"),
    "guard-by-name": lambda: GuardFailed("same_person", status="shadowed", revision=7, available_actions=[]),
    "rate": lambda: Refusal("too_many", kind=Kind.TOO_MANY, retry_after_seconds=2.1),
}


@get("/v1/refusals/{name:str}", opt=public(), include_in_schema=False)
async def get_refusal(name: FromPath[str]) -> None:
    raise REFUSALS[name]()


@post("/v1/echo", opt=public(idempotency_key=False), include_in_schema=False)
async def post_echo(data: JSONBody[Any]) -> dict[str, Any]:
    return {"echo": data}


@put("/v1/bytes", opt=public(consumes=("application/octet-stream",), body_bytes_max=1_000), include_in_schema=False)
async def put_bytes(request: Request[Any, Any, Any]) -> dict[str, Any]:
    count = len(await request.body())
    return {"bytes": count, "received_at": instant_text(received_at(request))}


# what tests of the edge ask for

VECTORS = Path(__file__).resolve().parents[2] / "shared" / "vectors"
KEY = {"Idempotency-Key": "attempt-0001"}
CASE = {"order_line": "L-1", "amount": {"amount": 12_900}, "words": "今天发货"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stored() -> StoredKeys:
    return StoredKeys()


@pytest.fixture
def app(clock: Clock, tmp_path: Path) -> Litestar:
    return make_app(clock=clock, key_path=tmp_path / "key.pem", body_bytes_max=64_000, body_seconds_max=0.3)


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Litestar]]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def buyer(client: TestClient[Litestar]) -> dict[str, str]:
    return bearer(client, "buyer")


def bearer(client: TestClient[Litestar], user: str) -> dict[str, str]:
    token = client.post("/v1/demo/tokens", json={"user": user}).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def posted(client: TestClient[Litestar], body: bytes, path: str = "/v1/echo", **headers: str) -> httpx.Response:
    return client.post(path, content=body, headers={"Content-Type": "application/json", **headers})
