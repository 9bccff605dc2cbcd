"""Bookings in Postgres: revisions kept, the newest one standing, units allocated.

Every function works in the caller's transaction. The rules of promise 2 and 4 are here: a confirmed booking is
always stored, fitting or not; an older revision never overwrites a newer one; the same revision again changes
nothing. With the booking change the nights it takes from the house, and what the other channels have to be told.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from adapters.model import Booking, BookingStatus, Money, Stay
from channel_sync.storage import allocations, outbox
from channel_sync.storage.allocations import Guest
from channel_sync.storage.outbox import Cause, Sold
from channel_sync.storage.queries import query
from channel_sync.storage.revisions import content_hash, from_json, to_json


@dataclass(frozen=True, slots=True)
class Observation:
    """Who saw it: the account, the line of the sync log, and when (UTC)."""

    channel_account_id: int
    sync_log_id: int
    seen_at: datetime


class Effect(StrEnum):
    """What a revision did to the tables."""

    NEW = "new"
    CHANGED = "changed"
    STALE = "stale"  # older than what is stored: kept, and at most tells what the newer ones left out
    UNCHANGED = "unchanged"


def create_staging(connection: psycopg.Connection, name: str) -> None:
    """Make the staging table of this name; nothing if it is there."""
    connection.execute(SQL(query("create_booking_staging")).format(name=Identifier(name)))


def stage(connection: psycopg.Connection, name: str, bookings: Iterable[Booking]) -> None:
    """Stream bookings into the staging table of this name."""
    target = SQL("COPY {} (external_id, revised_at, content_hash, revision) FROM STDIN").format(
        _staging(name)
    )
    with connection.cursor() as cursor, cursor.copy(target) as copy:
        for booking in bookings:
            revision = to_json(booking)
            copy.write_row((booking.booking_id, booking.revised_at, content_hash(revision), Jsonb(revision)))


def expect_many(connection: psycopg.Connection) -> None:
    """Make the connection quicker at applying bookings one after another."""
    connection.execute(query("plan_once"))


def new_revisions(connection: psycopg.Connection, name: str, channel_account_id: int) -> Iterator[Booking]:
    """Staged revisions that are not stored yet, oldest first; streamed."""
    with connection.cursor(name="new_revisions", withhold=True) as cursor:
        cursor.execute(
            SQL(query("new_revisions")).format(name=Identifier(name)),
            {"channel_account_id": channel_account_id},
        )
        for revision, _ in cursor:
            yield from_json(revision)


def drop_staging(connection: psycopg.Connection, name: str) -> int:
    """The batch is stored: drop its staging table and return how many bookings were in it."""
    (count,) = connection.execute(
        SQL("SELECT count(DISTINCT external_id) FROM {}").format(_staging(name))
    ).fetchone() or (0,)
    connection.execute(SQL("DROP TABLE {}").format(_staging(name)))
    return int(count)


def _staging(name: str) -> Identifier:
    return Identifier("channel_sync_staging", name)


def listing_ids(connection: psycopg.Connection, channel_account_id: int) -> dict[str, int]:
    """Our keys of the account's listings by the channel's ids; retired ones too, since a booking there is real."""
    rows = connection.execute(query("listings_of_account"), {"channel_account_id": channel_account_id})
    return dict(rows.fetchall())


def apply(
    connection: psycopg.Connection, booking: Booking, listing_id: int | None, seen: Observation
) -> Effect:
    """Store one revision and all that follows from it. ``listing_id`` is None where the listing is not mapped.

    The channel's own time of the revision decides, never the order of arrival; of two revisions of the same
    moment a cancellation wins, so that no booking is revived by an old version.
    """
    revision = to_json(booking)
    key = {"channel_account_id": seen.channel_account_id, "external_id": booking.booking_id}
    stamp = {"seen_at": seen.seen_at, "sync_log_id": seen.sync_log_id}
    opened = _all(connection, "open_booking", {**key, **stamp, "listing_external_id": booking.listing_id})
    known = opened[0] if opened else _one(connection, "lock_booking", key)
    booking_id = known["booking_id"]
    identity = {"revised_at": booking.revised_at, "content_hash": content_hash(revision)}
    kept = connection.execute(
        query("keep_revision"), {**stamp, **identity, "booking_id": booking_id, "revision": Jsonb(revision)}
    )
    if kept.rowcount == 0:
        return Effect.UNCHANGED
    if opened:
        _write(connection, booking_id, booking, listing_id, seen, is_new=True)
        if listing_id is None:
            _flag_unmapped(connection, booking_id, booking, listing_id, seen)
        _decide(connection, booking_id, None, _sold(booking, listing_id), "booked", seen)
        return Effect.NEW
    rows = _all(connection, "revisions_of_booking", {"booking_id": booking_id})
    standing = _standing([from_json(row["revision"]) for row in rows])
    before = _sold_before(known)
    if any(rows[-1][name] != value for name, value in identity.items()):
        _write(connection, booking_id, standing, known["listing_id"], seen)
        if before is not None:
            # It may have been booked earlier than was known, and goes before others then.
            _decide(connection, booking_id, before, before, "changed", seen)
        return Effect.STALE
    _write(connection, booking_id, standing, listing_id, seen)
    cause: Cause = "cancelled" if booking.status is BookingStatus.CANCELLED else "changed"
    _decide(connection, booking_id, before, _sold(standing, listing_id), cause, seen)
    _flag_unmapped(connection, booking_id, booking, listing_id, seen)
    return Effect.CHANGED


def adopt_newly_mapped(connection: psycopg.Connection, seen: Observation) -> int:
    """Give bookings that were stored before their listing was mapped their listing and units; return how many."""
    rows = _all(connection, "newly_mapped", {"channel_account_id": seen.channel_account_id})
    if rows:  # all types at once, in the order in which everybody locks them
        listings = [row["listing_id"] for row in rows]
        connection.execute(query("lock_unit_types"), {"listing_ids": listings, "booking_id": None})
    for row in rows:
        booking_id = row["booking_id"]
        connection.execute(query("map_booking"), {"listing_id": row["listing_id"], "booking_id": booking_id})
        _close_conflict(connection, booking_id, "unmapped", seen)
        _decide(connection, booking_id, None, _sold_before(row), "mapped", seen)
    return len(rows)


def _standing(revisions: Sequence[Booking]) -> Booking:
    """The last of a booking's revisions, with what it leaves out as the one before it told it.

    A cancellation often comes without dates and sums: what was sold stays readable.
    """
    standing = revisions[-1]
    for older in reversed(revisions[:-1]):
        standing = replace(
            standing,
            stay=standing.stay or older.stay,
            guests=standing.guests if standing.guests is not None else older.guests,
            booked_at=standing.booked_at or older.booked_at,
            total=standing.total or older.total,
            payout=standing.payout or older.payout,
        )
    return standing


def _sold(booking: Booking, listing_id: int | None) -> Sold | None:
    if listing_id is None or booking.stay is None or booking.status is not BookingStatus.CONFIRMED:
        return None
    return Sold(listing_id, booking.stay, booking.units)


def _sold_before(row: dict[str, Any]) -> Sold | None:
    """The same of a row of the table."""
    if row["listing_id"] is None or row["status"] != BookingStatus.CONFIRMED:
        return None
    return Sold(row["listing_id"], Stay(row["check_in"], row["check_out"]), row["units"])


def _write(
    connection: psycopg.Connection,
    booking_id: int,
    booking: Booking,
    listing_id: int | None,
    seen: Observation,
    *,
    is_new: bool = False,
) -> None:
    stay = booking.stay
    connection.execute(
        query("write_booking"),
        {
            "booking_id": booking_id,
            "listing_id": listing_id,
            "listing_external_id": booking.listing_id,
            "status": booking.status,
            "check_in": stay.check_in if stay else None,
            "check_out": stay.check_out if stay else None,
            "units": booking.units,
            "guests": booking.guests,
            **_money("total", booking.total),
            **_money("payout", booking.payout),
            "booked_at": booking.booked_at,
            "revised_at": booking.revised_at,
            "sync_log_id": seen.sync_log_id,
        },
    )
    occupied = stay if booking.status is BookingStatus.CONFIRMED else None
    _write_nights(connection, booking_id, occupied, dict(booking.nightly), is_new=is_new)


def _write_nights(
    connection: psycopg.Connection,
    booking_id: int,
    stay: Stay | None,
    prices: dict[date, Money],
    *,
    is_new: bool,
) -> None:
    nights = list(stay) if stay else []
    if not is_new:
        connection.execute(query("drop_booking_nights"), {"booking_id": booking_id, "nights": nights})
    if not nights:
        return
    rows = []
    for night in nights:
        price = prices.get(night)
        rows.append(
            {
                "booking_id": booking_id,
                "night": night,
                "amount": price.amount if price else None,
                "currency": price.currency if price else None,
            }
        )
    with connection.cursor() as cursor:
        cursor.executemany(query("write_booking_night"), rows)


def _decide(
    connection: psycopg.Connection,
    booking_id: int,
    before: Sold | None,
    after: Sold | None,
    cause: Cause,
    seen: Observation,
) -> None:
    """See to what follows from a booking that is stored: its nights and units, those of others, who has to be told."""
    listings = [sold.listing_id for sold in (before, after) if sold]
    types = _all(connection, "lock_unit_types", {"listing_ids": listings, "booking_id": booking_id})
    left: dict[int, list[int]] = {booking_id: []}
    if cause != "booked":
        dropped = connection.execute(query("drop_allocations"), {"booking_id": booking_id})
        left[booking_id] = [unit for (unit,) in dropped]
    for row in types:
        unit_type_id = row["unit_type_id"]
        was, now = (
            sold if sold and sold.listing_id in row["listing_ids"] else None for sold in (before, after)
        )
        if outbox.decide(connection, unit_type_id, booking_id, was, now, cause):
            stays = [sold.stay for sold in (was, now) if sold]
            around = Stay(min(stay.check_in for stay in stays), max(stay.check_out for stay in stays))
            for guest, found in allocations.settle(connection, unit_type_id, around, left).items():
                _flag_overbooking(connection, guest, found, seen)
        elif now:
            guest = Guest(
                booking_id, now.stay.check_in, now.stay.check_out, now.units, tuple(left[booking_id])
            )
            found = allocations.place(connection, unit_type_id, guest)
            if cause != "booked" or found < guest.units:
                _flag_overbooking(connection, guest, found, seen)
    if after is None and cause != "booked":
        _close_conflict(connection, booking_id, "overbooking", seen)


def _flag_overbooking(connection: psycopg.Connection, guest: Guest, found: int, seen: Observation) -> None:
    if found < guest.units:
        detail = f"{guest.units} unit(s) wanted for {guest.stay}, {found} free"
        _open_conflict(connection, guest.booking_id, "overbooking", detail, seen)
    else:
        _close_conflict(connection, guest.booking_id, "overbooking", seen)


def _flag_unmapped(
    connection: psycopg.Connection,
    booking_id: int,
    booking: Booking,
    listing_id: int | None,
    seen: Observation,
) -> None:
    if listing_id is None and booking.status is BookingStatus.CONFIRMED:
        _open_conflict(connection, booking_id, "unmapped", "its listing is not in the portfolio", seen)
    else:
        _close_conflict(connection, booking_id, "unmapped", seen)


def _open_conflict(
    connection: psycopg.Connection, booking_id: int, kind: str, detail: str, seen: Observation
) -> None:
    connection.execute(
        query("open_conflict"),
        {
            "kind": kind,
            "booking_id": booking_id,
            "detail": detail,
            "seen_at": seen.seen_at,
            "sync_log_id": seen.sync_log_id,
        },
    )


def _close_conflict(connection: psycopg.Connection, booking_id: int, kind: str, seen: Observation) -> None:
    connection.execute(
        query("close_conflict"), {"booking_id": booking_id, "kind": kind, "seen_at": seen.seen_at}
    )


def _money(name: str, money: Money | None) -> dict[str, Any]:
    return {
        f"{name}_amount": money.amount if money else None,
        f"{name}_currency": money.currency if money else None,
    }


def _all(connection: psycopg.Connection, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query(name), parameters).fetchall()


def _one(connection: psycopg.Connection, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    (row,) = _all(connection, name, parameters)
    return row
