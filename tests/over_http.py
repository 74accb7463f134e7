"""The whole service over HTTP in one process: the embedded demo's people, a database, and a clock that is told."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from httpx import Response
from litestar.testing import TestClient

from service import app as wiring
from service.app import Parts, create_app, lay_out_demo
from service.settings import Settings
from service.store.rulepacks import RuleBook, load_rule_book
from tests.world import RULES, START, World, rule_book

SHOP = "demo-shop-1"
BUYER_ID = "demo-buyer-1"
compiled_lately = lru_cache(maxsize=2)(load_rule_book)


def compiled_once(rules_dir: Path) -> RuleBook:
    """The repository's own rules compiled once per process, for worlds of either kind; of others the last two."""
    return rule_book() if rules_dir.resolve() == RULES.resolve() else compiled_lately(rules_dir)


class HttpWorld(World):
    """A world whose stories are asked for over HTTP, as any of the demo users."""

    def __init__(self, url: str, folder: Path, rules_dir: Path = RULES) -> None:  # the app opens the database itself
        self.now = START
        self.numbers = itertools.count(1)
        settings = Settings(
            database_url=url,
            demo=True,
            demo_key_path=folder / "demo-key.pem",
            files_dir=folder / "files",
            worker_threads=4,
            rules_dir=rules_dir,
        )
        with wired_cheaply():
            self.app = create_app(settings, now=lambda: self.now, tick=False)
        parts: Parts = self.app.state.parts
        self.database, self.house = parts.database, parts.house
        lay_out_demo(self.app)
        self.client = TestClient(self.app, raise_server_exceptions=False)
        self.tokens: dict[str, str] = {}

    def as_(self, user: str, *, key: str | None = None, **headers: str) -> dict[str, str]:
        """Headers of a demo user, with a fresh Idempotency-Key unless one is given."""
        if user not in self.tokens:
            given = self.client.post("/v1/demo/tokens", json={"user": user})
            self.tokens[user] = given.json()["access_token"]
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        return {
            "Authorization": f"Bearer {self.tokens[user]}",
            "Idempotency-Key": key or f"key-{next(self.numbers):08d}",
            **own,
        }

    def get(self, user: str, path: str, **params: Any) -> Response:
        """Read something under /v1."""
        return self.client.get(f"/v1{path}", headers=self.as_(user), params=params)

    def post(
        self, user: str, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None, **headers: str
    ) -> Response:
        """Do something under /v1."""
        return self.client.post(f"/v1{path}", json=dict(body or {}), headers=self.as_(user, key=key, **headers))

    def act(
        self, user: str, dispute_id: str, action: str, body: Mapping[str, Any] | None = None, *, if_match: str = "*"
    ) -> Response:
        """Take an action of a dispute."""
        return self.post(user, f"/disputes/{dispute_id}/actions/{action}", body, If_Match=if_match)

    def place_order(self, line: str | None = None, **columns: Any) -> str:
        """An order of the demo's buyer in the demo's first shop; returns the line's id."""
        return super().place_order(line, **{"buyer": BUYER_ID, "shop": SHOP} | columns)

    def open_one(self, **changes: Any) -> str:
        """A dispute that the demo's buyer has just opened; returns its id."""
        body = {
            "order_line_id": changes.pop("order_line_id", None) or self.place_order(),
            "type": "refund_only",
            "reason": "not_as_described",
            "amount": {"amount": 12_900, "currency": "CNY"},
            "note": "颜色与图片不一样",
        } | changes
        answer = self.post("buyer", "/disputes", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


@contextmanager
def wired_cheaply() -> Iterator[None]:
    """The same rules, compiled once per process, and no document: tests/test_contract.py has that of the whole."""
    with (
        patch.object(wiring, "load_rule_book", compiled_once),
        patch.object(wiring, "openapi_config", lambda: None),
    ):
        yield


@contextmanager
def new_http_world(url: str, folder: Path, rules_dir: Path = RULES) -> Iterator[HttpWorld]:
    """A running service with the demo's shops, closed in the end."""
    world = HttpWorld(url, folder, rules_dir)
    with world.client:
        yield world


def done(answer: Response, status: int) -> Any:
    """The body of an answer that must have this status."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    return answer.json()
