"""A bare HTTP/1.1 client that costs little beside the server it measures: keep-alive, one request at a time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

READ_MAX = 1 << 20


class Wire:
    """One connection to a server on loopback."""

    def __init__(self, host: str, port: int, token: str = "") -> None:
        self._host, self._port = host, port
        self._auth = f"Authorization: Bearer {token}\r\n" if token else ""
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, body: bytes, *, key: str = "") -> tuple[int, bytes]:
        """Send JSON; returns status and body."""
        idempotency = f"Idempotency-Key: {key}\r\n" if key else ""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\n{self._auth}{idempotency}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return await self._exchange(head.encode() + body)

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask; returns status and body."""
        return await self._exchange(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n{self._auth}\r\n".encode())

    async def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=READ_MAX)
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return status, await self._reader.readexactly(length)


async def demo_token(host: str, port: int, user: str) -> str:
    """A token of the built-in issuer."""
    wire = Wire(host, port)
    _, body = await wire.post("/v1/demo/tokens", json.dumps({"user": user}).encode())
    await wire.close()
    token: Any = json.loads(body)
    return str(token["access_token"])
