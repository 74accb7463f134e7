"""Pictures over HTTP: codes in them are judged on every road a shop's file takes, and bombs are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from service.store import tables
from service.store.engine import Transaction
from tests.one_of_each import EXAMPLES
from tests.over_http import HttpWorld, done, new_http_world
from tests.pictures import WECHAT, file_of, photo, png_that_says
from tests.pictures_http import GUILTY, INNOCENT, at_the_platform, kept, upload


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[HttpWorld]:
    with new_http_world(database, tmp_path) as world:
        yield world


# --- the roads of a shop's file -------------------------------------------------------------------------------------

Send = Callable[[str], Response]  # from the fingerprint of an uploaded file
Road = Callable[[HttpWorld], tuple[str, Send]]


def picture(world: HttpWorld, sha256: str, kind: str | None = "image") -> dict[str, Any]:
    named = {"client_message_id": f"p-{next(world.numbers)}", "attachment": sha256}
    return named if kind is None else named | {"kind": kind}


def in_a_message(world: HttpWorld) -> tuple[str, Send]:
    dispute = world.open_one()
    return dispute, lambda sha256: world.post("owner", f"/disputes/{dispute}/messages", picture(world, sha256))


def in_an_inquiry(world: HttpWorld) -> tuple[str, Send]:
    dispute = at_the_platform(world)
    inquiry = done(world.post("agent", f"/disputes/{dispute}/inquiries", EXAMPLES["openInquiry"]), 201)["id"]
    return dispute, lambda sha256: world.post("owner", f"/inquiries/{inquiry}/messages", picture(world, sha256))


def in_a_ticket(world: HttpWorld) -> tuple[str, Send]:
    dispute = at_the_platform(world)
    asked = world.post("agent", "/service-tickets", EXAMPLES["issueTicket"] | {"dispute_id": dispute})
    ticket = done(asked, 201)["id"]
    body = {"text": "已联系快递,今天揽收"}
    return dispute, lambda sha256: world.post(
        "owner", f"/service-tickets/{ticket}/respond", body | picture(world, sha256, kind=None)
    )


def as_evidence(world: HttpWorld) -> tuple[str, Send]:
    dispute = at_the_platform(world)
    return dispute, lambda sha256: world.post("owner", f"/disputes/{dispute}/evidence", {"sha256": sha256})


def as_proof_of_a_refusal(world: HttpWorld) -> tuple[str, Send]:
    dispute = world.open_one()
    return dispute, lambda sha256: world.act(
        "owner", dispute, "seller-refuse", EXAMPLES["refuseRequest"] | {"proof": [sha256]}
    )


def with_a_return_problem(world: HttpWorld) -> tuple[str, Send]:
    dispute = world.open_one(type="return_refund")
    done(world.act("owner", dispute, "seller-agree-return", EXAMPLES["agreeReturn"]), 200)
    done(world.act("buyer", dispute, "ship-return", EXAMPLES["shipReturn"]), 200)
    return dispute, lambda sha256: world.act(
        "owner", dispute, "report-return-problem", {"ack": "DAMAGED", "evidence": [sha256]}
    )


def as_proof_of_a_promise(world: HttpWorld) -> tuple[str, Send]:
    dispute = at_the_platform(world)
    inquiry = done(world.post("agent", f"/disputes/{dispute}/inquiries", EXAMPLES["openInquiry"]), 201)["id"]
    done(world.post("owner", f"/inquiries/{inquiry}/messages", EXAMPLES["answerInquiry"]), 201)
    (promise,) = done(world.get("agent", f"/disputes/{dispute}/promises"), 200)["items"]
    path = f"/disputes/{dispute}/promises/{promise['id']}"
    done(world.post("owner", f"{path}/confirm", {"canonical_sha256": promise["canonical_sha256"]}), 200)
    done(world.post("agent", f"{path}/relay", EXAMPLES["relayPromise"]), 201)
    return dispute, lambda sha256: world.post("owner", f"{path}/fulfil", {"files": [sha256]})


def with_an_appeal(world: HttpWorld) -> tuple[str, Send]:
    dispute = at_the_platform(world)
    sha256 = kept(world, "buyer", dispute, file_of(photo()))
    item = done(world.post("buyer", f"/disputes/{dispute}/evidence", {"sha256": sha256}), 201)["id"]
    requests = done(world.get("buyer", f"/disputes/{dispute}/evidence-requests"), 200)["items"]
    mine = next(each["id"] for each in requests if each["party"] == "buyer")
    done(world.post("buyer", f"/evidence-requests/{mine}/submit", EXAMPLES["submitEvidence"]), 200)
    ruling = EXAMPLES["issueRuling"] | {"cites": [{"evidence_id": item}]}
    done(world.act("agent", dispute, "issue-ruling", ruling), 200)
    return dispute, lambda sha256: world.act(
        "owner", dispute, "appeal", {"ground": "new_evidence", "note": "补充了质检报告", "files": [{"sha256": sha256}]}
    )


ROADS = (
    in_a_message,
    in_an_inquiry,
    in_a_ticket,
    as_evidence,
    as_proof_of_a_refusal,
    with_a_return_problem,
    as_proof_of_a_promise,
    with_an_appeal,
)


@pytest.mark.parametrize("road", ROADS)
def test_a_code_that_leads_off_the_platform_stops_the_picture_on_every_road(world: HttpWorld, road: Road) -> None:
    """D1, promise 1: 403 with a notice; verdict and offence are kept like those of words, and nothing has moved.

    Once the notice is read, a picture with an article number goes the same road.
    """
    dispute, send = road(world)
    before = done(world.get("owner", f"/disputes/{dispute}"), 200)
    sha256 = kept(world, "owner", dispute, GUILTY)

    stopped = done(send(sha256), 403)

    assert (stopped["outcome"], stopped["measure"]) == ("notice", "reject_with_notice")
    (finding,) = [each for each in stopped["findings"] if each["rule"] == "diversion.picture_code"]
    assert (finding["start"], finding["end"], finding["category"]) == (0, 0, "diversion")
    assert finding["matched"] in WECHAT
    after = done(world.get("owner", f"/disputes/{dispute}"), 200)
    for part in ("state", "evidence", "promises", "appeals", "refusal"):
        assert after[part] == before[part]
    rules = world.house.rules()
    last = max(world.rows(tables.TranscriptEntry, dispute_id=dispute), key=lambda entry: entry.seq)
    assert f'"pack":"{rules.book_id}@{rules.version}"'.encode() in last.body
    assert rules.sha256.encode() in last.body
    assert b'"diversion.picture_code"' in last.body
    offence = world.row(tables.Offence, seat_id="demo-owner-1")
    assert (offence.category, offence.measure) == ("diversion", "reject_with_notice")

    done(world.post("owner", f"/moderation/notices/{stopped['notice_id']}/acknowledge"), 200)
    goes = send(kept(world, "owner", dispute, INNOCENT))

    assert goes.status_code in (200, 201), goes.text
    assert len(world.rows(tables.Offence, seat_id="demo-owner-1")) == 1


def test_the_codes_of_a_file_are_kept_beside_it_for_the_shop_alone(world: HttpWorld) -> None:
    """Looked for in a shop's pictures; the buyer's pictures and what is no picture stay unread."""
    dispute = world.open_one()

    for user, content, media_type in (
        ("owner", GUILTY, "image/png"),
        ("buyer", GUILTY, "image/png"),
        ("owner", b"%PDF-1.7\n%%EOF\n", "application/pdf"),
    ):
        kept(world, user, dispute, content, media_type)

    codes = {(row.party, row.media_type): row.codes for row in world.rows(tables.Upload, dispute_id=dispute)}
    assert codes == {
        ("merchant", "image/png"): [{"kind": "QRCode", "text": WECHAT}],
        ("buyer", "image/png"): None,
        ("merchant", "application/pdf"): None,
    }


def test_a_file_that_was_uploaded_before_codes_were_read_is_read_when_it_comes_again(world: HttpWorld) -> None:
    """The same bytes are one upload; what was found is added to it."""
    dispute = world.open_one()
    sha256 = kept(world, "owner", dispute, GUILTY)

    def forget(tx: Transaction) -> None:
        tx.execute("UPDATE upload SET codes = NULL WHERE sha256 = ?", (sha256,))

    world.database.run(forget)
    kept(world, "owner", dispute, GUILTY)

    assert world.row(tables.Upload, dispute_id=dispute).codes == [{"kind": "QRCode", "text": WECHAT}]


def test_a_decompression_bomb_is_refused_and_names_no_row(world: HttpWorld) -> None:
    """413 picture_too_large; a buyer's picture is never unpacked, so it is not refused."""
    dispute, bomb = world.open_one(), png_that_says(60_000, 60_000)

    refused = upload(world, "owner", dispute, bomb)

    assert (refused.status_code, refused.json()["code"]) == (413, "picture_too_large")
    assert world.rows(tables.Upload, dispute_id=dispute) == []
