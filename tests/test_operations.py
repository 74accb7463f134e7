"""Operating the service: health, metrics, logs, refusals at the start, and what a newcomer is told."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import URL, create_engine, make_url

from service import app as wiring
from service.__main__ import main
from service.api import health
from service.app import Parts, create_app
from service.settings import Settings
from service.store.engine import Transaction
from tests.conftest import NewDatabase, statements
from tests.over_http import compiled_once
from tests.proofs import Say
from tests.schema_snapshot import snapshot
from tests.serving import HOST, READY_SECONDS_MAX, ROOT, Server, command, environment, free_port

CANARY = "canary-7f3a"  # planted wherever a secret or somebody's words may stand
SECRET = "canaryCANARYcanaryCANARYcanaryCA"  # base64 of 24 bytes
GATEWAY_SECRET = f"whsec_{SECRET}"
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|demo-(buyer|shop|owner|agent|seat)|line-|order-|RD-\d|\d{5,}")


@dataclass
class Served:
    """A real `intervention serve` with everything it has said."""

    server: Server
    environ: dict[str, str]
    said: Path

    def post(self, user: str, path: str, body: object, **headers: str) -> httpx.Response:
        """Act as a demo user."""
        token = httpx.post(f"{self.server.url}/v1/demo/tokens", json={"user": user}).json()["access_token"]
        known = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"{CANARY}-{time.monotonic_ns()}"}
        return httpx.post(f"{self.server.url}{path}", json=body, headers=known | headers, timeout=30)

    def lines(self) -> list[str]:
        """What stands in its log so far."""
        return self.said.with_suffix(".err").read_text("utf-8").splitlines()

    def wait_for_line(self, *words: str) -> dict[str, object]:
        """The first line of the log with all of these words; it may take a moment to be written."""
        ends = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < ends:
            for line in self.lines():
                if all(word in line for word in words):
                    known: dict[str, object] = json.loads(line)
                    return known
            time.sleep(0.1)
        raise AssertionError(f"no line with {words}: {self.lines()[-5:]}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The embedded default as `make run` starts it: migrated, with demo data, its payment gateway away."""
    folder = tmp_path_factory.mktemp("served")
    port, dead = free_port(), free_port()
    environ = environment(f"sqlite:///{folder / 'gongduan.db'}", folder, port) | {
        "PAYMENT_GATEWAY_URL": f"http://{HOST}:{dead}/refunds",
        "PAYMENT_GATEWAY_SECRET": GATEWAY_SECRET,
    }
    with command(environ, "migrate", log=folder / "migrate.log") as migrating:
        assert migrating.wait(READY_SECONDS_MAX) == 0
    said = folder / "serve.log"
    with command(environ, "serve", log=said) as process:
        server = Server(process.pid, port, said)
        assert server.ready() is not None, said.with_suffix(".err").read_text()
        yield Served(server, environ, said)
        process.send_signal(signal.SIGTERM)
        assert process.wait(READY_SECONDS_MAX) == 0, "it stops in order"


# --- what is said at the start --------------------------------------------------------------------------------------


def test_serve_says_what_to_try_and_the_three_stories_play(served: Served, figure: Say, tmp_path: Path) -> None:
    """As a newcomer does it: read what `make run` prints, run that in another shell."""
    printed = served.said.read_text("utf-8")
    assert f"Gongduan 公断 serves at {served.server.url}" in printed
    assert "DEMO: built-in issuer" in printed
    words = re.search(r"intervention (demo --url \S+)", printed)
    assert words is not None

    with command({}, *words[1].split(), log=tmp_path / "demo.log") as playing:
        code = playing.wait(READY_SECONDS_MAX)

    story = (tmp_path / "demo.log").read_text("utf-8")
    assert code == 0, story
    assert "All three stories went as they must." in story
    figure(f"the demo took {len(story.splitlines())} steps")


def test_a_second_process_on_the_same_file_ends_with_2_and_says_what_to_do(served: Served, tmp_path: Path) -> None:
    """One process holds a SQLite file: neither a server nor a migration gets in beside it."""
    for words, advice in ((("serve",), "set DATABASE_URL to PostgreSQL"), (("migrate",), "stop it first")):
        log = tmp_path / f"{words[0]}.log"

        with command(served.environ | {"PORT": str(free_port())}, *words, log=log) as second:
            code = second.wait(READY_SECONDS_MAX)

        said = log.with_suffix(".err").read_text("utf-8")
        assert code == 2, said
        assert advice in said
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"PORT": "high"}, "PORT"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
        ({"DEMO": "1", "OIDC_ISSUER": "https://id.example", "OIDC_JWKS_URL": "https://id.example/keys"}, "DEMO"),
        ({"OIDC_ISSUER": "https://id.example"}, "OIDC_JWKS_URL"),
        ({"PAYMENT_GATEWAY_URL": "https://pay.example"}, "PAYMENT_GATEWAY_SECRET"),
        ({"WORKER_THREADS": "0"}, "WORKER_THREADS"),
        (
            {"PAYMENT_GATEWAY_URL": "https://pay.example", "PAYMENT_GATEWAY_SECRET": "whsec_ is not base64 so long"},
            "PAYMENT_GATEWAY_SECRET",
        ),
        ({"SYSTEMS_SECRET": "whsec_" + "A" * 24}, "SYSTEMS_SECRET"),
    ],
)
def test_a_setting_we_cannot_run_with_ends_with_2_and_its_name(
    environ: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line for the operator, no traceback, nothing opened."""
    for known in environment("", Path(), 0):
        monkeypatch.delenv(known, raising=False)
    for known, value in environ.items():
        monkeypatch.setenv(known, value)

    code = main(["serve"])

    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith(f"intervention: {name}: ")
    assert len(said.splitlines()) == 1


def test_serve_refuses_a_database_without_the_newest_schema(new_empty_sqlite: NewDatabase, tmp_path: Path) -> None:
    """It says which command brings it there."""
    log = tmp_path / "serve.log"

    with command(environment(new_empty_sqlite(), tmp_path, free_port()), "serve", log=log) as process:
        code = process.wait(READY_SECONDS_MAX)

    assert code == 2
    assert "run `intervention migrate`" in log.with_suffix(".err").read_text("utf-8")


def test_migrating_twice_is_harmless(
    new_empty_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second time nothing changes, neither the schema nor what stands in it, and no password is printed."""
    url = new_empty_database()
    for name, value in environment(url, tmp_path, 0).items():
        monkeypatch.setenv(name, value)
    engine = create_engine(url)
    assert main(["migrate"]) == 0
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO case_counter (day, last) VALUES ('20261123', 7)")
        before = snapshot(connection)

    code = main(["migrate"])

    assert code == 0
    with engine.connect() as connection:
        assert snapshot(connection) == before
        assert connection.exec_driver_sql("SELECT last FROM case_counter").scalar() == 7
    engine.dispose()
    assert "is at revision" in capsys.readouterr().out


# --- health ---------------------------------------------------------------------------------------------------------


@dataclass
class Hours:
    """The service in this process, with its ticker, and a clock that may go wrong."""

    client: TestClient
    parts: Parts
    skew: timedelta = timedelta(0)

    def ready(self) -> tuple[int, dict[str, str]]:
        """Status and checks."""
        answer = self.client.get("/health/ready")
        return answer.status_code, answer.json()["checks"]


def hours(url: str, folder: Path) -> Iterator[Hours]:
    """A ticking service; its clock is the real one plus a skew."""
    settings = Settings(database_url=url, demo=True, demo_key_path=folder / "key.pem", files_dir=folder / "files")
    with patch.object(wiring, "load_rule_book", compiled_once):
        app = create_app(settings, now=lambda: datetime.now(UTC) + running.skew)
    running = Hours(TestClient(app, raise_server_exceptions=False), app.state.parts)
    with running.client:
        yield running


@pytest.fixture
def running(database: str, tmp_path: Path) -> Iterator[Hours]:
    """On either engine."""
    yield from hours(database, tmp_path)


GOOD = {"database": "ok", "ticker": "ok", "clock": "ok"}


def test_ready_says_when_the_ticker_has_stopped(running: Hours) -> None:
    """A process that fires no timers must be replaced, and lives meanwhile."""
    assert running.ready() == (200, GOOD)

    running.parts.ticker.stop()

    assert running.ready() == (503, GOOD | {"ticker": "stopped"})
    assert running.client.get("/health/live").status_code == 200


@pytest.mark.parametrize("seconds", [0.7, -0.7])
def test_ready_says_when_our_clock_is_not_the_databases(running: Hours, seconds: float) -> None:
    """lifecycle.md section 4: above 500 ms, either way."""
    running.skew = timedelta(seconds=seconds)

    assert running.ready() == (503, GOOD | {"clock": "skewed"})

    running.skew = timedelta(0)
    assert running.ready() == (200, GOOD)


def test_a_database_that_answers_late_is_not_taken_for_one_with_another_clock(
    running: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for an answer is ours: only an instant outside of it tells of another clock."""
    rows = Transaction.rows

    def rows_late(tx: Transaction, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        found = rows(tx, statement, parameters)
        if statement in health.DATABASE_CLOCK.values():
            running.skew = timedelta(seconds=2)  # our clock goes on while the answer is on its way
        return found

    monkeypatch.setattr(Transaction, "rows", rows_late)

    assert running.ready() == (200, GOOD)


@pytest.mark.postgres
def test_ready_says_when_the_database_is_away_and_recovers_by_itself(
    new_postgres: NewDatabase, postgres: URL, tmp_path: Path
) -> None:
    """F3: connections are cut and refused, then let in again; nobody restarts the service."""
    url = new_postgres()
    name = make_url(url).database
    for running in hours(url, tmp_path):
        assert running.ready() == (200, GOOD)
        cut = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"

        statements(postgres, f'alter database "{name}" allow_connections false', cut)

        status, checks = running.ready()
        assert (status, checks["database"]) == (503, "down")
        assert running.client.get("/health/live").status_code == 200

        statements(postgres, f'alter database "{name}" allow_connections true')

        ends = time.monotonic() + READY_SECONDS_MAX
        while running.ready() != (200, GOOD):
            assert time.monotonic() < ends, running.ready()
            time.sleep(0.1)
        for _ in range(running.parts.settings.worker_threads * 2):  # every reader comes back
            assert running.ready() == (200, GOOD)
        given = running.client.post("/v1/demo/tokens", json={"user": "supervisor"}).json()["access_token"]
        lists = [
            running.client.get("/v1/disputes", headers={"Authorization": f"Bearer {given}"}).status_code
            for _ in range(running.parts.settings.worker_threads * 2)
        ]
        assert set(lists) == {200}


# --- metrics and logs -----------------------------------------------------------------------------------------------


def provoke(served: Served) -> str:
    """Requests of every kind, each with words and secrets in it that must appear nowhere; returns a dispute's id."""
    money = {"amount": 12_900, "currency": "CNY"}
    stamp = datetime.now(UTC)
    number = f"order-{stamp:%H%M%S%f}"
    line = {"id": f"line-{number}", "title": f"{CANARY} 衬衫", "quantity": 1, "paid": money, "refundable": money}
    order = {"id": number, "merchant_id": "demo-shop-1", "buyer_id": "demo-buyer-1", "updated_at": stamp.isoformat()}
    assert served.post("marketplace", "/v1/orders", order | {"lines": [line]}).status_code == 200
    claim = {"order_line_id": line["id"], "type": "refund_only", "reason": "not_as_described", "amount": money}
    opened = served.post("buyer", "/v1/disputes", claim | {"note": f"{CANARY} 破洞"}, Cookie=f"session={CANARY}")
    assert opened.status_code == 201, opened.text
    dispute = str(opened.json()["id"])
    actions = f"/v1/disputes/{dispute}/actions"
    bad = {"reason": "other", "message": f"{CANARY} 你是不是有病"}
    assert served.post("owner", f"{actions}/seller-refuse", bad, **{"If-Match": "*"}).status_code == 403
    assert served.post("owner", f"{actions}/seller-agree-refund", {}, **{"If-Match": "*"}).status_code == 200
    url = served.server.url
    answers = [
        httpx.get(f"{url}/v1/disputes/{CANARY}"),
        httpx.get(f"{url}/nowhere/{CANARY}?q={CANARY}", headers={"Cookie": CANARY}),
        httpx.get(f"{url}/v1/disputes", headers={"Authorization": f"Bearer {CANARY}"}),
        httpx.post(f"{url}/v1/disputes", content=b'{"note": "' + CANARY.encode(), headers={"Idempotency-Key": CANARY}),
        served.post("buyer", f"/v1/disputes?{CANARY}=1", {"unknown": CANARY}),
    ]
    assert all(400 <= answer.status_code < 500 for answer in answers), [answer.text for answer in answers]
    with socket.create_connection((HOST, served.server.port)) as raw:
        raw.sendall(f"{CANARY} this is not HTTP\r\nAuthorization: {CANARY}\r\n\r\n".encode())
        raw.settimeout(30)
        assert b"400" in raw.recv(1_000)
    return dispute


def test_log_lines_are_json_and_hold_no_body_token_cookie_or_secret(served: Served) -> None:
    """S14, S8: canaries planted in bodies, tokens, cookies, paths, queries, keys, and in the gateway's secret."""
    dispute = provoke(served)
    silent = served.wait_for_line("gateway_silent")

    lines = served.lines()

    assert silent["level"] == "warning"
    for line in lines:
        event = json.loads(line)
        assert {"event", "level", "timestamp"} <= set(event), line
        assert CANARY not in line
        assert SECRET not in line
        assert dispute not in line or event["event"] != "request", "the path is told by its template"
        assert "eyJ" not in line, "a token"
    routes = {json.loads(line).get("route") for line in lines}
    assert {"/v1/disputes", "/v1/disputes/{dispute_id}/actions/seller-refuse", "unmatched"} <= routes
    assert CANARY not in served.said.read_text("utf-8")


def test_metrics_have_the_names_of_the_manual_and_no_label_holds_an_id(served: Served) -> None:
    """Labels are few words: routes by template, measures, categories."""
    provoke(served)
    manual = (ROOT / "docs" / "operations.md").read_text("utf-8")

    exposed = httpx.get(f"{served.server.url}/metrics")

    families = list(text_string_to_metric_families(exposed.text))
    named = {re.sub(r"_total$", "", name) for name in re.findall(r"`(gongduan_\w+)", manual)}
    assert {family.name for family in families if not family.name.endswith("_created")} == named
    labels = {value for family in families for sample in family.samples for value in sample.labels.values()}
    assert not [value for value in labels if ID.search(value)], labels
    assert CANARY not in exposed.text
    assert "/v1/disputes/{dispute_id}/actions/seller-refuse" in labels
    assert any(family.name == "gongduan_measures" and family.samples for family in families)
    assert len(labels) < 200


def test_a_request_id_is_taken_sent_back_and_logged_or_made(served: Served) -> None:
    """8 to 64 plain characters are taken; anything else is replaced, and does not reach the log."""
    url, forged = f"{served.server.url}/v1/disputes", "forged id with blanks"

    taken = httpx.get(url, headers={"X-Request-Id": "checkout-0042.a_b"})
    made = httpx.get(url, headers={"X-Request-Id": forged})

    assert taken.headers["X-Request-Id"] == "checkout-0042.a_b"
    assert re.fullmatch(r"[0-9A-Za-z._-]{8,64}", made.headers["X-Request-Id"])
    assert served.wait_for_line("checkout-0042.a_b", '"event": "request"')["status"] == 401
    assert served.wait_for_line(made.headers["X-Request-Id"], '"event": "request"')["status"] == 401
    assert not [line for line in served.lines() if forged in line]


# --- stopping and starting ------------------------------------------------------------------------------------------


def test_a_real_start_is_ready_and_sigterm_ends_it_with_0(new_postgres_url: str, tmp_path: Path, figure: Say) -> None:
    """F2 and F17 on PostgreSQL with the command itself; the time to ready is printed, not judged."""
    port = free_port()
    environ = environment(new_postgres_url, tmp_path, port)

    with command(environ, "serve", log=tmp_path / "serve.log") as process:
        server = Server(process.pid, port, tmp_path / "serve.log")
        seconds = server.ready()
        process.send_signal(signal.SIGTERM)
        code = process.wait(READY_SECONDS_MAX)

    assert seconds is not None
    assert code == 0
    figure(f"a cold start to ready took {seconds:.1f} s")


@pytest.fixture
def new_postgres_url(new_empty_postgres: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A migrated PostgreSQL database."""
    url = new_empty_postgres()
    for name, value in environment(url, tmp_path, 0).items():
        monkeypatch.setenv(name, value)
    assert main(["migrate"]) == 0
    return url
