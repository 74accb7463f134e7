"""A text is judged over HTTP for a preview or another system; nothing is kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, post
from litestar.params import JSONBody

from service.api.outcomes import AdviceBody, Bilingual, FindingBody
from service.api.perform import Shaped, look
from service.api.shapes import TEXT
from service.api.terms import allow
from service.domain.moderation import Channel, ModeratedReply
from service.domain.staff import Role
from service.flows.check_words import check_words
from service.flows.context import Context
from service.flows.heard import outcome_name

CHECKERS = (
    Role.MERCHANT_OWNER,
    Role.MERCHANT_SEAT,
    Role.PLATFORM_AGENT,
    Role.SUPERVISOR,
    Role.AUDITOR,
    Role.RULES_EDITOR,
    Role.SYSTEM,
)
Text = Annotated[str, msgspec.Meta(max_length=10_000, pattern=TEXT)]
Fact = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]


class WordsToCheck(msgspec.Struct, forbid_unknown_fields=True):
    """A text and where it would stand. A merchant is judged by its own shop's platform, whatever is said here."""

    text: Text
    channel: Literal["buyer_chat", "inquiry", "ticket", "note", "phrase", "name"] = "buyer_chat"
    platform: Literal["taobao", "pinduoduo", "douyin", "jd"] | None = None
    question: Text | None = None
    facts: Annotated[list[Fact], msgspec.Meta(max_length=20)] = []


class VerdictView(msgspec.Struct):
    """What would happen to the text if it were sent now by somebody without earlier offences."""

    measure: str
    outcome: str
    direct_to_human: bool
    findings: list[FindingBody]
    advice: list[AdviceBody]
    rules: str
    answers: bool


@post(
    "/moderation/check",
    opt=allow(*CHECKERS, scopes=("moderation",), idempotency_key=False),
    operation_id="checkWords",
    summary="Judge a text; nothing is stored",
    status_code=200,
    tags=["moderation"],
)
async def check_one(request: Request[Any, Any, Any], data: JSONBody[WordsToCheck]) -> Response[VerdictView]:
    """The same rules as everywhere; earlier offences are left aside."""
    return await look(
        request,
        lambda ctx: check_words(
            ctx,
            data.text,
            channel=Channel(data.channel),
            platform=data.platform,
            question=data.question,
            facts=frozenset(data.facts),
        ),
        _shape,
    )


def _shape(ctx: Context, reply: ModeratedReply) -> Shaped:
    verdict = reply.verdict
    return Shaped(
        200,
        VerdictView(
            measure=verdict.measure.value,
            outcome=outcome_name(verdict.measure),
            direct_to_human=verdict.direct_to_human,
            findings=[
                FindingBody(
                    f.rule, f.category, f.measure.value, f.start, f.end, f.matched, Bilingual(f.reason_zh, f.reason_en)
                )
                for f in verdict.findings
            ],
            advice=[AdviceBody(a.kind, a.text) for a in verdict.advice],
            rules=f"{verdict.pack_id}@{verdict.pack_version}",
            answers=reply.answers,
        ),
    )


HANDLERS = [check_one]
