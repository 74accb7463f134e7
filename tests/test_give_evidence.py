"""Evidence: windows, bounds, freezing, who sees what when, and what silence costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from service.domain.errors import Absent, Refusal, WindowClosed
from service.domain.policy import DEFAULT
from service.domain.staff import Actor
from service.flows import give_evidence, negotiate, settle_dispute
from service.flows.give_evidence import Offered
from service.flows.heard import Outcome
from service.flows.read_evidence import read_evidence
from service.flows.rulings import Cite
from service.flows.upload_file import content_of_evidence, keep_upload, require_may_upload
from service.store import tables
from tests.judge import at_work, decision, dispute, due, picture, put, rule, tick, upload
from tests.world import AGENT, AUDITOR, BUYER, OTHER_AGENT, OTHER_BUYER, OWNER, World

MICROSECOND = timedelta(microseconds=1)


def refused(world: World, who: Actor, story: Any, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as told:
        world.tell(who, story, **more)
    return told.value


def request_of(world: World, dispute_id: str, who: Actor) -> tables.EvidenceRequest:
    return world.rows(tables.EvidenceRequest, dispute_id=dispute_id, party=who.side)[-1]


def add(world: World, dispute_id: str, who: Actor, text: str = "照片", **more: Any) -> Any:
    sha256 = upload(world, dispute_id, who, picture(text))
    return world.tell(who, lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(sha256)), **more)


def submit(world: World, dispute_id: str, who: Actor, note: str | None = None, **more: Any) -> Any:
    request_id = request_of(world, dispute_id, who).id
    return world.tell(who, lambda ctx: give_evidence.submit(ctx, request_id, note=note, confirm_token=None), **more)


def waive(world: World, dispute_id: str, who: Actor) -> Any:
    request_id = request_of(world, dispute_id, who).id
    return world.tell(who, lambda ctx: give_evidence.waive(ctx, request_id))


def make_mandatory(world: World, dispute_id: str, *parties: str) -> None:
    for party in parties:
        world.tell(AGENT, lambda ctx, p=party: give_evidence.open_request(ctx, dispute_id, party=p, mandatory=True))


def seen_by(world: World, dispute_id: str, who: Actor) -> list[str]:
    return world.tell(who, lambda ctx: [i.row.party for i in read_evidence(ctx, dispute_id)])


# --- putting forward ------------------------------------------------------------------------------------------------


def test_what_is_added_is_frozen_when_submitted(world: World) -> None:
    """Items can be added and taken back until then, and not after (409)."""
    dispute_id = at_work(world)
    kept, taken_back = add(world, dispute_id, BUYER, "一"), add(world, dispute_id, BUYER, "二")
    world.tell(BUYER, lambda ctx: give_evidence.retract_item(ctx, dispute_id, taken_back))

    submit(world, dispute_id, BUYER, "吊牌照片")
    later = refused(world, BUYER, lambda ctx: give_evidence.retract_item(ctx, dispute_id, kept))

    items = {i.id: i for i in world.rows(tables.EvidenceItem, dispute_id=dispute_id)}
    assert (items[kept].frozen, items[taken_back].frozen) == (True, False)
    assert items[taken_back].retracted_at is not None
    assert world.house.files.is_intact(items[taken_back].sha256 or "")
    assert later.code == "arrow_missing"
    assert [i.sha256 for i in items.values()].count(None) == 1  # the note


def test_waived_is_waived(world: World) -> None:
    """Edge case 47: waive, then add: 409."""
    dispute_id = at_work(world)
    waive(world, dispute_id, OWNER)
    sha256 = upload(world, dispute_id, OWNER, picture("后来的"))

    told = refused(world, OWNER, lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(sha256)))

    assert told.code == "arrow_missing"


def test_an_empty_submission_says_so(world: World) -> None:
    """At least one item or a note; a retracted item does not count."""
    dispute_id = at_work(world)
    item = add(world, dispute_id, BUYER)
    world.tell(BUYER, lambda ctx: give_evidence.retract_item(ctx, dispute_id, item))
    request_id = request_of(world, dispute_id, BUYER).id

    told = refused(world, BUYER, lambda ctx: give_evidence.submit(ctx, request_id, note=None, confirm_token=None))
    submit(world, dispute_id, BUYER, "只有文字说明")

    assert told.code == "nothing_to_submit"
    assert request_of(world, dispute_id, BUYER).state == "submitted"


def test_only_what_a_side_uploaded_itself_may_it_put_forward(world: World) -> None:
    """Knowing a fingerprint is not having the file (edge case 48, no copying)."""
    dispute_id = at_work(world)
    sha256 = upload(world, dispute_id, BUYER, picture("买家的"))

    told = refused(world, OWNER, lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(sha256)))

    assert told.code == "file_unknown"


def test_the_same_bytes_once_a_party(world: World) -> None:
    """Edge case 46: the same sha256 twice is refused; the other party may have the same picture; a retracted one
    may come again."""
    dispute_id = at_work(world)
    item = add(world, dispute_id, BUYER, "同一张")
    sha256 = upload(world, dispute_id, BUYER, picture("同一张"))

    twice = refused(world, BUYER, lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(sha256)))
    add(world, dispute_id, OWNER, "同一张")
    world.tell(BUYER, lambda ctx: give_evidence.retract_item(ctx, dispute_id, item))
    add(world, dispute_id, BUYER, "同一张")

    assert twice.code == "evidence_duplicate"
    assert len(world.rows(tables.EvidenceItem, sha256=sha256)) == 3


def test_the_hundredth_item_is_taken_and_the_next_is_not(world: World) -> None:
    """Edge case 46: at most 100 a case, tombstones counted."""
    dispute_id = at_work(world)
    request_id = request_of(world, dispute_id, BUYER).id
    rows = [
        {
            "id": f"item-{n:03d}",
            "dispute_id": dispute_id,
            "request_id": request_id,
            "party": "buyer",
            "added_by": "buyer-1",
            "seq": 1,
            "sha256": f"{n:064d}",
            "size_bytes": 1,
            "media_type": "image/png",
            "added_at": world.now,
            "retracted_at": world.now if n % 2 else None,
        }
        for n in range(99)
    ]
    world.insert(*((tables.EvidenceItem, row) for row in rows))

    add(world, dispute_id, BUYER, "第一百件")
    sha256 = upload(world, dispute_id, BUYER, picture("第一百零一件"))
    told = refused(world, BUYER, lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(sha256)))

    assert told.code == "evidence_items_exhausted"


def test_what_is_no_evidence_kind_is_refused(world: World) -> None:
    """Edge case 46: the type was read from the bytes; text is not evidence."""
    dispute_id = at_work(world)
    sha256 = upload(world, dispute_id, BUYER, "只是文字".encode())

    told = refused(world, BUYER, lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(sha256)))

    assert told.code == "media_type_refused"


def test_a_merchants_note_and_file_name_are_judged_and_a_buyers_are_not(world: World) -> None:
    """Promise 1: every merchant text field; the buyer's words stand as they are."""
    dispute_id = at_work(world)
    sha256 = upload(world, dispute_id, OWNER, picture("店家"))
    rude = Offered(sha256, None, "你是不是有病")
    sly = Offered(sha256, "加我微信 abc123.pdf")
    buyers = upload(world, dispute_id, BUYER, picture("买家"))

    told = [world.tell(OWNER, lambda ctx, o=o: give_evidence.add_item(ctx, dispute_id, o)) for o in (rude, sly)]
    item = world.tell(
        BUYER, lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(buyers, "加我微信.pdf", "他们有病"))
    )

    assert all(isinstance(t, Outcome) and not t.is_sent for t in told)
    assert isinstance(item, str)
    assert world.rows(tables.EvidenceItem, dispute_id=dispute_id, party="merchant") == []


def test_platform_evidence_needs_no_request_and_is_frozen_at_once(world: World) -> None:
    """B4: a signed waybill informs; it can be cited."""
    dispute_id = at_work(world)
    sha256 = upload(world, dispute_id, AGENT, picture("签收单"))

    item = world.tell(AGENT, lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(sha256, "签收单.pdf")))
    wanted = decision(world, dispute_id, cites=(Cite(evidence_id=str(item)),))
    world.tell(AGENT, lambda ctx: settle_dispute.issue_ruling(ctx, dispute_id, wanted))

    row = world.row(tables.EvidenceItem, id=item)
    assert (row.party, row.frozen, row.request_id) == ("platform_agent", True, None)
    assert dispute(world, dispute_id).state == "ruled"


# --- windows --------------------------------------------------------------------------------------------------------


def test_the_end_of_the_window_is_late_and_a_microsecond_before_is_not(world: World) -> None:
    """Half-open, judged by when it was received (edge case 47: in the last second)."""
    dispute_id = at_work(world)
    request = request_of(world, dispute_id, BUYER)
    sha256 = upload(world, dispute_id, BUYER, picture("最后一刻"))

    late = refused(
        world,
        BUYER,
        lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(sha256)),
        received_at=request.due_at,
    )
    item = world.tell(
        BUYER,
        lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(sha256)),
        received_at=request.due_at - MICROSECOND,
    )

    assert isinstance(late, WindowClosed)
    assert isinstance(item, str)


def test_a_window_is_extended_once_and_before_its_end(world: World) -> None:
    """Edge case 17: the last moment is in time, after the end it is over; at most a day."""
    dispute_id = at_work(world)
    request = request_of(world, dispute_id, BUYER)
    day = timedelta(hours=24)

    def extend(by: timedelta) -> Any:
        return lambda ctx: give_evidence.extend_request(ctx, request.id, by=by)

    too_long = refused(world, AGENT, extend(day + MICROSECOND))
    late = refused(world, AGENT, extend(day), received_at=request.due_at)
    world.tell(AGENT, extend(day), received_at=request.due_at - MICROSECOND)
    again = refused(world, AGENT, extend(day))

    assert (too_long.code, late.code, again.code) == (
        "extension_out_of_range",
        "window_closed",
        "extensions_exhausted",
    )
    assert due(world, request.id, "evidence_window") == request.due_at + day


def test_only_a_remand_opens_the_next_round(world: World) -> None:
    """Edge case 47: an agent does not ask again in the same round, but may make an open request mandatory."""
    dispute_id = at_work(world)
    make_mandatory(world, dispute_id, "buyer")
    open_already = refused(
        world, AGENT, lambda ctx: give_evidence.open_request(ctx, dispute_id, party="buyer", mandatory=True)
    )
    waive(world, dispute_id, OWNER)
    over = refused(
        world, AGENT, lambda ctx: give_evidence.open_request(ctx, dispute_id, party="merchant", mandatory=True)
    )

    assert request_of(world, dispute_id, BUYER).mandatory
    assert (open_already.code, over.code) == ("evidence_request_open", "evidence_round_over")


def test_no_ruling_while_a_mandatory_window_is_open(world: World) -> None:
    """Arrow 39: `evidence_window_open`; an optional one does not hold it up."""
    dispute_id = at_work(world)
    make_mandatory(world, dispute_id, "buyer")
    wanted = decision(world, dispute_id)

    held_up = refused(world, AGENT, lambda ctx: settle_dispute.issue_ruling(ctx, dispute_id, wanted))
    submit(world, dispute_id, BUYER, "说明")
    rule(world, dispute_id)

    assert held_up.code == "evidence_window_open"
    assert request_of(world, dispute_id, OWNER).state == "cancelled"


@pytest.mark.parametrize(
    ("silent", "kind", "basis", "state"),
    [
        (("buyer",), "reject", "BUYER_NO_EVIDENCE", "ruled"),
        (("merchant",), "refund_full", "MERCHANT_NO_EVIDENCE", "ruled"),
        (("buyer", "merchant"), None, None, "intervening"),
    ],
)
def test_silence_costs_whoever_was_silent_alone(
    world: World, silent: tuple[str, ...], kind: str | None, basis: str | None, state: str
) -> None:
    """Edge case 47, arrows 41 to 43: one side silent loses by default; both silent is for the agent to rule."""
    dispute_id = at_work(world)
    make_mandatory(world, dispute_id, "buyer", "merchant")
    for who in (BUYER, OWNER):
        if who.side not in silent:
            submit(world, dispute_id, who, "说明")

    world.pass_time(hours=48, seconds=1)
    tick(world)

    rulings = world.rows(tables.Ruling, dispute_id=dispute_id)
    assert [(r.kind, r.basis) for r in rulings] == ([(kind, basis)] if kind else [])
    assert dispute(world, dispute_id).state == state
    assert world.kinds(dispute_id).count("dispute.evidence_overdue") == 1
    assert dispute(world, dispute_id).flagged is (kind is None)
    overdue = {r.party for r in world.rows(tables.EvidenceRequest, dispute_id=dispute_id, state="overdue")}
    assert overdue == set(silent)


def test_the_dispute_hears_of_silence_when_the_last_mandatory_request_has_ended(world: World) -> None:
    """The buyer was silent, the merchant has been given more time: decided together, once."""
    dispute_id = at_work(world)
    make_mandatory(world, dispute_id, "buyer", "merchant")
    request = request_of(world, dispute_id, OWNER)
    world.tell(AGENT, lambda ctx: give_evidence.extend_request(ctx, request.id, by=timedelta(hours=12)))
    world.pass_time(hours=48, seconds=1)
    tick(world)
    between = dispute(world, dispute_id).state

    submit(world, dispute_id, OWNER, "发货记录")

    assert between == "intervening"
    assert dispute(world, dispute_id).state == "ruled"
    assert world.row(tables.Ruling, dispute_id=dispute_id).basis == "BUYER_NO_EVIDENCE"
    assert request_of(world, dispute_id, OWNER).state == "submitted"


def test_optional_silence_costs_nothing(world: World) -> None:
    """E0: the automatic requests are optional."""
    dispute_id = at_work(world)

    world.pass_time(hours=48, seconds=1)
    tick(world)

    assert dispute(world, dispute_id).state == "intervening"
    assert "dispute.evidence_overdue" not in world.kinds(dispute_id)


def test_in_time_stays_in_time_even_if_the_clock_was_faster(world: World) -> None:
    """Section 4: refused with `in_time`, recorded, and a supervisor looks at it."""
    dispute_id = at_work(world)
    request = request_of(world, dispute_id, BUYER)
    sha256 = upload(world, dispute_id, BUYER, picture("卡住的请求"))
    world.pass_time(hours=48, seconds=1)
    tick(world)

    told = world.tell(
        BUYER,
        lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(sha256)),
        received_at=request.due_at - MICROSECOND,
    )

    assert isinstance(told, WindowClosed)
    assert told.facts["in_time"] is True
    assert "evidence_window_was_in_time" in {t.kind for t in world.rows(tables.Task, dispute_id=dispute_id)}


# --- the freeze -----------------------------------------------------------------------------------------------------


def test_a_ruling_made_while_a_file_comes_in_freezes_it_out(world: World) -> None:
    """Edge case 9: 409, and no row names the bytes."""
    dispute_id = at_work(world)
    world.tell(BUYER, lambda ctx: require_may_upload(ctx, dispute_id, "evidence"))
    stored = world.house.files.put(picture("在路上"))
    rule(world, dispute_id)

    told = refused(world, BUYER, lambda ctx: keep_upload(ctx, dispute_id, "evidence", stored))

    assert told.code == "evidence_frozen"
    assert world.rows(tables.Upload, sha256=stored.sha256) == []


def test_a_ruling_freezes_what_was_put_forward_and_not_submitted(world: World) -> None:
    """Arrow 39: freeze evidence; adding afterwards is 409."""
    dispute_id = at_work(world)
    item = add(world, dispute_id, BUYER, "已上传")
    sha256 = upload(world, dispute_id, BUYER, picture("晚了"))
    rule(world, dispute_id)

    told = refused(world, BUYER, lambda ctx: give_evidence.add_item(ctx, dispute_id, Offered(sha256)))

    assert world.row(tables.EvidenceItem, id=item).frozen
    assert told.code == "arrow_missing"


def test_a_late_agreement_ends_the_requests(world: World) -> None:
    """`dispute_left_intervention`: cancelled, the clock rests."""
    dispute_id = at_work(world)
    request = request_of(world, dispute_id, BUYER)

    world.tell(OWNER, lambda ctx: negotiate.seller_agree_refund(ctx, dispute_id, amount_fen=None, currency=None))

    assert request_of(world, dispute_id, BUYER).state == "cancelled"
    assert world.armed(request.id) == {}


# --- who sees what --------------------------------------------------------------------------------------------------


def test_nobody_copies(world: World) -> None:
    """Edge case 48: the other side's evidence only after it is frozen and the own window has ended."""
    dispute_id = at_work(world)
    add(world, dispute_id, BUYER, "买家")
    drafted = seen_by(world, dispute_id, OWNER)
    submit(world, dispute_id, BUYER)
    submitted = seen_by(world, dispute_id, OWNER)
    waive(world, dispute_id, OWNER)

    assert (drafted, submitted) == ([], [])
    assert seen_by(world, dispute_id, OWNER) == ["buyer"]
    assert seen_by(world, dispute_id, BUYER) == ["buyer"]
    assert seen_by(world, dispute_id, AGENT) == ["buyer"]


def test_a_stranger_sees_nothing(world: World) -> None:
    """Somebody else's dispute is absent."""
    dispute_id = at_work(world)
    item = str(add(world, dispute_id, BUYER))

    for story in (
        lambda ctx: read_evidence(ctx, dispute_id),
        lambda ctx: content_of_evidence(ctx, dispute_id, item),
        lambda ctx: require_may_upload(ctx, dispute_id, "message"),
    ):
        assert isinstance(refused(world, OTHER_BUYER, story), Absent)


def test_the_own_side_and_auditors_get_the_sealed_bytes(world: World) -> None:
    """Edge case 46: everybody else the shared copy."""
    dispute_id = at_work(world)
    item = str(add(world, dispute_id, BUYER))
    submit(world, dispute_id, BUYER)
    waive(world, dispute_id, OWNER)

    sealed = {
        who.side: world.tell(who, lambda ctx: content_of_evidence(ctx, dispute_id, item).sealed)
        for who in (BUYER, OWNER, AGENT, AUDITOR)
    }

    assert sealed == {"buyer": True, "merchant": False, "platform_agent": False, "auditor": True}


def test_only_the_agent_of_the_case_asks_and_uploads(world: World) -> None:
    """Acting only on assigned ones."""
    dispute_id = at_work(world)

    asked = refused(
        world, OTHER_AGENT, lambda ctx: give_evidence.open_request(ctx, dispute_id, party="buyer", mandatory=True)
    )
    uploaded = refused(world, OTHER_AGENT, lambda ctx: require_may_upload(ctx, dispute_id, "proof"))

    assert (asked.code, uploaded.code) == ("not_your_dispute", "not_your_dispute")


def test_a_closed_dispute_takes_no_file(world: World) -> None:
    """Closed is sealed."""
    dispute_id = at_work(world)
    put(world, tables.Dispute, dispute_id, state="closed", closed_at=world.now, outcome="BUYER_WITHDREW")

    told = refused(world, BUYER, lambda ctx: require_may_upload(ctx, dispute_id, "message"))

    assert told.code == "dispute_closed"


def test_the_default_window_is_two_days(world: World) -> None:
    """E1."""
    dispute_id = at_work(world)

    assert request_of(world, dispute_id, BUYER).due_at == world.now + DEFAULT.evidence_window
