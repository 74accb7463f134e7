"""Compiled rules as bytes, to be kept or handed to another process, and read back only under their own SHA-256."""

from __future__ import annotations

import copyreg
import hashlib
import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import re2

from service.domain.compiled_rules import CompiledRules
from service.domain.matcher import has_fast
from service.domain.uncollected import uncollected

PACK_BYTES_MAX = 1_000_000_000  # choice: a million terms are about 250 MB without the extra [fast]
_MAGIC = b"gongduan-rules-1\n"
_OURS = "service.domain."
_OTHERS = frozenset(
    {
        ("ahocorasick", "Automaton"),
        ("builtins", "frozenset"),
        ("builtins", "set"),
        ("copyreg", "_reconstructor"),
        ("re", "_compile"),
        ("re2", "compile"),
    }
)


class Packed(NamedTuple):
    """Compiled rules of all marketplaces as bytes, and the SHA-256 that they must have to be read."""

    content: bytes
    sha256: str


class BadPackedRules(Exception):
    """Bytes that are not the compiled rules they should be; nothing of them was run."""


def packed(rules: Mapping[str, CompiledRules]) -> Packed:
    """The rules of all marketplaces, who share one lexicon, as bytes."""
    written = io.BytesIO()
    written.write(_MAGIC)
    pickler = pickle.Pickler(written, protocol=5)
    pickler.dispatch_table = {**copyreg.dispatch_table, re2._Regexp: _as_pattern}
    pickler.dump((has_fast(), dict(rules)))
    content = written.getvalue()
    return Packed(content, hashlib.sha256(content).hexdigest())


def unpacked(content: bytes, sha256: str) -> dict[str, CompiledRules]:
    """What `packed` was given.

    Args:
        sha256: what `packed` said, from a place as trusted as the code: bytes of another hash are never looked into.

    Raises:
        BadPackedRules: another hash, too long, made by another version, or needs the extra [fast].
    """
    if len(content) > PACK_BYTES_MAX:
        raise BadPackedRules(f"longer than {PACK_BYTES_MAX} bytes")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BadPackedRules("another SHA-256 than was promised")
    if not content.startswith(_MAGIC):
        raise BadPackedRules("not compiled rules of this version")
    try:
        with uncollected():
            fast, rules = _Careful(io.BytesIO(content[len(_MAGIC) :])).load()
    except (pickle.UnpicklingError, AttributeError, ImportError, EOFError, TypeError, ValueError) as error:
        raise BadPackedRules(f"cannot be read: {error}") from error
    if fast and not has_fast():
        raise BadPackedRules("made with the extra [fast], which is not installed")
    compiled: dict[str, CompiledRules] = rules
    return compiled


class _Careful(pickle.Unpickler):
    """Makes nothing but what compiled rules are made of, should a hash ever be believed that should not."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith(_OURS) or (module, name) in _OTHERS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place in compiled rules")


def _as_pattern(pattern: Any) -> tuple[Callable[..., Any], tuple[str]]:
    return re2.compile, (pattern.pattern,)
