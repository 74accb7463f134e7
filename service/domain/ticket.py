"""The service ticket: what a merchant gets when the window closed unanswered, with a slower clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.calendar import Calendar, due_after
from service.domain.errors import GuardFailed
from service.domain.inquiry import delivers
from service.domain.lifecycle import Lifecycle, guard, row_of
from service.domain.policy import DEFAULT, Policy
from service.domain.windows import is_over, require_in_time


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketFacts:
    """What a ticket looks at before it moves. `due_at` is the end of its SLA, or of the agent's idle time."""

    policy: Policy = DEFAULT
    now: datetime | None = None
    received_at: datetime | None = None
    due_at: datetime | None = None
    measure: str = "none"  # what moderation decided on the answer
    confirmed_as_is: bool = False
    rejections: int = 0
    extensions: int = 0
    extension: timedelta = timedelta(0)
    dispute_intervening: bool = False
    inquiry_revived: bool = False


@guard("not_delivered", "该答复未通过应答检测", "The answer was not let out", "measure")
def require_delivers(f: TicketFacts) -> bool:
    """Only an answer that passes moderation responds."""
    return delivers(f.measure, f.confirmed_as_is)


@guard("rejections_exhausted", "已退回过一次", "Rejected once already", "rejections")
def require_rejections_left(f: TicketFacts) -> bool:
    """An agent sends an answer back once."""
    return f.rejections < f.policy.ticket_rejections_max


@guard("window_still_open", "时限未到", "The window is still open", "now", "due_at")
def require_over(f: TicketFacts) -> bool:
    """A ticket is overdue no earlier than its end plus the settle margin."""
    return is_over(f.now, f.due_at, f.policy)


@guard("extensions_exhausted", "已延期过一次", "Extended once already", "extensions")
def require_extensions_left(f: TicketFacts) -> bool:
    """A ticket is extended once."""
    return f.extensions < f.policy.ticket_extensions_max


@guard("extension_out_of_range", "延期须为 2 至 24 小时", "An extension is 2 to 24 hours", "extension")
def require_extension_in_range(f: TicketFacts) -> bool:
    """An extension is worth having and has an end."""
    return f.policy.ticket_extension_min <= f.extension <= f.policy.ticket_extension_max


@guard("inquiry_not_revived", "核实咨询未恢复", "The inquiry was not revived")
def require_inquiry_revived(f: TicketFacts) -> bool:
    """A ticket is taken back because its reply was in time after all."""
    return f.inquiry_revived


@guard("dispute_not_intervening", "纠纷已不在平台处理中", "The platform is no longer at work")
def require_intervening(f: TicketFacts) -> bool:
    """A late answer helps only while the platform is at work."""
    return f.dispute_intervening


def require_answer_in_time(f: TicketFacts) -> None:
    """Refuse what was received at or after the end of the SLA."""
    require_in_time(f.received_at, f.due_at)


_arrow = row_of(TicketFacts)
_WAITING = ("issued", "acknowledged")

# fmt: off
TICKET: Lifecycle[TicketFacts] = Lifecycle(
    "service_ticket",
    states=("issued", "acknowledged", "responded", "overdue", "resolved", "cancelled"),
    initial="issued",
    final=("resolved", "cancelled"),
    arrows=(
        _arrow("S1", "issued", "merchant_open", "merchant", "acknowledged", basis="SRV"),
        _arrow("S2", "issued", "merchant_respond", "merchant", "responded",
               require=(require_answer_in_time, require_delivers), effects="stop clock", basis="SRV"),
        _arrow("S3", "acknowledged", "merchant_respond", "merchant", "responded",
               require=(require_answer_in_time, require_delivers), effects="stop clock", basis="SRV"),
        _arrow("S4", "responded", "agent_accept", "platform_agent", "resolved", basis="SRV"),
        _arrow("S5", "responded", "agent_reject", "platform_agent", "issued", require=(require_rejections_left,),
               effects="re-arm half of the category SLA, at least PT2H"),
        _arrow("S6", "responded", "agent_idle_timeout", "system", "resolved", require=(require_over,),
               effects="alarm: platform side late; never counts against the merchant"),
        _arrow("S7", "issued", "ticket_sla_overdue", "system", "overdue", require=(require_over,),
               effects="dispute.ticket_overdue if blocking; standing.event", basis="SRV; source 002"),
        _arrow("S8", "acknowledged", "ticket_sla_overdue", "system", "overdue", require=(require_over,),
               effects="dispute.ticket_overdue if blocking; standing.event", basis="SRV"),
        _arrow("S9", _WAITING, "extend", "platform_agent", None,
               require=(require_answer_in_time, require_extensions_left, require_extension_in_range),
               effects="due+=PT2H..PT24H; event service_ticket.extended", basis="DY timeExtend/ExpirationChange"),
        _arrow("S10", "issued", "reply_received_in_time", "system", "cancelled", require=(require_inquiry_revived,),
               effects="standing.event voided", basis="in time stays in time"),
        _arrow("S11", "overdue", "merchant_respond", "merchant", "responded",
               require=(require_intervening, require_delivers), effects="late=true; standing.event stays"),
        _arrow("S12", "overdue", "dispute_left_intervention", "system", "cancelled",
               effects="what was counted stays"),
        _arrow("S13", "issued", "dispute_left_intervention", "system", "cancelled"),
        _arrow("S14", "acknowledged", "dispute_left_intervention", "system", "cancelled"),
        _arrow("S15", "responded", "dispute_left_intervention", "system", "resolved"),
    ),
)
# fmt: on

STATE_LABELS = {
    "issued": ("待商家处理", "Waiting for the merchant"),
    "acknowledged": ("商家已查看", "Seen by the merchant"),
    "responded": ("商家已答复", "Answered"),
    "overdue": ("已超时", "Overdue"),
    "resolved": ("已解决", "Resolved"),
    "cancelled": ("已取消", "Cancelled"),
}


def sla_of(category: str, policy: Policy, agreed: timedelta | None = None) -> timedelta:
    """How much business time a merchant has for a ticket (K1); `agreed` counts for the category `agreed` only.

    Raises:
        GuardFailed: `ticket_category_unknown`; `ticket_sla_too_short` for an agreed time under two hours.
    """
    span = policy.ticket_sla.get(category)
    if span is None:
        raise GuardFailed(
            "ticket_category_unknown", zh="服务单类别不存在", en="No such category", category=category[:64]
        )
    if category != "agreed" or agreed is None:
        return span
    if agreed < policy.ticket_sla_least:
        raise GuardFailed("ticket_sla_too_short", zh="约定时限至少 2 小时", en="Agree on at least two hours")
    return agreed


def sla_due(
    issued_at: datetime, category: str, policy: Policy, calendar: Calendar, agreed: timedelta | None = None
) -> datetime:
    """When a ticket issued at any hour is due; its clock rests outside the business hours."""
    return due_after(issued_at, sla_of(category, policy, agreed), calendar)


def due_after_rejection(rejected_at: datetime, category: str, policy: Policy, calendar: Calendar) -> datetime:
    """When an answer sent back is due again: half of the category's SLA, at least two hours."""
    return due_after(rejected_at, max(sla_of(category, policy) / 2, policy.ticket_sla_least), calendar)


def due_after_extension(due_at: datetime, extension: timedelta, calendar: Calendar) -> datetime:
    """The later end of an extended ticket; the extension runs on the same business clock."""
    return due_after(due_at, extension, calendar)


def is_blocking(cause: str, policy: Policy) -> bool:
    """Whether a ticket of this cause holds the ruling up until it is answered or overdue (K2)."""
    return policy.ticket_blocking[cause]
