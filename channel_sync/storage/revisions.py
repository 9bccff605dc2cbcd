"""A booking's revisions as they are kept: JSON without the guest, what tells one from another, which of them stands."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import psycopg

from adapters.model import Booking, BookingStatus, Money, Stay
from channel_sync.storage.queries import query


def to_json(booking: Booking) -> dict[str, Any]:
    """The revision as it is kept: everything the model holds, money as exact strings.

    ``whole`` is there only where the booking is a part of one: revisions kept before there were wholes have none.
    """
    kept: dict[str, Any] = {
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
    return kept if booking.whole is None else {**kept, "whole": booking.whole}


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
        whole=revision.get("whole"),
    )


def content_hash(revision: dict[str, Any]) -> str:
    """SHA-256 of a revision's meaning, independent of the order of keys."""
    return sha256(json.dumps(revision, sort_keys=True).encode()).hexdigest()


def newest(
    connection: psycopg.Connection, channel_account_id: int, booking_id: int, whole: str | None
) -> tuple[Booking, dict[str, Any]]:
    """A stored booking as it stands by all its revisions, and the time and hash of the one that decides.

    A part that its whole (None: it is none's part) went on without is cancelled then, and no revision of its own decides.
    """
    rows = connection.execute(query("revisions_of_booking"), {"booking_id": booking_id}).fetchall()
    booking = _filled_up([from_json(revision) for _, _, revision in rows])
    revised_at, hashed, _ = rows[-1]
    if whole is not None and booking.status is BookingStatus.CONFIRMED:
        place = {"channel_account_id": channel_account_id, "whole": whole, "booking_id": booking_id}
        ((left_at,),) = connection.execute(
            query("left_whole_at"), {**place, "revised_at": revised_at}
        ).fetchall()
        if left_at is not None:
            return replace(booking, status=BookingStatus.CANCELLED, revised_at=left_at), {}
    return booking, {"revised_at": revised_at, "content_hash": hashed}


def _filled_up(revisions: Sequence[Booking]) -> Booking:
    """The last of these revisions, with what it leaves out as the one before it told it.

    A cancellation often comes without dates and sums, and its listing is not to be relied on then: what was sold stays
    readable.
    """
    standing = revisions[-1]
    for older in reversed(revisions[:-1]):
        if standing.stay is None:
            standing = replace(standing, listing_id=older.listing_id, stay=older.stay, units=older.units)
        standing = replace(
            standing,
            guests=standing.guests if standing.guests is not None else older.guests,
            booked_at=standing.booked_at or older.booked_at,
            total=standing.total or older.total,
            payout=standing.payout or older.payout,
            whole=standing.whole or older.whole,
        )
    return standing


def _money_to_json(money: Money | None) -> list[str] | None:
    return [str(money.amount), money.currency] if money else None


def _money_from_json(value: list[str] | None) -> Money | None:
    return Money(Decimal(value[0]), value[1]) if value else None
