"""Buyer and merchant talk: what goes out, what is held or kept back, who reads it, and what may be quoted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import Absent, Conflict, Forbidden, GuardFailed, Refusal
from service.domain.messages import says_something
from service.flows.exchange_messages import Sent, list_messages
from service.store import tables
from service.store.quotations import Quotation, verify_quotation
from service.store.rulepacks import load_rule_book
from tests.conversing import ABUSES, BOASTS, POLITE, outcome, post, read, texts
from tests.judge import put
from tests.world import (
    AGENT,
    AUDITOR,
    BUYER,
    MARKETPLACE,
    OTHER_BUYER,
    OTHER_OWNER,
    OWNER,
    RULES,
    SEAT,
    SUPERVISOR,
    World,
)

# --- sending and reading --------------------------------------------------------------------------------------------


def test_both_sides_write_before_and_during_the_intervention(world: World) -> None:
    """The conversation goes on in every state until the dispute is closed."""
    for state in ("requested", "refused", "intervention_requested", "intervening", "ruled", "executing"):
        dispute_id = world.make_dispute(state)

        sent = post(world, BUYER, dispute_id, text="颜色和图片不一样")
        answer = outcome(world, SEAT, dispute_id, text=POLITE)

        assert isinstance(sent, Sent)
        assert answer.outcome == "sent"
        assert texts(world, BUYER, dispute_id) == ["颜色和图片不一样", POLITE]
        assert world.kinds(dispute_id) == ["dispute.requested", "buyer.message", "merchant.message"]
        assert sent.receipt.seq == 2


def test_words_stand_in_disclosures_only(world: World) -> None:
    """No message text in an entry's facts, a column or an event."""
    dispute_id = world.make_dispute("requested")
    secret = "我的电话是一三八零零"

    post(world, BUYER, dispute_id, text=secret)

    assert all(secret not in e.body.decode() for e in world.rows(tables.TranscriptEntry, dispute_id=dispute_id))
    assert all(secret not in str(row.payload) for row in world.rows(tables.Outbox, dispute_id=dispute_id))


def test_a_blocked_message_reaches_nobody_but_stays_in_the_evidence(world: World) -> None:
    """Promise 1: the attempt is stored; the buyer and the agent do not see it, supervisor, auditor and shop do."""
    dispute_id = world.make_dispute("intervening")

    blocked = outcome(world, SEAT, dispute_id, text=ABUSES)

    assert (blocked.outcome, blocked.direct_to_human) == ("notice", True)
    assert blocked.findings
    assert {actor.subject: texts(world, actor, dispute_id) for actor in (BUYER, AGENT)} == {
        "buyer-1": [],
        "agent-1": [],
    }
    assert all(texts(world, actor, dispute_id) == [ABUSES] for actor in (SEAT, OWNER, SUPERVISOR, AUDITOR))
    assert world.kinds(dispute_id)[-1] == "merchant.message_blocked"


def test_a_buyer_who_was_abused_is_passed_on_to_a_human(world: World) -> None:
    """A6 直连人工: announced as its own event, beside the measure."""
    dispute_id = world.make_dispute("requested")

    outcome(world, SEAT, dispute_id, text=ABUSES)

    events = [row.type for row in world.rows(tables.Outbox, dispute_id=dispute_id)]
    assert "moderation.measure_taken" in events
    assert "moderation.buyer_routed_to_human" in events


def test_a_held_message_goes_out_with_its_token_once(world: World) -> None:
    """suggest_edit: confirm, then the same text with the token; the token is used up and fits no other text."""
    dispute_id = world.make_dispute("requested")
    held = outcome(world, SEAT, dispute_id, text=BOASTS)
    assert (held.outcome, texts(world, BUYER, dispute_id)) == ("confirm", [])

    with pytest.raises(Conflict, match="confirm_token_invalid"):
        post(world, SEAT, dispute_id, text=BOASTS + "!", confirm_token=held.confirm_token)
    with pytest.raises(Conflict, match="confirm_token_invalid"):
        post(world, OWNER, dispute_id, text=BOASTS, confirm_token=held.confirm_token)
    sent = outcome(world, SEAT, dispute_id, text=BOASTS, confirm_token=held.confirm_token)
    with pytest.raises(Conflict, match="confirm_token_invalid"):
        post(world, SEAT, dispute_id, text=BOASTS, confirm_token=held.confirm_token)

    assert sent.outcome == "sent"
    assert texts(world, BUYER, dispute_id) == [BOASTS]


def test_a_token_is_no_good_once_the_rules_have_changed(world: World, tmp_path: Path) -> None:
    """Edge case 31: rule pack swapped between preview and send: what was held is judged anew."""
    dispute_id = world.make_dispute("requested")
    held = outcome(world, SEAT, dispute_id, text=BOASTS)
    shutil.copytree(RULES, tmp_path / "rules")
    pack = tmp_path / "rules" / "packs" / "abuse.yaml"
    pack.write_text(pack.read_text("utf-8").replace("version: ", "version: 10", 1), "utf-8")
    newer = load_rule_book(tmp_path / "rules")
    world.house = replace(world.house, rules=lambda: newer)

    with pytest.raises(Conflict, match="confirm_token_invalid"):
        post(world, SEAT, dispute_id, text=BOASTS, confirm_token=held.confirm_token)

    assert texts(world, BUYER, dispute_id) == []


def test_a_token_ends_after_ten_minutes(world: World) -> None:
    """Edge case 14: the confirm-or-edit window left open too long."""
    dispute_id = world.make_dispute("requested")
    held = outcome(world, SEAT, dispute_id, text=BOASTS)
    world.pass_time(minutes=10)

    with pytest.raises(Conflict, match="confirm_token_invalid"):
        post(world, SEAT, dispute_id, text=BOASTS, confirm_token=held.confirm_token)


def test_a_message_after_the_end_is_kept_and_not_delivered(world: World) -> None:
    """Edge case 29: posts after case close → 409, stored as a rejected attempt, not delivered."""
    dispute_id = world.make_dispute("closed", outcome="BUYER_WITHDREW", closed_at=world.now)

    answers = [post(world, actor, dispute_id, text=POLITE) for actor in (SEAT, BUYER)]

    assert [a.code for a in answers if isinstance(a, Refusal)] == ["dispute_closed", "dispute_closed"]
    assert [m.delivery for m in world.rows(tables.Message, dispute_id=dispute_id)] == ["late", "late"]
    assert world.kinds(dispute_id)[-2:] == ["merchant.message_late", "buyer.message_late"]


def test_nothing_that_says_nothing_is_sent(world: World) -> None:
    """Edge case 30: empty, whitespace, zero-width only; emoji only says something; 10,000 characters are too many."""
    dispute_id = world.make_dispute("requested")

    for empty in ("", "  \n\t", "\u200b\u200d\ufeff", "\u3000", "\u0301"):
        for actor in (BUYER, SEAT):
            with pytest.raises(GuardFailed, match="message_empty"):
                post(world, actor, dispute_id, text=empty)
    with pytest.raises(GuardFailed, match="text_length"):
        post(world, BUYER, dispute_id, text="好" * 10_000)
    post(world, BUYER, dispute_id, kind="emoji", text="😡👨‍👩‍👧")
    post(world, BUYER, dispute_id, text="好" * 2_000)

    assert [m.kind for m in world.rows(tables.Message, dispute_id=dispute_id)] == ["emoji", "text"]


def test_the_same_client_id_is_one_message_whatever_its_order(world: World) -> None:
    """Edge case 30: duplicate client_msg_id names the first message; out-of-order ids are as good as any."""
    dispute_id = world.make_dispute("requested")
    first = post(world, BUYER, dispute_id, client_message_id="m-9", text="第一条")
    post(world, BUYER, dispute_id, client_message_id="m-1", text="第二条")
    assert isinstance(first, Sent)

    with pytest.raises(Conflict, match="duplicate_message") as caught:
        post(world, BUYER, dispute_id, client_message_id="m-9", text="又是第一条")
    outcome(world, SEAT, dispute_id, client_message_id="m-9", text=POLITE)  # another sender's ids are its own

    assert caught.value.facts["message_id"] == first.message_id
    assert texts(world, BUYER, dispute_id) == ["第一条", "第二条", POLITE]


def test_strangers_neither_read_nor_write(world: World) -> None:
    """Edge case 55; nobody but the two parties writes here."""
    dispute_id = world.make_dispute("requested")

    for actor in (OTHER_BUYER, OTHER_OWNER, AGENT):  # the platform has not been called
        with pytest.raises(Absent):
            read(world, actor, dispute_id)
    for actor in (OTHER_BUYER, OTHER_OWNER, AGENT, SUPERVISOR, AUDITOR, MARKETPLACE):
        with pytest.raises(Absent):
            post(world, actor, dispute_id, text=POLITE)


def test_a_seat_that_is_switched_off_writes_nothing(world: World) -> None:
    """Edge case 57: token of a disabled sub-account."""
    dispute_id = world.make_dispute("requested")
    put(world, tables.Seat, "seat-1", active=False)

    with pytest.raises(Forbidden, match="seat_inactive"):
        post(world, SEAT, dispute_id, text=POLITE)


def test_what_the_merchant_promises_the_buyer_is_kept_unconfirmed(world: World) -> None:
    """api.md section 2: a sent message carries the promises found; only an explicit act confirms one."""
    dispute_id = world.make_dispute("requested")

    answer = outcome(world, SEAT, dispute_id, text="今天下午六点前给您发货")

    assert answer.outcome == "sent"
    assert [p.state for p in world.rows(tables.Promise, dispute_id=dispute_id)] == ["extracted"] * len(answer.promises)
    assert answer.promises


def test_a_long_conversation_is_read_page_by_page(world: World) -> None:
    """Keyset by the place in the transcript."""
    dispute_id = world.make_dispute("requested")
    for number in range(5):
        post(world, BUYER, dispute_id, text=f"第{number}条")

    seen: list[str | None] = []
    after = 0
    while True:
        page = world.tell(BUYER, lambda ctx, after=after: list_messages(ctx, dispute_id, after_seq=after, limit=2))
        seen += [line.text for line in page[:2]]
        if len(page) <= 2:
            break
        after = page[1].message.seq

    assert seen == [f"第{number}条" for number in range(5)]


# --- quotations (B4) ------------------------------------------------------------------------------------------------


SAYABLE = st.characters(codec="utf-8", exclude_characters="\0")  # the edge takes no NUL


@given(
    text=st.text(SAYABLE, min_size=1, max_size=40),
    start=st.integers(-2, 42),
    end=st.integers(-2, 42),
    said=st.text(max_size=4),
)
def test_a_quotation_holds_exactly_where_its_words_stand(text: str, start: int, end: int, said: str) -> None:
    """B4: code points, half-open, verified against the stored words, whatever the words are."""
    session = _OneMessage(text)
    quoted = text[start:end] if 0 <= start < end <= len(text) else said
    true = 0 <= start < end <= len(text)

    try:
        verify_quotation(session, "d", Quotation("m", start, end, quoted))
        held = True
    except GuardFailed:
        held = False
    assert held == true
    if true and said != quoted:
        with pytest.raises(GuardFailed):
            verify_quotation(session, "d", Quotation("m", start, end, said))


class _OneMessage:
    """A session in which one message stands."""

    def __init__(self, text: str) -> None:
        from service.domain.transcript import disclosure

        self.row = tables.Message(
            id="m", dispute_id="d", thread_id="d", conversation="dispute", seq=1, delivery="delivered"
        )
        self.words = tables.DisclosureRow(
            dispute_id="d",
            seq=1,
            position=0,
            name="text",
            digest=b"",
            body=disclosure(salt=b"s" * 32, name="text", value=text).body,
        )

    def get(self, model: Any, key: str) -> Any:
        return self.row if key == "m" else None

    def exec(self, statement: Any) -> list[tables.DisclosureRow]:
        return [self.words]


@given(st.text(alphabet="\u200b\u200c\u200d\ufeff \t\n\u3000\u0301\u2060", max_size=20))
def test_invisible_characters_say_nothing(text: str) -> None:
    """Edge case 30: zero-width only."""
    assert not says_something(text)
    assert says_something(text + "嗯")
