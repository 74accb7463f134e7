"""Which seat answers the platform: the least saturated one, online or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A seat as routing sees it; whether somebody is online does not matter (source 002 FAQ 1: 不区分客服是否在线)."""

    seat_id: str
    is_owner: bool
    active: bool
    may_im: bool
    designated: bool
    open_inquiries: int
    last_assigned_at: datetime | None


def eligible(seats: Iterable[Candidate], *, shop_open: bool) -> list[Candidate]:
    """Who may be given an inquiry: designated seats with IM permission, else the owner.

    Source 002 part 1: 默认是店铺的主账号有权限来回复平台客服的消息; 配置的指定客服需要有im权限. If none of the
    designated is eligible the owner answers (our choice); a closed or suspended shop has nobody.
    """
    if not shop_open:
        return []
    known = [seat for seat in seats if seat.active]
    chosen = [seat for seat in known if seat.designated and (seat.may_im or seat.is_owner)]
    return chosen or [seat for seat in known if seat.is_owner]


def least_saturated(seats: Iterable[Candidate]) -> Candidate | None:
    """The seat with the fewest open inquiries; ties go to the one assigned longest ago, then by id.

    Source 002 FAQ 1: a holds 1, b 2, c 3, so the next goes to a.
    """
    return min(seats, key=lambda s: (s.open_inquiries, s.last_assigned_at or _NEVER, s.seat_id), default=None)


def lacks_after_sale(is_owner: bool, may_after_sale: bool) -> bool:
    """Whether designating this seat deserves a warning: 建议安排有售后处理权限的客服同学来承接平台咨询 (source 002)."""
    return not is_owner and not may_after_sale
