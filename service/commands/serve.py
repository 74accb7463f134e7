"""Serves until it is told to stop, and says first what to try."""

from __future__ import annotations

import gc
import signal
import sys
from dataclasses import replace
from typing import Final

import uvicorn
from litestar import Litestar

from service.api.head import BoundedHead
from service.app import configure_logs, create_app, lay_out_demo
from service.commands.migrate import is_current
from service.settings import Settings
from service.store.engine import DatabaseHeld

# Objects made before a collection, and collections before an older generation is walked. Choice: a reply makes about a
# thousand short-lived objects, and nearly all of them go by their counts.
GC_THRESHOLDS: Final = (20_000, 20, 20)


def run(settings: Settings, *, host: str | None, port: int | None) -> int:
    """Start one process; returns when it has stopped gracefully."""
    settings = replace(settings, host=host or settings.host, port=settings.port if port is None else port)
    gc.disable()  # until the server is made: what is built now stays, and walking it again and again costs a second
    configure_logs(settings.log_level)
    try:
        if not is_current(settings):
            print("intervention: the database is not at the newest schema; run `intervention migrate`", file=sys.stderr)
            return 2
        app = create_app(settings)
    except DatabaseHeld as held:
        print(
            f"intervention: {held} is held by another process. On SQLite exactly one process serves a file; stop the"
            " other one, or set DATABASE_URL to PostgreSQL, where any number may serve.",
            file=sys.stderr,
        )
        return 2
    if settings.demo:
        lay_out_demo(app)
    _say_what_to_try(settings)
    _end_with_0()
    server(app, settings).run()
    return 0


def _end_with_0() -> None:
    """Once uvicorn has stopped in order it raises the signal that stopped it again, for whoever was there before it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))


def server(app: Litestar, settings: Settings) -> uvicorn.Server:
    """The HTTP server as it was measured (stack.md): httptools, uvloop where there is one, bounded graceful stop."""
    gc.collect()
    gc.freeze()  # the compiled rules live as long as the process: no collection need walk them again
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="auto",
        http=BoundedHead,  # httptools, with bounds
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody here asks where a caller comes from
        date_header=True,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    return uvicorn.Server(config)


def _say_what_to_try(settings: Settings) -> None:
    base = f"http://{settings.host}:{settings.port}"
    lines = [f"Gongduan 公断 serves at {base}", f"  {base}/health/ready    {base}/schema/openapi.json"]
    if settings.demo:
        lines += [
            "DEMO: built-in issuer, anybody may be any demo user. Never use it for real.",
            "Try in another shell:",
            f"  .venv/bin/intervention demo --url {base}      # three stories, step by step",
            f"  curl -s -X POST {base}/v1/demo/tokens -H 'content-type: application/json' -d '{{\"user\": \"buyer\"}}'",
            '  echo \'{"id": 1, "text": "加我微信聊"}\' | .venv/bin/intervention moderate --platform taobao',
            '  echo \'{"id": 1, "asked_at": "2026-11-23T10:00:00", "question": null, "reply": "今天发货"}\''
            " | .venv/bin/intervention promises",
        ]
    print("\n".join(lines), flush=True)
