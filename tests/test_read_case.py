"""Who may see a dispute, what they see of it, and what they are told they may do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.domain.dispute import DISPUTE
from service.domain.errors import Absent, Forbidden
from service.domain.staff import Actor, Role
from service.flows.context import Context
from service.flows.read_case import CaseSeen, list_cases, read_case, require_seen
from service.store import tables
from tests.world import (
    AGENT,
    AUDITOR,
    BUYER,
    OTHER_AGENT,
    OTHER_BUYER,
    OTHER_OWNER,
    OWNER,
    SEAT,
    SUPERVISOR,
    World,
    new_world,
)

EVERYBODY = (BUYER, OWNER, SEAT, AGENT, SUPERVISOR, AUDITOR)


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    with new_world(database, tmp_path) as world:
        yield world


def seen(world: World, actor: Actor, dispute_id: str) -> CaseSeen:
    return world.tell(actor, lambda ctx: read_case(ctx, require_seen(ctx, dispute_id)))


def actions(world: World, actor: Actor, dispute_id: str) -> dict[str, str | None]:
    """Action → the code that is in its way, None if nothing is."""
    return {a.action: a.why_not and a.why_not.code for a in seen(world, actor, dispute_id).actions}


@pytest.mark.parametrize("actor", EVERYBODY, ids=lambda actor: actor.subject)
@pytest.mark.parametrize("state", [s for s in DISPUTE.states if s != "closed"])
def test_everybody_concerned_can_read_a_dispute_in_every_state(world: World, state: str, actor: Actor) -> None:
    """A view never fails, whatever the state and whoever looks."""
    dispute_id = world.make_dispute(state, intervened_at=world.now)

    view = seen(world, actor, dispute_id)

    assert view.dispute.state == state
    assert all(a.why_not is None or a.why_not.code for a in view.actions)
