"""The two parties of a dispute in tests: what they refuse, offer and agree to, and the platform called in."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from service.domain.errors import Refusal
from service.domain.staff import Actor, Role
from service.flows.call_platform import Call, call_platform
from service.flows.context import Context
from service.flows.exchange_messages import Said, Sent, post_message
from service.flows.heard import Outcome
from service.flows.moves import facts_of, move
from service.flows.negotiate import Offering, Refusing, seller_agree_refund, seller_offer, seller_refuse
from service.store.disputes import load_case
from tests.world import BUYER, OWNER, World

RISK = Actor(Role.SYSTEM, "system:risk", scopes=frozenset({"risk"}))

POLITE = "商品发出前检查过,没有问题,请您再看一下"


def offer(amount_fen: int, kind: str = "partial_refund", **more: Any) -> Offering:
    return Offering(kind, amount_fen, "CNY", **more)


def offered(world: World, amount_fen: int = 3_000, kind: str = "partial_refund", **columns: Any) -> str:
    """A dispute with an offer of the merchant on the table."""
    dispute_id = world.make_dispute("requested", **columns)
    world.tell(OWNER, lambda ctx: seller_offer(ctx, dispute_id, offer(amount_fen, kind)))
    return dispute_id


def said(world: World, dispute_id: str, text: str, actor: Actor = BUYER) -> str:
    """A message of the negotiation; returns its id."""
    client_id = f"c-{next(world.numbers)}"
    answer = world.tell(actor, lambda ctx: post_message(ctx, dispute_id, Said(client_id, text=text)))
    assert isinstance(answer, Sent | Outcome)
    return answer.message_id


# --- refusing -------------------------------------------------------------------------------------------------------


def refuse(world: World, dispute_id: str, *, actor: Actor = OWNER, **changes: Any) -> Outcome | None:
    refusing = replace(Refusing("other", POLITE), **changes)
    return world.tell(actor, lambda ctx: seller_refuse(ctx, dispute_id, refusing))


# --- words that are not let out -------------------------------------------------------------------------------------


# text → what becomes of it; taken from what the rules of the repository say, not from their lists
BLOCKED = "你这个骗子,滚,别再来找我们店了"


# --- agreeing -------------------------------------------------------------------------------------------------------


def agree(world: World, dispute_id: str, amount_fen: int | None = None) -> None:
    world.tell(OWNER, lambda ctx: seller_agree_refund(ctx, dispute_id, amount_fen=amount_fen, currency="CNY"))


# --- offers ---------------------------------------------------------------------------------------------------------


def pulls(dispute_id: str, trigger: str) -> Callable[[Context], None]:
    """A story that does no more than pull a trigger."""

    def story(ctx: Context) -> None:
        case = load_case(ctx.tx.session, dispute_id)
        assert case is not None
        move(ctx, case, trigger, facts_of(ctx, case, amount_fen=case.dispute.claimed_fen))

    return story


# --- calling the platform in ----------------------------------------------------------------------------------------


def call(world: World, dispute_id: str, actor: Actor = BUYER, **said: Any) -> Outcome | None:
    return world.tell(actor, lambda ctx: call_platform(ctx, dispute_id, Call(**said)))


def together(*attempts: Callable[[], object]) -> list[str]:
    """Run them at once; what each came to: `done` or the code of its refusal."""

    def told(attempt: Callable[[], object]) -> str:
        try:
            attempt()
        except Refusal as refusal:
            return refusal.code
        return "done"

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(told, attempts))
