"""What an AvailRateUpdateRQ says, read and checked as strictly as Expedia does."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from lxml import etree

MOST_UPDATES = 5_000
HORIZON = timedelta(days=731)

Element = etree._Element  # noqa: SLF001 - lxml's public type has no public name
Cell = tuple[str, str, date]  # room, rate ("" for the room at all its rates), night

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RATE = re.compile(r"[0-9]{1,16}(\.[0-9]{1,3})?")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_ONE_DAY = timedelta(days=1)


class Refused(Exception):
    """A message that Expedia answers with an error."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


@dataclass(frozen=True, slots=True)
class Shop:
    """What may be told: the rooms with their rates, the currency, and the pricing models of the property."""

    rooms: Mapping[str, frozenset[str]]
    currency: str
    models: frozenset[str] = frozenset({"PerDay"})
    by_arrival: bool = False  # day-of-arrival pricing
    by_length: bool = False  # length-of-stay pricing


@dataclass(slots=True)
class Updates:
    """What is told of each room or rate on each night, and how many updates that is."""

    told: dict[Cell, dict[str, Any]] = field(default_factory=dict)
    count: int = 0


def local(element: Element) -> str:
    """The element's name without its namespace."""
    return etree.QName(element).localname


def read_updates(root: Element, shop: Shop, today: date) -> Updates:
    """All of a message. Raises Refused for the first thing that is wrong: nothing of it is done then."""
    updates = Updates()
    parts = [each for each in root if local(each) == "AvailRateUpdate"] or [root]
    for part in parts:
        nights = [night for each in part if local(each) == "DateRange" for night in _nights(each, today)]
        for room in (each for each in part if local(each) == "RoomType"):
            rates = shop.rooms.get(_id(room))
            if rates is None:
                raise Refused(3203, "The following RoomTypeIDs do not belong to the given hotel")
            _tell(updates, (_id(room), ""), nights, dict(_of_room(room)))
            for rate in (each for each in room if local(each) == "RatePlan"):
                if _id(rate) not in rates:
                    raise Refused(3204, "The following RatePlanIDs do not belong to the given hotel")
                _tell(updates, (_id(room), _id(rate)), nights, dict(_of_rate(rate, shop)))
    if not updates.count:
        raise Refused(3015, "No updates provided")
    if updates.count > MOST_UPDATES:
        raise Refused(3107, "Update exceeds allowable size - Maximum allowable size is 5000 updates.")
    return updates


def _tell(updates: Updates, product: tuple[str, str], nights: list[date], told: dict[str, Any]) -> None:
    updates.count += len(told) * len(nights)
    if not told or updates.count > MOST_UPDATES:
        return
    for night in nights:
        known = updates.told.setdefault((*product, night), {})
        if any(name in known and known[name] != value for name, value in told.items()):
            raise Refused(3108, "Duplicate Updates in the same message")
        known.update(told)


def _nights(element: Element, today: date) -> Iterator[date]:
    """The nights of a range: its end is one of them. Weekdays count as soon as one is named."""
    first, last = _date(element, "from"), _date(element, "to")
    if last < first:
        raise Refused(3021, "Validation error: end date must not be before start date.")
    if first < today - _ONE_DAY:
        raise Refused(3020, "Validation error: start date must not be before yesterday.")
    if last > today + HORIZON:
        raise Refused(3022, "Validation error: end date must be within 2 years range.")
    named = {day: _flag(element, day) for day in _WEEKDAYS if element.get(day) is not None}
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        night = date.fromordinal(ordinal)
        if not named or named.get(_WEEKDAYS[night.weekday()]):
            yield night


def _of_room(room: Element) -> Iterator[tuple[str, Any]]:
    if room.get("closed") is not None:
        yield "closed", _flag(room, "closed")
    for inventory in (each for each in room if local(each) == "Inventory"):
        told = [name for name in ("flexibleAllocation", "totalInventoryAvailable") if inventory.get(name)]
        if len(told) > 1:
            raise Refused(3026, "Flexible and total allocation cannot be sent together for roomType.")
        for name in told:
            yield "units", _whole(inventory, name, 0, 4_999)


def _of_rate(rate: Element, shop: Shop) -> Iterator[tuple[str, Any]]:
    if rate.get("closed") is not None:
        yield "closed", _flag(rate, "closed")
    for each in rate:
        if local(each) == "Rate":
            yield from _of_price(each, shop)
    for rules in (each for each in rate if local(each) == "Restrictions"):
        lengths = {name: _whole(rules, name, 1, 28) for name in ("minLOS", "maxLOS") if rules.get(name)}
        if lengths.get("minLOS", 1) > lengths.get("maxLOS", 28):
            raise Refused(3015, "MaxLOS value smaller than the MinLOS value")
        yield from lengths.items()
        for name in ("closedToArrival", "closedToDeparture"):
            if rules.get(name) is not None:
                yield name, _flag(rules, name)


def _of_price(rate: Element, shop: Shop) -> Iterator[tuple[str, Any]]:
    length = rate.get("lengthOfStay")
    if (length is not None) is not shop.by_length:
        raise Refused(3123 if shop.by_length else 3124, "Length of stay and the rate plan do not agree")
    if rate.get("rateChangeIndicator") is not None:
        if not shop.by_arrival:
            raise Refused(3125, "Field not accessible for edit: Rate change edit not allowed")
        yield f"change{length or ''}", _flag(rate, "rateChangeIndicator")
    for price in rate:
        if rate.get("currency") != shop.currency:
            raise Refused(3103, "Currency code mismatch.")
        if local(price) not in shop.models:
            raise Refused(3090, "Pricing models mismatch")
        written = price.get("rate", "")
        if not _RATE.fullmatch(written):
            raise Refused(3010, "Validation against schema failed: rate")
        yield f"price{price.get('occupancy', '')}{length or ''}", Decimal(written)


def _id(element: Element) -> str:
    return element.get("id", "").strip()


def _date(element: Element, name: str) -> date:
    try:
        return date.fromisoformat(element.get(name, ""))
    except ValueError:
        raise Refused(3129, "Invalid Date") from None


def _flag(element: Element, name: str) -> bool:
    told = element.get(name, "")
    if told not in _FLAGS:
        raise Refused(3010, f"Validation against schema failed: {name}")
    return _FLAGS[told]


def _whole(element: Element, name: str, least: int, most: int) -> int:
    told = element.get(name, "")
    if not (told.isascii() and told.isdecimal() and least <= int(told) <= most):
        raise Refused(3010, f"Validation against schema failed: {name}")
    return int(told)
