"""The version of a rule book: drafted, checked, replayed on past messages, published by a second person."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.errors import Conflict, Forbidden
from service.domain.lifecycle import Lifecycle, guard, row_of

ACTS = (
    "drafted",
    "checked",
    "check_failed",
    "replayed",
    "published",
    "withdrawn",
    "rolled_back",
    "rule_tripped",
    "rule_rearmed",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """What a version of the rule book looks at before it moves."""

    author: str = ""
    actor: str = ""
    examples_hold: bool = False  # the files are as the schema says, and every example does as it should
    sha256: str = ""
    sha256_named: str = ""  # by the publisher: what was read is what comes into force
    book_version: int = 0
    newest_version: int = 0  # of the books published so far and of the folder's


def examples_hold(f: VersionFacts) -> bool:
    """The check found nothing."""
    return f.examples_hold


def examples_fail(f: VersionFacts) -> bool:
    """The check found something; the draft stays one."""
    return not f.examples_hold


def require_second_person(f: VersionFacts) -> None:
    """Nobody brings their own rules into force.

    Raises:
        Forbidden: `author_may_not_publish`.
    """
    if f.actor in ("", f.author):
        raise Forbidden("author_may_not_publish", zh="规则须由另一人发布", en="A second person publishes rules")


@guard("not_the_author", "只有作者可以撤回", "Only the author may withdraw")
def require_author(f: VersionFacts) -> bool:
    """A draft belongs to whoever wrote it."""
    return f.actor == f.author != ""


@guard("payload_changed", "内容与提议时不一致", "Not what was proposed", "sha256_named")
def require_same_files(f: VersionFacts) -> bool:
    """What the publisher has read is what comes into force."""
    return f.sha256 != "" and f.sha256_named == f.sha256


@guard("version_not_raised", "规则版本号未提高", "The version was not raised", "book_version", "newest_version")
def require_newer(f: VersionFacts) -> bool:
    """Verdicts name the version: two books never share one."""
    return f.book_version > f.newest_version


_arrow = row_of(VersionFacts)

# fmt: off
RULE_VERSION: Lifecycle[VersionFacts] = Lifecycle(
    "rule_version",
    states=("drafted", "checked", "replayed", "published", "withdrawn"),
    initial="drafted",
    final=("published", "withdrawn"),
    arrows=(
        _arrow("B1", "drafted", "check", "rules_editor", "checked", when=(examples_hold,)),
        _arrow("B2", "drafted", "check", "rules_editor", None, when=(examples_fail,),
               effects="what failed is kept with file and line"),
        _arrow("B3", "checked replayed", "replay", "rules_editor supervisor", "replayed",
               effects="new and lost hits are kept for whoever publishes"),
        _arrow("B4", "replayed", "publish", "supervisor", "published",
               require=(require_second_person, require_same_files, require_newer),
               effects="in force in every process within seconds"),
        _arrow("B5", "drafted checked replayed", "withdraw", "rules_editor", "withdrawn", require=(require_author,)),
    ),
)
# fmt: on

STATE_LABELS = {
    "drafted": ("草稿", "Drafted"),
    "checked": ("已检查", "Checked"),
    "replayed": ("已回放", "Replayed"),
    "published": ("已发布", "Published"),
    "withdrawn": ("已撤回", "Withdrawn"),
}


def require_may_roll_back(*, state: str, is_in_force: bool) -> None:
    """Back to what two people had let out before; one is enough for that.

    Raises:
        Conflict: `never_published`, `in_force_already`.
    """
    if state != "published":
        raise Conflict("never_published", zh="该版本从未发布", en="This version was never published", state=state)
    if is_in_force:
        raise Conflict("in_force_already", zh="该版本正在生效", en="This version is in force already")
