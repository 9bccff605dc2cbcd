"""Expedia's bookings in the words of the trade: rooms, money, cancellations, deadlines, and what is never shown."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from adapters.accounts import Listing
from adapters.expedia import fields
from adapters.expedia.reservations import (
    Houses,
    Transaction,
    confirm_number,
    confirmation_of,
    due_at,
    transactions,
)
from adapters.model import ONE_DAY, BookingStatus, Money, Problem, Stay
from tests.adapters.expedia_messages import NOW

LISTINGS = (
    Listing("3546/965645/956589", "Europe/Lisbon", "EUR"),
    Listing("3546/965645/777", "Europe/Lisbon", "EUR"),
    Listing("3546/965646/956590A", "Europe/Lisbon", "EUR"),
)
BOOKING = """<Booking id="477346" type="{type}" createDateTime="{at}" source="{source}" status="{status}">
  <Hotel id="3546"/>
  <RoomStay roomTypeID="{room}" ratePlanID="{rate}">
    <StayDate arrival="2026-03-20" departure="2026-03-22"/>
    <GuestCount adult="2" child="1"><Child age="4"/></GuestCount>
    <PerDayRates{currency}>
      <PerDayRate stayDate="2026-03-20" baseRate="155.00" extraPersonFees="25.00" hotelServiceFees="10.00" promoName="10%"/>
      <PerDayRate stayDate="2026-03-21" baseRate="{rate_of_night}"/>
    </PerDayRates>
    <Total amountAfterTaxes="{total}" amountOfTaxes="15.50"/>{more}
    <PaymentCard cardCode="VI" cardNumber="4111111111111111" expireDate="0530" seriesCode="987">
      <CardHolder name="Noor Günther"/></PaymentCard>
  </RoomStay>
  <PrimaryGuest><Name givenName="Noor" surname="Günther"/><Phone number="+351 912345678"/>
    <Email>noor@guest.example</Email></PrimaryGuest>
  <SpecialRequest code="4">山田 calls at +351 912345678</SpecialRequest>
</Booking>"""
USUAL = {
    "type": "Book", "at": "2026-03-09T10:00:00Z", "source": "A-Expedia", "status": "pending", "room": "965645",
    "rate": "956589", "currency": ' currency="EUR"', "rate_of_night": "155.00", "total": "360.50", "more": "",
}  # fmt: skip
AT = datetime(2026, 3, 9, 10, tzinfo=UTC)


def read(*bookings: dict[str, str], listings: tuple[Listing, ...] = LISTINGS) -> Any:
    """The transactions and problems of an answer with these bookings, each as it differs from the usual one."""
    body = "".join(BOOKING.format(**(USUAL | each)) for each in bookings)
    root = fields.root_of(
        f'<BookingRetrievalRS xmlns="http://www.expediaconnect.com/EQC/BR/2014/01"><Bookings>{body}</Bookings>'
        "</BookingRetrievalRS>".encode(),
        {"BookingRetrievalRS"},
        "test",
    )
    return transactions(root, Houses(listings), NOW, "test")


def only(**different: str) -> Transaction:
    """The one transaction of an answer with one booking."""
    found, problems = read(different)
    assert problems == []
    (transaction,) = found
    assert isinstance(transaction, Transaction)
    return transaction


def test_a_booking_in_our_words() -> None:
    """Room, nights, guests, times, the price of each night with its extras, and the total are those of the message."""
    (booking,) = only().bookings
    assert ("477346", "477346", "3546/965645/956589") == (
        booking.booking_id,
        booking.whole,
        booking.listing_id,
    )
    assert (BookingStatus.CONFIRMED, AT, AT) == (booking.status, booking.revised_at, booking.booked_at)
    assert (Stay(date(2026, 3, 20), date(2026, 3, 22)), 1, 3) == (booking.stay, booking.units, booking.guests)
    assert (Money(Decimal("360.50"), "EUR"), None) == (booking.total, booking.payout)
    nights = ((date(2026, 3, 20), Decimal(190)), (date(2026, 3, 21), Decimal(155)))
    assert tuple((night, Money(price, "EUR")) for night, price in nights) == booking.nightly


def test_a_modification_does_not_tell_when_it_was_booked() -> None:
    """Only the first transaction's time is that of booking."""
    (booking,) = only(type="Modify").bookings
    assert (None, AT) == (booking.booked_at, booking.revised_at)


@pytest.mark.parametrize(
    ("source", "more", "total", "payout"),
    [
        ("A-Expedia", "", "360.50", None),
        ("A-Hotels.com", "<BaseRateType>Net</BaseRateType>", "360.50", None),
        ("Expedia", "", None, "360.50"),
        ("Expedia", "<BaseRateType>Net</BaseRateType>", None, "360.50"),
        ("Expedia", "<BaseRateType>Sell</BaseRateType>", "360.50", None),
        ("Expedia", '<BaseRateType>Sell</BaseRateType><Payment model="Net" amount="300.00" currencyCode="EUR"/>',
         "360.50", "300.00"),
        ("Expedia", '<BaseRateType>Sell</BaseRateType><Payment model="Gross" amount="360.50" currencyCode="EUR"/>',
         "360.50", None),
    ],
)  # fmt: skip
def test_whose_money_it_is(source: str, more: str, total: str | None, payout: str | None) -> None:
    """What the guest pays at the hotel is a total; what Expedia collects it tells net, unless it says otherwise."""
    (booking,) = only(source=source, more=more).bookings
    amounts = [None if each is None else Money(Decimal(each), "EUR") for each in (total, payout)]
    assert amounts == [booking.total, booking.payout]


@pytest.mark.parametrize(
    ("room", "rate", "listing"),
    [
        ("965645", "956589", "3546/965645/956589"),
        ("965645", "956589A", "3546/965645/956589"),  # paid for at the hotel, mapped without the suffix
        ("965646", "956590", "3546/965646/956590A"),  # mapped with it
        ("965646", "956590A", "3546/965646/956590A"),
        ("965645", "4711", "3546/965645/956589"),  # another rate of a room that is mapped
        ("965645", "777A", "3546/965645/777"),
        ("1", "956589", "3546/1/956589"),  # a room that is not
        ("1", "956589A", "3546/1/956589A"),
    ],
)
def test_which_listing_it_is(room: str, rate: str, listing: str) -> None:
    """The rate with and without its A, another rate of the room, or its own id where the room is not mapped."""
    (booking,) = only(room=room, rate=rate).bookings
    assert listing == booking.listing_id
    assert only(room=room, rate=rate).receipt is not None


def test_a_cancellation_is_not_mapped_or_priced() -> None:
    """Its zeros are no room, no rate and no price; nights and room are what was known."""
    zeros = {"room": "0", "rate": "0", "rate_of_night": "0.00", "total": "0.00", "currency": ""}
    transaction = only(type="Cancel", **zeros)
    (booking,) = transaction.bookings
    assert (BookingStatus.CANCELLED, "3546/0/0", None) == (booking.status, booking.listing_id, booking.stay)
    assert (None, None, (), AT) == (booking.total, booking.payout, booking.nightly, booking.revised_at)
    assert transaction.receipt is not None
    assert transaction.problems == ()


def test_the_currency_is_the_hotels_where_none_is_named() -> None:
    """Without a currency on the wire the listing's counts; where that is not known either, the booking stands without money."""
    (booking,) = only(currency="").bookings
    assert Money(Decimal("360.50"), "EUR") == booking.total
    found, problems = read({"currency": ""}, listings=())
    assert problems == []
    (booking,) = found[0].bookings
    assert (None, ()) == (booking.total, booking.nightly)
    assert [True] == [problem.mended for problem in found[0].problems]


@pytest.mark.parametrize(("name", "value"), [("total", "12.345"), ("rate_of_night", "-1"), ("total", "1e3")])
def test_money_that_cannot_be_read_costs_no_booking(name: str, value: str) -> None:
    """It stands without it, with a receipt, and a Problem says so."""
    transaction = only(**{name: value})
    assert transaction.receipt is not None
    (problem,) = transaction.problems
    assert problem.mended
    assert transaction.bookings[0].stay is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [("type", "Lost"), ("at", "yesterday"), ("room", "../x"), ("rate", ""), ("status", "mailed")],
)
def test_one_that_cannot_be_read(name: str, value: str) -> None:
    """It is a Problem without a receipt, and the booking beside it is read all the same."""
    found, problems = read({name: value}, {})
    assert 1 == len(found)
    (problem,) = problems
    assert isinstance(problem, Problem)
    assert "booking 477346" == problem.where
    assert not problem.mended


def test_nothing_of_a_guest_is_shown() -> None:
    """Names, mail, phone, wishes and the card are in no booking, receipt or Problem."""
    shown = repr(read({}, {"type": "Lost"}, {"total": "no"}, {"at": "Günther"}, {"room": "Günther, Noor"}))
    assert not [
        each
        for each in ("Günther", "Noor", "noor@", "912345678", "山田", "4111", "987", "0530")
        if each in shown
    ]


@pytest.mark.parametrize(
    ("status", "waits"), [("pending", True), ("retrieved", True), ("confirmed", False), ("expired", False)]
)
def test_what_waits_has_a_receipt(status: str, waits: bool) -> None:  # noqa: FBT001 - a row
    """A receipt stands beside what is not confirmed; it names hotel, booking and type, and is always the same."""
    receipt = only(status=status).receipt
    assert waits is (receipt is not None)
    if receipt is not None:
        assert "477346" == receipt.booking_id
        assert ("3546", "477346", "Book") == confirmation_of(receipt.reference)
        other = only(status="retrieved").receipt
        assert other is not None
        assert receipt.reference == other.reference


@pytest.mark.parametrize(
    "reference",
    ["", "null", "[]", '"x"', "{}", '{"hotel":1}', "[" * 100_000,
     json.dumps({"hotel": "3546", "booking": "47 7", "type": "Book"}),
     json.dumps({"hotel": "3546", "booking": "477", "type": "Lost"})],
)  # fmt: skip
def test_a_receipt_of_somebody_elses(reference: str) -> None:
    """What is not ours names nothing."""
    assert confirmation_of(reference) is None


LISBON = ZoneInfo("Europe/Lisbon")


@pytest.mark.parametrize(
    ("arrival", "zone", "patience"),
    [
        (date(2026, 3, 10), LISBON, timedelta(minutes=30)),
        (date(2026, 3, 9), LISBON, timedelta(minutes=30)),
        (date(2026, 3, 11), LISBON, timedelta(minutes=60)),
        (date(2026, 3, 12), LISBON, ONE_DAY),
        (date(2026, 3, 11), None, timedelta(minutes=60)),
        (None, LISBON, timedelta(minutes=30)),
        (date(2026, 3, 11), ZoneInfo("Asia/Tokyo"), timedelta(minutes=60)),
    ],
)
def test_when_expedia_stops_waiting(arrival: date | None, zone: ZoneInfo | None, patience: timedelta) -> None:
    """Half an hour, an hour or a day after it was made, by the hotel's own date."""
    assert NOW + patience == due_at(NOW, arrival, zone, NOW)


def test_a_deadline_in_an_unknown_zone_is_the_earliest() -> None:
    """Late in the day it is tomorrow somewhere: the guest of tomorrow may be today's."""
    late = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert late + timedelta(minutes=30) == due_at(late, date(2026, 3, 11), None, late)
    assert late + timedelta(minutes=60) == due_at(late, date(2026, 3, 11), LISBON, late)


@given(
    some.timedeltas(timedelta(0), timedelta(days=40)),
    some.integers(-5, 40),
    some.sampled_from([LISBON, ZoneInfo("Asia/Tokyo"), None]),
)
def test_a_deadline_lies_ahead(age: timedelta, lead: int, zone: ZoneInfo | None) -> None:
    """Whatever the age of what is still given, it is due after now, within a day, and not later than made."""
    due = due_at(NOW - age, NOW.date() + lead * ONE_DAY, zone, NOW)
    assert NOW < due <= NOW + ONE_DAY
    if age < timedelta(minutes=30):
        assert due <= NOW - age + ONE_DAY


@given(some.integers(0, 10**18 - 1).map(str))
def test_our_number_is_always_the_same(booking_id: str) -> None:
    """It has 1 to 50 characters and depends on nothing but the booking."""
    assert 1 <= len(confirm_number(booking_id)) <= 50
    assert confirm_number(booking_id) == confirm_number(booking_id)


@given(some.permutations([0, 1, 2, 3, 4]))
def test_the_oldest_comes_first(order: list[int]) -> None:
    """In whatever order an answer has its bookings, they are given by the time of their change."""
    found, _ = read(*({"at": f"2026-03-0{number + 1}T10:00:00Z"} for number in order))
    assert [1, 2, 3, 4, 5] == [each.at.day for each in found]
