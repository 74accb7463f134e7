"""The built-in issuer for the embedded default: anybody may be any demo user, so it says DEMO wherever it can."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from joserfc import jwk, jws
from litestar import Router, get, post
from litestar.params import JSONBody

from service.api.auth import DEMO_ISSUER
from service.api.keyring import Clock
from service.api.terms import public
from service.domain.staff import Actor, Role

DEMO_HEADERS = MappingProxyType({"X-Gongduan-Demo": "true"})  # give to Contract(headers=...)
TOKEN_SECONDS = 8 * 3_600  # choice: a working day
FILE_MODE = 0o600

log = structlog.get_logger(__name__)

# Two of each where a second one matters: another buyer, another shop, another pair of eyes.
DEMO_USERS: Mapping[str, Actor] = MappingProxyType(
    {
        "buyer": Actor(Role.BUYER, "demo-buyer-1"),
        "buyer-2": Actor(Role.BUYER, "demo-buyer-2"),
        "owner": Actor(Role.MERCHANT_OWNER, "demo-owner-1", merchant_id="demo-shop-1", seat_id="demo-owner-1"),
        "seat": Actor(Role.MERCHANT_SEAT, "demo-seat-1", merchant_id="demo-shop-1", seat_id="demo-seat-1"),
        "seat-2": Actor(Role.MERCHANT_SEAT, "demo-seat-2", merchant_id="demo-shop-1", seat_id="demo-seat-2"),
        "owner-2": Actor(Role.MERCHANT_OWNER, "demo-owner-2", merchant_id="demo-shop-2", seat_id="demo-owner-2"),
        "agent": Actor(Role.PLATFORM_AGENT, "demo-agent-1"),
        "agent-2": Actor(Role.PLATFORM_AGENT, "demo-agent-2"),
        "supervisor": Actor(Role.SUPERVISOR, "demo-supervisor-1"),
        "supervisor-2": Actor(Role.SUPERVISOR, "demo-supervisor-2"),
        "auditor": Actor(Role.AUDITOR, "demo-auditor-1"),
        "rules-editor": Actor(Role.RULES_EDITOR, "demo-rules-editor-1"),
        "marketplace": Actor(
            Role.SYSTEM,
            "system:demo-marketplace",
            scopes=frozenset({"orders", "logistics", "payments", "risk", "staff", "moderation"}),
        ),
    }
)
UserName = Literal[
    "buyer",
    "buyer-2",
    "owner",
    "seat",
    "seat-2",
    "owner-2",
    "agent",
    "agent-2",
    "supervisor",
    "supervisor-2",
    "auditor",
    "rules-editor",
    "marketplace",
]


class TokenAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Which demo user to be."""

    user: UserName


class TokenGiven(msgspec.Struct):
    """A demo token; good for eight hours, for this process's key only."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, msgspec.Meta(description="Seconds")]
    user: UserName
    role: str
    merchant_id: str | None
    seat_id: str | None
    demo: bool


class BuiltInIssuer:
    """Signs demo tokens with an Ed25519 key kept in a file that only its owner can read.

    Args:
        key_path: made on first use with mode 0600; a file that others can read is refused.
        audience: what the verifier expects in `aud`.
        now: the clock.
        new_id: makes `jti`.
    """

    def __init__(self, key_path: Path, *, audience: str, now: Clock, new_id: Callable[[], str]) -> None:
        private = _private_key(key_path)
        public_key = jwk.OKPKey.import_key(private.public_key())
        self._kid = f"demo-{public_key.thumbprint()}"
        self._key = jwk.OKPKey.import_key(private)
        self._audience = audience
        self._now = now
        self._new_id = new_id
        published = {**public_key.as_dict(private=False), "kid": self._kid, "use": "sig", "alg": "Ed25519"}
        self._jwks = msgspec.json.encode({"keys": [published]})
        log.warning("demo_issuer", note="ANYBODY CAN LOG IN AS ANY DEMO USER: set OIDC_ISSUER before real use")

    async def fetch(self) -> bytes:
        """The key set, as the address of a real provider would serve it (JwksSource)."""
        return self._jwks

    def token(self, user: UserName) -> TokenGiven:
        """Sign a token for one of DEMO_USERS."""
        who = DEMO_USERS[user]
        issued = int(self._now().timestamp())
        claims: dict[str, Any] = {
            "iss": DEMO_ISSUER,
            "aud": self._audience,
            "sub": who.subject,
            "iat": issued,
            "exp": issued + TOKEN_SECONDS,
            "jti": self._new_id(),
            "role": who.role.value,
            "demo": True,
        }
        if who.merchant_id is not None:
            claims["merchant_id"] = who.merchant_id
        if who.seat_id is not None:
            claims["seat_id"] = who.seat_id
        if who.scopes:
            claims["scopes"] = sorted(who.scopes)
        header = {"alg": "Ed25519", "kid": self._kid, "typ": "at+jwt", "demo": True}
        registry = jws.JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)
        signed = jws.serialize_compact(header, msgspec.json.encode(claims), self._key, registry=registry)
        return TokenGiven(
            access_token=signed,
            token_type="Bearer",
            expires_in=TOKEN_SECONDS,
            user=user,
            role=who.role.value,
            merchant_id=who.merchant_id,
            seat_id=who.seat_id,
            demo=True,
        )


def demo_router(issuer: BuiltInIssuer) -> Router:
    """`POST /v1/demo/tokens` and `GET /v1/demo/jwks`; mount only where no identity provider is configured."""

    @post(
        "/tokens",
        opt=public(idempotency_key=False),
        operation_id="createDemoToken",
        summary="DEMO ONLY: become one of the demo users",
        tags=["demo"],
    )
    async def create_demo_token(data: JSONBody[TokenAsked]) -> TokenGiven:
        return issuer.token(data.user)

    @get("/jwks", opt=public(), include_in_schema=False)
    async def get_demo_jwks() -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(await issuer.fetch())
        return decoded

    return Router(path="/v1/demo", route_handlers=[create_demo_token, get_demo_jwks])


def _private_key(path: Path) -> Ed25519PrivateKey:
    """Read the key, or make one; two processes that start at once end up with the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _write_new_key(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise PermissionError(f"the demo signing key {path} can be read by others; chmod 600 it or remove it")
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"the demo signing key {path} is not an Ed25519 key; remove it and a new one is made")
    return key


def _write_new_key(path: Path) -> None:
    """Written aside and linked into place: nobody reads half a key, and the first of two writers wins."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        try:
            os.link(aside, path)
        except FileExistsError:
            return  # another process was first; its key is the one
    finally:
        aside.unlink()
