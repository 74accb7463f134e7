"""Refund executions across disputes: found by what the gateway calls them, and spaced out on one order."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlmodel import Session, select

from service.domain.transcript import instant
from service.store.engine import Transaction
from service.store.tables import RefundExecution

LOCK_ORDER: Final = "SELECT id FROM order_snapshot WHERE id = ?"
LAST_SUBMIT: Final = """
SELECT MAX(e.submitted_at) FROM refund_execution e JOIN order_line l ON l.id = e.order_line_id WHERE l.order_id = ?
"""


def execution_named(session: Session, *, key: str | None, refund_id: str) -> RefundExecution | None:
    """The execution that a callback means: by our key if it repeats it, else by the gateway's number."""
    wanted = RefundExecution.gateway_refund_id == refund_id if key is None else RefundExecution.gateway_key == key
    return session.exec(select(RefundExecution).where(wanted)).first()


def last_submit_on_order(tx: Transaction, order_id: str) -> datetime | None:
    """When a refund on this order was last submitted, the order locked so that nobody submits another meanwhile."""
    tx.rows(LOCK_ORDER + (" FOR UPDATE" if tx.dialect == "postgresql" else ""), (order_id,))
    found = tx.rows(LAST_SUBMIT, (order_id,))[0][0]
    return None if found is None else instant(found)
