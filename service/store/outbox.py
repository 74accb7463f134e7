"""Jobs for the payment gateway: rows of the outbox, leased to one worker at a time and kept until they are done.

A job locks its dispute first, in the same order as every story, and what another process holds is skipped. The lease is
the job's next instant: a worker that dies lets it run out, and another takes the job up.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from service.domain.transcript import micros
from service.store import tables
from service.store.engine import Transaction
from service.store.writes import Plan

NEXT_JOB: Final = """
SELECT o.id, o.dispute_id, o.type, o.payload, o.attempts
FROM outbox o JOIN dispute d ON d.id = o.dispute_id
WHERE o.done_at IS NULL AND o.topic = 'refund' AND o.next_attempt_at <= ?
ORDER BY o.next_attempt_at, o.id LIMIT 1
"""
JOBS_OF_DISPUTE: Final = """
SELECT id, dispute_id, type, payload, attempts
FROM outbox WHERE dispute_id = ? AND topic = 'refund' AND done_at IS NULL ORDER BY id
"""
BACKLOG: Final = "SELECT COUNT(*) FROM outbox WHERE done_at IS NULL AND topic = 'refund' AND next_attempt_at <= ?"


class RefundJob(NamedTuple):
    """One job: `refund.submit` follows an execution to its end, `refund.advance` asks before the platform advances.

    `rounds` counts how often it was taken up before.
    """

    id: int
    dispute_id: str
    type: str
    execution_id: str
    rounds: int


def next_job(tx: Transaction, *, now: datetime) -> RefundJob | None:
    """The job that has been due longest, its row and its dispute locked until the transaction ends."""
    lock = " FOR UPDATE OF o, d SKIP LOCKED" if tx.dialect == "postgresql" else ""
    rows = tx.rows(NEXT_JOB + lock, (micros(now),))
    return _job(rows[0]) if rows else None


def open_jobs(tx: Transaction, dispute_id: str) -> list[RefundJob]:
    """The jobs of a dispute that are not done; its row is locked by whoever asks."""
    return [_job(row) for row in tx.rows(JOBS_OF_DISPUTE, (dispute_id,))]


def put_off(plan: Plan, job: RefundJob, *, until: datetime) -> None:
    """Lease a job, or let it rest: nobody takes it up before."""
    plan.update(tables.Outbox, str(job.id), next_attempt_at=until, attempts=job.rounds + 1)


def finish(plan: Plan, job: RefundJob, *, at: datetime) -> None:
    """There is nothing left to do."""
    plan.update(tables.Outbox, str(job.id), done_at=at)


def backlog(tx: Transaction, *, now: datetime) -> int:
    """Due jobs that nobody has taken up, for the metrics."""
    return int(tx.rows(BACKLOG, (micros(now),))[0][0])


def _job(row: tuple[Any, ...]) -> RefundJob:
    payload = msgspec.json.decode(row[3], type=dict[str, str])
    return RefundJob(row[0], row[1], row[2], payload["execution_id"], row[4])
