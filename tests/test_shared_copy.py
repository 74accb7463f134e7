"""The shared copy of a file: the same picture, without where, when and with what it was taken."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import GuardFailed
from service.domain.media_type import require_media_type
from service.domain.shared_copy import shared_copy

SECRET = b"30.2741N 120.1551E SN-123456"
ORIENTATIONS = st.sampled_from(range(1, 9))


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def exif(orientation: int | None, *, order: str = ">", secret: bytes = SECRET) -> bytes:
    """An EXIF body with an orientation, a GPS pointer and a secret behind the directory."""
    entries = [(0x8825, 4, 1, 100)]
    if orientation is not None:
        value = orientation << 16 if order == ">" else orientation
        entries.insert(0, (0x0112, 3, 1, value))
    mark = b"MM\x00*" if order == ">" else b"II*\x00"
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(struct.pack(f"{order}HHII", *e) for e in entries)
    return b"Exif\x00\x00" + mark + struct.pack(f"{order}I", 8) + directory + bytes(4) + secret


def jpeg(*segments: bytes, scan: bytes = b"\x12\xff\x00\x34\xff\xd0\x56", after: bytes = b"") -> bytes:
    jfif = segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
    frame = segment(0xC0, b"\x08\x00\x01\x00\x01\x01\x01\x11\x00")
    picture = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + scan
    return b"\xff\xd8" + jfif + b"".join(segments) + frame + picture + b"\xff\xd9" + after


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(*chunks: bytes, after: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\x00\x00"))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + data + chunk(b"IEND", b"") + after


def riff(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)


def webp(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, name) + body


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_photograph_keeps_which_side_is_up_and_nothing_else_of_its_exif(orientation: int, order: str) -> None:
    """Edge case 46: EXIF location stripped in the shared copy but kept in the sealed one."""
    whole = jpeg(segment(0xE1, exif(orientation, order=order)))

    shared = shared_copy(whole, "image/jpeg")

    assert SECRET in whole
    assert SECRET not in shared
    assert (b"Exif" in shared) is (orientation != 1)
    if orientation != 1:
        at = shared.index(b"Exif\x00\x00") + 6
        assert struct.unpack_from(">H", shared, at + 18)[0] == orientation
    assert shared.endswith(b"\xff\xd9")
    assert require_media_type(shared) == "image/jpeg"


@pytest.mark.parametrize(
    "extra",
    [
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + SECRET),
        segment(0xED, b"Photoshop 3.0\x00" + SECRET),
        segment(0xFE, SECRET),
        segment(0xE5, SECRET),
        segment(0xE2, b"MPF\x00" + SECRET),
    ],
    ids=["xmp", "iptc", "comment", "vendor", "multi-picture"],
)
def test_other_places_in_a_jpeg_hide_nothing_either(extra: bytes) -> None:
    """XMP, IPTC, comments, vendors' segments, pictures behind the picture."""
    shared = shared_copy(jpeg(extra, after=b"motion photo" + SECRET), "image/jpeg")

    assert shared == jpeg()


def test_colours_stay_right() -> None:
    """The ICC profile and Adobe's transform belong to the picture."""
    kept = (segment(0xE2, b"ICC_PROFILE\x00\x01\x01profile"), segment(0xEE, b"Adobe\x00d\x00\x00\x00\x00\x01"))

    assert shared_copy(jpeg(*kept), "image/jpeg") == jpeg(*kept)


def test_a_progressive_picture_keeps_every_scan() -> None:
    """Tables and scans take turns until EOI."""
    more = segment(0xC4, b"\x00" * 17) + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\x99\xff\x00"
    whole = jpeg(scan=b"\x12\x34" + more)

    assert shared_copy(whole, "image/jpeg") == whole


def test_a_png_is_rebuilt_from_the_chunks_we_know() -> None:
    """Text, time and EXIF chunks and whatever follows IEND are left out."""
    gone = (chunk(b"eXIf", SECRET), chunk(b"tEXt", b"Location\x00" + SECRET), chunk(b"tIME", bytes(7)))
    kept = chunk(b"pHYs", bytes(9))

    shared = shared_copy(png(*gone, kept, after=SECRET), "image/png")

    assert shared == png(kept)


def test_a_webp_loses_its_metadata_and_says_so() -> None:
    """The flags of the extended header no longer announce EXIF and XMP."""
    head = bytes([0x08 | 0x04 | 0x10, 0, 0, 0]) + bytes(6)
    picture = riff(b"VP8 ", b"\x01" * 11)

    shared = shared_copy(
        webp(riff(b"VP8X", head), picture, riff(b"EXIF", SECRET), riff(b"XMP ", SECRET)) + SECRET, "image/webp"
    )

    assert shared == webp(riff(b"VP8X", b"\x10" + head[1:]), picture)


def test_a_film_keeps_every_place_and_loses_every_metadata_box() -> None:
    """Sample tables point at places in the file: metadata becomes free space, nothing moves."""
    track = box(b"trak", box(b"udta", SECRET) + box(b"tkhd", b"\x01" * 20))
    film = (
        box(b"ftyp", b"isom\x00\x00\x02\x00isomiso2")
        + box(
            b"moov", box(b"mvhd", b"\x02" * 20) + track + box(b"meta", SECRET) + box(b"udta", box(b"\xa9xyz", SECRET))
        )
        + box(b"uuid", SECRET)
        + struct.pack(">I4sQ", 1, b"mdat", 16 + 5)
        + b"movie"
    )

    shared = shared_copy(film, "video/mp4")

    assert SECRET not in shared
    assert len(shared) == len(film)
    assert shared.index(b"movie") == film.index(b"movie")
    assert shared.count(b"free") == 4
    assert b"tkhd" + b"\x01" * 20 in shared


def test_a_document_is_shared_as_it_is() -> None:
    """A PDF has no camera."""
    assert shared_copy(b"%PDF-1.4 anything", "application/pdf") == b"%PDF-1.4 anything"


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (jpeg()[:-9], "image/jpeg"),
        (jpeg(segment(0xE1, exif(6)))[:30], "image/jpeg"),
        (png()[:-3], "image/png"),
        (png().replace(b"IHDR\x00", b"IHDR\x01"), "image/png"),
        (webp(riff(b"VP8 ", b"\x01" * 11))[:-4], "image/webp"),
        (box(b"moov", struct.pack(">I4s", 999, b"udta")), "video/mp4"),
        (box(b"ftyp", b"isom") + box(b"moov", b"")[:4], "video/mp4"),
    ],
)
def test_a_damaged_file_is_not_shared_at_all(content: bytes, media_type: str) -> None:
    """What it holds cannot be told apart."""
    with pytest.raises(GuardFailed) as refused:
        shared_copy(content, media_type)

    assert refused.value.code == "shared_copy_impossible"


def test_boxes_in_boxes_in_boxes_end_somewhere() -> None:
    """A film of nothing but nested boxes is damaged, not a crash."""
    film = b""
    for _ in range(5_000):
        film = box(b"moov", film)

    with pytest.raises(GuardFailed):
        shared_copy(film, "video/mp4")


@given(st.sampled_from(["image/jpeg", "image/png", "image/webp", "video/mp4"]), st.binary(max_size=400))
def test_no_bytes_crash_it(media_type: str, content: bytes) -> None:
    """Whatever comes: a copy or a refusal."""
    starts = {"image/jpeg": b"\xff\xd8", "image/png": b"\x89PNG\r\n\x1a\n", "image/webp": b"RIFF", "video/mp4": b""}
    with suppress(GuardFailed):
        shared_copy(starts[media_type] + content, media_type)


@given(ORIENTATIONS, st.binary(min_size=8, max_size=60), st.sampled_from([">", "<"]))
def test_sharing_twice_changes_nothing_more(orientation: int, secret: bytes, order: str) -> None:
    """A shared copy is its own shared copy."""
    once = shared_copy(jpeg(segment(0xE1, exif(orientation, order=order, secret=secret))), "image/jpeg")

    assert shared_copy(once, "image/jpeg") == once
