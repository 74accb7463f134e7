"""A small town of disputes in which everybody acts at random, with a clock that jumps and dice thrown from a seed.

Each step somebody does something, fitting or not: what does not fit must be a refusal. Arguments are drawn from what is
there, so that most acts have a chance.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlmodel import SQLModel, col, select

from service.app import decisions
from service.domain.errors import Refusal
from service.domain.staff import Actor
from service.flows import open_dispute, pay_refund
from service.flows.context import Context
from service.flows.rulings import Cite
from service.flows.upload_file import keep_upload
from service.flows.watch_windows import sweep
from service.store import tables, timers
from service.store.engine import Transaction
from service.store.payments import GatewayStatus, Outcome, SimulatedGateway
from service.store.quotations import Quotation
from service.store.words import words_of
from tests.judge import picture
from tests.proofs import rows
from tests.world import (
    AGENT,
    BUYER,
    MARKETPLACE,
    OTHER_AGENT,
    OTHER_BUYER,
    OTHER_OWNER,
    OTHER_SUPERVISOR,
    OWNER,
    SEAT,
    SUPERVISOR,
    World,
)

Row = TypeVar("Row", bound=SQLModel)
Story = Callable[[Context], Any]
Act = Callable[["Town", tables.Dispute], tuple[Actor, Story] | None]

EVERYBODY = (
    BUYER,
    OTHER_BUYER,
    OWNER,
    OTHER_OWNER,
    SEAT,
    AGENT,
    OTHER_AGENT,
    SUPERVISOR,
    OTHER_SUPERVISOR,
    MARKETPLACE,
)
DECISIONS = decisions()
BUYER_TEXT = "收到的衣服袖子上有一个破洞"
JUMPS = {  # how far, and how often
    timedelta(microseconds=1): 1,
    timedelta(seconds=20): 5,
    timedelta(minutes=2): 5,
    timedelta(minutes=3): 4,
    timedelta(minutes=11): 2,
    timedelta(hours=1): 2,
    timedelta(hours=13): 1,
    timedelta(days=2): 0.5,
    timedelta(days=8): 0.25,
}


class Town:
    """Some disputes at once in one world, with a gateway that does as scripted.

    Args:
        orders: how many order lines are fought about.
        fitting: what people do about a dispute in a state.
    """

    def __init__(
        self,
        world: World,
        gateway: SimulatedGateway,
        dice: random.Random,
        *,
        orders: int,
        fitting: Mapping[str, Sequence[Act]],
    ) -> None:
        self.world = world
        self.dice = dice
        self.gateway = gateway
        self.disputes: list[str] = []
        self.lines: list[str] = []
        self.trail: deque[str] = deque(maxlen=60)  # what happened last, for whoever looks for a bug
        self.results: Counter[str] = Counter()
        self.fitting = fitting
        self.acts = tuple(dict.fromkeys(act for acts in fitting.values() for act in acts))
        for _ in range(orders):
            shipped = world.now - timedelta(days=1) if dice.random() < 0.5 else None
            paid = dice.choice((1, 100, 12_900, 80_000))
            self.lines.append(world.place_order(paid_fen=paid, refundable_fen=paid - paid // 10, shipped_at=shipped))

    # --- one step ---------------------------------------------------------------------------------------------------

    def step(self) -> list[str]:
        """Somebody does something, or time passes; returns the ids of the disputes it may have touched."""
        luck = self.dice.random()
        if luck < 0.10:
            (length,) = self.dice.choices(list(JUMPS), weights=JUMPS.values())
            self.jump(length * self.dice.uniform(0.5, 1.0))
            return self.disputes
        if luck < 0.16:
            self.work()
            return self.disputes
        if luck < 0.18 or len(self.disputes) < len(self.lines):
            self._open()
            return self.disputes[-1:]
        dispute = self._somebodys_case()
        fitting = self.fitting[dispute.state] if self.dice.random() < 0.85 else self.acts
        self._act(dispute, self.dice.choice(fitting))
        return [dispute.id]

    def _somebodys_case(self) -> tables.Dispute:
        """A dispute, mostly one that is not closed."""
        known = rows(self.world.database, tables.Dispute, col(tables.Dispute.id).in_(self.disputes))
        alive = [dispute for dispute in known if dispute.state != "closed"]
        return self.dice.choice(alive if alive and self.dice.random() < 0.9 else known)

    def _act(self, dispute: tables.Dispute, act: Act) -> None:
        asked = act(self, dispute)
        if asked is None:
            return
        who, story = asked
        if self.dice.random() < 0.06:
            who = self.dice.choice(EVERYBODY)
        late = timedelta(seconds=self.dice.choice((0, 0, 0, 0.4, 3)))
        for _ in range(self.dice.choice((1, 1, 1, 1, 2))):  # sometimes it is sent twice
            self.tell(
                who, story, f"{act.__name__} {dispute.id[-6:]} {dispute.state}", received_at=self.world.now - late
            )

    def tell(self, who: Actor, story: Story, name: str, *, received_at: datetime | None = None) -> Any:
        """Run a story; a refusal is an answer, anything else that is raised is our bug."""
        try:
            answer = self.world.tell(who, story, received_at=received_at)
        except Refusal as refusal:
            answer = refusal
        code = answer.code if isinstance(answer, Refusal) else "done"
        self.trail.append(f"{self.world.now:%d %H:%M:%S} {who.subject} {name}: {code}")
        self.results[name.partition(" ")[0] + (" done" if code == "done" else " refused")] += 1
        return answer

    def jump(self, length: timedelta) -> None:
        """Time passes; a while later the clocks fire."""
        self.world.now += length
        self.trail.append(f"{self.world.now:%d %H:%M:%S} the clock jumped {length}")
        if self.dice.random() < 0.8:
            self.tick()

    def tick(self) -> int:
        """Fire what is due."""
        fired = 0
        while True:
            done = self.world.database.run(
                lambda tx: sweep(self.world.house, tx, now=self.world.now, decisions=DECISIONS)
            )
            assert not done.failed, "a timer's decision failed"
            if not done.claimed:
                return fired
            fired += done.claimed

    def work(self) -> int:
        """One round of the payer, the gateway in a mood."""
        if self.dice.random() < 0.5:
            self.gateway.outcomes = deque(self.dice.choices(list(Outcome), k=self.dice.randrange(6)))
        return self._pay()

    def live_on(self, jumps_max: int) -> int:
        """Nobody acts any more: from one due thing to the next until nothing is; returns how many jumps it took.

        What the gateway has not decided stays undecided, and is waited for no longer.
        """
        self.gateway.outcomes.clear()
        for jumps in range(jumps_max):
            self.tick()
            while self._pay():
                pass
            due = self.world.database.read(self._next_due)
            if due is None:
                return jumps
            self.world.now = max(due, self.world.now + timedelta(microseconds=1))
        raise AssertionError(f"still not at rest after {jumps_max} jumps")

    def let_gateway_decide(self) -> None:
        """Whatever hangs at the gateway is paid or fails."""
        for execution in self._executions():
            if self.gateway.query(execution.gateway_key) is GatewayStatus.PENDING:
                said = self.dice.choice((GatewayStatus.SUCCEEDED, GatewayStatus.FAILED))
                self.gateway.settle(execution.gateway_key, said)

    def _executions(self) -> list[tables.RefundExecution]:
        execution = tables.RefundExecution
        return rows(self.world.database, execution, col(execution.order_line_id).in_(self.lines))

    def _pay(self) -> int:
        return pay_refund.pay_due(self.world.house, self.world.database, self.gateway, lambda: self.world.now)

    def _next_due(self, tx: Transaction) -> datetime | None:
        found = [] if (due := timers.next_due(tx)) is None else [due]
        job, execution = tables.Outbox, tables.RefundExecution
        for each in tx.session.exec(select(job).where(job.topic == "refund", col(job.done_at).is_(None))):
            asked = tx.session.get_one(execution, each.payload["execution_id"])
            if self.gateway.query(asked.gateway_key) is not GatewayStatus.PENDING:
                found.append(each.next_attempt_at)
        return min(found, default=None)

    def _open(self) -> None:
        opened_all = len(self.disputes) >= len(self.lines)
        line = self.dice.choice(self.lines) if opened_all else self.lines[len(self.disputes)]
        row = self.world.row(tables.OrderLine, id=line)
        claim = open_dispute.Claim(
            line,
            self.dice.choice(("refund_only", "return_refund")),
            self.dice.choice(("not_as_described", "quality_problem", "damaged", "not_shipped")),
            self.dice.choice(
                (row.refundable_fen, row.refundable_fen, max(1, row.refundable_fen // 2), row.paid_fen + 1)
            ),
            "CNY",
            "收到的衣服袖子上有一个破洞",
        )
        opened = self.tell(BUYER, lambda ctx: open_dispute.open_dispute(ctx, claim), "opens")
        if isinstance(opened, str):
            self.disputes.append(opened)

    # --- what acts are made from ------------------------------------------------------------------------------------

    def some(self, model: type[Row], dispute: tables.Dispute, **where: object) -> Row | None:
        """One row of the dispute."""
        found = self.world.rows(model, dispute_id=dispute.id, **where)
        return self.dice.choice(found) if found else None

    def held_reply(self, inquiry_id: str) -> tuple[str, str] | None:
        """A text of the inquiry that was held, and the leave to send it as it is."""
        tokens = self.world.rows(tables.ConfirmToken, thread_id=inquiry_id)
        held = self.world.rows(tables.Message, thread_id=inquiry_id, delivery="held")
        if not tokens or not held:
            return None
        last = held[-1]
        words = self.world.database.read(lambda tx: words_of(tx.session, last.dispute_id, [last.seq]))
        return str(words[last.seq]["text"]), tokens[-1].id

    def once(self) -> str:
        """A client's own number of a message."""
        return f"m-{self.dice.randrange(10**9)}"

    def file(self, dispute: tables.Dispute, who: Actor) -> str:
        """A file uploaded just now by somebody; its fingerprint."""
        stored = self.world.house.files.put(picture(f"{self.dice.randrange(10)}"))
        self.tell(who, lambda ctx: keep_upload(ctx, dispute.id, "proof", stored), "uploads")
        return stored.sha256

    def cite(self, dispute: tables.Dispute) -> tuple[Cite, ...]:
        """Exact words of what the buyer wrote, if the buyer wrote."""
        message = self.some(tables.Message, dispute, sender_side="buyer", kind="text")
        return () if message is None else (Cite(Quotation(message.id, 0, 4, BUYER_TEXT[:4])),)
