"""What the simulated Booking.com is told of availability, prices and restrictions: read, checked and shown.

Each item is done or not by itself. Of two items about the same thing on one date the first one counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from lxml import etree

from channel_sync.sandbox.booking_com.hotels import Hotel
from channel_sync.sandbox.booking_com.wire import Element, Said
from channel_sync.sandbox.bookings import nights
from channel_sync.sandbox.extranet import Extranet

MOST_UNITS = 254
_MOST_DAYS = 5 * 366  # from today on
_UNITS = "units"

# B.XML's words for one night of a rate. Stays are counted in nights, flags are 0 or 1; 0 nights: no such rule.
_STAYS = {
    "minimumstay": "min_stay_through",
    "minimumstay_arrival": "min_stay_arrival",
    "maximumstay": "max_stay",
}
_FLAGS = {
    "closed": "stop_sell",
    "closedonarrival": "closed_to_arrival",
    "closedondeparture": "closed_to_departure",
}


class Malformed(Exception):
    """A request that is not the protocol: nothing of it is done."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing told: these fields of a room on each of ``nights``; ``rate_id`` is None for what concerns the room."""

    record: str | None
    room_id: str
    rate_id: str | None
    nights: tuple[date, ...]
    told: Mapping[str, Any]
    currency: str | None = None


@dataclass(slots=True)
class Done:
    """What came of a request: how many of its items were done, and what is said of the others."""

    applied: int = 0
    said: list[Said] = field(default_factory=list)


def items_of_availability(root: Element) -> Iterator[Item]:
    """OTA_HotelAvailNotifRQ."""
    for place, message in enumerate(root.iterfind("{*}AvailStatusMessages/{*}AvailStatusMessage"), start=1):
        told: dict[str, Any] = {}
        if message.get("BookingLimit") is not None:
            told[_UNITS] = _whole(message.get("BookingLimit"))
        for lengths in message.iterfind("{*}LengthsOfStay"):
            on_arrival = lengths.get("ArrivalDateBased") in ("1", "true")
            for length in lengths.iterfind("{*}LengthOfStay"):
                told[_length_of(length.get("MinMaxMessageType"), on_arrival=on_arrival)] = _whole(
                    length.get("Time")
                )
        for status in message.iterfind("{*}RestrictionStatus"):
            told[_restriction_of(status)] = status.get("Status") == "Close"
        yield _item(message, place, told)


def items_of_rates(root: Element) -> Iterator[Item]:
    """OTA_HotelRateAmountNotifRQ. An amount is a whole number of the smallest unit, of as many places as it says."""
    for place, message in enumerate(root.iterfind("{*}RateAmountMessages/{*}RateAmountMessage"), start=1):
        amount = message.find("{*}Rates/{*}Rate/{*}BaseByGuestAmts/{*}BaseByGuestAmt")
        if amount is None:
            raise Malformed("a RateAmountMessage without BaseByGuestAmt")
        price = Decimal(_whole(amount.get("AmountAfterTax"))).scaleb(
            -_whole(amount.get("DecimalPlaces", "2"))
        )
        yield _item(message, place, {"price": price}, amount.get("CurrencyCode"))


def items_of_bxml(root: Element) -> Iterator[Item]:
    """B.XML's availability request: room > date > rate and values. What is empty is left as it is."""
    if root.tag != "request":
        raise Malformed("not a <request>")
    for room in root.iterfind("room"):
        for element in room.iterfind("date"):
            rate = element.find("rate")
            told: dict[str, Any] = {}
            if (units := _text(element, "roomstosell")) is not None:
                told[_UNITS] = _whole(units)
            for name, meant in _STAYS.items():
                if (stay := _text(element, name)) is not None:
                    told[meant] = _whole(stay) or None
            for name, meant in _FLAGS.items():
                if (flag := _text(element, name)) is not None:
                    told[meant] = flag == "1"
            if (price := _text(element, "price")) is not None:
                told["price"] = _decimal(price)
            yield Item(
                None,
                room.get("id", ""),
                None if rate is None else rate.get("id"),
                _dates(element),
                told,
                _text(element, "currencycode"),
            )


def apply(items: Iterable[Item], hotels: Mapping[str, Hotel], extranet: Extranet, today: date) -> Done:
    """Do what can be done. ``hotels`` are by the id of their room; all items have to be about one of them."""
    found = list(items)
    if not found:
        raise Malformed("nothing is told")
    if len({hotels[item.room_id].hotel_id for item in found if item.room_id in hotels}) > 1:
        raise Malformed("one hotel in a request")
    outcome = Done()
    seen: set[tuple[str, date, str]] = set()
    for item in found:
        refused = _refusal(item, hotels, today)
        if refused is not None:
            outcome.said.append(refused)
            continue
        fresh = {
            key
            for night in item.nights
            for name in item.told
            if (key := (item.room_id, night, name)) not in seen
        }
        if len(fresh) < len(item.nights) * len(item.told):
            outcome.said.append(
                Said("367", "WARN_DUPLICATE_DATES: the first one wins", item.record, error=False)
            )
        seen |= fresh
        listing = hotels[item.room_id].listing.listing_id
        for name, value in item.told.items():
            some = [night for night in item.nights if (item.room_id, night, name) in fresh]
            if name == _UNITS:
                extranet.sell(listing, some, value)
            else:
                extranet.offer(listing, some, **{name: value})
        outcome.applied += 1
    return outcome


def _refusal(item: Item, hotels: Mapping[str, Hotel], today: date) -> Said | None:
    """Why an item is not done, in the channel's codes."""
    hotel = hotels.get(item.room_id)
    if hotel is None:
        return Said("402", "ROOM_ID_INVALID", item.record)
    first = today - timedelta(days=1)
    reasons = (
        (item.rate_id not in (None, hotel.rate_id), "393", "RATE_ID_INVALID"),
        (item.rate_id is None and set(item.told) != {_UNITS}, "393", "RATE_ID_MISSING"),
        (
            not all(first <= night <= first + timedelta(days=_MOST_DAYS) for night in item.nights),
            "404",
            f"NOT_A_VALID_DATE {item.nights[0]}",
        ),
        (
            item.currency not in (None, hotel.listing.currency),
            "61",
            "CURRENCY_CODE_DONT_MATCH_HOTEL_CURRENCY",
        ),
        (item.told.get(_UNITS, 0) > MOST_UNITS, "436", "ROOMS_TO_SELL_INVALID"),
    )
    return next((Said(code, text, item.record) for is_so, code, text in reasons if is_so), None)


def read(body: bytes) -> Element:
    """The root of a request. Raises Malformed for what is not XML."""
    try:
        return etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.LxmlError as error:
        raise Malformed("not XML") from error


def _item(message: Element, place: int, told: Mapping[str, Any], currency: str | None = None) -> Item:
    control = message.find("{*}StatusApplicationControl")
    if control is None or not told:
        raise Malformed("a message about nothing")
    first, last = _date(control.get("Start")), _date(control.get("End"))
    if not first <= last:
        raise Malformed("Start is after End")
    return Item(
        message.get("LocatorID", str(place)),
        control.get("InvTypeCode", ""),
        control.get("RatePlanCode"),
        tuple(nights(first, last + timedelta(days=1))),  # the end is one of them
        told,
        currency,
    )


def _length_of(word: str | None, *, on_arrival: bool) -> str:
    if word == "SetMinLOS":
        return "min_stay_arrival" if on_arrival else "min_stay_through"
    if word == "SetMaxLOS":
        return "max_stay"
    raise Malformed("MinMaxMessageType is SetMinLOS or SetMaxLOS")


def _restriction_of(status: Element) -> str:
    names = {
        "Arrival": "closed_to_arrival",
        "Departure": "closed_to_departure",
        None: "stop_sell",
        "Master": "stop_sell",
    }
    if status.get("Status") not in ("Open", "Close") or status.get("Restriction") not in names:
        raise Malformed("a RestrictionStatus of another kind")
    return names[status.get("Restriction")]


def _dates(element: Element) -> tuple[date, ...]:
    """``value`` is one date; ``from`` has to be before ``to``, which is not one of them."""
    if element.get("value") is not None:
        return (_date(element.get("value")),)
    first, last = _date(element.get("from")), _date(element.get("to"))
    if not first < last:
        raise Malformed("FROM_DATE_SHOULD_BE_LESS_THAN_TO_DATE")
    return tuple(nights(first, last))


def _text(element: Element, name: str) -> str | None:
    found = element.findtext(name)
    return (found.strip() or None) if found is not None else None


def _date(value: str | None) -> date:
    try:
        return datetime.strptime(value or "", "%Y-%m-%d").date()  # noqa: DTZ007 - a night has no zone
    except ValueError:
        raise Malformed("NOT_A_VALID_DATE") from None


def _whole(value: str | None) -> int:
    if value is None or not value.isascii() or not value.isdecimal():
        raise Malformed("a number is a whole one")
    return int(value)


def _decimal(value: str) -> Decimal:
    try:
        return Decimal(value)
    except InvalidOperation:
        raise Malformed("a price is a number") from None


def summed(items: Sequence[Item]) -> dict[tuple[str, date], dict[str, Any]]:
    """What the items come to: by room and night, the first word on each thing."""
    found: dict[tuple[str, date], dict[str, Any]] = {}
    for item in items:
        for night in item.nights:
            known = found.setdefault((item.room_id, night), {})
            for name, value in item.told.items():
                known.setdefault(name, value)
    return found
