"""A second person: exactly what was proposed, by somebody else, within a day, with the guards asked again."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from service.domain.errors import Absent, Refusal
from service.domain.staff import Actor
from service.domain.transcript import canonical
from service.flows import approve, negotiate
from service.flows.proposals import Proposed
from service.flows.settle_dispute import RULING, RulingMade, ruling_approved
from service.store import tables
from service.store.writes import Plan
from tests.judge import at_work, dispute, due, rule, tick
from tests.world import AGENT, OTHER_AGENT, OTHER_SUPERVISOR, OWNER, SUPERVISOR, World

FIRE = {RULING: ruling_approved}
MICROSECOND = timedelta(microseconds=1)
ABOVE = {"paid_fen": 50_001}


def proposal(world: World, *, by: Actor = AGENT) -> tuple[str, Proposed]:
    """A ruling above the limit, proposed."""
    dispute_id = at_work(world, **ABOVE)
    made = rule(world, dispute_id, by=by, amount_fen=50_001)
    assert isinstance(made, Proposed)
    return dispute_id, made


def decide(world: World, made: Proposed, who: Actor = SUPERVISOR, sha256: str | None = None, **more: Any) -> Any:
    return world.tell(
        who,
        lambda ctx: approve.approve(ctx, made.approval_id, payload_sha256=sha256 or made.payload_sha256, fire=FIRE),
        **more,
    )


def refused(world: World, who: Actor, story: Any, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as told:
        world.tell(who, story, **more)
    return told.value


def state_of(world: World, made: Proposed) -> str:
    return world.row(tables.Approval, id=made.approval_id).state


@pytest.mark.parametrize(("amount_fen", "proposed"), [(50_000, False), (50_001, True)])
def test_above_the_limit_a_second_person_decides(world: World, amount_fen: int, proposed: bool) -> None:
    """M1: 50,000 fen is one agent's, one more is two people's; meanwhile the dispute does not change."""
    dispute_id = at_work(world, paid_fen=amount_fen)

    made = rule(world, dispute_id, amount_fen=amount_fen)

    assert isinstance(made, Proposed if proposed else RulingMade)
    assert dispute(world, dispute_id).state == ("intervening" if proposed else "ruled")


def test_the_ruling_is_its_proposers_and_names_the_approver(world: World) -> None:
    """The subject's arrow fires in the approver's transaction."""
    dispute_id, made = proposal(world)

    told = decide(world, made)

    ruling = world.row(tables.Ruling, dispute_id=dispute_id)
    assert told is None
    assert (ruling.author_id, ruling.approver_id) == (AGENT.subject, SUPERVISOR.subject)
    assert (ruling.amount_fen, dispute(world, dispute_id).state) == (50_001, "ruled")
    assert state_of(world, made) == "approved"
    assert world.armed(made.approval_id) == {}
    assert world.row(tables.Task, id=f"{dispute_id}:approval_wanted").done_at == world.now


def test_what_is_approved_is_exactly_what_was_proposed(world: World) -> None:
    """The fingerprint is over the words too; another one is refused."""
    dispute_id, made = proposal(world)
    payload = world.tell(SUPERVISOR, lambda ctx: dict(approve.read_approval(ctx, made.approval_id)[1]))

    told = refused(
        world,
        SUPERVISOR,
        lambda ctx: approve.approve(ctx, made.approval_id, payload_sha256="0" * 64, fire=FIRE),
    )

    assert hashlib.sha256(canonical(payload)).hexdigest() == made.payload_sha256
    assert payload["reasons"]
    assert "reasons" not in world.row(tables.Approval, id=made.approval_id).payload
    assert told.code == "payload_changed"
    assert dispute(world, dispute_id).state == "intervening"


def test_nobody_approves_their_own_proposal(world: World) -> None:
    """`same_person`, for approving and rejecting."""
    _, made = proposal(world, by=SUPERVISOR)

    approved = refused(
        world,
        SUPERVISOR,
        lambda ctx: approve.approve(ctx, made.approval_id, payload_sha256=made.payload_sha256, fire=FIRE),
    )
    rejected = refused(world, SUPERVISOR, lambda ctx: approve.reject(ctx, made.approval_id, reason="不同意"))
    decide(world, made, OTHER_SUPERVISOR)

    assert (approved.code, rejected.code) == ("same_person", "same_person")
    assert state_of(world, made) == "approved"


def test_an_approver_with_an_interest_does_not_decide(world: World) -> None:
    """Edge case 28 holds for the second person too."""
    _, made = proposal(world)
    world.insert((tables.StaffAccount, {"id": SUPERVISOR.subject, "buyer_id": "buyer-1", "updated_at": world.now}))

    told = refused(
        world,
        SUPERVISOR,
        lambda ctx: approve.approve(ctx, made.approval_id, payload_sha256=made.payload_sha256, fire=FIRE),
    )

    assert told.code == "conflict_of_interest"


def test_a_proposal_is_one_at_a_time_and_its_proposers_to_withdraw(world: World) -> None:
    """A second one is 409 with the first one's id."""
    dispute_id, made = proposal(world)

    with pytest.raises(Refusal) as second:
        rule(world, dispute_id, amount_fen=50_001)
    others = refused(world, SUPERVISOR, lambda ctx: approve.withdraw(ctx, made.approval_id))
    absent = refused(world, OTHER_AGENT, lambda ctx: approve.withdraw(ctx, made.approval_id))
    world.tell(AGENT, lambda ctx: approve.withdraw(ctx, made.approval_id))
    again = rule(world, dispute_id, amount_fen=50_001)

    assert second.value.code == "approval_pending"
    assert second.value.facts["approval_id"] == made.approval_id
    assert others.code == "not_proposer"
    assert isinstance(absent, Absent)
    assert (state_of(world, made), isinstance(again, Proposed)) == ("withdrawn", True)


def test_a_rejected_proposal_leaves_the_dispute_as_it_was(world: World) -> None:
    """With a reason for the proposer; twice is refused."""
    dispute_id, made = proposal(world)

    world.tell(SUPERVISOR, lambda ctx: approve.reject(ctx, made.approval_id, reason="证据不足"))
    twice = refused(world, OTHER_SUPERVISOR, lambda ctx: approve.reject(ctx, made.approval_id, reason="再次"))

    assert dispute(world, dispute_id).state == "intervening"
    assert (state_of(world, made), twice.code) == ("rejected", "arrow_missing")


def test_a_day_later_it_is_stale(world: World) -> None:
    """P1D: received one microsecond before the end is in time; after it nobody can approve."""
    _, made = proposal(world)
    ends = due(world, made.approval_id, "approval_expiry")

    late = refused(
        world,
        SUPERVISOR,
        lambda ctx: approve.approve(ctx, made.approval_id, payload_sha256=made.payload_sha256, fire=FIRE),
        received_at=ends,
    )
    world.pass_time(days=1, seconds=1)
    tick(world)

    assert ends == made.expires_at
    assert late.code == "window_closed"
    assert state_of(world, made) == "stale"


def test_a_microsecond_before_the_end_is_in_time(world: World) -> None:
    """The other side of the edge."""
    _, made = proposal(world)

    told = decide(world, made, received_at=made.expires_at - MICROSECOND)

    assert told is None
    assert state_of(world, made) == "approved"


def test_a_dispute_that_moves_on_makes_its_proposal_stale(world: World) -> None:
    """The merchant agrees while the supervisor thinks: nothing is left to approve."""
    dispute_id, made = proposal(world)

    world.tell(OWNER, lambda ctx: negotiate.seller_agree_refund(ctx, dispute_id, amount_fen=None, currency=None))
    told = refused(
        world,
        SUPERVISOR,
        lambda ctx: approve.approve(ctx, made.approval_id, payload_sha256=made.payload_sha256, fire=FIRE),
    )

    assert state_of(world, made) == "stale"
    assert told.code == "arrow_missing"
    assert world.rows(tables.Ruling, dispute_id=dispute_id) == []


def test_guards_are_asked_again_and_a_refusal_leaves_the_proposal_stale(world: World) -> None:
    """Money went another way meanwhile: the cap is lower than what was proposed."""
    dispute_id, made = proposal(world)
    line = dispute(world, dispute_id).order_line_id
    world.database.run(lambda tx: tx.apply([_refunded(line)]))

    told = decide(world, made)

    assert isinstance(told, Refusal)
    assert told.code == "amount_over_refundable"
    assert state_of(world, made) == "stale"
    assert dispute(world, dispute_id).state == "intervening"
    assert world.kinds(dispute_id)[-1] == "approval.stale"


def _refunded(line: str) -> Any:

    plan = Plan()
    plan.add(tables.OrderLine, line, refunded_fen=1)
    return plan


def test_agents_see_their_own_proposals_and_supervisors_all(world: World) -> None:
    """The list, newest first."""
    _, first = proposal(world)
    _, second = proposal(world, by=SUPERVISOR)

    def listed(who: Actor) -> list[str]:
        return world.tell(
            who, lambda ctx: [a.id for a in approve.list_approvals(ctx, state="proposed", after=None, limit=10)]
        )

    assert listed(SUPERVISOR) == [second.approval_id, first.approval_id]
    assert listed(AGENT) == [first.approval_id]
    assert listed(OTHER_AGENT) == []
