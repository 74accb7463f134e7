"""Rules on their way into force: draft, check, replay, publish by a second person, roll back; and the breakers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from service.domain.errors import Absent, Conflict, GuardFailed
from service.domain.rule_breaker import Accepted, Counts, Trip, tripped
from service.domain.rule_version import RULE_VERSION, VersionFacts, require_may_roll_back
from service.flows.context import Context
from service.store import rule_archive, rule_versions
from service.store.rule_yaml import BadPack
from service.store.tables import RuleAct, RuleBreaker, RuleFiles, RuleVersion

FOLDER = "folder"  # the name of version zero: the book that came with the program
MILLION = 1_000_000


class BadRules(GuardFailed):
    """Files that are no rule book, with file, line and reason."""

    def __init__(self, bad: BadPack) -> None:
        super().__init__(
            "bad_rules",
            zh="规则文件不符合要求",
            en="The rule files cannot be used",
            file=bad.file,
            line=bad.line,
            reason=bad.reason,
        )


class Standing(NamedTuple):
    """What is in force by the database, and the rules that fell back to watch."""

    version: RuleVersion | None  # None: the folder's book
    since: RuleAct | None
    breakers: list[RuleBreaker]


def draft(ctx: Context, changes: Mapping[str, str | None], *, base: str | None, note: str, schema_from: Path) -> str:
    """A new version: the files of another one with some replaced, added, or (None) left out.

    Args:
        base: a version's id, FOLDER, or None for what is in force.

    Raises:
        Absent: no such base.
        GuardFailed: `bad_rules` (with file, line and reason), `version_not_raised`.
    """
    files = {**_base_files(ctx, base, schema_from), **changes}
    kept = {name: content for name, content in files.items() if content is not None}
    try:
        rule_archive.require_bounded(kept)
        book = rule_archive.identify(kept, schema_from)
    except BadPack as bad:
        raise BadRules(bad) from bad
    newest = _newest_version(ctx, book.book_id, schema_from)
    if book.version <= newest:
        raise GuardFailed(
            "version_not_raised",
            zh="规则版本号未提高",
            en="The version was not raised",
            book_version=book.version,
            newest_version=newest,
        )
    version_id = ctx.new_id()
    if not rule_versions.has_files(ctx.tx.session, book.sha256):
        ctx.plan.insert(RuleFiles, id=book.sha256, deflated=rule_archive.deflated(kept))
    ctx.plan.insert(
        RuleVersion,
        id=version_id,
        book_id=book.book_id,
        book_version=book.version,
        sha256=book.sha256,
        state=RULE_VERSION.initial,
        note=note,
        author_id=ctx.actor.subject,
        created_at=ctx.now,
    )
    _act(ctx, "drafted", version_id=version_id, sha256=book.sha256)
    return version_id


def record_check(ctx: Context, version_id: str, *, found: Mapping[str, Any], holds: bool) -> None:
    """Keep what a check found; where the examples hold, the version is checked.

    Raises:
        Absent: no such version.
        Conflict: `arrow_missing`: it was checked already, published or withdrawn.
    """
    row = read_version(ctx, version_id)
    arrow = RULE_VERSION.advance(row.state, "check", _facts(ctx, row, examples_hold=holds), side=ctx.actor.side)
    ctx.plan.update(RuleVersion, row.id, state=RULE_VERSION.target(row.state, arrow), checked=dict(found))
    _act(ctx, "checked" if holds else "check_failed", version_id=row.id, sha256=row.sha256)


def record_replay(ctx: Context, version_id: str, *, found: Mapping[str, Any]) -> None:
    """Keep what a replay found, without any words.

    Raises:
        Absent: no such version.
        Conflict: `arrow_missing`: not checked yet, published or withdrawn.
    """
    row = read_version(ctx, version_id)
    arrow = RULE_VERSION.advance(row.state, "replay", _facts(ctx, row), side=ctx.actor.side)
    ctx.plan.update(RuleVersion, row.id, state=RULE_VERSION.target(row.state, arrow), replayed=dict(found))
    _act(ctx, "replayed", version_id=row.id, sha256=row.sha256, facts={"judged": found.get("judged", 0)})


def require_may(ctx: Context, version_id: str, trigger: str) -> RuleVersion:
    """The version, if it stands where `trigger` may be pulled; asked before work that takes seconds.

    Raises:
        Absent: no such version.
        Conflict: `arrow_missing`.
    """
    row = read_version(ctx, version_id)
    RULE_VERSION.advance(row.state, trigger, _facts(ctx, row), side=ctx.actor.side)
    return row


def publish(ctx: Context, version_id: str, *, sha256: str, schema_from: Path) -> None:
    """Bring a version into force, by somebody who did not write it.

    Args:
        sha256: of what the publisher has read.

    Raises:
        Absent: no such version.
        Conflict: `arrow_missing`: not replayed yet, published or withdrawn.
        Forbidden: `author_may_not_publish`.
        GuardFailed: `payload_changed`, `version_not_raised`.
    """
    row = read_version(ctx, version_id)
    newest = _newest_version(ctx, row.book_id, schema_from)
    facts = _facts(ctx, row, sha256_named=sha256, newest_version=newest)
    arrow = RULE_VERSION.advance(row.state, "publish", facts, side=ctx.actor.side)
    ctx.plan.update(
        RuleVersion,
        row.id,
        state=RULE_VERSION.target(row.state, arrow),
        publisher_id=ctx.actor.subject,
        published_at=ctx.now,
    )
    _act(ctx, "published", version_id=row.id, sha256=row.sha256)


def withdraw(ctx: Context, version_id: str) -> None:
    """The author takes a draft back.

    Raises:
        Absent: no such version.
        Conflict: `arrow_missing`.
        GuardFailed: `not_the_author`.
    """
    row = read_version(ctx, version_id)
    arrow = RULE_VERSION.advance(row.state, "withdraw", _facts(ctx, row), side=ctx.actor.side)
    ctx.plan.update(RuleVersion, row.id, state=RULE_VERSION.target(row.state, arrow))
    _act(ctx, "withdrawn", version_id=row.id, sha256=row.sha256)


def roll_back(ctx: Context, version_id: str | None) -> None:
    """Bring an earlier published version into force again; None: the folder's book.

    Raises:
        Absent: no such version.
        Conflict: `never_published`, `in_force_already`.
    """
    told = rule_versions.in_force(ctx.tx)
    row = None if version_id is None else read_version(ctx, version_id)
    require_may_roll_back(
        state="published" if row is None else row.state, is_in_force=told.version_id == (row.id if row else None)
    )
    _act(
        ctx,
        "rolled_back",
        version_id=row.id if row else None,
        sha256=row.sha256 if row else None,
        facts={"from": told.version_id or FOLDER},
    )


# --- circuit breakers -----------------------------------------------------------------------------------------------


def let_fall(ctx: Context, recent: Counts, history: Counts, *, armed: frozenset[str]) -> list[Trip]:
    """Let rules fall back to watch that stop far more shops than they used to."""
    known = {row.id: row for row in rule_versions.breakers(ctx.tx.session)}
    accepted = {
        row.id: Accepted(row.rearmed_at, row.per_million / MILLION)
        for row in known.values()
        if row.rearmed_at is not None and row.tripped_at is None
    }
    fallen = {row.id for row in known.values() if row.tripped_at is not None}
    trips = tripped(recent, history, accepted, now=ctx.now, armed=armed - fallen)
    for place, trip in enumerate(trips):
        per_million = round(trip.share * MILLION)
        ctx.plan.put(RuleBreaker, trip.rule_id, tripped_at=ctx.now, per_million=per_million, rearmed_at=None)
        facts = {
            "shops": trip.shops,
            "per_million": per_million,
            "per_million_before": round(trip.share_before * MILLION),
        }
        _act(ctx, "rule_tripped", rule_id=trip.rule_id, facts=facts, place=place)
    return trips


def rearm(ctx: Context, rule_id: str) -> None:
    """A person lets a rule act again that fell back.

    Raises:
        Absent: it never fell back.
        Conflict: `rule_is_armed`.
    """
    row = rule_versions.breaker(ctx.tx.session, rule_id)
    if row is None:
        raise Absent("rule_breaker")
    if row.tripped_at is None:
        raise Conflict("rule_is_armed", zh="该规则未被熔断", en="This rule has not fallen back")
    ctx.plan.update(RuleBreaker, rule_id, tripped_at=None, rearmed_at=ctx.now)
    _act(ctx, "rule_rearmed", rule_id=rule_id)


# --- reading --------------------------------------------------------------------------------------------------------


def read_version(ctx: Context, version_id: str) -> RuleVersion:
    """A version, without its files.

    Raises:
        Absent: no such version.
    """
    row = rule_versions.version(ctx.tx.session, version_id)
    if row is None:
        raise Absent("rule_version")
    return row


def read_files(ctx: Context, version_id: str) -> dict[str, str]:
    """The files of a version.

    Raises:
        Absent: no such version.
    """
    return rule_versions.files_of(ctx.tx.session, read_version(ctx, version_id).sha256)


def files_in_force(ctx: Context, schema_from: Path) -> dict[str, str]:
    """The files of what is in force by the database."""
    return _base_files(ctx, None, schema_from)


def read_standing(ctx: Context) -> Standing:
    """What is in force by the database."""
    told = rule_versions.in_force(ctx.tx)
    session = ctx.tx.session
    version = None if told.version_id is None else rule_versions.version(session, told.version_id)
    return Standing(version, rule_versions.act_in_force(session), rule_versions.breakers(session))


# --- shared ---------------------------------------------------------------------------------------------------------


def _base_files(ctx: Context, base: str | None, folder: Path) -> dict[str, str]:
    if base not in (None, FOLDER):
        return read_files(ctx, base or "")
    told = rule_versions.in_force(ctx.tx)
    if base is None and told.sha256 is not None:
        return rule_versions.files_of(ctx.tx.session, told.sha256)
    return rule_archive.read_folder(folder)


def _newest_version(ctx: Context, book_id: str, folder: Path) -> int:
    mine = rule_archive.identify(rule_archive.read_folder(folder), folder)
    published = rule_versions.newest_published(ctx.tx.session, book_id)
    return max(published, mine.version if mine.book_id == book_id else 0)


def _facts(
    ctx: Context, row: RuleVersion, *, examples_hold: bool = False, sha256_named: str = "", newest_version: int = 0
) -> VersionFacts:
    return VersionFacts(
        author=row.author_id,
        actor=ctx.actor.subject,
        examples_hold=examples_hold,
        sha256=row.sha256,
        sha256_named=sha256_named,
        book_version=row.book_version,
        newest_version=newest_version,
    )


def _act(
    ctx: Context,
    kind: str,
    *,
    version_id: str | None = None,
    sha256: str | None = None,
    rule_id: str | None = None,
    facts: Mapping[str, object] | None = None,
    place: int = 0,
) -> None:
    """Append an act. Its number is the lock: of two at once one finds it taken, and runs again."""
    ctx.plan.insert(
        RuleAct,
        number=rule_versions.last_act(ctx.tx) + 1 + place,
        at=ctx.now,
        kind=kind,
        actor_id=ctx.actor.subject,
        version_id=version_id,
        sha256=sha256,
        rule_id=rule_id,
        facts=None if facts is None else dict(facts),
    )
