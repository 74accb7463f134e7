"""The transcript: canonical bytes, hashes, commitments, and rows that nobody changes."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.domain.transcript import (
    NotCanonical,
    canonical,
    disclosed,
    disclosure,
    entry,
    instant,
    leaf_hash,
    micros,
    receipt,
    rfc3339,
)
from service.flows.ask_merchant import Asked, open_inquiry
from service.store import tables
from service.store.engine import make_engine
from tests.world import AGENT, World, new_world

AT = datetime(2026, 11, 23, 7, 46, 1, 123456, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=40)
KEY = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=("Cs",), exclude_characters="\x00"), max_size=12)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEY, inner, max_size=4),
    max_leaves=12,
)


@given(VALUE)
def test_our_encoder_writes_what_the_rfc_8785_library_writes(value: object) -> None:
    """Property: for every value we admit the bytes are JCS."""
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value", [1.5, 2**53, -(2**53), "a\x00b", "\ud800", {"\U0001f600": 1}, {1: 2}, b"x", {"a": [2**60]}]
)
def test_what_the_transcript_cannot_hold_is_refused(value: object) -> None:
    """No floats, no integer of 2^53 or more, no NUL, no lone surrogate (evidence.md section 1)."""
    with pytest.raises(NotCanonical):
        canonical(value)


@given(st.integers(0, 7_258_118_400_000_000).map(instant))
def test_stored_microseconds_give_the_instant_back(at: datetime) -> None:
    """Instants are exact to the microsecond, both ways."""
    assert instant(micros(at)) == at


def test_a_disclosure_is_the_one_of_rfc_9901() -> None:
    """base64url of [salt, name, value], and its SHA-256 as digest."""
    made = disclosure(salt=b"s" * 32, name="text", value="我们今天发货")

    padded = made.body + "=" * (-len(made.body) % 4)
    assert json.loads(base64.urlsafe_b64decode(padded))[1:] == ["text", "我们今天发货"]
    assert made.digest == hashlib.sha256(made.body.encode()).digest()
    assert disclosed(made.body) == ("text", "我们今天发货")


@given(TEXT)
def test_words_come_back_exactly_as_sent(words: str) -> None:
    """Text is stored exactly as sent, whatever it is made of."""
    assert disclosed(disclosure(salt=b"s" * 32, name="text", value=words).body) == ("text", words)


def test_an_entry_names_its_predecessor_and_hides_its_words() -> None:
    """The chain: `prev` is the leaf hash of the entry before; the body holds digests, never words."""
    kept = disclosure(salt=b"s" * 32, name="text", value="秘密")
    first = entry(case="c", seq=1, prev=None, at=AT, kind="dispute.requested", actor={"t": "buyer", "ref": "b"})
    second = entry(
        case="c", seq=2, prev=first.hash, at=AT, kind="x", actor={"t": "buyer", "ref": "b"}, disclosures=[kept]
    )

    document = json.loads(second.body)
    assert document["prev"] == base64.b64encode(first.hash).decode()
    assert document["at"] == "2026-11-23T07:46:01.123456Z" == rfc3339(AT)
    assert second.hash == leaf_hash(second.body) == hashlib.sha256(b"\0" + second.body).digest()
    assert "秘密" not in second.body.decode()
    assert rfc8785.dumps(document) == second.body
    assert receipt(second).hash == base64.b64encode(second.hash).decode()


def test_the_chain_of_a_dispute_holds_from_its_rows_alone(database: str, tmp_path: Path) -> None:
    """Every stored line is its own JCS, names its predecessor, and its disclosures match its digests."""
    with new_world(database, tmp_path) as world:
        dispute = world.make_dispute()
        world.tell(AGENT, lambda ctx: open_inquiry(ctx, dispute, Asked("m-1", "今天能发货吗?")))

        entries = sorted(world.rows(tables.TranscriptEntry, dispute_id=dispute), key=lambda e: e.seq)
        before = None
        for line in entries:
            document = json.loads(line.body)
            kept = world.rows(tables.DisclosureRow, dispute_id=dispute, seq=line.seq)
            assert rfc8785.dumps(document) == line.body
            assert document["prev"] == (None if before is None else base64.b64encode(before).decode())
            assert line.hash == leaf_hash(line.body)
            digests = [base64.urlsafe_b64encode(k.digest).rstrip(b"=").decode() for k in kept]
            assert sorted(digests) == document.get("_sd", [])
            before = line.hash
        row = world.row(tables.Dispute, id=dispute)
        assert (row.last_seq, row.last_hash) == (len(entries), before)


ATTACKS = (
    "UPDATE transcript_entry SET kind = 'x'",
    "DELETE FROM transcript_entry",
    "UPDATE disclosure SET body = 'x'",
    "DELETE FROM disclosure",
    "INSERT OR REPLACE INTO transcript_entry SELECT dispute_id, seq, at, 'forged', body, hash FROM transcript_entry",
    "INSERT INTO transcript_entry SELECT dispute_id, seq, at, 'forged', body, hash FROM transcript_entry WHERE true"
    " ON CONFLICT (dispute_id, seq) DO UPDATE SET kind = 'forged'",
    "TRUNCATE transcript_entry",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_nobody_changes_a_line_of_a_transcript(attack: str, database: str, tmp_path: Path) -> None:
    """Append-only by triggers on both engines, INSERT OR REPLACE on SQLite included."""
    with new_world(database, tmp_path) as world:
        dispute = world.make_dispute()
        world.tell(AGENT, lambda ctx: open_inquiry(ctx, dispute, Asked("m-1", "今天能发货吗?")))
        before = [e.body for e in world.rows(tables.TranscriptEntry, dispute_id=dispute)]
    engine = make_engine(database)

    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text(attack))

    engine.dispose()
    with World(database, tmp_path).closing() as again:
        assert [e.body for e in again.rows(tables.TranscriptEntry, dispute_id=dispute)] == before
