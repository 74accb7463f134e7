"""The only place that wires: settings, database, rules, routes, the ticker, health, metrics. And the only clock."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from litestar import Litestar, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from uuid_utils import uuid7

from service.api import (
    approvals,
    buyer,
    contact_attempts,
    evidence,
    health,
    inquiries,
    intervention,
    merchant,
    messages,
    moderation_check,
    payments,
    promises,
    relays,
    reports,
    returns,
    rules,
    settlement,
    systems,
    tickets,
    views,
)
from service.api.auth import DEMO_ISSUER, ApiKey, Authenticator, TokenVerifier
from service.api.contract import Contract, seal
from service.api.issuer import DEMO_HEADERS, BuiltInIssuer, demo_router
from service.api.keyring import HttpJwks, JwksSource, KeyRing
from service.api.limits import RateLimiter
from service.api.observe import Observed
from service.api.perform import Runner
from service.api.terms import public
from service.api.tracing import Traced
from service.flows import (
    approve,
    give_evidence,
    hear_appeal,
    pay_refund,
    return_goods,
    watch_disputes,
    watch_inquiries,
    watch_promises,
    watch_tickets,
)
from service.flows import lay_out_demo as demo_shops
from service.flows.context import THE_CLOCK, House, Policies
from service.flows.pay_refund import pay_due
from service.flows.watch_windows import Decide
from service.metrics import Metrics
from service.rule_watch import RuleWatch
from service.settings import Settings
from service.store import people
from service.store.engine import Database, Transaction
from service.store.files import FolderStore
from service.store.payments import HttpGateway, PaymentGateway, SimulatedGateway
from service.store.relay_templates import load_relay_templates
from service.store.rulepacks import load_rule_book
from service.store.rules_in_force import RulesInForce
from service.ticker import Ticker

CLOCKED = (
    watch_inquiries,
    watch_tickets,
    watch_promises,
    return_goods,
    pay_refund,
    approve,
    give_evidence,
    hear_appeal,
    watch_disputes,
)
VERSION = "1.0.0"  # of the API
MODULES = (
    views,
    buyer,
    merchant,
    intervention,
    messages,
    contact_attempts,
    inquiries,
    tickets,
    promises,
    relays,
    reports,
    returns,
    moderation_check,
    systems,
    settlement,
    evidence,
    approvals,
    payments,
    rules,
)


def clock() -> datetime:
    """The one clock: UTC, microseconds."""
    return datetime.now(UTC)


def new_id() -> str:
    """A new UUIDv7."""
    return str(uuid7())


@dataclass(slots=True)
class Parts:
    """What the app is made of; the tests reach in here."""

    settings: Settings
    database: Database
    house: House
    metrics: Metrics
    ticker: Ticker
    rules: RulesInForce
    rule_watch: RuleWatch
    gateway: PaymentGateway


def create_app(settings: Settings, *, now: Callable[[], datetime] = clock, tick: bool = True) -> Litestar:
    """Wire everything.

    Args:
        now: the clock; tests move their own.
        tick: False leaves the ticker still, for tests that fire timers by hand.
    """
    parts = make_parts(settings, now)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
        await asyncio.to_thread(parts.rule_watch.begin)
        if tick:
            parts.ticker.start()
            parts.rule_watch.start()
        try:
            yield
        finally:  # graceful stop: requests have ended; finish the batch in hand, then what is queued
            await asyncio.to_thread(parts.ticker.stop)
            await asyncio.to_thread(parts.rule_watch.stop)
            await asyncio.to_thread(parts.database.close)

    headers, routers = {}, [Router("/v1", route_handlers=[h for m in MODULES for h in m.HANDLERS])]
    source: JwksSource
    if settings.demo:
        issuer_name = DEMO_ISSUER
        source = built_in = BuiltInIssuer(
            settings.demo_key_path, audience=settings.oidc_audience, now=now, new_id=new_id
        )
        headers = dict(DEMO_HEADERS)
        routers.append(demo_router(built_in))
    else:
        settings.require_identity()
        assert settings.oidc_issuer is not None, "require_identity has looked"
        assert settings.oidc_jwks_url is not None, "Settings has looked"
        issuer_name, source = settings.oidc_issuer, HttpJwks(settings.oidc_jwks_url)
    limiter = RateLimiter(settings.rate_limit_per_minute)
    contract = Contract(
        authenticate=limiter.counting(_authenticator(parts, source, issuer_name, now)),
        now=now,
        new_id=new_id,
        body_bytes_max=settings.body_bytes_max,
        body_seconds_max=float(settings.body_seconds_max),
        upload_bytes_max=settings.upload_bytes_max,
        upload_seconds_max=10.0 * settings.body_seconds_max,
        headers=headers,
    )
    app = Litestar(
        [*health.HANDLERS, *routers],
        plugins=[contract],
        openapi_config=openapi_config(),
        lifespan=[lifespan],
        before_send=[limiter.dress],
        debug=False,
        logging_config=None,
    )
    app.state.runner = Runner(
        parts.database, parts.house, now, parts.metrics, ticks=lambda: not tick or parts.ticker.alive
    )
    app.state.parts = parts
    app.state.gateway = parts.gateway
    app.state.rules = parts.rules
    app.state.rule_work = asyncio.Semaphore(1)
    app.state.payment_secrets = (settings.payment_gateway_secret,) if settings.payment_gateway_secret else ()
    app.state.systems_secrets = (settings.systems_secret,) if settings.systems_secret else ()
    app.asgi_handler = Traced(app.asgi_handler)
    sealed = seal(app, contract)
    sealed.asgi_handler = Observed(sealed.asgi_handler, parts.metrics)
    return sealed


def make_parts(settings: Settings, now: Callable[[], datetime]) -> Parts:
    """Everything behind the edge."""
    database = Database(settings.database_url, workers=settings.worker_threads)
    book = load_rule_book(settings.rules_dir)
    for platform in book.profiles:
        book.for_platform(platform)  # compiled before the first request
    in_force = RulesInForce(book, settings.rules_dir)
    house = House(
        rules=in_force,
        policies=Policies(),
        templates=load_relay_templates(settings.rules_dir / "templates" / "relay.toml"),
        files=FolderStore(settings.files_dir),
        new_id=new_id,
        new_salt=lambda: os.urandom(32),
        demo=settings.demo,
    )
    metrics = Metrics()
    gateway = _gateway(settings, now)
    ticker = Ticker(
        database,
        house,
        now=now,
        decisions=decisions(),
        pay=lambda: pay_due(house, database, gateway, now),
        metrics=metrics,
    )
    rule_watch = RuleWatch(database, house, in_force, now=now, metrics=metrics)
    return Parts(settings, database, house, metrics, ticker, in_force, rule_watch, gateway)


def lay_out_demo(app: Litestar) -> None:
    """Give the embedded demo its shops, where they are missing."""
    parts: Parts = app.state.parts

    def work(tx: Transaction) -> None:
        at = clock()
        ctx = parts.house.context(tx, actor=THE_CLOCK, now=at, received_at=at)
        if demo_shops.lay_out_demo(ctx):
            tx.apply([ctx.plan])

    parts.database.run(work)


def decisions() -> dict[str, Decide]:
    """Which story decides which timer; reply windows are decided by the sweep itself, all together."""
    known: dict[str, Decide] = {}
    for story in CLOCKED:
        for name, decide in story.DECISIONS.items():
            assert name not in known, f"{name} has two deciders"
            known[name] = decide
    return known


def _gateway(settings: Settings, now: Callable[[], datetime]) -> PaymentGateway:
    """The marketplace's payment gateway, or the simulated one of the embedded default, which survives a restart."""
    if settings.payment_gateway_url is not None and settings.payment_gateway_secret is not None:
        return HttpGateway(settings.payment_gateway_url, settings.payment_gateway_secret, clock=now)
    return SimulatedGateway(settings.files_dir.parent / "simulated-gateway.db")


class StoredApiKeys:
    """API keys of the marketplace's systems, from their table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of that id, expired ones too."""
        row = await asyncio.wrap_future(self._database.submit_read(lambda tx: people.api_key(tx.session, key_id)))
        if row is None:
            return None
        return ApiKey(bytes.fromhex(row.sha256), frozenset(row.scopes.split()), row.expires_at, row.id)


def _authenticator(parts: Parts, source: JwksSource, issuer: str, now: Callable[[], datetime]) -> Authenticator:
    return Authenticator(
        TokenVerifier(KeyRing(source, now=now), issuer=issuer, audience=parts.settings.oidc_audience, now=now),
        api_keys=StoredApiKeys(parts.database),
        environment=parts.settings.api_key_environment,
        now=now,
    )


def openapi_config() -> OpenAPIConfig:
    """The document that openapi/openapi.json must equal; served at /schema/openapi.json, no page that loads a CDN."""
    return OpenAPIConfig(
        title="Gongduan 公断",
        version=VERSION,
        description="Refund-dispute intervention for marketplaces: disputes, inquiries, promises, evidence, rulings.",
        create_examples=False,
        render_plugins=[JsonRenderPlugin()],
        openapi_router=Router("/schema", route_handlers=[], opt=public(), include_in_schema=False),
    )


def configure_logs(level: str) -> None:
    """One JSON line per event on standard error; no bodies, no cookies, no tokens."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_OneForm()], force=True)


class _OneForm(logging.Handler):
    """Brings what libraries log (uvicorn: a request that is no HTTP) into the one form of our own lines."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(record.levelno, record.getMessage(), exc_info=record.exc_info)
