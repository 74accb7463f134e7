"""Who asks: forged, stale and foreign credentials are refused alike; keys rotate; nobody is let in by accident."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from service.api.auth import ApiKey, Authenticator, TokenVerifier, actor_of_claims, api_key_sha256, api_key_text
from service.api.issuer import DEMO_USERS, BuiltInIssuer
from service.api.keyring import KeyRing
from service.domain.errors import Kind, Refusal
from service.domain.staff import Role
from tests.edge_app import AUDIENCE, Clock, StoredKeys, make_app
from tests.edge_tokens import ATTACKER, ISSUER, KEYS, Provider, by_hand, claims, signed, signed_by_hand, who


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def app(clock: Clock, provider: Provider, stored: StoredKeys) -> Litestar:
    return make_app(clock=clock, jwks=provider, issuer=ISSUER, api_keys=stored)


# Good tokens


@pytest.mark.parametrize("kid", KEYS)
@pytest.mark.parametrize("typ", ["at+jwt", "JWT", "application/at+jwt"])
def test_a_token_of_every_allowed_algorithm_is_let_in(
    client: TestClient[Litestar], clock: Clock, kid: str, typ: str
) -> None:
    answer = who(client, signed(claims(clock), kid, typ=typ))

    assert answer.json() == {"role": "buyer", "subject": "u-1", "merchant_id": None, "seat_id": None}


def test_the_name_that_rfc_9864_gives_to_ed25519_is_read_too(client: TestClient[Litestar], clock: Clock) -> None:
    assert who(client, signed(claims(clock), alg="Ed25519")).status_code == 200


def test_one_of_several_audiences_is_enough(client: TestClient[Litestar], clock: Clock) -> None:
    assert who(client, signed(claims(clock, aud=["other", AUDIENCE]))).status_code == 200


def test_a_seat_is_known_by_shop_and_seat(client: TestClient[Litestar], clock: Clock) -> None:
    token = signed(claims(clock, role=..., roles=["offline_access", "merchant_seat"], merchant_id="m-1", seat_id="s-9"))

    assert who(client, token).json() == {
        "role": "merchant_seat",
        "subject": "u-1",
        "merchant_id": "m-1",
        "seat_id": "s-9",
    }


# Bad tokens


def _rs256_public_key_as_hmac_secret(payload: dict[str, Any]) -> str:
    pem = KEYS["rsa"].public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    unsigned = by_hand({"alg": "HS256", "kid": "rsa", "typ": "at+jwt"}, payload).rpartition(".")[0]
    mac = hmac.HMAC(pem, hashes.SHA256())
    mac.update(unsigned.encode())
    return f"{unsigned}.{base64.urlsafe_b64encode(mac.finalize()).rstrip(b'=').decode()}"


def forged(clock: Clock) -> dict[str, str]:
    """S3: each of these must be refused, and none may be told from another by its answer."""
    now, good = int(clock.at.timestamp()), claims(clock)
    attacker = ATTACKER.as_dict(private=False)
    token = signed(good)
    head, body, signature = token.split(".")
    return {
        "nothing": "",
        "not a token": "abc",
        "two parts": "a.b",
        "four parts": f"{token}.x",
        "alg none": by_hand({"alg": "none", "kid": "ed", "typ": "at+jwt"}, good),
        "alg None": by_hand({"alg": "None", "kid": "ed", "typ": "at+jwt"}, good, b"x"),
        "HS256 with the public key": _rs256_public_key_as_hmac_secret(good),
        "unsigned": f"{head}.{body}.",
        "another's signature": signed(good, key=ATTACKER),
        "another algorithm's key": signed(good, kid="ed", key=KEYS["rsa"], alg="RS256"),
        "RS256 under an EC kid": signed(good, kid="ec", key=KEYS["rsa"], alg="RS256"),
        "unknown kid": signed(good, key=ATTACKER, kid="nobody"),
        "no kid": by_hand({"alg": "EdDSA", "typ": "JWT"}, good, b"x"),
        "kid is a number": by_hand({"alg": "EdDSA", "kid": 1, "typ": "JWT"}, good, b"x"),
        "embedded jwk": signed(good, key=ATTACKER, jwk=attacker),
        "jku": signed(good, key=ATTACKER, jku="https://evil.example.test/jwks.json"),
        "x5u": signed(good, key=ATTACKER, x5u="https://evil.example.test/cert.pem"),
        "x5c": signed(good, key=ATTACKER, x5c=["MIIB"]),
        "no typ": signed(good, typ=...),
        "typ of another kind": signed(good, typ="logout+jwt"),
        "crit": signed_by_hand({"alg": "EdDSA", "kid": "ed", "typ": "JWT", "crit": ["b64"], "b64": True}, good),
        "crit of nothing": signed_by_hand({"alg": "EdDSA", "kid": "ed", "typ": "JWT", "crit": []}, good),
        "b64": signed_by_hand({"alg": "EdDSA", "kid": "ed", "typ": "JWT", "b64": True}, good),
        "key twice in the header": by_hand(b'{"alg":"none","alg":"EdDSA","kid":"ed","typ":"JWT"}', good, b"x"),
        "key twice in the claims": signed(json.dumps(good)[:-1].encode() + b',"sub":"u-2"}'),
        "claims are a list": signed(b"[]"),
        "claims are not JSON": signed(b"{"),
        "claims deeper than any": signed(b'{"a":' * 500 + b"1" + b"}" * 500),
        "claims in bad UTF-8": signed(b'{"sub":"\xff"}'),
        "padded": f"{head}.{body}.{signature}==",
        "spaces": f"{head}.{body} .{signature}",
        "second spelling of the signature": f"{head}.{body}.{signature[:-1]}{chr(ord(signature[-1]) + 1)}",
        "claims exchanged": f"{head}.{by_hand({}, {**good, 'sub': 'u-2'}).split('.')[1]}.{signature}",
        "too long": signed({**good, "pad": "x" * 9_000}),
        "wrong iss": signed({**good, "iss": f"{ISSUER}/"}),
        "iss is a list": signed({**good, "iss": [ISSUER]}),
        "no iss": signed(claims(clock, iss=...)),
        "wrong aud": signed({**good, "aud": "other"}),
        "aud is empty": signed({**good, "aud": []}),
        "aud is an object": signed({**good, "aud": {AUDIENCE: 1}}),
        "no aud": signed(claims(clock, aud=...)),
        "no sub": signed(claims(clock, sub=...)),
        "sub is empty": signed({**good, "sub": ""}),
        "sub is a number": signed({**good, "sub": 1}),
        "sub with a line feed": signed({**good, "sub": "u-1\nrole=supervisor"}),
        "no exp": signed(claims(clock, exp=...)),
        "exp is true": signed({**good, "exp": True}),
        "exp is a text": signed({**good, "exp": str(now + 300)}),
        "exp is null": signed({**good, "exp": None}),
        "exp is a list": signed({**good, "exp": [now + 300]}),
        "exp is NaN": signed(json.dumps({**good, "exp": float("nan")}).encode()),
        "exp is beyond numbers": signed(json.dumps(good).replace(str(good["exp"]), "1e999").encode()),
        "nbf to come": signed({**good, "nbf": now + 31}),
        "nbf is true": signed({**good, "nbf": True}),
        "issued in the future": signed({**good, "iat": now + 31}),
    }


def test_every_forged_token_is_a_401_that_does_not_say_why(client: TestClient[Litestar], clock: Clock) -> None:
    """S3: alg none, public key as HMAC secret, foreign keys, wrong iss, aud, typ, exp of every wrong type."""
    let_in = {}
    for name, token in forged(clock).items():
        answer = who(client, token)
        problem = answer.json()
        told = (answer.status_code, problem["code"], problem["detail"], answer.headers.get("WWW-Authenticate"))
        if told != (401, "token_invalid", "身份凭证无效", 'Bearer realm="gongduan", error="invalid_token"'):
            let_in[name] = told

    assert let_in == {}


@pytest.mark.parametrize("kid", ["../../../dev/null", "' OR 1=1 --", "a\x00b", "退", "x" * 500])
def test_a_kid_is_a_name_and_nothing_else(client: TestClient[Litestar], clock: Clock, kid: str) -> None:
    """S3: no path, no SQL."""
    token = by_hand({"alg": "EdDSA", "kid": kid, "typ": "JWT"}, claims(clock), b"x" * 64)

    assert who(client, token).status_code == 401


def test_a_token_lives_to_its_last_second_and_half_a_minute_more(client: TestClient[Litestar], clock: Clock) -> None:
    """The leeway of 30 s; both sides of the edge, on a token that has been seen and one that has not."""
    token, unseen = signed(claims(clock)), signed(claims(clock, jti="2"))
    assert who(client, token).status_code == 200

    clock.at = clock.at.replace(microsecond=0)
    clock.forward(seconds=329)
    within = who(client, token).status_code
    clock.forward(seconds=1)
    seen_after, unseen_after = who(client, token), who(client, unseen)

    assert within == 200
    assert [answer.json()["code"] for answer in (seen_after, unseen_after)] == ["token_expired", "token_expired"]


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["Basic dTpw"],
        ["Bearer"],
        ["Bearer "],
        ["bearer  "],
        ["Token abc"],
        ["Bearer a.b.c", "Bearer a.b.c"],
        ["Bearer 退"],
    ],
)
def test_a_header_that_is_no_bearer_token_is_a_401(client: TestClient[Litestar], values: list[str]) -> None:
    headers = httpx.Headers([(b"Authorization", value.encode()) for value in values])

    answer = client.get("/v1/who", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_two_good_tokens_are_none(clock: Clock, provider: Provider, stored: StoredKeys) -> None:
    """Which of them a proxy looked at is anybody's guess. (The test client would join the two headers.)"""
    verifier = TokenVerifier(KeyRing(provider, now=clock), issuer=ISSUER, audience=AUDIENCE, now=clock)
    authenticate = Authenticator(verifier, api_keys=stored, environment="test", now=clock)
    header = f"Bearer {signed(claims(clock))}"

    assert asyncio.run(authenticate([header])).role is Role.BUYER
    with pytest.raises(Refusal, match="credentials_missing"):
        asyncio.run(authenticate([header, header]))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"role": ...}, "role_missing"),
        ({"role": "admin"}, "role_missing"),
        ({"role": "system"}, "role_missing"),
        ({"role": {"buyer": 1}}, "role_missing"),
        ({"role": ..., "roles": ["buyer", "supervisor"]}, "role_ambiguous"),
        ({"role": "merchant_owner"}, "tenant_missing"),
        ({"role": "merchant_seat", "merchant_id": "m-1"}, "tenant_missing"),
        ({"role": "merchant_owner", "merchant_id": 7}, "tenant_missing"),
        ({"role": "merchant_owner", "merchant_id": "m\n1"}, "tenant_missing"),
    ],
)
def test_a_good_token_without_one_role_and_its_tenant_opens_nothing(
    client: TestClient[Litestar], clock: Clock, change: dict[str, Any], code: str
) -> None:
    answer = who(client, signed(claims(clock, **change)))

    assert (answer.status_code, answer.json()["code"]) == (403, code)


def test_the_tenant_of_a_role_without_one_is_not_taken_from_the_token() -> None:
    found = actor_of_claims({"sub": "u", "role": "buyer", "merchant_id": "m-1", "seat_id": "s-1"})

    assert (found.merchant_id, found.seat_id) == (None, None)


def test_a_role_that_may_not_is_told_before_its_body_is_read(client: TestClient[Litestar], clock: Clock) -> None:
    token = signed(claims(clock, role="auditor"))

    answer = client.post("/v1/cases", content=b"{", headers={"Authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.json()["code"]) == (403, "role_not_allowed")


@given(st.text(alphabet="abcABC012-_.", max_size=300))
def test_no_text_verifies_by_chance_or_breaks_the_verifier(text: str) -> None:
    clock = Clock()
    verifier = TokenVerifier(KeyRing(Provider(), now=clock), issuer=ISSUER, audience=AUDIENCE, now=clock)

    with pytest.raises(Refusal) as refused:
        asyncio.run(verifier.verify(text))

    assert refused.value.kind is Kind.UNAUTHENTICATED


# API keys


def stored_key(stored: StoredKeys, clock: Clock, *, scopes: set[str], **life: float) -> str:
    text = api_key_text("test", f"key0000{len(stored.keys)}", bytes(range(32)))
    expires_at = clock.at + timedelta(**life) if life else None
    stored.keys[text.split("_")[2]] = ApiKey(api_key_sha256(text), frozenset(scopes), expires_at, system="orders")
    return text


def test_a_system_is_known_by_its_key_until_it_expires(
    client: TestClient[Litestar], clock: Clock, stored: StoredKeys
) -> None:
    old = stored_key(stored, clock, scopes={"who:read"}, seconds=10)
    new = stored_key(stored, clock, scopes={"who:read", "orders:write"})

    both = [who(client, key) for key in (old, new)]
    clock.forward(seconds=10)

    assert [answer.json()["subject"] for answer in both] == ["system:orders", "system:orders"]
    assert [who(client, key).status_code for key in (old, new)] == [401, 200]


def test_a_key_without_the_scope_is_told_which_one(
    client: TestClient[Litestar], clock: Clock, stored: StoredKeys
) -> None:
    answer = who(client, stored_key(stored, clock, scopes={"orders:write"}))

    assert (answer.status_code, answer.json()["code"], answer.json()["scopes"]) == (403, "scope_missing", ["who:read"])


def test_a_key_that_is_not_quite_it_is_a_401_without_a_hint(
    client: TestClient[Litestar], clock: Clock, stored: StoredKeys
) -> None:
    key = stored_key(stored, clock, scopes={"who:read"})
    _, environment, key_id, secret = key.split("_", 3)
    wrong = [
        f"rk_{environment}_{key_id}_{secret[:-1]}B",
        f"rk_live_{key_id}_{secret}",
        f"rk_{environment}_key99999_{secret}",
        f"rk_{environment}_{key_id}_",
        f"rk_{environment}_{key_id}",
        f"rk_{key_id}_{secret}",
        f"{key}\t",
        f"rk_{environment}_{'k' * 33}_{secret}",
        f"RK_{environment}_{key_id}_{secret}",
    ]

    codes = {answer.json().get("code") for answer in (who(client, text) for text in wrong[:6])}

    assert codes == {"api_key_invalid"}
    assert [who(client, text).status_code for text in wrong] == [401] * 6 + [200] + [
        401
    ] * 2  # a tab is trimmed by HTTP


def test_a_key_of_another_environment_is_refused_even_where_it_is_stored(
    client: TestClient[Litestar], stored: StoredKeys
) -> None:
    text = api_key_text("live", "key00001", bytes(32))
    stored.keys["key00001"] = ApiKey(api_key_sha256(text), frozenset({"who:read"}))

    assert who(client, text).json()["code"] == "api_key_invalid"


def test_a_stored_key_does_not_hold_or_print_the_secret(clock: Clock, stored: StoredKeys) -> None:
    key = stored_key(stored, clock, scopes=set())

    assert key.split("_", 3)[3] not in repr(stored.keys)
    assert api_key_sha256(key).hex() not in repr(stored.keys)


# The built-in issuer


def test_every_demo_user_can_log_in_and_is_who_they_say(clock: Clock, tmp_path: Path) -> None:
    with TestClient(make_app(clock=clock, key_path=tmp_path / "key.pem")) as client:
        for user, expected in DEMO_USERS.items():
            if expected.role is Role.SYSTEM:
                continue  # the next test
            given_token = client.post("/v1/demo/tokens", json={"user": user})
            found = who(client, given_token.json()["access_token"])

            assert given_token.headers["X-Gongduan-Demo"] == "true"
            assert found.json() == {
                "role": expected.role.value,
                "subject": expected.subject,
                "merchant_id": expected.merchant_id,
                "seat_id": expected.seat_id,
            }
        unknown = client.post("/v1/demo/tokens", json={"user": "root"})

    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (400, "/user")
    assert {actor.role for actor in DEMO_USERS.values()} == set(Role)
    assert len({actor.subject for actor in DEMO_USERS.values()}) == len(DEMO_USERS)


def test_the_demo_issuer_alone_may_play_the_marketplace_and_within_its_scopes(clock: Clock, tmp_path: Path) -> None:
    with TestClient(make_app(clock=clock, key_path=tmp_path / "key.pem")) as client:
        token = client.post("/v1/demo/tokens", json={"user": "marketplace"}).json()["access_token"]

        refused = who(client, token)

    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


def test_a_demo_token_says_so_in_header_and_claims(clock: Clock, tmp_path: Path) -> None:
    issuer = BuiltInIssuer(tmp_path / "key.pem", audience=AUDIENCE, now=clock, new_id=lambda: "1")

    parts = issuer.token("buyer").access_token.split(".")

    header, payload = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in parts[:2])
    assert (header["demo"], payload["demo"]) == (True, True)
    assert payload["exp"] - payload["iat"] == 8 * 3_600


def test_the_demo_key_survives_a_restart_and_only_its_owner_reads_it(clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.pem"

    def made() -> bytes:
        issuer = BuiltInIssuer(path, audience=AUDIENCE, now=clock, new_id=lambda: "1")
        return asyncio.run(issuer.fetch())

    first, second = made(), made()
    assert first == second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["key.pem"]
    path.chmod(0o640)
    with pytest.raises(PermissionError, match="600"):
        made()


def test_no_demo_user_is_let_in_where_a_provider_is_configured(
    client: TestClient[Litestar], clock: Clock, tmp_path: Path
) -> None:
    issuer = BuiltInIssuer(tmp_path / "key.pem", audience=AUDIENCE, now=clock, new_id=lambda: "1")

    assert client.post("/v1/demo/tokens", json={"user": "buyer"}).status_code == 404
    assert who(client, issuer.token("supervisor").access_token).status_code == 401
