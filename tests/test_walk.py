"""Walks the links of the document from answer to answer, as anybody, and checks every answer against the document."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
import schemathesis
from httpx import Response
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.api.issuer import DEMO_USERS
from tests.openapi_document import COMMITTED
from tests.over_http import HttpWorld, new_http_world
from tests.proofs import Say, new_seed, size

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
WALKS, WALKS_PART = 600, 30
STEPS = 14
CASES = 8  # of each operation, beside its example
# Where a walk must have been, or it proves little: the operation answered well at least once.
REACHED: Final = {
    "openDispute", "getDispute", "refuseRequest", "makeOffer", "agreeReturn", "shipReturn", "requestIntervention",
    "acceptDispute", "openInquiry", "requestEvidence",
}  # fmt: skip
WAYS: Final = [
    ("refund_only", []),
    ("refund_only", ["refuseRequest", "requestIntervention", "acceptDispute"]),
    ("refund_only", ["refuseRequest", "requestIntervention", "acceptDispute", "openInquiry"]),
    ("return_refund", ["agreeReturn", "shipReturn"]),
]
USER_OF_ROLE: Final = {who.role.value: user for user, who in reversed(DEMO_USERS.items())}  # the first of each
numbers = itertools.count(1)


@dataclass(frozen=True)
class Edge:
    """An answer that says what may come next."""

    link: dict[str, Any]
    path_parameters: dict[str, Any]
    answer: Response

    def value(self, expression: str) -> Any:
        """What a runtime expression of OpenAPI means here."""
        source, _, name = expression.removeprefix("$").partition(".")
        place, _, name = name.partition("." if source == "request" or ".header." in expression else "#/")
        if source == "request":
            return self.path_parameters[name]
        return self.answer.headers[name] if place == "header" else self.answer.json()[name]


@dataclass
class Walk:
    """One walker: what it has been told, and where it may go."""

    world: HttpWorld
    dice: Random
    edges: list[Edge] = field(default_factory=list)
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)  # over all walks
    tried: Counter[str] = field(default_factory=Counter)
    etag: str = ""  # the newest one seen

    def set_out(self) -> None:
        """A buyer disputes something just bought; some walks begin where the platform or the carrier has come in."""
        kind, known_way = self.dice.choice(WAYS)
        self.ask(
            "openDispute", {}, {}, example("openDispute") | {"order_line_id": self.world.place_order(), "type": kind}
        )
        for name in known_way:
            self.go(next(edge for edge in self.edges[::-1] if edge.link["operationId"] == name), example(name))

    def step(self) -> None:
        """Go where one of the answers leads."""
        self.go(self.dice.choice(self._least_trodden() if self.dice.random() < 0.8 else self.edges), None)

    def go(self, edge: Edge, body: Any) -> None:
        """Follow a link, with its parameters."""
        self.tried[edge.link["operationId"]] += 1
        path: dict[str, Any] = {}
        headers: dict[str, str] = {}
        for name, expression in edge.link.get("parameters", {}).items():
            place, _, bare = name.partition(".")
            (path if place == "path" else headers)[bare] = edge.value(expression)
        self.ask(edge.link["operationId"], path, headers, body)

    def _least_trodden(self) -> list[Edge]:
        """Links of the newest answer that this walk tried least, of those the ones that all walks got through least."""

        def trodden(edge: Edge) -> tuple[int, int]:
            name = edge.link["operationId"]
            return self.tried[name], sum(self.seen[name, status] for status in (200, 201))

        fresh = [edge for edge in self.edges if edge.answer is self.edges[-1].answer]
        least = min(map(trodden, fresh))
        return [edge for edge in fresh if trodden(edge) == least]

    def ask(self, name: str, path: dict[str, Any], headers: dict[str, str], body: Any) -> None:
        """Send a well-formed request and hold the answer against the document."""
        operation = contract().find_operation_by_id(name)
        raw = operation.definition.raw
        drawn = self.dice.choice(well_formed(name))
        path = dict(drawn.path_parameters or {}) | path
        chosen = body is not None
        if not chosen and "application/json" in raw.get("requestBody", {}).get("content", {}):
            body = example(name) if self.dice.random() < 0.75 else drawn.body
        if isinstance(body, dict) and "client_message_id" in body:
            body = body | {"client_message_id": f"walk-{next(numbers)}"}
        roles = [each["BearerToken"][0] for each in raw["security"]]
        user = USER_OF_ROLE[roles[0] if chosen or self.dice.random() < 0.9 else self.dice.choice(roles)]
        url = operation.path.format(**path)
        seen = headers.get("If-Match")  # as the link says it, or as somebody would who looked again
        sent = self.world.as_(user)
        if seen is not None:
            sent["If-Match"] = self.etag if chosen or self.dice.random() < 0.9 else seen
        answer = self.world.client.request(
            operation.method.upper(), url, headers=sent, json=body if raw.get("requestBody") else None
        )
        operation.Case(path_parameters=path, headers=sent).validate_response(answer, checks=CHECKS)
        self.seen[name, answer.status_code] += 1
        self.etag = answer.headers.get("ETag") or (
            f'"{answer.json()["revision"]}"' if answer.status_code == 412 else self.etag
        )
        links = raw["responses"].get(str(answer.status_code), {}).get("links", {})
        self.edges += [Edge(link, path, answer) for link in links.values()]


@lru_cache(maxsize=1)
def contract() -> Any:
    """The committed document, as schemathesis reads it."""
    return schemathesis.openapi.from_path(COMMITTED, config=schemathesis.Config())


@lru_cache(maxsize=256)
def well_formed(name: str) -> list[Any]:
    """Some well-formed requests of an operation, the same in every run."""
    found: list[Any] = []

    @settings(
        max_examples=CASES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(contract().find_operation_by_id(name).as_strategy(GenerationMode.POSITIVE))
    def keep(case: Any) -> None:
        found.append(case)

    keep()
    return found


@lru_cache(maxsize=1)
def examples() -> dict[str, Any]:
    """The usual body of every operation, from the document."""
    document = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return {
        operation["operationId"]: content["application/json"]["examples"]["usual"]["value"]
        for item in document["paths"].values()
        for operation in item.values()
        if "application/json" in (content := operation.get("requestBody", {}).get("content", {}))
    }


def example(name: str) -> dict[str, Any]:
    """The usual body of an operation."""
    return dict(examples()[name])


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[HttpWorld]:
    with new_http_world(database, tmp_path) as world:
        yield world


@pytest.mark.long
def test_whoever_follows_the_links_is_answered_as_documented(world: HttpWorld, figure: Say) -> None:
    """Edge case 54: a stateful run over links, on both databases."""
    seen: Counter[tuple[str, int]] = Counter()

    seed = new_seed()
    figure(f"walks: seed {seed}")
    dice = Random(seed)
    for _ in range(size(whole=WALKS, part=WALKS_PART)):
        walker = Walk(world, dice, seen=seen)
        walker.set_out()
        for _ in range(STEPS):
            walker.step()

    well = {name for name, status in seen if status in (200, 201)}
    assert well >= REACHED, f"never reached: {sorted(REACHED - well)} of {sorted(seen.items())}"


def test_every_example_is_what_its_operation_reads() -> None:
    """An example that the reader refuses would teach the wrong thing."""
    import jsonschema

    document = json.loads(COMMITTED.read_text(encoding="utf-8"))
    bodies = {
        operation["operationId"]: operation["requestBody"]["content"]["application/json"]["schema"]
        for item in document["paths"].values()
        for operation in item.values()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }

    assert set(bodies) == set(examples())
    for name, body in examples().items():
        jsonschema.validate(body, bodies[name] | {"components": document["components"]})
