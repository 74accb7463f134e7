"""The return shipment: scans in any order, ranked by the carrier's clock, never backwards."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import GuardFailed
from service.domain.return_shipment import (
    FINAL,
    RANK,
    RETURN_SHIPMENT,
    STATE_LABELS,
    ShipmentFacts,
    merchant_holds_goods,
    next_scan,
)
from tests.lifecycle_facts import MICROSECOND, NOON

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "at", "scan", "scan_at", "moves_to"),
    [
        ("registered", None, "picked_up", NOON - HOUR, "picked_up"),  # the buyer registered after the pick-up
        ("registered", None, "signed", NOON, "signed"),
        ("picked_up", NOON, "in_transit", NOON, "in_transit"),
        ("picked_up", NOON, "in_transit", NOON - MICROSECOND, None),
        ("in_transit", NOON, "in_transit", NOON + HOUR, None),
        ("in_transit", NOON, "picked_up", NOON + HOUR, None),
        ("in_transit", NOON, "lost", NOON + HOUR, "lost"),
        ("out_for_delivery", NOON, "signed", NOON - HOUR, None),
        ("signed", NOON, "signed", NOON, None),
        ("signed", NOON, "returned_to_sender", NOON + HOUR, None),
        ("lost", NOON, "signed", NOON + HOUR, None),
        ("in_transit", NOON, "teleported", NOON + HOUR, None),
    ],
)
def test_a_scan_moves_the_parcel_forward_or_not_at_all(
    state: str, at: datetime | None, scan: str, scan_at: datetime, moves_to: str | None
) -> None:
    """Edge case 43: duplicate and out-of-order scans, signed before shipped, lost, returned to sender."""
    assert next_scan(state, at, scan, scan_at) == moves_to


SCANS = st.lists(
    st.tuples(st.sampled_from([state for state in RANK if state != "registered"]), st.integers(0, 50)), max_size=20
)


@given(scans=SCANS)
def test_no_order_of_scans_takes_a_parcel_back(scans: list[tuple[str, int]]) -> None:
    """The rank never falls, the carrier's time never runs back, and an end stays an end."""
    state, at = "registered", None
    for scan, hour in scans:
        scan_at = NOON + hour * HOUR
        moved = next_scan(state, at, scan, scan_at)
        if moved is None:
            continue
        assert RANK[moved] > RANK[state]
        assert state not in FINAL
        assert at is None or scan_at >= at
        state, at = moved, scan_at


@given(scans=SCANS)
def test_hearing_every_scan_twice_changes_nothing(scans: list[tuple[str, int]]) -> None:
    """Carriers repeat themselves."""

    def heard(every: list[tuple[str, int]]) -> tuple[str, datetime | None]:
        state, at = "registered", None
        for scan, hour in every:
            if (moved := next_scan(state, at, scan, NOON + hour * HOUR)) is not None:
                state, at = moved, NOON + hour * HOUR
        return state, at

    assert heard([scan for scan in scans for _ in range(2)]) == heard(scans)


def test_an_older_scan_is_refused_by_the_table_too() -> None:
    """The table and the short question agree."""
    with pytest.raises(GuardFailed) as refused:
        RETURN_SHIPMENT.advance("picked_up", "scan_signed", ShipmentFacts(current_at=NOON, scan_at=NOON - MICROSECOND))
    assert refused.value.code == "scan_out_of_order"


def test_only_a_signed_parcel_is_with_the_merchant() -> None:
    """Edge cases 44 and 51: withdrawal is refused while the merchant holds the goods."""
    assert {state for state in RANK if merchant_holds_goods(state)} == {"signed"}
    assert set(STATE_LABELS) == set(RANK)
