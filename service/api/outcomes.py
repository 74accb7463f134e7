"""The one shape in which every merchant text is answered, delivered or not (api.md section 2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from litestar.openapi.datastructures import ResponseSpec

from service.api.perform import Shaped
from service.api.shapes import Id, Instant, Money, instant_text
from service.flows.heard import Outcome

STATUS_OF: Final = {"sent": 201, "confirm": 202, "edit": 422, "rejected": 422, "notice": 403}


class Bilingual(msgspec.Struct):
    """The same in both languages."""

    zh: str
    en: str


class FindingBody(msgspec.Struct):
    """One rule that the text broke; `start` and `end` are Unicode code points of the text as written, half-open.

    `begun`: a phrase spread over messages began in an earlier one, with these characters; `matched` goes on from them.
    """

    rule: str
    category: str
    measure: str
    start: int
    end: int
    matched: str
    reason: Bilingual
    begun: str | None = None


class AdviceBody(msgspec.Struct):
    """What to say instead."""

    kind: str
    text: str


class ReceiptBody(msgspec.Struct):
    """Place, fingerprint (base64) and instant of the transcript entry."""

    seq: int
    hash: str
    at: Instant


class PromiseBody(msgspec.Struct):
    """A promise found in the words; confirm it by its canonical hash.

    `contradicts`: the fact of the order that it goes against. `contradicts_told`: the promise told to the buyer that it
    goes against, and `differs` the field: wording, action, due_at or amount.
    """

    id: Id
    state: str
    wording: str
    action: str
    amount: Money | None
    amount_max: Money | None
    due_at: Instant | None
    start: int
    end: int
    canonical: Bilingual
    canonical_sha256: str
    contradicts: str | None = None
    contradicts_told: Id | None = None
    differs: str | None = None


class ContradictionBody(msgspec.Struct):
    """An attached promise that the words go against: no attached promise was confirmed, the message stands.

    `differs`: wording, action, due_at or amount; `promise_id` is the promise as the words were read.
    """

    action: str
    differs: str
    promise_id: Id


class ResentBody(msgspec.Struct):
    """The same words had to be edited before in this conversation: blanks, marks and emoji are no edit."""

    message_id: Id
    reason: Bilingual


class OutcomeBody(msgspec.Struct):
    """What became of a merchant's text."""

    outcome: str
    message_id: Id
    measure: str
    direct_to_human: bool
    findings: list[FindingBody]
    advice: list[AdviceBody]
    rules: str
    receipt: ReceiptBody
    answers: bool
    banner_until: Instant | None
    confirm_token: Id | None
    confirm_until: Instant | None
    notice_id: Id | None
    due_at: Instant | None
    promises: list[PromiseBody]
    contradictions: list[ContradictionBody]
    resent: ResentBody | None = None


RESENT: Final = Bilingual(
    "内容未作修改,请修改后再发送", "These words had to be edited; change them before you send again"
)


def shape_outcome(outcome: Outcome) -> Shaped:
    """Body and status of an outcome."""
    return Shaped(
        STATUS_OF[outcome.outcome],
        OutcomeBody(
            outcome=outcome.outcome,
            message_id=Id(outcome.message_id),
            measure=outcome.measure,
            direct_to_human=outcome.direct_to_human,
            findings=[
                FindingBody(
                    f.rule,
                    f.category,
                    f.measure.value,
                    f.start,
                    f.end,
                    f.matched,
                    Bilingual(f.reason_zh, f.reason_en),
                    f.begun or None,
                )
                for f in outcome.findings
            ],
            advice=[AdviceBody(a.kind, a.text) for a in outcome.advice],
            rules=outcome.rules,
            receipt=ReceiptBody(outcome.receipt_seq, outcome.receipt_hash, instant_text(outcome.receipt_at)),
            answers=outcome.answers,
            banner_until=_maybe(outcome.banner_until),
            confirm_token=_maybe_id(outcome.confirm_token),
            confirm_until=_maybe(outcome.confirm_until),
            notice_id=_maybe_id(outcome.notice_id),
            due_at=_maybe(outcome.due_at),
            promises=[
                PromiseBody(
                    Id(p.id),
                    p.state,
                    p.wording,
                    p.action,
                    _money(p.amount_fen),
                    _money(p.amount_max_fen),
                    _maybe(p.due_at),
                    p.start,
                    p.end,
                    Bilingual(p.canonical_zh, p.canonical_en),
                    p.canonical_sha256,
                    p.contradicts,
                    _maybe_id(p.contradicts_told),
                    p.differs,
                )
                for p in outcome.promises
            ],
            contradictions=[ContradictionBody(c.action, c.differs, Id(c.promise_id)) for c in outcome.contradictions],
            resent=None if outcome.resent_of is None else ResentBody(Id(outcome.resent_of), RESENT),
        ),
    )


def outcome_responses() -> dict[int, ResponseSpec]:
    """The statuses beside a good one with which an outcome body may come, for the OpenAPI document."""
    told: dict[int, tuple[type[Any], str]] = {
        202: (OutcomeBody, "Held: edit it, or send it as it is with the token"),
        403: (OutcomeBody, "Not sent: acknowledge the notice; or the role or scope does not allow it"),
        422: (OutcomeBody, "Not sent: edit it; or a rule of the house says no"),
    }
    return {
        status: ResponseSpec(body, description=text, generate_examples=False) for status, (body, text) in told.items()
    }


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else instant_text(at)


def _maybe_id(given: str | None) -> Id | None:
    return None if given is None else Id(given)


def _money(amount_fen: int | None) -> Money | None:
    return None if amount_fen is None else Money(amount_fen)
