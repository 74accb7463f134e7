"""The platform is called in: by the buyer, by a supervisor for the buyer, by a merchant with a report, or by a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.domain.dispute import DISPUTE
from service.domain.errors import GuardFailed
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.hearing import Outcome, hear_note, keep_back, let_out, require_length, rules_facts
from service.flows.moves import facts_of, move, window_due
from service.flows.read_case import require_may_after_sale, require_seen
from service.store.disputes import CaseFile
from service.store.quotations import Quotation, verify_message, verify_quotation

CITES_MAX: Final = 20  # choice: messages that one report may point at
NEGOTIATION: Final = ("dispute",)  # what both parties have read


@dataclass(frozen=True, slots=True)
class Cited:
    """A message of the buyer, whole, or exact words of it."""

    message_id: str
    start: int | None = None
    end: int | None = None
    text: str | None = None


def request_intervention(ctx: Context, dispute_id: str, *, reason: str, note: str | None) -> None:
    """The buyer asks the platform to step in; a supervisor does it on the buyer's behalf and is marked so.

    Args:
        reason: one code; after a return that was ruled it must say why the goods cannot be sent back.

    Raises:
        Absent: not this actor's dispute.
        Conflict: `arrow_missing`, `window_closed`.
        GuardFailed: `other_case_active`, `return_was_ruled`, `text_length`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    facts = facts_of(ctx, case, reason=reason)
    DISPUTE.advance(case.dispute.state, "request_intervention", facts, side=ctx.actor.side)
    require_length(note or "", least=0, most=facts.policy.reason_chars_max, field_name="note")
    on_behalf = ctx.actor.role is Role.SUPERVISOR
    move(
        ctx,
        case,
        "request_intervention",
        facts,
        changes={"opened_by": ctx.actor.side},
        entry_facts={"reason": reason} | ({"on_behalf_of": "buyer"} if on_behalf else {}),
        private={"note": note or None},
    )


def merchant_requests_intervention(
    ctx: Context, dispute_id: str, *, cites: Sequence[Cited], note: str | None, confirm_token: str | None
) -> Outcome | None:
    """A merchant reports the buyer, pointing at what the buyer wrote; a report alone changes no money (B5).

    Returns:
        An outcome where the note was not let out: nothing has moved then.

    Raises:
        Absent: not this shop's dispute.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `arrow_missing`, `confirm_token_invalid`.
        GuardFailed: `citation_missing`, `citation_not_of_buyer`, `quotation_unknown`, `quotation_mismatch`,
            `text_length`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    require_may_after_sale(ctx)
    facts = facts_of(ctx, case, cites=len(cites))
    DISPUTE.advance(case.dispute.state, "merchant_requests_intervention", facts, side=ctx.actor.side)
    require_length(note or "", least=0, most=facts.policy.reason_chars_max, field_name="note")
    for cited in cites[: CITES_MAX + 1]:
        _require_of_buyer(ctx, case, cited)
    if len(cites) > CITES_MAX:
        raise GuardFailed("citations_too_many", zh="引用过多", en="Too many citations", most=CITES_MAX)
    pointed = [{"message": c.message_id} | _place(c) for c in cites]
    heard = hear_note(ctx, case, note, field_name="report_note", token=confirm_token) if note else None
    if heard is not None and not heard.is_sent:
        return keep_back(
            ctx, case, heard, field_name="report_note", window_due_at=window_due(case), facts={"cites": pointed}
        )
    move(
        ctx,
        case,
        "merchant_requests_intervention",
        facts,
        changes={"opened_by": "merchant"},
        entry_facts={"cites": pointed},
        rules=rules_facts(heard.reply) if heard else None,
        private={"note": note or None, "quotations": [c.text for c in cites if c.text is not None] or None},
    )
    if heard is not None:
        let_out(ctx, case, heard, field_name="report_note")
    return None


def platform_intervene(ctx: Context, dispute_id: str, *, risk_rule: str) -> None:
    """A risk rule of the marketplace brings the platform in before the merchant has answered.

    Raises:
        Absent: no such dispute.
        Conflict: `arrow_missing`.
        GuardFailed: `risk_rule_not_hit`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    move(
        ctx,
        case,
        "platform_intervene",
        facts_of(ctx, case, risk_rule=risk_rule),
        changes={"opened_by": "system"},
        entry_facts={"risk_rule": risk_rule},
    )


def _require_of_buyer(ctx: Context, case: CaseFile, cited: Cited) -> None:
    session, dispute_id = ctx.tx.session, case.dispute.id
    if cited.text is None:
        message = verify_message(session, dispute_id, cited.message_id, conversations=NEGOTIATION)
    else:
        quoted = Quotation(cited.message_id, cited.start or 0, cited.end or 0, cited.text)
        message = verify_quotation(session, dispute_id, quoted, conversations=NEGOTIATION)
    if message.sender_side != "buyer":
        raise GuardFailed(
            "citation_not_of_buyer",
            zh="须引用买家的消息",
            en="Not a message of the buyer",
            message_id=cited.message_id,
        )


def _place(cited: Cited) -> dict[str, object]:
    return {} if cited.text is None else {"start": cited.start or 0, "end": cited.end or 0}
