"""One room of an OTA reservation: which listing it is, its nights, and what they cost."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial

from adapters.booking_com import fields
from adapters.booking_com.fields import attribute, child, children
from adapters.model import ONE_DAY, Money, Stay
from adapters.parts import MappedRooms, RoomStay
from adapters.reading import required, softly
from adapters.xml_body import Element

AMOUNTS = ("AmountAfterTax", "AmountBeforeTax")  # one of them, as the property's taxes are set up

_INFANTS = "7"  # the OTA's code of an age; Booking.com counts adults and children
_PAID_BY_CARD = re.compile("VCC$")  # behind a rate's id where Booking.com pays with a card of its own
_NO_RATE = "unknown"
_LONGEST_STAY = 1_000  # nights
_MOST_UNITS = 99
_MOST_PRICES = 10_000  # nights with a price, of one room: beyond that it is a mistake


def room_stay_from(element: Element, reservation: Element, rooms: MappedRooms, soft: list[str]) -> RoomStay:
    """One RoomStay of a reservation. Raises ValueError where its hotel, room or nights cannot be read."""
    room = next((told for each in _rooms_named(element) if (told := attribute(each, "RoomTypeCode"))), None)
    rate = next(
        (told for each in _rates_named(element) if (told := attribute(each, "RatePlanCode"))), _NO_RATE
    )
    return RoomStay(
        rooms.listing_id(
            required(fields.code(_hotel(element, reservation), "HotelCode"), "HotelCode"),
            required(fields.code(room, "RoomTypeCode"), "RoomTypeCode"),
            fields.code(_PAID_BY_CARD.sub("", rate), "RatePlanCode") or _NO_RATE,
        ),
        _stay(element, reservation, soft),
        softly(partial(_guests, element), soft),
        tuple(sorted(_nightly(element, soft).items())),
        softly(partial(fields.money, child(element, "Total"), None, *AMOUNTS), soft),
    )


def units_of(room_stay: Element) -> int:
    """How many rooms of the kind are booked."""
    told = [attribute(each, "NumberOfUnits") for each in _rooms_named(room_stay)]
    units = fields.count(next((each for each in told if each), None), "NumberOfUnits")
    if units is None:
        return 1
    if not 1 <= units <= _MOST_UNITS:
        raise ValueError("NumberOfUnits is not a number of rooms")
    return units


def commission_on(room_stay: Element) -> Money | None:
    """What Booking.com keeps for the room and the whole stay."""
    payable = child(room_stay, "RatePlans", "RatePlan", "Commission", "CommissionPayableAmount")
    return fields.money(payable, None, "Amount")


def _stay(element: Element, reservation: Element, soft: list[str]) -> Stay:
    """TimeSpan, the end of which is the day of departure; without one, the nights that have a price."""
    span = child(element, "TimeSpan")
    if span is None and len(list(children(reservation, "RoomStays", "RoomStay"))) == 1:
        span = child(reservation, "ResGlobalInfo", "TimeSpan")
    if span is not None:
        start = fields.day(attribute(span, "Start"), "Start")
        end = fields.day(attribute(span, "End"), "End")
    else:
        nights = sorted({night for price in _prices(element) for night in price.nights})
        if not nights:
            raise ValueError("it has neither TimeSpan nor priced nights")
        start, end = nights[0], nights[-1] + ONE_DAY
        if len(nights) != (end - start).days:
            soft.append("its priced nights have gaps: it counts as sold from the first to the last")
    if start is None or end is None or not start < end or (end - start).days > _LONGEST_STAY:
        raise ValueError("its dates are not a stay")
    return Stay(start, end)


def _nightly(element: Element, soft: list[str]) -> dict[date, Money]:
    """What each night costs. A night with two prices has none that we know."""
    found: dict[date, Money] = {}
    twice: set[date] = set()
    for price in _prices(element):
        told = softly(price.money, soft)
        for night in price.nights if told is not None else ():
            if night in found:
                twice.add(night)
            elif told is not None:
                found[night] = told
    if twice:
        soft.append("a night has two prices")
    return {night: money for night, money in found.items() if night not in twice}


@dataclass(frozen=True, slots=True)
class _Price:
    """What one Rate says: so much for each of these nights."""

    nights: tuple[date, ...]
    element: Element

    def money(self) -> Money | None:
        """The price of one night. Raises ValueError where it has two."""
        total = fields.money(child(self.element, "Total"), None, *AMOUNTS)
        if total is not None:
            return total
        bases = list(children(self.element, "Base"))
        if len(bases) > 1:
            raise ValueError("a night has two prices")
        return fields.money(bases[0], None, *AMOUNTS) if bases else None


def _prices(room_stay: Element) -> Iterator[_Price]:
    """Booking.com dates the RoomRate, which is one night; other OTA users date the Rate, up to its ExpireDate."""
    told = 0
    for room_rate in children(room_stay, "RoomRates", "RoomRate"):
        dated = attribute(room_rate, "EffectiveDate")
        for rate in children(room_rate, "Rates", "Rate"):
            start = fields.day(attribute(rate, "EffectiveDate") or dated, "EffectiveDate")
            end = fields.day(attribute(rate, "ExpireDate"), "ExpireDate")
            if start is None or start == date.max:
                continue
            if end is None or not start < end or (end - start).days > _LONGEST_STAY:
                end = start + ONE_DAY
            nights = tuple(Stay(start, end))
            told += len(nights)
            if told > _MOST_PRICES:
                raise ValueError("it prices more nights than any stay has")
            yield _Price(nights, rate)


def _rooms_named(room_stay: Element) -> Iterator[Element]:
    yield from children(room_stay, "RoomTypes", "RoomType")
    yield from children(room_stay, "RoomRates", "RoomRate")


def _rates_named(room_stay: Element) -> Iterator[Element]:
    yield from children(room_stay, "RoomRates", "RoomRate")
    yield from children(room_stay, "RatePlans", "RatePlan")


def _hotel(room_stay: Element, reservation: Element) -> str | None:
    """The hotel's id: told with the room, with the reservation, or with what is said of it as a whole."""
    for path in ((room_stay,), (reservation,), (reservation, "ResGlobalInfo")):
        found = child(path[0], *path[1:], "BasicPropertyInfo")
        if found is not None and (told := attribute(found, "HotelCode")):
            return told
    return None


def _guests(room_stay: Element) -> int | None:
    counts = [
        fields.count(attribute(each, "Count"), "Count")
        for each in children(room_stay, "GuestCounts", "GuestCount")
        if attribute(each, "AgeQualifyingCode") != _INFANTS
    ]
    told = [each for each in counts if each is not None]
    return sum(told) if told else None
