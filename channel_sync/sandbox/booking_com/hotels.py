"""The simulated hotels: one for each of the world's listings, with one room at one rate."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from channel_sync.sandbox.rentals import Listing


@dataclass(frozen=True, slots=True)
class Hotel:
    """A property with its only room. All ids are Booking.com's, ``listing`` is the world's."""

    hotel_id: str
    room_id: str
    rate_id: str
    listing: Listing

    @property
    def listing_id(self) -> str:
        """How a channel manager names the room at its rate."""
        return f"{self.hotel_id}/{self.room_id}/{self.rate_id}"


def hotels_of(listings: Iterable[Listing]) -> Mapping[str, Hotel]:
    """The hotels by the world's id of their listing."""
    return {
        listing.listing_id: Hotel(f"81{number:05d}", f"81{number:05d}01", f"321{number:05d}", listing)
        for number, listing in enumerate(listings, start=1)
    }


def reservation_id(code: str) -> str:
    """Booking.com's ten digits for a booking of the world, always the same for the same code."""
    return str(
        3_000_000_000 + int.from_bytes(hashlib.sha256(code.encode()).digest()[:8], "big") % 2_000_000_000
    )
