"""Checks the gate from a transcript alone: what the buyer was told rests on the merchant's act, or promises nothing.

No row of ours is asked, only entries, what they disclose, and the templates that they name: an auditor with an export
can do the same offline (docs/promises.md says which field is checked against which).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from service.domain.cleared_words import ConfirmedPromise, RelayTemplates, Softened, clear_relay, clear_softened
from service.domain.errors import Refusal
from service.domain.promise_net import net

PLATFORM: Final = frozenset({"platform_agent", "supervisor"})
REASONS: Final = "reasons"  # disclosed by rulings and appeals: both parties read them in the platform's name


@dataclass(frozen=True, slots=True)
class Line:
    """One entry. `hash`: base64, of its bytes; `body`: read from them; `disclosed`: what it discloses, by name."""

    hash: str
    body: Mapping[str, Any]
    disclosed: Mapping[str, object]

    @property
    def kind(self) -> str:
        """What it tells."""
        return str(self.body["kind"])

    @property
    def facts(self) -> Mapping[str, Any]:
        """What it tells of it."""
        facts: Mapping[str, Any] = self.body.get("facts") or {}
        return facts

    @property
    def actor(self) -> str:
        """The side that acted."""
        return str(self.body["actor"]["t"])


@dataclass(slots=True)
class _Said:
    """What is known of one promise at a place of the transcript."""

    wording: str
    action: str | None
    canonical: str
    against: str | None
    confirmed_by: str | None = None  # hash of the merchant's act
    gone: bool = False  # declined, superseded, lapsed
    told: bool = False


@dataclass(slots=True)
class GateReport:
    """What was found. `checked`: messages to the buyer and reasons that hold; `withheld`: without their words."""

    faults: list[str] = field(default_factory=list)
    checked: int = 0
    withheld: int = 0


def check_gate(lines: Sequence[Line], templates: Mapping[str, RelayTemplates]) -> GateReport:
    """Go through the entries of one dispute, in order, and hold everything said to its buyer against what came before.

    Args:
        templates: by the hex SHA-256 of their file, as the entries name them.
    """
    known: dict[str, _Said] = {}
    report = GateReport()
    for line in lines:
        if line.kind == "buyer.told" or REASONS in line.disclosed:
            faults = list(_faults(line, known, templates))
            report.faults += [f"entry {line.body['seq']}: {fault}" for fault in faults]
            missing = line.kind == "buyer.told" and "text" not in line.disclosed
            report.withheld += missing
            report.checked += not faults and not missing
        _learn(line, known)
    return report


# --- what the entries say of promises -------------------------------------------------------------------------------


def _learn(line: Line, known: dict[str, _Said]) -> None:
    facts = line.facts
    match line.kind:
        case "promise.extracted":
            for each in facts["promises"]:
                said = _Said(each["wording"], each["action"], each["canonical"], each.get("against"))
                known.setdefault(each["id"], said)
        case "promise.attached":
            stated = _Said("unconditional", facts["action"], facts["canonical"], facts.get("against"))
            known[facts["promise"]] = stated
            _end(known, facts["instead_of"])
        case "promise.corrected":
            before = known.get(facts["promise"])
            action = before.action if before else None
            known[facts["by"]] = _Said("unconditional", action, facts["canonical"], facts.get("against"))
            _end(known, [facts["promise"]])
        case "promise.confirmed" if facts["promise"] in known and line.actor == "merchant":
            said = known[facts["promise"]]
            if not said.gone and said.wording == "unconditional" and said.canonical == facts["canonical"]:
                said.confirmed_by = line.hash
        case "promise.declined" | "promise.superseded":
            _end(known, [facts["promise"]])
        case "promise.lapsed":
            _end(known, facts["promises"])
        case "buyer.told":
            for each in facts.get("promises", ()):
                if each["id"] in known:
                    known[each["id"]].told = True


def _end(known: Mapping[str, _Said], ids: Sequence[str]) -> None:
    for promise_id in ids:
        if promise_id in known:
            known[promise_id].gone = True


# --- what is said to the buyer --------------------------------------------------------------------------------------


def _faults(line: Line, known: Mapping[str, _Said], templates: Mapping[str, RelayTemplates]) -> Iterator[str]:
    if line.kind != "buyer.told":
        if net(str(line.disclosed[REASONS])):
            yield "reasons promise something"
        return
    if line.actor not in PLATFORM:
        yield f"said by {line.actor}"
    source, text = line.facts.get("source"), line.disclosed.get("text")
    if source == "free_text":
        if line.facts.get("promises") or (text is not None and net(str(text))):
            yield "free text promises something"
        return
    if source not in ("promises", "softened"):
        yield f"said from {source}"
        return
    made_with = templates.get(str(line.facts.get("template_sha256")))
    if made_with is None:
        yield "the template is not known"
        return
    named = line.facts.get(source) or []
    try:
        words = _rendered(source, named, known, made_with)
    except (Refusal, KeyError, TypeError, ValueError) as wrong:
        yield f"cannot be rendered: {wrong}"
        return
    yield from _unfounded(line, named, known) if source == "promises" else _not_softened(named, known)
    if text is not None and (text, line.disclosed.get("text_en")) != words:
        yield "other words than those rendered"


def _rendered(
    source: str, named: Sequence[Mapping[str, Any]], known: Mapping[str, _Said], templates: RelayTemplates
) -> tuple[str, str | None]:
    if source == "softened":
        words = clear_softened([Softened(each["id"], each["wording"], each["action"]) for each in named], templates)
    else:
        words = clear_relay([_as_confirmed(each, known[each["id"]]) for each in named], templates)
    return words.text, words.en


def _as_confirmed(told: Mapping[str, Any], said: _Said) -> ConfirmedPromise:
    """The promise with the fields that the relay was filled from; their canonical text must be the confirmed one."""
    return ConfirmedPromise(
        id=told["id"],
        action=told["action"],
        amount_fen=told["amount_fen"],
        amount_max_fen=told["amount_max_fen"],
        due_at=None if told["due_at"] is None else datetime.fromisoformat(told["due_at"]),
        canonical_sha256=told["canonical"],
        confirmation_sha256=said.canonical if said.confirmed_by else "",
        confirmation_entry_hash=told["confirmation"],
        state="confirmed",
        wording=said.wording,
    )


def _unfounded(line: Line, named: Sequence[Mapping[str, Any]], known: Mapping[str, _Said]) -> Iterator[str]:
    for each in named:
        said = known[each["id"]]
        if said.confirmed_by != each["confirmation"]:
            yield f"{each['id']} names another act"
        if said.gone:
            yield f"{each['id']} did not stand any more"
        if said.told:
            yield f"{each['id']} was told before"
        if (said.against or each.get("against")) and line.actor != "supervisor":
            yield f"{each['id']} goes against the order and no supervisor cleared it"


def _not_softened(named: Sequence[Mapping[str, Any]], known: Mapping[str, _Said]) -> Iterator[str]:
    for each in named:
        said = known.get(each["id"])
        if said is None or (said.wording, said.action) != (each["wording"], each["action"]):
            yield f"{each['id']} was not said so"
