"""The payment gateway: asked over HTTP it is believed only where it is clear; on this machine a key pays once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service.store import payments
from service.store.payments import (
    GatewaySilent,
    GatewayStatus,
    HttpGateway,
    KeyReused,
    Outcome,
    Payment,
    SimulatedGateway,
    Submitted,
)
from service.store.signing import require_signature

NOW = datetime(2026, 5, 20, 9, 30, 0, 123_456, tzinfo=UTC)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


# --- over HTTP -------------------------------------------------------------------------------------------------------


@dataclass
class Stub:
    """Another party's network: answers what the test says, and remembers what it was asked."""

    url: str
    answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: handler.send_error(500)
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def answers(self, body: object, *, status: int = 200) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answer = lambda handler: reply(handler, raw, status=status)


def reply(handler: BaseHTTPRequestHandler, raw: bytes, *, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw)


@pytest.fixture
def stub() -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            listening.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            listening.answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing: the test says what it expects."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        listening = Stub(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening
        server.shutdown()
        thread.join()


@pytest.fixture
def gateway(stub: Stub) -> Iterator[HttpGateway]:
    made = HttpGateway(stub.url, SECRET, clock=lambda: NOW)
    yield made
    made.close()


def submit(gateway: payments.PaymentGateway, key: str = "k-1", amount_fen: int = 1999) -> Submitted:
    return gateway.submit(key, amount_fen, "CNY", payment_no="p-1", fund="merchant")


def test_a_submit_is_signed_whole_and_carries_its_key(stub: Stub, gateway: HttpGateway) -> None:
    """The gateway can tell that we asked, and that we asked before."""
    stub.answers({"refund_id": "r-1", "status": "pending"}, status=202)

    answer = submit(gateway)

    [(path, headers, body)] = stub.asked
    assert answer == Submitted("r-1", GatewayStatus.PENDING)
    assert path == "/refunds"
    assert headers["idempotency-key"] == "k-1"
    assert require_signature(headers, body, secrets=[SECRET], now=NOW) == "submit.k-1"
    assert json.loads(body) == {
        "key": "k-1",
        "amount_fen": 1999,
        "currency": "CNY",
        "payment_no": "p-1",
        "fund": "merchant",
    }


@pytest.mark.parametrize("status", ["pending", "succeeded", "failed", "unknown"])
def test_a_query_is_signed_and_answers_where_the_refund_stands(status: str, stub: Stub, gateway: HttpGateway) -> None:
    """The number asked for stands in the body, so the signature covers it."""
    stub.answers({"status": status})

    answer = gateway.query("r-1")

    [(path, headers, body)] = stub.asked
    assert answer == GatewayStatus(status)
    assert path == "/refund-queries"
    assert json.loads(body) == {"refund_id": "r-1"}
    assert require_signature(headers, body, secrets=[SECRET], now=NOW) == "query.r-1"


def test_a_refund_the_gateway_cannot_find_is_unknown(stub: Stub, gateway: HttpGateway) -> None:
    """To a query, 404 is an answer."""
    stub.answers({"status": "whatever"}, status=404)

    assert gateway.query("r-1") == GatewayStatus.UNKNOWN


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"refund_id": "r-1", "status": "failed"}),
        (503, b""),
        (400, {"refund_id": "r-1", "status": "failed"}),
        (404, {"refund_id": "r-1", "status": "failed"}),
        (409, {"refund_id": "r-1", "status": "failed"}),
        (204, b""),
        (200, b""),
        (200, b"<html>welcome to the hotel</html>"),
        (200, b"\xff\xfe"),
        (200, b"[" * 50_000),
        (200, {"status": "succeeded"}),
        (200, {"refund_id": "", "status": "succeeded"}),
        (200, {"refund_id": "r" * 129, "status": "succeeded"}),
        (200, {"refund_id": "r-1", "status": "unknown"}),
        (200, {"refund_id": "r-1", "status": "SUCCEEDED"}),
        (200, {"refund_id": "r-1", "status": "succeeded", "padding": "x" * 70_000}),
    ],
)
def test_what_is_no_clear_answer_to_a_submit_is_silence_and_never_a_failure(
    status: int, body: object, stub: Stub, gateway: HttpGateway
) -> None:
    """40: a dead channel. A failure would allow a second payment, so it must be said in so many words."""
    stub.answers(body, status=status)

    with pytest.raises(GatewaySilent):
        submit(gateway)


def test_a_redirect_is_not_followed(stub: Stub, gateway: HttpGateway) -> None:
    """An order to pay goes to the address the operator gave, and nowhere else."""
    stub.answer = lambda handler: reply(handler, b"", status=307, location=f"{stub.url}/elsewhere")

    with pytest.raises(GatewaySilent, match="status_307"):
        submit(gateway)

    assert [path for path, _, _ in stub.asked] == ["/refunds"]


def test_a_closed_door_is_silence() -> None:
    """40: nobody listens on the discard port of this machine."""
    gateway = HttpGateway("http://127.0.0.1:9", SECRET, clock=lambda: NOW)

    with pytest.raises(GatewaySilent, match="unreachable"):
        submit(gateway)

    gateway.close()


def test_a_dripping_answer_ends_in_time(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """F13: each byte comes in time, the answer does not."""

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.02)

    monkeypatch.setattr(payments, "ANSWER_SECONDS_MAX", 0.2)
    gateway = HttpGateway(stub.url, SECRET, clock=lambda: NOW)
    stub.answer = drip

    with pytest.raises(GatewaySilent, match="timed_out"):
        submit(gateway)

    gateway.close()


def test_a_hanging_gateway_is_silence(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """40: the connection stands, nobody speaks."""
    monkeypatch.setattr(payments, "ANSWER_SECONDS_MAX", 0.2)
    gateway = HttpGateway(stub.url, SECRET, clock=lambda: NOW)
    stub.answer = lambda handler: time.sleep(1)

    with pytest.raises(GatewaySilent, match="timed_out"):
        submit(gateway)

    gateway.close()


@pytest.mark.parametrize("url", ["http://pay.example", "ftp://pay.example", "pay.example", "https://", ""])
def test_an_address_that_is_neither_https_nor_this_machine_is_refused(url: str) -> None:
    """Orders to pay do not travel in clear."""
    with pytest.raises(ValueError):
        HttpGateway(url, SECRET, clock=lambda: NOW)


# --- on this machine -------------------------------------------------------------------------------------------------


def test_the_same_key_moves_money_once() -> None:
    """8: the answer to a repeated submit is the first one's."""
    gateway = SimulatedGateway()

    answers = [submit(gateway) for _ in range(3)]

    assert answers == [Submitted("sim-k-1", GatewayStatus.SUCCEEDED)] * 3
    assert gateway.payments() == [Payment("k-1", 1999, "p-1", "merchant")]


def test_the_same_key_from_sixteen_threads_moves_money_once(tmp_path: Path) -> None:
    """Two of our processes may submit the same execution; each has its own connection to the file."""
    gateways = [SimulatedGateway(tmp_path / "payments.db") for _ in range(4)]

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda number: submit(gateways[number % 4], f"k-{number % 5}"), range(200)))

    assert {answer.status for answer in answers} == {GatewayStatus.SUCCEEDED}
    assert len(gateways[0].payments()) == 5
    for gateway in gateways:
        gateway.close()


def test_one_key_for_two_amounts_is_our_bug() -> None:
    """A key names one order to pay."""
    gateway = SimulatedGateway()
    submit(gateway)

    with pytest.raises(KeyReused):
        submit(gateway, amount_fen=2000)

    assert [payment.amount_fen for payment in gateway.payments()] == [1999]


def test_a_failed_refund_is_tried_again_under_the_same_key() -> None:
    """40: failed twice, then paid; a retry reuses the execution's key."""
    gateway = SimulatedGateway(outcomes=[Outcome.FAIL, Outcome.FAIL])

    statuses = [submit(gateway).status for _ in range(4)]

    assert statuses == ["failed", "failed", "succeeded", "succeeded"]
    assert len(gateway.payments()) == 1


def test_a_pending_refund_stays_pending_until_it_is_settled() -> None:
    """Submitting again does not push it."""
    gateway = SimulatedGateway(outcomes=[Outcome.PEND])

    first, again = submit(gateway), submit(gateway)
    gateway.settle(first.refund_id, GatewayStatus.SUCCEEDED)

    assert first == again == Submitted("sim-k-1", GatewayStatus.PENDING)
    assert gateway.query(first.refund_id) == GatewayStatus.SUCCEEDED


def test_a_failed_refund_may_succeed_late_and_then_stays_so() -> None:
    """8: `failed` after `succeeded` is an old letter."""
    gateway = SimulatedGateway(outcomes=[Outcome.FAIL])
    refund_id = submit(gateway).refund_id

    gateway.settle(refund_id, GatewayStatus.SUCCEEDED)
    gateway.settle(refund_id, GatewayStatus.FAILED)

    assert gateway.query(refund_id) == GatewayStatus.SUCCEEDED
    assert submit(gateway).status == GatewayStatus.SUCCEEDED
    assert len(gateway.payments()) == 1


def test_a_lost_request_moved_nothing_and_a_lost_answer_moved_money() -> None:
    """From outside both are silence; only a query by our key tells."""
    gateway = SimulatedGateway(outcomes=[Outcome.LOSE_REQUEST, Outcome.LOSE_ANSWER])

    for key in ("k-1", "k-2"):
        with pytest.raises(GatewaySilent):
            submit(gateway, key)

    assert gateway.query("k-1") == GatewayStatus.UNKNOWN
    assert gateway.query("k-2") == GatewayStatus.SUCCEEDED
    assert submit(gateway, "k-2") == Submitted("sim-k-2", GatewayStatus.SUCCEEDED)
    assert [payment.key for payment in gateway.payments()] == ["k-2"]


def test_an_unknown_refund_is_unknown() -> None:
    """8: for an unknown id."""
    gateway = SimulatedGateway()

    assert gateway.query("r-404") == GatewayStatus.UNKNOWN
    with pytest.raises(KeyError):
        gateway.settle("r-404", GatewayStatus.SUCCEEDED)


def test_the_gateway_remembers_while_our_service_is_down(tmp_path: Path) -> None:
    """A forgotten refund would answer unknown, and unknown allows a second payment."""
    before = SimulatedGateway(tmp_path / "payments.db")
    refund_id = submit(before).refund_id
    before.close()

    after = SimulatedGateway(tmp_path / "payments.db")

    assert after.query(refund_id) == GatewayStatus.SUCCEEDED
    assert submit(after).refund_id == refund_id
    assert len(after.payments()) == 1
    after.close()
