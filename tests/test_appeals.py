"""The appeal: who, when, once, with what; who reviews it, and what follows."""

from __future__ import annotations

from service.domain.errors import Conflict, GuardFailed, WindowClosed
from service.domain.policy import DEFAULT
from service.flows import hear_appeal, negotiate, open_dispute, settle_dispute
from service.flows.hear_appeal import Appealing, NewFile
from service.flows.heard import Outcome
from service.store import tables
from tests.judge import (
    MICROSECOND,
    REASONS,
    appeal,
    appealing,
    at_work,
    decision,
    dispute,
    due,
    put,
    quotation,
    refusal_of,
    rule,
    tick,
)
from tests.world import (
    BUYER,
    OTHER_SUPERVISOR,
    OWNER,
    SEAT,
    SUPERVISOR,
    World,
)

# --- the appeal -----------------------------------------------------------------------------------------------------


def test_an_appeal_comes_before_the_window_ends_or_not_at_all(world: World) -> None:
    """Edge case 49: one microsecond before the end is in time, the end itself is late."""
    dispute_id = at_work(world)
    rule(world, dispute_id)
    ends = due(world, dispute_id, "appeal_window")
    wanted = appealing(world, dispute_id, OWNER)

    late = refusal_of(world, OWNER, lambda ctx: hear_appeal.appeal(ctx, dispute_id, wanted), received_at=ends)
    world.tell(OWNER, lambda ctx: hear_appeal.appeal(ctx, dispute_id, wanted), received_at=ends - MICROSECOND)

    assert isinstance(late, WindowClosed)
    assert dispute(world, dispute_id).state == "appealed"


def test_an_appeal_brings_something_new(world: World) -> None:
    """Edge case 49: a file that the case knows already is no new evidence; a procedural error is a ground."""
    dispute_id = at_work(world)
    rule(world, dispute_id)
    nothing = Appealing("new_evidence", "我不同意")

    refused = refusal_of(world, OWNER, lambda ctx: hear_appeal.appeal(ctx, dispute_id, nothing))
    world.tell(
        OWNER,
        lambda ctx: hear_appeal.appeal(
            ctx, dispute_id, Appealing("procedural_error", "举证时间没有给足", cites=(quotation(world, dispute_id),))
        ),
    )

    assert refused.code == "no_new_grounds"
    assert world.row(tables.Appeal, dispute_id=dispute_id).ground == "procedural_error"


def test_each_side_appeals_once_and_both_are_merged(world: World) -> None:
    """Edge case 49: twice is refused, the other side's joins."""
    dispute_id = at_work(world)
    rule(world, dispute_id, "refund_partial")
    appeal(world, dispute_id, OWNER)
    again = Appealing("procedural_error", "再次申诉")

    twice = refusal_of(world, OWNER, lambda ctx: hear_appeal.appeal(ctx, dispute_id, again))
    appeal(world, dispute_id, BUYER)

    assert twice.code == "already_appealed"
    assert {a.party for a in world.rows(tables.Appeal, dispute_id=dispute_id)} == {"buyer", "merchant"}
    assert dispute(world, dispute_id).state == "appealed"


def test_who_has_accepted_appeals_no_more(world: World) -> None:
    """Arrow 49: appeals waived."""
    dispute_id = at_work(world)
    rule(world, dispute_id, "refund_partial")
    world.tell(BUYER, lambda ctx: settle_dispute.accept_ruling(ctx, dispute_id))
    wanted = appealing(world, dispute_id, BUYER)

    refused = refusal_of(world, BUYER, lambda ctx: hear_appeal.appeal(ctx, dispute_id, wanted))

    assert refused.code == "appeal_waived"


def test_a_merchants_appeal_goes_through_moderation(world: World) -> None:
    """Promise 1: the note and the file's name; what is not let out is kept, and nothing moves."""
    dispute_id = at_work(world)
    rule(world, dispute_id)
    wanted = appealing(world, dispute_id, OWNER)
    rude = Appealing("new_evidence", "你是不是有病,加我微信", wanted.files)
    hidden = Appealing("new_evidence", wanted.note, (NewFile(wanted.files[0].sha256, "加我微信 abc123.pdf"),))

    told = [world.tell(OWNER, lambda ctx, a=a: hear_appeal.appeal(ctx, dispute_id, a)) for a in (rude, hidden)]

    assert all(isinstance(t, Outcome) and not t.is_sent for t in told)
    assert dispute(world, dispute_id).state == "ruled"
    assert world.rows(tables.Appeal, dispute_id=dispute_id) == []
    assert [k for k in world.kinds(dispute_id) if k.startswith("merchant.appeal_note")]


def test_a_seat_without_after_sale_permission_does_not_appeal(world: World) -> None:
    """Permissions of a seat are checked when it acts."""
    dispute_id = at_work(world)
    rule(world, dispute_id)
    upload_by = appealing(world, dispute_id, OWNER)
    put(world, tables.Seat, SEAT.seat_id or "", may_after_sale=False)

    refused = refusal_of(world, SEAT, lambda ctx: hear_appeal.appeal(ctx, dispute_id, upload_by))

    assert refused.code == "after_sale_permission_missing"


def test_the_reviewer_is_neither_author_nor_approver(world: World) -> None:
    """Edge case 49: a supervisor who wrote or approved the ruling does not review it."""
    dispute_id = at_work(world)
    rule(world, dispute_id, by=SUPERVISOR)
    appeal(world, dispute_id, OWNER)

    refused = refusal_of(world, SUPERVISOR, lambda ctx: hear_appeal.uphold(ctx, dispute_id, reasons=REASONS))
    world.tell(OTHER_SUPERVISOR, lambda ctx: hear_appeal.uphold(ctx, dispute_id, reasons=REASONS))

    assert refused.code == "reviewer_is_author"
    assert dispute(world, dispute_id).state == "executing"
    assert world.row(tables.Appeal, dispute_id=dispute_id).state == "upheld"
    assert world.row(tables.Ruling, dispute_id=dispute_id).final


def test_an_overturned_default_ruling_is_no_default_any_more(world: World) -> None:
    """Arrow 54: ruling v2, final, with an outcome of its own."""
    dispute_id = at_work(world)
    rule(world, dispute_id)
    appeal(world, dispute_id, OWNER)
    wanted = decision(world, dispute_id, "refund_partial", amount_fen=3_000)

    world.tell(SUPERVISOR, lambda ctx: hear_appeal.overturn(ctx, dispute_id, wanted))

    first, second = sorted(world.rows(tables.Ruling, dispute_id=dispute_id), key=lambda r: r.number)
    assert (first.final, second.final, second.number) == (False, True, 2)
    assert world.row(tables.RefundExecution, dispute_id=dispute_id).amount_fen == 3_000
    assert dispute(world, dispute_id).outcome_hint == "PARTIALLY_REFUNDED_BY_RULING"
    assert world.row(tables.Appeal, dispute_id=dispute_id).state == "overturned"


def test_an_overturned_ruling_may_reject_and_closes(world: World) -> None:
    """Arrow 54 ▸ reject."""
    dispute_id = at_work(world)
    rule(world, dispute_id)
    appeal(world, dispute_id, OWNER)
    wanted = decision(world, dispute_id, "reject")

    world.tell(SUPERVISOR, lambda ctx: hear_appeal.overturn(ctx, dispute_id, wanted))

    assert (dispute(world, dispute_id).state, dispute(world, dispute_id).outcome) == ("closed", "REJECTED_BY_RULING")
    assert world.rows(tables.RefundExecution, dispute_id=dispute_id) == []


def test_a_case_goes_back_once_with_evidence_open_again(world: World) -> None:
    """Edge case 49: remand twice is refused; T13 leaves at least 72 hours; the old award is gone."""
    dispute_id = at_work(world)
    world.pass_time(days=14, hours=20)
    rule(world, dispute_id)
    appeal(world, dispute_id, OWNER)
    world.tell(SUPERVISOR, lambda ctx: hear_appeal.remand(ctx, dispute_id, reasons="请补充举证后重新处理。"))
    back = dispute(world, dispute_id)
    hard = due(world, dispute_id, "hard_deadline")
    rounds = {r.round for r in world.rows(tables.EvidenceRequest, dispute_id=dispute_id, state="open")}
    rule(world, dispute_id, "refund_partial")
    appeal(world, dispute_id, BUYER)

    refused = refusal_of(world, SUPERVISOR, lambda ctx: hear_appeal.remand(ctx, dispute_id, reasons=REASONS))

    assert (back.state, back.awarded_fen, back.liability) == ("intervening", None, None)
    assert hard == world.now + DEFAULT.remand_least
    assert rounds == {2}
    assert refused.code == "remands_exhausted"


def test_one_appeal_a_cycle_even_after_a_remand(world: World) -> None:
    """A remand opens no new cycle."""
    dispute_id = at_work(world)
    rule(world, dispute_id)
    appeal(world, dispute_id, OWNER)
    world.tell(SUPERVISOR, lambda ctx: hear_appeal.remand(ctx, dispute_id, reasons="请补充举证后重新处理。"))
    rule(world, dispute_id)

    refused = refusal_of(
        world, OWNER, lambda ctx: hear_appeal.appeal(ctx, dispute_id, Appealing("procedural_error", "再次申诉"))
    )

    assert refused.code == "already_appealed"


def test_a_withdrawn_appeal_makes_the_ruling_final_unless_another_stands(world: World) -> None:
    """Arrow 56: the other appeal goes on."""
    dispute_id = at_work(world)
    rule(world, dispute_id, "refund_partial")
    appeal(world, dispute_id, OWNER)
    appeal(world, dispute_id, BUYER)

    world.tell(BUYER, lambda ctx: hear_appeal.withdraw_appeal(ctx, dispute_id))
    between = dispute(world, dispute_id).state
    again = refusal_of(world, BUYER, lambda ctx: hear_appeal.withdraw_appeal(ctx, dispute_id))
    world.tell(OWNER, lambda ctx: hear_appeal.withdraw_appeal(ctx, dispute_id))

    assert (between, again.code) == ("appealed", "not_appellant")
    assert dispute(world, dispute_id).state == "executing"
    assert {a.state for a in world.rows(tables.Appeal, dispute_id=dispute_id)} == {"withdrawn"}


def test_a_review_that_never_comes_lets_the_ruling_stand(world: World) -> None:
    """Arrow 55: alarm after 72 hours, after seven days the original stands."""
    dispute_id = at_work(world)
    rule(world, dispute_id)
    appeal(world, dispute_id, OWNER)

    world.pass_time(hours=72)
    tick(world)
    rung = {t.kind for t in world.rows(tables.Task, dispute_id=dispute_id)}
    world.pass_time(days=4, seconds=1)
    tick(world)

    assert "appeal_review_late" in rung
    assert dispute(world, dispute_id).state == "executing"
    assert world.row(tables.Appeal, dispute_id=dispute_id).state == "timed_out"
    assert "appeal_not_reviewed" in {t.kind for t in world.rows(tables.Task, dispute_id=dispute_id)}


def test_a_late_agreement_under_appeal_pays_the_whole_claim(world: World) -> None:
    """Arrow 51c: whatever was ruled; the appeal is moot."""
    dispute_id = at_work(world)
    rule(world, dispute_id, "refund_partial")
    appeal(world, dispute_id, BUYER)

    world.tell(OWNER, lambda ctx: negotiate.seller_agree_refund(ctx, dispute_id, amount_fen=None, currency=None))

    assert world.row(tables.RefundExecution, dispute_id=dispute_id).amount_fen == 12_900
    assert world.row(tables.Appeal, dispute_id=dispute_id).state == "moot"
    assert dispute(world, dispute_id).outcome_hint == "SELLER_AGREED_LATE"


def test_who_holds_the_goods_is_not_left_with_them(world: World) -> None:
    """Edge case 51: withdrawing after a ruling is refused while the merchant holds the goods."""
    dispute_id = at_work(world, goods_held_by_merchant=True)
    rule(world, dispute_id)

    refused = refusal_of(world, BUYER, lambda ctx: open_dispute.withdraw(ctx, dispute_id, note=None))

    assert refused.code == "goods_held_by_merchant"


def test_a_buyer_may_withdraw_after_a_ruling(world: World) -> None:
    """Edge case 51: arrow 52."""
    dispute_id = at_work(world)
    rule(world, dispute_id)

    world.tell(BUYER, lambda ctx: open_dispute.withdraw(ctx, dispute_id, note=None))

    assert dispute(world, dispute_id).outcome == "BUYER_WITHDREW"


def test_the_window_closes_and_the_ruling_is_carried_out_once(world: World) -> None:
    """Arrow 50, edge case 7: the clock fires twice, one payment is owed."""
    dispute_id = at_work(world)
    rule(world, dispute_id)

    world.pass_time(hours=72)
    tick(world)
    before_the_margin = dispute(world, dispute_id).state
    world.pass_time(seconds=1)
    tick(world)
    tick(world)

    assert before_the_margin == "ruled"
    assert dispute(world, dispute_id).state == "executing"
    assert len(world.rows(tables.RefundExecution, dispute_id=dispute_id)) == 1


def test_conflicts_are_conflicts(world: World) -> None:
    """A refusal by the state is 409."""
    dispute_id = at_work(world)

    refused = refusal_of(world, BUYER, lambda ctx: settle_dispute.accept_ruling(ctx, dispute_id))

    assert isinstance(refused, Conflict | GuardFailed)
    assert refused.code == "arrow_missing"
