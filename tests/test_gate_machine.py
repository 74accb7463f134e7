"""The proof of the gate (edge case 34): whatever anybody does over HTTP, the buyer is told no unconfirmed promise.

Hypothesis plays a dispute with every actor and every call that can say something, keeps its own book of what the
merchant confirmed by an act that was answered with success, and after every step reads everything as the buyer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service.domain.cleared_words import ClearedWords, clear_free_text
from service.domain.gate_check import check_gate
from service.domain.promise_net import net
from service.domain.promise_text import extract, relayable
from service.flows import tell_buyer
from service.store import tables
from service.store.engine import Transaction
from tests.clockwork import fire
from tests.conftest import NewDatabase
from tests.judge import PIXEL
from tests.over_http import HttpWorld, new_http_world
from tests.promise_world import transcript
from tests.proofs import Say, size
from tests.world import START, relay_templates

STEPS = 40
NO_PROMISE = "这不是商家的承诺"
DATE, SUM, CHINESE = re.compile(r"\d+年\d+月\d+日[\d:]+"), re.compile(r"[\d.]+元"), re.compile("[\u4e00-\u9fff]")

MERCHANT = st.sampled_from(("owner", "owner", "seat"))
AGENT = st.sampled_from(("agent", "agent", "agent", "supervisor", "agent-2"))
ANYBODY = st.sampled_from(
    ("buyer", "buyer-2", "owner", "seat", "owner-2", "agent", "agent-2", "supervisor", "auditor", "marketplace")
)
PROMISES = st.sampled_from(
    (
        "今天18点前发货",
        "明天12点前给您退款50元",
        "今天18点前发货,另外明天12点前补偿您五块钱",
        "三天内补发",
        "明天18点前回复您",
        "明天给您换货",
        "好的",
        "今天一定发货",
    )
)
OTHER_WORDS = st.sampled_from(
    (
        "尽量今天发货",
        "您退回后我们退款50元",
        "今天发不了货",
        "快递说明天到",
        "收到",
        "已联系仓库核实",
        "如果有货明天发",
        "你是不是有病",
        "加我微信聊",
        "能不能明天发?",
    )
)
SAYS = st.one_of(PROMISES, PROMISES, OTHER_WORDS)
NEUTRAL = st.sampled_from(("您好,正在核实相关情况。", "请您上传商品照片。", "商家尚未回复,请您耐心等待。"))
TEMPTING = st.sampled_from(
    (
        "商家今天会给您发货",
        "商家承诺明天退款50元",
        "The merchant will refund you tomorrow",
        "放心,明天就能到",
        "商家已同意换货",
        "今天18点前发货",
    )
)
SELDOM = st.sampled_from((False,) * 7 + (True,))
DUE = st.sampled_from((1, 6, 30, 80))  # hours ahead
ACTIONS = st.sampled_from(("ship", "partial_refund", "compensate", "resend", "reply_later"))


def strings(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text of a JSON value with the names on the way to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from strings(each, (*path, str(name)))
    elif isinstance(value, list):
        for each in value:
            yield from strings(each, path)


def forget(world: HttpWorld) -> None:
    """Every example begins alike: the same instant, nothing due of earlier ones, no seat with a past."""
    world.now = START
    world.tokens.clear()

    def clean(tx: Transaction) -> None:
        for statement in ("DELETE FROM timer", "DELETE FROM offence", "DELETE FROM moderation_notice"):
            tx.execute(statement, ())

    world.database.run(clean)


class Gate(RuleBasedStateMachine):
    """One dispute at the platform; what is refused is refused, and nothing is our fault (no 5xx)."""

    tried: ClassVar[Counter[str]] = Counter()  # over all examples

    def __init__(self, world: HttpWorld) -> None:
        super().__init__()
        self.world = world
        self.confirmed: dict[
            str, str
        ] = {}  # promise → canonical hash, by a merchant's act that was answered with success
        self.written: set[str] = set()  # what the merchant wrote anywhere
        self.tickets: list[str] = []
        self.told = 0
        self.steps = 0

    @initialize()
    def begins(self) -> None:
        """An inquiry waits for its answer; the order is a different one each time."""
        forget(self.world)
        line = self.world.place_order()
        self.dispute = self.world.make_dispute(line=line, policy_id="demo", assignee_id="demo-agent-1")
        self.line = line
        self.sends("buyer", f"/disputes/{self.dispute}/messages", self.words("衣服上有一个破洞"))
        self.asks("agent")
        Gate.tried["examples"] += 1

    # --- calls ------------------------------------------------------------------------------------------------------

    def sends(self, user: str, path: str, body: Mapping[str, Any], **headers: str) -> Any:
        """Ask for something as somebody: done or refused."""
        answer = self.world.post(user, path, body, **headers)
        assert answer.status_code < 500, f"{path}: {answer.status_code} {answer.text}"
        Gate.tried["calls"] += 1
        Gate.tried["done" if answer.status_code in (200, 201) else "refused"] += 1
        return answer

    def words(self, text: str, **more: Any) -> dict[str, Any]:
        return {"client_message_id": f"m-{next(self.world.numbers)}", "text": text, **more}

    def asks(self, user: str) -> None:
        """Opens a session, or asks on in the one that is open."""
        opened = self.sends(user, f"/disputes/{self.dispute}/inquiries", self.words("请您确认今天是否可以发货"))
        if opened.status_code == 201:
            self.inquiry = opened.json()["id"]

    def promises(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.world.get("auditor", f"/disputes/{self.dispute}/promises").json()["items"]
        return found

    def one_of(self, number: int, *states: str) -> dict[str, Any] | None:
        """A promise, mostly a late one, mostly in one of these states."""
        found = self.promises()
        fitting = [each for each in found if each["state"] in states] or found
        return fitting[-1 - number % min(len(fitting), 4)] if fitting else None

    def stated(self, action: str, hours: int) -> dict[str, Any]:
        due_at = (self.world.now + timedelta(hours=hours)).isoformat()
        amount = {"amount": {"amount": 500}} if action in ("partial_refund", "compensate") else {}
        return {"action": action, "due_at": due_at, **amount}

    def acted(self, user: str, body: Any) -> None:
        """The book of confirmations: only what a merchant's own call was answered with."""
        assert user in ("owner", "seat"), f"{user} confirmed a promise"
        for each in body:
            if each["state"] == "confirmed":
                self.confirmed.setdefault(each["id"], each["canonical_sha256"])

    # --- the merchant -----------------------------------------------------------------------------------------------

    @rule(user=MERCHANT, text=SAYS)
    def answers(self, user: str, text: str) -> None:
        self.written.add(text)
        self.sends(user, f"/inquiries/{self.inquiry}/messages", self.words(text))

    @rule(user=MERCHANT, text=SAYS, action=ACTIONS, hours=DUE)
    def answers_with_a_promise_in_fields(self, user: str, text: str, action: str, hours: int) -> None:
        self.written.add(text)
        body = self.words(text, promises=[self.stated(action, hours)])
        answer = self.sends(user, f"/inquiries/{self.inquiry}/messages", body)
        if answer.status_code == 201:
            self.acted(user, answer.json()["promises"])

    @rule(user=MERCHANT, text=SAYS, fields=st.booleans(), action=ACTIONS, hours=DUE, number=st.integers(0, 3))
    @precondition(lambda self: self.tickets)
    def answers_a_ticket(self, user: str, text: str, fields: bool, action: str, hours: int, number: int) -> None:
        self.written.add(text)
        ticket = self.tickets[number % len(self.tickets)]
        body = self.words(text, promises=[self.stated(action, hours)] if fields else [])
        answer = self.sends(user, f"/service-tickets/{ticket}/respond", body)
        if answer.status_code == 201 and fields:
            self.acted(user, answer.json()["promises"])

    @rule(user=MERCHANT, text=SAYS)
    def writes_to_the_buyer(self, user: str, text: str) -> None:
        self.written.add(text)
        self.sends(user, f"/disputes/{self.dispute}/messages", self.words(text))

    @rule(
        user=st.one_of(MERCHANT, MERCHANT, ANYBODY),
        number=st.integers(0, 9),
        right=st.sampled_from((True, True, False)),
    )
    def confirms(self, user: str, number: int, right: bool) -> None:
        one = self.one_of(number, "extracted", "confirmation_requested")
        if one is None:
            return
        act = {"canonical_sha256": one["canonical_sha256"] if right else "0" * 64}
        answer = self.sends(user, f"/disputes/{self.dispute}/promises/{one['id']}/confirm", act)
        if answer.status_code == 200:
            self.acted(user, [each for each in answer.json()["items"] if each["id"] == one["id"]])
            assert right, "another hash confirmed"

    @rule(user=MERCHANT, number=st.integers(0, 9), hours=DUE, note=st.sampled_from(("", "以此为准", "今天肯定发")))
    def corrects(self, user: str, number: int, hours: int, note: str) -> None:
        one = self.one_of(number, "extracted", "confirmation_requested")
        if one is None:
            return
        known = {each["id"] for each in self.promises()}
        due_at = (self.world.now + timedelta(hours=hours)).isoformat()
        change = {"canonical_sha256": one["canonical_sha256"], "due_at": due_at, "note": note}
        answer = self.sends(user, f"/disputes/{self.dispute}/promises/{one['id']}/correct", change)
        if answer.status_code == 200:
            self.acted(user, [each for each in answer.json()["items"] if each["id"] not in known])

    @rule(user=MERCHANT, number=st.integers(0, 9))
    def declines(self, user: str, number: int) -> None:
        one = self.one_of(number, "extracted")
        if one is not None:
            self.sends(user, f"/disputes/{self.dispute}/promises/{one['id']}/decline", {})

    @rule(user=MERCHANT, number=st.integers(0, 9))
    def shows_that_it_was_kept(self, user: str, number: int) -> None:
        one = self.one_of(number, "relayed", "breached")
        if one is None:
            return
        headers = self.world.as_(user) | {"Content-Type": "image/png"}
        path = f"/v1/disputes/{self.dispute}/files"
        stored = self.world.client.post(path, params={"purpose": "proof"}, content=PIXEL, headers=headers)
        if stored.status_code == 201:
            proof = {"files": [stored.json()["sha256"]], "note": "见图"}
            self.sends(user, f"/disputes/{self.dispute}/promises/{one['id']}/fulfil", proof)

    # --- the platform -----------------------------------------------------------------------------------------------

    @rule(user=AGENT)
    def asks_on(self, user: str) -> None:
        answer = self.sends(user, f"/inquiries/{self.inquiry}/questions", self.words("请给出明确的时间"))
        if answer.status_code == 409:
            self.asks(user)

    @rule(user=AGENT, question=st.one_of(NEUTRAL, PROMISES))
    def issues_a_ticket(self, user: str, question: str) -> None:
        body = {"dispute_id": self.dispute, "category": "product", "question": question}
        answer = self.sends(user, "/service-tickets", body)
        if answer.status_code == 201:
            self.tickets.append(answer.json()["id"])

    @rule(user=AGENT, number=st.integers(0, 9))
    def asks_for_the_act(self, user: str, number: int) -> None:
        one = self.one_of(number, "extracted")
        if one is not None:
            self.sends(user, f"/disputes/{self.dispute}/promises/{one['id']}/ask-confirm", {})

    @rule(user=st.one_of(AGENT, AGENT, ANYBODY), number=st.integers(0, 9), reason=st.sampled_from(("", "", "已核实")))
    def relays_one(self, user: str, number: int, reason: str) -> None:
        one = self.one_of(number, "confirmed")
        if one is not None:
            body = {"client_message_id": f"r-{next(self.world.numbers)}", "override_reason": reason}
            self.sends(user, f"/disputes/{self.dispute}/promises/{one['id']}/relay", body)

    @rule(
        user=AGENT,
        numbers=st.lists(st.integers(0, 9), min_size=1, max_size=3),
        sort=st.sampled_from(("promise_ids", "softened_ids")),
    )
    def relays_several(self, user: str, numbers: list[int], sort: str) -> None:
        state = "confirmed" if sort == "promise_ids" else "extracted"
        chosen = {one["id"] for number in numbers if (one := self.one_of(number, state)) is not None}
        if chosen:
            body = {"client_message_id": f"r-{next(self.world.numbers)}", sort: sorted(chosen)}
            self.sends(user, f"/disputes/{self.dispute}/relays", body)

    @rule(user=st.one_of(AGENT, ANYBODY), text=st.one_of(NEUTRAL, TEMPTING, PROMISES))
    def tells_the_buyer(self, user: str, text: str) -> None:
        self.sends(user, f"/disputes/{self.dispute}/relays", self.words(text))

    @rule(user=AGENT, number=st.integers(0, 9))
    def quotes_a_promise_by_hand(self, user: str, number: int) -> None:
        one = self.one_of(number, "confirmed", "extracted")
        if one is not None:
            self.sends(user, f"/disputes/{self.dispute}/relays", self.words(one["canonical"]["zh"]))

    @rule(user=AGENT, reasons=st.one_of(NEUTRAL, TEMPTING), with_cite=st.booleans(), luck=SELDOM)
    def rules(self, user: str, reasons: str, with_cite: bool, luck: bool) -> None:
        if not luck:
            return  # a ruling ends most of what may happen
        messages = self.world.rows(tables.Message, dispute_id=self.dispute)
        own = next(m for m in messages if m.sender_side == "buyer")
        cites = [{"message_id": own.id, "start": 0, "end": 2, "text": "衣服"}] if with_cite else []
        body = {
            "kind": "refund_partial",
            "amount": {"amount": 600, "currency": "CNY"},
            "liability": "MERCHANT",
            "basis": "NOT_AS_DESCRIBED",
            "reasons": reasons,
            "cites": cites,
        }
        self.sends(user, f"/disputes/{self.dispute}/actions/issue-ruling", body, If_Match="*")

    @rule(user=st.sampled_from(("supervisor", "supervisor-2")), reasons=st.one_of(NEUTRAL, TEMPTING), luck=SELDOM)
    def upholds(self, user: str, reasons: str, luck: bool) -> None:
        if not luck:
            return
        appeal = {"ground": "procedural_error", "note": "没有看我的照片"}
        self.sends("buyer", f"/disputes/{self.dispute}/actions/appeal", appeal, If_Match="*")
        self.sends(user, f"/disputes/{self.dispute}/actions/uphold", {"reasons": reasons}, If_Match="*")

    # --- everybody else ---------------------------------------------------------------------------------------------

    @rule(text=st.sampled_from(("什么时候发货", "商家说今天发货,是真的吗")))
    def the_buyer_writes(self, text: str) -> None:
        self.sends("buyer", f"/disputes/{self.dispute}/messages", self.words(text))

    @rule(purpose=st.sampled_from(("order", "replacement")))
    def a_carrier_scans(self, purpose: str) -> None:
        body = {"parcel": purpose, "state": "picked_up", "at": self.world.now.isoformat(), "order_line_id": self.line}
        self.sends("marketplace", "/logistics-events", body)

    @rule(seconds=st.sampled_from((1, 5, 60, 3_600, 40_000)))
    def time_passes(self, seconds: int) -> None:
        fire(self.world, at=self.world.now + timedelta(seconds=seconds))
        self.world.tokens.clear()  # they may have expired

    @rule(text=PROMISES)
    def all_goes_right(self, text: str) -> None:
        """What usually happens, in one step: else most plays would never come to tell the buyer anything."""
        self.asks("agent")
        self.written.add(text)
        answer = self.sends("owner", f"/inquiries/{self.inquiry}/messages", self.words(text))
        found = answer.json().get("promises", []) if answer.status_code == 201 else []
        for each in found:
            act = {"canonical_sha256": each["canonical_sha256"]}
            pressed = self.sends("owner", f"/disputes/{self.dispute}/promises/{each['id']}/confirm", act)
            if pressed.status_code == 200:
                self.acted("owner", [one for one in pressed.json()["items"] if one["id"] == each["id"]])
                body = {"client_message_id": f"r-{next(self.world.numbers)}"}
                self.sends("agent", f"/disputes/{self.dispute}/promises/{each['id']}/relay", body)

    @rule(text=st.sampled_from(("尽量今天发货", "您退回后我们退款50元", "如果有货明天发")))
    def softened_words_are_told(self, text: str) -> None:
        """The same of words that are no promise."""
        self.asks("agent")
        self.written.add(text)
        answer = self.sends("owner", f"/inquiries/{self.inquiry}/messages", self.words(text))
        found = answer.json().get("promises", []) if answer.status_code == 201 else []
        body = {"client_message_id": f"r-{next(self.world.numbers)}", "softened_ids": [each["id"] for each in found]}
        if found:
            self.sends("agent", f"/disputes/{self.dispute}/relays", body)

    # --- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def what_the_buyer_was_told_rests_on_the_merchants_act(self) -> None:
        relays = self.world.get("buyer", f"/disputes/{self.dispute}/relays").json()["items"]
        canonical = {each["id"]: each for each in self.promises()}
        for each in relays[self.told :]:
            text, named = each["text"], each["promise_ids"]
            Gate.tried["relayed" if named else "softened" if each["softened_ids"] else "free text"] += 1
            if each["softened_ids"]:
                assert NO_PROMISE in text
                assert not DATE.search(text)
                assert not SUM.search(text)
            elif not named:
                assert net(text) == ()
            else:
                self._require_confirmed(text, [canonical[promise] for promise in named])
        self.told = len(relays)

    def _require_confirmed(self, text: str, promises: list[dict[str, Any]]) -> None:
        said = "".join(each["canonical"]["zh"] for each in promises)
        for each in promises:
            assert self.confirmed.get(each["id"]) == each["canonical_sha256"], (
                "nobody of the shop confirmed exactly this"
            )
        assert sorted(DATE.findall(text)) == sorted(DATE.findall(said))
        assert sorted(SUM.findall(text)) == sorted(SUM.findall(said))

    @invariant()
    def nothing_else_that_the_buyer_reads_promises_in_the_platforms_name(self) -> None:
        base = f"/disputes/{self.dispute}"
        self.steps += 1
        if self.steps % 4:
            return  # every fourth step: the buyer's other pages
        pages = {
            page: self.world.get("buyer", f"{base}{page}").json() for page in ("", "/rulings", "/appeals", "/evidence")
        }
        for page, body in pages.items():
            for path, text in strings(body):
                if path[-1] == "note" or path[0] == "refusal" or path[:2] == ("promises", "canonical"):
                    continue  # a party's own words, and the canonical text of what was relayed
                promised = [e for e in extract(text, None, self.world.now) if relayable(e)]
                assert not promised, f"{page} {path}: {text}"
        assert {each["id"] for each in pages[""]["promises"]} <= set(self.confirmed)
        for each in self.world.get("buyer", f"{base}/messages").json()["items"]:
            assert each["from_side"] in ("buyer", "merchant")
            assert each["from_side"] == "buyer" or each["text"] in self.written

    def teardown(self) -> None:
        """What left the house, and the transcript as an auditor has it."""
        if not hasattr(self, "dispute"):
            return
        for job in self.world.rows(tables.Outbox, dispute_id=self.dispute):
            assert not CHINESE.search(str(job.payload)), f"{job.type} carries words: {job.payload}"
        report = check_gate(transcript(self.world, self.dispute), {relay_templates().sha256_hex: relay_templates()})
        assert report.faults == []


def play(world: HttpWorld, examples: int, **more: Any) -> None:
    """So many plays in this world; raises what the first wrong one raises."""
    seats = "UPDATE seat SET may_im = ?, designated = ?, may_commit = ?, commit_limit_fen = ? WHERE is_owner = ?"
    world.database.run(lambda tx: tx.execute(seats, (True, True, True, 800, False)))
    rules = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        **more,
    )
    run_state_machine_as_test(lambda: Gate(world), settings=rules)


@pytest.mark.long
def test_nothing_anybody_does_tells_the_buyer_an_unconfirmed_promise(
    new_sqlite: NewDatabase, tmp_path: Path, figure: Say
) -> None:
    """Edge case 34, promise 2: random interleavings of all actors and API calls, checked after every step."""
    Gate.tried.clear()
    examples = size(whole=300, part=6)

    with new_http_world(new_sqlite(), tmp_path) as world:
        play(world, examples)

    tried = Gate.tried
    figure(f"the gate: {dict(tried)}, at most {STEPS} steps an example")
    assert tried["relayed"] + tried["softened"] >= examples // 4, "a proof that tells the buyer nothing proves nothing"


def lets_anything_out(text: str) -> ClearedWords:
    """A net with a hole."""
    return replace(clear_free_text("您好"), text=text)


@pytest.mark.long
def test_the_machine_sees_a_gate_that_is_broken(
    new_sqlite: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proof that finds nothing must be able to find something."""
    monkeypatch.setattr(tell_buyer, "clear_free_text", lets_anything_out)

    with new_http_world(new_sqlite(), tmp_path) as world, pytest.raises(AssertionError):
        play(world, 200, phases=[Phase.generate], report_multiple_bugs=False, database=None)
