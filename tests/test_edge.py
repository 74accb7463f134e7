"""The edge: what comes in is bounded and clean, what goes out says why not, and nothing is ever a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar, get
from litestar.testing import TestClient

from service.api.contract import Contract
from service.api.paging import LIMIT_MAX, Keyset, link_header
from service.api.preconditions import require_idempotency_key, require_if_match, wants_dry_run
from service.domain.errors import Refusal
from tests.edge_app import CASE, KEY, REFUSALS, Clock, posted

# Methods


def test_options_names_every_method_of_the_path_and_asks_for_nothing(client: TestClient[Litestar]) -> None:
    """54."""
    collection, one = client.options("/v1/cases"), client.options(f"/v1/cases/{uuid4()}")

    assert (collection.status_code, collection.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert (one.status_code, one.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, PATCH")
    assert client.options("/v1/nowhere").status_code == 404


def test_head_answers_like_get_without_the_body(client: TestClient[Litestar], buyer: dict[str, str]) -> None:
    """54."""
    case = client.post("/v1/cases", json=CASE, headers=buyer | KEY).json()
    path = f"/v1/cases/{case['id']}"

    head, full = client.head(path, headers=buyer), client.get(path, headers=buyer)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(full.content))
    assert head.headers["ETag"] == full.headers["ETag"] == '"1"'
    assert client.head(path).status_code == 401
    assert client.head(f"/v1/cases/{uuid4()}", headers=buyer).status_code == 404


def test_a_method_that_is_not_there_is_a_405_with_those_that_are(client: TestClient[Litestar]) -> None:
    answer = client.delete("/v1/cases")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert client.head("/v1/echo").headers["Allow"] == "OPTIONS, POST"


# Addresses


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=%FF", "invalid_utf8"),
        ("%C3%28=1", "invalid_utf8"),
        ("cursor=%00", "unstorable_text"),
        ("limit=1&limit=2", "repeated_parameter"),
        ("limit=1&%6Cimit=2", "repeated_parameter"),
        ("a=" + "b" * 8_191, "query_too_long"),
        ("limit=0", "invalid"),
        (f"limit={LIMIT_MAX + 1}", "invalid"),
        ("limit=ten", "invalid"),
        ("cursor=abc", "invalid"),
        ("cursor=1_00000000-0000-0000-0000-000000000000%0A", "invalid"),
        ("cursor=", "invalid"),
    ],
)
def test_a_query_that_cannot_be_read_is_a_400(
    client: TestClient[Litestar], buyer: dict[str, str], query: str, code: str
) -> None:
    answer = client.get(f"/v1/cases?{query}", headers=buyer)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_bad_parameter_is_named_with_its_part_of_the_request(
    client: TestClient[Litestar], buyer: dict[str, str]
) -> None:
    answer = client.get("/v1/cases?limit=0&cursor=x", headers=buyer)

    assert [(error["in"], error["pointer"]) for error in answer.json()["errors"]] == [
        ("query", "/limit"),
        ("query", "/cursor"),
    ]


def test_an_address_in_bad_utf8_or_with_a_foreign_host_is_refused(client: TestClient[Litestar]) -> None:
    assert client.get("/v1/refusals/%FF").status_code == 400
    assert client.get("/v1/cases", headers={"Host": "a b"}).status_code == 400


# Lists


def test_pages_follow_one_another_without_gap_or_repetition(
    client: TestClient[Litestar], buyer: dict[str, str], clock: Clock
) -> None:
    made = []
    for number in range(7):
        clock.forward(seconds=number % 2)
        made.append(client.post("/v1/cases", json=CASE | {"words": str(number)}, headers=buyer | KEY).json()["id"])

    seen: list[str] = []
    address = "/v1/cases?limit=3"
    while address:
        answer = client.get(address, headers=buyer)
        seen += [case["id"] for case in answer.json()["items"]]
        following = answer.links.get("next", {}).get("url", "")
        assert bool(following) == (answer.json()["next_cursor"] is not None)
        address = following

    assert len(seen) == 7
    assert sorted(seen) == sorted(made)


@given(
    st.integers(0, 10**18 - 1),
    st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2286, 11, 20), timezones=st.just(UTC)),  # noqa: DTZ001
    st.uuids(),
    st.from_regex(r"[0-9A-Za-z-]{1,64}", fullmatch=True),
)
def test_a_cursor_reads_back_as_the_key_it_was_written_from(number: int, at: datetime, key: UUID, word: str) -> None:
    keyset = Keyset("number", "instant", "uuid", "word")

    assert keyset.read(keyset.write(number, at, key, word)) == (number, at, key, word)


@given(st.data())
def test_every_cursor_that_the_pattern_lets_through_can_be_read(data: st.DataObject) -> None:
    """What the schema says is what is enforced."""
    keyset = Keyset(
        *data.draw(st.lists(st.sampled_from(["number", "instant", "uuid", "word"]), min_size=1, max_size=4))
    )

    cursor = data.draw(st.from_regex(keyset.pattern))

    assert keyset.write(*keyset.read(cursor)).count("_") == cursor.count("_")


def test_links_keep_the_filters_and_drop_the_old_cursor() -> None:
    query = {"state": "open & shut", "limit": 3, "cursor": "1", "shop": None}

    assert link_header("/v1/x", query, next_cursor="2") == (
        '</v1/x?limit=3&state=open+%26+shut>; rel="first", </v1/x?cursor=2&limit=3&state=open+%26+shut>; rel="next"'
    )
    assert link_header("/v1/x", {}, next_cursor=None) == '</v1/x>; rel="first"'


# Preconditions


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency_key_missing"),
        ("", "idempotency_key_malformed"),
        ("1234567", "idempotency_key_malformed"),
        ("k" * 65, "idempotency_key_malformed"),
        ("attempt 0001", "idempotency_key_malformed"),
        ("attempt-0001, attempt-0002", "idempotency_key_malformed"),
        ("尝试-000001".encode().decode("latin-1"), "idempotency_key_malformed"),
        ("12345678", None),
        ("k" * 64, None),
        ('"attempt-0001"', None),
    ],
)
def test_a_post_says_which_attempt_it_is(
    client: TestClient[Litestar], buyer: dict[str, str], key: str | None, code: str | None
) -> None:
    headers = buyer if key is None else buyer | {"Idempotency-Key": key}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    answer = client.post("/v1/cases", json=CASE, headers=httpx.Headers(raw))

    assert (answer.status_code, answer.json().get("code")) == ((400, code) if code else (201, None))


def test_two_idempotency_keys_are_none() -> None:
    assert require_idempotency_key(["attempt-0001"]) == "attempt-0001"
    with pytest.raises(Refusal, match="idempotency_key_malformed"):
        require_idempotency_key(["attempt-0001", "attempt-0002"])


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 428, "if_match_missing"),
        ('"2"', 412, "stale_revision"),
        ('W/"1"', 412, "stale_revision"),
        ('"01"', 412, "stale_revision"),
        ("1", 400, "if_match_malformed"),
        ('"1', 400, "if_match_malformed"),
        ("", 400, "if_match_malformed"),
        ('*, "1"', 400, "if_match_malformed"),
        ('"1"', 200, None),
        ('"7", "1"', 200, None),
        ("*", 200, None),
        ('W/"1", "1"', 200, None),
    ],
)
def test_only_those_act_who_have_seen_the_present_revision(
    client: TestClient[Litestar], buyer: dict[str, str], header: str | None, status: int, code: str | None
) -> None:
    """54: stale If-Match, missing If-Match, weak ETag."""
    case = client.post("/v1/cases", json=CASE, headers=buyer | KEY).json()
    headers = buyer if header is None else buyer | {"If-Match": header}

    answer = client.patch(f"/v1/cases/{case['id']}", json={"words": "改"}, headers=headers)

    assert (answer.status_code, answer.json().get("code")) == (status, code)
    assert client.get(f"/v1/cases/{case['id']}", headers=buyer).headers["ETag"] == ('"2"' if status == 200 else '"1"')


@given(st.integers(0, 2**53 - 1), st.lists(st.integers(0, 2**53 - 1), max_size=5))
def test_a_list_of_tags_matches_exactly_when_it_holds_the_revision(revision: int, seen: list[int]) -> None:
    header = ", ".join(f'"{number}"' for number in seen) or '"none"'

    if revision in seen:
        require_if_match(header, revision)
    else:
        with pytest.raises(Refusal, match="stale_revision") as refused:
            require_if_match(header, revision)
        assert refused.value.facts["revision"] == revision


def test_a_dry_run_is_honoured_where_it_can_be_and_refused_elsewhere(
    client: TestClient[Litestar], buyer: dict[str, str]
) -> None:
    dry = buyer | KEY | {"Prefer": "respond-async, Dry-Run; x=1"}

    tried = client.post("/v1/cases", json=CASE, headers=dry)
    closed = client.post(f"/v1/cases/{uuid4()}/close", headers=dry)

    assert (tried.status_code, tried.json()["kept"], tried.headers["Preference-Applied"]) == (201, False, "dry-run")
    assert client.get("/v1/cases", headers=buyer).json()["items"] == []
    assert (closed.status_code, closed.json()["code"]) == (400, "dry_run_unsupported")
    assert not wants_dry_run(["return=minimal", "wait=10"])


def test_the_instant_of_a_request_is_when_its_last_byte_was_in(
    client: TestClient[Litestar], buyer: dict[str, str], clock: Clock
) -> None:
    def slowly() -> Iterator[bytes]:
        body = json.dumps(CASE).encode()
        yield body[:10]
        clock.forward(seconds=5)
        yield body[10:]

    answer = client.post("/v1/cases", content=slowly(), headers=buyer | KEY | {"Content-Type": "application/json"})

    assert answer.json()["received_at"] == "2026-11-23T08:00:05.123456Z"


# Every answer


@pytest.mark.parametrize("path", ["/v1/who", "/v1/nowhere", "/v1/broken", "/schema/openapi.json"])
def test_every_answer_carries_the_request_id_and_the_security_headers(client: TestClient[Litestar], path: str) -> None:
    given_id, other = client.get(path, headers={"X-Request-Id": "trace.me_01"}), client.get(path)
    smuggled = client.get(path, headers={"X-Request-Id": "a b\tc" * 5})

    assert given_id.headers["X-Request-Id"] == "trace.me_01"
    assert len({other.headers["X-Request-Id"], smuggled.headers["X-Request-Id"], "trace.me_01"}) == 3
    assert other.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in other.headers["Content-Security-Policy"]
    assert other.headers["Cache-Control"] == "no-store"
    assert other.headers["X-Gongduan-Demo"] == "true"


# The description


def test_the_document_says_what_the_edge_enforces(app: Litestar) -> None:
    document = app.openapi_schema.to_schema()
    create, change = document["paths"]["/v1/cases"]["post"], document["paths"]["/v1/cases/{case_id}"]["patch"]

    headers = {parameter["name"]: parameter["required"] for parameter in create["parameters"]}
    assert headers == {"Idempotency-Key": True, "Prefer": False}
    assert [p["name"] for p in change["parameters"] if p["in"] == "header"] == ["If-Match"]
    assert {"400", "401", "403", "404", "406", "408", "409", "412", "413", "415", "422", "428", "429", "503"} <= set(
        change["responses"]
    )
    assert document["components"]["schemas"]["CaseIn"]["additionalProperties"] is False
    assert document["components"]["schemas"]["Money"]["additionalProperties"] is False
    assert "additionalProperties" not in document["components"]["schemas"]["Problem"]
    assert create["security"] == [{"BearerToken": ["buyer"]}]
    assert document["paths"]["/v1/demo/tokens"]["post"]["security"] == []


def test_every_problem_fits_its_published_schema(client: TestClient[Litestar], app: Litestar) -> None:
    import jsonschema

    document = app.openapi_schema.to_schema()
    schema = {"$ref": "#/components/schemas/Problem", "components": document["components"]}

    for name in REFUSALS:
        jsonschema.validate(client.get(f"/v1/refusals/{name}").json(), schema)
    jsonschema.validate(client.post("/v1/cases").json(), schema)
    jsonschema.validate(posted(client, b"{").json(), schema)


def test_an_operation_that_does_not_say_who_may_call_it_does_not_start(clock: Clock) -> None:
    @get("/v1/forgotten")
    async def get_forgotten() -> None: ...

    async def nobody(_: Any) -> Any: ...

    with pytest.raises(RuntimeError, match="forgotten"):
        Litestar([get_forgotten], plugins=[Contract(authenticate=nobody, now=clock)])


def test_the_kinds_of_a_cursor_are_all_spelt() -> None:
    from service.api import paging

    assert set(paging._SPELLING) == set(get_args(paging.Part))
