"""Who may act below a dispute: the agent it is assigned to, and the seats that may answer or commit the shop."""

from __future__ import annotations

from service.domain.errors import Absent, Conflict, Forbidden, GuardFailed
from service.domain.policy import Policy
from service.domain.staff import Role
from service.flows.context import Context
from service.flows.read_case import require_seat
from service.store import tables
from service.store.disputes import CaseFile, load_case


def require_agents_case(ctx: Context, dispute_id: str) -> CaseFile:
    """The dispute under its lock, for the agent it is assigned to or a supervisor.

    Raises:
        Absent: no such dispute, or one that never came to the platform.
        Forbidden: `not_your_dispute`: another agent's, or nobody's yet.
    """
    case = load_case(ctx.tx.session, dispute_id)
    if case is None or case.dispute.intervened_at is None:
        raise Absent("dispute")
    if ctx.actor.role is not Role.SUPERVISOR and case.dispute.assignee_id != ctx.actor.subject:
        raise Forbidden("not_your_dispute", zh="该纠纷不由您处理", en="This dispute is another agent's")
    return case


def require_intervening(case: CaseFile) -> None:
    """Refuse what only makes sense while the platform is at work.

    Raises:
        Conflict: `dispute_not_intervening` with the present state.
    """
    require_at_work(case.dispute.state)


def require_at_work(state: str) -> None:
    """`require_intervening` of a dispute's state alone.

    Raises:
        Conflict: `dispute_not_intervening` with the present state.
    """
    if state != "intervening":
        raise Conflict(
            "dispute_not_intervening",
            zh="该纠纷不在处理中",
            en="The dispute is not being worked on",
            state=state,
        )


def require_shops_case(ctx: Context, dispute_id: str) -> CaseFile:
    """The dispute under its lock, for somebody of its shop.

    Raises:
        Absent: no such dispute, or another shop's.
    """
    case = load_case(ctx.tx.session, dispute_id)
    if case is None or case.dispute.merchant_id != ctx.actor.merchant_id:
        raise Absent("dispute")
    return case


def require_may_answer_platform(ctx: Context, case: CaseFile) -> tables.Seat:
    """The acting seat, if it may answer the platform: the owner, or a designated seat with IM permission (source 002).

    Once the shop is closed or suspended only its owner is left to answer (edge case 27).

    Raises:
        Absent: no such seat in this shop.
        Forbidden: `seat_inactive`, `im_permission_missing`, `shop_not_active`.
    """
    seat = require_seat(ctx)
    if seat.is_owner:
        return seat
    if not (seat.may_im and seat.designated):
        raise Forbidden(
            "im_permission_missing",
            zh="该客服没有回复平台客服的权限",
            en="This seat may not answer the platform",
            im_permission=seat.may_im,
            designated=seat.designated,
        )
    if case.merchant.status != "active":
        raise Forbidden(
            "shop_not_active",
            zh="店铺已关闭或停用,仅店主可以处理",
            en="The shop is closed or suspended; only its owner may answer",
            status=case.merchant.status,
        )
    return seat


def require_transcript_room(case: CaseFile, policy: Policy) -> None:
    """Refuse one more entry where the transcript is full.

    Raises:
        GuardFailed: `case_entries_max`.
    """
    if case.dispute.last_seq >= policy.case_entries_max:
        raise GuardFailed("case_entries_max", zh="该纠纷记录已达上限", en="This dispute's transcript is full")


def require_may_commit(ctx: Context) -> tables.Seat:
    """The acting seat, if it may commit the shop: the owner, or a seat with that permission.

    Raises:
        Absent: no such seat in this shop.
        Forbidden: `seat_inactive`, `commit_not_permitted`.
    """
    seat = require_seat(ctx)
    require_commits(is_owner=seat.is_owner, may_commit=seat.may_commit)
    return seat


def require_commits(*, is_owner: bool, may_commit: bool) -> None:
    """Refuse a seat that may not commit the shop.

    Raises:
        Forbidden: `commit_not_permitted`.
    """
    if not (is_owner or may_commit):
        raise Forbidden("commit_not_permitted", zh="该客服无承诺权限", en="The seat may not commit the shop")
