"""What a simulated channel shows of its rooms: the world's truth, as far as the house has not told the channel otherwise."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from threading import Lock
from typing import Any

from channel_sync.sandbox.bookings import Booking
from channel_sync.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Shown:
    """One night of a room as the channel shows it. Stays are counted in nights; None: no such rule."""

    night: date
    units: int
    price: Decimal
    min_stay_arrival: int | None
    min_stay_through: int | None
    max_stay: int | None
    closed_to_arrival: bool
    closed_to_departure: bool
    stop_sell: bool
    booking: Booking | None = None


class Extranet:
    """The rooms of one channel. Every room is one unit unless the house says more. Safe to use from several threads.

    ``through``: the channel checks the world's minimum stay on every night, not on arrival only.
    """

    def __init__(self, world: World, now: Callable[[], datetime], *, through: bool = False) -> None:
        self.world = world
        self._now = now
        self._through = through
        self._units: dict[tuple[str, date], int] = {}
        self._told: dict[tuple[str, date], dict[str, Any]] = {}
        self._lock = Lock()

    def shown(self, listing_id: str, start: date, end: date) -> tuple[Shown, ...]:
        """Each night of ``[start, end)``. A booked night has no unit left, whatever the house says."""
        nights = self.world.calendar(listing_id, start, end, self._now())
        found = []
        with self._lock:
            for night in nights:
                key = listing_id, night.night
                terms = night.terms
                units = 0 if night.booking else self._units.get(key, int(night.available))
                usual = Shown(
                    night.night,
                    units,
                    terms.price,
                    None if self._through else terms.min_nights,
                    terms.min_nights if self._through else None,
                    terms.max_nights,
                    terms.closed_to_arrival,
                    terms.closed_to_departure,
                    stop_sell=False,
                    booking=night.booking,
                )
                found.append(replace(usual, **self._told.get(key, {})))
        return tuple(found)

    def sell(self, listing_id: str, nights: Iterable[date], units: int) -> None:
        """So many units are for sale on these nights, from now on."""
        with self._lock:
            self._units.update({(listing_id, night): units for night in nights})

    def offer(self, listing_id: str, nights: Iterable[date], **told: Any) -> None:
        """These fields of ``Shown`` are as told on these nights, from now on; the others stay."""
        with self._lock:
            for night in nights:
                self._told.setdefault((listing_id, night), {}).update(told)
