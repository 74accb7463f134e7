"""The evidence request: what a party is asked to show, within its window, frozen when submitted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.lifecycle import Lifecycle, guard, row_of
from service.domain.policy import DEFAULT, Policy
from service.domain.windows import is_over, require_in_time


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFacts:
    """What an evidence request looks at before it moves; the media type is the one read from the bytes."""

    policy: Policy = DEFAULT
    now: datetime | None = None
    received_at: datetime | None = None
    due_at: datetime | None = None
    is_addressee: bool = False  # the party that was asked
    media_type: str = ""
    size_bytes: int = 0
    items_in_case: int = 0  # kept already, tombstones too: their bytes are kept
    sha256_known: bool = False  # the same bytes are in this case already
    own_item: bool = False
    item_count: int = 0  # of this request, retracted ones not counted
    has_note: bool = False
    extensions: int = 0
    extension: timedelta = timedelta(0)


@guard("not_addressee", "该举证请求不是发给您的", "The request is not addressed to you")
def require_addressee(f: EvidenceFacts) -> bool:
    """A request is answered by the party it was made to."""
    return f.is_addressee


@guard("media_type_refused", "不支持的文件类型", "Not a type of file we take", "media_type")
def require_media_type(f: EvidenceFacts) -> bool:
    """Pictures, PDF and short films, by their bytes."""
    return f.media_type in f.policy.evidence_kinds


@guard("evidence_empty", "文件为空", "The file is empty", "size_bytes")
def require_not_empty(f: EvidenceFacts) -> bool:
    """A file holds something."""
    return f.size_bytes > 0


@guard("evidence_too_large", "文件过大", "The file is too large", "size_bytes")
def require_size(f: EvidenceFacts) -> bool:
    """At most ten megabytes a file."""
    return f.size_bytes <= f.policy.evidence_item_bytes_max


@guard("evidence_items_exhausted", "本案凭证数量已达上限", "No more items in this case", "items_in_case")
def require_items_left(f: EvidenceFacts) -> bool:
    """At most a hundred items a case."""
    return f.items_in_case < f.policy.evidence_items_max


@guard("evidence_duplicate", "该文件已提交过", "The same file is here already")
def require_new_bytes(f: EvidenceFacts) -> bool:
    """The same bytes are kept once."""
    return not f.sha256_known


@guard("not_own_item", "只能撤回自己的凭证", "Not your item")
def require_own_item(f: EvidenceFacts) -> bool:
    """A party retracts what it added itself."""
    return f.own_item


@guard("nothing_to_submit", "请至少提交一件凭证或说明", "At least one item or a note", "item_count")
def require_something(f: EvidenceFacts) -> bool:
    """An empty submission is a waiver, and says so."""
    return f.item_count >= 1 or f.has_note


@guard("window_still_open", "时限未到", "The window is still open", "now", "due_at")
def require_over(f: EvidenceFacts) -> bool:
    """Overdue no earlier than the end plus the settle margin."""
    return is_over(f.now, f.due_at, f.policy)


@guard("extensions_exhausted", "已延期过一次", "Extended once already", "extensions")
def require_extensions_left(f: EvidenceFacts) -> bool:
    """A window is extended once."""
    return f.extensions < f.policy.evidence_extensions_max


@guard("extension_out_of_range", "延期不得超过 24 小时", "An extension is at most 24 hours", "extension")
def require_extension_in_range(f: EvidenceFacts) -> bool:
    """An extension has an end, and is one."""
    return timedelta(0) < f.extension <= f.policy.evidence_extension_max


def require_window_open(f: EvidenceFacts) -> None:
    """Refuse what was received at or after the end of the window."""
    require_in_time(f.received_at, f.due_at)


_arrow = row_of(EvidenceFacts)
_ADD = (
    require_addressee,
    require_window_open,
    require_media_type,
    require_not_empty,
    require_size,
    require_items_left,
    require_new_bytes,
)

# fmt: off
EVIDENCE_REQUEST: Lifecycle[EvidenceFacts] = Lifecycle(
    "evidence_request",
    states=("open", "submitted", "waived", "overdue", "cancelled"),
    initial="open",
    final=("submitted", "waived", "overdue", "cancelled"),
    arrows=(
        _arrow("V1", "open", "add_item", "buyer merchant", None, require=_ADD,
               effects="append item (hash in log)", basis="EBP addEvidence; PP limits"),
        _arrow("V2", "open", "retract_item", "buyer merchant", None,
               require=(require_addressee, require_window_open, require_own_item),
               effects="tombstone, bytes kept", basis="ADY delete kept for compliance"),
        _arrow("V3", "open", "submit", "buyer merchant", "submitted",
               require=(require_addressee, require_window_open, require_something),
               effects="freeze set (immutable)", basis="EBP contest freezes; STR submission_count"),
        _arrow("V4", "open", "waive", "buyer merchant", "waived", require=(require_addressee, require_window_open)),
        _arrow("V5", "open", "evidence_window_overdue", "system", "overdue", require=(require_over,),
               effects="items already added are frozen and count; dispute.evidence_overdue once, with the last"
                       " mandatory request of the round", basis="WXE 305/307/109"),
        _arrow("V6", "open", "extend", "platform_agent", None,
               require=(require_window_open, require_extensions_left, require_extension_in_range),
               effects="re-arm", basis="DY timeExtend"),
        _arrow("V7", "open", "dispute_left_intervention", "system", "cancelled"),
    ),
)
# fmt: on

STATE_LABELS = {
    "open": ("举证中", "Open"),
    "submitted": ("已提交", "Submitted"),
    "waived": ("已放弃", "Waived"),
    "overdue": ("已超时", "Overdue"),
    "cancelled": ("已取消", "Cancelled"),
}


def evidence_due(opened_at: datetime, policy: Policy) -> datetime:
    """When a party's evidence window ends (E1)."""
    return opened_at + policy.evidence_window


def is_visible_to_other_party(state: str) -> bool:
    """Whether the other party may see what was added: only once it can no longer copy it (edge case 48)."""
    return state != "open"


def round_overdue(ended: dict[str, list[str]]) -> tuple[bool, bool] | None:
    """Who let a round of mandatory requests pass, once the last of them has ended.

    Args:
        ended: states of the round's mandatory requests by party, `buyer` and `merchant`.

    Returns:
        (buyer overdue, merchant overdue), or None while one is open or where nobody was overdue: then the dispute
        hears nothing.
    """
    states = [state for party in ended.values() for state in party]
    if "open" in states or "overdue" not in states:
        return None
    return "overdue" in ended.get("buyer", []), "overdue" in ended.get("merchant", [])
