"""Draws docs/lifecycle.md from the tables: one Mermaid diagram and one table of arrows per lifecycle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.domain import (
    approval,
    dispute,
    evidence,
    inquiry,
    promise,
    refund,
    return_shipment,
    rule_version,
    ticket,
)
from service.domain.lifecycle import Arrow, Guard, Lifecycle
from service.domain.timers import FIRES

BEGIN = "<!-- drawn from the tables: begin -->"
END = "<!-- drawn from the tables: end -->"

# What is drawn, in the order of the page: (table, labels of its states, one sentence).
DRAWN: tuple[tuple[Lifecycle[Any], Mapping[str, tuple[str, str]], str], ...] = (
    (dispute.DISPUTE, dispute.STATE_LABELS, "The case: one refund dispute about one order line."),
    (inquiry.INQUIRY, inquiry.STATE_LABELS, "A platform agent asks the merchant, under a reply window."),
    (ticket.TICKET, ticket.STATE_LABELS, "What a merchant gets when the window closed unanswered."),
    (evidence.EVIDENCE_REQUEST, evidence.STATE_LABELS, "What a party is asked to show."),
    (promise.PROMISE, promise.STATE_LABELS, "What the merchant says will be done, by when, for how much."),
    (return_shipment.RETURN_SHIPMENT, return_shipment.STATE_LABELS, "What the carrier says of the parcel."),
    (refund.REFUND, refund.STATE_LABELS, "One attempt to pay one obligation out of one fund."),
    (approval.APPROVAL, approval.STATE_LABELS, "What needs a second person."),
    (rule_version.RULE_VERSION, rule_version.STATE_LABELS, "A rule book on its way into force."),
)


def render_lifecycles() -> str:
    """The drawn part of docs/lifecycle.md, markers included; the same tables give the same text."""
    parts = [_lifecycle(table, labels, sentence) for table, labels, sentence in DRAWN]
    return "\n\n".join([BEGIN, *parts, _timers(), END])


def mermaid(table: Lifecycle[Any]) -> str:
    """A Mermaid state diagram; arrows between the same two states share a line, each with its number and trigger."""
    lines = ["stateDiagram-v2", f"    [*] --> {table.initial}"]
    shared: dict[tuple[str, str], list[str]] = {}
    for arrow in table.arrows:
        for source in arrow.sources:
            label = f"{arrow.number} {arrow.trigger}"
            labels = shared.setdefault((source, table.target(source, arrow)), [])
            if label not in labels:
                labels.append(label)
    lines += [f"    {source} --> {target}: {'<br/>'.join(labels)}" for (source, target), labels in shared.items()]
    lines += [f"    {state} --> [*]" for state in table.states if table.is_final(state)]
    return "\n".join(lines)


def _lifecycle(table: Lifecycle[Any], labels: Mapping[str, tuple[str, str]], sentence: str) -> str:
    states = ["| state | 中文 | English |", "|---|---|---|"]
    for state in table.states:
        zh, en = labels[state]
        states.append(f"| `{state}`{' ■' if table.is_final(state) else ''} | {zh} | {en} |")
    arrows = ["| # | from | trigger | actor | guard | to | effects | basis |", "|---|---|---|---|---|---|---|---|"]
    arrows += [_row(arrow) for arrow in table.arrows]
    return "\n\n".join(
        [
            f"## {table.name}",
            sentence,
            "\n".join(states),
            f"```mermaid\n{mermaid(table)}\n```",
            "\n".join(arrows),
        ]
    )


def _row(arrow: Arrow[Any]) -> str:
    guards = [f"if `{chooses.__name__}`" for chooses in arrow.when]
    guards += [f"`{_code(refuses)}`" for refuses in arrow.require]
    cells = (
        arrow.number,
        ", ".join(f"`{source}`" for source in arrow.sources),
        f"`{arrow.trigger}`",
        ", ".join(arrow.actors),
        ", ".join(guards) or "-",
        f"`{arrow.target}`" if arrow.target else "same",
        "; ".join(arrow.effects) or "-",
        arrow.basis,
    )
    return f"| {' | '.join(cells)} |"


def _code(refuses: Any) -> str:
    if isinstance(refuses, Guard):
        return refuses.code
    return "outside_service_hours" if refuses is inquiry.require_hours else "window_closed"


def _timers() -> str:
    rows = ["| timer | of | fires | id | 中文 |", "|---|---|---|---|---|"]
    for name, fires in FIRES.items():
        what = f"`{fires.trigger}`" if fires.trigger else "an alarm"
        rows.append(f"| `{name}` | {fires.noun} | {what} | {fires.code} | {fires.zh} |")
    return "\n\n".join(["## Timers", "What every clock fires when its time is up.", "\n".join(rows)])
