"""The approval: one person proposes exactly this, another person lets it happen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.domain.lifecycle import Lifecycle, guard, row_of
from service.domain.policy import DEFAULT, Policy
from service.domain.windows import is_over, require_in_time

SUBJECTS = ("ruling", "settle_offline", "rule_pack", "policy", "redaction")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalFacts:
    """What an approval looks at before it moves."""

    policy: Policy = DEFAULT
    now: datetime | None = None
    received_at: datetime | None = None
    due_at: datetime | None = None
    proposer: str = ""
    decider: str = ""  # who approves, rejects or withdraws
    payload_sha256: str = ""
    sha256_named: str = ""  # by the approver: what was read is what happens


@guard("same_person", "须由另一人复核", "Another person must decide")
def require_other_person(f: ApprovalFacts) -> bool:
    """Nobody approves their own proposal."""
    return f.decider not in ("", f.proposer)


@guard("not_proposer", "只有提议人可以撤回", "Only the proposer may withdraw")
def require_proposer(f: ApprovalFacts) -> bool:
    """A proposal belongs to whoever made it."""
    return f.decider == f.proposer != ""


@guard("payload_changed", "内容与提议时不一致", "Not what was proposed", "sha256_named")
def require_same_payload(f: ApprovalFacts) -> bool:
    """The approval is of the exact payload."""
    return f.payload_sha256 != "" and f.sha256_named == f.payload_sha256


@guard("window_still_open", "时限未到", "The window is still open", "now", "due_at")
def require_over(f: ApprovalFacts) -> bool:
    """Stale no earlier than a day plus the settle margin."""
    return is_over(f.now, f.due_at, f.policy)


def require_fresh(f: ApprovalFacts) -> None:
    """Refuse to decide what has expired."""
    require_in_time(f.received_at, f.due_at)


_arrow = row_of(ApprovalFacts)
_DECIDERS = "platform_agent supervisor rules_editor"

# fmt: off
APPROVAL: Lifecycle[ApprovalFacts] = Lifecycle(
    "approval",
    states=("proposed", "approved", "rejected", "withdrawn", "stale"),
    initial="proposed",
    final=("approved", "rejected", "withdrawn", "stale"),
    arrows=(
        _arrow("A1", "proposed", "approve", "supervisor", "approved",
               require=(require_other_person, require_same_payload, require_fresh),
               effects="the subject's arrow fires in this transaction, its guards checked again"),
        _arrow("A2", "proposed", "reject", "supervisor", "rejected", require=(require_other_person, require_fresh)),
        _arrow("A3", "proposed", "withdraw", _DECIDERS, "withdrawn", require=(require_proposer,)),
        _arrow("A4", "proposed", "approval_expiry", "system", "stale", require=(require_over,)),
    ),
)
# fmt: on

STATE_LABELS = {
    "proposed": ("待复核", "Proposed"),
    "approved": ("已通过", "Approved"),
    "rejected": ("已驳回", "Rejected"),
    "withdrawn": ("已撤回", "Withdrawn"),
    "stale": ("已过期", "Stale"),
}


def approval_due(proposed_at: datetime, policy: Policy) -> datetime:
    """When a proposal nobody decided goes stale."""
    return proposed_at + policy.approval_expiry
