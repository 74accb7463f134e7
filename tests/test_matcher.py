"""The two matchers find the same words at the same places."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.compiled_rules import CompiledRules, compile_rules
from service.domain.matcher import Matcher, has_fast, new_matcher
from service.domain.moderation import Channel, Context, moderate
from service.store.rulepacks import RuleBook, load_rule_book

RULES = Path(__file__).resolve().parent.parent / "rules"
familiar = st.sampled_from("加微信转账vx1３ 。!好评返现傻逼weixinjia")
words = st.text(st.sampled_from("ab加微信é😀"), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load_rule_book(RULES)


@pytest.fixture(scope="module")
def both(book: RuleBook) -> tuple[CompiledRules, CompiledRules]:
    """The same rules without and with the extra [fast]."""
    return compiled(book, fast=False), compiled(book, fast=True)


def compiled(book: RuleBook, *, fast: bool) -> CompiledRules:
    return compile_rules(
        book.rules,
        profiles=book.profiles.values(),
        lists=book.lists,
        ladder=book.ladder,
        scenes=book.scenes,
        disguises=book.disguises,
        fold=book.fold,
        syllables=book.syllables,
        pack=(book.book_id, book.version, book.sha256),
        fast=fast,
    )["taobao"]


def places(matcher: Matcher, text: str) -> list[tuple[int, int, int]]:
    return sorted((term, first, last) for first, last, term in matcher.places(text, matcher.find(text)))


def test_both_are_installed_where_we_develop() -> None:
    """The extra [fast] is one of [dev]: nothing below is skipped."""
    assert has_fast()


@given(terms=st.sets(words, max_size=12), text=st.text(st.sampled_from("ab加微信é😀x"), max_size=30))
def test_every_occurrence_is_found_by_either(terms: set[str], text: str) -> None:
    """Overlapping ones too, one byte or four to a character."""
    ordered = sorted(terms)
    wanted = sorted(
        (number, begin, begin + len(term))
        for number, term in enumerate(ordered)
        for begin in range(len(text))
        if text.startswith(term, begin)
    )

    assert places(new_matcher(ordered, fast=False), text) == wanted
    assert places(new_matcher(ordered, fast=True), text) == wanted


def test_verdicts_do_not_depend_on_the_matcher(book: RuleBook, both: tuple[CompiledRules, CompiledRules]) -> None:
    """Every example of every rule, as it stands and with noise."""
    slow, fast = both
    examples = [example for rule in book.rules for example in (*rule.hits, *rule.passes)]
    texts = [example.text for example in examples] + ["*".join(example.text) for example in examples]
    chat = Context(Channel.BUYER_CHAT, "taobao")

    assert [moderate(text, slow, chat) for text in texts] == [moderate(text, fast, chat) for text in texts]


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.one_of(familiar, st.characters(exclude_categories=())), max_size=60))
def test_nor_on_any_text(both: tuple[CompiledRules, CompiledRules], text: str) -> None:
    """Whatever is written, surrogates too."""
    slow, fast = both
    chat = Context(Channel.BUYER_CHAT, "taobao")

    assert moderate(text, slow, chat) == moderate(text, fast, chat)
