"""The clocks: which timer every state arms, what it fires, and when it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from service.domain.calendar import Calendar, business_time_between, due_after
from service.domain.dispute import INTERVENTION
from service.domain.inquiry import warnings_due
from service.domain.policy import Policy


@dataclass(frozen=True, slots=True)
class Timer:
    """A named clock of one noun: when its time is up."""

    name: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Fires:
    """What a timer does: pulls `trigger` of `noun`, or only tells somebody (`trigger` None)."""

    noun: str
    trigger: str | None
    code: str  # of the table of durations
    zh: str


def _deadline(noun: str, trigger: str, code: str, zh: str) -> Fires:
    return Fires(noun, trigger, code, zh)


def _alarm(noun: str, code: str, zh: str) -> Fires:
    return Fires(noun, None, code, zh)


FIRES: Mapping[str, Fires] = MappingProxyType(
    {
        "seller_response": _deadline("dispute", "seller_response_timeout", "T1", "商家处理时限"),
        "escalate_window": _deadline("dispute", "buyer_escalation_timeout", "T2", "申请介入时限"),
        "offer_response": _deadline("dispute", "offer_expired", "T3", "方案确认时限"),
        "return_ship": _deadline("dispute", "return_ship_timeout", "T4", "寄回时限"),
        "receipt": _deadline("dispute", "receipt_timeout", "T5", "验货时限"),
        "accept_alarm": _alarm("dispute", "T6", "受理提醒"),
        "rule_alarm": _alarm("dispute", "T7", "判责提醒"),
        "hard_deadline": _deadline("dispute", "platform_hard_deadline", "T13", "平台处理硬时限"),
        "hard_task": _alarm("dispute", "T13", "平台处理硬时限转人工"),
        "agent_task": _alarm("dispute", "40b", "客服任务"),
        "appeal_window": _deadline("dispute", "appeal_window_closed", "T8", "申诉时限"),
        "appeal_alarm": _alarm("dispute", "T9", "申诉复核提醒"),
        "appeal_review": _deadline("dispute", "appeal_review_timeout", "T9", "申诉复核硬时限"),
        "refund_retries": _deadline("dispute", "execution_timeout", "T10", "退款执行时限"),
        "platform_advance": _deadline("dispute", "platform_advance_timeout", "T11", "平台垫付时限"),
        "reply_window": _deadline("inquiry", "reply_window_expired", "R1", "回复时限"),
        "reply_warning_60": _alarm("inquiry", "R1w", "回复时限提醒"),
        "reply_warning_20": _alarm("inquiry", "R1w", "回复时限提醒"),
        "inquiry_idle": _deadline("inquiry", "idle_timeout", "I1", "会话空闲时限"),
        "ticket_sla": _deadline("service_ticket", "ticket_sla_overdue", "K1", "服务单时限"),
        "ticket_agent_idle": _deadline("service_ticket", "agent_idle_timeout", "SRV", "服务单待平台处理时限"),
        "evidence_window": _deadline("evidence_request", "evidence_window_overdue", "E1", "举证时限"),
        "promise_lapse": _deadline("promise", "promise_lapse_timeout", "P1D", "承诺待确认时限"),
        "promise_due": _deadline("promise", "promise_due_timeout", "due_at", "承诺履行时限"),
        "approval_expiry": _deadline("approval", "approval_expiry", "P1D", "复核时限"),
    }
)

# The party's own deadline in a state: what `DisputeFacts.due_at` is, and what `available_actions` shows.
WINDOW_OF: Mapping[str, str] = MappingProxyType(
    {
        "requested": "seller_response",
        "refused": "escalate_window",
        "offer_pending": "offer_response",
        "awaiting_return": "return_ship",
        "return_in_transit": "receipt",
        "ruled": "appeal_window",
        "appealed": "appeal_window",  # over when its ruling's was; kept with the ruling
    }
)
_REARMED_BY = frozenset({("requested", "buyer_modify"), ("offer_pending", "seller_improve_offer")})


def is_deadline(name: str) -> bool:
    """Whether the timer pulls a trigger; the others only tell somebody."""
    return fires(name).trigger is not None


def fires(name: str) -> Fires:
    """What a timer does; `reply_warning_<seconds>` for any number of seconds left."""
    if name not in FIRES and name.startswith("reply_warning_") and name.removeprefix("reply_warning_").isdigit():
        return FIRES["reply_warning_60"]
    return FIRES[name]


def fires_at(timer: Timer, policy: Policy) -> datetime:
    """When a timer may fire: a deadline a settle margin after its end, a warning at its instant."""
    return timer.due_at + policy.settle_margin if is_deadline(timer.name) else timer.due_at


@dataclass(frozen=True, slots=True)
class TimerChange:
    """What to write: timers to arm or move, names to cancel."""

    arm: tuple[Timer, ...]
    cancel: tuple[str, ...]


def timer_change(armed: Mapping[str, datetime], wanted: Sequence[Timer]) -> TimerChange:
    """The difference between the timers armed now and those that shall be."""
    names = {timer.name for timer in wanted}
    return TimerChange(
        arm=tuple(timer for timer in wanted if armed.get(timer.name) != timer.due_at),
        cancel=tuple(name for name in armed if name not in names),
    )


def dispute_timers(
    state: str,
    now: datetime,
    policy: Policy,
    calendar: Calendar,
    *,
    trigger: str = "",
    came_from: str | None = None,
    armed: Mapping[str, datetime] = MappingProxyType({}),
    hard_due_at: datetime | None = None,
) -> tuple[Timer, ...]:
    """Every timer of a dispute that shall be armed once it stands in `state`; all others are cancelled.

    Args:
        state: the state entered, or stayed in.
        trigger: what was pulled; staying re-arms only what the table says.
        came_from: the state before; None when the dispute opens.
        armed: the timers armed before, by name.
        hard_due_at: the last known end of T13, for a remand: it moves to at least PT72H from now.
    """
    if came_from == state and (state, trigger) not in _REARMED_BY:
        return _kept(state, now, policy, trigger, armed)
    fresh: Mapping[str, timedelta] = {
        "requested": policy.seller_response,
        "refused": policy.escalate_window,
        "offer_pending": policy.offer_response,
        "awaiting_return": policy.return_ship,
        "return_in_transit": policy.receipt_from_ship,
        "ruled": policy.appeal_window,
    }
    if state in fresh:
        return (Timer(WINDOW_OF[state], now + fresh[state]),)
    if state in INTERVENTION:
        return _intervention_timers(state, now, policy, calendar, armed, hard_due_at)
    if state == "appealed":
        return (Timer("appeal_alarm", now + policy.appeal_alarm), Timer("appeal_review", now + policy.appeal_review))
    if state == "executing":
        return (Timer("refund_retries", now + policy.refund_retries),)
    if state == "execution_failed":
        return (Timer("platform_advance", now + policy.platform_advance),)
    return ()


def _kept(state: str, now: datetime, policy: Policy, trigger: str, armed: Mapping[str, datetime]) -> tuple[Timer, ...]:
    kept = dict(armed)
    if state == "intervening" and trigger in ("ticket_overdue", "evidence_overdue"):
        kept["agent_task"] = now + policy.agent_task
    return tuple(Timer(name, due_at) for name, due_at in kept.items())


def _intervention_timers(
    state: str,
    now: datetime,
    policy: Policy,
    calendar: Calendar,
    armed: Mapping[str, datetime],
    hard_due_at: datetime | None,
) -> tuple[Timer, ...]:
    """T13 is armed once and runs on while the platform has the case; a remand gives it at least PT72H more."""
    if state == "intervention_requested":
        alarm = Timer("accept_alarm", due_after(now, policy.accept_alarm, calendar))
    else:
        alarm = Timer("rule_alarm", due_after(now, policy.rule_alarm, calendar))
    running = {name: armed[name] for name in ("hard_task", "hard_deadline") if name in armed}
    if "hard_deadline" in running:
        hard = tuple(Timer(name, due_at) for name, due_at in running.items())
    elif hard_due_at is not None:
        hard = (Timer("hard_deadline", max(hard_due_at, now + policy.remand_least)),)
    elif policy.hard_deadline_pays or policy.hard_deadline_final is None:
        hard = (Timer("hard_deadline", now + policy.hard_deadline),)
    else:
        hard = (
            Timer("hard_task", now + policy.hard_deadline),
            Timer("hard_deadline", now + policy.hard_deadline_final),
        )
    return (alarm, *hard)


def receipt_after_signed(due_at: datetime, signed_at: datetime, policy: Policy) -> datetime:
    """T5 after the carrier's `signed`: P5D from then, or P10D from shipping, whichever comes first."""
    return min(due_at, signed_at + policy.receipt_from_signed)


def rule_alarm_due(
    started_at: datetime,
    pauses: Sequence[tuple[datetime, datetime | None]],
    policy: Policy,
    calendar: Calendar,
) -> datetime | None:
    """When the platform is late with its ruling (T7), business time without the spans in which a party was due.

    Computed from the intervals each time, so any number of pauses adds no drift.

    Args:
        pauses: half-open [from, until) spans in any order, overlapping or not; `until` None is still paused.

    Returns:
        None while a party is due and the alarm has not been reached before.
    """
    left, counted_to = policy.rule_alarm, started_at
    for begin, end in sorted(pauses, key=lambda span: span[0]):
        if begin > counted_to:
            worked = business_time_between(counted_to, begin, calendar)
            if worked >= left:
                break
            left -= worked
        if end is None:
            return None
        counted_to = max(counted_to, end)
    return due_after(counted_to, left, calendar)


def inquiry_timers(
    state: str, policy: Policy, *, now: datetime, armed_at: datetime | None = None, due_at: datetime | None = None
) -> tuple[Timer, ...]:
    """Every timer of an inquiry in `state`: the reply window and its warnings, or the idle end after an answer.

    Args:
        armed_at: when the turn was armed; `due_at`: the end of its window. Both are needed in `awaiting_merchant`.
            Warnings whose instant has passed at `now` are left out.
    """
    if state == "awaiting_merchant":
        assert armed_at is not None, "a turn was armed"
        assert due_at is not None, "a window has an end"
        warnings = warnings_due(armed_at, due_at, policy)
        return (
            Timer("reply_window", due_at),
            *(Timer(f"reply_warning_{left}", at) for left, at in warnings if at > now or now == armed_at),
        )
    return (Timer("inquiry_idle", now + policy.inquiry_idle),) if state == "awaiting_agent" else ()


def ticket_timers(state: str, now: datetime, policy: Policy, *, due_at: datetime) -> tuple[Timer, ...]:
    """Every timer of a ticket in `state`; `due_at` is the end of its SLA."""
    if state in ("issued", "acknowledged"):
        return (Timer("ticket_sla", due_at),)
    return (Timer("ticket_agent_idle", now + policy.ticket_agent_idle),) if state == "responded" else ()


def evidence_timers(state: str, *, due_at: datetime) -> tuple[Timer, ...]:
    """Every timer of an evidence request in `state`."""
    return (Timer("evidence_window", due_at),) if state == "open" else ()


def promise_timers(state: str, *, lapses_at: datetime, due_at: datetime | None) -> tuple[Timer, ...]:
    """Every timer of a promise in `state`: a day to confirm it, then the day it must be kept."""
    if state in ("extracted", "confirmation_requested"):
        return (Timer("promise_lapse", lapses_at),)
    if state == "relayed":
        assert due_at is not None, "a relayed promise has a date"
        return (Timer("promise_due", due_at),)
    return ()


def approval_timers(state: str, *, due_at: datetime) -> tuple[Timer, ...]:
    """Every timer of an approval in `state`."""
    return (Timer("approval_expiry", due_at),) if state == "proposed" else ()


def window_timers(policy: Policy) -> tuple[str, ...]:
    """Names of a reply window's timers: the window first, then its warnings, armed or not."""
    return ("reply_window", *(f"reply_warning_{int(left.total_seconds())}" for left in policy.reply_warnings))
