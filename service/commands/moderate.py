"""`intervention moderate`: verdicts for JSON Lines, the contract of moderation.md section 1."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, BinaryIO

from service.commands.jsonl import BadLine, answer_lines, optional_text, required_text
from service.domain.moderation import REPLY_CHARS_MAX, Channel, Context, Verdict, moderate
from service.store.rulepacks import BadPack, RuleBook, load_rule_book

UNUSABLE = 2  # exit code when the rules or the platform cannot be used at all


def run(platform: str, rules_dir: Path, stdin: BinaryIO, stdout: BinaryIO) -> int:
    """Judge every line of `stdin`.

    Args:
        platform: the profile for lines that name none.

    Returns:
        0, 1 if any line was bad, 2 if the rules or the platform cannot be used.
    """
    try:
        book = load_rule_book(rules_dir)
    except BadPack as bad:
        print(bad, file=sys.stderr)
        return UNUSABLE
    if platform not in book.profiles:
        print(f"no profile {platform}; there are {', '.join(sorted(book.profiles))}", file=sys.stderr)
        return UNUSABLE
    return answer_lines(stdin, stdout, lambda asked: _answer(asked, book, platform))


def _answer(asked: dict[str, Any], book: RuleBook, platform: str) -> dict[str, Any]:
    text = required_text(asked, "text", chars_max=REPLY_CHARS_MAX)
    question = optional_text(asked, "question", chars_max=REPLY_CHARS_MAX)
    named = optional_text(asked, "platform", chars_max=100)
    profile = platform if named is None else named
    if profile not in book.profiles:
        raise BadLine("bad_shape")
    context = Context(_channel(asked), profile, question)
    return shown(moderate(text, book.for_platform(profile), context))


def _channel(asked: dict[str, Any]) -> Channel:
    named = optional_text(asked, "channel", chars_max=100)
    try:
        return Channel.BUYER_CHAT if named is None else Channel(named)
    except ValueError as error:
        raise BadLine("bad_shape") from error


def shown(verdict: Verdict) -> dict[str, Any]:
    """A verdict as the contract writes it."""
    return {
        "measure": verdict.measure.value,
        "direct_to_human": verdict.direct_to_human,
        "categories": list(verdict.categories),
        "findings": [
            {
                "rule": finding.rule,
                "category": finding.category,
                "measure": finding.measure.value,
                "start": finding.start,
                "end": finding.end,
                "matched": finding.matched,
                "reason": {"zh": finding.reason_zh, "en": finding.reason_en},
            }
            for finding in verdict.findings
        ],
        "advice": [{"kind": advice.kind, "text": advice.text} for advice in verdict.advice],
    }
