"""What two parties that agree rest on: the arrow is there, something is left to pay, and where the goods go back to."""

from __future__ import annotations

from service.domain.dispute import DISPUTE
from service.domain.dispute_facts import DisputeFacts
from service.domain.errors import GuardFailed
from service.flows.context import Context
from service.store.disputes import CaseFile


def require_arrow(ctx: Context, case: CaseFile, trigger: str, facts: DisputeFacts) -> None:
    """The state must allow the action before its words are judged.

    Raises:
        Refusal: what the table says, see `DISPUTE.advance`.
    """
    DISPUTE.advance(case.dispute.state, trigger, facts, side=ctx.actor.side)


def require_something_left(facts: DisputeFacts) -> None:
    """Refuse to agree to a refund of a line of which nothing is left.

    Raises:
        GuardFailed: `amount_over_refundable`.
    """
    if facts.refundable_fen <= 0:
        raise over_refundable(facts.claimed_fen, facts)


def over_refundable(amount_fen: int, facts: DisputeFacts) -> GuardFailed:
    """The refusal of an amount that the line cannot pay any more."""
    return GuardFailed(
        "amount_over_refundable",
        zh="金额超出可退金额",
        en="Over what can be refunded",
        amount_fen=amount_fen,
        refundable_fen=facts.refundable_fen,
    )


def rma_of(case: CaseFile) -> str:
    """The number under which the goods come back: the case's, and the cycle."""
    return f"{case.dispute.number.replace('RD-', 'RMA-', 1)}-{case.dispute.cycle}"


def return_agreed(address: str | None) -> dict[str, object]:
    """What changes of a dispute whose goods go back by agreement; the address holds whatever the shop says later."""
    return {"return_address": address, "agreed_to_return": True, "return_origin": "consent"}
