"""The world in Airbnb's words: the JSON objects of its partner API.

Keys of users, listings and paging are those of recorded answers. Those of a calendar's days are our reading of the
write operations; those of a reservation are the ones several partners' integrations read.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from channel_sync.sandbox.bookings import Booking, Closure
from channel_sync.sandbox.rentals import Listing
from channel_sync.sandbox.tokens import USER_ID
from channel_sync.sandbox.world import Night

# What a calendar's day tells of its reservation.
_ON_A_DAY = (
    "confirmation_code", "start_date", "end_date", "nights", "status_type",
    "number_of_guests", "guest_first_name", "guest_last_name", "guest_phone_numbers",
)  # fmt: skip

_BOOLEAN = {True: "true", False: "false"}
_COUNTRY_STATES = {"PT": "Lisboa", "JP": "Kyoto", "KW": "Al Asimah", "US": "NY"}


def user_to_wire() -> dict[str, Any]:
    """The host."""
    picture = "https://a0.muscache.example/im/pictures/user/host.jpg"
    return {
        "first_name": "Harbour",
        "id": USER_ID,
        "picture_url": f"{picture}?aki_policy=profile_x_medium",
        "picture_url_large": f"{picture}?aki_policy=profile_large",
        "id_str": str(USER_ID),
    }


def listing_to_wire(listing: Listing) -> dict[str, Any]:
    """One listing with every key that a recorded answer has."""
    amenities = ("WIRELESS_INTERNET", "KITCHEN", "TV")
    place = listing.place
    return {
        "id": listing.number,
        "name": listing.name,
        "property_type_group": "apartments",
        "property_type_category": "apartment",
        "room_type_category": "entire_home",
        "bedrooms": 1,
        "bathrooms": 1.0,
        "beds": 2,
        "amenity_categories": [amenity.lower() for amenity in amenities],
        "check_in_option": None,
        "listing_approval_status": {"status_category": "approved", "notes": None},
        "has_availability": True,
        "permit_or_tax_id": None,
        "apt": None,
        "street": f"{listing.number % 90 + 1} Simulation Street",
        "city": place.city,
        "state": _COUNTRY_STATES[place.country],
        "zipcode": f"{listing.number}",
        "country_code": place.country,
        "lat": 38.7,
        "lng": -9.1,
        "user_defined_location": True,
        "directions": "",
        "person_capacity": 4,
        "listing_currency": listing.currency,
        "listing_price": place.base_price // 10**place.digits,
        "synchronization_category": "sync_rates_and_availability",
        "bathroom_shared": None,
        "bathroom_shared_with_category": None,
        "common_spaces_shared": None,
        "common_spaces_shared_with_category": None,
        "total_inventory_count": None,
        "property_external_id": None,
        "listing_nickname": None,
        "tier": "marketplace",
        "display_exact_location_to_guest": False,
        "house_manual": None,
        "wifi_network": None,
        "wifi_password": None,
        "amenities": {
            amenity: {"instruction": "", "is_present": True, "metadata": None} for amenity in amenities
        },
        "rate_plan_enabled": None,
        "listing_views": None,
        "listing_import_id": None,
        "id_str": listing.listing_id,
    }


def reservation_to_wire(booking: Booking, listing: Listing) -> dict[str, Any]:
    """One reservation; amounts are decimal strings in the host's currency."""
    guest = booking.guest
    return {
        "confirmation_code": booking.code,
        "listing_id": listing.number,
        "listing_id_str": listing.listing_id,
        "start_date": booking.check_in.isoformat(),
        "end_date": booking.check_out.isoformat(),
        "nights": booking.nights,
        "status_type": booking.status,
        "number_of_guests": booking.guests,
        "guest_details": {
            "number_of_adults": booking.guests,
            "number_of_children": 0,
            "number_of_infants": 0,
            "localized_description": f"{booking.guests} guests",
        },
        "guest_id": sum(map(ord, booking.code)) * 7919,
        "guest_first_name": guest.first_name,
        "guest_last_name": guest.last_name,
        "guest_email": guest.email,
        "guest_phone_numbers": [guest.phone],
        "host_id": USER_ID,
        "host_currency": listing.currency,
        "listing_base_price_accurate": str(booking.total),
        "listing_host_fee_accurate": str(booking.total - booking.payout),
        "expected_payout_amount_accurate": str(booking.payout),
        "thread_id": sum(map(ord, booking.code)) * 104_729,
        "booked_at": _instant(booking.booked_at),
        "updated_at": _instant(booking.updated_at),
    }


def calendar_to_wire(listing: Listing, nights: Sequence[Night]) -> bytes:
    """A whole calendar. Prices are JSON numbers written digit by digit: no float comes near them."""
    reservations: dict[str, str] = {}
    days = ",".join(_day(night, listing, reservations) for night in nights)
    return (
        f'{{"calendar":{{"listing_id":{listing.number},"listing_id_str":"{listing.listing_id}",'
        f'"listing_currency":"{listing.currency}","days":[{days}]}}}}'
    ).encode()


def _day(night: Night, listing: Listing, reservations: dict[str, str]) -> str:
    terms, booking = night.terms, night.booking
    reservation = "null"
    if booking is not None:
        if booking.code not in reservations:
            wire = reservation_to_wire(booking, listing)
            reservations[booking.code] = _json({name: wire[name] for name in _ON_A_DAY})
        reservation = reservations[booking.code]
    return (
        f'{{"date":"{night.night}","availability":"{"available" if night.available else "unavailable"}",'
        f'"available_count":{int(night.available)},"daily_price":{terms.price:f},'
        f'"min_nights":{terms.min_nights},"max_nights":{terms.max_nights},'
        f'"closed_to_arrival":{_BOOLEAN[terms.closed_to_arrival]},'
        f'"closed_to_departure":{_BOOLEAN[terms.closed_to_departure]},'
        f'{_busy(night.closure)},"reservation":{reservation}}}'
    )


def _busy(closure: Closure | None) -> str:
    if closure is None:
        return '"busy_subtype":null,"notes":null'
    if closure.elsewhere:
        return '"busy_subtype":"OUTSIDE_RESERVATION","notes":null'
    # Hosts write names and numbers into notes: here to be dropped by whoever reads them.
    return '"busy_subtype":"BLOCKED_BY_HOST","notes":"Plumber Rui, +351 912 000 111"'


def _instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
