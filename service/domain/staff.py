"""Who acts, and what their role allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """The roles of the permission matrix (api.md section 3)."""

    BUYER = "buyer"
    MERCHANT_OWNER = "merchant_owner"
    MERCHANT_SEAT = "merchant_seat"
    PLATFORM_AGENT = "platform_agent"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"
    RULES_EDITOR = "rules_editor"
    SYSTEM = "system"  # the marketplace's own systems, by API key


class Permission(StrEnum):
    """What an owner may grant a seat."""

    IM = "im"  # answer the platform over instant messaging (im_permission)
    AFTER_SALE = "after_sale"  # agree, refuse, offer
    COMMIT = "commit"  # confirm promises, up to commit_limit_fen


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who has proved who they are.

    `subject` is unique over all roles. `merchant_id` is set for owners and seats only.
    """

    role: Role
    subject: str
    merchant_id: str | None = None
    seat_id: str | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)  # of an API key

    @property
    def side(self) -> str:
        """The side the lifecycle tables name: buyer, merchant, platform_agent, supervisor, system, auditor."""
        if self.role in (Role.MERCHANT_OWNER, Role.MERCHANT_SEAT):
            return "merchant"
        return str(self.role.value)
