"""Pictures for tests: codes drawn as a telephone would show them, files that lie about their size, moving pictures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

import zxingcpp
from PIL import Image

WECHAT = "https://u.wechat.com/EAbc123xyz"


def code(text: str, kind: str = "QRCode", *, scale: int = 4) -> Image.Image:
    """A code in black on white."""
    drawn = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, kind))
    return Image.fromarray(drawn.to_image(scale=scale)).convert("L")


def photo(*codes: Image.Image, size: tuple[int, int] = (800, 600), turned: float = 0) -> Image.Image:
    """Something grey that shows these codes side by side."""
    page = Image.linear_gradient("L").resize(size).point(lambda grey: 90 + grey // 3)
    for place, each in enumerate(codes):
        page.paste(each, (40 + place * 250, 60))
    return page.rotate(turned, expand=True, fillcolor=120)


def file_of(picture: Image.Image, kind: str = "PNG", frames: Sequence[Image.Image] = ()) -> bytes:
    """A picture, or a moving one, as a file."""
    sink = BytesIO()
    more = {"save_all": True, "append_images": list(frames), "duration": 100} if frames else {}
    picture.save(sink, kind, **more)
    return sink.getvalue()


def png_that_says(width: int, height: int) -> bytes:
    """A PNG whose head promises more than its body holds."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1_000))) + chunk(b"IEND", b"")


def webp_that_says(width: int, height: int) -> bytes:
    """A WebP file of the extended form with nothing behind its head."""
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body
