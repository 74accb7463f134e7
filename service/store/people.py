"""Merchants, seats, orders, policies and keys: the cold tables that stories look up."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from service.store.tables import ApiKey, Merchant, Notice, Order, OrderLine, PolicyVersion, Seat, StaffAccount


def policy_body(session: Session, policy_id: str, version: int) -> Any | None:
    """The JSON of a published policy version."""
    found = session.exec(
        select(PolicyVersion).where(PolicyVersion.policy_id == policy_id, PolicyVersion.version == version)
    ).first()
    return None if found is None else found.body


def newest_policy_version(session: Session, policy_id: str) -> int | None:
    """The highest published version of a policy."""
    return session.exec(select(func.max(PolicyVersion.version)).where(PolicyVersion.policy_id == policy_id)).first()


def merchant(session: Session, merchant_id: str) -> Merchant | None:
    """A shop."""
    return session.get(Merchant, merchant_id)


def seat(session: Session, seat_id: str) -> Seat | None:
    """One person of a shop."""
    return session.get(Seat, seat_id)


def seats_of(session: Session, merchant_id: str) -> list[Seat]:
    """All seats of a shop, the owner included, in a fixed order."""
    return list(session.exec(select(Seat).where(Seat.merchant_id == merchant_id).order_by(col(Seat.id))).all())


def order(session: Session, order_id: str) -> Order | None:
    """An order as the marketplace last told us."""
    return session.get(Order, order_id)


def order_line(session: Session, line_id: str, *, lock: bool = False) -> OrderLine | None:
    """A line of an order; locked while money on it is decided."""
    return session.get(OrderLine, line_id, with_for_update=lock)


def order_lines(session: Session, order_id: str) -> list[OrderLine]:
    """The lines of an order."""
    return list(session.exec(select(OrderLine).where(OrderLine.order_id == order_id).order_by(col(OrderLine.id))).all())


def open_notice(session: Session, seat_id: str) -> Notice | None:
    """The violation notice that a seat has yet to read."""
    return session.exec(
        select(Notice).where(Notice.seat_id == seat_id, col(Notice.acknowledged_at).is_(None)).limit(1)
    ).first()


def api_key(session: Session, key_id: str) -> ApiKey | None:
    """A key of one of the marketplace's systems."""
    return session.get(ApiKey, key_id)


def shops_as(session: Session, subject: str, buyer_id: str) -> bool:
    """Whether a person of the platform is this buyer: by the account they shop with, or by their own name."""
    account = session.get(StaffAccount, subject)
    return subject == buyer_id or (account is not None and account.buyer_id == buyer_id)


def is_at_work(session: Session, subject: str) -> bool:
    """Whether a person of the platform may be given a case; nobody is known to have left unless we were told."""
    account = session.get(StaffAccount, subject)
    return account is None or account.active
