"""Sharing out units and finding room, without a database."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from channel_sync.storage.allocations import Guest, Place, rearranged, shared_out

FIRST = date(2026, 6, 1)
GUESTS = st.lists(
    st.builds(
        lambda first, length, units: Guest(
            0, FIRST + timedelta(days=first), FIRST + timedelta(days=first + length), units
        ),
        st.integers(0, 10),
        st.integers(1, 5),
        st.integers(1, 3),
    ),
    max_size=12,
).map(lambda guests: [replace(guest, booking_id=number) for number, guest in enumerate(guests)])


@given(GUESTS, st.integers(0, 4))
def test_nobody_gets_what_is_not_there_and_all_that_is_left(guests: list[Guest], owned: int) -> None:
    """No night is given out beyond its units; who gets less than wanted has a night on which none is left for it."""
    shares = shared_out(guests, owned)
    given_out = Counter({night: 0 for guest in guests for night in guest.stay})
    for guest in guests:
        left = owned - max(given_out[night] for night in guest.stay)
        assert min(left, guest.units) == shares[guest.booking_id]
        for night in guest.stay:
            given_out[night] += shares[guest.booking_id]
    assert all(number <= owned for number in given_out.values())


@given(GUESTS, st.integers(1, 4), st.data())
def test_there_is_room_whenever_no_night_has_too_many(
    guests: list[Guest], owned: int, data: st.DataObject
) -> None:
    """Whoever fits by the night fits by the unit; no unit has two parties at once, and one booking no unit twice."""
    shares = shared_out(guests, owned)
    units = list(range(100, 100 + owned))
    places = [
        Place(data.draw(st.sampled_from([None, *units])), guest.booking_id, guest.check_in, guest.check_out)
        for guest in guests
        for _ in range(shares[guest.booking_id])
    ]

    found = rearranged(places, units)

    assert found is not None
    nights = Counter(
        (one.unit_id, night)
        for one in found
        for night in Guest(one.booking_id, one.check_in, one.check_out, 1).stay
    )
    assert all(number == 1 for number in nights.values())
    assert None not in {one.unit_id for one in found}


def test_too_many_find_no_room() -> None:
    """Then nobody moves."""
    place = Place(None, 1, FIRST, FIRST + timedelta(days=1))

    assert rearranged([place, replace(place, booking_id=2)], [7]) is None
