"""The simulated Channex's properties, rooms and rates: what is shown of them, and how pushes change it."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import product
from threading import Lock
from typing import Any

from channel_sync.sandbox.channex import asked, values, wire
from channel_sync.sandbox.exchange import Answer, Request, json_answer
from channel_sync.sandbox.extranet import Extranet
from channel_sync.sandbox.rentals import Listing, Place
from channel_sync.sandbox.world import World

_MINUTE = 60.0

_RESTRICTIONS = frozenset(
    {
        "availability", "rate", "min_stay_arrival", "min_stay_through", "min_stay", "max_stay",
        "closed_to_arrival", "closed_to_departure", "stop_sell",
    }
)  # fmt: skip


class Rooms:
    """Each of the world's listings is a room type, sold at every rate. Safe to use from several threads.

    ``rates`` has what is shown of each rate plan by its title; units left are the same for all, in ``extranet``.
    ``min_stay_type`` is every property's. ``pushes_per_minute`` counts real time (``elapsed``, in seconds), by
    property and kind; None: as many as one likes.
    """

    def __init__(
        self, world: World, extranet: Extranet, now: Callable[[], datetime], elapsed: Callable[[], float]
    ) -> None:
        self.world = world
        self.extranet = extranet
        self.rates = {wire.STANDARD: extranet}
        self.min_stay_type = "arrival"
        self.pushes_per_minute: int | None = 10
        self._now = now
        self._elapsed = elapsed
        self._pushed: dict[tuple[str, str], deque[float]] = {}
        self._tasks = 0
        self._lock = Lock()

    # What there is to sell.

    def properties(self, request: Request) -> Answer:
        """Every property."""
        return asked.page_of(request, [self._property(place) for place in self._places()])

    def property_(self, own: str) -> Answer:
        """One property."""
        for place in self._places():
            if wire.property_id(place) == own:
                return json_answer(200, {"data": self._property(place)})
        raise asked.Refused(404)

    def room_types(self, request: Request) -> Answer:
        """Every room type, of one property if asked so."""
        return asked.page_of(
            request, [wire.room_type_to_wire(listing) for listing in self._listings(request)]
        )

    def rate_plans(self, request: Request) -> Answer:
        """Every rate plan, of one property if asked so."""
        return asked.page_of(
            request, [wire.rate_plan_to_wire(listing) for listing in self._listings(request)]
        )

    def _places(self) -> Iterable[Place]:
        return dict.fromkeys(listing.place for listing in self.world.listings.values())

    def _property(self, place: Place) -> dict[str, Any]:
        return wire.property_to_wire(place, self.min_stay_type)

    def _listings(self, request: Request) -> list[Listing]:
        wanted = request.parameter("filter[property_id]")
        return [
            listing
            for listing in self.world.listings.values()
            if wanted in ("", wire.property_id(listing.place))
        ]

    # Nights.

    def availability(self, request: Request) -> Answer:
        """Units left by room type and date."""
        start, end = asked.dates_of(request)
        found = {
            wire.room_type_id(listing): {
                night.night.isoformat(): night.units
                for night in self.extranet.shown(listing.listing_id, start, end)
            }
            for listing in self._listings(request)
        }
        return json_answer(200, {"data": found})

    def restrictions(self, request: Request) -> Answer:
        """The restrictions that are asked for, by rate plan (and each of its occupancies) and date."""
        names = request.parameter("filter[restrictions]").split(",")
        if names == [""]:
            raise asked.Refused(400, ["restrictions is required"])
        if not request.parameter("filter[property_id]"):
            raise asked.Refused(400, ["property_id is required"])
        if not set(names) <= _RESTRICTIONS:
            raise asked.Refused(400, ["restrictions is invalid"])
        start, end = asked.dates_of(request)
        found: dict[str, dict[str, Any]] = {}
        for listing, (title, extranet) in product(self._listings(request), self.rates.items()):
            own = wire.rate_plan_id(listing, title)
            for night in extranet.shown(listing.listing_id, start, end):
                told = wire.night_to_wire(night, listing)
                shown = {name: told[name] for name in names if name in told}
                found.setdefault(own, {})[night.night.isoformat()] = shown
                other = shown | ({"rate": "0.00"} if "rate" in names else {})
                found.setdefault(wire.option_id(own), {})[night.night.isoformat()] = other
        return json_answer(200, {"data": found})

    def push_availability(self, request: Request) -> Answer:
        """Units left, value by value."""
        rooms = {wire.room_type_id(listing): listing for listing in self.world.listings.values()}

        def take(value: Mapping[str, Any]) -> values.Warnings:
            listing = rooms.get(str(value.get("room_type_id")))
            if listing is None or wire.property_id(listing.place) != value.get("property_id"):
                return {"room_type_id": ["is invalid"]}
            dates, wrong = values.dates_of(value, self.world.today(listing.listing_id, self._now()))
            units, wrong_units = values.units_of(value)
            if not wrong and not wrong_units:
                self.extranet.sell(listing.listing_id, dates, units)
            return wrong | wrong_units

        return self._push(request, "availability", take)

    def push_restrictions(self, request: Request) -> Answer:
        """Rates and restrictions, value by value; what a value does not name stays."""
        plans = {
            wire.rate_plan_id(listing, title): (listing, extranet)
            for listing in self.world.listings.values()
            for title, extranet in self.rates.items()
        }

        def take(value: Mapping[str, Any]) -> values.Warnings:
            listing, extranet = plans.get(str(value.get("rate_plan_id")), (None, self.extranet))
            if listing is None or wire.property_id(listing.place) != value.get("property_id"):
                return {"rate_plan_id": ["is invalid"]}
            dates, wrong = values.dates_of(value, self.world.today(listing.listing_id, self._now()))
            told, wrong_terms = values.terms_of(value, listing, self.min_stay_type)
            if not wrong and not wrong_terms:
                extranet.offer(listing.listing_id, dates, **told)
            return wrong | wrong_terms

        return self._push(request, "restrictions", take)

    def _push(
        self, request: Request, kind: str, take: Callable[[Mapping[str, Any]], values.Warnings]
    ) -> Answer:
        """Each value is taken or not for itself; what was not taken comes back with its warning, in a success."""
        told = asked.values_of(request)
        self._count(kind, {str(value.get("property_id")) for value in told})
        warnings = [{**value, "warning": wrong} for value in told if (wrong := take(value))]
        tasks = []
        if len(warnings) < len(told):
            with self._lock:
                self._tasks += 1
                tasks = [{"id": wire.identifier("task", self._tasks), "type": "task"}]
        meta = {"message": "Success", **({"warnings": warnings} if warnings else {})}
        return json_answer(200, {"data": tasks, "meta": meta})

    def _count(self, kind: str, property_ids: Iterable[str]) -> None:
        """So many pushes of one kind in any minute, for each property."""
        if self.pushes_per_minute is None:
            return
        now = self._elapsed()
        with self._lock:
            for own in property_ids:
                made = self._pushed.setdefault((kind, own), deque())
                while made and now - made[0] >= _MINUTE:
                    made.popleft()
                if len(made) >= self.pushes_per_minute:
                    raise asked.Refused(429)
                made.append(now)
