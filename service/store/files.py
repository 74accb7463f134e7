"""Files as they came, each under the fingerprint of its bytes."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Protocol

from service.domain.errors import Absent, Kind, Refusal
from service.domain.media_type import require_media_type

FILE_BYTES_MAX = 10 * 1024 * 1024  # api.md: "≤ 10 MB a file", read as MiB so that nobody's 10 MB file is refused
CHUNK_BYTES = 64 * 1024
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What the store says about a file it keeps.

    `sha256` is 64 lower-case hex digits and the only name the file has; `media_type` was read from the bytes.
    """

    sha256: str
    size: int  # bytes
    media_type: str


class FileEmpty(Refusal):
    """A file of no bytes proves nothing."""

    kind = Kind.MALFORMED

    def __init__(self) -> None:
        super().__init__("file_empty", zh="文件为空", en="The file is empty")


class FileTooLarge(Refusal):
    """More bytes than one file may have."""

    kind = Kind.TOO_LARGE

    def __init__(self, *, bytes_max: int) -> None:
        super().__init__("file_too_large", zh="文件超过大小限制", en="The file is too large", bytes_max=bytes_max)


class FileStore(Protocol):
    """Keeps whole files for ever and hands them out unchanged; a folder here, an object store elsewhere."""

    def put(self, content: bytes | BinaryIO, *, declared: str | None = None) -> StoredFile:
        """Keep a file; it is on disk when this returns. The same bytes twice are kept once.

        Args:
            content: the whole file, or a stream that is read to its end, at most one byte past the bound.
            declared: the media type the sender says, if any.

        Raises:
            FileEmpty, FileTooLarge: 0 bytes, or more than `FILE_BYTES_MAX`.
            MediaTypeRefused, MediaTypeMismatch: see `service.domain.media_type.require_media_type`.
        """
        ...

    def open(self, sha256: str) -> BinaryIO:
        """A stream of the bytes from their first.

        Raises:
            Absent: no such file, or not a fingerprint at all.
        """
        ...

    def is_intact(self, sha256: str) -> bool:
        """Whether the file is there and still has the fingerprint it is named for."""
        ...


class FolderStore:
    """A `FileStore` in a folder: `<root>/<first two digits>/<fingerprint>`, and `<root>/incoming` for half files.

    Any number of processes may share the folder: a file's name says its content, so two writers write the same.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self.incoming.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes | BinaryIO, *, declared: str | None = None) -> StoredFile:
        whole = _require_bounded(content)
        stored = StoredFile(
            sha256=hashlib.sha256(whole).hexdigest(),
            size=len(whole),
            media_type=require_media_type(whole, declared=declared),
        )
        self._keep(whole, self._path(stored.sha256))
        return stored

    def open(self, sha256: str) -> BufferedReader:
        if not SHA256.fullmatch(sha256):
            raise Absent("file")
        try:
            return self._path(sha256).open("rb")
        except FileNotFoundError:
            raise Absent("file") from None

    def is_intact(self, sha256: str) -> bool:
        try:
            with self.open(sha256) as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
        except Absent:
            return False

    def clear_incoming(self, *, before: datetime) -> int:
        """Remove what crashes and full disks left half written before this instant; returns how many files."""
        removed = 0
        for left in self.incoming.iterdir():
            if left.stat().st_mtime < before.timestamp():
                left.unlink(missing_ok=True)  # another process may be clearing too
                removed += 1
        return removed

    def _path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256

    def _keep(self, whole: bytes, path: Path) -> None:
        # Written again even if it is there: the same bytes, and a copy that rotted on disk is healed.
        path.parent.mkdir(exist_ok=True)
        handle, half = tempfile.mkstemp(dir=self.incoming)
        try:
            with os.fdopen(handle, "wb") as sink:
                # A crash here leaves a half file in `incoming`, which no row names; `clear_incoming` removes it.
                sink.write(whole)
                sink.flush()
                os.fchmod(sink.fileno(), 0o400)  # frozen: nobody edits evidence by accident
                os.fsync(sink.fileno())
            # A crash here leaves a whole file in `incoming`: no row names it, the sender has no answer yet.
            os.replace(half, path)
        except BaseException:
            Path(half).unlink(missing_ok=True)
            raise
        # A crash here may lose the name, never give it to other bytes; the row is written only after we return.
        _sync_folder(path.parent)
        _sync_folder(self.root)
        # A crash from here to the row's commit leaves a whole file that no row names: harmless, and found by fsck.


def _require_bounded(content: bytes | BinaryIO) -> bytes:
    whole = content if isinstance(content, bytes) else _read_bounded(content)
    if not whole:
        raise FileEmpty
    if len(whole) > FILE_BYTES_MAX:
        raise FileTooLarge(bytes_max=FILE_BYTES_MAX)
    return whole


def _read_bounded(stream: BinaryIO) -> bytes:
    """Read until the end or one byte past the bound: a stream may hand out less than it was asked for."""
    whole = bytearray()
    while len(whole) <= FILE_BYTES_MAX and (chunk := stream.read(min(CHUNK_BYTES, FILE_BYTES_MAX + 1 - len(whole)))):
        whole += chunk
    return bytes(whole)


def _sync_folder(folder: Path) -> None:
    """A new name is on disk only when the folder that holds it is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
