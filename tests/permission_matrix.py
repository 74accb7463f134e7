"""Who may do what (api.md section 3), as data: every operation of the document by role and kind of object."""

from __future__ import annotations

from typing import Final, NamedTuple

ROLES: Final = (
    "buyer",
    "merchant_owner",
    "merchant_seat",
    "platform_agent",
    "supervisor",
    "auditor",
    "rules_editor",
    "system",
)


class Row(NamedTuple):
    """An operation. `roles`: one mark a role: ● does, ○ reads, ◐ needs a permission the demo's seat lacks, - may not.

    `on`: what it is about (nothing: it names no object). `agents`: `any` where an agent may act on a dispute that is
    another agent's, `own` where only on the assigned one.
    """

    operation: str
    roles: str
    on: str = ""
    agents: str = "any"


TABLE: Final = """
# create, modify, withdraw a refund request
openDispute           ●-------  line
modifyDispute         ●-------  dispute
withdrawDispute       ●-------  dispute
acceptOffer           ●-------  dispute
declineOffer          ●-------  dispute
reopenDispute         ●---●---  dispute
shipReturn            ●-------  dispute
# agree, refuse, offer
refuseRequest         -●●-----  dispute
agreeRefund           -●●-----  dispute
agreeReturn           -●●-----  dispute
makeOffer             -●●-----  dispute
improveOffer          -●●-----  dispute
waiveReturn           -●●-----  dispute
confirmReceipt        -●●-----  dispute
reportReturnProblem   -●●-----  dispute
# ask for intervention
requestIntervention   ●●●-●---  dispute
platformIntervene     -------●  any-dispute
# read the case
listDisputes          ○○○○○○--
getDispute            ○○○○○○--  dispute
listMessages          ○○○○○○--  dispute
postMessage           ●●●-----  dispute
recallMessage         ●●●-----  message
listCalls             -○○○○○--  dispute
logCall               -●●-----  dispute
downloadFile          ○○○○○○--  file
getReturn             ○○○○○○--  dispute
listPromises          ○○○○○○--  dispute
listRulings           ○○○○○○--  dispute
listAppeals           ○○○○○○--  dispute
listRefunds           ○○○○○○--  dispute
listEvidence          ○○○○○○--  dispute
listEvidenceRequests  ○○○○○○--  dispute
downloadEvidence      ○○○○○○--  item
listRelays            ○--○○○--  dispute
listInquiries         -○○○○○--  dispute
getInquiry            -○○○○○--  inquiry
listTickets           -○○○○○--
getTicket             -○○○○○--  ticket
# open an inquiry, message the merchant
openInquiry           ---●●---  dispute   own
askOn                 ---●●---  inquiry   own
closeInquiry          ---●●---  inquiry   own
issueTicket           ---●●---  dispute   own
acceptTicketAnswer    ---●●---  ticket    own
rejectTicketAnswer    ---●●---  ticket    own
extendTicket          ---●●---  ticket    own
# answer an inquiry or a ticket
answerInquiry         -●◐-----  inquiry
transferInquiry       -●◐-----  inquiry
acknowledgeTicket     -●◐-----  ticket
respondToTicket       -●◐-----  ticket
# confirm a promise
confirmPromises       -●●-----  dispute
confirmPromise        -●●-----  promise
correctPromise        -●●-----  promise
declinePromise        -●●-----  promise
fulfilPromise         -●●-----  promise
# forward a promise to the buyer
askConfirmPromise     ---●●---  promise   own
tellBuyer             ---●●---  dispute   own
relayPromise          ---●●---  promise   own
# how a shop keeps its word
reportPromises        -○○○○○--
# evidence
requestEvidence       ---●●---  dispute   own
extendEvidence        ---●●---  request   own
submitEvidence        ●●●-----  request
waiveEvidence         ●●●-----  request
uploadFile            ●●●●●---  dispute   own
addEvidence           ●●●●●---  dispute   own
retractEvidence       ●●●-----  item
# rulings and appeals
acceptDispute         ---●●---  dispute
issueRuling           ---●●---  dispute   own
acceptRuling          ●●●-----  dispute
appeal                ●●------  dispute
withdrawAppeal        ●●------  dispute
upholdRuling          ----●---  dispute
overturnRuling        ----●---  dispute
remandDispute         ----●---  dispute
retryExecution        ----●---  dispute
settleOffline         ----●---  dispute
# assign and transfer
transferDispute       ---●●---  dispute   own
releaseDispute        ---●●---  dispute   own
# warnings
acknowledgeNotice     -●●-----  notice
checkWords            -●●●●●●●
# a second person
listApprovals         ---○○○--
getApproval           ---○○○--  approval  own
approve               ----●---  approval
rejectProposal        ----●---  approval
withdrawProposal      ---●●---  approval  own
# rules
listRuleVersions      ----○○○-
getRulesInForce       ----○○○-
listRuleActs          ----○○○-
getRuleVersion        ----○○○-  version
getRuleFiles          ----○○○-  version
draftRules            ------●-
checkRules            ------●-  version
replayRules           ----●-●-  version
withdrawRules         ------●-  version
publishRules          ----●---  version
rollBackRules         ----●---  version
rollBackToFolder      ----●---
rearmRule             ----●---  rule
# the marketplace's systems
pushOrder             -------●
pushLogisticsEvent    -------●
pushStaffAccount      -------●
pushPaymentCallback   -------●  refund
# anybody
getLive               public
getReady              public
createDemoToken       public
"""

PUBLIC: Final = frozenset(line.split()[0] for line in TABLE.splitlines() if line.endswith("public"))
MATRIX: Final = {
    row.operation: row
    for line in TABLE.splitlines()
    if line and not line.startswith("#") and not line.endswith("public")
    for row in [Row(*line.split())]
}
