"""Claims of a buyer in tests: opened, or refused with nothing left behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.domain.errors import Refusal
from service.domain.staff import Actor
from service.flows.open_dispute import Claim, open_dispute
from service.store import tables
from tests.world import BUYER, World


def claim(line: str, **changes: Any) -> Claim:
    whole = Claim(line, "refund_only", "not_as_described", 12_900, "CNY", "颜色与图片不一样")
    return replace(whole, **changes)


def opened(world: World, line: str | None = None, *, actor: Actor = BUYER, **changes: Any) -> str:
    asked = claim(line or world.place_order(buyer=actor.subject), **changes)
    return world.tell(actor, lambda ctx: open_dispute(ctx, asked))


def refused(world: World, line: str, *, actor: Actor = BUYER, **changes: Any) -> Refusal:
    """The refusal of a claim, which must leave nothing behind."""
    before = len(world.rows(tables.Dispute))
    with pytest.raises(Refusal) as caught:
        world.tell(actor, lambda ctx: open_dispute(ctx, claim(line, **changes)))
    assert len(world.rows(tables.Dispute)) == before
    return caught.value
