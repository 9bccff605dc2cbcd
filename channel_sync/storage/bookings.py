"""Bookings in Postgres: revisions kept, the newest one standing, units allocated.

Every function works in the caller's transaction. The rules of promise 2 and 4 are here: a confirmed booking is
always stored, fitting or not; an older revision never overwrites a newer one; the same revision again changes
nothing. With the booking change the nights it takes from the house, and what the other channels have to be told.

A reservation that is sold as several bookings, its parts, tells all of them in each of its revisions. Only what the
channel showed is kept as revisions; that a part was left out of a later one is read from those of the other parts, so
that the tables do not depend on the order in which revisions arrived.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from adapters.model import Booking, BookingStatus, Money, Stay
from channel_sync.storage import allocations, conflicts, outbox
from channel_sync.storage.allocations import Guest
from channel_sync.storage.outbox import Cause, Seller, Sold
from channel_sync.storage.queries import query
from channel_sync.storage.revisions import content_hash, newest, to_json


@dataclass(frozen=True, slots=True)
class Observation:
    """Who saw it: the account, the line of the sync log, and when (UTC). ``counts_its_own`` is its channel's declaration."""

    channel_account_id: int
    sync_log_id: int
    seen_at: datetime
    counts_its_own: bool = False


class Effect(StrEnum):
    """What a revision did to the tables."""

    NEW = "new"
    CHANGED = "changed"
    STALE = "stale"  # older than what is stored: kept, and at most tells what the newer ones left out
    UNCHANGED = "unchanged"


def listing_ids(connection: psycopg.Connection, channel_account_id: int) -> dict[str, int]:
    """Our keys of the account's listings by the channel's ids; retired ones too, since a booking there is real."""
    rows = connection.execute(query("listings_of_account"), {"channel_account_id": channel_account_id})
    return dict(rows.fetchall())


def apply_revision(
    connection: psycopg.Connection,
    parts: Sequence[Booking],
    listing_ids: Mapping[str, int],
    seen: Observation,
) -> list[Effect]:
    """Store one revision of a reservation, which names ``parts``, and cancel those parts that it no longer names.

    All parts have the same ``whole`` and moment; a reservation that is no whole is its only part. One effect for each
    of them, then CHANGED for each part that this cancels. Call it in one transaction.
    """
    whole = parts[0].whole
    if whole is None:
        return [apply(connection, part, listing_ids, seen) for part in parts]
    reservation = {"channel_account_id": seen.channel_account_id, "whole": whole}
    _lock_whole(connection, reservation, parts, listing_ids)
    effects = [apply(connection, part, listing_ids, seen) for part in parts]
    if {*effects} == {Effect.UNCHANGED}:
        return effects
    named = {part.booking_id for part in parts}
    for known in _all(connection, "lock_whole", reservation):
        if known["external_id"] in named:
            continue
        standing, _ = newest(connection, seen.channel_account_id, known["booking_id"], whole)
        if (standing.status, standing.revised_at) != (known["status"], known["revised_at"]):
            _stand(connection, known, standing, listing_ids, "cancelled", seen)
            effects.append(Effect.CHANGED)
    return effects


def apply(
    connection: psycopg.Connection, booking: Booking, listing_ids: Mapping[str, int], seen: Observation
) -> Effect:
    """Store one revision of one booking and all that follows from it. ``listing_ids`` as of the account.

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
    whole = booking.whole or known.get("whole")
    if opened:
        # Without a whole nothing else is known of it; a whole may have gone on without it already.
        standing = (
            booking if whole is None else newest(connection, seen.channel_account_id, booking_id, whole)[0]
        )
        _stand(connection, known, standing, listing_ids, "booked", seen)
        return Effect.NEW
    standing, decided_by = newest(connection, seen.channel_account_id, booking_id, whole)
    if decided_by != identity:
        _stand(connection, known, standing, listing_ids, "changed", seen)
        return Effect.STALE
    is_cancelled = standing.status is BookingStatus.CANCELLED
    _stand(connection, known, standing, listing_ids, "cancelled" if is_cancelled else "changed", seen)
    return Effect.CHANGED


def _lock_whole(
    connection: psycopg.Connection,
    reservation: dict[str, Any],
    parts: Sequence[Booking],
    listing_ids: Mapping[str, int],
) -> None:
    """Wait for whoever is at the same reservation, then lock all that its parts touch, in everybody's order."""
    name = "whole {channel_account_id} {whole}".format_map(reservation)
    connection.execute(query("take_turn"), {"name": name})
    known = _all(connection, "lock_whole", reservation)
    listings = {listing_ids.get(part.listing_id) for part in parts} | {row["listing_id"] for row in known}
    _lock_types(
        connection, [one for one in listings if one is not None], [row["booking_id"] for row in known]
    )


def _stand(
    connection: psycopg.Connection,
    known: Mapping[str, Any],
    standing: Booking,
    listing_ids: Mapping[str, int],
    cause: Cause,
    seen: Observation,
) -> None:
    """The booking, whose row was ``known``, stands as this from now on."""
    is_new = cause == "booked"
    booking_id, listing_id = known["booking_id"], listing_ids.get(standing.listing_id)
    before = None if is_new else _sold_before(known)
    after = _sold(standing, listing_id)
    _write(connection, booking_id, standing, listing_id, seen, is_new=is_new)
    # Also where nothing of it changed: it may have been booked earlier than was known, and goes before others then.
    _decide(connection, booking_id, before, after, cause, seen)
    if listing_id is None and standing.status is BookingStatus.CONFIRMED:
        detail = "its listing is not in the portfolio"
        conflicts.open_or_keep(connection, booking_id, "unmapped", detail, seen.seen_at, seen.sync_log_id)
    elif not is_new:
        conflicts.close(connection, booking_id, "unmapped", seen.seen_at)


def adopt_newly_mapped(connection: psycopg.Connection, seen: Observation) -> int:
    """Give bookings that were stored before their listing was mapped their listing and units; return how many."""
    rows = _all(connection, "newly_mapped", {"channel_account_id": seen.channel_account_id})
    if rows:  # all types at once, in the order in which everybody locks them
        listings = [row["listing_id"] for row in rows]
        _lock_types(connection, listings, [])
    for row in rows:
        booking_id = row["booking_id"]
        connection.execute(query("map_booking"), {"listing_id": row["listing_id"], "booking_id": booking_id})
        conflicts.close(connection, booking_id, "unmapped", seen.seen_at)
        _decide(connection, booking_id, None, _sold_before(row), "mapped", seen)
    return len(rows)


def _sold(booking: Booking, listing_id: int | None) -> Sold | None:
    if listing_id is None or booking.stay is None or booking.status is not BookingStatus.CONFIRMED:
        return None
    return Sold(listing_id, booking.stay, booking.units)


def _sold_before(row: Mapping[str, Any]) -> Sold | None:
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
            "whole": booking.whole,
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
    types = _lock_types(connection, listings, [booking_id])
    seller = Seller(seen.channel_account_id, seen.counts_its_own)
    left: dict[int, list[int]] = {booking_id: []}
    if cause != "booked":
        dropped = connection.execute(query("drop_allocations"), {"booking_id": booking_id})
        left[booking_id] = [unit for (unit,) in dropped]
    for row in types:
        unit_type_id = row["unit_type_id"]
        was, now = (
            sold if sold and sold.listing_id in row["listing_ids"] else None for sold in (before, after)
        )
        if outbox.decide(connection, unit_type_id, booking_id, was, now, cause, seller):
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
        conflicts.close(connection, booking_id, "overbooking", seen.seen_at)


def _lock_types(
    connection: psycopg.Connection, listing_ids: Sequence[int], booking_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Lock the unit types of these listings and of the units that these bookings hold."""
    return _all(
        connection, "lock_unit_types", {"listing_ids": list(listing_ids), "booking_ids": list(booking_ids)}
    )


def _flag_overbooking(connection: psycopg.Connection, guest: Guest, found: int, seen: Observation) -> None:
    if found < guest.units:
        detail = f"{guest.units} unit(s) wanted for {guest.stay}, {found} free"
        conflicts.open_or_keep(
            connection, guest.booking_id, "overbooking", detail, seen.seen_at, seen.sync_log_id
        )
    else:
        conflicts.close(connection, guest.booking_id, "overbooking", seen.seen_at)


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
