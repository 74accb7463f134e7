"""Which rules of two books can judge any text differently: what is the same in both need not be judged twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Final

from service.domain.lexicon import expand_lists
from service.domain.rule_language import Near, Profile, Rule
from service.store.rulepacks import RuleBook

# What is said about a rule, and what happens then; none of it decides whether a text breaks it.
SAID: Final = frozenset(
    {"file", "line", "source", "reason_zh", "reason_en", "measure", "raises", "scene", "hits", "passes"}
)


def differing(before: RuleBook, after: RuleBook) -> frozenset[str]:
    """The ids of the rules that stand in one book only, or mean something else, or act in one book only."""
    ids = {rule.id for book in (before, after) for rule in book.rules}
    if _ground(before) != _ground(after):
        return frozenset(ids)
    old, new = ({rule.id: _meaning(rule, book) for rule in book.rules} for book in (before, after))
    return frozenset(rule_id for rule_id in ids if old.get(rule_id) != new.get(rule_id))


def only(book: RuleBook, rule_ids: frozenset[str]) -> RuleBook:
    """The book with these rules alone: each rule is judged by itself, so they find what they find in the whole."""
    return replace(book, rules=tuple(rule for rule in book.rules if rule.id in rule_ids), _compiled={})


def _ground(book: RuleBook) -> object:
    """What all rules stand on: how texts are folded and disguises read, what is innocent and no negation anywhere."""
    innocent = {name: tuple(_words(profile.innocent, book, profile)) for name, profile in book.profiles.items()}
    return book.disguises, innocent, book.lists.get("not_negation")


def _meaning(rule: Rule, book: RuleBook) -> object:
    """All that decides whether a text breaks a rule, on every marketplace."""
    return {
        name: [_plain(getattr(rule, each.name), book, profile) for each in fields(rule) if each.name not in SAID]
        for name, profile in book.profiles.items()
        if rule.id not in profile.rules_off
    }


def _plain(value: object, book: RuleBook, profile: Profile) -> object:
    if isinstance(value, Near):
        groups = [tuple(_words(group, book, profile)) for group in value.groups]
        return groups, value.window, value.ordered, value.across
    if isinstance(value, tuple) and value and all(type(each) is str for each in value):
        return tuple(_words(value, book, profile))
    if isinstance(value, tuple):
        return tuple(_plain(each, book, profile) for each in value)
    return value


def _words(words: Iterable[str], book: RuleBook, profile: Profile) -> Iterable[str]:
    lists: Mapping[str, tuple[str, ...]] = {**book.lists, **profile.lists}
    return expand_lists(words, lists)
