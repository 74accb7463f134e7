"""A conversation over HTTP: pages, pictures, a closed dispute, and a text judged without a trace."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Any

from service.store import tables
from tests.conversing import ABUSES, BOASTS, POLITE
from tests.over_http import HttpWorld


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
