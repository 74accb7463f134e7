"""Looks for codes in a picture that was uploaded: on a thread of its own, in bounded work, trusting no header."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from threading import BoundedSemaphore
from typing import Final

import structlog
import zxingcpp
from PIL import Image, ImageFile

from service.domain.errors import Kind, Refusal
from service.domain.picture_codes import Code, only_numbers
from service.store.writes import Busy

PIXELS_MAX: Final = 50_000_000  # choice: all frames together; a telephone's picture has 12 to 50 million
SCANNED_PIXELS_MAX: Final = 12_000_000  # choice: of one frame; a larger one is scaled down first
FRAMES_MAX: Final = 60  # choice: of a moving picture
SCANS_MAX: Final = 100  # choice: of a JPEG; a progressive one has about ten, and each goes over all its pixels
CODES_MAX: Final = 60  # choice: a sheet of labels has fewer
CODE_CHARS_MAX: Final = 8_000  # ISO/IEC 18004: the largest QR code holds 7,089 digits
WAITING_MAX: Final = 16  # choice: pictures that wait for the one thread; each takes seconds at most
PICTURES: Final = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WEBP"}

ImageFile.LOAD_TRUNCATED_IMAGES = True  # what a browser would still show of a broken picture is looked at, too
Image.MAX_IMAGE_PIXELS = None  # it would only warn; `PIXELS_MAX` refuses before a pixel is unpacked

log = structlog.get_logger(__name__)


class PictureTooLarge(Refusal):
    """More of a picture than is looked through: a bomb, or a film."""

    kind = Kind.TOO_LARGE

    def __init__(self, **facts: int) -> None:
        super().__init__(
            "picture_too_large", zh="图片像素、帧数或码数过多", en="The picture has too many pixels, frames or codes"
        )
        self.facts.update(facts)


class PictureReader:
    """One thread that reads pictures, so that no request, no transaction and no other file waits for a slow one."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pictures")
        self._room = BoundedSemaphore(WAITING_MAX)

    def submit(self, content: bytes, media_type: str) -> Future[tuple[Code, ...] | None]:
        """Queue a file; its answer is what `codes_in` says.

        Raises:
            Busy: too many are waiting.
        """
        if not self._room.acquire(blocking=False):
            raise Busy
        try:
            future = self._thread.submit(codes_in, content, media_type)
        except BaseException:
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future


def codes_in(content: bytes, media_type: str) -> tuple[Code, ...] | None:
    """The codes in a picture, those that only number a thing last.

    Args:
        content: the whole file, of a type that was read from its bytes.

    Returns:
        None where nobody could look: no picture, or one that nothing can draw.

    Raises:
        PictureTooLarge: over `PIXELS_MAX`, `FRAMES_MAX`, `SCANS_MAX` or `CODES_MAX`.
    """
    drawn_by = PICTURES.get(media_type)
    if drawn_by is None:
        return None
    _require_bounded(content, media_type)
    found: dict[Code, None] = {}
    try:
        with Image.open(BytesIO(content), formats=(drawn_by,)) as picture:
            for frame in _frames(picture):
                found.update(dict.fromkeys(_codes_of(frame)))
    except PictureTooLarge:
        raise
    except Exception as error:  # a broken file breaks its decoder in whatever way; it is kept, and marked as unread
        log.info("picture_unread", cause=type(error).__name__)
        return None
    if len(found) > CODES_MAX:
        raise PictureTooLarge(codes=len(found), codes_max=CODES_MAX)
    return tuple(sorted(found, key=only_numbers))


def _require_bounded(content: bytes, media_type: str) -> None:
    """Refuse what would cost too much before its decoder has said how large it is."""
    if media_type == "image/jpeg" and (scans := content.count(b"\xff\xda")) > SCANS_MAX:
        raise PictureTooLarge(scans=scans, scans_max=SCANS_MAX)
    if media_type == "image/webp" and (pixels := _webp_pixels(content)) > PIXELS_MAX:
        raise PictureTooLarge(pixels=pixels, pixels_max=PIXELS_MAX)


def _webp_pixels(content: bytes) -> int:
    """The canvas that a WebP file asks for (RFC 9649): its decoder lays it out as soon as the file is opened."""
    head = content[:30].ljust(30, b"\0")
    match head[12:16]:
        case b"VP8X":
            width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case _:
            width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return width * height


def _frames(picture: Image.Image) -> Iterator[Image.Image]:
    """Every frame of a picture, until it is over what is looked through."""
    if picture.width * picture.height > PIXELS_MAX:
        raise PictureTooLarge(pixels=picture.width * picture.height, pixels_max=PIXELS_MAX)
    number, pixels = 0, 0
    while True:
        number += 1
        pixels += picture.width * picture.height
        if number > FRAMES_MAX:
            raise PictureTooLarge(frames=number, frames_max=FRAMES_MAX)
        if pixels > PIXELS_MAX:
            raise PictureTooLarge(pixels=pixels, pixels_max=PIXELS_MAX)
        yield picture
        try:
            picture.seek(number)
        except EOFError:
            return


def _codes_of(frame: Image.Image) -> Iterator[Code]:
    for grey in _in_grey(frame):
        if grey.width * grey.height > SCANNED_PIXELS_MAX:
            scale = (SCANNED_PIXELS_MAX / (grey.width * grey.height)) ** 0.5
            grey.thumbnail((max(1, int(grey.width * scale)), max(1, int(grey.height * scale))))
        for each in zxingcpp.read_barcodes(grey, text_mode=zxingcpp.TextMode.Plain):
            yield Code(_kind(each.format), each.text[:CODE_CHARS_MAX])


def _in_grey(frame: Image.Image) -> Iterator[Image.Image]:
    """A frame as it looks on white, and on black where it lets the ground through."""
    if "A" not in frame.getbands() and "transparency" not in frame.info:
        yield frame.convert("L")
        return
    whole = frame.convert("RGBA")
    for ground in ("white", "black"):
        page = Image.new("RGBA", whole.size, ground)
        page.alpha_composite(whole)
        yield page.convert("L")


def _kind(found: zxingcpp.BarcodeFormat) -> str:
    return found.name
