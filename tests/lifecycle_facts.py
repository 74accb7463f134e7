"""Facts under which each arrow of each lifecycle may be taken, for tests that cross every state with every trigger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from service.domain.approval import APPROVAL, ApprovalFacts
from service.domain.dispute import DISPUTE, DisputeFacts
from service.domain.evidence import EVIDENCE_REQUEST, EvidenceFacts
from service.domain.inquiry import INQUIRY, InquiryFacts
from service.domain.lifecycle import Arrow, Lifecycle
from service.domain.policy import DEFAULT
from service.domain.promise import PROMISE, PromiseFacts
from service.domain.refund import REFUND, RefundFacts
from service.domain.return_shipment import RETURN_SHIPMENT, ShipmentFacts
from service.domain.rule_version import RULE_VERSION, VersionFacts
from service.domain.ticket import TICKET, TicketFacts

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)  # 12:00 in Shanghai, a Monday
MICROSECOND = timedelta(microseconds=1)
TABLES: tuple[Lifecycle[Any], ...] = (
    DISPUTE,
    INQUIRY,
    TICKET,
    EVIDENCE_REQUEST,
    PROMISE,
    RETURN_SHIPMENT,
    REFUND,
    APPROVAL,
    RULE_VERSION,
)

IN_TIME = {"received_at": NOON, "now": NOON, "due_at": NOON + MICROSECOND}
OVERDUE = {"now": NOON, "due_at": NOON - DEFAULT.settle_margin}

A_DISPUTE = DisputeFacts(
    claimed_fen=12_900,
    amount_fen=12_900,
    refundable_fen=12_900,
    reason="wrong_amount",
    message_chars=20,
    has_proof=True,
    risk_rule="velocity",
    cites=1,
    received_at=NOON,
    due_at=NOON + MICROSECOND,
    offer_kind="refund",
    offer_fen=12_899,
    offered_before_kind="refund",
    promise_relayed=True,
    promise_action="refund",
    return_address=True,
    carrier_known=True,
    tracking_unused=True,
    carrier_status="in_transit",
    ack="DAMAGED",
    evidence_count=1,
    routed_or_claimed=True,
    ruling_kind="refund_full",
    is_losing_party=True,
    new_evidence_or_error=True,
    is_appellant=True,
    second_approver=True,
    old_execution_dead=True,
)
_RULING_TO: Mapping[str, dict[str, Any]] = {
    "executing": {"ruling_kind": "refund_full"},
    "awaiting_return": {"ruling_kind": "refund_with_return"},
    "closed": {"ruling_kind": "reject", "amount_fen": 0},
}
_RETURN = {"type": "return_refund"}
_OF_DISPUTE: Mapping[str, dict[str, Any]] = {
    "2": _RETURN,
    "8": _RETURN,
    "13": _RETURN,
    "18": {"offer_kind": "refund_with_return"},
    "33": {"carrier_status": "lost"},
    "36": _RETURN,
    "40": {"blocking": True, "default_ruling": "auto"},
    "41": {"buyer_evidence_overdue": True},
    "42": {"merchant_evidence_overdue": True},
    "43": {"buyer_evidence_overdue": True, "merchant_evidence_overdue": True},
    "45": _RETURN,
    "62c": {"attempts": DEFAULT.refund_attempts_max},
    "62d": {"nothing_to_pay": True},
}

_INQUIRY = InquiryFacts(**IN_TIME, eligible_seat=True, target_eligible=True, dispute_intervening=True)
_OF_INQUIRY: Mapping[str, dict[str, Any]] = {
    "Q2": {"eligible_seat": False},
    "Q4": {"measure": "reject"},
    "Q6": OVERDUE,
    "Q11": {"ticket_state": "issued"},
    "Q12": {"closed_by_agent": True, "closed_at": NOON + MICROSECOND},
    "Q13": {"measure": "suggest_edit"},
    "Q16": {"eligible_seat": False},
    "Q19": OVERDUE,
}
_TICKET = TicketFacts(**IN_TIME, extension=timedelta(hours=2), dispute_intervening=True, inquiry_revived=True)
_EVIDENCE = EvidenceFacts(
    **IN_TIME,
    is_addressee=True,
    media_type="image/png",
    size_bytes=1,
    own_item=True,
    item_count=1,
    extension=timedelta(hours=24),
)
_PROMISE = PromiseFacts(
    now=NOON,
    due_at=NOON + MICROSECOND,
    lapses_at=NOON - DEFAULT.settle_margin,
    wording="unconditional",
    has_span=True,
    has_value=True,
    canonical_hash="aa",
    hash_named="aa",
    confirmed_hash="aa",
    may_commit=True,
    only_time_or_amount=True,
    has_proof=True,
    case_closed=True,
)
_APPROVAL = ApprovalFacts(**IN_TIME, proposer="agent-1", decider="boss-1", payload_sha256="aa", sha256_named="aa")

_VERSION = VersionFacts(
    author="editor-1", actor="boss-1", sha256="aa", sha256_named="aa", book_version=2, newest_version=1
)


def fitting(table: Lifecycle[Any], arrow: Arrow[Any]) -> Any:
    """Facts under which `arrow` is the one taken."""
    if table is DISPUTE:
        return replace(A_DISPUTE, **_of_dispute(arrow))
    if table is INQUIRY:
        return replace(_INQUIRY, **_OF_INQUIRY.get(arrow.number, {}))
    if table is TICKET:
        return replace(_TICKET, **(OVERDUE if arrow.number in ("S6", "S7", "S8") else {}))
    if table is EVIDENCE_REQUEST:
        return replace(_EVIDENCE, **(OVERDUE if arrow.number == "V5" else {}))
    if table is PROMISE:
        return replace(_PROMISE, **({"due_at": NOON - DEFAULT.settle_margin} if arrow.number == "P13" else {}))
    if table is RETURN_SHIPMENT:
        return ShipmentFacts(current_at=NOON, scan_at=NOON)
    if table is REFUND:
        return RefundFacts(now=NOON, attempts=DEFAULT.refund_attempts_max if arrow.number == "F5" else 1)
    if table is RULE_VERSION:
        actor = "editor-1" if arrow.number == "B5" else "boss-1"
        return replace(_VERSION, actor=actor, examples_hold=arrow.number == "B1")
    decider = "agent-1" if arrow.number == "A3" else "boss-1"
    return replace(_APPROVAL, decider=decider, **(OVERDUE if arrow.number == "A4" else {}))


def _of_dispute(arrow: Arrow[Any]) -> dict[str, Any]:
    if arrow.trigger == "accept_ruling" and arrow.target is None:
        return {"losing_parties_pending": 1}
    if arrow.trigger == "appeal_withdrawn" and arrow.target is None:
        return {"other_appeals": 1}
    if arrow.number in ("49", "50", "53", "54", "55", "56"):
        assert arrow.target is not None, "by ruling, it leads somewhere"
        return _RULING_TO[arrow.target]
    return _OF_DISPUTE.get(arrow.number, {})
