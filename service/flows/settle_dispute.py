"""The platform takes a dispute in hand and rules: accept, hand over, release, rule, and the parties' acceptance.

A ruling above the limit is only proposed here; it is made in the transaction of the second person who approves it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from service.domain.dispute import DISPUTE
from service.domain.dispute_facts import DisputeFacts
from service.domain.errors import Absent, Conflict, Forbidden, GuardFailed
from service.domain.staff import Actor, Role
from service.flows.asking_evidence import ask_both
from service.flows.context import Context
from service.flows.moves import facts_of, move
from service.flows.owing import write_ruling
from service.flows.permits import require_agents_case, require_transcript_room
from service.flows.proposals import Approved, Proposed, propose
from service.flows.read_case import require_may_after_sale, require_seen
from service.flows.rulings import (
    Decision,
    Reasoned,
    accepted_by,
    changes_of,
    losers_of,
    made_final,
    reasoned,
    require_not_conflicted,
)
from service.store import people, tables
from service.store.disputes import CaseFile, load_case

RULING: Final = "ruling"  # the subject of a proposal


@dataclass(frozen=True, slots=True)
class RulingMade:
    """A ruling was issued."""

    ruling_id: str


# --- whose case it is -----------------------------------------------------------------------------------------------


def accept_dispute(ctx: Context, dispute_id: str) -> None:
    """An agent takes the case from the queue, or one that was routed here; both parties are asked for evidence.

    Raises:
        Absent: no such dispute, or one that never came to the platform.
        Conflict: `arrow_missing`: somebody else was faster (edge case 3).
        GuardFailed: `not_routed` (another agent's), `conflict_of_interest`.
    """
    case = _case_of_platform(ctx, dispute_id)
    dispute, subject = case.dispute, ctx.actor.subject
    facts = facts_of(
        ctx,
        case,
        routed_or_claimed=dispute.assignee_id in (None, subject),
        conflicted=people.shops_as(ctx.tx.session, subject, dispute.buyer_id),
    )
    move(ctx, case, "accept_dispute", facts, changes={"assignee_id": subject}, entry_facts={"assignee": subject})
    ctx.announce("dispute.assigned", assignee_id=subject)
    ask_both(ctx, case, facts.policy)


def transfer(ctx: Context, dispute_id: str, *, assignee_id: str) -> None:
    """Hand the case to another agent; one that was released is taken by whoever names themselves.

    Raises:
        Absent: no such dispute, or one that never came to the platform.
        Forbidden: `not_your_dispute`.
        Conflict: `arrow_missing`.
        GuardFailed: `conflict_of_interest`, `agent_inactive`.
    """
    case = _case_of_platform(ctx, dispute_id)
    claims = case.dispute.assignee_id is None and assignee_id == ctx.actor.subject
    if ctx.actor.role is not Role.SUPERVISOR and case.dispute.assignee_id != ctx.actor.subject and not claims:
        raise Forbidden("not_your_dispute", zh="该纠纷不由您处理", en="This dispute is another agent's")
    _hand_to(ctx, case, assignee_id)


def release(ctx: Context, dispute_id: str) -> None:
    """Give the case back: it waits in the queue for another agent, and every clock runs on.

    Raises:
        Absent, Forbidden, Conflict: as `transfer`.
    """
    _hand_to(ctx, require_agents_case(ctx, dispute_id), None)


def know_staff(ctx: Context, subject: str, *, buyer_id: str | None, active: bool) -> None:
    """The marketplace says which account a person of the platform shops with, and whether they still work there."""
    ctx.plan.put(tables.StaffAccount, subject, buyer_id=buyer_id, active=active, updated_at=ctx.now)


def _hand_to(ctx: Context, case: CaseFile, assignee_id: str | None) -> None:
    before = case.dispute.assignee_id
    if assignee_id is not None and not people.is_at_work(ctx.tx.session, assignee_id):
        raise GuardFailed("agent_inactive", zh="该客服已停用", en="This agent no longer works here")
    conflicted = assignee_id is not None and people.shops_as(ctx.tx.session, assignee_id, case.dispute.buyer_id)
    move(
        ctx,
        case,
        "transfer",
        facts_of(ctx, case, conflicted=conflicted),
        changes={"assignee_id": assignee_id},
        entry_facts={"from_agent": before, "to_agent": assignee_id},
    )
    ctx.announce("dispute.assigned", assignee_id=assignee_id)


# --- the ruling -----------------------------------------------------------------------------------------------------


def issue_ruling(ctx: Context, dispute_id: str, decision: Decision) -> RulingMade | Proposed:
    """Rule on the case; above the limit (M1) a second person must approve.

    Returns:
        The ruling made; or what was proposed, the dispute not having moved.

    Raises:
        Absent: no such dispute, or one that never came to the platform.
        Forbidden: `not_your_dispute`.
        Conflict: `arrow_missing`, `approval_pending`.
        GuardFailed: `inquiry_armed`, `evidence_window_open`, `ruling_kind_unknown`, `amount_over_refundable`,
            `amount_over_claim`, `amount_not_of_kind`, `return_not_rulable`, `ruling_uncited`, and those of `reasoned`.
        Refusal: `uncleared_promise`.
    """
    case = require_agents_case(ctx, dispute_id)
    policy = ctx.policy_of(case.dispute)
    require_transcript_room(case, policy)
    people.order_line(ctx.tx.session, case.dispute.order_line_id, lock=True)
    facts = _facts(ctx, case, decision.kind, decision.amount_fen, cites=max(1, len(decision.cites)))
    DISPUTE.advance(case.dispute.state, "issue_ruling", replace(facts, second_approver=True), side=ctx.actor.side)
    made = reasoned(ctx, case, decision)
    facts = replace(facts, cites=len(made.cites))
    if decision.amount_fen > policy.ruling_limit_fen:
        both = replace(facts, second_approver=True)
        DISPUTE.advance(case.dispute.state, "issue_ruling", both, side=ctx.actor.side)
        return propose(ctx, case, subject=RULING, payload=made.payload(), shown=made.shown())
    return RulingMade(_rule(ctx, case, made, facts, author=ctx.actor))


def ruling_approved(ctx: Context, case: CaseFile, approved: Approved) -> None:
    """The second person has approved: the ruling is its proposer's, and its guards are asked again."""
    made = Reasoned.of_payload(approved.payload)
    people.order_line(ctx.tx.session, case.dispute.order_line_id, lock=True)
    require_not_conflicted(ctx, case)
    facts = _facts(ctx, case, made.kind, made.amount_fen, cites=len(made.cites), second_approver=True)
    author = Actor(Role.PLATFORM_AGENT, approved.proposer_id)
    _rule(ctx, case, made, facts, author=author, approver_id=ctx.actor.subject)


def _facts(
    ctx: Context, case: CaseFile, kind: str, amount_fen: int, *, cites: int, second_approver: bool = False
) -> DisputeFacts:
    return facts_of(ctx, case, ruling_kind=kind, amount_fen=amount_fen, cites=cites, second_approver=second_approver)


def _rule(
    ctx: Context,
    case: CaseFile,
    made: Reasoned,
    facts: DisputeFacts,
    *,
    author: Actor,
    approver_id: str | None = None,
) -> str:
    move(ctx, case, "issue_ruling", facts, entry_facts={"kind": made.kind, "amount_fen": made.amount_fen})
    return write_ruling(
        ctx,
        case,
        kind=made.kind,
        amount_fen=made.amount_fen,
        liability=made.liability,
        basis=made.basis,
        policy=facts.policy,
        reasons=made.reasons,
        cites=[dict(cite) for cite in made.cites],
        author=author,
        approver_id=approver_id,
    )


def accept_ruling(ctx: Context, dispute_id: str) -> None:
    """A losing party accepts; when every one has, the ruling is carried out and no appeal is left.

    Raises:
        Absent: not this party's dispute.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `arrow_missing`, `already_accepted`.
        GuardFailed: `not_losing_party`.
    """
    case = require_seen(ctx, dispute_id, lock=True)
    if ctx.actor.side == "merchant":
        require_may_after_sale(ctx)
    ruling, party = case.ruling, ctx.actor.side
    losers = losers_of(case, ruling) if ruling else ()
    accepted = accepted_by(ruling) if ruling else frozenset()
    facts = facts_of(
        ctx,
        case,
        is_losing_party=party in losers,
        losing_parties_pending=len(set(losers) - accepted - {party}),
    )
    DISPUTE.advance(case.dispute.state, "accept_ruling", facts, side=party)
    assert ruling is not None, "a dispute that is ruled has a ruling"
    if party in accepted:
        raise Conflict("already_accepted", zh="您已接受该判责", en="You have accepted this ruling")
    final = facts.losing_parties_pending == 0
    told = {"ruling": ruling.id, "party": party, "final": final}
    changes = changes_of(case, ruling.kind) if final else {}
    move(ctx, case, "accept_ruling", facts, changes=changes, entry_facts=told)
    ctx.plan.update(tables.Ruling, ruling.id, accepted_by=",".join(sorted(accepted | {party})))
    if final:
        made_final(ctx, ruling)
        ctx.announce("ruling.final", ruling_id=ruling.id)


def _case_of_platform(ctx: Context, dispute_id: str) -> CaseFile:
    case = load_case(ctx.tx.session, dispute_id)
    if case is None or case.dispute.intervened_at is None:
        raise Absent("dispute")
    return case
