"""Rules over HTTP: an editor drafts, checks and replays a version, a second person publishes it or rolls it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.api.listing import look_page
from service.api.paging import LIMIT_DEFAULT, LIMIT_MAX, Keyset
from service.api.perform import Shaped, look, perform
from service.api.preconditions import END
from service.api.rule_work import known, worked_out
from service.api.rules_shapes import (
    BreakerView,
    CheckView,
    PublicationAsked,
    ReplayAsked,
    ReplayView,
    RuleActView,
    RuleDraft,
    RuleFile,
    RuleFilesView,
    RulesHere,
    RulesInForceView,
    RuleVersionView,
    act_view,
    maybe_instant,
    version_view,
)
from service.api.shapes import Id, Nothing, Page
from service.api.terms import allow
from service.domain.staff import Role
from service.flows import publish_rules
from service.flows.context import Context
from service.store import past_messages, rule_versions
from service.store.rule_child import Checked, check, replay
from service.store.rule_replay import PastMessage, Replay
from service.store.rules_in_force import RulesInForce

EDITOR: Final = (Role.RULES_EDITOR,)
REPLAYERS: Final = (Role.RULES_EDITOR, Role.SUPERVISOR)
READERS: Final = (Role.SUPERVISOR, Role.AUDITOR, Role.RULES_EDITOR)
BODY_BYTES_MAX: Final = 12_000_000  # choice: the largest book with every line end escaped
VERSIONS = Keyset("uuid")
ACTS = Keyset("number")

# --- reading ---------------------------------------------------------------------------------------------------------


@get(
    "/rule-packs",
    opt=allow(*READERS),
    operation_id="listRuleVersions",
    summary="Versions of the rule book, newest first",
    tags=["rules"],
)
async def list_versions(
    request: Request[Any, Any, Any],
    limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    cursor: Annotated[str | None, QueryParameter(pattern=VERSIONS.pattern)] = None,
) -> Response[Page[RuleVersionView]]:
    """Drafts, published and withdrawn ones; the folder's book is not among them."""
    before = None if cursor is None else str(VERSIONS.read(cursor)[0])
    return await look_page(
        request,
        "/v1/rule-packs",
        lambda ctx: rule_versions.versions_before(ctx.tx.session, before, limit=limit + 1),
        lambda _, row: version_view(row),
        keyset=VERSIONS,
        position=lambda row: row.id,
        limit=limit,
    )


@get(
    "/rule-packs/in-force",
    opt=allow(*READERS),
    operation_id="getRulesInForce",
    summary="What is in force, since when, and the rules that fell back to watch",
    tags=["rules"],
)
async def get_in_force(request: Request[Any, Any, Any]) -> Response[RulesInForceView]:
    """Every process follows within seconds; `here` says where this one stands."""

    def shape(ctx: Context, found: publish_rules.Standing) -> Shaped:
        book = ctx.house.rules()
        return Shaped(
            200,
            RulesInForceView(
                version=None if found.version is None else version_view(found.version),
                since=None if found.since is None else act_view(found.since),
                breakers=[
                    BreakerView(row.id, maybe_instant(row.tripped_at), row.per_million, maybe_instant(row.rearmed_at))
                    for row in found.breakers
                ],
                here=RulesHere(book.book_id, book.version, book.sha256),
            ),
        )

    return await look(request, publish_rules.read_standing, shape)


@get(
    "/rule-packs/{version_id:uuid}",
    opt=allow(*READERS),
    operation_id="getRuleVersion",
    summary="One version with what its check and replay found",
    tags=["rules"],
)
async def get_version(request: Request[Any, Any, Any], version_id: FromPath[Id]) -> Response[RuleVersionView]:
    """Its `sha256` is what the publisher names."""
    return await look(request, lambda ctx: str(version_id), _shape)


@get(
    "/rule-packs/{version_id:uuid}/files",
    opt=allow(*READERS),
    operation_id="getRuleFiles",
    summary="All files of a version",
    tags=["rules"],
)
async def get_files(request: Request[Any, Any, Any], version_id: FromPath[Id]) -> Response[RuleFilesView]:
    """As they were drafted."""

    def shape(ctx: Context, files: Mapping[str, str]) -> Shaped:
        sha256 = publish_rules.read_version(ctx, str(version_id)).sha256
        return Shaped(200, RuleFilesView(sha256, [RuleFile(name, files[name]) for name in sorted(files)]))

    return await look(request, lambda ctx: publish_rules.read_files(ctx, str(version_id)), shape)


@get(
    "/rule-acts",
    opt=allow(*READERS),
    operation_id="listRuleActs",
    summary="Who did what to the rules, newest first",
    tags=["rules"],
)
async def list_acts(
    request: Request[Any, Any, Any],
    limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    cursor: Annotated[str | None, QueryParameter(pattern=ACTS.pattern)] = None,
) -> Response[Page[RuleActView]]:
    """Append-only, numbers without gaps."""
    before = None if cursor is None else _number(ACTS.read(cursor)[0])
    return await look_page(
        request,
        "/v1/rule-acts",
        lambda ctx: rule_versions.acts_before(ctx.tx.session, before, limit=limit + 1),
        lambda _, row: act_view(row),
        keyset=ACTS,
        position=lambda row: row.number,
        limit=limit,
    )


# --- the editor ------------------------------------------------------------------------------------------------------


@post(
    "/rule-packs",
    opt=allow(*EDITOR, errors=(404,), dry_run=True, body_bytes_max=BODY_BYTES_MAX),
    operation_id="draftRules",
    summary="Draft a version of the rule book",
    status_code=201,
    tags=["rules"],
)
async def draft_one(request: Request[Any, Any, Any], data: JSONBody[RuleDraft]) -> Response[RuleVersionView]:
    """422 `bad_rules` with file, line and reason; `version_not_raised`: raise the version in book.yaml."""
    changes = {each.name: each.content for each in data.files}

    def story(ctx: Context) -> str:
        return publish_rules.draft(ctx, changes, base=data.base, note=data.note, schema_from=_rules(request).folder)

    return await perform(request, story, lambda ctx, made: _shape(ctx, made, status=201))


@post(
    "/rule-packs/{version_id:uuid}/check",
    opt=allow(*EDITOR, dry_run=True),
    operation_id="checkRules",
    summary="Run every example of every rule",
    status_code=200,
    tags=["rules"],
)
async def check_one(
    request: Request[Any, Any, Any], version_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[CheckView]:
    """What fails is told with file and line, and the version stays a draft: correct it in a new one.

    `version.checked.untried` names the rules that would act though they are not in force, not even watched.
    """
    name = str(version_id)

    def gather(ctx: Context) -> tuple[dict[str, str], dict[str, str]]:
        publish_rules.require_may(ctx, name, "check")
        return publish_rules.read_files(ctx, name), publish_rules.files_in_force(ctx, _rules(request).folder)

    found = await worked_out(request, gather, lambda read: check(*read, _rules(request).folder))

    def story(ctx: Context) -> Checked:
        told, untried = known(found)
        publish_rules.record_check(ctx, name, found=_summary(told, untried), holds=told.holds)
        return told

    def shape(ctx: Context, told: Checked) -> Shaped:
        return Shaped(200, CheckView(version_view(publish_rules.read_version(ctx, name)), told))

    return await perform(request, story, shape)


@post(
    "/rule-packs/{version_id:uuid}/replay",
    opt=allow(*REPLAYERS, dry_run=True),
    operation_id="replayRules",
    summary="What the version would have done to past messages",
    status_code=200,
    tags=["rules"],
)
async def replay_one(
    request: Request[Any, Any, Any], version_id: FromPath[Id], data: JSONBody[ReplayAsked]
) -> Response[ReplayView]:
    """New and lost hits by rule beside what is in force, with a few masked samples that are kept nowhere."""
    name = str(version_id)

    def gather(ctx: Context) -> tuple[dict[str, str], dict[str, str], list[PastMessage]]:
        publish_rules.require_may(ctx, name, "replay")
        before = publish_rules.files_in_force(ctx, _rules(request).folder)
        return publish_rules.read_files(ctx, name), before, past_messages.newest(ctx.tx, limit=data.messages)

    found = await worked_out(request, gather, lambda read: replay(*read, _rules(request).folder))

    def story(ctx: Context) -> Replay:
        told = known(found)
        publish_rules.record_replay(ctx, name, found=_without_words(told))
        return told

    def shape(ctx: Context, told: Replay) -> Shaped:
        return Shaped(200, ReplayView(version_view(publish_rules.read_version(ctx, name)), told))

    return await perform(request, story, shape)


@post(
    "/rule-packs/{version_id:uuid}/withdraw",
    opt=allow(*EDITOR, dry_run=True),
    operation_id="withdrawRules",
    summary="The author takes a draft back",
    status_code=200,
    tags=["rules"],
)
async def withdraw_one(
    request: Request[Any, Any, Any], version_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[RuleVersionView]:
    """Its files stay, for whoever asks later."""

    def story(ctx: Context) -> str:
        publish_rules.withdraw(ctx, str(version_id))
        return str(version_id)

    return await perform(request, story, _shape)


# --- the second person -----------------------------------------------------------------------------------------------


@post(
    "/rule-packs/{version_id:uuid}/publish",
    opt=allow(Role.SUPERVISOR, dry_run=True),
    operation_id="publishRules",
    summary="Bring a version into force",
    status_code=200,
    tags=["rules"],
)
async def publish_one(
    request: Request[Any, Any, Any], version_id: FromPath[Id], data: JSONBody[PublicationAsked]
) -> Response[RuleVersionView]:
    """403 `author_may_not_publish`; in force in every process within seconds, nothing under way is disturbed."""

    def story(ctx: Context) -> str:
        publish_rules.publish(ctx, str(version_id), sha256=data.sha256, schema_from=_rules(request).folder)
        return str(version_id)

    return await perform(request, story, _shape)


@post(
    "/rule-packs/{version_id:uuid}/roll-back",
    opt=allow(Role.SUPERVISOR, dry_run=True),
    operation_id="rollBackRules",
    summary="Bring an earlier version into force again",
    status_code=200,
    tags=["rules"],
)
async def roll_back_one(
    request: Request[Any, Any, Any], version_id: FromPath[Id], data: JSONBody[Nothing]
) -> Response[RuleVersionView]:
    """Only what was published before; one person is enough."""

    def story(ctx: Context) -> str:
        publish_rules.roll_back(ctx, str(version_id))
        return str(version_id)

    return await perform(request, story, _shape)


@post(
    "/rule-packs/folder/roll-back",
    opt=allow(Role.SUPERVISOR, dry_run=True, errors=(409,)),
    operation_id="rollBackToFolder",
    summary="Bring the book of the rules folder into force again",
    status_code=200,
    tags=["rules"],
)
async def roll_back_to_folder(request: Request[Any, Any, Any], data: JSONBody[Nothing]) -> Response[RuleActView]:
    """Version zero: what came with the program."""

    def story(ctx: Context) -> None:
        publish_rules.roll_back(ctx, None)

    return await perform(request, story, _last_act)


@post(
    "/rule-breakers/{rule_id:str}/rearm",
    opt=allow(Role.SUPERVISOR, dry_run=True),
    operation_id="rearmRule",
    summary="Let a rule act again that fell back to watch",
    status_code=200,
    tags=["rules"],
)
async def rearm_one(
    request: Request[Any, Any, Any],
    rule_id: FromPath[Annotated[str, msgspec.Meta(max_length=96, pattern=rf"^[a-z0-9_.]{{1,96}}{END}")]],
    data: JSONBody[Nothing],
) -> Response[RuleActView]:
    """What it stopped when it fell is then no alarm for a week, unless it becomes half as much again."""

    def story(ctx: Context) -> None:
        publish_rules.rearm(ctx, rule_id)

    return await perform(request, story, _last_act)


# --- shared ----------------------------------------------------------------------------------------------------------


def _rules(request: Request[Any, Any, Any]) -> RulesInForce:
    rules: RulesInForce = request.app.state.rules
    return rules


def _summary(found: Checked, untried: list[str]) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(found)
    del plain["failures"]
    return {**plain, "untried": untried}


def _without_words(found: Replay) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(found)
    for difference in plain["rules"].values():
        del difference["new_samples"], difference["lost_samples"]
    return plain


def _shape(ctx: Context, version_id: str, *, status: int = 200) -> Shaped:
    return Shaped(status, version_view(publish_rules.read_version(ctx, version_id)))


def _last_act(ctx: Context, _: None) -> Shaped:
    return Shaped(200, act_view(rule_versions.acts_before(ctx.tx.session, None, limit=1)[0]))


def _number(position: object) -> int:
    assert isinstance(position, int), "the pattern of the cursor lets only numbers through"
    return position


HANDLERS = [
    list_versions,
    get_in_force,
    get_version,
    get_files,
    list_acts,
    draft_one,
    check_one,
    replay_one,
    withdraw_one,
    publish_one,
    roll_back_one,
    roll_back_to_folder,
    rearm_one,
]
