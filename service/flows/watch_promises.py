"""The clocks of promises: nobody confirmed it in time, or its day has passed and nothing shows that it was kept."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from service.domain.policy import Policy
from service.domain.promise import PROMISE, PromiseFacts
from service.domain.transcript import rfc3339
from service.flows.context import Context
from service.flows.issuing import call_somebody, count_standing, issue_ticket
from service.flows.keeping import breach_id
from service.store import tables
from service.store.disputes import CaseFile, load_case
from service.store.timers import DueTimer

BROKEN_QUESTION: Final = (
    "{canonical},现已到期,平台未见履行凭证。请说明进展,并给出新的明确时间。"  # of the follow-up ticket
)


def lapse(ctx: Context, timer: DueTimer) -> None:
    """Nobody confirmed it within a day."""
    case, promise = _promise(ctx, timer)
    facts = PromiseFacts(policy=ctx.policy_of(case.dispute), now=ctx.now, lapses_at=timer.due_at)
    PROMISE.advance(promise.state, "promise_lapse_timeout", facts, side="system")
    ctx.follow(case.dispute)
    ctx.plan.update(tables.Promise, promise.id, state="lapsed", ended_at=ctx.now)
    ctx.record("promise.lapsed", facts={"promises": [promise.id]})
    ctx.announce("promise.lapsed", promise_ids=[promise.id])


def broken(ctx: Context, timer: DueTimer) -> None:
    """Its day has passed and nothing shows that it was kept: it counts, the agent is told, the shop is asked."""
    case, promise = _promise(ctx, timer)
    policy = ctx.policy_of(case.dispute)
    facts = PromiseFacts(policy=policy, now=ctx.now, due_at=promise.due_at)
    PROMISE.advance(promise.state, "promise_due_timeout", facts, side="system")
    ctx.follow(case.dispute)
    ticket = _follow_up(ctx, case, promise, policy)
    named, due_at = {} if ticket is None else {"ticket": ticket}, rfc3339(timer.due_at)
    ctx.plan.update(tables.Promise, promise.id, state="breached", ended_at=ctx.now)
    ctx.record("promise.breached", facts={"promise": promise.id, "due_at": due_at} | named)
    ctx.announce("promise.breached", promise_id=promise.id, due_at=due_at)
    if promise.action == "reply_later":  # D17: when that passes the seat is reminded
        ctx.announce("promise.reminder", promise_id=promise.id, seat_id=promise.confirmed_by, due_at=due_at)
    count_standing(
        ctx,
        case.dispute.merchant_id,
        case.dispute.id,
        kind="promise_breached",
        standing_id=breach_id(promise.id),
        subject_id=promise.id,
    )
    call_somebody(ctx, role="platform_agent", kind="promise_breached")


def _follow_up(ctx: Context, case: CaseFile, promise: tables.Promise, policy: Policy) -> str | None:
    """A ticket that asks what became of the promise, where the policy wants one and the platform is still at work."""
    if not policy.ticket_of_broken_promise or case.dispute.state != "intervening":
        return None
    return issue_ticket(
        ctx,
        merchant_id=case.dispute.merchant_id,
        policy=policy,
        cause="MANUAL",  # no session closed over it: the platform asks
        category=policy.ticket_category_of_timeout,
        question=BROKEN_QUESTION.format(canonical=promise.canonical_zh.removesuffix("。")),
        blocking=False,
    )


DECISIONS = MappingProxyType({"promise_lapse": lapse, "promise_due": broken})


def _promise(ctx: Context, timer: DueTimer) -> tuple[CaseFile, tables.Promise]:
    case = load_case(ctx.tx.session, timer.dispute_id)
    assert case is not None, "a timer has a dispute"
    return case, next(each for each in case.promises if each.id == timer.subject_id)
