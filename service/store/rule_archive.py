"""A rule book as values: its files by name, bounded, deflated for the database, laid out in a folder to be read."""

from __future__ import annotations

import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from service.store.rule_files import checked, fingerprint_of, name_in, read_schema
from service.store.rule_yaml import BadPack

FILES_MAX: Final = 200  # choice: the shipped book has 30
BYTES_MAX: Final = 8_000_000  # choice: 100,000 terms are about 2 MB
NAME: Final = re.compile(
    r"(?:book|ladder|lists)\.yaml|(?:packs|profiles|scenes)/[a-z0-9_]{1,64}\.yaml|disguises/[a-z0-9_]{1,64}\.tsv"
)

Files = Mapping[str, str]


class Book(NamedTuple):
    """What a rule book calls itself, and the fingerprint of its files."""

    book_id: str
    version: int
    sha256: str


def read_folder(directory: Path) -> dict[str, str]:
    """The rule files of a folder.

    Raises:
        BadPack: a file that is not UTF-8.
    """
    files: dict[str, str] = {}
    for path in sorted(directory.rglob("*")):
        if path.suffix in (".yaml", ".tsv") and path.is_file():
            try:
                files[name_in(path, directory)] = path.read_bytes().decode("utf-8")
            except UnicodeDecodeError as error:
                raise BadPack(name_in(path, directory), 1, "not UTF-8") from error
    return files


def require_bounded(files: Files) -> None:
    """Refuse what is no rule book by its names or its size.

    Raises:
        BadPack: a name that no rule file has, too many files, too many bytes.
    """
    if len(files) > FILES_MAX:
        raise BadPack("book.yaml", 1, f"more than {FILES_MAX} files")
    for name in files:
        if not NAME.fullmatch(name):
            raise BadPack(name[:100], 1, "no rule file has this name")
    if sum(len(content.encode()) for content in files.values()) > BYTES_MAX:
        raise BadPack("book.yaml", 1, f"more than {BYTES_MAX} bytes in all")


def identify(files: Files, schema_from: Path) -> Book:
    """What the files say they are; only book.yaml is read.

    Args:
        schema_from: the folder with `schema.json`, which comes with the program and not with the files.

    Raises:
        BadPack: no book.yaml, or not as it must be.
    """
    if "book.yaml" not in files:
        raise BadPack("book.yaml", 1, "is missing")
    value, _ = checked(files["book.yaml"].encode(), "book.yaml", read_schema(schema_from), "book")
    sha256 = fingerprint_of({name: content.encode() for name, content in files.items()})
    return Book(value["book"], value["version"], sha256)


def deflated(files: Files) -> bytes:
    """The files as the database keeps them."""
    return zlib.compress(msgspec.json.encode(dict(files)), 6)


def inflated(kept: bytes) -> dict[str, str]:
    """The files again, never more than were let in.

    Raises:
        BadPack: the row does not hold a rule book.
    """
    reader = zlib.decompressobj()
    try:
        content = reader.decompress(kept, 2 * BYTES_MAX)  # JSON writes a quote or a line end as two bytes
        files = msgspec.json.decode(content, type=dict[str, str])
    except (zlib.error, msgspec.DecodeError) as error:
        raise BadPack("book.yaml", 1, f"the stored files cannot be read: {error}") from error
    require_bounded(files)
    return files


@contextmanager
def laid_out(files: Files, schema_from: Path) -> Iterator[Path]:
    """The files in a folder of their own, as long as it is needed.

    Raises:
        BadPack: as `require_bounded`.
    """
    require_bounded(files)
    folder = Path(tempfile.mkdtemp(prefix="gongduan-rules-"))
    try:
        shutil.copyfile(schema_from / "schema.json", folder / "schema.json")
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content.encode("utf-8"))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
