"""A dispute with everything below it, read under its lock, and the reads of the hot path.

`CaseFile` is what a story about one dispute works on: the row (locked), and its children, each read when first asked
for. `read_for_reply` is the one statement behind every merchant reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TypeVar

from sqlmodel import Session, SQLModel, col, select

from service.store.tables import (
    Appeal,
    Approval,
    Dispute,
    EvidenceItem,
    EvidenceRequest,
    Inquiry,
    Merchant,
    Message,
    Offer,
    OrderLine,
    Promise,
    RefundExecution,
    ReturnShipment,
    Ruling,
    Ticket,
    Timer,
)

Child = TypeVar("Child", bound=SQLModel)
CHILDREN_MAX = 500  # rows of one kind below one dispute that a story will look at


class CaseFile:
    """One dispute and its children. Rows are for reading; changes go into the plan."""

    def __init__(self, session: Session, dispute: Dispute) -> None:
        self._session = session
        self.dispute = dispute

    @cached_property
    def merchant(self) -> Merchant:
        """The shop."""
        found = self._session.get(Merchant, self.dispute.merchant_id)
        assert found is not None, "a dispute has a merchant"
        return found

    @cached_property
    def line(self) -> OrderLine:
        """The order line; locked by the stories that decide money (`people.order_line(lock=True)`)."""
        found = self._session.get(OrderLine, self.dispute.order_line_id)
        assert found is not None, "a dispute has an order line"
        return found

    @cached_property
    def inquiries(self) -> Sequence[Inquiry]:
        """All inquiries, oldest first."""
        return self._children(Inquiry)

    @cached_property
    def tickets(self) -> Sequence[Ticket]:
        """All service tickets, oldest first."""
        return self._children(Ticket)

    @cached_property
    def evidence_requests(self) -> Sequence[EvidenceRequest]:
        """All evidence requests, oldest first."""
        return self._children(EvidenceRequest)

    @cached_property
    def evidence_items(self) -> Sequence[EvidenceItem]:
        """All evidence, retracted items included, oldest first."""
        return self._children(EvidenceItem)

    @cached_property
    def offers(self) -> Sequence[Offer]:
        """All offers, oldest first."""
        return self._children(Offer)

    @cached_property
    def promises(self) -> Sequence[Promise]:
        """All promises, oldest first."""
        return self._children(Promise)

    @cached_property
    def rulings(self) -> Sequence[Ruling]:
        """All rulings, oldest first; the last one is in force."""
        return self._children(Ruling)

    @cached_property
    def appeals(self) -> Sequence[Appeal]:
        """All appeals, oldest first."""
        return self._children(Appeal)

    @cached_property
    def shipments(self) -> Sequence[ReturnShipment]:
        """Return shipments, one a cycle at most."""
        return self._children(ReturnShipment)

    @cached_property
    def executions(self) -> Sequence[RefundExecution]:
        """Refund executions, oldest first."""
        return self._children(RefundExecution)

    @cached_property
    def approvals(self) -> Sequence[Approval]:
        """What a second person was or is asked for."""
        return self._children(Approval)

    @cached_property
    def timers(self) -> Sequence[Timer]:
        """Armed timers of the dispute and its children, soonest first; its own are there however many there are."""
        statement = select(Timer).where(Timer.dispute_id == self.dispute.id, col(Timer.done_at).is_(None))
        own_first = (col(Timer.subject_id) != self.dispute.id, col(Timer.due_at), col(Timer.id))
        found = self._session.exec(statement.order_by(*own_first).limit(CHILDREN_MAX)).all()
        return sorted(found, key=lambda timer: (timer.due_at, timer.id))

    @property
    def ruling(self) -> Ruling | None:
        """The ruling in force."""
        return self.rulings[-1] if self.rulings else None

    @property
    def open_offer(self) -> Offer | None:
        """The offer that the buyer may answer now."""
        return next((o for o in self.offers if o.state == "open"), None)

    @property
    def open_inquiry(self) -> Inquiry | None:
        """The inquiry that is routing, waiting for the merchant or for the agent."""
        return next((i for i in self.inquiries if i.state in ("routing", "awaiting_merchant", "awaiting_agent")), None)

    def message(self, message_id: str) -> Message | None:
        """A message of this dispute."""
        found = self._session.get(Message, message_id)
        return found if found is not None and found.dispute_id == self.dispute.id else None

    def _children(self, model: type[Child]) -> Sequence[Child]:
        columns = model.__table__.c  # type: ignore[attr-defined]  # SQLModel's metaclass sets it
        statement = select(model).where(columns.dispute_id == self.dispute.id).order_by(columns.id)
        # a row that was looked up before the lock is read again as it stands under it
        return self._session.exec(statement.limit(CHILDREN_MAX), execution_options={"populate_existing": True}).all()


def load_case(session: Session, dispute_id: str, *, lock: bool = True) -> CaseFile | None:
    """The dispute with this id, its row locked until the transaction ends; on SQLite the one writer is the lock."""
    dispute = session.get(Dispute, dispute_id, with_for_update=lock, populate_existing=True)
    return None if dispute is None else CaseFile(session, dispute)


def active_dispute_on_line(session: Session, order_line_id: str) -> Dispute | None:
    """The dispute about this order line that has not been closed."""
    return session.exec(
        select(Dispute).where(Dispute.order_line_id == order_line_id, Dispute.state != "closed")
    ).first()
