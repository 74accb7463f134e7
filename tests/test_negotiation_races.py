"""Two act at once, or the clock and a party do: one wins, and who was in time is told so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

from service.domain.errors import WindowClosed
from service.flows.context import THE_CLOCK, Context
from service.flows.moves import facts_of, move
from service.flows.negotiate import Refusing, seller_refuse
from service.flows.open_dispute import withdraw
from service.flows.overtaken import overtaken_by_clock
from service.flows.read_case import require_seen
from service.store import tables
from service.store.disputes import load_case
from service.store.engine import Transaction
from tests.judge import dispute
from tests.negotiating import POLITE, agree, pulls, together
from tests.over_http import HttpWorld
from tests.waiting import wait_until
from tests.world import BUYER, OWNER, START, World


def test_of_agreeing_and_withdrawing_at_once_exactly_one_wins(world: World) -> None:
    """Edge case 4: exactly one wins by revision."""
    for _ in range(8):
        dispute_id = world.make_dispute("refused")

        ended = together(
            lambda d=dispute_id: agree(world, d),
            lambda d=dispute_id: world.tell(BUYER, lambda ctx: withdraw(ctx, d, note=None)),
        )

        assert sorted(ended) == ["arrow_missing", "done"]
        paid = len(world.rows(tables.RefundExecution, dispute_id=dispute_id))
        assert (dispute(world, dispute_id).state, paid) in (("executing", 1), ("closed", 0))


def test_a_command_that_was_in_time_is_told_so_when_the_clock_was_faster(world: World) -> None:
    """Section 4: 409 `window_closed` with `in_time: true`, recorded, and a supervisor's task."""
    dispute_id = world.make_dispute("requested")
    due_at = START + timedelta(hours=48)
    world.now = due_at + timedelta(seconds=1)

    world.tell(THE_CLOCK, pulls(dispute_id, "seller_response_timeout"))

    def late(ctx: Context) -> WindowClosed | None:
        return overtaken_by_clock(ctx, require_seen(ctx, dispute_id, lock=True), "seller_refuse")

    in_time = world.tell(OWNER, late, received_at=due_at - timedelta(microseconds=1))
    too_late = world.tell(OWNER, late, received_at=due_at)

    assert in_time is not None
    assert in_time.facts["in_time"] is True
    assert too_late is None
    assert world.kinds(dispute_id)[-1] == "dispute.overtaken_by_clock"
    assert world.row(tables.Task, dispute_id=dispute_id).role == "supervisor"


def test_a_window_that_a_command_closed_was_not_overtaken(world: World) -> None:
    """The clock must have struck itself: a second refusal of the same window is only `arrow_missing`."""
    dispute_id = world.make_dispute("requested")
    due_at = START + timedelta(hours=48)
    world.now = due_at + timedelta(milliseconds=500)
    before = due_at - timedelta(microseconds=1)
    world.tell(OWNER, lambda ctx: seller_refuse(ctx, dispute_id, Refusing("other", POLITE)), received_at=before)

    told = world.tell(
        OWNER,
        lambda ctx: overtaken_by_clock(ctx, require_seen(ctx, dispute_id, lock=True), "seller_refuse"),
        received_at=before,
    )

    assert told is None


def test_a_process_that_stalled_beyond_the_end_answers_in_time_all_the_same(http: HttpWorld) -> None:
    """Section 4: received before due_at, decided after the clock struck, the page seen stale: 409 with `in_time`."""
    dispute_id = http.open_one()
    due_at = START + timedelta(hours=48)
    locked, go_on = Event(), Event()

    def strike(tx: Transaction) -> None:
        """Holds the dispute while the request waits, then lets the clock win."""
        ctx = http.house.context(tx, actor=THE_CLOCK, now=due_at + timedelta(seconds=1), received_at=due_at)
        case = load_case(tx.session, dispute_id)
        assert case is not None
        locked.set()
        assert go_on.wait(20)
        move(ctx, case, "seller_response_timeout", facts_of(ctx, case))
        tx.apply([ctx.plan])

    http.now = due_at - timedelta(microseconds=1)
    body = {"reason": "other", "message": POLITE}
    with ThreadPoolExecutor(1) as pool:
        struck = http.database.submit(strike)
        assert locked.wait(20)
        asked = pool.submit(lambda: http.act("owner", dispute_id, "seller-refuse", body, if_match='"1"'))
        wait_until(lambda: http.app.state.runner.in_flight)  # received, and about to wait for the lock
        http.now = due_at + timedelta(seconds=2)
        go_on.set()
        struck.result(20)
        answer = asked.result(20)

    assert (answer.status_code, answer.json()["code"], answer.json()["in_time"]) == (409, "window_closed", True)
    assert http.kinds(dispute_id)[-1] == "dispute.overtaken_by_clock"
    assert http.row(tables.Task, dispute_id=dispute_id).kind == "seller_response_was_in_time"
    late = http.act("owner", dispute_id, "seller-refuse", body, if_match='"1"')
    assert (late.status_code, late.json()["code"]) == (412, "stale_revision")
