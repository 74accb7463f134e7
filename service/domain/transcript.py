"""Entries of a dispute's transcript: canonical bytes, hashes, and commitments to everything free or personal.

Format: evidence.md section 1. Stored and hashed bytes are RFC 8785 (JCS) bytes; `hash = SHA256(00 ‖ bytes)` is at once
the RFC 6962 leaf hash, the next entry's `prev` and the entry's identity. Texts stand in disclosures (RFC 9901):
`base64url(JCS([salt, name, value]))`, of which the entry holds only the digest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from service.domain.errors import Kind, Refusal

LOG_ORIGIN: Final = "gongduan.example/tlog/1"  # renamed by the operator when the log is published (Evidence)
SALT_BYTES: Final = 32  # RFC 9901 asks for at least 128 bits; we take 256
ENTRY_BYTES_MAX: Final = 4096  # evidence.md section 1: the envelope stays small whatever the message
INTEGER_MAX: Final = 2**53 - 1  # I-JSON, RFC 7493 section 2.2

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# RFC 8785 for what we admit (no floats, integers below 2^53, keys of the Basic Multilingual Plane): a property test
# holds this encoder against the library rfc8785, which takes thirty times as long (docs/decisions/0003).
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_SURROGATE_OR_NUL: Final = re.compile("[\x00\ud800-\udfff]")
_LAST_OF_THE_BMP: Final = "\uffff"
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class NotCanonical(Refusal):
    """A value that the transcript cannot hold: NUL, a lone surrogate, a float, or an integer beyond 2^53."""

    kind = Kind.MALFORMED


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One committed value. `body` is base64url(JCS([salt, name, value])), `digest` its 32-byte SHA-256."""

    name: str
    body: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a transcript. `body` are the canonical bytes, `hash` is 32 bytes."""

    seq: int
    at: datetime
    kind: str
    body: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender may keep: the place, the fingerprint and the instant of an entry."""

    seq: int
    hash: str
    at: datetime


def micros(instant: datetime) -> int:
    """Microseconds since 1970 in UTC; the form in which instants are stored."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(micros_since_epoch: int) -> datetime:
    """The aware UTC instant of stored microseconds."""
    return _EPOCH + timedelta(microseconds=micros_since_epoch)


def rfc3339(at: datetime) -> str:
    """UTC with exactly six digits of fraction and `Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def canonical(value: object) -> bytes:
    """RFC 8785 bytes of a value made of objects, arrays, strings, integers, booleans and null.

    Raises:
        NotCanonical: a float, an integer of magnitude 2^53 or more, a string with NUL or a lone surrogate, a key that
            is not a string of the Basic Multilingual Plane.
    """
    require_canonical(value)
    return _ENCODER.encode(value)


def require_canonical(value: object) -> None:
    """Refuse what `canonical` could not write; depth is bounded by the edge (64)."""
    if isinstance(value, str):
        if _SURROGATE_OR_NUL.search(value):
            raise NotCanonical(
                "text_not_storable", zh="文字含有无法保存的字符", en="Text holds NUL or a lone surrogate"
            )
    elif value is None or isinstance(value, bool):
        return
    elif isinstance(value, int):
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise NotCanonical("integer_too_large", zh="整数过大", en="Integers stay below 2^53")
    elif isinstance(value, dict | Mapping):
        for key, item in value.items():
            _require_key(key)
            require_canonical(item)
    elif isinstance(value, list | tuple) or (isinstance(value, Sequence) and not isinstance(value, bytes | bytearray)):
        for item in value:
            require_canonical(item)
    else:
        raise NotCanonical(
            "value_not_storable", zh="值无法保存", en="No floats, bytes or other objects", got=type(value).__name__
        )


def _require_key(key: object) -> None:
    if not isinstance(key, str) or (not key.isascii() and max(key) > _LAST_OF_THE_BMP):
        raise NotCanonical("key_not_storable", zh="键名无效", en="Keys are strings of the BMP")
    require_canonical(key)


def disclosure(*, salt: bytes, name: str, value: object) -> Disclosure:
    """Commit to a value (RFC 9901 section 4.2.1).

    Args:
        salt: 32 fresh random bytes; a salt that is gone leaves the digest meaningless even for guessable values.
    """
    assert len(salt) == SALT_BYTES, "a salt is 32 bytes"
    require_canonical(value)
    body = _base64url(_ENCODER.encode([_base64url(salt), name, value]))
    return Disclosure(name, body, hashlib.sha256(body.encode()).digest())


def disclosed(body: str) -> tuple[str, object]:
    """Name and value of a disclosure's body."""
    padded = body + "=" * (-len(body) % 4)
    _, name, value = msgspec.json.decode(base64.urlsafe_b64decode(padded))
    return name, value


def entry(
    *,
    case: str,
    seq: int,
    prev: bytes | None,
    at: datetime,
    kind: str,
    actor: Mapping[str, str],
    cause: str | None = None,
    rules: Mapping[str, object] | None = None,
    facts: Mapping[str, object] | None = None,
    disclosures: Sequence[Disclosure] = (),
) -> Entry:
    """Make the entry that follows `prev`.

    Args:
        prev: 32-byte hash of entry seq-1; None for seq 1.
        actor: {"t": side, "ref": merchant, buyer or agent, "sub": seat} without empty members.
        facts: ids, states, hashes, counts and instants of what happened; never free text, never anything personal,
            never a float.
        disclosures: commitments whose digests go into `_sd`, sorted.

    """
    assert (seq == 1) == (prev is None), "only the first entry has no predecessor"
    document: dict[str, object] = {
        "v": 1,
        "log": LOG_ORIGIN,
        "case": case,
        "seq": seq,
        "prev": None if prev is None else base64.b64encode(prev).decode(),
        "at": rfc3339(at),
        "kind": kind,
        "actor": dict(actor),
    }
    if cause is not None:
        document["cause"] = cause
    if rules is not None:
        document["rules"] = dict(rules)
    if facts:
        document["facts"] = dict(facts)
    if disclosures:
        document["_sd"] = sorted(_base64url(d.digest) for d in disclosures)
    body = _ENCODER.encode(document)  # our own words, ids and counts: canonical by construction
    assert len(body) <= ENTRY_BYTES_MAX, f"an envelope of {len(body)} bytes: free text belongs into a disclosure"
    return Entry(seq, at, kind, body, leaf_hash(body))


def leaf_hash(body: bytes) -> bytes:
    """SHA-256 of 00 and the bytes. Source: RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + body).digest()


def receipt(of: Entry) -> Receipt:
    """The receipt of an entry, its hash in base64."""
    return Receipt(of.seq, base64.b64encode(of.hash).decode(), of.at)


def _base64url(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode()
