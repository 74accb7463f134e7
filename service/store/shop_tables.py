"""Shops, their seats, the platform's people, and what was ordered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from service.store.columns import count, fen, flag, json_text, key, moment, one_of, rule, unique_where, word


class Merchant(SQLModel, table=True):
    """A shop, the tenant."""

    __tablename__ = "merchant"
    __table_args__ = (
        one_of("status", ("active", "suspended", "shop_closed")),
        one_of("platform", ("taobao", "pinduoduo", "douyin", "jd")),
    )
    id: str = key(64)
    name: str = Field(max_length=100)
    status: str = word("active", 16)
    platform: str = word("taobao", 16)
    is_demo: bool = flag()
    policy_id: str = word("default", 32)
    return_address: str | None = Field(default=None, max_length=300)
    created_at: datetime = moment()


class Seat(SQLModel, table=True):
    """One person of a merchant who can be given work; the owner is a seat too."""

    __tablename__ = "seat"
    __table_args__ = (
        rule("open_inquiries_not_negative", "open_inquiries >= 0"),
        unique_where("uq_seat_owner", "merchant_id", where="is_owner"),
        Index("ix_seat_merchant_id", "merchant_id"),
    )
    id: str = key(64)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=64)
    nickname: str = Field(max_length=50)
    is_owner: bool = flag()
    active: bool = flag(True)
    may_im: bool = flag()
    may_after_sale: bool = flag()
    may_commit: bool = flag()
    commit_limit_fen: int = fen(default=0)
    designated: bool = flag()
    open_inquiries: int = count()
    last_assigned_at: datetime | None = moment(null=True)


class Order(SQLModel, table=True):
    """An order as the marketplace last told us."""

    __tablename__ = "order_snapshot"
    __table_args__ = (one_of("currency", ("CNY", "JPY", "KWD", "USD")), Index("ix_order_snapshot_buyer_id", "buyer_id"))
    id: str = key(64)
    merchant_id: str = Field(foreign_key="merchant.id", max_length=64)
    buyer_id: str = Field(max_length=64)
    currency: str = word("CNY", 3)
    shipping_fen: int = fen(default=0)
    updated_at: datetime = moment()


class OrderLine(SQLModel, table=True):
    """One line of an order, with what has been and is being refunded on it."""

    __tablename__ = "order_line"
    __table_args__ = (
        rule("amounts_not_negative", "paid_fen >= 0 AND refunded_fen >= 0 AND pending_fen >= 0"),
        # the cumulative cap, pending refunds counted: no race and no bug can pay a line twice
        rule("refund_cap", "refunded_fen + pending_fen <= refundable_fen AND refundable_fen <= paid_fen"),
        rule("quantity_positive", "quantity >= 1"),
        Index("ix_order_line_order_id", "order_id"),
    )
    id: str = key(64)
    order_id: str = Field(foreign_key="order_snapshot.id", max_length=64)
    title: str = Field(max_length=200)
    quantity: int = count(1)
    paid_fen: int = fen()
    refundable_fen: int = fen()
    refunded_fen: int = fen(default=0)
    pending_fen: int = fen(default=0)
    returnable: bool = flag(True)
    custom_made: bool = flag()
    on_time_insured: bool = flag()
    ship_by: datetime | None = moment(null=True)
    shipped_at: datetime | None = moment(null=True)


class StaffAccount(SQLModel, table=True):
    """Which buyer's account a person of the platform shops with: nobody works on their own purchase."""

    __tablename__ = "staff_account"
    id: str = key(64)  # the subject of the agent or supervisor
    buyer_id: str | None = Field(default=None, max_length=64)
    active: bool = flag(True)
    updated_at: datetime = moment()


class PolicyVersion(SQLModel, table=True):
    """A published policy; disputes are pinned to one when they open."""

    __tablename__ = "policy_version"
    __table_args__ = (Index("uq_policy_version", "policy_id", "version", unique=True),)
    id: str = key(64)
    policy_id: str = Field(max_length=32)
    version: int = count(1)
    body: Any = json_text(null=False)
    published_at: datetime = moment()
