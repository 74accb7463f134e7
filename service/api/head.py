"""Before there is a request: the head of one is bounded in size and time, and what cannot be read is a problem too.

uvicorn with httptools takes a head of any length and waits for its end for ever, and answers what it cannot parse in
plain text. Requests whose head comes whole in one piece, which is nearly all, cost nothing more here.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api.problems import HEAD_ONLY, PROBLEM_JSON, TYPE_PREFIX, Answer

HEAD_BYTES_MAX: Final = 32_768  # choice: four times the largest token
HEAD_SECONDS_MAX: Final = 20.0  # choice: from the connection, or the head's first byte, to its end


class HeadTooLarge(Exception):
    """Raised inside the parser, so that no request begins."""


class BoundedHead(HttpToolsProtocol):
    """One connection. Refuses 431 `head_too_large`, 408 `head_too_slow`, 400 `malformed`, and closes."""

    _begun = False  # a head is coming in
    _pending_bytes = 0  # of a head that comes in pieces
    _at_once_bytes = 0  # of the piece being read
    _giving_up: TimerHandle | None = None
    _refused_with = 400

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn itself has it
        """Somebody has connected and has yet to say what they want."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is left to wait for."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is left over of an unfinished head is counted and timed."""
        self._at_once_bytes = len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._begun:
            self._pending_bytes += len(data)
            if self._pending_bytes > HEAD_BYTES_MAX:
                self._end_with(431)
                return
        if self._begun or self.cycle is None or (self.cycle.response_complete and not self.pipeline):
            self._wait()

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        self._begun, self._pending_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The whole head is there: a request begins, if it is within bounds."""
        self._begun = False
        self._wait_no_more()
        if self._pending_bytes + self._at_once_bytes > HEAD_BYTES_MAX and self._head_bytes() > HEAD_BYTES_MAX:
            self._refused_with = 431
            raise HeadTooLarge
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser gives up."""
        self._end_with(self._refused_with)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _wait(self) -> None:
        if self._giving_up is None:
            self._giving_up = self.loop.call_later(HEAD_SECONDS_MAX, self._give_up)

    def _wait_no_more(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _give_up(self) -> None:
        self._giving_up = None
        if self.transport.is_closing():
            return
        if self._begun:
            self._end_with(408)
        else:
            self.transport.close()  # said nothing, hears nothing

    def _end_with(self, status: int) -> None:
        """Say why and close; a request of this connection that is still being answered is cut off."""
        self._wait_no_more()
        body = _PROBLEMS[status]
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {PROBLEM_JSON}\r\n"
            f"content-length: {len(body)}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _problem(code: str, answer: Answer) -> bytes:
    return msgspec.json.encode(
        {"type": TYPE_PREFIX + code, "title": answer.zh, "status": answer.status, "code": code, "detail": answer.zh}
    )


_PROBLEMS: Final = {status: _problem(code, answer) for status, (code, answer) in HEAD_ONLY.items()}
