"""What a rule book must be beyond its schema: bounded, without a name nobody knows, and readable as it is folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import re2

from service.domain.lexicon import UnknownList, expand_lists
from service.domain.normalise import FoldTable
from service.domain.rule_language import Profile, Rule, Scene
from service.domain.shapes_of_contact import Shape
from service.store.rule_yaml import BadPack, Where, line_of

RULES_MAX = 2_000  # choice: the shipped book has under a hundred
WORDS_MAX = 2_000_000  # choice: twice the largest lexicon that is measured


def require_bounded(rules: tuple[Rule, ...], lists: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a book that no process could hold."""
    if len(rules) > RULES_MAX:
        raise BadPack(rules[RULES_MAX].file, rules[RULES_MAX].line, f"more than {RULES_MAX} rules")
    count = sum(map(len, lists.values()))
    for rule in rules:
        count += sum(1 for _ in _words(rule)) + sum(1 for _ in _excusing_words(rule))
        if count > WORDS_MAX:
            raise BadPack(rule.file, rule.line, f"more than {WORDS_MAX} words")


def require_unique(rules: Iterable[Rule]) -> None:
    seen: dict[str, Rule] = {}
    for rule in rules:
        if rule.id in seen:
            raise BadPack(rule.file, rule.line, f"{rule.id} stands already in {seen[rule.id].file}")
        seen[rule.id] = rule


def require_known_names(
    rules: tuple[Rule, ...],
    lists: Mapping[str, tuple[str, ...]],
    profiles: Mapping[str, Profile],
    scenes: Mapping[str, Scene],
) -> None:
    """Refuse a rule that names a scene, list or marketplace nobody knows, and a profile that names an unknown rule."""
    for rule in rules:
        if rule.scene is not None and rule.scene not in scenes:
            raise BadPack(rule.file, rule.line, f"{rule.id}: no scene {rule.scene}")
        unknown = {*rule.platforms, *(example.platform for example in (*rule.hits, *rule.passes))} - set(profiles)
        if unknown:
            raise BadPack(rule.file, rule.line, f"{rule.id}: no profile {sorted(unknown)[0]}")
        words = (
            *rule.any_of,
            *rule.whole,
            *rule.alone,
            *rule.unless_within,
            *rule.unless_next,
            *rule.cues,
            *rule.unless,
            *rule.unless_before,
            *rule.unless_after,
            *rule.unless_earlier,
            *rule.unless_asked,
            *rule.unless_refused,
            *rule.unless_anywhere,
            *(word for near in rule.nears for group in near.groups for word in group),
        )
        for profile in profiles.values():
            try:
                list(expand_lists(words, {**lists, **profile.lists}))
            except UnknownList as error:
                raise BadPack(rule.file, rule.line, f"{rule.id}: no list ${error}, or one in itself") from error
    known = {rule.id for rule in rules}
    for name, profile in profiles.items():
        missing = (profile.rules_off | set(profile.measures)) - known
        if missing:
            raise BadPack(f"profiles/{name}.yaml", 1, f"no rule {sorted(missing)[0]}")


def require_readable(rules: tuple[Rule, ...], lists: Mapping[str, tuple[str, ...]], fold: FoldTable) -> None:
    """Refuse a word of which the fold leaves too little: 薇❤ would be read as a bare 薇."""
    spoken = [(rule.file, rule.line, word) for rule in rules for word in _words(rule)]
    spoken += [("lists.yaml", 1, word) for words in lists.values() for word in words]
    for rule in rules:
        for word in _excusing_words(rule):
            if word[0] not in "$@" and not word.translate(fold):
                raise BadPack(rule.file, rule.line, f"the fold leaves nothing of {word!r}")
    for file, line, word in spoken:
        kept = word.translate(fold)
        if word[0] not in "$@" and (not kept or (len(kept) == 1 < len(word))):
            raise BadPack(file, line, f"the fold leaves only {kept!r} of {word!r}; use a stand-in")


def require_evaluable(rule: Rule, where: Where, spot: tuple[str | int, ...]) -> None:
    """Refuse what the schema cannot see: no words at all, a pattern without cue, a pattern or shape unknown."""
    if not (rule.any_of or rule.nears or rule.whole or rule.alone or rule.patterns):
        raise BadPack(rule.file, rule.line, f"{rule.id} has no words")
    if rule.patterns and not rule.cues:
        raise BadPack(rule.file, line_of(where, (*spot, "patterns")), f"{rule.id}: patterns need cues")
    for index, pattern in enumerate(rule.patterns):
        try:
            if re2.compile(pattern, _quiet()).match(""):
                line = line_of(where, (*spot, "patterns", index))
                raise BadPack(rule.file, line, f"{rule.id}: the pattern matches nothing at all")
        except re2.error as error:
            raise BadPack(rule.file, line_of(where, (*spot, "patterns", index)), f"{rule.id}: {error}") from error
    for word in (*rule.any_of, *rule.alone, *(word for near in rule.nears for group in near.groups for word in group)):
        if word.startswith("@") and word[1:] not in set(Shape):
            raise BadPack(rule.file, rule.line, f"{rule.id}: no shape {word}")


def _quiet() -> Any:
    options = re2.Options()
    options.log_errors = False
    return options


def _excusing_words(rule: Rule) -> Iterator[str]:
    yield from (*rule.cues, *rule.unless, *rule.unless_within, *rule.unless_next)
    yield from (*rule.unless_before, *rule.unless_after, *rule.unless_earlier, *rule.unless_anywhere)
    yield from (*rule.unless_asked, *rule.unless_refused)


def _words(rule: Rule) -> Iterator[str]:
    """The words by which a rule hits."""
    yield from (*rule.any_of, *rule.alone, *rule.whole)
    yield from (word for near in rule.nears for group in near.groups for word in group)
