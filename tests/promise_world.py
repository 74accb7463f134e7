"""Merchants who say things: an inquiry that waits, replies, and the promises found in them."""

from __future__ import annotations

import base64
import json
from typing import Any

from service.domain.gate_check import Line
from service.domain.staff import Actor
from service.domain.transcript import disclosed
from service.flows.ask_merchant import Asked, open_inquiry
from service.flows.confirm_promise import Confirmation, confirm
from service.flows.heard import Outcome, PromiseFound
from service.flows.receive_reply import Said, receive_reply
from service.flows.tell_buyer import Relay, tell_buyer
from service.store import tables
from service.store.writes import Plan
from tests.world import AGENT, OWNER, World

QUESTION = "商家您好,目前用户希望今天能够发货,请您确认下今天是否可以发货"


def ask(world: World, dispute: str | None = None, question: str = QUESTION) -> tuple[str, str]:
    """A dispute with an inquiry that waits for its answer: (dispute, inquiry)."""
    dispute = dispute or world.make_dispute()
    return dispute, world.tell(AGENT, lambda ctx: open_inquiry(ctx, dispute, Asked(new_name(world), question)))


def new_name(world: World) -> str:
    """A fresh client message id."""
    return f"m-{next(world.numbers)}"


def say(world: World, inquiry: str, text: str, actor: Actor = OWNER) -> tuple[PromiseFound, ...]:
    """One delivered reply; returns the promises found in it."""
    name = new_name(world)
    said = Said(name, text=text)
    outcome = world.tell(actor, lambda ctx: receive_reply(ctx, inquiry, said, key_id=f"key-{name}"), one_statement=True)
    assert isinstance(outcome, Outcome)
    assert outcome.is_sent, outcome.outcome
    return outcome.promises


def press(world: World, dispute: str, *found: PromiseFound, actor: Actor = OWNER) -> None:
    """The merchant presses 确认 on the card."""
    acts = [Confirmation(p.id, p.canonical_sha256) for p in found]
    world.tell(actor, lambda ctx: confirm(ctx, dispute, acts))


def relay(world: World, dispute: str, *promise_ids: str, actor: Actor = AGENT, **more: Any) -> str:
    """The agent tells the buyer of promises; returns the message's id."""
    wanted = Relay(**{"client_message_id": new_name(world), "promise_ids": promise_ids} | more)
    return world.tell(actor, lambda ctx: tell_buyer(ctx, dispute, wanted))


def promise_of(world: World, promise_id: str) -> tables.Promise:
    """The promise as it stands."""
    return world.row(tables.Promise, id=promise_id)


def set_columns(world: World, model: Any, key: str, **columns: object) -> None:
    """Change a row as an operator would: outside of any story."""
    plan = Plan()
    plan.update(model, key, **columns)
    world.database.run(lambda tx: tx.apply([plan]))


def transcript(world: World, dispute: str) -> list[Line]:
    """The entries of a dispute with what they disclose, as an export holds them."""
    disclosed_by_seq: dict[int, dict[str, object]] = {}
    for row in world.rows(tables.DisclosureRow, dispute_id=dispute):
        name, value = disclosed(row.body)
        disclosed_by_seq.setdefault(row.seq, {})[name] = value
    entries = sorted(world.rows(tables.TranscriptEntry, dispute_id=dispute), key=lambda entry: entry.seq)
    return [
        Line(base64.b64encode(e.hash).decode(), json.loads(e.body), disclosed_by_seq.get(e.seq, {})) for e in entries
    ]
