"""Nothing said to the buyer holds an unconfirmed promise, whoever does what in whatever order."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.canonical import canonical
from service.domain.cleared_words import clear_free_text
from service.domain.errors import Refusal
from service.domain.promise_net import net
from service.domain.promise_text import extract, relayable
from service.domain.transcript import entry
from service.flows.ask_merchant import Asked, send_agent_message
from service.flows.confirm_promise import Confirmation, Correction, ask_confirm, confirm, correct, decline
from service.flows.context import Context
from service.flows.receive_reply import Said, receive_reply
from service.flows.serve_ticket import TicketAnswer, TicketWanted, issue_manual_ticket, respond
from service.flows.tell_buyer import Relay, tell_buyer
from service.store import tables
from service.store.buyer_channel import say_to_buyer
from service.store.words import words_of
from service.store.writes import Plan
from tests.clockwork import fire
from tests.promise_world import ask, new_name, set_columns
from tests.world import AGENT, OWNER, SEAT, World

TODAY, REFUND = "今天18点前发货", "明天12点前给您退款50元"

NEUTRAL = "您好,已收到您的申请,正在核实相关情况,感谢您的耐心等待。"


def test_the_channel_takes_nothing_but_cleared_words_that_its_entry_commits_to(world: World) -> None:
    """The store function that writes a buyer-channel message accepts only `ClearedWords`."""
    made = entry(case="c", seq=1, prev=None, at=world.now, kind="buyer.told", actor={"t": "platform_agent"})
    about = {"message_id": "m", "dispute_id": "c", "sender_side": "platform_agent", "sender_id": "a"}
    more: dict[str, Any] = about | {"client_message_id": "m", "received_at": world.now}
    forged: Any = "商家会发货"

    with pytest.raises(AssertionError, match="only cleared words"):
        say_to_buyer(Plan(), forged, made, **more)
    with pytest.raises(AssertionError, match="commits to the cleared words"):
        say_to_buyer(Plan(), clear_free_text(NEUTRAL), made, **more)


MERCHANT_SAYS = (
    TODAY,
    REFUND,
    "好的",
    "尽量今天发货",
    "您退回后我们退款50元",
    "不能今天发",
    "快递说明天到",
    "今天18点前发货,另外明天12点前补偿您五块钱",
    "三天内补发",
    "可以今天给您退款",
)

AGENT_SAYS = (
    NEUTRAL,
    "商家今天会给您发货",
    "商家承诺明天退款50元",
    "请您今天提供商品照片",
    "The merchant will refund you tomorrow",
    TODAY,
)

ANYTHING = (
    "say",
    "ticket",
    "ask",
    "ask_confirm",
    "confirm",
    "wrong_hash",
    "correct",
    "decline",
    "relay",
    "relay_two",
    "write",
    "quote",
    "wait",
)

USUAL = ("say", "confirm", "relay")  # as often as all the rest, so that most plays come to tell the buyer something

STEPS_OF_A_PLAY = 16


class Play:
    """One dispute in which anybody may do anything at any time; what is refused is refused."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dispute = world.make_dispute(policy_id="demo")
        self.inquiry = ask(world, self.dispute)[1]
        set_columns(world, tables.Seat, "seat-1", designated=True)

    def do(self, step: str, number: int, other: int) -> None:
        """One step by one actor."""
        world, dispute = self.world, self.dispute
        promises = world.rows(tables.Promise, dispute_id=dispute)
        recent = promises[-3:]  # mostly what was just said
        one = recent[number % len(recent)] if promises else None
        two = promises[other % len(promises)] if promises else None
        merchant = (OWNER, SEAT)[other % 2]
        name = new_name(world)
        text, own = MERCHANT_SAYS[number % len(MERCHANT_SAYS)], AGENT_SAYS[number % len(AGENT_SAYS)]
        if step == "say":
            said = Said(name, text=text)
            world.tell(merchant, lambda ctx: receive_reply(ctx, self.inquiry, said, key_id=name), one_statement=True)
        elif step == "ticket":
            ticket = world.tell(
                AGENT, lambda ctx: issue_manual_ticket(ctx, dispute, TicketWanted("product", "何时发货"))
            )
            world.tell(merchant, lambda ctx: respond(ctx, ticket, TicketAnswer(name, text)))
        elif step == "ask":
            world.tell(AGENT, lambda ctx: send_agent_message(ctx, self.inquiry, Asked(name, "请确认今天是否可以发货")))
        elif step == "write":
            world.tell(AGENT, lambda ctx: tell_buyer(ctx, dispute, Relay(name, text=own)))
        elif step == "wait":
            fire(world, at=world.now + timedelta(seconds=(1, 5, 3_600, 40_000)[other]))
        elif one is not None and two is not None:
            self._about(step, one, two, merchant, name)

    def _about(self, step: str, one: tables.Promise, two: tables.Promise, merchant: Any, name: str) -> None:
        world, dispute = self.world, self.dispute
        stories: dict[str, tuple[Any, Callable[[Context], object]]] = {
            "ask_confirm": (AGENT, lambda ctx: ask_confirm(ctx, dispute, one.id)),
            "confirm": (merchant, lambda ctx: confirm(ctx, dispute, [Confirmation(one.id, one.canonical_sha256)])),
            "wrong_hash": (merchant, lambda ctx: confirm(ctx, dispute, [Confirmation(one.id, two.canonical_sha256)])),
            "correct": (
                merchant,
                lambda ctx: correct(
                    ctx,
                    dispute,
                    one.id,
                    Correction(one.canonical_sha256, due_at=world.now + timedelta(hours=30), amount_fen=two.amount_fen),
                ),
            ),
            "decline": (merchant, lambda ctx: decline(ctx, dispute, one.id)),
            "relay": (AGENT, lambda ctx: tell_buyer(ctx, dispute, Relay(name, (one.id,)))),
            "relay_two": (AGENT, lambda ctx: tell_buyer(ctx, dispute, Relay(name, (one.id, two.id)))),
            "quote": (AGENT, lambda ctx: tell_buyer(ctx, dispute, Relay(name, text=one.canonical_zh))),
        }
        world.tell(*stories[step])

    def require_gate_held(self) -> int:
        """Everything that was said to the buyer rests on the merchant's act, by the transcript alone."""
        world, dispute = self.world, self.dispute
        said = [m for m in world.rows(tables.Message, dispute_id=dispute) if m.sender_side not in ("merchant", "buyer")]
        said = [m for m in said if m.conversation != "inquiry"]
        assert {m.conversation for m in said} <= {"relay"}
        words = world.database.read(lambda tx: words_of(tx.session, dispute, [m.seq for m in said]))
        entries = sorted(world.rows(tables.TranscriptEntry, dispute_id=dispute), key=lambda e: e.seq)
        promises = {p.id: p for p in world.rows(tables.Promise, dispute_id=dispute)}
        for message in said:
            facts = json.loads(entries[message.seq - 1].body)["facts"]
            text = str(words[message.seq]["text"])
            if facts["source"] == "free_text":
                assert net(text) == ()
                assert not [e for e in extract(text, None, world.now) if relayable(e)]
                continue
            self._require_acts(message, facts, entries, promises, text)
        return len(said)

    def _require_acts(
        self,
        message: tables.Message,
        facts: dict[str, Any],
        entries: list[tables.TranscriptEntry],
        promises: dict[str, tables.Promise],
        text: str,
    ) -> None:
        assert facts["promises"]
        for named in facts["promises"]:
            promise = promises[named["id"]]
            (act,) = [e for e in entries if base64.b64encode(e.hash).decode() == named["confirmation"]]
            body = json.loads(act.body)
            fields = canonical(promise.action, promise.amount_fen, promise.amount_max_fen, promise.due_at)
            assert act.seq < message.seq
            assert (body["kind"], body["actor"]["t"]) == ("promise.confirmed", "merchant")
            assert body["facts"] == {"promise": promise.id, "canonical": fields.sha256_hex}
            assert promise.wording == "unconditional"
            assert promise.amount_fen is None or f"{promise.amount_fen // 100}.{promise.amount_fen % 100:02d}元" in text
        due = [promises[named["id"]].due_at for named in facts["promises"]]
        assert text.count("(北京时间)") == len([d for d in due if d is not None])


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_said_to_the_buyer_contains_an_unconfirmed_promise(world: World, seed: int) -> None:
    """Edge case 34: over random interleavings of every actor, by the transcript alone."""
    play, dice = Play(world), random.Random(seed)  # dice, not Hypothesis: its short lists seldom come to a relay

    for _ in range(STEPS_OF_A_PLAY):
        with suppress(Refusal):
            play.do(dice.choice((*ANYTHING, *USUAL * 4)), dice.randrange(12), dice.randrange(4))

    play.require_gate_held()


def test_the_property_above_sees_relays_and_free_text(world: World) -> None:
    """Edge case 34: the proof is not empty: a play that does everything right says two things to the buyer."""
    play = Play(world)

    for step in (("say", 0, 0), ("confirm", 0, 0), ("relay", 0, 0), ("write", 0, 0)):
        play.do(*step)

    assert play.require_gate_held() == 2
