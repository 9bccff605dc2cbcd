"""One listing's past and future: drawn span by span as far as it is asked about, and changed by scripts."""

from bisect import bisect_right, insort
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from channel_sync.sandbox.bookings import (
    ACCEPTED,
    LONGEST_LEAD,
    SPAN,
    Booking,
    Closure,
    History,
    Revision,
    life,
    nights,
    span_of,
)
from channel_sync.sandbox.rentals import Listing

# Two moments with the same version: nothing happened to the listing in between.
Version = tuple[int, int]


class Life:
    """All that ever happens to one listing. Not safe for threads: its world locks.

    ``seed`` None is a listing to which nothing happens but what is scripted.
    """

    def __init__(self, listing: Listing, seed: int | None, start: date) -> None:
        self.listing = listing
        self.histories: dict[str, History] = {}
        self.edits = 0  # how often it was scripted
        self._seed = seed
        self._start = start
        self._next_span = span_of(start)
        self._closures: list[Closure] = []
        self._moments: list[datetime] = []  # sorted: when anything changes
        self._taken: tuple[Version, Mapping[date, Booking | Closure]] | None = None

    @property
    def stamp(self) -> Version:
        """Equal as long as no more is drawn and nothing more is scripted."""
        return self.edits, self._next_span

    def grow(self, now: datetime, until: date = date.min) -> None:
        """Draw all that can have happened by ``now``, and to all nights before ``until``."""
        last = max(now.date() + LONGEST_LEAD, until) + timedelta(days=SPAN)
        while self._seed is not None and self._next_span <= span_of(last):
            for event in life(self._seed, self.listing, self._next_span):
                if _begins(event) >= self._start:
                    self._add(event)
            self._next_span += 1

    def script(self, event: History | Closure) -> None:
        """Let something happen; a history replaces the one of the same code."""
        self.edits += 1
        replaces = isinstance(event, History) and event.code in self.histories
        self._add(event)
        if replaces:
            self._moments = sorted(
                [closure.at for closure in self._closures]
                + [revision.at for history in self.histories.values() for revision in history.revisions]
            )

    def version(self, now: datetime) -> Version:
        """The version at ``now``."""
        return self.edits, bisect_right(self._moments, now)

    def changed_at(self, now: datetime) -> datetime | None:
        """When something last happened, or None if nothing did by ``now``."""
        last = bisect_right(self._moments, now)
        return self._moments[last - 1] if last else None

    def taken(self, now: datetime) -> Mapping[date, Booking | Closure]:
        """The nights that are not for sale at ``now`` and what takes them: a booking before a closure."""
        version = self.version(now)
        if self._taken is None or self._taken[0] != version:
            self._taken = version, self._taken_at(now)
        return self._taken[1]

    def confirmed(self, now: datetime) -> list[Booking]:
        """The bookings that stand at ``now``, by check-in."""
        standing = (history.booking(now) for history in self.histories.values())
        return sorted(
            (booking for booking in standing if booking is not None and booking.confirmed),
            key=lambda booking: booking.check_in,
        )

    def rival(self, asked: Revision, code: str | None) -> str | None:
        """The code of another booking that holds a night of ``asked`` at that moment or later."""
        for other in self.histories.values():
            if other.code == code:
                continue
            standing = other.revision(asked.at)
            later = [revision for revision in other.revisions if revision.at > asked.at]
            for held in [standing, *later] if standing else later:
                overlaps = held.check_in < asked.check_out and asked.check_in < held.check_out
                if held.status == ACCEPTED and overlaps:
                    return other.code
        return None

    def _add(self, event: History | Closure) -> None:
        if isinstance(event, Closure):
            insort(self._closures, event, key=lambda closure: closure.at)
            insort(self._moments, event.at)
        else:
            self.histories[event.code] = event
            for revision in event.revisions:
                insort(self._moments, revision.at)

    def _taken_at(self, now: datetime) -> Mapping[date, Booking | Closure]:
        taken: dict[date, Booking | Closure] = {}
        for closure in self._closures:
            if closure.at > now:
                break
            for night in nights(closure.start, closure.end):
                if closure.closed:
                    taken[night] = closure
                else:
                    taken.pop(night, None)
        for booking in self.confirmed(now):
            taken.update(dict.fromkeys(nights(booking.check_in, booking.check_out), booking))
        return taken


def _begins(event: History | Closure) -> date:
    return event.start if isinstance(event, Closure) else event.revisions[0].check_in
