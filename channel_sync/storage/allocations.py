"""Units for the confirmed bookings of one unit type. Every function works under the type's lock.

Who gets a unit where there are too few is a function of the confirmed bookings alone: those booked first, whenever we
learnt of them. Which unit it is depends on who came first, and moves only if a stay would find no room otherwise.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import psycopg
from psycopg.rows import class_row

from adapters.model import Stay
from channel_sync.storage.queries import query


@dataclass(frozen=True, slots=True)
class Guest:
    """A confirmed booking, the units it wants and those it holds."""

    booking_id: int
    check_in: date
    check_out: date
    units: int
    held: Sequence[int] = ()

    @property
    def stay(self) -> Stay:
        """Its nights."""
        return Stay(self.check_in, self.check_out)


@dataclass(frozen=True, slots=True)
class Place:
    """A unit that a booking occupies; None where it is still to be found."""

    unit_id: int | None
    booking_id: int
    check_in: date
    check_out: date


def place(connection: psycopg.Connection, unit_type_id: int, guest: Guest) -> int:
    """Give a booking that holds no unit as many as it wants, those named as ``held`` first; how many it got.

    Where enough units are free each night, but none for the whole stay, others move.
    """
    rows = connection.execute(
        query("allocate"),
        {
            "booking_id": guest.booking_id,
            "unit_type_id": unit_type_id,
            "check_in": guest.check_in,
            "check_out": guest.check_out,
            "units": guest.units,
            "held_before": list(guest.held),
        },
    ).fetchall()
    missing = guest.units - len(rows)
    if missing and _rearrange(connection, unit_type_id, guest, missing):
        return guest.units
    return len(rows)


def settle(
    connection: psycopg.Connection, unit_type_id: int, around: Stay, left: Mapping[int, Sequence[int]]
) -> dict[Guest, int]:
    """Decide who of those who want a unit on these nights, or are concerned by it, gets how many; and see to it.

    ``left``: units that a booking has just given back, and likes best. Returns all concerned with how many they hold.
    """
    owned = len(connection.execute(query("units_of_type"), {"unit_type_id": unit_type_id}).fetchall())
    guests = _concerned(connection, unit_type_id, around, owned)
    shares = shared_out(guests, owned)
    moving = [guest for guest in guests if len(guest.held) != shares[guest.booking_id]]
    for guest in moving:
        connection.execute(query("drop_allocations"), {"booking_id": guest.booking_id})
    found = {guest: len(guest.held) for guest in guests}
    for guest in moving:
        liked = left.get(guest.booking_id, guest.held)
        wish = replace(guest, units=shares[guest.booking_id], held=tuple(liked))
        found[guest] = place(connection, unit_type_id, wish)
    return found


def shared_out(guests: Iterable[Guest], owned: int) -> dict[int, int]:
    """How many units each booking gets: in the given order as many as it wants, or as are left on all its nights."""
    taken: Counter[date] = Counter()
    shares = {}
    for guest in guests:
        left = owned - max(taken[night] for night in guest.stay)
        share = max(min(guest.units, left), 0)
        shares[guest.booking_id] = share
        for night in guest.stay:
            taken[night] += share
    return shares


def _concerned(connection: psycopg.Connection, unit_type_id: int, around: Stay, owned: int) -> list[Guest]:
    """Bookings of these nights, and those that want a unit with one of them on a night on which there are too few."""
    known: set[int] = set()
    first, end = around.check_in, around.check_out
    while True:
        guests = _stays(connection, unit_type_id, first, end)
        known |= {guest.booking_id for guest in guests if guest.stay.overlaps(around)}
        known = _linked(guests, known, owned)
        concerned = [guest for guest in guests if guest.booking_id in known]
        reach = [night for guest in concerned for night in (guest.check_in, guest.check_out)]
        if not reach or (min(reach) >= first and max(reach) <= end):
            return concerned
        first, end = min(first, *reach), max(end, *reach)


def _linked(guests: Sequence[Guest], known: Collection[int], owned: int) -> set[int]:
    """``known`` and whoever shares a night with too few units with one of them, directly or through others."""
    wanted: Counter[date] = Counter()
    for guest in guests:
        for night in guest.stay:
            wanted[night] += guest.units
    found = set(known)
    nights = {night for guest in guests if guest.booking_id in found for night in guest.stay}
    while True:
        more = [
            guest
            for guest in guests
            if guest.booking_id not in found
            and any(wanted[night] > owned and night in nights for night in guest.stay)
        ]
        if not more:
            return found
        found |= {guest.booking_id for guest in more}
        nights |= {night for guest in more for night in guest.stay}


def _stays(connection: psycopg.Connection, unit_type_id: int, first: date, end: date) -> list[Guest]:
    with connection.cursor(row_factory=class_row(Guest)) as cursor:
        rows = cursor.execute(
            query("stays_between"), {"unit_type_id": unit_type_id, "first": first, "end": end}
        ).fetchall()
    return [replace(row, held=tuple(row.held)) for row in rows]


def _rearrange(connection: psycopg.Connection, unit_type_id: int, guest: Guest, missing: int) -> bool:
    """Find ``missing`` more units for the stay by moving others that overlap; False, and nothing moves, if none are."""
    first, end = guest.check_in, guest.check_out
    while True:
        with connection.cursor(row_factory=class_row(Place)) as cursor:
            before = cursor.execute(
                query("allocations_between"), {"unit_type_id": unit_type_id, "first": first, "end": end}
            ).fetchall()
        reach = [night for one in before for night in (one.check_in, one.check_out)]
        if not reach or (min(reach) >= first and max(reach) <= end):
            break
        first, end = min(first, *reach), max(end, *reach)
    wanting = [Place(None, guest.booking_id, guest.check_in, guest.check_out)] * missing
    units = connection.execute(query("units_of_type"), {"unit_type_id": unit_type_id}).fetchall()
    after = rearranged([*before, *wanting], [unit for (unit,) in units])
    if after is None:
        return False
    _move(connection, before, after)
    return True


def rearranged(places: Iterable[Place], units: Sequence[int]) -> list[Place] | None:
    """The same stays, each in a unit of its own; in the one it had where that is free. None if there are too few."""
    free_from: dict[int, date] = dict.fromkeys(units, date.min)
    after = []
    # In order of arrival any free unit will do: whoever finds none shares that night with as many as there are units.
    for one in sorted(places, key=lambda one: (one.check_in, one.unit_id is None, one.booking_id)):
        free = [unit for unit, since in free_from.items() if since <= one.check_in]
        if not free:
            return None
        unit = one.unit_id if one.unit_id in free else free[0]
        free_from[unit] = one.check_out
        after.append(replace(one, unit_id=unit))
    return after


def _move(connection: psycopg.Connection, before: Sequence[Place], after: Sequence[Place]) -> None:
    stayed = set(before) & set(after)
    with connection.cursor() as cursor:
        cursor.executemany(query("leave_unit"), [_row(one) for one in before if one not in stayed])
        cursor.executemany(query("enter_unit"), [_row(one) for one in after if one not in stayed])


def _row(one: Place) -> Mapping[str, object]:
    return {
        "unit_id": one.unit_id,
        "booking_id": one.booking_id,
        "check_in": one.check_in,
        "check_out": one.check_out,
    }
