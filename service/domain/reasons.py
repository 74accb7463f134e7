"""Why a merchant may refuse, and what must be shown with it; why a buyer asks for the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_BOTH = frozenset({"refund_only", "return_refund"})


@dataclass(frozen=True, slots=True)
class RefusalReason:
    """One reason a merchant may give: for which types of dispute, and whether proof goes with it."""

    types: frozenset[str]
    needs_proof: bool
    zh: str
    en: str


# Our list (choice), after the refusal reasons that Taobao (rp.refunds refuse) and WeChat Shop ask a merchant to pick.
REFUSAL_REASONS: Mapping[str, RefusalReason] = MappingProxyType(
    {
        "goods_shipped": RefusalReason(frozenset({"refund_only"}), True, "货物已发出", "The goods are on their way"),
        "goods_received": RefusalReason(frozenset({"refund_only"}), True, "买家已签收", "The buyer has the goods"),
        "resale_affected": RefusalReason(frozenset({"return_refund"}), True, "商品影响二次销售", "Not fit for resale"),
        "not_returnable": RefusalReason(frozenset({"return_refund"}), False, "商品不支持退货", "Not returnable"),
        "no_fault_found": RefusalReason(_BOTH, True, "商品无质量问题", "No fault found"),
        "agreed_otherwise": RefusalReason(_BOTH, True, "已与买家协商一致", "Agreed otherwise with the buyer"),
        "period_over": RefusalReason(_BOTH, False, "已超过售后期", "The after-sale period is over"),
        "wrong_amount": RefusalReason(_BOTH, False, "申请金额有误", "The amount claimed is wrong"),
        "already_settled": RefusalReason(_BOTH, True, "已线上退款或补偿", "Already refunded or made good"),
        "other": RefusalReason(_BOTH, False, "其他", "Another reason"),
    }
)

# Reasons for which a buyer who was ruled to send the goods back may call the platform again (arrow 27).
RETURN_IMPOSSIBLE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "address_bad": ("退货地址无效", "The return address is no good"),
        "courier_refused": ("快递拒收或无法寄送", "The courier will not take it"),
    }
)


def is_refusable(dispute_type: str, reason: str) -> bool:
    """Whether a merchant may refuse a dispute of this type for this reason."""
    known = REFUSAL_REASONS.get(reason)
    return known is not None and dispute_type in known.types


def needs_proof(reason: str) -> bool:
    """Whether a refusal for this reason comes with at least one proof; unknown reasons do."""
    known = REFUSAL_REASONS.get(reason)
    return known is None or known.needs_proof
