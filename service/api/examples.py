"""One usual body for every operation that reads one, as the OpenAPI document shows it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

PROMISE: Final = "018f0000-0000-7000-8000-000000000001"
DISPUTE: Final = "018f0000-0000-7000-8000-000000000002"
EVIDENCE: Final = "018f0000-0000-7000-8000-000000000003"
SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
NOTHING: Final[dict[str, Any]] = {}


def yuan(amount_fen: int) -> dict[str, Any]:
    """Money as it is written in JSON."""
    return {"amount": amount_fen, "currency": "CNY"}


REFUSAL: Final = {"reason": "period_over", "message": "亲,该订单已超过售后期,暂时无法退款"}
OFFER: Final = {"kind": "partial_refund", "amount": yuan(3_000), "note": "部分退款,商品留用"}
QUESTION: Final = {"client_message_id": "agent-q-1", "text": "请问什么时候发货?"}
RULING: Final = {
    "kind": "refund_partial",
    "amount": yuan(6_000),
    "liability": "MERCHANT",
    "basis": "NOT_AS_DESCRIBED",
    "reasons": "商品颜色与描述不符,双方均有举证,支持部分退款。",
    "cites": [{"evidence_id": EVIDENCE}],
}

EXAMPLES: Final[MappingProxyType[str, dict[str, Any]]] = MappingProxyType(
    {
        # the buyer
        "openDispute": {
            "order_line_id": "line-1",
            "type": "refund_only",
            "reason": "not_as_described",
            "amount": yuan(12_900),
            "note": "颜色与图片不一样",
        },
        "modifyDispute": {"amount": yuan(6_000), "note": "只要求退一半"},
        "withdrawDispute": {"note": "已与商家协商一致"},
        "acceptOffer": NOTHING,
        "declineOffer": {"note": "金额太少"},
        "reopenDispute": {"note": "问题仍未解决"},
        "requestIntervention": {"reason": "not_as_described", "note": "商家拒绝退款,请平台介入"},
        "shipReturn": {"carrier": "sf", "tracking_no": "SF1234567890"},
        # the shop
        "refuseRequest": REFUSAL,
        "agreeRefund": NOTHING,
        "agreeReturn": {"return_address": "浙江省杭州市余杭区 1 号"},
        "makeOffer": OFFER,
        "improveOffer": OFFER | {"amount": yuan(5_000)},
        "waiveReturn": NOTHING,
        "acknowledgeNotice": NOTHING,
        "confirmReceipt": NOTHING,
        "reportReturnProblem": {"ack": "DAMAGED", "note": "收到的包裹里商品破损"},
        # messages and inquiries
        "logCall": {"reached": False, "note": "无人接听"},
        "postMessage": {"client_message_id": "m-1", "kind": "text", "text": "您好,请问可以退款吗?"},
        "recallMessage": NOTHING,
        "openInquiry": QUESTION,
        "answerInquiry": {"client_message_id": "reply-1", "kind": "text", "text": "今天发货"},
        "askOn": QUESTION | {"client_message_id": "agent-q-2", "text": "请提供快递单号"},
        "closeInquiry": NOTHING,
        "transferInquiry": {"seat_id": "demo-seat-1"},
        # tickets
        "issueTicket": {"dispute_id": DISPUTE, "category": "logistics", "question": "请核实包裹为何没有揽收"},
        "acknowledgeTicket": NOTHING,
        "respondToTicket": {"client_message_id": "ticket-1", "text": "已联系快递,今天揽收"},
        "acceptTicketAnswer": NOTHING,
        "rejectTicketAnswer": {"reason": "没有说明何时揽收"},
        "extendTicket": {"extension": "PT2H"},
        # promises and relays
        "confirmPromises": {"promises": [{"promise_id": PROMISE, "canonical_sha256": SHA256}]},
        "askConfirmPromise": NOTHING,
        "confirmPromise": {"canonical_sha256": SHA256},
        "correctPromise": {"canonical_sha256": SHA256, "due_at": "2026-11-24T18:00:00+08:00"},
        "declinePromise": NOTHING,
        "fulfilPromise": {"files": [SHA256], "note": "已发货,见面单"},
        "tellBuyer": {"client_message_id": "relay-1", "text": "我们已联系商家,有进展会告诉您。"},
        "relayPromise": {"client_message_id": "relay-2"},
        # the platform
        "platformIntervene": {"risk_rule": "repeat-complaints"},
        "acceptDispute": NOTHING,
        "transferDispute": {"assignee_id": "demo-agent-2"},
        "releaseDispute": NOTHING,
        "issueRuling": RULING,
        "acceptRuling": NOTHING,
        "appeal": {
            "ground": "new_evidence",
            "note": "补充了质检报告",
            "files": [{"sha256": SHA256, "file_name": "质检报告.pdf"}],
        },
        "withdrawAppeal": NOTHING,
        "upholdRuling": {"reasons": "新证据不改变原裁定的依据。"},
        "overturnRuling": RULING | {"kind": "refund_full", "amount": yuan(12_900)},
        "remandDispute": {"reasons": "新证据需要双方质证。"},
        "retryExecution": NOTHING,
        "settleOffline": {"proof_sha256": SHA256},
        "requestEvidence": {"party": "merchant", "mandatory": True},
        "submitEvidence": {"note": "以上为全部凭证"},
        "waiveEvidence": NOTHING,
        "extendEvidence": {"by": "PT24H"},
        "addEvidence": {"sha256": SHA256, "file_name": "面单.jpg", "note": "发货面单"},
        "retractEvidence": NOTHING,
        "approve": {"payload_sha256": SHA256},
        "rejectProposal": {"reason": "金额与凭证不符"},
        "withdrawProposal": NOTHING,
        # the marketplace's systems, and checks
        "checkWords": {"text": "加我微信聊", "channel": "buyer_chat", "platform": "taobao"},
        "pushOrder": {
            "id": "order-1",
            "merchant_id": "demo-shop-1",
            "buyer_id": "demo-buyer-1",
            "updated_at": "2026-11-23T10:00:00+08:00",
            "lines": [
                {
                    "id": "line-1",
                    "title": "棉麻衬衫",
                    "quantity": 1,
                    "paid": yuan(12_900),
                    "refundable": yuan(12_900),
                }
            ],
        },
        "pushLogisticsEvent": {
            "parcel": "order",
            "state": "signed",
            "at": "2026-11-24T10:00:00+08:00",
            "order_line_id": "line-1",
        },
        "pushStaffAccount": {"id": "demo-agent-1", "active": True},
        "pushPaymentCallback": {"refund_id": "refund-1", "status": "succeeded"},
        # the rules
        "draftRules": {
            "files": [{"name": "book.yaml", "content": "book: gongduan\nversion: 1000\n"}],
            "note": "妈妈的不再误伤",
        },
        "checkRules": NOTHING,
        "replayRules": {"messages": 100},
        "publishRules": {"sha256": SHA256},
        "withdrawRules": NOTHING,
        "rollBackRules": NOTHING,
        "rollBackToFolder": NOTHING,
        "rearmRule": NOTHING,
        "createDemoToken": {"user": "buyer"},
    }
)
