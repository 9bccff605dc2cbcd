"""What follows from a booking in the same transaction: the nights left to sell, and who has to be told."""

import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import Booking, BookingStatus, Stay
from tests.house import House
from tests.sync.decided_scene import AT, JUNE, OTHERS_OF_1001, add_inn, apply, booking, facts, june, told

LATER = AT + timedelta(hours=1)
EVER = Stay(date(2025, 1, 1), date(2027, 1, 1))


@pytest.fixture
def inn(quiet_house: House) -> House:
    """The house, whose studio is sold on Airbnb (1001), by a feed and by its own website."""
    add_inn(quiet_house)
    return quiet_house


def left(house: House, listing: str = "1001") -> dict[int, int]:
    """Day of June -> units left to sell, where a row says so."""
    return {
        row["night"].day: row["units_open"]
        for row in house.rows(
            "SELECT night, units_open FROM house_availability JOIN listing USING (unit_type_id) "
            "WHERE external_id = %s ORDER BY 1",
            listing,
        )
    }


def forget_outbox(house: House) -> None:
    """As if everybody had been told."""
    house.execute("TRUNCATE outbox")


def test_a_booking_closes_its_nights_on_all_other_channels(inn: House) -> None:
    """One row a night, one outbox row a listing and run; the channel that sold it knows already."""
    apply(inn, booking(stay=june(1, 4)))

    assert {1: 0, 2: 0, 3: 0} == left(inn)
    assert {name: [june(1, 4)] for name in OTHERS_OF_1001} == told(inn)
    assert [{"state": "pending", "cause": "booked", "subject": "availability", "count": 2}] == inn.rows(
        "SELECT state, cause, subject, count(*) FROM outbox GROUP BY 1, 2, 3"
    )


def test_a_changed_stay_tells_only_the_nights_that_changed(inn: House) -> None:
    """Nights of both stays are closed already: two runs are told, one freed and one closed."""
    apply(inn, booking(stay=june(1, 5)))
    forget_outbox(inn)

    apply(inn, booking(stay=june(3, 8), revised_at=LATER))

    assert {1: 1, 2: 1, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0} == left(inn)
    assert {name: [june(1, 3), june(5, 8)] for name in OTHERS_OF_1001} == told(inn)
    assert [{"count": 4}] == inn.rows("SELECT count(*) FROM outbox")


def test_a_cancellation_opens_the_nights_again(inn: House) -> None:
    """The rows stay and say that all units are open; the others are told."""
    apply(inn, booking(stay=june(1, 3)))
    forget_outbox(inn)

    apply(inn, booking(status=BookingStatus.CANCELLED, stay=None, revised_at=LATER))

    assert {1: 1, 2: 1} == left(inn)
    assert {name: [june(1, 3)] for name in OTHERS_OF_1001} == told(inn)


def test_what_does_not_touch_the_nights_tells_nobody(inn: House) -> None:
    """Another number of guests, the same revision again and an older one write neither nights nor outbox."""
    apply(inn, booking(stay=june(1, 3), revised_at=LATER))
    before = inn.rows("SELECT xmin::text, * FROM house_availability ORDER BY 2, 3")
    forget_outbox(inn)

    apply(
        inn,
        booking(stay=june(1, 3), guests=3, revised_at=LATER + timedelta(hours=1)),
        booking(stay=june(1, 3), revised_at=LATER),
        booking(stay=june(7, 9)),
    )

    assert before == inn.rows("SELECT xmin::text, * FROM house_availability ORDER BY 2, 3")
    assert {} == told(inn)


def test_an_overbooked_stay_is_closed_on_the_others_once_more(inn: House) -> None:
    """The number stays 0, and still everybody but the seller is told: one of them may have sold it."""
    apply(inn, booking(stay=june(1, 3)))
    forget_outbox(inn)

    apply(inn, booking(booking_id="D1", listing_id="direct-1", stay=june(2, 4)), account="inn")

    assert {1: 0, 2: 0, 3: 0} == left(inn)
    assert {"1001": [june(2, 4)], "harbour-studio-vrbo": [june(2, 4)]} == told(inn)


def test_a_channel_that_opens_what_another_party_waits_for_is_closed_again(inn: House) -> None:
    """The cancelled booking's own channel frees the nights by itself; the overbooked party has them now."""
    apply(inn, booking(stay=june(1, 3)))
    apply(inn, booking(booking_id="D1", listing_id="direct-1", stay=june(1, 3)), account="inn")
    forget_outbox(inn)

    apply(inn, booking(status=BookingStatus.CANCELLED, revised_at=LATER))

    assert {1: 0, 2: 0} == left(inn)
    assert {"1001": [june(1, 3)]} == told(inn)
    assert [] == inn.rows("SELECT * FROM conflict WHERE closed_at IS NULL")


def test_a_move_to_another_unit_type_is_told_of_both(inn: House) -> None:
    """The studio opens, the loft closes."""
    apply(inn, booking(stay=june(1, 3)))
    forget_outbox(inn)

    apply(inn, booking(listing_id="1005", stay=june(1, 3), revised_at=LATER))

    assert ({1: 1, 2: 1}, {1: 0, 2: 0}) == (left(inn), left(inn, "1005"))
    assert {
        key: [june(1, 3)] for key in ("direct-1", "direct-2", "harbour-loft-airbnb", "harbour-studio-vrbo")
    } == told(inn)
    assert [{"external_id": "1005"}] == inn.rows(
        "SELECT external_id FROM allocation JOIN unit USING (unit_id) "
        "JOIN listing USING (unit_type_id) WHERE external_id LIKE '100_'"
    )


def test_an_adopted_booking_closes_its_nights(inn: House) -> None:
    """While its listing is unknown nothing can be closed; when it is mapped, all others are told."""
    apply(inn, booking(listing_id="9999", stay=june(1, 3)))
    assert ({}, {}) == (left(inn), told(inn))
    inn.execute(
        "INSERT INTO listing (channel_account_id, external_id, unit_type_id) "
        "SELECT channel_account_id, '9999', unit_type_id FROM listing WHERE external_id = '1001'"
    )

    inn.pull_bookings("airbnb-demo", Stay(date(2025, 1, 1), date(2025, 1, 2)))

    assert {1: 0, 2: 0} == left(inn)
    assert {key: [june(1, 3)] for key in ("1001", *OTHERS_OF_1001)} == told(inn)


def test_nobody_is_told_who_is_not_sold_on(inn: House) -> None:
    """A disabled listing and one that left the portfolio have nothing to close."""
    inn.execute("UPDATE listing SET enabled = false WHERE external_id = 'direct-1'")
    inn.execute("UPDATE listing SET retired_at = now() WHERE external_id = 'harbour-studio-vrbo'")

    apply(inn, booking())

    assert {} == told(inn)


def test_several_units_are_counted(quiet_house: House) -> None:
    """With three units the number falls by what each booking takes; retired ones are not there."""
    add_inn(quiet_house, units=4)
    quiet_house.execute("UPDATE unit SET retired_at = now() WHERE code = 'S13'")

    apply(quiet_house, booking(stay=june(1, 4)), booking(booking_id="B", stay=june(2, 3), units=2))

    assert {1: 2, 2: 0, 3: 2} == left(quiet_house)


def test_parties_move_where_a_stay_would_find_no_room_otherwise(quiet_house: House) -> None:
    """Each night one of two units is free, but not the same one: the new party gets one, and it is no overbooking."""
    add_inn(quiet_house, units=2)
    apply(
        quiet_house,
        booking(booking_id="A", stay=june(1, 3)),  # the first unit
        booking(booking_id="B", stay=june(2, 6)),  # the second
        booking(booking_id="C", stay=june(6, 9)),  # the first
        booking(booking_id="D", stay=june(8, 12)),  # the second
    )

    apply(quiet_house, booking(booking_id="E", stay=june(3, 8)))

    assert [] == quiet_house.rows("SELECT * FROM conflict")
    assert [{"count": 5}] == quiet_house.rows("SELECT count(*) FROM allocation")


def test_the_whole_world_of_the_sandbox_is_counted(house: House) -> None:
    """After a pull each night's number is what its bookings leave, and each other listing was told of it."""
    house.pull_bookings("airbnb-demo", EVER)

    assert [] == house.rows(
        "SELECT night, listing.unit_type_id FROM booking_night JOIN booking USING (booking_id) "
        "JOIN listing USING (listing_id) LEFT JOIN house_availability USING (unit_type_id, night) "
        "WHERE units_open IS DISTINCT FROM 0"
    )
    missing = house.rows(
        "SELECT house.* FROM house_availability AS house JOIN listing USING (unit_type_id) "
        "JOIN channel_account USING (channel_account_id) WHERE channel = 'ical' AND units_open = 0 AND NOT EXISTS "
        "(SELECT FROM outbox WHERE outbox.listing_id = listing.listing_id AND nights @> night)"
    )
    assert [] == missing
    assert house.rows("SELECT * FROM house_availability LIMIT 1")


def _revision(
    which: int, moment: int, kind: str, nights: tuple[int, int], units: int, listing: str, early: int
) -> Booking:
    first, length = nights
    stay = Stay(JUNE + timedelta(days=first), JUNE + timedelta(days=first + length))
    return booking(
        booking_id=f"HM{which}",
        listing_id=listing,
        revised_at=AT + timedelta(hours=moment),
        status=BookingStatus.CONFIRMED if kind == "confirmed" else BookingStatus.CANCELLED,
        stay=None if kind == "cancelled without dates" else stay,
        units=units,
        guests=moment or None,
        booked_at=AT - timedelta(hours=early) if early else None,
    )


REVISIONS = st.lists(
    st.builds(
        _revision,
        which=st.integers(0, 4),
        moment=st.integers(0, 3),  # two versions of one moment happen
        kind=st.sampled_from(["confirmed"] * 3 + ["cancelled", "cancelled without dates"]),
        nights=st.tuples(st.integers(0, 6), st.integers(1, 4)),
        units=st.sampled_from([1, 1, 1, 2]),
        listing=st.sampled_from(["1001", "1001", "1001", "1005", "9999"]),
        early=st.integers(0, 2),
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=40)
@given(REVISIONS, st.randoms(use_true_random=False), st.data())
def test_the_order_of_arrival_never_matters(
    two_units: House, revisions: list[Booking], order: random.Random, data: st.DataObject
) -> None:
    """Any order, with repetitions, ends in the same tables, and the outbox names every night that is not all open."""
    two_units.execute("TRUNCATE booking, house_availability CASCADE")
    apply(two_units, *sorted(revisions, key=lambda revision: revision.revised_at))
    orderly = facts(two_units)
    two_units.execute("TRUNCATE booking, house_availability CASCADE")
    shuffled = revisions + data.draw(st.lists(st.sampled_from(revisions), max_size=4))
    order.shuffle(shuffled)

    apply(two_units, *shuffled)

    assert orderly == facts(two_units)
    unnamed = two_units.rows(
        "SELECT night, units_open FROM house_availability AS house WHERE units_open <> "
        "(SELECT count(*) FROM unit WHERE unit.unit_type_id = house.unit_type_id) AND NOT EXISTS "
        "(SELECT FROM outbox JOIN listing USING (listing_id) "
        " WHERE listing.unit_type_id = house.unit_type_id AND nights @> night)"
    )
    assert [] == unnamed


@pytest.fixture
def two_units(quiet_house: House) -> House:
    """Two studios and one loft."""
    add_inn(quiet_house, units=2)
    return quiet_house


def test_a_repeated_history_tells_nothing_twice(inn: House) -> None:
    """Every revision again: the outbox has no row more."""
    history = [
        booking(),
        booking(revised_at=LATER, stay=june(3, 5)),
        booking(booking_id="B", stay=june(4, 6)),
    ]
    apply(inn, *history)
    before = inn.rows("SELECT * FROM outbox ORDER BY outbox_id")

    apply(inn, *reversed(history), *(replace(one) for one in history))

    assert before == inn.rows("SELECT * FROM outbox ORDER BY outbox_id")


def test_an_old_version_that_arrives_late_may_say_who_was_first(inn: House) -> None:
    """Of two parties that want one unit the one booked first has it, also if we learn of that afterwards."""
    overbooked = "SELECT external_id FROM conflict JOIN booking USING (booking_id) WHERE closed_at IS NULL"
    apply(inn, booking(booking_id="A", revised_at=LATER), booking(booking_id="B", revised_at=AT))
    assert [{"external_id": "A"}] == inn.rows(overbooked)

    apply(inn, booking(booking_id="A", revised_at=AT - timedelta(hours=1)))

    assert [{"external_id": "B"}] == inn.rows(overbooked)
