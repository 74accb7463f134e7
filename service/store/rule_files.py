"""The files of a rule book: where they lie, what they hold, and the fingerprint of them all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs

from service.store.rule_yaml import BadPack, Where, line_of, parsed

FILE_BYTES_MAX = 8_000_000  # choice: a pack of 100,000 terms is about 2 MB


def files_in(directory: Path, folder: str) -> list[Path]:
    return sorted((directory / folder).glob("*.yaml"))


def name_in(path: Path, directory: Path) -> str:
    return path.relative_to(directory).as_posix()


def fingerprint(directory: Path) -> str:
    """SHA-256 over the names and bytes of all rule files, in the order of their names."""
    paths = [path for path in directory.rglob("*") if path.suffix in (".yaml", ".tsv")]
    return fingerprint_of({name_in(path, directory): path.read_bytes() for path in paths})


def fingerprint_of(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and bytes, in the order of the names; independent of where the files lie."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\n{len(files[name])}\n".encode())
        digest.update(files[name])
    return digest.hexdigest()


def read_schema(directory: Path) -> dict[str, Any]:
    path = directory / "schema.json"
    try:
        schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadPack("schema.json", 1, f"cannot be read: {error}") from error
    return schema


def read_checked(path: Path, schema: dict[str, Any], kind: str, directory: Path) -> tuple[Any, Where]:
    """A YAML file as plain values and the line of each of them, checked against `$defs/<kind>` of the schema.

    Raises:
        BadPack: it cannot be read, or is not as the schema says.
    """
    name = name_in(path, directory)
    if path.is_symlink():
        raise BadPack(name, 1, "a link, not a file of the book")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadPack(name, 1, f"cannot be read: {error.strerror}") from error
    return checked(content, name, schema, kind)


def checked(content: bytes, name: str, schema: dict[str, Any], kind: str) -> tuple[Any, Where]:
    """The same of a file that lies nowhere.

    Raises:
        BadPack: it is too long, no YAML, or not as the schema says.
    """
    if len(content) > FILE_BYTES_MAX:
        raise BadPack(name, 1, f"longer than {FILE_BYTES_MAX} bytes")
    value, where = parsed(content, name)
    validator = jsonschema_rs.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]})
    if not validator.is_valid(value):
        problems = ((tuple(each.instance_path), each.message) for each in validator.iter_errors(value))
        spot, says = min(problems, key=lambda problem: line_of(where, problem[0]))
        raise BadPack(name, line_of(where, spot), f"{'/'.join(map(str, spot)) or 'file'}: {says[:300]}")
    return value, where
