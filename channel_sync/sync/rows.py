"""What a channel states about nights, as rows of the tables, and what no row can hold."""

from collections.abc import Sequence
from decimal import Decimal

from adapters.accounts import Listing
from adapters.errors import UnexpectedResponse
from adapters.model import NightAvailability, NightPrice
from channel_sync.storage.nights import AvailabilityRow, PriceRow

_MOST_UNITS_OR_NIGHTS = 32_767  # smallint
_LARGEST_AMOUNT = Decimal(10) ** 14  # numeric(18, 4)

Row = AvailabilityRow | PriceRow
Rows = Sequence[AvailabilityRow] | Sequence[PriceRow]


def availability_row(night: NightAvailability, listing_id: int, sync_log_id: int) -> AvailabilityRow:
    """Stated nights are never held."""
    return AvailabilityRow(
        listing_id,
        night.night,
        night.units_open,
        night.closure,
        night.reference,
        None,
        None,
        None,
        sync_log_id,
    )


def price_row(night: NightPrice, listing_id: int, sync_log_id: int) -> PriceRow:
    """A night's price and restrictions."""
    rules = night.restrictions
    return PriceRow(
        listing_id,
        night.night,
        night.price.amount if night.price else None,
        night.price.currency if night.price else None,
        rules.min_stay_arrival,
        rules.min_stay_through,
        rules.max_stay,
        rules.closed_to_arrival,
        rules.closed_to_departure,
        rules.stop_sell,
        sync_log_id,
    )


def refuse_unstorable(listing: Listing, rows: Rows) -> None:
    """Refuse here, for one listing, what the tables would refuse later for the whole batch.

    Raises UnexpectedResponse for a night that is stated twice, a number that is beyond all sense, or a text that
    Postgres cannot hold.
    """
    if len({row.night for row in rows}) != len(rows):
        raise UnexpectedResponse(f"listing {listing.listing_id!r}: a night is stated twice")
    for column in list(zip(*rows, strict=True))[2:-1]:
        for value in set(column):  # few differ: to look at each of them takes three times as long
            absurd = (
                (type(value) is int and not 0 <= value <= _MOST_UNITS_OR_NIGHTS)
                or (isinstance(value, Decimal) and abs(value) >= _LARGEST_AMOUNT)
                or (isinstance(value, str) and "\x00" in value)
            )
            if absurd:
                night = rows[column.index(value)].night
                raise UnexpectedResponse(
                    f"listing {listing.listing_id!r}: night {night} holds an absurd value"
                )
