"""What may be forgotten, in bounded steps, and the counts an operator asks for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from service.domain.transcript import micros
from service.store.engine import Transaction

ANSWERS_KEPT: Final = timedelta(days=7)  # api.md section 1: idempotency keys are kept 7 days
STEP_MAX: Final = 10_000  # rows forgotten in one transaction


class Counts(NamedTuple):
    """What the gauges show."""

    windows_armed: int
    outbox_backlog: int


def forget_old_answers(tx: Transaction, *, now: datetime) -> None:
    """Delete stored answers older than a week, at most STEP_MAX at a time, and spent one-time tokens."""
    before = micros(now - ANSWERS_KEPT)
    tx.execute(
        "DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency WHERE created_at < ? LIMIT ?)",
        (before, STEP_MAX),
    )
    tx.execute(
        "DELETE FROM confirm_token WHERE id IN (SELECT id FROM confirm_token WHERE expires_at < ? LIMIT ?)",
        (before, STEP_MAX),
    )


def counts(tx: Transaction) -> Counts:
    """Armed timers and jobs for the gateway, by partial indexes."""
    armed = tx.rows("SELECT count(*) FROM timer WHERE done_at IS NULL", ())
    waiting = tx.rows("SELECT count(*) FROM outbox WHERE done_at IS NULL AND topic = 'refund'", ())
    return Counts(armed[0][0], waiting[0][0])
