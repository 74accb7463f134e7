"""What a hearing found: the verdict with what follows from it, how an entry tells it, and what the sender is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from service.domain.moderation import Advice, Finding, Measure, ModeratedReply
from service.domain.policy import Policy
from service.domain.transcript import Entry, receipt
from service.flows.context import Context


@dataclass(frozen=True, slots=True)
class PromiseFound:
    """A promise found in delivered words, ready to be confirmed."""

    id: str
    state: str
    wording: str
    action: str
    amount_fen: int | None
    amount_max_fen: int | None
    due_at: datetime | None
    start: int
    end: int
    canonical_zh: str
    canonical_en: str
    canonical_sha256: str
    contradicts: str | None = None  # the fact of the order that it goes against (D15)
    contradicts_told: str | None = None  # the promise told to the buyer that it goes against,
    differs: str | None = None  # and the field in which it does


class Contradiction(NamedTuple):
    """Why a promise attached to a message was not confirmed: the words, read as this promise, say otherwise."""

    action: str  # of the attached promise
    differs: str  # wording, action, due_at or amount
    promise_id: str  # as the words were read; unconfirmed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sender of a merchant text is told; one shape over HTTP and WebSocket (api.md section 2)."""

    outcome: str  # sent, confirm, edit, rejected, notice
    message_id: str
    measure: str
    direct_to_human: bool
    findings: tuple[Finding, ...]
    advice: tuple[Advice, ...]
    rules: str  # pack@version of the rules that judged it
    receipt_seq: int
    receipt_hash: str
    receipt_at: datetime
    answers: bool = True  # False: delivered, but the question stays open and the clock runs on
    banner_until: datetime | None = None
    confirm_token: str | None = None
    confirm_until: datetime | None = None
    notice_id: str | None = None
    due_at: datetime | None = None
    promises: tuple[PromiseFound, ...] = field(default=())
    contradictions: tuple[Contradiction, ...] = field(default=())
    resent_of: str | None = None  # the message of the same words that had to be edited, and was not

    @property
    def is_sent(self) -> bool:
        """The words went out."""
        return self.outcome == "sent"


@dataclass(frozen=True, slots=True)
class Heard:
    """A merchant text with its verdict and what follows for the sender."""

    reply: ModeratedReply
    outcome: str
    token_used: str | None = None
    notice_id: str | None = None  # of an earlier notice that is still unread
    resent_of: str | None = None
    edit_digest: str | None = None  # how these words are known again, if they must be edited
    shown: tuple[str, ...] = ()  # what codes in the pictures beside the words say

    @property
    def is_sent(self) -> bool:
        """The words go out."""
        return self.outcome == "sent"

    @property
    def delivery(self) -> str:
        """How the message is stored."""
        return {"sent": "delivered", "confirm": "held"}.get(self.outcome, "blocked")


_OUTCOMES: Final[Mapping[Measure, str]] = {
    Measure.NONE: "sent",
    Measure.REMIND: "sent",
    Measure.SUGGEST_EDIT: "confirm",
    Measure.REQUIRE_EDIT: "edit",
    Measure.REJECT: "rejected",
    Measure.REJECT_WITH_NOTICE: "notice",
}


def outcome_name(measure: Measure) -> str:
    """What becomes of a text that a measure is taken on: sent, confirm, edit, rejected or notice."""
    return _OUTCOMES[measure]


def rules_facts(reply: ModeratedReply) -> dict[str, object]:
    """The `rules` member of an entry: which rules judged it, and how."""
    verdict = reply.verdict
    return {
        "pack": f"{verdict.pack_id}@{verdict.pack_version}",
        "sha256": verdict.pack_sha256,
        "decision": verdict.measure.value,
        "hits": list(dict.fromkeys(f.rule for f in verdict.findings))[:20],
    }


def before_facts(heard: Heard) -> dict[str, object]:
    """What an entry says of the words before: which message had to be edited and was sent again as it was."""
    return {} if heard.resent_of is None else {"resent_of": heard.resent_of}


def finding_facts(finding: Finding) -> dict[str, object]:
    """A finding as JSON."""
    facts: dict[str, object] = {
        "rule": finding.rule,
        "category": finding.category,
        "measure": finding.measure.value,
        "start": finding.start,
        "end": finding.end,
        "matched": finding.matched,
        "reason": {"zh": finding.reason_zh, "en": finding.reason_en},
    }
    return facts | {"begun": finding.begun} if finding.begun else facts


def outcome_of(
    ctx: Context,
    heard: Heard,
    made: Entry,
    *,
    message_id: str,
    policy: Policy,
    token: str | None = None,
    token_ends: datetime | None = None,
    notice_id: str | None = None,
    due_at: datetime | None = None,
    answers: bool = True,
    promises: Sequence[PromiseFound] = (),
    contradictions: Sequence[Contradiction] = (),
) -> Outcome:
    """The answer to the sender."""
    verdict, kept = heard.reply.verdict, receipt(made)
    reminded = heard.is_sent and verdict.measure is Measure.REMIND
    return Outcome(
        outcome=heard.outcome,
        message_id=message_id,
        measure=verdict.measure.value,
        direct_to_human=verdict.direct_to_human,
        findings=tuple(verdict.findings),
        advice=tuple(verdict.advice),
        rules=f"{verdict.pack_id}@{verdict.pack_version}",
        receipt_seq=kept.seq,
        receipt_hash=kept.hash,
        receipt_at=kept.at,
        answers=answers,
        banner_until=ctx.now + policy.remind_banner if reminded else None,
        confirm_token=token,
        confirm_until=token_ends,
        notice_id=notice_id,
        due_at=due_at,
        promises=tuple(promises),
        contradictions=tuple(contradictions),
        resent_of=heard.resent_of,
    )
