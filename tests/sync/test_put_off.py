"""A channel that is not to be asked for a while: what was read is stored, the rest is asked later, nothing twice."""

from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from adapters.model import Stay
from channel_sync.sandbox.faults import Fault
from channel_sync.sync import bookings, plan, pull, store
from channel_sync.sync.pull import Batch
from tests.house import WINDOW, House, build_house, by_listing

ACCOUNT = "airbnb-demo"
LISTINGS = ("1001", "1002", "1003", "1004", "1005", "1006")


def batch_of(house: House, run_id: str = "put-off", window: Stay = WINDOW) -> Batch:
    """All listings of the account."""
    (batch,) = plan.batches(house.engine, run_id, "availability", ACCOUNT, [window], everything=False)
    return batch


def one_by_one(house: House) -> House:
    """The same house, whose listings are asked one after the other."""
    return replace(house, engine=replace(house.engine, threads=1))


def ask_for_an_hour(house: House, listing: str) -> None:
    """The channel wants to be left alone for an hour once this listing is asked for."""
    fault = Fault("status", path=f"*/calendars/{listing}/*", code=429, retry_after="3600", times=1)
    house.sandbox.faults.add(fault)


def an_hour_later(house: House) -> None:
    """What the channel asked for is over."""
    house.execute("UPDATE rate_limit_state SET blocked_until_us = 0")


def asked(house: House) -> Counter[str]:
    """How often each listing's calendar was asked for."""
    return Counter(call.path.split("/")[4] for call in house.sandbox.calls if "/calendars/" in call.path)


def staged(house: House) -> list[object]:
    """What waits to be stored."""
    return [
        row["relname"]
        for row in house.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'channel_sync_staging'::regnamespace AND relkind = 'r'"
        )
    ]


def test_what_was_put_off_is_asked_for_by_the_next_attempt_and_nothing_twice(house: House) -> None:
    """The first attempt stores what it read, the second asks for the rest, and the report is whole."""
    house = one_by_one(house)
    ask_for_an_hour(house, "1004")
    batch = batch_of(house)

    first = pull.pull_batch(house.engine, batch)
    store.put_away(house.engine, first)

    assert first.put_off_s == pytest.approx(3600, abs=1)
    assert {"1004": 1} | dict.fromkeys(LISTINGS[:3], 1) == asked(house)
    assert [{"outcome": "stored", "count": 3}] == house.rows(
        "SELECT outcome, count(*)::int FROM sync_log WHERE subject = 'availability' GROUP BY 1"
    )
    assert [] == staged(house)

    an_hour_later(house)
    second = pull.pull_batch(house.engine, batch)
    results = by_listing(store.store_batch(house.engine, second))

    assert second.put_off_s is None
    assert {**dict.fromkeys(LISTINGS, 1), "1004": 2} == asked(house)
    assert set(LISTINGS) == set(results)
    assert {"stored"} == {result.entry.outcome for result in results.values()}
    assert {len(WINDOW)} == {result.entry.rows_read for result in results.values()}
    assert [{"count": 6}] == house.rows(
        "SELECT count(*)::int FROM sync_log WHERE subject = 'availability' AND run_id = 'put-off'"
    )


def test_what_is_put_off_in_the_last_attempt_is_a_failure(house: House) -> None:
    """Stored without another attempt, the listing is reported with the error of the channel."""
    house = one_by_one(house)
    ask_for_an_hour(house, "1004")

    results = by_listing(store.store_batch(house.engine, pull.pull_batch(house.engine, batch_of(house))))

    assert {"stored"} == {results[listing].entry.outcome for listing in LISTINGS[:3]}
    assert ("failed", "RateLimited") == (results["1004"].entry.outcome, results["1004"].entry.error)
    # The others were not even asked for.
    assert {"failed"} == {results[listing].entry.outcome for listing in LISTINGS[4:]}
    assert 0 == sum(results[listing].entry.requests for listing in LISTINGS[4:])


def test_killed_between_two_attempts_the_run_goes_on_in_another_process(house: House, tmp_path: Path) -> None:
    """What counts is in the tables: another process that takes the step up asks for what is missing."""
    house = one_by_one(house)
    ask_for_an_hour(house, "1004")
    batch = batch_of(house)
    store.put_away(house.engine, pull.pull_batch(house.engine, batch))
    an_hour_later(house)
    other = build_house(house.sandbox, house.database, tmp_path)

    results = store.store_batch(other.engine, pull.pull_batch(other.engine, batch))

    assert {**dict.fromkeys(LISTINGS, 1), "1004": 2} == asked(house)
    assert ["stored"] * 6 == [result.entry.outcome for result in results]


def test_a_new_run_asks_for_everything(house: House) -> None:
    """Only a run's own work is not repeated by it."""
    house = one_by_one(house)
    ask_for_an_hour(house, "1004")
    store.put_away(house.engine, pull.pull_batch(house.engine, batch_of(house)))
    an_hour_later(house)

    results = house.pull(ACCOUNT)

    assert dict.fromkeys(LISTINGS[:4], 2) | dict.fromkeys(LISTINGS[4:], 1) == asked(house)
    assert {"unchanged": 3, "stored": 3} == Counter(result.entry.outcome for result in results)


def test_a_run_asks_for_each_of_its_windows(house: House) -> None:
    """A listing stored for one window of a run is still asked for the other."""
    for window in (
        Stay(date(2026, 4, 1), date(2026, 5, 1)),
        Stay(date(2026, 7, 1), date(2026, 8, 1)),
    ):
        store.store_batch(house.engine, pull.pull_batch(house.engine, batch_of(house, window=window)))

    assert dict.fromkeys(LISTINGS, 2) == asked(house)
    assert [{"count": 6 * 61}] == house.rows("SELECT count(*)::int FROM channel_availability")


def test_bookings_that_are_put_off_say_for_how_long(house: House) -> None:
    """The pull can be repeated as it is: staged twice, every booking is there once."""
    fault = Fault("status", path="*/reservations", code=429, retry_after="120", times=1)
    house.sandbox.faults.add(fault)
    days = Stay(date(2025, 1, 1), date(2027, 1, 1))
    batch = bookings.BookingBatch("bookings_put_off", "put-off", ACCOUNT, days)

    first = bookings.pull_bookings(house.engine, batch)
    an_hour_later(house)
    second = bookings.pull_bookings(house.engine, batch)
    result = bookings.store_bookings(house.engine, second)

    assert first.put_off_s == pytest.approx(120, abs=1)
    assert second.put_off_s is None
    assert "stored" == result.entry.outcome
    assert [{"count": result.entry.rows_changed}] == house.rows("SELECT count(*)::int FROM booking")
