"""The committed document is the contract: the code says the same, and schemathesis finds the service keeping it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
import uvicorn
from litestar import Litestar

from service import app as wiring
from service.settings import Settings
from tests.openapi_document import COMMITTED, document_text
from tests.over_http import compiled_once

ROOT = Path(__file__).parent.parent
EXAMPLES = 6  # an operation; `schemathesis run` by hand takes what schemathesis.toml says
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    """openapi/openapi.json as it is in the repository."""
    document: dict[str, Any] = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return document


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation with its path and method."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


# --- the document ----------------------------------------------------------------------------------------------------


@pytest.mark.frozen
def test_the_committed_document_is_what_the_code_says() -> None:
    """Byte for byte; a change of the interface is a change of this file, and is read as such."""
    assert COMMITTED.read_text(encoding="utf-8") == document_text(), (
        "openapi/openapi.json is not what the code says; if the change is meant, write it anew: `make openapi`"
    )


def test_the_document_is_the_same_whatever_the_hash_seed() -> None:
    """Otherwise it would change by itself."""
    script = "import sys; from tests.openapi_document import document_text; sys.stderr.write(document_text())"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for seed in ("1", "2718")
    ]

    told = [process.communicate()[1] for process in running]

    assert [process.returncode for process in running] == [0, 0]
    assert told[0] == told[1]
    assert told[0].startswith(b"{")


def test_every_operation_says_what_it_is_who_may_call_it_and_how_it_refuses(committed: dict[str, Any]) -> None:
    """api.md section 1: an id, a summary, documented 4xx answers."""
    names = [operation["operationId"] for _, _, operation in operations(committed)]

    assert len(names) == len(set(names))
    for path, method, operation in operations(committed):
        assert operation["summary"], path
        assert "400" in operation["responses"], path
        if operation["security"]:
            assert {"401", "403"} <= set(operation["responses"]), path
        else:
            assert path.startswith(("/health/", "/v1/demo/")), f"{path} is open to anybody"
        if method == "post" and path not in ("/v1/demo/tokens", "/v1/moderation/check", "/v1/payments/callbacks"):
            assert "Idempotency-Key" in {each["name"] for each in operation["parameters"]}, path


def test_nothing_comes_in_without_a_bound(committed: dict[str, Any]) -> None:
    """Every text has a length or a form and cannot hold NUL, every list a length, every number a range."""
    schemas = committed["components"]["schemas"]
    loose: list[str] = []

    def look(shape: Any, where: str) -> None:
        if "$ref" in shape:
            name = shape["$ref"].rpartition("/")[2]
            if f">{name}" not in where:
                look(schemas[name], f"{where}>{name}")
            return
        for branch in (*shape.get("anyOf", ()), *shape.get("oneOf", ())):
            look(branch, where)
        for name, member in shape.get("properties", {}).items():
            look(member, f"{where}.{name}")
        kind = shape.get("type")
        if kind == "object" and "properties" in shape and where.count(">") and "CallbackBody" not in where:
            loose.extend([f"{where}: open"] if shape.get("additionalProperties") is not False else [])
        if kind == "array":
            loose.extend([f"{where}: endless"] if "maxItems" not in shape else [])
            look(shape["items"], f"{where}[]")
        if kind in ("integer", "number"):
            loose.extend([f"{where}: any number"] if not {"minimum", "maximum"} <= set(shape) else [])
        if kind == "string" and not {"enum", "const", "format"} & set(shape):
            bounded = "maxLength" in shape or re.search(r"\{[0-9,]+\}", shape.get("pattern", ""))
            loose.extend([f"{where}: any text"] if "pattern" not in shape or not bounded else [])

    for path, method, operation in operations(committed):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            look(media["schema"], f"{method} {path}")

    assert loose == []


def test_every_reference_and_every_link_leads_somewhere(committed: dict[str, Any]) -> None:
    """A link names an operation that is there, and parameters that it takes."""
    text = json.dumps(committed)
    takes = {
        each["operationId"]: {f"{given['in']}.{given['name']}" for given in each.get("parameters", ())}
        for _, _, each in operations(committed)
    }
    links = [
        link
        for _, _, operation in operations(committed)
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]

    for reference in set(re.findall(r'"#/components/(\w+)/([^"]+)"', text)):
        assert reference[1] in committed["components"][reference[0]]
    assert len(links) >= 80
    for link in links:
        assert set(link.get("parameters", ())) <= takes[link["operationId"]], link


# --- the service against the document --------------------------------------------------------------------------------


@contextmanager
def served(app: Litestar) -> Iterator[str]:
    """The app behind a real server on a free port of this machine; yields its address."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, http="httptools", log_config=None, access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        give_up_at = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < give_up_at, "the server did not start"
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)


def test_schemathesis_finds_the_service_keeping_its_contract(new_sqlite: Any, tmp_path: Path) -> None:
    """All checks, all phases, with the committed document, configuration and seed: 0 failures."""
    _schemathesis_finds_nothing(new_sqlite(), tmp_path, "--phases", "coverage,fuzzing,stateful")


@pytest.mark.postgres
def test_schemathesis_finds_nothing_on_postgres_either(new_postgres: Any, tmp_path: Path) -> None:
    """PostgreSQL refuses what SQLite takes (NUL, long texts, large numbers): the edge must have refused it before."""
    _schemathesis_finds_nothing(new_postgres(), tmp_path, "--phases", "fuzzing")


def _schemathesis_finds_nothing(database: str, folder: Path, *options: str) -> None:
    settings = Settings(
        database_url=database, demo=True, demo_key_path=folder / "demo-key.pem", files_dir=folder / "files"
    )
    with patch.object(wiring, "load_rule_book", compiled_once):  # the same rules, compiled once per process
        app = wiring.create_app(settings)
    wiring.lay_out_demo(app)
    with served(app) as url:
        assert httpx.get(f"{url}/health/live", timeout=60).status_code == 200
        run = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                "run",
                str(COMMITTED.relative_to(ROOT)),
                "--url",
                url,
                "--max-examples",
                str(EXAMPLES),
                "--no-shrink",
                "--continue-on-failure",
                "--warnings",
                "off",
                *options,
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
