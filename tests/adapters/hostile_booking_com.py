"""Good bodies of every kind that Booking.com sends, each with what reads it: for whoever spoils them.

What reads a body returns or raises a ChannelError, whatever the body is.
"""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

import httpx

from adapters import wire
from adapters.accounts import Listing
from adapters.booking_com import bxml, recovery
from adapters.booking_com.acknowledging import acknowledged
from adapters.booking_com.answers import Result, refusal_from, result_from
from adapters.booking_com.messages import Call, Door, Facts
from adapters.booking_com.pushes import pushed
from adapters.booking_com.receipts import Queue, reference_of
from adapters.booking_com.reservations import reservations_from_ota
from adapters.booking_com.webhook import BookingComWebhook
from adapters.model import ONE_DAY, BookingPage, Receipt, Stay
from adapters.parts import MappedRooms, room_id
from adapters.updates import AvailabilityUpdate
from adapters.webhook import Delivery
from channel_sync.sandbox.booking_com import queues
from channel_sync.sandbox.booking_com.channel import BookingCom
from channel_sync.sandbox.booking_com.wire import Said, result
from channel_sync.sandbox.exchange import Request
from channel_sync.sandbox.world import World

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
WINDOW = Stay(date(2026, 4, 1), date(2026, 4, 8))
WHAT = "booking_com"

BXML = b"""<?xml version="1.0" encoding="UTF-8"?>
<reservations><reservation><commissionamount>34.5</commissionamount><currencycode>EUR</currencycode>
<customer><first_name>Ana</first_name><cc_number>4111111111111111</cc_number></customer>
<date>2026-03-09</date><hotel_id>101</hotel_id><id>3000000001</id>
<room><arrival_date>2026-04-01</arrival_date><departure_date>2026-04-03</departure_date>
<guest_name>Ana Ferreira</guest_name><id>10101</id><numberofguests>2</numberofguests>
<price date="2026-04-01" rate_id="7">100.5</price><price date="2026-04-02" rate_id="7">129.5</price>
<totalprice>230</totalprice></room>
<status>modified</status><time>10:11:12</time><totalprice>230</totalprice></reservation></reservations>"""


def cases() -> Iterable[tuple[str, bytes, Callable[[bytes], object]]]:
    """(name, a good body, the reader of such bodies)."""
    channel = _channel()
    listing = Listing(next(iter(channel.world_ids)), "Europe/Lisbon", "EUR")
    rooms = MappedRooms([listing])
    room = room_id(listing.listing_id)
    for queue in Queue:
        body = _answer(channel, "GET", f"/hotels/ota/{queue.message}")
        yield queue, body, _reservations(frozenset({f"{queue.message}RQ"}), rooms)
        if queue is Queue.NEW:
            _change(channel)
    yield "bxml", BXML, lambda body: bxml.reservations_from_bxml(body, rooms, WHAT)
    asked = bxml.request_of()
    yield (
        "rooms",
        _answer(channel, "POST", "/hotels/xml/roomrates", asked),
        lambda body: list(bxml.listings_from_bxml(body, WHAT)),
    )
    inventory = _answer(
        channel, "POST", "/hotels/xml/roomrateavailability", bxml.inventory_request(room, WINDOW)
    )
    yield (
        "inventory",
        inventory,
        lambda body: bxml.inventory_from_bxml(body, listing.listing_id, room, WINDOW, WHAT),
    )
    said = [Said("404", "NOT_A_VALID_DATE 2026-04-01", "1"), Said("367", "WARN_DUPLICATE_DATES", error=False)]
    yield "pushed", result(Door.AVAILABILITY, said, NOW).body, _pushed(listing)
    told = [Said("392", "of the wrong type", "3000000001")]
    yield "acknowledged", result(Queue.NEW.message, told, NOW).body, _acknowledged
    yield (
        "refused",
        result("OTA_Error", told, NOW, done=False, status=400).body,
        lambda body: refusal_from(body, WHAT),
    )
    yield from _in_json()


def _in_json() -> Iterable[tuple[str, bytes, Callable[[bytes], object]]]:
    missed = json.dumps({"errors": [], "data": [{"checkin": "2026-04-01", "reservation_id": 3000000001}]})
    yield "missed", missed.encode(), _missed
    notice = {"metadata": {"uuid": "6fb5c6a8", "type": "VCC_BALANCE", "payloadVersion": "1.0"}, "payload": {}}
    yield (
        "webhook",
        json.dumps(notice).encode(),
        lambda body: BookingComWebhook().events(Delivery("POST", "h", "/", body=body)),
    )


def _channel() -> BookingCom:
    world = World.empty(listings=3, start=NOW - timedelta(days=30))
    for number in range(4):
        first = WINDOW.check_in + 3 * number * ONE_DAY
        world.book("1001", first, first + 2 * ONE_DAY, at=NOW - timedelta(days=2, hours=number))
    return BookingCom(world, lambda: NOW)


def _answer(channel: BookingCom, method: str, path: str, body: bytes = b"") -> bytes:
    exchanged = channel.exchange(
        Request(
            "POST",
            "",
            body=json.dumps(
                {"client_id": channel.machine.client_id, "client_secret": channel.machine.client_secret}
            ).encode(),
        )
    )
    headers = {"authorization": f"Bearer {json.loads(exchanged.body)['jwt']}"}
    answer = channel.answer(Request(method, path, headers=headers, body=body))
    assert answer.status == 200
    return answer.body


def _change(channel: BookingCom) -> None:
    """What is acknowledged as new and then cancelled stands in the other queue."""
    given = list(channel.queues.waiting(queues.Queue.NEW))[:2]
    assert channel.queues.acknowledge(queues.Queue.NEW, [each.reservation_id for each in given]) is None
    for each in given:
        channel.world.cancel(each.version.code, at=NOW)


def _reservations(names: frozenset[str], rooms: MappedRooms) -> Callable[[bytes], object]:
    def read(body: bytes) -> BookingPage:
        found, problems = reservations_from_ota(body, names, rooms, WHAT)
        return BookingPage(tuple(part for each in found for part in each.bookings), tuple(problems))

    return read


def _pushed(listing: Listing) -> Callable[[bytes], object]:
    updates = [AvailabilityUpdate(listing, WINDOW, 1)]

    def read(body: bytes) -> object:
        def tell(call: Call, _facts: Facts) -> Result:
            return result_from(body, f"{call.door}RS", WHAT)

        return list(pushed(updates, tell))

    return read


def _acknowledged(body: bytes) -> object:
    receipts = [
        Receipt(known_as, reference_of(Queue.NEW, known_as, NOW)) for known_as in ("3000000001", "3000000002")
    ]
    return list(acknowledged(receipts, lambda queue, _ids: result_from(body, f"{queue.message}RS", WHAT)))


def _missed(body: bytes) -> object:
    response = httpx.Response(200, content=body)
    return recovery.missed_from_wire(wire.json_object(response, WHAT), WHAT)
