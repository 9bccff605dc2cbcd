"""Expedia's products and what it shows of them, in the words of the trade: pure functions and tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256

from adapters.accounts import Listing
from adapters.errors import UnexpectedResponse
from adapters.expedia import fields
from adapters.expedia.fields import Read
from adapters.model import (
    AvailabilityPage,
    ChannelListing,
    ClosureKind,
    Evidence,
    Money,
    NightAvailability,
    NightPrice,
    PricingPage,
    Problem,
    Restrictions,
    Stay,
)
from adapters.parts import RoomId
from adapters.xml_body import Element


def listings_from_wire(
    root: Element, hotel: str, currencies: Mapping[str, str], what: str
) -> list[ChannelListing]:
    """Every rate of every room of a product retrieval. One without an id makes the answer unreadable."""
    holder = _list_of(root, "ProductList", hotel, what)
    house = _shown(fields.child(holder, "Hotel"))
    found = []
    for room in fields.children(holder, "RoomType"):
        for rate in fields.children(room, "RatePlan"):
            try:
                room_id, rate_id = fields.code(room, "id"), fields.code(rate, "id")
            except ValueError as error:
                raise UnexpectedResponse(f"{what}: {error}") from None
            if room_id is None or rate_id is None:
                raise UnexpectedResponse(f"{what}: a room or a rate without an id")
            name = ", ".join(part for part in (house, _shown(room), _shown(rate)) if part)
            listing_id = str(RoomId(hotel, room_id, rate_id))
            active = all(each.get("status", "Active") == "Active" for each in (room, rate))
            found.append(ChannelListing(listing_id, name or listing_id, currencies.get(listing_id), active))
    return found


def currencies_from_wire(root: Element, hotel: str, what: str) -> dict[str, str]:
    """The currency of each listing that has a rate on the night asked for. One that cannot be read is left out."""
    found = {}
    for on_night in fields.children(_list_of(root, "AvailRateList", hotel, what), "AvailRate"):
        for room in fields.children(on_night, "RoomType"):
            for rate in fields.children(room, "RatePlan"):
                try:
                    currency = fields.currency(fields.child(rate, "Rate"), "currency")
                except ValueError:
                    currency = None
                if currency is not None:
                    found[f"{hotel}/{rate_name(room)}/{rate_name(rate)}"] = currency
    return found


def rate_name(element: Element) -> str:
    """The id of a room or a rate, however it is written."""
    return fields.text(element, "id") or ""


@dataclass(frozen=True, slots=True)
class Calendar:
    """What an answer shows of one room: each night of ``window`` once, in order."""

    listing: Listing
    room: RoomId
    window: Stay
    nights: tuple[tuple[date, Element], ...]


def calendar_from_wire(root: Element, listing: Listing, room: RoomId, window: Stay, what: str) -> Calendar:
    """The nights of an avail and rate retrieval, proven complete: an answer that is cut off does not say so.

    Raises UnexpectedResponse for another hotel's, and where a night of ``window`` is missing or stated twice.
    """
    nights: dict[date, Element] = {}
    for on_night in fields.children(_list_of(root, "AvailRateList", room.property_id, what), "AvailRate"):
        try:
            night = fields.day(on_night, "date")
        except ValueError as error:
            raise UnexpectedResponse(f"{what}: {error}") from None
        for of_room in fields.children(on_night, "RoomType"):
            if rate_name(of_room) != room.room_id or night is None or night not in window:
                continue
            if night in nights:
                raise UnexpectedResponse(f"{what}: {night} is stated twice")
            nights[night] = of_room
    if len(nights) != len(window):
        missing = [night for night in window if night not in nights]
        raise UnexpectedResponse(
            f"{what}: {len(missing)} of {len(window)} nights are missing, the first is {missing[0]}"
        )
    return Calendar(listing, room, window, tuple(sorted(nights.items(), key=lambda each: each[0])))


def availability_from_wire(calendar: Calendar) -> AvailabilityPage:
    """How many units of the room are left, night by night; whether the rate is open is a matter of its price."""
    nights, problems = _each_night(calendar, _night_availability)
    lines = (f"{night.night} {night.units_open} {night.closure}" for night in nights)
    return AvailabilityPage(
        calendar.listing.listing_id,
        calendar.window,
        Evidence.EXPLICIT,
        nights,
        sha256("\n".join([str(calendar.window), *lines]).encode()).hexdigest(),
        problems=problems,
    )


def pricing_from_wire(calendar: Calendar, *, through: bool) -> PricingPage:
    """The rate and its restrictions, night by night."""

    def read(night: date, room: Element) -> NightPrice:
        return _night_price(night, room, calendar, through=through)

    nights, problems = _each_night(calendar, read)
    return PricingPage(calendar.listing.listing_id, calendar.window, nights, problems)


def _night_availability(night: date, room: Element) -> NightAvailability:
    inventory = fields.child(room, "Inventory")
    closed = fields.flag(room, "closed")
    left = 0 if closed else fields.count(inventory, "totalInventoryAvailable")
    if fields.needed(left, "totalInventoryAvailable"):
        return NightAvailability(night, left or 0)
    return NightAvailability(night, 0, _closure(inventory, closed=bool(closed)))


def _closure(inventory: Element | None, *, closed: bool) -> ClosureKind:
    """Booked where Expedia sold something of it; closing is safe, so nothing odd about a closed night opens it."""
    try:
        sold = fields.count(inventory, "totalInventorySold")
    except ValueError:
        sold = None
    if sold:
        return ClosureKind.BOOKED
    return ClosureKind.BLOCKED if closed else ClosureKind.UNKNOWN


def _night_price(night: date, room: Element, calendar: Calendar, *, through: bool) -> NightPrice:
    """What nobody has told Expedia yet is not there: no rate plan, no rate, no rule."""
    told = [each for each in fields.children(room, "RatePlan") if rate_name(each) == calendar.room.rate_id]
    if len(told) > 1:
        raise ValueError("its rate is stated twice")
    if not told:
        return NightPrice(night, None)
    (rate,) = told
    rules = fields.child(rate, "Restrictions")
    least = fields.count(rules, "minLOS")
    return NightPrice(
        night,
        _price(fields.child(rate, "Rate"), calendar.listing),
        Restrictions(
            min_stay_arrival=None if through else least,
            min_stay_through=least if through else None,
            max_stay=fields.count(rules, "maxLOS"),
            closed_to_arrival=fields.flag(rules, "closedToArrival"),
            closed_to_departure=fields.flag(rules, "closedToDeparture"),
            stop_sell=fields.flag(rate, "closed"),
        ),
    )


def _price(rate: Element | None, listing: Listing) -> Money | None:
    """The whole room's price: per day, or that for the most guests. One by person or by length of stay is no price."""
    if rate is None or not len(rate):
        return None
    currency = fields.currency(rate, "currency") or listing.currency
    per_day = {fields.amount(each, "rate") for each in fields.children(rate, "PerDay")}
    if len(per_day) == 1:
        return Money(fields.needed(per_day.pop(), "rate"), currency)
    by_guests: dict[int, Decimal] = {}
    for each in fields.children(rate, "PerOccupancy"):
        guests = fields.needed(fields.count(each, "occupancy"), "occupancy")
        by_guests[guests] = fields.needed(fields.amount(each, "rate"), "rate")
    if per_day or not by_guests:
        raise ValueError("its rate is told by person or by length of stay")
    return Money(by_guests[max(by_guests)], currency)


def _each_night(
    calendar: Calendar, read: Callable[[date, Element], Read]
) -> tuple[tuple[Read, ...], tuple[Problem, ...]]:
    nights: list[Read] = []
    problems: list[Problem] = []
    for night, room in calendar.nights:
        try:
            nights.append(read(night, room))
        except ValueError as error:
            problems.append(fields.unread(night.isoformat(), str(error), room))
    return tuple(nights), tuple(problems)


def _list_of(root: Element, name: str, hotel: str, what: str) -> Element:
    """The list that was asked for. Raises UnexpectedResponse for none, and for another hotel's."""
    holder = fields.child(root, name)
    if holder is None:
        raise UnexpectedResponse(f"{what}: no {name}")
    if fields.text(fields.child(holder, "Hotel"), "id") != hotel:
        raise UnexpectedResponse(f"{what}: another hotel's answer")
    return holder


def _shown(element: Element | None) -> str:
    return "".join(filter(str.isprintable, fields.text(element, "name") or ""))
