"""Long proofs: how large they run, from which seed, what they found, and what every one of them looks at in the end."""

from __future__ import annotations

import base64
import json
import os
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import pytest
from sqlmodel import SQLModel, col, select

from service.domain.transcript import leaf_hash
from service.store import tables
from service.store.engine import Database, Transaction

SHARE = os.environ.get("LONG_PROOFS", "")  # "whole", a part of it such as 0.1, or nothing: as `make test` runs them
FIGURES: list[str] = []  # what the proofs of this process (and, with xdist, of its workers) printed
Model = TypeVar("Model", bound=SQLModel)
Say = Callable[[str], None]


def size(*, whole: int, part: int) -> int:
    """How often to try: `whole` (or LONG_PROOFS of it) in `make soak` and `make chaos`, `part` in `make test`."""
    if not SHARE:
        return part
    return whole if SHARE == "whole" else max(part, round(whole * float(SHARE)))


def new_seed() -> int:
    """PROOF_SEED, to run a proof again as it ran, or a new one."""
    return int(os.environ.get("PROOF_SEED") or random.SystemRandom().randrange(2**32))


@pytest.fixture
def figure(record_property: Callable[[str, object], None], request: pytest.FixtureRequest) -> Say:
    """Prints a figure of a proof now, and once more below the summary of the whole run."""

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        record_property("figure", f"{request.node.name}: {text}")

    return say


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the figures, from xdist's workers too."""
    if report.when == "call":
        FIGURES.extend(str(text) for name, text in report.user_properties if name == "figure")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print them together."""
    if FIGURES:
        terminalreporter.section("proofs")
        for text in FIGURES:
            terminalreporter.write_line(text)


# --- what must hold of every database -------------------------------------------------------------------------------


def rows(database: Database, model: type[Model], *conditions: object) -> list[Model]:
    """Rows of a table, in the order of their primary keys."""

    def work(tx: Transaction) -> list[Model]:
        keys = model.__table__.primary_key.columns
        return list(tx.session.exec(select(model).where(*conditions).order_by(*keys)).all())

    return database.read(work)


def broken_chains(database: Database, dispute_ids: Sequence[str] | None = None) -> list[str]:
    """What is wrong with the transcripts: a gap, a wrong hash, a wrong predecessor, a wrong head. Empty is right."""
    entries: dict[str, list[tables.TranscriptEntry]] = defaultdict(list)
    chosen = [] if dispute_ids is None else [col(tables.TranscriptEntry.dispute_id).in_(dispute_ids)]
    for entry in rows(database, tables.TranscriptEntry, *chosen):
        entries[entry.dispute_id].append(entry)
    heads = [] if dispute_ids is None else [col(tables.Dispute.id).in_(dispute_ids)]
    wrong = []
    for dispute in rows(database, tables.Dispute, *heads):
        wrong += [f"{dispute.id}: {what}" for what in _broken(dispute, entries.pop(dispute.id, []))]
    return wrong + [f"{dispute_id}: entries without a dispute" for dispute_id in entries]


def _broken(dispute: tables.Dispute, entries: Sequence[tables.TranscriptEntry]) -> Iterator[str]:
    before: bytes | None = None
    for place, entry in enumerate(entries, start=1):
        said = json.loads(entry.body)
        if entry.seq != place or said["seq"] != place or said["case"] != dispute.id or said["kind"] != entry.kind:
            yield f"entry {place} is {entry.seq}: {said}"
        if leaf_hash(entry.body) != entry.hash:
            yield f"entry {place} does not hash to its hash"
        if said["prev"] != (None if before is None else base64.b64encode(before).decode()):
            yield f"entry {place} follows another one"
        before = entry.hash
    if (dispute.last_seq, dispute.last_hash) != (len(entries), before):
        yield f"the head is {dispute.last_seq}, the last entry {len(entries)}"
