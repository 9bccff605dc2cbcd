"""Booking.com's reservations in the words of the trade: rooms, nights, money, times, and what cannot be read."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapters.accounts import Listing
from adapters.booking_com import fields
from adapters.booking_com.reservations import Reservation, reservations_from_ota
from adapters.errors import UnexpectedResponse
from adapters.model import Booking, BookingStatus, Money, Problem, Stay
from adapters.parts import MappedRooms

ROOMS = MappedRooms(
    [Listing("81/101/7", "Europe/Lisbon", "EUR"), Listing("81/102/7", "Europe/Lisbon", "EUR")]
)
NAMES = frozenset({"OTA_HotelResNotifRQ", "OTA_HotelResModifyNotifRQ"})

ROOM = """
<RoomStay IndexNumber="1">
  <RoomTypes><RoomType RoomTypeCode="101"/></RoomTypes>
  <RatePlans><RatePlan><Commission>
    <CommissionPayableAmount Amount="3000" DecimalPlaces="2" CurrencyCode="EUR"/></Commission></RatePlan></RatePlans>
  <RoomRates>
    <RoomRate EffectiveDate="2026-04-01" RatePlanCode="7VCC"><Rates><Rate>
      <Total AmountAfterTax="10050" DecimalPlaces="2" CurrencyCode="EUR"/></Rate></Rates></RoomRate>
    <RoomRate EffectiveDate="2026-04-02" RatePlanCode="7VCC"><Rates><Rate>
      <Total AmountAfterTax="9950" DecimalPlaces="2" CurrencyCode="EUR"/></Rate></Rates></RoomRate>
  </RoomRates>
  <GuestCounts><GuestCount AgeQualifyingCode="10" Count="2"/><GuestCount AgeQualifyingCode="8" Count="1"/>
    <GuestCount AgeQualifyingCode="7" Count="1"/></GuestCounts>
  <Total AmountAfterTax="20000" DecimalPlaces="2" CurrencyCode="EUR"/>
  <BasicPropertyInfo HotelCode="81"/>
</RoomStay>"""
GUEST = """<ResGuests><ResGuest><Profiles><ProfileInfo><Profile><Customer><PersonName><GivenName>Ana</GivenName>
  <Surname>Ferreira</Surname></PersonName><Email>ana@guest.example</Email></Customer></Profile></ProfileInfo>
  </Profiles></ResGuest></ResGuests>"""
GLOBAL = """<ResGlobalInfo><Comments><Comment><Text>Call Ana Ferreira</Text></Comment></Comments>
  <Guarantee><GuaranteesAccepted><GuaranteeAccepted><PaymentCard CardNumber="4111111111111111" SeriesCode="737"/>
  </GuaranteeAccepted></GuaranteesAccepted></Guarantee>
  <Total AmountAfterTax="20000" DecimalPlaces="2" CurrencyCode="EUR"/>
  <HotelReservationIDs><HotelReservationID ResID_Value="3000000001" ResID_Date="2026-03-01T10:00:00"/>
  </HotelReservationIDs></ResGlobalInfo>"""


def message(
    rooms: str = ROOM,
    told: str = 'ResStatus="Commit" LastModifyDateTime="2026-03-02T11:00:00+01:00"',
    info: str = GLOBAL,
    *,
    changed: bool = False,
) -> bytes:
    """A message of one reservation."""
    root, many, one = (
        ("OTA_HotelResModifyNotifRQ", "HotelResModifies", "HotelResModify")
        if changed
        else ("OTA_HotelResNotifRQ", "HotelReservations", "HotelReservation")
    )
    return (
        f'<{root} xmlns="http://www.opentravel.org/OTA/2003/05" TimeStamp="2026-03-10T09:30:00+00:00"><{many}>'
        f"<{one} {told}><RoomStays>{rooms}</RoomStays>{GUEST}{info}</{one}></{many}></{root}>"
    ).encode()


def read(body: bytes) -> tuple[list[Reservation], list[Problem]]:
    return reservations_from_ota(body, NAMES, ROOMS, "sample")


def the_booking(body: bytes) -> Booking:
    """The only booking of a message without problems."""
    (reservation,), problems = read(body)
    assert not problems
    (booking,) = reservation.bookings
    return booking


def test_a_reservation() -> None:
    """Room, rate, nights, guests, money, times: all of it, and the rate's id without what tells how it is paid."""
    booking = the_booking(message())
    assert booking == Booking(
        "3000000001",
        "81/101/7",
        BookingStatus.CONFIRMED,
        datetime(2026, 3, 2, 10, tzinfo=UTC),
        Stay(date(2026, 4, 1), date(2026, 4, 3)),
        guests=3,
        booked_at=datetime(2026, 3, 1, 10, tzinfo=UTC),
        total=Money(Decimal(200), "EUR"),
        payout=Money(Decimal(170), "EUR"),
        nightly=(
            (date(2026, 4, 1), Money(Decimal("100.50"), "EUR")),
            (date(2026, 4, 2), Money(Decimal("99.50"), "EUR")),
        ),
        whole="3000000001",
    )


def test_two_rooms_are_two_bookings() -> None:
    """Each with its own listing, number and total; a second room of the same kind and stay is one more unit."""
    other = ROOM.replace('"101"', '"102"').replace('AmountAfterTax="20000"', 'AmountAfterTax="30000"')
    (reservation,), problems = read(message(ROOM + other + ROOM))
    assert not problems
    assert [
        (each.booking_id, each.whole, each.listing_id, each.units, str(each.total))
        for each in reservation.bookings
    ] == [
        ("3000000001", "3000000001", "81/101/7", 2, "400.00 EUR"),
        ("3000000001/2", "3000000001", "81/102/7", 1, "300.00 EUR"),
    ]
    assert str(reservation.bookings[0].nightly[0][1]) == "201.00 EUR"


@pytest.mark.parametrize(
    ("room", "rate", "listing_id"),
    [
        ("101", "7", "81/101/7"),
        ("101", "8", "81/101/7"),
        ("103", "7", "81/103/7"),
        ("103", "9VCC", "81/103/9"),
    ],
)
def test_whose_room_it_is(room: str, rate: str, listing_id: str) -> None:
    """A rate that is not mapped belongs to the room's listing; an unmapped room is itself."""
    rooms = ROOM.replace('"101"', f'"{room}"').replace('"7VCC"', f'"{rate}"')
    assert the_booking(message(rooms)).listing_id == listing_id


@pytest.mark.parametrize(
    ("told", "changed", "status"),
    [
        ('ResStatus="Commit"', False, BookingStatus.CONFIRMED),
        ('ResStatus="Cancel"', False, BookingStatus.CANCELLED),  # before anybody acknowledged it
        ("", False, BookingStatus.CONFIRMED),
        ('ResStatus="Modify"', True, BookingStatus.CONFIRMED),
        ('ResStatus="Cancel"', True, BookingStatus.CANCELLED),
        ('ResStatus="cancelled"', True, BookingStatus.CANCELLED),
    ],
)
def test_where_a_reservation_stands(told: str, changed: bool, status: BookingStatus) -> None:  # noqa: FBT001 - a parameter of a table
    """Its status is in its own word, whichever queue it came from."""
    assert the_booking(message(told=told, changed=changed)).status is status


def test_a_change_that_does_not_say_which() -> None:
    """Without a word a change with rooms counts as sold, which is the safe side, and is told as a problem."""
    ((reservation,), (problem,)) = read(message(told="", changed=True))
    assert reservation.bookings[0].status is BookingStatus.CONFIRMED
    assert problem.mended


@pytest.mark.parametrize("rooms", ["", "<RoomStay/>", ROOM.replace("2026-04-0", "someday")])
def test_a_cancellation_needs_no_rooms(rooms: str) -> None:
    """What ends a booking does not fail for what it was: it has no nights then, and the same id."""
    (reservation,), _ = read(message(rooms, 'ResStatus="Cancel"', changed=True))
    (booking,) = reservation.bookings
    assert (booking.booking_id, booking.status, booking.stay) == (
        "3000000001",
        BookingStatus.CANCELLED,
        None,
    )


@pytest.mark.parametrize(
    ("told", "revised_at"),
    [
        ('LastModifyDateTime="2026-03-02T11:00:00.250+01:00"', "2026-03-02 10:00:00.250000+00:00"),
        ('LastModifyDateTime="2026-03-02T11:00:00"', "2026-03-02 11:00:00+00:00"),
        ('CreateDateTime="2026-03-01T10:00:00Z"', "2026-03-10 09:30:00+00:00"),
        ("", "2026-03-10 09:30:00+00:00"),
        ('CreateDateTime="2026-03-11T10:00:00Z"', "2026-03-11 10:00:00+00:00"),
    ],
)
def test_when_it_was_changed(told: str, revised_at: str) -> None:
    """Its own last change; else the latest that the message speaks of, so that a newer message is a newer version."""
    assert str(the_booking(message(told=told)).revised_at) == revised_at


def test_a_time_span_counts_before_prices() -> None:
    """TimeSpan is the stay, its end the day of departure, whatever nights have a price."""
    rooms = ROOM.replace("<GuestCounts>", '<TimeSpan Start="2026-04-01" End="2026-04-05"/><GuestCounts>')
    assert the_booking(message(rooms)).stay == Stay(date(2026, 4, 1), date(2026, 4, 5))


def test_a_gap_in_the_prices() -> None:
    """Without TimeSpan the nights between count as sold: better closed than sold twice."""
    (reservation,), (problem,) = read(message(ROOM.replace("2026-04-02", "2026-04-04")))
    assert reservation.bookings[0].stay == Stay(date(2026, 4, 1), date(2026, 4, 5))
    assert problem.mended


@pytest.mark.parametrize(
    ("rooms", "told", "reason"),
    [
        ("", 'ResStatus="Commit"', "RoomStay"),
        (ROOM.replace("RoomTypeCode", "Code"), "", "RoomTypeCode"),
        (ROOM.replace("HotelCode", "Code"), "", "HotelCode"),
        (ROOM.replace('HotelCode="81"', 'HotelCode="8/1"'), "", "HotelCode"),
        (ROOM.replace("2026-04-01", "2026-04-31"), "", "EffectiveDate"),
        (ROOM.replace("EffectiveDate", "Date"), "", "TimeSpan"),
        (ROOM, 'ResStatus="Perhaps"', "ResStatus"),
        (ROOM, 'LastModifyDateTime="yesterday"', "LastModifyDateTime"),
    ],
)
def test_a_reservation_that_cannot_be_read(rooms: str, told: str, reason: str) -> None:
    """It is kept as a problem that names the field and shows neither guest nor card; its neighbour is read."""
    body = message(rooms, told)
    good = message()
    start, end = good.index(b"<HotelReservation "), good.index(b"</HotelReservations>")
    both = body.replace(b"</HotelReservations>", good[start:end] + b"</HotelReservations>")
    (reservation,), problems = read(both)
    assert reservation.reservation_id == "3000000001"
    assert reason in problems[0].reason
    assert not problems[0].mended
    assert len(problems[0].raw) <= 4_000
    assert "RoomTypeCode" in problems[0].raw or "RoomTypeCode" not in rooms
    assert not any(part in repr(problems) for part in ("Ana", "Ferreira", "4111", "737", "example"))


@pytest.mark.parametrize(
    ("amount", "problems"),
    [('AmountAfterTax="abc"', 1), ('AmountAfterTax="20000.123"', 1), ('Amount="1"', 0)],
)
def test_money_that_cannot_be_read_costs_no_booking(amount: str, problems: int) -> None:
    """The booking stands, with its total where the room tells it, and a problem says what is missing."""
    info = GLOBAL.replace('AmountAfterTax="20000"', amount)
    (reservation,), found = read(message(info=info))
    assert str(reservation.bookings[0].total) == "200.00 EUR"
    assert [problem.mended for problem in found] == [True] * problems


@pytest.mark.parametrize(
    ("told", "money"),
    [
        ('AmountAfterTax="13350" DecimalPlaces="2" CurrencyCode="EUR"', "133.50 EUR"),
        ('AmountBeforeTax="13350" DecimalPlaces="2" CurrencyCode="EUR"', "133.50 EUR"),
        ('AmountAfterTax="133.50" CurrencyCode="EUR"', "133.50 EUR"),
        ('AmountAfterTax="133.50" DecimalPlaces="2" CurrencyCode="EUR"', "133.50 EUR"),
        ('AmountAfterTax="18400" DecimalPlaces="0" CurrencyCode="JPY"', "18400 JPY"),
        ('AmountAfterTax="1840000" DecimalPlaces="2" CurrencyCode="JPY"', "18400 JPY"),
        ('AmountAfterTax="42255" DecimalPlaces="3" CurrencyCode="KWD"', "42.255 KWD"),
        ('AmountAfterTax="200" CurrencyCode="EUR"', "200.00 EUR"),
    ],
)
def test_amounts(told: str, money: str) -> None:
    """A whole number counts the smallest units where its places are told; one with a point, or without places, is itself."""
    element = etree.fromstring(f"<Total {told}/>")
    assert str(fields.money(element, None, "AmountAfterTax", "AmountBeforeTax")) == money


@given(st.integers(0, 10**14), st.sampled_from([("EUR", 2), ("JPY", 0), ("KWD", 3)]))
def test_no_digit_is_lost(units: int, currency: tuple[str, int]) -> None:
    """Any number of smallest units is read as exactly that much money."""
    name, places = currency
    element = etree.fromstring(
        f'<Total AmountAfterTax="{units}" DecimalPlaces="{places}" CurrencyCode="{name}"/>'
    )
    assert fields.money(element, None, "AmountAfterTax") == Money.from_minor(units, name)


@given(st.permutations(range(6)))
def test_the_oldest_version_comes_first(order: list[int]) -> None:
    """Whatever order the wire has."""
    one = message()
    start, end = one.index(b"<HotelReservation "), one.index(b"</HotelReservations>")
    several = b"".join(
        one[start:end]
        .replace(b"2026-03-02T11", f"2026-03-02T1{number}".encode())
        .replace(b"3000000001", f"300000000{number}".encode())
        for number in order
    )
    found, _ = read(one[:start] + several + one[end:])
    assert [each.reservation_id for each in found] == [f"300000000{number}" for number in range(6)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"<OTA_HotelResNotifRS/>",
        b"<OTA_HotelResNotifRQ TimeStamp='soon'/>",
        b"<OTA_HotelResNotifRQ><Errors><Error Code='1'/></Errors></OTA_HotelResNotifRQ>",
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><OTA_HotelResNotifRQ>&a;</OTA_HotelResNotifRQ>",
        b"<a>" * 100 + b"</a>" * 100,
        b"<Envelope><Body/></Envelope>",
    ],
    ids=["nothing", "html", "another", "time", "errors", "entities", "deep", "envelope"],
)
def test_what_is_no_list_of_reservations(body: bytes) -> None:
    """It proves nothing: not even that there are none."""
    with pytest.raises(UnexpectedResponse, match="sample"):
        read(body)


def test_a_reservation_of_more_rooms_than_any_house() -> None:
    """Sizes are bounded before they are multiplied: too many rooms or priced nights are a problem, not a wait."""
    many = ROOM.replace("EffectiveDate", 'ExpireDate="2028-01-01" EffectiveDate') * 600
    priced = ROOM.replace("<RoomRates>", "<RoomRates>" + _year_of_prices() * 40)
    for rooms in (many, priced):
        found, (problem,) = read(message(rooms))
        assert not found
        assert "any" in problem.reason


def _year_of_prices() -> str:
    return (
        '<RoomRate RatePlanCode="7"><Rates><Rate EffectiveDate="2026-04-01" ExpireDate="2027-04-01">'
        '<Total AmountAfterTax="1" CurrencyCode="EUR"/></Rate></Rates></RoomRate>'
    )
