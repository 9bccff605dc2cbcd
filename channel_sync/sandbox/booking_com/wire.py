"""The bodies of the simulated Booking.com: reservations in OTA XML, its answers to what it is told, and B.XML.

Each ends with a comment that holds the request's id, as the real ones do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import sha256

from lxml import etree

from channel_sync.sandbox.booking_com.hotels import Hotel
from channel_sync.sandbox.booking_com.queues import Queue, Waiting
from channel_sync.sandbox.bookings import Booking, nights
from channel_sync.sandbox.exchange import Answer
from channel_sync.sandbox.extranet import Shown
from channel_sync.sandbox.rentals import terms
from channel_sync.sandbox.tokens import invented

OTA = "http://www.opentravel.org/OTA/2003/05"
XML = "application/xml; charset=utf-8"
TEST_CARD = "4111111111111111"

Element = etree._Element  # noqa: SLF001 - lxml's public type has no public name


@dataclass(frozen=True, slots=True)
class Said:
    """One warning or error about what was told. ``record`` is the number of the message it is about."""

    code: str
    text: str
    record: str | None = None
    error: bool = True


def reservations(queue: Queue, given: Iterable[tuple[Waiting, Hotel]], now: datetime) -> Answer:
    """The messages of a queue."""
    names = (
        ("HotelReservations", "HotelReservation")
        if queue is Queue.NEW
        else ("HotelResModifies", "HotelResModify")
    )
    root = _root(f"{queue}RQ", now)
    parent = _child(root, names[0])
    for waiting, hotel in given:
        _reservation(_child(parent, names[1]), waiting, hotel)
    return _answer(200, root)


def result(name: str, said: Sequence[Said], now: datetime, *, done: bool = True, status: int = 200) -> Answer:
    """What became of a request: success, with warnings and errors about parts of it, or errors alone."""
    root = _root(f"{name}RS", now)
    if done:
        _child(root, "Success")
    for place, item, errors in (("Warnings", "Warning", False), ("Errors", "Error", True)):
        some = [each for each in said if each.error is errors]
        parent = _child(root, place) if some else None
        for each in some:
            if parent is not None:
                element = _child(parent, item, Type="3", Code=each.code, ShortText=each.text)
                if each.record is not None:
                    element.set("RecordID", each.record)
    return _answer(status, root)


def fault(status: int, code: str, text: str) -> Answer:
    """B.XML's way to say no."""
    root = etree.Element("fault")
    root.set("code", code)
    root.set("string", text)
    return _answer(status, root)


def rooms(hotels: Iterable[Hotel]) -> Answer:
    """Every room with its rates."""
    root = etree.Element("roomrates")
    for hotel in hotels:
        room = _plain(root, "room", id=hotel.room_id, hotel_id=hotel.hotel_id)
        room.set("hotel_name", hotel.listing.place.name)
        room.set("room_name", hotel.listing.name)
        _plain(_plain(room, "rates"), "rate", id=hotel.rate_id, rate_name="Standard Rate", active="1")
    return _answer(200, root)


def inventory(shown: Iterable[tuple[Hotel, Sequence[Shown]]]) -> Answer:
    """What is left to sell of each room, night by night."""
    root = etree.Element("result")
    for hotel, told in shown:
        room = _plain(root, "room", room_id=hotel.room_id)
        for night in told:
            _plain(
                room,
                "date",
                value=night.night.isoformat(),
                rooms_to_sell=str(night.units),
                booked="1" if night.booking else "0",
                cancelled="0",
                min_contracted_rooms="0",
                min_contracted_rooms_until="0",
            )
    return _answer(200, root)


def done() -> Answer:
    """B.XML's way to say yes."""
    root = etree.Element("ok")
    return _answer(200, root)


def _reservation(element: Element, waiting: Waiting, hotel: Hotel) -> None:
    booking = waiting.version.booking
    words = {True: "Commit" if waiting.queue is Queue.NEW else "Modify", False: "Cancel"}
    element.set("ResStatus", words[booking.confirmed])
    element.set("CreateDateTime", _moment(booking.booked_at))
    element.set("LastModifyDateTime", _moment(booking.updated_at))
    stay = _child(_child(element, "RoomStays"), "RoomStay", IndexNumber="1")
    _child(_child(stay, "RoomTypes"), "RoomType", RoomTypeCode=hotel.room_id)
    plan = _child(_child(stay, "RatePlans"), "RatePlan", RatePlanCode=hotel.rate_id)
    commission = _money(booking.total - booking.payout, hotel, "Amount")
    _child(_child(plan, "Commission"), "CommissionPayableAmount", **commission)
    rates = _child(stay, "RoomRates")
    for night in nights(booking.check_in, booking.check_out):
        rate = _child(rates, "RoomRate", EffectiveDate=night.isoformat(), RatePlanCode=hotel.rate_id)
        price = _money(terms(hotel.listing, night).price, hotel)
        _child(_child(_child(rate, "Rates"), "Rate"), "Total", **price)
    count = _child(_child(stay, "GuestCounts"), "GuestCount", AgeQualifyingCode="10")
    count.set("Count", str(booking.guests))
    _child(stay, "Total", **_money(booking.total, hotel))
    _child(stay, "BasicPropertyInfo", HotelCode=hotel.hotel_id)
    guests = _child(_child(element, "ResGuests"), "ResGuest", ResGuestRPH="1")
    _customer(_child(_child(guests, "Profiles"), "ProfileInfo"), booking)
    _global(_child(element, "ResGlobalInfo"), waiting, hotel)


def _global(info: Element, waiting: Waiting, hotel: Hotel) -> None:
    booking = waiting.version.booking
    comment = _child(_child(info, "Comments"), "Comment")
    _child(comment, "Text").text = f"{booking.guest.first_name} arrives late, call {booking.guest.phone}"
    accepted = _child(_child(_child(info, "Guarantee"), "GuaranteesAccepted"), "GuaranteeAccepted")
    card = _child(accepted, "PaymentCard", CardCode="VI", CardNumber=TEST_CARD, SeriesCode="737")
    card.set("ExpireDate", "0930")
    _child(card, "CardHolderName").text = f"{booking.guest.first_name} {booking.guest.last_name}"
    _child(info, "Total", **_money(booking.total, hotel))
    ids = _child(info, "HotelReservationIDs")
    known_as = _child(ids, "HotelReservationID", ResID_Type="14", ResID_Value=waiting.reservation_id)
    known_as.set("ResID_Date", booking.booked_at.strftime("%Y-%m-%dT%H:%M:%S"))
    _customer(_child(_child(info, "Profiles"), "ProfileInfo"), booking)


def _customer(info: Element, booking: Booking) -> None:
    customer = _child(_child(info, "Profile"), "Customer")
    name = _child(customer, "PersonName")
    _child(name, "GivenName").text = booking.guest.first_name
    _child(name, "Surname").text = booking.guest.last_name
    _child(customer, "Telephone", PhoneNumber=booking.guest.phone)
    _child(customer, "Email").text = booking.guest.email


def _money(amount: Decimal, hotel: Hotel, name: str = "AmountAfterTax") -> dict[str, str]:
    digits = hotel.listing.place.digits
    return {
        name: str(int(amount.scaleb(digits))),
        "DecimalPlaces": str(digits),
        "CurrencyCode": hotel.listing.currency,
    }


def _moment(moment: datetime) -> str:
    return moment.isoformat()


def _root(name: str, now: datetime) -> Element:
    root = etree.Element(f"{{{OTA}}}{name}", nsmap={None: OTA})
    root.set("TimeStamp", now.strftime("%Y-%m-%dT%H:%M:%S+00:00"))
    root.set("Target", "Production")
    root.set("Version", "2.001")
    return root


def _child(parent: Element, name: str, **told: str) -> Element:
    return _plain(parent, f"{{{OTA}}}{name}", **told)


def _plain(parent: Element, name: str, **told: str) -> Element:
    element = etree.SubElement(parent, name)
    for key, value in told.items():
        element.set(key, value)
    return element


def _answer(status: int, root: Element) -> Answer:
    body = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    ruid = invented(sha256(body).hexdigest())
    return Answer(status, body + f"\n<!-- RUID: [{ruid}] -->\n".encode(), XML)
