"""Reads the wording of relays from `rules/templates/relay.toml`; a bad file is refused whole."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

from service.domain.cleared_words import SOFTENED, RelayLanguage, RelayTemplates
from service.domain.errors import Kind, Refusal

__all__ = ["RelayTemplates", "load_relay_templates", "read_relay_templates"]


def load_relay_templates(path: Path) -> RelayTemplates:
    """Read the relay templates of both languages.

    Raises:
        Refusal: `relay_templates_malformed`, with the reason.
    """
    try:
        return read_relay_templates(path.read_bytes())
    except OSError as wrong:
        raise _malformed(wrong) from wrong


def read_relay_templates(raw: bytes) -> RelayTemplates:
    """Read the bytes of such a file, as it was at any time: an export names the one a relay was made with.

    Raises:
        Refusal: `relay_templates_malformed`, with the reason.
    """
    try:
        read = tomllib.loads(raw.decode("utf-8"))
        return RelayTemplates(
            zh=_language(read["zh"]),
            en=_language(read["en"]),
            version=int(read["version"]),
            sha256_hex=hashlib.sha256(raw).hexdigest(),
        )
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as wrong:
        raise _malformed(wrong) from wrong


def _malformed(wrong: Exception) -> Refusal:
    return Refusal(
        "relay_templates_malformed",
        kind=Kind.MALFORMED,
        zh="转告模板无法读取",
        en="The relay templates cannot be read",
        reason=f"{type(wrong).__name__}: {wrong}"[:200],
    )


def _language(read: dict[str, Any]) -> RelayLanguage:
    return RelayLanguage(
        opening=read["opening"],
        joint=read["joint"],
        closing=read["closing"],
        when=read["when"],
        amount=read["amount"],
        actions=dict(read["actions"]),
        no_promise={wording: read["no_promise"][wording] for wording in SOFTENED},
        between=read["no_promise"]["between"],
        acts=dict(read["no_promise"]["acts"]),
    )
