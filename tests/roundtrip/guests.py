"""Guests of one simulated channel, some of whom change their minds before and after they are known."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from random import Random

from channel_sync.sandbox.bookings import CANCELLED
from channel_sync.sandbox.world import HORIZON, World

_SECOND = timedelta(seconds=1)  # some wires tell no less
_MINUTE = timedelta(minutes=1)
_TRIES = 300


class Guests:
    """Draws what happens; the same for the same seed, except for the times it is told."""

    def __init__(self, world: World, seed: int) -> None:
        self.codes: list[str] = []
        self._world = world
        self._draw = Random(f"{seed}/round trip")
        self._changed_at: dict[str, datetime] = {}  # of those that stand

    def book(self, count: int, now: datetime) -> None:
        """``count`` new bookings; half as many changes of any that stand, and a quarter as many cancellations.

        All within the last minute, and a second at least between two changes of one booking.
        """
        happenings = ["book"] * count + ["move"] * (count // 2) + ["cancel"] * (count // 4)
        self._draw.shuffle(happenings)
        for number, what in enumerate(happenings, start=1):
            self._happen(what, now - _MINUTE * (len(happenings) - number) / len(happenings))

    def _happen(self, what: str, at: datetime) -> None:
        standing = [code for code, changed_at in self._changed_at.items() if changed_at + _SECOND < at]
        code = self._draw.choice(standing) if standing else None
        if what == "book" or code is None:
            code = self._booked(at)
            self.codes.append(code)
            self._changed_at[code] = at
        elif what == "cancel":
            by = self._draw.choice(CANCELLED).removeprefix("cancelled_by_")
            self._world.cancel(code, at=at, by=by)
            del self._changed_at[code]
        else:
            self._move(code, at)
            self._changed_at[code] = at

    def _booked(self, at: datetime) -> str:
        listings = list(self._world.listings)
        for check_in, check_out in self._stays(at):
            try:
                return self._world.book(self._draw.choice(listings), check_in, check_out, at=at)
            except ValueError:
                continue  # sold
        raise ValueError("too few free nights are left: take fewer bookings")

    def _move(self, code: str, at: datetime) -> None:
        for check_in, check_out in self._stays(at):
            try:
                self._world.move(code, check_in, check_out, at=at)
            except ValueError:
                continue  # sold
            return

    def _stays(self, at: datetime) -> Iterator[tuple[date, date]]:
        for _ in range(_TRIES):
            check_in = at.date() + timedelta(days=self._draw.randint(2, HORIZON - 250))
            yield check_in, check_in + timedelta(days=self._draw.randint(1, 5))
