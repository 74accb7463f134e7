"""The refund execution: submitted to the gateway until it succeeds, is exhausted, and never paid twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.domain.lifecycle import Lifecycle, guard, row_of
from service.domain.policy import DEFAULT, Policy

GATEWAY_ANSWERS = ("pending", "succeeded", "failed", "unknown")
FUNDS = ("MERCHANT", "PLATFORM")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFacts:
    """What an execution looks at before it moves. `attempts` are submits so far."""

    policy: Policy = DEFAULT
    now: datetime | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    last_submit_at: datetime | None = None
    answer: str = "failed"  # what the gateway said: failed by callback, or failed or unknown when queried
    replaced: bool = False  # a newer execution of the same obligation exists
    dispute_closed: bool = False


@guard("attempts_exhausted", "退款重试次数已用完", "No attempts left", "attempts")
def require_attempts_left(f: RefundFacts) -> bool:
    """At most eight submits."""
    return f.attempts < f.policy.refund_attempts_max


@guard("attempts_left", "退款仍可重试", "Attempts are left", "attempts")
def require_attempts_spent(f: RefundFacts) -> bool:
    """Given up only when every attempt was made."""
    return f.attempts >= f.policy.refund_attempts_max


@guard("backoff_running", "退款重试间隔未到", "Too soon to try again", "now", "next_attempt_at")
def require_backoff_over(f: RefundFacts) -> bool:
    """One refund a minute and order, and longer after each failure."""
    assert f.now is not None, "a submit happens at an instant"
    return f.next_attempt_at is None or f.now >= f.next_attempt_at


@guard("gateway_undecided", "支付渠道尚未给出结果", "The gateway has not decided", "answer", "last_submit_at")
def require_decided(f: RefundFacts) -> bool:
    """Failed is failed; unknown counts only an hour after the last submit."""
    return is_dead(f.answer, f.last_submit_at, f.now, f.policy)


@guard("refund_replaced", "已有新的退款执行,仅存档", "A newer execution exists; stored only")
def require_not_replaced(f: RefundFacts) -> bool:
    """A late success that a newer execution overtook is stored as paid twice and changes no state."""
    return not f.replaced and not f.dispute_closed


_arrow = row_of(RefundFacts)
_UNDECIDED = ("pending", "submitted")

# fmt: off
REFUND: Lifecycle[RefundFacts] = Lifecycle(
    "refund_execution",
    states=("pending", "submitted", "failed", "succeeded", "exhausted"),
    initial="pending",
    final=("succeeded", "exhausted"),  # exhausted unless the gateway succeeds late and nothing replaced it
    arrows=(
        _arrow("F1", "pending", "submit", "system", "submitted",
               require=(require_attempts_left, require_backoff_over),
               effects="attempts+1; the same gateway idempotency key every time"),
        _arrow("F2", _UNDECIDED, "gateway_succeeded", "payment_gateway", "succeeded", require=(require_not_replaced,),
               effects="dispute.refund_succeeded; else refund.double_paid and a supervisor task", basis="WXE 115"),
        _arrow("F3", _UNDECIDED, "gateway_failed", "payment_gateway", "failed", require=(require_decided,),
               effects="dispute.refund_failed", basis="WXA 10021059 (1/min)"),
        _arrow("F4", "failed", "retry", "system", "pending", require=(require_attempts_left,),
               effects="backoff of at least 60 s per order", basis="WXA 10021059 (1/min)"),
        _arrow("F5", "failed", "give_up", "system", "exhausted", require=(require_attempts_spent,),
               effects="dispute.refund_exhausted"),
        _arrow("F6", ("failed", "exhausted"), "gateway_succeeded", "payment_gateway", "succeeded",
               require=(require_not_replaced,),
               effects="dispute.refund_succeeded; else refund.double_paid and a supervisor task",
               basis="a late success is a success"),
    ),
)
# fmt: on

STATE_LABELS = {
    "pending": ("待提交", "To be submitted"),
    "submitted": ("已提交支付渠道", "With the gateway"),
    "failed": ("失败待重试", "Failed, to be tried again"),
    "succeeded": ("成功", "Paid"),
    "exhausted": ("重试用尽", "Given up"),
}


def next_attempt_at(attempts: int, now: datetime, policy: Policy) -> datetime | None:
    """When to submit again after `attempts` submits, the last of which failed; None when no attempt is left.

    The wait doubles from 60 s and stops growing at an hour, so that eight attempts fit into PT24H.
    """
    assert attempts >= 1, "a failure follows a submit"
    if attempts >= policy.refund_attempts_max:
        return None
    doubled = policy.refund_backoff_least * (1 << min(attempts - 1, 20))
    return now + min(doubled, policy.refund_backoff_most)


def earliest_submit_at(now: datetime, last_submit_on_order_at: datetime | None, policy: Policy) -> datetime:
    """When a refund may be submitted at the earliest: a minute after the order's last one (queued, not failed)."""
    if last_submit_on_order_at is None:
        return now
    return max(now, last_submit_on_order_at + policy.refund_backoff_least)


def is_dead(answer: str, last_submit_at: datetime | None, now: datetime | None, policy: Policy) -> bool:
    """Whether a queried execution did not and will not succeed, so that a new one may be made.

    `failed` is dead; `unknown` is dead an hour after the last submit, or at once if nothing was ever submitted;
    `pending`, `succeeded` and no answer (an empty string) are not.
    """
    if answer == "failed":
        return True
    if answer != "unknown":
        return False
    assert now is not None, "a query is answered at an instant"
    return last_submit_at is None or now >= last_submit_at + policy.refund_unknown_after
