"""Reading what was decided, appealed and paid, with the words that go with it, as each viewer may see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.flows.context import Context
from service.flows.read_case import party_of, require_seen
from service.store import tables
from service.store.disputes import CaseFile
from service.store.words import words_of

# Not read: by the buyer what platform and shop say to each other, by the shop what the platform tells the buyer.
HIDDEN_FROM: Mapping[str, frozenset[str]] = {
    "buyer": frozenset({"inquiry", "ticket"}),
    "merchant": frozenset({"relay"}),
}


@dataclass(frozen=True, slots=True)
class Cited:
    """One citation as this viewer may see it; the words of a conversation it does not read are left out."""

    message_id: str | None
    conversation: str | None
    start: int | None
    end: int | None
    text: str | None
    evidence_id: str | None


@dataclass(frozen=True, slots=True)
class RulingSeen:
    """A ruling with its reasons and citations."""

    row: tables.Ruling
    reasons: str | None
    cites: tuple[Cited, ...]


@dataclass(frozen=True, slots=True)
class AppealSeen:
    """An appeal with its note: the party's own words."""

    row: tables.Appeal
    ground: str
    note: str | None
    cites: tuple[Cited, ...]


def read_rulings(ctx: Context, dispute_id: str) -> tuple[CaseFile, Sequence[RulingSeen]]:
    """All rulings, oldest first.

    Raises:
        Absent: no such dispute, or not this viewer's to know of.
    """
    case = require_seen(ctx, dispute_id)
    words = words_of(ctx.tx.session, dispute_id, [r.seq for r in case.rulings])
    return case, [
        RulingSeen(r, _text(words.get(r.seq, {}), "reasons"), _cites(ctx, words.get(r.seq, {}))) for r in case.rulings
    ]


def read_appeals(ctx: Context, dispute_id: str) -> Sequence[AppealSeen]:
    """All appeals, oldest first.

    Raises:
        Absent: no such dispute, or not this viewer's to know of.
    """
    case = require_seen(ctx, dispute_id)
    words = words_of(ctx.tx.session, dispute_id, [a.seq for a in case.appeals])
    return [
        AppealSeen(a, a.ground, _text(words.get(a.seq, {}), "note"), _cites(ctx, words.get(a.seq, {})))
        for a in case.appeals
    ]


def read_refunds(ctx: Context, dispute_id: str) -> CaseFile:
    """The dispute whose refund executions are wanted.

    Raises:
        Absent: no such dispute, or not this viewer's to know of.
    """
    return require_seen(ctx, dispute_id)


def _text(said: Mapping[str, object], name: str) -> str | None:
    found = said.get(name)
    return found if isinstance(found, str) else None


def _cites(ctx: Context, said: Mapping[str, object]) -> tuple[Cited, ...]:
    hidden = HIDDEN_FROM.get(party_of(ctx) or "", frozenset())
    found: Any = said.get("cites")
    return tuple(_cited(cite, hidden) for cite in found or ())


def _cited(cite: Mapping[str, Any], hidden: frozenset[str]) -> Cited:
    readable = cite.get("conversation") not in hidden
    return Cited(
        message_id=cite.get("message"),
        conversation=cite.get("conversation"),
        start=cite.get("start"),
        end=cite.get("end"),
        text=cite.get("text") if readable else None,
        evidence_id=cite.get("evidence"),
    )
