"""The clocks of promises, tickets, inquiries and returns, fired by hand."""

from __future__ import annotations

from datetime import datetime

from service.flows import return_goods, watch_inquiries, watch_promises, watch_tickets
from service.flows.context import Context
from service.flows.watch_windows import Decide, sweep
from service.store.timers import DueTimer
from tests.world import World


class Clocks(dict[str, Decide]):
    """Decisions by timer; the alarms of other stories go by unheard."""

    def __missing__(self, name: str) -> Decide:
        return _unheard


def _unheard(ctx: Context, timer: DueTimer) -> None:
    pass


CLOCKS = Clocks()
for story in (return_goods, watch_inquiries, watch_promises, watch_tickets):
    CLOCKS.update(story.DECISIONS)


def fire(world: World, *, at: datetime | None = None) -> int:
    """Fire whatever is due at an instant (now unless named), until nothing is; returns how many timers fired."""
    if at is not None:
        world.now = at
    fired = 0
    while True:
        done = world.database.run(lambda tx: sweep(world.house, tx, now=world.now, decisions=CLOCKS))
        assert done.failed == 0
        if not done.claimed:
            return fired
        fired += done.claimed
