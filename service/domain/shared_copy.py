"""The copy of a file that the other party gets: the same picture or film without where and with what it was taken.

The sealed file keeps every byte. Formats are rebuilt from the parts that are known to be needed, so that what we do not
know is left out: positions, devices, names, comments, thumbnails, and whatever a phone appended behind the picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from service.domain.errors import GuardFailed

_JPEG_KEPT: Final = {0xE0: b"JFIF\x00", 0xE2: b"ICC_PROFILE\x00", 0xEE: b"Adobe"}  # APP0, APP2, APP14 with these names
_PNG_KEPT: Final = frozenset(
    {
        b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"hIST",
        b"pHYs", b"sPLT", b"cICP", b"acTL", b"fcTL", b"fdAT",
    }
)  # fmt: skip
_WEBP_KEPT: Final = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_WEBP_METADATA: Final = 0x08 | 0x04  # the flags of VP8X that announce EXIF and XMP (WebP container, extended header)
_MP4_PARENTS: Final = frozenset({b"moov", b"trak", b"moof", b"traf"})
_MP4_DROPPED: Final = frozenset({b"udta", b"meta", b"uuid"})  # user data, metadata, vendors' own: ©xyz lives here
_MP4_DEPTH_MAX: Final = 8  # choice: moov/trak and moof/traf are two deep
_ORIENTATION: Final = 0x0112  # TIFF 6.0: the tag that says which side is up
_EXIF: Final = b"Exif\x00\x00"


def shared_copy(content: bytes, media_type: str) -> bytes:
    """The bytes to show to the other party.

    Args:
        content: the whole file, of a type that was read from its bytes (`media_type.py`).

    Returns:
        For JPEG, PNG, WebP and MP4 the file without metadata (a JPEG keeps its orientation); anything else unchanged.

    Raises:
        GuardFailed: `shared_copy_impossible`: the file is damaged, and what it holds cannot be told apart.
    """
    makers = {"image/jpeg": _jpeg, "image/png": _png, "image/webp": _webp, "video/mp4": _mp4}
    make = makers.get(media_type)
    if make is None:
        return content
    try:
        return make(content)
    except (struct.error, IndexError, ValueError) as error:
        raise GuardFailed(
            "shared_copy_impossible", zh="文件损坏,无法生成共享副本", en="The file is damaged", media_type=media_type
        ) from error


# --- JPEG (ITU-T T.81, annex B) -------------------------------------------------------------------------------------


def _jpeg(content: bytes) -> bytes:
    kept = [content[:2]]
    turned = 1
    for marker, segment in _jpeg_segments(content):
        if marker == 0xE1 and segment[4:10] == _EXIF:
            turned = _orientation(segment[10:]) or turned
        is_picture = not 0xE0 <= marker <= 0xEF and marker != 0xFE  # neither an application's segment nor a comment
        if is_picture or (marker in _JPEG_KEPT and segment[4:].startswith(_JPEG_KEPT[marker])):
            kept.append(segment)
    if turned != 1:
        kept.insert(1, _exif_of(turned))
    return b"".join(kept)


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, bytes) from behind SOI to EOI; a scan comes with its coded data. What follows EOI is not the picture."""
    at = 2
    while True:
        if content[at] != 0xFF:
            raise ValueError("no marker where one belongs")
        while content[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = content[at + 1]
        if marker == 0xD9:
            yield marker, content[at : at + 2]
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            yield marker, content[at : at + 2]
            at += 2
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        ends = at + 2 + length
        if length < 2 or ends > len(content):
            raise ValueError("a segment longer than the file")
        if marker == 0xDA:
            ends = _end_of_scan(content, ends)
        yield marker, content[at:ends]
        at = ends


def _end_of_scan(content: bytes, at: int) -> int:
    """Coded data runs to the next marker that is neither a stuffed zero nor a restart."""
    while True:
        at = content.index(b"\xff", at)
        following = content[at + 1]
        if following == 0x00 or 0xD0 <= following <= 0xD7:
            at += 2
        elif following == 0xFF:
            at += 1
        else:
            return at


def _orientation(tiff: bytes) -> int | None:
    """The orientation of a TIFF header's first directory, 1 to 8; None where it does not say."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return None
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    if directory + 2 > len(tiff):
        return None
    (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
    for number in range(min(entries, (len(tiff) - directory - 2) // 12)):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * number)
        if tag == _ORIENTATION:
            return value if 1 <= value <= 8 else None
    return None


def _exif_of(orientation: int) -> bytes:
    """An EXIF segment that holds the orientation and nothing else."""
    tiff = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", 2 + len(_EXIF) + len(tiff)) + _EXIF + tiff


# --- PNG (ISO/IEC 15948) and WebP (RFC 9649) ------------------------------------------------------------------------


def _png(content: bytes) -> bytes:
    kept, at = [content[:8]], 8
    while True:
        (length,) = struct.unpack_from(">I", content, at)
        name, ends = content[at + 4 : at + 8], at + 12 + length
        if ends > len(content):
            raise ValueError("a chunk longer than the file")
        if zlib.crc32(content[at + 4 : ends - 4]) != struct.unpack_from(">I", content, ends - 4)[0]:
            raise ValueError("a chunk that is damaged")
        if name in _PNG_KEPT:
            kept.append(content[at:ends])
        if name == b"IEND":
            return b"".join(kept)
        at = ends


def _webp(content: bytes) -> bytes:
    (length,) = struct.unpack_from("<I", content, 4)
    ends = 8 + length
    if ends > len(content):
        raise ValueError("a file shorter than it says")
    kept, at = [], 12
    while at + 8 <= ends:
        (size,) = struct.unpack_from("<I", content, at + 4)
        following = at + 8 + size + size % 2
        if at + 8 + size > ends:
            raise ValueError("a chunk longer than the file")
        name, chunk = content[at : at + 4], content[at:following]
        if name == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_METADATA]) + chunk[9:]
        if name in _WEBP_KEPT:
            kept.append(chunk)
        at = following
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


# --- MP4 (ISO/IEC 14496-12) -----------------------------------------------------------------------------------------


def _mp4(content: bytes) -> bytes:
    """Metadata boxes become free space of zeroes: the sample tables point at places, so nothing may move."""
    whole = bytearray(content)
    _free_metadata(whole, 0, len(whole), depth=0)
    return bytes(whole)


def _free_metadata(whole: bytearray, at: int, ends: int, *, depth: int) -> None:
    if depth > _MP4_DEPTH_MAX:
        raise ValueError("boxes nested deeper than any film")
    while at < ends:
        size, name = struct.unpack_from(">I4s", whole, at)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", whole, at + 8)
            header = 16
        size = size or ends - at
        if size < header or at + size > ends:
            raise ValueError("a box longer than its parent")
        if name in _MP4_DROPPED:
            whole[at + 4 : at + 8] = b"free"
            whole[at + header : at + size] = bytes(size - header)
        elif name in _MP4_PARENTS:
            _free_metadata(whole, at + header, at + size, depth=depth + 1)
        at += size
