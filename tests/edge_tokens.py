"""Tokens, good and forged, and a provider of keys: another party's side, for test_auth.py and test_keyring.py."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import httpx
from joserfc import jwk, jws
from litestar import Litestar
from litestar.testing import TestClient

from service.api.auth import _OneAlgorithm
from service.api.keyring import KeysUnavailable
from tests.edge_app import AUDIENCE, Clock

ISSUER = "https://id.example.test"
KEYS = {
    "ed": jwk.OKPKey.generate_key("Ed25519"),
    "ec": jwk.ECKey.generate_key("P-256"),
    "rsa": jwk.RSAKey.generate_key(2048),
}
ALGORITHM = {"ed": "EdDSA", "ec": "ES256", "rsa": "RS256"}
ATTACKER = jwk.OKPKey.generate_key("Ed25519")


def published(**more: dict[str, Any]) -> dict[str, Any]:
    """What the provider publishes."""
    keys = [{**key.as_dict(private=False), "kid": kid, "use": "sig"} for kid, key in KEYS.items()]
    return {"keys": [*keys, *more.values()]}


class Provider:
    """Another party's network: a key set that can change, vanish, and counts who asks."""

    def __init__(self) -> None:
        self.body: bytes = json.dumps(published()).encode()
        self.away = False
        self.asked = 0
        self.hang: asyncio.Event | None = None

    async def fetch(self) -> bytes:
        self.asked += 1
        if self.hang is not None:
            await self.hang.wait()
        if self.away:
            raise KeysUnavailable("away")
        return self.body

    def publish(self, **more: dict[str, Any]) -> None:
        self.body = json.dumps(published(**more)).encode()


def claims(clock: Clock, **change: Any) -> dict[str, Any]:
    now = int(clock.at.timestamp())
    whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": "u-1", "iat": now, "exp": now + 300, "role": "buyer", **change}
    return {name: value for name, value in whole.items() if value is not ...}


def signed(payload: dict[str, Any] | bytes, kid: str = "ed", key: Any = None, **header: Any) -> str:
    whole = {"alg": ALGORITHM.get(kid, "EdDSA"), "kid": kid, "typ": "at+jwt", **header}
    whole = {name: value for name, value in whole.items() if value is not ...}
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return jws.serialize_compact(whole, body, key or KEYS[kid], registry=_OneAlgorithm(whole["alg"]))


def by_hand(header: dict[str, Any] | bytes, payload: dict[str, Any] | bytes, signature: bytes = b"") -> str:
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, signature])


def who(client: TestClient[Litestar], token: str) -> httpx.Response:
    return client.get("/v1/who", headers={"Authorization": f"Bearer {token}"})


def signed_by_hand(header: dict[str, Any], payload: dict[str, Any]) -> str:
    """Really signed with the provider's Ed25519 key, over a header that no library would write."""
    unsigned = by_hand(header, payload).rpartition(".")[0]
    private = KEYS["ed"].private_key
    assert private is not None
    return f"{unsigned}.{base64.urlsafe_b64encode(private.sign(unsigned.encode())).rstrip(b'=').decode()}"
