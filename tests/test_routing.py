"""Which seat is asked next, whatever the shop's seats look like."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.domain.routing import Candidate, eligible, least_saturated
from tests.world import START

SEATS = st.lists(
    st.builds(
        Candidate,
        seat_id=st.uuids().map(str),
        is_owner=st.just(value=False),
        active=st.booleans(),
        may_im=st.booleans(),
        designated=st.booleans(),
        open_inquiries=st.integers(0, 3),
        last_assigned_at=st.none() | st.integers(0, 3).map(lambda minutes: START + timedelta(minutes=minutes)),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda seat: seat.seat_id,
)


def candidate(seat_id: str, load: int, assigned_minutes: int | None = None) -> Candidate:
    """A designated seat with IM permission."""
    at = None if assigned_minutes is None else START + timedelta(minutes=assigned_minutes)
    return Candidate(seat_id, False, True, True, True, load, at)  # the columns in their order


def test_ties_go_to_whoever_was_asked_longest_ago_and_then_by_name() -> None:
    """Edge case 24: ties are deterministic; who was never asked comes first."""
    asked_first, asked_last = candidate("a", 1, 5), candidate("b", 1, 9)
    never, never_either = candidate("d", 1), candidate("c", 1)

    assert least_saturated([asked_last, asked_first]) == asked_first
    assert least_saturated([asked_first, never, asked_last]) == never
    assert least_saturated([never, never_either]) == never_either


@given(SEATS, st.randoms(use_true_random=False))
def test_the_choice_is_the_least_load_and_the_same_in_whatever_order_seats_are_read(
    seats: list[Candidate], random: object
) -> None:
    """Edge case 24: however much the least loaded seat holds already, it is asked; nobody is too busy for it."""
    shuffled = list(seats)
    random.shuffle(shuffled)

    chosen = least_saturated(seats)

    assert chosen is not None
    assert chosen.open_inquiries == min(seat.open_inquiries for seat in seats)
    assert least_saturated(shuffled) == chosen


@given(SEATS)
def test_only_designated_seats_with_im_permission_are_asked_and_without_them_the_owner(seats: list[Candidate]) -> None:
    """Edge cases 23 and 27, C1: a closed shop has nobody."""
    owner = Candidate("owner", True, True, False, False, 99, None)  # the columns in their order

    found = eligible([*seats, owner], shop_open=True)

    able = [seat for seat in seats if seat.active and seat.designated and seat.may_im]
    assert found == (able or [owner])
    assert eligible([*seats, owner], shop_open=False) == []
