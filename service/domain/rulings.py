"""What a ruling may rest on: the codes an agent picks from, in the words that the parties are shown."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from service.domain.errors import GuardFailed

# Our list (choice), after the grounds that platforms' public after-sale rules name. Default rulings have codes of their
# own (outcome.DEFAULT_BASES), which nobody can pick.
RULING_BASES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {  # code: (zh, en)
        "NOT_AS_DESCRIBED": ("商品与描述不符", "Not as described"),
        "QUALITY_PROBLEM": ("商品存在质量问题", "A fault in the goods"),
        "DAMAGED_IN_TRANSIT": ("运输途中破损", "Damaged on the way"),
        "NOT_RECEIVED": ("买家未收到货", "The buyer did not receive the goods"),
        "WRONG_OR_MISSING": ("发错货或少件", "The wrong goods, or not all of them"),
        "COUNTERFEIT": ("假冒商品", "Counterfeit goods"),
        "LATE_SHIPMENT": ("未按约定时间发货", "Not shipped in time"),
        "AGREEMENT_NOT_KEPT": ("未履行双方约定", "What was agreed was not kept"),
        "RETURN_IN_ORDER": ("退货完好", "The return was in order"),
        "RETURN_NOT_IN_ORDER": ("退货不符合要求", "The return was not in order"),
        "GOODS_IN_ORDER": ("商品无问题", "Nothing wrong with the goods"),
        "CLAIM_NOT_SHOWN": ("买家主张缺乏凭证", "The claim was not shown"),
        "RULES_OF_CATEGORY": ("按类目规则处理", "By the rules of the category"),
        "OTHER": ("其他", "Another ground"),
    }
)
APPEAL_GROUNDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"new_evidence": ("新证据", "New evidence"), "procedural_error": ("程序错误", "A procedural error")}
)


def require_basis(basis: str) -> None:
    """Refuse a ground that is not on the list.

    Raises:
        GuardFailed: `basis_unknown`.
    """
    if basis not in RULING_BASES:
        raise GuardFailed("basis_unknown", zh="没有这种判责依据", en="Not a ground for a ruling", basis=basis[:32])
