"""Before there is a request: heads of any size, any speed, and bytes that are no HTTP, on a real connection."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from service.api import head
from service.api.head import HEAD_BYTES_MAX, BoundedHead

HOST = "127.0.0.1"
SECONDS_MAX = 0.5  # in place of twenty


async def _answer_ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where a server with nothing behind it listens."""
    monkeypatch.setattr(head, "HEAD_SECONDS_MAX", SECONDS_MAX)
    config = uvicorn.Config(_answer_ok, http=BoundedHead, lifespan="off", log_config=None, timeout_keep_alive=1)
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def said(port: int, *pieces: bytes, until_answered: bool = False) -> bytes:
    """Everything that is answered to these bytes until the other side closes, or for three seconds."""
    with socket.create_connection((HOST, port), timeout=3) as connection:
        heard = b""
        try:
            for piece in pieces:
                if until_answered and select.select([connection], [], [], 0)[0]:
                    break
                connection.sendall(piece)
                time.sleep(0.05)
            while more := connection.recv(65_536):
                heard += more
        except (ConnectionError, TimeoutError):
            return heard
        return heard


def problem(answer: bytes) -> tuple[int, str]:
    """Status and code of the last answer."""
    status = int(answer.rpartition(b"HTTP/1.1 ")[2][:3])
    return status, json.loads(answer.rpartition(b"\r\n\r\n")[2])["code"]


def request(padding: int = 0, *, last: bool = True) -> bytes:
    """A request whose headers have this many bytes more than usual."""
    closing = b"Connection: close\r\n" if last else b""
    return b"GET / HTTP/1.1\r\nHost: x\r\nX-Padding: " + b"a" * padding + b"\r\n" + closing + b"\r\n"


def test_a_head_of_the_bound_passes_and_a_longer_one_is_refused_however_it_is_cut(port: int) -> None:
    """Every input has a bound, the head too."""
    just = request(HEAD_BYTES_MAX - 200)
    over = request(HEAD_BYTES_MAX + 1)

    assert said(port, just).startswith(b"HTTP/1.1 200")
    assert said(port, just[:100], just[100:9_000], just[9_000:]).startswith(b"HTTP/1.1 200")
    assert problem(said(port, over)) == (431, "head_too_large")
    assert problem(said(port, over[:100], over[100:9_000], over[9_000:], until_answered=True)) == (
        431,
        "head_too_large",
    )


def test_a_head_without_end_is_refused_long_before_it_ends(port: int) -> None:
    """One header of five megabytes, thousands of headers, an address without end: nothing is kept of them."""
    starts = b"GET / HTTP/1.1\r\nX-A: ", b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 5_000, b"GET /"

    for start in starts:
        answer = said(port, start, *[b"a" * 9_000] * 5, until_answered=True)
        assert problem(answer) == (431, "head_too_large")


def test_who_sends_half_a_head_or_nothing_is_not_waited_for(port: int) -> None:
    """Slow clients: an unfinished head is 408, a silent connection is closed."""
    began = time.monotonic()

    half, silent = said(port, b"GET / HTTP/1.1\r\nX-A: "), said(port)
    after_one = said(port, request(last=False), b"GET / HT")
    blank_lines = said(port, request(last=False), b"\r\n")

    assert problem(half) == (408, "head_too_slow")
    assert silent == b""
    assert after_one.startswith(b"HTTP/1.1 200")
    assert problem(after_one) == (408, "head_too_slow")
    assert blank_lines.count(b"HTTP/1.1") == 1
    assert time.monotonic() - began < 8 * SECONDS_MAX


def test_what_is_no_http_gets_a_problem_with_its_code(port: int) -> None:
    """Every no is problem+json."""
    for noise in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"FOO / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"):
        assert problem(said(port, noise)) == (400, "malformed")


def test_many_requests_in_one_piece_are_all_answered(port: int) -> None:
    """Pipelining: the bound is for each head, not for the connection."""
    many = request(1_000, last=False) * 100 + request()

    assert said(port, many).count(b"HTTP/1.1 200") == 101
