"""What a dispute looks at before it moves: its facts, and the choices between arrows of one trigger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.domain.policy import DEFAULT, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFacts:
    """Everything an arrow of a dispute may ask, as plain values; fill in what the trigger needs.

    Amounts are minor units of the order's currency. `amount_fen` is the amount that the action names.
    """

    policy: Policy = DEFAULT
    # The request
    type: str = "refund_only"  # or return_refund
    claimed_fen: int = 0
    amount_fen: int = 0
    refundable_fen: int = 0  # the cap of the order line, pending refunds taken off
    reason: str = ""  # of a refusal; in `awaiting_return`, why the buyer calls the platform
    message_chars: int = 0  # of the refusal's message
    has_proof: bool = False  # with a refusal; of a payment settled offline
    modifications: int = 0
    risk_rule: str = ""  # the rule that called the platform in
    other_active_case: bool = False  # another dispute of this order line is active
    cites: int = 0  # verified citations of messages or evidence
    received_at: datetime | None = None
    due_at: datetime | None = None  # the end of the window the action falls under
    # The negotiation
    offers_used: int = 0
    offer_kind: str = ""  # of the offer made, or the one on the table: refund, partial_refund, refund_with_return
    offer_fen: int = 0  # of the offer on the table
    offered_before_kind: str = ""  # when improving: the kind of the one on the table
    promise_relayed: bool = False  # the promise named was relayed to the buyer
    promise_action: str = ""
    # The return
    return_address: bool = False  # a return address is known
    return_shipment_registered: bool = False  # in this dispute, ever
    agreed_to_return_before: bool = False
    origin: str = "consent"  # of the return: consent or ruling
    carrier_known: bool = False
    tracking_unused: bool = False  # no other shipment has this tracking number
    carrier_status: str = ""
    ack: str = ""
    evidence_count: int = 0
    goods_held_by_merchant: bool = False
    # The intervention
    routed_or_claimed: bool = False
    conflicted: bool = False  # the agent (or the agent transferred to) has an interest in the case
    armed_inquiry: bool = False
    open_mandatory_evidence: int = 0  # mandatory requests of either party still open
    buyer_evidence_overdue: bool = False
    merchant_evidence_overdue: bool = False
    blocking: bool = False  # the overdue ticket
    default_ruling: str = "agent_confirm"  # of the policy pinned
    # The ruling and the appeal
    ruling_kind: str = ""
    cycle: int = 1
    second_approver: bool = False
    is_losing_party: bool = False
    losing_parties_pending: int = 0  # losing parties that have not accepted, the actor no longer counted
    appealed_in_cycle: bool = False  # by this party
    new_evidence_or_error: bool = False
    reviewer_is_author: bool = False
    remands: int = 0
    is_appellant: bool = False
    other_appeals: int = 0  # appeals that stay when this one is withdrawn
    # The money
    attempts: int = 0
    refund_already_counted: bool = False  # this refund_id has been answered for
    old_execution_dead: bool = False  # the gateway, queried, says the old execution did not and will not succeed
    gateway_may_pay: bool = False  # its last word was pending or succeeded
    nothing_to_pay: bool = False  # nothing was left on the order line when the payment fell due: there is no execution


def type_is_refund_only(f: DisputeFacts) -> bool:
    """Only money is asked for."""
    return f.type == "refund_only"


def type_is_return_refund(f: DisputeFacts) -> bool:
    """The goods go back."""
    return f.type == "return_refund"


def offer_is_money(f: DisputeFacts) -> bool:
    """The offer asks for nothing back."""
    return f.offer_kind in ("refund", "partial_refund")


def offer_asks_return(f: DisputeFacts) -> bool:
    """The offer wants the goods back first."""
    return f.offer_kind == "refund_with_return"


def ruling_pays(f: DisputeFacts) -> bool:
    """The ruling is carried out by paying."""
    return f.ruling_kind in ("refund_full", "refund_partial")


def ruling_wants_return(f: DisputeFacts) -> bool:
    """The ruling is carried out by sending back first."""
    return f.ruling_kind == "refund_with_return"


def ruling_rejects(f: DisputeFacts) -> bool:
    """The ruling pays nothing."""
    return f.ruling_kind == "reject"


def everyone_accepted(f: DisputeFacts) -> bool:
    """No losing party is left to accept."""
    return f.losing_parties_pending == 0


def others_still_to_accept(f: DisputeFacts) -> bool:
    """Another losing party has not accepted yet."""
    return f.losing_parties_pending > 0


def no_other_appeal(f: DisputeFacts) -> bool:
    """The appeal withdrawn was the only one."""
    return f.other_appeals == 0


def another_appeal_stands(f: DisputeFacts) -> bool:
    """The other party's appeal goes on."""
    return f.other_appeals > 0


def default_ruling_is_automatic(f: DisputeFacts) -> bool:
    """The ticket blocks and the operator chose automatic default rulings."""
    return f.blocking and f.default_ruling == "auto"


def agent_decides(f: DisputeFacts) -> bool:
    """The ticket does not block, or an agent confirms default rulings."""
    return not default_ruling_is_automatic(f)


def only_buyer_overdue(f: DisputeFacts) -> bool:
    """The buyer alone let its mandatory evidence window pass."""
    return f.buyer_evidence_overdue and not f.merchant_evidence_overdue


def only_merchant_overdue(f: DisputeFacts) -> bool:
    """The merchant alone let its mandatory evidence window pass."""
    return f.merchant_evidence_overdue and not f.buyer_evidence_overdue


def both_overdue(f: DisputeFacts) -> bool:
    """Both sides let their mandatory evidence windows pass."""
    return f.buyer_evidence_overdue and f.merchant_evidence_overdue
