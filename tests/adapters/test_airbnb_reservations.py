"""Airbnb's reservations: bookings without their guests, and what becomes of those that cannot be read."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.airbnb import reservations
from adapters.model import (
    BookingPage,
    BookingStatus,
    Money,
    Stay,
)

FROM, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def reservation(**fields: Any) -> dict[str, Any]:
    return {
        "confirmation_code": "HMABCDEFGH",
        "listing_id": 42,
        "listing_id_str": "42",
        "start_date": "2026-05-01",
        "end_date": "2026-05-04",
        "nights": 3,
        "guest_details": {"number_of_adults": 2, "number_of_children": 1, "number_of_infants": 1},
        "guest_first_name": "Ann-Marie",
        "guest_email": "guest@example.com",
        "guest_phone_numbers": ["+351911222333"],
        "host_currency": "EUR",
        "expected_payout_amount_accurate": "311.30",
        "status_type": "accept",
        "booked_at": "2026-02-01T10:00:00Z",
        "updated_at": "2026-02-02T10:00:00.000Z",
    } | fields


def bookings(*raw: Any) -> BookingPage:
    return reservations.bookings_from_wire({"reservations": list(raw)}, FROM, UNTIL, "page 1")


# Bookings.


def test_a_reservation() -> None:
    """Everything a booking holds, and the guest is not among it."""
    page = bookings(reservation())
    assert page.problems == ()
    (booking,) = page.bookings
    assert booking.booking_id == "HMABCDEFGH"
    assert booking.listing_id == "42"
    assert booking.status is BookingStatus.CONFIRMED
    assert booking.stay == Stay(date(2026, 5, 1), date(2026, 5, 4))
    assert booking.guests == 3  # infants do not count
    assert booking.payout == Money(Decimal("311.30"), "EUR")
    assert booking.total is None
    assert booking.booked_at == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert booking.revised_at == datetime(2026, 2, 2, 10, tzinfo=UTC)
    assert not re.search(r"Ann|guest@|351911", repr(page))


@pytest.mark.parametrize("word", ["cancelled_by_host", "cancelled_by_guest", "cancelled_by_admin"])
def test_a_cancellation_needs_no_nights(word: str) -> None:
    """Whoever cancelled, the booking is cancelled, with its nights or without."""
    bare = reservation(status_type=word, start_date=None, end_date=None, nights=None, host_currency=None)
    page = bookings(reservation(status_type=word), bare | {"expected_payout_amount_accurate": None})
    assert [booking.status for booking in page.bookings] == [BookingStatus.CANCELLED] * 2
    assert [booking.stay is None for booking in page.bookings] == [False, True]


@pytest.mark.parametrize("word", ["pending", "denied", "not_possible", "inquiry"])
def test_a_request_is_no_booking(word: str) -> None:
    """A request that is not accepted is passed over, whatever it lacks."""
    assert bookings({"status_type": word}) == BookingPage(())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status_type": "checkpointed"}, "status_type is not a word we know"),
        ({"status_type": None}, "status_type"),
        ({"status_type": ["accept"]}, "status_type"),
        ({"confirmation_code": None}, "no confirmation_code"),
        ({"confirmation_code": "Ann Smith"}, "confirmation_code is not an id"),
        ({"listing_id": None, "listing_id_str": None}, "no listing_id"),
        ({"start_date": None, "end_date": None}, "no start_date"),
        ({"start_date": None}, "not a stay"),
        ({"end_date": "2026-05-01"}, "not a stay"),
        ({"end_date": "20260504"}, "end_date is not a date"),
        ({"end_date": "2026-05-32"}, "end_date is not a date"),
        ({"end_date": "2036-05-01", "nights": None}, "more than the 1125"),
        ({"updated_at": None}, "no updated_at"),
        ({"updated_at": "2026-02-02T10:00:00"}, "updated_at is not a time with its offset"),
        ({"updated_at": 1770026400}, "updated_at"),
        ({"updated_at": "0001-01-01T00:00:00+14:00"}, "updated_at"),
    ],
)
def test_an_unreadable_reservation_is_kept(fields: dict[str, Any], said: str) -> None:
    """A reservation that cannot be trusted becomes a Problem without its guest; its neighbours are read."""
    page = bookings(reservation(), reservation(**fields), reservation(confirmation_code="HMOTHER"))
    assert [booking.booking_id for booking in page.bookings] == ["HMABCDEFGH", "HMOTHER"]
    (problem,) = page.problems
    assert re.search(said, problem.reason)
    assert not re.search(r"Ann|guest@|351911", repr(page))


def test_a_confirmed_booking_is_not_lost_over_a_count() -> None:
    """Where ``nights`` and the dates disagree, the dates are booked and the disagreement is kept."""
    page = bookings(reservation(nights=2))
    assert [len(booking.stay or ()) for booking in page.bookings] == [3]
    assert ["2 nights, but 3 from start_date to end_date"] == [problem.reason for problem in page.problems]


def test_a_cancellation_is_not_lost_over_its_dates() -> None:
    """A cancellation with unreadable dates still cancels."""
    page = bookings(reservation(status_type="cancelled_by_guest", end_date="soon"))
    assert [(booking.status, booking.stay) for booking in page.bookings] == [(BookingStatus.CANCELLED, None)]
    assert len(page.problems) == 1


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"guest_details": {"number_of_adults": "two"}}, "guests"),
        ({"guest_details": ["Ann"]}, "guests"),
        ({"expected_payout_amount_accurate": "a lot"}, "payout"),
        ({"expected_payout_amount_accurate": "311.305"}, "payout"),
        ({"host_currency": None}, "payout"),
        ({"booked_at": "yesterday"}, "booked_at"),
    ],
)
def test_money_and_guests_do_not_cost_a_booking(fields: dict[str, Any], missing: str) -> None:
    """A confirmed booking stands although its money, guests or date of booking cannot be read; a Problem says so."""
    page = bookings(reservation(**fields))
    assert [getattr(booking, missing) for booking in page.bookings] == [None]
    assert [problem.where for problem in page.problems] == ["HMABCDEFGH"]


def test_renamed_money_is_found() -> None:
    """The payout is read under its attested name and under the one without suffix; absent means not told."""
    renamed = reservation(expected_payout_amount_accurate=None, expected_payout_amount=Decimal("5.5"))
    silent = reservation(expected_payout_amount_accurate=None)
    page = bookings(renamed, silent)
    assert [booking.payout for booking in page.bookings] == [Money(Decimal("5.50"), "EUR"), None]
    assert page.problems == ()


@given(st.integers(86_400, 360 * 86_400), st.integers(-3, 3), st.integers(-12, 14))
def test_changes_are_sifted_by_their_moment(moment: int, seconds: int, offset: int) -> None:
    """A change belongs to the window that begins with it and not to the one that ends there, in any offset."""
    changed = FROM + timedelta(seconds=moment)
    edge = changed + timedelta(seconds=seconds)
    written = changed.isoformat() if not offset else _in_offset(changed, offset)
    raw = {"reservations": [reservation(updated_at=written)]}
    before = reservations.bookings_from_wire(raw, FROM, edge, "x").bookings
    after = reservations.bookings_from_wire(raw, edge, UNTIL + timedelta(days=9), "x").bookings
    assert (len(before), len(after)) == ((1, 0) if changed < edge else (0, 1))


def _in_offset(moment: datetime, hours: int) -> str:
    local = (moment + timedelta(hours=hours)).replace(tzinfo=None).isoformat()
    return f"{local}{'+' if hours >= 0 else '-'}{abs(hours):02}:00"


@given(st.dictionaries(st.sampled_from(sorted(reservation())), hostile, max_size=5))
def test_no_reservation_breaks_the_page(fields: dict[str, Any]) -> None:
    """Whatever stands in a reservation, its neighbour is read, and every Problem is short."""
    page = bookings(reservation(**fields), reservation(confirmation_code="HMOTHER"))
    assert page.bookings[-1].booking_id == "HMOTHER"
    assert all(len(problem.raw) < 4_000 for problem in page.problems)
