"""What happens to the bookings of a world, told once and in the order it happened."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from channel_sync.sandbox.airbnb_wire import reservation_to_wire
from channel_sync.sandbox.bookings import ACCEPTED, Booking, History, Revision
from channel_sync.sandbox.lives import Version
from channel_sync.sandbox.world import World

MADE = "reservation_acceptance_confirmation"
ALTERED = "reservation_alteration_confirmation"
CANCELLED = "reservation_cancellation_confirmation"


@dataclass(frozen=True, slots=True)
class Notice:
    """One revision of one booking in Airbnb's words. ``body`` holds the whole reservation as it became."""

    action: str
    code: str
    updated_at: datetime
    body: bytes


class News:
    """All that happens from ``now`` on, also what a script puts before it: a script is news when it is told.

    For one thread at a time.
    """

    def __init__(self, world: World, now: datetime) -> None:
        self._world = world
        self._told: set[tuple[str, Revision]] = set()
        self._versions: Mapping[str, Version] = {}
        self.since_last(now)

    def since_last(self, now: datetime) -> list[Notice]:
        """What happened up to ``now`` and was not told yet, oldest first."""
        versions = {listing_id: self._world.version(listing_id, now) for listing_id in self._world.listings}
        changed = [
            listing_id
            for listing_id, version in versions.items()
            if self._versions.get(listing_id) != version
        ]
        self._versions = versions
        found = []
        for listing_id in changed:
            for history in self._world.histories(listing_id, now):
                for number, revision in enumerate(history.revisions, start=1):
                    known = history.code, revision
                    if revision.at <= now and known not in self._told:
                        self._told.add(known)
                        found.append((revision.at, history.code, number, history))
        return [_notice(history, number) for _, _, number, history in sorted(found, key=lambda one: one[:3])]


def _notice(history: History, number: int) -> Notice:
    """What the booking became with its revision of that number, from 1."""
    until = History(history.code, history.listing, history.revisions[:number])
    booking = until.booking(until.revisions[-1].at)
    if booking is None:
        raise ValueError(f"booking {history.code} has no revision {number}")
    action = _action(booking, number)
    told = {"action": action, "reservation": reservation_to_wire(booking, history.listing)}
    body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    return Notice(action, booking.code, booking.updated_at, body)


def _action(booking: Booking, number: int) -> str:
    if booking.status != ACCEPTED:
        return CANCELLED
    return MADE if number == 1 else ALTERED
