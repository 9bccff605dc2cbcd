"""The bulk path of nights, held against a dictionary that does the same."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channel_sync.storage.database import Database
from channel_sync.storage.nights import (
    AvailabilityRow,
    Changes,
    PriceRow,
    Staging,
    Subject,
    drop_abandoned,
    fingerprint,
)

_FIRST = date(2026, 11, 23)
_SINCE = datetime(2026, 11, 1, 12, tzinfo=UTC)
_STORED: dict[Subject, LiteralString] = {
    "availability": "SELECT * FROM channel_availability ORDER BY listing_id, night",
    "pricing": "SELECT * FROM channel_price ORDER BY listing_id, night",
}


@pytest.fixture
def listings(database: Database) -> list[int]:
    """Three listings to store nights of."""
    with database.connect() as connection:
        for statement in (
            "INSERT INTO property (code, name, time_zone, currency) VALUES ('p', 'P', 'UTC', 'EUR')",
            "INSERT INTO unit_type (property_id, code, name) SELECT property_id, 'u', 'U' FROM property",
            "INSERT INTO channel_account (code, channel, environment) VALUES ('a', 'ical', 'sandbox')",
        ):
            connection.execute(statement)
        made = connection.execute(
            "INSERT INTO listing (channel_account_id, external_id, unit_type_id)"
            " SELECT channel_account_id, n, unit_type_id FROM channel_account, unit_type, generate_series(1, 3) AS n"
            " RETURNING listing_id"
        )
        return [listing_id for (listing_id,) in made]


def _open(listing_id: int, day: int, units: int = 1, log: int = 1) -> AvailabilityRow:
    return AvailabilityRow(listing_id, _FIRST + timedelta(day), units, None, None, None, None, None, log)


def _closed(listing_id: int, day: int, reference: str | None = None, log: int = 1) -> AvailabilityRow:
    return AvailabilityRow(listing_id, _FIRST + timedelta(day), 0, "booked", reference, None, None, None, log)


def _held(listing_id: int, day: int, release_at_s: float, log: int = 1) -> AvailabilityRow:
    night = _FIRST + timedelta(day)
    return AvailabilityRow(listing_id, night, 0, "blocked", None, _SINCE, release_at_s, "absent", log)


def _price(listing_id: int, day: int, amount: str | None, log: int = 1) -> PriceRow:
    price = None if amount is None else Decimal(amount)
    night = _FIRST + timedelta(day)
    currency = None if price is None else "EUR"
    return PriceRow(listing_id, night, price, currency, 2, None, 30, False, None, amount is None, log)


def _store(
    database: Database, subject: Subject, rows: Sequence[AvailabilityRow] | Sequence[PriceRow]
) -> dict[int, Changes]:
    with database.connect() as connection:
        staging = Staging.create(connection, subject, "batch")
        assert staging.copy(rows) == len(rows)
        changes = staging.merge()
        staging.drop()
        return changes


def _stored(database: Database, subject: Subject) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(_STORED[subject]).fetchall()


def test_a_first_load_inserts_every_night(database: Database, listings: list[int]) -> None:
    """All columns of both kinds of rows arrive as they were given."""
    nights = [_open(listings[0], 0, 3), _closed(listings[0], 1, "HM1"), _held(listings[1], 0, 7200.5)]
    assert _store(database, "availability", nights) == {listings[0]: Changes(2), listings[1]: Changes(1)}
    assert _stored(database, "availability") == nights
    prices = [_price(listings[0], 0, "129.9900"), _price(listings[0], 1, None)]
    assert _store(database, "pricing", prices) == {listings[0]: Changes(2)}
    assert _stored(database, "pricing") == prices


def test_the_same_again_writes_nothing(database: Database, listings: list[int]) -> None:
    """Rows that differ only in the observation that saw them are left as they are, down to the row version."""
    _store(database, "availability", [_open(listings[0], day, log=1) for day in range(100)])
    with database.connect() as connection:
        before = connection.execute("SELECT night, ctid, xmin FROM channel_availability").fetchall()
    assert _store(database, "availability", [_open(listings[0], day, log=2) for day in range(100)]) == {}
    with database.connect() as connection:
        assert connection.execute("SELECT night, ctid, xmin FROM channel_availability").fetchall() == before


def test_only_what_differs_is_written(database: Database, listings: list[int]) -> None:
    """One changed night among many is the one row that carries the new observation."""
    _store(database, "pricing", [_price(listings[0], day, "100") for day in range(50)])
    changed = [_price(listings[0], day, "120" if day == 7 else "100.00", log=2) for day in range(50)]
    assert _store(database, "pricing", changed) == {listings[0]: Changes(updated=1)}
    with database.connect() as connection:
        found = connection.execute("SELECT night, amount FROM channel_price WHERE sync_log_id = 2")
        assert found.fetchall() == [(_FIRST + timedelta(7), Decimal(120))]


def test_closings_and_openings_are_counted(database: Database, listings: list[int]) -> None:
    """A night that goes to none is closed, back is opened; other numbers, new nights and new reasons are neither."""
    one, two, _ = listings
    first = [_open(one, 0), _open(one, 1, 5), _closed(one, 2), _closed(one, 3), _open(two, 0)]
    _store(database, "availability", first)
    then = [
        _closed(one, 0),
        _open(one, 1, 4),
        _open(one, 2, 2),
        _held(one, 3, 1.0),
        _closed(one, 4),
        _closed(two, 0),
    ]
    assert _store(database, "availability", then) == {
        one: Changes(inserted=1, updated=4, closed=1, opened=1),
        two: Changes(updated=1, closed=1),
    }


def test_nights_that_are_not_staged_stay(database: Database, listings: list[int]) -> None:
    """A batch that leaves nights out, or is empty, deletes nothing."""
    _store(database, "availability", [_closed(listings[0], day) for day in range(5)])
    assert _store(database, "availability", []) == {}
    assert _store(database, "availability", [_closed(listings[0], 2)]) == {}
    assert len(_stored(database, "availability")) == 5


def test_only_the_listings_asked_for_are_merged(database: Database, listings: list[int]) -> None:
    """A staged listing that is not named is not written; naming none writes none."""
    with database.connect() as connection:
        staging = Staging.create(connection, "availability", "batch")
        staging.copy([_open(listing, 0) for listing in listings])
        assert staging.merge([]) == {}
        assert staging.merge(listings[:1]) == {listings[0]: Changes(1)}
        assert staging.rows(listings[1]) == [_open(listings[1], 0)]
    assert [row[0] for row in _stored(database, "availability")] == listings[:1]


def test_two_rows_for_one_night_are_refused(database: Database, listings: list[int]) -> None:
    """A batch that says two things about a night fails whole and writes nothing."""
    with pytest.raises(psycopg.errors.UniqueViolation):
        _store(database, "availability", [_open(listings[0], 0), _closed(listings[0], 0)])
    assert _stored(database, "availability") == []


def test_nights_belong_to_a_listing(database: Database, listings: list[int]) -> None:
    """Nights of a listing that does not exist are refused; a listing with nights cannot be deleted, one without can."""
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match=r"do not exist: \[1000000000\]"):
        _store(database, "pricing", [_price(listings[0], 0, "1"), _price(10**9, 0, "1")])
    assert _stored(database, "pricing") == []
    _store(database, "availability", [_open(listings[0], 0)])
    with database.connect() as connection:
        connection.execute("DELETE FROM listing WHERE listing_id = %s", [listings[1]])
    with (
        pytest.raises(psycopg.errors.ForeignKeyViolation, match="retire it"),
        database.connect() as connection,
    ):
        connection.execute("DELETE FROM listing WHERE listing_id = %s", [listings[0]])


def test_rows_that_break_off_leave_nothing(database: Database, listings: list[int]) -> None:
    """An error of the source is raised as it is, and neither table nor nights are there afterwards."""

    def rows() -> Iterator[AvailabilityRow]:
        yield _open(listings[0], 0)
        raise RuntimeError("page 2 is unreadable")

    with pytest.raises(RuntimeError, match="page 2"), database.connect() as connection:
        Staging.create(connection, "availability", "batch").copy(rows())
    with database.connect() as connection, pytest.raises(LookupError, match="'batch' is not staged"):
        Staging.attach(connection, "availability", "batch")


def test_a_batch_is_merged_by_another_connection(database: Database, listings: list[int]) -> None:
    """What one connection staged and committed another merges; a repeated attempt begins anew; names may be long."""
    name = "run-" + "x" * 80
    for _ in range(2):
        with database.connect() as connection:
            Staging.create(connection, "availability", name).copy([_open(listings[0], 0)])
    with database.connect() as connection:
        Staging.create(connection, "availability", name + "y").copy([_open(listings[1], 0)])
    with database.connect() as connection:
        staging = Staging.attach(connection, "availability", name)
        assert staging.merge() == {listings[0]: Changes(1)}
        staging.drop()
    with database.connect() as connection, pytest.raises(LookupError):
        Staging.attach(connection, "availability", name)


def test_abandoned_batches_are_dropped_by_age(database: Database) -> None:
    """Old tables go, young ones stay, tables in use are left, tables of unknown age are dropped once they are old."""
    with database.connect() as connection:
        Staging.create(connection, "availability", "killed")
        Staging.create(connection, "pricing", "in use")
        connection.execute("CREATE UNLOGGED TABLE channel_sync_staging.unmarked (x int)")
    with database.connect() as user, database.connect() as sweeper:
        user.execute('SELECT FROM channel_sync_staging."in use"')
        assert drop_abandoned(sweeper, timedelta(hours=1)) == []
        sweeper.commit()
        time.sleep(0.01)
        assert drop_abandoned(sweeper, timedelta(0)) == ["killed", "unmarked"]
    with database.connect() as connection:
        assert drop_abandoned(connection, timedelta(0)) == ["in use"]


def test_a_small_batch_does_not_read_the_whole_table(database: Database, listings: list[int]) -> None:
    """A batch of a few nights finds them by the key, however many nights are stored."""
    _store(database, "availability", [_open(listing, day) for listing in listings for day in range(3000)])
    with database.connect() as connection:
        connection.execute("ANALYZE channel_availability")
        staging = Staging.create(connection, "availability", "batch")
        staging.copy([_open(listings[0], 5), _closed(listings[0], 6)])
        before = _scans(connection)
        assert staging.merge() == {listings[0]: Changes(updated=1, closed=1)}
        assert _scans(connection) == before


def _scans(connection: psycopg.Connection) -> object:
    return connection.execute(
        "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'channel_availability'"
    ).fetchone()


# A model ------------------------------------------------------------------------------------------------------------

_LISTINGS = st.integers(0, 2)
_DAYS = st.integers(0, 5)
_UNITS = st.integers(0, 2)
_REFERENCES = st.sampled_from([None, "A", "B"])
_BATCHES = st.lists(
    st.dictionaries(st.tuples(_LISTINGS, _DAYS), st.tuples(_UNITS, _REFERENCES), max_size=12), max_size=5
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=_BATCHES)
def test_any_sequence_of_stores_equals_a_dictionary(
    database: Database, listings: list[int], batches: list[dict[tuple[int, int], tuple[int, str | None]]]
) -> None:
    """Whatever is stored in whatever order, the table is what a dictionary would be, and so are the changes."""
    with database.connect() as connection:
        connection.execute("TRUNCATE channel_availability")
    model: dict[tuple[int, date], AvailabilityRow] = {}
    for log, batch in enumerate(batches, 1):
        rows = [
            _open(listings[at], day, units, log) if units else _closed(listings[at], day, reference, log)
            for (at, day), (units, reference) in batch.items()
        ]
        assert _store(database, "availability", rows) == _apply(model, rows)
        assert _stored(database, "availability") == [model[key] for key in sorted(model)]


def _apply(model: dict[tuple[int, date], AvailabilityRow], rows: list[AvailabilityRow]) -> dict[int, Changes]:
    counts: dict[int, dict[str, int]] = defaultdict(lambda: asdict(Changes()))
    for row in rows:
        key = (row.listing_id, row.night)
        was = model.get(key)
        if was is not None and was[:-1] == row[:-1]:
            continue
        model[key] = row
        if was is None:
            counts[row.listing_id]["inserted"] += 1
            continue
        counts[row.listing_id]["updated"] += 1
        counts[row.listing_id]["closed"] += was.units_open > 0 and row.units_open == 0
        counts[row.listing_id]["opened"] += was.units_open == 0 and row.units_open > 0
    return {listing: Changes(**count) for listing, count in counts.items()}


# Fingerprints -------------------------------------------------------------------------------------------------------


def test_a_fingerprint_leaves_out_the_observation() -> None:
    """The same nights seen twice have the same fingerprint."""
    assert fingerprint([_open(1, 0, log=1)]) == fingerprint([_open(1, 0, log=2)])
    assert fingerprint([_price(1, 0, "1.00", log=1)]) == fingerprint([_price(1, 0, "1.00", log=2)])


def test_a_fingerprint_is_stable() -> None:
    """It is the same in every process and version of Python: these were computed once."""
    rows = [_closed(1, 0, "HM"), _held(1, 1, 3600.0), _open(1, 2)]
    assert fingerprint(rows) == fingerprint(iter(rows))
    assert fingerprint(rows).startswith("2:")
    assert fingerprint(rows) == "2:1ded3f31de7fa16782f685bfa8a8b7e54e1e794ec73942c1ad09f56e5e209921"
    assert (
        fingerprint([_price(1, 0, "129.90"), _price(1, 1, None)])
        == "2:54e8d3697325cfd75a9747eace57c084faf6c63c8cc2e4058082ec13f52974f5"
    )


_ROWS = st.lists(
    st.builds(
        AvailabilityRow,
        st.integers(1, 3),
        st.dates(date(2026, 1, 1), date(2026, 1, 5)),
        _UNITS,
        st.sampled_from([None, "booked"]),
        st.sampled_from([None, "", "A", "None", "null"]),
        st.sampled_from([None, _SINCE]),
        st.sampled_from([None, 0.0, 1.5]),
        st.sampled_from([None, "absent"]),
        st.integers(1, 9),
    ),
    max_size=6,
)


@given(one=_ROWS, other=_ROWS)
def test_fingerprints_are_equal_exactly_if_the_rows_are(
    one: list[AvailabilityRow], other: list[AvailabilityRow]
) -> None:
    """Two lists have one fingerprint if and only if they say the same."""
    same = [row[:-1] for row in one] == [row[:-1] for row in other]
    assert (fingerprint(one) == fingerprint(other)) is same
