"""Airbnb's listings, calendars and errors in the words of the trade: pure functions and tables.

Reservations have a module of their own. The README says how sure each fact is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from hashlib import sha256
from operator import itemgetter
from typing import Any, TypeVar

import httpx

from adapters import json_fields as fields
from adapters import wire
from adapters.errors import ChannelError, UnexpectedResponse
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

_IS_OPEN: Mapping[str, bool] = {"available": True, "unavailable": False}

# Why a night without a reservation of Airbnb's own is closed. OUTSIDE_RESERVATION is a guest who booked elsewhere.
_CLOSURES: Mapping[str, ClosureKind] = {
    "BLOCKED_BY_HOST": ClosureKind.BLOCKED,
    "OUTSIDE_RESERVATION": ClosureKind.BOOKED,
}

_CALENDAR_FIELDS = (
    "date", "availability", "available_count", "busy_subtype", "daily_price", "listing_currency", "currency",
    "min_nights", "max_nights", "closed_to_arrival", "closed_to_departure",
)  # fmt: skip
_WORD = re.compile("[A-Za-z_]{1,64}")

Night = TypeVar("Night")


def error_from_answer(response: httpx.Response, what: str, clock: Callable[[], datetime]) -> ChannelError:
    """The error of an answer outside 2xx, with Airbnb's own words for it: its classes, never its sentences."""
    try:
        body = wire.json_object(response, what)
    except UnexpectedResponse:
        body = {}
    words = [body.get("error_type") or body.get("error"), body.get("error_class")]
    details = body.get("error_details")
    if isinstance(details, list):  # since version 2024.06.30
        words += [detail.get("error_reason") for detail in details[:3] if isinstance(detail, dict)]
    said = ", ".join(word for word in words if isinstance(word, str) and _WORD.fullmatch(word))
    return wire.error_from_status(response, f"{what} ({said})" if said else what, clock)


def next_page(body: Mapping[str, Any], what: str) -> dict[str, str]:
    """The query that asks for the page after this one, empty after the last. Listings may page by offset."""
    paging = body.get("paging")
    if not isinstance(paging, dict):
        raise UnexpectedResponse(f"{what}: no paging, so this may not be all")
    cursor, offset = paging.get("next_cursor"), paging.get("next_offset")
    if isinstance(cursor, str) and cursor:
        return {"_cursor": cursor}
    if isinstance(offset, int) and not isinstance(offset, bool):
        return {"_offset": str(offset)}
    if cursor or offset is not None:
        raise UnexpectedResponse(f"{what}: the next page is not named by a cursor or an offset")
    return {}


def rows(body: Mapping[str, Any], name: str, what: str) -> list[Any]:
    """The array ``name`` of an answer. Raises UnexpectedResponse where there is none."""
    found = body.get(name)
    if not isinstance(found, list):
        raise UnexpectedResponse(f"{what}: no array {name!r}")
    return found


def listing_from_wire(raw: object, what: str) -> ChannelListing:
    """One listing of ``GET /v2/listings``. One without an id makes the page unreadable."""
    if not isinstance(raw, dict):
        raise UnexpectedResponse(f"{what}: a listing that is not an object")
    try:
        listing_id = fields.code(raw, "id_str", "id")
        currency = fields.currency(raw, "listing_currency")
    except ValueError as error:
        raise UnexpectedResponse(f"{what}: {error}") from None
    if listing_id is None:
        raise UnexpectedResponse(f"{what}: a listing without an id")
    name = raw.get("name")
    shown = "".join(filter(str.isprintable, name)) if isinstance(name, str) else ""
    return ChannelListing(listing_id, shown or listing_id, currency, raw.get("has_availability") is not False)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of one calendar answer: each night of ``window`` once, in order.

    ``currency`` is that of days that name none. ``problems`` are days without a readable date.
    """

    listing_id: str
    window: Stay
    days: tuple[tuple[date, Mapping[str, Any]], ...]
    currency: str
    problems: tuple[Problem, ...]


def calendar_from_wire(
    body: Mapping[str, Any], listing_id: str, window: Stay, currency: str, what: str
) -> Calendar:
    """The days of ``GET /v2/calendars/...``, proven complete. ``currency`` is used where the wire names none.

    Raises UnexpectedResponse for another listing's calendar, and where a night of ``window`` is missing or
    stated twice: a half-read page proves nothing. Nights outside the window were not asked for and are left out.
    """
    calendar = body.get("calendar")
    if not isinstance(calendar, dict):
        raise UnexpectedResponse(f"{what}: no calendar")
    try:
        of_listing = fields.code(calendar, "listing_id_str", "listing_id")
        currency = fields.currency(calendar, "listing_currency", "currency") or currency
    except ValueError as error:
        raise UnexpectedResponse(f"{what}: {error}") from None
    if of_listing not in (None, listing_id):
        raise UnexpectedResponse(f"{what}: the calendar of another listing")
    days: dict[date, Mapping[str, Any]] = {}
    problems: list[Problem] = []
    for place, raw in enumerate(rows(calendar, "days", what), start=1):
        night = _date_of(raw)
        if night is None:
            problems.append(fields.unread(f"day {place}", "it has no readable date", raw, _CALENDAR_FIELDS))
        elif night in days:
            raise UnexpectedResponse(f"{what}: {night} is stated twice")
        elif night in window:
            days[night] = raw
    if len(days) != len(window):  # each of them is one of the window's
        missing = [night for night in window if night not in days]
        raise UnexpectedResponse(
            f"{what}: {len(missing)} of {len(window)} nights are missing, the first is {missing[0]}"
        )
    return Calendar(
        listing_id, window, tuple(sorted(days.items(), key=itemgetter(0))), currency, tuple(problems)
    )


def availability_from_wire(calendar: Calendar) -> AvailabilityPage:
    """Open or closed, night by night. A night that cannot be read is not stated: a Problem stands for it."""
    nights, problems = _each_night(calendar, _night_availability)
    return AvailabilityPage(
        calendar.listing_id,
        calendar.window,
        Evidence.EXPLICIT,
        nights,
        _fingerprint(calendar.window, nights),
        problems=problems,
    )


def pricing_from_wire(calendar: Calendar) -> PricingPage:
    """Prices and restrictions, night by night. A night that cannot be read is not stated, as above."""
    nights, problems = _each_night(calendar, partial(_night_price, currency=calendar.currency))
    return PricingPage(calendar.listing_id, calendar.window, nights, problems)


def _night_availability(night: date, raw: Mapping[str, Any]) -> NightAvailability:
    word = raw.get("availability")
    if not isinstance(word, str) or word not in _IS_OPEN:
        raise ValueError("availability is not a word we know")
    if _IS_OPEN[word]:
        units = fields.count(raw, "available_count")  # only listings of several units carry it
        if units != 0:
            return NightAvailability(night, 1 if units is None else units)
    # Closing is safe: nothing else that is odd about a closed day keeps it from being closed.
    reserved, reference = _reservation(raw)
    closure = _CLOSURES.get(str(raw.get("busy_subtype")), ClosureKind.UNKNOWN)
    return NightAvailability(night, 0, ClosureKind.BOOKED if reserved else closure, reference)


def _reservation(raw: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Whether a reservation of Airbnb's own closes the day, and its code where that can be read."""
    reservation = raw.get("reservation")
    holder = reservation if isinstance(reservation, dict) else raw
    try:
        reference = fields.code(holder, "confirmation_code")
    except ValueError:
        return True, None
    return bool(reservation) or reference is not None, reference


def _night_price(night: date, raw: Mapping[str, Any], currency: str) -> NightPrice:
    amount = fields.amount(raw, "daily_price")
    if amount is not None and amount < 0:
        raise ValueError("daily_price is negative")
    own = fields.currency(raw, "listing_currency", "currency")
    return NightPrice(
        night,
        None if amount is None else Money(amount, own or currency),
        Restrictions(
            min_stay_arrival=fields.count(raw, "min_nights"),
            max_stay=fields.count(raw, "max_nights"),
            closed_to_arrival=fields.flag(raw, "closed_to_arrival"),
            closed_to_departure=fields.flag(raw, "closed_to_departure"),
        ),
    )


def _each_night(
    calendar: Calendar, read: Callable[[date, Mapping[str, Any]], Night]
) -> tuple[tuple[Night, ...], tuple[Problem, ...]]:
    nights: list[Night] = []
    problems = list(calendar.problems)
    for night, raw in calendar.days:
        try:
            nights.append(read(night, raw))
        except ValueError as error:
            problems.append(fields.unread(night.isoformat(), str(error), raw, _CALENDAR_FIELDS))
    return tuple(nights), tuple(problems)


def _date_of(raw: object) -> date | None:
    try:
        return fields.day(raw, "date") if isinstance(raw, dict) else None
    except ValueError:
        return None


def _fingerprint(window: Stay, nights: tuple[NightAvailability, ...]) -> str:
    lines = (f"{night.night} {night.units_open} {night.closure} {night.reference}" for night in nights)
    return sha256("\n".join([str(window), *lines]).encode()).hexdigest()
