"""How versions of the rule book, acts and circuit breakers look over HTTP, asked for and shown."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from service.api.preconditions import END
from service.api.shapes import TEXT, Id, Instant, instant_text
from service.store.rule_archive import BYTES_MAX, FILES_MAX, NAME
from service.store.rule_child import Checked
from service.store.rule_replay import Replay
from service.store.tables import RuleAct, RuleVersion

REPLAY_MAX: Final = 20_000  # choice: messages looked at by one replay over HTTP; `rules replay` takes any number
REPLAY_DEFAULT: Final = 5_000  # choice
FileName = Annotated[str, msgspec.Meta(max_length=100, pattern=f"^(?:{NAME.pattern}){END}")]
FileText = Annotated[str, msgspec.Meta(max_length=BYTES_MAX, pattern=TEXT)]
Note = Annotated[str, msgspec.Meta(max_length=200, pattern=TEXT)]
Base = Annotated[
    str,
    msgspec.Meta(
        max_length=36,
        pattern=rf"^(?:folder|[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}){END}",
        description="A version's id, or `folder`",
    ),
]
Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]


class RuleFileIn(msgspec.Struct, forbid_unknown_fields=True):
    """A file of the book; `content` null leaves it out."""

    name: FileName
    content: FileText | None


class RuleDraft(msgspec.Struct, forbid_unknown_fields=True):
    """A new version: the files of `base` with these put over them. Without a base: of what is in force."""

    files: Annotated[list[RuleFileIn], msgspec.Meta(min_length=1, max_length=FILES_MAX)]
    note: Note = ""
    base: Base | None = None


class ReplayAsked(msgspec.Struct, forbid_unknown_fields=True):
    """How many of the last messages to look at; those of merchants among them are judged."""

    messages: Annotated[int, msgspec.Meta(ge=1, le=REPLAY_MAX)] = REPLAY_DEFAULT


class PublicationAsked(msgspec.Struct, forbid_unknown_fields=True):
    """The fingerprint of what was read: exactly that comes into force."""

    sha256: Sha256


class RuleVersionView(msgspec.Struct):
    """A version of the rule book. `checked`, `replayed`: what the last check and the last replay found, no words."""

    id: Id
    book: str
    version: int
    sha256: str
    state: str
    note: str
    author_id: str
    publisher_id: str | None
    checked: dict[str, Any] | None
    replayed: dict[str, Any] | None
    created_at: Instant
    published_at: Instant | None


class RuleFile(msgspec.Struct):
    """A file of the book."""

    name: str
    content: str


class RuleFilesView(msgspec.Struct):
    """All files of a version."""

    sha256: str
    files: list[RuleFile]


class ReplayView(msgspec.Struct):
    """What the version would have done; samples are the words around a hit, digits masked, kept nowhere."""

    version: RuleVersionView
    replay: Replay


class CheckView(msgspec.Struct):
    """What the check found."""

    version: RuleVersionView
    check: Checked


class RuleActView(msgspec.Struct):
    """Who did what to the rules, when."""

    number: int
    at: Instant
    kind: str
    actor_id: str
    version_id: Id | None
    sha256: str | None
    rule_id: str | None
    facts: dict[str, Any] | None


class BreakerView(msgspec.Struct):
    """A rule that fell back to watch (`tripped_at`) or was armed again. `per_million`: shops stopped when it fell."""

    rule_id: str
    tripped_at: Instant | None
    per_million: int
    rearmed_at: Instant | None


class RulesInForceView(msgspec.Struct):
    """What is in force. `version` null: the folder's book. `here`: what the process that answers judges by."""

    version: RuleVersionView | None
    since: RuleActView | None
    breakers: list[BreakerView]
    here: RulesHere


class RulesHere(msgspec.Struct):
    """The book of one process."""

    book: str
    version: int
    sha256: str


def version_view(row: RuleVersion) -> RuleVersionView:
    """A version as readers see it, without its files."""
    return RuleVersionView(
        id=Id(row.id),
        book=row.book_id,
        version=row.book_version,
        sha256=row.sha256,
        state=row.state,
        note=row.note,
        author_id=row.author_id,
        publisher_id=row.publisher_id,
        checked=row.checked,
        replayed=row.replayed,
        created_at=instant_text(row.created_at),
        published_at=maybe_instant(row.published_at),
    )


def act_view(row: RuleAct) -> RuleActView:
    """One act on the rules."""
    return RuleActView(
        number=row.number,
        at=instant_text(row.at),
        kind=row.kind,
        actor_id=row.actor_id,
        version_id=None if row.version_id is None else Id(row.version_id),
        sha256=row.sha256,
        rule_id=row.rule_id,
        facts=row.facts,
    )


def maybe_instant(at: Any) -> str | None:
    """An instant as text, where there is one."""
    return None if at is None else instant_text(at)
