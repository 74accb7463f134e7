"""`Prefer: dry-run`: everything is checked and answered, nothing is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.one_of_each import EXAMPLES, WRITES, ask, begin, counts, honours_dry_run, operations
from tests.over_http import HttpWorld, new_http_world


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[HttpWorld]:
    with new_http_world(database, tmp_path) as world:
        yield world


@pytest.mark.parametrize("beginning", ["requested", "refused", "laid out"])
def test_trying_keeps_nothing(world: HttpWorld, beginning: str) -> None:
    """`Prefer: dry-run` on every operation that honours it: checked and answered, no row more, no revision more."""
    objects = begin(world, beginning)
    tried = Counter[int]()
    for name, user in WRITES.items():
        if not honours_dry_run(operations()[name][2]):
            continue
        before = counts(world)
        answer = ask(world, name, user, objects)
        tried[answer.status_code] += 1

        assert counts(world) == before, name
        assert answer.status_code < 500, name
        assert (answer.headers.get("Preference-Applied") == "dry-run") == (answer.status_code < 300), name

    assert tried[200] + tried[201] + tried[202] >= 8, f"too little would have been done to prove anything: {tried}"


def test_what_was_only_tried_can_then_be_done_with_the_same_key(world: HttpWorld) -> None:
    """A dry run stores no answer: its key is still free."""
    dispute = world.open_one()
    path, body = f"/disputes/{dispute}/actions/seller-refuse", EXAMPLES["refuseRequest"]

    tried = world.post("owner", path, body, key="dry-then-real-1", If_Match="*", Prefer="dry-run")
    done = world.post("owner", path, body, key="dry-then-real-1", If_Match="*")

    assert (tried.status_code, tried.json()["state"]) == (200, "refused")
    assert (done.status_code, done.json()["state"]) == (200, "refused")
    assert "Idempotency-Replayed" not in done.headers
    assert world.kinds(dispute).count("dispute.seller_refuse") == 1


def test_what_does_not_honour_trying_refuses_it(world: HttpWorld) -> None:
    """Never silently done: 400 `dry_run_unsupported`."""
    laid_out = begin(world, "laid out")
    before = counts(world)
    refused = {
        name: ask(world, name, user, laid_out, Prefer="dry-run")
        for name, user in WRITES.items()
        if not honours_dry_run(operations()[name][2])
    }

    assert {name: answer.json()["code"] for name, answer in refused.items()} == dict.fromkeys(
        refused, "dry_run_unsupported"
    )
    assert refused
    assert counts(world) == before
