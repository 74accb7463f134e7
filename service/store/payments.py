"""The payment gateway: where refunds are asked for, and where their outcome is learned."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from pathlib import Path
from threading import Lock
from typing import Annotated, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from service.domain.errors import Kind, Refusal
from service.store.signing import require_secret, require_signature, signed_headers

CONNECT_SECONDS_MAX = 3.0  # choice
ANSWER_SECONDS_MAX = 10.0  # reliability.md, SSRF: "10 s"; the whole call, however slowly the bytes drip
RESPONSE_BYTES_MAX = 64 * 1024  # reliability.md, SSRF: "response read <= 64 KiB"
REFUND_ID_CHARS_MAX = 128  # choice
CALLBACK_BYTES_MAX = 64 * 1024  # choice: a callback has a dozen short fields
AMOUNT_FEN_MAX = 2**53 - 1  # the largest integer every JSON reader keeps whole (RFC 8259 section 6)


class GatewayStatus(StrEnum):
    """What the gateway says became of a refund."""

    PENDING = "pending"  # accepted, the money is on its way
    SUCCEEDED = "succeeded"  # the buyer has it
    FAILED = "failed"  # it will not move; the same key may be submitted again
    UNKNOWN = "unknown"  # the gateway has no such refund


@dataclass(frozen=True, slots=True)
class Submitted:
    """The gateway's answer to a submit: its own number for the refund, and where it stands."""

    refund_id: str
    status: GatewayStatus


class GatewaySilent(Exception):
    """No answer that can be believed: the refund may or may not have been made. Ask with the same key again.

    `reason` is one of a few words for logs and metrics, never anything the gateway wrote.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PaymentGateway(Protocol):
    """Moves refunds. Neither call is made inside a transaction (lifecycle.md, refund_execution)."""

    def submit(self, key: str, amount_fen: int, currency: str, *, payment_no: str, fund: str) -> Submitted:
        """Ask for one refund; the same key never moves money twice.

        Args:
            key: the execution's idempotency key, at most 128 characters; a retry brings the same.
            amount_fen: more than 0.
            currency: ISO 4217, `CNY`.
            payment_no: the payment the buyer made, as the marketplace numbers it.
            fund: whose money, `merchant` or `platform`.

        Raises:
            GatewaySilent: time-out, refused connection, an answer that cannot be read. Nothing is known.
        """
        ...

    def query(self, refund_id: str) -> GatewayStatus:
        """Where a refund stands, by the gateway's number or by the key it was submitted with.

        The key answers too, because a submit that timed out never told us the number.

        Raises:
            GatewaySilent: as for `submit`.
        """
        ...


# --- over HTTP -------------------------------------------------------------------------------------------------------


class _Answer(msgspec.Struct):
    """What a gateway answers to both calls; fields we do not know are left alone."""

    status: Literal["pending", "succeeded", "failed", "unknown"]
    refund_id: Annotated[str, msgspec.Meta(min_length=1, max_length=REFUND_ID_CHARS_MAX)] | None = None


class HttpGateway:
    """A gateway behind two signed POSTs: `<url>/refunds` and `<url>/refund-queries`.

    Bodies are JSON, signed whole (Standard Webhooks), so that nothing that decides about money stands outside the
    signature. An answer counts only if it is 200, 201 or 202 with `{"status", "refund_id"}`; to a query also 404,
    which means unknown. Everything else is silence, never a failure: a failure would allow a second payment.

    Args:
        url: https, or http on this machine.
        secret: what we sign with, `whsec_…`.
        clock: the instant to sign with.
    """

    def __init__(self, url: str, secret: str, *, clock: Callable[[], datetime]) -> None:
        self.url = _require_safe_url(url)
        self.secret = require_secret(secret)
        self.clock = clock
        self.client = httpx.Client(
            timeout=httpx.Timeout(ANSWER_SECONDS_MAX, connect=CONNECT_SECONDS_MAX),
            follow_redirects=False,  # a redirect would carry the request to whoever it names
            trust_env=False,
            headers={"accept": "application/json", "accept-encoding": "identity"},  # nothing to unpack, no bomb
        )

    def submit(self, key: str, amount_fen: int, currency: str, *, payment_no: str, fund: str) -> Submitted:
        order = {"key": key, "amount_fen": amount_fen, "currency": currency, "payment_no": payment_no, "fund": fund}
        status, body = self._post("refunds", order, message_id=f"submit.{key}", key=key)
        answer = _require_answer(status, body)
        if answer.status == "unknown" or not answer.refund_id:
            raise GatewaySilent("answer_unreadable")
        return Submitted(answer.refund_id, GatewayStatus(answer.status))

    def query(self, refund_id: str) -> GatewayStatus:
        status, body = self._post("refund-queries", {"refund_id": refund_id}, message_id=f"query.{refund_id}")
        if status == 404:
            return GatewayStatus.UNKNOWN
        return GatewayStatus(_require_answer(status, body).status)

    def close(self) -> None:
        """Let go of the kept connections."""
        self.client.close()

    def _post(self, path: str, order: Mapping[str, object], *, message_id: str, key: str = "") -> tuple[int, bytes]:
        body = msgspec.json.encode(order)
        headers = signed_headers(secret=self.secret, message_id=message_id, at=self.clock(), body=body.decode())
        headers["content-type"] = "application/json"
        if key:
            headers["idempotency-key"] = key
        try:
            with self.client.stream("POST", f"{self.url}/{path}", content=body, headers=headers) as response:
                return response.status_code, _read_bounded(response)
        except httpx.TimeoutException:
            raise GatewaySilent("timed_out") from None
        except httpx.HTTPError:
            raise GatewaySilent("unreachable") from None


def _require_safe_url(url: str) -> str:
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and local)):
        raise ValueError("the payment gateway's address is https, or http on this machine")
    return url.rstrip("/")


def _read_bounded(response: httpx.Response) -> bytes:
    """The body, unless it is endless or drips: each byte in time is not yet an answer in time."""
    give_up_at = time.monotonic() + ANSWER_SECONDS_MAX
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > RESPONSE_BYTES_MAX:
            raise GatewaySilent("answer_too_large")
        if time.monotonic() > give_up_at:
            raise GatewaySilent("timed_out")
    return bytes(body)


def _require_answer(status: int, body: bytes) -> _Answer:
    if status not in (200, 201, 202):
        raise GatewaySilent(f"status_{status}")
    answer = _read_json(body, _Answer)
    if answer is None:
        raise GatewaySilent("answer_unreadable")
    return answer


# --- what the gateway tells us unasked -------------------------------------------------------------------------------


class CallbackMalformed(Refusal):
    """Signed by the gateway, but nothing we can read."""

    kind = Kind.MALFORMED

    def __init__(self) -> None:
        super().__init__("callback_malformed", zh="回调内容无法识别", en="The callback cannot be read")


@dataclass(frozen=True, slots=True)
class RefundCallback:
    """What a callback says. The flow compares amount and key with the execution, and keeps `event_id` to act once.

    `status` is succeeded, failed or pending; `key` is the idempotency key of the submit, when the gateway repeats it.
    """

    event_id: str
    refund_id: str
    status: GatewayStatus
    key: str | None
    amount_fen: int | None


class _Callback(msgspec.Struct):
    refund_id: Annotated[str, msgspec.Meta(min_length=1, max_length=REFUND_ID_CHARS_MAX)]
    status: Literal["pending", "succeeded", "failed"]
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=REFUND_ID_CHARS_MAX)] | None = None
    amount_fen: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_FEN_MAX)] | None = None


def verify_callback(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: datetime
) -> RefundCallback:
    """Believe a callback only when the gateway signed it, within five minutes.

    Args:
        secrets: the gateway's, one, or two while it rotates.

    Raises:
        SignatureRefused: not signed by either secret, or out of the replay window.
        CallbackMalformed: signed, but too long, or not the JSON of a callback.
    """
    event_id = require_signature(headers, body, secrets=secrets, now=now)
    said = _read_json(body, _Callback) if len(body) <= CALLBACK_BYTES_MAX else None
    if said is None:
        raise CallbackMalformed
    return RefundCallback(event_id, said.refund_id, GatewayStatus(said.status), said.key, said.amount_fen)


Read = TypeVar("Read", bound=msgspec.Struct)


def _read_json(body: bytes, shape: type[Read]) -> Read | None:
    """The body as this shape; None when it is not. Invalid UTF-8 and deep nesting raise errors of their own kinds."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


# --- on this machine -------------------------------------------------------------------------------------------------


class Outcome(Enum):
    """What the simulated gateway does with one submit."""

    SUCCEED = "succeed"
    PEND = "pend"  # accepted; `settle` decides later
    FAIL = "fail"  # refused for now; `settle` may still make it a late success
    LOSE_REQUEST = "lose_request"  # silence, and nothing happened
    LOSE_ANSWER = "lose_answer"  # silence, and the money moved


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that the simulated gateway moved, once."""

    key: str
    amount_fen: int
    payment_no: str
    fund: str


class KeyReused(Exception):
    """One key with another amount, payment or fund: our bug, and a real gateway refuses it too."""


RECORDED = {
    Outcome.SUCCEED: GatewayStatus.SUCCEEDED,
    Outcome.LOSE_ANSWER: GatewayStatus.SUCCEEDED,
    Outcome.PEND: GatewayStatus.PENDING,
    Outcome.FAIL: GatewayStatus.FAILED,
}


NAMED = "'sim-' || key = ? or key = ?"  # by the gateway's number or by the key


class SimulatedGateway:
    """A gateway that moves no real money, for the embedded default and for tests. Safe from several threads.

    It keeps its refunds in a file, as a gateway would keep them while our service is down: a forgotten refund would
    answer `unknown`, and unknown allows a second payment.

    Args:
        path: the file; None keeps them in memory, for tests.
        outcomes: what to do with the next submits, in order; after the last, every submit succeeds.
    """

    def __init__(self, path: Path | None = None, *, outcomes: Iterable[Outcome] = ()) -> None:
        self.outcomes = deque(outcomes)
        self.lock = Lock()
        self.memory = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=5)
        self.memory.execute(
            "create table if not exists refund (key text primary key, amount_fen integer not null, currency text"
            " not null, payment_no text not null, fund text not null, status text not null) strict"
        )

    def submit(self, key: str, amount_fen: int, currency: str, *, payment_no: str, fund: str) -> Submitted:
        order = (amount_fen, currency, payment_no, fund)
        with self.lock, self.memory:
            self.memory.execute("begin immediate")
            known = self.memory.execute(
                "select amount_fen, currency, payment_no, fund, status from refund where key = ?", [key]
            ).fetchone()
            if known and known[:4] != order:
                raise KeyReused(key)
            if known and known[4] != GatewayStatus.FAILED:
                return Submitted(_refund_id(key), GatewayStatus(known[4]))
            outcome = self.outcomes.popleft() if self.outcomes else Outcome.SUCCEED
            if outcome in RECORDED:
                self.memory.execute("replace into refund values (?, ?, ?, ?, ?, ?)", [key, *order, RECORDED[outcome]])
        if outcome in (Outcome.LOSE_REQUEST, Outcome.LOSE_ANSWER):
            raise GatewaySilent("timed_out")
        return Submitted(_refund_id(key), RECORDED[outcome])

    def query(self, refund_id: str) -> GatewayStatus:
        with self.lock:
            found = self.memory.execute(f"select status from refund where {NAMED}", [refund_id] * 2).fetchone()
        return GatewayStatus(found[0]) if found else GatewayStatus.UNKNOWN

    def settle(self, refund_id: str, status: GatewayStatus) -> None:
        """Let a pending or failed refund end, as a bank does hours later. A success stays one.

        Raises:
            KeyError: no such refund.
        """
        with self.lock:
            settled = self.memory.execute(
                f"update refund set status = case status when 'succeeded' then status else ? end where {NAMED}",
                [status, refund_id, refund_id],
            )
        if settled.rowcount == 0:
            raise KeyError(refund_id)

    def payments(self) -> list[Payment]:
        """Every refund that moved money, oldest first: what a test counts."""
        with self.lock:
            moved = self.memory.execute(
                "select key, amount_fen, payment_no, fund from refund where status = 'succeeded' order by rowid"
            )
            return [Payment(*row) for row in moved]

    def close(self) -> None:
        """Close the file; what it holds stays."""
        self.memory.close()


def _refund_id(key: str) -> str:
    return f"sim-{key}"
