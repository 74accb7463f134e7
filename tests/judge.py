"""The platform's day in tests: disputes that are being worked on, things to cite, rulings, files, and refusals."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from service.domain.errors import Refusal
from service.domain.staff import Actor
from service.flows import approve, give_evidence, hear_appeal, pay_refund, settle_dispute, watch_disputes
from service.flows.hear_appeal import Appealing, NewFile
from service.flows.heard import Outcome
from service.flows.proposals import Proposed
from service.flows.rulings import Cite, Decision
from service.flows.settle_dispute import RulingMade
from service.flows.upload_file import keep_upload
from service.flows.watch_windows import sweep
from service.store import tables
from service.store.engine import Transaction
from service.store.quotations import Quotation
from service.store.writes import Plan
from tests.world import AGENT, BUYER, World

DECISIONS = {
    **approve.DECISIONS,
    **give_evidence.DECISIONS,
    **hear_appeal.DECISIONS,
    **pay_refund.DECISIONS,
    **watch_disputes.DECISIONS,
}
NUMBERS = itertools.count(1)
SAID = "收到的衣服袖子上有一个破洞"
MICROSECOND = timedelta(microseconds=1)
REASONS = "复核认为原判责依据充分。"
PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84\x00\x00\x00\x00IEND\xaeB`\x82"
)


def tick(world: World) -> None:
    """Fire every clock that is due."""
    while world.database.run(lambda tx: sweep(world.house, tx, now=world.now, decisions=DECISIONS)).claimed:
        pass


def at_work(world: World, **columns: Any) -> str:
    """A dispute that the agent works on, the buyer having said something."""
    line = world.place_order(paid_fen=columns.pop("paid_fen", 12_900))
    dispute_id = world.make_dispute("intervention_requested", line=line, **columns)
    say(world, dispute_id, BUYER, SAID)
    world.tell(AGENT, lambda ctx: settle_dispute.accept_dispute(ctx, dispute_id))
    return dispute_id


def say(
    world: World, dispute_id: str, who: Actor, text: str, *, conversation: str = "dispute", delivery: str = "delivered"
) -> str:
    """Words in one of a dispute's conversations; returns the message's id."""
    message_id = str(uuid7())

    def work(tx: Transaction) -> None:
        ctx = world.house.context(tx, actor=who, now=world.now, received_at=world.now)
        row = tx.session.get(tables.Dispute, dispute_id)
        assert row is not None
        ctx.follow(row)
        made = ctx.record("message", facts={"message": message_id}, private={"text": text})
        ctx.plan.insert(
            tables.Message,
            id=message_id,
            dispute_id=dispute_id,
            thread_id=dispute_id,
            conversation=conversation,
            seq=made.seq,
            sender_side=who.side,
            sender_id=who.subject,
            delivery=delivery,
            client_message_id=f"m-{next(NUMBERS)}",
            received_at=world.now,
        )
        tx.apply([ctx.plan])

    world.database.run(work)
    return message_id


def quotation(world: World, dispute_id: str, start: int = 0, end: int = 4) -> Cite:
    """Exact words of what the buyer said."""
    message = world.rows(tables.Message, dispute_id=dispute_id, sender_side="buyer")[0]
    return Cite(Quotation(message.id, start, end, SAID[start:end]))


def decision(world: World, dispute_id: str, kind: str = "refund_full", **changes: Any) -> Decision:
    """A ruling that may be made: cited, reasoned, within the claim."""
    amount = {"reject": 0, "refund_partial": 5_000}.get(kind, 12_900)
    fields: dict[str, Any] = {
        "kind": kind,
        "amount_fen": amount,
        "currency": "CNY",
        "liability": "BUYER" if kind == "reject" else "MERCHANT",
        "basis": "QUALITY_PROBLEM",
        "reasons": "买家提供的照片显示商品有破损,商家没有说明原因。",
        "cites": (quotation(world, dispute_id),),
    }
    return Decision(**(fields | changes))


def rule(
    world: World, dispute_id: str, kind: str = "refund_full", *, by: Actor = AGENT, **changes: Any
) -> RulingMade | Proposed:
    """Rule, or propose to."""
    wanted = decision(world, dispute_id, kind, **changes)
    return world.tell(by, lambda ctx: settle_dispute.issue_ruling(ctx, dispute_id, wanted))


def upload(world: World, dispute_id: str, who: Actor, content: bytes, purpose: str = "proof") -> str:
    """A file put into the store by somebody; returns its fingerprint."""
    stored = world.house.files.put(content)
    world.tell(who, lambda ctx: keep_upload(ctx, dispute_id, purpose, stored))
    return stored.sha256


def picture(text: str) -> bytes:
    """A small PDF of its own: any text makes another file."""
    return b"%PDF-1.4\n% " + text.encode() + b"\n%%EOF\n"


def dispute(world: World, dispute_id: str) -> tables.Dispute:
    """The dispute as it stands."""
    return world.row(tables.Dispute, id=dispute_id)


def put(world: World, model: Any, key: str, **columns: object) -> None:
    """Change a row as only time could have."""
    plan = Plan()
    plan.update(model, key, **columns)
    world.database.run(lambda tx: tx.apply([plan]))


def due(world: World, subject_id: str, name: str) -> datetime:
    """When an armed clock ends."""
    return world.armed(subject_id)[name]


def refusal_of(world: World, who: Actor, story: Any, **more: Any) -> Refusal:
    """What a story refuses; that it left nothing behind is looked at here."""
    entries = len(world.rows(tables.TranscriptEntry))
    with pytest.raises(Refusal) as refused:
        world.tell(who, story, **more)
    assert len(world.rows(tables.TranscriptEntry)) == entries
    return refused.value


def appealing(world: World, dispute_id: str, who: Actor, *, text: str = "新的照片") -> Appealing:
    """An appeal with a file nobody has seen."""
    sha256 = upload(world, dispute_id, who, picture(f"{who.subject} {text}"), "appeal")
    return Appealing("new_evidence", "请看新的照片,标签完好。", (NewFile(sha256, "照片.pdf"),))


def appeal(world: World, dispute_id: str, who: Actor, **more: Any) -> Outcome | None:
    wanted = appealing(world, dispute_id, who)
    return world.tell(who, lambda ctx: hear_appeal.appeal(ctx, dispute_id, wanted), **more)


def refused(code: str, action: Callable[[], object]) -> Refusal:
    """The refusal of an action, which must have this code."""
    with pytest.raises(Refusal) as caught:
        action()
    assert caught.value.code == code
    return caught.value
