"""A unit type sold on three channels, and what the tables say of it without when and by whom it was written."""

from datetime import date, timedelta

from adapters.model import Booking, Stay, spans
from channel_sync.storage import bookings, observations
from channel_sync.storage.bookings import Effect, Observation
from tests.house import NOW, House
from tests.sync.test_bookings import AT, booking

HOUSE = "inn"
JUNE = date(2026, 6, 1)
OTHERS_OF_1001 = ("direct-1", "harbour-studio-vrbo")

__all__ = ["AT", "HOUSE", "JUNE", "OTHERS_OF_1001", "add_inn", "apply", "booking", "facts", "june", "told"]


def june(first: int, end: int) -> Stay:
    """The nights from the ``first`` of June up to the ``end``."""
    return Stay(JUNE + timedelta(days=first - 1), JUNE + timedelta(days=end - 1))


def add_inn(house: House, units: int = 1) -> None:
    """The house's own website sells the studio of listing 1001 too, as ``direct-1``, and the loft as ``direct-2``."""
    house.execute(
        "INSERT INTO channel_account (code, channel, environment) VALUES ('inn', 'house', 'sandbox')"
    )
    for name, like in (("direct-1", "1001"), ("direct-2", "1005")):
        house.execute(
            "INSERT INTO listing (channel_account_id, external_id, unit_type_id) "
            "SELECT (SELECT channel_account_id FROM channel_account WHERE code = 'inn'), %s, unit_type_id "
            "FROM listing WHERE external_id = %s",
            name,
            like,
        )
    for number in range(1, units):
        house.execute(
            "INSERT INTO unit (unit_type_id, code) SELECT unit_type_id, %s FROM listing WHERE external_id = '1001'",
            f"S1{number}",
        )


def apply(house: House, *revisions: Booking, account: str = "airbnb-demo") -> list[Effect]:
    """Store revisions one after another, as they arrive."""
    effects = []
    with house.database.connect(autocommit=True) as connection:
        ((account_id,),) = connection.execute(
            "SELECT channel_account_id FROM channel_account WHERE code = %s", [account]
        ).fetchall()
        listing_ids = bookings.listing_ids(connection, account_id)
        for revision in revisions:
            (number,) = observations.reserve(connection, 1)
            seen = Observation(account_id, number, NOW)
            with connection.transaction():
                effects.append(bookings.apply(connection, revision, listing_ids, seen))
    return effects


def told(house: House) -> dict[str, list[Stay]]:
    """The outbox by listing: nights, once each, in runs."""
    rows = house.rows(
        "SELECT external_id, lower(nights) AS first, upper(nights) AS end FROM outbox JOIN listing USING (listing_id)"
    )
    return {
        listing: list(
            spans(
                sorted(
                    {
                        night
                        for row in rows
                        if row["external_id"] == listing
                        for night in Stay(row["first"], row["end"])
                    }
                )
            )
        )
        for listing in sorted({row["external_id"] for row in rows})
    }


def facts(house: House) -> list[object]:
    """Everything that must not depend on the order of arrival; of allocations how many units, not which."""
    return [
        house.rows(
            "SELECT external_id, listing_external_id, listing_id, status, check_in, check_out, units, guests, "
            "total_amount, payout_amount, booked_at, revised_at FROM booking ORDER BY 1"
        ),
        house.rows(
            "SELECT external_id, night, amount FROM booking_night JOIN booking USING (booking_id) ORDER BY 1, 2"
        ),
        house.rows(
            "SELECT external_id, count(*), min(stay::text) FROM allocation JOIN booking USING (booking_id) "
            "GROUP BY 1 ORDER BY 1"
        ),
        house.rows(
            "SELECT house.unit_type_id, night, units_open FROM house_availability AS house WHERE units_open <> "
            "(SELECT count(*) FROM unit WHERE unit.unit_type_id = house.unit_type_id AND retired_at IS NULL) "
            "ORDER BY 1, 2"
        ),
        house.rows(
            "SELECT external_id, kind, detail FROM conflict JOIN booking USING (booking_id) WHERE closed_at IS NULL "
            "ORDER BY 1, 2"
        ),
        house.rows(
            "SELECT external_id, content_hash FROM booking_revision JOIN booking USING (booking_id) ORDER BY 1, 2"
        ),
    ]
