"""A promise stated in fields beside the words: the same act as the card, in one call, or nothing at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.attached_promise import Attached, beside, differs
from service.domain.canonical import canonical
from service.domain.cleared_words import RELAYED_ACTIONS
from service.domain.errors import WindowClosed
from service.domain.promise_text import Extracted, extract
from service.flows.ask_merchant import close_inquiry
from service.flows.context import Context
from service.flows.heard import Outcome
from service.flows.moves import facts_of, move
from service.flows.receive_reply import Said, receive_reply
from service.store import tables
from service.store.disputes import load_case
from service.store.engine import Transaction
from tests.judge import PIXEL, refused, upload
from tests.promise_world import ask, new_name, press, promise_of, relay, say, set_columns
from tests.world import AGENT, OWNER, SEAT, START, World, new_world

SIX_TODAY = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)  # 18:00 in Shanghai
END_OF_TODAY = datetime(2026, 11, 23, 15, 59, 59, tzinfo=UTC)
NOON_TOMORROW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
SHIP = Attached("ship", SIX_TODAY)
REFUND = Attached("partial_refund", NOON_TOMORROW, 5_000, "CNY")
INSULT, HELD = "你是不是有病", "自己看详情页"


def send(world: World, inquiry: str, text: str, *attached: Attached, actor: Any = OWNER, **more: Any) -> Any:
    """One message with promises in fields, as the edge hands it over."""
    received_at = more.pop("received_at", None)
    name = new_name(world)
    said = Said(**{"client_message_id": name, "text": text, "promises": attached} | more)
    return world.tell(
        actor,
        lambda ctx: receive_reply(ctx, inquiry, said, key_id=f"key-{name}"),
        received_at=received_at,
        one_statement=True,
    )


def facts(world: World, dispute: str, kind: str) -> list[dict[str, Any]]:
    entries = sorted(world.rows(tables.TranscriptEntry, dispute_id=dispute), key=lambda entry: entry.seq)
    return [json.loads(entry.body)["facts"] for entry in entries if entry.kind == kind]


# --- confirmed by sending -------------------------------------------------------------------------------------------


def test_a_promise_sent_with_the_words_is_confirmed_in_one_call_and_may_be_relayed(world: World) -> None:
    """lifecycle.md, Promise in words: sending the message with the structured promise attached confirms it."""
    dispute, inquiry = ask(world)

    outcome = send(world, inquiry, "我们今天18点前发货", SHIP)

    (shown,) = outcome.promises
    row = promise_of(world, shown.id)
    text = canonical("ship", None, None, SIX_TODAY)
    assert (outcome.outcome, outcome.contradictions, shown.state) == ("sent", (), "confirmed")
    assert (row.state, row.wording, row.canonical_sha256) == ("confirmed", "unconditional", text.sha256_hex)
    assert (row.confirmed_canonical, row.confirmed_by, row.message_id) == (
        text.sha256_hex,
        "seat-owner",
        outcome.message_id,
    )
    assert "我们今天18点前发货"[row.span_start : row.span_end] == "我们今天18点前发货"[shown.start : shown.end]
    (confirmed,) = facts(world, dispute, "promise.confirmed")
    assert confirmed == {"promise": shown.id, "canonical": text.sha256_hex}
    relay(world, dispute, shown.id)
    assert promise_of(world, shown.id).state == "relayed"


def test_what_the_words_say_of_the_same_act_is_superseded_and_the_rest_waits_for_the_card(world: World) -> None:
    """One act, one live promise: the transcript holds both readings and which took the place of which."""
    dispute, inquiry = ask(world)

    outcome = send(world, inquiry, "今天18点前发货,另外明天12点前补偿您五块钱", SHIP)

    stated, found = outcome.promises
    assert [(p.action, p.state) for p in outcome.promises] == [("ship", "confirmed"), ("compensate", "extracted")]
    rows = {p.id: p for p in world.rows(tables.Promise, dispute_id=dispute)}
    (replaced,) = facts(world, dispute, "promise.attached")[0]["instead_of"]
    assert (rows[replaced].state, rows[replaced].ended_at, world.armed(replaced)) == ("superseded", world.now, {})
    assert set(world.armed(found.id)) == {"promise_lapse"}
    press(world, dispute, found)
    assert [promise_of(world, p.id).state for p in (stated, found)] == ["confirmed", "confirmed"]


@pytest.mark.parametrize("stated", [SIX_TODAY, END_OF_TODAY])
def test_an_hour_of_the_day_that_the_words_name_is_what_they_say(world: World, stated: datetime) -> None:
    """A bare 好的 takes 今天 from the question; 18:00 today keeps it too."""
    _, inquiry = ask(world)

    outcome = send(world, inquiry, "好的", Attached("ship", stated))

    assert (outcome.contradictions, [p.state for p in outcome.promises]) == ((), ["confirmed"])


@pytest.mark.parametrize("text", ["好的,没问题", "亲,麻烦您稍等", "尽快发货", "应该今天18点前能发", ""])
def test_words_that_leave_it_open_or_say_it_softly_are_made_firm_by_the_fields(world: World, text: str) -> None:
    """The act is on the canonical text, which says no 尽快; silent words, or only a picture, say nothing else."""
    dispute, inquiry = ask(world, question="请问什么情况")

    shown = {} if text else {"kind": "image", "attachment": upload(world, dispute, OWNER, PIXEL)}
    outcome = send(world, inquiry, text, SHIP, **shown)

    assert outcome.contradictions == ()
    assert [p.state for p in outcome.promises] == ["confirmed"]
    assert outcome.answers is (world.row(tables.Inquiry, id=inquiry).state == "awaiting_agent")
    relay(world, dispute, outcome.promises[0].id)


def test_several_promises_are_confirmed_at_once_and_take_the_place_of_earlier_ones(world: World) -> None:
    """Edge case 32: a promise contradicting an earlier confirmed one → superseded, once."""
    dispute, inquiry = ask(world)
    (first,) = say(world, inquiry, "明天18点前发货")
    press(world, dispute, first)
    (softly,) = say(world, inquiry, "尽量给您退款")

    outcome = send(world, inquiry, "今天18点前发货", SHIP, REFUND)

    assert [(p.action, p.state) for p in outcome.promises] == [("ship", "confirmed"), ("partial_refund", "confirmed")]
    assert promise_of(world, first.id).state == "superseded"
    assert [f["promise"] for f in facts(world, dispute, "promise.superseded")].count(first.id) == 1
    assert promise_of(world, softly.id).state in ("extracted", "superseded")
    assert outcome.promises[1].amount_fen == 5_000


def test_the_hash_of_what_was_shown_is_held_to(world: World) -> None:
    """Edge case 33: another hash confirms nothing and sends nothing."""
    dispute, inquiry = ask(world)
    text = canonical("ship", None, None, SIX_TODAY)
    shown = Attached("ship", SIX_TODAY, canonical_sha256=text.sha256_hex)
    other = Attached("ship", NOON_TOMORROW, canonical_sha256=text.sha256_hex)

    refused("hash_mismatch", lambda: send(world, inquiry, "好的", other))
    nothing = world.kinds(dispute)
    send(world, inquiry, "好的", shown)

    assert "merchant.reply" not in nothing
    assert [p.state for p in world.rows(tables.Promise) if p.action == "ship"][-1] == "confirmed"


def test_microseconds_are_no_part_of_a_promise(world: World) -> None:
    """The canonical text is to the second."""
    _, inquiry = ask(world)

    outcome = send(world, inquiry, "今天发", Attached("ship", SIX_TODAY + timedelta(hours=5, minutes=59, seconds=59.5)))

    assert outcome.promises[0].due_at == datetime(2026, 11, 23, 15, 59, 59, tzinfo=UTC)
    assert outcome.promises[0].canonical_zh == "商家承诺:2026年11月23日23:59:59(北京时间)前发货。"


# --- the words say otherwise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "stated", "field"),
    [
        ("今天发不了", SHIP, "wording"),
        ("您退回后我们退款50元", REFUND, "wording"),
        ("我们明天发货", SHIP, "due_at"),
        ("明天12点前给您退款30元", REFUND, "amount"),
        ("明天12点前给您退款40-50元", REFUND, "amount"),
        ("明天12点前给您退款50元", Attached("refund", NOON_TOMORROW, 5_000), "action"),
    ],
)
def test_where_the_words_say_otherwise_the_message_stands_and_nothing_is_confirmed(
    world: World, text: str, stated: Attached, field: str
) -> None:
    """The gate prefers refusing; the merchant's time to answer does not hang on our reading."""
    dispute, inquiry = ask(world)
    other = Attached("pickup", NOON_TOMORROW)

    outcome = send(world, inquiry, text, stated, other)

    (told,) = outcome.contradictions
    assert (outcome.outcome, outcome.answers) == ("sent", True)
    assert (told.action, told.differs) == (stated.action, field)
    assert told.promise_id in [p.id for p in outcome.promises]
    assert {p.state for p in world.rows(tables.Promise, dispute_id=dispute)} == {"extracted"}
    assert "promise.confirmed" not in world.kinds(dispute)
    (kept,) = facts(world, dispute, "promise.contradicted")
    assert [each["action"] for each in kept["attached"]] == [stated.action, "pickup"]
    assert kept["against"] == [{"action": stated.action, "differs": field, "promise": told.promise_id}]


def test_a_later_yes_in_the_same_words_speaks_for_them(world: World) -> None:
    """今天发不了,明天发: the refusal is of today, the promise of tomorrow."""
    _, inquiry = ask(world)
    end_of_tomorrow = datetime(2026, 11, 24, 15, 59, 59, tzinfo=UTC)

    outcome = send(world, inquiry, "今天发不了,明天发", Attached("ship", end_of_tomorrow))

    assert [(p.action, p.state) for p in outcome.promises] == [("ship", "confirmed")]


# --- not delivered, too late, twice ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [INSULT, HELD])
def test_a_message_that_is_not_delivered_confirms_nothing(world: World, text: str) -> None:
    """What was stated is kept with the attempt and binds nobody; not even a bad statement hides the attempt."""
    dispute, inquiry = ask(world)

    outcome = send(world, inquiry, text, SHIP, Attached("ship", START))

    assert outcome.outcome in ("notice", "confirm")
    assert (outcome.promises, world.rows(tables.Promise)) == ((), [])
    assert world.rows(tables.Message, dispute_id=dispute)[-1].delivery in ("blocked", "held")


def test_a_held_text_sent_as_it_is_confirms_what_it_carries(world: World) -> None:
    """A2: the token lets the same text out; the promise is confirmed with it."""
    _, inquiry = ask(world)
    held = send(world, inquiry, HELD, SHIP)

    sent = send(world, inquiry, HELD, SHIP, confirm_token=held.confirm_token)

    assert (sent.outcome, [p.state for p in sent.promises]) == ("sent", ["confirmed"])


def test_a_message_that_is_late_confirms_nothing(world: World) -> None:
    """Edge case 14: stored as a late attempt, 409 window_closed, whatever it carries."""
    dispute, inquiry = ask(world)
    world.pass_time(seconds=180)

    answer = send(world, inquiry, "今天18点前发货", SHIP, Attached("ship", START))

    assert isinstance(answer, WindowClosed)
    assert (world.rows(tables.Promise), world.kinds(dispute)[-1]) == ([], "merchant.reply_late")


def test_a_promise_sent_after_the_case_moved_on_is_refused(world: World) -> None:
    """Edge case 33: received before the agent's close, worked on after the shop had agreed to refund."""
    dispute, inquiry = ask(world)
    received_at = world.pass_time(seconds=1)
    world.pass_time(seconds=1)
    world.tell(AGENT, lambda ctx: close_inquiry(ctx, inquiry, waive_reason="已电话确认"))

    def agreed(ctx: Context) -> None:
        case = load_case(ctx.tx.session, dispute)
        assert case is not None
        move(ctx, case, "seller_agree_refund", facts_of(ctx, case))

    world.tell(OWNER, agreed)

    refused("dispute_not_intervening", lambda: send(world, inquiry, "好的", SHIP, received_at=received_at))

    assert isinstance(send(world, inquiry, "好的", received_at=received_at), Outcome)


def test_the_same_message_twice_confirms_once(world: World) -> None:
    """Edge case 30: client_message_id deduplicates, whatever the second one carries."""
    dispute, inquiry = ask(world)
    send(world, inquiry, "今天18点前发货", SHIP, client_message_id="same")

    refused("duplicate_message", lambda: send(world, inquiry, "今天18点前发货", SHIP, client_message_id="same"))

    assert world.kinds(dispute).count("promise.confirmed") == 1


# --- what may be stated, and by whom --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ((SHIP, SHIP), "confirmations"),
        ((Attached("none", SIX_TODAY),), "promise_incomplete"),
        ((Attached("refund", NOON_TOMORROW),), "promise_incomplete"),
        ((Attached("ship", SIX_TODAY, 5_000),), "amount_not_of_promise"),
        ((Attached("ship", START),), "promise_already_due"),
        ((Attached("ship", START + timedelta(days=366)),), "promise_too_far"),
        ((Attached("compensate", NOON_TOMORROW, 0),), "amount_not_positive"),
        ((Attached("refund", NOON_TOMORROW, 12_901),), "amount_over_refundable"),
        ((Attached("refund", NOON_TOMORROW, 12_900, "USD"),), "currency_mismatch"),
    ],
)
def test_what_may_not_be_stated_is_refused_and_the_message_is_not_sent(
    world: World, stated: tuple[Attached, ...], code: str
) -> None:
    """Act, time and amount exactly, dated ahead, within what the line can give back: else nothing is half done."""
    dispute, inquiry = ask(world)
    before = world.kinds(dispute)

    refused(code, lambda: send(world, inquiry, "好的", *stated))

    assert (world.kinds(dispute), world.rows(tables.Promise)) == (before, [])


@pytest.mark.parametrize("limit_fen", [5_000, 4_999])
def test_a_seat_states_promises_up_to_its_limit(world: World, limit_fen: int) -> None:
    """api.md section 3: confirm promise: a seat with `commit`, amount limit."""
    dispute, inquiry = ask(world)
    set_columns(world, tables.Seat, "seat-1", designated=True, commit_limit_fen=limit_fen)

    if limit_fen < 5_000:
        refused("commit_limit_exceeded", lambda: send(world, inquiry, "好的", REFUND, actor=SEAT))
        send(world, inquiry, "好的", REFUND)
    else:
        send(world, inquiry, "好的", REFUND, actor=SEAT)

    (row,) = [p for p in world.rows(tables.Promise, dispute_id=dispute) if p.state == "confirmed"]
    assert row.confirmed_by == ("seat-owner" if limit_fen < 5_000 else "seat-1")


def test_a_seat_that_may_answer_but_not_commit_sends_words_only(world: World) -> None:
    """Permissions are checked when it sends (edge case 57); without the fields the same message goes out."""
    _, inquiry = ask(world)
    set_columns(world, tables.Seat, "seat-1", designated=True, may_commit=False)

    refused("commit_not_permitted", lambda: send(world, inquiry, "今天18点前发货", SHIP, actor=SEAT))

    assert send(world, inquiry, "今天18点前发货", actor=SEAT).outcome == "sent"


def test_stating_a_promise_costs_one_more_read(new_postgres: Any, tmp_path: Path) -> None:
    """Three round trips on PostgreSQL; without a promise in fields it stays at two (test_reply_path.py)."""
    with new_world(new_postgres(), tmp_path) as world:
        _, inquiry = ask(world)
        trips: list[str] = []

        def work(tx: Transaction) -> None:
            driver, tx.driver = tx.driver, Mock(wraps=tx.driver)
            tx.driver.execute = lambda statement, values=(): (
                trips.append(statement) or driver.execute(statement, values)
            )
            ctx = world.house.context(tx, actor=OWNER, now=world.now, received_at=world.now)
            receive_reply(ctx, inquiry, Said("m-1", text="今天发货", promises=(SHIP,)), key_id="k")
            tx.apply([ctx.plan])

        world.database.run(work, one_statement=True)

        assert len(trips) == 3
        assert [p.state for p in world.rows(tables.Promise)] == ["superseded", "confirmed"]


# --- the comparison -------------------------------------------------------------------------------------------------

WORDINGS = st.sampled_from(("unconditional", "hedged", "conditional", "refused"))
INSTANTS = st.integers(0, 5_000_000).map(lambda seconds: START + timedelta(seconds=seconds))
SUMS = st.integers(1, 20_000)


def _said(wording: str, action: str, low: int | None, high: int | None, due_at: datetime | None) -> Extracted:
    due_at = due_at and due_at.replace(microsecond=0)
    return Extracted(wording, action, low, high, due_at, 0, 1, canonical(action, low, high, due_at))


SAID = st.builds(
    _said, WORDINGS, st.sampled_from(RELAYED_ACTIONS), st.none() | SUMS, st.none() | SUMS, st.none() | INSTANTS
)
STATED = st.builds(Attached, st.sampled_from(RELAYED_ACTIONS), INSTANTS, st.none() | SUMS)


@given(STATED, st.lists(SAID, max_size=5))
def test_what_agrees_is_of_the_same_act_and_says_nothing_else(stated: Attached, extracted: list[Extracted]) -> None:
    """No statement that refuses, sets a condition, or names another time or sum ever passes for agreement."""
    words = beside(stated, extracted)

    if words is None:
        assert all(each.action != stated.action for each in extracted)
    elif differs(stated, words) is None:
        assert (words.action, words.wording in ("unconditional", "hedged")) == (stated.action, True)
        assert words.due_at is None or stated.due_at < words.due_at + timedelta(seconds=61)
        assert words.due_at is None or words.due_at - stated.due_at < timedelta(days=1)
        assert words.amount_fen in (None, stated.amount_fen)


@given(st.sampled_from(["今天18点前发货", "明天12点前给您退款50元", "后天补偿您8元", "三天内给您换货"]))
def test_a_promise_attached_as_it_was_read_is_never_contradicted(text: str) -> None:
    """The client may send back exactly what a dry run has read."""
    (words,) = extract(text, None, START)
    assert words.due_at is not None

    stated = Attached(words.action, words.due_at, words.amount_fen)

    assert beside(stated, [words]) is words
    assert differs(stated, words) is None
    assert stated.text == words.canonical
