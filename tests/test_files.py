"""Files: kept whole under their fingerprint, typed by their bytes, refused when they are two things at once."""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import Absent
from service.domain.media_type import MediaTypeMismatch, MediaTypeRefused, require_media_type
from service.store.files import FILE_BYTES_MAX, FileEmpty, FileTooLarge, FolderStore

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + b"\xff\xd9"
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer<<>>\n%%EOF\n"
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"
WAV = (
    b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00"
    b"data\x00\x00\x00\x00"
)
OPUS = b"OggS\x00\x02" + bytes(20) + b"\x01\x13OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00"
AMR = b"#!AMR\n\x3c" + bytes(range(31))
AAC = (b"\xff\xf1\x50\x80\x01\x1f\xfc" + b"\x21") * 3  # ADTS: eight bytes a frame
MP3 = (b"\xff\xfb\x90\x00" + bytes(413)) * 2  # MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes a frame
TEXT = "买家说：包裹没到。\r\nTracking 123\t✓\n".encode()


def png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\x00\x00")) + chunk(b"IEND", b"")


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def mp4(*handlers: bytes, brand: bytes = b"mp42") -> bytes:
    tracks = b"".join(box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + each + bytes(13)))) for each in handlers)
    return box(b"ftyp", brand + bytes(4) + b"isom") + box(b"free", b"") + box(b"moov", tracks) + box(b"mdat", b"\0" * 9)


def archive() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        packed.writestr("run.sh", "echo")
    return sink.getvalue()


KINDS = {
    "jpeg": (JPEG, "image/jpeg"),
    "png": (png(), "image/png"),
    "gif": (GIF, "image/gif"),
    "webp": (WEBP, "image/webp"),
    "pdf": (PDF, "application/pdf"),
    "film": (mp4(b"vide", b"soun"), "video/mp4"),
    "silent film": (mp4(b"vide", brand=b"isom"), "video/mp4"),
    "voice memo": (mp4(b"soun", brand=b"M4A "), "audio/mp4"),
    "voice memo of an Android phone": (mp4(b"soun", brand=b"mp42"), "audio/mp4"),
    "opus": (OPUS, "audio/ogg"),
    "amr": (AMR, "audio/amr"),
    "wav": (WAV, "audio/wav"),
    "aac": (AAC, "audio/aac"),
    "mp3": (MP3, "audio/mpeg"),
    "mp3 with a tag": (b"ID3\x04\x00\x00\x00\x00\x00\x05title" + MP3, "audio/mpeg"),
    "text": (TEXT, "text/plain"),
    "text with a mark": (b"\xef\xbb\xbf" + TEXT, "text/plain"),
}
REFUSED = {
    "a program": b"\x7fELF\x02\x01\x01" + bytes(64),
    "a Windows program": b"MZ\x90\x00" + bytes(64),
    "an archive": archive(),
    "a page": b"  <!DOCTYPE html><p>hi",
    "a page behind a mark": b"\xef\xbb\xbf<HTML>",
    "a drawing that can hold scripts": b'<?xml version="1.0"?><svg onload="x()"/>',
    "a shell script": b"#!/bin/sh\necho hi\n",
    "a HEIC picture": box(b"ftyp", b"heic" + bytes(4)) + box(b"moov", b""),
    "an mp4 without tracks": mp4(),
    "text in another encoding": "买家说".encode("gb18030"),
    "text with a NUL": b"a\x00b",
    "text with an escape": b"\x1b]8;;http://x\x07",
    "one mp3 frame cut short": MP3[:100],
    "an ID3 tag with nothing behind it": b"ID3\x04\x00\x00\x00\x00\x00\x05title",
    "an Ogg film": b"OggS\x00\x02" + bytes(20) + b"\x01\x2a\x80theora" + bytes(40),
    "a RIFF of another form": b"RIFF\x04\x00\x00\x00AVI LIST",
    "a box that does not move on": box(b"ftyp", b"isom" + bytes(4)) + struct.pack(">I4s", 0x7, b"moov"),
}
POLYGLOTS = {
    "a picture with an archive behind it": JPEG + archive(),
    "a picture with an archive and a comment": JPEG + archive()[:-2] + b"\x03\x00abc",
    "a document with an archive behind it": PDF + archive(),
    "a picture that opens as a document": JPEG[:20] + b"%PDF-1.4" + JPEG[20:],
    "a picture with a script in its first bytes": JPEG[:20] + b"<ScRipt>alert(1)</script>" + JPEG[20:],
    "a picture that is a script": b"GIF89a/*" + GIF[8:] + b"*/=1;alert(1)",
    "a picture with a 7z behind it": png() + b"7z\xbc\xaf\x27\x1c\x00\x04",
    "a picture with a RAR behind it": png() + b"Rar!\x1a\x07\x01\x00",
    "a text that opens as a document": b"words, then %PDF-1.4",
}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "files")


def names(store: FolderStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_the_type_is_read_from_the_bytes(kind: str) -> None:
    """Whatever the sender says or does not say."""
    content, media_type = KINDS[kind]

    found = require_media_type(content)

    assert found == media_type
    assert require_media_type(content, declared=f"{media_type.upper()}; charset=utf-8") == media_type
    assert require_media_type(content, declared="application/octet-stream") == media_type


@pytest.mark.parametrize("kind", [*REFUSED, *POLYGLOTS])
def test_what_is_no_known_type_or_two_at_once_is_refused_and_leaves_nothing(kind: str, store: FolderStore) -> None:
    """46: wrong MIME, polyglot."""
    content = (REFUSED | POLYGLOTS)[kind]

    with pytest.raises(MediaTypeRefused) as refusal:
        store.put(content)

    assert refusal.value.code == "media_type_refused"
    assert names(store) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_not_what_it_is_said_to_be_is_refused_and_leaves_nothing(kind: str, store: FolderStore) -> None:
    """46: wrong MIME."""
    content, media_type = KINDS[kind]
    declared = "image/png" if media_type != "image/png" else "text/plain"

    with pytest.raises(MediaTypeMismatch) as refusal:
        store.put(content, declared=declared)

    assert refusal.value.facts == {"declared": declared, "found": media_type}
    assert names(store) == []


def test_other_names_for_the_same_type_are_no_mismatch() -> None:
    """Browsers and phones do not agree on what to call an MP3."""
    assert require_media_type(MP3, declared="audio/mp3") == "audio/mpeg"
    assert require_media_type(WAV, declared="audio/x-wav") == "audio/wav"
    assert require_media_type(JPEG, declared="image/jpg") == "image/jpeg"


def test_what_a_phone_appends_to_a_picture_does_not_make_it_a_polyglot() -> None:
    """Motion photos carry a film behind the picture; refusing them would refuse honest buyers."""
    assert require_media_type(JPEG + mp4(b"vide")) == "image/jpeg"


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_get_a_type_or_a_refusal(content: bytes) -> None:
    """No bytes make a reader stumble."""
    try:
        found = require_media_type(content)
    except MediaTypeRefused:
        return

    assert "/" in found


@given(st.sampled_from([content for content, _ in KINDS.values()]), st.data())
def test_a_broken_file_gets_a_type_or_a_refusal(whole: bytes, data: st.DataObject) -> None:
    """Lengths inside a file lie: readers neither hang nor read past its end."""
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(content)))

    try:
        found = require_media_type(bytes(content[:cut]))
    except MediaTypeRefused:
        return

    assert "/" in found


def test_a_file_comes_back_byte_for_byte_under_its_fingerprint(store: FolderStore) -> None:
    """The name is the SHA-256 of the bytes, nothing the sender chose."""
    stored = store.put(TEXT)

    with store.open(stored.sha256) as stream:
        back = stream.read()

    assert back == TEXT
    assert stored.sha256 == hashlib.sha256(TEXT).hexdigest()
    assert (stored.size, stored.media_type) == (len(TEXT), "text/plain")
    assert names(store) == [f"{stored.sha256[:2]}/{stored.sha256}"]


def test_the_same_bytes_twice_are_kept_once(store: FolderStore) -> None:
    """46: same sha256 twice."""
    first = store.put(JPEG, declared="image/jpeg")

    second = store.put(io.BytesIO(JPEG))

    assert second == first
    assert len(names(store)) == 1


@pytest.mark.parametrize("given_as", [bytes, io.BytesIO])
def test_ten_mebibytes_are_kept_and_one_byte_more_is_refused(
    given_as: Callable[[bytes], bytes], store: FolderStore
) -> None:
    """46: 10 MB ±1 B."""
    assert store.put(given_as(b"x" * FILE_BYTES_MAX)).size == FILE_BYTES_MAX
    assert store.put(given_as(b"x" * (FILE_BYTES_MAX - 1))).size == FILE_BYTES_MAX - 1
    kept = names(store)

    with pytest.raises(FileTooLarge):
        store.put(given_as(b"x" * (FILE_BYTES_MAX + 1)))

    assert names(store) == kept


def test_an_endless_stream_is_read_one_byte_past_the_bound_and_no_further(store: FolderStore) -> None:
    """A sender who never stops costs 10 MiB, whatever the length it announced."""

    class Endless(io.RawIOBase):
        handed_out = 0

        def read(self, size: int = -1) -> bytes:
            self.handed_out += size
            return b"x" * size

    stream = Endless()

    with pytest.raises(FileTooLarge):
        store.put(stream)

    assert stream.handed_out == FILE_BYTES_MAX + 1


@pytest.mark.parametrize("given_as", [bytes, io.BytesIO])
def test_a_file_of_no_bytes_is_refused(given_as: Callable[[bytes], bytes], store: FolderStore) -> None:
    """46: 0 B."""
    with pytest.raises(FileEmpty):
        store.put(given_as(b""))

    assert names(store) == []


def test_a_stream_that_breaks_off_leaves_nothing(store: FolderStore) -> None:
    """46: upload abandoned."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put(Broken())

    assert names(store) == []


def test_a_disk_that_fails_leaves_nothing_and_the_next_try_succeeds(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full or broken disks answer at fsync; what was half written goes away."""

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        store.put(JPEG)

    assert names(store) == []
    monkeypatch.undo()
    assert store.is_intact(store.put(JPEG).sha256)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "incoming", "", "a" * 63, "A" * 64, "a" * 64 + "\n", "/" * 64, "%2e" * 22, "\x00" * 64]
)
def test_a_name_that_is_no_fingerprint_names_nothing(name: str, store: FolderStore) -> None:
    """Nobody walks out of the folder, and the answer is that of a file that is not there."""
    with pytest.raises(Absent):
        store.open(name)

    assert not store.is_intact(name)


def test_an_unknown_fingerprint_names_nothing(store: FolderStore) -> None:
    """Not there is a refusal, not an error of ours."""
    with pytest.raises(Absent):
        store.open("0" * 64)


def test_a_rotten_file_is_seen_and_the_same_bytes_heal_it(store: FolderStore) -> None:
    """One flipped bit on disk is enough."""
    sha256 = store.put(JPEG).sha256
    path = store.root / sha256[:2] / sha256
    path.chmod(0o600)
    path.write_bytes(JPEG[:-1] + b"\xd8")
    assert not store.is_intact(sha256)

    store.put(JPEG)

    assert store.is_intact(sha256)


def test_a_kept_file_cannot_be_written_to_by_accident(store: FolderStore) -> None:
    """Evidence is frozen on submit."""
    sha256 = store.put(JPEG).sha256

    assert (store.root / sha256[:2] / sha256).stat().st_mode & 0o777 == 0o400


def test_only_half_files_older_than_the_instant_are_cleared(store: FolderStore) -> None:
    """Another process may be in the middle of its own."""
    old, new = store.incoming / "old", store.incoming / "new"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (1_000_000, 1_000_000))
    os.utime(new, (2_000_000, 2_000_000))
    kept = store.put(JPEG)

    removed = store.clear_incoming(before=datetime.fromtimestamp(1_500_000, UTC))

    assert removed == 1
    assert [path.name for path in store.incoming.iterdir()] == ["new"]
    assert store.is_intact(kept.sha256)


def test_every_type_we_keep_is_written_in_lower_case_without_parameters() -> None:
    """The type goes into a header as it is."""
    assert all(re.fullmatch(r"[a-z]+/[a-z0-9]+", media_type) for _, media_type in KINDS.values())
