"""Expedia's messages in tests: asked of the simulated channel without a socket, checked by the official schemas."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from lxml import etree

from adapters.accounts import Account, Listing
from adapters.expedia import messages
from adapters.expedia.confirmations import Confirmation
from adapters.expedia.reservations import Houses
from adapters.expedia.updates import Group, availability_told, write
from adapters.model import ONE_DAY, Secret, Stay
from adapters.parts import room_id
from adapters.xml_body import Element, written_xml
from channel_sync.sandbox.exchange import Request
from channel_sync.sandbox.expedia.channel import PASSWORD, USERNAME, Expedia
from channel_sync.sandbox.expedia.hotels import HOTELS
from channel_sync.sandbox.world import World

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
WINDOW = Stay(NOW.date() + ONE_DAY, NOW.date() + 8 * ONE_DAY)
SECRETS = {"username": Secret(USERNAME), "password": Secret(PASSWORD)}
ACCOUNT = Account("expedia-test", "https://expedia.example", {"hotel_ids": "1780001"}, SECRETS)
LISTINGS = tuple(
    Listing(hotel.listing_id, zone, currency)
    for hotel, zone, currency in zip(
        HOTELS.values(),
        ("Europe/Lisbon", "Asia/Tokyo", "Asia/Kuwait"),
        ("EUR", "JPY", "KWD"),
        strict=True,
    )
)
LISTING = LISTINGS[0]
ROOM = room_id(LISTING.listing_id)
HOUSES = Houses(LISTINGS)


def simulated(seed: int = 5) -> Expedia:
    """A simulated Expedia at NOW, in a lively world."""
    return Expedia(World(seed, listings=3), lambda: NOW)


def asked(channel: Expedia, endpoint: str, message: Element) -> bytes:
    """What the channel answers."""
    headers = {"content-type": "text/xml"}
    return channel.answer(Request("POST", f"/eqc/{endpoint}", "", headers, written_xml(message))).body


def answers() -> dict[str, bytes]:
    """A good answer of every kind."""
    channel = simulated()
    code = channel.world.bookings(NOW)[0].code
    told = Confirmation("1780001", channel.reservation_id(code), "Book")
    numbers = [(told.booking_id, told.kind, "CS-1")]
    return {
        "products": asked(channel, "parr", messages.products(ACCOUNT, "1780001")),
        "rates_of_a_day": asked(channel, "parr", messages.rates_of_a_day(ACCOUNT, "1780001", WINDOW)),
        "availability": asked(
            channel, "parr", messages.calendar(ACCOUNT, ROOM, WINDOW, {"inventory", "roomAvailStatus"})
        ),
        "prices": asked(
            channel,
            "parr",
            messages.calendar(ACCOUNT, ROOM, WINDOW, {"rateAvailStatus", "restrictions", "rates"}),
        ),
        "bookings": asked(channel, "br", messages.bookings(ACCOUNT, None, "pending", None)),
        "confirmed": asked(channel, "bc", messages.confirmations(ACCOUNT, "1780001", numbers, NOW)),
        "misplaced": asked(channel, "bc", messages.confirmations(ACCOUNT, "1780002", numbers, NOW)),
        "updated": asked(channel, "ar", update(WINDOW)),
        "refused": asked(channel, "ar", update(Stay(NOW.date() - timedelta(9), NOW.date()))),
    }


def update(nights: Stay) -> Element:
    """An AR message that tells one room's units."""
    root = messages.message("AvailRateUpdateRQ", ACCOUNT, "1780001")
    write(root, [Group((ROOM.room_id, ""), availability_told(1), tuple(nights))])
    return root


@cache
def _schema(path: Path) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(path))


def violations(folder: Path, body: bytes) -> list[str]:
    """What the official schema of its root has against a message."""
    root = etree.fromstring(body)
    name = etree.QName(root).localname
    schema = _schema(folder / "expedia" / "xsd" / f"{name}.xsd")
    return [] if schema.validate(root) else [str(entry.message) for entry in schema.error_log]
