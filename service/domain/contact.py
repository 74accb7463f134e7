"""No chasing (D11): chat first, a call where a message stays unanswered, few calls a day, few messages in a row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.calendar import SHANGHAI
from service.domain.errors import Conflict
from service.domain.policy import Policy
from service.domain.transcript import rfc3339


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The shop's delivered messages since the buyer wrote last: how many, and when the first of them was received."""

    messages: int = 0
    since: datetime | None = None


def shops_day(at: datetime) -> str:
    """The day of an instant in Asia/Shanghai, as YYYY-MM-DD."""
    return at.astimezone(SHANGHAI).date().isoformat()


def next_day(at: datetime) -> datetime:
    """When the next day begins in Asia/Shanghai."""
    midnight = at.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1)


def why_no_call(policy: Policy, *, unanswered: Unanswered, calls_today: int, at: datetime) -> Conflict | None:
    """Why a shop may not call a buyer now.

    Args:
        calls_today: logged calls of this shop to this buyer on the day of `at` in Asia/Shanghai, in all disputes.
        at: when the attempt was received.

    Returns:
        `contact_cap_reached` with `cap`: `calls_per_day` or `chat_first`, and `opens_at` where time alone opens it.
    """
    if calls_today >= policy.contact_calls_per_day_max:
        return Conflict(
            "contact_cap_reached",
            zh="今日致电该买家的次数已达上限",
            en="No more calls to this buyer today",
            cap="calls_per_day",
            most=policy.contact_calls_per_day_max,
            opens_at=rfc3339(next_day(at)),
        )
    opens_at = None if unanswered.since is None else unanswered.since + policy.contact_call_after
    if opens_at is None or at < opens_at:
        return Conflict(
            "contact_cap_reached",
            zh="请先在聊天中联系买家,消息未获回复后方可致电",
            en="Write to the buyer first; call only when the message stays unanswered",
            cap="chat_first",
            most=0,
            opens_at=None if opens_at is None else rfc3339(opens_at),
        )
    return None


def why_no_message(policy: Policy, *, unanswered: Unanswered) -> Conflict | None:
    """Why a shop may not write to a buyer again before the buyer has answered.

    Returns:
        `contact_cap_reached` with `cap`: `unanswered_messages`.
    """
    if unanswered.messages < policy.contact_unanswered_messages_max:
        return None
    return Conflict(
        "contact_cap_reached",
        zh="连续未获回复的消息已达上限,请等待买家回复",
        en="Too many messages in a row without an answer; wait for the buyer",
        cap="unanswered_messages",
        most=policy.contact_unanswered_messages_max,
        opens_at=None,
    )
