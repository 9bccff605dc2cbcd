"""The simulated Channex's bodies: ids, properties, rooms, rates, revisions of bookings, webhooks and errors.

Written from the public documentation. Every id is a UUID, always the same for the same thing.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from channel_sync.sandbox.acknowledged import Version
from channel_sync.sandbox.bookings import Booking, nights
from channel_sync.sandbox.exchange import Answer, json_answer
from channel_sync.sandbox.extranet import Shown
from channel_sync.sandbox.rentals import Listing, Place, terms
from channel_sync.sandbox.tokens import invented

_ERRORS = {
    400: ("bad_request", "Bad Request"),
    401: ("unauthorized", "Unauthorized"),
    403: ("forbidden", "Forbidden"),
    404: ("not_found", "Resouce Not Found"),  # sic
    405: ("method_not_supported", "Method Not Supported"),
    422: ("validation_error", "Validation Error"),
    429: ("http_too_many_requests", "Too Many Requests"),
}

STANDARD = "Standard"  # the rate plan that every room type has

# No one's card: the number every payment provider gives for tests.
_CARD = {
    "card_number": "4111111111111111",
    "card_type": "VI",
    "cvv": "737",
    "expiration_date": "12/2031",
    "is_virtual": False,
    "meta": {"virtual_card_current_balance": "6755"},
}


def identifier(*parts: object) -> str:
    """The UUID of a thing."""
    return str(UUID(invented("/".join(("channex", *map(str, parts))))))


def property_id(place: Place) -> str:
    """The id of the property that a place is."""
    return identifier("property", place.code)


def room_type_id(listing: Listing) -> str:
    """The id of a room type: each simulated listing is one."""
    return identifier("room type", listing.listing_id)


def rate_plan_id(listing: Listing, title: str = STANDARD) -> str:
    """The id of a rate plan of the room type, which is that of its primary occupancy."""
    return identifier("rate plan", listing.listing_id, *(() if title == STANDARD else (title,)))


def listing_id(listing: Listing, title: str = STANDARD) -> str:
    """Property, room type and rate plan in one id, as a property system may write it."""
    return f"{property_id(listing.place)}/{room_type_id(listing)}/{rate_plan_id(listing, title)}"


def booking_id(code: str) -> str:
    """The id of a booking, the same over its revisions."""
    return identifier("booking", code)


def revision_id(version: Version) -> str:
    """The id of one revision."""
    return identifier("revision", version.code, version.number, version.booking.updated_at.isoformat())


def error(status: int, details: object = None) -> Answer:
    """An error in Channex's own words."""
    code, title = _ERRORS.get(status, ("internal_server_error", "Internal Server Error"))
    return json_answer(
        status, {"errors": {"code": code, "title": title, **({"details": details} if details else {})}}
    )


def page(rows: Sequence[Mapping[str, Any]], number: int, limit: int) -> Answer:
    """One page of a list, with what there is in all."""
    first = (number - 1) * limit
    meta = {"page": number, "limit": limit, "total": len(rows)}
    return json_answer(200, {"data": rows[first : first + limit], "meta": meta})


def property_to_wire(place: Place, min_stay_type: str) -> dict[str, Any]:
    """A property."""
    own = property_id(place)
    attributes = {
        "id": own,
        "title": place.name,
        "is_active": True,
        "email": f"{place.code}@hotel.example",
        "currency": place.currency,
        "country": place.country,
        "city": place.city,
        "timezone": place.time_zone,
        "property_type": "apartment",
        "settings": {"min_stay_type": min_stay_type},
    }
    return {"type": "property", "id": own, "attributes": attributes, "relationships": {}}


def room_type_to_wire(listing: Listing) -> dict[str, Any]:
    """A room type."""
    own = room_type_id(listing)
    attributes = {
        "id": own,
        "title": listing.name,
        "count_of_rooms": 1,
        "occ_adults": 4,
        "occ_children": 0,
        "occ_infants": 0,
        "default_occupancy": 2,
        "room_kind": "room",
    }
    return {
        "type": "room_type",
        "id": own,
        "attributes": attributes,
        "relationships": {"property": _related("property", property_id(listing.place))},
    }


def rate_plan_to_wire(listing: Listing, title: str = STANDARD) -> dict[str, Any]:
    """A rate plan with two occupancies, of which the primary has the plan's own id."""
    own = rate_plan_id(listing, title)
    attributes = {
        "id": own,
        "title": title,
        "sell_mode": "per_room",
        "rate_mode": "manual",
        "currency": listing.currency,
        "options": [
            {"id": own, "occupancy": 4, "is_primary": True, "rate": "0.00"},
            {"id": option_id(own), "occupancy": 2, "is_primary": False, "rate": "0.00"},
        ],
    }
    related = {
        "property": _related("property", property_id(listing.place)),
        "room_type": _related("room_type", room_type_id(listing)),
    }
    return {"type": "rate_plan", "id": own, "attributes": attributes, "relationships": related}


def option_id(own: str) -> str:
    """The id under which the rates of a plan's other occupancy stand."""
    return identifier("option", own)


def _related(kind: str, own: str) -> dict[str, Any]:
    return {"data": {"type": kind, "id": own}}


def night_to_wire(night: Shown, listing: Listing) -> dict[str, Any]:
    """A night of a rate plan: amounts are decimal strings, and what has no rule has the loosest."""
    return {
        "availability": night.units,
        "rate": f"{night.price:.{listing.place.digits}f}",
        "min_stay_arrival": night.min_stay_arrival or 1,
        "min_stay_through": night.min_stay_through or 1,
        "max_stay": night.max_stay or 0,
        "closed_to_arrival": night.closed_to_arrival,
        "closed_to_departure": night.closed_to_departure,
        "stop_sell": night.stop_sell,
    }


def revision_to_wire(version: Version, listing: Listing, acknowledge_status: str) -> dict[str, Any]:
    """One revision: the whole booking as it stood then. Times are UTC and do not say so."""
    own = revision_id(version)
    attributes = {
        "id": own,
        "booking_id": booking_id(version.code),
        "system_id": str(UUID(own).int)[:11],
        **_attributes(version, listing),
        "acknowledge_status": acknowledge_status,
    }
    return {"type": "booking_revision", "id": own, "attributes": attributes}


def booking_to_wire(version: Version, listing: Listing, acknowledge_status: str) -> dict[str, Any]:
    """A booking as its newest revision has it."""
    own = booking_id(version.code)
    attributes = {
        "id": own,
        "revision_id": revision_id(version),
        **_attributes(version, listing),
        "acknowledge_status": acknowledge_status,
    }
    return {"type": "booking", "id": own, "attributes": attributes}


def _attributes(version: Version, listing: Listing) -> dict[str, Any]:
    booking = version.booking
    return {
        "property_id": property_id(listing.place),
        "unique_id": f"ABB-{booking.code}",
        "ota_reservation_code": booking.code,
        "ota_name": "Airbnb",
        "status": status_of(version),
        "rooms": [_room(booking, listing)],
        "services": [],
        "guarantee": _CARD | {"cardholder_name": f"{booking.guest.first_name} {booking.guest.last_name}"},
        "customer": {
            "name": booking.guest.first_name,
            "surname": booking.guest.last_name,
            "mail": booking.guest.email,
            "phone": booking.guest.phone,
            "address": "Rua do Sol 1",
            "country": "PT",
        },
        "occupancy": _occupancy(booking),
        "arrival_date": booking.check_in.isoformat(),
        "departure_date": booking.check_out.isoformat(),
        "arrival_hour": "15:00",
        "amount": f"{booking.total:f}",
        "currency": booking.currency,
        "notes": f"{booking.guest.first_name} {booking.guest.last_name} asks to be called: {booking.guest.phone}",
        "inserted_at": moment_to_wire(booking.updated_at),
    }


def _room(booking: Booking, listing: Listing) -> dict[str, Any]:
    prices = {
        night.isoformat(): f"{terms(listing, night).price:f}"
        for night in nights(booking.check_in, booking.check_out)
    }
    return {
        "booking_room_id": identifier("room", booking.code),
        "room_type_id": room_type_id(listing),
        "rate_plan_id": rate_plan_id(listing),
        "checkin_date": booking.check_in.isoformat(),
        "checkout_date": booking.check_out.isoformat(),
        "amount": f"{booking.total:f}",
        "days": prices,
        "occupancy": _occupancy(booking),
        "guests": [{"name": booking.guest.first_name, "surname": booking.guest.last_name}],
        "services": [],
        "taxes": [],
        "meta": None,
    }


def _occupancy(booking: Booking) -> dict[str, int]:
    return {"adults": booking.guests, "children": 0, "infants": 0}


def status_of(version: Version) -> str:
    """Channex's word for a revision."""
    if not version.booking.confirmed:
        return "cancelled"
    return "new" if version.number == 1 else "modified"


def moment_to_wire(moment: datetime) -> str:
    """UTC without an offset, to the microsecond."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")


def webhook_body(event: str, place: str, at: datetime, payload: object) -> bytes:
    """A webhook's body. Nothing in it is signed."""
    body = {
        "event": event,
        "payload": payload,
        "property_id": place,
        "user_id": None,
        "timestamp": f"{moment_to_wire(at)}Z",
    }
    return json.dumps(body, ensure_ascii=False).encode()
