"""The provider's keys: rotated, withdrawn, away, or hostile."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from joserfc import jwk
from litestar import Litestar
from litestar.testing import TestClient

from service.api.keyring import JWKS_BYTES_MAX, HttpJwks, KeyRing, KeysUnavailable, read_jwks
from tests.edge_app import Clock, StoredKeys, make_app
from tests.edge_tokens import ISSUER, KEYS, Provider, claims, published, signed, who


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def app(clock: Clock, provider: Provider, stored: StoredKeys) -> Litestar:
    return make_app(clock=clock, jwks=provider, issuer=ISSUER, api_keys=stored)


# Keys of the provider


def test_a_new_key_is_found_by_asking_again_and_an_unknown_one_asks_once_a_minute(
    client: TestClient[Litestar], clock: Clock, provider: Provider
) -> None:
    """S3: at most one refetch a minute, however many unknown kids arrive."""
    new = jwk.OKPKey.generate_key("Ed25519")
    assert who(client, signed(claims(clock))).status_code == 200
    provider.publish(new={**new.as_dict(private=False), "kid": "new"})

    clock.forward(seconds=59)
    too_early = [who(client, signed(claims(clock), kid="new", key=new)).status_code for _ in range(5)]
    asked_early = provider.asked
    clock.forward(seconds=1)
    rotated = who(client, signed(claims(clock), kid="new", key=new)).status_code
    unknown = [who(client, signed(claims(clock), kid="unknown", key=new)).status_code for _ in range(5)]

    assert (too_early, asked_early) == ([401] * 5, 1)
    assert (rotated, unknown, provider.asked) == (200, [401] * 5, 2)


def test_a_key_that_was_withdrawn_is_refused_within_ten_minutes(
    client: TestClient[Litestar], clock: Clock, provider: Provider
) -> None:
    token = signed(claims(clock, exp=int(clock.at.timestamp()) + 3_600))
    assert who(client, token).status_code == 200
    provider.body = json.dumps({"keys": published()["keys"][1:]}).encode()

    clock.forward(seconds=599)
    before = who(client, token).status_code
    clock.forward(seconds=1)

    assert (before, who(client, token).status_code) == (200, 401)


def test_the_last_good_keys_last_a_day_without_the_provider(
    client: TestClient[Litestar], clock: Clock, provider: Provider
) -> None:
    assert who(client, signed(claims(clock))).status_code == 200
    provider.away = True

    clock.forward(hours=24)
    within = who(client, signed(claims(clock))).status_code
    clock.forward(seconds=1)
    after = who(client, signed(claims(clock)))
    provider.away = False
    clock.forward(seconds=60)

    assert within == 200
    assert (after.status_code, after.json()["code"], after.headers["Retry-After"]) == (
        503,
        "identity_unavailable",
        "60",
    )
    assert who(client, signed(claims(clock))).status_code == 200


def test_only_one_request_waits_for_a_provider_that_hangs(clock: Clock, provider: Provider) -> None:
    ring = KeyRing(provider, now=clock)

    async def story() -> list[bool]:
        await ring.require_fresh()
        clock.forward(seconds=600)
        provider.hang = asyncio.Event()
        first = asyncio.create_task(ring.require_fresh())
        await asyncio.sleep(0)
        await asyncio.wait_for(ring.require_fresh(), 1)
        waiting = not first.done()
        provider.hang.set()
        await first
        return [waiting, await ring.find("ed") is not None]

    assert asyncio.run(story()) == [True, True]


def test_one_broken_answer_of_the_provider_costs_no_key(
    client: TestClient[Litestar], clock: Clock, provider: Provider
) -> None:
    assert who(client, signed(claims(clock))).status_code == 200
    provider.body = b"<html>maintenance</html>"

    clock.forward(seconds=600)

    assert who(client, signed(claims(clock))).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[1,null,"x",{}]}',
        b'{"keys":[],"keys":[]}',
        b"\xff",
        b"[" * 100_000,
        json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256"}]}).encode(),
        json.dumps({"keys": [{**KEYS["ed"].as_dict(private=True), "kid": "a"}]}).encode(),
        json.dumps({"keys": [{**KEYS["ed"].as_dict(private=False), "kid": "a", "use": "enc"}]}).encode(),
        json.dumps({"keys": [{**KEYS["ed"].as_dict(private=False), "kid": "a", "alg": "HS256"}]}).encode(),
        json.dumps({"keys": [{**KEYS["ed"].as_dict(private=False), "kid": "a", "key_ops": ["sign"]}]}).encode(),
        json.dumps({"keys": [{**KEYS["ed"].as_dict(private=False), "kid": "a", "key_ops": 1}]}).encode(),
        json.dumps({"keys": [{**KEYS["ed"].as_dict(private=False), "kid": ["a"]}]}).encode(),
        json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "a"}]}).encode(),
        json.dumps({"keys": [{"kty": ["OKP"], "crv": {}, "kid": "a"}]}).encode(),
        json.dumps({"keys": [{"kty": "RSA", "n": "w" * 171, "e": "AQAB", "kid": "a"}]}).encode(),
        json.dumps({"keys": [{**KEYS["rsa"].as_dict(private=False), "e": "w" * 342 + "w", "kid": "a"}]}).encode(),
        json.dumps({"keys": [{"kty": "RSA", "n": 5, "e": None, "kid": "a"}]}).encode(),
        json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ", "kid": "a"}]}).encode(),
        json.dumps({"keys": [{"kty": "EC", "crv": "secp256k1", "x": "AQ", "y": "AQ", "kid": "a"}]}).encode(),
    ],
)
def test_a_key_set_without_a_usable_key_is_no_key_set(body: bytes) -> None:
    """API10: the provider's answer is as hostile as anybody's."""
    with pytest.raises(KeysUnavailable):
        read_jwks(body)


def test_a_bad_key_does_not_spoil_the_good_ones() -> None:
    keys = read_jwks(json.dumps(published(bad={"kty": "OKP", "crv": "Ed25519", "x": "!", "kid": "bad"})).encode())

    assert set(keys) == set(KEYS)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"Location": "https://evil.example.test/"}),
        httpx.Response(500),
        httpx.Response(200, content=b" " * (JWKS_BYTES_MAX + 1)),
    ],
)
def test_a_redirect_an_error_and_an_endless_answer_are_not_followed(answer: httpx.Response) -> None:
    asked = []

    def provide(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answer

    source = HttpJwks("https://id.example.test/jwks", transport=httpx.MockTransport(provide))
    with pytest.raises(KeysUnavailable):
        asyncio.run(source.fetch())

    assert asked == ["https://id.example.test/jwks"]


def test_a_provider_that_cannot_be_reached_is_a_503_and_not_a_500(clock: Clock) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    source = HttpJwks("https://id.example.test/jwks", transport=httpx.MockTransport(refuse))
    with TestClient(make_app(clock=clock, jwks=source, issuer=ISSUER)) as client:
        answer = who(client, signed(claims(clock)))

    assert (answer.status_code, answer.json()["code"]) == (503, "identity_unavailable")


def test_a_key_set_is_read_over_http(clock: Clock, provider: Provider) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=provider.body))

    body = asyncio.run(HttpJwks("https://id.example.test/jwks", transport=transport).fetch())

    assert set(read_jwks(body)) == set(KEYS)
