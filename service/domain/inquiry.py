"""The inquiry: a platform agent asks, the merchant answers within the reply window, turn by turn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.calendar import is_open, opens_at
from service.domain.duration import instant_text
from service.domain.errors import GuardFailed
from service.domain.lifecycle import Lifecycle, guard, row_of
from service.domain.policy import DEFAULT, Policy
from service.domain.windows import in_time, is_over, require_in_time

__all__ = ["INQUIRY", "InquiryFacts", "delivers", "grace", "in_time", "reply_trigger", "reply_window_due"]

FAST_WITHIN = timedelta(seconds=180)  # rate180 = turns answered in less than 180 s; source 002 "2~3分钟"
TICKET_CAUSES = ("TIMEOUT", "NO_SEAT", "AGENT_CLOSED", "MANUAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class InquiryFacts:
    """What an inquiry looks at before it moves. `due_at` is the end of the reply window, or of the idle time."""

    policy: Policy = DEFAULT
    now: datetime | None = None
    received_at: datetime | None = None
    due_at: datetime | None = None
    closed_at: datetime | None = None
    measure: str = "none"  # what moderation decided on the merchant's text
    confirmed_as_is: bool = False  # 继续发送: suggest_edit, sent as it is with its token
    eligible_seat: bool = False  # of any kind, when routing; another one, when a seat is lost
    target_eligible: bool = False  # the seat handed over to
    dispute_intervening: bool = False
    agent_appends: int = 0  # further agent messages of this turn that moved its end
    ticket_state: str = ""  # of the ticket that the expiry issued
    closed_by_agent: bool = False


def delivers(measure: str, confirmed_as_is: bool) -> bool:
    """Whether moderation lets the message out: none, remind, or suggest_edit sent as it is."""
    return measure in ("none", "remind") or (measure == "suggest_edit" and confirmed_as_is)


def reply_trigger(*, measure: str, confirmed_as_is: bool, answers: bool) -> str:
    """Which trigger a merchant message pulls.

    Args:
        answers: it has text and is not perfunctory in the light of the question (C4).
    """
    if measure == "suggest_edit" and not confirmed_as_is:
        return "merchant_reply_held"
    if not delivers(measure, confirmed_as_is):
        return "merchant_reply_blocked"
    return "merchant_reply_delivered" if answers else "merchant_message_without_answer"


def another_seat(f: InquiryFacts) -> bool:
    """Another eligible seat can take over."""
    return f.eligible_seat


def no_other_seat(f: InquiryFacts) -> bool:
    """Nobody is left to answer."""
    return not f.eligible_seat


@guard("no_eligible_seat", "没有可接待平台客服的账号", "No account may answer")
def require_eligible_seat(f: InquiryFacts) -> bool:
    """Active, designated, with IM permission; else the owner."""
    return f.eligible_seat


@guard("seat_available", "仍有可接待的账号", "An account may answer")
def require_no_eligible_seat(f: InquiryFacts) -> bool:
    """Undeliverable means the owner, too, is suspended or the shop is closed."""
    return not f.eligible_seat


@guard("not_delivered", "该消息未通过应答检测", "The message was not let out", "measure")
def require_delivers(f: InquiryFacts) -> bool:
    """Only a delivered message answers."""
    return delivers(f.measure, f.confirmed_as_is)


@guard("not_blocked", "该消息没有被拦截", "The message was not stopped", "measure")
def require_blocks(f: InquiryFacts) -> bool:
    """require_edit, reject and reject_with_notice stop a message."""
    return f.measure in ("require_edit", "reject", "reject_with_notice")


@guard("not_held", "该消息没有待确认的修改建议", "The message was not held", "measure")
def require_holds(f: InquiryFacts) -> bool:
    """suggest_edit holds a message until the merchant chooses."""
    return f.measure == "suggest_edit" and not f.confirmed_as_is


@guard("seat_not_eligible", "目标客服不可接待平台客服", "The seat may not answer")
def require_target_eligible(f: InquiryFacts) -> bool:
    """A hand-over goes to a seat that could have been routed to."""
    return f.target_eligible


@guard("window_still_open", "时限未到", "The window is still open", "now", "due_at")
def require_over(f: InquiryFacts) -> bool:
    """A window closes no earlier than its end plus the settle margin."""
    return is_over(f.now, f.due_at, f.policy)


@guard("dispute_not_intervening", "纠纷已不在平台处理中", "The platform is no longer at work")
def require_intervening(f: InquiryFacts) -> bool:
    """An inquiry lives while the platform is at work on the dispute."""
    return f.dispute_intervening


@guard("turn_extensions_exhausted", "本轮追加消息次数已用完", "No more messages in this turn", "agent_appends")
def require_appends_left(f: InquiryFacts) -> bool:
    """An agent does not pile questions on a waiting merchant."""
    return f.agent_appends < f.policy.inquiry_appends_max


@guard("ticket_not_issued", "服务单已被处理", "The ticket has moved on", "ticket_state")
def require_ticket_issued(f: InquiryFacts) -> bool:
    """Only a ticket nobody has touched is taken back."""
    return f.ticket_state == "issued"


@guard("not_closed_by_agent", "会话不是由平台客服关闭", "Not closed by the agent")
def require_closed_by_agent(f: InquiryFacts) -> bool:
    """Only an agent's close can race a reply."""
    return f.closed_by_agent


def require_reply_in_time(f: InquiryFacts) -> None:
    """Refuse what was received at or after the end of the reply window."""
    require_in_time(f.received_at, f.due_at)


def require_agent_in_time(f: InquiryFacts) -> None:
    """Refuse to lengthen a window that is over already."""
    require_in_time(f.now, f.due_at)


def require_received_before_close(f: InquiryFacts) -> None:
    """Refuse what was received at or after the close."""
    require_in_time(f.received_at, f.closed_at)


def require_hours(f: InquiryFacts) -> None:
    """Refuse to arm a window outside the inquiry hours."""
    assert f.now is not None, "a window is armed at an instant"
    require_inquiry_hours(f.now, f.policy)


_arrow = row_of(InquiryFacts)
_OPEN = ("routing", "awaiting_merchant", "awaiting_agent")

# fmt: off
INQUIRY: Lifecycle[InquiryFacts] = Lifecycle(
    "inquiry",
    states=("routing", "awaiting_merchant", "awaiting_agent", "expired", "closed", "undeliverable"),
    initial="routing",
    final=("undeliverable", "expired", "closed"),  # the last two unless a reply was received in time
    arrows=(
        _arrow("Q1", "routing", "routed", "system", "awaiting_merchant", require=(require_eligible_seat,),
               effects="pick fewest open, online ignored; arm R1", basis="source 002 FAQ 1, I"),
        _arrow("Q2", "routing", "no_eligible_account", "system", "undeliverable", require=(require_no_eligible_seat,),
               effects="ticket issued at once, cause NO_SEAT", basis="source 002 I"),
        _arrow("Q3", "awaiting_merchant", "merchant_reply_delivered", "merchant", "awaiting_agent",
               require=(require_delivers, require_reply_in_time),
               effects="disarm R1; record latency; extract promises", basis="source 002 II; source 000"),
        _arrow("Q4", "awaiting_merchant", "merchant_reply_blocked", "merchant", None,
               require=(require_blocks, require_reply_in_time),
               effects="clock keeps running; grace R1g for the first attempt of the turn"),
        _arrow("Q5", "awaiting_merchant", "transfer", "merchant", None, require=(require_target_eligible,),
               effects="R1 not re-armed"),
        _arrow("Q6", "awaiting_merchant", "reply_window_expired", "system", "expired", require=(require_over,),
               effects="close session; issue ticket, cause TIMEOUT; standing.event", basis="source 002 II"),
        _arrow("Q7", "awaiting_merchant", "merchant_message_without_answer", "merchant", None,
               require=(require_delivers, require_reply_in_time),
               effects="delivered and marked 未明确; the clock runs on", basis="C4; choice"),
        _arrow("Q8", "awaiting_merchant", "agent_close", "platform_agent", "closed",
               effects="merchant can no longer post; ticket issued, cause AGENT_CLOSED, unless waived with a reason",
               basis="source 002 FAQ 3"),
        _arrow("Q9", "awaiting_agent", "agent_message", "platform_agent", "awaiting_merchant",
               require=(require_intervening, require_hours), effects="re-arm R1 (new turn)", basis="source 002 III"),
        _arrow("Q10", "awaiting_agent", "agent_close", "platform_agent", "closed", basis="source 002 FAQ 3"),
        _arrow("Q11", "expired", "reply_received_in_time", "system", "awaiting_agent",
               require=(require_reply_in_time, require_ticket_issued, require_intervening),
               effects="cancel ticket; void the standing event", basis="in time stays in time"),
        _arrow("Q12", "closed", "reply_received_in_time", "system", None,
               require=(require_closed_by_agent, require_received_before_close),
               effects="message goes into the transcript and to the agent; the closing's ticket is cancelled",
               basis="in time stays in time"),
        _arrow("Q13", "awaiting_merchant", "merchant_reply_held", "merchant", None,
               require=(require_holds, require_reply_in_time), effects="as blocked: R1g once"),
        _arrow("Q14", "awaiting_merchant", "agent_message", "platform_agent", None,
               require=(require_intervening, require_hours, require_agent_in_time, require_appends_left),
               effects="appended; due_at = max(due_at, now+R1)"),
        _arrow("Q15", "awaiting_merchant", "seat_lost", "system", None, when=(another_seat,),
               effects="hand over; R1 not re-armed"),
        _arrow("Q16", "awaiting_merchant", "seat_lost", "system", "undeliverable", when=(no_other_seat,),
               effects="ticket issued at once, cause NO_SEAT"),
        _arrow("Q17", _OPEN, "dispute_left_intervention", "system", "closed",
               effects="disarm R1, I1; no ticket; no standing.event"),
        _arrow("Q18", "awaiting_agent", "merchant_reply_delivered", "merchant", None, require=(require_delivers,),
               effects="a further message of the same turn; extract promises",
               basis="a merchant may send several messages"),
        _arrow("Q19", "awaiting_agent", "idle_timeout", "system", "closed", require=(require_over,)),
    ),
)
# fmt: on

STATE_LABELS = {
    "routing": ("分配中", "Being routed"),
    "awaiting_merchant": ("待商家回复", "Waiting for the merchant"),
    "awaiting_agent": ("待平台客服处理", "Waiting for the agent"),
    "expired": ("超时关闭", "Closed by the clock"),
    "closed": ("已关闭", "Closed"),
    "undeliverable": ("无法送达", "Undeliverable"),
}


def reply_window_due(now: datetime, policy: Policy) -> datetime:
    """When the reply window of a turn armed now ends (R1)."""
    return now + policy.reply_window


def warnings_due(armed_at: datetime, due_at: datetime, policy: Policy) -> tuple[tuple[int, datetime], ...]:
    """When the merchant is warned (R1w).

    Returns:
        (seconds left, instant) pairs, earliest first; a warning that would not come after the window's start is left
        out.
    """
    ahead = ((int(left.total_seconds()), due_at - left) for left in sorted(policy.reply_warnings, reverse=True))
    return tuple((seconds, at) for seconds, at in ahead if at > armed_at)


def grace(due_at: datetime, first_attempt_at: datetime, policy: Policy, already_used: bool) -> datetime | None:
    """The end of the window after a blocked or held attempt (R1g): once a turn, and only for one that was in time.

    Returns:
        max(due_at, attempt + 60 s), which uses up the turn's grace even where it adds nothing; None if there is none.
    """
    if already_used or not in_time(first_attempt_at, due_at):
        return None
    return max(due_at, first_attempt_at + policy.reply_grace)


def extended_window(due_at: datetime, now: datetime, policy: Policy) -> datetime:
    """The end of the window after a further agent message in the same turn: never earlier than before."""
    return max(due_at, reply_window_due(now, policy))


def latency(armed_at: datetime, received_at: datetime) -> timedelta:
    """How long the merchant took, counted from the turn's first arming."""
    return received_at - armed_at


def is_fast(armed_at: datetime, received_at: datetime) -> bool:
    """Whether a turn counts as answered within 180 s; an answer inside the grace is in time, but not fast."""
    return latency(armed_at, received_at) < FAST_WITHIN


def require_inquiry_hours(now: datetime, policy: Policy) -> None:
    """Refuse to open or re-arm an inquiry at night (H1); a MANUAL ticket may be issued instead.

    Raises:
        GuardFailed: `outside_service_hours` with `opens_at`.
    """
    hours = policy.inquiry_hours
    if hours is None or is_open(now, hours):
        return
    raise GuardFailed(
        "outside_service_hours",
        zh="当前不在核实咨询服务时间",
        en="Outside the hours of inquiries",
        opens_at=instant_text(opens_at(now, hours)),
    )
