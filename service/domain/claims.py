"""What a buyer may ask for: the reasons, the types of dispute they go with, and what goods rule out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from service.domain.errors import GuardFailed

TYPES = ("refund_only", "return_refund")
_MONEY = frozenset({"refund_only"})
_RETURN = frozenset({"return_refund"})
_BOTH = _MONEY | _RETURN


@dataclass(frozen=True, slots=True)
class ClaimReason:
    """One reason a buyer may give. `shipped`: True only after the goods left, False only before, None either way."""

    types: frozenset[str]
    zh: str
    en: str
    shipped: bool | None = None
    without_fault: bool = False


# Our list (choice), after the reasons that Taobao, Pinduoduo and WeChat Shop let a buyer pick.
CLAIM_REASONS: Mapping[str, ClaimReason] = MappingProxyType(
    {
        "not_shipped": ClaimReason(_MONEY, "未按约定时间发货", "Not shipped in time", shipped=False),
        "changed_mind_unshipped": ClaimReason(_MONEY, "未发货,不想要了", "Not shipped, not wanted", shipped=False),
        "not_received": ClaimReason(_MONEY, "未收到货", "Not received"),
        "logistics_stalled": ClaimReason(_MONEY, "物流长时间未更新", "The parcel does not move"),
        "not_as_described": ClaimReason(_BOTH, "商品与描述不符", "Not as described"),
        "quality_problem": ClaimReason(_BOTH, "质量问题", "A fault"),
        "damaged": ClaimReason(_BOTH, "商品破损", "Damaged"),
        "wrong_item": ClaimReason(_BOTH, "发错货", "The wrong item"),
        "missing_parts": ClaimReason(_BOTH, "少件漏发", "Something is missing"),
        "counterfeit": ClaimReason(_BOTH, "假冒品牌", "Counterfeit"),
        "price_difference": ClaimReason(_MONEY, "退差价", "A difference in price"),
        "agreed_with_merchant": ClaimReason(_BOTH, "与商家协商一致", "Agreed with the merchant"),
        # 消费者权益保护法 第二十五条: 七日内退货,且无需说明理由; not for 定作 and the like
        "no_reason_return": ClaimReason(_RETURN, "七天无理由退货", "Returned within seven days", without_fault=True),
        "other": ClaimReason(_BOTH, "其他", "Another reason"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goods:
    """What the order line says about the goods when the claim is made."""

    shipped: bool
    returnable: bool
    custom_made: bool


def require_claimable(dispute_type: str, reason: str, goods: Goods) -> None:
    """Refuse a claim whose reason does not fit its type or the goods.

    A shipment while the claim is pending changes nothing: the facts are those of the moment it was made (edge case 42).

    Raises:
        GuardFailed: `claim_reason_unknown`, `claim_reason_not_for_type`, `claim_reason_not_for_goods`,
            `return_not_offered`: made to order, or sold without the right to return, and no fault claimed.
    """
    known = CLAIM_REASONS.get(reason)
    if known is None:
        raise GuardFailed(
            "claim_reason_unknown", zh="没有这种退款原因", en="Not a reason for a refund", reason=reason[:32]
        )
    if dispute_type not in known.types:
        raise GuardFailed(
            "claim_reason_not_for_type",
            zh="该原因不适用于此退款类型",
            en="Not a reason for this type",
            reason=reason,
            type=dispute_type,
        )
    if known.shipped is not None and known.shipped != goods.shipped:
        raise GuardFailed(
            "claim_reason_not_for_goods",
            zh="该原因与发货状态不符",
            en="Not a reason while the goods are where they are",
            reason=reason,
            shipped=goods.shipped,
        )
    if known.without_fault and (goods.custom_made or not goods.returnable):
        raise GuardFailed(
            "return_not_offered",
            zh="该商品不支持无理由退货",
            en="These goods are returned only for a fault",
            custom_made=goods.custom_made,
            returnable=goods.returnable,
        )
