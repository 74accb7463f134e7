"""A book built by a child and read part by part is the book, and is freed in steps."""

from pathlib import Path

import pytest

from service.domain.moderation import Channel, Context, moderate
from service.store import rule_child
from service.store.book_parts import Built, joined, let_go, split
from service.store.rule_archive import read_folder
from service.store.rulepacks import RuleBook, load_rule_book

RULES = Path(__file__).resolve().parent.parent / "rules"
CHAT = Context(Channel.BUYER_CHAT, "taobao")
MANY = 5_200  # more words than one part holds


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load_rule_book(RULES)


@pytest.fixture(scope="module")
def built(book: RuleBook) -> Built:
    """The shipped rules and one of very many words, by the very child that the service starts."""
    words = [f"甲{chr(0x4E00 + number // 72)}{chr(0x5200 + number % 72)}" for number in range(MANY)]
    files = {**read_folder(RULES), "packs/many.yaml": _pack(words)}
    return rule_child.build(files, RULES, like=book)


def _pack(words: list[str]) -> str:
    return (
        "pack: many\nversion: 1\ncategory: abuse\ndisguises: [noise, homophone]\nrules:\n  - id: abuse.many\n"
        f"    any: [{', '.join(words)}]\n    reason: {{zh: 测, en: test}}\n    source: test\n"
        f"    examples: {{hit: [{', '.join(words[:3])}], pass: [好的, 在的, 您好]}}\n"
    )


def test_the_book_of_a_child_judges_as_our_own(book: RuleBook, built: Built) -> None:
    """Every example of every rule; a list of more words than a part holds comes over whole."""
    examples = [example for rule in book.rules for example in (*rule.hits, *rule.passes)]

    for example in examples:
        context = Context(example.channel, example.platform, example.question, example.facts)
        ours = moderate(example.text, book.for_platform(example.platform), context)
        theirs = moderate(example.text, built.book.for_platform(example.platform), context)
        assert (theirs.measure, theirs.findings) == (ours.measure, ours.findings), example.text
    many = next(rule for rule in built.book.rules if rule.id == "abuse.many")
    assert len(many.any_of) == MANY
    assert moderate(many.any_of[-1], built.book.for_platform("taobao"), CHAT).watched


def test_each_part_stands_behind_those_that_it_holds(book: RuleBook) -> None:
    """Read in order, freed in the opposite one, a part never waits for another."""
    book.compile()
    parts = split(book)

    again = joined(parts, {type(each).__name__: each for each in (book.syllables, book.disguises.common_pairs)})

    assert len(again.parts) == len(parts) > 100
    assert again.parts[-1] is again.book


def test_what_somebody_still_judges_by_is_not_freed(book: RuleBook, built: Built) -> None:
    """A request under way keeps the book it began with, however long it takes."""
    held = built.book.for_platform("taobao")

    let_go(list(built.parts))

    assert moderate("加我微信", held, CHAT).findings
