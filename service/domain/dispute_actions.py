"""What people may do to a dispute, by the names the edge uses, and what each action needs its request to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from service.domain import dispute_guards as need
from service.domain.dispute import DISPUTE
from service.domain.dispute_facts import DisputeFacts
from service.domain.timers import WINDOW_OF

_PARTIES: Final = ("buyer", "merchant")
_AGENTS: Final = ("platform_agent", "supervisor")


@dataclass(frozen=True, slots=True)
class Action:
    """An action by its name in an address, the trigger it pulls, and the sides that are offered it."""

    name: str
    trigger: str
    sides: tuple[str, ...]


ACTIONS: Final[tuple[Action, ...]] = (
    Action("seller-refuse", "seller_refuse", ("merchant",)),
    Action("seller-agree-refund", "seller_agree_refund", ("merchant",)),
    Action("seller-agree-return", "seller_agree_return", ("merchant",)),
    Action("seller-offer", "seller_offer", ("merchant",)),
    Action("improve-offer", "seller_improve_offer", ("merchant",)),
    Action("accept-offer", "buyer_accept_offer", ("buyer",)),
    Action("decline-offer", "buyer_decline_offer", ("buyer",)),
    Action("modify", "buyer_modify", ("buyer",)),
    Action("withdraw", "buyer_withdraw", ("buyer",)),
    Action("request-intervention", "request_intervention", ("buyer", "supervisor")),
    Action("request-intervention", "merchant_requests_intervention", ("merchant",)),
    Action("platform-intervene", "platform_intervene", ("system",)),
    Action("accept-dispute", "accept_dispute", _AGENTS),
    Action("transfer", "transfer", _AGENTS),
    Action("ship-return", "buyer_ship_return", ("buyer",)),
    Action("confirm-receipt", "seller_confirm_receipt", ("merchant",)),
    Action("report-return-problem", "seller_report_return_problem", ("merchant",)),
    Action("waive-return", "seller_waive_return", ("merchant",)),
    Action("issue-ruling", "issue_ruling", _AGENTS),
    Action("accept-ruling", "accept_ruling", _PARTIES),
    Action("appeal", "appeal", _PARTIES),
    Action("withdraw-appeal", "appeal_withdrawn", _PARTIES),
    Action("uphold", "appeal_uphold", ("supervisor",)),
    Action("overturn", "appeal_overturn", ("supervisor",)),
    Action("remand", "appeal_remand", ("supervisor",)),
    Action("retry-execution", "retry_execution", ("supervisor",)),
    Action("settle-offline", "settle_offline", ("supervisor",)),
)
# Whom the window of a state waits for (WINDOW_OF names its clock).
WAITS_FOR: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "requested": ("merchant",),
        "refused": ("buyer",),
        "offer_pending": ("buyer",),
        "awaiting_return": ("buyer",),
        "return_in_transit": ("merchant",),
        "ruled": _PARTIES,
        "appealed": _PARTIES,
    }
)
# What somebody must do, one of each state, before a clock does it for them.
_MANDATORY: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "requested": frozenset({"seller_refuse", "seller_agree_refund", "seller_agree_return", "seller_offer"}),
        "awaiting_return": frozenset({"buyer_ship_return"}),
        "return_in_transit": frozenset({"seller_confirm_receipt", "seller_report_return_problem"}),
        "intervention_requested": frozenset({"accept_dispute"}),
        "intervening": frozenset({"issue_ruling"}),
        "appealed": frozenset({"appeal_uphold", "appeal_overturn", "appeal_remand"}),
    }
)


def actions_from(state: str, side: str) -> tuple[Action, ...]:
    """The actions that some arrow out of `state` offers to a side, guards not asked."""
    return tuple(
        action
        for action in ACTIONS
        if side in action.sides
        and any(arrow.may_be_taken_by(side) for arrow in DISPUTE.arrows_from(state, action.trigger))
    )


def is_mandatory(state: str, trigger: str) -> bool:
    """Whether a clock decides if none of the actions of this kind is taken."""
    return trigger in _MANDATORY.get(state, frozenset())


def falls_under_window(state: str, trigger: str, side: str) -> bool:
    """Whether the window of the state limits this action, or waits for this side to act."""
    if state not in WINDOW_OF:
        return False
    judged = any(need.require_within_window in arrow.require for arrow in DISPUTE.arrows_from(state, trigger))
    return judged or (state != "appealed" and side in WAITS_FOR[state])


# What a request says is not known before it is made: each action is asked about with a request that says what it must.
_AT_ITS_BEST: Final[Mapping[str, Callable[[DisputeFacts], Mapping[str, Any]]]] = MappingProxyType(
    {
        "seller_refuse": lambda f: {"reason": "other", "message_chars": f.policy.refusal_chars_min, "has_proof": True},
        "seller_agree_refund": lambda f: {"amount_fen": f.claimed_fen},
        "seller_offer": lambda f: _best_offer(f),
        "seller_improve_offer": lambda f: _best_offer(f),
        "buyer_modify": lambda f: {"amount_fen": min(f.claimed_fen, f.refundable_fen)},
        "request_intervention": lambda f: {"reason": "address_bad"},
        "merchant_requests_intervention": lambda f: {"cites": 1},
        "platform_intervene": lambda f: {"risk_rule": "any"},
        "accept_dispute": lambda f: {"routed_or_claimed": True},
        "buyer_ship_return": lambda f: {"carrier_known": True, "tracking_unused": True},
        "seller_report_return_problem": lambda f: {"ack": "NOT_RECEIVED"},
        "issue_ruling": lambda f: {"ruling_kind": "reject", "amount_fen": 0, "cites": f.policy.cites_min},
        "appeal": lambda f: {"new_evidence_or_error": True},
        "appeal_overturn": lambda f: {"ruling_kind": "reject", "amount_fen": 0},
        "retry_execution": lambda f: {"old_execution_dead": True},
        "settle_offline": lambda f: {"has_proof": True, "second_approver": True},
    }
)


def _best_offer(f: DisputeFacts) -> Mapping[str, Any]:
    return {"offer_kind": "refund", "amount_fen": min(f.claimed_fen, f.refundable_fen)}


def at_its_best(trigger: str, facts: DisputeFacts) -> DisputeFacts:
    """The facts with what a well-made request of this trigger would add."""
    said = _AT_ITS_BEST.get(trigger)
    return replace(facts, **said(facts)) if said else facts
