"""The buyer answers the offer on the table, or takes a refund that the shop promised while the platform is at work."""

from __future__ import annotations

from typing import Any

from service.domain.errors import GuardFailed
from service.flows.agreeing import over_refundable, require_arrow, return_agreed, rma_of
from service.flows.context import Context
from service.flows.hearing import require_length
from service.flows.moves import facts_of, move
from service.flows.read_case import promised_refund, require_seen
from service.store.disputes import CaseFile


def accept_offer(ctx: Context, dispute_id: str, *, promise_id: str | None) -> None:
    """Take the offer on the table; while the platform is at work, the refund promise that was passed on.

    Args:
        promise_id: the relayed promise accepted (arrow 46); not for an offer on the table.

    Raises:
        Absent: not this buyer's dispute.
        Conflict: `arrow_missing`, `window_closed`.
        GuardFailed: `promise_not_relayed`, `amount_over_refundable`, `return_address_missing`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    if case.dispute.state == "intervening":
        _accept_promise(ctx, case, promise_id)
        return
    offer, facts = case.open_offer, facts_of(ctx, case)
    require_arrow(ctx, case, "buyer_accept_offer", facts)
    assert offer is not None, "an offer is on the table while the dispute is offer_pending"
    if offer.amount_fen > facts.refundable_fen:
        raise over_refundable(offer.amount_fen, facts)
    changes: dict[str, object] = {"awarded_fen": offer.amount_fen}
    private: dict[str, Any] = {}
    if offer.kind == "refund_with_return":
        address = case.dispute.return_address or case.merchant.return_address
        if not address:
            raise GuardFailed("return_address_missing", zh="请先填写退货地址", en="A return address is needed")
        changes |= return_agreed(address)
        private = {"return_address": address}
    move(
        ctx,
        case,
        "buyer_accept_offer",
        facts,
        changes=changes,
        entry_facts={"offer": offer.id, "number": offer.number, "kind": offer.kind, "amount_fen": offer.amount_fen}
        | ({"rma": rma_of(case)} if private else {}),
        private=private,
    )


def _accept_promise(ctx: Context, case: CaseFile, promise_id: str | None) -> None:
    promise = promised_refund(case, promise_id) if promise_id is not None else None
    amount = (promise.amount_fen or 0) if promise else 0
    facts = facts_of(
        ctx,
        case,
        promise_relayed=promise is not None,
        promise_action=promise.action if promise else "",
        amount_fen=amount,
    )
    move(
        ctx,
        case,
        "buyer_accept_offer",
        facts,
        changes={"awarded_fen": amount},
        entry_facts={"promise": promise_id, "amount_fen": amount},
    )


def decline_offer(ctx: Context, dispute_id: str, *, note: str | None) -> None:
    """Turn the offer down; the request stands refused and T2 runs anew.

    Raises:
        Absent: not this buyer's dispute.
        Conflict: `arrow_missing`.
        GuardFailed: `text_length`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    facts = facts_of(ctx, case)
    require_arrow(ctx, case, "buyer_decline_offer", facts)
    require_length(note or "", least=0, most=facts.policy.reason_chars_max, field_name="note")
    offer = case.open_offer
    move(
        ctx,
        case,
        "buyer_decline_offer",
        facts,
        entry_facts={"offer": offer.id} if offer else {},
        private={"note": note or None},
    )
