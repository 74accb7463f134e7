"""Simulated disputes: everybody acts at random over the real stories; what must always hold is looked at each time."""

from __future__ import annotations

import base64
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlmodel import col, select

from service.domain.canonical import canonical
from service.domain.cleared_words import require_no_promise
from service.domain.dispute import DISPUTE
from service.domain.errors import Refusal
from service.domain.transcript import leaf_hash
from service.flows.context import Context
from service.store import tables
from service.store.engine import Transaction
from service.store.payments import SimulatedGateway
from service.store.words import words_of
from tests.conftest import NewDatabase
from tests.judge import put
from tests.proofs import Model, Say, broken_chains, new_seed, rows, size
from tests.simulated_acts import FITTING
from tests.simulation import Town
from tests.world import AGENT, OTHER_OWNER, SEAT, World, new_world

ORDERS = 3  # order lines of one town
STEPS = 150  # of one town, before everybody falls silent
JUMPS_MAX = 3_000  # from one due thing to the next until all is at rest

pytestmark = pytest.mark.long

# Which clocks may run for what, by its state.
DISPUTE_CLOCKS = {
    "requested": {"seller_response"},
    "refused": {"escalate_window"},
    "offer_pending": {"offer_response"},
    "awaiting_return": {"return_ship"},
    "return_in_transit": {"receipt"},
    "intervention_requested": {"accept_alarm", "hard_deadline"},
    "intervening": {"rule_alarm", "hard_deadline", "agent_task"},
    "ruled": {"appeal_window"},
    "appealed": {"appeal_alarm", "appeal_review"},
    "executing": {"refund_retries"},
    "execution_failed": {"platform_advance"},
    "closed": set(),
}
ENDS = {  # the clock without which a dispute in this state could stay there for ever
    "requested": "seller_response",
    "refused": "escalate_window",
    "offer_pending": "offer_response",
    "awaiting_return": "return_ship",
    "return_in_transit": "receipt",
    "intervention_requested": "hard_deadline",
    "intervening": "hard_deadline",
    "ruled": "appeal_window",
    "appealed": "appeal_review",
    "executing": "refund_retries",
}
CHILD_CLOCKS = {
    tables.Inquiry: {"awaiting_merchant": {"reply_window", "reply_warning_60", "reply_warning_20"},
                     "awaiting_agent": {"inquiry_idle"}},
    tables.Ticket: {"issued": {"ticket_sla"}, "acknowledged": {"ticket_sla"}, "responded": {"ticket_agent_idle"}},
    tables.EvidenceRequest: {"open": {"evidence_window"}},
    tables.Promise: {"extracted": {"promise_lapse"}, "confirmation_requested": {"promise_lapse"},
                     "relayed": {"promise_due"}},
    tables.Approval: {"proposed": {"approval_expiry"}},
}  # fmt: skip
ACTS = {act.__name__ for acts in FITTING.values() for act in acts}
MUST_RUN = {"reply_window", "inquiry_idle", "ticket_sla", "evidence_window", "promise_due", "approval_expiry"}


@pytest.mark.parametrize(("engine", "whole", "part"), [("sqlite", 30_000, 10), ("postgres", 2_500, 3)])
def test_simulated_disputes_keep_every_promise_of_the_house(
    engine: str, whole: int, part: int, request: pytest.FixtureRequest, tmp_path: Path, figure: Say
) -> None:
    """Edge cases 7, 8 and 34, F8, F21: towns of random acts, every invariant after every step, all at rest at last."""
    seed, towns = new_seed(), size(whole=whole, part=part)
    gateway = SimulatedGateway()
    new: NewDatabase = request.getfixturevalue(f"new_{engine}")
    began, disputes, results, ends = time.monotonic(), 0, Counter[str](), Counter[str]()
    with new_world(new(), tmp_path) as world:
        world.open_shop("shop-2", owner=str(OTHER_OWNER.seat_id))
        for number in range(towns):
            dice = random.Random(f"{seed}-{number}")
            town = Town(world, gateway, dice, orders=ORDERS, fitting=FITTING)
            watcher = Watcher(town)
            try:
                live(town, watcher)
            except BaseException as error:
                error.add_note(f"PROOF_SEED={seed}, town {number}:\n" + "\n".join(town.trail))
                raise
            disputes += len(town.disputes)
            results += town.results
            ends.update(str(watcher.row(dispute_id).outcome) for dispute_id in town.disputes)
        assert broken_chains(world.database) == []
    never = sorted(name for name in ACTS if not results[f"{name} done"])
    done = sum(times for name, times in results.items() if name.endswith("done"))
    seconds = time.monotonic() - began
    figure(
        f"seed {seed}: {towns} towns, {disputes} disputes, {sum(results.values())} acts ({done} done)"
        f" in {seconds:.0f} s; ends {dict(ends.most_common())};"
        f" never done: {', '.join(never) or 'nothing'}"
    )


def live(town: Town, watcher: Watcher) -> None:
    """A while of random acts, then silence until everything has ended."""
    for _ in range(STEPS):
        touched = town.step()
        watcher.look(touched)
    town.live_on(JUMPS_MAX)
    watcher.look(town.disputes)
    for dispute_id in town.disputes:
        dispute = watcher.row(dispute_id)
        assert dispute.state == "closed" or watcher.waits_at_gateway(dispute), f"{dispute_id} stays {dispute.state}"
    town.let_gateway_decide()
    town.live_on(JUMPS_MAX)
    watcher.look(town.disputes)
    assert {watcher.row(dispute_id).state for dispute_id in town.disputes} == {"closed"}


class Watcher:
    """Looks at what must hold, each time from where it looked last."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.database = town.world.database
        self.read: dict[str, tuple[int, bytes | None, str | None]] = defaultdict(lambda: (0, None, None))

    def look(self, dispute_ids: list[str]) -> None:
        """Everything that holds of single disputes, and of the money and the seats of the town."""
        self.database.read(lambda tx: self._look(Eyes(tx), dispute_ids))

    def _look(self, see: Eyes, dispute_ids: list[str]) -> None:
        for dispute_id in dispute_ids:
            (dispute,) = see(tables.Dispute, tables.Dispute.id == dispute_id)
            self._transcript(see, dispute)
            self._clocks(see, dispute)
            self._promises(see, dispute)
            self._relays(see, dispute)
        self._money(see)
        self._seats(see)

    def row(self, dispute_id: str) -> tables.Dispute:
        """The dispute as it stands."""
        (found,) = rows(self.database, tables.Dispute, tables.Dispute.id == dispute_id)
        return found

    def waits_at_gateway(self, dispute: tables.Dispute) -> bool:
        """The gateway has not decided about its newest refund: nobody else can end it."""
        executions = rows(self.database, tables.RefundExecution, tables.RefundExecution.dispute_id == dispute.id)
        said = {self.town.gateway.query(e.gateway_key).value for e in executions}
        return dispute.state in ("executing", "execution_failed") and "pending" in said

    def _transcript(self, see: Eyes, dispute: tables.Dispute) -> None:
        """The chain goes on where it ended, and every move is an arrow of the table."""
        seq, before, state = self.read[dispute.id]
        line = tables.TranscriptEntry
        for entry in see(line, line.dispute_id == dispute.id, col(line.seq) > seq):
            seq, said = seq + 1, json.loads(entry.body)
            assert (entry.seq, said["seq"], said["case"]) == (seq, seq, dispute.id)
            assert said["prev"] == (None if before is None else base64.b64encode(before).decode())
            assert leaf_hash(entry.body) == entry.hash
            before, facts = entry.hash, said.get("facts", {})
            if "arrow" in facts:
                require_arrow(entry.kind.removeprefix("dispute."), facts)
                assert state in (None, facts["from"]), "a move begins where the last one ended"
                state = facts["to"]
        assert (dispute.last_seq, dispute.last_hash) == (seq, before)
        assert state in (None, dispute.state)
        self.read[dispute.id] = (seq, before, state)

    def _clocks(self, see: Eyes, dispute: tables.Dispute) -> None:
        """Clocks run only for what is open, and what is open has its clock."""
        armed: dict[str, set[str]] = defaultdict(set)
        for timer in see(tables.Timer, tables.Timer.dispute_id == dispute.id, col(tables.Timer.done_at).is_(None)):
            armed[timer.subject_id].add(timer.name)
        own = armed.pop(dispute.id, set())
        assert own <= DISPUTE_CLOCKS[dispute.state], f"{dispute.state} has {own}"
        assert ENDS.get(dispute.state) in (None, *own), f"{dispute.state} has only {own}"
        for model, allowed in CHILD_CLOCKS.items():
            for child in see(model, model.dispute_id == dispute.id):
                running, may = armed.pop(child.id, set()), allowed.get(child.state, set())
                assert running <= may, f"{model.__name__} {child.state} has {running}"
                assert may & MUST_RUN <= running, f"{model.__name__} {child.state} has only {running}"
        assert not armed, f"clocks of nobody: {dict(armed)}"

    def _promises(self, see: Eyes, dispute: tables.Dispute) -> None:
        """No promise was passed on without the act that confirmed exactly it, before."""
        acts = None
        for promise in see(tables.Promise, tables.Promise.dispute_id == dispute.id):
            if promise.state not in ("confirmed", "relayed", "fulfilled", "breached"):
                continue
            acts = acts or confirmations(see, dispute.id)
            seq, facts = acts[promise.confirmation_hash or b""]
            made = canonical(promise.action, promise.amount_fen, promise.amount_max_fen, promise.due_at).sha256_hex
            assert facts == {"promise": promise.id, "canonical": made}
            assert made == promise.canonical_sha256 == promise.confirmed_canonical
            assert promise.relay_seq is None or promise.relay_seq > seq
            assert (promise.relay_seq is None) == (promise.state == "confirmed")

    def _relays(self, see: Eyes, dispute: tables.Dispute) -> None:
        """What the platform said to the buyer names confirmed promises, or holds no promise at all."""
        line, message = tables.TranscriptEntry, tables.Message
        told = see(line, line.dispute_id == dispute.id, line.kind == "buyer.told")
        channel = see(message, message.dispute_id == dispute.id, message.conversation == "relay")
        facts = {each.seq: json.loads(each.body)["facts"] for each in told}
        assert {(m.id, m.seq) for m in channel} == {(said["message"], seq) for seq, said in facts.items()}
        if not told:
            return
        words = words_of(see.session, dispute.id, facts)
        confirmed = {base64.b64encode(made).decode() for made in confirmations(see, dispute.id)}
        for seq, said in facts.items():
            assert {each["confirmation"] for each in said["promises"]} <= confirmed
            if not said["promises"]:
                require_nothing_promised(str(words[seq]["text"]))

    def _money(self, see: Eyes) -> None:
        """At most one payment an obligation; no line pays more than it may; the books are the gateway's."""
        execution, line = tables.RefundExecution, tables.OrderLine
        by_key = {e.gateway_key: e for e in see(execution, col(execution.order_line_id).in_(self.town.lines))}
        paid, of_line = Counter[tuple[str, int]](), Counter[str]()
        for payment in self.town.gateway.payments():
            if (asked := by_key.get(payment.key)) is None:
                continue  # another town's
            assert payment.amount_fen == asked.amount_fen
            paid[asked.dispute_id, asked.obligation_no] += 1
            of_line[asked.order_line_id] += payment.amount_fen
        assert not paid or max(paid.values()) == 1, f"paid twice: {paid.most_common(1)}"
        for each in see(line, col(line.id).in_(self.town.lines)):
            assert 0 <= each.refunded_fen + each.pending_fen <= each.refundable_fen <= each.paid_fen
            assert of_line[each.id] <= each.refundable_fen

    def _seats(self, see: Eyes) -> None:
        """A seat's counter equals a recount."""
        inquiry = tables.Inquiry
        running = see(inquiry, col(inquiry.state).in_(("routing", "awaiting_merchant", "awaiting_agent")))
        counted = Counter(each.seat_id for each in running)
        for seat in see(tables.Seat):
            assert seat.open_inquiries == counted[seat.id], f"{seat.id}: {seat.open_inquiries}"


class Eyes:
    """Reads rows in one transaction, in the order of their primary keys."""

    def __init__(self, tx: Transaction) -> None:
        self.session = tx.session

    def __call__(self, model: type[Model], *conditions: object) -> list[Model]:
        keys = model.__table__.primary_key.columns
        return list(self.session.exec(select(model).where(*conditions).order_by(*keys)).all())


def require_arrow(trigger: str, facts: dict[str, str]) -> None:
    """The move stands in the table."""
    arrows = {(a.number, DISPUTE.target(facts["from"], a)) for a in DISPUTE.arrows_from(facts["from"], trigger)}
    assert (facts["arrow"], facts["to"]) in arrows, f"{trigger} from {facts['from']}: {facts}"


def confirmations(see: Eyes, dispute_id: str) -> dict[bytes, tuple[int, dict[str, str]]]:
    """The acts of confirmation by the hash of their entries."""
    line = tables.TranscriptEntry
    found = see(line, line.dispute_id == dispute_id, line.kind == "promise.confirmed")
    return {each.hash: (each.seq, json.loads(each.body)["facts"]) for each in found}


def require_nothing_promised(text: str) -> None:
    """Free words of the platform carry no promise."""
    try:
        require_no_promise(text)
    except Refusal as refusal:
        raise AssertionError(f"said to a buyer: {text}") from refusal


# --- the watcher itself ---------------------------------------------------------------------------------------------


def arms_a_clock_of_a_closed_dispute(world: World, dispute_id: str) -> None:
    put(world, tables.Dispute, dispute_id, state="closed", closed_at=world.now, outcome="BUYER_WITHDREW")


def disarms_the_clock_that_would_end_it(world: World, dispute_id: str) -> None:
    put(world, tables.Timer, f"{dispute_id}:seller_response", done_at=world.now)


def counts_a_seat_wrong(world: World, dispute_id: str) -> None:
    put(world, tables.Seat, str(SEAT.seat_id), open_inquiries=1)


def appends_to_the_wrong_entry(world: World, dispute_id: str) -> None:
    put(world, tables.Dispute, dispute_id, last_seq=7)


def pays_more_than_there_is(world: World, dispute_id: str) -> None:
    world.insert(
        (
            tables.RefundExecution,
            {
                "id": "execution-1",
                "dispute_id": dispute_id,
                "order_line_id": world.row(tables.Dispute, id=dispute_id).order_line_id,
                "amount_fen": 90_000,
                "currency": "CNY",
                "state": "submitted",
                "gateway_key": "key-1",
                "created_at": world.now,
            },
        )
    )


def says_a_promise_to_the_buyer(world: World, dispute_id: str) -> None:
    def story(ctx: Context) -> None:
        ctx.follow(ctx.tx.session.get_one(tables.Dispute, dispute_id))
        message = {"message": "message-1", "source": "free_text", "promises": []}
        made = ctx.record("buyer.told", facts=message, private={"text": "商家今天会给您发货的。"})
        ctx.plan.insert(
            tables.Message, id="message-1", dispute_id=dispute_id, thread_id=dispute_id, conversation="relay",
            seq=made.seq, sender_side="platform_agent", sender_id=AGENT.subject, delivery="delivered",
            client_message_id="m-1", received_at=ctx.now,
        )  # fmt: skip

    world.tell(AGENT, story)


@pytest.mark.parametrize(
    "harm",
    [
        arms_a_clock_of_a_closed_dispute,
        disarms_the_clock_that_would_end_it,
        counts_a_seat_wrong,
        appends_to_the_wrong_entry,
        pays_more_than_there_is,
        says_a_promise_to_the_buyer,
    ],
)
def test_the_watcher_sees_what_is_wrong(
    harm: Callable[[World, str], None], new_sqlite: NewDatabase, tmp_path: Path
) -> None:
    """A proof that finds nothing must be able to find something."""
    with new_world(new_sqlite(), tmp_path) as world:
        town = Town(world, SimulatedGateway(), random.Random(1), orders=1, fitting=FITTING)
        dispute_id = world.make_dispute("requested", line=town.lines[0])
        town.disputes.append(dispute_id)
        watcher = Watcher(town)
        watcher.look(town.disputes)

        harm(world, dispute_id)
        town.gateway.submit("key-1", 90_000, "CNY", payment_no="p", fund="merchant")

        with pytest.raises(AssertionError):
            watcher.look(town.disputes)
