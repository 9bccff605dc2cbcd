"""Channex's listings, availability, rates and errors in the words of the trade: pure functions and tables.

Bookings and pushes have modules of their own. The README says how sure each fact is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

import httpx

from adapters import json_fields, wire
from adapters.accounts import Listing
from adapters.channex import fields
from adapters.errors import ChannelError, ConfigurationError, UnexpectedResponse
from adapters.model import (
    AvailabilityPage,
    ChannelListing,
    ClosureKind,
    Evidence,
    NightAvailability,
    NightPrice,
    PricingPage,
    Problem,
    Restrictions,
    Stay,
)
from adapters.parts import RoomId, room_id

# What is asked of a rate plan's nights.
RESTRICTIONS = (
    "rate", "min_stay_arrival", "min_stay_through", "max_stay", "closed_to_arrival", "closed_to_departure",
    "stop_sell",
)  # fmt: skip

_WORD = re.compile("[A-Za-z_]{1,64}")
_ID = re.compile("[A-Za-z0-9_-]{1,64}")
_MOST_ROWS = 1_000  # a page has 100, and nobody asks for more
_MOST_UNITS = 10_000

Night = TypeVar("Night")


class MinStay(StrEnum):
    """Which minimum stay a property goes by: that of the day of arrival, that of every night, or both."""

    ARRIVAL = "arrival"
    THROUGH = "through"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Property:
    """What is needed of a property."""

    property_id: str
    title: str
    currency: str | None
    active: bool
    min_stay: MinStay


def error_from_answer(response: httpx.Response, what: str, clock: Callable[[], datetime]) -> ChannelError:
    """The error of an answer outside 2xx, with Channex's own code for it."""
    said = error_code(response.content)
    return wire.error_from_status(response, f"{what} ({said})" if said else what, clock)


def error_code(content: bytes) -> str | None:
    """Channex's word for an error, from the body that tells it; None where there is none."""
    try:
        errors = fields.body_of(content, "error").get("errors")
    except UnexpectedResponse:
        return None
    word = errors.get("code") if isinstance(errors, dict) else None
    return word if isinstance(word, str) and _WORD.fullmatch(word) else None


def rows(body: Mapping[str, Any], what: str) -> list[Any]:
    """The list of an answer. Raises UnexpectedResponse where there is none, or one that is no page of a list."""
    found = body.get("data")
    if not isinstance(found, list):
        raise UnexpectedResponse(f"{what}: no list of data")
    if len(found) > _MOST_ROWS:
        raise UnexpectedResponse(f"{what}: {len(found)} rows on a page")
    return found


def total(body: Mapping[str, Any], what: str) -> int:
    """How many there are over all pages. Raises UnexpectedResponse where it is not told: this may not be all."""
    meta = body.get("meta")
    told = meta.get("total") if isinstance(meta, dict) else None
    if not isinstance(told, int) or isinstance(told, bool) or told < 0:
        raise UnexpectedResponse(f"{what}: no total, so this may not be all")
    return told


def success(body: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """The ``meta`` of an answer to a call that changes something. Raises UnexpectedResponse where it says nothing."""
    meta = body.get("meta")
    if not isinstance(meta, dict) or not isinstance(meta.get("message"), str):
        raise UnexpectedResponse(f"{what}: no message in its meta")
    return meta


# What there is to sell. Anything without an id makes the page unreadable.


def room_of(listing: Listing) -> RoomId:
    """The property, room type and rate plan of a listing. Raises ConfigurationError where its id does not name them."""
    room = room_id(listing.listing_id)
    if not all(map(_ID.fullmatch, (room.property_id, room.room_id, room.rate_id))):
        raise ConfigurationError(
            f"listing {listing.listing_id!r}: property, room type and rate plan are UUIDs"
        )
    return room


def property_from_wire(raw: object, what: str) -> Property:
    """A property, with the kind of minimum stay it goes by: both, unless its settings say another."""
    try:
        told = json_fields.members(json_fields.members(raw, "property").get("attributes"), "attributes")
        found = json_fields.code(told, "id") or json_fields.code(json_fields.members(raw, "property"), "id")
        currency = json_fields.currency(told, "currency")
    except ValueError as error:
        raise UnexpectedResponse(f"{what}: {error}") from None
    if found is None:
        raise UnexpectedResponse(f"{what}: a property without an id")
    settings = told.get("settings")
    kind = settings.get("min_stay_type") if isinstance(settings, dict) else None
    min_stay = MinStay(kind) if isinstance(kind, str) and kind in set(MinStay) else MinStay.BOTH
    return Property(found, _title(told), currency, told.get("is_active") is not False, min_stay)


def room_from_wire(raw: object, what: str) -> tuple[str, str]:
    """The id of a room type and its title."""
    try:
        told = json_fields.members(json_fields.members(raw, "room type").get("attributes"), "attributes")
        found = json_fields.code(told, "id")
    except ValueError as error:
        raise UnexpectedResponse(f"{what}: {error}") from None
    if found is None:
        raise UnexpectedResponse(f"{what}: a room type without an id")
    return found, _title(told)


def listing_from_wire(
    raw: object, properties: Mapping[str, Property], rooms: Mapping[str, str], what: str
) -> ChannelListing:
    """A rate plan as the listing that it is, named by property, room and rate."""
    try:
        plan = json_fields.members(raw, "rate plan")
        told = json_fields.members(plan.get("attributes"), "attributes")
        rate = json_fields.code(told, "id")
        room = json_fields.code(told, "room_type_id") or _related(plan, "room_type")
        place = json_fields.code(told, "property_id") or _related(plan, "property")
        currency = json_fields.currency(told, "currency")
    except ValueError as error:
        raise UnexpectedResponse(f"{what}: {error}") from None
    if rate is None or room is None or place is None:
        raise UnexpectedResponse(f"{what}: a rate plan without its own, its room's or its property's id")
    home = properties.get(place)
    names = (home.title if home else "", rooms.get(room, ""), _title(told))
    listing_id = str(RoomId(place, room, rate))
    return ChannelListing(
        listing_id,
        ", ".join(name for name in names if name) or listing_id,
        currency or (home.currency if home else None),
        active=home is None or home.active,
    )


def _related(raw: Mapping[str, Any], name: str) -> str | None:
    relation = json_fields.members(raw.get("relationships"), "relationships").get(name)
    return json_fields.code(json_fields.members(json_fields.members(relation, name).get("data"), name), "id")


def _title(told: Mapping[str, Any]) -> str:
    title = told.get("title")
    return "".join(filter(str.isprintable, title)) if isinstance(title, str) else ""


# Nights.


def availability_from_wire(
    body: Mapping[str, Any], listing_id: str, room: RoomId, window: Stay, what: str
) -> AvailabilityPage:
    """How many units of the room are left, night by night. A night that cannot be read is kept as a Problem.

    Raises UnexpectedResponse where the room or one of its nights is missing: a half-read page proves nothing.
    """
    nights, problems = _each_night(_nights_of(body, room.room_id, window, what), _night_availability)
    lines = [str(window), *(f"{night.night} {night.units_open}" for night in nights)]
    fingerprint = sha256("\n".join(lines).encode()).hexdigest()
    return AvailabilityPage(listing_id, window, Evidence.EXPLICIT, nights, fingerprint, problems=problems)


def pricing_from_wire(
    body: Mapping[str, Any],
    listing_id: str,
    room: RoomId,
    window: Stay,
    currency: str,
    min_stay: MinStay,
    what: str,
) -> PricingPage:
    """Prices and restrictions of the rate plan, night by night, as above.

    A rate plan that is sold by occupancy has an entry for each; the one under the plan's own id is its primary.
    """
    read = partial(_night_price, currency=currency, min_stay=min_stay)
    nights, problems = _each_night(_nights_of(body, room.rate_id, window, what), read)
    return PricingPage(listing_id, window, nights, problems)


def _nights_of(body: Mapping[str, Any], name: str, window: Stay, what: str) -> Iterator[tuple[date, object]]:
    data = body.get("data")
    told = data.get(name) if isinstance(data, dict) else None
    if not isinstance(told, dict):
        raise UnexpectedResponse(f"{what}: nothing is told of it")
    missing = [night for night in window if night.isoformat() not in told]
    if missing:
        raise UnexpectedResponse(
            f"{what}: {len(missing)} of {len(window)} nights are missing, the first is {missing[0]}"
        )
    return ((night, told[night.isoformat()]) for night in window)


def _each_night(
    stated: Iterator[tuple[date, object]], read: Callable[[date, object], Night]
) -> tuple[tuple[Night, ...], tuple[Problem, ...]]:
    nights: list[Night] = []
    problems: list[Problem] = []
    for night, raw in stated:
        try:
            nights.append(read(night, raw))
        except ValueError as error:
            problems.append(json_fields.unread(night.isoformat(), str(error), raw, RESTRICTIONS))
    return tuple(nights), tuple(problems)


def _night_availability(night: date, raw: object) -> NightAvailability:
    if not isinstance(raw, int) or isinstance(raw, bool) or raw > _MOST_UNITS:
        raise ValueError("availability is not a count")
    if raw <= 0:  # below 0 it is overbooked: closed
        return NightAvailability(night, 0, ClosureKind.UNKNOWN)
    return NightAvailability(night, raw)


def _night_price(night: date, raw: object, currency: str, min_stay: MinStay) -> NightPrice:
    told = json_fields.members(raw, "night")
    price = fields.money(told, "rate", currency)
    if price is not None and price.amount < 0:
        raise ValueError("rate is negative")
    arrival, through = _min_stays(told, min_stay)
    return NightPrice(
        night,
        price if price and price.amount else None,  # 0 cannot be set: it is a rate that nobody told
        Restrictions(
            arrival,
            through,
            json_fields.count(told, "max_stay") or None,  # 0: as long as they like
            json_fields.flag(told, "closed_to_arrival"),
            json_fields.flag(told, "closed_to_departure"),
            json_fields.flag(told, "stop_sell"),
        ),
    )


def _min_stays(told: Mapping[str, Any], kind: MinStay) -> tuple[int | None, int | None]:
    """On arrival and through. ``min_stay`` is the one of them that the property goes by; the other has no effect."""
    virtual = json_fields.count(told, "min_stay")
    arrival, through = (
        json_fields.count(told, "min_stay_arrival"),
        json_fields.count(told, "min_stay_through"),
    )
    if kind is MinStay.ARRIVAL:
        return virtual if arrival is None else arrival, None
    if kind is MinStay.THROUGH:
        return None, virtual if through is None else through
    return arrival, through
