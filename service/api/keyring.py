"""The identity provider's public keys: fetched when needed, bounded, kept a day while the provider is away."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import httpx
import msgspec
import structlog
from joserfc import jwk
from joserfc.errors import JoseError

from service.api.reading import clean_object
from service.domain.errors import Kind, Refusal

REFETCH_SECONDS = 60  # choice: an unknown kid costs the provider one request a minute at most
REFRESH_SECONDS = 600  # choice: a key the provider withdrew is gone after ten minutes
KEEP_LAST_GOOD = timedelta(hours=24)  # choice: a day without the provider is survived
FETCH_SECONDS = 3.0
JWKS_BYTES_MAX = 65_536
KEYS_MAX = 64
RSA_BITS = range(2_048, 8_193)
KID = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}\Z")

log = structlog.get_logger(__name__)
Clock = Callable[[], datetime]


class KeysUnavailable(Exception):
    """The provider's keys could not be had, or were not a key set."""


class JwksSource(Protocol):
    """Where verification keys come from: the built-in issuer or an address."""

    async def fetch(self) -> bytes:
        """The key set as JSON (RFC 7517 section 5); raises KeysUnavailable."""


class HttpJwks:
    """A key set behind an address: at most 64 KiB, three seconds, no redirects."""

    def __init__(self, url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        self._transport = transport

    async def fetch(self) -> bytes:
        """Read the set; whatever goes wrong is KeysUnavailable."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return await self._read()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise KeysUnavailable(type(error).__name__) from error

    async def _read(self) -> bytes:
        body = b""
        async with (
            httpx.AsyncClient(
                transport=self._transport, timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False
            ) as client,
            client.stream("GET", self._url, headers={"Accept": "application/json"}) as response,
        ):
            if response.status_code != 200:
                raise KeysUnavailable(f"status {response.status_code}")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > JWKS_BYTES_MAX:
                    raise KeysUnavailable("over 64 KiB")
        return body


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key and the algorithms it may be used with."""

    algorithms: frozenset[str]
    key: jwk.Key


class KeyRing:
    """The provider's keys, fetched when needed and kept while the provider is away."""

    def __init__(self, source: JwksSource, *, now: Clock) -> None:
        self._source = source
        self._now = now
        self._lock = asyncio.Lock()
        self._keys: Mapping[str, VerificationKey] = {}
        self._good_at: datetime | None = None
        self._tried_at: datetime | None = None
        self.generation = 0  # grows with every fetched set: remembered tokens of an older one are verified again

    async def require_fresh(self) -> None:
        """Fetch when there is no set, or it is older than ten minutes; one request does so, the others do not wait.

        Raises:
            Refusal: `identity_unavailable` (503) when no set younger than a day can be had.
        """
        stale = self._good_at is not None and self._age(self._good_at) >= REFRESH_SECONDS
        if self._good_at is None or (stale and not self._lock.locked()):
            await self._fetch()
        if self._good_at is None or self._age(self._good_at) > KEEP_LAST_GOOD.total_seconds():
            raise Refusal(
                "identity_unavailable",
                kind=Kind.BUSY,
                zh="身份服务暂不可用",
                en="The identity provider cannot be reached",
                retry_after_seconds=REFETCH_SECONDS,
            )

    async def find(self, kid: str) -> VerificationKey | None:
        """The key of that id; an unknown one asks the provider again, once a minute at most."""
        if kid not in self._keys:
            await self._fetch()
        return self._keys.get(kid)

    def _age(self, then: datetime) -> float:
        return abs((self._now() - then).total_seconds())

    async def _fetch(self) -> None:
        async with self._lock:
            if self._tried_at is not None and self._age(self._tried_at) < REFETCH_SECONDS:
                return
            self._tried_at = self._now()
            try:
                keys = read_jwks(await self._source.fetch())
            except KeysUnavailable as error:
                log.warning("jwks_unavailable", reason=str(error), last_good_at=str(self._good_at))
                return
            if keys != self._keys:
                self._keys = keys
                self.generation += 1
            self._good_at = self._now()


def read_jwks(body: bytes) -> dict[str, VerificationKey]:
    """Take the usable keys of a hostile document: asymmetric, for signatures, long enough, with an id.

    Raises:
        KeysUnavailable: not a key set, or nothing in it is of use.
    """
    try:
        listed = clean_object(body).get("keys")
    except (Refusal, msgspec.DecodeError) as error:
        raise KeysUnavailable("not a key set") from error
    if not isinstance(listed, list):
        raise KeysUnavailable("not a key set")
    keys: dict[str, VerificationKey] = {}
    for entry in listed[:KEYS_MAX]:
        key = _verification_key(entry) if isinstance(entry, dict) else None
        if key is not None:
            keys.setdefault(entry["kid"], key)
    if not keys:
        raise KeysUnavailable("no usable key")
    return keys


def _verification_key(entry: dict[str, Any]) -> VerificationKey | None:
    algorithms = _algorithms_of(entry)
    if "d" in entry or not isinstance(entry.get("kid"), str) or not KID.match(entry["kid"]):
        return None  # a published private key proves nothing
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    if "alg" in entry:
        algorithms &= {entry["alg"]} if isinstance(entry["alg"], str) else frozenset()
    if not algorithms:
        return None
    try:
        key = jwk.import_key({name: entry[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in entry})
        if isinstance(key, jwk.RSAKey) and not _is_sound(key):
            return None
    except (JoseError, ValueError, TypeError):
        return None
    return VerificationKey(frozenset(algorithms), key)


def _is_sound(key: jwk.RSAKey) -> bool:
    """Long enough to trust, and neither so long nor with such an exponent that verifying becomes a burden."""
    return key.public_key.key_size in RSA_BITS and key.public_key.public_numbers().e.bit_length() <= 32


def _algorithms_of(entry: dict[str, Any]) -> frozenset[str]:
    """RFC 8037, RFC 9864, RFC 7518: which of our algorithms a key of this type serves."""
    match (entry.get("kty"), entry.get("crv")):
        case ("OKP", "Ed25519"):
            return frozenset({"EdDSA", "Ed25519"})
        case ("EC", "P-256"):
            return frozenset({"ES256"})
        case ("RSA", None):
            return frozenset({"RS256"})
    return frozenset()
