"""Bodies: bounded, clean, of the handler's type to the letter, and never the cause of a 500."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from service.api.reading import DEPTH_MAX, require_clean_json
from service.api.shapes import instant_text
from service.domain.errors import Kind, Refusal
from tests.edge_app import CASE, KEY, VECTORS, Clock, make_app, posted

# Bodies: JSON as everybody reads it

OWN_BODIES: dict[str, tuple[bytes, int, str]] = {
    "invalid UTF-8 inside a string": (b'"\xff"', 400, "invalid_utf8"),
    "a surrogate written in UTF-8": (b'"\xed\xa0\x80"', 400, "invalid_utf8"),
    "UTF-16": ('"退"'.encode("utf-16"), 400, "invalid_utf8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400, "invalid_json"),
    "a lone high surrogate": (b'"\\ud83d"', 400, "unstorable_text"),
    "a lone low surrogate as a key": (b'{"\\ude00": 1}', 400, "unstorable_text"),
    "a reversed pair": (b'["\\ude00\\ud83d"]', 400, "unstorable_text"),
    "a NUL": (b'{"a": ["x\\u0000y"]}', 400, "unstorable_text"),
    "a key twice": (b'{"a": 1, "a": 2}', 400, "duplicate_key"),
    "a key twice, once escaped": (b'[{"a": 1, "\\u0061": 2}]', 400, "duplicate_key"),
    "100,000 arrays": (b"[" * 31_000 + b"]" * 31_000, 400, "too_deep"),
    "arrays without end": (b"[" * 60_000, 400, "too_deep"),
    "one level too deep": (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), 400, "too_deep"),
    "NaN": (b"[NaN]", 400, "invalid_json"),
    "Infinity": (b"-Infinity", 400, "invalid_json"),
    "a number out of range": (b"[1e999]", 400, "invalid"),
    "nothing": (b"", 400, "invalid_json"),
    "two values": (b"1 2", 400, "invalid_json"),
    "a raw line feed in a string": (b'"a\nb"', 400, "invalid_json"),
    "a number of 60,000 digits": (b"9" * 60_000, 400, "invalid"),
}


@pytest.mark.parametrize("name", OWN_BODIES)
def test_a_body_that_parsers_disagree_about_is_a_400_with_its_own_code(client: TestClient[Litestar], name: str) -> None:
    """F16, 54: never a 500."""
    body, status, code = OWN_BODIES[name]

    answer = posted(client, body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEPTH_MAX + b"]" * DEPTH_MAX,
        b'"' + b"[{" * 500 + b'"',
        b'["' + b'\\"[' * 500 + b'"]',
        b'["\\\\", "' + b"[" * 200 + b'"]',
        b"[" + b"[]," * 500 + b"[]]",
        b"[" + b"[]," * 500 + b"[" * (DEPTH_MAX - 1) + b"]" * (DEPTH_MAX - 1) + b"]",
        b'"\\ud83d\\ude00"',
        b'"\\\\u0000"',
    ],
    ids=[
        "as deep as allowed",
        "in a text",
        "behind a quote",
        "behind a backslash",
        "wide",
        "wide and as deep as allowed",
        "a pair",
        "not an escape",
    ],
)
def test_brackets_and_escapes_inside_texts_do_not_count(client: TestClient[Litestar], body: bytes) -> None:
    answer = posted(client, body)

    assert answer.status_code == 201
    assert answer.json()["echo"] == json.loads(body)


@pytest.mark.parametrize("path", ["/v1/echo", "/v1/cases"])
def test_every_body_of_the_json_test_suite_is_answered_without_a_500(
    client: TestClient[Litestar], buyer: dict[str, str], path: str
) -> None:
    """F16: 340 bodies; what must be refused is refused, what must be read is read (bar twice the same key and NUL)."""
    cases = _vectors("json_parsing.json")
    wrong = []

    for case in cases:
        answer = posted(client, base64.b64decode(case["b64"]), path, **buyer, **KEY)
        refused = answer.status_code in (400, 413) and "code" in answer.json()
        stricter = refused and answer.json()["code"] in ("duplicate_key", "unstorable_text")
        expected = {
            "reject": refused,
            "accept": stricter or path == "/v1/cases" or answer.status_code == 201,
        }.get(case["expect"], True)
        if answer.status_code not in (201, 400, 413) or not expected:
            wrong.append((case["name"], case["expect"], answer.status_code, answer.text[:100]))

    assert wrong == []


def test_text_that_is_accepted_comes_back_byte_for_byte(client: TestClient[Litestar], buyer: dict[str, str]) -> None:
    """F16: right-to-left marks, joiners, tags, C1, NFD, private use: kept as they are, or refused, never mended."""
    texts = [
        "\u202e001款退",
        "\u2066a\u2069",
        "退" + "\u0301" * 2_000,
        "微\u200b信\u200d\u2060\ufeff",
        "\ufeff退款",
        "\ufffe\uffff\U0001fffe",
        "\ue000\U000f0000",
        "退\U000e0068\U000e007f",
        "ｖｘ１２３",
        "e\u0301 é",
        "👩‍👩‍👧‍👦",
        "a\r\nb\nc\rd\x85e\u2028f\u2029g",
        "\x80\x9b31m",
        "\x1b[31m",
    ]

    for text in texts:
        for body in (json.dumps(CASE | {"words": text}), json.dumps(CASE | {"words": text}, ensure_ascii=False)):
            answer = posted(client, body.encode(), "/v1/cases", **buyer, **KEY)

            assert answer.status_code == 201
            assert answer.json()["words"].encode() == text.encode()


def test_the_shared_texts_are_stored_exactly_or_refused(client: TestClient[Litestar], buyer: dict[str, str]) -> None:
    """F16: 22 rows, the three large ones made here."""
    large = {
        "1 MB CJK": json.dumps("退" * 333_334, ensure_ascii=False),
        "depth 10000 arrays": "[" * 10_000 + "]" * 10_000,
        "10k keys": json.dumps({f"k{number}": number for number in range(10_000)}),
    }

    for case in _vectors("unicode_and_size.json"):
        text = case["json"] if case["json"] is not None else large[case["name"]]
        answer = posted(client, b'{"value": %s}' % text.encode("utf-8", "surrogatepass"))

        assert answer.status_code in (201, 400, 413), case["name"]
        if answer.status_code == 201:
            assert answer.json()["echo"]["value"] == json.loads(text)


LEAVES = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_what_json_itself_writes_is_clean_unless_it_holds_a_nul(value: Any) -> None:
    body = json.dumps(value).encode()
    holds_nul = "\\u0000" in json.dumps(value).replace("\\\\", "")

    refusal = _refusal_of(body)

    assert (refusal and refusal.code) == ("unstorable_text" if holds_nul else None)


@pytest.mark.parametrize("body", [b"NaN", b"[-Infinity]", b'{"a": Infinity}'])
def test_pythons_own_numbers_are_not_json(body: bytes) -> None:
    refusal = _refusal_of(body)

    assert refusal is not None
    assert refusal.code == "invalid_json"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_nothing_else(body: bytes) -> None:
    refusal = _refusal_of(body)

    assert refusal is None or refusal.kind is Kind.MALFORMED


def _refusal_of(body: bytes) -> Refusal | None:
    try:
        require_clean_json(body)
    except Refusal as refusal:
        return refusal
    return None


def _vectors(name: str) -> list[dict[str, Any]]:
    if not VECTORS.is_dir():
        pytest.skip("the shared vectors are not here; the own set above covers the same ground")
    cases: list[dict[str, Any]] = json.loads((VECTORS / name).read_text("utf-8"))["cases"]
    return cases


# Bodies: the type of the handler, to the letter


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"amount": {"amount": "12900"}}, "/amount/amount"),
        ({"amount": {"amount": True}}, "/amount/amount"),
        ({"amount": {"amount": 129.5}}, "/amount/amount"),
        ({"amount": {"amount": -1}}, "/amount/amount"),
        ({"amount": {"amount": 10**30}}, "/amount/amount"),
        ({"amount": {"amount": 1, "currency": "cny"}}, "/amount/currency"),
        ({"amount": {"amount": 1, "fee": 1}}, "/amount"),
        ({"order_line": "L-1\n"}, "/order_line"),
        ({"order_line": ""}, "/order_line"),
        ({"words": "退" * 5_001}, "/words"),
        ({"words": None}, "/words"),
        ({"happened_at": "2026-11-23T08:00:00"}, "/happened_at"),
        ({"happened_at": 1_700_000_000}, "/happened_at"),
        ({"merchant_id": "shop-2"}, ""),
    ],
)
def test_a_member_of_another_shape_is_refused_with_its_place(
    client: TestClient[Litestar], buyer: dict[str, str], change: dict[str, Any], pointer: str
) -> None:
    """S15: no text is taken for a number, no unknown member passed over."""
    answer = client.post("/v1/cases", json=CASE | change, headers=buyer | KEY)

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert [(error["in"], error["pointer"]) for error in answer.json()["errors"]] == [("body", pointer)]


def test_a_whole_number_with_a_point_is_an_integer_as_json_schema_has_it(
    client: TestClient[Litestar], buyer: dict[str, str]
) -> None:
    answer = client.post("/v1/cases", json=CASE | {"amount": {"amount": 12900.0}}, headers=buyer | KEY)

    assert answer.status_code == 201
    assert answer.json()["amount"] == {"amount": 12900, "currency": "CNY"}


# Bodies: size, time, type


def test_a_body_of_exactly_the_bound_passes_and_one_byte_more_does_not(client: TestClient[Litestar]) -> None:
    """F15."""
    fits, over = b'"' + b"a" * 63_998 + b'"', b'"' + b"a" * 63_999 + b'"'

    assert posted(client, fits).status_code == 201
    answer = posted(client, over)

    assert (answer.status_code, answer.json()["code"], answer.json()["bytes_max"]) == (413, "body_too_large", 64_000)


def test_a_body_of_unknown_length_is_counted_as_it_comes_and_cut_at_the_bound(app: Litestar) -> None:
    """F15: 413 before parsing, with the rest never asked for."""
    sent = _Sender(b"[" + b"1," * 31_000, chunks_max=100)

    status, body = asyncio.run(sent.to(app, "POST", "/v1/echo"))

    assert (status, body["code"]) == (413, "body_too_large")
    assert sent.count == 2  # the second chunk crossed the bound; 98 more were never read


def test_a_body_announced_as_too_long_is_refused_before_a_byte_is_read(app: Litestar) -> None:
    sent = _Sender(b"1", chunks_max=100)

    status, body = asyncio.run(sent.to(app, "POST", "/v1/echo", announced=64_001))

    assert (status, body["code"], sent.count) == (413, "body_too_large", 0)


def test_a_body_that_never_ends_is_given_up(app: Litestar) -> None:
    sent = _Sender(b"1", chunks_max=1)

    status, body = asyncio.run(sent.to(app, "POST", "/v1/echo"))

    assert (status, body["code"]) == (408, "body_too_slow")


def test_an_upload_that_never_ends_is_given_up(tmp_path: Path, clock: Clock) -> None:
    """Slow clients: a file has longer than a JSON body, but not for ever."""
    app = make_app(clock=clock, key_path=tmp_path / "key.pem", upload_seconds_max=0.1)
    sent = _Sender(b"1", chunks_max=1)

    status, body = asyncio.run(sent.to(app, "PUT", "/v1/bytes", media_type=b"application/octet-stream"))

    assert (status, body["code"]) == (408, "body_too_slow")


def test_the_operators_bound_of_a_file_holds(tmp_path: Path, clock: Clock) -> None:
    """UPLOAD_BYTES_MAX makes an operation's own bound smaller, never larger."""
    app = make_app(clock=clock, key_path=tmp_path / "key.pem", upload_bytes_max=500)
    octets = {"Content-Type": "application/octet-stream"}

    with TestClient(app) as client:
        answers = [client.put("/v1/bytes", content=b"x" * size, headers=octets) for size in (500, 501)]

    assert [answer.status_code for answer in answers] == [200, 413]


def test_head_sends_no_byte_of_the_body(app: Litestar) -> None:
    """54: seen below the client, which would hide it."""
    sent = _Sender(b"", chunks_max=0)

    assert asyncio.run(sent.to(app, "HEAD", "/schema/openapi.json")) == (200, None)
    assert asyncio.run(sent.to(app, "HEAD", "/v1/nowhere")) == (404, None)


def test_a_caller_who_leaves_midway_is_answered_by_nobody(app: Litestar) -> None:
    sent = _Sender(b"1", chunks_max=1, then_leaves=True)

    assert asyncio.run(sent.to(app, "POST", "/v1/echo")) == (None, None)


def test_an_upload_is_counted_against_its_own_bound_and_stamped_when_complete(
    client: TestClient[Litestar], clock: Clock
) -> None:
    octets = {"Content-Type": "application/octet-stream"}

    fits = client.put("/v1/bytes", content=b"x" * 1_000, headers=octets)
    over = client.put("/v1/bytes", content=iter([b"x" * 600, b"x" * 600]), headers=octets)
    announced = client.put("/v1/bytes", content=b"x" * 1_001, headers=octets)
    as_json = client.put("/v1/bytes", json={})

    assert fits.json() == {"bytes": 1_000, "received_at": instant_text(clock.at)}
    assert [answer.status_code for answer in (over, announced, as_json)] == [413, 413, 415]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=gbk",
        "application/jsonp",
        "application/problem+json",
        "",
        "application/json, text/plain",
    ],
)
def test_a_body_of_another_type_is_a_415(client: TestClient[Litestar], content_type: str) -> None:
    """S15: a foreign page can send these without asking first."""
    answer = posted(client, b"{}", **{"Content-Type": content_type})

    assert answer.status_code == 415
    assert answer.headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_read_however_its_type_is_spelt(client: TestClient[Litestar], content_type: str) -> None:
    assert posted(client, b"{}", **{"Content-Type": content_type}).status_code == 201


def test_a_compressed_body_is_not_unpacked(client: TestClient[Litestar]) -> None:
    assert posted(client, b"{}", **{"Content-Encoding": "gzip"}).status_code == 415


def test_an_action_without_a_body_needs_no_type(client: TestClient[Litestar], buyer: dict[str, str]) -> None:
    case = client.post("/v1/cases", json=CASE, headers=buyer | KEY).json()

    answer = client.post(f"/v1/cases/{case['id']}/close", headers=buyer | KEY)

    assert answer.status_code == 201


def test_a_missing_body_where_one_is_needed_is_a_415(client: TestClient[Litestar], buyer: dict[str, str]) -> None:
    assert client.post("/v1/cases", headers=buyer | KEY).status_code == 415


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/json", 200),
        ("application/*;q=0.1", 200),
        ("text/html, */*;q=0.8", 200),
        ("", 200),
        ("application/problem+json", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("application/xml, text/*", 406),
    ],
)
def test_what_nobody_can_read_is_not_sent(
    client: TestClient[Litestar], buyer: dict[str, str], accept: str, status: int
) -> None:
    assert client.get("/v1/who", headers=buyer | {"Accept": accept}).status_code == status


class _Sender:
    """A caller on bare ASGI: sends chunks of a body without a length, then stalls or leaves."""

    def __init__(self, chunk: bytes, *, chunks_max: int, then_leaves: bool = False) -> None:
        self.chunk, self.chunks_max, self.then_leaves, self.count = chunk, chunks_max, then_leaves, 0

    async def receive(self) -> dict[str, Any]:
        if self.count < self.chunks_max:
            self.count += 1
            return {"type": "http.request", "body": self.chunk, "more_body": True}
        if not self.then_leaves:
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def to(
        self,
        app: Litestar,
        method: str,
        path: str,
        announced: int | None = None,
        media_type: bytes = b"application/json",
    ) -> tuple[int | None, Any]:
        sent: list[Any] = []
        length = (b"transfer-encoding", b"chunked") if announced is None else (b"content-length", b"%d" % announced)
        headers = [(b"content-type", media_type), length]

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "scheme": "http",
            "http_version": "1.1",
            "server": ("test", 80),
            "client": ("test", 1),
            "asgi": {"version": "3.0"},
            "extensions": {},
        }
        await app(scope, self.receive, send)
        if not sent:
            return None, None
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], json.loads(body) if body else None
