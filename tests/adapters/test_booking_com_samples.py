"""Messages of other people's: each is read with nothing lost, or stands here with the reason why not."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree

from adapters.booking_com.answers import message_from, result_from
from adapters.booking_com.bxml import reservations_from_bxml
from adapters.booking_com.reservations import reservations_from_ota
from adapters.model import ONE_DAY, Booking, BookingStatus, Stay
from adapters.parts import MappedRooms
from channel_sync.sandbox.booking_com import inventory
from channel_sync.sandbox.booking_com.wire import Element

ROOMS = MappedRooms([])
# By the name of a message that nothing here reads: why.
NOT_READ = {
    "OTA_HotelAvailRS": "an answer that names a hotel's rooms to other OTA users; Booking.com tells them in B.XML",
    None: "not one XML document: two samples and a sentence in one file",
}


def messages(folder: Path, pattern: str) -> Iterator[tuple[Path, bytes, Element | None]]:
    """Each file with the message in it, read here by lxml alone; None where it is no document."""
    files = sorted(folder.glob(pattern))
    if not files:
        pytest.skip(f"no {pattern} in {folder}")
    for path in files:
        body = path.read_bytes()
        try:
            root = etree.fromstring(body)
        except etree.XMLSyntaxError:
            yield path, body, None
            continue
        bodies = root.xpath("//*[local-name()='Body']/*")
        yield path, body, bodies[0] if isinstance(bodies, list) and bodies else root


def local(element: Element | None) -> str | None:
    return None if element is None else etree.QName(element).localname


def told(element: Element, path: str) -> list[str]:
    """The strings at a path of local names: "RoomStay/TimeSpan/@Start"."""
    steps = [step if step[0] in "@." else f"*[local-name()='{step}']" for step in path.split("/")]
    found = element.xpath("/".join(steps))
    return [str(each) for each in found] if isinstance(found, list) else []


def test_every_ota_message_is_read_or_has_a_reason(fixtures_dir: Path) -> None:
    """By what a message is called: reservations, an answer to what was told, or one that is not for us."""
    for path, body, message in messages(fixtures_dir, "ota_xml/*.xml"):
        name = local(message)
        if name in NOT_READ:
            continue
        assert message is not None
        if name.endswith("NotifRS") if name else False:
            warnings = told(message, "Warnings/Warning/@Code") + told(message, "Errors/Error/@Code")
            result = result_from(body, str(name), path.name)
            assert [f"code {code}" for code in warnings] == [each.words for each in result.troubles]
            assert (
                bool(told(message, "Success/.") or message.xpath("*[local-name()='Success']"))
                is result.success
            )
        else:
            agree_on_reservations(path, body, message)


def agree_on_reservations(path: Path, body: bytes, message: Element) -> None:
    """Every reservation of an OTA message is read as it stands there; one that names no hotel is kept as a Problem."""
    found, problems = reservations_from_ota(body, frozenset({str(local(message))}), ROOMS, path.name)
    listed = list(message.iter("{*}HotelReservation", "{*}HotelResModify"))
    assert listed
    named = [each for each in listed if told(each, "RoomStays/RoomStay/BasicPropertyInfo/@HotelCode")]
    unnamed = [each for each in listed if each not in named]
    assert len(unnamed) == sum("HotelCode" in problem.reason for problem in problems)
    for element, reservation in zip(named, sorted(found, key=lambda each: each.revised_at), strict=True):
        (booking,) = reservation.bookings
        assert reservation.reservation_id in told(
            element, "ResGlobalInfo/HotelReservationIDs/HotelReservationID/@ResID_Value"
        )
        (start,) = told(element, "RoomStays/RoomStay/TimeSpan/@Start")
        (end,) = told(element, "RoomStays/RoomStay/TimeSpan/@End")
        assert booking.stay == Stay(date.fromisoformat(start), date.fromisoformat(end))
        (hotel,) = told(element, "RoomStays/RoomStay/BasicPropertyInfo/@HotelCode")
        (room,) = set(told(element, "RoomStays/RoomStay/RoomTypes/RoomType/@RoomTypeCode"))
        assert booking.listing_id.split("/")[:2] == [hotel, room]
        (total,) = told(element, "ResGlobalInfo/Total/@AmountAfterTax")
        assert booking.total is not None
        assert booking.total.amount == Decimal(total)
        (booked,) = told(element, "./@CreateDateTime")
        assert booking.booked_at == datetime.fromisoformat(booked)
        assert [night for night, _ in booking.nightly] == list(booking.stay)


def test_every_bxml_message_is_read(fixtures_dir: Path) -> None:
    """Reservations are read by the adapter; what others tell Booking.com is understood by the simulated one."""
    for path, body, message in messages(fixtures_dir, "booking_bxml/*.xml"):
        assert message is not None, path
        if local(message) == "request":
            agree_on_a_request(message)
        else:
            assert local(message) == "reservations"
            agree_on_bxml_reservations(path, body, message)


def agree_on_a_request(message: Element) -> None:
    """Each room and date with its values; of two words on one date the first counts."""
    items = list(inventory.items_of_bxml(message))
    assert len(items) == len(message.findall("room/date")) != 0
    known = inventory.summed(items)
    for room in message.findall("room"):
        for element in reversed(room.findall("date")):
            said = known[room.get("id", ""), date.fromisoformat(element.get("value", ""))]
            first = next(each for each in room.findall("date") if each.get("value") == element.get("value"))
            for name, meant in (
                ("roomstosell", "units"),
                ("minimumstay", "min_stay_through"),
                ("closed", "stop_sell"),
            ):
                if (text := first.findtext(name)) is not None:
                    assert said[meant] == (
                        text == "1"
                        if name == "closed"
                        else int(text) or (0 if name == "roomstosell" else None)
                    )


def agree_on_bxml_reservations(path: Path, body: bytes, message: Element) -> None:
    """Each reservation with its status, rooms, nights and total."""
    page = reservations_from_bxml(body, ROOMS, path.name)
    assert not page.problems
    assert not page.receipts
    by_whole: dict[str, list[Booking]] = {}
    for booking in page.bookings:
        by_whole.setdefault(booking.whole or "", []).append(booking)
    assert {each.findtext("id") for each in message.findall("reservation")} == by_whole.keys()
    for element in message.findall("reservation"):
        bookings = by_whole[element.findtext("id", "")]
        cancelled = element.findtext("status") == "cancelled"
        assert {booking.status is BookingStatus.CANCELLED for booking in bookings} == {cancelled}
        assert sum(booking.units for booking in bookings) == len(element.findall("room"))
        nights = {
            (room.findtext("id"), date.fromisoformat(price.get("date", "")))
            for room in element.findall("room")
            for price in room.findall("price")
        }
        assert nights == {
            (each.listing_id.split("/")[1], night) for each in bookings for night, _ in each.nightly
        }
        stays = {
            (room.findtext("arrival_date"), room.findtext("departure_date"))
            for room in element.findall("room")
        }
        assert stays == {
            (str(each.stay.check_in), str(each.stay.check_out)) for each in bookings if each.stay
        }
        if len(bookings) == 1 and (total := element.findtext("totalprice")):
            assert bookings[0].total is not None
            assert bookings[0].total.amount == Decimal(total)


BXML = b"""<?xml version="1.0" encoding="UTF-8"?>
<reservations><reservation>
  <commissionamount>34.5</commissionamount><currencycode>EUR</currencycode>
  <customer><first_name>Ana</first_name><cc_number>4111111111111111</cc_number></customer>
  <date>2026-03-09</date><hotel_id>101</hotel_id><id>3000000001</id>
  <room><arrival_date>2026-04-01</arrival_date><departure_date>2026-04-03</departure_date>
    <currencycode>EUR</currencycode><guest_name>Ana Ferreira</guest_name><id>10101</id>
    <numberofguests>2</numberofguests><price date="2026-04-01" rate_id="7" genius_rate="no">100.5</price>
    <price date="2026-04-02" rate_id="7">129.5</price><roomreservation_id>9</roomreservation_id>
    <totalprice>230</totalprice></room>
  <status>modified</status><time>10:11:12</time><totalprice>230</totalprice>
</reservation></reservations>"""


def test_a_bxml_reservation() -> None:
    """Nights, prices, guests and what is left after the commission; the time is read as UTC, the guest not at all."""
    page = reservations_from_bxml(BXML, ROOMS, "sample")
    (booking,) = page.bookings
    assert booking.stay == Stay(date(2026, 4, 1), date(2026, 4, 1) + 2 * ONE_DAY)
    assert str(booking.revised_at) == "2026-03-09 10:11:12+00:00"
    assert (str(booking.total), str(booking.payout), booking.guests) == ("230.00 EUR", "195.50 EUR", 2)
    assert (booking.listing_id, booking.whole) == ("101/10101/7", "3000000001")
    assert [str(price) for _, price in booking.nightly] == ["100.50 EUR", "129.50 EUR"]
    assert not any(part in repr(page) for part in ("Ana", "Ferreira", "4111"))


def test_a_message_out_of_its_envelope() -> None:
    """A SOAP envelope holds one message; without one it is not an answer."""
    inside = b"<e:Envelope xmlns:e='urn:e'><e:Body><ok/></e:Body></e:Envelope>"
    assert local(message_from(inside, "sample")) == "ok"
