"""Buyer and merchant talk: what each may send, what the other sees, what is kept, and what may be quoted."""

from __future__ import annotations

import hashlib
import shutil
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import Absent, Conflict, Forbidden, GuardFailed, Refusal
from service.domain.messages import says_something
from service.domain.staff import Actor
from service.flows.exchange_messages import Line, Said, Sent, file_shown, list_messages, post_message
from service.flows.heard import Outcome
from service.flows.upload_file import keep_upload
from service.store import tables
from service.store.files import StoredFile
from service.store.quotations import Quotation, verify_quotation
from service.store.rulepacks import load_rule_book
from service.store.writes import Plan
from tests.over_http import HttpWorld
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

POLITE = "您好,请问衣服哪里不满意呢"
BOASTS = "我们这是全国最好的面料"  # suggest_edit in a conversation with a buyer
ABUSES = "你这个骗子,滚"  # reject_with_notice, and the buyer goes to a human


def post(world: World, actor: Actor, dispute_id: str, **said: Any) -> Outcome | Sent | Refusal:
    whole = Said(**{"client_message_id": f"c-{next(world.numbers)}"} | said)
    return world.tell(actor, lambda ctx: post_message(ctx, dispute_id, whole))


def outcome(world: World, actor: Actor, dispute_id: str, **said: Any) -> Outcome:
    answer = post(world, actor, dispute_id, **said)
    assert isinstance(answer, Outcome)
    return answer


def read(world: World, actor: Actor, dispute_id: str) -> list[Line]:
    return world.tell(actor, lambda ctx: list_messages(ctx, dispute_id, after_seq=0, limit=200))


def texts(world: World, actor: Actor, dispute_id: str) -> list[str | None]:
    return [line.text for line in read(world, actor, dispute_id)]


def upload(world: World, actor: Actor, dispute_id: str, content: bytes, media_type: str) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    stored = StoredFile(sha256, len(content), media_type)
    world.tell(actor, lambda ctx: keep_upload(ctx, dispute_id, "message", stored))
    return sha256


def set_row(world: World, model: Any, row_id: str, **columns: object) -> None:
    plan = Plan()
    plan.update(model, row_id, **columns)
    world.database.run(lambda tx: tx.apply([plan]))


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
    set_row(world, tables.Seat, "seat-1", active=False)

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
        page = world.tell(BUYER, lambda ctx, after=after: list_messages(ctx, dispute_id, after_seq=after, limit=2))  # type: ignore[misc]
        seen += [line.text for line in page[:2]]
        if len(page) <= 2:
            break
        after = page[1].message.seq

    assert seen == [f"第{number}条" for number in range(5)]


# --- pictures, voice, order cards -----------------------------------------------------------------------------------


def test_a_voice_clip_is_the_buyers_alone(world: World) -> None:
    """Issue item 8: buyers' voice clips are stored; a merchant's could not be judged and is not taken."""
    dispute_id = world.make_dispute("requested")
    clips = {actor: upload(world, actor, dispute_id, b"clip", "audio/amr") for actor in (BUYER, SEAT)}

    post(world, BUYER, dispute_id, kind="voice", attachment=clips[BUYER])
    with pytest.raises(GuardFailed, match="message_kind_refused"):
        post(world, SEAT, dispute_id, kind="voice", attachment=clips[SEAT])

    assert world.row(tables.Message, dispute_id=dispute_id).attachment == clips[BUYER]


def test_a_message_shows_only_a_file_of_its_own_side_and_type(world: World) -> None:
    """Edge case 30: image only, voice; by reference to a file that was uploaded to this dispute."""
    dispute_id, other = world.make_dispute("requested"), world.make_dispute("requested")
    picture = upload(world, BUYER, dispute_id, b"picture", "image/png")
    clip = upload(world, BUYER, dispute_id, b"clip", "audio/amr")
    elsewhere = upload(world, BUYER, other, b"elsewhere", "image/png")

    for kind, attachment, code in (
        ("image", None, "attachment_missing"),
        ("image", elsewhere, "attachment_unknown"),
        ("image", clip, "attachment_of_other_type"),
        ("voice", picture, "attachment_of_other_type"),
        ("text", picture, "attachment_unwanted"),
    ):
        with pytest.raises(GuardFailed, match=code):
            post(world, BUYER, dispute_id, kind=kind, text="看图", attachment=attachment)
    with pytest.raises(GuardFailed, match="attachment_unknown"):
        post(world, SEAT, dispute_id, kind="image", attachment=picture)
    post(world, BUYER, dispute_id, kind="image", attachment=picture)

    assert [m.kind for m in world.rows(tables.Message)] == ["image"]


def test_the_caption_of_a_merchants_picture_is_judged_too(world: World) -> None:
    """Every merchant text field goes the same way."""
    dispute_id = world.make_dispute("requested")
    picture = upload(world, SEAT, dispute_id, b"picture", "image/png")

    assert outcome(world, SEAT, dispute_id, kind="image", text=ABUSES, attachment=picture).outcome == "notice"


def test_an_order_card_is_of_an_order_between_these_two(world: World) -> None:
    """Edge case 30: order card; nobody else's order can be shown, nor one that is not there."""
    dispute_id = world.make_dispute("requested")
    ours = f"order-{world.place_order()}"
    theirs = f"order-{world.place_order(buyer='buyer-2')}"

    post(world, BUYER, dispute_id, kind="order_card", attachment=ours)
    for order_id in (theirs, "order-nowhere"):
        with pytest.raises(GuardFailed, match="order_card_unknown"):
            post(world, SEAT, dispute_id, kind="order_card", attachment=order_id)

    assert world.row(tables.Message, dispute_id=dispute_id).attachment == ours


def test_a_file_is_shown_once_a_delivered_message_shows_it(world: World) -> None:
    """A file is its uploader's until a message that went out, or a refusal, shows it."""
    dispute_id = world.make_dispute("requested")
    picture = upload(world, SEAT, dispute_id, b"picture", "image/png")

    def shown(actor: Actor) -> bool:
        try:
            world.tell(actor, lambda ctx: file_shown(ctx, dispute_id, picture))
        except Absent:
            return False
        return True

    before = [shown(actor) for actor in (SEAT, OWNER, BUYER, SUPERVISOR, OTHER_OWNER)]
    outcome(world, SEAT, dispute_id, kind="image", text=ABUSES, attachment=picture)
    blocked = shown(BUYER)
    outcome(world, OWNER, dispute_id, kind="image", text=POLITE, attachment=picture)

    assert before == [True, True, False, True, False]
    assert (blocked, shown(BUYER)) == (False, True)


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
        verify_quotation(session, "d", Quotation("m", start, end, quoted))  # type: ignore[arg-type]
        held = True
    except GuardFailed:
        held = False
    assert held == true
    if true and said != quoted:
        with pytest.raises(GuardFailed):
            verify_quotation(session, "d", Quotation("m", start, end, said))  # type: ignore[arg-type]


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


# --- over HTTP ------------------------------------------------------------------------------------------------------


def png(comment: bytes = b"") -> bytes:
    """A picture of one grey point, with a comment if one is given."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    said = chunk(b"tEXt", b"Comment\0" + comment) if comment else b""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    points = chunk(b"IDAT", zlib.compress(b"\x00\x80"))
    return b"\x89PNG\r\n\x1a\n" + head + said + points + chunk(b"IEND", b"")


def send(http: HttpWorld, user: str, dispute_id: str, **said: Any) -> Any:
    body = {"client_message_id": f"c-{next(http.numbers)}"} | said
    return http.post(user, f"/disputes/{dispute_id}/messages", body)


def test_a_conversation_over_http(http: HttpWorld) -> None:
    """Outcomes have one shape and their statuses; the client's own clock is never used (edge case 16)."""
    dispute_id = http.open_one()

    bought = send(http, "buyer", dispute_id, text="颜色不一样", sent_at="2031-01-01T00:00:00Z")
    sold = send(http, "seat", dispute_id, text=POLITE, sent_at="1999-01-01T00:00:00Z")
    held = send(http, "seat", dispute_id, text=BOASTS)
    anyway = send(http, "seat", dispute_id, text=BOASTS, confirm_token=held.json()["confirm_token"])
    blocked = send(http, "seat", dispute_id, text=ABUSES)
    stopped = send(http, "seat", dispute_id, text=POLITE)
    notice = http.post("seat", f"/moderation/notices/{stopped.json()['notice_id']}/acknowledge", {})
    after = send(http, "seat", dispute_id, text=POLITE)

    told = [(a.status_code, a.json()["outcome"]) for a in (bought, sold, held, anyway, blocked, stopped, after)]
    assert told == [
        (201, "sent"),
        (201, "sent"),
        (202, "confirm"),
        (201, "sent"),
        (403, "notice"),
        (403, "notice"),
        (201, "sent"),
    ]
    assert notice.status_code == 200
    assert blocked.json()["notice_id"] == stopped.json()["notice_id"] == notice.json()["id"]
    seen = http.get("buyer", f"/disputes/{dispute_id}/messages").json()["items"]
    assert [line["text"] for line in seen] == ["颜色不一样", POLITE, BOASTS, POLITE]
    assert {line["received_at"] for line in seen} == {"2026-11-23T02:00:00.000000Z"}


def test_pages_of_a_conversation_link_on(http: HttpWorld) -> None:
    """RFC 8288 links and cursors."""
    dispute_id = http.open_one()
    for number in range(3):
        send(http, "buyer", dispute_id, text=f"第{number}条")

    first = http.get("buyer", f"/disputes/{dispute_id}/messages", limit=2)
    second = http.get("buyer", f"/disputes/{dispute_id}/messages", limit=2, cursor=first.json()["next_cursor"])

    assert 'rel="next"' in first.headers["Link"]
    assert [line["text"] for line in first.json()["items"] + second.json()["items"]] == ["第0条", "第1条", "第2条"]
    assert second.json()["next_cursor"] is None


def upload_over_http(http: HttpWorld, user: str, dispute_id: str, content: bytes, media_type: str) -> Any:
    return http.client.post(
        f"/v1/disputes/{dispute_id}/files",
        params={"purpose": "message"},
        content=content,
        headers=http.as_(user) | {"Content-Type": media_type},
    )


def test_a_picture_is_uploaded_sent_and_seen(http: HttpWorld) -> None:
    """By reference: every byte to its own side, without where it was taken to the other; never run by a browser."""
    dispute_id, picture = http.open_one(), png(comment=b"taken at home")

    sha256 = upload_over_http(http, "buyer", dispute_id, picture, "image/png").json()["sha256"]
    words = upload_over_http(http, "buyer", dispute_id, "只是文字".encode(), "text/plain").json()["sha256"]
    path = f"/disputes/{dispute_id}/files/{sha256}"
    hidden = http.get("seat", path)
    sent = send(http, "buyer", dispute_id, kind="image", attachment=sha256)
    wordy = send(http, "buyer", dispute_id, kind="image", attachment=words)
    shared, own = http.get("seat", path), http.get("buyer", path)

    assert sha256 == hashlib.sha256(picture).hexdigest()
    assert (hidden.status_code, sent.status_code, shared.status_code, own.status_code) == (404, 201, 200, 200)
    assert (wordy.status_code, wordy.json()["code"]) == (422, "attachment_of_other_type")
    assert own.content == picture
    assert shared.content == png()
    assert (shared.headers["Content-Type"], shared.headers["Content-Disposition"]) == ("image/png", "attachment")
    assert http.get("buyer-2", path).status_code == 404
    assert http.get("buyer", f"/disputes/{dispute_id}/files/{'0' * 64}").status_code == 404


def test_a_closed_dispute_takes_no_more_words_or_files(http: HttpWorld) -> None:
    """Edge case 29 over HTTP: 409 `dispute_closed`, again for the same key."""
    dispute_id = http.open_one()
    http.act("buyer", dispute_id, "withdraw")
    body = {"client_message_id": "late-1", "text": POLITE}

    first = http.post("seat", f"/disputes/{dispute_id}/messages", body, key="key-of-the-late")
    again = http.post("seat", f"/disputes/{dispute_id}/messages", body, key="key-of-the-late")
    file = upload_over_http(http, "seat", dispute_id, png(), "image/png")

    assert [(a.status_code, a.json()["code"]) for a in (first, again, file)] == [(409, "dispute_closed")] * 3
    assert [m.delivery for m in http.rows(tables.Message)] == ["late"]


def test_a_text_is_judged_without_a_trace(http: HttpWorld) -> None:
    """`/moderation/check`: the same rules, nothing stored, no key needed; buyers have nothing to check."""
    dispute_id = http.open_one()
    entries = len(http.rows(tables.TranscriptEntry))

    def check(user: str, **said: Any) -> Any:
        headers = {name: value for name, value in http.as_(user).items() if name != "Idempotency-Key"}
        return http.client.post("/v1/moderation/check", json=said, headers=headers)

    abuse = check("seat", text=ABUSES, channel="buyer_chat")
    polite = check("rules-editor", text=POLITE, channel="buyer_chat", platform="douyin")

    assert (abuse.status_code, abuse.json()["outcome"], abuse.json()["direct_to_human"]) == (200, "notice", True)
    assert (polite.json()["measure"], polite.json()["outcome"]) == ("none", "sent")
    assert all(ABUSES[f["start"] : f["end"]] == f["matched"] for f in abuse.json()["findings"])
    assert check("buyer", text=POLITE).status_code == 403
    assert check("seat", text=POLITE, channel="telepathy").status_code == 400
    assert (http.rows(tables.Offence), http.rows(tables.Notice)) == ([], [])
    assert len(http.rows(tables.TranscriptEntry)) == entries
    assert send(http, "seat", dispute_id, text=POLITE).json()["outcome"] == "sent"
