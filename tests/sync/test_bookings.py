"""Bookings pulled from a simulated channel: every one stored, decided once, allocated."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.model import Booking, BookingStatus, Money, Stay
from channel_sync.sandbox.faults import Fault
from channel_sync.storage import bookings, observations
from channel_sync.storage.bookings import Effect, Observation
from channel_sync.storage.queries import query
from tests.house import NOW, House

ACCOUNT = "airbnb-demo"
EVER = Stay(date(2025, 1, 1), date(2027, 1, 1))
AT = datetime(2026, 3, 1, tzinfo=UTC)


def booking(**changes: object) -> Booking:
    """A confirmed stay of three nights on listing 1001."""
    known = Booking(
        booking_id="HMTEST0001",
        listing_id="1001",
        status=BookingStatus.CONFIRMED,
        revised_at=AT,
        stay=Stay(date(2026, 6, 1), date(2026, 6, 4)),
        payout=Money(Decimal("300.00"), "EUR"),
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def apply(house: House, *revisions: Booking) -> list[Effect]:
    """Store revisions one after another, as they arrive."""
    effects = []
    for revision in revisions:
        with house.database.connect() as connection:
            (account_id,) = connection.execute(
                "SELECT channel_account_id FROM channel_account WHERE code = %s", [ACCOUNT]
            ).fetchone() or (0,)
            (number,) = observations.reserve(connection, 1)
            listing_ids = bookings.listing_ids(connection, account_id)
            effects.append(
                bookings.apply(connection, revision, listing_ids, Observation(account_id, number, NOW))
            )
    return effects


def test_tables_equal_the_channel_after_a_pull(house: House) -> None:
    """Every booking is stored with its nights, cancelled ones without."""
    result = house.pull_bookings(ACCOUNT, EVER)

    truth = {
        one.code: (one.status == "accept", one.check_in, one.check_out)
        for one in house.sandbox.world.bookings(NOW)
    }
    stored = {
        row["external_id"]: (row["status"] == "confirmed", row["check_in"], row["check_out"])
        for row in house.rows("SELECT * FROM booking")
    }
    assert truth == stored
    assert len(truth) == result.entry.rows_changed
    assert house.rows(
        "SELECT sum(check_out - check_in)::int AS n FROM booking WHERE status = 'confirmed'"
    ) == house.rows("SELECT count(*)::int AS n FROM booking_night")


def test_the_same_pull_again_changes_nothing(house: House) -> None:
    """No revision is stored twice and nothing is rewritten."""
    house.pull_bookings(ACCOUNT, EVER)
    before = house.rows("SELECT xmin::text, * FROM booking ORDER BY booking_id")

    again = house.pull_bookings(ACCOUNT, EVER)

    assert ("unchanged", 0) == (again.entry.outcome, again.entry.rows_changed)
    assert before == house.rows("SELECT xmin::text, * FROM booking ORDER BY booking_id")


def test_confirmed_bookings_of_a_sound_world_all_have_a_unit(house: House) -> None:
    """Every confirmed booking is allocated and no conflict is open."""
    house.pull_bookings(ACCOUNT, EVER)

    assert [] == house.rows("SELECT * FROM conflict WHERE closed_at IS NULL")
    assert house.rows("SELECT count(*) FROM booking WHERE status = 'confirmed'") == house.rows(
        "SELECT count(*) FROM allocation"
    )


def test_pages_read_before_a_failure_are_stored(house: House) -> None:
    """A booking that was read is stored even if the next page fails; the pull fails visibly."""
    house.sandbox.faults.add(Fault("status", path="*/reservations", code=500))
    failed = house.pull_bookings(ACCOUNT, EVER)

    assert ("failed", "Unavailable") == (failed.entry.outcome, failed.entry.error)


def test_an_older_revision_never_overwrites_a_newer_one(house: House) -> None:
    """Order is the channel's, not that of arrival."""
    newer = booking(revised_at=AT + timedelta(hours=1), stay=Stay(date(2026, 6, 10), date(2026, 6, 12)))

    assert [Effect.NEW, Effect.STALE] == apply(house, newer, booking())
    assert [{"check_in": date(2026, 6, 10)}] == house.rows("SELECT check_in FROM booking")
    assert [{"count": 2}] == house.rows("SELECT count(*) FROM booking_revision")


def test_a_cancellation_that_arrives_first_wins(house: House) -> None:
    """A booking is not revived by an old version of it, nor by one of the same moment."""
    cancelled = booking(status=BookingStatus.CANCELLED, stay=None)

    assert [Effect.NEW, Effect.STALE, Effect.STALE] == apply(
        house, cancelled, booking(), booking(revised_at=AT - timedelta(hours=1), guests=2)
    )
    assert [{"status": "cancelled"}] == house.rows("SELECT status FROM booking")
    assert [] == house.rows("SELECT * FROM allocation")


def test_a_cancellation_without_dates_keeps_those_that_were_known(house: House) -> None:
    """What was sold stays readable after it is gone."""
    apply(
        house,
        booking(),
        booking(revised_at=AT + timedelta(hours=1), status=BookingStatus.CANCELLED, stay=None),
    )

    assert [{"status": "cancelled", "check_in": date(2026, 6, 1)}] == house.rows(
        "SELECT status, check_in FROM booking"
    )


def test_an_overbooking_is_stored_and_flagged(house: House) -> None:
    """A confirmed booking that fits no unit is kept, and a conflict says so."""
    apply(house, booking(), booking(booking_id="HMTEST0002"))

    assert [{"count": 2}] == house.rows("SELECT count(*) FROM booking WHERE status = 'confirmed'")
    assert [{"kind": "overbooking", "external_id": "HMTEST0002"}] == house.rows(
        "SELECT kind, external_id FROM conflict JOIN booking USING (booking_id) WHERE closed_at IS NULL"
    )


def test_an_overbooking_is_settled_when_the_other_party_leaves(house: House) -> None:
    """The unit that comes free goes to the booking that had none, and the conflict closes."""
    apply(house, booking(), booking(booking_id="HMTEST0002"))

    apply(house, booking(status=BookingStatus.CANCELLED, revised_at=AT + timedelta(hours=1)))

    assert [] == house.rows("SELECT * FROM conflict WHERE closed_at IS NULL")
    assert [{"external_id": "HMTEST0002"}] == house.rows(
        "SELECT external_id FROM allocation JOIN booking USING (booking_id)"
    )


def test_stays_that_touch_on_a_turnover_day_share_a_unit(house: House) -> None:
    """Half-open: one party leaves on the morning on which the next arrives."""
    apply(house, booking(), booking(booking_id="HMTEST0002", stay=Stay(date(2026, 6, 4), date(2026, 6, 6))))

    assert [] == house.rows("SELECT * FROM conflict")
    assert [{"count": 2}] == house.rows("SELECT count(*) FROM allocation")


def test_a_booking_of_an_unmapped_listing_is_kept_and_adopted_later(house: House) -> None:
    """Nothing is dropped for want of a mapping; when the mapping comes, the booking is allocated."""
    apply(house, booking(listing_id="9999"))
    assert [{"kind": "unmapped"}] == house.rows("SELECT kind FROM conflict WHERE closed_at IS NULL")
    house.execute(
        "INSERT INTO listing (channel_account_id, external_id, unit_type_id) "
        "SELECT channel_account_id, '9999', unit_type_id FROM listing WHERE external_id = '1001'"
    )

    house.pull_bookings(ACCOUNT, Stay(date(2025, 1, 1), date(2025, 1, 2)))

    assert [] == house.rows("SELECT * FROM conflict WHERE closed_at IS NULL")
    assert [{"count": 1}] == house.rows("SELECT count(*) FROM allocation")


@pytest.mark.parametrize("seed", range(3))
def test_no_guest_reaches_the_tables(house: House, seed: int) -> None:
    """The channel sends guests' names, phones and mails; no column holds any of them."""
    house.sandbox.clock.advance(timedelta(days=seed))
    house.pull_bookings(ACCOUNT, EVER)

    text = str(house.rows("SELECT revision FROM booking_revision")) + str(house.rows("SELECT * FROM booking"))
    names = {
        str(word)
        for one in house.sandbox.world.bookings(house.sandbox.clock.now())
        for word in (one.guest.first_name, one.guest.email, one.guest.phone)
    }
    assert names
    assert not [name for name in names if name in text]


def test_two_processes_may_decide_bookings_of_one_unit_type_at_once(house: House) -> None:
    """One settles an overbooking while the other changes that very booking: both end, and the tables are sound."""
    apply(house, booking(), booking(booking_id="HMTEST0002"))
    with house.database.connect() as connection:
        (account_id,) = connection.execute(
            "SELECT channel_account_id FROM channel_account WHERE code = %s", [ACCOUNT]
        ).fetchone() or (0,)
        connection.execute(
            query("lock_booking"), {"channel_account_id": account_id, "external_id": "HMTEST0002"}
        )
        # The other process frees the unit and gives it to the booking that is locked here.
        with ThreadPoolExecutor(1) as other:
            freed = other.submit(
                apply, house, booking(status=BookingStatus.CANCELLED, revised_at=AT + timedelta(hours=1))
            )
            assert [Effect.CHANGED] == freed.result(timeout=10)

    assert [{"external_id": "HMTEST0002"}] == house.rows(
        "SELECT external_id FROM allocation JOIN booking USING (booking_id)"
    )
