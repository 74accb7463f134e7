"""No chasing (D11): chat first, two calls a day, a bound of messages in a row; what is over it is refused and kept."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.contact import next_day, shops_day
from service.domain.errors import Absent, Conflict, Forbidden, Refusal
from service.domain.policy import DEFAULT
from service.flows.exchange_messages import Said, Sent, list_messages, post_message
from service.flows.heard import Outcome
from service.flows.log_call import Call, list_calls, log_call
from service.store import tables
from service.store.engine import Transaction
from service.store.writes import Plan
from tests.over_http import HttpWorld
from tests.world import AGENT, AUDITOR, BUYER, OTHER_OWNER, OWNER, SEAT, START, SUPERVISOR, World

POLITE = "亲,包裹显示已签收,请问您收到了吗"
WAIT = DEFAULT.contact_call_after
MOST = DEFAULT.contact_unanswered_messages_max


def write(world: World, actor: Any, dispute_id: str, text: str = POLITE) -> Any:
    name = f"m-{next(world.numbers)}"
    return world.tell(actor, lambda ctx: post_message(ctx, dispute_id, Said(name, text=text)))


def call(world: World, dispute_id: str, actor: Any = SEAT, **said: Any) -> Any:
    return world.tell(actor, lambda ctx: log_call(ctx, dispute_id, Call(**{"reached": False} | said)))


def unanswered(world: World, **columns: Any) -> str:
    """A dispute in which the shop wrote long enough ago to call."""
    dispute_id = world.make_dispute("intervening", **columns)
    write(world, SEAT, dispute_id)
    world.now += WAIT
    return dispute_id


def attempts(world: World, dispute_id: str) -> list[str]:
    return [
        each.attempt.state for each in world.tell(SEAT, lambda ctx: list_calls(ctx, dispute_id, after_seq=0, limit=9))
    ]


# --- chat first -----------------------------------------------------------------------------------------------------


def test_a_call_before_any_message_is_refused_and_recorded(world: World) -> None:
    """D11: chat first; the refusal is answered after its entry is written."""
    dispute_id = world.make_dispute("intervening")

    refused = call(world, dispute_id, reached=True, note="不应记录")

    assert isinstance(refused, Conflict)
    assert (refused.code, refused.facts["cap"], refused.facts["opens_at"]) == (
        "contact_cap_reached",
        "chat_first",
        None,
    )
    assert world.kinds(dispute_id)[-1] == "merchant.call_refused"
    row = world.row(tables.ContactAttempt, dispute_id=dispute_id)
    assert (row.state, row.reached, row.day, row.seat_id) == ("refused", False, "2026-11-23", "seat-1")
    assert world.rows(tables.DisclosureRow, dispute_id=dispute_id) == []


def test_a_message_stays_unanswered_from_half_an_hour_on(world: World) -> None:
    """Both sides of the edge, counted from the first message in the row; writing again does not move it."""
    dispute_id = world.make_dispute("intervening")
    write(world, SEAT, dispute_id)
    world.now += WAIT - timedelta(microseconds=1)
    write(world, OWNER, dispute_id, "亲,看到请回复一下哦")

    early = call(world, dispute_id)
    world.now += timedelta(microseconds=1)
    logged = call(world, dispute_id, reached=True, note="买家说晚点看消息")

    assert early.facts["opens_at"] == "2026-11-23T02:30:00.000000Z"
    assert isinstance(logged, str)
    assert attempts(world, dispute_id) == ["refused", "logged"]


def test_a_buyer_who_has_answered_is_not_called(world: World) -> None:
    """D11: a call only where the message stays unanswered."""
    dispute_id = unanswered(world)
    write(world, BUYER, dispute_id, "收到了,但是颜色不对")

    assert call(world, dispute_id).facts["cap"] == "chat_first"


def test_an_attempt_that_was_blocked_is_no_message_to_the_buyer(world: World) -> None:
    """What nobody received cannot stay unanswered."""
    dispute_id = world.make_dispute("intervening")
    write(world, SEAT, dispute_id, "你自己不会看吗")
    world.now += WAIT

    assert call(world, dispute_id).facts["cap"] == "chat_first"


# --- two calls a day ------------------------------------------------------------------------------------------------


def test_the_third_call_of_a_day_is_refused_and_recorded(world: World) -> None:
    """D11: at most two calls per buyer and day, whichever seat dials."""
    dispute_id = unanswered(world)
    first, second = call(world, dispute_id), call(world, dispute_id, OWNER)

    third = call(world, dispute_id)

    assert isinstance(first, str)
    assert isinstance(second, str)
    assert isinstance(third, Conflict)
    assert (third.facts["cap"], third.facts["most"]) == ("calls_per_day", 2)
    assert third.facts["opens_at"] == "2026-11-23T16:00:00.000000Z"
    assert world.kinds(dispute_id)[-3:] == ["merchant.call_logged", "merchant.call_logged", "merchant.call_refused"]
    assert attempts(world, dispute_id) == ["logged", "logged", "refused"]


def test_the_day_ends_at_midnight_in_shanghai(world: World) -> None:
    """16:00 UTC: one microsecond earlier is the old day, whatever the day is in London."""
    dispute_id = unanswered(world)
    call(world, dispute_id)
    call(world, dispute_id)
    midnight = datetime(2026, 11, 23, 16, tzinfo=UTC)

    world.now = midnight - timedelta(microseconds=1)
    before = call(world, dispute_id)
    world.now = midnight
    after = call(world, dispute_id)

    assert before.facts["cap"] == "calls_per_day"
    assert isinstance(after, str)
    days = Counter((row.day, row.state) for row in world.rows(tables.ContactAttempt, dispute_id=dispute_id))
    assert days == {("2026-11-23", "logged"): 2, ("2026-11-23", "refused"): 1, ("2026-11-24", "logged"): 1}


def test_the_day_is_the_one_on_which_the_attempt_was_received(world: World) -> None:
    """Worked on after midnight, received before: the old day's call."""
    dispute_id = unanswered(world)
    world.now = datetime(2026, 11, 23, 16, 0, 2, tzinfo=UTC)
    received = world.now - timedelta(seconds=3)

    world.tell(SEAT, lambda ctx: log_call(ctx, dispute_id, Call(reached=False)), received_at=received)

    assert world.row(tables.ContactAttempt, dispute_id=dispute_id).day == "2026-11-23"


def test_the_cap_is_of_shop_and_buyer_over_all_their_disputes(world: World) -> None:
    """Two disputes of one buyer share it; another buyer has his own."""
    one, other = unanswered(world), unanswered(world)
    stranger = unanswered(world, line=world.place_order(buyer="buyer-2"))
    for dispute_id in (one, other):
        assert isinstance(call(world, dispute_id), str)

    assert call(world, one).facts["cap"] == "calls_per_day"
    assert isinstance(call(world, stranger), str)


@pytest.mark.parametrize("disputes", [1, 2])
def test_calls_at_once_cannot_pass_the_cap(world: World, disputes: int) -> None:
    """Eight seats dial together, in one dispute and over two: two calls are logged, the others refused and recorded."""
    cases = [unanswered(world) for _ in range(disputes)]

    def dial(dispute_id: str, actor: Any) -> Any:
        def work(tx: Transaction) -> Any:
            ctx = world.house.context(tx, actor=actor, now=world.now, received_at=world.now)
            answer = log_call(ctx, dispute_id, Call(reached=False))
            tx.apply([ctx.plan])
            return answer

        return world.database.submit(work)

    asked = [dial(cases[n % disputes], (SEAT, OWNER)[n % 2]) for n in range(8)]
    answers = [each.result() for each in asked]

    assert sum(isinstance(each, str) for each in answers) == 2
    assert [each.code for each in answers if isinstance(each, Refusal)] == ["contact_cap_reached"] * 6
    states = Counter(row.state for row in world.rows(tables.ContactAttempt))
    assert states == {"logged": 2, "refused": 6}


@given(st.integers(0, 200 * 365 * 86_400 * 10**6).map(lambda us: START + timedelta(microseconds=us)))
def test_a_day_lasts_until_the_next_one_begins(at: datetime) -> None:
    """Whatever the instant: the next day is another one, a microsecond before it is still this one."""
    opens = next_day(at)

    assert shops_day(opens) != shops_day(at) == shops_day(opens - timedelta(microseconds=1))
    assert timedelta(0) < opens - at <= timedelta(days=1)


# --- who, and what they say -----------------------------------------------------------------------------------------


def test_the_note_of_a_call_is_judged_like_every_text_of_a_shop(world: World) -> None:
    """Promise 1: what is not let out logs no call, and stands as an attempt."""
    dispute_id = unanswered(world)

    stopped = call(world, dispute_id, note="买家是个傻逼")

    assert isinstance(stopped, Outcome)
    assert not stopped.is_sent
    assert world.kinds(dispute_id)[-1] == "merchant.call_note_blocked"
    assert attempts(world, dispute_id) == []


def test_only_the_shop_logs_and_the_buyer_never_reads(world: World) -> None:
    """Edge case 55: another shop's is absent; the platform and auditors read what was logged."""
    dispute_id = unanswered(world)
    call(world, dispute_id, note="无人接听")

    for reader in (OWNER, AGENT, SUPERVISOR, AUDITOR):
        (seen,) = world.tell(reader, lambda ctx: list_calls(ctx, dispute_id, after_seq=0, limit=9))
        assert (seen.attempt.state, seen.note) == ("logged", "无人接听")
    with pytest.raises(Absent):
        world.tell(BUYER, lambda ctx: list_calls(ctx, dispute_id, after_seq=0, limit=9))
    with pytest.raises(Absent):
        call(world, dispute_id, OTHER_OWNER)


def test_a_seat_that_is_switched_off_and_a_closed_dispute_take_no_call(world: World) -> None:
    """Nothing is left behind by either."""
    dispute_id = unanswered(world)
    plan = Plan()
    plan.update(tables.Seat, "seat-1", active=False)
    world.database.run(lambda tx: tx.apply([plan]))

    with pytest.raises(Forbidden) as off:
        call(world, dispute_id)
    closing = Plan()
    closing.update(tables.Dispute, dispute_id, state="closed", closed_at=world.now, outcome="BUYER_WITHDREW")
    world.database.run(lambda tx: tx.apply([closing]))
    with pytest.raises(Conflict) as closed:
        call(world, dispute_id, OWNER)

    assert (off.value.code, closed.value.code) == ("seat_inactive", "dispute_closed")
    assert world.rows(tables.ContactAttempt) == []


# --- messages in a row ----------------------------------------------------------------------------------------------


def test_messages_in_a_row_are_capped_until_the_buyer_answers(world: World) -> None:
    """D11: one too many is refused with 409 and kept as a blocked attempt that the buyer never sees."""
    dispute_id = world.make_dispute("intervening")
    for number in range(MOST):
        assert write(world, SEAT, dispute_id, f"亲,这是第{number}件的物流截图").outcome == "sent"

    refused = write(world, OWNER, dispute_id)
    answered = write(world, BUYER, dispute_id, "看到了")
    again = write(world, OWNER, dispute_id)

    assert isinstance(refused, Conflict)
    assert (refused.code, refused.facts["cap"], refused.facts["most"]) == (
        "contact_cap_reached",
        "unanswered_messages",
        MOST,
    )
    assert isinstance(answered, Sent)
    assert again.outcome == "sent"
    assert world.kinds(dispute_id)[MOST + 1] == "merchant.message_over_cap"
    lines = world.tell(BUYER, lambda ctx: list_messages(ctx, dispute_id, after_seq=0, limit=50))
    assert len(lines) == MOST + 2


def test_words_that_break_a_rule_are_answered_as_such_whatever_the_cap(world: World) -> None:
    """The measure is the answer; nothing would have gone out anyway."""
    dispute_id = world.make_dispute("intervening")
    for number in range(MOST):
        write(world, SEAT, dispute_id, f"亲,这是第{number}件的物流截图")

    assert write(world, SEAT, dispute_id, "你自己不会看吗").outcome == "edit"


# --- over HTTP ------------------------------------------------------------------------------------------------------


def test_over_http_a_call_is_logged_read_and_refused_over_the_cap(http: HttpWorld) -> None:
    """201, 201, 409 contact_cap_reached; the same key again gives the same refusal; the auditor reads all three."""
    dispute = http.open_one()
    path = f"/disputes/{dispute}/contact-attempts"
    http.post("seat", f"/disputes/{dispute}/messages", {"client_message_id": "m-1", "text": POLITE})
    http.now = START + WAIT

    logged = [http.post(user, path, {"reached": False, "note": "无人接听"}) for user in ("seat", "owner")]
    refused = http.post("seat", path, {}, key="over-the-cap")
    again = http.post("seat", path, {}, key="over-the-cap")

    assert [each.status_code for each in logged] == [201, 201], logged[0].text
    assert (logged[0].json()["state"], logged[0].json()["day"], logged[0].json()["note"]) == (
        "logged",
        "2026-11-23",
        "无人接听",
    )
    assert [(each.status_code, each.json()["code"], each.json()["cap"]) for each in (refused, again)] == [
        (409, "contact_cap_reached", "calls_per_day")
    ] * 2
    page = http.get("auditor", path, limit=2).json()
    rest = http.get("auditor", path, limit=2, cursor=page["next_cursor"]).json()
    assert [each["state"] for each in page["items"] + rest["items"]] == ["logged", "logged", "refused"]
    assert http.get("buyer", path).status_code == 403
    assert http.post("agent", path, {}).status_code == 403


def test_a_dry_run_says_whether_a_call_may_be_made_and_keeps_nothing(http: HttpWorld) -> None:
    """`Prefer: dry-run`: asked before dialling."""
    dispute = http.open_one()
    path = f"/disputes/{dispute}/contact-attempts"

    asked = http.post("seat", path, {}, Prefer="dry-run")

    assert (asked.status_code, asked.json()["cap"]) == (409, "chat_first")
    assert http.get("owner", path).json()["items"] == []
