"""What a promise goes against: its order's facts (D15), or what the buyer was told; and how many a dispute holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.attached_promise import MONEY, Attached
from service.domain.cleared_words import RELAYED_ACTIONS
from service.domain.contradictions import Terms, against_order, against_told
from service.domain.promise_text import WORDINGS, OrderFacts
from service.flows.confirm_promise import Correction, correct
from service.flows.heard import Outcome, PromiseFound
from service.flows.promising import PROMISES_MAX
from service.flows.receive_reply import Said, receive_reply
from service.flows.serve_ticket import TicketAnswer, TicketWanted, issue_manual_ticket, respond
from service.flows.tell_buyer import list_told
from service.store import tables
from tests.judge import refused
from tests.promise_world import ask, new_name, press, promise_of, relay, say, set_columns
from tests.world import AGENT, BUYER, OWNER, SEAT, START, SUPERVISOR, World, new_world

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
NOON_TOMORROW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
MADE_TO_ORDER = OrderFacts(refundable_fen=5_000, custom_made=True, ship_by=NOON_TOMORROW, on_time_insured=False)


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    with new_world(database, tmp_path) as made:
        yield made


def facts(world: World, dispute: str, kind: str) -> list[dict[str, Any]]:
    entries = sorted(world.rows(tables.TranscriptEntry, dispute_id=dispute), key=lambda entry: entry.seq)
    return [json.loads(entry.body)["facts"] for entry in entries if entry.kind == kind]


def terms(action: str, *, fen: int | None = None, most: int | None = None, due: datetime | None = None) -> Terms:
    return Terms("unconditional", action, fen, most, due)


# --- the order's facts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promised", "words", "fact"),
    [
        (terms("refund", fen=5_001), "", "refundable_fen"),
        (terms("partial_refund", fen=4_000, most=6_000), "", "refundable_fen"),
        (terms("refund", fen=5_000), "", None),
        (terms("compensate", fen=9_000), "", None),
        (terms("exchange"), "明天给您换货", "custom_made"),
        (terms("pickup"), "明天上门取件", "custom_made"),
        (terms("refund", fen=100), "明天给您退货退款", "custom_made"),
        (terms("refund", fen=100), "明天给您退款", None),
        (terms("ship", due=NOON_TOMORROW), "", None),
        (terms("ship", due=NOON_TOMORROW + timedelta(seconds=1)), "", "ship_by"),
        (terms("ship"), "", None),
        (terms("resend", due=NOON_TOMORROW + timedelta(days=9)), "", None),
        (terms("ship", due=NOON_TOMORROW), "今天发货明天送到", "on_time_insured"),
    ],
)
def test_a_promise_is_held_against_its_order(promised: Terms, words: str, fact: str | None) -> None:
    """D15: custom-made and no-return goods, the ship-by setting, the refundable amount, on-time insurance."""
    found = against_order(promised, words, MADE_TO_ORDER)

    assert found == fact


def test_an_order_of_which_nothing_is_known_has_nothing_against_a_promise() -> None:
    """None where it is not known."""
    everything = [terms(action, fen=10**9, due=NOON_TOMORROW) for action in RELAYED_ACTIONS]

    assert [against_order(each, "退货,明天送到", OrderFacts()) for each in everything] == [None] * len(everything)


def test_goods_without_return_are_not_exchanged_nor_insured_arrivals_flagged() -> None:
    """D15 and D6: an arrival time may be promised when the order carries on-time insurance."""
    order = OrderFacts(returnable=False, on_time_insured=True)

    assert against_order(terms("exchange"), "", order) == "returnable"
    assert against_order(terms("ship", due=NOON_TOMORROW), "今天发货明天送到", order) is None


@pytest.mark.parametrize(
    ("columns", "text", "fact"),
    [
        ({"custom_made": True}, "明天18点前给您换货", "custom_made"),
        ({"returnable": False}, "明天18点前上门取件", "returnable"),
        ({"ship_by": START + timedelta(hours=2)}, "今天18点前发货", "ship_by"),
        ({"refundable_fen": 4_000}, "明天12点前给您退款50元", "refundable_fen"),
    ],
)
def test_what_the_order_contradicts_is_flagged_to_both_and_needs_a_supervisors_reason(
    world: World, columns: dict[str, Any], text: str, fact: str
) -> None:
    """D15: flagged to merchant (the card) and agent (the promise); an agent cannot clear it, a supervisor explains."""
    dispute = world.make_dispute(line=world.place_order(**columns))
    inquiry = ask(world, dispute)[1]
    (found,) = say(world, inquiry, text)
    press(world, dispute, found)

    refused("contradicts_order", lambda: relay(world, dispute, found.id))
    refused("contradicts_order", lambda: relay(world, dispute, found.id, override_reason="已与商家电话核实"))
    relay(world, dispute, found.id, actor=SUPERVISOR, override_reason="已与商家电话核实")

    assert (found.contradicts, promise_of(world, found.id).contradicts) == (fact, fact)
    (told,) = facts(world, dispute, "buyer.told")
    assert told["promises"][0]["id"] == found.id


def test_a_correction_and_a_stated_promise_are_held_against_the_order_too(world: World) -> None:
    """D15: the way in which a promise is confirmed makes no difference; a time that fits takes the flag away."""
    ends = START + timedelta(hours=6)
    dispute = world.make_dispute(line=world.place_order(ship_by=ends))
    inquiry = ask(world, dispute)[1]
    (first,) = say(world, inquiry, "今天18点前发货")
    stated = Said(new_name(world), text="好的", promises=(Attached("ship", ends + timedelta(hours=1)),))

    sooner = Correction(first.canonical_sha256, due_at=ends)
    fits = world.tell(OWNER, lambda ctx: correct(ctx, dispute, first.id, sooner))
    late = world.tell(OWNER, lambda ctx: receive_reply(ctx, inquiry, stated, key_id="k-1"), one_statement=True)

    assert first.contradicts == "ship_by"
    assert promise_of(world, str(fits)).contradicts is None
    assert isinstance(late, Outcome)
    assert [(p.state, p.contradicts) for p in late.promises if p.state == "confirmed"] == [("confirmed", "ship_by")]


def test_an_order_that_has_changed_since_is_looked_at_when_relaying(world: World) -> None:
    """The flag is of the moment of the words; the gate asks the order as it stands now."""
    line = world.place_order()
    dispute = world.make_dispute(line=line)
    inquiry = ask(world, dispute)[1]
    (found,) = say(world, inquiry, "今天18点前发货")
    press(world, dispute, found)
    set_columns(world, tables.OrderLine, line, ship_by=START + timedelta(hours=1))

    refused("contradicts_order", lambda: relay(world, dispute, found.id))
    relay(world, dispute, found.id, actor=SUPERVISOR, override_reason="买家同意晚发")

    assert (found.contradicts, promise_of(world, found.id).state) == (None, "relayed")


# --- what the buyer was told ----------------------------------------------------------------------------------------


def told_today(world: World) -> tuple[str, str, PromiseFound]:
    """The buyer knows: today by 18:00."""
    dispute, inquiry = ask(world)
    (found,) = say(world, inquiry, "今天18点前发货")
    press(world, dispute, found)
    relay(world, dispute, found.id)
    return dispute, inquiry, found


@pytest.mark.parametrize(
    ("text", "differs"),
    [("明天18点前发货", "due_at"), ("今天发不了货", "wording"), ("您先取消申请,今天就发货", "wording")],
)
def test_words_against_what_the_buyer_was_told_are_recorded_and_shown_to_the_agent(
    world: World, text: str, differs: str
) -> None:
    """Edge case 32, point 6: the told promise stands and is watched; the buyer hears nothing of it."""
    dispute, inquiry, told = told_today(world)
    heard = world.tell(BUYER, lambda ctx: list_told(ctx, dispute))

    (new,) = say(world, inquiry, text)

    assert (new.contradicts_told, new.differs) == (told.id, differs)
    assert promise_of(world, new.id).contradicts_told == told.id
    assert promise_of(world, told.id).state == "relayed"
    assert facts(world, dispute, "promise.contradicts_told") == [
        {"promise": new.id, "told": told.id, "differs": differs}
    ]
    assert world.row(tables.Task, kind="promise_contradicted").role == "platform_agent"
    assert world.tell(BUYER, lambda ctx: list_told(ctx, dispute)) == heard


def test_the_buyer_hears_of_the_change_only_by_a_new_confirmed_promise(world: World) -> None:
    """Point 6: contradicting a relayed one: the buyer is told only through a new confirmed promise."""
    dispute, inquiry, told = told_today(world)
    (new,) = say(world, inquiry, "明天18点前发货")
    refused("promise_not_confirmed", lambda: relay(world, dispute, new.id))

    press(world, dispute, new)
    relay(world, dispute, new.id)

    assert [promise_of(world, each.id).state for each in (told, new)] == ["relayed", "relayed"]
    assert set(world.armed(told.id)) == set(world.armed(new.id)) == {"promise_due"}


@pytest.mark.parametrize("text", ["今天发货", "今天下午发货", "我们会尽快发货", "明天12点前补偿您五块钱", "收到,谢谢"])
def test_the_same_again_and_other_acts_contradict_nothing(world: World, text: str) -> None:
    """The told hour is of the day that the words name; softened words without a time say nothing else."""
    dispute, inquiry, _ = told_today(world)

    found = say(world, inquiry, text)

    assert [each.contradicts_told for each in found] == [None] * len(found)
    assert facts(world, dispute, "promise.contradicts_told") == []


def test_a_promise_stated_in_fields_or_corrected_contradicts_as_well(world: World) -> None:
    """Whichever way the new promise comes."""
    dispute, inquiry, told = told_today(world)
    stated = Said(new_name(world), text="已经联系仓库核实", promises=(Attached("ship", NOON_TOMORROW),))
    sent = world.tell(OWNER, lambda ctx: receive_reply(ctx, inquiry, stated, key_id="k-1"), one_statement=True)

    assert isinstance(sent, Outcome)
    assert [p.contradicts_told for p in sent.promises if p.state == "confirmed"] == [told.id]
    assert facts(world, dispute, "promise.contradicts_told")[-1]["differs"] == "due_at"


def any_terms(*, due: st.SearchStrategy[datetime | None]) -> st.SearchStrategy[Terms]:
    return st.builds(
        Terms,
        st.sampled_from(WORDINGS),
        st.sampled_from(RELAYED_ACTIONS),
        st.sampled_from((None, 500, 5_000)),
        st.sampled_from((None, 6_000)),
        due,
    )


INSTANTS = st.sampled_from([NOW + timedelta(hours=hours) for hours in range(0, 60, 3)])


@given(told=any_terms(due=INSTANTS), said=any_terms(due=st.none() | INSTANTS))
def test_what_contradicts_is_of_the_same_act_and_really_differs(told: Terms, said: Terms) -> None:
    """Another act never contradicts, the told terms never contradict themselves, and a refusal always does."""
    told = told._replace(wording="unconditional")
    field = against_told(told, said)

    assert against_told(told, told) is None
    if told.action != said.action and not {told.action, said.action} <= MONEY:
        assert field is None
    elif said.wording in ("refused", "conditional"):
        assert field == "wording"
    elif field == "due_at":
        assert said.due_at != told.due_at


# --- how many -------------------------------------------------------------------------------------------------------


def full_of_promises(world: World, dispute: str, number: int) -> None:
    row = {
        "dispute_id": dispute, "state": "superseded", "wording": "unconditional", "action": "ship",
        "canonical_zh": "商家承诺:发货。", "canonical_en": "The merchant will ship the order.",
        "canonical_sha256": "0" * 64, "created_at": world.now, "ended_at": world.now,
    }  # fmt: skip
    world.insert(*((tables.Promise, row | {"id": f"{n:036d}"}) for n in range(number)))


def test_a_dispute_full_of_promises_takes_no_message_that_promises_more(world: World) -> None:
    """Every list has a bound, and nothing beyond it is lost: the message is refused, not its promises forgotten."""
    dispute, inquiry = ask(world)
    (last,) = say(world, inquiry, "今天18点前发货")
    full_of_promises(world, dispute, PROMISES_MAX - 1)
    before = world.kinds(dispute)

    refusal = refused("promises_max", lambda: say(world, inquiry, "明天18点前发货"))
    change = Correction(last.canonical_sha256, due_at=NOON_TOMORROW)
    refused("promises_max", lambda: world.tell(OWNER, lambda ctx: correct(ctx, dispute, last.id, change)))
    stated = Said(new_name(world), text="好的", promises=(Attached("ship", NOON_TOMORROW),))
    refused("promises_max", lambda: world.tell(OWNER, lambda ctx: receive_reply(ctx, inquiry, stated, key_id="k")))

    assert refusal.facts["most"] == PROMISES_MAX
    assert world.kinds(dispute) == before
    assert say(world, inquiry, "已经联系仓库核实") == ()
    press(world, dispute, last)
    assert promise_of(world, last.id).state == "confirmed"


def test_the_last_free_place_is_taken(world: World) -> None:
    """Both sides of the edge."""
    dispute, inquiry = ask(world)
    full_of_promises(world, dispute, PROMISES_MAX - 1)

    (found,) = say(world, inquiry, "明天18点前发货")
    refused("promises_max", lambda: say(world, inquiry, "明天12点前补偿您五块钱"))

    press(world, dispute, found)
    assert promise_of(world, found.id).state == "confirmed"


def test_a_message_of_more_promises_than_a_message_may_hold_says_how_many_were_left_out(world: World) -> None:
    """Nothing is dropped in silence: the entry counts what is not kept, and the words stand."""
    dispute, inquiry = ask(world)
    text = ";".join(f"明天{hour}点前补偿您{hour}元" for hour in range(7, 20))

    found = say(world, inquiry, text)

    (entry,) = facts(world, dispute, "promise.extracted")
    assert (len(found), len(entry["promises"]), entry["left_out"]) == (10, 10, 3)


# --- a ticket's answer ----------------------------------------------------------------------------------------------


def answer_ticket(world: World, dispute: str, text: str, *attached: Attached, actor: Any = OWNER) -> Any:
    wanted = TicketWanted("product", "请确认发货时间")
    ticket = world.tell(AGENT, lambda ctx: issue_manual_ticket(ctx, dispute, wanted))
    said = TicketAnswer(new_name(world), text, promises=attached)
    return world.tell(actor, lambda ctx: respond(ctx, ticket, said))


def test_a_tickets_answer_states_promises_in_fields_and_confirms_them_in_one_call(world: World) -> None:
    """lifecycle.md, Promise in words: sending the message with the structured promise attached, ticket or inquiry."""
    dispute = world.make_dispute()

    outcome = answer_ticket(world, dispute, "好的,明天中午前发货", Attached("ship", NOON_TOMORROW))

    confirmed = [p for p in outcome.promises if p.state == "confirmed"]
    assert [p.due_at for p in confirmed] == [NOON_TOMORROW]
    relay(world, dispute, confirmed[0].id)
    assert promise_of(world, confirmed[0].id).state == "relayed"


def test_a_tickets_words_that_say_otherwise_confirm_nothing(world: World) -> None:
    """The answer stands, its promises are kept as they were read."""
    dispute = world.make_dispute()

    outcome = answer_ticket(world, dispute, "今天发不了货", Attached("ship", NOON_TOMORROW))

    assert [(c.action, c.differs) for c in outcome.contradictions] == [("ship", "wording")]
    assert [p.state for p in outcome.promises] == ["extracted"]
    assert world.row(tables.Ticket).state == "responded"


def test_a_seat_that_may_not_commit_states_nothing_in_a_tickets_answer(world: World) -> None:
    """api.md section 3: confirm promise: a seat with `commit`; nothing of the answer is kept."""
    dispute = world.make_dispute()
    set_columns(world, tables.Seat, "seat-1", designated=True, may_commit=False)

    refused(
        "commit_not_permitted",
        lambda: answer_ticket(world, dispute, "好的", Attached("ship", NOON_TOMORROW), actor=SEAT),
    )

    assert world.row(tables.Ticket).state == "issued"
    assert world.rows(tables.Message) == []
