from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channel_sync.sandbox.bookings import ACCEPTED, nights
from channel_sync.sandbox.world import World, stretches

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
JUNE = date(2027, 6, 1)

moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds


def day(offset: int) -> date:
    """A day counted from the first of June."""
    return JUNE + timedelta(days=offset)


@given(seed=st.integers(0, 10_000), now=moments)
@settings(max_examples=25, deadline=None)
def test_no_night_is_sold_twice(seed: int, now: datetime) -> None:
    """No two confirmed bookings of one listing overlap, whatever the seed and the moment."""
    world = World(seed, listings=2)

    for listing_id in world.listings:
        stays = world.stays(listing_id, now)
        assert all(a.check_out <= b.check_in for a, b in pairwise(stays))
        assert all(stay.check_in < stay.check_out for stay in stays)


@given(seed=st.integers(0, 10_000), moments=st.lists(moments, min_size=2, max_size=5))
@settings(max_examples=8, deadline=None)
def test_the_way_to_a_moment_does_not_matter(seed: int, moments: list[datetime]) -> None:
    """A world asked about many moments, in any order, tells of each what a new one tells."""
    world = World(seed, listings=1)

    for now in moments:
        fresh = World(seed, listings=1)
        assert fresh.bookings(now) == world.bookings(now)
        assert fresh.closed_nights("1001", now) == world.closed_nights("1001", now)


def test_other_seeds_are_other_worlds() -> None:
    """The seed matters."""
    assert World(1).bookings(NOW) != World(2).bookings(NOW)


def test_listings_do_not_depend_on_their_number() -> None:
    """A listing lives the same life among three as among thirty."""
    assert World(1, 3).bookings(NOW, "1002") == World(1, 30).bookings(NOW, "1002")


def test_the_near_term_is_fuller_than_the_far() -> None:
    """More than half of the next month is sold, and less the later it is."""
    world = World(1, 60)

    shares = [
        sum(
            len(world.closed_nights(listing_id, NOW, first, first + timedelta(days=30)))
            for listing_id in world.listings
        )
        / (60 * 30)
        for first in (date(2026, 11, 23), date(2027, 1, 23), date(2027, 6, 23))
    ]

    assert sorted(shares, reverse=True) == shares
    assert 0.5 < shares[0] < 0.8
    assert shares[2] < 0.2


def test_several_things_happen_a_day() -> None:
    """Over six listings about two to four bookings arrive, change or are cancelled a day."""
    since = NOW - timedelta(days=40)
    world = World(1, 6)

    events = {
        (booking.code, booking.updated_at)
        for step in range(41)
        for booking in world.bookings(since + timedelta(days=step))
        if booking.updated_at > since
    }

    assert 1.5 < len(events) / 40 < 5


def test_bookings_arrive_change_and_are_cancelled() -> None:
    """A lively world has every kind of event, and an unchanged booking was updated when it was made."""
    bookings = World(1, 20).bookings(NOW)
    statuses = {booking.status for booking in bookings}

    assert {"accept", "cancelled_by_guest", "cancelled_by_host", "cancelled_by_admin"} == statuses
    assert any(b.status == ACCEPTED and b.updated_at > b.booked_at for b in bookings)
    assert all(b.booked_at <= b.updated_at <= NOW for b in bookings)
    assert len({b.code for b in bookings}) == len(bookings)


@pytest.mark.parametrize(
    ("listing_id", "currency", "digits"), [("1001", "EUR", 2), ("1002", "JPY", 0), ("1003", "KWD", 3)]
)
def test_prices_have_the_digits_of_their_currency(listing_id: str, currency: str, digits: int) -> None:
    """Prices are exact decimals with the currency's minor units, and higher at the weekend."""
    world = World(1, 3)
    week = world.calendar(listing_id, date(2026, 11, 23), date(2026, 11, 30), NOW)

    assert currency == world.listings[listing_id].currency
    assert {-digits} == {night.terms.price.as_tuple().exponent for night in week}
    assert min(week[4].terms.price, week[5].terms.price) > max(n.terms.price for n in week[:4])


def test_a_booking_costs_what_its_nights_cost() -> None:
    """The total is the sum of the nights' prices, the payout is less, in whole minor units."""
    world = World.empty()
    code = world.book("1003", day(0), day(3), at=NOW)
    booking = world.booking(code, NOW)

    assert booking is not None
    assert sum(n.terms.price for n in world.calendar("1003", day(0), day(3), NOW)) == booking.total
    assert Decimal(0) < booking.payout < booking.total
    assert booking.payout.as_tuple().exponent == -3


def test_scripted_events_happen_at_their_moment() -> None:
    """A booking is there from its moment on, moves at its moment and is gone at its moment."""
    world = World.empty()
    hour = timedelta(hours=1)
    code = world.book("1001", day(0), day(3), at=NOW)
    world.move(code, day(2), day(5), at=NOW + hour)
    world.cancel(code, at=NOW + 2 * hour, by="host")

    assert [set(), set(nights(day(0), day(3))), set(nights(day(2), day(5))), set()] == [
        world.closed_nights("1001", NOW + hour * step - timedelta(seconds=1)) for step in (0, 1, 2, 3)
    ]
    ((last,), (first,)) = (world.bookings(NOW + 9 * hour), world.bookings(NOW))
    assert (first.status, first.updated_at) == ("accept", NOW)
    assert ("cancelled_by_host", NOW + 2 * hour) == (last.status, last.updated_at)


def test_blocks_come_and_go_but_a_booking_stays() -> None:
    """Opening a block again opens no night that a guest booked."""
    world = World.empty()
    world.block("1001", day(0), day(10), at=NOW)
    world.book("1001", day(4), day(6), at=NOW)
    world.unblock("1001", day(2), day(8), at=NOW + timedelta(hours=1))

    assert ((day(0), day(4)), (day(6), day(10))) == world.blocks("1001", NOW)
    later = world.closed_nights("1001", NOW + timedelta(hours=1))
    assert ((day(0), day(2)), (day(4), day(6)), (day(8), day(10))) == stretches(later)


def test_a_night_sold_elsewhere_is_known_as_such() -> None:
    """The calendar tells a sale on another platform from the owner's own block."""
    world = World.empty()
    world.block("1001", day(0), day(1), at=NOW, elsewhere=True)
    world.block("1001", day(1), day(2), at=NOW)

    closures = [night.closure for night in world.calendar("1001", day(0), day(3), NOW)]
    assert [closure and closure.elsewhere for closure in closures] == [True, False, None]


def test_a_sold_night_is_not_sold_again() -> None:
    """A script that would sell a night twice, now or later, is refused."""
    world = World.empty()
    code = world.book("1001", day(0), day(3), at=NOW)
    other = world.book("1001", day(3), day(5), at=NOW)

    with pytest.raises(ValueError, match=code):
        world.book("1001", day(2), day(4), at=NOW - timedelta(days=1))
    with pytest.raises(ValueError, match=code):
        world.move(other, day(2), day(5), at=NOW + timedelta(hours=1))
    world.cancel(code, at=NOW + timedelta(hours=2))
    world.move(other, day(2), day(5), at=NOW + timedelta(hours=3))
    assert frozenset(nights(day(2), day(5))) == world.closed_nights("1001", NOW + timedelta(hours=3))


def test_a_lively_world_can_be_scripted_too() -> None:
    """A scripted cancellation replaces what would have happened to a drawn booking."""
    world = World(1, 3)
    stay = world.stays("1001", NOW)[-1]

    world.cancel(stay.code, at=NOW)

    assert stay.code not in {booking.code for booking in world.stays("1001", NOW + timedelta(days=300))}
    assert not set(nights(stay.check_in, stay.check_out)) & world.closed_nights("1001", NOW)


def test_bad_scripts_are_refused() -> None:
    """Empty stays, unknown ids, times without zone and dead bookings are refused by name."""
    world = World.empty()
    code = world.book("1001", day(0), day(3), at=NOW)
    world.cancel(code, at=NOW + timedelta(hours=1))

    with pytest.raises(ValueError, match="ends after it begins"):
        world.book("1001", day(3), day(3), at=NOW)
    with pytest.raises(KeyError, match="9999"):
        world.book("9999", day(0), day(3), at=NOW)
    with pytest.raises(KeyError, match="HMNOBODY00"):
        world.cancel("HMNOBODY00", at=NOW)
    with pytest.raises(ValueError, match="zone"):
        world.block("1001", day(0), day(3), at=NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="nothing to change"):
        world.cancel(code, at=NOW + timedelta(hours=2))
    with pytest.raises(ValueError, match="nobody"):
        world.cancel(code, at=NOW, by="nobody")


def test_bookings_go_on_behind_a_key() -> None:
    """Cut at any booking, the list goes on with the next one."""
    world = World(1, 3)
    bookings = world.bookings(NOW)

    for before, after in combinations((0, len(bookings) // 2, len(bookings) - 1), 2):
        key = bookings[before].booked_at, bookings[before].code
        rest = list(world.bookings_after(key, NOW))
        assert list(bookings[before + 1 :]) == rest
        assert bookings[after] in rest
