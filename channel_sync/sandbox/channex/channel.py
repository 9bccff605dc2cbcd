"""Channex's API for property systems, simulated from the public documentation.

``wire`` has the bodies, ``rooms`` what is sold, ``values`` how pushes are checked; here are the bookings.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from threading import Lock
from time import monotonic
from typing import Any

from channel_sync.sandbox.acknowledged import Acknowledged, Version
from channel_sync.sandbox.channex import asked, wire
from channel_sync.sandbox.channex.rooms import Rooms
from channel_sync.sandbox.exchange import Answer, Request, json_answer
from channel_sync.sandbox.extranet import Extranet
from channel_sync.sandbox.rentals import Listing
from channel_sync.sandbox.tokens import invented
from channel_sync.sandbox.world import World

HEADER = "user-api-key"


class Channex:
    """One account's hotels. ``world_ids``: the world's listing behind each of the channel's.

    ``told`` replaces what the revisions of a booking tell, by its code: a room that is not mapped, nonsense.
    ``feed_keeps``: for how long a revision that nobody acknowledges stays in the feed; None for ever.
    """

    def __init__(
        self, world: World, now: Callable[[], datetime], elapsed: Callable[[], float] = monotonic
    ) -> None:
        self.world = world
        self.extranet = Extranet(world, now)
        self.acknowledged = Acknowledged(world, now)
        self.world_ids: Mapping[str, str] = {
            wire.listing_id(listing): known for known, listing in world.listings.items()
        }
        self.rooms = Rooms(world, self.extranet, now, elapsed)
        self.api_key = invented("channex api key")
        self.feed_keeps: timedelta | None = None
        self.told: dict[str, Mapping[str, Any]] = {}
        self._now = now
        self._versions: dict[str, Version] = {}
        self._lock = Lock()

    error = staticmethod(wire.error)

    @staticmethod
    def reservation_id(code: str) -> str:
        """Channex's id of the world's booking of this code."""
        return wire.booking_id(code)

    def answer(self, request: Request) -> Answer:
        """The answer to a request whose path begins behind the channel's name: "/api/v1/properties"."""
        if request.headers.get(HEADER) != self.api_key:
            return wire.error(401)
        status = 404
        for method, pattern, verb in _ROUTES:
            found = pattern.fullmatch(request.path)
            if found and method != request.method:
                status = 405
            elif found:
                try:
                    return verb(self, request, *found.groups())
                except asked.Refused as refused:
                    return refused.answer
        return wire.error(status)

    # Bookings.

    def feed(self, request: Request) -> Answer:
        """The revisions that nobody has acknowledged: newest first, unless asked otherwise."""
        now = self._now()
        waiting = [
            version
            for version in self.acknowledged.waiting()
            if self.feed_keeps is None or now - version.booking.updated_at <= self.feed_keeps
        ]
        return asked.page_of(
            request, [self._revision(version) for version in asked.ordered(request, waiting)]
        )

    def revision(self, _request: Request, own: str) -> Answer:
        """One revision, acknowledged or not."""
        return json_answer(200, {"data": self._revision(self._version(own))})

    def acknowledge(self, _request: Request, own: str) -> Answer:
        """Somebody has this revision."""
        self.acknowledged.add(self._version(own))
        return json_answer(200, {"meta": {"message": "Success"}})

    def bookings(self, request: Request) -> Answer:
        """Every booking as it stands, by the time of its newest revision if asked so."""
        newest = {version.code: version for version in self.acknowledged.versions()}
        since, until = (asked.moment_of(request, f"filter[inserted_at][{end}]") for end in ("gte", "lte"))
        wanted = [
            version
            for version in newest.values()
            if (since is None or since <= version.booking.updated_at)
            and (until is None or version.booking.updated_at <= until)
        ]
        found = [
            self._as_told(
                wire.booking_to_wire(version, self._listing(version), self._status(version)), version
            )
            for version in asked.ordered(request, wanted)
        ]
        return asked.page_of(request, found)

    def _revision(self, version: Version) -> dict[str, Any]:
        found = wire.revision_to_wire(version, self._listing(version), self._status(version))
        return self._as_told(found, version)

    def _as_told(self, found: dict[str, Any], version: Version) -> dict[str, Any]:
        found["attributes"] |= self.told.get(version.code, {})
        return found

    def _listing(self, version: Version) -> Listing:
        return self.world.listings[version.booking.listing_id]

    def _status(self, version: Version) -> str:
        return "acknowledged" if self.acknowledged.times(version.code, version.number) else "pending"

    def _version(self, own: str) -> Version:
        with self._lock:
            known = self._versions.get(own)
        if known is None:
            found = {wire.revision_id(version): version for version in self.acknowledged.versions()}
            with self._lock:
                self._versions.update(found)
            known = found.get(own)
        if known is None:
            raise asked.Refused(404)
        return known

    # Webhooks.

    def notices(self) -> Iterator[bytes]:
        """The bodies that tell of every waiting revision, in the words of all events that it is told under."""
        for version in self.acknowledged.waiting():
            kind = {"new": "booking_new", "modified": "booking_modification"}.get(
                wire.status_of(version), "booking_cancellation"
            )
            for event in ("booking", kind):
                yield self.payload(event, version)
            if self._now() - version.booking.updated_at > timedelta(minutes=30):
                yield self.payload("non_acked_booking", version)

    def payload(self, event: str, version: Version) -> bytes:
        """The body of a webhook about a revision: it names the revision, and the guest."""
        booking, place = version.booking, wire.property_id(self._listing(version).place)
        told = {
            "property_id": place,
            "booking_id": wire.booking_id(version.code),
            "booking_revision_id": wire.revision_id(version),
            "ota_code": "ABB",
            "customer_name": f"{booking.guest.first_name} {booking.guest.last_name}",
            "arrival_date": booking.check_in.isoformat(),
            "departure_date": booking.check_out.isoformat(),
            "amount": f"{booking.total:f}",
            "currency": booking.currency,
        }
        return wire.webhook_body(event, place, self._now(), told)


_Verb = Callable[..., Answer]
_API = "/api/v1"
_ROUTES: tuple[tuple[str, re.Pattern[str], _Verb], ...] = tuple(
    (method, re.compile(_API + pattern), verb)
    for method, pattern, verb in (
        ("GET", "/properties", lambda channel, request: channel.rooms.properties(request)),
        ("GET", "/properties/([^/]+)", lambda channel, _, own: channel.rooms.property_(own)),
        ("GET", "/room_types", lambda channel, request: channel.rooms.room_types(request)),
        ("GET", "/rate_plans", lambda channel, request: channel.rooms.rate_plans(request)),
        ("GET", "/availability", lambda channel, request: channel.rooms.availability(request)),
        ("POST", "/availability", lambda channel, request: channel.rooms.push_availability(request)),
        ("GET", "/restrictions", lambda channel, request: channel.rooms.restrictions(request)),
        ("POST", "/restrictions", lambda channel, request: channel.rooms.push_restrictions(request)),
        ("GET", "/bookings", Channex.bookings),
        ("GET", "/booking_revisions/feed", Channex.feed),
        ("GET", "/booking_revisions/([^/]+)", Channex.revision),
        ("POST", "/booking_revisions/([^/]+)/ack", Channex.acknowledge),
    )
)


def environment() -> dict[str, str]:
    """The variables that the sample portfolio names for this channel's account, all of them invented."""
    return {
        "CHANNEX_DEMO_API_KEY": invented("channex api key"),
        "CHANNEX_DEMO_WEBHOOK_TOKEN": invented("channex webhook token"),
    }
