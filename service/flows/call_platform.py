"""The platform is called in: by the buyer, by a supervisor for the buyer, by a merchant with a report, or by a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from service.domain.dispute import DISPUTE
from service.domain.errors import GuardFailed
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.heard import Outcome, rules_facts
from service.flows.hearing import hear_note, keep_back, let_out, require_length
from service.flows.moves import facts_of, move, window_due
from service.flows.read_case import require_may_after_sale, require_seen
from service.store.disputes import CaseFile
from service.store.quotations import Quotation, verify_message, verify_quotation
from service.store.tables import Message

CITES_MAX: Final = 20  # choice: messages that one report may point at
NOTE: Final = "report_note"  # the merchant's text field
NEGOTIATION: Final = ("dispute",)  # what both parties have read


@dataclass(frozen=True, slots=True)
class Cited:
    """A message of the negotiation, whole, or exact words of it."""

    message_id: str
    start: int | None = None
    end: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """What somebody says when calling the platform in. A merchant cites messages of the buyer."""

    reason: str = "other"
    note: str | None = None
    cites: tuple[Cited, ...] = ()
    confirm_token: str | None = None


def call_platform(ctx: Context, dispute_id: str, call: Call) -> Outcome | None:
    """Bring the platform in as whoever calls: the buyer, a supervisor on the buyer's behalf (marked so), a merchant.

    A merchant's report alone changes no money (B5). After a return that was ruled, the buyer's reason must say why the
    goods cannot be sent back.

    Returns:
        An outcome where a merchant's note was not let out: nothing has moved then.

    Raises:
        Absent: not this actor's dispute.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `arrow_missing`, `window_closed`, `confirm_token_invalid`.
        GuardFailed: `return_was_ruled`, `citation_missing`, `citation_not_of_buyer`, `citations_too_many`,
            `quotation_unknown`, `quotation_mismatch`, `text_length`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    reports = ctx.actor.side == "merchant"
    if reports:
        require_may_after_sale(ctx)
    trigger = "merchant_requests_intervention" if reports else "request_intervention"
    facts = facts_of(ctx, case, reason=call.reason, cites=len(call.cites))
    DISPUTE.advance(case.dispute.state, trigger, facts, side=ctx.actor.side)
    require_length(call.note or "", least=0, most=facts.policy.reason_chars_max, field_name="note")
    pointed = _verified(ctx, case, call.cites, of_buyer=reports)
    heard = None
    if reports and call.note:
        heard = hear_note(ctx, case, call.note, field_name=NOTE, token=call.confirm_token)
        if not heard.is_sent:
            return keep_back(
                ctx, case, heard, field_name=NOTE, window_due_at=window_due(case), facts={"cites": pointed}
            )
    on_behalf = ctx.actor.role is Role.SUPERVISOR
    move(
        ctx,
        case,
        trigger,
        facts,
        changes={"opened_by": ctx.actor.side},
        entry_facts={"reason": call.reason, "cites": pointed} | ({"on_behalf_of": "buyer"} if on_behalf else {}),
        rules=rules_facts(heard.reply) if heard else None,
        private={"note": call.note or None, "quotations": [c.text for c in call.cites if c.text is not None] or None},
    )
    if heard is not None:
        let_out(ctx, case, heard, field_name=NOTE)
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


def _verified(ctx: Context, case: CaseFile, cites: tuple[Cited, ...], *, of_buyer: bool) -> list[dict[str, object]]:
    if len(cites) > CITES_MAX:
        raise GuardFailed("citations_too_many", zh="引用过多", en="Too many citations", most=CITES_MAX)
    for cited in cites:
        message = _message_cited(ctx, case, cited)
        if of_buyer and message.sender_side != "buyer":
            raise GuardFailed(
                "citation_not_of_buyer",
                zh="须引用买家的消息",
                en="Not a message of the buyer",
                message_id=cited.message_id,
            )
    return [{"message": c.message_id} | _place(c) for c in cites]


def _message_cited(ctx: Context, case: CaseFile, cited: Cited) -> Message:
    session, dispute_id = ctx.tx.session, case.dispute.id
    if cited.text is None:
        return verify_message(session, dispute_id, cited.message_id, conversations=NEGOTIATION)
    quoted = Quotation(cited.message_id, cited.start or 0, cited.end or 0, cited.text)
    return verify_quotation(session, dispute_id, quoted, conversations=NEGOTIATION)


def _place(cited: Cited) -> dict[str, object]:
    return {} if cited.text is None else {"start": cited.start or 0, "end": cited.end or 0}
