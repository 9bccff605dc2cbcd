"""Which versions of which reservations a simulated channel was told are known on the other side."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from channel_sync.sandbox.bookings import Booking, History
from channel_sync.sandbox.world import World

Watcher = Callable[["Version"], None]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a reservation: ``number`` counts from 1, ``booking`` is how it stood then."""

    number: int
    booking: Booking

    @property
    def code(self) -> str:
        """The reservation's code in the world."""
        return self.booking.code


class Acknowledged:
    """Remembers what was acknowledged, how often and when. Safe to use from several threads.

    ``watchers`` are called with each version as its acknowledgement arrives, before it is answered.
    """

    def __init__(self, world: World, now: Callable[[], datetime]) -> None:
        self.watchers: list[Watcher] = []
        self._world = world
        self._now = now
        self._told: dict[tuple[str, int], list[datetime]] = {}
        self._lock = Lock()

    def add(self, version: Version) -> None:
        """This version is acknowledged."""
        for watcher in self.watchers:
            watcher(version)
        with self._lock:
            self._told.setdefault((version.code, version.number), []).append(self._now())

    def times(self, code: str, number: int) -> tuple[datetime, ...]:
        """When it was acknowledged: nothing where it never was."""
        with self._lock:
            return tuple(self._told.get((code, number), ()))

    def versions(self) -> Iterator[Version]:
        """Every version of every reservation up to now, oldest first."""
        now = self._now()
        found = []
        for listing_id in self._world.listings:
            for history in self._world.histories(listing_id, now):
                for number, revision in enumerate(history.revisions, start=1):
                    if revision.at <= now:
                        found.append((revision.at, history.code, Version(number, _as_of(history, number))))
        for _, _, version in sorted(found, key=lambda one: one[:2]):
            yield version

    def waiting(self) -> tuple[Version, ...]:
        """The versions that nobody has acknowledged, oldest first."""
        return tuple(version for version in self.versions() if not self.times(version.code, version.number))


def _as_of(history: History, number: int) -> Booking:
    booking = History(history.code, history.listing, history.revisions[:number]).booking(
        history.revisions[number - 1].at
    )
    if booking is None:
        raise ValueError(f"booking {history.code} has no revision {number}")
    return booking
