"""Reservations of several rooms: one booking here for each listing and stay in them.

Shared by the channels whose listings are a property's rooms at one of its rates. Their ids are written
"property/room/rate", each part as the channel has it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from adapters.accounts import Listing
from adapters.errors import ConfigurationError
from adapters.model import Booking, Money, Stay


@dataclass(frozen=True, slots=True)
class RoomId:
    """What a listing of a hotel's room is called by its channel: property, room, and the rate it is sold at."""

    property_id: str
    room_id: str
    rate_id: str

    def __str__(self) -> str:
        return f"{self.property_id}/{self.room_id}/{self.rate_id}"


@dataclass(frozen=True, slots=True)
class RoomStay:
    """One room of a reservation. ``nightly`` is its price night by night, ``total`` that of all its nights, where told."""

    listing_id: str
    stay: Stay
    guests: int | None = None
    nightly: tuple[tuple[date, Money], ...] = ()
    total: Money | None = None


def room_id(listing_id: str) -> RoomId:
    """The parts of a listing's id. Raises ConfigurationError for one that is not written property/room/rate."""
    parts = listing_id.split("/")
    if len(parts) != 3 or not all(parts):
        raise ConfigurationError(f"listing {listing_id!r}: write its id as property/room/rate")
    return RoomId(*parts)


class MappedRooms:
    """Finds the listing that a reservation's room belongs to."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        """``listings`` are the account's mapped ones. Raises ConfigurationError for an id of another form."""
        self._ids: set[str] = set()
        self._of_room: dict[tuple[str, str], str] = {}
        for listing in listings:
            told = room_id(listing.listing_id)
            self._ids.add(listing.listing_id)
            self._of_room.setdefault((told.property_id, told.room_id), listing.listing_id)

    def listing_id(self, property_id: str, room: str, rate: str) -> str:
        """The listing's id; that of another rate of the same room where this one is not mapped: the room is sold anyway.

        Where the room is not mapped at all it is its own id, which nothing is mapped to.
        """
        told = f"{property_id}/{room}/{rate}"
        return told if told in self._ids else self._of_room.get((property_id, room), told)


def parts_of(reservation: Booking, rooms: Sequence[RoomStay]) -> tuple[Booking, ...]:
    """The bookings that a reservation is here: its rooms put together by listing and stay.

    ``reservation`` has what they share; its ``booking_id`` names the whole and its first part, the others are
    numbered behind it: "1234", "1234/2". A reservation of one part keeps its own totals; of several, each has the sum
    of its rooms where all of them tell it. Without rooms (a cancellation may name none) it is itself.
    """
    whole = replace(reservation, whole=reservation.booking_id)
    grouped: dict[tuple[str, Stay], list[RoomStay]] = {}
    for room in rooms:
        grouped.setdefault((room.listing_id, room.stay), []).append(room)
    found = []
    for number, ((listing_id, stay), alike) in enumerate(sorted(grouped.items()), start=1):
        part = replace(
            whole,
            booking_id=reservation.booking_id if number == 1 else f"{reservation.booking_id}/{number}",
            listing_id=listing_id,
            stay=stay,
            units=len(alike),
            guests=_guests(alike) if len(grouped) > 1 or reservation.guests is None else reservation.guests,
            nightly=_summed(alike),
        )
        if len(grouped) > 1:
            part = replace(part, total=_total(alike), payout=None)
        found.append(part)
    return tuple(found) or (whole,)


def _guests(rooms: Sequence[RoomStay]) -> int | None:
    told = [room.guests for room in rooms if room.guests is not None]
    return sum(told) if len(told) == len(rooms) else None


def _total(rooms: Sequence[RoomStay]) -> Money | None:
    told = [room.total for room in rooms if room.total is not None]
    if len(told) < len(rooms) or len({money.currency for money in told}) != 1:
        return None
    return Money(sum((money.amount for money in told[1:]), told[0].amount), told[0].currency)


def _summed(rooms: Sequence[RoomStay]) -> tuple[tuple[date, Money], ...]:
    """Night by night what all rooms cost together; only nights of which every room tells the price."""
    sums: dict[date, Money] = {}
    told: Counter[date] = Counter()
    for room in rooms:
        for night, price in room.nightly:
            known = sums.get(night)
            if known is not None and known.currency != price.currency:
                return ()
            sums[night] = Money(price.amount + (known.amount if known else 0), price.currency)
            told[night] += 1
    return tuple((night, price) for night, price in sorted(_complete(sums, told, len(rooms)).items()))


def _complete(sums: Mapping[date, Money], told: Mapping[date, int], rooms: int) -> dict[date, Money]:
    return {night: price for night, price in sums.items() if told[night] == rooms}
