"""A booking's revision as it is kept: JSON without the guest, and what tells it from another."""

import json
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from adapters.model import Booking, BookingStatus, Money, Stay


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


def _money_to_json(money: Money | None) -> list[str] | None:
    return [str(money.amount), money.currency] if money else None


def _money_from_json(value: list[str] | None) -> Money | None:
    return Money(Decimal(value[0]), value[1]) if value else None
