"""Media types: what a file is, read from its bytes, and what it must not also be."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from service.domain.errors import Kind, Refusal

PLAIN_TEXT = "text/plain"

# What a browser, a phone or WeChat may call the same thing. Left: declared; right: what we read from the bytes.
SAME_AS = {
    "application/ogg": "audio/ogg",
    "audio/aacp": "audio/aac",
    "audio/m4a": "audio/mp4",
    "audio/mp3": "audio/mpeg",
    "audio/opus": "audio/ogg",
    "audio/vnd.wave": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-aac": "audio/aac",
    "audio/x-m4a": "audio/mp4",
    "audio/x-wav": "audio/wav",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
}
UNDECLARED = {"", "application/octet-stream", "binary/octet-stream"}  # a sender that does not know claims nothing

# Signatures of formats that open at another place than their first byte: one file, two readings.
ZIP_END = b"PK\x05\x06"
ZIP_END_BYTES = 22
ZIP_COMMENT_BYTES_MAX = 65_535  # APPNOTE.TXT 4.3.16: two bytes hold the length of the comment
SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c"
RAR = b"Rar!\x1a\x07"
PDF = b"%PDF-"
PDF_OPENS_WITHIN_BYTES = 1024  # readers accept the header this late (ISO 32000-1, annex H, note 13)
SNIFF_BYTES = 1445  # WHATWG MIME Sniffing section 5.2: a browser reads this much of the head
MARKUP = (
    b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<svg", b"<style", b"<object", b"<embed",
    b"<?php", b"<?xml-stylesheet",
)  # fmt: skip
TEXT_IS_CODE = (b"#!", b"<?xml", b"<!--", b"{\\rtf", b"%!ps")  # a text that another program would run or draw
CONTROLS = bytes(set(range(0x20)) - {0x09, 0x0A, 0x0C, 0x0D} | {0x7F})  # tab, line feed, form feed, return may stand


class MediaTypeRefused(Refusal):
    """The bytes are none of the types we keep, or two at once."""

    kind = Kind.MALFORMED

    def __init__(self, reason: str) -> None:
        super().__init__(
            "media_type_refused", zh="不支持该文件类型", en="This type of file is not accepted", reason=reason
        )


class MediaTypeMismatch(Refusal):
    """The bytes are of another type than the sender says."""

    kind = Kind.MALFORMED

    def __init__(self, *, declared: str, found: str) -> None:
        super().__init__(
            "media_type_mismatch",
            zh="文件内容与声明的类型不一致",
            en="The bytes are of another type than declared",
            declared=declared[:100],
            found=found,
        )


def require_media_type(content: bytes, *, declared: str | None = None) -> str:
    """Read the type of a whole file from its bytes.

    Args:
        content: the whole file, at least one byte.
        declared: what the sender says, parameters allowed (`text/plain; charset=utf-8`); None claims nothing.

    Returns:
        one of the types in `READERS`, or `text/plain` for UTF-8 text.

    Raises:
        MediaTypeRefused: none of these types, or a file that reads as two (a polyglot).
        MediaTypeMismatch: `declared` is another type.

    Source: product.md, attachments: text, images, voice clips, evidence files ("type read from the bytes").
    """
    found = next((media_type for media_type, reads in READERS if reads(content)), None)
    if found is None:
        found = _require_plain_text(content)
    _require_one_reading(content, found)
    claimed = (declared or "").partition(";")[0].strip().lower()
    if claimed not in UNDECLARED and SAME_AS.get(claimed, claimed) != found:
        raise MediaTypeMismatch(declared=claimed, found=found)
    return found


# --- one reader for each type ----------------------------------------------------------------------------------------


def _is_jpeg(content: bytes) -> bool:
    """SOI, then a marker that may follow it; what phones append behind the picture (motion photos) is theirs."""
    return content[:3] == b"\xff\xd8\xff" and len(content) > 3 and 0xC0 <= content[3] <= 0xFE


def _is_png(content: bytes) -> bool:
    return content.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")


def _is_gif(content: bytes) -> bool:
    """A header and a screen; `GIF89a/*` opens a comment of a script instead (a picture 10,799 points wide)."""
    return content[:6] in (b"GIF87a", b"GIF89a") and len(content) > 13 and content[6:8] != b"/*"


def _is_webp(content: bytes) -> bool:
    return _is_riff(content, b"WEBP") and content[12:16] in (b"VP8 ", b"VP8L", b"VP8X")


def _is_wav(content: bytes) -> bool:
    return _is_riff(content, b"WAVE")


def _is_riff(content: bytes, form: bytes) -> bool:
    return content[:4] == b"RIFF" and content[8:12] == form


def _is_pdf(content: bytes) -> bool:
    return content.startswith(PDF)


def _is_ogg(content: bytes) -> bool:
    """A first page of stream structure version 0 that begins a stream, holding sound: Opus, Vorbis, Speex, FLAC."""
    if content[:5] != b"OggS\x00" or len(content) < 28 or not content[5] & 0x02:
        return False
    packet = content[27 + content[26] :]
    return packet.startswith((b"OpusHead", b"\x01vorbis", b"Speex   ", b"\x7fFLAC"))


def _is_amr(content: bytes) -> bool:
    return content.startswith((b"#!AMR\n", b"#!AMR-WB\n"))


def _is_audio_mp4(content: bytes) -> bool:
    return _tracks(content) == {b"soun"}


def _is_video_mp4(content: bytes) -> bool:
    return b"vide" in _tracks(content)


MP4_BRANDS = frozenset(
    (b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4A ", b"M4V ", b"dash")
)


def _tracks(content: bytes) -> set[bytes]:
    """The handlers of an MP4's tracks (`soun`, `vide`): a phone's voice memo and its film have the same first bytes."""
    if content[4:8] != b"ftyp" or content[8:12] not in MP4_BRANDS:
        return set()
    return {
        media[8:12]
        for movie in _boxes(content, b"moov")
        for track in _boxes(movie, b"trak")
        for media_box in _boxes(track, b"mdia")
        for media in _boxes(media_box, b"hdlr")
    } & {b"soun", b"vide"}


def _boxes(content: bytes, kind: bytes) -> Iterator[bytes]:
    """The bodies of the boxes of this kind, one level deep. Source: ISO/IEC 14496-12 section 4.2."""
    position = 0
    while position + 8 <= len(content):
        size, found = struct.unpack_from(">I4s", content, position)
        head = 8
        if size == 1 and position + 16 <= len(content):
            (size,) = struct.unpack_from(">Q", content, position + 8)
            head = 16
        if size == 0:  # to the end of the file
            size = len(content) - position
        if size < head:  # a box that would not move us on
            return
        if found == kind:
            yield content[position + head : position + size]
        position += size


def _is_mp3(content: bytes) -> bool:
    return _two_frames(content, _mp3_frame_bytes)


def _is_aac(content: bytes) -> bool:
    return _two_frames(content, _aac_frame_bytes)


def _two_frames(content: bytes, frame_bytes: Callable[[bytes], int]) -> bool:
    """Two frames in a row behind an optional ID3 tag: eleven set bits alone open one random file in 2,000."""
    start = _id3_bytes(content)
    first = frame_bytes(content[start : start + 8])
    if not first:
        return False
    second = start + first
    return (
        second == len(content)
        or frame_bytes(content[second : second + 8]) > 0
        or content[second : second + 3] == b"TAG"
    )


def _id3_bytes(content: bytes) -> int:
    """How long the ID3v2 tag is: four times seven bits, and its head of ten. Source: id3.org, ID3v2.4 section 3.1."""
    if content[:3] != b"ID3" or len(content) < 10 or any(byte > 0x7F for byte in content[6:10]):
        return 0
    return 10 + (content[6] << 21 | content[7] << 14 | content[8] << 7 | content[9])


MP3_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # (version, layer) → bit rate by index 1 to 14. Source: ISO/IEC 11172-3 and 13818-3, table of bit rates
MP3_HERTZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def _mp3_frame_bytes(head: bytes) -> int:
    """The length of the MPEG audio frame that begins here; 0 when none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate, hertz = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or rate in (0, 15) or hertz == 3:
        return 0
    bits = MP3_KBITS[(1 if version == 3 else 2, layer)][rate - 1] * 1000
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // MP3_HERTZ[version][hertz] + padding) * 4
    samples_eighth = 72 if layer == 3 and version != 3 else 144
    return samples_eighth * bits // MP3_HERTZ[version][hertz] + padding


def _aac_frame_bytes(head: bytes) -> int:
    """The length of the ADTS frame that begins here; 0 when none does. Source: ISO/IEC 13818-7 section 6.2."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length >= 7 else 0


READERS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("image/jpeg", _is_jpeg),
    ("image/png", _is_png),
    ("image/gif", _is_gif),
    ("image/webp", _is_webp),
    ("application/pdf", _is_pdf),
    ("video/mp4", _is_video_mp4),
    ("audio/mp4", _is_audio_mp4),
    ("audio/ogg", _is_ogg),
    ("audio/amr", _is_amr),
    ("audio/wav", _is_wav),
    ("audio/aac", _is_aac),
    ("audio/mpeg", _is_mp3),
)


# --- what it must not be ---------------------------------------------------------------------------------------------


def _require_plain_text(content: bytes) -> str:
    """UTF-8 without control characters, and nothing that another program would take for its own."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        raise MediaTypeRefused("unknown") from None
    if len(content.translate(None, CONTROLS)) != len(content):
        raise MediaTypeRefused("unknown")
    opening = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:SNIFF_BYTES].lower()
    if opening.startswith(TEXT_IS_CODE):
        raise MediaTypeRefused("markup_or_code")
    return PLAIN_TEXT


def _require_one_reading(content: bytes, found: str) -> None:
    """Refuse a file that a second program would read as something else: what was judged is not what would be opened."""
    if _holds_zip(content) or SEVEN_ZIP in content or RAR in content:
        raise MediaTypeRefused("polyglot_archive")
    if found != "application/pdf" and PDF in content[:PDF_OPENS_WITHIN_BYTES]:
        raise MediaTypeRefused("polyglot_pdf")
    head = content[:SNIFF_BYTES].lower()
    if any(tag in head for tag in MARKUP):
        raise MediaTypeRefused("polyglot_markup")


def _holds_zip(content: bytes) -> bool:
    """Whether an unpacker would find a directory: it looks for the end record from the back. Source: APPNOTE 4.3.16."""
    first = max(0, len(content) - ZIP_END_BYTES - ZIP_COMMENT_BYTES_MAX)
    position = content.rfind(ZIP_END, first)
    while position >= 0:
        if position + ZIP_END_BYTES <= len(content):
            directory_bytes, directory_at, comment_bytes = struct.unpack_from("<IIH", content, position + 12)
            # Data in front of an archive shifts its offsets, data behind it its end: unpackers forgive both.
            plausible = directory_bytes <= position and comment_bytes <= ZIP_COMMENT_BYTES_MAX
            if plausible and (b"PK\x01\x02" in content[:position] or directory_at == directory_bytes == 0):
                return True
        position = content.rfind(ZIP_END, first, position)
    return False
