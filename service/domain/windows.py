"""Half-open windows: `received_at < due_at` is in time, `received_at == due_at` is late."""

from __future__ import annotations

from datetime import datetime

from service.domain.duration import instant_text
from service.domain.errors import WindowClosed
from service.domain.policy import Policy


def in_time(received_at: datetime, due_at: datetime) -> bool:
    """Whether something received at an instant beat the end of its window; both are server time."""
    return received_at < due_at


def require_in_time(received_at: datetime | None, due_at: datetime | None) -> None:
    """Refuse what came at or after the end of its window.

    Raises:
        WindowClosed: with both instants.
    """
    assert received_at is not None, "a command carries the instant it was received"
    assert due_at is not None, "a window has an end"
    if not in_time(received_at, due_at):
        raise WindowClosed(due_at=instant_text(due_at), received_at=instant_text(received_at))


def is_over(now: datetime | None, due_at: datetime | None, policy: Policy) -> bool:
    """Whether a deadline may fire: no earlier than its end plus the settle margin."""
    assert now is not None, "a clock that fires says when"
    assert due_at is not None, "a window has an end"
    return now >= due_at + policy.settle_margin
