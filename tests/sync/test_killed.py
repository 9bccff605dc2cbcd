"""Killed at any point and run again: the same tables as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from adapters.model import Stay
from channel_sync.storage import booking_staging
from channel_sync.storage import bookings as bookings_table
from channel_sync.storage.nights import drop_abandoned
from channel_sync.sync import bookings, plan, pull, store
from tests.house import NOW, WINDOW, House, build_house

ACCOUNT = "airbnb-demo"
EVER = Stay(date(2025, 1, 1), date(2027, 1, 1))

_ENDLESS = """
import json, sys
from itertools import count
from datetime import date
from adapters.model import Stay
from channel_sync import bootstrap, config
from channel_sync.sync import bookings, plan, store
environ = json.loads(sys.argv[1])
engine = bootstrap.engine(config.load(environ), environ=environ)
window, ever = Stay(date(2026, 3, 1), date(2026, 9, 1)), Stay(date(2025, 1, 1), date(2027, 1, 1))
print("ready", flush=True)
for number in count():
    run = f"killed{sys.argv[2]}x{number}"
    for subject in ("availability", "pricing"):
        for batch in plan.batches(engine, run, subject, "airbnb-demo", [window], everything=True):
            store.store_batch(engine, store.pull_and_store(engine, batch))
    batch = bookings.BookingBatch(f"bookings_{run}", run, "airbnb-demo", ever)
    bookings.store_bookings(engine, bookings.pull_bookings(engine, batch))
"""


def state(house: House) -> list[object]:
    """Everything that the channel's answers decide."""
    return [
        house.rows(
            "SELECT listing_id, night, units_open, closure, reference FROM channel_availability ORDER BY 1, 2"
        ),
        house.rows("SELECT listing_id, night, amount, currency, max_stay FROM channel_price ORDER BY 1, 2"),
        house.rows("SELECT external_id, status, check_in, check_out, revised_at FROM booking ORDER BY 1"),
        house.rows(
            "SELECT external_id, count(*) FROM booking_revision JOIN booking USING (booking_id) GROUP BY 1 ORDER BY 1"
        ),
        house.rows(
            "SELECT external_id, night, amount FROM booking_night JOIN booking USING (booking_id) ORDER BY 1, 2"
        ),
        house.rows(
            "SELECT external_id, stay::text FROM allocation JOIN booking USING (booking_id) ORDER BY 1"
        ),
        house.rows(
            "SELECT kind, external_id FROM conflict JOIN booking USING (booking_id) WHERE closed_at IS NULL"
        ),
    ]


def pull_all(house: House) -> None:
    """One orderly pull of everything."""
    house.pull(ACCOUNT, "availability", WINDOW, everything=True)
    house.pull(ACCOUNT, "pricing", WINDOW, everything=True)
    house.pull_bookings(ACCOUNT, EVER)


def test_killed_at_random_moments_the_tables_end_where_they_should(house: House) -> None:
    """Processes that pull are killed -9 a dozen times; one orderly pull later everything is as without them."""
    for number in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", _ENDLESS, json.dumps(dict(house.environ)), str(number)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        try:
            assert process.stdout is not None
            assert "ready" == process.stdout.readline().strip()
            time.sleep(0.03 + 0.07 * number)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
    house.sandbox.clock.set(
        datetime.now(NOW.tzinfo) + timedelta(minutes=1)
    )  # after all that the killed ones saw
    pull_all(house)
    after_kills = state(house)
    with house.database.connect() as connection:
        drop_abandoned(connection, timedelta())
        drop_abandoned(connection, timedelta())  # the first call stamps what a kill left without a time

    house.execute("TRUNCATE channel_availability, channel_price, booking, listing_state CASCADE")
    pull_all(house)

    assert state(house) == after_kills
    assert [] == house.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'channel_sync_staging'::regnamespace AND relkind = 'r'"
    )


def test_a_batch_that_fails_while_it_is_stored_leaves_nothing_and_can_be_stored_again(house: House) -> None:
    """The store step is one transaction; its staging table outlives a failure of it."""
    (batch,) = plan.batches(house.engine, "failing", "availability", ACCOUNT, [WINDOW], everything=False)
    pulled = pull.pull_batch(house.engine, batch)

    def no_clock() -> datetime:
        raise RuntimeError("the process dies here")

    with pytest.raises(RuntimeError):
        store.store_batch(replace(house.engine, clock=no_clock), pulled)
    assert [] == house.rows("SELECT * FROM channel_availability")
    assert [] == house.rows("SELECT * FROM listing_state")

    results = store.store_batch(house.engine, pulled)

    assert {"stored"} == {result.entry.outcome for result in results}


def test_bookings_stored_halfway_are_finished_by_the_next_store(house: House) -> None:
    """Each booking is its own transaction: what was decided before a crash stays, the rest follows."""
    batch = bookings.BookingBatch("bookings_half", "half", ACCOUNT, EVER)
    pulled = bookings.pull_bookings(house.engine, batch)
    with house.database.connect() as connection:
        (first,) = next(booking_staging.new_revisions(connection, batch.name, pulled.channel_account_id))
    with house.database.connect() as connection:
        seen = bookings_table.Observation(pulled.channel_account_id, pulled.sync_log_id, NOW)
        listings = bookings_table.listing_ids(connection, pulled.channel_account_id)
        bookings_table.apply(connection, first, listings, seen)

    result = bookings.store_bookings(house.engine, pulled)

    assert result.entry.rows_read - 1 == result.entry.rows_changed
    halfway = state(house)
    house.execute("TRUNCATE booking CASCADE")
    house.pull_bookings(ACCOUNT, EVER)
    assert halfway == state(house)


def test_two_processes_that_pull_the_same_account_do_not_disturb_each_other(
    house: House, tmp_path: Path
) -> None:
    """Two pulls of the same listings, stored in either order, end in one state and no deadlock."""
    other = build_house(house.sandbox, house.database, tmp_path)
    (one,) = plan.batches(house.engine, "one", "availability", ACCOUNT, [WINDOW], everything=False)
    (two,) = plan.batches(other.engine, "two", "availability", ACCOUNT, [WINDOW], everything=False)
    pulled_one, pulled_two = pull.pull_batch(house.engine, one), pull.pull_batch(other.engine, two)

    store.store_batch(other.engine, pulled_two)
    store.store_batch(house.engine, pulled_one)

    for listing in ("1001", "1006"):
        truth = {
            night.night
            for night in house.sandbox.world.calendar(listing, WINDOW.check_in, WINDOW.check_out, NOW)
            if not night.available
        }
        assert truth == house.closed_nights(listing)
