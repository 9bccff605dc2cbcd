"""Pulling calendars from a simulated channel into the tables, and every way it can go wrong."""

from datetime import date, timedelta

import pytest

from adapters.model import Stay
from channel_sync.sandbox.faults import Fault
from channel_sync.sync import plan, pull, store
from tests.house import NOW, WINDOW, House, by_listing

ACCOUNT = "airbnb-demo"


def test_tables_equal_the_channel_after_a_pull(house: House) -> None:
    """Every night of the window is stored as the channel has it."""
    results = house.pull(ACCOUNT)

    assert {"stored"} == {result.entry.outcome for result in results}
    for listing in ("1001", "1002", "1003", "1004", "1005", "1006"):
        truth = {
            night.night
            for night in house.sandbox.world.calendar(listing, WINDOW.check_in, WINDOW.check_out, NOW)
            if not night.available
        }
        assert truth == house.closed_nights(listing)
    assert [{"count": 6 * len(WINDOW)}] == house.rows("SELECT count(*) FROM channel_availability")


def test_prices_keep_the_currency_of_their_listing(house: House) -> None:
    """Prices are stored exactly, in the listing's currency and digits."""
    house.pull(ACCOUNT, "pricing")

    stored = house.rows(
        "SELECT external_id, night, amount, currency FROM channel_price JOIN listing USING (listing_id)"
    )
    assert {"EUR", "JPY", "KWD", "USD"} == {row["currency"] for row in stored}
    by_night = {(row["external_id"], row["night"]): row["amount"] for row in stored}
    for listing in ("1002", "1003"):
        for night in house.sandbox.world.calendar(listing, WINDOW.check_in, WINDOW.check_out, NOW):
            assert by_night[listing, night.night] == night.terms.price


def test_the_same_pull_again_writes_nothing(house: House) -> None:
    """An unchanged calendar is recognised and no row is rewritten."""
    house.pull(ACCOUNT)
    before = house.rows("SELECT ctid::text, xmin::text FROM channel_availability ORDER BY 1")

    again = house.pull(ACCOUNT)

    assert {"unchanged"} == {result.entry.outcome for result in again}
    assert before == house.rows("SELECT ctid::text, xmin::text FROM channel_availability ORDER BY 1")


def test_only_what_differs_is_written(quiet_house: House) -> None:
    """A new booking rewrites its nights and nothing else."""
    quiet_house.pull(ACCOUNT)
    world, clock = quiet_house.sandbox.world, quiet_house.sandbox.clock
    world.book("1001", date(2026, 6, 2), date(2026, 6, 4), at=clock.now() + timedelta(minutes=1))
    clock.advance(timedelta(minutes=2))

    result = by_listing(quiet_house.pull(ACCOUNT))["1001"].entry

    assert (2, 2, 0) == (result.rows_changed, result.nights_closed, result.nights_opened)
    assert {date(2026, 6, 2), date(2026, 6, 3)} == quiet_house.closed_nights("1001")


def test_one_listing_failing_does_not_cost_the_others(house: House) -> None:
    """What was proven is stored and the failure is a line of the log."""
    house.sandbox.faults.add(Fault("status", path="*/calendars/1003/*", code=500))

    results = by_listing(house.pull(ACCOUNT))

    assert ("failed", "Unavailable") == (results["1003"].entry.outcome, results["1003"].entry.error)
    assert {"stored"} == {result.entry.outcome for name, result in results.items() if name != "1003"}
    assert not house.closed_nights("1003")
    assert house.closed_nights("1004")
    logged = house.rows("SELECT outcome, count(*)::int FROM sync_log GROUP BY outcome ORDER BY outcome")
    assert [{"outcome": "failed", "count": 1}, {"outcome": "stored", "count": 5}] == logged


@pytest.mark.parametrize(
    "fault",
    [
        Fault("truncate", path="*/calendars/*", bytes=2000),
        Fault("html", path="*/calendars/*"),
        Fault("empty_body", path="*/calendars/*"),
        Fault("wrong_shape", path="*/calendars/*"),
        Fault("drop", path="*/calendars/*"),
        Fault("status", path="*/calendars/*", code=503),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_broken_answer_changes_no_night(house: House, fault: Fault) -> None:
    """A half-read, foreign or missing answer neither opens nor closes anything."""
    house.pull(ACCOUNT)
    before = house.rows("SELECT * FROM channel_availability ORDER BY listing_id, night")
    house.sandbox.faults.add(fault)
    house.sandbox.clock.advance(timedelta(hours=1))

    results = house.pull(ACCOUNT)

    assert {"failed"} == {result.entry.outcome for result in results}
    assert before == house.rows("SELECT * FROM channel_availability ORDER BY listing_id, night")


def test_a_passing_fault_is_repeated_and_its_wait_counted(house: House) -> None:
    """A 429 with Retry-After is waited out, and the log says how long."""
    house.sandbox.faults.add(Fault("status", path="*/calendars/1001/*", code=429, retry_after="1", times=1))

    entry = by_listing(house.pull(ACCOUNT))["1001"].entry

    assert "stored" == entry.outcome
    assert 1.0 <= entry.waited_s < 3.0
    assert entry.requests >= 2


def test_a_wait_longer_than_the_deadline_fails_at_once(house: House) -> None:
    """A Retry-After beyond the deadline is not begun: the pull fails visibly instead of sleeping."""
    house.sandbox.faults.add(Fault("status", path="*/calendars/1001/*", code=429, retry_after="3600"))

    entry = by_listing(house.pull(ACCOUNT))["1001"].entry

    assert ("failed", "RateLimited") == (entry.outcome, entry.error)
    assert entry.waited_s < 1.0


def test_an_older_observation_writes_nothing(quiet_house: House) -> None:
    """A pull that was overtaken by a newer one leaves the newer result as it is."""
    engine, clock = quiet_house.engine, quiet_house.sandbox.clock
    (batch,) = plan.batches(engine, "slow", "availability", ACCOUNT, [WINDOW], everything=False)
    slow = pull.pull_batch(engine, batch)
    quiet_house.sandbox.world.book(
        "1001", date(2026, 6, 2), date(2026, 6, 4), at=clock.now() + timedelta(minutes=1)
    )
    clock.advance(timedelta(minutes=5))
    quiet_house.pull(ACCOUNT)

    results = by_listing(store.store_batch(engine, slow))

    assert "superseded" == results["1001"].entry.outcome
    assert {date(2026, 6, 2), date(2026, 6, 3)} == quiet_house.closed_nights("1001")


def test_a_missing_secret_fails_the_account_and_names_the_mend(house: House) -> None:
    """A secret whose variable is not set is named, and no value is."""
    environ = dict(house.environ)
    del environ["HARBOUR_LOFT_AIRBNB_FEED_URL"]
    from channel_sync import bootstrap, config

    poorer = House(
        house.sandbox,
        house.database,
        bootstrap.engine(config.load(environ), environ=environ, clock=house.sandbox.clock.now),
        environ,
    )

    results = by_listing(poorer.pull("feeds-demo"))

    entry = results["harbour-loft-airbnb"].entry
    assert ("failed", "ConfigurationError") == (entry.outcome, entry.error)
    assert "feed_url" in str(entry.error_message)
    assert {"stored"} == {
        result.entry.outcome for name, result in results.items() if name != "harbour-loft-airbnb"
    }


def test_a_month_re_pulls_exactly_that_month(house: House) -> None:
    """A window touches no night outside it."""
    may = Stay(date(2026, 5, 1), date(2026, 6, 1))

    house.pull(ACCOUNT, window=may)

    (row,) = house.rows("SELECT min(night) AS first, max(night) AS last FROM channel_availability")
    assert {"first": date(2026, 5, 1), "last": date(2026, 5, 31)} == row


def test_a_batch_that_is_stored_leaves_no_staging_table(house: House) -> None:
    """Staging tables go with the transaction that stores their batch."""
    house.pull(ACCOUNT)
    house.pull("feeds-demo")

    assert [] == house.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'channel_sync_staging'::regnamespace AND relkind = 'r'"
    )


def test_an_observation_from_the_future_supersedes_nothing(quiet_house: House) -> None:
    """Another machine's clock that runs hours ahead does not keep closings out of the tables."""
    quiet_house.pull(ACCOUNT)
    quiet_house.execute("UPDATE listing_state SET observed_at = observed_at + interval '5 hours'")
    clock = quiet_house.sandbox.clock
    quiet_house.sandbox.world.book(
        "1001", date(2026, 6, 2), date(2026, 6, 4), at=clock.now() + timedelta(minutes=1)
    )
    clock.advance(timedelta(minutes=15))

    results = by_listing(quiet_house.pull(ACCOUNT))

    assert "stored" == results["1001"].entry.outcome
    assert {date(2026, 6, 2), date(2026, 6, 3)} == quiet_house.closed_nights("1001")


def test_nothing_new_does_not_hide_what_another_pull_stored_meanwhile(quiet_house: House) -> None:
    """A pull that found its rows committed already brings none: it must not vouch for rows that came in between."""
    engine, clock = quiet_house.engine, quiet_house.sandbox.clock
    first = date(2026, 6, 2)
    quiet_house.pull(ACCOUNT)
    clock.advance(timedelta(minutes=10))
    (earlier,) = plan.batches(engine, "earlier", "availability", ACCOUNT, [WINDOW], everything=False)
    (later,) = plan.batches(engine, "later", "availability", ACCOUNT, [WINDOW], everything=False)
    world, listing = quiet_house.sandbox.world, "1001"
    code = world.book(listing, first, first + timedelta(days=2), at=clock.now())
    between = pull.pull_batch(engine, earlier)
    clock.advance(timedelta(minutes=1))
    world.cancel(code, at=clock.now())
    clock.advance(timedelta(minutes=1))
    nothing_new = pull.pull_batch(engine, later)

    store.store_batch(engine, between)
    outcome = by_listing(store.store_batch(engine, nothing_new))[listing].entry.outcome
    assert "superseded" == outcome
    clock.advance(timedelta(minutes=15))
    assert "stored" == by_listing(quiet_house.pull(ACCOUNT))[listing].entry.outcome

    assert set() == quiet_house.closed_nights(listing)
