"""Who asks: a bearer token or an API key in, an `Actor` out, or a 401 that tells nothing."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec
from joserfc import jws
from joserfc._rfc7515.model import JWSAlgModel
from joserfc.errors import ExpiredTokenError, JoseError, UnsupportedAlgorithmError
from joserfc.jwt import JWTClaimsRegistry
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode
from litestar.connection import ASGIConnection

from service.api.keyring import Clock, KeyRing, VerificationKey
from service.api.reading import clean_object
from service.domain.errors import Kind, Refusal
from service.domain.staff import Actor, Role

TOKEN_CHARS_MAX = 8_192  # choice: a large Keycloak token has 4,000
LEEWAY_SECONDS = 30  # choice (reliability.md)
REMEMBERED_TOKENS_MAX = 2_048
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})  # RFC 7519 section 5.1, RFC 9068 section 4
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")
_API_KEY = re.compile(r"rk_([a-z0-9]{1,16})_([0-9A-Za-z]{8,32})_([0-9A-Za-z_-]{43,128})\Z")
_NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}\Z")
PERSONS = frozenset(Role) - {Role.SYSTEM}  # a system proves itself by API key, never by token
DEMO_ISSUER = "urn:gongduan:demo-issuer"  # the one exception: the built-in issuer plays the marketplace too


# Tokens


class _OneAlgorithm(jws.JWSRegistry):
    """joserfc's algorithms without its defaults: only the one that the key serves.

    Overridden because the default warns on every EdDSA token (RFC 9864 renamed it); providers still sign with it.
    """

    max_header_length = TOKEN_CHARS_MAX

    def __init__(self, name: str) -> None:
        super().__init__(algorithms=[name], strict_check_header=False)
        self._name = name

    def get_alg(self, name: str) -> JWSAlgModel:
        if name != self._name:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A token that was good at `checked_at` (whole seconds since 1970)."""

    generation: int
    checked_at: int
    expires_at: float
    who: Actor

    def still_good(self, *, generation: int, now: int) -> bool:
        """True while the keys are the same, the clock has not gone back, and it has not expired."""
        same_keys = generation == self.generation
        return same_keys and self.checked_at <= now and now - LEEWAY_SECONDS < self.expires_at


class TokenVerifier:
    """Verifies JWTs of one issuer for one audience.

    Asymmetric algorithms only; `jku`, `x5u`, `jwk` and `x5c` in a header are never looked at; `typ` is required.
    A verified token is remembered by its own text until it expires or the provider's keys change.
    """

    def __init__(self, keys: KeyRing, *, issuer: str, audience: str, now: Clock) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._now = now
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()

    async def verify(self, token: str) -> Actor:
        """Who a good token says is asking.

        Raises:
            Refusal: `token_invalid`, `token_expired` (401), what `actor_of_claims` says (403), or
                `identity_unavailable` (503).
        """
        await self._keys.require_fresh()
        now = int(self._now().timestamp())
        known = self._remembered.get(token)
        if known is not None and known.still_good(generation=self._keys.generation, now=now):
            return known.who
        claims = await self._verified(token)
        self._require_claims(claims, now=now)
        who = actor_of_claims(claims)
        self._remembered[token] = _Remembered(self._keys.generation, now, claims["exp"], who)
        if len(self._remembered) > REMEMBERED_TOKENS_MAX:
            self._remembered.popitem(last=False)
        return who

    async def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > TOKEN_CHARS_MAX or not _TOKEN.match(token):
            raise token_invalid()
        try:
            header, claims = (clean_object(urlsafe_b64decode(part.encode())) for part in token.split(".")[:2])
        except (Refusal, ValueError, msgspec.DecodeError) as error:
            raise token_invalid() from error
        key = await self._key_for(header)
        try:
            jws.deserialize_compact(token, key.key, registry=_OneAlgorithm(header["alg"]))
        except (JoseError, ValueError, TypeError) as error:
            raise token_invalid() from error
        return claims

    async def _key_for(self, header: dict[str, Any]) -> VerificationKey:
        kid, alg, typ = header.get("kid"), header.get("alg"), header.get("typ")
        if not (isinstance(kid, str) and isinstance(alg, str) and isinstance(typ, str)):
            raise token_invalid()
        if typ.lower() not in TYPES or "crit" in header or "b64" in header:
            raise token_invalid()
        key = await self._keys.find(kid)
        if key is None or alg not in key.algorithms:
            raise token_invalid()
        return key

    def _require_claims(self, claims: dict[str, Any], *, now: int) -> None:
        """iss, aud, exp and sub are essential; nbf and iat are checked where present (RFC 7519 section 4.1)."""
        registry = JWTClaimsRegistry(
            now=now,
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            registry.validate(claims)
        except ExpiredTokenError as error:
            raise token_invalid("token_expired", zh="身份凭证已过期", en="The token has expired") from error
        except (JoseError, ValueError, TypeError, OverflowError) as error:
            raise token_invalid() from error
        if not _NAME.match(claims["sub"]):
            raise token_invalid()


def token_invalid(
    code: str = "token_invalid", *, zh: str = "身份凭证无效", en: str = "The token is not valid"
) -> Refusal:
    """The one answer to every bad token: which check failed is nobody's business but the log's."""
    return Refusal(code, kind=Kind.UNAUTHENTICATED, zh=zh, en=en)


def actor_of_claims(claims: Mapping[str, Any]) -> Actor:
    """Map `sub`, `role` or `roles`, `merchant_id`, `seat_id` to an actor.

    Roles of other applications in `roles` are passed over; exactly one of ours must remain.

    Raises:
        Refusal: 403 `role_missing`, `role_ambiguous` or `tenant_missing`.
    """
    if claims.get("iss") == DEMO_ISSUER and claims.get("role") == Role.SYSTEM.value:
        return Actor(role=Role.SYSTEM, subject=claims["sub"], scopes=frozenset(claims["scopes"]))
    named = claims.get("role", claims.get("roles", []))
    listed: Sequence[Any] = named if isinstance(named, list) else [named]
    ours = {role for role in PERSONS if role.value in listed}
    if len(ours) != 1:
        code = "role_ambiguous" if ours else "role_missing"
        raise Refusal(code, kind=Kind.FORBIDDEN, zh="凭证中的角色无法识别", en="The token must name one of our roles")
    role = ours.pop()
    merchant_id = _claimed_name(claims, "merchant_id") if role in (Role.MERCHANT_OWNER, Role.MERCHANT_SEAT) else None
    seat_id = _claimed_name(claims, "seat_id") if role is Role.MERCHANT_SEAT else None
    if role is Role.MERCHANT_OWNER:  # the owner is a seat as well, under its own subject
        seat_id = claims["sub"]
    return Actor(role=role, subject=claims["sub"], merchant_id=merchant_id, seat_id=seat_id)


def _claimed_name(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not _NAME.match(value):
        raise Refusal(
            "tenant_missing", kind=Kind.FORBIDDEN, zh="凭证缺少店铺或坐席", en="The token lacks a tenant", claim=name
        )
    return value


# API keys of the marketplace's own systems


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key: only its hash. Two keys of one system may be valid at once while it rotates."""

    sha256: bytes = field(repr=False)  # of the whole text, prefix included
    scopes: frozenset[str]
    expires_at: datetime | None = None
    system: str = ""  # who holds it; the subject of what is done with it


class ApiKeys(Protocol):
    """Looks up stored keys."""

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of that id, expired ones too; None if there is none."""


def api_key_text(environment: str, key_id: str, secret: bytes) -> str:
    """The text a system is given once; `secret` is 32 random bytes."""
    return f"rk_{environment}_{key_id}_{urlsafe_b64encode(secret).decode()}"


def api_key_sha256(text: str) -> bytes:
    """What is stored. 256 random bits need no slow hash (ASVS 6.5.2 asks for 112)."""
    return hashlib.sha256(text.encode()).digest()


# The door


class Authenticator:
    """Turns an Authorization header into an actor."""

    def __init__(self, tokens: TokenVerifier, *, api_keys: ApiKeys, environment: str, now: Clock) -> None:
        self._tokens = tokens
        self._api_keys = api_keys
        self._environment = environment
        self._now = now

    async def __call__(self, authorization: Sequence[str]) -> Actor:
        """Know who asks.

        Args:
            authorization: every Authorization header of the request, as sent.

        Raises:
            Refusal: 401, 403 (known, but no role of ours) or 503 (no keys to verify with).
        """
        if len(authorization) != 1:
            raise Refusal(
                "credentials_missing",
                kind=Kind.UNAUTHENTICATED,
                zh="缺少身份凭证",
                en="Send one Authorization header with a bearer token",
            )
        scheme, _, credentials = authorization[0].strip().partition(" ")
        credentials = credentials.strip()
        if scheme.lower() != "bearer" or not credentials.isascii():
            raise token_invalid()
        if credentials.startswith("rk_"):
            return await self._system(credentials)
        return await self._tokens.verify(credentials)

    async def _system(self, text: str) -> Actor:
        match = _API_KEY.match(text)
        stored = await self._api_keys.find(match[2]) if match and match[1] == self._environment else None
        given = api_key_sha256(text)
        same = hmac.compare_digest(given, stored.sha256 if stored else bytes(32))
        if stored is None or not same or (stored.expires_at is not None and stored.expires_at <= self._now()):
            raise token_invalid("api_key_invalid", zh="接口密钥无效", en="The API key is not valid")
        key_id = match[2] if match else ""
        return Actor(role=Role.SYSTEM, subject=f"system:{stored.system or key_id}", scopes=stored.scopes)


Authenticate = Callable[[Sequence[str]], Awaitable[Actor]]


def actor(connection: ASGIConnection[Any, Any, Any, Any]) -> Actor:
    """Who sent this request; only routes that are not public know."""
    found = connection.scope.get("user")
    assert isinstance(found, Actor), "a public route asked who is calling"
    return found


def require_allowed(who: Actor, *, roles: frozenset[Role], scopes: frozenset[str]) -> None:
    """Refuse a role the operation is not for, and an API key without its scopes.

    Raises:
        Refusal: 403 `role_not_allowed` or `scope_missing`.
    """
    if who.role not in roles:
        raise Refusal(
            "role_not_allowed", kind=Kind.FORBIDDEN, zh="该角色无权执行此操作", en="Your role may not do this"
        )
    if who.role is Role.SYSTEM and not scopes <= who.scopes:
        missing = sorted(scopes - who.scopes)
        raise Refusal(
            "scope_missing",
            kind=Kind.FORBIDDEN,
            zh="接口密钥缺少权限范围",
            en="The API key lacks a scope",
            scopes=missing,
        )
