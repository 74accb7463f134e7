"""JSON Lines in, JSON Lines out: one answer a line, in order, and a bad line never stops the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NoReturn

LINE_BYTES_MAX = 1_000_000  # choice: a text of 10,000 characters is 30 kB, written as escapes 60 kB


class BadLine(Exception):
    """A line that cannot be answered. `code`: bad_json, bad_utf8, bad_shape or too_long."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def answer_lines(stdin: BinaryIO, stdout: BinaryIO, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """Answer every line of `stdin` on `stdout`, each as soon as it is read.

    Args:
        answer: from one object to the answer, without the `id`; may raise `BadLine`.

    Returns:
        0, or 1 if any line was bad.
    """
    exit_code = 0
    for number, line in _lines(stdin):
        told: dict[str, Any] = {"id": None}
        try:
            asked = _object(line, told)
            told |= answer(asked)
            written = _written(told)
        except BadLine as bad:
            exit_code = 1
            written = _written({"id": told["id"], "error": {"code": bad.code, "line": number}})
        stdout.write(written)
        stdout.flush()
    return exit_code


def _lines(stdin: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines that hold something; None for one that is too long, whose rest is skipped."""
    number = 0
    while line := stdin.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = stdin.readline(LINE_BYTES_MAX)
            yield number, None
        elif number == 1 and line.startswith(b"\xef\xbb\xbf"):
            if line[3:].strip():
                yield number, line[3:]
        elif line.strip():
            yield number, line


def _object(line: bytes | None, told: dict[str, Any]) -> dict[str, Any]:
    """The object a line holds; its `id` is noted in `told` as soon as it is known."""
    if line is None:
        raise BadLine("too_long")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadLine("bad_utf8") from error
    try:
        asked = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadLine("bad_json") from error
    if not isinstance(asked, dict):
        raise BadLine("bad_shape")
    named = asked.get("id")
    if not _can_be_written(named):
        raise BadLine("bad_shape")
    told["id"] = named
    return asked


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _can_be_written(value: Any) -> bool:
    """Whether a value can go back as JSON in UTF-8: no lone surrogate, no infinity, not nested too deeply."""
    try:
        _written(value)
    except (ValueError, RecursionError):
        return False
    return True


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8") + b"\n"


def required_text(asked: dict[str, Any], name: str, *, chars_max: int) -> str:
    """The text under `name`.

    Raises:
        BadLine: bad_shape if it is missing, not text, or holds a lone surrogate; too_long over `chars_max`.
    """
    text = optional_text(asked, name, chars_max=chars_max)
    if text is None:
        raise BadLine("bad_shape")
    return text


def optional_text(asked: dict[str, Any], name: str, *, chars_max: int) -> str | None:
    """The text under `name`, None if there is none or it is null; refuses as `required_text` does."""
    text = asked.get(name)
    if text is None:
        return None
    if not isinstance(text, str) or not _is_unicode(text):
        raise BadLine("bad_shape")
    if len(text) > chars_max:
        raise BadLine("too_long")
    return text


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
