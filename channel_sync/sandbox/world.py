"""The truth that every simulated channel tells in its own words.

A world is a pure function of its seed, the number of its listings, its start and the moment asked about: no clock
and no state but what a test scripts into it. Stopped and started again it is the same world.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from threading import RLock
from zoneinfo import ZoneInfo

from channel_sync.sandbox.bookings import (
    ACCEPTED,
    CANCELLED,
    Booking,
    Closure,
    History,
    Revision,
    code_from,
    nights,
)
from channel_sync.sandbox.lives import Life, Version
from channel_sync.sandbox.rentals import Listing, Terms, listings_of, terms

START = datetime(2026, 1, 1, tzinfo=UTC)
HORIZON = 731  # nights from today that a calendar reaches

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Night:
    """One night of a listing: its terms, and the booking or the closure that takes it off the market."""

    night: date
    terms: Terms
    booking: Booking | None = None
    closure: Closure | None = None

    @property
    def available(self) -> bool:
        """Whether the night is for sale."""
        return self.booking is None and self.closure is None


class World:
    """Listings, and all that happens to them from ``start`` on. Safe to use from several threads.

    ``bookings=False`` is a world where nothing happens but what is scripted.
    """

    def __init__(
        self, seed: int = 1, listings: int = 6, start: datetime = START, *, bookings: bool = True
    ) -> None:
        self.seed = seed
        self.start = _utc(start)
        self.listings: Mapping[str, Listing] = listings_of(listings)
        self._lives = {
            listing_id: Life(listing, seed if bookings else None, self.start.date())
            for listing_id, listing in self.listings.items()
        }
        self._order: tuple[list[Version], list[tuple[datetime, str, History]]] = [], []
        self._lock = RLock()

    @classmethod
    def empty(cls, listings: int = 3, start: datetime = START) -> "World":
        """A world where nothing happens but what is scripted."""
        return cls(listings=listings, start=start, bookings=False)

    # What is true at a moment.

    def today(self, listing_id: str, now: datetime) -> date:
        """The date at the listing's place."""
        return now.astimezone(ZoneInfo(self._life(listing_id).listing.time_zone)).date()

    def calendar(self, listing_id: str, start: date, end: date, now: datetime) -> tuple[Night, ...]:
        """Each night of ``[start, end)``, past ones too."""
        taken = self._taken(listing_id, now)
        listing = self.listings[listing_id]
        found = []
        for night in nights(start, end):
            by = taken.get(night)
            booking = by if isinstance(by, Booking) else None
            closure = by if isinstance(by, Closure) else None
            found.append(Night(night, terms(listing, night), booking, closure))
        return tuple(found)

    def closed_nights(
        self, listing_id: str, now: datetime, start: date | None = None, end: date | None = None
    ) -> frozenset[date]:
        """The nights of ``[start, end)`` that are not for sale; by default from today as far as calendars go."""
        first = start or self.today(listing_id, now)
        last = end or first + timedelta(days=HORIZON)
        return frozenset(night for night in self._taken(listing_id, now) if first <= night < last)

    def bookings(self, now: datetime, listing_id: str | None = None) -> tuple[Booking, ...]:
        """Every booking made up to ``now``, cancelled ones too, in the order they were made."""
        return tuple(self.bookings_after(None, now, listing_id))

    def bookings_after(
        self, key: tuple[datetime, str] | None, now: datetime, listing_id: str | None = None
    ) -> Iterator[Booking]:
        """As ``bookings``, from the one after ``key`` on: its (booked at, code), which never change."""
        order = self._ordered(now)
        first = 0 if key is None else bisect_right(order, key, key=lambda entry: entry[:2])
        for _, _, history in order[first:]:
            booking = history.booking(now)
            if booking is None:
                return  # booked later, as are all behind it
            if listing_id in (None, booking.listing_id):
                yield booking

    def booking(self, code: str, now: datetime) -> Booking | None:
        """One booking as it stands, or None where there is none of that code yet."""
        with self._lock:
            for listing_id in self._lives:
                history = self._life(listing_id, now).histories.get(code)
                if history is not None:
                    return history.booking(now)
        return None

    def histories(self, listing_id: str, now: datetime) -> tuple[History, ...]:
        """Every history of a listing's bookings that can have begun by ``now``, with what is still to come."""
        with self._lock:
            return tuple(self._life(listing_id, now).histories.values())

    def stays(self, listing_id: str, now: datetime) -> tuple[Booking, ...]:
        """The confirmed bookings of a listing, by check-in."""
        with self._lock:
            return tuple(self._life(listing_id, now).confirmed(now))

    def blocks(self, listing_id: str, now: datetime) -> tuple[tuple[date, date], ...]:
        """The nights closed by the owner or sold elsewhere, as half-open stretches in order."""
        taken = self._taken(listing_id, now)
        return stretches(night for night, by in taken.items() if isinstance(by, Closure))

    def version(self, listing_id: str, now: datetime) -> Version:
        """Equal for two moments between which nothing happened to the listing."""
        with self._lock:
            return self._life(listing_id, now).version(now)

    def changed_at(self, listing_id: str, now: datetime) -> datetime:
        """When something last happened to the listing; the world's start if nothing ever did."""
        with self._lock:
            return self._life(listing_id, now).changed_at(now) or self.start

    # What a test scripts. All of it can lie in the future: it is true from ``at`` on.

    def book(self, listing_id: str, check_in: date, check_out: date, *, at: datetime) -> str:
        """A guest books the stay; the confirmation code. Raises ValueError where a night is sold."""
        with self._lock:
            known = self._life(listing_id)
            asked = Revision(_utc(at), check_in, check_out)
            self._refuse_overlap(known, asked, None)
            told = f"{self.seed}/{listing_id}/scripted/{known.edits}"
            code = code_from(Random(told))  # noqa: S311 - a world, not a secret
            known.script(History(code, known.listing, (asked,)))
            return code

    def move(self, code: str, check_in: date, check_out: date, *, at: datetime) -> None:
        """A confirmed booking changes its dates. Raises ValueError where a night is sold, KeyError if unknown."""
        self._revise(code, _utc(at), check_in, check_out)

    def cancel(self, code: str, *, at: datetime, by: str = "guest") -> None:
        """A confirmed booking is cancelled by "guest", "host" or "admin". Raises KeyError if unknown."""
        status = f"cancelled_by_{by}"
        if status not in CANCELLED:
            raise ValueError(f"a booking is cancelled by guest, host or admin, not by {by!r}")
        self._revise(code, _utc(at), status=status)

    def block(
        self, listing_id: str, start: date, end: date, *, at: datetime, elsewhere: bool = False
    ) -> None:
        """The owner closes the nights of ``[start, end)``; ``elsewhere``: another platform sold them."""
        self._close(listing_id, Closure(_utc(at), start, end, elsewhere=elsewhere))

    def unblock(self, listing_id: str, start: date, end: date, *, at: datetime) -> None:
        """The owner opens the nights of ``[start, end)`` again; nights a guest booked stay closed."""
        self._close(listing_id, Closure(_utc(at), start, end, closed=False))

    # How it is kept.

    def _life(self, listing_id: str, now: datetime | None = None) -> Life:
        """A listing's life, drawn as far as anything can have happened by ``now``: then call under the lock."""
        try:
            known = self._lives[listing_id]
        except KeyError:
            ids = ", ".join(list(self._lives)[:3]) or "none"
            raise KeyError(
                f"no listing {listing_id!r} among this world's {len(self._lives)}: {ids} ..."
            ) from None
        if now is not None:
            known.grow(now)
        return known

    def _taken(self, listing_id: str, now: datetime) -> Mapping[date, Booking | Closure]:
        with self._lock:
            return self._life(listing_id, now).taken(now)

    def _ordered(self, now: datetime) -> list[tuple[datetime, str, History]]:
        with self._lock:
            lives = [self._life(listing_id, now) for listing_id in self._lives]
            stamps = [known.stamp for known in lives]
            if self._order[0] != stamps:
                histories = (history for known in lives for history in known.histories.values())
                entries = ((history.booked_at, history.code, history) for history in histories)
                self._order = stamps, sorted(entries, key=lambda entry: entry[:2])
            return self._order[1]

    def _close(self, listing_id: str, closure: Closure) -> None:
        if closure.end <= closure.start:
            raise ValueError(f"a block ends after it begins: {closure.start} .. {closure.end}")
        with self._lock:
            self._life(listing_id).script(closure)

    def _revise(
        self,
        code: str,
        at: datetime,
        check_in: date | None = None,
        check_out: date | None = None,
        status: str = ACCEPTED,
    ) -> None:
        with self._lock:
            history = next(
                (known.histories[code] for known in self._lives.values() if code in known.histories), None
            )
            if history is None:
                raise KeyError(f"no booking {code!r} in this world")
            before = tuple(revision for revision in history.revisions if revision.at < at)
            if not before or before[-1].status != ACCEPTED:
                raise ValueError(f"booking {code} is not confirmed before {at}: nothing to change")
            asked = Revision(at, check_in or before[-1].check_in, check_out or before[-1].check_out, status)
            known = self._life(history.listing.listing_id)
            if status == ACCEPTED:
                self._refuse_overlap(known, asked, code)
            # What would have happened to it later does not happen any more.
            known.script(History(code, history.listing, (*before, asked)))

    @staticmethod
    def _refuse_overlap(known: Life, asked: Revision, code: str | None) -> None:
        if asked.check_out <= asked.check_in:
            raise ValueError(f"a stay ends after it begins: {asked.check_in} .. {asked.check_out}")
        known.grow(asked.at, asked.check_out)
        rival = known.rival(asked, code)
        if rival is not None:
            raise ValueError(
                f"booking {rival} holds a night of {asked.check_in} .. {asked.check_out} on listing "
                f"{known.listing.listing_id} at {asked.at} or later: a world sells no night twice"
            )


def stretches(closed: Iterable[date]) -> tuple[tuple[date, date], ...]:
    """The fewest half-open stretches that cover exactly these nights, in order."""
    found: list[tuple[date, date]] = []
    for night in sorted(closed):
        if found and found[-1][1] == night:
            found[-1] = found[-1][0], night + _ONE_DAY
        else:
            found.append((night, night + _ONE_DAY))
    return tuple(found)


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"a simulated event needs a time with a zone, not {moment!r}")
    return moment.astimezone(UTC)
