"""Rule packs on disk: read, checked against their schema, refused whole with file, line and reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from service.domain.compiled_rules import CompiledRules, compile_rules
from service.domain.disguises import SyllableTable
from service.domain.moderation import Context, moderate
from service.domain.normalise import FoldTable
from service.domain.rule_language import (
    Category,
    Channel,
    Disguise,
    Disguises,
    Example,
    Ladder,
    Measure,
    Near,
    Profile,
    Rule,
    Scene,
)
from service.store.disguise_tables import read_disguises
from service.store.rule_files import files_in, fingerprint, name_in, read_checked, read_schema
from service.store.rule_requirements import (
    require_bounded,
    require_evaluable,
    require_known_names,
    require_readable,
    require_unique,
)
from service.store.rule_yaml import BadPack as BadPack
from service.store.rule_yaml import Where, line_of


@dataclass(frozen=True, slots=True)
class FailedExample:
    """An example that did not do what its pack says. `wanted` is hit or pass; `got` are the rules that fired."""

    file: str
    line: int
    rule: str
    wanted: str
    text: str
    platform: str
    got: tuple[str, ...]


@dataclass
class RuleBook:
    """All rules as read, ready to be compiled for a marketplace; compiled ones are kept."""

    book_id: str
    version: int
    sha256: str
    rules: tuple[Rule, ...]
    lists: Mapping[str, tuple[str, ...]]
    ladder: Ladder
    profiles: Mapping[str, Profile]
    scenes: Mapping[str, Scene]
    disguises: Disguises
    fold: FoldTable
    syllables: SyllableTable
    _compiled: dict[str, CompiledRules] = field(default_factory=dict)
    _compiling: Lock = field(default_factory=Lock)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_compiling"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _compiling=Lock())

    def compile(self) -> None:
        """Compile now what the first text would wait for."""
        for name in self.profiles:
            self.for_platform(name)

    def with_watched(self, rule_ids: frozenset[str]) -> RuleBook:
        """The same book with some rules only watched; everything that is large is shared."""
        if not rule_ids:
            return self
        self.compile()
        watched = {
            name: replace(
                compiled,
                rules=tuple(
                    replace(each, rule=replace(each.rule, acts=False)) if each.rule.id in rule_ids else each
                    for each in compiled.rules
                ),
            )
            for name, compiled in self._compiled.items()
        }
        rules = tuple(replace(rule, acts=False) if rule.id in rule_ids else rule for rule in self.rules)
        return replace(self, rules=rules, _compiled=watched, _compiling=Lock())

    def for_platform(self, name: str) -> CompiledRules:
        """The rules in force on one marketplace. The first call compiles those of all, who share most of them.

        Raises:
            KeyError: no profile of that name.
        """
        with self._compiling:
            if not self._compiled:
                self._compiled = compile_rules(
                    self.rules,
                    profiles=self.profiles.values(),
                    lists=self.lists,
                    ladder=self.ladder,
                    scenes=self.scenes,
                    disguises=self.disguises,
                    fold=self.fold,
                    syllables=self.syllables,
                    pack=(self.book_id, self.version, self.sha256),
                )
        return self._compiled[name]


def load_rules(directory: Path, platform: str) -> CompiledRules:
    """The rules of `directory` compiled for one marketplace.

    Raises:
        BadPack: a file is not as it must be.
        KeyError: no profile of that name.
    """
    return load_rule_book(directory).for_platform(platform)


def load_rule_book(directory: Path) -> RuleBook:
    """Read every rule file of `directory`.

    Raises:
        BadPack: the first file that is not as it must be.
    """
    schema = read_schema(directory)
    book, _ = read_checked(directory / "book.yaml", schema, "book", directory)
    ladder = _ladder(directory, schema)
    packs = [read_checked(path, schema, "pack", directory) for path in sorted((directory / "packs").glob("*.yaml"))]
    lists = _lists(packs, directory, schema)
    rules = tuple(
        rule
        for (pack, where), path in zip(packs, files_in(directory, "packs"), strict=True)
        for rule in _rules(pack, where, name_in(path, directory), ladder)
    )
    require_bounded(rules, lists)
    require_unique(rules)
    profiles = dict(_profiles(directory, schema))
    scenes = {scene.name: scene for scene in _scenes(directory, schema)}
    require_known_names(rules, lists, profiles, scenes)
    disguises = read_disguises(directory)
    fold = FoldTable(disguises.simplified, disguises.look_alikes)
    require_readable(rules, lists, fold)
    return RuleBook(
        book_id=book["book"],
        version=book["version"],
        sha256=fingerprint(directory),
        rules=rules,
        lists=lists,
        ladder=ladder,
        profiles=profiles,
        scenes=scenes,
        disguises=disguises,
        fold=fold,
        syllables=SyllableTable(),
    )


# -- from values to rules


def _ladder(directory: Path, schema: dict[str, Any]) -> Ladder:
    value, _ = read_checked(directory / "ladder.yaml", schema, "ladder", directory)
    human = value["direct_to_human"]
    return Ladder(
        measures={Category(name): Measure(measure) for name, measure in value["measures"].items()},
        raise_after={Measure(name): count for name, count in value["repeat"]["raise_after"].items()},
        repeat_window_hours=value["repeat"]["window_hours"],
        human_categories=frozenset(map(Category, human["categories"])),
        human_from=Measure(human["from"]),
        human_channels=frozenset(map(Channel, human["channels"])),
    )


def _lists(packs: list[tuple[Any, Where]], directory: Path, schema: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    shared, where = read_checked(directory / "lists.yaml", schema, "lists", directory)
    lists = {name: tuple(words) for name, words in shared["lists"].items()}
    for (pack, where), path in zip(packs, files_in(directory, "packs"), strict=True):
        for name, words in pack.get("lists", {}).items():
            if name in lists:
                line = line_of(where, ("lists", name))
                raise BadPack(name_in(path, directory), line, f"list {name} is known already")
            lists[name] = tuple(words)
    return lists


def _rules(pack: Any, where: Where, file: str, ladder: Ladder) -> Iterator[Rule]:
    for index, value in enumerate(pack["rules"]):
        spot = ("rules", index)
        disguises = value.get("disguises", pack.get("disguises", []))
        nears = [_near(each) for each in value.get("near", [])]
        if "all_near" in value:
            nears.insert(0, _near({**value, "all": value["all_near"]}))
        category = Category(value["category"] if "category" in value else pack["category"])
        rule = Rule(
            id=value["id"],
            category=category,
            measure=Measure(value["measure"]) if "measure" in value else ladder.measures[category],
            acts=value.get("mode", "watch") == "act",
            reason_zh=value["reason"]["zh"],
            reason_en=value["reason"]["en"],
            source=value["source"],
            file=file,
            line=line_of(where, spot),
            any_of=tuple(value.get("any", ())),
            nears=tuple(nears),
            whole=tuple(value.get("whole", ())),
            alone=tuple(value.get("alone", ())),
            patterns=tuple(value.get("patterns", ())),
            cues=tuple(value.get("cues", ())),
            unless=(*value.get("unless", ()), *pack.get("innocent", ())),
            unless_within=tuple(value.get("unless_within", ())),
            unless_next=tuple(value.get("unless_next", ())),
            unless_before=(*value.get("unless_near", ()), *value.get("unless_before", ())),
            unless_after=(*value.get("unless_near", ()), *value.get("unless_after", ())),
            unless_earlier=tuple(value.get("unless_earlier", ())),
            unless_asked=tuple(value.get("unless_asked", ())),
            unless_refused=tuple(value.get("unless_refused", ())),
            unless_anywhere=tuple(value.get("unless_anywhere", ())),
            unless_facts=tuple(value.get("unless_facts", ())),
            unless_window=value.get("unless_window", 8),
            channels=tuple(map(Channel, value.get("channels", list(Channel)))),
            platforms=tuple(value.get("platforms", ())),
            needs_question=value.get("needs_question", False),
            disguises=frozenset(map(Disguise, disguises)),
            raises=value.get("raises", True),
            scene=value.get("scene"),
            hits=tuple(_examples(value, "hit", where, spot)),
            passes=tuple(_examples(value, "pass", where, spot)),
        )
        require_evaluable(rule, where, spot)
        yield rule


def _near(value: Mapping[str, Any]) -> Near:
    return Near(
        groups=tuple((group,) if isinstance(group, str) else tuple(group) for group in value["all"]),
        window=value.get("window", 8),
        ordered=value.get("ordered", False),
        across=value.get("across", True),
    )


def _examples(value: Any, kind: str, where: Where, spot: tuple[str | int, ...]) -> Iterator[Example]:
    for index, example in enumerate(value["examples"][kind]):
        line = line_of(where, (*spot, "examples", kind, index))
        if isinstance(example, str):
            example = {"text": example}
        yield Example(
            text=example["text"],
            line=line,
            channel=Channel(example.get("channel", "buyer_chat")),
            platform=example.get("platform", "taobao"),
            question=example.get("question"),
            facts=frozenset(example.get("facts", ())),
        )


def _profiles(directory: Path, schema: dict[str, Any]) -> Iterator[tuple[str, Profile]]:
    for path in files_in(directory, "profiles"):
        value, where = read_checked(path, schema, "profile", directory)
        if value["profile"] != path.stem:
            raise BadPack(
                name_in(path, directory), line_of(where, ("profile",)), "the profile is not named as its file"
            )
        yield (
            path.stem,
            Profile(
                name=value["profile"],
                lists={name: tuple(words) for name, words in value["lists"].items()},
                innocent=tuple(value.get("innocent", ())),
                rules_off=frozenset(value.get("rules_off", ())),
                measures={rule: Measure(measure) for rule, measure in value.get("measures", {}).items()},
            ),
        )


def _scenes(directory: Path, schema: dict[str, Any]) -> Iterator[Scene]:
    for path in files_in(directory, "scenes"):
        value, where = read_checked(path, schema, "scene", directory)
        yield Scene(
            name=value["scene"],
            replies=tuple(value["replies"]),
            neutral_words=tuple(value.get("neutral_words", ())),
            file=name_in(path, directory),
            line=line_of(where, ("replies",)),
        )


# -- examples


def check_examples(book: RuleBook) -> list[FailedExample]:
    """Run every example of every rule, and every standard reply of every scene on every marketplace."""
    failed: list[FailedExample] = []
    for rule in book.rules:
        for example in rule.hits:
            failed += _failed(book, rule.id, rule.file, example, wanted="hit")
        for example in rule.passes:
            failed += _failed(book, rule.id, rule.file, example, wanted="pass")
    for scene in book.scenes.values():
        for platform in book.profiles:
            for reply in scene.replies:
                example = Example(reply, scene.line, platform=platform)
                failed += _failed(book, scene.name, scene.file, example, wanted="pass")
    return failed


def _failed(book: RuleBook, rule: str, file: str, example: Example, *, wanted: str) -> list[FailedExample]:
    context = Context(example.channel, example.platform, example.question, example.facts)
    verdict = moderate(example.text, book.for_platform(example.platform), context)
    fired = tuple(dict.fromkeys(finding.rule for finding in (*verdict.findings, *verdict.watched)))
    as_wanted = rule in fired if wanted == "hit" else not fired
    if as_wanted:
        return []
    return [FailedExample(file, example.line, rule, wanted, example.text, example.platform, fired)]
