"""Channex's revisions as bookings: rooms that are mapped, half mapped or not; what cannot be read; no card, no guest."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.accounts import Listing
from adapters.channex import bookings, fields, mapping
from adapters.errors import UnexpectedResponse
from adapters.model import ONE_DAY, Booking, BookingPage, BookingStatus, Money, Receipt, Stay
from adapters.parts import MappedRooms

PLACE, ROOM, RATE = "place", "room", "rate"
STAY = Stay(date(2026, 4, 10), date(2026, 4, 12))
AT = datetime(2026, 3, 1, 9, 30, 15, 335485, tzinfo=UTC)
CARD = {"card_number": "4111111111111111", "cvv": "737", "cardholder_name": "Ann-Marie Doe"}
MAPPED = MappedRooms(
    [
        Listing(f"{PLACE}/{ROOM}/{RATE}", "Europe/Lisbon", "EUR"),
        Listing(f"{PLACE}/{ROOM}/other", "Europe/Lisbon", "EUR"),
        Listing(f"{PLACE}/{ROOM}-2/{RATE}", "Europe/Lisbon", "EUR"),
    ]
)


def room(**told: Any) -> dict[str, Any]:
    """One room of a revision, as Channex writes it."""
    return {
        "room_type_id": ROOM,
        "rate_plan_id": RATE,
        "checkin_date": "2026-04-10",
        "checkout_date": "2026-04-12",
        "amount": "180.50",
        "days": {"2026-04-10": "80.00", "2026-04-11": "100.50"},
        "occupancy": {"adults": 2, "children": 1, "infants": 1},
        "guests": [{"name": "Ann-Marie", "surname": "Doe"}],
        **told,
    }


def revision(**told: Any) -> dict[str, Any]:
    """One revision, as Channex writes it, with a guest and a card."""
    attributes = {
        "id": "revision-1",
        "booking_id": "booking-1",
        "property_id": PLACE,
        "status": "new",
        "arrival_date": "2026-04-10",
        "departure_date": "2026-04-12",
        "currency": "EUR",
        "amount": "200.50",
        "rooms": [room()],
        "occupancy": {"adults": 2, "children": 1, "infants": 1},
        "customer": {"name": "Ann-Marie", "surname": "Doe", "mail": "ann@guest.example", "phone": "+351 91"},
        "notes": "Ann-Marie comes late",
        "guarantee": CARD,
        "inserted_at": "2026-03-01T09:30:15.335485",
        **told,
    }
    return {"type": "booking_revision", "id": attributes["id"], "attributes": attributes}


def read(*revisions: object) -> BookingPage:
    """The page that these revisions are."""
    body = fields.body_of(json.dumps({"data": revisions}).encode(), "feed")
    return bookings.bookings_from_wire(body["data"], MAPPED, set(), "feed")


def only(page: BookingPage) -> Booking:
    """The only booking of a page without problems."""
    assert page.problems == ()
    (booking,) = page.bookings
    return booking


def eur(amount: str) -> Money:
    """Euros."""
    return Money(Decimal(amount), "EUR")


def test_everything_that_the_model_names_is_read() -> None:
    """A revision of one room, whole: dates half-open, money exact, time in UTC, infants not counted."""
    page = read(revision())
    assert only(page) == Booking(
        "booking-1",
        f"{PLACE}/{ROOM}/{RATE}",
        BookingStatus.CONFIRMED,
        AT,
        STAY,
        guests=3,
        booked_at=AT,
        total=eur("200.50"),
        nightly=((STAY.check_in, eur("80.00")), (STAY.check_in + ONE_DAY, eur("100.50"))),
        whole="booking-1",
    )
    assert page.receipts == (Receipt("booking-1", "revision-1"),)


@pytest.mark.parametrize(
    ("word", "status", "booked_at"),
    [
        ("new", BookingStatus.CONFIRMED, AT),
        ("modified", BookingStatus.CONFIRMED, None),
        ("cancelled", BookingStatus.CANCELLED, None),
    ],
)
def test_every_status(word: str, status: BookingStatus, booked_at: datetime | None) -> None:
    """Only a new revision says when it was booked."""
    booking = only(read(revision(status=word)))
    assert (booking.status, booking.booked_at) == (status, booked_at)


def test_rooms_of_a_reservation_are_its_parts() -> None:
    """Two equal rooms are one booking of two units, another room is a second part with its own money."""
    page = read(revision(rooms=[room(), room(room_type_id=f"{ROOM}-2", amount="90.00", days=None), room()]))
    assert page.problems == ()
    first, second = page.bookings
    assert (first.booking_id, second.booking_id) == ("booking-1", "booking-1/2")
    assert {first.whole, second.whole} == {"booking-1"}
    by_listing = {booking.listing_id: booking for booking in page.bookings}
    twice, once = by_listing[f"{PLACE}/{ROOM}/{RATE}"], by_listing[f"{PLACE}/{ROOM}-2/{RATE}"]
    assert (twice.units, twice.guests, twice.total) == (2, 6, eur("361.00"))
    assert (once.units, once.guests, once.total, once.nightly) == (1, 3, eur("90.00"), ())
    assert len(page.receipts) == 1


@pytest.mark.parametrize(
    ("told", "listing_id"),
    [
        ({}, f"{PLACE}/{ROOM}/{RATE}"),
        ({"rate_plan_id": "other"}, f"{PLACE}/{ROOM}/other"),
        ({"rate_plan_id": None}, f"{PLACE}/{ROOM}/{RATE}"),
        ({"rate_plan_id": "strange"}, f"{PLACE}/{ROOM}/{RATE}"),
        ({"rate_plan_id": "derived", "meta": {"parent_rate_plan_id": "other"}}, f"{PLACE}/{ROOM}/other"),
        ({"rate_plan_id": "derived", "meta": {"parent_rate_plan_id": "strange"}}, f"{PLACE}/{ROOM}/{RATE}"),
        ({"room_type_id": None, "rate_plan_id": None}, f"{PLACE}/-/-"),
        ({"room_type_id": "strange"}, f"{PLACE}/strange/{RATE}"),
        (
            {"room_type_id": "strange", "meta": {"parent_rate_plan_id": "other"}},
            f"{PLACE}/strange/{RATE}",
        ),
    ],
)
def test_a_room_belongs_to_its_listing(told: dict[str, Any], listing_id: str) -> None:
    """An unmapped rate is sold in the room's listing, an unmapped room is kept under its own id; both have a receipt."""
    page = read(revision(rooms=[room(**told)]))
    assert only(page).listing_id == listing_id
    assert len(page.receipts) == 1


@pytest.mark.parametrize(
    "told",
    [{"rooms": []}, {"rooms": None}, {"rooms": [], "property_id": None}],
)
def test_a_reservation_without_rooms_is_kept(told: dict[str, Any]) -> None:
    """Nothing is mapped, and nothing is lost: the booking stands for its whole, and is acknowledged."""
    page = read(revision(**told))
    place = told.get("property_id", PLACE) or "-"
    assert (only(page).listing_id, only(page).stay) == (f"{place}/-/-", STAY)
    assert len(page.receipts) == 1


@pytest.mark.parametrize(
    "told",
    [
        {"id": None},
        {"id": {"name": "Ann-Marie"}},
        {"booking_id": None},
        {"booking_id": "a/b"},
        {"status": None},
        {"status": "unheard of"},
        {"status": ["new"]},
        {"inserted_at": None},
        {"inserted_at": "yesterday"},
        {"inserted_at": 1_700_000_000},
        {"property_id": "a/b"},
        {"rooms": "two"},
        {"rooms": [None]},
        {"rooms": [room(checkin_date="2026-04-12")]},
        {"rooms": [room(checkout_date="2026-02-30")]},
        {"rooms": [room(checkout_date="2036-04-12")]},
        {"rooms": [room(room_type_id=[7])]},
        {"rooms": [], "departure_date": "2026-04-10"},
        {"rooms": [], "arrival_date": None, "departure_date": None},
    ],
)
def test_poison_stops_nobody(told: dict[str, Any]) -> None:
    """A revision that cannot be read is a problem without a receipt; those around it are read and acknowledged."""
    poison = revision(**{"id": "revision-2", "booking_id": "booking-2", **told})
    page = read(
        revision(),
        poison,
        None,
        [],
        {"id": "x"},
        revision(id="revision-3", booking_id="booking-3"),
    )
    assert [booking.booking_id for booking in page.bookings] == ["booking-1", "booking-3"]
    assert [receipt.reference for receipt in page.receipts] == ["revision-1", "revision-3"]
    assert len(page.problems) == 4
    assert not any(problem.mended for problem in page.problems)


@pytest.mark.parametrize(
    "told",
    [
        {"departure_date": "2026-04-10"},
        {"amount": 20050},
        {"amount": "200.505"},
        {"amount": "2e2"},
        {"currency": "euro"},
        {"occupancy": [2]},
        {"rooms": [room(amount=18050)]},
        {"rooms": [room(days={"2026-04-10": 8000})]},
        {"rooms": [room(days={"2026-04-12": "80.00"})]},
        {"rooms": [room(occupancy={"adults": "two"})]},
    ],
)
def test_what_is_not_the_booking_costs_no_booking(told: dict[str, Any]) -> None:
    """Money, guests and dates of the whole that cannot be read are left out, with a problem; the nights are booked and acknowledged.

    An integer is never an amount: on this wire it would be minor units.
    """
    page = read(revision(**told))
    (booking,) = page.bookings
    assert (booking.stay, booking.status) == (STAY, BookingStatus.CONFIRMED)
    assert len(page.receipts) == 1
    assert page.problems


def test_a_page_that_nobody_asked_for() -> None:
    """More rows than a page can have are not read one by one."""
    with pytest.raises(UnexpectedResponse, match="1001 rows on a page"):
        mapping.rows({"data": [{}] * 1_001}, "feed")
    assert len(read(revision(rooms=[{}] * 1_001)).problems) == 1


@pytest.mark.parametrize(
    "told",
    [
        {"rooms": []},
        {"rooms": None, "arrival_date": None, "departure_date": None, "amount": None},
        {"rooms": [room(checkin_date="2026-04-12")]},
        {"rooms": "none", "departure_date": "soon"},
    ],
)
def test_a_cancellation_always_cancels(told: dict[str, Any]) -> None:
    """What ends a booking does not fail for the rooms or dates of what it ends."""
    page = read(revision(status="cancelled", **told))
    (booking,) = page.bookings
    assert (booking.whole, booking.status) == ("booking-1", BookingStatus.CANCELLED)
    assert len(page.receipts) == 1


def test_dates_of_the_whole_where_a_room_has_none() -> None:
    """Rooms of a booking engine name arrival and departure in other words, or not at all."""
    bare = room(checkin_date=None, checkout_date=None)
    older = {**bare, "arrival_date": "2026-04-10", "departure_date": "2026-04-11", "days": None}
    assert only(read(revision(rooms=[bare]))).stay == STAY
    assert only(read(revision(rooms=[older]))).stay == Stay(STAY.check_in, STAY.check_in + ONE_DAY)


def test_a_booking_as_it_stands_names_its_revision() -> None:
    """In the list of bookings the id is the booking's, and the revision has another; what is acknowledged has no receipt."""
    raw = revision(id="booking-1", booking_id=None, revision_id="revision-9")
    page = read({**raw, "type": "booking"})
    assert only(page).booking_id == "booking-1"
    assert page.receipts == (Receipt("booking-1", "revision-9"),)
    raw["attributes"]["acknowledge_status"] = "acknowledged"
    assert (only(read(raw)).booking_id, read(raw).receipts) == ("booking-1", ())


def test_a_revision_is_given_once() -> None:
    """What the feed told is not told again by the list of bookings, and another time is passed over."""
    told = [revision(), revision(id="revision-2", status="modified", inserted_at="2026-03-02T09:30:00")]
    seen = {"revision-1"}
    page = bookings.bookings_from_wire(told, MAPPED, seen, "list")
    assert [receipt.reference for receipt in page.receipts] == ["revision-2"]
    assert seen == {"revision-1", "revision-2"}
    late = bookings.bookings_from_wire(told, MAPPED, set(), "list", lambda at: at > AT)
    assert [receipt.reference for receipt in late.receipts] == ["revision-2"]


@pytest.mark.parametrize(
    "spoil",
    [{}, {"status": "Ann-Marie Doe"}, {"amount": "Ann-Marie Doe"}, {"inserted_at": "ann@guest.example"}],
)
def test_no_card_and_no_guest(spoil: dict[str, Any]) -> None:
    """Whatever is read and whatever is not, nothing of the card or the guest is in it."""
    shown = repr(read(revision(**spoil), revision(rooms=[room(meta={"guarantee": CARD})])))
    for hidden in ("4111", "737", "Ann", "Doe", "guest.example", "+351"):
        assert hidden not in shown


def test_a_card_is_dropped_with_the_parsing() -> None:
    """The body that is handed on has no card and no guest at any depth."""
    body = fields.body_of(
        json.dumps({"a": [{"guarantee": CARD, "meta": {"customer": 1}, "b": 2}]}).encode(), "x"
    )
    assert body == {"a": [{"meta": {}, "b": 2}]}


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b"[" * 100_000, b'{"a":' * 100_000, b'{"a": NaN}', b'{"a": 1e999999999}' * 2],
)
def test_what_is_no_object_is_no_answer(body: bytes) -> None:
    """Nothing, something cut off, something nested without end: an answer that proves nothing."""
    with pytest.raises(UnexpectedResponse, match=f"feed: {len(body)} bytes"):
        fields.body_of(body, "feed")


@given(
    amounts=st.lists(st.integers(0, 10**9), min_size=1, max_size=6),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_money_is_exact(amounts: list[int], currency: str) -> None:
    """Each night's price and their sum come through to the last digit, in every kind of currency."""
    prices = [Money.from_minor(amount, currency) for amount in amounts]
    total = sum((price.amount for price in prices), start=Decimal(0))
    nights = [STAY.check_in + timedelta(days=number) for number in range(len(prices))]
    told = room(
        checkout_date=(nights[-1] + ONE_DAY).isoformat(),
        amount=str(total),
        days={night.isoformat(): f"{price.amount:f}" for night, price in zip(nights, prices, strict=True)},
    )
    booking = only(read(revision(rooms=[told], currency=currency, amount=str(total))))
    assert booking.nightly == tuple(zip(nights, prices, strict=True))
    assert booking.total == Money(total, currency)


@given(st.permutations(range(4)))
def test_order_of_rooms_does_not_matter(order: list[int]) -> None:
    """The same rooms in any order are the same parts."""
    rooms = [
        room(),
        room(room_type_id=f"{ROOM}-2"),
        room(rate_plan_id="other"),
        room(checkout_date="2026-04-11", days=None),
    ]
    expected = read(revision(rooms=rooms))
    assert expected.bookings == read(revision(rooms=[rooms[place] for place in order])).bookings
