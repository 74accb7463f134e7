"""Reads the wording of relays from `rules/templates/relay.toml`; a bad file is refused whole."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from service.domain.cleared_words import RelayLanguage, RelayTemplates
from service.domain.errors import Kind, Refusal

__all__ = ["RelayTemplates", "load_relay_templates"]


def load_relay_templates(path: Path) -> RelayTemplates:
    """Read the relay templates of both languages.

    Raises:
        Refusal: `relay_templates_malformed`, with the reason.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
        return RelayTemplates(zh=_language(read["zh"]), en=_language(read["en"]))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as wrong:
        raise Refusal(
            "relay_templates_malformed",
            kind=Kind.MALFORMED,
            zh="转告模板无法读取",
            en="The relay templates cannot be read",
            reason=f"{type(wrong).__name__}: {wrong}"[:200],
        ) from wrong


def _language(read: dict[str, Any]) -> RelayLanguage:
    return RelayLanguage(
        opening=read["opening"],
        joint=read["joint"],
        closing=read["closing"],
        when=read["when"],
        amount=read["amount"],
        actions=dict(read["actions"]),
    )
