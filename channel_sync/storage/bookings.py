"""Bookings in Postgres: revisions kept, the newest one standing, units allocated.

Every function works in the caller's transaction. The rules of promise 2 and 4 are here: a confirmed booking is
always stored, fitting or not; an older revision never overwrites a newer one; the same revision again changes
nothing.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from adapters.model import Booking, BookingStatus, Money, Stay
from channel_sync.storage.queries import query


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
    STALE = "stale"  # older than what is stored: kept among the revisions, changes nothing
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
    opened = connection.execute(
        query("open_booking"), {**key, **stamp, "listing_external_id": booking.listing_id}
    )
    known = _one(connection, "lock_booking", key)
    kept = connection.execute(
        query("keep_revision"),
        {
            **stamp,
            "booking_id": known["booking_id"],
            "revised_at": booking.revised_at,
            "content_hash": content_hash(revision),
            "revision": Jsonb(revision),
        },
    )
    if kept.rowcount == 0:
        return Effect.UNCHANGED
    is_new = opened.rowcount == 1
    if not is_new and (
        booking.revised_at < known["revised_at"]
        or (booking.revised_at == known["revised_at"] and known["status"] == BookingStatus.CANCELLED)
    ):
        return Effect.STALE
    _write(connection, known["booking_id"], booking, listing_id, seen)
    return Effect.NEW if is_new else Effect.CHANGED


def adopt_newly_mapped(connection: psycopg.Connection, seen: Observation) -> int:
    """Give bookings that were stored before their listing was mapped their listing and units; return how many."""
    rows = _all(connection, "newly_mapped", {"channel_account_id": seen.channel_account_id})
    for row in rows:
        connection.execute(
            query("map_booking"), {"listing_id": row["listing_id"], "booking_id": row["booking_id"]}
        )
        stay = Stay(row["check_in"], row["check_out"]) if row["status"] == BookingStatus.CONFIRMED else None
        _allocate(connection, row["booking_id"], row["listing_id"], stay, row["units"], seen)
    return len(rows)


def _write(
    connection: psycopg.Connection,
    booking_id: int,
    booking: Booking,
    listing_id: int | None,
    seen: Observation,
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
    _write_nights(connection, booking_id, occupied, dict(booking.nightly))
    _allocate(connection, booking_id, listing_id, occupied, booking.units, seen)


def _write_nights(
    connection: psycopg.Connection, booking_id: int, stay: Stay | None, prices: dict[date, Money]
) -> None:
    nights = list(stay) if stay else []
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


def _allocate(
    connection: psycopg.Connection,
    booking_id: int,
    listing_id: int | None,
    stay: Stay | None,
    units: int,
    seen: Observation,
) -> None:
    """Give the booking its units, or say that it does not fit; ``stay`` None gives its units back."""
    if listing_id is None:
        if stay is not None:
            _open_conflict(connection, booking_id, "unmapped", "its listing is not in the portfolio", seen)
        else:
            _close_conflict(connection, booking_id, "unmapped", seen)
        return
    _close_conflict(connection, booking_id, "unmapped", seen)
    unit_type_id = _one(connection, "lock_unit_type_of_listing", {"listing_id": listing_id})["unit_type_id"]
    before = [row["unit_id"] for row in _all(connection, "units_held", {"booking_id": booking_id})]
    connection.execute(query("drop_allocations"), {"booking_id": booking_id})
    if stay is None:
        _close_conflict(connection, booking_id, "overbooking", seen)
    else:
        _occupy(connection, booking_id, unit_type_id, stay, units, before, seen)
    if before:
        _settle_overbooked(connection, booking_id, unit_type_id, seen)


def _occupy(
    connection: psycopg.Connection,
    booking_id: int,
    unit_type_id: int,
    stay: Stay,
    units: int,
    held_before: Sequence[int],
    seen: Observation,
) -> None:
    found = _all(
        connection,
        "allocate",
        {
            "booking_id": booking_id,
            "unit_type_id": unit_type_id,
            "check_in": stay.check_in,
            "check_out": stay.check_out,
            "units": units,
            "held_before": list(held_before),
        },
    )
    if len(found) < units:
        detail = f"{units} unit(s) wanted for {stay}, {len(found)} free"
        _open_conflict(connection, booking_id, "overbooking", detail, seen)
    else:
        _close_conflict(connection, booking_id, "overbooking", seen)


def _settle_overbooked(
    connection: psycopg.Connection, but_not: int, unit_type_id: int, seen: Observation
) -> None:
    """Nights came free: bookings of the type that found no unit may fit now."""
    for row in _all(connection, "overbooked_of_unit_type", {"unit_type_id": unit_type_id}):
        if row["booking_id"] == but_not:
            continue
        connection.execute(query("drop_allocations"), {"booking_id": row["booking_id"]})
        stay = Stay(row["check_in"], row["check_out"])
        _occupy(connection, row["booking_id"], unit_type_id, stay, row["units"], (), seen)


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


def to_json(booking: Booking) -> dict[str, Any]:
    """The revision as it is kept: everything the model holds, money as exact strings."""
    return {
        "booking_id": booking.booking_id,
        "listing_id": booking.listing_id,
        "status": str(booking.status),
        "revised_at": booking.revised_at.isoformat(),
        "check_in": booking.stay.check_in.isoformat() if booking.stay else None,
        "check_out": booking.stay.check_out.isoformat() if booking.stay else None,
        "units": booking.units,
        "guests": booking.guests,
        "booked_at": booking.booked_at.isoformat() if booking.booked_at else None,
        "total": _money_to_json(booking.total),
        "payout": _money_to_json(booking.payout),
        "nightly": [[night.isoformat(), _money_to_json(price)] for night, price in booking.nightly],
    }


def from_json(revision: dict[str, Any]) -> Booking:
    """The inverse of ``to_json``."""
    stay = (
        Stay(date.fromisoformat(revision["check_in"]), date.fromisoformat(revision["check_out"]))
        if revision["check_in"]
        else None
    )
    return Booking(
        booking_id=revision["booking_id"],
        listing_id=revision["listing_id"],
        status=BookingStatus(revision["status"]),
        revised_at=datetime.fromisoformat(revision["revised_at"]),
        stay=stay,
        units=revision["units"],
        guests=revision["guests"],
        booked_at=datetime.fromisoformat(revision["booked_at"]) if revision["booked_at"] else None,
        total=_money_from_json(revision["total"]),
        payout=_money_from_json(revision["payout"]),
        nightly=tuple(
            (date.fromisoformat(night), money)
            for night, price in revision["nightly"]
            if (money := _money_from_json(price)) is not None
        ),
    )


def content_hash(revision: dict[str, Any]) -> str:
    """SHA-256 of a revision's meaning, independent of the order of keys."""
    return sha256(json.dumps(revision, sort_keys=True).encode()).hexdigest()


def _money(name: str, money: Money | None) -> dict[str, Any]:
    return {
        f"{name}_amount": money.amount if money else None,
        f"{name}_currency": money.currency if money else None,
    }


def _money_to_json(money: Money | None) -> list[str] | None:
    return [str(money.amount), money.currency] if money else None


def _money_from_json(value: list[str] | None) -> Money | None:
    return Money(Decimal(value[0]), value[1]) if value else None


def _all(connection: psycopg.Connection, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query(name), parameters).fetchall()


def _one(connection: psycopg.Connection, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    (row,) = _all(connection, name, parameters)
    return row
