"""The tables: every state is a CHECK, every rule of uniqueness an index, so that a wrong row cannot be written.

Rows stop at the stories; the domain gets plain values. This is the door: `tables.Dispute`, `tables.Promise`, …
"""

from __future__ import annotations

from service.store.asking_tables import ContactAttempt, EvidenceItem, EvidenceRequest, Inquiry, Promise, Ticket, Upload
from service.store.conduct_tables import ConfirmToken, Notice, Offence, StandingEvent
from service.store.dispute_tables import CaseCounter, DisclosureRow, Dispute, Message, Task, Timer, TranscriptEntry
from service.store.edge_tables import ApiKey, IdempotencyRow, Outbox
from service.store.rule_tables import RuleAct, RuleBreaker, RuleFiles, RuleTally, RuleVersion
from service.store.settling_tables import Appeal, Approval, Offer, RefundExecution, ReturnShipment, Ruling
from service.store.shop_tables import Merchant, Order, OrderLine, PolicyVersion, Seat, StaffAccount

__all__ = [
    "ApiKey",
    "Appeal",
    "Approval",
    "CaseCounter",
    "ConfirmToken",
    "ContactAttempt",
    "DisclosureRow",
    "Dispute",
    "EvidenceItem",
    "EvidenceRequest",
    "IdempotencyRow",
    "Inquiry",
    "Merchant",
    "Message",
    "Notice",
    "Offence",
    "Offer",
    "Order",
    "OrderLine",
    "Outbox",
    "PolicyVersion",
    "Promise",
    "RefundExecution",
    "ReturnShipment",
    "RuleAct",
    "RuleBreaker",
    "RuleFiles",
    "RuleTally",
    "RuleVersion",
    "Ruling",
    "Seat",
    "StaffAccount",
    "StandingEvent",
    "Task",
    "Ticket",
    "Timer",
    "TranscriptEntry",
    "Upload",
]
