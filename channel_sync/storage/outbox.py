"""What the house has left to sell, and what its channels have yet to be told.

The number of a night is a function of the confirmed bookings alone, so that the order in which they arrived cannot
matter. Everything here happens in the transaction that changed the booking, under the lock of the unit type.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal

import psycopg
from psycopg.types.range import Range

from adapters.model import Stay
from channel_sync.storage.queries import query

Cause = Literal["booked", "changed", "cancelled", "mapped"]


@dataclass(frozen=True, slots=True)
class Sold:
    """What a confirmed booking takes: so many units of the listing's type for a stay."""

    listing_id: int
    stay: Stay
    units: int


@dataclass(frozen=True, slots=True)
class Seller:
    """The account that sold a booking. ``counts_its_own``: its channel takes the units off all of its listings itself."""

    channel_account_id: int
    counts_its_own: bool


def decide(
    connection: psycopg.Connection,
    unit_type_id: int,
    booking_id: int,
    before: Sold | None,
    after: Sold | None,
    cause: Cause,
    account: Seller,
) -> bool:
    """Count the nights of a unit type anew of which a stored booking took ``before`` and now takes ``after``.

    Numbers that changed are written, and the listings that have to be told are put into the outbox. Returns whether
    units were, or are, wanted on one of the nights that the house does not have: then it is to be decided who gets one.
    """
    stays = [sold.stay for sold in (before, after) if sold]
    if not stays:
        return False
    ((contended,),) = connection.execute(
        query("decide_nights"),
        {
            "unit_type_id": unit_type_id,
            "booking_id": booking_id,
            "cause": cause,
            "first": min(stay.check_in for stay in stays),
            "last": max(stay.check_out for stay in stays),
            "before": _nights(before),
            "after": _nights(after),
            "units_before": before.units if before else 0,
            "units_after": after.units if after else 0,
            "listing_before": before.listing_id if before else None,
            "listing_after": after.listing_id if after else None,
            "channel_account_id": account.channel_account_id,
            "counts_its_own": account.counts_its_own,
        },
    ).fetchall()
    return bool(contended)


def _nights(sold: Sold | None) -> Range[date]:
    return Range(sold.stay.check_in, sold.stay.check_out) if sold else Range(empty=True)
