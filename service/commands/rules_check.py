"""`intervention rules check`: every example of every rule, and what did not do as it should, with file and line."""

from __future__ import annotations

import sys
from pathlib import Path

from service.store.rulepacks import BadPack, FailedExample, check_examples, load_rule_book


def run(rules_dir: Path) -> int:
    """Check the rule files under `rules_dir`.

    Returns:
        0, or 1 if a file cannot be used or an example failed.
    """
    try:
        book = load_rule_book(rules_dir)
    except BadPack as bad:
        print(bad, file=sys.stderr)
        return 1
    failed = check_examples(book)
    for example in failed:
        print(_told(example), file=sys.stderr)
    examples = sum(len(rule.hits) + len(rule.passes) for rule in book.rules)
    print(f"{len(book.rules)} rules, {examples} examples, {len(failed)} failed")
    return 1 if failed else 0


def _told(example: FailedExample) -> str:
    got = ", ".join(example.got) or "nothing"
    return (
        f"{example.file}:{example.line}: {example.rule}: should {example.wanted} on {example.platform}, "
        f"got {got}: {example.text}"
    )
