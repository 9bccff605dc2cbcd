"""Reading one field of Booking.com's XML as what it should be.

Names are local names: some senders forget the namespace of some elements. Every reader returns None for what is absent
or empty and raises ValueError for what is something else. The errors name the field, never its value: the value may be
a guest's.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

from lxml import etree

from adapters.model import Money, Problem
from adapters.xml_body import Element

_CODE = re.compile("[A-Za-z0-9_.-]{1,64}")
_REFERENCE = re.compile("[A-Za-z0-9_.:|/-]{1,64}")
_CURRENCY = re.compile("[A-Z]{3}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
_WHOLE = re.compile("[0-9]{1,5}")
_MOST_PLACES = 3  # decimal places that Booking.com writes

# What a Problem may show: no element or attribute that can hold a guest, a card or a remark.
_SHOWN = frozenset(
    {
        "ResStatus", "CreateDateTime", "LastModifyDateTime", "ResID_Value", "ResID_Date", "ResID_Type", "IndexNumber",
        "RoomTypeCode", "RatePlanCode", "EffectiveDate", "ExpireDate", "UnitMultiplier", "NumberOfUnits", "Start", "End",
        "AmountAfterTax", "AmountBeforeTax", "Amount", "CurrencyCode", "DecimalPlaces", "AgeQualifyingCode", "Count",
        "HotelCode", "hotel_id", "id", "status", "date", "time", "booked_at", "modified_at", "currencycode", "totalprice",
        "commissionamount", "arrival_date", "departure_date", "numberofguests", "price", "rate_id", "room_id", "value",
        "rooms_to_sell", "booked", "closed",
    }
)  # fmt: skip
_PLAIN = re.compile("[A-Za-z0-9:.+_-]{1,64}")
_LONG_NUMBER = re.compile("[0-9]{12}")  # no id of Booking.com's is longer; a card is
_LONGEST_RAW = 4_000


def name_of(element: Element) -> str:
    """The local name."""
    return etree.QName(element).localname


def children(parent: Element, *path: str) -> Iterator[Element]:
    """The elements at the end of a path of local names."""
    if not path:
        yield parent
        return
    for child in parent:
        if name_of(child) == path[0]:
            yield from children(child, *path[1:])


def child(parent: Element, *path: str) -> Element | None:
    """The first of them."""
    return next(children(parent, *path), None)


def text(parent: Element, name: str) -> str | None:
    """The text of the first child of that name."""
    found = child(parent, name)
    return ((found.text or "").strip() or None) if found is not None else None


def attribute(element: Element, name: str) -> str | None:
    """An attribute's value without the spaces around it."""
    return (element.get(name) or "").strip() or None


def code(value: str | None, name: str) -> str | None:
    """An id of a hotel, a room or a rate: it can stand in a listing's id."""
    return _matched(_CODE, value, name, "an id")


def reference(value: str | None, name: str) -> str | None:
    """An id of a reservation."""
    return _matched(_REFERENCE, value, name, "an id")


def currency(value: str | None, name: str) -> str | None:
    """A currency code."""
    return _matched(_CURRENCY, value, name, "an ISO 4217 code")


def count(value: str | None, name: str) -> int | None:
    """A whole number from 0 to 99,999."""
    found = _matched(_WHOLE, value, name, "a count")
    return None if found is None else int(found)


def day(value: str | None, name: str) -> date | None:
    """A local calendar date. Spaces inside it, where a long line was folded, do not count."""
    found = _matched(_DATE, "".join(value.split()) if value else None, name, "a date")
    if found is None:
        return None
    try:
        return date.fromisoformat(found)
    except ValueError:
        raise ValueError(f"{name} is not a date") from None


def instant(value: str | None, name: str) -> datetime | None:
    """A moment, in UTC. One without an offset is in UTC."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is not a time") from None


def amount(value: str | None, name: str, places: str | None = None) -> Decimal | None:
    """An exact amount. With ``places`` a number without a point counts the smallest units: 13350 with 2 is 133.50."""
    found = _matched(_DECIMAL, value, name, "an amount")
    if found is None:
        return None
    exact = Decimal(found)
    if places is None or "." in found:
        return exact
    digits = count(places, "DecimalPlaces") or 0
    if digits > _MOST_PLACES:
        raise ValueError("DecimalPlaces is not a number of decimal places")
    return exact.scaleb(-digits)


def money(element: Element | None, usual: str | None, *names: str) -> Money | None:
    """The money of an OTA element, from the first of ``names`` that it has; in ``usual`` where it names no currency."""
    if element is None:
        return None
    for name in names:
        exact = amount(attribute(element, name), name, attribute(element, "DecimalPlaces"))
        if exact is not None:
            told = currency(attribute(element, "CurrencyCode"), "CurrencyCode") or usual
            if told is None:
                raise ValueError(f"{name} has no currency")
            return Money(exact, told)
    return None


def unread(where: str, reason: str, element: Element, *, mended: bool = False) -> Problem:
    """A part that could not be read, with the ids, dates and amounts of it that are plain."""
    shown = []
    for each in element.iter():
        told = [f"{name}={value}" for name, value in each.items() if _may_be_shown(str(name), str(value))]
        own, words = name_of(each), (each.text or "").strip()
        if _may_be_shown(own, words):
            told.append(words)
        if told:
            shown.append(f"<{own} {' '.join(told)}>")
    return Problem(where, reason, "".join(shown)[:_LONGEST_RAW], mended)


def _may_be_shown(name: str, value: str) -> bool:
    return name in _SHOWN and _PLAIN.fullmatch(value) is not None and not _LONG_NUMBER.search(value)


def _matched(pattern: re.Pattern[str], value: str | None, name: str, what: str) -> str | None:
    if value is None or value == "":
        return None
    if pattern.fullmatch(value) is None:
        raise ValueError(f"{name} is not {what}")
    return value
