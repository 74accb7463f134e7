"""The agent tells the buyer: confirmed promises by their ids, and words that hold none."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from service.domain.canonical import canonical
from service.domain.errors import Refusal
from service.domain.promise_text import extract, relayable
from service.flows.confirm_promise import ask_confirm, decline, list_promises
from service.flows.tell_buyer import Relay, list_told, tell_buyer
from service.store import tables
from tests.judge import refused
from tests.over_http import HttpWorld
from tests.promise_world import ask, new_name, press, promise_of, relay, say, set_columns
from tests.world import AGENT, AUDITOR, BUYER, OTHER_AGENT, OTHER_BUYER, OWNER, SUPERVISOR, World, relay_templates

TODAY, REFUND = "今天18点前发货", "明天12点前给您退款50元"

NEUTRAL = "您好,已收到您的申请,正在核实相关情况,感谢您的耐心等待。"


def write(world: World, dispute: str, text: str, actor: Any = AGENT) -> str:
    return world.tell(actor, lambda ctx: tell_buyer(ctx, dispute, Relay(new_name(world), text=text)))


def told(world: World, dispute: str, actor: Any = BUYER) -> list[str]:
    return [each.text for each in world.tell(actor, lambda ctx: list_told(ctx, dispute))]


def confirmed(world: World, text: str = TODAY) -> tuple[str, str]:
    """A dispute with one confirmed promise: (dispute, promise)."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, text)
    press(world, dispute, found)
    return dispute, found.id


# --- relaying -------------------------------------------------------------------------------------------------------


def test_the_buyer_is_told_what_the_merchant_confirmed(world: World) -> None:
    """Source 002 III step 3; the entry of the relay names the confirmation entry by its hash."""
    dispute, promise = confirmed(world)

    message = relay(world, dispute, promise)

    row = promise_of(world, promise)
    assert told(world, dispute) == ["商家已知悉,会于2026年11月23日18:00:00(北京时间)前为您发货。"]
    assert (row.state, world.armed(promise)) == ("relayed", {"promise_due": row.due_at})
    made = world.row(tables.TranscriptEntry, dispute_id=dispute, seq=row.relay_seq)
    assert row.confirmation_hash is not None
    assert json.loads(made.body)["facts"] == {
        "message": message,
        "source": "promises",
        "template": f"relay@{relay_templates().version}",
        "template_sha256": relay_templates().sha256_hex,
        "promises": [
            {
                "id": promise,
                "confirmation": base64.b64encode(row.confirmation_hash).decode(),
                "canonical": row.canonical_sha256,
                "action": "ship",
                "amount_fen": None,
                "amount_max_fen": None,
                "due_at": "2026-11-23T10:00:00.000000Z",
            }
        ],
    }


def test_several_promises_are_one_message(world: World) -> None:
    """Rendered by templates, in the order named."""
    dispute, inquiry = ask(world)
    found = say(world, inquiry, "今天18点前发货,另外明天12点前补偿您五块钱")
    press(world, dispute, *found)

    relay(world, dispute, *(p.id for p in found))

    (text,) = told(world, dispute)
    assert "为您发货" in text
    assert "5.00元" in text


def test_what_was_not_confirmed_is_not_relayed(world: World) -> None:
    """409 `promise_not_confirmed`, alone or beside a confirmed one; nothing is left behind."""
    dispute, inquiry = ask(world)
    first, second = say(world, inquiry, "今天18点前发货,另外明天12点前补偿您五块钱")
    press(world, dispute, first)

    refused("promise_not_confirmed", lambda: relay(world, dispute, second.id))
    refused("promise_not_confirmed", lambda: relay(world, dispute, first.id, second.id))
    world.tell(AGENT, lambda ctx: ask_confirm(ctx, dispute, second.id))
    refused("promise_not_confirmed", lambda: relay(world, dispute, second.id))

    assert told(world, dispute) == []
    assert promise_of(world, first.id).state == "confirmed"


def test_relaying_twice_is_one_message_to_the_buyer(world: World) -> None:
    """Edge case 33: agent forwards twice (one buyer message), alone or both agents' clicks."""
    dispute, promise = confirmed(world)

    first = relay(world, dispute, promise)
    again = relay(world, dispute, promise)
    by_supervisor = relay(world, dispute, promise, actor=SUPERVISOR)

    assert first == again == by_supervisor
    assert len(told(world, dispute)) == 1
    assert world.kinds(dispute).count("buyer.told") == 1


def test_a_promise_told_before_is_not_told_again_beside_a_new_one(world: World) -> None:
    """409 `promise_already_relayed` names those that were."""
    dispute, inquiry = ask(world)
    first, second = say(world, inquiry, "今天18点前发货,另外明天12点前补偿您五块钱")
    press(world, dispute, first, second)
    relay(world, dispute, first.id)

    refusal = refused("promise_already_relayed", lambda: relay(world, dispute, first.id, second.id))
    relay(world, dispute, second.id)
    refused("promise_already_relayed", lambda: relay(world, dispute, first.id, second.id))

    assert refusal.facts["promise_ids"] == [first.id]
    assert len(told(world, dispute)) == 2


def test_a_promise_whose_time_has_passed_is_not_told(world: World) -> None:
    """Nobody promises the past, not even for somebody else."""
    dispute, promise = confirmed(world)
    due_at = promise_of(world, promise).due_at
    assert due_at is not None
    world.now = due_at

    refused("promise_already_due", lambda: relay(world, dispute, promise))

    assert told(world, dispute) == []


def test_a_row_that_was_tampered_with_relays_nothing(world: World) -> None:
    """The relay needs exactly the hash that the confirmation entry in the transcript names."""
    dispute, promise = confirmed(world, REFUND)
    row = promise_of(world, promise)
    forged = canonical("partial_refund", 9_000, None, row.due_at)

    set_columns(world, tables.Promise, promise, amount_fen=9_000)
    refused("canonical_mismatch", lambda: relay(world, dispute, promise))
    set_columns(
        world,
        tables.Promise,
        promise,
        canonical_sha256=forged.sha256_hex,
        confirmed_canonical=forged.sha256_hex,
        canonical_zh=forged.zh,
    )
    refused("canonical_mismatch", lambda: relay(world, dispute, promise))
    set_columns(world, tables.Promise, promise, confirmation_hash=b"\x07" * 32)
    refused("canonical_mismatch", lambda: relay(world, dispute, promise))

    assert told(world, dispute) == []


def test_a_promise_that_the_order_contradicts_needs_a_supervisors_reason(world: World) -> None:
    """D15: more money than the line can give back: an agent cannot relay it, a supervisor explains."""
    dispute, promise = confirmed(world, "退款 500 元,今天内")

    refused("contradicts_order", lambda: relay(world, dispute, promise))
    refused("contradicts_order", lambda: relay(world, dispute, promise, override_reason="我说可以"))
    refused("contradicts_order", lambda: relay(world, dispute, promise, actor=SUPERVISOR))
    relay(world, dispute, promise, actor=SUPERVISOR, override_reason="商家另付差额,已核实")

    assert promise_of(world, promise).state == "relayed"


# --- free text ------------------------------------------------------------------------------------------------------


def test_words_that_promise_nothing_go_out_as_they_are(world: World) -> None:
    """Free text of the agent that carries no promise cue at all."""
    dispute = world.make_dispute()

    write(world, dispute, NEUTRAL)

    assert told(world, dispute) == [NEUTRAL]


@pytest.mark.parametrize(
    "text",
    [
        "商家今天会给您发货",
        "商家承诺明天退款50元",
        "我们保证尽快给您处理,明天有结果",
        "明 天 发 货",
        "ni fang xin, ming tian fa huo",
        "The merchant will ship it tomorrow",
        "商家承诺:2026年11月23日18:00:00(北京时间)前发货。",
    ],
)
def test_words_that_could_be_heard_as_a_promise_stay(world: World, text: str) -> None:
    """422 `uncleared_promise` names the words and what to do; the gate prefers refusing."""
    dispute = world.make_dispute()

    refusal = refused("uncleared_promise", lambda: write(world, dispute, text))

    words: Any = refusal.facts["words"]
    assert words
    assert all(text[w["start"] : w["end"]] == w["text"] for w in words)
    assert "ask_merchant" in str(refusal.facts["remedies"])
    assert told(world, dispute) == []
    assert "buyer.told" not in world.kinds(dispute)


def test_a_confirmed_promise_is_told_by_its_id_not_in_the_agents_words(world: World) -> None:
    """Merchant text never reaches the buyer in the platform's name, confirmed or not."""
    dispute, _ = confirmed(world)

    refused("uncleared_promise", lambda: write(world, dispute, TODAY))


@pytest.mark.parametrize(
    ("relayed", "code"),
    [
        (Relay("m"), "relay_content"),
        (Relay("m", ("p",), "也说两句"), "relay_content"),
        (Relay("m", text="字" * 2_001), "text_length"),
        (Relay("m", ("p",)), "not_found"),
    ],
)
def test_what_no_relay_is(world: World, relayed: Relay, code: str) -> None:
    """Promises or words, within bounds, of this dispute."""
    dispute = world.make_dispute()

    refused(code, lambda: world.tell(AGENT, lambda ctx: tell_buyer(ctx, dispute, relayed)))


@pytest.mark.parametrize(
    ("text", "wording", "zh"),
    [
        ("尽快给您换货", "hedged", "关于换货,商家的说法尚不确定,这不是商家的承诺。"),
        ("您退回后我们退款50元", "conditional", "关于部分退款,商家提出须先满足一定条件,这不是商家的承诺。"),
        ("如果仓库有货明天18点前发", "conditional", "关于发货,商家提出须先满足一定条件,这不是商家的承诺。"),
    ],
)
def test_softened_words_are_told_as_no_promise_or_not_at_all(world: World, text: str, wording: str, zh: str) -> None:
    """A hedged or conditional statement may be relayed only as such: neither its time, nor its sum, nor its words."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, text)
    with pytest.raises(Refusal, match="promise_not_confirmed"):
        relay(world, dispute, found.id)

    first = relay(world, dispute, promise_ids=(), softened_ids=(found.id,))
    again = relay(world, dispute, promise_ids=(), softened_ids=(found.id,))

    assert (found.wording, first) == (wording, again)
    (said,) = world.tell(BUYER, lambda ctx: list_told(ctx, dispute))
    assert (said.text, said.promise_ids, said.softened_ids) == (zh, (), (found.id,))
    assert not [e for e in extract(said.text, None, world.now) if relayable(e)]
    assert promise_of(world, found.id).state == "extracted"
    assert world.tell(BUYER, lambda ctx: list_promises(ctx, dispute))[1] == []


def test_firm_words_refusals_and_words_that_lapsed_are_not_told_so(world: World) -> None:
    """Only what is softened, while it stands; and one thing at a time."""
    dispute, inquiry = ask(world)
    (firm,) = say(world, inquiry, TODAY)
    (no,) = say(world, inquiry, "今天发不了货")
    (soft,) = say(world, inquiry, "尽快给您换货")

    def refusal_of(**asked: Any) -> str:
        with pytest.raises(Refusal) as caught:
            relay(world, dispute, **asked)
        return caught.value.code

    both = {"promise_ids": (firm.id,), "softened_ids": (soft.id,)}
    codes = [refusal_of(promise_ids=(), softened_ids=(each.id,)) for each in (firm, no)]
    mixed = refusal_of(**both)
    world.tell(OWNER, lambda ctx: decline(ctx, dispute, soft.id))
    gone = refusal_of(promise_ids=(), softened_ids=(soft.id,))

    assert (codes, mixed, gone) == (["not_softened"] * 2, "relay_content", "words_no_longer_stand")
    assert "buyer.told" not in world.kinds(dispute)


def test_only_the_agent_of_the_dispute_writes_to_its_buyer(world: World) -> None:
    """api.md section 3: forward promise to buyer: assigned agent, supervisor."""
    dispute, promise = confirmed(world)
    early = world.make_dispute("requested")

    refused("not_your_dispute", lambda: relay(world, dispute, promise, actor=OTHER_AGENT))
    refused("not_found", lambda: write(world, early, NEUTRAL))
    write(world, dispute, NEUTRAL, SUPERVISOR)
    sent = Relay("m-same", text=NEUTRAL)
    world.tell(AGENT, lambda ctx: tell_buyer(ctx, dispute, sent))
    refused("duplicate_message", lambda: world.tell(AGENT, lambda ctx: tell_buyer(ctx, dispute, sent)))

    assert len(told(world, dispute)) == 2


def test_a_closed_dispute_is_sealed(world: World) -> None:
    """Nothing is said about a dispute that has closed."""
    dispute = world.make_dispute(
        "closed", intervened_at=world.now, closed_at=world.now, outcome="BUYER_WITHDREW", assignee_id=AGENT.subject
    )

    refused("dispute_closed", lambda: write(world, dispute, NEUTRAL))


def test_who_reads_what_the_buyer_was_told(world: World) -> None:
    """The buyer and the platform; the shop has its promises instead."""
    dispute = world.make_dispute()
    write(world, dispute, NEUTRAL)

    assert [told(world, dispute, who) for who in (BUYER, AGENT, AUDITOR)] == [[NEUTRAL]] * 3
    for stranger in (OTHER_BUYER, OWNER):
        refused("not_found", lambda stranger=stranger: told(world, dispute, stranger))


# --- the edge -------------------------------------------------------------------------------------------------------


def test_from_the_question_to_the_buyer_over_http(http: HttpWorld) -> None:
    """Source 002's own example (今天发货), by every endpoint on the way."""
    dispute = http.make_dispute(line=http.place_order(), assignee_id="demo-agent-1", policy_id="demo")
    question = {"client_message_id": "q-1", "text": "请您确认下今天是否可以发货"}
    inquiry = http.post("agent", f"/disputes/{dispute}/inquiries", question).json()
    reply = {"client_message_id": "a-1", "text": TODAY}
    sent = http.post("owner", f"/inquiries/{inquiry['id']}/messages", reply).json()
    (found,) = sent["promises"]
    path = f"/disputes/{dispute}/promises/{found['id']}"
    too_early = http.post("agent", f"{path}/relay", {"client_message_id": "r-1"})
    act = {"promises": [{"promise_id": found["id"], "canonical_sha256": found["canonical_sha256"]}]}

    asked = http.post("agent", f"{path}/ask-confirm", {})
    pressed = http.post("owner", f"/disputes/{dispute}/promises/confirm", act)
    relayed = http.post("agent", f"{path}/relay", {"client_message_id": "r-2"})
    again = http.post(
        "agent", f"/disputes/{dispute}/relays", {"client_message_id": "r-3", "promise_ids": [found["id"]]}
    )
    free = http.post("agent", f"/disputes/{dispute}/relays", {"client_message_id": "r-4", "text": "商家今天会发货"})

    assert (too_early.status_code, too_early.json()["code"]) == (409, "promise_not_confirmed")
    assert [asked.status_code, pressed.status_code, relayed.status_code] == [200, 200, 201]
    assert pressed.json()["items"][0]["state"] == "confirmed"
    assert again.json()["id"] == relayed.json()["id"]
    assert (free.status_code, free.json()["code"]) == (422, "uncleared_promise")
    assert free.json()["words"]
    (message,) = http.get("buyer", f"/disputes/{dispute}/relays").json()["items"]
    assert message["text"].endswith("为您发货。")
    (known,) = http.get("buyer", f"/disputes/{dispute}/promises").json()["items"]
    assert (known["state"], known["start"], known["message_id"]) == ("relayed", None, None)
