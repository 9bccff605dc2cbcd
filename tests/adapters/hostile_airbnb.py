"""Airbnb's answers, as a hostile channel may change them."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx

from adapters import wire
from adapters.airbnb import mapping, oauth, reservations
from adapters.model import ONE_DAY, Secret, Stay
from channel_sync.sandbox.airbnb_wire import calendar_to_wire, listing_to_wire, reservation_to_wire
from channel_sync.sandbox.world import World
from tests.adapters.hostile import Case

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
WINDOW = Stay(NOW.date(), NOW.date() + 14 * ONE_DAY)
_WORLD = World(seed=1, listings=6)


def cases() -> Iterator[Case]:
    """A calendar read twice, a page of reservations, one of listings, and a token."""
    listing = _WORLD.listings["1003"]
    calendar = calendar_to_wire(listing, _WORLD.calendar("1003", WINDOW.check_in, WINDOW.check_out, NOW))
    yield "calendar", calendar, _read(_nights)
    yield "prices", calendar, _read(_prices)
    rows = [
        reservation_to_wire(booking, _WORLD.listings[booking.listing_id])
        for booking in _WORLD.bookings(NOW)[:6]
    ]
    body = {"reservations": rows, "paging": {"limit": 50, "next_cursor": "abc"}}
    yield "reservations", json.dumps(body).encode(), _read(_bookings)
    listings = [listing_to_wire(each) for each in _WORLD.listings.values()]
    paging = {"total_count": 6, "limit": 20, "prev_offset": None, "next_offset": None, "next_cursor": None}
    yield "listings", json.dumps({"listings": listings, "paging": paging}).encode(), _read(_listings)
    token = {"access_token": "at-1-2-3", "refresh_token": "rt-1", "expires_at": 1_773_200_000, "user_id": 7}
    yield "token", json.dumps(token).encode(), _read(_token)


def _read(of_object: Callable[[dict[str, Any]], object]) -> Callable[[bytes], object]:
    def read(body: bytes) -> object:
        response = httpx.Response(200, content=body, headers={"Content-Type": "application/json"})
        return of_object(wire.json_object(response, "airbnb"))

    return read


def _nights(body: dict[str, Any]) -> object:
    return mapping.availability_from_wire(_calendar(body))


def _prices(body: dict[str, Any]) -> object:
    return mapping.pricing_from_wire(_calendar(body))


def _calendar(body: dict[str, Any]) -> mapping.Calendar:
    return mapping.calendar_from_wire(body, "1003", WINDOW, "KWD", "airbnb calendar")


def _bookings(body: dict[str, Any]) -> object:
    mapping.next_page(body, "airbnb reservations")
    return reservations.bookings_from_wire(body, datetime(2020, 1, 1, tzinfo=UTC), NOW, "airbnb reservations")


def _listings(body: dict[str, Any]) -> object:
    mapping.next_page(body, "airbnb listings")
    rows = mapping.rows(body, "listings", "airbnb listings")
    return [mapping.listing_from_wire(row, "airbnb listings") for row in rows]


def _token(body: dict[str, Any]) -> object:
    return oauth.token_from_wire(body, Secret("rt-0"), NOW, "airbnb token")
