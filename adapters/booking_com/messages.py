"""What the house tells Booking.com, cut into what its wire says in one message: one value of one room on one night.

The wire has ranges, the end of which its documentation includes; one night is told in each message all the same. A
warning or an error then is about exactly one night, and both ways of reading an end say the same of a single date only
if it is both start and end.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import islice

from lxml import etree

from adapters.booking_com.receipts import OTA
from adapters.model import Money, Stay, minor_digits
from adapters.parts import RoomId, room_id
from adapters.updates import AvailabilityUpdate, PricingUpdate
from adapters.xml_body import Element, written_xml

MOST_MESSAGES = 1_000  # in one call: our choice, as no limit is published
MOST_UNITS = 254

_UNITS, _PRICE = "units", "price"
_FLAGS: Mapping[str, str | None] = {
    "closed_to_arrival": "Arrival",
    "closed_to_departure": "Departure",
    "stop_sell": None,
}
# By rule: the word of the wire, and whether it is checked on the day of arrival or on every night of the stay.
_LENGTHS: Mapping[str, tuple[str, bool]] = {
    "min_stay_arrival": ("SetMinLOS", True),
    "min_stay_through": ("SetMinLOS", False),
    "max_stay": ("SetMaxLOS", False),
}


class Door(StrEnum):
    """Where a message goes in: prices have a way of their own."""

    AVAILABILITY = "OTA_HotelAvailNotif"
    RATES = "OTA_HotelRateAmountNotif"


@dataclass(frozen=True, slots=True)
class Fact:
    """What one message is about. ``rate_id`` is None for the units of a room, which all its rates share."""

    door: Door
    property_id: str
    room_id: str
    rate_id: str | None
    night: date
    field: str


Value = int | bool | Money
Facts = dict[Fact, Value]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: messages about one property and one calendar month, which is how Booking.com wants to be told."""

    door: Door
    property_id: str
    facts: tuple[Fact, ...]


def unspeakable(update: AvailabilityUpdate | PricingUpdate) -> str | None:
    """Why the wire has no words for an update; None where it has. Raises ConfigurationError for a listing's odd id."""
    room_id(update.listing.listing_id)
    if isinstance(update, AvailabilityUpdate):
        return None if 0 <= update.units_open <= MOST_UNITS else f"it takes 0 to {MOST_UNITS} units of a room"
    if update.price is not None and update.price.currency != update.listing.currency:
        return "the price is not in the currency of the hotel"
    if update.price is not None and update.price.amount <= 0:
        return "a price is more than nothing"
    return None


def facts_of(update: AvailabilityUpdate | PricingUpdate) -> Facts:
    """The messages of an update, with their values."""
    room = room_id(update.listing.listing_id)
    if isinstance(update, AvailabilityUpdate):
        return dict(_on_each(update.nights, Door.AVAILABILITY, room, None, _UNITS, update.units_open))
    found: Facts = {}
    if update.price is not None:
        found.update(_on_each(update.nights, Door.RATES, room, room.rate_id, _PRICE, update.price))
    for name, value in asdict(update.restrictions).items():
        if value is not None:
            found.update(_on_each(update.nights, Door.AVAILABILITY, room, room.rate_id, name, value))
    return found


def calls_of(facts: Facts) -> Iterator[Call]:
    """As few calls as can be, for each property month by month."""
    grouped: dict[tuple[str, int, int, Door], list[Fact]] = {}
    for fact in facts:
        grouped.setdefault((fact.property_id, fact.night.year, fact.night.month, fact.door), []).append(fact)
    for key in sorted(grouped):
        rest = iter(sorted(grouped[key], key=lambda fact: (fact.room_id, fact.night, fact.field)))
        while some := tuple(islice(rest, MOST_MESSAGES)):
            yield Call(key[3], key[0], some)


def body_of(call: Call, facts: Facts, now: datetime) -> bytes:
    """The request. Messages are numbered from 1 (``LocatorID``), which is how a warning names one."""
    root = etree.Element(f"{{{OTA}}}{call.door}RQ", nsmap={None: OTA})
    root.set("TimeStamp", now.strftime("%Y-%m-%dT%H:%M:%S+00:00"))
    root.set("Target", "Production")
    root.set("Version", "3.000" if call.door is Door.RATES else "1.005")
    names = (
        ("RateAmountMessages", "RateAmountMessage")
        if call.door is Door.RATES
        else ("AvailStatusMessages", "AvailStatusMessage")
    )
    parent = _child(root, names[0])
    for number, fact in enumerate(call.facts, start=1):
        _say(_child(parent, names[1], LocatorID=str(number)), fact, facts[fact])
    return written_xml(root)


def _on_each(
    nights: Stay, door: Door, room: RoomId, rate_id: str | None, field: str, value: Value
) -> Iterator[tuple[Fact, Value]]:
    for night in nights:
        yield Fact(door, room.property_id, room.room_id, rate_id, night, field), value


def _say(message: Element, fact: Fact, value: Value) -> None:
    night = fact.night.isoformat()
    control = _child(message, "StatusApplicationControl", Start=night, End=night, InvTypeCode=fact.room_id)
    if fact.rate_id is not None:
        control.set("RatePlanCode", fact.rate_id)
    if isinstance(value, Money):
        parent = message
        for name in ("Rates", "Rate", "BaseByGuestAmts"):
            parent = _child(parent, name)
        _child(
            parent,
            "BaseByGuestAmt",
            AmountAfterTax=str(value.to_minor()),
            CurrencyCode=value.currency,
            DecimalPlaces=str(minor_digits(value.currency)),
        )
    elif fact.field == _UNITS:
        message.set("BookingLimit", str(int(value)))
    elif fact.field in _FLAGS:
        status = _child(message, "RestrictionStatus", Status="Close" if value else "Open")
        restriction = _FLAGS[fact.field]
        if restriction is not None:
            status.set("Restriction", restriction)
    else:
        word, on_arrival = _LENGTHS[fact.field]
        lengths = _child(message, "LengthsOfStay")
        if on_arrival:
            lengths.set("ArrivalDateBased", "1")
        _child(lengths, "LengthOfStay", Time=str(int(value)), MinMaxMessageType=word)


def _child(parent: Element, name: str, **told: str) -> Element:
    element = etree.SubElement(parent, f"{{{OTA}}}{name}")
    for key, value in told.items():
        element.set(key, value)
    return element


def spoken_of(call: Call, record: str | None, text: str) -> Sequence[Fact]:
    """The messages that a warning is about: by the number it names, else by the dates and rooms that it mentions."""
    if record is not None and record.isascii() and record.isdecimal() and len(record) < 7:
        number = int(record)
        if 1 <= number <= len(call.facts):
            return call.facts[number - 1 : number]
    dated = [fact for fact in call.facts if fact.night.isoformat() in text]
    return [fact for fact in dated if fact.room_id in text] or dated
