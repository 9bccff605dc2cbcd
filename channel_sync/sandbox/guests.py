"""Guests who book, change their minds and cancel, as many as are asked for."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from random import Random

from channel_sync.sandbox.bookings import CANCELLED
from channel_sync.sandbox.world import HORIZON, World

_MOMENT = timedelta(milliseconds=1)
_TRIES = 300
_LONGEST = 7  # nights


def bookings_at_random(
    world: World, count: int, seed: int, now: datetime, happenings: int | None = None
) -> tuple[str, ...]:
    """Make ``count`` bookings over all listings, alter some and cancel some, all in the last moments before ``now``.

    ``happenings`` is how much happens to them in all, twice as much as there are bookings unless it is told; a change
    for which no nights are left does not happen. No two things happen at one moment. Returns the codes. Raises
    ValueError where the world has no nights left.
    """
    draw = Random(f"{seed}/guests/{count}")  # noqa: S311 - a world, not a secret
    whose = [*range(count), *draw.choices(range(count), k=max(0, (happenings or 2 * count) - count))]
    draw.shuffle(whose)
    last = {guest: position for position, guest in enumerate(whose)}
    codes: dict[int, str] = {}
    for position, guest in enumerate(whose):
        at = now - (len(whose) - position) * _MOMENT
        if guest not in codes:
            codes[guest] = _booked(world, draw, at)
        elif position == last[guest] and draw.random() < 0.4:
            world.cancel(codes[guest], at=at, by=draw.choice(CANCELLED).removeprefix("cancelled_by_"))
        else:
            _moved(world, draw, codes[guest], at)
    return tuple(codes[guest] for guest in range(count))


def _booked(world: World, draw: Random, at: datetime) -> str:
    listings: Sequence[str] = list(world.listings)
    for _ in range(_TRIES):
        check_in, check_out = _stay(draw, at)
        try:
            return world.book(draw.choice(listings), check_in, check_out, at=at)
        except ValueError:
            continue  # sold
    raise ValueError("the world has too few free nights left: take more listings or fewer bookings")


def _moved(world: World, draw: Random, code: str, at: datetime) -> None:
    for _ in range(_TRIES):
        check_in, check_out = _stay(draw, at)
        try:
            world.move(code, check_in, check_out, at=at)
        except ValueError:
            continue  # sold
        return


def _stay(draw: Random, at: datetime) -> tuple[date, date]:
    check_in = at.date() + timedelta(days=draw.randint(2, HORIZON - 2 * _LONGEST))
    return check_in, check_in + timedelta(days=draw.randint(1, _LONGEST))
