"""What usually comes next: links between operations, as OpenAPI says them, for readers and for tests that walk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from litestar.enums import ParamType
from litestar.openapi.spec import Link, OpenAPIResponse, Operation, Parameter

# Where an answer says what the next request needs.
BODY: Final = "$response.body#/"
DISPUTE: Final = {"dispute_id": BODY + "id", "If-Match": "$response.header.ETag"}
DISPUTE_OF_PATH: Final = {"dispute_id": "$request.path.dispute_id"}
INQUIRY: Final = {"inquiry_id": BODY + "id"}
TICKET: Final = {"ticket_id": BODY + "id"}
EVIDENCE_REQUEST: Final = {"request_id": BODY + "id"}
APPROVAL: Final = {"approval_id": BODY + "id"}

# A whole request body of the next operation: what was bought can be disputed.
ORDER_TO_DISPUTE: Final = {
    "order_line_id": "$request.body#/lines/0/id",
    "type": "refund_only",
    "reason": "not_as_described",
    "amount": "$request.body#/lines/0/refundable",
}

Step = tuple[Iterable[str], Mapping[str, str], Iterable[str]]

STEPS: Final[tuple[Step, ...]] = (
    (
        ["openDispute", "modifyDispute", "declineOffer", "getDispute"],
        DISPUTE,
        ["getDispute", "withdrawDispute", "modifyDispute", "refuseRequest", "agreeRefund", "agreeReturn", "makeOffer"],
    ),
    (
        ["openDispute"],
        DISPUTE,
        ["listMessages", "postMessage", "listCalls", "logCall", "listPromises", "listEvidence", "listRefunds"],
    ),
    (["refuseRequest"], DISPUTE, ["requestIntervention", "modifyDispute", "withdrawDispute", "makeOffer"]),
    (["makeOffer", "improveOffer"], DISPUTE, ["acceptOffer", "declineOffer", "improveOffer"]),
    (["agreeReturn"], DISPUTE, ["shipReturn", "waiveReturn", "getReturn"]),
    (["shipReturn"], DISPUTE, ["confirmReceipt", "reportReturnProblem", "getReturn"]),
    (["requestIntervention"], DISPUTE, ["acceptDispute", "withdrawDispute", "getDispute"]),
    (
        ["acceptDispute"],
        DISPUTE,
        ["openInquiry", "requestEvidence", "issueRuling", "transferDispute", "releaseDispute", "tellBuyer"],
    ),
    (["issueRuling"], DISPUTE, ["acceptRuling", "appeal", "listRulings", "listRefunds"]),
    (["appeal"], DISPUTE, ["upholdRuling", "overturnRuling", "remandDispute", "withdrawAppeal", "listAppeals"]),
    (["openInquiry"], INQUIRY, ["getInquiry", "answerInquiry", "askOn", "closeInquiry", "transferInquiry"]),
    (["openInquiry"], DISPUTE_OF_PATH, ["listInquiries", "listPromises"]),
    (
        ["issueTicket", "respondToTicket"],
        TICKET,
        [
            "getTicket",
            "acknowledgeTicket",
            "respondToTicket",
            "acceptTicketAnswer",
            "rejectTicketAnswer",
            "extendTicket",
        ],
    ),
    (["requestEvidence"], EVIDENCE_REQUEST, ["submitEvidence", "waiveEvidence", "extendEvidence"]),
    (["requestEvidence"], DISPUTE_OF_PATH, ["listEvidenceRequests", "addEvidence"]),
    (["getApproval"], APPROVAL, ["approve", "rejectProposal", "withdrawProposal"]),
)


def link_operations(operations: Mapping[str, Operation]) -> None:
    """Hang every step on the good answer it starts from; operations that are not mounted are passed over."""
    for sources, given, targets in STEPS:
        for source in sources:
            for target in targets:
                if source in operations and target in operations:
                    _link(operations[source], operations[target], given)

    if "pushOrder" in operations and "openDispute" in operations:
        _link(operations["pushOrder"], operations["openDispute"], {}, body=ORDER_TO_DISPUTE)


def _link(
    source: Operation, target: Operation, given: Mapping[str, str], *, body: Mapping[str, str] | None = None
) -> None:
    taken = {each.name: each for each in target.parameters or [] if isinstance(each, Parameter)}
    parameters = {f"{ParamType(taken[name].param_in).value}.{name}": given[name] for name in given if name in taken}
    for code, answer in (source.responses or {}).items():
        if code in ("200", "201") and isinstance(answer, OpenAPIResponse):
            link = Link(operation_id=target.operation_id, parameters=parameters or None, request_body=body)
            answer.links = {**(answer.links or {}), str(target.operation_id): link}
