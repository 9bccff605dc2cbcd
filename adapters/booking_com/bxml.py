"""Booking.com's own dialect, B.XML: rooms and rates, what is left to sell, and its reservations. Pure functions.

Reservations are not pulled in it, since asking for them there takes them away unacknowledged; they are read the same.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from hashlib import sha256

from lxml import etree

from adapters.booking_com import fields
from adapters.booking_com.answers import fault_in, message_from
from adapters.booking_com.fields import attribute, children, text
from adapters.errors import UnexpectedResponse
from adapters.model import (
    AvailabilityPage,
    Booking,
    BookingPage,
    BookingStatus,
    ChannelListing,
    ClosureKind,
    Evidence,
    Money,
    NightAvailability,
    Problem,
    Stay,
)
from adapters.parts import MappedRooms, RoomId, RoomStay, parts_of
from adapters.xml_body import Element, written_xml

LONGEST_INVENTORY = 31  # nights in one answer

_STATUSES = {
    "new": BookingStatus.CONFIRMED,
    "modified": BookingStatus.CONFIRMED,
    "cancelled": BookingStatus.CANCELLED,
}


def request_of(**told: str) -> bytes:
    """A request that says these, in order: ``<request><hotel_id>101</hotel_id></request>``."""
    root = etree.Element("request")
    for name, value in told.items():
        etree.SubElement(root, name).text = value
    return written_xml(root)


def inventory_request(room: RoomId, window: Stay) -> bytes:
    """What is left to sell of a room, for at most 31 nights, without a look at its rates."""
    return request_of(
        hotel_id=room.property_id,
        number_of_days=str(len(window)),
        start_date=window.check_in.isoformat(),
        room_level="1",
        room_id=room.room_id,
    )


def listings_from_bxml(body: bytes, what: str) -> Iterator[ChannelListing]:
    """Every room of every hotel at each of its rates. Raises UnexpectedResponse where one has no id."""
    message = _message(body, frozenset({"rooms", "roomrates"}), what)
    for room in message.iter("{*}room"):
        hotel = attribute(room, "hotel_id")
        for rate in children(room, "rates", "rate"):
            try:
                ids = [
                    fields.code(each, "id") for each in (hotel, attribute(room, "id"), attribute(rate, "id"))
                ]
            except ValueError as error:
                raise UnexpectedResponse(f"{what}: a room or rate: {error}") from None
            if None in ids:
                raise UnexpectedResponse(f"{what}: a room or rate without its hotel or id")
            names = (attribute(room, "room_name"), attribute(rate, "rate_name"))
            shown = "".join(filter(str.isprintable, " - ".join(filter(None, names))))[:200]
            yield ChannelListing(
                "/".join(map(str, ids)),
                shown or "/".join(map(str, ids)),
                active=attribute(rate, "active") != "0",
            )


def inventory_from_bxml(
    body: bytes, listing_id: str, room: RoomId, window: Stay, what: str
) -> AvailabilityPage:
    """The nights of ``window``. Raises UnexpectedResponse where one is missing or told twice, or the room is not there."""
    message = _message(body, frozenset({"result"}), what)
    found = [each for each in children(message, "room") if attribute(each, "room_id") == room.room_id]
    if len(found) != 1:
        raise UnexpectedResponse(f"{what}: not one room of this id")
    nights: dict[date, NightAvailability] = {}
    problems: list[Problem] = []
    seen: set[date] = set()
    for element in children(found[0], "date"):
        night = _night_of(element, what)
        if night in seen:
            raise UnexpectedResponse(f"{what}: {night} is told twice")
        seen.add(night)
        try:
            nights[night] = _availability(element, night)
        except ValueError as error:
            problems.append(fields.unread(f"{listing_id}, {night}", str(error), element))
    if missing := [night for night in window if night not in seen]:
        raise UnexpectedResponse(f"{what}: {missing[0]} is missing, so this is not all")
    stated = tuple(nights[night] for night in window if night in nights)
    return AvailabilityPage(
        listing_id,
        window,
        Evidence.EXPLICIT,
        stated,
        sha256(repr(stated).encode()).hexdigest(),
        problems=tuple(problems),
    )


def reservations_from_bxml(body: bytes, rooms: MappedRooms, what: str) -> BookingPage:
    """The reservations of an answer. They have no receipts: who asked for them has taken them already."""
    message = _message(body, frozenset({"reservations"}), what)
    bookings: list[Booking] = []
    problems: list[Problem] = []
    for place, element in enumerate(children(message, "reservation"), start=1):
        where = f"reservation {place} of {what}"
        try:
            where = f"reservation {fields.reference(text(element, 'id'), 'id') or place}"
            bookings += _bookings(element, rooms)
        except ValueError as error:
            problems.append(fields.unread(where, str(error), element))
    bookings.sort(key=lambda booking: (booking.revised_at, booking.booking_id))
    return BookingPage(tuple(bookings), tuple(problems))


def _message(body: bytes, names: frozenset[str], what: str) -> Element:
    message = message_from(body, what)
    fault = fault_in(message, what)
    if fault is not None:
        raise fault
    if fields.name_of(message) not in names:
        raise UnexpectedResponse(f"{what}: not <{max(names)}>")
    return message


def _night_of(element: Element, what: str) -> date:
    try:
        night = fields.day(attribute(element, "value"), "value")
    except ValueError:
        night = None
    if night is None:
        raise UnexpectedResponse(f"{what}: a night without its date")
    return night


def _availability(element: Element, night: date) -> NightAvailability:
    """``closed``: the whole room is off the market, whatever is left of it."""
    left = fields.count(attribute(element, "rooms_to_sell"), "rooms_to_sell")
    if attribute(element, "closed") == "1":
        return NightAvailability(night, 0, ClosureKind.BLOCKED)
    if left is None:
        raise ValueError("it has no rooms_to_sell")
    if left:
        return NightAvailability(night, left)
    sold = fields.count(attribute(element, "booked"), "booked")
    return NightAvailability(night, 0, ClosureKind.BOOKED if sold else ClosureKind.UNKNOWN)


def _bookings(element: Element, rooms: MappedRooms) -> tuple[Booking, ...]:
    status = _STATUSES.get((text(element, "status") or "").casefold())
    reservation_id = fields.reference(text(element, "id"), "id")
    if status is None or reservation_id is None:
        raise ValueError("it has no id, or its status is not a word we know")
    usual = fields.currency(text(element, "currencycode"), "currencycode")
    stays: list[RoomStay] = []
    for each in children(element, "room"):
        try:
            stays.append(_room_stay(each, text(element, "hotel_id"), usual, rooms))
        except ValueError:
            if status is BookingStatus.CONFIRMED:
                raise  # what ends a booking must not fail for what it was
    if not stays and status is BookingStatus.CONFIRMED:
        raise ValueError("it has no room")
    total = _money(element, "totalprice", usual)
    commission = _money(element, "commissionamount", usual)
    whole = Booking(
        reservation_id,
        stays[0].listing_id
        if stays
        else f"{fields.code(text(element, 'hotel_id'), 'hotel_id') or 'unknown'}/unknown/unknown",
        status,
        _changed_at(element),
        stays[0].stay if stays else None,
        booked_at=fields.instant(text(element, "booked_at"), "booked_at"),
        total=total,
        payout=Money(total.amount - commission.amount, total.currency) if total and commission else None,
    )
    return parts_of(whole, stays)


def _changed_at(element: Element) -> datetime:
    told = fields.instant(text(element, "modified_at"), "modified_at")
    if told is None:
        day, time = text(element, "date"), text(element, "time")
        told = fields.instant(f"{day}T{time or '00:00:00'}" if day else None, "date")
    if told is None:
        raise ValueError("it has no date")
    return told


def _room_stay(element: Element, hotel: str | None, usual: str | None, rooms: MappedRooms) -> RoomStay:
    start = fields.day(text(element, "arrival_date"), "arrival_date")
    end = fields.day(text(element, "departure_date"), "departure_date")
    if start is None or end is None or not start < end or end - start > timedelta(days=1_000):
        raise ValueError("its dates are not a stay")
    property_id, room = fields.code(hotel, "hotel_id"), fields.code(text(element, "id"), "id")
    if property_id is None or room is None:
        raise ValueError("it names no hotel or no room")
    prices = list(children(element, "price"))
    rate = next((told for each in prices if (told := attribute(each, "rate_id"))), "unknown")
    currency = fields.currency(text(element, "currencycode"), "currencycode") or usual
    nightly: dict[date, Money] = {}
    for each in prices:
        night = fields.day(attribute(each, "date"), "date")
        price = fields.amount((each.text or "").strip(), "price")
        if night is not None and price is not None and currency is not None:
            nightly[night] = Money(price, currency)
    return RoomStay(
        rooms.listing_id(property_id, room, fields.code(rate, "rate_id") or "unknown"),
        Stay(start, end),
        fields.count(text(element, "numberofguests"), "numberofguests"),
        tuple(sorted(nightly.items())),
        _money(element, "totalprice", currency),
    )


def _money(element: Element, name: str, currency: str | None) -> Money | None:
    exact = fields.amount(text(element, name), name)
    return Money(exact, currency) if exact is not None and currency is not None else None
