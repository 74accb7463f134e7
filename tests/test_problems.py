"""Every no: its status, its code, its facts, its language, and nothing that is nobody's business."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.problems import HTTP_ONLY, STATUS_OF, preferred_language
from service.domain.errors import Kind

# Problems


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_refusal_has_its_status_and_its_headers(client: TestClient[Litestar], kind: Kind) -> None:
    answer = client.get(f"/v1/refusals/{kind.value}")

    body = answer.json()
    assert answer.status_code == body["status"] == STATUS_OF[kind].status
    assert (body["type"], body["code"], body["detail"]) == ("urn:gongduan:problem:code_of_kind", "code_of_kind", "不行")
    assert body["instance"] == f"/v1/refusals/{kind.value}"
    assert ("WWW-Authenticate" in answer.headers) == (kind is Kind.UNAUTHENTICATED)
    assert ("Retry-After" in answer.headers) == (kind in (Kind.TOO_MANY, Kind.BUSY))


def test_the_statuses_are_those_of_the_contract() -> None:
    assert {kind.value: answer.status for kind, answer in STATUS_OF.items()} == {
        "malformed": 400,
        "unauthenticated": 401,
        "forbidden": 403,
        "absent": 404,
        "conflict": 409,
        "stale": 412,
        "precondition_missing": 428,
        "guard": 422,
        "too_large": 413,
        "too_many": 429,
        "busy": 503,
    }


def test_the_facts_of_a_refusal_stand_beside_the_standard_members(client: TestClient[Litestar]) -> None:
    window, guard = client.get("/v1/refusals/window").json(), client.get("/v1/refusals/guard-by-name").json()

    assert (window["status"], window["code"], window["in_time"]) == (409, "window_closed", False)
    assert window["due_at"] < window["received_at"]
    assert (guard["status"], guard["fact_status"], guard["revision"], guard["available_actions"]) == (
        422,
        "shadowed",
        7,
        [],
    )


def test_retry_after_never_brings_the_caller_back_too_early(client: TestClient[Litestar]) -> None:
    assert client.get("/v1/refusals/rate").headers["Retry-After"] == "3"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "zh"),
        ("", "zh"),
        ("en", "en"),
        ("en-GB,zh;q=0.9", "en"),
        ("zh-CN,en;q=0.9", "zh"),
        ("fr", "zh"),
        ("en;q=0.2,zh;q=0.1", "en"),
        ("en,zh", "zh"),
        ("en;q=x", "zh"),
        ("en;q=nan", "zh"),
        ("EN-us", "en"),
        ("en;q=9", "zh"),
        (",;,=;q", "zh"),
    ],
)
def test_the_language_is_chinese_unless_english_is_wanted_more(accepted: str | None, language: str) -> None:
    assert preferred_language(accepted) == language


def test_a_problem_speaks_the_language_of_the_caller(client: TestClient[Litestar]) -> None:
    answer = client.get("/v1/refusals/window", headers={"Accept-Language": "en"})

    assert (answer.json()["detail"], answer.headers["Content-Language"]) == ("The window has closed", "en")
    assert answer.headers["Vary"] == "Accept-Language"


def test_an_unforeseen_error_tells_the_caller_nothing_and_the_operator_everything(
    client: TestClient[Litestar], capsys: pytest.CaptureFixture[str]
) -> None:
    answer = client.get("/v1/broken", headers={"X-Request-Id": "find-me-0001"})

    printed = capsys.readouterr()
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "canary" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert "canary-in-the-message" in printed.out + printed.err
    assert "find-me-0001" in printed.out + printed.err


def test_what_is_not_there_and_what_is_not_yours_read_the_same(
    client: TestClient[Litestar], buyer: dict[str, str]
) -> None:
    one, none = client.get(f"/v1/cases/{uuid4()}", headers=buyer), client.get("/v1/cases/not-an-id", headers=buyer)

    volatile = {"instance", "request_id"}
    assert one.status_code == none.status_code == 404
    assert {k: v for k, v in one.json().items() if k not in volatile} == {
        k: v for k, v in none.json().items() if k not in volatile
    }


def test_every_code_that_the_edge_can_say_is_documented() -> None:
    root = Path(__file__).resolve().parents[1]
    table = (root / "docs" / "errors.md").read_text("utf-8")
    modules = ["auth", "contract", "keyring", "paging", "preconditions", "problems", "reading"]
    sources = "".join((root / "service" / "api" / f"{module}.py").read_text("utf-8") for module in modules)

    codes = set(re.findall(r'(?:Refusal|token_invalid)\(\s*"(\w+)"', sources)) | {"internal", "not_found"}
    codes |= {code for code, _ in HTTP_ONLY.values()}

    assert len(codes) >= 30
    assert {code for code in codes if f"| `{code}` |" not in table} == set()
